/* test_server_calls.c: each request gets exactly one response, whatever its handler and its peer do. */
#include "fixture.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static mcp_server_t *server;
static raw_client_t *peer;

static void open_with(uint64_t call_timeout_ms) {
  fixture_setup();
  server = test_server_new();
  if (call_timeout_ms > 0)
    cr_assert_eq(mcp_server_set_call_timeout_ms(server, call_timeout_ms), 0);
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  peer = raw_client_open(mcp_server_port(server));
}

static void close_all(void) {
  test_server_stop(server);
  fixture_teardown();
}

Test(server_calls, answered_at_once) {
  open_with(0);
  raw_client_call(peer, 1, "now", "{\"a\":[1,2.5,null]}");
  raw_client_sync(peer);
  cr_assert(raw_client_response_has(peer, 1, "{\\\"a\\\":[1,2.5,null]}"));
  close_all();
}

/* The schema of delay asks for an integer: its handler gets one. */
Test(server_calls, whole_numbers_are_integers) {
  open_with(0);
  fixture_freeze_clock();
  raw_client_call(peer, 1, "delay", "{\"ms\":5e1,\"other\":1.0}");
  raw_client_sync(peer);
  cr_assert_eq(raw_client_count_responses(peer, 1), 0);
  fixture_advance_ms(60);
  RUN_UNTIL(raw_client_count_responses(peer, 1) == 1);
  fixture_unfreeze_clock();
  close_all();
}

Test(server_calls, answered_later_in_any_order) {
  open_with(0);
  for (int id = 0; id < 3; id++)
    raw_client_call(peer, id, "hold", "{}");
  raw_client_sync(peer); /* overtakes all three */
  cr_assert_eq(peer->count, 1);
  cr_assert_eq(test_server.held_count, 3);
  for (size_t i = 3; i-- > 0;)
    cr_assert_eq(test_server_end_held(i), 0);
  raw_client_sync(peer);
  for (int id = 0; id < 3; id++)
    cr_assert_eq(raw_client_count_responses(peer, id), 1);
  cr_assert(raw_client_response_has(peer, 1, "{\\\"held\\\":1}"));
  cr_assert_eq(test_server.cancels, 0);
  close_all();
}

Test(server_calls, never_answered_times_out_once) {
  open_with(50);
  raw_client_call(peer, 1, "hold", "{}");
  RUN_UNTIL(raw_client_count_responses(peer, 1) == 1);
  cr_assert(raw_client_response_has(peer, 1, "-32603"));
  cr_assert(raw_client_response_has(peer, 1, "timed out"));
  cr_assert_eq(test_server.cancels, 1);
  cr_assert(mcp_call_cancelled(test_server.held[0]));
  cr_assert_eq(test_server_end_held(0), MCP_ESTATE);
  raw_client_sync(peer);
  cr_assert_eq(raw_client_count_responses(peer, 1), 1);
  cr_assert_eq(test_server.cancels, 1);
  close_all();
}

Test(server_calls, timed_out_and_never_ended_until_after_the_stop) {
  open_with(50);
  raw_client_call(peer, 1, "hold", "{}");
  RUN_UNTIL(test_server.cancels == 1);
  cr_assert_eq(mcp_server_stop(server, test_server_on_stopped, NULL), 0);
  RUN_UNTIL(test_server.stopped);
  mcp_server_free(server);
  yyjson_mut_doc *doc = mcp_call_doc(test_server.held[0]); /* the call's memory outlives the server */
  cr_assert_eq(mcp_call_reply(test_server.held[0], yyjson_mut_str(doc, "late")), MCP_ESTATE);
  fixture_teardown();
}

Test(server_calls, peer_leaves_before_the_answer) {
  open_with(0);
  raw_client_call(peer, 1, "hold", "{}");
  raw_client_call(peer, 2, "hold", "{}");
  RUN_UNTIL(test_server.held_count == 2);
  raw_client_close(peer);
  RUN_UNTIL(test_server.cancels == 2);
  cr_assert_eq(test_server_end_held(0), MCP_ESTATE);
  cr_assert_eq(test_server_end_held(1), MCP_ESTATE);
  close_all();
}

