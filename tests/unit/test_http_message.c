/* test_http_message.c: messages as HTTP requests, and what refusals mean. */
#include "client/http_message.h"

#include "iccm_network.h"
#include "base/json.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#define VERSION "\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\""
#define META                                                                                                 \
  "\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\",\"io.modelcontextprotocol/"                    \
  "clientCapabilities\":{},"                                                                                 \
  "\"io.modelcontextprotocol/clientInfo\":{\"name\":\"iccm-network\",\"version\":\"" MCP_VERSION "\"}"

static mcp__outgoing_t message;

static const char *body_of(const char *text, mcp__era_t era) {
  cr_assert_eq(mcp__outgoing_read(&message, text, strlen(text), era, SIZE_MAX / 4), 0, "%s", text);
  cr_assert_eq(mcp__buf_append(&message.body, "", 1), 0);
  message.body.len--;
  return message.body.data;
}

Test(http_message, metadata_is_added) {
  static const char *const rows[][2] = {
      {"{\"id\":1,\"method\":\"x\"}", "{\"id\":1,\"method\":\"x\",\"params\":{\"_meta\":{" META "}}}"},
      {"{\"id\":1,\"method\":\"x\",\"params\":{\"a\":[{}]}}",
       "{\"id\":1,\"method\":\"x\",\"params\":{\"a\":[{}],\"_meta\":{" META "}}}"},
      {"{\"id\":1,\"method\":\"x\",\"params\":{\"a\":1,\"_meta\":{\"b\":{}}}}",
       "{\"id\":1,\"method\":\"x\",\"params\":{\"a\":1,\"_meta\":{\"b\":{}," META "}}}"},
      /* Others are written anew. */
      {"{\"id\":1,\"method\":\"x\",\"params\":{}}",
       "{\"id\":1,\"method\":\"x\",\"params\":{\"_meta\":{" META "}}}"},
      {"{\"id\":1, \"params\":{\"_meta\":{\"b\":1},\"a\":2}, \"method\":\"x\"} ",
       "{\"id\":1,\"params\":{\"_meta\":{\"b\":1," META "},\"a\":2},\"method\":\"x\"}"},
      {"{\"id\":1,\"method\":\"x\",\"params\":{\"_meta\":{}}}",
       "{\"id\":1,\"method\":\"x\",\"params\":{\"_meta\":{" META "}}}"},
      {"{\"id\":1,\"method\":\"x\",\"params\":null}",
       "{\"id\":1,\"method\":\"x\",\"params\":{\"_meta\":{" META "}}}"},
      /* ping does not exist any more. */
      {"{\"id\":\"a\",\"method\":\"ping\"}",
       "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"server/discover\",\"params\":{\"_meta\":{" META "}}}"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    cr_expect_str_eq(body_of(rows[i][0], MCP__ERA_MODERN), rows[i][1], "%s", message.body.data);
    mcp__outgoing_deinit(&message);
    cr_expect_str_eq(body_of(rows[i][0], MCP__ERA_LEGACY), rows[i][0]);
    mcp__outgoing_deinit(&message);
  }
  static const char *const unchanged[] = {"{\"method\":\"notifications/x\"}", "{\"id\":1,\"result\":{}}",
                                          "{\"id\":1,\"method\":\"x\",\"params\":{\"_meta\":{" VERSION "}}}"};
  for (size_t i = 0; i < sizeof unchanged / sizeof *unchanged; i++) {
    cr_expect_str_eq(body_of(unchanged[i], MCP__ERA_MODERN), unchanged[i]);
    mcp__outgoing_deinit(&message);
  }
}

Test(http_message, members) {
  body_of("{\"id\":\"\\u00e9\",\"method\":\"resources/read\",\"params\":{\"uri\":\"a:b\"}}", MCP__ERA_MODERN);
  cr_expect_str_eq(message.id, "\"\xc3\xa9\"");
  cr_expect_str_eq(message.name, "a:b");
  mcp__outgoing_deinit(&message);
  body_of("{\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":12}}", MCP__ERA_MODERN);
  cr_expect(message.id == NULL && message.name == NULL);
  cr_expect_str_eq(message.cancels, "12");
  mcp__outgoing_deinit(&message);
  cr_expect_eq(mcp__outgoing_read(&message, "{", 1, MCP__ERA_MODERN, 100), MCP_EENCODE);
}

static const char *post_of(const char *text, const mcp__http_target_t *to, const mcp__buf_t *params) {
  static char post[4096];
  mcp__buf_t out;
  mcp__buf_init(&out, sizeof post, NULL);
  body_of(text, to->era);
  cr_assert_eq(mcp__http_write_post(&out, to, &message, params), 0);
  memcpy(post, out.data, out.len);
  post[out.len] = '\0';
  mcp__outgoing_deinit(&message);
  mcp__buf_deinit(&out);
  return post;
}

