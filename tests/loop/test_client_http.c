/* test_client_http.c: a client over HTTP: its connections, waiting requests, cancelling, closing, reconnects,
 * and exhausted memory. tests/system/test_http_client.py has the protocol. */
#include "fixture.h"
#include "out_of_memory.h"

#include <stdio.h>
#include <string.h>

enum { CONNS = 8, CALLS = 20 };

static mcp_client_t *http_client(int port) {
  char url[64];
  snprintf(url, sizeof url, "http://127.0.0.1:%d", port);
  mcp_client_t *client = mcp_client_new(&fixture_loop, url);
  cr_assert_not_null(client);
  return client;
}

static uint64_t call(mcp_client_t *client, const char *tool, uint64_t timeout_ms, call_record_t *record) {
  uint64_t id = 0;
  mcp_call_options_t options = {.timeout_ms = timeout_ms, .id = &id};
  cr_assert_eq(mcp_client_call(client, tool, NULL, &options, record_result, record), 0);
  return id;
}

static unsigned count_fired(const call_record_t *records, unsigned count) {
  unsigned fired = 0;
  for (unsigned i = 0; i < count; i++)
    fired += records[i].fired;
  return fired;
}

Test(client_http, eight_requests_at_a_time) {
  call_record_t records[CALLS] = {{0}};
  fixture_setup();
  mcp_server_t *server = test_server_start();
  mcp_client_t *client = http_client(mcp_server_port(server));
  for (unsigned i = 0; i < CALLS; i++)
    call(client, "hold", LONG_TIMEOUT_MS, &records[i]);
  for (unsigned ended = 0; ended < CALLS; ended++) {
    size_t held = ended + CONNS < CALLS ? ended + CONNS : CALLS;
    RUN_UNTIL(test_server.held_count == held);
    fixture_run_ms(5);
    cr_assert_eq(test_server.held_count, held);
    cr_assert_eq(test_server_end_held(ended), 0);
  }
  RUN_UNTIL(count_fired(records, CALLS) == CALLS);
  for (unsigned i = 0; i < CALLS; i++)
    cr_expect_eq(records[i].status, 0, "%s", records[i].message);
  client_close_and_free(client);
  test_server_stop(server);
  fixture_teardown();
}

Test(client_http, cancels_what_was_sent_and_what_waits) {
  call_record_t records[CONNS + 1] = {{0}};
  uint64_t ids[CONNS + 1];
  fixture_setup();
  mcp_server_t *server = test_server_start();
  mcp_client_t *client = http_client(mcp_server_port(server));
  for (unsigned i = 0; i <= CONNS; i++)
    ids[i] = call(client, "hold", LONG_TIMEOUT_MS, &records[i]);
  RUN_UNTIL(test_server.held_count == CONNS);
  cr_assert_eq(mcp_client_cancel(client, ids[CONNS]), 0);
  cr_assert_eq(mcp_client_cancel(client, ids[0]), 0);
  cr_assert_eq(records[0].fired + records[CONNS].fired, 0, "called back from inside of cancel");
  RUN_UNTIL(records[0].fired && records[CONNS].fired && test_server.cancels == 1);
  cr_expect(records[0].status == MCP_ECANCELED && records[CONNS].status == MCP_ECANCELED);
  call(client, "now", LONG_TIMEOUT_MS, &records[0]);
  RUN_UNTIL(records[0].fired == 2);
  cr_expect_eq(records[0].status, 0, "%s", records[0].message);
  cr_expect_eq(test_server.held_count, CONNS, "the cancelled one was sent");
  client_close_and_free(client);
  RUN_UNTIL(test_server.cancels == CONNS); /* closing the connections cancels what was in flight */
  for (unsigned i = 1; i < CONNS; i++)
    cr_expect_eq(records[i].status, MCP_ECLOSED);
  test_server_stop(server);
  fixture_teardown();
}

