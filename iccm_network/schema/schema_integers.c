/* schema_integers.c: see schema_integers.h. yyjson stores the type and subtype of a number in the lowest 8
 * bits of its tag and does not use the other bits; marks are stored there. */
#include "schema/schema_integers.h"

static uint64_t mark_of(const yyjson_val *value) {
  return (value->tag & YYJSON_TAG_MASK) == (YYJSON_TYPE_NUM | YYJSON_SUBTYPE_REAL)
             ? value->tag >> YYJSON_TAG_BIT
             : 0;
}

void mcp__integers_mark(yyjson_val *real, uint64_t *count) {
  double number = unsafe_yyjson_get_real(real);
  if (mark_of(real) == 0 && number >= -0x1p63 && number < 0x1p64)
    real->tag |= ++*count << YYJSON_TAG_BIT;
}

void mcp__integers_unmark(yyjson_val *value, uint64_t *count, uint64_t mark) {
  if (*count == mark)
    return;
  for (const yyjson_val *end = unsafe_yyjson_get_next(value); value < end; value++)
    if (mark_of(value) > mark)
      value->tag &= YYJSON_TAG_MASK;
  *count = mark;
}

static void convert(yyjson_val *value) {
  double number = unsafe_yyjson_get_real(value);
  if (number < 0)
    unsafe_yyjson_set_sint(value, (int64_t)number);
  else
    unsafe_yyjson_set_uint(value, (uint64_t)number);
}

void mcp__integers_convert(yyjson_val *value) {
  for (const yyjson_val *end = unsafe_yyjson_get_next(value); value < end; value++)
    if (mark_of(value) > 0)
      convert(value);
}