Test(server_calls, peer_resets_before_the_answer) {
  open_with(0);
  raw_client_call(peer, 1, "hold", "{}");
  RUN_UNTIL(test_server.held_count == 1);
  raw_client_reset(peer);
  RUN_UNTIL(test_server.cancels == 1);
  cr_assert_eq(test_server_end_held(0), MCP_ESTATE);
  close_all();
}

static void end_on_cancel(mcp_call_t *call, void *arg) {
  int *status = arg;
  *status = mcp_call_tool_error(call, "the caller has disconnected");
}

Test(server_calls, ended_inside_on_cancel) {
  open_with(0);
  int statuses[3] = {1, 1, 1};
  for (int i = 0; i < 3; i++)
    raw_client_call(peer, i, "hold", "{}");
  RUN_UNTIL(test_server.held_count == 3);
  for (int i = 0; i < 3; i++)
    mcp_call_on_cancel(test_server.held[i], end_on_cancel, &statuses[i]);
  raw_client_close(peer);
  RUN_UNTIL(statuses[0] != 1 && statuses[1] != 1 && statuses[2] != 1);
  for (int i = 0; i < 3; i++)
    cr_assert_eq(statuses[i], MCP_ESTATE);
  close_all();
}

static unsigned siblings_ended, siblings_waited_for;

static void end_siblings(mcp_call_t *call, void *arg) {
  (void)call;
  (void)arg;
  for (size_t i = 0; i < test_server.held_count; i++)
    if (test_server.held[i] != NULL)
      siblings_waited_for += test_server_end_held(i) != MCP_ESTATE, siblings_ended++;
}

Test(server_calls, on_cancel_may_end_all_calls_of_the_connection) {
  open_with(0);
  for (int i = 0; i < 4; i++)
    raw_client_call(peer, i, "hold", "{}");
  RUN_UNTIL(test_server.held_count == 4);
  for (int i = 0; i < 4; i++)
    mcp_call_on_cancel(test_server.held[i], end_siblings, NULL);
  raw_client_close(peer);
  RUN_UNTIL(siblings_ended == 4);
  cr_assert_eq(siblings_waited_for, 0); /* cancelled: the values are not the cause */
  close_all();
}

Test(server_calls, cancelled_by_the_peer) {
  open_with(0);
  raw_client_call(peer, 7, "hold", "{}");
  raw_client_call(peer, 8, "hold", "{}");
  raw_client_send_text(
      peer, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":7}}");
  raw_client_sync(peer);
  cr_assert_eq(test_server.cancels, 1);
  cr_assert_eq(test_server_end_held(0), MCP_ESTATE);
  cr_assert_eq(test_server_end_held(1), 0);
  raw_client_sync(peer);
  cr_assert_eq(raw_client_count_responses(peer, 7), 0);
  cr_assert_eq(raw_client_count_responses(peer, 8), 1);
  close_all();
}

static void hold(const char *id) {
  raw_client_send_text(peer, "{\"jsonrpc\":\"2.0\",\"id\":%s,\"method\":\"hold\"}", id);
}

static void give_up(const char *id) {
  raw_client_send_text(
      peer, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":%s}}", id);
}

