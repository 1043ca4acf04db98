/* schema_decimal.h: numbers in decimal, for multipleOf; pure. */
#ifndef MCP_SCHEMA_DECIMAL_H
#define MCP_SCHEMA_DECIMAL_H

#include "base/mem.h"

/* digits * 10^exponent; digits does not end in 0, unless it is 0. */
typedef struct mcp__decimal {
  uint64_t digits;
  int64_t exponent;
} mcp__decimal_t;

/* Reads the number without its sign. False: its digits do not fit into 64 bits. */
bool mcp__decimal_read(yyjson_val *number, mcp__decimal_t *out);

bool mcp__decimal_divides(const mcp__decimal_t *divisor, yyjson_val *number); /* the divisor must not be 0 */

#endif
