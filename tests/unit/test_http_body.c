/* test_http_body.c: bodies of known length and in chunks, cut at each byte; each limit from both sides; a
 * gate that has no room for a time. */
#include "transport/http_body.h"
#include "leaks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define POST(headers) "POST / HTTP/1.1\r\nHost: h\r\n" headers "\r\n"
#define LENGTH(n) POST("Content-Length: " #n "\r\n")
#define CHUNKED POST("Transfer-Encoding: chunked\r\n")

typedef struct reading {
  mcp__head_t head;
  mcp__buf_t body;
  mcp__head_state_t state;
  size_t used; /* behind the head */
} reading_t;

static void begin(reading_t *reading, const char *head, size_t max, const mcp__buf_quota_t *quota) {
  size_t used;
  cr_assert_eq(mcp__head_init(&reading->head, true), 0);
  mcp__buf_init(&reading->body, max, quota);
  cr_assert_eq(mcp__head_feed(&reading->head, head, strlen(head), &used), MCP__HEAD_DONE, "%s", head);
  cr_assert_eq(used, strlen(head));
  reading->state = MCP__HEAD_MORE;
  reading->used = 0;
}

static void end(reading_t *reading) {
  mcp__head_deinit(&reading->head);
  mcp__buf_deinit(&reading->body);
}

/* In a copy with nothing behind it. Returns how much was used. */
static size_t feed(reading_t *reading, const char *data, size_t len) {
  char *piece = malloc(len);
  size_t used = 99999999;
  memcpy(piece, data, len);
  reading->state = mcp__http_body_feed(&reading->head, &reading->body, piece, len, &used);
  free(piece);
  cr_assert_leq(used, len);
  reading->used += used;
  return used;
}

static void feed_in_steps(reading_t *reading, const char *text, size_t len, size_t first, size_t step) {
  size_t at = 0;
  for (size_t to = first; at < len && reading->state == MCP__HEAD_MORE; to += step) {
    to = to < len ? to : len;
    size_t used = feed(reading, text + at, to - at);
    cr_assert(reading->state != MCP__HEAD_MORE || used == to - at, "%s from %zu by %zu", text, first, step);
    at = to;
  }
}

typedef struct row {
  const char *head, *text; /* a head, and what comes behind it */
  size_t len;              /* of the text that belongs to the body */
  const char *body;        /* NULL: refused, … */
  int status;              /* … with this */
} row_t;

static void check(const row_t *row, const char *text, size_t len, size_t first, size_t step) {
  reading_t reading;
  begin(&reading, row->head, 16, NULL);
  cr_expect(mcp__http_has_body(&reading.head));
  feed_in_steps(&reading, text, len, first, step);
  if (row->body == NULL) {
    cr_expect_eq(reading.state, MCP__HEAD_BAD, "%s from %zu by %zu", row->text, first, step);
    cr_expect_eq(reading.head.status, row->status, "%s: %d", row->text, reading.head.status);
    cr_expect_not_null(reading.head.problem);
  } else {
    cr_expect_eq(reading.state, MCP__HEAD_DONE, "%s from %zu by %zu", row->text, first, step);
    cr_expect_eq(reading.used, row->len, "%s from %zu by %zu: %zu", row->text, first, step, reading.used);
    cr_expect_eq(reading.body.len, strlen(row->body));
    cr_expect(memcmp(reading.body.data, row->body, reading.body.len) == 0, "%s", row->text);
  }
  end(&reading);
}

#define FINE(head, text, body)                                                                               \
  { head, text, sizeof(text) - 1, body, 0 }
#define BAD(head, text, status)                                                                              \
  { head, text, 0, NULL, status }

Test(http_body, cut_anywhere) {
  static const row_t rows[] = {
      FINE(LENGTH(1), "x", "x"),
      FINE(LENGTH(5), "hello", "hello"),
      FINE(LENGTH(16), "0123456789abcdef", "0123456789abcdef"),
      FINE(POST("Upgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 2\r\n"), "{}", "{}"),
      FINE(CHUNKED, "0\r\n\r\n", ""),
      FINE(CHUNKED, "5\r\nhello\r\n0\r\n\r\n", "hello"),
      FINE(CHUNKED, "2\r\nhe\r\n0003\r\nllo\r\n00\r\n\r\n", "hello"),
      FINE(CHUNKED, "A\r\n0123456789\r\n6\r\nabcdef\r\n0\r\n\r\n", "0123456789abcdef"),
      FINE(CHUNKED, "1;a=b;c=\"d;e\"\r\nx\r\n0;end\r\n\r\n", "x"),
      FINE(CHUNKED, "1\r\nx\r\n0\r\nX-A: b\r\nMcp-Name: evil\r\n\r\n", "x"),
      BAD(CHUNKED, "11\r\n0123456789abcdefg", 413),
      BAD(CHUNKED, "8\r\n01234567\r\n9\r\n", 413), /* before its bytes */
      BAD(CHUNKED, "ffffffffffffffff\r\n", 413),
      BAD(CHUNKED, "10000000000000000\r\n", 400),
      BAD(CHUNKED, "x\r\n", 400),
      BAD(CHUNKED, "-1\r\n", 400),
      BAD(CHUNKED, "1\r\nxy\r\n", 400),
      BAD(CHUNKED, "1\nx\r\n0\r\n\r\n", 400),
      BAD(CHUNKED, "1\r\nx\r\n0\r\nX A: b\r\n\r\n", 400),
  };
  static const char behind[] = "POST / HTTP/1.1\r\n";
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char text[256];
    int len = snprintf(text, sizeof text, "%s%s", rows[i].text, rows[i].body != NULL ? behind : "");
    for (size_t first = 1; first <= (size_t)len; first++)
      check(&rows[i], text, (size_t)len, first, (size_t)len);
    check(&rows[i], text, (size_t)len, 1, 1);
    check(&rows[i], text, (size_t)len, 2, 3);
  }
  expect_no_leak();
}

