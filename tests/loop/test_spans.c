/* test_spans.c: the span of a call, copied to another thread or kept longer than its call. */
#include "fixture.h"

#include <stdio.h>
#include <string.h>

static struct {
  mcp_span_t span; /* of the last call of "span" */
  unsigned served;
} seen;

static void span_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)args, (void)arg;
  memset(&seen.span, 'x', sizeof seen.span);
  mcp_call_span(call, &seen.span);
  seen.served++;
  mcp_call_reply_text(call, "1", 1);
}

static const mcp_tool_t tools[] = {
    {.name = "span", .handler = span_tool},
    {.name = "span_on_pool", .handler = span_tool, .flags = MCP_TOOL_BLOCKING},
    MCP_TOOL_END,
};

static mcp_server_t *server;
static mcp_client_t *client;

static void open_all(void) {
  fixture_setup();
  server = mcp_server_new("spans", "1", 0, tools);
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  client = client_new_to(mcp_server_port(server));
}

static void close_all(void) {
  client_close_and_free(client);
  test_server_stop(server);
  fixture_teardown();
}

static void call_with(const char *tool, const mcp_call_options_t *options) {
  call_record_t record = {0};
  cr_assert_eq(mcp_client_call(client, tool, NULL, options, record_result, &record), 0);
  RUN_UNTIL(record.fired > 0);
  cr_assert_eq(record.status, 0, "%s", record.message);
}

static bool is_span(const char *text) {
  return strlen(text) == 16 && strspn(text, "0123456789abcdef") == 16;
}

Test(spans, a_call_without_a_trace_has_a_span) {
  open_all();
  call_with("span", NULL);
  cr_expect_str_eq(seen.span.trace_id, "");
  cr_expect(is_span(seen.span.span_id), "%s", seen.span.span_id);
  cr_expect_str_eq(seen.span.parent_id, "");
  close_all();
}

Test(spans, a_call_with_a_span_continues_its_trace) {
  open_all();
  call_with("span_on_pool", &(mcp_call_options_t){.timeout_ms = LONG_TIMEOUT_MS, .trace_id = "t-1"});
  mcp_span_t outer = seen.span;
  cr_expect_str_eq(outer.trace_id, "t-1");
  cr_expect(is_span(outer.span_id));
  call_with("span", &(mcp_call_options_t){.timeout_ms = LONG_TIMEOUT_MS, .span = &outer});
  cr_expect_str_eq(seen.span.trace_id, "t-1");
  cr_expect_str_eq(seen.span.parent_id, outer.span_id);
  cr_expect_str_neq(seen.span.span_id, outer.span_id);
  close_all();
}

/* As with a parent: the client's own trace does not replace that of the call. */
Test(spans, a_span_without_a_trace_stays_so) {
  const mcp_span_t none = {{0}, {0}, {0}};
  open_all();
  mcp_client_set_trace_id(client, "t-2");
  call_with("span", &(mcp_call_options_t){.timeout_ms = LONG_TIMEOUT_MS, .span = &none});
  cr_expect_str_eq(seen.span.trace_id, "");
  call_with("span", NULL);
  cr_expect_str_eq(seen.span.trace_id, "t-2");
  close_all();
}

Test(spans, the_list_of_tools_and_other_requests_take_one) {
  const mcp_span_t span = {"t-3", "0123456789abcdef", ""};
  const mcp_call_options_t options = {.timeout_ms = LONG_TIMEOUT_MS, .span = &span};
  call_record_t records[2] = {{0}};
  open_all();
  cr_assert_eq(mcp_client_list_tools(client, &options, record_result, &records[0]), 0);
  cr_assert_eq(mcp_client_request(client, "tools/call", parse_args("{\"name\":\"span\"}"), &options,
                                  record_result, &records[1]),
               0);
  RUN_UNTIL(records[0].fired + records[1].fired == 2);
  cr_expect_str_eq(seen.span.trace_id, "t-3");
  cr_expect_str_eq(seen.span.parent_id, "0123456789abcdef");
  close_all();
}

static void expect_refused(const mcp_call_options_t *options) {
  cr_expect_eq(mcp_client_call(client, "span", NULL, options, record_result, NULL), UV_EINVAL);
}

Test(spans, invalid_spans_are_refused) {
  mcp_span_t span = {"t", "0123456789abcdef", ""};
  open_all();
  expect_refused(&(mcp_call_options_t){.span = &span, .trace_id = "t"});
  strcpy(span.span_id, "0123456789abcde");
  expect_refused(&(mcp_call_options_t){.span = &span});
  strcpy(span.span_id, "0123456789ABCDEF");
  expect_refused(&(mcp_call_options_t){.span = &span});
  memset(span.span_id, '0', sizeof span.span_id);
  expect_refused(&(mcp_call_options_t){.span = &span});
  strcpy(span.span_id, "0123456789abcdef");
  strcpy(span.trace_id, "\xff");
  expect_refused(&(mcp_call_options_t){.span = &span});
  memset(span.trace_id, 't', sizeof span.trace_id);
  expect_refused(&(mcp_call_options_t){.span = &span});
  span.trace_id[sizeof span.trace_id - 1] = '\0';
  call_with("span", &(mcp_call_options_t){.timeout_ms = LONG_TIMEOUT_MS, .span = &span});
  cr_expect_str_eq(seen.span.trace_id, span.trace_id, "128 bytes");
  close_all();
}

Test(spans, parts_of_a_peer_that_do_not_fit_are_omitted) {
  open_all();
  raw_client_t *peer = raw_client_open(mcp_server_port(server));
  raw_client_send_text(
      peer, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"span\","
            "\"_meta\":{\"trace_id\":\"t-4\",\"span_id\":\"sixteen and more of it\"}}}");
  RUN_UNTIL(peer->count == 1);
  cr_expect_str_eq(seen.span.trace_id, "t-4");
  cr_expect_str_eq(seen.span.parent_id, "");
  call_with("span", NULL);
  close_all();
}

static void call_from_a_thread(void *arg) {
  yyjson_doc *result = NULL;
  char url[64];
  snprintf(url, sizeof url, "127.0.0.1:%d", mcp_server_port(server));
  mcp_sync_client_t *own = mcp_sync_client_new(url);
  const mcp_call_options_t options = {.timeout_ms = LONG_TIMEOUT_MS, .span = arg};
  cr_assert_eq(mcp_sync_client_call(own, "span", NULL, &options, &result), 0, "%s", mcp_last_error());
  yyjson_doc_free(result);
  mcp_sync_client_free(own);
}

Test(spans, another_thread_continues_the_trace_of_an_ended_call) {
  uv_thread_t thread;
  open_all();
  call_with("span", &(mcp_call_options_t){.timeout_ms = LONG_TIMEOUT_MS, .trace_id = "t-5"});
  mcp_span_t outer = seen.span;
  cr_assert_eq(uv_thread_create(&thread, call_from_a_thread, &outer), 0);
  RUN_UNTIL(seen.served == 2);
  RUN_UNTIL(fixture_logged("Client disconnected")); /* the thread has its result */
  uv_thread_join(&thread);
  cr_expect_str_eq(seen.span.trace_id, "t-5");
  cr_expect_str_eq(seen.span.parent_id, outer.span_id);
  close_all();
}
