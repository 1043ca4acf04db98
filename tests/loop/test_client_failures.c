/* test_client_failures.c: peers that are away, mute, wrong, or leave. Each call ends once, in time, and says
 * why. */
#include "scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static mcp_client_t *client;

static void call(const char *tool, uint64_t timeout_ms, outcome_t *outcome) {
  *outcome = (outcome_t){0};
  cr_assert_eq(mcp_client_call(client, tool, NULL, WITHIN(timeout_ms), outcome_cb, outcome), 0);
  cr_assert_eq(outcome->fired, 0, "called back from inside of the call");
}

static outcome_t call_and_wait(const char *tool, uint64_t timeout_ms) {
  outcome_t outcome;
  call(tool, timeout_ms, &outcome);
  RUN_UNTIL(outcome.fired);
  return outcome;
}

/* It ends though no time passes, but for what a turn of the loop may take. */
static outcome_t call_at_once(const char *tool) {
  outcome_t outcome;
  scene_hold_clock();
  call(tool, PATIENT_MS, &outcome);
  scene_pass_ms(5);
  RUN_UNTIL(outcome.fired);
  scene_release_clock();
  return outcome;
}

/* It ends when limit_ms have passed, and no sooner: 50 ms on either side. reached: what has to be so before.
 */
#define EXPECT_LIMIT(outcome, limit_ms, reached)                                                             \
  do {                                                                                                       \
    RUN_UNTIL(reached);                                                                                      \
    scene_pass_ms((limit_ms)-50);                                                                            \
    cr_assert_eq((outcome)->fired, 0);                                                                       \
    scene_pass_ms(100);                                                                                      \
    RUN_UNTIL((outcome)->fired);                                                                             \
    scene_release_clock();                                                                                   \
  } while (0)

static void close_all(void) {
  client_end(client);
  scene_close();
}

/* ---- not there
 * ---------------------------------------------------------------------------------------------- */

static void count_failures(mcp_client_t *from, int status, const char *reason, void *arg) {
  (void)from;
  (void)reason;
  *(unsigned *)arg += status != 0;
}

Test(client_failures, a_refused_port_is_tried_until_the_deadline) {
  scene_open();
  client = client_to(trap_free_port());
  outcome_t outcome;
  unsigned failures = 0;
  mcp_client_on_state(client, count_failures, &failures);
  scene_hold_clock();
  call("x", 400, &outcome);
  EXPECT_LIMIT(&outcome, 400, failures > 0);
  cr_assert_eq(outcome.status, MCP_ETIMEOUT);
  cr_assert_not_null(strstr(outcome.message, "refused"), "%s", outcome.message);
  close_all();
}

Test(client_failures, a_refused_port_fails_fast_where_that_is_wanted) {
  scene_open();
  client = client_to(trap_free_port());
  mcp_client_set_fail_fast(client, true);
  cr_assert_eq(call_at_once("x").status, MCP_ECONNECT);
  cr_assert_eq(call_at_once("x").status, MCP_ECONNECT); /* known to be away */
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
  scene_open();
  uv_check_t check;
  uv_check_init(&scene_loop, &check);
  uv_check_start(&check, on_check);
  client = client_to(trap_free_port());
  mcp_client_set_fail_fast(client, true);
  mcp_client_call(client, "x", NULL, NULL, retry_at_once, NULL);
  RUN_UNTIL(retries >= 10);
  cr_assert_lt(retries, 50, "%u calls in a few turns of the loop", retries);
  RUN_UNTIL(turns_at_retry > 20);
  retries = 100000;
  uv_close((uv_handle_t *)&check, NULL);
  client_end(client);
  scene_close();
}

Test(client_failures, a_name_that_does_not_resolve) {
  scene_open();
  client = mcp_client_new(&scene_loop, "ws://no-such-host.invalid:9");
  mcp_client_set_fail_fast(client, true);
  uint64_t began = scene_ms();
  outcome_t outcome = call_and_wait("x", PATIENT_MS);
  cr_assert(outcome.status == MCP_ERESOLVE || scene_ms() - began > 4900, "%d %s", outcome.status,
            outcome.message);
  if (outcome.status != MCP_ERESOLVE)
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
  scene_open();
  int sockets[4];
  client = client_to(black_hole(sockets, 4));
  outcome_t outcome;
  scene_hold_clock();
  call("x", 300, &outcome);
  EXPECT_LIMIT(&outcome, 300, true);
  cr_assert_eq(outcome.status, MCP_ETIMEOUT);
  client_end(client);
  client = client_to(black_hole(sockets, 4));
  mcp_client_set_fail_fast(client, true);
  scene_hold_clock();
  call("x", PATIENT_MS, &outcome);
  scene_run_ms(50); /* it begins to connect */
  EXPECT_LIMIT(&outcome, 5000, true);
  cr_assert_eq(outcome.status, MCP_ECONNECT);
  client_end(client);
  scene_close();
}