/* JSON knows one number 100, however it is written; the text "1" is no number. */
Test(server_calls, cancelled_by_the_value_of_the_id) {
  static const char *const ids[][2] = {
      {"100", "1e2"},
      {"2.00", "2"},
      {"-0", "0"},
      {"9007199254740993", "9007199254740993.0"},
      {"0.1000000000000000055511151231257827", "0.1000000000000000055511151231257827"},
      {"123456789012345678901234567890", "12345678901234567890123456789e1"},
      {"\"a\"", "\"\\u0061\""}};
  enum { IDS = sizeof ids / sizeof ids[0] };
  open_with(0);
  for (size_t i = 0; i < IDS; i++)
    hold(ids[i][0]);
  for (size_t i = 0; i < IDS; i++)
    give_up(ids[i][1]);
  raw_client_sync(peer);
  cr_assert_eq(test_server.cancels, IDS);
  for (size_t i = 0; i < IDS; i++)
    cr_assert_eq(test_server_end_held(i), MCP_ESTATE, "%s", ids[i][0]);
  cr_assert_eq(peer->count, 1);
  close_all();
}

Test(server_calls, not_cancelled_by_another_value_of_the_id) {
  open_with(0);
  hold("1");
  hold("\"2\"");
  hold("9007199254740993");
  static const char *const others[] = {"\"1\"", "2",   "9007199254740992", "9007199254740992.0", "10",
                                       "-1",    "null"};
  for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
    give_up(others[i]);
  raw_client_sync(peer);
  cr_assert_eq(test_server.cancels, 0);
  for (size_t i = 0; i < 3; i++)
    cr_assert_eq(test_server_end_held(i), 0);
  raw_client_sync(peer);
  close_all();
}

Test(server_calls, an_id_of_the_same_value_in_flight_is_refused) {
  open_with(0);
  hold("5");
  hold("5.0");
  raw_client_sync(peer);
  cr_assert_eq(test_server.held_count, 1);
  cr_assert_not_null(strstr(peer->messages[0], "\"id\":5.0,\"error\":{\"code\":-32600"), "%s",
                     peer->messages[0]);
  cr_assert_eq(test_server_end_held(0), 0);
  close_all();
}

Test(server_calls, cancelling_what_is_not_there_is_harmless) {
  open_with(0);
  raw_client_call(peer, 1, "now", "{}");
  const char *const ids[] = {"1", "\"1\"", "null", "{}", "1e400", "[1]"};
  for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
    raw_client_send_text(
        peer, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":%s}}",
        ids[i]);
  raw_client_send_text(peer, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\"}");
  raw_client_sync(peer);
  cr_assert_eq(raw_client_count_responses(peer, 1), 1);
  cr_assert_leq(peer->count, 3); /* the call's answer, the ping's; one for what could not be parsed */
  close_all();
}

Test(server_calls, a_close_frame_cancels_what_is_in_flight) {
  open_with(0);
  raw_client_call(peer, 1, "hold", "{}");
  RUN_UNTIL(test_server.held_count == 1);
  raw_client_send_frame(peer, 8, "\x03\xe8", 2);
  RUN_UNTIL(peer->ended);
  cr_assert_eq(peer->close_code, 1000);
  cr_assert_eq(test_server.cancels, 1);
  cr_assert_eq(test_server_end_held(0), MCP_ESTATE);
  cr_assert_eq(peer->count, 0);
  close_all();
}

Test(server_calls, an_id_may_be_used_again_after_cancelling) {
  open_with(0);
  raw_client_call(peer, 7, "hold", "{}");
  raw_client_send_text(
      peer, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":7}}");
  raw_client_call(peer, 7, "now", "{}");
  raw_client_sync(peer);
  cr_assert_eq(raw_client_count_responses(peer, 7), 1);
  cr_assert_eq(test_server_end_held(0), MCP_ESTATE);
  raw_client_sync(peer);
  cr_assert_eq(raw_client_count_responses(peer, 7), 1);
  close_all();
}

Test(server_calls, the_same_id_in_flight_is_refused) {
  open_with(0);
  raw_client_call(peer, 5, "hold", "{}");
  raw_client_call(peer, 5, "now", "{}");
  raw_client_sync(peer);
  cr_assert(raw_client_response_has(peer, 5, "-32600"));
  cr_assert_eq(test_server.now_count, 0);
  cr_assert_eq(test_server_end_held(0), 0);
  raw_client_sync(peer);
  cr_assert_eq(raw_client_count_responses(peer, 5), 2); /* the refusal, and the first call's own */
  close_all();
}

