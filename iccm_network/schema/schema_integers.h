/* schema_integers.h: converts whole numbers that are written with a point or an exponent, such as 3.0 or 1e1,
 * to integers where a schema wants integers, so that handlers need not handle them.
 *
 * A check marks them in unused bits of the numbers themselves, and removes the marks of alternatives that do
 * not match. When the whole value is valid, marked numbers are converted. */
#ifndef MCP_SCHEMA_INTEGERS_H
#define MCP_SCHEMA_INTEGERS_H

#include "base/mem.h"

/* Marks a number that yyjson read as a double, with the number ++*count. Numbers beyond 64 bits are not
 * marked. */
void mcp__integers_mark(yyjson_val *real, uint64_t *count);

/* Removes the marks in value that are greater than mark, and sets *count to mark. */
void mcp__integers_unmark(yyjson_val *value, uint64_t *count, uint64_t mark);

/* Converts the marked numbers in value to integers and removes their marks. */
void mcp__integers_convert(yyjson_val *value);

#endif