static void on_closed(mcp_client_t *from, void *arg) {
  (void)from;
  *(bool *)arg = true;
}

Test(client_failures, closed_while_it_connects) {
  scene_open();
  int sockets[4];
  client = client_to(black_hole(sockets, 4));
  outcome_t outcome;
  call("x", 0, &outcome);
  scene_run_ms(50);
  bool closed = false;
  scene_hold_clock();
  cr_assert_eq(mcp_client_close(client, on_closed, &closed), 0);
  RUN_UNTIL(closed);
  mcp_client_free(client);
  cr_assert_eq(outcome.status, MCP_ECLOSED);
  cr_assert_eq(outcome.fired, 1);
  scene_close();
}

/* ---- there, but wrong
 * --------------------------------------------------------------------------------------- */

Test(client_failures, a_peer_that_accepts_and_is_silent) {
  scene_open();
  trap_t *trap = trap_open(script_silent, NULL);
  client = client_to(trap->port);
  outcome_t outcome;
  scene_hold_clock();
  call("x", 300, &outcome);
  EXPECT_LIMIT(&outcome, 300, trap->last != NULL && trap->last->head != NULL);
  cr_assert_eq(outcome.status, MCP_ETIMEOUT);
  close_all();
}

Test(client_failures, the_handshake_has_a_limit_of_its_own) {
  scene_open();
  trap_t *trap = trap_open(script_silent, NULL);
  client = client_to(trap->port);
  mcp_client_set_fail_fast(client, true);
  outcome_t outcome;
  scene_hold_clock();
  call("x", PATIENT_MS, &outcome);
  EXPECT_LIMIT(&outcome, 5000, trap->last != NULL && trap->last->head != NULL);
  cr_assert_eq(outcome.status, MCP_EUPGRADE);
  close_all();
}

static const char *http_answer;

static void script_http(wire_t *wire) {
  if (wire->head == NULL || strncmp(wire->head, "GET", 3) != 0)
    return;
  memcpy(wire->head, "---", 3);
  wire_puts(wire, http_answer);
}

static int status_of_http(const char *answer) {
  http_answer = answer;
  trap_t *trap = trap_open(script_http, NULL);
  client = client_to(trap->port);
  mcp_client_set_fail_fast(client, true);
  outcome_t outcome = call_at_once("x");
  client_end(client);
  return outcome.status;
}

Test(client_failures, answers_to_the_upgrade) {
  scene_open();
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
  scene_close();
}

static void script_leave(wire_t *wire) {
  int step = *(int *)((trap_t *)wire->arg)->arg;
  if (step == 0 || (step == 1 && wire->head != NULL)) {
    wire_close(wire);
  } else if (step == 2 && wire->head != NULL) {
    wire_puts(wire, "HTTP/1.1 101 Swi");
    wire_close(wire);
  } else if (step == 3 && wire->head != NULL && wire->count == 0) {
    wire_accept_upgrade(wire);
    wire_close(wire);
  } else if (step == 4) {
    if (script_handshake(wire))
      wire_close(wire);
  } else if (step == 5) {
    if (script_handshake(wire))
      wire_reset(wire);
  }
}

Test(client_failures, a_peer_that_leaves_at_each_step) {
  scene_open();
  for (int step = 0; step <= 5; step++) {
    trap_t *trap = trap_open(script_leave, &step);
    client = client_to(trap->port);
    mcp_client_set_fail_fast(client, true);
    outcome_t outcome = call_at_once("x");
    int status = outcome.status;
    cr_assert(step >= 3 ? status == MCP_EDISCONNECTED || (step == 3 && status == MCP_EUPGRADE)
                        : status == MCP_EUPGRADE || status == MCP_EDISCONNECTED,
              "step %d: %d %s", step, status, outcome.message);
    client_end(client);
    trap_close(trap);
  }
  scene_close();
}

/* ---- lost on the way
 * ------------------------------------------------------------------------------------------ */

static void script_close_with(wire_t *wire) {
  int code = *(int *)((trap_t *)wire->arg)->arg;
  if (!script_handshake(wire))
    return;
  char payload[6] = {(char)(code >> 8), (char)code, 'b', 'y', 'e', '!'};
  wire_frame(wire, 8, payload, sizeof payload);
}

