/* test_client_life.c: made, connected, closed at each stage, freed; and how much may wait. */
#include "scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static mcp_client_t *client;

static void call(const char *tool, uint64_t timeout_ms, outcome_t *outcome) {
  *outcome = (outcome_t){0};
  cr_assert_eq(mcp_client_call(client, tool, NULL, WITHIN(timeout_ms), outcome_cb, outcome), 0);
}

Test(client_life, addresses_that_are_none) {
  scene_open();
  static const char *const urls[] = {
      "",         "http://x",    "ws://",        "ws://x:0", "ws://x:65536", "ws://x:abc", "ws://[::1",
      "ws://x y", "ws://x:9/\n", "ws://u:p@x:9", "wxs://x",  "ws://[zz]:80", "ws://x:9:9", "ws://:9"};
  for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
    mcp_client_t *made = mcp_client_new(&scene_loop, urls[i]);
    cr_expect_null(made, "'%s' was taken", urls[i]);
    cr_expect(made != NULL || strlen(mcp_last_error()) > 0);
    mcp_client_free(made);
  }
  mcp_client_free(NULL);
  scene_close();
}

Test(client_life, never_used) {
  scene_open();
  mcp_client_free(client_to(9));
  client = client_to(9);
  client_end(client);
  scene_close();
}

static void on_closed(mcp_client_t *closed, void *arg) {
  (void)closed;
  *(bool *)arg = true;
}

Test(client_life, after_close_nothing_is_taken) {
  scene_open();
  mcp_server_t *server = stage_start();
  client = client_to(mcp_server_port(server));
  outcome_t outcome;
  call("now", 0, &outcome);
  RUN_UNTIL(outcome.fired);
  bool closed = false;
  cr_assert_eq(mcp_client_close(client, on_closed, &closed), 0);
  cr_assert_eq(mcp_client_close(client, on_closed, &closed), MCP_ESTATE);
  cr_assert_eq(mcp_client_call(client, "now", args_of("{}"), NULL, outcome_cb, &outcome), MCP_ECLOSED);
  cr_assert_eq(mcp_client_connect(client), MCP_ECLOSED);
  RUN_UNTIL(closed);
  cr_assert_eq(mcp_client_close(client, on_closed, &closed), MCP_ESTATE);
  cr_assert_eq(mcp_client_call(client, "now", args_of("{}"), NULL, outcome_cb, &outcome), MCP_ECLOSED);
  mcp_client_free(client);
  cr_assert_eq(outcome.fired, 1);
  stage_stop(server);
  scene_close();
}

Test(client_life, freeing_an_open_client_is_refused) {
  scene_open();
  mcp_server_t *server = stage_start();
  client = client_to(mcp_server_port(server));
  outcome_t outcome;
  call("now", 0, &outcome);
  mcp_client_free(client);
  RUN_UNTIL(outcome.fired);
  cr_assert_eq(outcome.status, 0);
  client_end(client);
  stage_stop(server);
  scene_close();
}

Test(client_life, closed_without_a_callback) {
  scene_open();
  mcp_server_t *server = stage_start();
  size_t handles = scene_handles();
  client = client_to(mcp_server_port(server));
  outcome_t outcome;
  call("hold", 0, &outcome);
  RUN_UNTIL(stage.held_count == 1);
  cr_assert_eq(mcp_client_close(client, NULL, NULL), 0);
  RUN_UNTIL(outcome.fired);
  cr_assert_eq(outcome.status, MCP_ECLOSED);
  stage_end_held(0);
  RUN_UNTIL(scene_handles() == handles); /* the client's are closed, and so is the server's connection */
  mcp_client_free(client);
  stage_stop(server);
  scene_close();
}

/* ---- closed at each stage ---------------------------------------------------------------------------------
 */

/* No timer is waited for, but the second that a peer has to answer the close. */
static void close_quickly(outcome_t *outcome) {
  bool closed = false;
  scene_hold_clock();
  cr_assert_eq(mcp_client_close(client, on_closed, &closed), 0);
  scene_pass_ms(1500);
  RUN_UNTIL(closed);
  scene_release_clock();
  mcp_client_free(client);
  cr_assert_eq(outcome->status, MCP_ECLOSED);
  cr_assert_eq(outcome->fired, 1);
}

Test(client_life, closed_before_the_loop_turned) {
  scene_open();
  client = client_to(9);
  outcome_t outcome;
  call("x", 0, &outcome);
  close_quickly(&outcome);
  scene_close();
}

Test(client_life, closed_while_it_resolves) {
  scene_open();
  client = mcp_client_new(&scene_loop, "ws://no-such-host.invalid:9");
  outcome_t outcome;
  call("x", 0, &outcome);
  scene_turn_once();
  close_quickly(&outcome);
  scene_close();
}

Test(client_life, closed_in_the_handshake) {
  scene_open();
  trap_t *trap = trap_open(script_silent, NULL);
  client = client_to(trap->port);
  outcome_t outcome;
  call("x", 0, &outcome);
  RUN_UNTIL(trap->last != NULL && trap->last->head != NULL);
  close_quickly(&outcome);
  scene_close();
}

