/* test_upgrade.c: heads of requests and answers, whole, cut at each byte, and byte by byte; each rule broken
 * once; limits from both sides. */
#include "transport/http_response.h"
#include "transport/upgrade.h"
#include "leaks.h"
#include "out_of_memory.h"

#include <stdio.h>
#include <string.h>
#include <uv.h>

#define GET "GET / HTTP/1.1\r\n"
#define HOST "Host: h\r\n"
#define UPGRADE "Upgrade: websocket\r\n"
#define CONNECTION "Connection: Upgrade\r\n"
#define NONCE "dGhlIHNhbXBsZSBub25jZQ==" /* RFC 6455 section 1.3 */
#define KEY "Sec-WebSocket-Key: " NONCE "\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define END "\r\n"
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

/* A copy with nothing behind it, fed up to the end of each piece; pieces end at first, then at every step
 * bytes. */
static mcp__head_state_t feed(mcp__head_t *head, const char *text, size_t len, size_t first, size_t step,
                              size_t *used) {
  mcp__head_state_t state = MCP__HEAD_MORE;
  size_t at = 0;
  *used = 0;
  for (size_t to = first < len ? first : len; state == MCP__HEAD_MORE && at < len;
       to = to + step < len ? to + step : len) {
    char *piece = malloc(to - at);
    size_t taken = 99999;
    memcpy(piece, text + at, to - at);
    state = mcp__head_feed(head, piece, to - at, &taken);
    cr_assert_leq(taken, to - at);
    cr_assert(state != MCP__HEAD_MORE || taken == to - at);
    *used += taken;
    free(piece);
    at = to;
  }
  return state;
}

typedef struct row {
  const char *head;
  mcp__head_state_t state;
  mcp__http_request_kind_t wish;
  int status;
} row_t;

#define SOCKET(head)                                                                                         \
  { head, MCP__HEAD_DONE, MCP__HTTP_WEBSOCKET, 0 }
#define PLAIN(head)                                                                                          \
  { head, MCP__HEAD_DONE, MCP__HTTP_GET, 0 }
#define POST(head)                                                                                           \
  { head, MCP__HEAD_DONE, MCP__HTTP_POST, 0 }
#define OPTIONS(head)                                                                                        \
  { head, MCP__HEAD_DONE, MCP__HTTP_OPTIONS, 0 }
#define WRONG(head, status)                                                                                  \
  { head, MCP__HEAD_DONE, MCP__HTTP_INVALID, status }
#define BAD(head, status)                                                                                    \
  { head, MCP__HEAD_BAD, MCP__HTTP_INVALID, status }

static void check_fed(const row_t *row, const char *text, size_t len, size_t first, size_t step) {
  mcp__head_t head;
  size_t used;
  cr_assert_eq(mcp__head_init(&head, true), 0);
  mcp__head_state_t state = feed(&head, text, len, first, step, &used);
  cr_expect_eq(state, row->state, "%s from %zu by %zu: state %d", row->head, first, step, state);
  if (state == MCP__HEAD_DONE) {
    mcp__http_request_kind_t wish = mcp__head_request_kind(&head);
    cr_expect_eq(wish, row->wish, "%s: wish %d, %s", row->head, wish, head.problem);
    const char *url = mcp__head_url(&head);
    cr_expect(wish == MCP__HTTP_INVALID || strncmp(strchr(row->head, ' ') + 1, url, strlen(url)) == 0, "%s",
              url);
    cr_expect_eq(used, strlen(row->head), "%s from %zu by %zu: %zu used", row->head, first, step, used);
  }
  cr_expect_eq(head.status, row->status, "%s from %zu by %zu: %d, %s", row->head, first, step, head.status,
               head.problem);
  cr_expect_eq(head.problem != NULL, row->status != 0, "%s", row->head);
  mcp__head_deinit(&head);
}

static void check_row(const row_t *row) {
  static const char behind[] = "\x81\x85\1\2\3\4GET / HTTP/1.1\r\n\r\n"; /* not the head's any more */
  size_t len = strlen(row->head), all = len;
  char *text = malloc(len + sizeof behind);
  memcpy(text, row->head, len);
  if (row->state == MCP__HEAD_DONE) {
    memcpy(text + len, behind, sizeof behind);
    all += sizeof behind;
  }
  for (size_t first = 1; first <= all; first++)
    check_fed(row, text, all, first, all);
  check_fed(row, text, all, 1, 1);
  check_fed(row, text, all, 3, 7);
  free(text);
}

static void check_rows(const row_t *rows, size_t count) {
  for (size_t i = 0; i < count; i++)
    check_row(&rows[i]);
  expect_no_leak();
}

#define CHECK_ROWS(rows) check_rows(rows, sizeof(rows) / sizeof(rows)[0])

