/* names.h: how alike two names are, for telling which one was meant. */
#ifndef MCP_NAMES_H
#define MCP_NAMES_H

#include <stddef.h>

/* How many bytes have to be removed and added to make one name of the other: 0, they are the same. Of each
 * the first 64 bytes count. */
size_t mcp__names_distance(const char *a, size_t a_len, const char *b, size_t b_len);

#endif
