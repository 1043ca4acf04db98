/* ids.c: see ids.h. A number is represented by its sign, its digits without leading and trailing zeros, and
 * the power of ten of its last digit. Two texts are the same number if all three are equal. An exponent
 * beyond 10^17 counts as 10^17. */
#include "mcp/ids.h"

#include <string.h>

typedef struct number {
  bool negative;
  const char *digits,
      /* From the first digit that is not 0 to after the last; a point may be between them. */
      *end;
  int64_t exponent; /* of the last digit; the number 0 has no digits and exponent 0 */
} number_t;

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

static int64_t read_exponent(const char *at, const char *end) { /* after "e" */
  const int64_t most = INT64_C(100000000000000000);
  bool negative = at < end && *at == '-';
  int64_t exponent = 0;
  at += negative || (at < end && *at == '+');
  for (; at < end; at++)
    exponent = exponent < most / 10 ? exponent * 10 + (*at - '0') : most;
  return negative ? -exponent : exponent;
}

static number_t read_number(const char *text, size_t len) {
  const char *at = text, *end = text + len, *point = NULL;
  number_t number = {.negative = len > 0 && *text == '-'};
  at += number.negative;
  for (; at < end && (is_digit(*at) || *at == '.'); at++) {
    if (*at == '.')
      point = at;
    if (*at == '.' || *at == '0')
      continue;
    if (number.digits == NULL)
      number.digits = at;
    number.end = at + 1;
  }
  if (number.digits == NULL)
    return (number_t){0};
  number.exponent = point == NULL         ? at - number.end
                    : number.end <= point ? point - number.end
                                          : point - number.end + 1;
  if (at < end)
    number.exponent += read_exponent(at + 1, end);
  return number;
}

static bool same_digits(const number_t *a, const number_t *b) {
  const char *left = a->digits, *right = b->digits;
  while (left < a->end && right < b->end) {
    left += *left == '.';
    right += *right == '.';
    if (*left++ != *right++)
      return false;
  }
  return left == a->end && right == b->end;
}

static bool is_number(const char *id, size_t len) {
  return len > 0 && (is_digit(*id) || *id == '-');
}

bool mcp__id_same(const char *a, size_t a_len, const char *b, size_t b_len) {
  if (a_len == b_len && memcmp(a, b, a_len) == 0)
    return true;
  if (!is_number(a, a_len) || !is_number(b, b_len))
    return false;
  number_t left = read_number(a, a_len), right = read_number(b, b_len);
  return left.negative == right.negative && left.exponent == right.exponent && same_digits(&left, &right);
}

/* FNV-1a: a peer that makes its ids collide only slows down itself. */
static uint32_t mix(uint32_t hash, const char *at, const char *end) {
  for (; at < end; at++)
    if (*at != '.')
      hash = (hash ^ (unsigned char)*at) * 16777619u;
  return hash;
}

uint32_t mcp__id_hash(const char *id, size_t len) {
  if (!is_number(id, len))
    return mix(2166136261u, id, id + len);
  number_t number = read_number(id, len);
  return mix(2166136261u ^ (uint32_t)number.negative ^ (uint32_t)number.exponent << 1, number.digits,
             number.end);
}

bool mcp__id_number(const char *id, size_t len, uint64_t *number) {
  number_t read = read_number(id, len);
  uint64_t value = 0;
  if (!is_number(id, len) || read.negative || read.exponent < 0 || read.exponent > 19)
    return false;
  for (const char *at = read.digits; at < read.end; at++)
    if (*at != '.' && (__builtin_mul_overflow(value, 10, &value) ||
                       __builtin_add_overflow(value, (uint64_t)(*at - '0'), &value)))
      return false;
  for (; read.exponent > 0; read.exponent--)
    if (__builtin_mul_overflow(value, 10, &value))
      return false;
  *number = value;
  return true;
}
