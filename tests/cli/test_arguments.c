/* Words of the command line and the JSON object that they mean, or the error. */
#include "cli_test.h"
#include "arguments.h"

enum { MAX_WORDS = 4 };

static const struct {
  const char *words[MAX_WORDS];
  const char *json;
} good[] = {
    {{NULL}, "{}"},
    {{"text=hello"}, "{\"text\":\"hello\"}"},
    {{"a=1", "b=-2.5", "c=true", "d=null"}, "{\"a\":1,\"b\":-2.5,\"c\":true,\"d\":null}"},
    {{"o={\"x\":[1,2]}", "l=[]"}, "{\"o\":{\"x\":[1,2]},\"l\":[]}"},
    {{"forced=\"5\""}, "{\"forced\":\"5\"}"},
    {{"empty="}, "{\"empty\":\"\"}"},
    {{"zip=007"}, "{\"zip\":\"007\"}"},
    {{"t=truely", "half={\"x\":"}, "{\"t\":\"truely\",\"half\":\"{\\\"x\\\":\"}"},
    {{"equation=a=b"}, "{\"equation\":\"a=b\"}"},
    {{"key=two words\nand a line"}, "{\"key\":\"two words\\nand a line\"}"},
    {{"n=123456789012345678901234567890"}, "{\"n\":123456789012345678901234567890}"},
    {{"m=18446744073709551615"}, "{\"m\":18446744073709551615}"},
    {{"schlüssel=größe"}, "{\"schlüssel\":\"größe\"}"},
    {{"nan=nan"}, "{\"nan\":\"nan\"}"},
    {{"{\"a\":{\"b\":1}}"}, "{\"a\":{\"b\":1}}"},
    {{" {}"}, "{}"},
    {{"{\"big\":123456789012345678901234567890}"}, "{\"big\":123456789012345678901234567890}"},
};

static const struct {
  const char *words[MAX_WORDS];
  const char *error;
} bad[] = {
    {{"hello"}, "\"hello\" is neither key=value nor a JSON object"},
    {{"=5"}, "\"=5\" is neither key=value nor a JSON object"},
    {{"a=1", "a=2"}, "\"a\" is given twice"},
    {{"a=1", "-"}, "\"-\" is neither key=value nor a JSON object"},
    {{"{\"a\":1}", "b=1"}, "\"{\"a\":1}\" is neither key=value nor a JSON object"},
    {{"{\"a\":"}, "the arguments cannot be read: not valid JSON at byte 6: unexpected end of data"},
    {{"{} {}"}, "the arguments cannot be read: not valid JSON at byte 4: unexpected content after document"},
    {{"a=\xff"}, "\"a=\xff\" is not UTF-8"},
    {{"\xc3\x28=1"}, "\"\xc3\x28=1\" is not UTF-8"},
};

static int count_words(const char *const *words) {
  int count = 0;
  while (count < MAX_WORDS && words[count] != NULL)
    count++;
  return count;
}

/* The words as main passes them: not const. */
static yyjson_mut_doc *parse(const char *const *words, FILE *input, char *error) {
  char *copies[MAX_WORDS] = {NULL};
  int count = count_words(words);
  for (int i = 0; i < count; i++)
    copies[i] = strdup(words[i]);
  yyjson_mut_doc *doc = arguments_parse(count, copies, input, error);
  for (int i = 0; i < count; i++)
    free(copies[i]);
  return doc;
}

static void expect_json(yyjson_mut_doc *doc, const char *error, const char *expected) {
  cr_assert_not_null(doc, "%s instead of %s", error, expected);
  char *text = yyjson_mut_write(doc, 0, NULL);
  cr_expect_str_eq(text, expected);
  free(text);
  yyjson_mut_doc_free(doc);
}

Test(arguments, good) {
  for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
    char error[ARGUMENTS_ERROR_SIZE] = "";
    expect_json(parse(good[i].words, NULL, error), error, good[i].json);
  }
  assert_no_leaks();
}

Test(arguments, bad) {
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    char error[ARGUMENTS_ERROR_SIZE] = "";
    cr_expect_null(parse(bad[i].words, NULL, error), "%s was taken", bad[i].words[0]);
    cr_expect_str_eq(error, bad[i].error);
  }
  assert_no_leaks();
}

Test(arguments, long_words_are_cut_in_errors) {
  char word[1000], error[ARGUMENTS_ERROR_SIZE];
  memset(word, 'x', sizeof word - 1);
  word[sizeof word - 1] = '\0';
  char *words[] = {word};
  cr_expect_null(arguments_parse(1, words, NULL, error));
  cr_expect_lt(strlen(error), 200);
  assert_no_leaks();
}

static yyjson_mut_doc *parse_input(const char *text, size_t len, char *error) {
  char dash[] = "-", *words[] = {dash};
  FILE *input = tmpfile();
  fwrite(text, 1, len, input);
  rewind(input);
  yyjson_mut_doc *doc = arguments_parse(1, words, input, error);
  fclose(input);
  return doc;
}

Test(arguments, standard_input) {
  char error[ARGUMENTS_ERROR_SIZE] = "";
  expect_json(parse_input("\n{\"a\":1}\n", 9, error), error, "{\"a\":1}");
  cr_expect_null(parse_input("[1]", 3, error));
  cr_expect_str_eq(error, "the arguments are JSON, but not an object {…}");
  cr_expect_null(parse_input("", 0, error));
  cr_expect_null(parse_input("{\"a\":\0}", 7, error));
  assert_no_leaks();
}

Test(arguments, large_standard_input) {
  enum { SIZE = 1000000 };
  char error[ARGUMENTS_ERROR_SIZE] = "", *text = malloc(SIZE);
  memset(text, 'x', SIZE);
  memcpy(text, "{\"a\":\"", 6);
  memcpy(text + SIZE - 2, "\"}", 2);
  yyjson_mut_doc *doc = parse_input(text, SIZE, error);
  cr_assert_not_null(doc);
  cr_expect_eq(yyjson_mut_get_len(yyjson_mut_obj_get(yyjson_mut_doc_get_root(doc), "a")), SIZE - 8);
  yyjson_mut_doc_free(doc);
  free(text);
  assert_no_leaks();
}
