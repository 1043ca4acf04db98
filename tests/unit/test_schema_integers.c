/* test_schema_integers.c: which numbers become integers by a check, and which stay as they are. */
#include "leaks.h"
#include "schema/schema.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static yyjson_doc *read_json(const char *json) {
  yyjson_doc *doc = yyjson_read(json, strlen(json), YYJSON_READ_BIGNUM_AS_RAW);
  cr_assert_not_null(doc, "not JSON: %s", json);
  return doc;
}

/* after: how the value is written once it was checked. */
static void expect(const char *schema_text, const char *value, const char *after, bool fits) {
  char problem[400] = "";
  mcp__schema_t *schema = NULL;
  yyjson_doc *made = read_json(schema_text), *doc = read_json(value);
  cr_assert_eq(mcp__schema_new(yyjson_doc_get_root(made), &schema, problem, sizeof problem), 0, "%s: %s",
               schema_text, problem);
  bool fine = mcp__schema_check(schema, yyjson_doc_get_root(doc), problem, sizeof problem);
  cr_expect_eq(fine, fits, "%s against %s: %s", value, schema_text, problem);
  char *text = yyjson_write(doc, 0, NULL);
  cr_expect_str_eq(text, after, "%s against %s: %s", value, schema_text, text);
  free(text);
  yyjson_doc_free(made);
  yyjson_doc_free(doc);
  mcp__schema_free(schema);
}

#define INT "{\"type\":\"integer\"}"
#define N(type) "{\"properties\":{\"n\":" type "}}"

Test(schema_integers, become_integers) {
  static const char *const rows[][3] = {
      {INT, "3.0", "3"},
      {INT, "1e1", "10"},
      {INT, "0.3e1", "3"},
      {INT, "-7.0", "-7"},
      {INT, "-0.0", "0"},
      {INT, "9007199254740993.0", "9007199254740992"}, /* the double that yyjson read */
      {INT, "-9.223372036854775808e18", "-9223372036854775808"},
      {"{\"type\":[\"integer\",\"null\"]}", "3.0", "3"},
      {"{\"type\":\"integer\",\"nullable\":true}", "3.0", "3"},
      {"{\"type\":[\"string\",\"integer\"]}", "3.0", "3"},
      {N(INT), "{\"n\":3.0,\"m\":3.0}", "{\"n\":3,\"m\":3.0}"},
      {N("{\"items\":{\"items\":" INT "}}"), "{\"n\":[[1.0,2],[3e0]]}", "{\"n\":[[1,2],[3]]}"},
      {"{\"prefixItems\":[{}," INT "]}", "[1.0,2.0]", "[1.0,2]"},
      {"{\"additionalProperties\":" INT "}", "{\"a\":1.0}", "{\"a\":1}"},
      {"{\"patternProperties\":{\"^i\":" INT "}}", "{\"i\":1.0,\"f\":1.0}", "{\"i\":1,\"f\":1.0}"},
      {"{\"$defs\":{\"i\":" INT "},\"properties\":{\"n\":{\"$ref\":\"#/$defs/i\"}}}", "{\"n\":3.0}",
       "{\"n\":3}"},
      {N("{\"allOf\":[{\"type\":\"number\"}," INT "]}"), "{\"n\":3.0}", "{\"n\":3}"},
      {N("{\"anyOf\":[{\"type\":\"string\"}," INT "]}"), "{\"n\":3.0}", "{\"n\":3}"},
      {N("{\"oneOf\":[" INT ",{\"type\":\"null\"}]}"), "{\"n\":3.0}", "{\"n\":3}"},
      {"{\"if\":" N("{\"const\":1}") ",\"then\":" N(INT) "}", "{\"n\":1.0}", "{\"n\":1}"},
      {"{\"contains\":" INT ",\"minContains\":2}", "[1.0,\"a\",2.0]", "[1,\"a\",2]"},
      {"{\"properties\":{\"n\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":3,\"enum\":[3]}}}",
       "{\"n\":3.0}", "{\"n\":3}"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    expect(rows[i][0], rows[i][1], rows[i][2], true);
  expect_no_leak();
}

Test(schema_integers, stay_as_they_are) {
  static const char *const rows[][2] = {
      {"{}", "3.0"},
      {"{\"type\":\"number\"}", "3.0"},
      {"{\"type\":[\"integer\",\"number\"]}", "3.0"},
      {INT, "100000000000000000000.0"},
      {INT, "-10000000000000000000.0"},
      {INT, "123456789012345678901234567890"},
      {INT, "18446744073709551615"},
      {"{\"enum\":[3]}", "3.0"},
      {N("{\"type\":\"object\"}"), "{\"n\":{\"deep\":3.0}}"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    expect(rows[i][0], rows[i][1], rows[i][1], true);
  expect_no_leak();
}

/* A form that does not fit says nothing about the value. */
Test(schema_integers, stay_where_the_form_does_not_fit) {
  static const char other[] = "{\"properties\":{\"n\":" INT "},\"required\":[\"x\"]}";
  char schema[400];
  static const char *const forms[] = {"{\"anyOf\":[%s,{}]}", "{\"oneOf\":[%s,{}]}", "{\"not\":%s}",
                                      "{\"if\":%s,\"then\":false}"};
  for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
    snprintf(schema, sizeof schema, forms[i], other);
    expect(schema, "{\"n\":3.0}", "{\"n\":3.0}", true);
  }
  expect("{\"contains\":{\"items\":[" INT ",{\"type\":\"string\"}]},\"minContains\":0}", "[[1.0,2.0]]",
         "[[1.0,2.0]]", true);
  expect("{\"properties\":{\"n\":" INT "},\"anyOf\":[{\"properties\":{\"n\":" INT
         "},\"required\":[\"x\"]},{}]}",
         "{\"n\":3.0}", "{\"n\":3}", true);
  expect("{\"anyOf\":[{\"properties\":{\"n\":" INT "},\"required\":[\"x\"]},{\"properties\":{\"n\":" INT
         "}}]}",
         "{\"n\":3.0}", "{\"n\":3}", true);
  expect("{\"properties\":{\"n\":" INT ",\"m\":" INT "}}", "{\"n\":3.0,\"m\":1.5}", "{\"n\":3.0,\"m\":1.5}",
         false);
  expect_no_leak();
}