Test(server_calls, notifications_are_never_answered) {
  open_with(0);
  raw_client_send_text(peer, "{\"jsonrpc\":\"2.0\",\"method\":\"tools/call\",\"params\":{\"name\":\"now\"}}");
  raw_client_send_text(peer,
                       "{\"jsonrpc\":\"2.0\",\"method\":\"tools/call\",\"params\":{\"name\":\"hold\"}}");
  raw_client_send_text(peer,
                       "{\"jsonrpc\":\"2.0\",\"method\":\"tools/call\",\"params\":{\"name\":\"forget\"}}");
  raw_client_send_text(peer,
                       "{\"jsonrpc\":\"2.0\",\"method\":\"tools/call\",\"params\":{\"name\":\"block\"}}");
  raw_client_send_text(peer, "{\"jsonrpc\":\"2.0\",\"method\":\"fail\",\"params\":{\"how\":\"x\"}}");
  raw_client_send_text(peer, "{\"jsonrpc\":\"2.0\",\"method\":\"nothing\"}");
  RUN_UNTIL(test_server.held_count == 1 && fixture_logged("without ending its call"));
  test_server_end_held(0);
  raw_client_sync(peer);
  raw_client_sync(peer);
  cr_assert_eq(test_server.now_count, 1);
  cr_assert_eq(peer->count, 2);
  close_all();
}

static mcp_call_t *too_late;
static unsigned late_fired;

static void on_late(mcp_call_t *call, void *arg) {
  (void)arg;
  cr_assert_eq(call, too_late);
  late_fired++;
}

Test(server_calls, on_cancel_given_too_late_fires_in_the_next_turn) {
  open_with(0);
  raw_client_call(peer, 1, "hold", "{}");
  RUN_UNTIL(test_server.held_count == 1);
  raw_client_close(peer);
  RUN_UNTIL(test_server.cancels == 1);
  too_late = test_server.held[0];
  mcp_call_on_cancel(too_late, on_late, NULL);
  cr_assert_eq(late_fired, 0);
  RUN_UNTIL(late_fired == 1);
  cr_assert_eq(test_server_end_held(0), MCP_ESTATE);
  close_all();
  cr_assert_eq(late_fired, 1);
}

static void give_again(mcp_call_t *call, void *arg) {
  late_fired++;
  mcp_call_on_cancel(call, give_again, arg);
}

Test(server_calls, on_cancel_given_again_in_itself_lets_the_loop_turn) {
  open_with(0);
  for (int id = 0; id < 3; id++)
    raw_client_call(peer, id, "hold", "{}");
  RUN_UNTIL(test_server.held_count == 3);
  for (int i = 0; i < 3; i++)
    mcp_call_on_cancel(test_server.held[i], give_again, NULL);
  raw_client_close(peer);
  RUN_UNTIL(late_fired >= 9);
  for (size_t i = 0; i < 3; i++)
    cr_assert_eq(test_server_end_held(i), MCP_ESTATE);
  close_all();
}

Test(server_calls, on_cancel_given_too_late_does_not_fire_after_the_end) {
  open_with(0);
  raw_client_call(peer, 1, "hold", "{}");
  RUN_UNTIL(test_server.held_count == 1);
  raw_client_close(peer);
  RUN_UNTIL(test_server.cancels == 1);
  mcp_call_on_cancel(test_server.held[0], on_late, NULL);
  test_server_end_held(0);
  fixture_run_ms(50);
  cr_assert_eq(late_fired, 0);
  close_all();
}

/* ---- trace ids ------------------------------------------------------------------------------------------
 */

static void call_with_meta(int id, const char *meta) {
  raw_client_send_text(peer,
                       "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"tools/"
                       "call\",\"params\":{\"name\":\"trace\",\"_meta\":%s}}",
                       id, meta);
}

