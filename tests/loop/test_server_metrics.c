/* test_server_metrics.c: GET /metrics: each way to end a call, each refusal, and what the component counts
 * itself. */
#include "scene.h"

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { IN_FLIGHT = 64, POOL_ROOM = 8 + 1024 };

static mcp_server_t *server;
static wire_t *peer;
static char *page;

static void open_with(uint64_t call_timeout_ms) {
  scene_open();
  server = stage_server();
  if (call_timeout_ms > 0)
    cr_assert_eq(mcp_server_set_call_timeout_ms(server, call_timeout_ms), 0);
  cr_assert_eq(mcp_server_start(server, &scene_loop), 0);
  peer = wire_open(mcp_server_port(server));
}

static void close_all(void) {
  free(page);
  stage_stop(server);
  scene_close();
}

/* Everything that is answered, its length checked against the head. */
static const char *scrape(void) {
  static const char length[] = "Content-Length: ";
  wire_t *wire = wire_connect(mcp_server_port(server));
  RUN_UNTIL(wire->connected);
  wire_puts(wire, "GET /metrics?x=y HTTP/1.1\r\nHost: x\r\n\r\n");
  RUN_UNTIL(wire->ended);
  cr_assert_not_null(wire->head);
  cr_assert_not_null(strstr(wire->head, " 200 OK\r\n"), "%s", wire->head);
  cr_assert_not_null(strstr(wire->head, "Content-Type: text/plain; version=0.0.4"), "%s", wire->head);
  cr_assert_eq(strtoul(strstr(wire->head, length) + sizeof length - 1, NULL, 10), wire->in_len);
  free(page);
  page = malloc(wire->in_len + 2);
  page[0] = '\n';
  memcpy(page + 1, wire->in, wire->in_len);
  page[wire->in_len + 1] = '\0';
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
  wire_call(peer, 1, "now", "{}");
  wire_call(peer, 2, "now", "{}");
  wire_call(peer, 3, "block", "{}");
  wire_call(peer, 4, "fail", "{\"how\":\"code\"}");
  wire_call(peer, 5, "fail", "{\"how\":\"words\"}");
  wire_call(peer, 6, "fail", "{\"how\":\"internal\"}");
  wire_call(peer, 7, "fail", "{}");
  wire_call(peer, 8, "forget", "{}");
  wire_call(peer, 9, "nobody_knows_it", "{}");
  wire_text(peer, "{\"jsonrpc\":\"2.0\",\"id\":10,\"method\":\"now\",\"params\":{}}");
  wire_text(peer, "{\"jsonrpc\":\"2.0\",\"method\":\"now\",\"params\":{}}");
  wire_call(peer, 11, "hold", "{}");
  RUN_UNTIL(peer->count == 10 && stage.held_count == 1);
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
  stage_end_held(0);
  scrape();
  cr_expect_eq(calls("hold", "ok"), 1);
  cr_expect_eq(value_of("iccm_calls_in_flight"), 0);
  close_all();
}

Test(server_metrics, cancelled_left_and_timed_out) {
  open_with(0);
  wire_call(peer, 1, "hold", "{}");
  wire_text(peer,
            "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":1}}");
  wire_t *leaves = wire_open(mcp_server_port(server));
  wire_call(leaves, 1, "hold", "{}");
  RUN_UNTIL(stage.held_count == 2);
  wire_close(leaves);
  RUN_UNTIL(stage.cancels == 2);
  stage_end_held(0);
  stage_end_held(1);
  scrape();
  cr_expect_eq(calls("hold", "cancelled"), 2);
  cr_expect_eq(calls("hold", "ok"), 0);
  cr_expect_eq(value_of("iccm_connections"), 1);
  cr_expect_eq(value_of("iccm_connections_total"), 2);
  close_all();
}

Test(server_metrics, timed_out_counts_once_and_at_the_deadline) {
  open_with(50);
  wire_call(peer, 1, "hold", "{}");
  RUN_UNTIL(wire_answers(peer, 1) == 1);
  scrape();
  cr_expect_eq(calls("hold", "timed_out"), 1);
  cr_expect_eq(value_of("iccm_calls_in_flight"), 1);
  stage_end_held(0);
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
    wire_t *wire = wire_open(mcp_server_port(server));
    for (int id = 0; id < IN_FLIGHT; id++, sent++)
      wire_call(wire, id, "gate", "{}");
  }
  double busy = (double)(sent - POOL_ROOM);
  RUN_UNTIL((scrape(), calls("gate", "busy") == busy));
  cr_expect_eq(took("count", "gate"), 0);
  cr_expect_eq(value_of("iccm_calls_in_flight"), POOL_ROOM);
  stage_gate(true);
  RUN_UNTIL((scrape(), calls("gate", "ok") == POOL_ROOM));
  cr_expect_eq(calls("gate", "busy"), busy);
  close_all();
}

