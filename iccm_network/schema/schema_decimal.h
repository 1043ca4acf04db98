/* schema_decimal.h: numbers as the decimals that they are written as, for multipleOf; pure. */
#ifndef MCP_SCHEMA_DECIMAL_H
#define MCP_SCHEMA_DECIMAL_H

#include "base/mem.h"

typedef struct mcp__decimal { /* digits * 10^exponent; digits does not end in 0, unless it is 0 */
  uint64_t digits;
  int64_t exponent;
} mcp__decimal_t;

/* The number without its sign. False: it has more digits than 64 bits hold. */
bool mcp__decimal_read(yyjson_val *number, mcp__decimal_t *out);

bool mcp__decimal_divides(const mcp__decimal_t *divisor, yyjson_val *number); /* the divisor is not 0 */

#endif
