/* arguments: command-line arguments and the resulting JSON object or error. */
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
    {{"code:=\"5\"", "n:=5", "o:={\"x\":1}"}, "{\"code\":\"5\",\"n\":5,\"o\":{\"x\":1}}"},
    {{"colon:inside=1", ":=2"}, "{\"colon:inside\":1,\":\":2}"},
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
    {{"a=1", "a:=2"}, "\"a\" is given twice"},
    {{"a:=hello"},
     "\"a:=hello\": after := not valid JSON at byte 1: unexpected character, expected a valid root value"},
    {{"a:="}, "\"a:=\": after := not valid JSON at byte 1: input length is 0"},
    {{"a:=\xff"},
     "\"a:=\xff\": after := not valid JSON at byte 1: unexpected character, expected a valid root value"},
    {{"a=1", "-"}, "\"-\" is neither key=value nor a JSON object"},
    {{"{\"a\":1}", "b=1"}, "\"{\"a\":1}\" is neither key=value nor a JSON object"},
    {{"{\"a\":"}, "cannot parse the arguments: not valid JSON at byte 6: unexpected end of data"},
    {{"{} {}"}, "cannot parse the arguments: not valid JSON at byte 4: unexpected content after document"},
    {{"a=\xff"}, "\"a=\xff\" is not UTF-8"},
    {{"\xc3\x28=1"}, "\"\xc3\x28=1\" is not UTF-8"},
};

static int count_words(const char *const *words) {
  int count = 0;
  while (count < MAX_WORDS && words[count] != NULL)
    count++;
  return count;
}

/* The arguments as in main(): not const. */
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

static const char schema[] =
    "{\"properties\":{"
    "\"text\":{\"type\":\"string\"},"
    "\"n\":{\"type\":\"integer\"},\"x\":{\"type\":\"number\"},\"yes\":{\"type\":\"boolean\"},"
    "\"list\":{\"type\":\"array\"},\"object\":{\"type\":\"object\"},"
    "\"maybe\":{\"type\":[\"string\",\"null\"]},\"either\":{\"type\":[\"integer\",\"string\"]},"
    "\"any_of\":{\"anyOf\":[{\"type\":\"string\"},{\"$ref\":\"#/$defs/count\"}]},"
    "\"one_of\":{\"oneOf\":[{\"type\":\"boolean\"},{\"type\":\"string\"}]},"
    "\"all_of\":{\"allOf\":[{\"type\":[\"string\",\"number\"]},{\"type\":[\"string\",\"null\"]}]},"
    "\"ref\":{\"$ref\":\"#/$defs/a~1b\"},\"circle\":{\"$ref\":\"#/properties/circle\"},"
    "\"lost\":{\"$ref\":\"#/$defs/none\"},\"afar\":{\"$ref\":\"https://x.example/#\"},"
    "\"words\":{\"enum\":[\"1\",\"2\"]},\"only\":{\"const\":\"7\"},\"anything\":{},\"true\":true,"
    "\"never\":{\"allOf\":[{\"type\":\"string\"},{\"type\":\"null\"}]},"
    "\"odd\":{\"type\":7,\"anyOf\":{},\"enum\":[],\"$ref\":5}},"
    "\"$defs\":{\"count\":{\"type\":\"integer\"},\"a/b\":{\"type\":\"string\"}}}";

