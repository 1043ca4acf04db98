/* test_http_request.c: what the headers of a request say of its body and of the response. */
#include "transport/http_request.h"
#include "leaks.h"

#include <stdio.h>
#include <string.h>

static void read_head(mcp__head_t *head, const char *version, const char *headers) {
  char text[4096];
  size_t used;
  int len = snprintf(text, sizeof text, "POST / HTTP/%s\r\nHost: h\r\n%s\r\n", version, headers);
  cr_assert_eq(mcp__head_init(head, true), 0);
  cr_assert_eq(mcp__head_feed(head, text, (size_t)len, &used), MCP__HEAD_DONE, "%s", text);
}

#define JSON "application/json"
#define EVENTS "text/event-stream"

Test(http_request, accept) { /* RFC 9110 section 12.5.1 */
  static const struct {
    const char *headers;
    bool json, events, names_events;
  } rows[] = {
      {"", true, true, false},
      {"Accept: application/json\r\n", true, false, false},
      {"Accept: APPLICATION/JSON , text/Event-Stream\r\n", true, true, true},
      {"Accept: application/json\r\nAccept: text/event-stream\r\n", true, true, true},
      {"accept:text/event-stream;charset=utf-8;q=0.5\r\n", false, true, true},
      {"Accept: text/event-stream;q=0, */*\r\n", true, false, false},
      {"Accept: */*, text/event-stream; q=0.000\r\n", true, false, false},
      {"Accept: */*;q=0\r\n", false, false, false},
      {"Accept: */*;q=0.001\r\n", true, true, false},
      {"Accept: application/*\r\n", true, false, false},
      {"Accept: text/*;Q=1, application/xml\r\n", false, true, false},
      {"Accept: application/*;q=0, application/json\r\n", true, false, false},
      {"Accept: application/jsonp, xapplication/json\r\n", false, false, false},
      {"Accept: application\r\n", false, false, false},
      {"Accept: application/json/x\r\n", false, false, false},
      {"Accept: ,, ,application/json;;,\r\n", true, false, false},
      {"Accept: application/json;eq=0\r\n", true, false, false},
      {"Accept: application/json;q=\r\n", true, false, false}, /* as without */
      {"Accept: \r\n", false, false, false},
      {"Accept: ;q=1\r\n", false, false, false},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    mcp__head_t head;
    read_head(&head, "1.1", rows[i].headers);
    cr_expect_eq(mcp__http_accepts(&head, JSON), rows[i].json, "%s", rows[i].headers);
    cr_expect_eq(mcp__http_accepts(&head, EVENTS), rows[i].events, "%s", rows[i].headers);
    cr_expect_eq(mcp__http_names(&head, EVENTS), rows[i].names_events, "%s", rows[i].headers);
    mcp__head_deinit(&head);
  }
  expect_no_leak();
}

Test(http_request, content_type) {
  static const struct {
    const char *headers;
    bool is_json;
  } rows[] = {
      {"", false},
      {"Content-Type: application/json\r\n", true},
      {"content-type: Application/JSON\r\n", true},
      {"Content-Type: application/json; charset=utf-8\r\n", true},
      {"Content-Type: application/json ;x=y;z\r\n", true},
      {"Content-Type: application/json;\r\n", true},
      {"Content-Type: application/jsonx\r\n", false},
      {"Content-Type: application/json, text/plain\r\n", false},
      {"Content-Type: text/plain; application/json\r\n", false},
      {"Content-Type: \r\n", false},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    mcp__head_t head;
    read_head(&head, "1.1", rows[i].headers);
    cr_expect_eq(mcp__http_content_is(&head, JSON), rows[i].is_json, "%s", rows[i].headers);
    mcp__head_deinit(&head);
  }
}

Test(http_request, keep_alive_and_expect) { /* RFC 9112 section 9.3, RFC 9110 section 10.1.1 */
  static const struct {
    const char *version, *headers;
    bool keeps_alive, expects;
  } rows[] = {
      {"1.1", "", true, false},
      {"1.1", "Connection: keep-alive\r\n", true, false},
      {"1.1", "Connection: close\r\n", false, false},
      {"1.1", "Connection: x, CLOSE\r\n", false, false},
      {"1.1", "Connection: x\r\nConnection: close\r\n", false, false},
      {"1.0", "", false, false},
      {"1.0", "Connection: keep-alive\r\n", false, false},
      {"1.1", "Expect: 100-continue\r\n", true, true},
      {"1.1", "Expect: 100-Continue\r\n", true, true},
      {"1.1", "Expect: 100-continued\r\n", true, false},
      {"1.0", "Expect: 100-continue\r\n", false, false},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    mcp__head_t head;
    read_head(&head, rows[i].version, rows[i].headers);
    cr_expect_eq(mcp__http_keeps_alive(&head), rows[i].keeps_alive, "%s", rows[i].headers);
    cr_expect_eq(mcp__http_expects_continue(&head), rows[i].expects, "%s", rows[i].headers);
    mcp__head_deinit(&head);
  }
}

Test(http_request, parameters_of_tools) {
  mcp__head_t head;
  bool twice = true;
  read_head(&head, "1.1", "");
  cr_expect_null(mcp__http_param(&head, "Region", &twice));
  cr_expect(!twice);
  mcp__head_deinit(&head);
  read_head(&head, "1.1",
            "Mcp-Param-Region:  us west \r\nmcp-param-REGIONS: b\r\nMCP-PARAM-Empty:\r\nMcp-Param-: none\r\n"
            "Mcp-Param: x\r\nX-Mcp-Param-X: y\r\nMcp-Param-Region2: a\r\nMcp-Param-region2: b\r\n");
  cr_expect_str_eq(mcp__http_param(&head, "REGION", &twice), "us west");
  cr_expect(!twice);
  cr_expect_str_eq(mcp__http_param(&head, "regions", &twice), "b");
  cr_expect_str_eq(mcp__http_param(&head, "Empty", &twice), "");
  cr_expect_null(mcp__http_param(&head, "Regio", &twice));
  cr_expect_null(mcp__http_param(&head, "X", &twice));
  cr_expect_str_eq(mcp__http_param(&head, "Region2", &twice), "b");
  cr_expect(twice);
  mcp__head_deinit(&head);
  expect_no_leak();
}
