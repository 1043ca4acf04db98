/* schema_compare.h: order and equality of JSON values, as JSON Schema sees them; pure. */
#ifndef MCP_SCHEMA_COMPARE_H
#define MCP_SCHEMA_COMPARE_H

#include "mem.h"

bool mcp__json_is_number(yyjson_val *value);  /* one that yyjson left as text (raw) included */
bool mcp__json_is_whole(yyjson_val *number);  /* 1.0 is; a raw one when it has no point and no exponent */
double mcp__json_as_real(yyjson_val *number); /* the nearest double, or infinity */

/* Below 0, 0 or above 0, as a is less than, equal to or greater than b; both are numbers. */
int mcp__json_order(yyjson_val *a, yyjson_val *b);

/* Equality: 1 is 1.0, and the order of members does not count. Goes as deep as expected does. */
bool mcp__json_same(yyjson_val *expected, yyjson_val *value);

#endif
