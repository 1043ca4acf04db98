/* test_client_failures.c: servers that are unavailable, silent, faulty or disconnect. Each call ends once,
 * in time, and with the reason. */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static mcp_client_t *client;

static void call(const char *tool, uint64_t timeout_ms, call_record_t *record) {
  *record = (call_record_t){0};
  cr_assert_eq(mcp_client_call(client, tool, NULL, WITHIN(timeout_ms), record_result, record), 0);
  cr_assert_eq(record->fired, 0, "called back from inside of the call");
}

static call_record_t call_and_wait(const char *tool, uint64_t timeout_ms) {
  call_record_t record;
  call(tool, timeout_ms, &record);
  RUN_UNTIL(record.fired);
  return record;
}

/* It ends although no time passes, except the duration of a loop iteration. */
static call_record_t call_at_once(const char *tool) {
  call_record_t record;
  fixture_freeze_clock();
  call(tool, LONG_TIMEOUT_MS, &record);
  fixture_advance_ms(5);
  RUN_UNTIL(record.fired);
  fixture_unfreeze_clock();
  return record;
}

/* It ends when limit_ms have passed, and no sooner: 50 ms on either side. reached: what has to be so before.
 */
#define EXPECT_LIMIT(record, limit_ms, reached)                                                              \
  do {                                                                                                       \
    RUN_UNTIL(reached);                                                                                      \
    fixture_advance_ms((limit_ms)-50);                                                                       \
    cr_assert_eq((record)->fired, 0);                                                                        \
    fixture_advance_ms(100);                                                                                 \
    RUN_UNTIL((record)->fired);                                                                              \
    fixture_unfreeze_clock();                                                                                \
  } while (0)

static void close_all(void) {
  client_close_and_free(client);
  fixture_teardown();
}

/* ---- unavailable
 * ---------------------------------------------------------------------------------------------- */

static void count_failures(mcp_client_t *from, int status, const char *reason, void *arg) {
  (void)from;
  (void)reason;
  *(unsigned *)arg += status != 0;
}

Test(client_failures, a_refused_port_is_tried_until_the_deadline) {
  fixture_setup();
  client = client_new_to(unused_port());
  call_record_t record;
  unsigned failures = 0;
  mcp_client_on_state(client, count_failures, &failures);
  fixture_freeze_clock();
  call("x", 400, &record);
  EXPECT_LIMIT(&record, 400, failures > 0);
  cr_assert_eq(record.status, MCP_ETIMEOUT);
  cr_assert_not_null(strstr(record.message, "refused"), "%s", record.message);
  close_all();
}

Test(client_failures, a_refused_port_fails_fast_where_that_is_wanted) {
  fixture_setup();
  client = client_new_to(unused_port());
  mcp_client_set_fail_fast(client, true);
  cr_assert_eq(call_at_once("x").status, MCP_ECONNECT);
  cr_assert_eq(call_at_once("x").status, MCP_ECONNECT); /* known to be unavailable */
  close_all();
}

static unsigned retries;
static uint64_t turns_at_retry;

static void retry_at_once(mcp_client_t *from, const mcp_result_t *result, void *arg) {
  if (result->status == MCP_ECLOSED)
    return;
  cr_assert_eq(result->status, MCP_ECONNECT);
  if (++retries < 100000)
    cr_assert_eq(mcp_client_call(from, "x", NULL, NULL, retry_at_once, arg), 0);
}

static void on_check(uv_check_t *check) {
  (void)check;
  turns_at_retry++;
}

/* Silly, but an application that does so must not stop the whole loop. */
Test(client_failures, calls_made_again_in_their_failures_let_the_loop_turn) {
  fixture_setup();
  uv_check_t check;
  uv_check_init(&fixture_loop, &check);
  uv_check_start(&check, on_check);
  client = client_new_to(unused_port());
  mcp_client_set_fail_fast(client, true);
  mcp_client_call(client, "x", NULL, NULL, retry_at_once, NULL);
  RUN_UNTIL(retries >= 10);
  cr_assert_lt(retries, 50, "%u calls in a few turns of the loop", retries);
  RUN_UNTIL(turns_at_retry > 20);
  retries = 100000;
  uv_close((uv_handle_t *)&check, NULL);
  client_close_and_free(client);
  fixture_teardown();
}

