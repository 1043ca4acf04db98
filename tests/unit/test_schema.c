/* test_schema.c: tables of schemas, values and exact errors, here and in data/schema.jsonl; limits, out of
 * memory, random input. */
#include "schema/schema.h"
#include "leaks.h"
#include "out_of_memory.h"
#include "schema/schema_uri.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static yyjson_doc *read_json(const char *json) {
  yyjson_doc *doc = yyjson_read(json, strlen(json), YYJSON_READ_BIGNUM_AS_RAW);
  cr_assert_not_null(doc, "not JSON: %s", json);
  return doc;
}

/* The status of mcp__schema_new(); the document is freed before the schema is used. */
static int compile(const char *json, mcp__schema_t **out, char *problem, size_t size) {
  yyjson_doc *doc = read_json(json);
  int status = mcp__schema_new(yyjson_doc_get_root(doc), out, problem, size);
  yyjson_doc_free(doc);
  return status;
}

typedef struct row {
  const char *schema, *value;
  const char *problem; /* NULL: fine */
} row_t;

static void check_row(const row_t *row) {
  char problem[1024] = "";
  mcp__schema_t *schema = NULL;
  cr_assert_eq(compile(row->schema, &schema, problem, sizeof problem), 0, "%s: %s", row->schema, problem);
  yyjson_doc *doc = read_json(row->value);
  bool fine = mcp__schema_check(schema, yyjson_doc_get_root(doc), problem, sizeof problem);
  cr_expect_eq(fine, row->problem == NULL, "%s against %s: %s", row->value, row->schema, problem);
  cr_expect_str_eq(problem, row->problem != NULL ? row->problem : "",
                   "%s against %s:\n  expected %s\n  got      %s", row->value, row->schema,
                   row->problem != NULL ? row->problem : "nothing", problem);
  yyjson_doc_free(doc);
  mcp__schema_free(schema);
}

static void check_rows(const row_t *rows, size_t count) {
  for (size_t i = 0; i < count; i++)
    check_row(&rows[i]);
  expect_no_leak();
}

#define CHECK_ROWS(rows) check_rows(rows, sizeof(rows) / sizeof(rows)[0])

Test(schema, types) {
  static const row_t rows[] = {
      {"{}", "null", NULL},
      {"{}", "[1, {\"a\": 2}]", NULL},
      {"true", "1", NULL},
      {"false", "1", "/: not allowed"},
      {"{\"title\": \"x\", \"description\": 5, \"$comment\": []}", "1", NULL},
      {"{\"type\": \"string\"}", "\"a\"", NULL},
      {"{\"type\": \"string\"}", "\"\"", NULL},
      {"{\"type\": \"string\"}", "1", "/: 1 is not a string"},
      {"{\"type\": \"string\"}", "null", "/: null is not a string"},
      {"{\"type\": \"string\"}", "true", "/: true is not a string"},
      {"{\"type\": \"string\"}", "[]", "/: [] is not a string"},
      {"{\"type\": \"string\"}", "{}", "/: {} is not a string"},
      {"{\"type\": \"string\"}", "123456789012345678901234567890",
       "/: 123456789012345678901234567890 is not a string"},
      {"{\"type\": \"integer\"}", "0", NULL},
      {"{\"type\": \"integer\"}", "-0", NULL},
      {"{\"type\": \"integer\"}", "-7", NULL},
      {"{\"type\": \"integer\"}", "1.0", NULL},
      {"{\"type\": \"integer\"}", "-1.0", NULL},
      {"{\"type\": \"integer\"}", "1e3", NULL},
      {"{\"type\": \"integer\"}", "1e300", NULL},
      {"{\"type\": \"integer\"}", "-1e300", NULL},
      {"{\"type\": \"integer\"}", "18446744073709551615", NULL},
      {"{\"type\": \"integer\"}", "-9223372036854775808", NULL},
      {"{\"type\": \"integer\"}", "123456789012345678901234567890", NULL},
      {"{\"type\": \"integer\"}", "-123456789012345678901234567890", NULL},
      {"{\"type\": \"integer\"}", "1e400", "/: 1e400 is not an integer"},
      {"{\"type\": \"integer\"}", "1.5", "/: 1.5 is not an integer"},
      {"{\"type\": \"integer\"}", "-0.25", "/: -0.25 is not an integer"},
      {"{\"type\": \"integer\"}", "\"1\"", "/: \"1\" is not an integer"},
      {"{\"type\": \"integer\"}", "true", "/: true is not an integer"},
      {"{\"type\": \"number\"}", "1", NULL},
      {"{\"type\": \"number\"}", "1.5", NULL},
      {"{\"type\": \"number\"}", "1e400", NULL},
      {"{\"type\": \"number\"}", "123456789012345678901234567890", NULL},
      {"{\"type\": \"number\"}", "\"1.5\"", "/: \"1.5\" is not a number"},
      {"{\"type\": \"number\"}", "false", "/: false is not a number"},
      {"{\"type\": \"boolean\"}", "true", NULL},
      {"{\"type\": \"boolean\"}", "false", NULL},
      {"{\"type\": \"boolean\"}", "0", "/: 0 is not a boolean"},
      {"{\"type\": \"boolean\"}", "\"true\"", "/: \"true\" is not a boolean"},
      {"{\"type\": \"boolean\"}", "null", "/: null is not a boolean"},
      {"{\"type\": \"object\"}", "{}", NULL},
      {"{\"type\": \"object\"}", "{\"a\": null}", NULL},
      {"{\"type\": \"object\"}", "[]", "/: [] is not an object"},
      {"{\"type\": \"object\"}", "\"{}\"", "/: \"{}\" is not an object"},
      {"{\"type\": \"object\"}", "[1, \"a\", {\"b\": null, \"c\": 2.5}]",
       "/: [1, \"a\", {\"b\": null, \"c\": 2.5}] is not an object"},
      {"{\"type\": \"array\"}", "[]", NULL},
      {"{\"type\": \"array\"}", "[null]", NULL},
      {"{\"type\": \"array\"}", "{\"0\": 1}", "/: {\"0\": 1} is not an array"},
      {"{\"type\": \"null\"}", "null", NULL},
      {"{\"type\": \"null\"}", "0", "/: 0 is not null"},
      {"{\"type\": \"null\"}", "false", "/: false is not null"},
      {"{\"type\": [\"string\"]}", "\"a\"", NULL},
      {"{\"type\": [\"string\", \"null\"]}", "null", NULL},
      {"{\"type\": [\"string\", \"null\"]}", "\"a\"", NULL},
      {"{\"type\": [\"string\", \"null\"]}", "5", "/: 5 is not a string or null"},
      {"{\"type\": [\"null\", \"array\", \"integer\"]}", "2.0", NULL},
      {"{\"type\": [\"null\", \"array\", \"integer\"]}", "2.5", "/: 2.5 is not an integer, an array or null"},
  };
  CHECK_ROWS(rows);
}

/* Errors are logged: they show no value of a secret's name, at any depth. */
Test(schema, secrets_are_not_shown) {
  static const row_t rows[] = {
      {"{\"properties\": {\"password\": {\"pattern\": \"^[a-z]+$\"}}}", "{\"password\": \"Hunter2\"}",
       "/password: [REDACTED] does not match the pattern \"^[a-z]+$\""},
      {"{\"properties\": {\"dbToken\": {\"type\": \"string\"}}}", "{\"dbToken\": 123456789}",
       "/dbToken: [REDACTED] is not a string"},
      {"{\"properties\": {\"token\": {\"enum\": [\"a\", \"b\"]}}}", "{\"token\": \"Hunter2\"}",
       "/token: [REDACTED] is not one of \"a\", \"b\""},
      {"{\"properties\": {\"secret\": {\"items\": {\"type\": \"string\"}}}}", "{\"secret\": [\"x\", 4711]}",
       "/secret/1: [REDACTED] is not a string"},
      {"{\"properties\": {\"secret\": {\"properties\": {\"a\": {\"maximum\": 1}}}}}",
       "{\"secret\": {\"a\": 4711}}", "/secret/a: [REDACTED] is greater than the maximum 1"},
      {"{\"properties\": {\"user\": {\"type\": \"string\"}}}",
       "{\"user\": {\"name\": \"n\", \"api-key\": \"Hunter2\", \"more\": [{\"Authorization\": 1}]}}",
       "/user: {\"name\": \"n\", \"api-key\": [REDACTED], \"more\": [{\"Authorization\": … is not a string"},
      {"{\"anyOf\": [{\"type\": \"array\"}, {\"type\": \"string\"}]}", "{\"token\": \"Hunter2\"}",
       "/: {\"token\": [REDACTED]} fits none of the 2 allowed forms: is not an array; is not a string"},
      {"{\"properties\": {\"tokens\": {\"type\": \"string\"}}}", "{\"tokens\": 4711}",
       "/tokens: 4711 is not a string"},
      {"{\"propertyNames\": {\"enum\": [\"a\"]}}", "{\"token\": 1}",
       "/token: its name: \"token\" is not one of \"a\""},
      {"{\"propertyNames\": {\"maxLength\": 3}}", "{\"token\": 1}",
       "/token: its name: 5 characters are more than the maximum 3"},
  };
  CHECK_ROWS(rows);
  char problem[256];
  mcp__schema_t *schema = NULL; /* values in the schema itself are no secrets */
  cr_assert_eq(
      compile("{\"properties\": {\"token\": {\"type\": \"strin\"}}}", &schema, problem, sizeof problem),
      -EINVAL);
  cr_expect_not_null(strstr(problem, "\"strin\""), "%s", problem);
}

