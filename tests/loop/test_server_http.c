/* test_server_http.c: limits of MCP over HTTP, in time, number and memory: just below is served, just above
 * gets the documented response. docs/reliability.md has the list. */
#define _GNU_SOURCE /* memmem */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MIB = 1 << 20 };

#define TYPE "Content-Type: application/json\r\n"
#define PING "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}"
#define INITIALIZE                                                                                           \
  "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"2025-11-25\","  \
  "\"capabilities\":{},\"clientInfo\":{\"name\":\"a\",\"version\":\"1\"}}}"

static mcp_server_t *server;

static void start(void) {
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
}

static raw_client_t *connect_client(void) {
  raw_client_t *client = raw_client_connect(mcp_server_port(server));
  RUN_UNTIL(client->connected || client->ended);
  return client;
}

static void post(raw_client_t *client, const char *headers, const char *body) {
  char head[512];
  snprintf(head, sizeof head, "POST /mcp HTTP/1.1\r\nHost: x\r\n" TYPE "%sContent-Length: %zu\r\n\r\n",
           headers, strlen(body));
  raw_client_puts(client, head);
  raw_client_puts(client, body);
}

/* How often a text occurs in what has come, in the first head or behind it. */
static size_t count_of(const raw_client_t *client, const char *text) {
  size_t count = client->head != NULL && strstr(client->head, text) != NULL, len = strlen(text);
  if (client->in_len == 0)
    return count;
  const char *at = client->in, *end = at + client->in_len;
  while ((at = memmem(at, (size_t)(end - at), text, len)) != NULL) {
    at += len;
    count++;
  }
  return count;
}

static void expect(raw_client_t *client, const char *text, size_t count) {
  RUN_UNTIL(count_of(client, text) >= count || client->ended);
  cr_expect_eq(count_of(client, text), count, "%zu of %s behind %s", count_of(client, text), text,
               client->head != NULL ? client->head : "nothing");
}

static raw_client_t *ping(void) {
  raw_client_t *client = connect_client();
  post(client, "", PING);
  expect(client, "\"result\":{}", 1);
  return client;
}

static void end(void) {
  test_server_stop(server);
  fixture_teardown();
}

/* ---- time -------------------------------------------------------------------------------------------- */

static void pass_s(int s) {
  for (; s > 0; s--)
    fixture_advance_ms(1000);
}

Test(server_http, a_connection_is_kept_for_a_minute) {
  fixture_setup();
  server = test_server_start();
  fixture_freeze_clock();
  raw_client_t *client = ping();
  pass_s(59);
  post(client, "", PING);
  expect(client, "\"result\":{}", 2);
  pass_s(59);
  cr_expect(!client->ended);
  pass_s(3);
  RUN_UNTIL(client->ended);
  cr_expect_eq(count_of(client, "HTTP/1.1 "), 2, "it just ends");
  end();
}

Test(server_http, a_slow_head_is_given_up_on_a_connection_that_is_kept) {
  fixture_setup();
  server = test_server_start();
  fixture_freeze_clock();
  raw_client_t *client = ping();
  pass_s(30);
  raw_client_puts(client, "POST /mcp HTTP/1.1\r\n");
  fixture_iterate_once();
  pass_s(4);
  raw_client_puts(client, "Host: x\r\n");
  cr_expect(!client->ended);
  pass_s(3);
  expect(client, "HTTP/1.1 408 ", 1);
  end();
}

Test(server_http, a_slow_body_is_given_up) {
  fixture_setup();
  server = test_server_start();
  fixture_freeze_clock();
  raw_client_t *client = connect_client(), *steady = connect_client();
  static const char head[] = "POST / HTTP/1.1\r\nHost: x\r\n" TYPE "Content-Length: 1000000\r\n\r\n";
  static char part[64 << 10];
  memset(part, ' ', sizeof part);
  raw_client_puts(client, head);
  raw_client_puts(steady, head);
  for (int i = 0; i < 34; i++) {
    raw_client_puts(client, " ");
    if (i % 5 == 0)
      raw_client_send(steady, part, sizeof part);
    fixture_iterate_once();
    cr_expect(i > 28 || client->head == NULL, "%d", i);
    pass_s(1);
  }
  expect(client, "HTTP/1.1 408 ", 1);
  cr_expect(!steady->ended && steady->head == NULL);
  end();
}

/* ---- numbers ----------------------------------------------------------------------------------------- */