static const struct {
  const char *word, *value;
} fitted[] = {
    {"text=404", "\"404\""},
    {"text=true", "\"true\""},
    {"text=null", "\"null\""},
    {"text=\"quoted\"", "\"\\\"quoted\\\"\""},
    {"text={\"a\": 1}", "\"{\\\"a\\\": 1}\""},
    {"text=1.50", "\"1.50\""},
    {"text=123456789012345678901234567890", "\"123456789012345678901234567890\""},
    {"text= 5", "\" 5\""},
    {"text:=404", "404"},
    {"text:=\"404\"", "\"404\""},
    {"n=5", "5"},
    {"n=007", "\"007\""},
    {"n=\"5\"", "\"5\""},
    {"n=5.5", "5.5"},
    {"x=-2.5", "-2.5"},
    {"yes=true", "true"},
    {"yes=yes", "\"yes\""},
    {"list=[1]", "[1]"},
    {"list=a", "\"a\""},
    {"object={\"a\":1}", "{\"a\":1}"},
    {"maybe=null", "null"},
    {"maybe=5", "\"5\""},
    {"either=5", "5"},
    {"either=5.0", "5.0"},
    {"either=5.5", "\"5.5\""},
    {"either=1e300", "1e300"},
    {"either=123456789012345678901234567890", "123456789012345678901234567890"},
    {"either=-123456789012345678901234567890.5", "-1.2345678901234568e29"},
    {"either=\"5\"", "\"\\\"5\\\"\""},
    {"any_of=5", "5"},
    {"any_of=true", "\"true\""},
    {"one_of=true", "true"},
    {"one_of=5", "\"5\""},
    {"all_of=5", "\"5\""},
    {"ref=5", "\"5\""},
    {"circle=5", "5"},
    {"lost=5", "5"},
    {"afar=5", "5"},
    {"words=1", "\"1\""},
    {"only=7", "\"7\""},
    {"anything=\"5\"", "\"5\""},
    {"true=5", "5"},
    {"never=5", "5"},
    {"odd=5", "5"},
    {"unlisted=5", "5"},
};

static void expect_fitted(const char *const *words, yyjson_val *root, const char *expected) {
  char error[ARGUMENTS_ERROR_SIZE] = "", *copy = strdup(words[0]);
  yyjson_mut_doc *doc = parse(words, NULL, error);
  cr_assert_not_null(doc, "%s: %s", words[0], error);
  arguments_set_types(doc, 1, &copy, root);
  free(copy);
  expect_json(doc, error, expected);
}

Test(arguments, have_the_types_of_the_schema) {
  yyjson_doc *doc = json(schema);
  for (size_t i = 0; i < sizeof fitted / sizeof fitted[0]; i++) {
    const char *words[MAX_WORDS] = {fitted[i].word};
    char expected[256];
    size_t key_len = strcspn(fitted[i].word, ":=");
    snprintf(expected, sizeof expected, "{\"%.*s\":%s}", (int)key_len, fitted[i].word, fitted[i].value);
    expect_fitted(words, yyjson_doc_get_root(doc), expected);
  }
  yyjson_doc_free(doc);
  assert_no_leaks();
}

Test(arguments, have_the_type_of_properties_that_are_not_listed_one_by_one) {
  yyjson_doc *doc = json("{\"additionalProperties\":{\"type\":\"string\"}}");
  expect_fitted((const char *[MAX_WORDS]){"a=5"}, yyjson_doc_get_root(doc), "{\"a\":\"5\"}");
  yyjson_doc_free(doc);
}

Test(arguments, that_came_as_json_stay) {
  yyjson_doc *doc = json(schema);
  expect_fitted((const char *[MAX_WORDS]){"{\"text\":404}"}, yyjson_doc_get_root(doc), "{\"text\":404}");
  yyjson_doc_free(doc);
}

/* Each level doubles the number of schemas. */
Test(arguments, a_schema_without_end_is_not_followed) {
  char text[4096] = "{\"properties\":{\"a\":{\"$ref\":\"#/$defs/0\"}},\"$defs\":{\"x\":{}";
  for (int i = 0; i < 30; i++)
    snprintf(text + strlen(text), sizeof text - strlen(text),
             ",\"%d\":{\"anyOf\":[{\"$ref\":\"#/$defs/%d\"},{\"$ref\":\"#/$defs/%d\"}]}", i, i + 1, i + 1);
  strcat(text, "}}");
  yyjson_doc *doc = json(text);
  expect_fitted((const char *[MAX_WORDS]){"a=5"}, yyjson_doc_get_root(doc), "{\"a\":5}");
  yyjson_doc_free(doc);
}
