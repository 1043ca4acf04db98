/* test_client_life.c: the life of a client: created, connected, closed in each state, freed; and the limit
 * of queued calls. */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static mcp_client_t *client;

static void call(const char *tool, uint64_t timeout_ms, call_record_t *record) {
  *record = (call_record_t){0};
  cr_assert_eq(mcp_client_call(client, tool, NULL, WITHIN(timeout_ms), record_result, record), 0);
}

Test(client_life, addresses_that_are_none) {
  fixture_setup();
  static const char *const urls[] = {
      "",         "ftp://x",     "ws://",        "ws://x:0", "ws://x:65536", "ws://x:abc", "ws://[::1",
      "ws://x y", "ws://x:9/\n", "ws://u:p@x:9", "wxs://x",  "ws://[zz]:80", "ws://x:9:9", "ws://:9"};
  for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
    mcp_client_t *made = mcp_client_new(&fixture_loop, urls[i]);
    cr_expect_null(made, "'%s' was taken", urls[i]);
    cr_expect(made != NULL || strlen(mcp_last_error()) > 0);
    mcp_client_free(made);
  }
  mcp_client_free(NULL);
  fixture_teardown();
}

Test(client_life, never_used) {
  fixture_setup();
  mcp_client_free(client_new_to(9));
  client = client_new_to(9);
  client_close_and_free(client);
  fixture_teardown();
}

static void on_closed(mcp_client_t *closed, void *arg) {
  (void)closed;
  *(bool *)arg = true;
}

Test(client_life, after_close_nothing_is_taken) {
  fixture_setup();
  mcp_server_t *server = test_server_start();
  client = client_new_to(mcp_server_port(server));
  call_record_t record;
  call("now", 0, &record);
  RUN_UNTIL(record.fired);
  bool closed = false;
  cr_assert_eq(mcp_client_close(client, on_closed, &closed), 0);
  cr_assert_eq(mcp_client_close(client, on_closed, &closed), MCP_ESTATE);
  cr_assert_eq(mcp_client_call(client, "now", parse_args("{}"), NULL, record_result, &record), MCP_ECLOSED);
  cr_assert_eq(mcp_client_connect(client), MCP_ECLOSED);
  RUN_UNTIL(closed);
  cr_assert_eq(mcp_client_close(client, on_closed, &closed), MCP_ESTATE);
  cr_assert_eq(mcp_client_call(client, "now", parse_args("{}"), NULL, record_result, &record), MCP_ECLOSED);
  mcp_client_free(client);
  cr_assert_eq(record.fired, 1);
  test_server_stop(server);
  fixture_teardown();
}

Test(client_life, freeing_an_open_client_is_refused) {
  fixture_setup();
  mcp_server_t *server = test_server_start();
  client = client_new_to(mcp_server_port(server));
  call_record_t record;
  call("now", 0, &record);
  mcp_client_free(client);
  RUN_UNTIL(record.fired);
  cr_assert_eq(record.status, 0);
  client_close_and_free(client);
  test_server_stop(server);
  fixture_teardown();
}

Test(client_life, closed_without_a_callback) {
  fixture_setup();
  mcp_server_t *server = test_server_start();
  size_t handles = fixture_handle_count();
  client = client_new_to(mcp_server_port(server));
  call_record_t record;
  call("hold", 0, &record);
  RUN_UNTIL(test_server.held_count == 1);
  cr_assert_eq(mcp_client_close(client, NULL, NULL), 0);
  RUN_UNTIL(record.fired);
  cr_assert_eq(record.status, MCP_ECLOSED);
  test_server_end_held(0);
  RUN_UNTIL(fixture_handle_count() ==
            handles); /* the client's are closed, and so is the server's connection */
  mcp_client_free(client);
  test_server_stop(server);
  fixture_teardown();
}

/* ---- closed at each stage ---------------------------------------------------------------------------------
 */

/* No timer is waited for, but the second that a peer has to answer the close. */
static void close_quickly(call_record_t *record) {
  bool closed = false;
  fixture_freeze_clock();
  cr_assert_eq(mcp_client_close(client, on_closed, &closed), 0);
  fixture_advance_ms(1500);
  RUN_UNTIL(closed);
  fixture_unfreeze_clock();
  mcp_client_free(client);
  cr_assert_eq(record->status, MCP_ECLOSED);
  cr_assert_eq(record->fired, 1);
}

Test(client_life, closed_before_the_loop_turned) {
  fixture_setup();
  client = client_new_to(9);
  call_record_t record;
  call("x", 0, &record);
  close_quickly(&record);
  fixture_teardown();
}

Test(client_life, closed_while_it_resolves) {
  fixture_setup();
  client = mcp_client_new(&fixture_loop, "ws://no-such-host.invalid:9");
  call_record_t record;
  call("x", 0, &record);
  fixture_iterate_once();
  close_quickly(&record);
  fixture_teardown();
}

Test(client_life, closed_in_the_handshake) {
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_silent, NULL);
  client = client_new_to(fake->port);
  call_record_t record;
  call("x", 0, &record);
  RUN_UNTIL(fake->last != NULL && fake->last->head != NULL);
  close_quickly(&record);
  fixture_teardown();
}

