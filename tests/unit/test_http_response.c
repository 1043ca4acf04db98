/* test_http_response.c: heads of responses by their status and framing, lengths put in afterwards, chunks. */
#include "transport/http_response.h"
#include "leaks.h"
#include "out_of_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

static const char *written(const mcp__response_head_t *head) {
  static char text[4096];
  mcp__buf_t out;
  mcp__buf_init(&out, sizeof text, NULL);
  cr_assert_eq(mcp__http_write_head(&out, head), 0);
  snprintf(text, sizeof text, "%.*s", (int)out.len, out.data);
  mcp__buf_deinit(&out);
  return text;
}

Test(http_response, heads) {
  mcp__response_head_t head = {.status = 200, .type = "application/json", .len = 2, .keep_alive = true};
  cr_expect_str_eq(written(&head),
                   "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n");
  head = (mcp__response_head_t){.status = 202, .keep_alive = true};
  cr_expect_str_eq(written(&head), "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n");
  head = (mcp__response_head_t){.status = 204};
  cr_expect_str_eq(written(&head),
                   "HTTP/1.1 204 No Content\r\nAllow: " MCP__HTTP_METHODS "\r\nConnection: close\r\n\r\n");
  head = (mcp__response_head_t){.status = 405, .type = "a/b", .allow = "POST", .keep_alive = true};
  cr_expect_not_null(strstr(written(&head), "\r\nAllow: POST\r\n"));
  head = (mcp__response_head_t){.status = 401, .type = "a/b"};
  cr_expect_not_null(strstr(written(&head), "\r\nWWW-Authenticate: Bearer realm=\"mcp\"\r\n"));
  head = (mcp__response_head_t){.status = 503, .type = "a/b"};
  cr_expect_not_null(strstr(written(&head), "\r\nRetry-After: 1\r\n"));
  head = (mcp__response_head_t){.status = 200,
                                .type = "text/event-stream",
                                .framing = MCP__CHUNKED,
                                .uncached = true,
                                .keep_alive = true};
  cr_expect_str_eq(written(&head),
                   "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
                   "Cache-Control: no-cache\r\nX-Accel-Buffering: no\r\n\r\n");
  head.framing = MCP__UNTIL_CLOSE;
  head.keep_alive = false;
  cr_expect_null(strstr(written(&head), "Content-Length"));
  cr_expect_null(strstr(written(&head), "Transfer-Encoding"));
  cr_expect_not_null(strstr(written(&head), "\r\nConnection: close\r\n"));
}

Test(http_response, what_pages_of_other_origins_may_do) {
  mcp__response_head_t head = {.status = 200, .type = "a/b", .session_id = "abc"};
  cr_expect_null(strstr(written(&head), "Access-Control"));
  cr_expect_not_null(strstr(written(&head), "\r\nMcp-Session-Id: abc\r\n"));
  head.origin = "https://a.example";
  cr_expect_not_null(
      strstr(written(&head), "\r\nAccess-Control-Allow-Origin: https://a.example\r\nVary: Origin\r\n"));
  cr_expect_not_null(strstr(written(&head), "Access-Control-Expose-Headers: Mcp-Session-Id"));
  cr_expect_null(strstr(written(&head), "Access-Control-Allow-Methods"));
  head.status = 204;
  cr_expect_not_null(strstr(written(&head), "\r\nAccess-Control-Allow-Methods: GET, POST, DELETE\r\n"));
  cr_expect_not_null(strstr(written(&head), "\r\nAccess-Control-Allow-Headers: *, Authorization\r\n"));
}

/* The length stands in the head as digits behind blanks, which belong to no value (RFC 9110 section 5.5). */
Test(http_response, a_length_that_is_known_later) {
  static const size_t lengths[] = {0, 1, 9, 10, 99999, 1 << 20};
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    mcp__buf_t out;
    mcp__response_head_t head = {.status = 200, .type = "application/json", .framing = MCP__LENGTH_LATER};
    mcp__buf_init(&out, 2 << 20, NULL);
    cr_assert_eq(mcp__buf_puts(&out, "before"), 0);
    cr_assert_eq(mcp__http_write_head(&out, &head), 0);
    size_t body = out.len;
    for (size_t j = 0; j < lengths[i]; j++)
      cr_assert_eq(mcp__buf_append(&out, "x", 1), 0);
    mcp__http_set_length(&out, body);
    cr_expect_eq(out.len - body, lengths[i]);
    cr_assert_eq(mcp__buf_append(&out, "", 1), 0);
    const char *at = strstr(out.data, "Content-Length: ");
    cr_assert_not_null(at);
    cr_expect_eq(strtoul(at + 16, NULL, 10), lengths[i], "%s", out.data);
    cr_expect(memcmp(out.data + body - 4, "\r\n\r\n", 4) == 0);
    mcp__buf_deinit(&out);
  }
  expect_no_leak();
}

Test(http_response, chunks) {
  mcp__buf_t out;
  size_t at;
  mcp__buf_init(&out, 1 << 20, NULL);
  cr_assert_eq(mcp__http_begin_chunk(&out, &at), 0);
  cr_assert_eq(mcp__buf_puts(&out, "hello"), 0);
  cr_assert_eq(mcp__http_end_chunk(&out, at), 0);
  cr_assert_eq(mcp__http_begin_chunk(&out, &at), 0);
  for (int i = 0; i < 0x1234; i++)
    cr_assert_eq(mcp__buf_append(&out, "y", 1), 0);
  cr_assert_eq(mcp__http_end_chunk(&out, at), 0);
  cr_assert_eq(mcp__http_last_chunk(&out), 0);
  cr_assert_eq(mcp__buf_append(&out, "", 1), 0);
  cr_expect_eq(strncmp(out.data, "00000005\r\nhello\r\n00001234\r\nyy", 29), 0, "%.40s", out.data);
  cr_expect_str_eq(out.data + out.len - 9, "y\r\n0\r\n\r\n");
  mcp__buf_deinit(&out);
}

Test(http_response, all_or_nothing) {
  for (size_t max = 0; max < 400; max++) {
    mcp__buf_t out;
    mcp__buf_init(&out, max, NULL);
    int status = mcp__write_plain(&out, 503, "busy\n");
    cr_expect(status == 0 ? out.len > 50 : out.len == 0, "%zu: %d, %zu", max, status, out.len);
    mcp__buf_deinit(&out);
  }
  expect_no_leak();
}