Test(schema, choices) {
  static const row_t rows[] = {
      {"{\"enum\": [\"ERROR\", \"WARN\"]}", "\"WARN\"", NULL},
      {"{\"enum\": [\"ERROR\", \"WARN\"]}", "\"LOUD\"", "/: \"LOUD\" is not one of \"ERROR\", \"WARN\""},
      {"{\"enum\": [\"ERROR\", \"WARN\"]}", "\"WAR\"", "/: \"WAR\" is not one of \"ERROR\", \"WARN\""},
      {"{\"enum\": [\"ERROR\", \"WARN\"]}", "\"WARNS\"", "/: \"WARNS\" is not one of \"ERROR\", \"WARN\""},
      {"{\"enum\": [\"ERROR\", \"WARN\"]}", "\"warn\"", "/: \"warn\" is not one of \"ERROR\", \"WARN\""},
      {"{\"enum\": [\"a\"]}", "null", "/: null is not one of \"a\""},
      {"{\"enum\": [\"\"]}", "\"\"", NULL},
      {"{\"enum\": [1]}", "1", NULL},
      {"{\"enum\": [1]}", "1.0", NULL},
      {"{\"enum\": [1.0]}", "1", NULL},
      {"{\"enum\": [1]}", "1e0", NULL},
      {"{\"enum\": [1]}", "true", "/: true is not one of 1"},
      {"{\"enum\": [true]}", "1", "/: 1 is not one of true"},
      {"{\"enum\": [0]}", "-0", NULL},
      {"{\"enum\": [0]}", "-0.0", NULL},
      {"{\"enum\": [0]}", "false", "/: false is not one of 0"},
      {"{\"enum\": [0]}", "null", "/: null is not one of 0"},
      {"{\"enum\": [1]}", "\"1\"", "/: \"1\" is not one of 1"},
      {"{\"enum\": [-1]}", "-1.0", NULL},
      {"{\"enum\": [-1]}", "18446744073709551615", "/: 18446744073709551615 is not one of -1"},
      {"{\"enum\": [9007199254740992.0]}", "9007199254740993",
       "/: 9007199254740993 is not one of 9007199254740992.0"},
      {"{\"enum\": [123456789012345678901234567890]}", "123456789012345678901234567890", NULL},
      {"{\"enum\": [123456789012345678901234567890]}", "123456789012345678901234567891",
       "/: 123456789012345678901234567891 is not one of 123456789012345678901234567890"},
      {"{\"enum\": [1e20]}", "100000000000000000000", NULL},
      {"{\"enum\": [true, false]}", "false", NULL},
      {"{\"enum\": [false]}", "true", "/: true is not one of false"},
      {"{\"enum\": [null]}", "null", NULL},
      {"{\"enum\": [null]}", "false", "/: false is not one of null"},
      {"{\"enum\": [[1, [2, {\"a\": 3}]]]}", "[1.0, [2, {\"a\": 3.0}]]", NULL},
      {"{\"enum\": [[1, 2]]}", "[2, 1]", "/: [2, 1] is not one of [1, 2]"},
      {"{\"enum\": [[1, 2]]}", "[1]", "/: [1] is not one of [1, 2]"},
      {"{\"enum\": [[1, 2]]}", "[1, 2, 3]", "/: [1, 2, 3] is not one of [1, 2]"},
      {"{\"enum\": [[]]}", "[]", NULL},
      {"{\"enum\": [[]]}", "{}", "/: {} is not one of []"},
      {"{\"enum\": [{\"a\": 1, \"b\": [null]}]}", "{\"b\": [null], \"a\": 1}", NULL},
      {"{\"enum\": [{\"a\": 1, \"b\": 2}]}", "{\"a\": 1, \"b\": 3}",
       "/: {\"a\": 1, \"b\": 3} is not one of {\"a\": 1, \"b\": 2}"},
      {"{\"enum\": [{\"a\": 1, \"b\": 2}]}", "{\"a\": 1}",
       "/: {\"a\": 1} is not one of {\"a\": 1, \"b\": 2}"},
      {"{\"enum\": [{\"a\": 1, \"b\": 2}]}", "{\"a\": 1, \"a\": 1}",
       "/: {\"a\": 1, \"a\": 1} is not one of {\"a\": 1, \"b\": 2}"},
      {"{\"type\": \"string\", \"enum\": [\"a\"]}", "1", "/: 1 is not a string"},
  };
  CHECK_ROWS(rows);
}

Test(schema, bounds) {
  static const row_t rows[] = {
      {"{\"minimum\": 1}", "1", NULL},
      {"{\"minimum\": 1}", "0", "/: 0 is less than the minimum 1"},
      {"{\"minimum\": 1}", "0.999", "/: 0.999 is less than the minimum 1"},
      {"{\"minimum\": 1}", "1.0", NULL},
      {"{\"minimum\": 1}", "-5", "/: -5 is less than the minimum 1"},
      {"{\"minimum\": 1}", "\"0\"", NULL},
      {"{\"minimum\": 1}", "null", NULL},
      {"{\"minimum\": 1.5}", "1", "/: 1 is less than the minimum 1.5"},
      {"{\"minimum\": 1.5}", "2", NULL},
      {"{\"minimum\": -1.5}", "-1", NULL},
      {"{\"minimum\": -1.5}", "-2", "/: -2 is less than the minimum -1.5"},
      {"{\"minimum\": -1.5}", "-1.5", NULL},
      {"{\"minimum\": -10}", "-10", NULL},
      {"{\"minimum\": -10}", "-11", "/: -11 is less than the minimum -10"},
      {"{\"minimum\": 0}", "-0", NULL},
      {"{\"minimum\": 0}", "-0.5", "/: -0.5 is less than the minimum 0"},
      {"{\"minimum\": 0}", "-1e400", "/: -1e400 is less than the minimum 0"},
      {"{\"minimum\": 18446744073709551615}", "18446744073709551614",
       "/: 18446744073709551614 is less than the minimum 18446744073709551615"},
      {"{\"minimum\": 18446744073709551615}", "18446744073709551615", NULL},
      {"{\"minimum\": 18446744073709551615}", "18446744073709551616", NULL},
      {"{\"minimum\": 18446744073709551615}", "-1", "/: -1 is less than the minimum 18446744073709551615"},
      {"{\"minimum\": 9007199254740993}", "9007199254740992.0",
       "/: 9007199254740992.0 is less than the minimum 9007199254740993"},
      {"{\"minimum\": -9223372036854775808}", "-9223372036854775809",
       NULL}, /* numbers beyond 64 bits compare as doubles: these are equal */
      {"{\"minimum\": -9223372036854775808}", "-9223372036854780000",
       "/: -9223372036854780000 is less than the minimum -9223372036854775808"},
      {"{\"maximum\": 1000}", "1000", NULL},
      {"{\"maximum\": 1000}", "5000", "/: 5000 is greater than the maximum 1000"},
      {"{\"maximum\": 1000}", "1000.5", "/: 1000.5 is greater than the maximum 1000"},
      {"{\"maximum\": 1000}", "1e3", NULL},
      {"{\"maximum\": 1000}", "1e400", "/: 1e400 is greater than the maximum 1000"},
      {"{\"maximum\": 1000}", "99999999999999999999",
       "/: 99999999999999999999 is greater than the maximum 1000"},
      {"{\"maximum\": 1000}", "-99999999999999999999", NULL},
      {"{\"maximum\": 1000}", "[2000]", NULL},
      {"{\"maximum\": 0.5}", "1", "/: 1 is greater than the maximum 0.5"},
      {"{\"maximum\": 0.5}", "0.5", NULL},
      {"{\"maximum\": 1e30}", "18446744073709551615", NULL},
      {"{\"maximum\": -1e30}", "-9223372036854775808",
       "/: -9223372036854775808 is greater than the maximum -1e30"},
      {"{\"maximum\": 1e400}", "1e308", NULL},
      {"{\"maximum\": 100000000000000000000}", "100000000000000000001", NULL},
      {"{\"maximum\": 100000000000000000000}", "200000000000000000000",
       "/: 200000000000000000000 is greater than the maximum 100000000000000000000"},
      {"{\"minimum\": 1, \"maximum\": 3}", "2", NULL},
      {"{\"minimum\": 1, \"maximum\": 3}", "4", "/: 4 is greater than the maximum 3"},
      {"{\"minimum\": 3, \"maximum\": 1}", "2", "/: 2 is less than the minimum 3"},
  };
  CHECK_ROWS(rows);
}

/* Characters, whose number is clear from the number of bytes only in some cases. */
Test(schema, lengths) {
  static const row_t rows[] = {
      {"{\"minLength\": 0}", "\"\"", NULL},
      {"{\"minLength\": 1}", "\"\"", "/: 0 characters are less than the minimum 1"},
      {"{\"minLength\": 2}", "\"ab\"", NULL},
      {"{\"minLength\": 2}", "\"abcdefgh\"", NULL},
      {"{\"minLength\": 2}", "\"\xc3\xa4\"", "/: 1 characters are less than the minimum 2"},
      {"{\"minLength\": 2}", "\"\xf0\x9f\x98\x80\xf0\x9f\x98\x80\"", NULL},
      {"{\"minLength\": 2}", "\"\xf0\x9f\x98\x80z\"", NULL},
      {"{\"minLength\": 2}", "\"\xf0\x9f\x98\x80\"", "/: 1 characters are less than the minimum 2"},
      {"{\"maxLength\": 0}", "\"\"", NULL},
      {"{\"maxLength\": 0}", "\"a\"", "/: 1 characters are more than the maximum 0"},
      {"{\"maxLength\": 2}", "\"ab\"", NULL},
      {"{\"maxLength\": 2}", "\"abc\"", "/: 3 characters are more than the maximum 2"},
      {"{\"maxLength\": 2}", "\"\xf0\x9f\x98\x80\xf0\x9f\x98\x80\"", NULL},
      {"{\"maxLength\": 2}", "\"\xc3\xa4\xc3\xa4\xc3\xa4\"", "/: 3 characters are more than the maximum 2"},
  };
  CHECK_ROWS(rows);
}