static void script_upgrade_alone(wire_t *wire) {
  if (wire->head != NULL && wire->count == 0)
    wire_accept_upgrade(wire);
}

Test(client_life, closed_while_initialize_is_not_answered) {
  scene_open();
  trap_t *trap = trap_open(script_upgrade_alone, NULL);
  client = client_to(trap->port);
  outcome_t outcome;
  call("x", 0, &outcome);
  RUN_UNTIL(trap->last != NULL && trap->last->count == 1);
  close_quickly(&outcome);
  scene_close();
}

Test(client_life, closed_in_backoff) {
  scene_open();
  client = client_to(trap_free_port());
  outcome_t outcome;
  call("x", 0, &outcome);
  scene_run_ms(1000);
  close_quickly(&outcome);
  scene_close();
}

Test(client_life, closed_while_the_peer_does_not_answer_the_close) {
  scene_open();
  trap_t *trap = trap_open(script_upgrade, NULL);
  client = client_to(trap->port);
  outcome_t outcome;
  call("x", 0, &outcome);
  RUN_UNTIL(trap->last != NULL && trap->last->count == 3);
  wire_read(trap->last, false);
  close_quickly(&outcome);
  scene_close();
}

static unsigned close_calls;

static void close_in_callback(mcp_client_t *from, const mcp_result_t *result, void *arg) {
  (void)result;
  if (close_calls++ == 0)
    cr_assert_eq(mcp_client_close(from, on_closed, arg), 0);
}

Test(client_life, closed_in_a_callback_of_an_answer) {
  scene_open();
  mcp_server_t *server = stage_start();
  client = client_to(mcp_server_port(server));
  bool closed = false;
  for (int i = 0; i < 10; i++)
    mcp_client_call(client, "now", NULL, NULL, close_in_callback, &closed);
  RUN_UNTIL(closed);
  cr_assert_eq(close_calls, 10);
  mcp_client_free(client);
  stage_stop(server);
  scene_close();
}

Test(client_life, closed_in_a_callback_of_a_failure) {
  scene_open();
  client = client_to(trap_free_port());
  mcp_client_set_fail_fast(client, true);
  bool closed = false;
  for (int i = 0; i < 10; i++)
    mcp_client_call(client, "now", NULL, NULL, close_in_callback, &closed);
  RUN_UNTIL(closed);
  cr_assert_eq(close_calls, 10);
  mcp_client_free(client);
  scene_close();
}

Test(client_life, closed_in_a_callback_of_a_lost_connection) {
  scene_open();
  trap_t *trap = trap_open(script_upgrade, NULL);
  client = client_to(trap->port);
  bool closed = false;
  for (int i = 0; i < 10; i++)
    mcp_client_call(client, "now", NULL, NULL, close_in_callback, &closed);
  RUN_UNTIL(trap->last != NULL && trap->last->count == 12);
  wire_reset(trap->last);
  RUN_UNTIL(closed);
  cr_assert_eq(close_calls, 10);
  mcp_client_free(client);
  scene_close();
}

/* ---- state
 * -------------------------------------------------------------------------------------------------- */

typedef struct states {
  unsigned there, away;
  int last;
  char reason[256];
  bool close, closed;
} states_t;

static void on_state(mcp_client_t *from, int status, const char *reason, void *arg) {
  states_t *states = arg;
  cr_assert_eq(status == 0, reason == NULL);
  states->there += status == 0;
  states->away += status != 0;
  states->last = status;
  snprintf(states->reason, sizeof states->reason, "%s", reason != NULL ? reason : "");
  if (states->close)
    mcp_client_close(from, on_closed, &states->closed);
}

Test(client_life, state_is_told_at_each_change) {
  scene_open();
  mcp_server_t *server = stage_server();
  mcp_server_start(server, &scene_loop);
  int port = mcp_server_port(server);
  client = client_to(port);
  states_t states = {0};
  mcp_client_on_state(client, on_state, &states);
  cr_assert_eq(mcp_client_connect(client), 0);
  cr_assert_eq(states.there + states.away, 0);
  RUN_UNTIL(states.there == 1);
  stage.stopped = false;
  mcp_server_stop(server, stage_on_stopped, NULL);
  RUN_UNTIL(stage.stopped);
  RUN_UNTIL(states.away >= 3); /* lost, and refused at least twice: it goes on without calls */
  cr_assert_eq(states.last, MCP_ECONNECT);
  cr_assert_not_null(strstr(states.reason, "refused"), "%s", states.reason);
  cr_assert_eq(mcp_server_start(server, &scene_loop), 0);
  RUN_UNTIL(states.there == 2);
  client_end(client);
  cr_assert_eq(states.there, 2);
  stage_stop(server);
  scene_close();
}

Test(client_life, closed_in_on_state) {
  scene_open();
  mcp_server_t *server = stage_start();
  states_t states = {.close = true};
  client = client_to(mcp_server_port(server));
  mcp_client_on_state(client, on_state, &states);
  mcp_client_connect(client);
  RUN_UNTIL(states.closed);
  cr_assert_eq(states.there, 1);
  mcp_client_free(client);
  stage_stop(server);
  states = (states_t){.close = true};
  client = client_to(trap_free_port());
  mcp_client_on_state(client, on_state, &states);
  mcp_client_connect(client);
  RUN_UNTIL(states.closed);
  cr_assert_eq(states.away, 1);
  mcp_client_free(client);
  scene_close();
}

