/* test_http_headers.c: headers that repeat the body (MCP 2026-07-28, streamable HTTP, "Request Metadata"):
 * equal, missing, different, twice, in base64, of each type. */
#include "server/http_headers.h"
#include "base/json.h"
#include "leaks.h"
#include "mcp/tools.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char names[][8] = {"Text", "Int", "Flag", "Deep"};
static char pointers[][8] = {"/text", "/int", "/flag", "/a/b"};

static int judge(const char *headers, const char *method, const char *params, bool with_tool, char *problem) {
  mcp__head_t head;
  mcp__arena_t arena;
  mcp__message_t message;
  size_t used;
  char text[4096];
  mcp__header_param_t table[4];
  mcp__tool_t tool = {.headers = {table, 4}};
  mcp__dispatch_result_t result = {.action = MCP__DO_CALL, .tool = with_tool ? &tool : NULL};
  for (int i = 0; i < 4; i++)
    table[i] = (mcp__header_param_t){names[i], pointers[i]};
  int len = snprintf(text, sizeof text, "POST / HTTP/1.1\r\nHost: h\r\n%s\r\n", headers);
  cr_assert_eq(mcp__head_init(&head, true), 0);
  cr_assert_eq(mcp__head_feed(&head, text, (size_t)len, &used), MCP__HEAD_DONE, "%s", text);
  mcp__arena_init(&arena, 1 << 20);
  char *body = calloc(1, 4096 + MCP__JSON_PADDING);
  len =
      snprintf(body, 4096, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":%s}", method, params);
  mcp__jsonrpc_parse(body, (size_t)len, 1000, &arena, &message);
  cr_assert_eq(message.kind, MCP__REQUEST, "%s", body);
  mcp__http_check_headers(&head, &message, &arena, &result);
  snprintf(problem, 400, "%s", result.problem != NULL ? result.problem : "");
  cr_expect_eq(result.action == MCP__DO_REFUSE, result.code != 0);
  int code = result.code;
  free(body);
  mcp__arena_deinit(&arena);
  mcp__head_deinit(&head);
  return code;
}

#define META "\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\"}"
#define V "MCP-Protocol-Version: 2026-07-28\r\n"
#define M(method) "Mcp-Method: " method "\r\n"
#define N(name) "Mcp-Name: " name "\r\n"

static void expect_method(const char *headers, const char *method, const char *params, const char *expected) {
  char problem[400];
  int code = judge(headers, method, params, false, problem);
  cr_expect_eq(code, *expected != '\0' ? MCP__HEADER_MISMATCH : 0, "%s: %s", headers, problem);
  cr_expect_str_eq(problem, expected, "%s", headers);
}

Test(http_headers, version_and_method) {
  static const char params[] = "{" META "}";
  expect_method(V M("tools/list"), "tools/list", params, "");
  expect_method("mcp-protocol-version:2026-07-28\r\nMCP-METHOD: tools/list \r\n", "tools/list", params, "");
  expect_method(M("tools/list"), "tools/list", params, "header mismatch: MCP-Protocol-Version is missing");
  expect_method("MCP-Protocol-Version: 2025-11-25\r\n" M("tools/list"), "tools/list", params,
                "header mismatch: MCP-Protocol-Version is not the value in the body");
  expect_method(V V M("tools/list"), "tools/list", params,
                "header mismatch: MCP-Protocol-Version is not the value in the body");
  expect_method(V, "tools/list", params, "header mismatch: Mcp-Method is missing");
  expect_method(V M("Tools/list"), "tools/list", params,
                "header mismatch: Mcp-Method is not the value in the body");
  expect_method(V M("tools/list") M("tools/list"), "tools/list", params,
                "header mismatch: Mcp-Method is not the value in the body");
}

#define CALL V M("tools/call")
#define NAME "header mismatch: Mcp-Name "

Test(http_headers, names) {
  static const char params[] = "{\"name\":\"gr\xc3\xbc\xc3\x9f\"," META "}",
                    plain[] = "{\"name\":\"a b\"," META "}";
  expect_method(CALL N("a b"), "tools/call", plain, "");
  expect_method(CALL N("=?base64?YSBi?="), "tools/call", plain, "");
  expect_method(CALL N("=?base64?Z3LDvMOf?="), "tools/call", params, "");
  expect_method(CALL N("gr\xc3\xbc\xc3\x9f"), "tools/call", params, NAME "cannot be read");
  expect_method(CALL, "tools/call", plain, NAME "is missing: it has to be the name of the tool");
  expect_method(CALL N("A b"), "tools/call", plain, NAME "is not the name in the body");
  expect_method(CALL N("a b") N("a b"), "tools/call", plain, NAME "is not the name in the body");
  expect_method(CALL N("=?BASE64?YSBi?="), "tools/call", plain, NAME "is not the name in the body");
  expect_method(CALL N("=?base64?YSB?="), "tools/call", plain, NAME "cannot be read");
  expect_method(CALL N("=?base64?Y!Bi?="), "tools/call", plain, NAME "cannot be read");
  expect_method(CALL N("=?base64?YSBi"), "tools/call", plain, NAME "is not the name in the body");
  expect_method(CALL N("=?base64?"
                       "?="),
                "tools/call", "{\"name\":\"\"," META "}", "");
  expect_method(CALL N("=?base64?PT9iYXNlNjQ/YT89?="), "tools/call", "{\"name\":\"=?base64?a?=\"," META "}",
                "");
  expect_method(V M("tools/list") N("other"), "tools/list", plain, ""); /* only calls have it */
}

