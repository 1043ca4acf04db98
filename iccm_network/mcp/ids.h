/* ids.h: compares request ids, given as JSON text, by value; pure. */
#ifndef MCP_IDS_H
#define MCP_IDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether two ids have the same value: 100, 1e2 and 100.0 are one number, -0 is 0, and a string is never a
 * number. Nothing is rounded. Strings are compared byte by byte, so the same writer must have written both.
 */
bool mcp__id_same(const char *a, size_t a_len, const char *b, size_t b_len);

/* A hash that is equal for ids of the same value. */
uint32_t mcp__id_hash(const char *id, size_t len);

/* Whether the id is an integer below 2^64; *number is then its value. */
bool mcp__id_number(const char *id, size_t len, uint64_t *number);

#endif