Test(server_metrics, durations) {
  open_with(0);
  wire_call(peer, 1, "delay", "{\"ms\":40}");
  wire_call(peer, 2, "now", "{}");
  RUN_UNTIL(wire_answers(peer, 1) == 1);
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
  wire_call(peer, 1, "big", "{\"bytes\":100000}");
  RUN_UNTIL(wire_answers(peer, 1) == 1);
  scrape();
  cr_expect_gt(value_of("iccm_received_bytes_total"), received + 80);
  cr_expect_lt(value_of("iccm_received_bytes_total"), received + 1000);
  cr_expect_gt(value_of("iccm_sent_bytes_total"), sent + 100000);
  cr_expect_lt(value_of("iccm_sent_bytes_total"), sent + 130000);
  close_all();
}

static void end_with(const char *request) {
  wire_t *wire = wire_connect(mcp_server_port(server));
  RUN_UNTIL(wire->connected);
  wire_puts(wire, request);
  RUN_UNTIL(wire->ended);
}

Test(server_metrics, refusals_by_reason) {
  open_with(0);
  end_with("junk\r\n\r\n");
  end_with("POST / HTTP/1.1\r\nHost: x\r\n\r\n");
  end_with("GET / HTTP/1.1\r\nHost: x\r\nOrigin: https://evil.example\r\n\r\n");
  end_with("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  wire_t *wire = wire_open(mcp_server_port(server));
  wire_frame(wire, 2, "binary", 6);
  RUN_UNTIL(wire->ended);
  wire = wire_open(mcp_server_port(server));
  wire_frame(wire, 1, "\xff", 1);
  RUN_UNTIL(wire->ended);
  wire = wire_open(mcp_server_port(server));
  wire_frame(wire, 8, "\x03\xe8", 2);
  RUN_UNTIL(wire->ended);
  wire_text(peer, "{");
  wire_text(peer, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{}}");
  RUN_UNTIL(peer->count == 2);
  mcp_server_set_dependency(server, "store", "is away");
  end_with("GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n");
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
  wire_call(peer, 1, "hold", "{}");
  RUN_UNTIL(stage.held_count == 1);
  cr_assert_eq(mcp_server_remove_tool(server, "hold"), 0);
  scrape();
  cr_expect_eq(calls("hold", "ok"), -1);
  cr_expect_eq(value_of("iccm_calls_in_flight"), 1);
  stage_end_held(0);
  wire_settle(peer);
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
  cr_expect(scene_logged("iccm_mine"));
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
  cr_expect_eq(value_of("sold_total{size=\"large\"}"), 3, "made again it goes on");
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
  wire_call(peer, 1, "late", "{}");
  RUN_UNTIL(atomic_load(&waits) == 1);
  stage_stop(server);
  atomic_store(&may_count, true);
  RUN_UNTIL(atomic_load(&has_counted));
  scene_close();
}

Test(server_metrics, other_tools_keep_theirs_when_one_comes_or_goes) {
  open_with(0);
  const mcp_tool_t tool = {.name = "late", .handler = on_late};
  wire_call(peer, 1, "now", "{}");
  wire_settle(peer);
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
  wire_settle(peer);
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
  static const char request[] = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
  slow_reader_t *reader = arg;
  struct sockaddr_in address;
  int small = STEP, link = socket(AF_INET, SOCK_STREAM, 0);
  char *piece = malloc(STEP);
  uint64_t began = scene_ms();
  setsockopt(link, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  uv_ip4_addr("127.0.0.1", reader->port, &address);
  bool sent = connect(link, (struct sockaddr *)&address, sizeof address) == 0 &&
              send(link, request, sizeof request - 1, 0) == sizeof request - 1;
  for (ssize_t len; sent && (len = recv(link, piece, STEP, 0)) > 0; reader->bytes += (size_t)len)
    uv_sleep(reader->bytes < SLOW ? 150 : 5);
  reader->ms = scene_ms() - began;
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
  wire_t *wire = wire_connect(mcp_server_port(server));
  RUN_UNTIL(wire->connected);
  wire_puts(wire, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
  RUN_UNTIL(wire->ended);
  cr_assert_not_null(wire->head);
  cr_expect_not_null(strstr(wire->head, " 500 "), "%s", wire->head);
  cr_expect_not_null(wire->in);
  cr_expect(scene_logged("/metrics"));
  wire_settle(peer);
  close_all();
}