Test(client_failures, close_codes_of_the_peer) {
  scene_open();
  static const int codes[] = {1000, 1001, 1008, 1009, 1011, 1012, 1013, 1014, 3000, 4999};
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
    int code = codes[i];
    char number[8];
    trap_t *trap = trap_open(script_close_with, &code);
    client = client_to(trap->port);
    outcome_t outcome = call_and_wait("x", PATIENT_MS);
    snprintf(number, sizeof number, "%d", code);
    cr_assert_eq(outcome.status, code == 1013 ? MCP_EBUSY : MCP_EDISCONNECTED, "%d: %d %s", code,
                 outcome.status, outcome.message);
    cr_assert_not_null(strstr(outcome.message, number), "%s", outcome.message);
    cr_assert_not_null(strstr(outcome.message, "bye!"), "%s", outcome.message);
    RUN_UNTIL(trap->last->ended);
    cr_assert_eq(trap->last->close_code, code);
    client_end(client);
    trap_close(trap);
  }
  scene_close();
}

static void script_break(wire_t *wire) {
  bool stays = *(bool *)((trap_t *)wire->arg)->arg;
  if (!script_handshake(wire))
    return;
  wire_frame(wire, 3, "", 0);
  wire_read(wire, !stays);
}

/* Its call fails at once; the connection is kept for what is still to be said. */
static trap_t *break_protocol(bool *stays) {
  trap_t *trap = trap_open(script_break, stays);
  client = client_to(trap->port);
  outcome_t outcome = call_and_wait("x", PATIENT_MS);
  cr_assert_eq(outcome.status, MCP_EPROTOCOL, "%d %s", outcome.status, outcome.message);
  return trap;
}

Test(client_failures, a_peer_that_breaks_the_protocol_and_goes_on_sees_the_close) {
  scene_open();
  bool stays = false;
  trap_t *trap = break_protocol(&stays);
  for (int i = 0; i < 20 && !trap->last->ended; i++) {
    wire_text(trap->last, "late");
    scene_turn_once();
  }
  RUN_UNTIL(trap->last->ended);
  cr_assert_eq(trap->last->close_code, 1002);
  close_all();
}

Test(client_failures, a_peer_that_breaks_the_protocol_and_stays_has_a_second) {
  scene_open();
  bool stays = true;
  break_protocol(&stays);
  bool closed = false;
  scene_hold_clock();
  cr_assert_eq(mcp_client_close(client, on_closed, &closed), 0);
  scene_pass_ms(900);
  cr_assert(!closed);
  scene_pass_ms(1000);
  RUN_UNTIL(closed);
  mcp_client_free(client);
  scene_close();
}

static void script_leave_at_once(wire_t *wire) {
  script_upgrade(wire);
  if (wire->count >= 2) /* initialize and initialized */
    wire_close(wire);
}

/* It is no peer that has come back, and is not tried ten times a second for ever. */
Test(client_failures, a_peer_that_leaves_after_each_handshake_is_tried_less_and_less) {
  scene_open();
  trap_t *trap = trap_open(script_leave_at_once, NULL);
  client = client_to(trap->port);
  cr_assert_eq(mcp_client_connect(client), 0);
  RUN_UNTIL(trap->accepted == 1);
  uint64_t began = scene_ms();
  RUN_UNTIL(trap->accepted == 6);
  cr_assert_geq(scene_ms() - began, 1500); /* 0.1 s + 0.2 s + … + 1.6 s, half of it more or less */
  close_all();
}

/* Whoever asks without taking the answers costs no more than the limit. */
Test(client_failures, a_peer_that_asks_and_does_not_read) {
  scene_open();
  trap_t *trap = trap_open(script_upgrade, NULL);
  client = client_to(trap->port);
  outcome_t outcome;
  call("x", PATIENT_MS, &outcome);
  RUN_UNTIL(trap->last != NULL && trap->last->count >= 3);
  wire_read(trap->last, false);
  enum { SIZE = 8 << 20 }; /* what is asked comes back, as the id */
  char *ping = malloc(SIZE + 64);
  int len = snprintf(ping, SIZE + 64, "{\"jsonrpc\":\"2.0\",\"id\":\"%*d\",\"method\":\"ping\"}", SIZE, 1);
  for (int i = 0; i < 10; i++)
    wire_frame(trap->last, 1, ping, (size_t)len);
  free(ping);
  RUN_UNTIL(outcome.fired);
  cr_assert_eq(outcome.status, MCP_EPROTOCOL, "%d %s", outcome.status, outcome.message);
  close_all();
}