Test(schema, arrays) {
  static const row_t rows[] = {
      {"{\"items\": {\"type\": \"string\"}}", "[]", NULL},
      {"{\"items\": {\"type\": \"string\"}}", "[\"a\", \"b\"]", NULL},
      {"{\"items\": {\"type\": \"string\"}}", "[\"a\", 2, 3]", "/1: 2 is not a string"},
      {"{\"items\": {\"type\": \"string\"}}", "[null]", "/0: null is not a string"},
      {"{\"items\": {\"type\": \"string\"}}", "{\"a\": 1}", NULL},
      {"{\"items\": true}", "[1, null]", NULL},
      {"{\"items\": false}", "[]", NULL},
      {"{\"items\": false}", "[1]", "/0: not allowed"},
      {"{\"items\": {\"items\": {\"maximum\": 1}}}", "[[], [1], [0, 1, 2]]",
       "/2/2: 2 is greater than the maximum 1"},
      {"{\"minItems\": 1}", "[]", "/: 0 items are less than the minimum 1"},
      {"{\"minItems\": 1}", "[1]", NULL},
      {"{\"minItems\": 0}", "[]", NULL},
      {"{\"minItems\": 2.0}", "[1]", "/: 1 items are less than the minimum 2"},
      {"{\"minItems\": 2}", "{}", NULL},
      {"{\"minItems\": 2}", "\"a\"", NULL},
      {"{\"maxItems\": 2}", "[1, 2]", NULL},
      {"{\"maxItems\": 2}", "[1, 2, 3]", "/: 3 items are more than the maximum 2"},
      {"{\"maxItems\": 0}", "[]", NULL},
      {"{\"maxItems\": 0}", "[[]]", "/: 1 items are more than the maximum 0"},
      {"{\"maxItems\": 1}", "{\"a\": 1, \"b\": 2}", NULL},
      {"{\"maxItems\": 1, \"items\": {\"type\": \"null\"}}", "[1, 2]",
       "/: 2 items are more than the maximum 1"},
      {"{\"items\": {\"type\": \"object\", \"required\": [\"a\"]}}", "[{\"a\": 1}, {}]",
       "/1/a: required, not given"},
  };
  CHECK_ROWS(rows);
}

#define LOG                                                                                                  \
  "{\"type\": \"object\", \"properties\": {\"component\": {\"type\": \"string\"},"                           \
  "\"level\": {\"type\": \"string\", \"enum\": [\"ERROR\", \"WARN\"]}, \"message\": {\"type\": \"string\"}," \
  "\"data\": {\"type\": \"object\"}, \"limit\": {\"type\": \"integer\", \"minimum\": 1, \"maximum\": "       \
  "1000}},"                                                                                                  \
  "\"required\": [\"component\", \"message\"]}"
#define DEEP                                                                                                 \
  "{\"properties\": {\"a\": {\"properties\": {\"b\": {\"type\": \"string\"}, \"c\": {\"type\": "             \
  "\"integer\"}},"                                                                                           \
  "\"required\": [\"b\"]}}}"
#define CLOSED "{\"properties\": {\"a\": {}, \"bb\": {\"type\": \"null\"}}, \"additionalProperties\": false}"

Test(schema, members) {
  static const row_t rows[] = {
      {LOG, "{\"component\": \"a\", \"message\": \"b\"}", NULL},
      {LOG,
       "{\"component\": \"a\", \"level\": \"WARN\", \"message\": \"b\", \"data\": {\"x\": 1}, \"limit\": 3}",
       NULL},
      {LOG, "{\"component\": \"a\"}", "/message: required, not given"},
      {LOG, "{\"message\": \"a\"}", "/component: required, not given"},
      {LOG, "{}", "/component: required, not given"},
      {LOG, "[]", "/: [] is not an object"},
      {LOG, "null", "/: null is not an object"},
      {LOG, "{\"component\": \"a\", \"message\": \"b\", \"unknown\": [1]}", NULL},
      {LOG, "{\"component\": \"a\", \"message\": \"b\", \"limit\": 5000}",
       "/limit: 5000 is greater than the maximum 1000"},
      {LOG, "{\"component\": \"a\", \"message\": \"b\", \"limit\": 0}",
       "/limit: 0 is less than the minimum 1"},
      {LOG, "{\"component\": \"a\", \"message\": \"b\", \"limit\": \"5\"}",
       "/limit: \"5\" is not an integer"},
      {LOG, "{\"component\": \"a\", \"message\": \"b\", \"level\": \"LOUD\"}",
       "/level: \"LOUD\" is not one of \"ERROR\", \"WARN\""},
      {LOG, "{\"component\": \"a\", \"message\": \"b\", \"level\": null}", NULL},
      {LOG, "{\"component\": \"a\", \"message\": \"b\", \"level\": null, \"data\": null, \"limit\": null}",
       NULL},
      {LOG, "{\"component\": null, \"message\": \"b\"}", "/component: null is not a string"},
      {LOG, "{\"component\": \"a\", \"message\": null}", "/message: null is not a string"},
      {LOG, "{\"component\": \"a\", \"component\": 1, \"message\": \"b\"}", "/component: 1 is not a string"},
      {LOG, "{\"component\": \"a\", \"component\": \"a\"}", "/message: required, not given"},
      {LOG, "{\"Component\": \"a\", \"message\": \"b\"}", "/component: required, not given"},
      {LOG, "{\"component\\u0000\": \"a\", \"message\": \"b\"}", "/component: required, not given"},
      {"{\"required\": [\"x\"]}", "{\"x\": null}", NULL},
      {"{\"required\": [\"x\"]}", "{}", "/x: required, not given"},
      {"{\"required\": [\"x\"]}", "3", NULL},
      {"{\"required\": []}", "{}", NULL},
      {"{\"required\": [\"b\", \"a\"]}", "{}", "/b: required, not given"},
      {"{\"required\": [\"b\", \"a\"]}", "{\"b\": 1}", "/a: required, not given"},
      {"{\"required\": [\"x\"], \"additionalProperties\": {\"type\": \"string\"}}", "{\"x\": null}",
       "/x: null is not a string"},
      {"{\"required\": [\"\"]}", "{}", "/: required, not given"},
      {"{\"properties\": {\"\": {\"type\": \"string\"}}}", "{\"\": 1}", "/: 1 is not a string"},
      {"{\"properties\": {\"x\": false}}", "{}", NULL},
      {"{\"properties\": {\"x\": false}}", "{\"x\": 1}", "/x: not allowed"},
      {"{\"properties\": {\"x\": false}}", "{\"x\": null}", NULL},
      {"{\"properties\": {\"x\": {\"enum\": [1]}}}", "{\"x\": null}", NULL},
      {"{\"properties\": {}}", "{\"x\": 1}", NULL},
      {CLOSED, "{}", NULL},
      {CLOSED, "{\"a\": 1, \"bb\": null}", NULL},
      {CLOSED, "{\"bb\": 1}", "/bb: 1 is not null"},
      {CLOSED, "{\"a\": 1, \"b\": 1}", "/b: not allowed; did you mean \"bb\"?"},
      {CLOSED, "{\"b\": null}", NULL},
      {CLOSED, "{\"ab\": 1}", "/ab: not allowed; did you mean \"a\"?"},
      {CLOSED, "{\"\": 1}", "/: not allowed; did you mean \"a\"?"},
      {"{\"additionalProperties\": false}", "{\"a\": 1}", "/a: not allowed"},
      {"{\"additionalProperties\": false}", "[1]", NULL},
      {"{\"additionalProperties\": true}", "{\"a\": 1}", NULL},
      {"{\"additionalProperties\": {\"type\": \"integer\"}}", "{\"a\": 1, \"b\": null}", NULL},
      {"{\"additionalProperties\": {\"type\": \"integer\"}}", "{\"a\": 1, \"b\": \"c\"}",
       "/b: \"c\" is not an integer"},
      {"{\"properties\": {\"b\": {}}, \"additionalProperties\": {\"type\": \"integer\"}}",
       "{\"a\": 1, \"b\": \"c\"}", NULL},
      {DEEP, "{}", NULL},
      {DEEP, "{\"a\": null}", NULL},
      {DEEP, "{\"a\": {}}", "/a/b: required, not given"},
      {DEEP, "{\"a\": {\"b\": \"x\", \"c\": null}}", NULL},
      {DEEP, "{\"a\": {\"b\": null}}", "/a/b: null is not a string"},
      {DEEP, "{\"a\": {\"b\": \"x\", \"c\": 1.5}}", "/a/c: 1.5 is not an integer"},
      {"{\"items\": " DEEP "}", "[{\"a\": {\"b\": \"x\"}}, {\"a\": {\"b\": \"x\", \"c\": \"y\"}}]",
       "/1/a/c: \"y\" is not an integer"},
      {"{\"properties\": {\"a\": {\"type\": \"array\", \"items\": {\"type\": \"integer\"}}}}",
       "{\"a\": [1, null]}", "/a/1: null is not an integer"},
  };
  CHECK_ROWS(rows);
}

/* An expected text that ends with … matches any end: PCRE2's messages differ between versions. */
static bool is_as_expected(yyjson_val *expected, const char *problem) {
  static const char any[] = "…";
  size_t len = yyjson_get_len(expected), begin = len >= sizeof any - 1 ? len - (sizeof any - 1) : 0;
  if (strcmp(yyjson_get_str(expected) + begin, any) != 0)
    return yyjson_equals_str(expected, problem);
  return strncmp(yyjson_get_str(expected), problem, begin) == 0 && problem[begin] != '\0';
}