static void script_upgrade_alone(raw_client_t *peer) {
  if (peer->head != NULL && peer->count == 0)
    raw_client_accept_upgrade(peer);
}

Test(client_life, closed_while_initialize_is_not_answered) {
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_upgrade_alone, NULL);
  client = client_new_to(fake->port);
  call_record_t record;
  call("x", 0, &record);
  RUN_UNTIL(fake->last != NULL && fake->last->count == 1);
  close_quickly(&record);
  fixture_teardown();
}

Test(client_life, closed_in_backoff) {
  fixture_setup();
  client = client_new_to(unused_port());
  call_record_t record;
  call("x", 0, &record);
  fixture_run_ms(1000);
  close_quickly(&record);
  fixture_teardown();
}

Test(client_life, closed_while_the_peer_does_not_answer_the_close) {
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_upgrade, NULL);
  client = client_new_to(fake->port);
  call_record_t record;
  call("x", 0, &record);
  RUN_UNTIL(fake->last != NULL && fake->last->count == 3);
  raw_client_set_reading(fake->last, false);
  close_quickly(&record);
  fixture_teardown();
}

static unsigned close_calls;

static void close_in_callback(mcp_client_t *from, const mcp_result_t *result, void *arg) {
  (void)result;
  if (close_calls++ == 0)
    cr_assert_eq(mcp_client_close(from, on_closed, arg), 0);
}

Test(client_life, closed_in_a_callback_of_an_answer) {
  fixture_setup();
  mcp_server_t *server = test_server_start();
  client = client_new_to(mcp_server_port(server));
  bool closed = false;
  for (int i = 0; i < 10; i++)
    mcp_client_call(client, "now", NULL, NULL, close_in_callback, &closed);
  RUN_UNTIL(closed);
  cr_assert_eq(close_calls, 10);
  mcp_client_free(client);
  test_server_stop(server);
  fixture_teardown();
}

Test(client_life, closed_in_a_callback_of_a_failure) {
  fixture_setup();
  client = client_new_to(unused_port());
  mcp_client_set_fail_fast(client, true);
  bool closed = false;
  for (int i = 0; i < 10; i++)
    mcp_client_call(client, "now", NULL, NULL, close_in_callback, &closed);
  RUN_UNTIL(closed);
  cr_assert_eq(close_calls, 10);
  mcp_client_free(client);
  fixture_teardown();
}

Test(client_life, closed_in_a_callback_of_a_lost_connection) {
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_upgrade, NULL);
  client = client_new_to(fake->port);
  bool closed = false;
  for (int i = 0; i < 10; i++)
    mcp_client_call(client, "now", NULL, NULL, close_in_callback, &closed);
  RUN_UNTIL(fake->last != NULL && fake->last->count == 12);
  raw_client_reset(fake->last);
  RUN_UNTIL(closed);
  cr_assert_eq(close_calls, 10);
  mcp_client_free(client);
  fixture_teardown();
}

/* ---- state
 * -------------------------------------------------------------------------------------------------- */

typedef struct states {
  unsigned connected, disconnected;
  int last;
  char reason[256];
  bool close, closed;
} states_t;

static void on_state(mcp_client_t *from, int status, const char *reason, void *arg) {
  states_t *states = arg;
  cr_assert_eq(status == 0, reason == NULL);
  states->connected += status == 0;
  states->disconnected += status != 0;
  states->last = status;
  snprintf(states->reason, sizeof states->reason, "%s", reason != NULL ? reason : "");
  if (states->close)
    mcp_client_close(from, on_closed, &states->closed);
}

Test(client_life, state_is_told_at_each_change) {
  fixture_setup();
  mcp_server_t *server = test_server_new();
  mcp_server_start(server, &fixture_loop);
  int port = mcp_server_port(server);
  client = client_new_to(port);
  states_t states = {0};
  mcp_client_on_state(client, on_state, &states);
  cr_assert_eq(mcp_client_connect(client), 0);
  cr_assert_eq(states.connected + states.disconnected, 0);
  RUN_UNTIL(states.connected == 1);
  test_server.stopped = false;
  mcp_server_stop(server, test_server_on_stopped, NULL);
  RUN_UNTIL(test_server.stopped);
  RUN_UNTIL(states.disconnected >= 3); /* lost, and refused at least twice: it reconnects without calls */
  cr_assert_eq(states.last, MCP_ECONNECT);
  cr_assert_not_null(strstr(states.reason, "refused"), "%s", states.reason);
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  RUN_UNTIL(states.connected == 2);
  client_close_and_free(client);
  cr_assert_eq(states.connected, 2);
  test_server_stop(server);
  fixture_teardown();
}

Test(client_life, closed_in_on_state) {
  fixture_setup();
  mcp_server_t *server = test_server_start();
  states_t states = {.close = true};
  client = client_new_to(mcp_server_port(server));
  mcp_client_on_state(client, on_state, &states);
  mcp_client_connect(client);
  RUN_UNTIL(states.closed);
  cr_assert_eq(states.connected, 1);
  mcp_client_free(client);
  test_server_stop(server);
  states = (states_t){.close = true};
  client = client_new_to(unused_port());
  mcp_client_on_state(client, on_state, &states);
  mcp_client_connect(client);
  RUN_UNTIL(states.closed);
  cr_assert_eq(states.disconnected, 1);
  mcp_client_free(client);
  fixture_teardown();
}