Test(http_body, heads_without_one) {
  static const char *const heads[] = {POST(""), LENGTH(0)};
  for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
    reading_t reading;
    begin(&reading, heads[i], 16, NULL);
    cr_expect(!mcp__http_has_body(&reading.head), "%s", heads[i]);
    end(&reading);
  }
}

/* Trailers are no headers of the request, and have its limit of headers. */
Test(http_body, trailers) {
  reading_t reading;
  begin(&reading, CHUNKED, 16, NULL);
  static const char text[] = "0\r\nMcp-Session-Id: a\r\nMcp-Param-A: b\r\nHost: c\r\n\r\n";
  feed(&reading, text, sizeof text - 1);
  cr_expect_eq(reading.state, MCP__HEAD_DONE);
  cr_expect_null(mcp__head_value(&reading.head, MCP__H_MCP_SESSION));
  cr_expect_str_eq(mcp__head_value(&reading.head, MCP__H_HOST), "h");
  cr_expect_eq(reading.head.params.len, 0);
  end(&reading);
  begin(&reading, CHUNKED, 16, NULL);
  feed(&reading, "0\r\n", 3);
  for (int i = 0; i < MCP__HEAD_MAX_HEADERS && reading.state == MCP__HEAD_MORE; i++)
    feed(&reading, "A: b\r\n", 6);
  feed(&reading, "A: b\r\n", 6);
  cr_expect_eq(reading.state, MCP__HEAD_BAD);
  cr_expect_eq(reading.head.status, 431);
  end(&reading);
}

/* What is sent besides the body itself: chunks of one byte are fine, extensions without an end are not. */
Test(http_body, overhead) {
  enum { BYTES = 100000 };
  reading_t reading;
  begin(&reading, CHUNKED, BYTES, NULL);
  for (int i = 0; i < BYTES; i++)
    feed(&reading, "1\r\nx\r\n", 6);
  feed(&reading, "0\r\n\r\n", 5);
  cr_expect_eq(reading.state, MCP__HEAD_DONE);
  cr_expect_eq(reading.body.len, BYTES);
  end(&reading);
  begin(&reading, CHUNKED, BYTES, NULL);
  feed(&reading, "1;a=", 4);
  while (reading.state == MCP__HEAD_MORE && reading.used < 10 * MCP__BODY_OVERHEAD)
    feed(&reading, "0123456789", 10);
  cr_expect_eq(reading.state, MCP__HEAD_BAD);
  cr_expect_eq(reading.head.status, 400);
  cr_expect(reading.used > MCP__BODY_OVERHEAD && reading.used <= MCP__BODY_OVERHEAD + 10, "%zu",
            reading.used);
  end(&reading);
}

static bool has_room(size_t more, void *arg) {
  (void)more;
  return *(const bool *)arg;
}

/* Nothing is taken for which there is no room: the same bytes are given again, and nothing is lost. */
Test(http_body, a_gate_without_room) {
  enum { LEN = 4 * MCP__BUF_QUOTA_FROM_BYTES };
  bool open = true;
  mcp__buf_quota_t quota = {has_room, &open};
  char *text = malloc(LEN), head[128];
  for (size_t i = 0; i < LEN; i++)
    text[i] = (char)('a' + i % 26);
  snprintf(head, sizeof head, POST("Content-Length: %d\r\n"), LEN);
  reading_t reading;
  begin(&reading, head, LEN, &quota);
  unsigned refused = 0;
  while (reading.state == MCP__HEAD_MORE) {
    size_t left = LEN - reading.used, len = left < 10000 ? left : 10000;
    open = false;
    size_t used = feed(&reading, text + reading.used, len);
    cr_assert(used == 0 || used == len);
    refused += used == 0;
    open = true;
    if (used == 0)
      cr_assert_eq(feed(&reading, text + reading.used, len), len);
  }
  cr_expect_eq(reading.state, MCP__HEAD_DONE);
  cr_expect_gt(refused, 0);
  cr_expect_eq(reading.body.len, LEN);
  cr_expect(memcmp(reading.body.data, text, LEN) == 0);
  end(&reading);
  free(text);
  expect_no_leak();
}