/* A line of data/schema.jsonl: a schema, and either cases, each a value with its problem or null, or what is
 * malformed in it. */
static void check_line(const char *line) {
  char problem[1024] = "";
  mcp__schema_t *schema = NULL;
  yyjson_doc *doc = read_json(line);
  yyjson_val *root = yyjson_doc_get_root(doc), *malformed = yyjson_obj_get(root, "malformed"), *one;
  int status = mcp__schema_new(yyjson_obj_get(root, "schema"), &schema, problem, sizeof problem);
  cr_expect_eq(status, malformed == NULL ? 0 : -EINVAL, "%s\n%s", line, problem);
  cr_expect(malformed == NULL || is_as_expected(malformed, problem), "%s\n  got %s", line, problem);
  size_t index, max;
  yyjson_arr_foreach(yyjson_obj_get(root, "cases"), index, max, one) {
    yyjson_val *expected = yyjson_arr_get(one, 1);
    if (status != 0)
      break;
    bool fine = mcp__schema_check(schema, yyjson_arr_get(one, 0), problem, sizeof problem);
    cr_expect_eq(fine, yyjson_is_null(expected), "case %zu of %s\n  got %s", index, line, problem);
    cr_expect(fine || yyjson_equals_str(expected, problem), "case %zu of %s\n  got %s", index, line, problem);
  }
  mcp__schema_free(schema);
  yyjson_doc_free(doc);
}

Test(schema, cases_of_the_table) {
  char *line = NULL;
  size_t size = 0;
  FILE *file = fopen(TEST_DATA "/schema.jsonl", "r");
  cr_assert_not_null(file, "%s", TEST_DATA "/schema.jsonl");
  while (getline(&line, &size, file) > 0)
    check_line(line);
  free(line);
  fclose(file);
  expect_no_leak();
}

/* RFC 3986 section 5.4 without fragments, and bases that are empty or have no hierarchy. */
Test(schema, references_to_uris) {
  static const char *const rows[][3] = {
      {"http://a/b/c/d;p?q", "g:h", "g:h"},
      {"http://a/b/c/d;p?q", "g", "http://a/b/c/g"},
      {"http://a/b/c/d;p?q", "./g", "http://a/b/c/g"},
      {"http://a/b/c/d;p?q", "g/", "http://a/b/c/g/"},
      {"http://a/b/c/d;p?q", "/g", "http://a/g"},
      {"http://a/b/c/d;p?q", "//g", "http://g"},
      {"http://a/b/c/d;p?q", "?y", "http://a/b/c/d;p?y"},
      {"http://a/b/c/d;p?q", "g?y", "http://a/b/c/g?y"},
      {"http://a/b/c/d;p?q", "#s", "http://a/b/c/d;p?q"},
      {"http://a/b/c/d;p?q", "g#s", "http://a/b/c/g"},
      {"http://a/b/c/d;p?q", ";x", "http://a/b/c/;x"},
      {"http://a/b/c/d;p?q", "", "http://a/b/c/d;p?q"},
      {"http://a/b/c/d;p?q", ".", "http://a/b/c/"},
      {"http://a/b/c/d;p?q", "./", "http://a/b/c/"},
      {"http://a/b/c/d;p?q", "..", "http://a/b/"},
      {"http://a/b/c/d;p?q", "../g", "http://a/b/g"},
      {"http://a/b/c/d;p?q", "../..", "http://a/"},
      {"http://a/b/c/d;p?q", "../../../../g", "http://a/g"},
      {"http://a/b/c/d;p?q", "/./g", "http://a/g"},
      {"http://a/b/c/d;p?q", "/../g", "http://a/g"},
      {"http://a/b/c/d;p?q", "g.", "http://a/b/c/g."},
      {"http://a/b/c/d;p?q", "..g", "http://a/b/c/..g"},
      {"http://a/b/c/d;p?q", "./../g", "http://a/b/g"},
      {"http://a/b/c/d;p?q", "g/./h", "http://a/b/c/g/h"},
      {"http://a/b/c/d;p?q", "g/../h", "http://a/b/c/h"},
      {"http://a/b/c/d;p?q", "g;x=1/../y", "http://a/b/c/y"},
      {"http://a/b/c/d;p?q", "g?y/./x", "http://a/b/c/g?y/./x"},
      {"http://a", "g", "http://a/g"},
      {"", "g", "g"},
      {"", "../a/./g", "a/g"},
      {"", "..", ""},
      {"list", "item", "item"},
      {"urn:uuid:1", "#x", "urn:uuid:1"},
      {"urn:uuid:1", "urn:uuid:2#x", "urn:uuid:2"},
      {"file:///c:/a/b.json", "c.json", "file:///c:/a/c.json"},
  };
  mcp__arena_t arena;
  mcp__arena_init(&arena, SIZE_MAX / 2);
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    const char *uri, *fragment;
    cr_assert_eq(mcp__uri_resolve(&arena, rows[i][0], rows[i][1], &uri, &fragment), 0);
    cr_expect_str_eq(uri, rows[i][2], "%s: %s", rows[i][1], uri);
    cr_expect_str_eq(fragment, strchr(rows[i][1], '#') != NULL ? strchr(rows[i][1], '#') + 1 : "");
  }
  mcp__arena_deinit(&arena);
}

/* Misspelled keywords give warnings in the place of keywords; other names do not. */
Test(schema, slips) {
  static const char *const rows[][2] = {
      {"propertis", "properties"},
      {"requierd", "required"},
      {"Required", "required"},
      {"additionalproperties", "additionalProperties"},
      {"minlength", "minLength"},
      {"$refs", "$ref"},
      {"tpye", "type"},
      {"typ", "type"},
      {"types", "type"},
      {"eunm", "enum"},
      {"item", "items"},
      {"ref", "$ref"},
      {"propertys", "properties"},
      {"discription", "description"},
      {"Title", "title"},
      {"unevaluatedPropertes", "unevaluatedProperties"},
      {"x-type", NULL},
      {"discriminator", NULL},
      {"nullable", NULL},
      {"example", NULL},
      {"examples", NULL},
      {"markdownDescription", NULL},
      {"errorMessage", NULL},
      {"deprecated", NULL},
      {"format", NULL},
      {"id", NULL},
      {"$id", NULL},
      {"$schema", NULL},
      {"$comment", NULL},
      {"name", NULL},
      {"label", NULL},
      {"unit", NULL},
      {"widget", NULL},
      {"", NULL},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    char json[256], problem[256] = "", expected[256];
    bool schema_id = strcmp(rows[i][0], "$schema") == 0;
    snprintf(json, sizeof json,
             "{\"not\": {\"%s\": %s}, \"properties\": {\"requierd\": {}}, \"enum\": [{\"typ\": 1}], "
             "\"default\": {\"tpye\": 1}, \"examples\": [{\"itmes\": 1}]}",
             rows[i][0], schema_id || *rows[i][0] == '$' ? "\"x\"" : "false");
    snprintf(expected, sizeof expected, "/not/%s: not a JSON Schema keyword; did you mean \"%s\"?",
             rows[i][0], rows[i][1] != NULL ? rows[i][1] : "");
    mcp__schema_t *schema = NULL;
    cr_assert_eq(compile(json, &schema, problem, sizeof problem), 0, "%s: %s", json, problem);
    const char *notice = mcp__schema_warning(schema, 0);
    cr_expect_eq(notice != NULL, rows[i][1] != NULL, "%s: %s", rows[i][0], notice != NULL ? notice : "none");
    if (notice != NULL && rows[i][1] != NULL)
      cr_expect_str_eq(notice, expected);
    cr_expect_null(mcp__schema_warning(schema, 1));
    mcp__schema_free(schema);
  }
  expect_no_leak();
}

static char *repeated(const char *prefix, const char *text, size_t count, const char *suffix);

Test(schema, no_more_than_16_slips_are_noticed) {
  char problem[256] = "", *json = repeated("{\"allOf\": [true", ",{\"requierd\": 1}", 20, "]}");
  mcp__schema_t *schema = NULL;
  cr_assert_eq(compile(json, &schema, problem, sizeof problem), 0, "%s", problem);
  cr_expect_not_null(mcp__schema_warning(schema, 15));
  cr_expect_null(mcp__schema_warning(schema, 16));
  mcp__schema_free(schema);
  free(json);
  expect_no_leak();
}

#define TEN "0123456789"
#define SIXTY TEN TEN TEN TEN TEN TEN
#define A_UMLAUT "\xc3\xa4" /* ä */

