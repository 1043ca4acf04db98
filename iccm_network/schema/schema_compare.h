/* schema_compare.h: order, equality and hashes of JSON values, as JSON Schema sees them; pure. */
#ifndef MCP_SCHEMA_COMPARE_H
#define MCP_SCHEMA_COMPARE_H

#include "base/mem.h"

enum { MCP__JSON_SCALAR_BYTES = 512 };

bool mcp__json_is_number(yyjson_val *value);  /* one that yyjson left as text (raw) included */
bool mcp__json_is_whole(yyjson_val *number);  /* 1.0 is; a raw one when it has no point and no exponent */
double mcp__json_as_real(yyjson_val *number); /* the nearest double, or infinity */

/* The JSON text of a number, a boolean or null; in memory, or the raw number's own. */
const char *mcp__json_scalar_text(yyjson_val *scalar, char memory[MCP__JSON_SCALAR_BYTES]);

/* Below 0, 0 or above 0, as a is less than, equal to or greater than b; both are numbers. */
int mcp__json_order(yyjson_val *a, yyjson_val *b);

/* Equality: 1 is 1.0, and the order of members does not count. What it compares is taken from steps; once
 * these are 0, which more than 128 levels make them too, the answer is false and means nothing. */
bool mcp__json_same(yyjson_val *a, yyjson_val *b, uint64_t *steps);

/* The same for equal values. Takes steps, too. */
uint64_t mcp__json_hash(yyjson_val *value, uint64_t *steps);

#endif