Test(upgrade, clients) {
  static const row_t rows[] = {
      SOCKET("GET /chat HTTP/1.1\r\nHost: server.example.com\r\n" UPGRADE CONNECTION KEY
             "Origin: http://example.com\r\n"
             "Sec-WebSocket-Protocol: chat, superchat\r\n" VERSION END), /* RFC 6455 section 1.2 */
      /* a browser */
      SOCKET("GET /mcp?x=1 HTTP/1.1\r\nHost: 192.168.1.200:9060\r\nUser-Agent: Browser/5.0 (X11; Linux "
             "x86_64)\r\n"
             "Accept: */*\r\nAccept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate\r\n" VERSION
             "Origin: http://192.168.1.200\r\nSec-WebSocket-Extensions: permessage-deflate\r\n" KEY
             "DNT: 1\r\nConnection: keep-alive, Upgrade\r\nPragma: no-cache\r\nCache-Control: "
             "no-cache\r\n" UPGRADE END),
      /* libraries of Python, Node.js, Go, Java, Rust, C */
      SOCKET(GET "Host: localhost:9060\r\n" UPGRADE CONNECTION KEY VERSION
                 "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
                 "User-Agent: Python/3.11 websockets/10.4\r\n" END),
      SOCKET(GET VERSION KEY CONNECTION UPGRADE "Sec-WebSocket-Extensions: permessage-deflate; "
                                                "client_max_window_bits\r\nHost: localhost:9060\r\n" END),
      SOCKET(GET
             "Host: localhost:9060\r\nUser-Agent: Go-http-client/1.1\r\n" CONNECTION KEY VERSION UPGRADE END),
      SOCKET(GET "connection: Upgrade\r\nhost: h\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
                 "sec-websocket-key: " NONCE "\r\ncontent-length: 0\r\n" END),
      SOCKET("GET ws://localhost:9060/ HTTP/1.1\r\n" HOST CONNECTION UPGRADE VERSION KEY
                 END), /* absolute form */
      SOCKET(GET "HOST:h\r\nUPGRADE:WEBSOCKET\r\nCONNECTION:UPGRADE\r\nSEC-WEBSOCKET-KEY:" NONCE
                 "\r\nSEC-WEBSOCKET-VERSION:13\r\n" END),
      SOCKET(GET
             "Host:\t h \t\r\nUpgrade: \twebsocket  \r\nConnection:   Upgrade \r\nSec-WebSocket-Key:  " NONCE
             "\t \r\nSec-WebSocket-Version: 13 \r\n" END),
      SOCKET("\r\n" GET HOST UPGRADE CONNECTION KEY VERSION
                 END), /* RFC 9112 section 2.2: one empty line is fine */
      SOCKET("GET /%20?a=b&c=%C3%A4 HTTP/1.1\r\n" HOST UPGRADE CONNECTION KEY VERSION END),
      SOCKET(GET HOST UPGRADE CONNECTION KEY VERSION "X-Empty:\r\nX-Blank:   \r\n" END),
      PLAIN(
          "GET /healthz HTTP/1.1\r\nHost: localhost:9060\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n"),
      PLAIN("GET /readyz HTTP/1.0\r\n\r\n"),
      PLAIN("GET http://localhost:9060/readyz HTTP/1.1\r\n" HOST END),
      PLAIN("HEAD /healthz HTTP/1.1\r\n" HOST "Connection: Close\r\n\r\n"),
      PLAIN("HEAD / HTTP/1.1\r\n" HOST UPGRADE CONNECTION KEY VERSION END), /* only GET can upgrade */
      OPTIONS("OPTIONS / HTTP/1.0\r\n\r\n"),
      OPTIONS("OPTIONS * HTTP/1.1\r\n" HOST END),
      OPTIONS("OPTIONS / HTTP/1.1\r\n" HOST UPGRADE CONNECTION KEY VERSION END),
      PLAIN("GET /readyz HTTP/1.0\r\n" HOST "Connection: close\r\n\r\n"),
      PLAIN(GET HOST CONNECTION "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n" END),
      PLAIN(GET HOST CONNECTION KEY VERSION END),
      PLAIN(GET HOST "Upgrade: websocket2\r\n" CONNECTION KEY VERSION END),
      PLAIN(GET HOST "Upgrade: web socket\r\n" CONNECTION KEY VERSION END),
      PLAIN(GET HOST "Upgrade:\r\n" CONNECTION KEY VERSION END),
  };
  CHECK_ROWS(rows);
}