Test(client_life, no_attempts_without_something_to_send) {
  scene_open();
  trap_t *trap = trap_open(script_upgrade, NULL);
  client = client_to(trap->port);
  outcome_t outcome;
  call("x", PATIENT_MS, &outcome);
  RUN_UNTIL(trap->last != NULL && trap->last->count == 3);
  wire_close(trap->last);
  RUN_UNTIL(outcome.fired);
  scene_run_ms(500);
  cr_assert_eq(trap->accepted, 1);
  client_end(client);
  scene_close();
}

/* ---- names
 * -------------------------------------------------------------------------------------------------- */

Test(client_life, a_name_with_several_addresses) {
  scene_open();
  trap_t *trap =
      trap_open(script_upgrade, NULL); /* on 127.0.0.1 alone: ::1, where localhost means that too, refuses */
  char url[64];
  snprintf(url, sizeof url, "localhost:%d/path", trap->port);
  client = mcp_client_new(&scene_loop, url);
  cr_assert_eq(mcp_client_connect(client), 0);
  RUN_UNTIL(trap->last != NULL && trap->last->count == 2);
  client_end(client);
  scene_close();
}

Test(client_life, an_ipv6_address) {
  scene_open();
  mcp_server_t *server = stage_start();
  wire_t *probe = wire_connect6(mcp_server_port(server));
  RUN_UNTIL(probe->connected || probe->ended);
  if (probe->connected) {
    static const char *const hosts[] = {"::1", "::1%25lo",
                                        "::1%lo"}; /* with its zone, as RFC 6874 and people write it */
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
      char url[64];
      snprintf(url, sizeof url, "ws://[%s]:%d", hosts[i], mcp_server_port(server));
      client = mcp_client_new(&scene_loop, url);
      outcome_t outcome;
      call("now", PATIENT_MS, &outcome);
      RUN_UNTIL(outcome.fired);
      cr_assert_eq(outcome.status, 0, "%s", outcome.message);
      client_end(client);
    }
  } else {
    printf("NOT RUN: ::1, since there is no IPv6 here\n");
  }
  stage_stop(server);
  scene_close();
}

/* ---- how much may wait
 * ---------------------------------------------------------------------------------------- */

enum { WAITING = 1024 };

Test(client_life, no_more_than_1024_calls_wait) {
  scene_open();
  client = client_to(trap_free_port());
  outcome_t outcomes[WAITING] = {0}, refused = {0};
  for (int i = 0; i < WAITING; i++)
    call("x", 0, &outcomes[i]);
  cr_assert_eq(mcp_client_call(client, "x", args_of("{}"), NULL, outcome_cb, &refused), MCP_ELIMIT);
  client_end(client);
  for (int i = 0; i < WAITING; i++)
    cr_assert(outcomes[i].fired == 1 && outcomes[i].status == MCP_ECLOSED);
  cr_assert_eq(refused.fired, 0);
  scene_close();
}

static yyjson_mut_doc *a_mebibyte(void) {
  static char text[1 << 20];
  memset(text, 'x', sizeof text);
  yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
  yyjson_mut_doc_set_root(doc, yyjson_mut_obj(doc));
  yyjson_mut_obj_add_strn(doc, yyjson_mut_doc_get_root(doc), "t", text, sizeof text);
  return doc;
}

static int fill(outcome_t *outcomes, size_t *made) {
  int status = 0;
  for (*made = 0; status == 0 && *made < 60; *made += status == 0)
    status = mcp_client_call(client, "x", a_mebibyte(), WITHIN(PATIENT_MS), outcome_cb, &outcomes[*made]);
  return status;
}

Test(client_life, no_more_than_16_mib_wait) {
  scene_open();
  client = client_to(trap_free_port());
  outcome_t outcomes[60] = {0};
  size_t made;
  cr_assert_eq(fill(outcomes, &made), MCP_ELIMIT);
  cr_assert(made >= 15 && made <= 17, "%zu", made);
  client_end(client);
  for (size_t i = 0; i < made; i++)
    cr_assert_eq(outcomes[i].fired, 1);
  scene_close();
}

Test(client_life, no_more_than_16_mib_wait_for_a_peer_that_does_not_read) {
  scene_open();
  trap_t *trap = trap_open(script_upgrade, NULL);
  client = client_to(trap->port);
  mcp_client_connect(client);
  RUN_UNTIL(trap->last != NULL && trap->last->count == 2);
  wire_read(trap->last, false);
  outcome_t outcomes[60] = {0};
  size_t made;
  cr_assert_eq(fill(outcomes, &made), MCP_ELIMIT);
  cr_assert_leq(made, 30u, "%zu", made);
  client_end(client);
  for (size_t i = 0; i < made; i++)
    cr_assert_eq(outcomes[i].fired, 1);
  scene_close();
}
