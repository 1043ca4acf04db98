/* schema_compare.c: order and equality of JSON values.
 *
 * Integers of 64 bits and doubles compare exactly, with each other too. Numbers beyond both, which yyjson
 * leaves as text (raw), compare as doubles; two of them are equal when their texts are. */
#include "schema_compare.h"

#include <string.h>

bool mcp__json_is_number(yyjson_val *value) {
  return yyjson_is_num(value) || yyjson_is_raw(value);
}

bool mcp__json_is_whole(yyjson_val *number) {
  if (yyjson_is_raw(number))
    return strpbrk(yyjson_get_raw(number), ".eE") == NULL;
  if (yyjson_is_int(number))
    return true;
  double real = yyjson_get_real(number);
  return real >= 0x1p53 || real <= -0x1p53 || real == (double)(int64_t)real;
}

double mcp__json_as_real(yyjson_val *number) {
  yyjson_val read;
  if (!yyjson_is_raw(number))
    return yyjson_get_num(number);
  yyjson_read_number(yyjson_get_raw(number), &read, YYJSON_READ_ALLOW_INF_AND_NAN, NULL, NULL);
  return yyjson_get_num(&read);
}

static int order_of_integers(yyjson_val *a, yyjson_val *b) {
  bool a_negative = yyjson_is_sint(a) && yyjson_get_sint(a) < 0;
  bool b_negative = yyjson_is_sint(b) && yyjson_get_sint(b) < 0;
  if (a_negative != b_negative)
    return a_negative ? -1 : 1;
  if (a_negative)
    return (yyjson_get_sint(a) > yyjson_get_sint(b)) - (yyjson_get_sint(a) < yyjson_get_sint(b));
  return (yyjson_get_uint(a) > yyjson_get_uint(b)) - (yyjson_get_uint(a) < yyjson_get_uint(b));
}

static int order_of_reals(double a, double b) {
  return (a > b) - (a < b);
}

static int order_of_integer_and_real(yyjson_val *integer, double real) {
  if (real >= 0x1p64)
    return -1;
  if (real < -0x1p63)
    return 1;
  yyjson_val whole = {0};
  if (real < 0)
    unsafe_yyjson_set_sint(&whole, (int64_t)real);
  else
    unsafe_yyjson_set_uint(&whole, (uint64_t)real);
  int order = order_of_integers(integer, &whole);
  return order != 0 ? order : order_of_reals(mcp__json_as_real(&whole), real); /* the fraction decides */
}

int mcp__json_order(yyjson_val *a, yyjson_val *b) {
  if (yyjson_is_int(a) && yyjson_is_int(b))
    return order_of_integers(a, b);
  if (yyjson_is_int(a))
    return order_of_integer_and_real(a, mcp__json_as_real(b));
  if (yyjson_is_int(b))
    return -order_of_integer_and_real(b, mcp__json_as_real(a));
  return order_of_reals(mcp__json_as_real(a), mcp__json_as_real(b));
}

static bool same_text(const char *a, size_t a_len, const char *b, size_t b_len) {
  return a_len == b_len && memcmp(a, b, a_len) == 0;
}

static bool same_elements(yyjson_val *expected, yyjson_val *array) {
  size_t index, max;
  yyjson_val *element, *other = yyjson_arr_get_first(array);
  if (yyjson_arr_size(expected) != yyjson_arr_size(array))
    return false;
  yyjson_arr_foreach(expected, index, max, element) {
    if (!mcp__json_same(element, other))
      return false;
    other = unsafe_yyjson_get_next(other);
  }
  return true;
}

static bool same_members(yyjson_val *expected, yyjson_val *object) {
  size_t index, max;
  yyjson_val *key, *member;
  if (yyjson_obj_size(expected) != yyjson_obj_size(object))
    return false;
  yyjson_obj_foreach(expected, index, max, key, member) {
    yyjson_val *other = yyjson_obj_getn(object, yyjson_get_str(key), yyjson_get_len(key));
    if (other == NULL || !mcp__json_same(member, other))
      return false;
  }
  return true;
}

bool mcp__json_same(yyjson_val *expected, yyjson_val *value) {
  if (yyjson_is_raw(expected) && yyjson_is_raw(value)) /* as doubles, two large integers could be one */
    return same_text(yyjson_get_raw(expected), yyjson_get_len(expected), yyjson_get_raw(value),
                     yyjson_get_len(value));
  if (mcp__json_is_number(expected) && mcp__json_is_number(value))
    return mcp__json_order(expected, value) == 0;
  if (yyjson_get_type(expected) != yyjson_get_type(value))
    return false;
  switch (yyjson_get_type(expected)) {
  case YYJSON_TYPE_STR:
    return same_text(yyjson_get_str(expected), yyjson_get_len(expected), yyjson_get_str(value),
                     yyjson_get_len(value));
  case YYJSON_TYPE_ARR:
    return same_elements(expected, value);
  case YYJSON_TYPE_OBJ:
    return same_members(expected, value);
  default:
    return yyjson_get_bool(expected) == yyjson_get_bool(value); /* false for null */
  }
}
