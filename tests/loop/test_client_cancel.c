/* test_client_cancel.c: calls that a client cancels, and calls that miss their deadline: their status, and
 * the notification that the server receives. */
#include "fixture.h"

#include <stdio.h>
#include <string.h>

static uint64_t call(mcp_client_t *client, const char *tool, uint64_t timeout_ms, call_record_t *record) {
  uint64_t id = 0;
  mcp_call_options_t options = {.timeout_ms = timeout_ms, .id = &id};
  cr_assert_eq(mcp_client_call(client, tool, NULL, &options, record_result, record), 0);
  return id;
}

/* ---- cancelling ---- */

Test(client_cancel, cancels_a_call_that_was_sent) {
  call_record_t kept = {0}, cancelled = {0};
  fixture_setup();
  mcp_server_t *server = test_server_start();
  mcp_client_t *client = client_new_to(mcp_server_port(server));
  call(client, "hold", 0, &kept);
  uint64_t id = call(client, "hold", 0, &cancelled);
  RUN_UNTIL(test_server.held_count == 2);
  cr_assert_eq(mcp_client_cancel(client, id), 0);
  cr_assert_eq(cancelled.fired, 0, "called back from inside of cancel");
  cr_assert_eq(mcp_client_cancel(client, id), MCP_ESTATE, "its end is due already");
  RUN_UNTIL(cancelled.fired && test_server.cancels == 1);
  cr_assert_eq(cancelled.status, MCP_ECANCELED);
  cr_assert(!mcp_call_cancelled(test_server.held[0]) && mcp_call_cancelled(test_server.held[1]));
  cr_assert_eq(mcp_client_cancel(client, id), MCP_ESTATE, "it has ended");
  cr_assert_eq(mcp_client_cancel(client, 4711), MCP_ESTATE);
  test_server_end_held(1);
  test_server_end_held(0);
  RUN_UNTIL(kept.fired);
  cr_assert_eq(kept.status, 0);
  cr_assert_eq(cancelled.fired, 1);
  client_close_and_free(client);
  test_server_stop(server);
  fixture_teardown();
}

Test(client_cancel, cancels_before_the_connection_is_there) {
  call_record_t first = {0}, second = {0}, third = {0};
  fixture_setup();
  mcp_server_t *server = test_server_start();
  mcp_client_t *client = client_new_to(mcp_server_port(server));
  call(client, "hold", 0, &first);
  uint64_t id = call(client, "hold", 0, &second);
  call(client, "hold", 0, &third);
  cr_assert_eq(mcp_client_cancel(client, id), 0);
  RUN_UNTIL(second.fired && test_server.held_count == 2);
  cr_assert_eq(second.status, MCP_ECANCELED);
  test_server_end_held(0);
  test_server_end_held(1);
  RUN_UNTIL(first.fired && third.fired);
  cr_assert_eq(test_server.held_count, 2, "the cancelled one was sent");
  cr_assert_eq(test_server.cancels, 0);
  client_close_and_free(client);
  test_server_stop(server);
  fixture_teardown();
}

static void cancel_other(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  cr_assert_eq(result->status, MCP_EDISCONNECTED);
  cr_assert_eq(mcp_client_cancel(client, *(uint64_t *)arg), 0);
  *(uint64_t *)arg = 0;
}

/* The connection has gone, and the first call's callback cancels the second, which would fail next. */
Test(client_cancel, cancels_while_the_connection_is_being_lost) {
  call_record_t second = {0};
  uint64_t id = 0;
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_upgrade, NULL);
  mcp_client_t *client = client_new_to(fake->port);
  cr_assert_eq(mcp_client_call(client, "a", NULL, NULL, cancel_other, &id), 0);
  id = call(client, "b", 0, &second);
  RUN_UNTIL(fake->last != NULL && fake->last->count == 4);
  raw_client_reset(fake->last);
  RUN_UNTIL(second.fired);
  cr_assert_eq(id, 0);
  cr_assert_eq(second.status, MCP_ECANCELED);
  client_close_and_free(client);
  fixture_teardown();
}

static void cancel_next(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  cr_assert_eq(result->status, 0);
  cr_assert_eq(mcp_client_cancel(client, *(uint64_t *)arg), 0);
}

