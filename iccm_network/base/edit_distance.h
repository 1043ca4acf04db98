/* names.h: how alike two names are, for telling which one was meant. */
#ifndef MCP_NAMES_H
#define MCP_NAMES_H

#include <stddef.h>
#include <stdint.h>

/* How many bytes have to be removed and added to make one name of the other: 0, they are the same. Of each
 * the first 64 bytes count. */
size_t mcp__edit_distance_indel(const char *a, size_t a_len, const char *b, size_t b_len);

/* How many slips of the hand lie between two names: letters left out, added, replaced, or exchanged with the
 * next one; capitals of ASCII count as small letters. Names of more than 64 bytes: SIZE_MAX. */
size_t mcp__edit_distance_osa(const char *a, size_t a_len, const char *b, size_t b_len);

#endif