Test(upgrade, rules_of_section_4_2_1) {
  static const row_t rows[] = {
      WRONG("PUT / HTTP/1.1\r\n" HOST END, 405),
      WRONG("GET / HTTP/1.0\r\n" HOST UPGRADE CONNECTION KEY VERSION END, 400),
      WRONG("GET /\r\n" END, 505), /* HTTP/0.9 */
      WRONG("GET /a\r\n" HOST UPGRADE CONNECTION KEY VERSION END, 505),
      WRONG("GET / HTTP/2.0\r\n" HOST UPGRADE CONNECTION KEY VERSION END, 505),
      WRONG(GET UPGRADE CONNECTION KEY VERSION END, 400),
      WRONG(GET HOST HOST UPGRADE CONNECTION KEY VERSION END, 400),
      WRONG(GET END, 400),
      WRONG(GET HOST UPGRADE KEY VERSION END, 400),
      WRONG(GET HOST UPGRADE "Connection: close\r\n" KEY VERSION END, 400),
      WRONG(GET HOST UPGRADE "Connection: keep-alive, upgraded\r\n" KEY VERSION END, 400),
      WRONG(GET HOST UPGRADE "Connection: up grade\r\n" KEY VERSION END, 400),
      WRONG(GET HOST UPGRADE CONNECTION VERSION END, 400),
      WRONG(GET HOST UPGRADE CONNECTION KEY KEY VERSION END, 400),
      WRONG(GET HOST UPGRADE CONNECTION KEY END, 426),
      WRONG(GET HOST UPGRADE CONNECTION KEY VERSION VERSION END, 426),
      WRONG(GET HOST UPGRADE CONNECTION KEY "Sec-WebSocket-Version: 8\r\n" END, 426),
      WRONG(GET HOST UPGRADE CONNECTION KEY "Sec-WebSocket-Version: 14\r\n" END, 426),
      WRONG(GET HOST UPGRADE CONNECTION KEY "Sec-WebSocket-Version: 130\r\n" END, 426),
      WRONG(GET HOST UPGRADE CONNECTION KEY "Sec-WebSocket-Version: 13, 8\r\n" END, 426),
      WRONG(GET HOST UPGRADE CONNECTION KEY "Sec-WebSocket-Version:\r\n" END, 426),
  };
  CHECK_ROWS(rows);
}

#define WITH_KEY(key) GET HOST UPGRADE CONNECTION VERSION "Sec-WebSocket-Key: " key "\r\n" END

Test(upgrade, keys) {
  static const row_t rows[] = {
      SOCKET(WITH_KEY("AAAAAAAAAAAAAAAAAAAAAA==")),
      SOCKET(WITH_KEY("/+//++//++//++//++//+w==")),
      WRONG(WITH_KEY(""), 400),
      WRONG(WITH_KEY("="), 400),
      WRONG(WITH_KEY("AAAAAAAAAAAAAAAAAAAAA=="), 400),  /* 21 digits */
      WRONG(WITH_KEY("AAAAAAAAAAAAAAAAAAAAAAA="), 400), /* 17 bytes */
      WRONG(WITH_KEY("AAAAAAAAAAAAAAAAAAAAAAAA"), 400), /* 18 */
      WRONG(WITH_KEY("AAAAAAAAAAAAAAAAAAAA===="), 400),
      WRONG(WITH_KEY("AAAAAAAAAAAAAAAAAAAAAA="), 400),
      WRONG(WITH_KEY("AAAAAAAAAAAAAAAAAAAAAA"), 400),
      WRONG(WITH_KEY("AAAAAAAAAAAAAAAAAAAAAA==="), 400),
      WRONG(WITH_KEY("AAAAAAAAAA AAAAAAAAAAA=="), 400),
      WRONG(WITH_KEY("AAAAAAAAAAAAAAAAAAAA-_=="), 400), /* base64url */
      WRONG(WITH_KEY("AAAAAAAAAAAAAAAAAAAAAA==, AAAAAAAAAAAAAAAAAAAAAA=="), 400),
  };
  CHECK_ROWS(rows);
}

Test(upgrade, bodies) {
  static const row_t rows[] = {
      SOCKET(GET HOST UPGRADE CONNECTION KEY VERSION "Content-Length: 0\r\n" END),
      WRONG(GET HOST UPGRADE CONNECTION KEY VERSION "Content-Length: 1\r\n" END, 400),
      WRONG(GET HOST UPGRADE CONNECTION KEY VERSION "Transfer-Encoding: chunked\r\n" END, 400),
      WRONG(GET HOST UPGRADE CONNECTION KEY VERSION "Transfer-Encoding: gzip, chunked\r\n" END, 400),
      WRONG(GET HOST UPGRADE CONNECTION KEY VERSION "Transfer-Encoding: gzip\r\n" END, 400),
      WRONG(GET HOST UPGRADE CONNECTION KEY VERSION "Transfer-Encoding: identity\r\n" END, 400),
      WRONG(GET HOST "Content-Length: 5\r\n" END, 400),
      WRONG("HEAD / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n" END, 400),
      WRONG("OPTIONS / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n" END, 400),
      WRONG(GET HOST "Transfer-Encoding: chunked\r\n" END, 400),
      POST("POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n" END),
      POST("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n" END),
      POST("POST / HTTP/1.1\r\n" HOST UPGRADE CONNECTION KEY VERSION END), /* a WebSocket begins with GET */
      WRONG("DELETE / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n" END, 400),
      {"DELETE / HTTP/1.1\r\n" HOST END, MCP__HEAD_DONE, MCP__HTTP_DELETE, 0},
      BAD(GET HOST "Content-Length: 5\r\nContent-Length: 5\r\n" END, 400),
      BAD(GET HOST "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n" END, 400),
      BAD(GET HOST "Content-Length: -1\r\n" END, 400),
      BAD(GET HOST "Content-Length: 99999999999999999999\r\n" END, 400),
  };
  CHECK_ROWS(rows);
}