Test(client_failures, a_name_that_does_not_resolve) {
  fixture_setup();
  client = mcp_client_new(&fixture_loop, "ws://no-such-host.invalid:9");
  mcp_client_set_fail_fast(client, true);
  uint64_t began = fixture_clock_ms();
  call_record_t record = call_and_wait("x", LONG_TIMEOUT_MS);
  cr_assert(record.status == MCP_ERESOLVE || fixture_clock_ms() - began > 4900, "%d %s", record.status,
            record.message);
  if (record.status != MCP_ERESOLVE)
    printf("NOT RUN: MCP_ERESOLVE, since name look-up takes longer than 5 s here\n");
  close_all();
}

/* A listening socket whose backlog is full: the kernel drops what else would connect. */
static int black_hole(int *sockets, size_t count) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof address;
  sockets[0] = socket(AF_INET, SOCK_STREAM, 0);
  bind(sockets[0], (struct sockaddr *)&address, len);
  listen(sockets[0], 0);
  getsockname(sockets[0], (struct sockaddr *)&address, &len);
  for (size_t i = 1; i < count; i++) {
    sockets[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    connect(sockets[i], (struct sockaddr *)&address, len);
  }
  return ntohs(address.sin_port);
}

Test(client_failures, a_black_hole) {
  fixture_setup();
  int sockets[4];
  client = client_new_to(black_hole(sockets, 4));
  call_record_t record;
  fixture_freeze_clock();
  call("x", 300, &record);
  EXPECT_LIMIT(&record, 300, true);
  cr_assert_eq(record.status, MCP_ETIMEOUT);
  client_close_and_free(client);
  client = client_new_to(black_hole(sockets, 4));
  mcp_client_set_fail_fast(client, true);
  fixture_freeze_clock();
  call("x", LONG_TIMEOUT_MS, &record);
  fixture_run_ms(50); /* it begins to connect */
  EXPECT_LIMIT(&record, 5000, true);
  cr_assert_eq(record.status, MCP_ECONNECT);
  client_close_and_free(client);
  fixture_teardown();
}

static void on_closed(mcp_client_t *from, void *arg) {
  (void)from;
  *(bool *)arg = true;
}

Test(client_failures, closed_while_it_connects) {
  fixture_setup();
  int sockets[4];
  client = client_new_to(black_hole(sockets, 4));
  call_record_t record;
  call("x", 0, &record);
  fixture_run_ms(50);
  bool closed = false;
  fixture_freeze_clock();
  cr_assert_eq(mcp_client_close(client, on_closed, &closed), 0);
  RUN_UNTIL(closed);
  mcp_client_free(client);
  cr_assert_eq(record.status, MCP_ECLOSED);
  cr_assert_eq(record.fired, 1);
  fixture_teardown();
}

/* ---- there, but wrong
 * --------------------------------------------------------------------------------------- */

Test(client_failures, a_peer_that_accepts_and_is_silent) {
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_silent, NULL);
  client = client_new_to(fake->port);
  call_record_t record;
  fixture_freeze_clock();
  call("x", 300, &record);
  EXPECT_LIMIT(&record, 300, fake->last != NULL && fake->last->head != NULL);
  cr_assert_eq(record.status, MCP_ETIMEOUT);
  close_all();
}

Test(client_failures, the_handshake_has_a_limit_of_its_own) {
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_silent, NULL);
  client = client_new_to(fake->port);
  mcp_client_set_fail_fast(client, true);
  call_record_t record;
  fixture_freeze_clock();
  call("x", LONG_TIMEOUT_MS, &record);
  EXPECT_LIMIT(&record, 5000, fake->last != NULL && fake->last->head != NULL);
  cr_assert_eq(record.status, MCP_EUPGRADE);
  close_all();
}

static const char *http_answer;

static void script_http(raw_client_t *peer) {
  if (peer->head == NULL || strncmp(peer->head, "GET", 3) != 0)
    return;
  memcpy(peer->head, "---", 3);
  raw_client_puts(peer, http_answer);
}

static int status_of_http(const char *answer) {
  http_answer = answer;
  fake_server_t *fake = fake_server_open(script_http, NULL);
  client = client_new_to(fake->port);
  mcp_client_set_fail_fast(client, true);
  call_record_t record = call_at_once("x");
  client_close_and_free(client);
  return record.status;
}