Test(server_http, connections_that_are_kept_make_room) {
  fixture_setup();
  server = test_server_new();
  mcp_server_set_max_connections(server, 2);
  start();
  raw_client_t *oldest = ping(), *newer = ping();
  raw_client_t *third = ping();
  RUN_UNTIL(oldest->ended);
  cr_expect(!newer->ended && !third->ended);
  post(newer, "", PING);
  expect(newer, "\"result\":{}", 2);
  post(newer, "", "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"tools/call\",\"params\":{\"name\":\"hold\"}}");
  post(third, "", "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"tools/call\",\"params\":{\"name\":\"hold\"}}");
  RUN_UNTIL(test_server.held_count == 2);
  raw_client_t *refused = connect_client(); /* none of the two is idle */
  expect(refused, "HTTP/1.1 503 ", 1);
  expect(refused, "Retry-After: ", 1);
  test_server_end_held(0);
  test_server_end_held(1);
  expect(newer, "\"id\":5", 1);
  expect(third, "\"id\":5", 1);
  end();
}

Test(server_http, messages_in_a_second) {
  enum { PER_SECOND = 4, ALL = 11 };
  fixture_setup();
  server = test_server_new();
  mcp_server_set_max_messages_per_second(server, PER_SECOND);
  start();
  fixture_freeze_clock();
  fixture_advance_ms(1000);
  raw_client_t *client = connect_client();
  for (int i = 0; i < ALL; i++)
    post(client, "", PING);
  expect(client, "\"result\":{}", PER_SECOND);
  raw_client_t *other = ping(); /* each connection has its own */
  cr_expect(!other->ended);
  cr_expect_eq(count_of(client, "\"result\":{}"), PER_SECOND);
  for (size_t turn = 0; turn < 10 && count_of(client, "\"result\":{}") < ALL; turn++) {
    size_t before = count_of(client, "\"result\":{}");
    fixture_advance_ms(1000);
    for (int i = 0; i < 20; i++)
      fixture_iterate_once();
    cr_expect_leq(count_of(client, "\"result\":{}"), before + PER_SECOND);
  }
  expect(client, "\"result\":{}", ALL);
  end();
}

/* ---- the token, names -------------------------------------------------------------------------------- */

