/* test_printable.c: what of a text a terminal is shown. */
#include "iccm_network.h"
#include "iccm_service.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static void expect_shown(const char *text, size_t len, const char *wanted) {
  char all[256] = "", shown[MCP_PRINTABLE_SIZE];
  for (size_t used; len > 0; text += used, len -= used) {
    used = mcp_printable_next(text, len, shown);
    cr_assert(used >= 1 && used <= len);
    strcat(all, shown);
  }
  cr_expect_str_eq(all, wanted, "%s", all);
}

Test(printable, texts) {
  static const char *const rows[][2] = {
      {"plain ~", "plain ~"},
      {"gr\xc3\xb6\xc3\x9f"
       "e \xe6\xbc\xa2 \xf0\x9f\x99\x82",
       "gr\xc3\xb6\xc3\x9f"
       "e \xe6\xbc\xa2 \xf0\x9f\x99\x82"},
      {"\033[31mred\033]0;title\a", "\\u001b[31mred\\u001b]0;title\\u0007"},
      {"a\nb\tc\rd\x7f", "a\\nb\\tc\\rd\\u007f"},
      {"\xc2\x9b"
       "31m",
       "\\u009b31m"},
      {"\xe2\x80\xaegnp\xe2\x80\xac", "\\u202egnp\\u202c"},
      {"\xe2\x81\xa6x\xe2\x81\xa9", "\\u2066x\\u2069"},
      {"\xe2\x80\x8e\xe2\x80\x8f\xd8\x9c", "\\u200e\\u200f\\u061c"},
      {"\xe2\x80\xa8\xe2\x80\xa9", "\\u2028\\u2029"},
      {"\xff\xc3", "\\xff\\xc3"},
      {"\xc0\xaf\xed\xa0\x80", "\\xc0\\xaf\\xed\\xa0\\x80"},
      {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    expect_shown(rows[i][0], strlen(rows[i][0]), rows[i][1]);
  expect_shown("a\0b", 3, "a\\u0000b");
  expect_shown("\xf0\x9f\x99\x82", 3, "\\xf0\\x9f\\x99"); /* no byte behind the end is looked at */
}

static size_t encode(uint32_t code, char text[4]) {
  size_t len = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  static const unsigned char leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
  for (size_t i = len; i-- > 1; code >>= 6)
    text[i] = (char)(0x80 | (code & 0x3f));
  text[0] = (char)(leads[len] | code);
  return len;
}

/* Each of Unicode stays as it is or becomes ASCII; which ones do is counted. */
Test(printable, every_character) {
  size_t escaped = 0;
  for (uint32_t code = 0; code <= 0x10ffff; code++) {
    char text[4], shown[MCP_PRINTABLE_SIZE];
    size_t len = encode(code, text);
    if (code >= 0xd800 && code <= 0xdfff)
      continue;
    cr_assert_eq(mcp_printable_next(text, len, shown), len, "%x", (unsigned)code);
    if (strlen(shown) == len && memcmp(shown, text, len) == 0)
      continue;
    escaped++;
    for (const char *at = shown; *at != '\0'; at++)
      cr_assert(*at >= 0x20 && *at < 0x7f, "%x", (unsigned)code);
  }
  cr_expect_eq(escaped, 32 + 33 + 3 + 7 + 4, "%zu", escaped);
}