Test(client_failures, answers_to_the_upgrade) {
  fixture_setup();
  cr_assert_eq(status_of_http("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), MCP_EUPGRADE);
  cr_assert_eq(status_of_http("HTTP/1.1 401 Unauthorized\r\n\r\n"), MCP_EREFUSED);
  cr_assert_eq(status_of_http("HTTP/1.1 403 Forbidden\r\n\r\n"), MCP_EREFUSED);
  cr_assert_eq(status_of_http("HTTP/1.1 503 Busy\r\nRetry-After: 1\r\n\r\n"), MCP_EUPGRADE);
  cr_assert_eq(status_of_http("HTTP/1.1 301 Moved\r\nLocation: ws://x\r\n\r\n"), MCP_EUPGRADE);
  cr_assert_eq(status_of_http("HTTP/1.1 101 Switching Protocols\r\n\r\n"), MCP_EUPGRADE);
  cr_assert_eq(
      status_of_http("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n"),
      MCP_EUPGRADE);
  cr_assert_eq(status_of_http("SSH-2.0-something\r\n\r\n"), MCP_EUPGRADE);
  cr_assert_eq(status_of_http("\x16\x03\x01\x02"), MCP_EUPGRADE);
  char *endless = malloc(20000);
  memset(endless, 'x', 20000);
  memcpy(endless, "HTTP/1.1 101 OK\r\nX: ", 20);
  endless[19999] = '\0';
  cr_assert_eq(status_of_http(endless), MCP_EUPGRADE);
  free(endless);
  fixture_teardown();
}

static void script_leave(raw_client_t *peer) {
  int step = *(int *)((fake_server_t *)peer->arg)->arg;
  if (step == 0 || (step == 1 && peer->head != NULL)) {
    raw_client_close(peer);
  } else if (step == 2 && peer->head != NULL) {
    raw_client_puts(peer, "HTTP/1.1 101 Swi");
    raw_client_close(peer);
  } else if (step == 3 && peer->head != NULL && peer->count == 0) {
    raw_client_accept_upgrade(peer);
    raw_client_close(peer);
  } else if (step == 4) {
    if (script_handshake(peer))
      raw_client_close(peer);
  } else if (step == 5) {
    if (script_handshake(peer))
      raw_client_reset(peer);
  }
}

Test(client_failures, a_peer_that_leaves_at_each_step) {
  fixture_setup();
  for (int step = 0; step <= 5; step++) {
    fake_server_t *fake = fake_server_open(script_leave, &step);
    client = client_new_to(fake->port);
    mcp_client_set_fail_fast(client, true);
    call_record_t record = call_at_once("x");
    int status = record.status;
    cr_assert(step >= 3 ? status == MCP_EDISCONNECTED || (step == 3 && status == MCP_EUPGRADE)
                        : status == MCP_EUPGRADE || status == MCP_EDISCONNECTED,
              "step %d: %d %s", step, status, record.message);
    client_close_and_free(client);
    fake_server_close(fake);
  }
  fixture_teardown();
}

/* ---- lost on the way
 * ------------------------------------------------------------------------------------------ */

static void script_close_with(raw_client_t *peer) {
  int code = *(int *)((fake_server_t *)peer->arg)->arg;
  if (!script_handshake(peer))
    return;
  char payload[6] = {(char)(code >> 8), (char)code, 'b', 'y', 'e', '!'};
  raw_client_send_frame(peer, 8, payload, sizeof payload);
}

Test(client_failures, close_codes_of_the_peer) {
  fixture_setup();
  static const int codes[] = {1000, 1001, 1008, 1009, 1011, 1012, 1013, 1014, 3000, 4999};
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
    int code = codes[i];
    char number[8];
    fake_server_t *fake = fake_server_open(script_close_with, &code);
    client = client_new_to(fake->port);
    call_record_t record = call_and_wait("x", LONG_TIMEOUT_MS);
    snprintf(number, sizeof number, "%d", code);
    cr_assert_eq(record.status, code == 1013 ? MCP_EBUSY : MCP_EDISCONNECTED, "%d: %d %s", code,
                 record.status, record.message);
    cr_assert_not_null(strstr(record.message, number), "%s", record.message);
    cr_assert_not_null(strstr(record.message, "bye!"), "%s", record.message);
    RUN_UNTIL(fake->last->ended);
    cr_assert_eq(fake->last->close_code, code);
    client_close_and_free(client);
    fake_server_close(fake);
  }
  fixture_teardown();
}

static void script_break(raw_client_t *peer) {
  bool stays = *(bool *)((fake_server_t *)peer->arg)->arg;
  if (!script_handshake(peer))
    return;
  raw_client_send_frame(peer, 3, "", 0);
  raw_client_set_reading(peer, !stays);
}

/* Its call fails at once; the connection is kept for what is still to be said. */
static fake_server_t *break_protocol(bool *stays) {
  fake_server_t *fake = fake_server_open(script_break, stays);
  client = client_new_to(fake->port);
  call_record_t record = call_and_wait("x", LONG_TIMEOUT_MS);
  cr_assert_eq(record.status, MCP_EPROTOCOL, "%d %s", record.status, record.message);
  return fake;
}

Test(client_failures, a_peer_that_breaks_the_protocol_and_goes_on_sees_the_close) {
  fixture_setup();
  bool stays = false;
  fake_server_t *fake = break_protocol(&stays);
  for (int i = 0; i < 20 && !fake->last->ended; i++) {
    raw_client_send_text(fake->last, "late");
    fixture_iterate_once();
  }
  RUN_UNTIL(fake->last->ended);
  cr_assert_eq(fake->last->close_code, 1002);
  close_all();
}

Test(client_failures, a_peer_that_breaks_the_protocol_and_stays_has_a_second) {
  fixture_setup();
  bool stays = true;
  break_protocol(&stays);
  bool closed = false;
  fixture_freeze_clock();
  cr_assert_eq(mcp_client_close(client, on_closed, &closed), 0);
  fixture_advance_ms(900);
  cr_assert(!closed);
  fixture_advance_ms(1000);
  RUN_UNTIL(closed);
  mcp_client_free(client);
  fixture_teardown();
}

static void script_leave_at_once(raw_client_t *peer) {
  script_upgrade(peer);
  if (peer->count >= 2) /* initialize and initialized */
    raw_client_close(peer);
}

/* Such a peer does not count as available again, so it is not tried ten times a second. */
Test(client_failures, a_peer_that_leaves_after_each_handshake_is_tried_less_and_less) {
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_leave_at_once, NULL);
  client = client_new_to(fake->port);
  cr_assert_eq(mcp_client_connect(client), 0);
  RUN_UNTIL(fake->accepted == 1);
  uint64_t began = fixture_clock_ms();
  RUN_UNTIL(fake->accepted == 6);
  cr_assert_geq(fixture_clock_ms() - began, 1500); /* 0.1 s + 0.2 s + … + 1.6 s, half of it more or less */
  close_all();
}

