/* schema_decimal.c: whether one number is a multiple of another, in decimal.
 *
 * Users expect 0.3 to be a multiple of 0.1, which it is not in doubles. A double stands for the shortest
 * decimal that reads as it, which is the number as written if it has at most 15 digits. Nothing is rounded:
 * with D * 10^p for the number and M * 10^q for the divisor, neither D nor M ending in 0, the number is a
 * multiple if q <= p and M divides D * 10^(p-q), which is computed modulo M. (With q > p, 10 would have to
 * divide D.) */
#include "schema/schema_decimal.h"
#include "schema/schema_compare.h"

#include <string.h>

typedef struct digits { /* a number's text, after its sign */
  const char *end;      /* after the last digit that is not 0; NULL: the number is 0 */
  int64_t exponent;     /* of that digit */
} digits_t;

static int64_t read_exponent(const char *at) { /* after "e"; exact values beyond a billion do not matter */
  bool negative = *at == '-';
  int64_t exponent = 0;
  at += *at == '-' || *at == '+';
  for (; *at >= '0' && *at <= '9' && exponent < 1000000000; at++)
    exponent = exponent * 10 + (*at - '0');
  return negative ? -exponent : exponent;
}

static digits_t find_digits(const char *text) {
  digits_t digits = {NULL, 0};
  /* Digits before the point, in total, and up to the last one that is not 0. */
  int64_t whole = 0, count = 0, last = 0;
  bool fraction = false;
  for (; (*text >= '0' && *text <= '9') || *text == '.'; text++) {
    if (*text == '.') {
      fraction = true;
      continue;
    }
    count++;
    whole += !fraction;
    if (*text != '0') {
      digits.end = text + 1;
      last = count;
    }
  }
  digits.exponent = whole - last + (*text == 'e' || *text == 'E' ? read_exponent(text + 1) : 0);
  return digits;
}

bool mcp__decimal_read(yyjson_val *number, mcp__decimal_t *out) {
  char memory[MCP__JSON_SCALAR_BYTES];
  const char *text = mcp__json_scalar_text(number, memory);
  text += *text == '-';
  digits_t digits = find_digits(text);
  *out = (mcp__decimal_t){0, digits.exponent};
  for (; digits.end != NULL && text < digits.end; text++) {
    if (*text == '.')
      continue;
    uint64_t digit = (uint64_t)(*text - '0');
    if (out->digits > (UINT64_MAX - digit) / 10)
      return false;
    out->digits = out->digits * 10 + digit;
  }
  return true;
}

static uint64_t add(uint64_t a, uint64_t b, uint64_t modulus) { /* both are less than modulus */
  return a >= modulus - b ? a - (modulus - b) : a + b;
}

static uint64_t multiply(uint64_t a, uint64_t b, uint64_t modulus) {
  uint64_t product = 0;
  for (; b > 0; b >>= 1) {
    if ((b & 1) != 0)
      product = add(product, a, modulus);
    a = add(a, a, modulus);
  }
  return product;
}

static uint64_t power_of_ten(uint64_t exponent, uint64_t modulus) {
  uint64_t power = 1 % modulus, square = 10 % modulus;
  for (; exponent > 0; exponent >>= 1) {
    if ((exponent & 1) != 0)
      power = multiply(power, square, modulus);
    square = multiply(square, square, modulus);
  }
  return power;
}

bool mcp__decimal_divides(const mcp__decimal_t *divisor, yyjson_val *number) {
  char memory[MCP__JSON_SCALAR_BYTES];
  const char *text = mcp__json_scalar_text(number, memory);
  text += *text == '-';
  digits_t digits = find_digits(text);
  if (digits.end == NULL)
    return true;
  if (digits.exponent < divisor->exponent)
    return false;
  uint64_t rest = 0, modulus = divisor->digits;
  for (; text < digits.end; text++)
    if (*text != '.')
      rest = add(multiply(10 % modulus, rest, modulus), (uint64_t)(*text - '0') % modulus, modulus);
  return multiply(rest, power_of_ten((uint64_t)(digits.exponent - divisor->exponent), modulus), modulus) == 0;
}
