/* relative_time.c: see relative_time.h. Signs, blanks and fractions are invalid. */
#include "relative_time.h"

#include <ctype.h>
#include <stdlib.h>

enum { MAX_DIGITS = 9 };

static int64_t unit_seconds(char unit) { /* 0: none */
  switch (unit) {
  case 's':
    return 1;
  case 'm':
    return 60;
  case 'h':
    return 3600;
  case 'd':
    return 86400;
  case 'w':
    return 604800;
  default:
    return 0;
  }
}

bool relative_time_parse(const char *text, int64_t *us) {
  const int64_t max_s = 1000 * unit_seconds('w');
  int64_t number = 0;
  int digits = 0;
  for (; digits <= MAX_DIGITS && isdigit((unsigned char)text[digits]); digits++)
    number = number * 10 + (text[digits] - '0');
  if (digits == 0 || digits > MAX_DIGITS)
    return false;
  int64_t seconds = number * unit_seconds(text[digits]);
  if (unit_seconds(text[digits]) == 0 || text[digits + 1] != '\0' || seconds > max_s)
    return false;
  *us = seconds * 1000000;
  return true;
}