/* A peer that sends requests without reading the responses uses no more memory than the limit. */
Test(client_failures, a_peer_that_asks_and_does_not_read) {
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_upgrade, NULL);
  client = client_new_to(fake->port);
  call_record_t record;
  call("x", LONG_TIMEOUT_MS, &record);
  RUN_UNTIL(fake->last != NULL && fake->last->count >= 3);
  raw_client_set_reading(fake->last, false);
  enum { SIZE = 8 << 20 }; /* what is asked comes back, as the id */
  char *ping = malloc(SIZE + 64);
  int len = snprintf(ping, SIZE + 64, "{\"jsonrpc\":\"2.0\",\"id\":\"%*d\",\"method\":\"ping\"}", SIZE, 1);
  for (int i = 0; i < 10; i++)
    raw_client_send_frame(fake->last, 1, ping, (size_t)len);
  free(ping);
  RUN_UNTIL(record.fired);
  cr_assert_eq(record.status, MCP_EPROTOCOL, "%d %s", record.status, record.message);
  close_all();
}

Test(client_failures, a_lost_connection_fails_what_was_sent_at_once) {
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_upgrade, NULL);
  client = client_new_to(fake->port);
  call_record_t sent[3], later;
  for (int i = 0; i < 3; i++)
    call("x", LONG_TIMEOUT_MS, &sent[i]);
  RUN_UNTIL(fake->last != NULL && fake->last->count >= 5);
  fixture_freeze_clock();
  raw_client_reset(fake->last);
  RUN_UNTIL(sent[0].fired && sent[1].fired && sent[2].fired);
  fixture_unfreeze_clock();
  for (int i = 0; i < 3; i++)
    cr_assert_eq(sent[i].status, MCP_EDISCONNECTED);
  call("y", LONG_TIMEOUT_MS, &later); /* waits for the next connection */
  RUN_UNTIL(fake->accepted == 2 && fake->last->count >= 3);
  cr_assert_not_null(strstr(fake->last->messages[2], "\"y\""));
  cr_assert_eq(later.fired, 0);
  close_all();
  cr_assert_eq(later.status, MCP_ECLOSED);
}