Test(client_http, deadlines_of_what_was_sent_and_what_waits) {
  call_record_t held[CONNS] = {{0}}, late = {0}, short_one = {0};
  fixture_setup();
  mcp_server_t *server = test_server_start();
  mcp_client_t *client = http_client(mcp_server_port(server));
  for (unsigned i = 0; i < CONNS; i++)
    call(client, "hold", i == 0 ? 2000 : LONG_TIMEOUT_MS, &held[i]);
  RUN_UNTIL(test_server.held_count == CONNS);
  call(client, "now", 1000, &short_one);
  call(client, "now", LONG_TIMEOUT_MS, &late);
  RUN_UNTIL(short_one.fired);
  cr_expect_eq(short_one.status, MCP_ETIMEOUT);
  cr_expect_not_null(strstr(short_one.message, "not sent within 1000 ms: other requests"), "%s",
                     short_one.message);
  RUN_UNTIL(held[0].fired && late.fired && test_server.cancels == 1);
  cr_expect_eq(held[0].status, MCP_ETIMEOUT);
  cr_expect_eq(late.status, 0, "%s", late.message);
  client_close_and_free(client);
  test_server_stop(server);
  fixture_teardown();
}

static unsigned opened, lost;

static void on_state(mcp_client_t *client, int status, const char *reason, void *arg) {
  (void)client, (void)reason, (void)arg;
  *(status == 0 ? &opened : &lost) += 1;
}

Test(client_http, a_server_that_comes_back) {
  static const mcp_tool_t tools[] = {{.name = "now", .handler = test_server_now_tool}, MCP_TOOL_END};
  call_record_t first = {0}, second = {0};
  fixture_setup();
  mcp_server_t *server = test_server_start();
  int port = mcp_server_port(server);
  mcp_client_t *client = http_client(port);
  mcp_client_on_state(client, on_state, NULL);
  call(client, "now", LONG_TIMEOUT_MS, &first);
  RUN_UNTIL(first.fired);
  cr_expect_eq(opened, 1);
  test_server_stop(server);
  call(client, "now", LONG_TIMEOUT_MS, &second);
  RUN_UNTIL(lost > 0);
  cr_expect_eq(second.fired, 0);
  server = mcp_server_new("again", "1", port, tools);
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  RUN_UNTIL(second.fired);
  cr_expect_eq(second.status, 0, "%s", second.message);
  cr_expect_eq(opened, 2);
  client_close_and_free(client);
  test_server_stop(server);
  fixture_teardown();
}

static void close_client(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  cr_expect_eq(result->status, 0);
  *(bool *)arg = true;
  cr_expect_eq(mcp_client_close(client, NULL, NULL), 0);
}

Test(client_http, is_closed_in_a_callback) {
  bool called = false;
  call_record_t other = {0};
  fixture_setup();
  mcp_server_t *server = test_server_start();
  mcp_client_t *client = http_client(mcp_server_port(server));
  cr_assert_eq(mcp_client_call(client, "now", NULL, WITHIN(LONG_TIMEOUT_MS), close_client, &called), 0);
  call(client, "hold", LONG_TIMEOUT_MS, &other);
  RUN_UNTIL(called && other.fired);
  cr_expect_eq(other.status, MCP_ECLOSED);
  size_t handles = fixture_handle_count();
  RUN_UNTIL(mcp_client_close(client, NULL, NULL) == MCP_ESTATE && fixture_handle_count() < handles);
  fixture_run_ms(20);
  mcp_client_free(client);
  test_server_stop(server);
  fixture_teardown();
}

/* ---- exhausted memory ---- */

/* A server that needs none of the library's memory. */
typedef struct peer {
  uv_tcp_t tcp;
  char in[8192], out[2048];
  size_t len;
  uv_write_t write;
} peer_t;

static uv_tcp_t listener;
static unsigned peers;
static bool is_legacy;

static void on_peer_closed(uv_handle_t *handle) {
  free(handle->data);
  peers--;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
  peer_t *peer = handle->data;
  (void)suggested;
  *buf = uv_buf_init(peer->in + peer->len, (unsigned)(sizeof peer->in - 1 - peer->len));
}

static const char *answer_to(const char *request, char *body, size_t size) {
  const char *id = strstr(request, "\"id\":");
  int id_len = id != NULL ? (int)strcspn(id, ",") : 0;
  bool discovers = strstr(request, "server/discover") != NULL,
       initializes = strstr(request, "\"initialize\"") != NULL;
  *body = '\0';
  if (discovers && is_legacy)
    return "HTTP/1.1 405 No\r\n";
  if (id == NULL)
    return strncmp(request, "DELETE", 6) == 0 ? "HTTP/1.1 200 OK\r\n" : "HTTP/1.1 202 Accepted\r\n";
  snprintf(body, size, "{\"jsonrpc\":\"2.0\",%.*s,\"result\":{%s}}", id_len, id,
           discovers     ? "\"supportedVersions\":[\"2026-07-28\"],\"capabilities\":{}"
           : initializes ? "\"protocolVersion\":\"2025-11-25\",\"capabilities\":{}"
                         : "\"content\":[{\"type\":\"text\",\"text\":\"fine\"}]");
  return initializes ? "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nMcp-Session-Id: s\r\n"
                     : "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
}