Test(client_failures, a_lost_connection_fails_what_was_sent_at_once) {
  scene_open();
  trap_t *trap = trap_open(script_upgrade, NULL);
  client = client_to(trap->port);
  outcome_t sent[3], later;
  for (int i = 0; i < 3; i++)
    call("x", PATIENT_MS, &sent[i]);
  RUN_UNTIL(trap->last != NULL && trap->last->count >= 5);
  scene_hold_clock();
  wire_reset(trap->last);
  RUN_UNTIL(sent[0].fired && sent[1].fired && sent[2].fired);
  scene_release_clock();
  for (int i = 0; i < 3; i++)
    cr_assert_eq(sent[i].status, MCP_EDISCONNECTED);
  call("y", PATIENT_MS, &later); /* waits for the next connection */
  RUN_UNTIL(trap->accepted == 2 && trap->last->count >= 3);
  cr_assert_not_null(strstr(trap->last->messages[2], "\"y\""));
  cr_assert_eq(later.fired, 0);
  close_all();
  cr_assert_eq(later.status, MCP_ECLOSED);
}

static void script_second_time(wire_t *wire) {
  trap_t *trap = wire->arg;
  if (trap->accepted > 1)
    script_upgrade(wire);
  else if (wire->head != NULL && wire->count == 0)
    wire_accept_upgrade(wire);
  else if (wire->count == 1)
    wire_reset(wire); /* instead of answering initialize */
}

Test(client_failures, what_was_not_sent_goes_with_the_next_connection) {
  scene_open();
  trap_t *trap = trap_open(script_second_time, NULL);
  client = client_to(trap->port);
  outcome_t outcome;
  call("x", PATIENT_MS, &outcome);
  RUN_UNTIL(trap->accepted == 2 && trap->last->count == 3);
  cr_assert_eq(outcome.fired, 0);
  cr_assert_not_null(strstr(trap->last->messages[2], "\"x\""));
  close_all();
}

static outcome_t again;

static void call_again(mcp_client_t *from, const mcp_result_t *result, void *arg) {
  cr_assert_eq(result->status, MCP_EDISCONNECTED);
  (*(unsigned *)arg)++;
  if (*(unsigned *)arg == 1)
    cr_assert_eq(mcp_client_call(from, "again", NULL, WITHIN(PATIENT_MS), outcome_cb, &again), 0);
}

Test(client_failures, a_call_made_in_the_failure_is_sent_by_the_next_connection) {
  scene_open();
  mcp_server_t *server = stage_server();
  mcp_server_set_shutdown_timeout_ms(server, 0);
  mcp_server_start(server, &scene_loop);
  trap_t *trap = trap_open(script_upgrade, NULL);
  client = client_to(trap->port);
  unsigned fired = 0;
  for (int i = 0; i < 5; i++)
    mcp_client_call(client, "x", NULL, NULL, call_again, &fired);
  RUN_UNTIL(trap->last != NULL && trap->last->count >= 7);
  wire_close(trap->last);
  RUN_UNTIL(fired == 5);
  RUN_UNTIL(trap->accepted == 2 && trap->last->count >= 3);
  cr_assert_eq(again.fired, 0);
  cr_assert_not_null(strstr(trap->last->messages[2], "again"));
  client_end(client);
  stage_stop(server);
  scene_close();
}

Test(client_failures, comes_back_after_the_server_restarted) {
  scene_open();
  mcp_server_t *server = stage_server();
  mcp_server_set_shutdown_timeout_ms(server, 50);
  mcp_server_start(server, &scene_loop);
  int port = mcp_server_port(server);
  client = client_to(port);
  for (int round = 0; round < 3; round++) {
    cr_assert_eq(call_and_wait("now", PATIENT_MS).status, 0);
    outcome_t held, waiting;
    call("hold", 0, &held);
    RUN_UNTIL(stage.held_count == (size_t)round + 1);
    stage.stopped = false;
    mcp_server_stop(server, stage_on_stopped, NULL);
    RUN_UNTIL(stage.stopped);
    RUN_UNTIL(held.fired);
    cr_assert_eq(held.status, MCP_INTERNAL_ERROR, "%d %s", held.status,
                 held.message); /* "the server is stopping" */
    stage_end_held((size_t)round);
    call("now", PATIENT_MS, &waiting);
    scene_run_ms(100);
    cr_assert_eq(waiting.fired, 0);
    cr_assert_eq(mcp_server_start(server, &scene_loop), 0);
    RUN_UNTIL(waiting.fired);
    cr_assert_eq(waiting.status, 0, "%s", waiting.message);
  }
  client_end(client);
  stage_stop(server);
  scene_close();
}