/* Both answers come together; the first one's callback cancels the second call, whose answer is there
 * already. */
Test(client_cancel, an_answer_behind_a_cancel_is_not_heard) {
  call_record_t second = {0};
  uint64_t id = 0;
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_upgrade, NULL);
  mcp_client_t *client = client_new_to(fake->port);
  cr_assert_eq(mcp_client_call(client, "a", NULL, NULL, cancel_next, &id), 0);
  id = call(client, "b", 0, &second);
  RUN_UNTIL(fake->last != NULL && fake->last->count == 4);
  for (size_t i = 2; i < 4; i++)
    raw_client_send_text(fake->last, "{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{}}",
                         message_id(fake->last->messages[i]));
  RUN_UNTIL(second.fired);
  raw_client_sync(fake->last);
  cr_assert_eq(second.status, MCP_ECANCELED);
  cr_assert_eq(second.fired, 1);
  client_close_and_free(client);
  fixture_teardown();
}

static void on_closed(mcp_client_t *client, void *arg) {
  (void)client;
  *(bool *)arg = true;
}

Test(client_cancel, cancelled_and_closed_ends_once) {
  call_record_t record = {0}, late = {0};
  fixture_setup();
  mcp_server_t *server = test_server_start();
  mcp_client_t *client = client_new_to(mcp_server_port(server));
  uint64_t id = call(client, "hold", 0, &record), late_id = call(client, "hold", 0, &late);
  RUN_UNTIL(test_server.held_count == 2);
  cr_assert_eq(mcp_client_cancel(client, id), 0);
  bool closed = false;
  cr_assert_eq(mcp_client_close(client, on_closed, &closed), 0);
  cr_assert_eq(mcp_client_cancel(client, late_id), MCP_ECLOSED);
  RUN_UNTIL(record.fired && late.fired);
  cr_assert_eq(record.status, MCP_ECANCELED);
  cr_assert_eq(late.status, MCP_ECLOSED);
  test_server_end_held(0);
  test_server_end_held(1);
  test_server_stop(server);
  RUN_UNTIL(closed);
  mcp_client_free(client);
  fixture_teardown();
}

/* ---- deadlines of calls that were sent ---- */

static size_t count_of(const raw_client_t *peer, const char *words) {
  size_t count = 0;
  for (size_t i = 0; i < peer->count; i++)
    count += strstr(peer->messages[i], words) != NULL;
  return count;
}

/* How often the peer was told, after everything that was sent so far has come. */
static size_t told_of(raw_client_t *peer, uint64_t id) {
  char words[100];
  raw_client_sync(peer);
  snprintf(words, sizeof words, "\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":%d}}",
           (int)id);
  return count_of(peer, words);
}

static void answer_late(raw_client_t *peer, uint64_t id) {
  raw_client_send_text(peer, "{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{\"n\":%d}}", (int)id, (int)id);
}

Test(client_cancel, the_peer_hears_of_a_deadline_once) {
  call_record_t late = {0}, listing = {0}, cancelled = {0}, kept = {0};
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_upgrade, NULL);
  mcp_client_t *client = client_new_to(fake->port);
  fixture_freeze_clock();
  uint64_t kept_id = call(client, "kept", 0, &kept);
  RUN_UNTIL(fake->last != NULL && fake->last->count == 3); /* connected: what follows is sent at once */
  uint64_t late_id = call(client, "late", 150, &late);
  uint64_t cancelled_id = call(client, "cancelled", 150, &cancelled);
  cr_assert_eq(mcp_client_cancel(client, cancelled_id), 0);
  uint64_t listing_id = 0;
  mcp_call_options_t options = {.timeout_ms = 150, .id = &listing_id};
  cr_assert_eq(mcp_client_request(client, "tools/list", NULL, &options, record_result, &listing), 0);
  RUN_UNTIL(fake->last->count == 7); /* three calls, and that one was cancelled */
  fixture_advance_ms(150);
  RUN_UNTIL(late.fired && listing.fired && cancelled.fired);
  cr_assert(late.status == MCP_ETIMEOUT && listing.status == MCP_ETIMEOUT &&
            cancelled.status == MCP_ECANCELED);
  cr_assert_not_null(strstr(late.message, "no answer within 150 ms"), "%s", late.message);
  answer_late(fake->last, late_id);
  answer_late(fake->last, listing_id);
  answer_late(fake->last, kept_id);
  RUN_UNTIL(kept.fired);
  cr_assert_eq(kept.status, 0);
  cr_expect_eq(told_of(fake->last, late_id), 1);
  cr_expect_eq(told_of(fake->last, listing_id), 1);
  cr_expect_eq(told_of(fake->last, cancelled_id), 1, "once, though its deadline has passed since");
  cr_expect_eq(count_of(fake->last, "notifications/cancelled"), 3);
  cr_assert(late.fired == 1 && listing.fired == 1 && cancelled.fired == 1, "a late answer was heard");
  client_close_and_free(client);
  fixture_teardown();
}

