/* test_server_metrics.c: GET /metrics: each outcome of a call, each refusal, and the component's own
 * metrics. */
#include "fixture.h"

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { IN_FLIGHT = 64, POOL_ROOM = 8 + 1024 };

static mcp_server_t *server;
static raw_client_t *peer;
static char *page;

static void open_with(uint64_t call_timeout_ms) {
  fixture_setup();
  server = test_server_new();
  if (call_timeout_ms > 0)
    cr_assert_eq(mcp_server_set_call_timeout_ms(server, call_timeout_ms), 0);
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  peer = raw_client_open(mcp_server_port(server));
}

static void close_all(void) {
  free(page);
  test_server_stop(server);
  fixture_teardown();
}

/* Everything that is answered, its length checked against the head. */
static const char *scrape(void) {
  static const char length[] = "Content-Length: ";
  raw_client_t *client = raw_client_connect(mcp_server_port(server));
  RUN_UNTIL(client->connected);
  raw_client_puts(client, "GET /metrics?x=y HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  RUN_UNTIL(client->ended);
  cr_assert_not_null(client->head);
  cr_assert_not_null(strstr(client->head, " 200 OK\r\n"), "%s", client->head);
  cr_assert_not_null(strstr(client->head, "Content-Type: text/plain; version=0.0.4"), "%s", client->head);
  cr_assert_eq(strtoul(strstr(client->head, length) + sizeof length - 1, NULL, 10), client->in_len);
  free(page);
  page = malloc(client->in_len + 2);
  page[0] = '\n';
  memcpy(page + 1, client->in, client->in_len);
  page[client->in_len + 1] = '\0';
  return page;
}

/* The value of one sample of the last scrape; -1: there is none. */
static double value_of(const char *sample) {
  char begin[256];
  int len = snprintf(begin, sizeof begin, "\n%s ", sample);
  const char *line = strstr(page, begin);
  return line != NULL ? strtod(line + len, NULL) : -1;
}

static double calls(const char *tool, const char *outcome) {
  char sample[256];
  snprintf(sample, sizeof sample, "iccm_calls_total{tool=\"%s\",outcome=\"%s\"}", tool, outcome);
  return value_of(sample);
}

static double took(const char *what, const char *tool) {
  char sample[256];
  snprintf(sample, sizeof sample, "iccm_call_duration_seconds_%s{tool=\"%s\"}", what, tool);
  return value_of(sample);
}

static double refusals(const char *reason) {
  char sample[256];
  snprintf(sample, sizeof sample, "iccm_refusals_total{reason=\"%s\"}", reason);
  return value_of(sample);
}

Test(server_metrics, everything_is_there_from_the_start) {
  open_with(0);
  scrape();
  cr_expect_eq(value_of("iccm_connections"), 1);
  cr_expect_eq(value_of("iccm_connections_total"), 1);
  cr_expect_eq(value_of("iccm_calls_in_flight"), 0);
  cr_expect_eq(calls("now", "ok"), 0);
  cr_expect_eq(calls("now", "timed_out"), 0);
  cr_expect_eq(took("count", "gate"), 0);
  cr_expect_eq(took("bucket", "gate"), -1);
  cr_expect_null(strstr(page, "iccm_refusals_total{"));
  close_all();
}

Test(server_metrics, calls_by_tool_and_outcome) {
  open_with(0);
  raw_client_call(peer, 1, "now", "{}");
  raw_client_call(peer, 2, "now", "{}");
  raw_client_call(peer, 3, "block", "{}");
  raw_client_call(peer, 4, "fail", "{\"how\":\"code\"}");
  raw_client_call(peer, 5, "fail", "{\"how\":\"words\"}");
  raw_client_call(peer, 6, "fail", "{\"how\":\"internal\"}");
  raw_client_call(peer, 7, "fail", "{}");
  raw_client_call(peer, 8, "forget", "{}");
  raw_client_call(peer, 9, "nobody_knows_it", "{}");
  raw_client_send_text(peer, "{\"jsonrpc\":\"2.0\",\"id\":10,\"method\":\"now\",\"params\":{}}");
  raw_client_send_text(peer, "{\"jsonrpc\":\"2.0\",\"method\":\"now\",\"params\":{}}");
  raw_client_call(peer, 11, "hold", "{}");
  RUN_UNTIL(peer->count == 10 && test_server.held_count == 1);
  scrape();
  cr_expect_eq(calls("now", "ok"), 4);
  cr_expect_eq(calls("block", "ok"), 1);
  cr_expect_eq(calls("fail", "ok"), 0);
  cr_expect_eq(calls("fail", "tool_error"), 2);
  cr_expect_eq(calls("fail", "error"), 1);
  cr_expect_eq(calls("fail", "invalid"), 1);
  cr_expect_eq(calls("forget", "error"), 1);
  cr_expect_eq(took("count", "fail"), 3);
  cr_expect_eq(took("count", "now"), 4);
  cr_expect_eq(value_of("iccm_calls_in_flight"), 1);
  cr_expect_eq(calls("hold", "ok"), 0);
  cr_expect_null(strstr(page, "nobody_knows_it"));
  cr_expect_eq(refusals("-32601"), 1);
  test_server_end_held(0);
  scrape();
  cr_expect_eq(calls("hold", "ok"), 1);
  cr_expect_eq(value_of("iccm_calls_in_flight"), 0);
  close_all();
}

Test(server_metrics, cancelled_left_and_timed_out) {
  open_with(0);
  raw_client_call(peer, 1, "hold", "{}");
  raw_client_send_text(
      peer, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":1}}");
  raw_client_t *leaves = raw_client_open(mcp_server_port(server));
  raw_client_call(leaves, 1, "hold", "{}");
  RUN_UNTIL(test_server.held_count == 2);
  raw_client_close(leaves);
  RUN_UNTIL(test_server.cancels == 2);
  test_server_end_held(0);
  test_server_end_held(1);
  scrape();
  cr_expect_eq(calls("hold", "cancelled"), 2);
  cr_expect_eq(calls("hold", "ok"), 0);
  cr_expect_eq(value_of("iccm_connections"), 1);
  cr_expect_eq(value_of("iccm_connections_total"), 2);
  close_all();
}

Test(server_metrics, timed_out_counts_once_and_at_the_deadline) {
  open_with(50);
  raw_client_call(peer, 1, "hold", "{}");
  RUN_UNTIL(raw_client_count_responses(peer, 1) == 1);
  scrape();
  cr_expect_eq(calls("hold", "timed_out"), 1);
  cr_expect_eq(value_of("iccm_calls_in_flight"), 1);
  test_server_end_held(0);
  scrape();
  cr_expect_eq(calls("hold", "timed_out"), 1);
  cr_expect_eq(calls("hold", "cancelled"), 0);
  cr_expect_eq(calls("hold", "ok"), 0);
  cr_expect_eq(took("count", "hold"), 1);
  cr_expect_gt(took("sum", "hold"), 0.05);
  cr_expect_eq(value_of("iccm_calls_in_flight"), 0);
  close_all();
}

Test(server_metrics, more_than_the_pool_takes_is_busy) {
  open_with(0);
  size_t sent = 0;
  for (size_t i = 0; i < POOL_ROOM / IN_FLIGHT + 1; i++) {
    raw_client_t *client = raw_client_open(mcp_server_port(server));
    for (int id = 0; id < IN_FLIGHT; id++, sent++)
      raw_client_call(client, id, "gate", "{}");
  }
  double busy = (double)(sent - POOL_ROOM);
  RUN_UNTIL((scrape(), calls("gate", "busy") == busy));
  cr_expect_eq(took("count", "gate"), 0);
  cr_expect_eq(value_of("iccm_calls_in_flight"), POOL_ROOM);
  test_server_set_gate(true);
  RUN_UNTIL((scrape(), calls("gate", "ok") == POOL_ROOM));
  cr_expect_eq(calls("gate", "busy"), busy);
  close_all();
}

Test(server_metrics, durations) {
  open_with(0);
  raw_client_call(peer, 1, "delay", "{\"ms\":40}");
  raw_client_call(peer, 2, "now", "{}");
  RUN_UNTIL(raw_client_count_responses(peer, 1) == 1);
  scrape();
  cr_expect_gt(took("sum", "delay"), 0.035);
  cr_expect_lt(took("sum", "delay"), 20);
  cr_expect_eq(value_of("iccm_call_duration_seconds_bucket{tool=\"delay\",le=\"0.03\"}"), 0);
  cr_expect_eq(value_of("iccm_call_duration_seconds_bucket{tool=\"delay\",le=\"+Inf\"}"), 1);
  cr_expect_gt(took("sum", "now"), 0);
  cr_expect_lt(took("sum", "now"), took("sum", "delay"));
  close_all();
}

Test(server_metrics, bytes) {
  open_with(0);
  scrape();
  double received = value_of("iccm_received_bytes_total"), sent = value_of("iccm_sent_bytes_total");
  raw_client_call(peer, 1, "big", "{\"bytes\":100000}");
  RUN_UNTIL(raw_client_count_responses(peer, 1) == 1);
  scrape();
  cr_expect_gt(value_of("iccm_received_bytes_total"), received + 80);
  cr_expect_lt(value_of("iccm_received_bytes_total"), received + 1000);
  cr_expect_gt(value_of("iccm_sent_bytes_total"), sent + 100000);
  cr_expect_lt(value_of("iccm_sent_bytes_total"), sent + 130000);
  close_all();
}

static void end_with(const char *request) {
  raw_client_t *client = raw_client_connect(mcp_server_port(server));
  RUN_UNTIL(client->connected);
  raw_client_puts(client, request);
  RUN_UNTIL(client->ended);
}

Test(server_metrics, refusals_by_reason) {
  open_with(0);
  end_with("junk\r\n\r\n");
  end_with("PUT / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  end_with("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nOrigin: https://evil.example\r\n\r\n");
  end_with("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  raw_client_t *client = raw_client_open(mcp_server_port(server));
  raw_client_send_frame(client, 2, "binary", 6);
  RUN_UNTIL(client->ended);
  client = raw_client_open(mcp_server_port(server));
  raw_client_send_frame(client, 1, "\xff", 1);
  RUN_UNTIL(client->ended);
  client = raw_client_open(mcp_server_port(server));
  raw_client_send_frame(client, 8, "\x03\xe8", 2);
  RUN_UNTIL(client->ended);
  raw_client_send_text(peer, "{");
  raw_client_send_text(peer, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{}}");
  RUN_UNTIL(peer->count == 2);
  mcp_server_set_dependency(server, "store", "is unavailable");
  end_with("GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  scrape();
  static const char *const reasons[] = {"400", "403", "405", "1003", "1007", "-32700", "-32602"};
  for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
    cr_expect_eq(refusals(reasons[i]), 1, "%s in %s", reasons[i], page);
  cr_expect_eq(refusals("503"), -1);
  cr_expect_eq(refusals("1000"), -1);
  cr_expect_eq(refusals("other"), -1);
  close_all();
}

Test(server_metrics, tools_that_go_take_their_counts_along) {
  open_with(0);
  raw_client_call(peer, 1, "hold", "{}");
  RUN_UNTIL(test_server.held_count == 1);
  cr_assert_eq(mcp_server_remove_tool(server, "hold"), 0);
  scrape();
  cr_expect_eq(calls("hold", "ok"), -1);
  cr_expect_eq(value_of("iccm_calls_in_flight"), 1);
  test_server_end_held(0);
  raw_client_sync(peer);
  scrape();
  cr_expect_eq(calls("hold", "ok"), -1);
  close_all();
}

/* ---- what a component counts ---- */

Test(server_metrics, of_the_component) {
  open_with(0);
  mcp_metric_t *rows = mcp_server_metric(server, MCP_COUNTER, "rows_total", "Rows.", "level");
  cr_assert_not_null(rows);
  cr_assert_eq(mcp_server_metric(server, MCP_COUNTER, "rows_total", "Rows.", "level"), rows);
  mcp_metric_add(rows, "ERROR", 2);
  mcp_metric_set(mcp_server_metric(server, MCP_GAUGE, "heat", "Heat.", NULL), NULL, -1.5);
  mcp_metric_add(mcp_server_metric(server, MCP_HISTOGRAM, "took_seconds", "Time.", NULL), NULL, 0.2);
  scrape();
  cr_expect_eq(value_of("rows_total{level=\"ERROR\"}"), 2);
  cr_expect_eq(value_of("heat"), -1.5);
  cr_expect_eq(value_of("took_seconds_bucket{le=\"0.3\"}"), 1);
  cr_expect_null(mcp_server_metric(server, MCP_COUNTER, "iccm_mine", "No.", NULL));
  cr_expect_not_null(strstr(mcp_last_error(), "iccm_mine"));
  cr_expect(fixture_logged("iccm_mine"));
  cr_expect_null(mcp_server_metric(server, MCP_GAUGE, "rows_total", "No.", "level"));
  cr_expect_null(mcp_server_metric(server, MCP_GAUGE, NULL, "No.", NULL));
  close_all();
}

Test(server_metrics, a_counter_shows_the_values_that_are_known_before_any_is_counted) {
  static const char *const sizes[] = {"small", "large", NULL};
  open_with(0);
  mcp_metric_t *sold = mcp_server_counter(server, "sold_total", "Sold.", "size", sizes);
  mcp_metric_add(sold, "large", 3);
  cr_assert_eq(mcp_server_counter(server, "sold_total", "Sold.", "size", sizes), sold);
  mcp_metric_add(mcp_server_counter(server, "opened_total", "Opened.", NULL, NULL), NULL, 1);
  mcp_server_counter(server, "plain_total", "A label's values without the label.", NULL, sizes);
  scrape();
  cr_expect_eq(value_of("sold_total{size=\"small\"}"), 0);
  cr_expect_eq(value_of("sold_total{size=\"large\"}"), 3, "created again, it keeps its value");
  cr_expect_eq(value_of("sold_total{size=\"other\"}"), -1);
  cr_expect_eq(value_of("opened_total"), 1);
  cr_expect_eq(value_of("plain_total"), 0);
  cr_expect_null(mcp_server_counter(server, "iccm_mine", "No.", "size", sizes));
  close_all();
}

static mcp_metric_t *late;
static atomic_bool may_count, has_counted;
static atomic_uint waits;

static void on_late(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)args;
  (void)arg;
  atomic_fetch_add(&waits, 1);
  while (!atomic_load(&may_count))
    uv_sleep(1);
  mcp_metric_add(late, "after its server", 1);
  atomic_store(&has_counted, true);
  mcp_call_reply_text(call, "1", 1);
}

Test(server_metrics, a_handler_that_outlives_its_server_may_count) {
  open_with(0);
  const mcp_tool_t tool = {.name = "late", .handler = on_late, .flags = MCP_TOOL_BLOCKING};
  cr_assert_eq(mcp_server_add_tool(server, &tool), 0);
  late = mcp_server_metric(server, MCP_COUNTER, "late_total", "Late.", "when");
  raw_client_call(peer, 1, "late", "{}");
  RUN_UNTIL(atomic_load(&waits) == 1);
  test_server_stop(server);
  atomic_store(&may_count, true);
  RUN_UNTIL(atomic_load(&has_counted));
  fixture_teardown();
}

Test(server_metrics, other_tools_keep_theirs_when_one_comes_or_goes) {
  open_with(0);
  const mcp_tool_t tool = {.name = "late", .handler = on_late};
  raw_client_call(peer, 1, "now", "{}");
  raw_client_sync(peer);
  cr_assert_eq(mcp_server_add_tool(server, &tool), 0);
  cr_assert_eq(mcp_server_remove_tool(server, "hold"), 0);
  scrape();
  cr_expect_eq(calls("now", "ok"), 1);
  cr_expect_eq(calls("late", "ok"), 0);
  close_all();
}

/* As many as there may be, with labels as long as they may be. */
static void fill(int metrics, int type) {
  char name[32], value[129] = "";
  memset(value, '"', 128); /* twice as long when it is written */
  for (int i = 0; i < metrics; i++) {
    snprintf(name, sizeof name, "metric_%d", i);
    mcp_metric_t *metric = mcp_server_metric(server, type, name, "One of many.", "label");
    cr_assert_not_null(metric);
    for (int j = 0; j < 100; j++) {
      snprintf(value, 8, "%07d", j);
      value[7] = '"';
      mcp_metric_add(metric, value, 1);
    }
  }
}

Test(server_metrics, a_long_answer_comes_whole) {
  open_with(0);
  fill(250, MCP_COUNTER);
  scrape();
  cr_expect_gt(strlen(page), 6 << 20);
  cr_expect_not_null(strstr(page, "\nmetric_249{label=\"0000099\\\"\\\""));
  raw_client_sync(peer);
  close_all();
}

/* A peer that reads, but at first so slowly that the kernel takes nothing more for longer than the patience
 * with one that does not. */
typedef struct slow_reader {
  int port;
  size_t bytes;
  uint64_t ms;
  atomic_bool done;
} slow_reader_t;

static void read_slowly(void *arg) {
  enum { STEP = 64 * 1024, SLOW = 1024 * 1024 };
  static const char request[] = "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  slow_reader_t *reader = arg;
  struct sockaddr_in address;
  int small = STEP, link = socket(AF_INET, SOCK_STREAM, 0);
  char *piece = malloc(STEP);
  uint64_t began = fixture_clock_ms();
  setsockopt(link, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  uv_ip4_addr("127.0.0.1", reader->port, &address);
  bool sent = connect(link, (struct sockaddr *)&address, sizeof address) == 0 &&
              send(link, request, sizeof request - 1, 0) == sizeof request - 1;
  for (ssize_t len; sent && (len = recv(link, piece, STEP, 0)) > 0; reader->bytes += (size_t)len)
    uv_sleep(reader->bytes < SLOW ? 150 : 5);
  reader->ms = fixture_clock_ms() - began;
  close(link);
  free(piece);
  atomic_store(&reader->done, true);
}

Test(server_metrics, a_slow_reader_gets_it_whole) {
  open_with(0);
  fill(250, MCP_COUNTER);
  scrape();
  slow_reader_t reader = {.port = mcp_server_port(server)};
  uv_thread_t thread;
  cr_assert_eq(uv_thread_create(&thread, read_slowly, &reader), 0);
  RUN_UNTIL(atomic_load(&reader.done));
  uv_thread_join(&thread);
  cr_expect_gt(reader.bytes, strlen(page), "%zu of %zu", reader.bytes, strlen(page));
  cr_expect_gt(reader.ms, 1500);
  close_all();
}

Test(server_metrics, beyond_its_bound_it_says_so) {
  open_with(0);
  fill(60, MCP_HISTOGRAM);
  raw_client_t *client = raw_client_connect(mcp_server_port(server));
  RUN_UNTIL(client->connected);
  raw_client_puts(client, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  RUN_UNTIL(client->ended);
  cr_assert_not_null(client->head);
  cr_expect_not_null(strstr(client->head, " 500 "), "%s", client->head);
  cr_expect_not_null(client->in);
  cr_expect(fixture_logged("/metrics"));
  raw_client_sync(peer);
  close_all();
}