static void on_input(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf) {
  peer_t *peer = stream->data;
  char body[1024];
  (void)buf;
  if (len < 0) {
    uv_close((uv_handle_t *)stream, on_peer_closed);
    return;
  }
  peer->len += (size_t)len;
  peer->in[peer->len] = '\0';
  const char *end = strstr(peer->in, "\r\n\r\n"), *length = strstr(peer->in, "Content-Length: ");
  size_t wanted = end == NULL ? SIZE_MAX : (size_t)(end - peer->in) + 4;
  if (end != NULL && length != NULL)
    wanted += (size_t)atoi(length + 16);
  if (peer->len < wanted)
    return;
  const char *head = answer_to(peer->in, body, sizeof body);
  peer->len = 0;
  snprintf(peer->out, sizeof peer->out, "%sContent-Length: %zu\r\n\r\n%s", head, strlen(body), body);
  uv_buf_t out = uv_buf_init(peer->out, (unsigned)strlen(peer->out));
  uv_write(&peer->write, stream, &out, 1, NULL);
}

static void on_connection(uv_stream_t *server, int status) {
  peer_t *peer = calloc(1, sizeof *peer);
  cr_assert(status == 0 && peer != NULL);
  uv_tcp_init(&fixture_loop, &peer->tcp);
  peer->tcp.data = peer;
  cr_assert_eq(uv_accept(server, (uv_stream_t *)&peer->tcp), 0);
  uv_read_start((uv_stream_t *)&peer->tcp, on_alloc, on_input);
  peers++;
}

static int start_peer(void) {
  struct sockaddr_in address;
  int len = sizeof address;
  uv_ip4_addr("127.0.0.1", 0, &address);
  uv_tcp_init(&fixture_loop, &listener);
  cr_assert_eq(uv_tcp_bind(&listener, (struct sockaddr *)&address, 0), 0);
  cr_assert_eq(uv_listen((uv_stream_t *)&listener, 16, on_connection), 0);
  uv_tcp_getsockname(&listener, (struct sockaddr *)&address, &len);
  return ntohs(address.sin_port);
}

static bool closed;

static void on_closed(mcp_client_t *client, void *arg) {
  (void)arg;
  mcp_client_free(client);
  closed = true;
}

/* One call while memory is exhausted at some point. Returns whether it was served. */
static bool call_with(int port, long allowed, bool once) {
  uint64_t timeout_ms = once ? LONG_TIMEOUT_MS : 50;
  char url[64];
  call_record_t record = {0};
  snprintf(url, sizeof url, "http://127.0.0.1:%d", port);
  memory.allowed = allowed;
  memory.once = once;
  mcp_client_t *client = mcp_client_new(&fixture_loop, url);
  if (client == NULL)
    return false;
  mcp_client_set_fail_fast(client, true);
  int status = mcp_client_call(client, "now", NULL, WITHIN(timeout_ms), record_result, &record);
  if (status == 0)
    RUN_UNTIL(record.fired);
  cr_expect(status == 0 || status == UV_ENOMEM);
  closed = false;
  while (mcp_client_close(client, on_closed, NULL) != 0)
    memory.allowed = 1; /* even closing needs memory, where nothing was sent */
  RUN_UNTIL(closed);
  cr_expect_leq(record.fired, 1);
  return status == 0 && record.status == 0;
}

static void exhaust(bool legacy) {
  fixture_setup();
  use_failing_allocator();
  int port = start_peer();
  is_legacy = legacy;
  bool is_enough = false;
  for (long allowed = 0; !is_enough; allowed++) {
    cr_assert_lt(allowed, 2000);
    is_enough = call_with(port, allowed, true) && memory.allowed >= 0;
    if (allowed % 8 == 0) /* and where memory stays exhausted */
      call_with(port, allowed, false);
    memory.allowed = 1000000;
    RUN_UNTIL(peers == 0);
    cr_assert_eq(memory.live, 0, "%zu blocks are left after %ld allocations", memory.live, allowed);
  }
  uv_close((uv_handle_t *)&listener, NULL);
  fixture_teardown();
}

Test(client_http, out_of_memory) {
  exhaust(false);
}

Test(client_http, out_of_memory_in_a_session) {
  exhaust(true);
}
