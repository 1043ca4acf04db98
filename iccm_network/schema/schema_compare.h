/* schema_compare.h: order, equality and hashes of JSON values, as JSON Schema defines them; pure. */
#ifndef MCP_SCHEMA_COMPARE_H
#define MCP_SCHEMA_COMPARE_H

#include "base/mem.h"

enum { MCP__JSON_SCALAR_BYTES = 512 };

bool mcp__json_is_number(yyjson_val *value);  /* including numbers that yyjson keeps as text (raw) */
bool mcp__json_is_whole(yyjson_val *number);  /* 1.0 is; a raw one if it has no point and no exponent */
double mcp__json_as_real(yyjson_val *number); /* the nearest double, or infinity */

/* The JSON text of a number, a boolean or null; stored in memory, or the raw number's own text. */
const char *mcp__json_scalar_text(yyjson_val *scalar, char memory[MCP__JSON_SCALAR_BYTES]);

/* Negative, 0 or positive if a is less than, equal to or greater than b; both are numbers. */
int mcp__json_order(yyjson_val *a, yyjson_val *b);

/* Equality: 1 equals 1.0, and the order of members is ignored. Decrements *steps by the work done; if *steps
 * is 0 afterwards (also beyond 128 levels), the result is false and means nothing. */
bool mcp__json_same(yyjson_val *a, yyjson_val *b, uint64_t *steps);

/* A hash that is equal for equal values. Decrements *steps likewise. */
uint64_t mcp__json_hash(yyjson_val *value, uint64_t *steps);

#endif