Test(upgrade, no_http) {
  static const row_t rows[] = {
      BAD("\x16\x03\x01\x02", 400), /* TLS */
      BAD("{\"jsonrpc\":\"2.0\"}", 400),
      BAD("hello\r\n", 400),
      BAD("get / HTTP/1.1\r\n", 400),
      BAD("GET / HTTP/1.1 \r\n", 400),
      BAD("GET / HTTP/3.0\r\n", 400),
      BAD("GET / HTTP/11\r\n", 400),
      BAD("GET / FTP/1.1\r\n", 400),
      BAD("GET /\x01 HTTP/1.1\r\n", 400),
      BAD("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
      BAD("HTTP/1.1 200 OK\r\n\r\n", 400), /* an answer */
      BAD(GET "Host : h\r\n\r\n", 400),
      BAD(GET " Host: h\r\n\r\n", 400),
      BAD(GET "Host\r\n\r\n", 400),
      BAD(GET ": h\r\n\r\n", 400),
      BAD(GET "Ho st: h\r\n\r\n", 400),
      BAD(GET HOST "X: a\r\n b\r\n\r\n", 400), /* folded */
      BAD(GET HOST "X: a\rb\r\n\r\n", 400),
      BAD(GET HOST "X: a\nY: b\r\n\r\n", 400),
      BAD(GET HOST "X: a\x01\r\n\r\n", 400),
      BAD("GET / HTTP/1.1\nHost: h\n\n", 400),
      {GET HOST UPGRADE CONNECTION KEY VERSION, MCP__HEAD_MORE, MCP__HTTP_INVALID, 0},
      {"G", MCP__HEAD_MORE, MCP__HTTP_INVALID, 0},
      {"\r\n\r\n", MCP__HEAD_MORE, MCP__HTTP_INVALID, 0},
  };
  CHECK_ROWS(rows);
  row_t nul = BAD("GET / HTTP/1.1\r\nX: a", 400);
  static const char text[] = GET "X: a\0b\r\n\r\n";
  check_fed(&nul, text, sizeof text - 1, sizeof text - 1, 1);
  check_fed(&nul, text, sizeof text - 1, 1, 1);
  expect_no_leak();
}

static void open_head(mcp__head_t *head, const char *text,
                      bool is_request) { /* whole; see check_row() for pieces */
  size_t used;
  cr_assert_eq(mcp__head_init(head, is_request), 0);
  cr_assert_eq(feed(head, text, strlen(text), strlen(text), 1, &used), MCP__HEAD_DONE, "%s: %s", text,
               head->problem);
}

static void expect_value(const mcp__head_t *head, mcp__header_t header, const char *expected) {
  const char *value = mcp__head_value(head, header);
  cr_expect(expected == NULL ? value == NULL : value != NULL && strcmp(value, expected) == 0, "header %d: %s",
            header, value);
}

Test(upgrade, values) {
  mcp__head_t head;
  open_head(&head,
            "GET /a/b?c=d HTTP/1.1\r\nX-Other: 1\r\nhOsT: \t h:1 \t\r\nSec-WebSocket-Protocol: "
            "a\r\nConnection: keep-alive\r\n"
            "X-Trace-ID: one\r\nSEC-WEBSOCKET-PROTOCOL:b , c\r\nConnection:\tUpgrade\r\nUpgrade: "
            "x/1\r\nX-More: 2\r\n"
            "Upgrade: websocket\r\nX-Trace-ID: two\r\nOrigin:\r\nOrigin: http://o\r\nX-Upgrade: "
            "no\r\nConnectio: no\r\n" KEY VERSION "sec-websocket-protocol: d\r\n" END,
            true);
  cr_expect_str_eq(mcp__head_url(&head), "/a/b?c=d");
  expect_value(&head, MCP__H_HOST, "h:1");
  expect_value(&head, MCP__H_PROTOCOL, "a, b , c, d");
  expect_value(&head, MCP__H_CONNECTION, "keep-alive, Upgrade");
  expect_value(&head, MCP__H_UPGRADE, "x/1, websocket");
  expect_value(&head, MCP__H_ORIGIN, "http://o");
  expect_value(&head, MCP__H_TRACE_ID, "two");
  expect_value(&head, MCP__H_KEY, NONCE);
  expect_value(&head, MCP__H_EXTENSIONS, NULL);
  expect_value(&head, MCP__H_ACCEPT, NULL);
  cr_expect_eq(head.occurrences[MCP__H_ORIGIN], 2);
  cr_expect_eq(head.occurrences[MCP__H_PROTOCOL], 3);
  cr_expect_eq(head.occurrences[MCP__H_ACCEPT], 0);
  cr_expect_eq(mcp__head_request_kind(&head), MCP__HTTP_WEBSOCKET, "%s", head.problem);
  mcp__head_deinit(&head);
  expect_no_leak();
}

Test(upgrade, tokens) {
  static const struct {
    const char *list, *token;
    bool there;
  } rows[] = {
      {NULL, "mcp", false},    {"", "mcp", false},           {"mcp", "mcp", true},
      {"MCP", "mcp", true},    {" mcp\t", "mcp", true},      {"a,mcp", "mcp", true},
      {"mcp,a", "mcp", true},  {"a , mcp , b", "mcp", true}, {",,\t,mcp,,", "mcp", true},
      {",", "mcp", false},     {"mcpx", "mcp", false},       {"xmcp", "mcp", false},
      {"mcp x", "mcp", false}, {"mcp;q=1", "mcp", false},    {"mc,p", "mcp", false},
      {"mc", "mcp", false},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    cr_expect_eq(mcp__head_has_token(rows[i].list, rows[i].token), rows[i].there, "%s", rows[i].list);
}

/* The state after a head of so many bytes, as one header of no interest and as a long path. */
static void check_size(size_t size, bool as_path, size_t step) {
  static char text[20000];
  const char *before = as_path ? "GET /" : GET HOST "X: ",
             *behind = as_path ? " HTTP/1.1\r\n" HOST END : "\r\n" END;
  size_t fixed = strlen(before) + strlen(behind);
  strcpy(text, before);
  memset(text + strlen(before), 'a', size - fixed);
  strcpy(text + strlen(before) + size - fixed, behind);
  mcp__head_t head;
  size_t used;
  cr_assert_eq(mcp__head_init(&head, true), 0);
  mcp__head_state_t state = feed(&head, text, size, step, step, &used);
  bool fits = size <= MCP__HEAD_MAX_BYTES;
  cr_expect_eq(state, fits ? MCP__HEAD_DONE : MCP__HEAD_BAD, "%zu bytes by %zu", size, step);
  cr_expect_eq(head.status, fits ? 0 : 431, "%zu bytes by %zu: %d", size, step, head.status);
  mcp__head_deinit(&head);
}

Test(upgrade, size_of_a_head) {
  for (size_t size = MCP__HEAD_MAX_BYTES - 2; size <= MCP__HEAD_MAX_BYTES + 2; size++)
    for (int as_path = 0; as_path < 2; as_path++) {
      check_size(size, as_path == 1, size);
      check_size(size, as_path == 1, 1);
      check_size(size, as_path == 1, 4096);
    }
  check_size(19000, false, 19000);
  expect_no_leak();
}

static int status_of(const char *text, bool is_request) { /* 0: a head */
  mcp__head_t head;
  size_t used;
  cr_assert_eq(mcp__head_init(&head, is_request), 0);
  mcp__head_state_t state = mcp__head_feed(&head, text, strlen(text), &used);
  cr_assert_neq(state, MCP__HEAD_MORE);
  int status = state == MCP__HEAD_DONE ? 0 : head.status;
  mcp__head_deinit(&head);
  return status;
}

Test(upgrade, number_of_headers) {
  for (int count = 62; count < 68; count++)
    for (int kind = 0; kind < 3; kind++) {
      char text[4000] = GET;
      for (int i = 0; i < count; i++)
        strcat(text, kind == 0 ? "X: 1\r\n" : kind == 1 ? "Upgrade: a\r\n" : "Origin:\r\n");
      strcat(text, END);
      cr_expect_eq(status_of(text, true), count <= MCP__HEAD_MAX_HEADERS ? 0 : 431, "%d of kind %d", count,
                   kind);
    }
  expect_no_leak();
}

Test(upgrade, length_of_a_value) {
  static const char *const names[] = {"Origin", "Upgrade", "Sec-WebSocket-Key", "X-Trace-ID", "Host"};
  for (int len = MCP__HEAD_MAX_VALUE - 2; len < MCP__HEAD_MAX_VALUE + 3; len++)
    for (size_t i = 0; i < 5; i++) {
      char text[2000];
      snprintf(text, sizeof text, GET "%s: %0*d\r\n\r\n", names[i], len, 0);
      cr_expect_eq(status_of(text, true), len <= MCP__HEAD_MAX_VALUE ? 0 : 431, "%s of %d", names[i], len);
    }
  for (int len = 400; len < 700; len++) { /* two lines of one list */
    char text[3000];
    snprintf(text, sizeof text, GET "Upgrade: %0*d\r\nUpgrade: %0*d\r\n\r\n", len, 0, len, 0);
    cr_expect_eq(status_of(text, true), 2 * len + 2 <= MCP__HEAD_MAX_VALUE ? 0 : 431, "two of %d", len);
  }
  char text[3000];
  snprintf(text, sizeof text, GET "X-Other: %02000d\r\n\r\n", 0);
  cr_expect_eq(status_of(text, true), 0, "it is not read");
  expect_no_leak();
}

/* Joined repeatedly, each time next to the earlier text: refused before it exceeds the buffer, never
 * written. */
Test(upgrade, many_lines_of_one_list) {
  for (int len = 1; len < 120; len++) {
    static char text[20000] = "";
    char line[200];
    snprintf(line, sizeof line, "Connection: %0*d\r\n", len, 0);
    strcpy(text, GET);
    for (int i = 0; i < 60; i++)
      strcat(text, line);
    strcat(text, END);
    cr_expect_eq(status_of(text, true), len < 7 ? 0 : 431, "60 of %d: %d", len, status_of(text, true));
  }
  expect_no_leak();
}

Test(upgrade, accept) {
  char accept[MCP__UPGRADE_ACCEPT_SIZE];
  mcp__websocket_accept(NONCE, accept);
  cr_expect_str_eq(accept, ACCEPT); /* RFC 6455 section 1.3 */
}

static void expect_switching(const char *protocols, const char *answered) {
  char text[600], expected[400];
  mcp__head_t head;
  mcp__buf_t out;
  snprintf(text, sizeof text, "%s%s%s", GET HOST UPGRADE CONNECTION KEY VERSION, protocols, END);
  snprintf(expected, sizeof expected,
           "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           "Sec-WebSocket-Accept: " ACCEPT "\r\n%s\r\n",
           answered);
  open_head(&head, text, true);
  mcp__buf_init(&out, 10000, NULL);
  cr_assert_eq(mcp__write_switching(&out, &head), 0);
  cr_assert_eq(mcp__buf_append(&out, "", 1), 0);
  cr_expect_str_eq(out.data, expected);
  mcp__buf_deinit(&out);
  mcp__head_deinit(&head);
}

Test(upgrade, subprotocol) {
  static const char mcp[] = "Sec-WebSocket-Protocol: mcp\r\n";
  expect_switching("", "");
  expect_switching(mcp, mcp);
  expect_switching("Sec-WebSocket-Protocol: a, mcp, b\r\n", mcp);
  expect_switching("Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: mcp\r\n", mcp);
  expect_switching("Sec-WebSocket-Protocol: mcp2\r\n", "");
  expect_switching("Sec-WebSocket-Extensions: permessage-deflate\r\n", ""); /* declined */
  expect_no_leak();
}

Test(upgrade, plain_answers) {
  static const int statuses[] = {200, 400, 401, 403, 404, 405, 408, 426, 431, 503, 505};
  for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
    mcp__buf_t out;
    mcp__head_t head;
    size_t used;
    mcp__buf_init(&out, 10000, NULL);
    cr_assert_eq(mcp__write_plain(&out, statuses[i], "w\xc3\xb6rds\n"), 0);
    cr_assert_eq(mcp__buf_append(&out, "", 1), 0);
    cr_assert_eq(mcp__head_init(&head, false), 0);
    cr_assert_eq(mcp__head_feed(&head, out.data, out.len - 1, &used), MCP__HEAD_DONE);
    cr_expect_eq(head.status, statuses[i]);
    cr_expect_str_eq(out.data + used, "w\xc3\xb6rds\n");
    cr_expect_not_null(strstr(out.data, "\r\nContent-Length: 7\r\n"));
    cr_expect_not_null(strstr(out.data, "\r\nConnection: close\r\n"));
    cr_expect_null(strstr(out.data, "Unexpected"));
    cr_expect_eq(strstr(out.data, "\r\nSec-WebSocket-Version: 13\r\n") != NULL, statuses[i] == 426);
    cr_expect_eq(strstr(out.data, "\r\nAllow: GET, HEAD, POST, DELETE, OPTIONS\r\n") != NULL,
                 statuses[i] == 405);
    cr_expect_eq(strstr(out.data, "\r\nWWW-Authenticate: Bearer realm=\"mcp\"\r\n") != NULL,
                 statuses[i] == 401);
    cr_expect_eq(strstr(out.data, "\r\nRetry-After: 1\r\n") != NULL, statuses[i] == 503);
    mcp__head_deinit(&head);
    mcp__buf_deinit(&out);
  }
  expect_no_leak();
}

Test(upgrade, options) {
  mcp__buf_t out;
  const mcp__response_head_t head = {.status = 204};
  mcp__buf_init(&out, 1000, NULL);
  cr_assert_eq(mcp__http_write_head(&out, &head), 0);
  cr_assert_eq(mcp__buf_append(&out, "", 1), 0);
  cr_expect_str_eq(out.data, "HTTP/1.1 204 No Content\r\nAllow: GET, HEAD, POST, DELETE, OPTIONS\r\n"
                             "Connection: close\r\n\r\n"); /* RFC 9110 section 8.6: no Content-Length */
  mcp__buf_deinit(&out);
  expect_no_leak();
}

static void expect_target(const char *target, const char *path, const char *authority) {
  char request[300];
  mcp__head_t head;
  size_t len;
  snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: h:1\r\n\r\n", target);
  open_head(&head, request, true);
  cr_expect(mcp__head_path_is(&head, path), "%s is not %s", target, path);
  cr_expect(!mcp__head_path_is(&head, "/other") && !mcp__head_path_is(&head, ""), "%s", target);
  const char *given = mcp__head_authority(&head, &len);
  cr_expect(len == strlen(authority) && strncmp(given, authority, len) == 0, "%s: %.*s", target, (int)len,
            given);
  mcp__head_deinit(&head);
}

Test(upgrade, targets) {
  expect_target("/", "/", "h:1");
  expect_target("/readyz", "/readyz", "h:1");
  expect_target("/readyz?a=/b", "/readyz", "h:1");
  expect_target("/readyz/", "/readyz/", "h:1");
  expect_target("//readyz", "//readyz", "h:1");
  expect_target("/a://b/readyz", "/a://b/readyz", "h:1");
  expect_target("http://a:9/readyz", "/readyz", "a:9");
  expect_target("HTTPS://a/readyz?x", "/readyz", "a");
  expect_target("http://a", "/", "a");
  expect_target("http://a/", "/", "a");
  expect_target("http://a?x/y", "/", "a");
  expect_target("http://a//readyz", "//readyz", "a");
  expect_no_leak();
}

Test(upgrade, both_sides_agree) {
  for (int i = 0; i < 100; i++) {
    char key[MCP__UPGRADE_KEY_SIZE], problem[200];
    mcp__buf_t out;
    mcp__head_t request, answer;
    mcp__buf_init(&out, 10000, NULL);
    cr_assert_eq(mcp__upgrade_new_key(key), 0);
    cr_assert_eq(mcp__write_upgrade(&out, "[::1]:9060", "/a?b", key, i % 2 == 0 ? NULL : "t-0/="), 0);
    cr_assert_eq(mcp__buf_append(&out, "", 1), 0);
    open_head(&request, out.data, true);
    cr_assert_eq(mcp__head_request_kind(&request), MCP__HTTP_WEBSOCKET, "%s", request.problem);
    cr_expect_str_eq(mcp__head_url(&request), "/a?b");
    expect_value(&request, MCP__H_HOST, "[::1]:9060");
    expect_value(&request, MCP__H_AUTHORIZATION, i % 2 == 0 ? NULL : "Bearer t-0/=");
    out.len = 0;
    cr_assert_eq(mcp__write_switching(&out, &request), 0);
    cr_assert_eq(mcp__buf_append(&out, "", 1), 0);
    open_head(&answer, out.data, false);
    cr_expect_eq(mcp__check_switching(&answer, key, problem, sizeof problem), 0, "%s", problem);
    cr_expect_neq(mcp__check_switching(&answer, NONCE, problem, sizeof problem), 0, "another key");
    mcp__head_deinit(&request);
    mcp__head_deinit(&answer);
    mcp__buf_deinit(&out);
  }
  expect_no_leak();
}

#define S101 "HTTP/1.1 101 Switching Protocols\r\n"
#define ACCEPTED "Sec-WebSocket-Accept: " ACCEPT "\r\n"
#define NO_UPGRADE "the peer answered 101 without Upgrade: websocket and Connection: Upgrade"
#define NO_ACCEPT "the peer answered 101 with a wrong Sec-WebSocket-Accept"
#define EXTENSION "the peer answered 101 with an extension that was not offered"
#define PROTOCOL "the peer answered 101 with a subprotocol that was not offered"

#define HINTS "HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n" END /* RFC 8297 */

Test(upgrade, the_clients_check) {
  static const struct {
    const char *head, *problem;
    int status;
  } rows[] = {
      {S101 UPGRADE CONNECTION ACCEPTED END, "", 0},
      {"HTTP/1.1 101 \r\n" UPGRADE CONNECTION ACCEPTED END, "", 0},
      {S101 "upgrade: WebSocket\r\nconnection: keep-alive, upgrade\r\nsec-websocket-accept:" ACCEPT
            "\r\n" END,
       "", 0},
      {S101 UPGRADE CONNECTION ACCEPTED "Sec-WebSocket-Protocol: mcp\r\nServer: x\r\n" END, "", 0},
      {S101 CONNECTION ACCEPTED END, NO_UPGRADE, MCP_EUPGRADE},
      {S101 UPGRADE ACCEPTED END, NO_UPGRADE, MCP_EUPGRADE},
      {S101 "Upgrade: h2c\r\n" CONNECTION ACCEPTED END, NO_UPGRADE, MCP_EUPGRADE},
      {S101 UPGRADE "Connection: close\r\n" ACCEPTED END, NO_UPGRADE, MCP_EUPGRADE},
      {S101 END, NO_UPGRADE, MCP_EUPGRADE},
      {S101 UPGRADE CONNECTION END, NO_ACCEPT, MCP_EUPGRADE},
      {S101 UPGRADE CONNECTION "Sec-WebSocket-Accept:\r\n" END, NO_ACCEPT, MCP_EUPGRADE},
      {S101 UPGRADE CONNECTION "Sec-WebSocket-Accept: S3PPLMBITXAQ9KYGZZHZRBK+XOO=\r\n" END, NO_ACCEPT,
       MCP_EUPGRADE},
      {S101 UPGRADE CONNECTION "Sec-WebSocket-Accept: " ACCEPT "=\r\n" END, NO_ACCEPT, MCP_EUPGRADE},
      {S101 UPGRADE CONNECTION ACCEPTED ACCEPTED END, NO_ACCEPT, MCP_EUPGRADE}, /* RFC 6455 section 11.3.3 */
      {S101 UPGRADE CONNECTION "Sec-WebSocket-Accept: x\r\n" ACCEPTED END, NO_ACCEPT, MCP_EUPGRADE},
      {S101 UPGRADE CONNECTION ACCEPTED "Sec-WebSocket-Extensions: permessage-deflate\r\n" END, EXTENSION,
       MCP_EUPGRADE},
      {S101 UPGRADE CONNECTION ACCEPTED "Sec-WebSocket-Protocol: chat\r\n" END, PROTOCOL, MCP_EUPGRADE},
      {S101 UPGRADE CONNECTION ACCEPTED "Sec-WebSocket-Protocol: mcp, chat\r\n" END, PROTOCOL, MCP_EUPGRADE},
      {S101 UPGRADE CONNECTION ACCEPTED "Sec-WebSocket-Protocol: mcp\r\nSec-WebSocket-Protocol: mcp\r\n" END,
       PROTOCOL, MCP_EUPGRADE},
      {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n" END,
       "the peer answered HTTP 200 instead of switching to WebSocket", MCP_EUPGRADE},
      {"HTTP/1.1 200 OK\r\n" UPGRADE CONNECTION ACCEPTED END,
       "the peer answered HTTP 200 instead of switching to WebSocket", MCP_EUPGRADE},
      {HINTS S101 UPGRADE CONNECTION ACCEPTED END, "", 0},
      {"HTTP/1.1 100 Continue\r\n" END "HTTP/1.1 199 X\r\nUpgrade: no\r\nSec-WebSocket-Accept: x\r\n" END S101
           UPGRADE CONNECTION ACCEPTED END,
       "", 0},
      {HINTS S101 UPGRADE CONNECTION END, NO_ACCEPT, MCP_EUPGRADE},
      {HINTS "HTTP/1.1 403 No\r\n" END, "the peer answered 403 Forbidden", MCP_EREFUSED},
      {HINTS HINTS HINTS HINTS HINTS HINTS HINTS HINTS S101 UPGRADE CONNECTION ACCEPTED END, "", 0},
      {HINTS HINTS HINTS HINTS HINTS HINTS HINTS HINTS HINTS S101 UPGRADE CONNECTION ACCEPTED END,
       "the peer answered HTTP 103 instead of switching to WebSocket", MCP_EUPGRADE},
      {S101 UPGRADE CONNECTION ACCEPTED "Sec-WebSocket-Extensions:\r\nSec-WebSocket-Protocol: \r\n" END, "",
       0},
      {S101 UPGRADE CONNECTION ACCEPTED "Sec-WebSocket-Extensions: , ,\r\n" END, "", 0},
      {S101 UPGRADE CONNECTION ACCEPTED "Sec-WebSocket-Extensions: ,x\r\n" END, EXTENSION, MCP_EUPGRADE},
      {"HTTP/1.1 302 Found\r\nLocation: /\r\n" END,
       "the peer answered HTTP 302 instead of switching to WebSocket", MCP_EUPGRADE},
      {"HTTP/1.0 503 Busy\r\n" END, "the peer answered HTTP 503 instead of switching to WebSocket",
       MCP_EUPGRADE},
      {"HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n" END,
       "the peer answered 401 Unauthorized: set its token with ICCM_AUTH_TOKEN or "
       "mcp_client_set_auth_token()",
       MCP_EREFUSED},
      {"HTTP/1.1 403 No\r\n" END, "the peer answered 403 Forbidden", MCP_EREFUSED},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    mcp__head_t head;
    char problem[200] = "";
    open_head(&head, rows[i].head, false);
    cr_expect_eq(mcp__check_switching(&head, NONCE, problem, sizeof problem), rows[i].status, "%s",
                 rows[i].head);
    cr_expect_str_eq(problem, rows[i].problem, "%s: %s", rows[i].head, problem);
    mcp__head_deinit(&head);
  }
  cr_expect_eq(status_of("SSH-2.0-OpenSSH_9.2\r\n", false), 400);
  cr_expect_eq(status_of("-ERR unknown command\r\n", false), 400);
  cr_expect_eq(status_of(GET HOST END, false), 400);
  expect_no_leak();
}

/* All of them together are within the bytes of one head. */
Test(upgrade, interim_answers_have_a_size) {
  char text[3 * MCP__HEAD_MAX_BYTES];
  for (int len = MCP__HEAD_MAX_BYTES / 8 - 10; len <= MCP__HEAD_MAX_BYTES / 8; len += 5) {
    size_t end = 0;
    for (int i = 0; i < 8; i++)
      end += (size_t)snprintf(text + end, sizeof text - end, "HTTP/1.1 103 Early Hints\r\nX: %0*d\r\n\r\n",
                              len - 33, i);
    snprintf(text + end, sizeof text - end, "HTTP/1.1 200 OK\r\n\r\n");
    cr_expect_eq(status_of(text, false), strlen(text) < MCP__HEAD_MAX_BYTES ? 0 : 431, "%d", len);
  }
  expect_no_leak();
}

Test(upgrade, memory_that_runs_out) {
  static const char text[] = GET HOST UPGRADE CONNECTION KEY VERSION
      "X: "
      "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"
      "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"
      "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"
      "\r\n" END;
  use_failing_allocator();
  int status = UV_ENOMEM;
  for (long allocations = 0; status != 0; allocations++) {
    mcp__head_t head;
    size_t used;
    cr_assert_lt(allocations, 10);
    memory.allowed = allocations;
    status = mcp__head_init(&head, true);
    if (status == 0)
      status = feed(&head, text, sizeof text - 1, 10, 10, &used) == MCP__HEAD_DONE ? 0 : -1;
    cr_expect(status == 0 || allocations > 0 || status == UV_ENOMEM);
    mcp__head_deinit(&head);
    cr_assert_eq(memory.live, 0);
  }
  expect_no_leak();
}
