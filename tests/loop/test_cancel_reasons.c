/* test_cancel_reasons.c: why a call was cancelled; and calls that are given up free their handlers at once.
 */
#include "fixture.h"

#include <stdio.h>
#include <string.h>

/* The calls of "give_up", whose handlers end them when they are cancelled. */
static struct {
  size_t begun, ended;
  mcp_cancel_reason_t reason; /* of the last one */
} calls;

static void on_cancel(mcp_call_t *call, void *arg) {
  (void)arg;
  calls.reason = mcp_call_cancel_reason(call);
  calls.ended++;
  mcp_call_tool_error(call, "cancelled");
}

static void give_up_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)args, (void)arg;
  calls.begun++;
  cr_assert_eq(mcp_call_cancel_reason(call), MCP_CANCEL_NONE);
  mcp_call_on_cancel(call, on_cancel, NULL);
}

static const mcp_tool_t tools[] = {{.name = "give_up", .handler = give_up_tool}, MCP_TOOL_END};

static mcp_server_t *server;

static void open_server(void) {
  fixture_setup();
  server = mcp_server_new("reasons", "1", 0, tools);
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
}

static void close_server(void) {
  test_server_stop(server);
  fixture_teardown();
}

static raw_client_t *begin_call(void) {
  raw_client_t *peer = raw_client_open(mcp_server_port(server));
  raw_client_call(peer, 1, "give_up", "{}");
  RUN_UNTIL(calls.begun == 1);
  return peer;
}

static void cancel(raw_client_t *peer, int id) {
  raw_client_send_text(
      peer, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":%d}}", id);
}

Test(cancel_reasons, the_caller_cancelled) {
  open_server();
  cancel(begin_call(), 1);
  RUN_UNTIL(calls.ended == 1);
  cr_expect_eq(calls.reason, MCP_CANCEL_REQUESTED);
  close_server();
}

Test(cancel_reasons, the_caller_disconnected) {
  open_server();
  raw_client_close(begin_call());
  RUN_UNTIL(calls.ended == 1);
  cr_expect_eq(calls.reason, MCP_CANCEL_DISCONNECTED);
  close_server();
}

Test(cancel_reasons, the_deadline_passed) {
  fixture_setup();
  server = mcp_server_new("reasons", "1", 0, tools);
  mcp_server_set_call_timeout_ms(server, 1);
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  begin_call();
  RUN_UNTIL(calls.ended == 1);
  cr_expect_eq(calls.reason, MCP_CANCEL_DEADLINE);
  close_server();
}

/* The time limit of a stop can be set until it begins. */
Test(cancel_reasons, the_server_stops_within_the_time_that_was_set_last) {
  open_server();
  begin_call();
  cr_expect_eq(mcp_server_set_shutdown_timeout_ms(server, 3600000), 0);
  cr_expect_eq(mcp_server_set_shutdown_timeout_ms(server, 0), 0);
  cr_assert_eq(mcp_server_stop(server, test_server_on_stopped, NULL), 0);
  cr_expect_eq(mcp_server_set_shutdown_timeout_ms(server, 3600000), MCP_ESTATE);
  RUN_UNTIL(test_server.stopped);
  cr_expect_eq(calls.ended, 1);
  cr_expect_eq(calls.reason, MCP_CANCEL_STOPPING);
  mcp_server_free(server);
  fixture_teardown();
}

static mcp_call_t *twice_cancelled;

static void keep_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)args, (void)arg;
  twice_cancelled = call;
}

Test(cancel_reasons, the_first_reason_stays) {
  const mcp_tool_t keep[] = {{.name = "keep", .handler = keep_tool}, MCP_TOOL_END};
  fixture_setup();
  server = mcp_server_new("reasons", "1", 0, keep);
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  raw_client_t *peer = raw_client_open(mcp_server_port(server));
  raw_client_call(peer, 1, "keep", "{}");
  cancel(peer, 1);
  raw_client_sync(peer);
  raw_client_close(peer);
  RUN_UNTIL(fixture_logged("Client disconnected"));
  cr_expect_eq(mcp_call_cancel_reason(twice_cancelled), MCP_CANCEL_REQUESTED);
  cr_expect_eq(mcp_call_reply_text(twice_cancelled, "1", 1), MCP_ESTATE);
  close_server();
}

/* ---- many calls given up ------------------------------------------------------------------------------ */

enum { MANY = 200 };

static size_t count_fired(const call_record_t *records) {
  size_t fired = 0;
  for (int i = 0; i < MANY; i++)
    fired += records[i].fired;
  return fired;
}

static void give_up_many(const char *scheme) {
  char url[64];
  uint64_t ids[MANY];
  call_record_t records[MANY] = {{0}};
  open_server();
  snprintf(url, sizeof url, "%s://127.0.0.1:%d", scheme, mcp_server_port(server));
  mcp_client_t *client = mcp_client_new(&fixture_loop, url);
  for (int i = 0; i < MANY; i++) {
    mcp_call_options_t options = {.timeout_ms = LONG_TIMEOUT_MS, .id = &ids[i]};
    cr_assert_eq(mcp_client_call(client, "give_up", NULL, &options, record_result, &records[i]), 0);
  }
  RUN_UNTIL(calls.begun >= (strcmp(scheme, "http") == 0 ? 8 : 64));
  for (int i = 0; i < MANY; i++)
    cr_assert_eq(mcp_client_cancel(client, ids[i]), 0);
  fixture_freeze_clock(); /* no deadline ends them */
  RUN_UNTIL(calls.ended == calls.begun && calls.ended > 0);
  fixture_unfreeze_clock();
  RUN_UNTIL(count_fired(records) == MANY);
  for (int i = 0; i < MANY; i++)
    cr_expect_eq(records[i].status, MCP_ECANCELED);
  client_close_and_free(client);
  close_server();
}

Test(cancel_reasons, two_hundred_calls_given_up_over_websocket) {
  give_up_many("ws");
}

Test(cancel_reasons, two_hundred_calls_given_up_over_http) {
  give_up_many("http");
}