Test(server_http, every_request_needs_the_token) {
  static const char *const methods[] = {"POST", "DELETE", "GET"};
  fixture_setup();
  server = test_server_new();
  cr_assert_eq(mcp_server_set_auth_token(server, "secret"), 0);
  start();
  for (size_t i = 0; i < 3; i++) {
    char request[256];
    snprintf(
        request, sizeof request,
        "%s /mcp HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nAuthorization: Bearer wrong\r\n\r\n",
        methods[i]);
    raw_client_t *client = connect_client();
    raw_client_puts(client, request);
    expect(client, "HTTP/1.1 401 ", 1);
    expect(client, "\r\nWWW-Authenticate: Bearer", 1);
    RUN_UNTIL(client->ended);
  }
  raw_client_t *client = connect_client();
  raw_client_puts(client, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
  expect(client, "alive", 1);
  post(client, "Authorization: Bearer secret\r\n", PING);
  expect(client, "\"result\":{}", 1);
  post(client, "", PING); /* the one before says nothing of this one */
  expect(client, "HTTP/1.1 401 ", 1);
  end();
}

Test(server_http, foreign_names_are_refused) {
  fixture_setup();
  server = test_server_start();
  raw_client_t *client = connect_client();
  post(client, "Origin: https://evil.example\r\n", PING);
  expect(client, "HTTP/1.1 403 ", 1);
  client = connect_client(); /* a page whose name was bound anew: its Origin is as its Host */
  raw_client_puts(client, "POST / HTTP/1.1\r\nHost: evil.example\r\nOrigin: http://evil.example\r\n" TYPE
                          "Content-Length: 2\r\n\r\n{}");
  expect(client, "HTTP/1.1 403 ", 1);
  client = connect_client(); /* browsers leave Origin out with GET alone */
  raw_client_puts(client, "GET /mcp HTTP/1.1\r\nHost: evil.example\r\nAccept: text/event-stream\r\n\r\n");
  expect(client, "HTTP/1.1 403 ", 1);
  end();
}

/* ---- sessions ---------------------------------------------------------------------------------------- */

static char session_header[128];

static raw_client_t *begin_session(void) {
  raw_client_t *client = connect_client();
  post(client, "", INITIALIZE);
  expect(client, "\"id\":0", 1);
  const char *at = strstr(client->head, "Mcp-Session-Id: ");
  cr_assert_not_null(at, "%s", client->head);
  snprintf(session_header, sizeof session_header, "%.48s\r\n", at);
  return client;
}

static void call_hold(raw_client_t *client, int id) {
  char body[160];
  snprintf(body, sizeof body,
           "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"tools/call\",\"params\":{\"name\":\"hold\"}}", id);
  post(client, session_header, body);
}

static void settle(void) {
  for (int i = 0; i < 20; i++)
    fixture_iterate_once();
}

/* Closing a connection cancels nothing up to 2025-11-25: the call goes on, and begins in its turn. */
Test(server_http, a_call_that_waits_without_its_connection_holds_up_no_other) {
  enum { IN_FLIGHT = 64 };
  fixture_setup();
  server = test_server_start();
  begin_session();
  for (int i = 0; i < IN_FLIGHT; i++)
    call_hold(connect_client(), 100 + i);
  RUN_UNTIL(test_server.held_count == IN_FLIGHT);
  raw_client_t *gone = connect_client(), *waits = connect_client();
  call_hold(gone, 200);
  settle();
  call_hold(waits, 201);
  settle();
  raw_client_close(gone);
  settle();
  cr_assert_eq(test_server.held_count, IN_FLIGHT);
  test_server_end_held(0);
  test_server_end_held(1);
  RUN_UNTIL(test_server.held_count == IN_FLIGHT + 2);
  test_server_end_held(IN_FLIGHT + 1);
  expect(waits, "\"id\":201", 1);
  for (int i = 2; i < IN_FLIGHT + 1; i++)
    test_server_end_held((size_t)i);
  end();
}

Test(server_http, the_last_that_waits_begins_without_any_connection) {
  enum { IN_FLIGHT = 64 };
  fixture_setup();
  server = test_server_start();
  begin_session();
  raw_client_t *clients[IN_FLIGHT + 1];
  for (int i = 0; i <= IN_FLIGHT; i++) {
    clients[i] = connect_client();
    call_hold(clients[i], 100 + i);
    settle();
  }
  RUN_UNTIL(test_server.held_count == IN_FLIGHT);
  for (int i = 0; i <= IN_FLIGHT; i++)
    raw_client_close(clients[i]);
  settle();
  test_server_end_held(0);
  RUN_UNTIL(test_server.held_count == IN_FLIGHT + 1);
  for (int i = 1; i <= IN_FLIGHT; i++)
    test_server_end_held((size_t)i);
  end();
}

/* ---- memory ------------------------------------------------------------------------------------------ */

/* A call that holds memory until it is ended. */
static void hold_memory(void) {
  static const char begin[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/"
                              "call\",\"params\":{\"name\":\"hold\",\"arguments\":{\"a\":\"";
  char *body = malloc(sizeof begin + 2 * MIB + 5);
  memcpy(body, begin, sizeof begin - 1);
  memset(body + sizeof begin - 1, 'x', 2 * MIB);
  memcpy(body + sizeof begin - 1 + 2 * MIB, "\"}}}", 5);
  post(connect_client(), "", body);
  RUN_UNTIL(test_server.held_count == 1);
  free(body);
}

/* A message for which there is no memory to parse it waits. */
static raw_client_t *send_too_much(void) {
  enum { LEN = 3 * MIB };
  fixture_setup();
  server = test_server_new();
  cr_assert_eq(mcp_server_set_max_message_bytes(server, 4 * MIB), 0);
  cr_assert_eq(mcp_server_set_max_memory_bytes(server, 16 * MIB), 0);
  start();
  hold_memory();
  fixture_freeze_clock();
  raw_client_t *client = begin_session();
  char *body = malloc(LEN + 1);
  memset(body, '[', LEN); /* 16 bytes each, once parsed */
  body[LEN] = '\0';
  post(client, session_header, body);
  for (int i = 0; i < 500; i++)
    fixture_iterate_once();
  cr_assert_eq(count_of(client, "HTTP/1.1 "), 1, "it waits");
  free(body);
  return client;
}

Test(server_http, a_message_has_30_s_to_find_memory) {
  raw_client_t *client = send_too_much();
  pass_s(29);
  cr_expect(!client->ended);
  pass_s(4);
  RUN_UNTIL(client->ended);
  cr_expect_eq(count_of(client, "\"id\""), 1, "that of initialize alone");
  test_server_end_held(0);
  end();
}

/* Its session ends meanwhile, and then the wait. */
Test(server_http, a_session_ends_while_its_message_waits_for_memory) {
  raw_client_t *client = send_too_much();
  raw_client_t *other = connect_client();
  char request[256];
  snprintf(request, sizeof request, "DELETE / HTTP/1.1\r\nHost: x\r\n%s\r\n", session_header);
  raw_client_puts(other, request);
  expect(other, "HTTP/1.1 200 ", 1);
  expect(client, "HTTP/1.1 202 ", 1);
  post(client, "", PING);
  expect(client, "\"result\":{}", 1);
  test_server_end_held(0);
  end();
}

/* ---- the end of the peer's side ---------------------------------------------------------------------- */

static void on_shutdown(uv_shutdown_t *request, int status) {
  (void)request;
  (void)status;
}

Test(server_http, an_answer_comes_to_a_peer_that_has_said_all) {
  fixture_setup();
  server = test_server_start();
  for (int i = 0; i < 2; i++) {
    static uv_shutdown_t request;
    raw_client_t *client = connect_client();
    if (i == 0)
      raw_client_puts(client, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    else
      post(client, "", PING);
    cr_assert_eq(uv_shutdown(&request, (uv_stream_t *)&client->tcp, on_shutdown), 0);
    expect(client, "HTTP/1.1 200 ", 1);
    RUN_UNTIL(client->ended);
  }
  end();
}