Test(server_calls, trace_ids_by_their_rank) {
  open_with(0);
  peer = raw_client_connect(mcp_server_port(server));
  RUN_UNTIL(peer->connected);
  raw_client_puts(
      peer, "GET / HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Trace-ID: header\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n");
  RUN_UNTIL(peer->head != NULL);
  call_with_meta(1, "{\"traceparent\":\"parent\",\"trace_id\":\"own\"}");
  call_with_meta(2, "{\"traceparent\":\"parent\"}");
  call_with_meta(3, "{\"trace_id\":5}");
  RUN_UNTIL(peer->count == 3);
  cr_assert(raw_client_response_has(peer, 1, "\\\"own\\\""));
  cr_assert(raw_client_response_has(peer, 2, "\\\"parent\\\""));
  cr_assert(raw_client_response_has(peer, 3, "\\\"header\\\""));
  close_all();
}

/* ---- values that cannot be written ------------------------------------------------------------------- */

static int end_with(yyjson_mut_val *(*make)(yyjson_mut_doc *doc)) {
  size_t index = test_server.held_count;
  raw_client_call(peer, (int)index, "hold", "{}");
  RUN_UNTIL(test_server.held_count == index + 1);
  mcp_call_t *call = test_server.held[index];
  int status = mcp_call_reply(call, make(mcp_call_doc(call)));
  raw_client_sync(peer);
  cr_assert(raw_client_response_has(peer, (int)index, "-32603"));
  return status;
}

static yyjson_mut_val *make_nan(yyjson_mut_doc *doc) {
  return yyjson_mut_real(doc, NAN);
}
static yyjson_mut_val *make_infinite(yyjson_mut_doc *doc) {
  return yyjson_mut_real(doc, -INFINITY);
}
static yyjson_mut_val *make_bad_text(yyjson_mut_doc *doc) {
  return yyjson_mut_str(doc, "\xff\xfe");
}
static yyjson_mut_val *make_nothing(yyjson_mut_doc *doc) {
  (void)doc;
  return NULL;
}

Test(server_calls, unwritable_results_are_internal_errors) {
  open_with(0);
  cr_assert_eq(end_with(make_nan), MCP_EENCODE);
  cr_assert_eq(end_with(make_infinite), MCP_EENCODE);
  cr_assert_eq(end_with(make_bad_text), MCP_EENCODE);
  cr_assert_eq(end_with(make_nothing), MCP_EENCODE);
  raw_client_call(peer, 100, "hold", "{}");
  RUN_UNTIL(test_server.held_count == 5);
  cr_assert_eq(mcp_call_reply_text(test_server.held[4], "\"\xc3\"", 3), MCP_EENCODE);
  raw_client_sync(peer);
  cr_assert(raw_client_response_has(peer, 100, "-32603"));
  close_all();
}

static mcp_call_t *hold_next(int id) {
  size_t index = test_server.held_count;
  raw_client_call(peer, id, "hold", "{}");
  RUN_UNTIL(test_server.held_count == index + 1);
  return test_server.held[index];
}

Test(server_calls, failures_with_unwritable_parts) {
  open_with(0);
  mcp_call_t *call = hold_next(1);
  yyjson_mut_val *data = yyjson_mut_real(mcp_call_doc(call), NAN);
  cr_assert_eq(mcp_call_fail(call, -32001, data, "with bad data"), MCP_EENCODE);
  cr_assert_eq(mcp_call_tool_error(hold_next(2), "bad \xff text"), 0);
  char *text = malloc(5000); /* longer than any message, and cut inside of a character */
  for (size_t i = 0; i < 4998; i += 2)
    memcpy(text + i, "\xc3\xa4", 3);
  cr_assert_eq(mcp_call_tool_error(hold_next(3), "x%s", text), 0);
  cr_assert_eq(mcp_call_tool_error(hold_next(4), "%s", text), 0);
  free(text);
  raw_client_sync(peer);
  for (int id = 1; id <= 4; id++)
    cr_assert_eq(raw_client_count_responses(peer, id), 1, "id %d", id);
  cr_assert(raw_client_response_has(peer, 3, "\xc3\xa4"));
  close_all();
}

