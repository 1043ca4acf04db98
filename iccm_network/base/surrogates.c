/* surrogates.c: see surrogates.h. Text without a backslash is scanned once. Outside of strings, where a
 * backslash is an error anyway, the result does not matter. */
#include "base/surrogates.h"

#include <string.h>

enum { ESCAPE_BYTES = 6 /* bytes of \uXXXX */ };

/* The code unit of \uXXXX; -1: not an escape. */
static int unit_at(const char *text, size_t len) {
  int unit = 0;
  if (len < ESCAPE_BYTES || text[0] != '\\' || text[1] != 'u')
    return -1;
  for (int i = 2; i < ESCAPE_BYTES; i++) {
    char c = text[i], letter = (char)(c | 0x20);
    int digit = c >= '0' && c <= '9' ? c - '0' : letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
    if (digit < 0)
      return -1;
    unit = unit * 16 + digit;
  }
  return unit;
}

static bool is_high(int unit) {
  return unit >= 0xd800 && unit < 0xdc00;
}

static bool is_low(int unit) {
  return unit >= 0xdc00 && unit < 0xe000;
}

/* Replaces the escape at text if it is a lone surrogate. Returns the length of the escape, or of the pair. */
static size_t replace_if_lone(char *text, size_t len, bool replace_nul) {
  int unit = unit_at(text, len);
  if (unit < 0)
    return 2; /* a backslash and the escaped character */
  if (is_high(unit) && is_low(unit_at(text + ESCAPE_BYTES, len - ESCAPE_BYTES)))
    return (size_t)2 * ESCAPE_BYTES;
  if (is_high(unit) || is_low(unit) || (unit == 0 && replace_nul))
    memcpy(text, "\\ufffd", ESCAPE_BYTES);
  return ESCAPE_BYTES;
}

void mcp__replace_lone_surrogates(char *text, size_t len, bool replace_nul) {
  char *end = text + len;
  while (text < end && (text = memchr(text, '\\', (size_t)(end - text))) != NULL)
    text += replace_if_lone(text, (size_t)(end - text), replace_nul);
}
