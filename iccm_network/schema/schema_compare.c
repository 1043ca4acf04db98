/* schema_compare.c: order, equality and hashes of JSON values.
 *
 * Integers of 64 bits and doubles are compared exactly, also with each other. Numbers beyond both, which
 * yyjson keeps as text (raw), are ordered as doubles; two of them are equal if their texts are. Equality and
 * hashes count their steps, and end early without a result if these run out. */
#include "schema/schema_compare.h"

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

const char *mcp__json_scalar_text(yyjson_val *scalar, char memory[MCP__JSON_SCALAR_BYTES]) {
  yyjson_alc alc;
  if (yyjson_is_raw(scalar))
    return yyjson_get_raw(scalar);
  yyjson_alc_pool_init(&alc, memory, MCP__JSON_SCALAR_BYTES);
  const char *text = yyjson_val_write_opts(scalar, YYJSON_WRITE_ALLOW_INF_AND_NAN, &alc, NULL, NULL);
  return text != NULL ? text : "?"; /* UNTESTED NULL: yyjson needs less than 100 bytes for these */
}

/* ---- Equality and hashes ---- */

enum { LEVELS = 128, BYTES_PER_STEP = 16 };

static bool spend(uint64_t *steps, uint64_t count) {
  *steps -= count < *steps ? count : *steps;
  return *steps > 0;
}

static bool same(yyjson_val *a, yyjson_val *b, unsigned levels, uint64_t *steps);

static bool same_text(yyjson_val *a, yyjson_val *b, uint64_t *steps) { /* also for raw numbers */
  size_t len = unsafe_yyjson_get_len(a);
  return len == unsafe_yyjson_get_len(b) && spend(steps, len / BYTES_PER_STEP) &&
         memcmp(unsafe_yyjson_get_str(a), unsafe_yyjson_get_str(b), len) == 0;
}

static bool same_elements(yyjson_val *a, yyjson_val *b, unsigned levels, uint64_t *steps) {
  size_t index, max;
  yyjson_val *element, *other = yyjson_arr_get_first(b);
  if (yyjson_arr_size(a) != yyjson_arr_size(b))
    return false;
  yyjson_arr_foreach(a, index, max, element) {
    if (!same(element, other, levels, steps))
      return false;
    other = unsafe_yyjson_get_next(other);
  }
  return true;
}

/* Continues the search after the last member found: immediate if both objects have the same order. */
static yyjson_val *find_member(yyjson_obj_iter *members, yyjson_val *key, uint64_t *steps) {
  size_t before = members->idx, size = members->max;
  yyjson_val *found = yyjson_obj_iter_getn(members, yyjson_get_str(key), yyjson_get_len(key));
  size_t passed = found == NULL ? size : (members->idx + size - before) % size;
  return spend(steps, passed / BYTES_PER_STEP) ? found : NULL;
}

static bool same_members(yyjson_val *a, yyjson_val *b, unsigned levels, uint64_t *steps) {
  size_t index, max;
  yyjson_val *key, *member;
  if (yyjson_obj_size(a) != yyjson_obj_size(b))
    return false;
  yyjson_obj_iter members = yyjson_obj_iter_with(b);
  yyjson_obj_foreach(a, index, max, key, member) {
    yyjson_val *other = find_member(&members, key, steps);
    if (other == NULL || !same(member, other, levels, steps))
      return false;
  }
  return true;
}

static bool same(yyjson_val *a, yyjson_val *b, unsigned levels, uint64_t *steps) {
  if (!spend(steps, levels > 0 ? 1 : UINT64_MAX))
    return false;
  if (yyjson_is_raw(a) && yyjson_is_raw(b)) /* as doubles, two different large integers could be equal */
    return same_text(a, b, steps);
  if (mcp__json_is_number(a) && mcp__json_is_number(b))
    return mcp__json_order(a, b) == 0;
  if (yyjson_get_type(a) != yyjson_get_type(b))
    return false;
  switch (yyjson_get_type(a)) {
  case YYJSON_TYPE_STR:
    return same_text(a, b, steps);
  case YYJSON_TYPE_ARR:
    return same_elements(a, b, levels - 1, steps);
  case YYJSON_TYPE_OBJ:
    return same_members(a, b, levels - 1, steps);
  default:
    return yyjson_get_bool(a) == yyjson_get_bool(b); /* false for null */
  }
}

bool mcp__json_same(yyjson_val *a, yyjson_val *b, uint64_t *steps) {
  return same(a, b, LEVELS, steps);
}

/* Small numbers, as doubles, differ in their upper bits only. */
static uint64_t mix(uint64_t hash, uint64_t word) {
  hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
  hash = (hash ^ hash >> 32) * UINT64_C(0xd6e8feb86659fd93);
  return hash ^ hash >> 32;
}

static uint64_t hash_bytes(uint64_t hash, const char *bytes, size_t len, uint64_t *steps) {
  uint64_t word;
  spend(steps, len / BYTES_PER_STEP);
  hash = mix(hash, len);
  for (; len >= sizeof word; bytes += sizeof word, len -= sizeof word) {
    memcpy(&word, bytes, sizeof word);
    hash = mix(hash, word);
  }
  word = 0;
  memcpy(&word, bytes, len);
  return mix(hash, word);
}

static uint64_t hash_number(double real) {
  uint64_t word;
  real = real == 0 ? 0 : real; /* -0 equals 0 */
  memcpy(&word, &real, sizeof word);
  return mix(YYJSON_TYPE_NUM, word);
}

static uint64_t hash(yyjson_val *value, unsigned levels, uint64_t *steps) {
  size_t index, max;
  yyjson_val *key, *item;
  uint64_t sum = yyjson_get_type(value);
  if (!spend(steps, levels > 0 ? 1 : UINT64_MAX))
    return 0;
  if (mcp__json_is_number(value))
    return hash_number(mcp__json_as_real(value));
  switch (yyjson_get_type(value)) {
  case YYJSON_TYPE_STR:
    return hash_bytes(sum, yyjson_get_str(value), yyjson_get_len(value), steps);
  case YYJSON_TYPE_ARR:
    yyjson_arr_foreach(value, index, max, item) {
      sum = mix(sum, hash(item, levels - 1, steps));
    }
    return sum;
  case YYJSON_TYPE_OBJ: /* a sum is independent of the order */
    yyjson_obj_foreach(value, index, max, key, item) {
      uint64_t name = hash_bytes(0, yyjson_get_str(key), yyjson_get_len(key), steps);
      sum += mix(name, hash(item, levels - 1, steps));
    }
    return sum;
  default:
    return mix(sum, yyjson_get_bool(value));
  }
}

uint64_t mcp__json_hash(yyjson_val *value, uint64_t *steps) {
  return hash(value, LEVELS, steps);
}
