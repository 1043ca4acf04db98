/* ids.h: the ids of requests, as JSON text, compared by their values; pure. */
#ifndef MCP_IDS_H
#define MCP_IDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether two ids have the same value: 100, 1e2 and 100.0 are one number, -0 is 0, and no text is a number.
 * Nothing is rounded. Texts are compared byte by byte: both have to be written by the same writer. */
bool mcp__id_same(const char *a, size_t a_len, const char *b, size_t b_len);

/* The same for ids of the same value. */
uint32_t mcp__id_hash(const char *id, size_t len);

/* Whether the id is a whole number below 2^64; then *number is its value. */
bool mcp__id_number(const char *id, size_t len, uint64_t *number);

#endif
