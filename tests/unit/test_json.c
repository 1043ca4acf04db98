/* test_json.c: the reader of JSON text: its limits, from both sides, and its words. */
#include "base/json.h"
#include "leaks.h"

#include <criterion/criterion.h>
#include <iccm_service.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

TestSuite(json, .fini = expect_no_leak);

static char *repeated(const char *begin, const char *each, size_t count, const char *end) {
  size_t len = strlen(each);
  char *text = malloc(strlen(begin) + len * count + strlen(end) + 1), *at = text + sprintf(text, "%s", begin);
  for (size_t i = 0; i < count; i++, at += len)
    memcpy(at, each, len);
  strcpy(at, end);
  return text;
}

/* NULL: it was read. */
static const char *problem_of(const char *text) {
  yyjson_doc *doc = mcp_json_read(text, strlen(text));
  const char *problem = doc == NULL ? mcp_last_error() : NULL;
  yyjson_doc_free(doc);
  return problem;
}

Test(json, depth) {
  for (size_t depth = 64; depth <= 65; depth++) {
    char *arrays = repeated("", "[", depth, "");
    char *text = repeated(arrays, "]", depth, "");
    char *objects = repeated("", "{\"a\":", depth - 1, "{");
    char *members = repeated(objects, "}", depth, "");
    cr_expect_eq(problem_of(text) == NULL, depth == 64, "%zu", depth);
    cr_expect_eq(problem_of(members) == NULL, depth == 64, "%zu", depth);
    if (depth == 65)
      cr_expect_str_eq(problem_of(text), "nested deeper than 64 levels");
    free(arrays);
    free(text);
    free(objects);
    free(members);
  }
  char *open = repeated("", "[", 300000, "");
  char *text = repeated(open, "]", 300000, "");
  cr_expect_str_eq(problem_of(text), "nested deeper than 64 levels");
  free(open);
  free(text);
}

Test(json, values) {
  char *most = repeated("[0", ",0", 12500 * 1000 - 2, "]"),
       *more = repeated("[0", ",0", 12500 * 1000 - 1, "]");
  cr_expect_null(problem_of(most));
  cr_expect_str_eq(problem_of(more), "more than 12,500,000 values");
  free(most);
  free(more);
}

Test(json, numbers_keep_their_digits_where_no_double_holds_them) {
  static const char text[] = "[1,-2,3.5,18446744073709551616,-1e400,1e999]";
  yyjson_doc *doc = mcp_json_read(text, strlen(text));
  yyjson_val *root = yyjson_doc_get_root(doc);
  for (size_t i = 0; i < 6; i++)
    cr_expect_eq(yyjson_is_raw(yyjson_arr_get(root, i)), i >= 3);
  char *written = yyjson_write(doc, 0, NULL);
  cr_expect_str_eq(written, text);
  free(written);
  yyjson_doc_free(doc);
}

Test(json, a_number_may_have_1100_digits_where_it_is_compared) {
  for (size_t digits = 1100; digits <= 1101; digits++) {
    char *text = repeated("{\"a\":[1,", "7", digits, "],\"b\":\"x\"}");
    yyjson_doc *doc = mcp_json_read(text, strlen(text));
    cr_expect_eq(mcp__json_long_number(yyjson_doc_get_root(doc)), digits > 1100 ? digits : 0);
    cr_expect_eq(mcp__json_long_number(yyjson_obj_get(yyjson_doc_get_root(doc), "b")), 0);
    yyjson_doc_free(doc);
    free(text);
  }
}

static void expect_text(const char *text, const char *words) {
  yyjson_doc *doc = mcp_json_read(text, strlen(text));
  char *written = yyjson_write(doc, 0, NULL);
  cr_expect_str_eq(written != NULL ? written : mcp_last_error(), words, "%s", text);
  free(written);
  yyjson_doc_free(doc);
}

Test(json, halves_of_surrogate_pairs_become_one_character) {
  expect_text("[\"a\\ud83d\",\"\\udE00\\ud83d\\ude00\",{\"\\ud800\":1e999}]",
              "[\"a\xef\xbf\xbd\",\"\xef\xbf\xbd\xf0\x9f\x98\x80\",{\"\xef\xbf\xbd\":1e999}]");
  expect_text("[\"\\ud83d\",NaN]",
              "not valid JSON at byte 11: unexpected character, expected a valid JSON value");
  expect_text("[\"\\ud8\"]", "not valid JSON at byte 3: invalid escaped sequence in string");
}

Test(json, a_byte_order_mark_in_front_is_passed_over) {
  expect_text("\xef\xbb\xbf{\"a\":1}", "{\"a\":1}");
  expect_text("\xef\xbb\xbf[\"\\ud83d\"]", "[\"\xef\xbf\xbd\"]");
  expect_text("\xef\xbb\xbf[NaN]",
              "not valid JSON at byte 5: unexpected character, expected a valid JSON value");
  cr_expect_not_null(problem_of("\xef\xbb\xbf\xef\xbb\xbf{}"));
  cr_expect_not_null(problem_of(" \xef\xbb\xbf{}"));
  cr_expect_not_null(problem_of("\xef\xbb\xbf"));
  cr_expect_eq(mcp_bom_length("\xef\xbb\xbf", 3), 3);
  cr_expect_eq(mcp_bom_length("\xef\xbb\xbf", 2), 0);
  cr_expect_eq(mcp_bom_length(NULL, 0), 0);
}

Test(json, what_is_wrong) {
  cr_expect_str_eq(problem_of("{\"a\":NaN}"),
                   "not valid JSON at byte 6: unexpected character, expected a valid JSON value");
  cr_expect_str_eq(problem_of(""), "not valid JSON at byte 1: input length is 0");
  cr_expect_null(mcp_json_read(NULL, 0));
}
