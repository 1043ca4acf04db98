/* test_args.c: arguments by name and type, as the reader of messages gives them. */
#include "iccm_network.h"
#include "leaks.h"

#include <criterion/criterion.h>
#include <float.h>
#include <string.h>

TestSuite(args, .fini = expect_no_leak);

static const char given[] = MCP_JSON({
  "text": "a\u0000b", "empty": "", "none": null, "yes": true, "no": false,
  "small": -7, "largest": 9223372036854775807, "larger": 9223372036854775808, "least": -9223372036854775808,
  "huge": 123456789012345678901234567890, "depth": -123456789012345678901234567890,
  "round": 3.0, "power": 1e3, "real": 2.5, "wide": 1e300, "narrow": -1e300, "endless": 1e400, "abyss": -1e400
});

static yyjson_doc *doc;
static yyjson_val *args;

static void open_args(void) {
  doc = mcp_json_read(given, sizeof given - 1);
  cr_assert_not_null(doc, "%s", mcp_last_error());
  args = yyjson_doc_get_root(doc);
}

static void expect_text(const char *name, const char *fallback, const char *text, size_t len) {
  size_t got = 99;
  const char *value = mcp_arg_text(args, name, fallback, &got);
  cr_expect(text == NULL ? value == NULL : value != NULL && memcmp(value, text, len + 1) == 0, "%s", name);
  cr_expect_eq(got, len, "%s: %zu", name, got);
  cr_expect_eq(mcp_arg_text(args, name, fallback, NULL), value, "%s", name);
}

Test(args, texts) {
  open_args();
  expect_text("text", NULL, "a\0b", 3);
  expect_text("empty", "else", "", 0);
  expect_text("none", "else", "else", 4);
  expect_text("missing", NULL, NULL, 0);
  expect_text("small", "else", "else", 4);
  yyjson_doc_free(doc);
}

Test(args, integers) {
  static const struct {
    const char *name;
    int64_t value;
  } rows[] = {{"small", -7},          {"largest", INT64_MAX},
              {"larger", INT64_MAX},  {"least", INT64_MIN},
              {"huge", INT64_MAX},    {"depth", INT64_MIN},
              {"round", 3},           {"power", 1000},
              {"wide", INT64_MAX},    {"narrow", INT64_MIN},
              {"endless", INT64_MAX}, {"real", 42},
              {"text", 42},           {"yes", 42},
              {"none", 42},           {"missing", 42}};
  open_args();
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    cr_expect_eq(mcp_arg_int(args, rows[i].name, 42), rows[i].value, "%s", rows[i].name);
  yyjson_doc_free(doc);
}

Test(args, numbers) {
  static const struct {
    const char *name;
    double value;
  } rows[] = {{"small", -7},        {"largest", 9223372036854775807.0},
              {"real", 2.5},        {"huge", 123456789012345678901234567890.0},
              {"wide", 1e300},      {"depth", -123456789012345678901234567890.0},
              {"endless", DBL_MAX}, {"abyss", -DBL_MAX},
              {"text", 0.5},        {"none", 0.5},
              {"missing", 0.5}};
  open_args();
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    cr_expect_eq(mcp_arg_number(args, rows[i].name, 0.5), rows[i].value, "%s: %g", rows[i].name,
                 mcp_arg_number(args, rows[i].name, 0.5));
  yyjson_doc_free(doc);
}

Test(args, booleans) {
  open_args();
  for (int fallback = 0; fallback <= 1; fallback++) {
    cr_expect_eq(mcp_arg_bool(args, "yes", fallback), true);
    cr_expect_eq(mcp_arg_bool(args, "no", fallback), false);
    cr_expect_eq(mcp_arg_bool(args, "none", fallback), fallback);
    cr_expect_eq(mcp_arg_bool(args, "missing", fallback), fallback);
    cr_expect_eq(mcp_arg_bool(args, "small", fallback), fallback);
  }
  cr_expect_eq(mcp_arg_int(NULL, "any", 42), 42, "there need not be any arguments");
  yyjson_doc_free(doc);
}

/* Text that the preprocessor might have replaced or removed. */
Test(args, json_without_escapes) {
  static const struct {
    const char *is, *should;
  } rows[] = {
      {MCP_JSON({}), "{}"},
       {MCP_JSON({"a":[1,-2,3.5e+2,true,false,null]}), "{\"a\":[1,-2,3.5e+2,true,false,null]}"},
        {MCP_JSON("say \"it\", it's (not \\ and // no) \/* comment"),
                  "\"say \\\"it\\\", it's (not \\\\ and // no) \\/* comment\""},
         {MCP_JSON({"pattern":"^\\d+\u00e9\n$"}), "{\"pattern\":\"^\\\\d+\\u00e9\\n$\"}"},
          {MCP_JSON({
         "a": 1,
         "b": [ ]
       }), "{ \"a\": 1, \"b\": [ ] }"},
           {MCP_JSON("größe 日本 %d"), "\"größe 日本 %d\""},
          };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    cr_expect_str_eq(rows[i].is, rows[i].should);
}