Test(schema, text_of_problems) {
  static const row_t rows[] = {
      {"{\"type\": \"null\"}", "\"a\\nb\\t\\u0000\\u001b[31m\"",
       "/: \"a\\u000ab\\u0009\\u0000\\u001b[31m\" is not null"},
      {"{\"type\": \"null\"}", "\"\\u007f\\u0080\\u009b\\u00a0\"",
       "/: \"\\u007f\\u0080\\u009b\xc2\xa0\" is not null"},
      {"{\"type\": \"null\"}", "\"q\\\"b\\\\s/\"", "/: \"q\\\"b\\\\s/\" is not null"},
      {"{\"type\": \"null\"}", "\"\xe2\x82\xac \xf0\x9f\x98\x80\"",
       "/: \"\xe2\x82\xac \xf0\x9f\x98\x80\" is not null"},
      {"{\"additionalProperties\": false}", "{\"a/b~c\": 1}", "/a~1b~0c: not allowed"},
      {"{\"additionalProperties\": false}", "{\"a\\nb\\\"c\": 1}", "/a\\u000ab\"c: not allowed"},
      {"{\"additionalProperties\": false}", "{\"" SIXTY "abcde\": 1}", "/" SIXTY "abcd…: not allowed"},
      {CLOSED, "{\"" SIXTY "abcde\": 1}", "/" SIXTY "abcd…: not allowed; did you mean \"a\"?"},
      {"{\"additionalProperties\": false}", "{\"" SIXTY "abcd\": 1}", "/" SIXTY "abcd: not allowed"},
      {"{\"type\": \"null\"}", "\"" SIXTY "ab\"", "/: \"" SIXTY "ab\" is not null"},
      {"{\"type\": \"null\"}", "\"" SIXTY "abc\"", "/: \"" SIXTY "abc… is not null"},
      {"{\"type\": \"null\"}", "\"" SIXTY "ab" A_UMLAUT "\"", "/: \"" SIXTY "ab… is not null"},
      {"{\"type\": \"null\"}", "\"" SIXTY "a" A_UMLAUT "\"", "/: \"" SIXTY "a" A_UMLAUT "… is not null"},
      {"{\"type\": \"null\"}", "\"" SIXTY "\\u0001\"", "/: \"" SIXTY "… is not null"},
      {"{\"type\": \"null\"}", "1" SIXTY TEN, "/: 1" SIXTY "012… is not null"},
      {"{\"type\": \"null\"}", "[[\"" SIXTY "\", 1], 2]", "/: [[\"" SIXTY "\"… is not null"},
      {"{\"type\": \"null\"}", "{\"" SIXTY "\": 1, \"b\": 2}", "/: {\"" SIXTY "\":… is not null"},
      {"{\"enum\": [\"" SIXTY TEN "\", \"" SIXTY TEN "\", \"" SIXTY TEN "\", \"" SIXTY TEN "\", 1]}", "1.5",
       "/: 1.5 is not one of \"" SIXTY "012…, \"" SIXTY "012…, \"" SIXTY "012…, \"" TEN TEN TEN TEN
       "01234567…"},
  };
  CHECK_ROWS(rows);
}

/* For every buffer size the text is a prefix of the complete text, or truncated with "…", and valid UTF-8. */
Test(schema, every_size_of_buffer) {
  static const char *const value =
      "{\"\xc3\xa4\": {\"list\": [1, {\"\xe2\x82\xac\": \"\xf0\x9f\x98\x80\\n\"}]}}";
  mcp__schema_t *schema = NULL;
  cr_assert_eq(compile("{\"additionalProperties\": {\"additionalProperties\": {\"items\": {\"enum\": [1, "
                       "\"\xc3\xa4\"]}}}}",
                       &schema, NULL, 0),
               0);
  yyjson_doc *doc = read_json(value);
  char whole[256];
  cr_assert_not(mcp__schema_check(schema, yyjson_doc_get_root(doc), whole, sizeof whole));
  cr_assert_str_eq(
      whole,
      "/\xc3\xa4/list/1: {\"\xe2\x82\xac\": \"\xf0\x9f\x98\x80\\u000a\"} is not one of 1, \"\xc3\xa4\"");
  for (size_t size = 0; size <= sizeof whole; size++) {
    char *problem = malloc(size); /* exactly this size, so that AddressSanitizer detects overflows */
    cr_assert_not(mcp__schema_check(schema, yyjson_doc_get_root(doc), problem, size));
    if (size > 0) {
      cr_assert_lt(strlen(problem), size);
      yyjson_mut_doc *judge = yyjson_mut_doc_new(NULL);
      yyjson_mut_doc_set_root(judge, yyjson_mut_strcpy(judge, problem));
      char *json = yyjson_mut_write(judge, 0, NULL); /* refuses what is not UTF-8 */
      cr_assert_not_null(json, "size %zu: %s", size, problem);
      free(json);
      yyjson_mut_doc_free(judge);
    }
    if (size > strlen(whole))
      cr_assert_str_eq(problem, whole);
    free(problem);
  }
  cr_assert_not(mcp__schema_check(schema, yyjson_doc_get_root(doc), NULL, 0));
  yyjson_doc_free(doc);
  mcp__schema_free(schema);
  expect_no_leak();
}

Test(schema, a_long_place_leaves_room_for_the_reason) {
  mcp__schema_t *schema = NULL;
  cr_assert_eq(compile("{\"additionalProperties\": {\"additionalProperties\": {\"type\": \"null\"}}}",
                       &schema, NULL, 0),
               0);
  yyjson_doc *doc = read_json("{\"" SIXTY "\": {\"" SIXTY "\": 1}}");
  char problem[101];
  cr_assert_not(mcp__schema_check(schema, yyjson_doc_get_root(doc), problem, sizeof problem));
  cr_assert_str_eq(problem, "/" TEN TEN TEN TEN "012345678…: 1 is not null");
  yyjson_doc_free(doc);
  mcp__schema_free(schema);
  expect_no_leak();
}