static void script_second_time(raw_client_t *peer) {
  fake_server_t *fake = peer->arg;
  if (fake->accepted > 1)
    script_upgrade(peer);
  else if (peer->head != NULL && peer->count == 0)
    raw_client_accept_upgrade(peer);
  else if (peer->count == 1)
    raw_client_reset(peer); /* instead of answering initialize */
}

Test(client_failures, what_was_not_sent_goes_with_the_next_connection) {
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_second_time, NULL);
  client = client_new_to(fake->port);
  call_record_t record;
  call("x", LONG_TIMEOUT_MS, &record);
  RUN_UNTIL(fake->accepted == 2 && fake->last->count == 3);
  cr_assert_eq(record.fired, 0);
  cr_assert_not_null(strstr(fake->last->messages[2], "\"x\""));
  close_all();
}

static call_record_t again;

static void call_again(mcp_client_t *from, const mcp_result_t *result, void *arg) {
  cr_assert_eq(result->status, MCP_EDISCONNECTED);
  (*(unsigned *)arg)++;
  if (*(unsigned *)arg == 1)
    cr_assert_eq(mcp_client_call(from, "again", NULL, WITHIN(LONG_TIMEOUT_MS), record_result, &again), 0);
}

Test(client_failures, a_call_made_in_the_failure_is_sent_by_the_next_connection) {
  fixture_setup();
  mcp_server_t *server = test_server_new();
  mcp_server_set_shutdown_timeout_ms(server, 0);
  mcp_server_start(server, &fixture_loop);
  fake_server_t *fake = fake_server_open(script_upgrade, NULL);
  client = client_new_to(fake->port);
  unsigned fired = 0;
  for (int i = 0; i < 5; i++)
    mcp_client_call(client, "x", NULL, NULL, call_again, &fired);
  RUN_UNTIL(fake->last != NULL && fake->last->count >= 7);
  raw_client_close(fake->last);
  RUN_UNTIL(fired == 5);
  RUN_UNTIL(fake->accepted == 2 && fake->last->count >= 3);
  cr_assert_eq(again.fired, 0);
  cr_assert_not_null(strstr(fake->last->messages[2], "again"));
  client_close_and_free(client);
  test_server_stop(server);
  fixture_teardown();
}

Test(client_failures, comes_back_after_the_server_restarted) {
  fixture_setup();
  mcp_server_t *server = test_server_new();
  mcp_server_set_shutdown_timeout_ms(server, 50);
  mcp_server_start(server, &fixture_loop);
  int port = mcp_server_port(server);
  client = client_new_to(port);
  for (int round = 0; round < 3; round++) {
    cr_assert_eq(call_and_wait("now", LONG_TIMEOUT_MS).status, 0);
    call_record_t held, waiting;
    call("hold", 0, &held);
    RUN_UNTIL(test_server.held_count == (size_t)round + 1);
    test_server.stopped = false;
    mcp_server_stop(server, test_server_on_stopped, NULL);
    RUN_UNTIL(test_server.stopped);
    RUN_UNTIL(held.fired);
    cr_assert_eq(held.status, MCP_INTERNAL_ERROR, "%d %s", held.status,
                 held.message); /* "the server is stopping" */
    test_server_end_held((size_t)round);
    call("now", LONG_TIMEOUT_MS, &waiting);
    fixture_run_ms(100);
    cr_assert_eq(waiting.fired, 0);
    cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
    RUN_UNTIL(waiting.fired);
    cr_assert_eq(waiting.status, 0, "%s", waiting.message);
  }
  client_close_and_free(client);
  test_server_stop(server);
  fixture_teardown();
}