Test(http_message, posts) {
  mcp__url_t url;
  char problem[64];
  cr_assert_eq(mcp__url_parse("http://h:1/p", &url, problem, sizeof problem), 0);
  mcp__http_target_t to = {.url = &url, .era = MCP__ERA_LEGACY};
  cr_expect_str_eq(
      post_of("{\"result\":{}}", &to, NULL),
      "POST /p HTTP/1.1\r\nHost: h:1\r\nContent-Type: application/json\r\n"
      "Accept: application/json, text/event-stream\r\nContent-Length: 13\r\n\r\n{\"result\":{}}");
  to = (mcp__http_target_t){&url, "t", "2025-06-18", "s", MCP__ERA_LEGACY};
  const char *post = post_of("{\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"x\"}}", &to, NULL);
  cr_expect_not_null(strstr(post, "\r\nAuthorization: Bearer t\r\nMCP-Protocol-Version: 2025-06-18\r\n"
                                  "Mcp-Session-Id: s\r\n"));
  cr_expect_null(strstr(post, "Mcp-Name"));
  to.era = MCP__ERA_MODERN;
  post = post_of("{\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"x\"}}", &to, NULL);
  cr_expect_not_null(strstr(post, "\r\nMcp-Method: tools/call\r\nMcp-Name: x\r\n"), "%s", post);
  post =
      post_of("{\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"\xc3\xa9\\r\\nX: y\"}}", &to, NULL);
  cr_expect_not_null(strstr(post, "\r\nMcp-Name: =?base64?w6kNClg6IHk=?=\r\n"), "%s", post);
}

Test(http_message, params) {
  static const char schema[] =
      "{\"properties\":{\"s\":{\"type\":\"string\",\"x-mcp-header\":\"S\"},\"i\":{\"type\":\"integer\","
      "\"x-mcp-header\":\"I\"},\"b\":{\"type\":\"boolean\",\"x-mcp-header\":\"B\"},\"o\":{\"type\":"
      "\"object\","
      "\"properties\":{\"n\":{\"type\":\"string\",\"x-mcp-header\":\"N\"}}}}}";
  char problem[200];
  mcp__tool_headers_t headers = {0};
  mcp__json_error_t error;
  yyjson_doc *doc = mcp__json_read(schema, strlen(schema), &mcp__json_alc, &error);
  cr_assert_eq(mcp__tool_headers_read(&headers, yyjson_doc_get_root(doc), problem, sizeof problem), 0);
  static const char *const rows[][2] = {
      {"{\"s\":\"a b\",\"i\":-7,\"b\":true,\"o\":{\"n\":\"x\"}}",
       "Mcp-Param-S: a b\r\nMcp-Param-I: -7\r\nMcp-Param-B: true\r\nMcp-Param-N: x\r\n"},
      {"{\"s\":null,\"o\":3}", ""},
      {"{}", ""},
      {"{\"s\":\" a\"}", "Mcp-Param-S: =?base64?IGE=?=\r\n"},
      {"{\"s\":\"\"}", "Mcp-Param-S: =?base64?"
                       "?=\r\n"},
      {"{\"s\":\"=?base64?YQ==?=\"}", "Mcp-Param-S: =?base64?PT9iYXNlNjQ/WVE9PT89?=\r\n"},
      {"{\"s\":[1],\"i\":123456789012345678901234567890}", "Mcp-Param-I: 123456789012345678901234567890\r\n"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char text[300];
    mcp__buf_t out;
    mcp__buf_init(&out, 1000, NULL);
    snprintf(text, sizeof text, "{\"id\":1,\"method\":\"tools/call\",\"params\":{\"arguments\":%s}}",
             rows[i][0]);
    body_of(text, MCP__ERA_MODERN);
    cr_assert_eq(mcp__http_write_params(&out, &headers, &message), 0);
    cr_expect(out.len == strlen(rows[i][1]) && (out.len == 0 || memcmp(out.data, rows[i][1], out.len) == 0),
              "%.*s", (int)out.len, out.data);
    mcp__outgoing_deinit(&message);
    mcp__buf_deinit(&out);
  }
  mcp__tool_headers_free(&headers);
  yyjson_doc_free(doc);
}

Test(http_message, refusals) {
  static const struct {
    mcp__http_refusal_t refusal;
    int status;
    const char *problem;
  } rows[] = {
      {{.status = 401, .body = "no\nmore", .body_len = 7},
       MCP_EREFUSED,
       "the server answered HTTP 401 \"no\": set its token with ICCM_AUTH_TOKEN or "
       "mcp_client_set_auth_token()"},
      {{.status = 403}, MCP_EREFUSED, "the server answered HTTP 403"},
      {{.status = 404, .type = "text/html", .body = "<html>", .body_len = 6},
       MCP_EUPGRADE,
       "the server answered HTTP 404 with text/html \"<html>\": no MCP endpoint at this path (many servers "
       "use /mcp)"},
      {{.status = 302, .location = "https://x/"},
       MCP_EUPGRADE,
       "the server answered HTTP 302: redirects are not followed, use the address https://x/"},
      {{.status = 413}, MCP_ETOOBIG, "the server answered HTTP 413"},
      {{.status = 503}, MCP_EBUSY, "the server answered HTTP 503: retry later"},
      {{.status = 202},
       MCP_EPROTOCOL,
       "the server answered HTTP 202 without a response of JSON-RPC: check that the path is that of MCP"},
      {{.status = 502}, MCP_EUPGRADE, "the server answered HTTP 502"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char problem[512];
    cr_expect_eq(mcp__http_explain(&rows[i].refusal, problem, sizeof problem), rows[i].status);
    cr_expect_str_eq(problem, rows[i].problem, "%s", problem);
  }
}