/* ---- the shape of failures, by revision --------------------------------------------------------------- */

static void initialize(const char *revision) {
  raw_client_send_text(
      peer,
      "{\"jsonrpc\":\"2.0\",\"id\":1000,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"%s\"}}",
      revision);
  raw_client_sync(peer);
  cr_assert(raw_client_response_has(peer, 1000, revision));
}

Test(server_calls, failures_are_errors_without_initialize) {
  open_with(0);
  raw_client_call(peer, 1, "fail", "{\"how\":\"it\"}");
  raw_client_call(peer, 2, "fail", "{\"how\":\"code\"}");
  raw_client_call(peer, 3, "fail", "{}");
  raw_client_call(peer, 4, "missing", "{}");
  raw_client_call(peer, 5, "now", "{\"a\":1}");
  raw_client_send_text(peer, "{\"jsonrpc\":\"2.0\",\"id\":6,\"method\":\"now\",\"params\":{\"b\":2}}");
  raw_client_send_text(peer,
                       "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"fail\",\"params\":{\"how\":\"it\"}}");
  raw_client_sync(peer);
  cr_assert(raw_client_response_has(peer, 1, "\"error\":{\"code\":-32000,\"message\":\"cannot do it\"}"));
  cr_assert(raw_client_response_has(
      peer, 2, "\"error\":{\"code\":-32042,\"message\":\"number 42\",\"data\":\"why\"}"));
  cr_assert(raw_client_response_has(peer, 3, "-32602"));
  cr_assert(raw_client_response_has(peer, 4, "-32601"));
  cr_assert_null(strstr(raw_client_response(peer, 5), "structuredContent"));
  cr_assert(raw_client_response_has(peer, 6, "\"result\":{\"b\":2}"));
  cr_assert(raw_client_response_has(peer, 7, "\"error\":{\"code\":-32000"));
  close_all();
}

Test(server_calls, failures_are_results_from_2025_03_26_on) {
  open_with(0);
  initialize("2025-03-26");
  raw_client_call(peer, 1, "fail", "{\"how\":\"it\"}");
  raw_client_call(peer, 2, "fail", "{\"how\":\"internal\"}");
  raw_client_call(peer, 3, "missing", "{}");
  raw_client_call(peer, 4, "now", "{\"a\":1}");
  raw_client_send_text(peer,
                       "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"fail\",\"params\":{\"how\":\"it\"}}");
  raw_client_sync(peer);
  cr_assert(raw_client_response_has(peer, 1, "\"isError\":true"));
  cr_assert(raw_client_response_has(peer, 1, "cannot do it"));
  cr_assert(raw_client_response_has(peer, 2, "-32603"));
  cr_assert(raw_client_response_has(peer, 3, "-32602"));
  cr_assert_null(strstr(raw_client_response(peer, 4), "structuredContent"));
  cr_assert(raw_client_response_has(peer, 5, "\"error\":{\"code\":-32000"));
  close_all();
}

Test(server_calls, structured_content_from_2025_06_18_on) {
  open_with(0);
  initialize("2025-06-18");
  raw_client_call(peer, 1, "now", "{\"a\":1}");
  raw_client_call(peer, 2, "big", "{\"bytes\":3}");
  raw_client_call(peer, 3, "fail", "{}");
  raw_client_sync(peer);
  cr_assert(raw_client_response_has(peer, 1, "\"structuredContent\":{\"a\":1}"));
  cr_assert_null(strstr(raw_client_response(peer, 2), "structuredContent")); /* an object or nothing */
  cr_assert(raw_client_response_has(peer, 3, "\"error\":{\"code\":-32602"));
  close_all();
}