Test(client_life, no_attempts_without_something_to_send) {
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_upgrade, NULL);
  client = client_new_to(fake->port);
  call_record_t record;
  call("x", LONG_TIMEOUT_MS, &record);
  RUN_UNTIL(fake->last != NULL && fake->last->count == 3);
  raw_client_close(fake->last);
  RUN_UNTIL(record.fired);
  fixture_run_ms(500);
  cr_assert_eq(fake->accepted, 1);
  client_close_and_free(client);
  fixture_teardown();
}

/* ---- names
 * -------------------------------------------------------------------------------------------------- */

Test(client_life, a_name_with_several_addresses) {
  fixture_setup();
  fake_server_t *fake = fake_server_open(
      script_upgrade, NULL); /* on 127.0.0.1 alone: ::1, where localhost means that too, refuses */
  char url[64];
  snprintf(url, sizeof url, "localhost:%d/path", fake->port);
  client = mcp_client_new(&fixture_loop, url);
  cr_assert_eq(mcp_client_connect(client), 0);
  RUN_UNTIL(fake->last != NULL && fake->last->count == 2);
  client_close_and_free(client);
  fixture_teardown();
}

Test(client_life, an_ipv6_address) {
  fixture_setup();
  mcp_server_t *server = test_server_start();
  raw_client_t *probe = raw_client_connect6(mcp_server_port(server));
  RUN_UNTIL(probe->connected || probe->ended);
  if (probe->connected) {
    static const char *const hosts[] = {"::1", "::1%25lo",
                                        "::1%lo"}; /* with its zone, as RFC 6874 and people write it */
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
      char url[64];
      snprintf(url, sizeof url, "ws://[%s]:%d", hosts[i], mcp_server_port(server));
      client = mcp_client_new(&fixture_loop, url);
      call_record_t record;
      call("now", LONG_TIMEOUT_MS, &record);
      RUN_UNTIL(record.fired);
      cr_assert_eq(record.status, 0, "%s", record.message);
      client_close_and_free(client);
    }
  } else {
    printf("NOT RUN: ::1, since there is no IPv6 here\n");
  }
  test_server_stop(server);
  fixture_teardown();
}

/* ---- how much may wait
 * ---------------------------------------------------------------------------------------- */

enum { WAITING = 1024 };

Test(client_life, no_more_than_1024_calls_wait) {
  fixture_setup();
  client = client_new_to(unused_port());
  call_record_t records[WAITING] = {0}, refused = {0};
  for (int i = 0; i < WAITING; i++)
    call("x", 0, &records[i]);
  cr_assert_eq(mcp_client_call(client, "x", parse_args("{}"), NULL, record_result, &refused), MCP_ELIMIT);
  client_close_and_free(client);
  for (int i = 0; i < WAITING; i++)
    cr_assert(records[i].fired == 1 && records[i].status == MCP_ECLOSED);
  cr_assert_eq(refused.fired, 0);
  fixture_teardown();
}

static yyjson_mut_doc *a_mebibyte(void) {
  static char text[1 << 20];
  memset(text, 'x', sizeof text);
  yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
  yyjson_mut_doc_set_root(doc, yyjson_mut_obj(doc));
  yyjson_mut_obj_add_strn(doc, yyjson_mut_doc_get_root(doc), "t", text, sizeof text);
  return doc;
}

static int fill(call_record_t *records, size_t *made) {
  int status = 0;
  for (*made = 0; status == 0 && *made < 60; *made += status == 0)
    status =
        mcp_client_call(client, "x", a_mebibyte(), WITHIN(LONG_TIMEOUT_MS), record_result, &records[*made]);
  return status;
}

Test(client_life, no_more_than_16_mib_wait) {
  fixture_setup();
  client = client_new_to(unused_port());
  call_record_t records[60] = {0};
  size_t made;
  cr_assert_eq(fill(records, &made), MCP_ELIMIT);
  cr_assert(made >= 15 && made <= 17, "%zu", made);
  client_close_and_free(client);
  for (size_t i = 0; i < made; i++)
    cr_assert_eq(records[i].fired, 1);
  fixture_teardown();
}

Test(client_life, no_more_than_16_mib_wait_for_a_peer_that_does_not_read) {
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_upgrade, NULL);
  client = client_new_to(fake->port);
  mcp_client_connect(client);
  RUN_UNTIL(fake->last != NULL && fake->last->count == 2);
  raw_client_set_reading(fake->last, false);
  call_record_t records[60] = {0};
  size_t made;
  cr_assert_eq(fill(records, &made), MCP_ELIMIT);
  cr_assert_leq(made, 30u, "%zu", made);
  client_close_and_free(client);
  for (size_t i = 0; i < made; i++)
    cr_assert_eq(records[i].fired, 1);
  fixture_teardown();
}