static void script_no_initialize(raw_client_t *peer) { /* answers the upgrade alone */
  if (peer->count == 0)
    (void)script_handshake(peer);
}

/* Nor of initialize, which must not be cancelled. */
Test(client_cancel, the_peer_does_not_hear_of_calls_that_were_never_sent) {
  call_record_t unsent = {0}, sent = {0};
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_no_initialize, NULL);
  mcp_client_t *client = client_new_to(fake->port);
  fixture_freeze_clock();
  call(client, "unsent", 500, &unsent);
  RUN_UNTIL(fake->last != NULL && fake->last->count == 1);
  uint64_t id = call(client, "sent", 0, &sent);
  fixture_advance_ms(500);
  RUN_UNTIL(unsent.fired);
  cr_assert_eq(unsent.status, MCP_ETIMEOUT);
  cr_assert_not_null(strstr(unsent.message, "not connected within 500 ms"), "%s", unsent.message);
  answer_late(fake->last, (uint64_t)message_id(fake->last->messages[0]));
  RUN_UNTIL(count_of(fake->last, "\"sent\"") == 1);
  answer_late(fake->last, id);
  RUN_UNTIL(sent.fired);
  cr_expect_eq(sent.status, 0);
  raw_client_sync(fake->last);
  cr_expect_eq(count_of(fake->last, "notifications/cancelled"), 0);
  cr_expect_eq(count_of(fake->last, "\"unsent\""), 0);
  cr_expect_eq(fake->accepted, 1);
  client_close_and_free(client);
  fixture_teardown();
}

Test(client_cancel, an_initialize_of_ones_own_is_not_cancelled) {
  call_record_t own = {0}, other = {0};
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_upgrade, NULL);
  mcp_client_t *client = client_new_to(fake->port);
  call(client, "first", 0, &other); /* the fake answers nothing but the first initialize */
  RUN_UNTIL(fake->last != NULL && fake->last->count == 3);
  fake->last->on_input = NULL;
  cr_assert_eq(mcp_client_request(client, "initialize", NULL, WITHIN(100), record_result, &own), 0);
  RUN_UNTIL(own.fired);
  cr_assert_eq(own.status, MCP_ETIMEOUT);
  raw_client_sync(fake->last);
  cr_expect_eq(count_of(fake->last, "\"initialize\""), 2);
  cr_expect_eq(count_of(fake->last, "notifications/cancelled"), 0);
  client_close_and_free(client);
  cr_expect_eq(other.status, MCP_ECLOSED);
  fixture_teardown();
}

Test(client_cancel, our_server_stops_waiting_with_its_caller) {
  call_record_t record = {0}, first = {0};
  fixture_setup();
  mcp_server_t *server = test_server_start();
  mcp_client_t *client = client_new_to(mcp_server_port(server));
  call(client, "now", 0, &first);
  RUN_UNTIL(first.fired);
  fixture_freeze_clock();
  call(client, "hold", 100, &record);
  RUN_UNTIL(test_server.held_count == 1);
  fixture_advance_ms(100);
  RUN_UNTIL(record.fired && test_server.cancels == 1);
  cr_assert_eq(record.status, MCP_ETIMEOUT);
  cr_assert(mcp_call_cancelled(test_server.held[0]));
  cr_assert_eq(test_server_end_held(0), MCP_ESTATE);
  client_close_and_free(client);
  test_server_stop(server);
  fixture_teardown();
}
