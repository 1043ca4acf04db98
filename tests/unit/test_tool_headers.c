/* test_tool_headers.c: x-mcp-header in input schemas (MCP 2026-07-28, streamable HTTP, "Constraints on
 * x-mcp-header values"): each rule kept and broken. */
#include "mcp/tool_headers.h"
#include "leaks.h"
#include "out_of_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

/* "Name=/pointer" of each, separated by blanks; or "! problem". */
static const char *read_schema(const char *text) {
  static char said[4096];
  char problem[400] = "";
  mcp__tool_headers_t headers = {0};
  yyjson_doc *doc = yyjson_read(text, strlen(text), 0);
  cr_assert_not_null(doc, "%s", text);
  int status = mcp__tool_headers_read(&headers, yyjson_doc_get_root(doc), problem, sizeof problem);
  size_t len = 0;
  *said = '\0';
  for (size_t i = 0; i < headers.count; i++)
    len += (size_t)snprintf(said + len, sizeof said - len, "%s%s=%s", i > 0 ? " " : "", headers.table[i].name,
                            headers.table[i].pointer);
  cr_expect((status != 0) == (*problem != '\0'), "%d %s", status, problem);
  if (status != 0) {
    cr_expect_eq(status, MCP_ETOOL);
    cr_expect_eq(headers.count, 0);
    snprintf(said, sizeof said, "! %s", problem);
  }
  mcp__tool_headers_free(&headers);
  yyjson_doc_free(doc);
  return said;
}

#define OBJECT(properties) "{\"type\":\"object\",\"properties\":{" properties "}}"
#define NAMED(type, name) "{\"type\":\"" type "\",\"x-mcp-header\":\"" name "\"}"
#define A(schema) OBJECT("\"a\":" schema)

static void expect_each(const char *const (*rows)[2], size_t count) {
  for (size_t i = 0; i < count; i++)
    cr_expect_str_eq(read_schema(rows[i][0]), rows[i][1], "%s: %s", rows[i][0], read_schema(rows[i][0]));
  expect_no_leak();
}

Test(tool_headers, allowed) {
  static const char *const rows[][2] = {
      {"{}", ""},
      {"true", ""},
      {OBJECT(""), ""},
      {A("{\"type\":\"string\"}"), ""},
      {A(NAMED("string", "Region")), "Region=/a"},
      {A(NAMED("integer", "N")), "N=/a"},
      {A(NAMED("boolean", "B")), "B=/a"},
      {A(NAMED("string", "!#$%&'*+-.^_`|~09azAZ")), "!#$%&'*+-.^_`|~09azAZ=/a"},
      {OBJECT("\"a\":" NAMED("string", "X") ",\"b\":" NAMED("string", "Y")), "X=/a Y=/b"},
      {A(A(A(NAMED("string", "Deep")))), "Deep=/a/a/a"},
      {OBJECT("\"a/b~c\":" NAMED("string", "Odd")), "Odd=/a~1b~0c"},
      {OBJECT("\"\":" NAMED("string", "Empty")), "Empty=/"},
      /* a keyword's name that is a property's */
      {OBJECT("\"x-mcp-header\":{\"type\":\"string\"}"), ""},
      {OBJECT("\"x-mcp-header\":" NAMED("string", "Self")), "Self=/x-mcp-header"},
      {OBJECT("\"properties\":" NAMED("string", "P")), "P=/properties"},
      {OBJECT("\"items\":" NAMED("string", "I")), "I=/items"},
      {OBJECT("\"enum\":" NAMED("string", "E")), "E=/enum"},
      {A("{\"patternProperties\":{\"x-mcp-header\":{}}}"), ""},
      {"{\"$defs\":{\"x-mcp-header\":{\"type\":\"string\"}}}", ""},
      /* values are no schemas */
      {A("{\"type\":\"string\",\"enum\":[{\"x-mcp-header\":\"E\"}]}"), ""},
      {A("{\"const\":{\"x-mcp-header\":\"E\"}}"), ""},
      {A("{\"default\":{\"x-mcp-header\":5}}"), ""},
      {A("{\"examples\":[{\"x-mcp-header\":\"E\"}]}"), ""},
  };
  expect_each(rows, sizeof rows / sizeof *rows);
}

#define NO_TOKEN "! x-mcp-header of /a has to be a token of HTTP of 1 to 128 bytes"
#define NO_TYPE "! x-mcp-header of /a stands at a type that is none of string, integer, boolean"
#define NO_PLACE(place)                                                                                      \
  "! x-mcp-header of " place " stands at no property that is reached by \"properties\" alone"

