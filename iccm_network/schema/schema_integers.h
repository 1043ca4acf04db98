/* schema_integers.h: numbers that are whole but have a point or an exponent, as 3.0 or 1e1, where a schema
 * wants integers: they become integers, so that handlers need not know of the other spelling.
 *
 * A check notes them as it meets them, in the unused bits of the numbers themselves, and takes back what a
 * form noted that does not fit; once the whole value fits they are converted. */
#ifndef MCP_SCHEMA_INTEGERS_H
#define MCP_SCHEMA_INTEGERS_H

#include "base/mem.h"

/* Notes a number that yyjson read as a double, as the next after *count. Beyond 64 bits it stays as it is. */
void mcp__integers_mark(yyjson_val *real, uint64_t *count);

/* Forgets the notes in value that were made after the first mark ones. */
void mcp__integers_unmark(yyjson_val *value, uint64_t *count, uint64_t mark);

/* Makes integers of those in value that are noted, without their notes. */
void mcp__integers_convert(yyjson_val *value);

#endif