Test(server_calls, wrong_arguments_are_results_from_2025_11_25_on) {
  open_with(0);
  initialize("2025-11-25");
  raw_client_call(peer, 3, "fail", "{}");
  raw_client_sync(peer);
  cr_assert(raw_client_response_has(peer, 3, "\"isError\":true"));
  close_all();
}

/* ---- ended twice ------------------------------------------------------------------------------------------
 */

static unsigned twice_status_ok;

static void twice_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)args;
  (void)arg;
  bool first = mcp_call_reply_text(call, "1", 1) == 0;
  twice_status_ok =
      first && mcp_call_reply_text(call, "2", 1) == MCP_ESTATE; /* on the pool that is safe to see */
}

Test(server_calls, ended_twice_on_the_pool_is_told) {
  fixture_setup();
  static const mcp_tool_t tools[] = {{"twice", "", NULL, twice_tool, NULL, MCP_TOOL_BLOCKING}, MCP_TOOL_END};
  server = mcp_server_new("twice", "1", 0, tools);
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  peer = raw_client_open(mcp_server_port(server));
  raw_client_call(peer, 1, "twice", "{}");
  RUN_UNTIL(raw_client_count_responses(peer, 1) > 0);
  raw_client_sync(peer);
  cr_assert(raw_client_response_has(peer, 1, "\"text\":\"1\""));
  cr_assert(twice_status_ok);
  cr_assert(fixture_logged("ended twice"));
  close_all();
}

Test(server_calls, ended_twice_on_the_loop_is_told) {
  open_with(0);
  raw_client_call(peer, 1, "hold", "{}");
  RUN_UNTIL(test_server.held_count == 1);
  mcp_call_t *call = test_server.held[0];
  cr_assert_eq(test_server_end_held(0), 0);
  cr_assert_eq(mcp_call_reply_text(call, "1", 1), MCP_ESTATE);
  cr_assert_eq(mcp_call_reply(call, NULL), MCP_ESTATE);
  cr_assert_eq(mcp_call_reply_content(call, NULL, NULL, false), MCP_ESTATE);
  cr_assert_eq(mcp_call_tool_error(call, "no"), MCP_ESTATE);
  cr_assert_eq(mcp_call_fail(call, MCP_TOOL_ERROR, NULL, "no"), MCP_ESTATE);
  cr_assert(fixture_logged("a call of the tool hold was ended twice"));
  raw_client_sync(peer);
  cr_assert_eq(raw_client_count_responses(peer, 1), 1);
  close_all();
}

Test(server_calls, answers_without_a_text_are_errors) {
  enum { CALLS = 5 };
  open_with(0);
  for (int id = 0; id < CALLS; id++)
    raw_client_call(peer, id, "hold", "{}");
  RUN_UNTIL(test_server.held_count == CALLS);
  const char *volatile none = NULL; /* no compiler is to see it, or to know tool_error's format */
  int (*const tool_error)(mcp_call_t *, const char *, ...) = mcp_call_tool_error;
  cr_assert_eq(mcp_call_reply_text(test_server.held[0], none, 4), MCP_EENCODE);
  cr_assert_eq(mcp_call_reply(test_server.held[1], NULL), MCP_EENCODE);
  cr_assert_eq(mcp_call_reply_content(test_server.held[2], NULL, NULL, false), MCP_EENCODE);
  cr_assert_eq(tool_error(test_server.held[3], none), 0);
#ifdef NDEBUG
  mcp_call_reply_text(test_server.held[4], "{}", 2);
#else
  cr_assert_eq(mcp_call_reply_text(test_server.held[4], "{\"a\":nan}", 9), MCP_EENCODE);
#endif
  memset(test_server.held, 0, CALLS * sizeof test_server.held[0]);
  raw_client_sync(peer);
  for (int id = 0; id < 3; id++)
    cr_assert(raw_client_response_has(peer, id, "-32603"));
  cr_assert(raw_client_response_has(peer, 3, "-32000"));
#ifndef NDEBUG
  cr_assert(raw_client_response_has(peer, 4, "-32603"));
  cr_assert(fixture_logged("the result of the tool hold cannot be written: not valid JSON"));
#endif
  cr_assert(fixture_logged("the result of the tool hold cannot be written: it is NULL"));
  cr_assert(fixture_logged("a call of the tool hold failed with the message NULL"));
  close_all();
}

