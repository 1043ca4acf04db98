/* edit_distance.h: edit distances between names, to suggest the name that was meant; pure. */
#ifndef MCP_NAMES_H
#define MCP_NAMES_H

#include <stddef.h>
#include <stdint.h>

/* The indel distance: the number of bytes to remove and insert to turn one name into the other. Only the
 * first 64 bytes of each name count. */
size_t mcp__edit_distance_indel(const char *a, size_t a_len, const char *b, size_t b_len);

/* The optimal string alignment distance: the number of insertions, removals, replacements and transpositions
 * of adjacent letters. ASCII case is ignored. SIZE_MAX for names of more than 64 bytes. */
size_t mcp__edit_distance_osa(const char *a, size_t a_len, const char *b, size_t b_len);

#endif