Test(schema, malformed) {
  static const struct {
    const char *schema, *problem;
  } rows[] = {
      {"1", "/: 1 is not a schema"},
      {"null", "/: null is not a schema"},
      {"[]", "/: [] is not a schema"},
      {"\"object\"", "/: \"object\" is not a schema"},
      {"{\"type\": \"strng\"}", "/type: \"strng\" is not the name of a type"},
      {"{\"type\": \"String\"}", "/type: \"String\" is not the name of a type"},
      {"{\"type\": null}", "/type: null is not the name of a type"},
      {"{\"type\": {}}", "/type: {} is not the name of a type"},
      {"{\"type\": []}", "/type: [] allows nothing"},
      {"{\"type\": [\"string\", \"nil\"]}", "/type/1: \"nil\" is not the name of a type"},
      {"{\"type\": [[\"string\"]]}", "/type/0: [\"string\"] is not the name of a type"},
      {"{\"enum\": \"a\"}", "/enum: \"a\" is not an array"},
      {"{\"enum\": {}}", "/enum: {} is not an array"},
      {"{\"minimum\": \"1\"}", "/minimum: \"1\" is not a number"},
      {"{\"maximum\": null}", "/maximum: null is not a number"},
      {"{\"maximum\": [1]}", "/maximum: [1] is not a number"},
      {"{\"minItems\": -1}", "/minItems: -1 is not a whole number from 0"},
      {"{\"minItems\": 1.5}", "/minItems: 1.5 is not a whole number from 0"},
      {"{\"maxItems\": \"3\"}", "/maxItems: \"3\" is not a whole number from 0"},
      {"{\"maxItems\": 1e300}", "/maxItems: 1e300 is not a whole number from 0"},
      {"{\"maxItems\": 99999999999999999999}",
       "/maxItems: 99999999999999999999 is not a whole number from 0"},
      {"{\"items\": 3}", "/items: 3 is not a schema"},
      {"{\"items\": [{}, 1]}", "/items/1: 1 is not a schema"},
      {"{\"items\": {\"type\": \"int\"}}", "/items/type: \"int\" is not the name of a type"},
      {"{\"properties\": []}", "/properties: [] is not an object"},
      {"{\"properties\": null}", "/properties: null is not an object"},
      {"{\"properties\": {\"a\": \"string\"}}", "/properties/a: \"string\" is not a schema"},
      {"{\"properties\": {\"a/b\": {\"minimum\": {}}}}", "/properties/a~1b/minimum: {} is not a number"},
      {"{\"properties\": {\"a\": {}, \"b\": {}, \"a\": {}}}", "/: \"a\" is twice in properties"},
      {"{\"properties\": {\"a\": {}, \"a\": {}}, \"required\": [\"a\"]}", "/: \"a\" is twice in properties"},
      {"{\"required\": true}", "/required: true is not an array"},
      {"{\"required\": \"a\"}", "/required: \"a\" is not an array"},
      {"{\"required\": [\"a\", 1]}", "/required/1: 1 is not a string"},
      {"{\"required\": [\"a\", \"b\", \"a\"]}", "/: \"a\" is twice in required"},
      {"{\"properties\": {\"x\": {\"properties\": {\"a\": {}}, \"required\": [\"a\", \"a\"]}}}",
       "/properties/x: \"a\" is twice in required"},
      {"{\"additionalProperties\": \"no\"}", "/additionalProperties: \"no\" is not a schema"},
      {"{\"additionalProperties\": {\"enum\": 1}}", "/additionalProperties/enum: 1 is not an array"},
      {"{\"properties\": {\"a\": {\"items\": {\"properties\": {\"b\": {\"required\": {}}}}}}}",
       "/properties/a/items/properties/b/required: {} is not an array"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    char problem[512] = "";
    mcp__schema_t *schema = NULL;
    cr_expect_eq(compile(rows[i].schema, &schema, problem, sizeof problem), -EINVAL, "%s", rows[i].schema);
    cr_expect_str_eq(problem, rows[i].problem, "%s: %s", rows[i].schema, problem);
    cr_expect_null(schema, "out is left alone");
  }
  char problem[64] = "";
  mcp__schema_t *schema = NULL;
  cr_expect_eq(mcp__schema_new(NULL, &schema, problem, sizeof problem), -EINVAL);
  cr_expect_str_eq(problem, "/: no schema");
  mcp__schema_free(NULL);
  expect_no_leak();
}

/* {"items": {"items": … true }} of so many objects, around a value of as many arrays. */
static char *nested(const char *open, const char *core, const char *close, size_t levels) {
  char *text = NULL;
  size_t size;
  FILE *file = open_memstream(&text, &size);
  for (size_t i = 0; i < levels; i++)
    fputs(open, file);
  fputs(core, file);
  for (size_t i = 0; i < levels; i++)
    fputs(close, file);
  fclose(file);
  return text;
}

/* Work on digits takes time proportional to their number; up to 1,100 digits are compared exactly. */
Test(schema, digits_of_numbers) {
  char problem[1024], json[2400];
  mcp__schema_t *schema = NULL;
  for (int digits = 1100; digits <= 1101; digits++) {
    snprintf(json, sizeof json, "{\"maximum\":%0*d}", digits, 0);
    memset(strchr(json, ':') + 1, '7', (size_t)digits);
    int status = compile(json, &schema, problem, sizeof problem);
    cr_expect_eq(status, digits == 1100 ? 0 : -EINVAL, "%s", problem);
    if (status == 0)
      mcp__schema_free(schema);
    else
      cr_expect_str_eq(problem, "/: a number has 1101 digits, more than 1100");
    cr_assert_eq(compile("{\"properties\":{\"n\":{\"multipleOf\":7}}}", &schema, problem, sizeof problem), 0);
    snprintf(json, sizeof json, "{\"n\":%0*d}", digits, 0);
    memset(strchr(json, ':') + 1, '7', (size_t)digits);
    yyjson_doc *doc = read_json(json);
    bool fine = mcp__schema_check(schema, yyjson_doc_get_root(doc), problem, sizeof problem);
    cr_expect_eq(fine, digits == 1100, "%s", problem);
    if (!fine)
      cr_expect_str_eq(problem, "/: a number has 1101 digits, more than 1100");
    yyjson_doc_free(doc);
    mcp__schema_free(schema);
  }
  expect_no_leak();
}

Test(schema, depth) {
  char problem[2048] = "";
  mcp__schema_t *schema = NULL;
  char *most = nested("{\"items\":", "{\"type\":\"integer\"}", "}", MCP__SCHEMA_MAX_DEPTH - 1);
  char *more = nested("{\"items\":", "{\"type\":\"integer\"}", "}", MCP__SCHEMA_MAX_DEPTH);
  char *listed = nested("[", "", "]", MCP__SCHEMA_MAX_DEPTH);
  char *unknown = malloc(strlen(listed) + 20);
  cr_assert_eq(compile(more, &schema, problem, sizeof problem), -EINVAL);
  cr_assert_str_eq(problem, "/: nested deeper than 128");
  sprintf(unknown, "{\"default\":%s}", listed); /* also below an ignored keyword, since it is copied */
  cr_assert_eq(compile(unknown, &schema, problem, sizeof problem), -EINVAL);
  cr_assert_eq(compile(most, &schema, problem, sizeof problem), 0);

  static const struct {
    size_t levels;
    const char *core;
    bool fine;
  } rows[] = {{0, "1", true},
              {MCP__SCHEMA_MAX_DEPTH - 1, "1", true},
              {MCP__SCHEMA_MAX_DEPTH - 1, "\"a\"", false},
              {MCP__SCHEMA_MAX_DEPTH, "1", false},
              {100000, "", false}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    char *json = nested("[", rows[i].core, "]", rows[i].levels);
    yyjson_doc *doc = read_json(json);
    bool fine = mcp__schema_check(schema, yyjson_doc_get_root(doc), problem, sizeof problem);
    cr_expect_eq(fine, rows[i].fine, "%zu levels: %s", rows[i].levels, problem);
    yyjson_doc_free(doc);
    free(json);
  }
  mcp__schema_free(schema);
  free(unknown);
  free(listed);
  free(more);
  free(most);
  expect_no_leak();
}

/* A schema with so many names, all required; and a value that lacks one. */
static char *many_required(size_t count) {
  char *text = NULL;
  size_t size;
  FILE *file = open_memstream(&text, &size);
  fprintf(file, "{\"type\":\"object\",\"properties\":{");
  for (size_t i = 0; i < count; i++)
    fprintf(file, "%s\"p%zu\":{\"type\":\"integer\"}", i > 0 ? "," : "", i);
  fprintf(file, "},\"required\":[");
  for (size_t i = 0; i < count; i++)
    fprintf(file, "%s\"p%zu\"", i > 0 ? "," : "", i);
  fprintf(file, "]}");
  fclose(file);
  return text;
}

static char *all_but(size_t count, size_t left_out) {
  char *text = NULL;
  size_t size;
  FILE *file = open_memstream(&text, &size);
  fprintf(file, "{\"x\":0");
  for (size_t i = count; i-- > 0;)
    if (i != left_out)
      fprintf(file, ",\"p%zu\":1", i);
  fprintf(file, "}");
  fclose(file);
  return text;
}

Test(schema, many_required_names) {
  char problem[128] = "", expected[64];
  mcp__schema_t *schema = NULL;
  char *json = many_required(MCP__SCHEMA_MAX_REQUIRED + 1);
  cr_assert_eq(compile(json, &schema, problem, sizeof problem), -EINVAL);
  cr_assert_str_eq(problem, "/required: 257 names are more than the maximum 256");
  free(json);
  json = many_required(MCP__SCHEMA_MAX_REQUIRED);
  cr_assert_eq(compile(json, &schema, problem, sizeof problem), 0);
  free(json);
  for (size_t left_out = 0; left_out <= MCP__SCHEMA_MAX_REQUIRED; left_out++) {
    json = all_but(MCP__SCHEMA_MAX_REQUIRED, left_out);
    yyjson_doc *doc = read_json(json);
    bool fine = mcp__schema_check(schema, yyjson_doc_get_root(doc), problem, sizeof problem);
    snprintf(expected, sizeof expected, "/p%zu: required, not given", left_out);
    cr_expect_eq(fine, left_out == MCP__SCHEMA_MAX_REQUIRED);
    cr_expect(fine || strcmp(problem, expected) == 0, "%s", problem);
    yyjson_doc_free(doc);
    free(json);
  }
  mcp__schema_free(schema);
  expect_no_leak();
}

/* A verdict or "gave up": without limits some of these would take years. */
static void check_bounded(const char *schema_json, char *value, const char *expected) {
  char problem[256] = "";
  mcp__schema_t *schema = NULL;
  cr_assert_eq(compile(schema_json, &schema, problem, sizeof problem), 0, "%s: %s", schema_json, problem);
  yyjson_doc *doc = read_json(value);
  bool fine = mcp__schema_check(schema, yyjson_doc_get_root(doc), problem, sizeof problem);
  cr_expect_eq(fine, expected == NULL, "%s: %s", schema_json, problem);
  cr_expect_not_null(strstr(problem, expected != NULL ? expected : ""), "%s: %s", schema_json, problem);
  yyjson_doc_free(doc);
  mcp__schema_free(schema);
  free(value);
}

/* prefix, count times the text, suffix */
static char *repeated(const char *prefix, const char *text, size_t count, const char *suffix) {
  char *all = NULL;
  size_t size;
  FILE *file = open_memstream(&all, &size);
  fputs(prefix, file);
  for (size_t i = 0; i < count; i++)
    fputs(text, file);
  fputs(suffix, file);
  fclose(file);
  return all;
}

/* [0, 1, …]: an array of count numbers, the last one as given. */
static char *numbers(const char *format, size_t count, const char *last) {
  char *all = NULL;
  size_t size;
  FILE *file = open_memstream(&all, &size);
  fputs("[", file);
  for (size_t i = 0; i + 1 < count; i++) {
    fprintf(file, format, i); /* NOLINT: the formats are below */
    fputs(",", file);
  }
  fprintf(file, "%s]", last);
  fclose(file);
  return all;
}

#define TOO_MANY_STEPS(pattern) ": gave up: the pattern \"" pattern "\" takes too many steps on this text"

Test(schema, patterns_are_bounded) {
  check_bounded("{\"pattern\": \"^(a+)+$\"}", repeated("\"", "a", 40, "b\""), TOO_MANY_STEPS("^(a+)+$"));
  check_bounded("{\"pattern\": \"^(a|aa)+$\"}", repeated("\"", "a", 60, "b\""), TOO_MANY_STEPS("^(a|aa)+$"));
  check_bounded("{\"pattern\": \"^((a?){30}a{30})$\"}", repeated("\"", "a", 29, "b\""),
                TOO_MANY_STEPS("^((a?){30}a{30})$"));
  check_bounded("{\"pattern\": \"a+[bc]\"}", repeated("\"", "a", 1000000, "\""), TOO_MANY_STEPS("a+[bc]"));
  check_bounded("{\"pattern\": \"(.*)*[bc]\"}", repeated("\"", "a", 100000, "\""),
                TOO_MANY_STEPS("(.*)*[bc]"));
  check_bounded("{\"pattern\": \"^(a|b)*$\"}", repeated("\"", "ab", 500000, "\""),
                "/: gave up: the pattern \"^(a|b)*$\" takes too much memory on this text");
  check_bounded("{\"pattern\": \"^(a|b)*$\"}", repeated("\"", "ab", 2000, "\""), NULL); /* on the heap */
  char *alternatives = repeated("{\"pattern\": \"^(x", "|abc", 1000, ")$\"}");
  check_bounded(alternatives, strdup("\"abc\""), NULL);
  free(alternatives);
  check_bounded("{\"pattern\": \"^[\\\\s\\\\S]*$\"}", repeated("\"", "a", 1000000, "\""), NULL);
  check_bounded("{\"not\": {\"pattern\": \"^(a+)+$\"}}", repeated("\"", "a", 40, "b\""),
                TOO_MANY_STEPS("^(a+)+$")); /* no verdict does not mean that "not" matches */
  check_bounded("{\"anyOf\": [{\"pattern\": \"^(a+)+$\"}, true]}", repeated("\"", "a", 40, "b\""),
                TOO_MANY_STEPS("^(a+)+$"));
  check_bounded("{\"patternProperties\": {\"^(a+)+$\": false}}", repeated("{\"", "a", 40, "b\": 1}"),
                TOO_MANY_STEPS("^(a+)+$"));
  expect_no_leak();
}

Test(schema, unique_items_are_bounded) {
  check_bounded("{\"uniqueItems\": true}", numbers("%zu", MCP__SCHEMA_MAX_UNIQUE, "-1"), NULL);
  check_bounded("{\"uniqueItems\": true}", numbers("%zu", MCP__SCHEMA_MAX_UNIQUE, "7.0"),
                "/: the items 7 and 65535 are equal");
  check_bounded("{\"uniqueItems\": true}", numbers("%zu", MCP__SCHEMA_MAX_UNIQUE + 1, "7.0"),
                "/: gave up: more items than uniqueItems compares: 65536");
  check_bounded(
      "{\"uniqueItems\": true}", numbers("12345678901234567%06zu", 20000, "1"),
      "/: gave up: the check takes too many steps"); /* all of one hash, as doubles they are equal */
  char *members = repeated("{\"x\": 0", ",\"a\": 1", 20000, "}"), *pair = malloc(2 * strlen(members) + 8);
  sprintf(pair, "[%s,%s]", members, members); /* as members of the same name */
  free(members);
  check_bounded("{\"uniqueItems\": true}", pair, "/: the items 0 and 1 are equal");
  char *deep = nested("[", "", "]", 100000), *both = malloc(2 * strlen(deep) + 8);
  sprintf(both, "[%s,%s]", deep, deep);
  free(deep);
  check_bounded("{\"uniqueItems\": true}", both, "/: gave up: the check takes too many steps");
  char *many = nested("[", "", "]", 100000), *list = malloc(strlen(many) + 64);
  sprintf(list, "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,%s]", many);
  free(many);
  check_bounded("{\"uniqueItems\": true}", list, "/: gave up: the check takes too many steps");
  expect_no_leak();
}

/* 12 definitions, each of which applies the next one twice: 4,096 paths. */
static char *doubling(const char *keyword, size_t levels) {
  char *text = NULL;
  size_t size;
  FILE *file = open_memstream(&text, &size);
  fputs("{\"$defs\": {", file);
  for (size_t i = 0; i < levels; i++)
    fprintf(file, "\"d%zu\": {\"%s\": [{\"$ref\": \"#/$defs/d%zu\"}, {\"$ref\": \"#/$defs/d%zu\"}]},", i,
            keyword, i + 1, i + 1);
  fprintf(file, "\"d%zu\": {\"type\": \"string\"}}, \"$ref\": \"#/$defs/d0\"}", levels);
  fclose(file);
  return text;
}

Test(schema, references_are_bounded) {
  static const char deep[] = "gave up: schemas are nested too deeply during the check";
  char expected[128];
  snprintf(expected, sizeof expected, "/: %s", deep);
  check_bounded("{\"allOf\": [{\"$ref\": \"#\"}]}", strdup("1"), expected);
  check_bounded("{\"not\": {\"$ref\": \"#\"}}", strdup("1"), expected);
  check_bounded("{\"anyOf\": [{\"type\": \"string\"}, {\"$ref\": \"#\"}]}", strdup("1"), expected);
  check_bounded("{\"anyOf\": [{\"type\": \"string\"}, {\"$ref\": \"#\"}]}", strdup("\"a\""), NULL);
  check_bounded("{\"if\": {\"$ref\": \"#\"}, \"else\": true}", strdup("1"), expected);
  check_bounded("{\"allOf\": [{\"$ref\": \"#\"}], \"properties\": {\"a\": true}}", strdup("{\"a\": null}"),
                "/: gave up: the check takes too many steps");
  check_bounded("{\"items\": {\"$ref\": \"#\"}}", nested("[", "", "]", 250), NULL);
  check_bounded(
      "{\"anyOf\": [{\"items\": {\"$ref\": \"#\"}}, {\"items\": {\"$ref\": \"#\"}}], \"type\": \"array\"}",
      nested("[", "1", "]", 60), "/0: gave up: the check takes too many steps");
  char *schema = doubling("allOf", 12);
  check_bounded(schema, strdup("\"a\""), NULL);
  check_bounded(schema, strdup("1"), "/: 1 is not a string");
  free(schema);
  schema = doubling("allOf", 40);
  check_bounded(schema, strdup("\"a\""), "/: gave up: the check takes too many steps");
  free(schema);
  schema = doubling("oneOf", 40);
  check_bounded(schema, strdup("null"), "/: gave up: the check takes too many steps");
  free(schema);
  expect_no_leak();
}

/* Linear work never gives up, whatever its size. */
/* Each level tracks evaluated members, and so do its alternatives. */
static char *collecting(const char *keyword, size_t levels, const char *core) {
  char *text = NULL;
  size_t size;
  FILE *file = open_memstream(&text, &size);
  for (size_t i = 0; i < levels; i++)
    fprintf(file, "{\"%s\": true, \"anyOf\": [", keyword);
  fputs(core, file);
  for (size_t i = 0; i < levels; i++)
    fputs("]}", file);
  fclose(file);
  return text;
}

Test(schema, what_is_evaluated_is_collected_within_bounds) {
  static const char too_many[] = ": gave up: the check takes too many steps";
  check_bounded("{\"prefixItems\": [true], \"contains\": {\"minimum\": 0}, \"unevaluatedItems\": false}",
                numbers("%zu", 500000, "1"), NULL);
  check_bounded("{\"prefixItems\": [true], \"contains\": {\"minimum\": 0}, \"unevaluatedItems\": false}",
                numbers("%zu", 500000, "-1"), "/499999: not allowed");
  check_bounded("{\"anyOf\": [{\"properties\": {\"x\": true}}, {\"patternProperties\": {\"^a\": true}}], "
                "\"unevaluatedProperties\": false}",
                repeated("{\"x\": 0", ",\"a\": 1", 200000, "}"), NULL);
  for (size_t count = 1023; count <= 1026; count++) { /* on the stack and on the heap */
    check_bounded("{\"items\": true, \"unevaluatedItems\": false}", numbers("%zu", count, "1"), NULL);
    check_bounded("{\"anyOf\": [{\"contains\": {\"minimum\": 0}}], \"unevaluatedItems\": false}",
                  numbers("%zu", count, "-1"), ": not allowed");
  }
  char *schema = collecting("unevaluatedItems", 20, "{\"prefixItems\": [true]}");
  check_bounded(schema, numbers("%zu", 20000, "1"), NULL);
  free(schema);
  schema = collecting("unevaluatedItems", 60, "{\"prefixItems\": [true]}");
  check_bounded(schema, numbers("%zu", 100000, "1"), NULL);
  free(schema);
  schema = repeated("{\"unevaluatedItems\": true, \"anyOf\": [{\"minItems\": 1}", ",{\"minItems\": 1}", 5000,
                    "]}");
  check_bounded(schema, numbers("%zu", 20000, "1"), too_many);
  free(schema);
  schema = repeated("{\"allOf\": [true", ",{\"unevaluatedItems\": {\"minimum\": 0}}", 200, "]}");
  check_bounded(schema, numbers("%zu", 20000, "1"), too_many);
  free(schema);
  schema = repeated("{\"allOf\": [true", ",{\"unevaluatedProperties\": {\"minimum\": 0}}", 600, "]}");
  check_bounded(schema, repeated("{\"x\": 1", ",\"a\": 1", 20000, "}"), too_many);
  free(schema);
  check_bounded("{\"$defs\": {\"a\": {\"anyOf\": [{\"$ref\": \"#/$defs/a\"}], \"unevaluatedItems\": false}}, "
                "\"$ref\": \"#/$defs/a\"}",
                numbers("%zu", 2000, "1"), "/: gave up: schemas are nested too deeply during the check");
  check_bounded("{\"$id\": \"r\", \"$dynamicAnchor\": \"n\", \"anyOf\": [{\"$dynamicRef\": \"#n\"}]}",
                strdup("1"), "/: gave up: schemas are nested too deeply during the check");
  expect_no_leak();
}

Test(schema, large_values_are_judged) {
  check_bounded(
      "{\"items\": {\"type\": \"integer\", \"minimum\": 0, \"maximum\": 1000000, \"not\": {\"const\": -1}}}",
      numbers("%zu", 500000, "1"), NULL);
  check_bounded("{\"items\": {\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"string\", "
                "\"minLength\": 1}}}}",
                numbers("{\"a\":\"%zu\",\"b\":null}", 200000, "{}"), NULL);
  check_bounded("{\"maxLength\": 10000000, \"pattern\": \"x\"}", repeated("\"", "a", 9999999, "x\""), NULL);
  check_bounded("{\"minProperties\": 2, \"maxProperties\": 1000000, \"dependentRequired\": {\"x\": [\"a\"]}}",
                repeated("{\"x\": 0", ",\"a\": 1", 200000, "}"), NULL);
  expect_no_leak();
}

/* The closest alternative is checked again for its error text; the steps may run out there, too. */
Test(schema, words_of_forms_are_bounded) {
  mcp__schema_t *schema = NULL;
  cr_assert_eq(
      compile("{\"anyOf\": [{\"pattern\": \"^(a+)+$\"}, {\"pattern\": \"^(a+)+c\"}]}", &schema, NULL, 0), 0);
  bool gave_up = false;
  for (size_t count = 1; count < 30; count++) {
    char problem[512], *value = repeated("\"", "a", count, "bc\"");
    yyjson_doc *doc = read_json(value);
    cr_assert_not(mcp__schema_check(schema, yyjson_doc_get_root(doc), problem, sizeof problem));
    bool now = strncmp(problem, "/: gave up: the pattern ", 24) == 0;
    cr_assert(now || (!gave_up && strstr(problem, " fits none of the 2 allowed forms: ") != NULL), "%s",
              problem);
    gave_up = now;
    yyjson_doc_free(doc);
    free(value);
  }
  cr_assert(gave_up);
  mcp__schema_free(schema);
  expect_no_leak();
}

/* Work without applying a schema counts as well. */
Test(schema, each_kind_of_work_is_bounded) {
  static const char too_many[] = ": gave up: the check takes too many steps";
  static const struct {
    const char *keyword, *prefix, *text, *suffix;
  } rows[] = {
      {",{\"minLength\": 100000}", "\"", "a", "\""},
      {",{\"maxLength\": 200000}", "\"", "\xc3\xa4", "\""},
      {",{\"pattern\": \"^\"}", "\"", "a", "\""},
      {",{\"minProperties\": 2}", "{\"x\": 1", ",\"a\": 1", "}"},
      {",{\"maxProperties\": 9999999}", "{\"x\": null", ",\"a\": null", "}"},
      {",{\"properties\": {}}", "{\"x\": null", ",\"a\": null", "}"},
      {",{\"dependentRequired\": {\"b\": []}}", "{\"x\": 1", ",\"a\": 1", "}"},
      {",{\"dependentRequired\": {\"x\": [\"x\", \"a\"]}}", "{\"x\": 1", ",\"a\": 1", "}"},
      {",{\"contains\": {\"const\": 1}}", "[0", ",0", ", 1]"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    char *schema = repeated("{\"allOf\": [true", rows[i].keyword, 600, "]}");
    check_bounded(schema, repeated(rows[i].prefix, rows[i].text, 200000, rows[i].suffix), too_many);
    free(schema);
  }
  char *same = repeated("\"", "a", 100000, "\"");
  for (int i = 0; i < 2; i++) {
    char *once = repeated(i == 0 ? ",{\"const\": " : ",{\"enum\": [", same, 1, i == 0 ? "}" : "]}");
    char *schema = repeated("{\"allOf\": [true", once, 200, "]}");
    check_bounded(schema, strdup(same), too_many);
    free(schema);
    free(once);
  }
  free(same);
  expect_no_leak();
}

/* If the table of uniqueItems, the memory of a match or the bit sets cannot be allocated, there is no
 * verdict, and no leak. */
Test(schema, checks_whose_memory_runs_out) {
  static const char *const schemas[] = {"{\"uniqueItems\": true}", "{\"items\": {\"pattern\": \"^(a|b)*$\"}}",
                                        "{\"anyOf\": [{\"items\": true}], \"unevaluatedItems\": false}"};
  char *values[] = {numbers("%zu", 100, "-1"), repeated("[\"", "ab", 2000, "\"]"), numbers("%zu", 2000, "1")};
  use_failing_allocator();
  for (size_t i = 0; i < 3; i++) {
    char problem[64] = "";
    mcp__schema_t *schema = NULL;
    memory.allowed = 1000;
    cr_assert_eq(compile(schemas[i], &schema, problem, sizeof problem), 0, "%s", problem);
    yyjson_doc *doc = read_json(values[i]);
    size_t live = memory.live;
    long allocations = 0;
    for (bool fine = false; !fine; allocations++) {
      memory.allowed = allocations;
      fine = mcp__schema_check(schema, yyjson_doc_get_root(doc), problem, sizeof problem);
      cr_assert(fine || strstr(problem, ": gave up: out of memory") != NULL, "%s", problem);
      cr_assert_eq(memory.live, live, "after %ld", allocations);
    }
    cr_assert_gt(allocations, 1);
    yyjson_doc_free(doc);
    mcp__schema_free(schema);
    free(values[i]);
  }
  expect_no_leak();
}

/* Whether compiling succeeds with so many allocations; all memory is freed either way. */
static bool compiles_within(const char *json, long allocations) {
  char problem[64];
  mcp__schema_t *schema = NULL;
  memory.allowed = allocations;
  int status = compile(json, &schema, problem, sizeof problem);
  cr_assert(status == 0 || (status == -ENOMEM && schema == NULL), "after %ld: %d", allocations, status);
  mcp__schema_free(schema);
  cr_assert_eq(memory.live, 0, "after %ld", allocations);
  return status == 0;
}

Test(schema, memory_that_runs_out) {
  use_failing_allocator();
  for (size_t count = 1; count <= 130; count++) { /* so that each kind of piece meets the end of a chunk */
    char *json = many_required(count);
    long allocations = 0;
    while (!compiles_within(json, allocations))
      allocations++;
    cr_assert_gt(allocations, 3);
    free(json);
  }
  expect_no_leak();
}

Test(schema, memory_that_runs_out_for_each_keyword) {
  static const char *const each =
      "]}, "
      "{\"$anchor\": \"b\", \"type\": [\"object\", \"array\"], \"enum\": [{}], \"multipleOf\": 0.1, "
      "\"minLength\": 1,"
      "\"pattern\": \"^(a|b){2,9}$\", \"minItems\": 1, \"uniqueItems\": true, \"prefixItems\": [{}, {}], "
      "\"items\": {},"
      "\"contains\": {}, \"properties\": {\"a\": {}, \"b\": {}}, \"required\": [\"a\", \"c\"], \"not\": {},"
      "\"patternProperties\": {\"c\": {}}, \"additionalProperties\": {}, \"propertyNames\": {\"pattern\": "
      "\"x\"},"
      "\"dependentRequired\": {\"a\": [\"b\"]}, \"dependentSchemas\": {\"a\": {}}, \"allOf\": [{}], "
      "\"anyOf\": [{}],"
      "\"if\": {}, \"then\": {}, \"else\": {}, \"$defs\": {\"d\": {\"$id\": \"#d\"}}, \"x\": {},"
      "\"$ref\": \"#/allOf/1/x\", \"$dynamicRef\": \"#d\", \"unevaluatedItems\": {}, \"propertis\": {}},"
      "{\"$id\": \"i\", \"$dynamicAnchor\": \"n\", \"not\": {\"$dynamicRef\": \"i#n\"}}"
      "]}";
  use_failing_allocator();
  for (size_t count = 0; count < 300; count++) { /* so that each kind of piece meets the end of a chunk */
    char *json = repeated("{\"allOf\": [{\"anyOf\": [{}", ",{}", count, each);
    long allocations = 0;
    while (!compiles_within(json, allocations))
      allocations++;
    free(json);
  }
  expect_no_leak();
}

Test(schema, a_check_needs_no_memory) {
  static const struct {
    const char *schema, *value, *problem;
  } rows[] = {
      {"{\"properties\": {\"a\": {\"enum\": [[1.5]]}}}", "{\"a\": [2.5]}", "/a: [2.5] is not one of [1.5]"},
      {"{\"items\": {\"multipleOf\": 0.1}, \"uniqueItems\": true}", "[0.3, 1.1, 0.35]",
       "/2: 0.35 is not a multiple of 0.1"},
      {"{\"items\": {\"pattern\": \"^[a-z]+$\"}}", "[\"abc\", \"d\", \"E\"]",
       "/2: \"E\" does not match the pattern \"^[a-z]+$\""},
      {"{\"anyOf\": [{\"type\": \"string\"}, {\"required\": [\"a\"]}]}", "{}",
       "/: {} fits none of the 2 allowed forms; the closest: /a: required, not given"},
  };
  use_failing_allocator();
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    char problem[128];
    mcp__schema_t *schema = NULL;
    memory.allowed = 1000;
    cr_assert_eq(compile(rows[i].schema, &schema, NULL, 0), 0);
    memory.allowed = 0;
    yyjson_doc *doc = read_json(rows[i].value);
    cr_assert_not(mcp__schema_check(schema, yyjson_doc_get_root(doc), problem, sizeof problem));
    cr_assert_str_eq(problem, rows[i].problem);
    cr_assert_eq(memory.allowed, 0, "no memory was allocated");
    yyjson_doc_free(doc);
    mcp__schema_free(schema);
  }
  expect_no_leak();
}

typedef struct shared {
  const mcp__schema_t *schema;
  yyjson_val *value;
  const char *problem;
} shared_t;

static void *check_often(void *arg) {
  const shared_t *shared = arg;
  char problem[64];
  for (int i = 0; i < 2000; i++)
    if (mcp__schema_check(shared->schema, shared->value, problem, sizeof problem) ||
        strcmp(problem, shared->problem) != 0)
      return (void *)1;
  return NULL;
}

static void check_on_threads(const char *schema_json, const char *value, const char *problem) {
  mcp__schema_t *schema = NULL;
  pthread_t threads[4];
  cr_assert_eq(compile(schema_json, &schema, NULL, 0), 0);
  yyjson_doc *doc = read_json(value);
  shared_t shared = {schema, yyjson_doc_get_root(doc), problem};
  for (size_t i = 0; i < 4; i++)
    cr_assert_eq(pthread_create(&threads[i], NULL, check_often, &shared), 0);
  for (size_t i = 0; i < 4; i++) {
    void *failed = NULL;
    cr_assert_eq(pthread_join(threads[i], &failed), 0);
    cr_assert_null(failed, "%s", schema_json);
  }
  yyjson_doc_free(doc);
  mcp__schema_free(schema);
}

Test(schema, one_schema_for_all_threads) {
  check_on_threads(LOG, "{\"component\": \"a\", \"message\": \"b\", \"limit\": 0}",
                   "/limit: 0 is less than the minimum 1");
  check_on_threads("{\"items\": {\"pattern\": \"^(a|b)*$\"}, \"uniqueItems\": true}",
                   "[\"ab\", \"abababababab\", \"abc\"]",
                   "/2: \"abc\" does not match the pattern \"^(a|b)*$\"");
  check_on_threads("{\"uniqueItems\": true}",
                   "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 1]",
                   "/: the items 0 and 17 are equal");
  expect_no_leak();
}