Test(tool_headers, forbidden) {
  static const char *const rows[][2] = {
      {A(NAMED("string", "")), NO_TOKEN},
      {A(NAMED("string", "a b")), NO_TOKEN},
      {A(NAMED("string", "a:b")), NO_TOKEN},
      {A(NAMED("string", "a\\r\\nb")), NO_TOKEN},
      {A(NAMED("string", "a\\u0000b")), NO_TOKEN},
      {A(NAMED("string", "a\\u00e4")), NO_TOKEN},
      {A(NAMED("string", "(a)")), NO_TOKEN},
      {A("{\"type\":\"string\",\"x-mcp-header\":1}"), NO_TOKEN},
      {A("{\"type\":\"string\",\"x-mcp-header\":null}"), NO_TOKEN},
      {A("{\"type\":\"string\",\"x-mcp-header\":[\"A\"]}"), NO_TOKEN},
      {A(NAMED("number", "N")), NO_TYPE},
      {A(NAMED("object", "N")), NO_TYPE},
      {A(NAMED("array", "N")), NO_TYPE},
      {A(NAMED("null", "N")), NO_TYPE},
      {A("{\"x-mcp-header\":\"N\"}"), NO_TYPE},
      {A("{\"type\":[\"string\",\"null\"],\"x-mcp-header\":\"N\"}"), NO_TYPE},
      {OBJECT("\"a\":" NAMED("string", "X") ",\"b\":" NAMED("string", "x")),
       "! x-mcp-header of /b is used twice"},
      {NAMED("string", "Root"), NO_PLACE("the schema")},
      {A("{\"type\":\"array\",\"items\":" NAMED("string", "I") "}"), NO_PLACE("/a")},
      {A("{\"items\":" A(NAMED("string", "I")) "}"), NO_PLACE("/a/a")},
      {A("{\"prefixItems\":[" NAMED("string", "I") "]}"), NO_PLACE("/a")},
      {A("{\"additionalProperties\":" NAMED("string", "I") "}"), NO_PLACE("/a")},
      {A("{\"patternProperties\":{\"^x\":" NAMED("string", "I") "}}"), NO_PLACE("/a")},
      {A("{\"anyOf\":[{},{\"anyOf\":[" NAMED("string", "I") "]}]}"), NO_PLACE("/a")},
      {A("{\"allOf\":[" NAMED("string", "I") "]}"), NO_PLACE("/a")},
      {A("{\"oneOf\":[" NAMED("string", "I") "]}"), NO_PLACE("/a")},
      {A("{\"not\":" NAMED("string", "I") "}"), NO_PLACE("/a")},
      {A("{\"if\":" NAMED("string", "I") "}"), NO_PLACE("/a")},
      {A("{\"dependentSchemas\":{\"x\":" NAMED("string", "I") "}}"), NO_PLACE("/a")},
      {A("{\"contains\":" NAMED("string", "I") "}"), NO_PLACE("/a")},
      {A("{\"propertyNames\":" NAMED("string", "I") "}"), NO_PLACE("/a")},
      {"{\"allOf\":[" A(NAMED("string", "I")) "]}", NO_PLACE("/a")},
      {"{\"$defs\":{\"d\":" NAMED("string", "I") "}}", NO_PLACE("the schema")},
      {"{\"definitions\":{\"d\":" A(NAMED("string", "I")) "}}", NO_PLACE("/a")},
  };
  expect_each(rows, sizeof rows / sizeof *rows);
}

/* A schema of count properties with a header each. */
static char *many(int count) {
  char *text = malloc((size_t)count * 64 + 64), *at = text;
  at += sprintf(at, "{\"properties\":{");
  for (int i = 0; i < count; i++)
    at += sprintf(at, "%s\"p%d\":{\"type\":\"string\",\"x-mcp-header\":\"H%d\"}", i > 0 ? "," : "", i, i);
  sprintf(at, "}}");
  return text;
}

Test(tool_headers, limits) {
  char text[2048], name[1100], expected[1200];
  char *schema = many(32);
  cr_expect_null(strchr(read_schema(schema), '!'));
  free(schema);
  schema = many(33);
  cr_expect_str_eq(read_schema(schema), "! x-mcp-header of /p32 is one more than 32");
  free(schema);
  for (int len = 128; len <= 129; len++) {
    snprintf(name, sizeof name, "%0*d", len, 0);
    snprintf(text, sizeof text, A("{\"type\":\"string\",\"x-mcp-header\":\"%s\"}"), name);
    snprintf(expected, sizeof expected, "%s=/a", name);
    cr_expect_str_eq(read_schema(text), len == 128 ? expected : NO_TOKEN);
  }
  for (int len = 1000; len <= 1080; len++) { /* a path that is too long is as one that is not reachable */
    snprintf(name, sizeof name, "%0*d", len, 0);
    snprintf(text, sizeof text, OBJECT("\"%s\":{\"type\":\"string\",\"x-mcp-header\":\"H\"}"), name);
    const char *said = read_schema(text);
    cr_expect(strncmp(said, len < 1022 ? "H=/000" : "! x-mcp", 6) == 0, "%d: %s", len, said);
  }
  expect_no_leak();
}
