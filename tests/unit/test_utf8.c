/* test_utf8.c: every code point and every pair and triple of bytes against a decoder of the test's own; texts
 * in pieces. */
#include "base/utf8.h"
#include "leaks.h"

#include <stdlib.h>
#include <string.h>

static size_t encode(uint32_t point, uint8_t *to) {
  if (point < 0x80) {
    to[0] = (uint8_t)point;
    return 1;
  }
  size_t more = point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
  static const uint8_t first[] = {0, 0xc0, 0xe0, 0xf0};
  to[0] = (uint8_t)(first[more] | point >> 6 * more);
  for (size_t i = 1; i <= more; i++)
    to[i] = (uint8_t)(0x80 | (point >> 6 * (more - i) & 0x3f));
  return more + 1;
}

/* By decoding: slow and plain. The number of bytes of the first character, or 0. */
static size_t decode(const uint8_t *text, size_t len) {
  static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
  if (text[0] < 0x80)
    return 1;
  size_t more = text[0] >> 5 == 6 ? 1 : text[0] >> 4 == 14 ? 2 : text[0] >> 3 == 30 ? 3 : 0;
  if (more == 0 || more >= len)
    return 0;
  uint32_t point = text[0] & (0x3fu >> more);
  for (size_t i = 1; i <= more; i++) {
    if (text[i] >> 6 != 2)
      return 0;
    point = point << 6 | (text[i] & 0x3f);
  }
  return point < least[more] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff) ? 0 : more + 1;
}

static bool valid(const uint8_t *text, size_t len) {
  size_t at = 0, step = 1;
  while (at < len && step > 0) {
    step = decode(text + at, len - at);
    at += step;
  }
  return step > 0;
}

Test(utf8, every_code_point) {
  uint8_t text[4];
  for (uint32_t point = 0; point <= 0x1fffff; point++) {
    size_t len = encode(point, text);
    bool fine = point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
    cr_assert_eq(mcp__utf8_valid(text, len), fine, "U+%X", point);
    if (len > 1)
      cr_assert_not(mcp__utf8_valid(text, len - 1), "U+%X cut", point);
  }
}

Test(utf8, every_one_two_and_three_bytes) {
  for (uint32_t word = 0; word < 1 << 24; word++) {
    uint8_t text[3] = {(uint8_t)(word >> 16), (uint8_t)(word >> 8), (uint8_t)word};
    if (text[0] < 0x80 && word > 0x7f0000)
      continue;
    if (mcp__utf8_valid(text, 3) != valid(text, 3) || mcp__utf8_valid(text, 2) != valid(text, 2))
      cr_assert_fail("%02x %02x %02x", text[0], text[1], text[2]);
  }
}

Test(utf8, every_four_bytes_at_the_borders) {
  static const uint8_t edges[] = {0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0,
                                  0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef,
                                  0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xf7, 0xf8, 0xfe, 0xff};
  enum { N = sizeof edges };
  for (unsigned i = 0; i < N * N * N * N; i++) {
    uint8_t text[4] = {edges[i % N], edges[i / N % N], edges[i / N / N % N], edges[i / N / N / N]};
    cr_assert_eq(mcp__utf8_valid(text, 4), valid(text, 4), "%02x %02x %02x %02x", text[0], text[1], text[2],
                 text[3]);
  }
}

/* A byte that cannot be, at each place of texts of each length: words and what is left of them. */
Test(utf8, at_each_place) {
  for (size_t len = 1; len < 40; len++)
    for (size_t at = 0; at < len; at++) {
      uint8_t *text = malloc(len);
      memset(text, 'a', len);
      cr_assert(mcp__utf8_valid(text, len));
      text[at] = 0x80;
      cr_assert_not(mcp__utf8_valid(text, len), "%zu of %zu", at, len);
      text[at] = 0xc3;
      cr_assert_not(mcp__utf8_valid(text, len), "%zu of %zu", at, len);
      if (at + 1 < len) {
        text[at + 1] = 0xa4;
        cr_assert(mcp__utf8_valid(text, len), "%zu of %zu", at, len);
      }
      free(text);
    }
  cr_assert(mcp__utf8_valid(NULL, 0));
  expect_no_leak();
}

Test(utf8, pieces) {
  static const struct {
    const char *text;
    size_t valid_for; /* bytes before the one that proves it wrong */
  } rows[] = {
      {"", 0},
      {"plain text that is longer than two words", 40},
      {"a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z", 11},
      {"\xc3\xa4\xc3", 3}, /* not wrong yet: the rest may come */
      {"\xf0\x9f\x98", 3},
      {"ab\x80", 2},
      {"ab\xc1\x81", 2},
      {"ab\xe0\x9f\xbf", 3},
      {"ab\xed\xa0\x80", 3},
      {"ab\xed\x9f\xbf", 5},
      {"ab\xf0\x8f\xbf\xbf", 3},
      {"ab\xf4\x90\x80\x80", 3},
      {"ab\xf4\x8f\xbf\xbf", 6},
      {"ab\xf5\x80\x80\x80", 2},
      {"\xe2\x82 ", 2},
      {"\xf0\x9f\x98\xf0", 3},
      {"12345678\xff", 8},
      {"\xef\xbb\xbfx", 4}, /* a BOM is a character like others */
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    size_t len = strlen(rows[i].text);
    bool fine = rows[i].valid_for == len;
    mcp__utf8_t each = {0};
    size_t at = 0;
    while (at < len && mcp__utf8_feed(&each, rows[i].text + at, 1))
      at++;
    cr_expect_eq(at, rows[i].valid_for, "row %zu: %zu", i, at);
    for (size_t cut = 0; cut <= len; cut++) {
      mcp__utf8_t state = {0};
      bool first = mcp__utf8_feed(&state, rows[i].text, cut);
      cr_expect_eq(first, fine || cut <= rows[i].valid_for, "row %zu cut at %zu", i, cut);
      if (first)
        cr_expect_eq(mcp__utf8_feed(&state, rows[i].text + cut, len - cut), fine, "row %zu cut at %zu", i,
                     cut);
    }
  }
}