/* The headers of the arguments, behind those that each call needs. */
static void expect_args(const char *headers, const char *args, const char *expected) {
  char problem[400], all[2048], params[1024], whole[400];
  snprintf(all, sizeof all, CALL N("t") "%s", headers);
  snprintf(params, sizeof params, "{\"name\":\"t\",\"arguments\":%s," META "}", args);
  snprintf(whole, sizeof whole, "%s%s", *expected != '\0' ? "header mismatch: Mcp-Param-" : "", expected);
  int code = judge(all, "tools/call", params, true, problem);
  cr_expect_eq(code, *expected != '\0' ? MCP__HEADER_MISMATCH : 0, "%s for %s: %s", headers, args, problem);
  cr_expect_str_eq(problem, whole, "%s for %s", headers, args);
}

#define TEXT(value) "Mcp-Param-Text: " value "\r\n"
#define INT(value) "Mcp-Param-Int: " value "\r\n"
#define FLAG(value) "Mcp-Param-Flag: " value "\r\n"
#define DIFFERS " is not the value in the body"

Test(http_headers, strings) {
  expect_args("", "{}", "");
  expect_args("", "{\"text\":null}", "");
  expect_args(TEXT("x"), "{\"text\":\"x\"}", "");
  expect_args("mcp-param-TEXT:x\r\n", "{\"text\":\"x\"}", "");
  expect_args(TEXT(""), "{\"text\":\"\"}", "");
  expect_args(TEXT("=?base64?IHBhZGRlZCA=?="), "{\"text\":\" padded \"}", "");
  expect_args(TEXT("=?base64?bGluZTEKbGluZTI=?="), "{\"text\":\"line1\\nline2\"}", "");
  expect_args("Mcp-Param-Deep: y\r\n", "{\"a\":{\"b\":\"y\"}}", "");
  expect_args("Mcp-Param-Unknown: y\r\n", "{}", ""); /* of no parameter */
  expect_args("", "{\"text\":\"x\"}", "Text is missing: the argument is given");
  expect_args("", "{\"a\":{\"b\":\"\"}}", "Deep is missing: the argument is given");
  expect_args(TEXT("x"), "{}", "Text is given, but the argument is not");
  expect_args(TEXT("null"), "{\"text\":null}", "Text is given, but the argument is not");
  expect_args(TEXT("X"), "{\"text\":\"x\"}", "Text" DIFFERS);
  expect_args(TEXT("x") TEXT("x"), "{\"text\":\"x\"}", "Text" DIFFERS);
  expect_args(TEXT("x\x80"), "{\"text\":\"x\"}", "Text cannot be read");
  expect_args(TEXT("=?base64?eA==?="), "{\"text\":\"x\\u0000\"}", "Text" DIFFERS);
  expect_args(TEXT("=?base64?eA=?="), "{\"text\":\"x\"}", "Text cannot be read");
}

Test(http_headers, integers_are_numbers) { /* "compare the … integer values" */
  static const char *const same[] = {"42", "42.0", "4.2e1", "042", "=?base64?NDI=?="};
  static const char *const others[] = {"43",   "4",   "42x", "0x2a", "4 2",   "",
                                       "true", "inf", "nan", "42\"", "\"42\""};
  char header[64];
  for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
    snprintf(header, sizeof header, INT("%s"), same[i]);
    expect_args(header, "{\"int\":42}", "");
  }
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    snprintf(header, sizeof header, INT("%s"), others[i]);
    expect_args(header, "{\"int\":42}", "Int" DIFFERS);
  }
  expect_args(INT("-7"), "{\"int\":-7}", "");
  expect_args(INT("=?base64?MTIz?="), "{\"int\":123}", ""); /* no padding: nothing ends the digits */
  expect_args(INT("9007199254740991"), "{\"int\":9007199254740991}", "");
  expect_args(INT("9007199254740993"), "{\"int\":9007199254740992}", "Int" DIFFERS); /* the same as doubles */
  expect_args(INT("-9007199254740992"), "{\"int\":-9007199254740992}", "Int" DIFFERS);
  expect_args(INT("1"), "{\"int\":true}", "Int" DIFFERS);
  expect_args(INT("1"), "{\"int\":\"1\"}", ""); /* the schema refuses that */
}

Test(http_headers, booleans_are_words) {
  expect_args(FLAG("true"), "{\"flag\":true}", "");
  expect_args(FLAG("false"), "{\"flag\":false}", "");
  expect_args(FLAG("=?base64?dHJ1ZQ==?="), "{\"flag\":true}", "");
  expect_args(FLAG("=?base64?ZmFsc2U=?="), "{\"flag\":false}", "");
  expect_args(FLAG("True"), "{\"flag\":true}", "Flag" DIFFERS);
  expect_args(FLAG("1"), "{\"flag\":true}", "Flag" DIFFERS);
  expect_args(FLAG("true"), "{\"flag\":false}", "Flag" DIFFERS);
  expect_args("", "{\"flag\":false}", "Flag is missing: the argument is given");
  expect_no_leak();
}