static void sleeping_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)args;
  (void)arg;
  usleep(250000);
  mcp_call_reply_text(call, "1", 1);
}

Test(server_calls, a_handler_that_keeps_the_loop_is_named) {
  open_with(0);
  const mcp_tool_t tool = {.name = "sleeping", .handler = sleeping_tool};
  cr_assert_eq(mcp_server_add_tool(server, &tool), 0);
  raw_client_call(peer, 1, "sleeping", "{}");
  RUN_UNTIL(raw_client_count_responses(peer, 1) == 1);
  cr_assert(fixture_logged("the handler of the tool sleeping blocked the loop for "));
  close_all();
}

/* A program may have set the locale of its user, in which a comma stands before the fraction. */
Test(server_calls, durations_have_a_point_in_every_locale) {
  char dir[] = "/tmp/locale-XXXXXX", command[200];
  cr_assert_not_null(mkdtemp(dir));
  snprintf(command, sizeof command, "localedef -i de_DE -f UTF-8 %s/de_DE.UTF-8 >%s/words 2>&1", dir, dir);
  int made = system(command);
  setenv("LOCPATH", dir, 1);
  bool set = made == 0 && setlocale(LC_ALL, "de_DE.UTF-8") != NULL;
  snprintf(command, sizeof command, "rm -rf %s", dir);
  cr_assert_eq(system(command), 0);
  if (!set) {
    printf(
        "NOT RUN: server_calls/durations_have_a_point_in_every_locale: no locale de_DE can be made here\n");
    return;
  }
  char number[8];
  snprintf(number, sizeof number, "%.1f", 0.5);
  cr_assert_str_eq(number, "0,5");
  open_with(0);
  raw_client_call(peer, 1, "now", "{\"a\":1.5}");
  RUN_UNTIL(raw_client_count_responses(peer, 1) == 1);
  cr_assert(raw_client_response_has(peer, 1, "1.5"));
  RUN_UNTIL(fixture_logged("\"duration_ms\":"));
  const char *at = strstr(fixture_log(), "\"duration_ms\":") + 14;
  at += strspn(at, "0123456789");
  cr_assert_eq(*at, '.', "%s", at);
  close_all();
}

Test(server_calls, many_calls_that_are_never_ended_do_not_stall_the_loop) {
  open_with(60000);
  enum { PEERS = 400, EACH = 64 }; /* two descriptors each, of 1,024 on a bare machine */
  raw_client_t *peers[PEERS];
  for (int i = 0; i < PEERS; i++)
    peers[i] = raw_client_open(mcp_server_port(server));
  fixture_freeze_clock();
  uint64_t began = fixture_real_clock_ms();
  for (int i = 0; i < PEERS; i++)
    for (int id = 1; id <= EACH; id++)
      raw_client_call(peers[i], id, "hold", "{}");
  RUN_UNTIL(test_server.held_count == (size_t)PEERS * EACH);
  uint64_t begun = fixture_real_clock_ms();
  fixture_jump_ms(61000);
  RUN_UNTIL(test_server.cancels == (size_t)PEERS * EACH);
  uint64_t ended = fixture_real_clock_ms();
  raw_client_sync(peer);
  cr_assert_leq(ended - begun, 3 * (begun - began), "beginning them took %d ms, ending them %d ms",
                (int)(begun - began), (int)(ended - begun));
  for (size_t i = 0; i < test_server.held_count; i++)
    cr_assert_eq(test_server_end_held(i), MCP_ESTATE);
  close_all();
}
