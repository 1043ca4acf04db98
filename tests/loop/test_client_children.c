/* test_client_children.c: calls made on behalf of a call that is being served: their trace, their
 * cancellation with the parent, and their results if the parent ends first. A raw client calls a proxy, whose
 * tool calls the test server. */
#include "fixture.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

typedef struct proxy {
  mcp_client_t *client; /* to the test server */
  mcp_call_t *parent;   /* the last one; NULL once ended */
  size_t served;
  int refused; /* what call_from gave last, where it was not 0 */
  bool keep;   /* the parent is not ended by the child's answer */
  call_record_t child;
  int port;                /* of the test server */
  atomic_int waited;       /* how the last wait ended */
  atomic_uint waits;       /* that have ended */
  atomic_bool begun, late; /* a call of "ask_late" has; it may ask now */
} proxy_t;

static proxy_t proxy;

static void on_child(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  record_result(client, result, arg);
  if (proxy.keep)
    return;
  mcp_call_t *parent = proxy.parent;
  proxy.parent = NULL;
  if (result->status == 0)
    mcp_call_reply_text(parent, result->text, result->text_len);
  else
    mcp_call_tool_error(parent, "%s", result->message);
}

static void ask_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  const char *tool = yyjson_get_str(yyjson_obj_get(args, "tool"));
  (void)arg;
  unsigned fired = proxy.child.fired;
  proxy.served++;
  proxy.parent = call;
  proxy.refused = mcp_client_call(proxy.client, tool, NULL, &(mcp_call_options_t){.parent = call}, on_child,
                                  &proxy.child);
  cr_assert_eq(proxy.child.fired, fired, "called back from inside of the call");
  if (proxy.refused != 0) {
    proxy.parent = NULL;
    mcp_call_tool_error(call, "refused");
  }
}

/* Lists the tools of the test server for its call, which is ended at once where the arguments say so. */
static void list_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  mcp_call_options_t options = {.parent = call};
  (void)arg;
  proxy.parent = call;
  proxy.keep = true;
  proxy.refused = mcp_client_list_tools(proxy.client, &options, on_child, &proxy.child);
  if (yyjson_get_bool(yyjson_obj_get(args, "end")))
    mcp_call_reply_text(call, "1", 1);
}

static void wait_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)args;
  (void)arg;
  proxy.served++;
  proxy.parent = call;
}

static void pass_on(mcp_client_t *client, const mcp_progress_t *progress, void *arg) {
  (void)client;
  mcp_call_progress(arg, progress->progress, progress->total, progress->message);
}

/* On a thread of the pool: of the test server, or where the arguments say. */
static void ask_and_wait_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  char url[64];
  yyjson_doc *answer = NULL;
  yyjson_val *port = yyjson_obj_get(args, "port");
  (void)arg;
  snprintf(url, sizeof url, "127.0.0.1:%d", port != NULL ? yyjson_get_int(port) : proxy.port);
  mcp_call_options_t options = {.timeout_ms = yyjson_get_uint(yyjson_obj_get(args, "timeout_ms")),
                                .parent = call,
                                .progress_arg = call};
  if (yyjson_get_bool(yyjson_obj_get(args, "progress")))
    options.progress_cb = pass_on;
  mcp_sync_client_t *client = mcp_sync_client_new(url);
  const char *tool = yyjson_get_str(yyjson_obj_get(args, "tool"));
  int status = client != NULL ? mcp_sync_client_call(client, tool, NULL, &options, &answer) : MCP_EURL;
  atomic_store(&proxy.waited, status);
  if (status == 0)
    mcp_call_reply(call, yyjson_val_mut_copy(mcp_call_doc(call), yyjson_doc_get_root(answer)));
  else
    mcp_call_tool_error(call, "%d: %s", status, mcp_last_error());
  yyjson_doc_free(answer);
  mcp_sync_client_free(client);
  atomic_fetch_add(&proxy.waits, 1);
}

/* Its server has gone by then. */
static void ask_late_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  atomic_store(&proxy.begun, true);
  while (!atomic_load(&proxy.late))
    uv_sleep(1);
  ask_and_wait_tool(call, args, arg);
}

static const mcp_tool_t tools[] = {
    {"ask_and_wait", "the same on a thread of the pool", NULL, ask_and_wait_tool, NULL, MCP_TOOL_BLOCKING},
    {"ask_late", "the same, once the test says so", NULL, ask_late_tool, NULL, MCP_TOOL_BLOCKING},
    {"ask", "calls a tool of the test server", NULL, ask_tool, NULL, 0},
    {"ask_blocking", "may not", NULL, ask_tool, NULL, MCP_TOOL_BLOCKING},
    {"list", "lists the tools of the test server", NULL, list_tool, NULL, 0},
    {"list_blocking", "may not", NULL, list_tool, NULL, MCP_TOOL_BLOCKING},
    {"wait", "is ended by the test", NULL, wait_tool, NULL, 0},
    MCP_TOOL_END,
};

static mcp_server_t *callee, *server;
static raw_client_t *caller;

static void open_proxy_with(int port, uint64_t shutdown_timeout_ms) {
  proxy.client = client_new_to(port);
  proxy.port = port;
  server = mcp_server_new("proxy", "1", 0, tools);
  mcp_server_set_shutdown_timeout_ms(server, shutdown_timeout_ms);
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  caller = raw_client_open(mcp_server_port(server));
}

static void open_proxy(int port) {
  open_proxy_with(port, 3000);
}

static void open_all(void) {
  fixture_setup();
  callee = test_server_start();
  open_proxy(mcp_server_port(callee));
}

static void close_proxy(void) {
  if (proxy.client != NULL)
    client_close_and_free(proxy.client);
  test_server_stop(server);
}

static void close_all(void) {
  close_proxy();
  test_server_stop(callee);
  fixture_teardown();
}

static void ask(int id, const char *tool, const char *meta) {
  raw_client_send_text(
      caller,
      "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"tools/call\",\"params\":{\"name\":\"ask\","
      "\"arguments\":{\"tool\":\"%s\"}%s}}",
      id, tool, meta);
}

static void cancel(int id) {
  raw_client_send_text(
      caller, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":%d}}",
      id);
}

Test(client_children, carry_the_trace) {
  open_all();
  ask(1, "trace", ",\"_meta\":{\"trace_id\":\"\\u00e4 \\\"quoted\\\" trace\"}");
  RUN_UNTIL(raw_client_count_responses(caller, 1) == 1);
  cr_assert_str_eq(proxy.child.text, "\"\xc3\xa4 \\\"quoted\\\" trace\"");
  ask(2, "trace", ",\"_meta\":{\"traceparent\":\"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\"}");
  RUN_UNTIL(raw_client_count_responses(caller, 2) == 1);
  cr_assert_str_eq(proxy.child.text, "\"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\"");
  close_all();
}

Test(client_children, carry_the_span) {
  static const char parents[] = ",\"_meta\":{\"trace_id\":\"t\"}", key[] = "\"span_id\":\"";
  char spans[2][17];
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_upgrade, NULL);
  open_proxy(fake->port);
  proxy.keep = true;
  for (int i = 0; i < 2; i++) {
    ask(1 + i, "now", parents);
    RUN_UNTIL(fake->last != NULL && fake->last->count == 3u + (size_t)i);
    const char *span = strstr(fake->last->messages[2 + i], key);
    cr_assert_not_null(span, "%s", fake->last->messages[2 + i]);
    snprintf(spans[i], sizeof spans[i], "%s", span + strlen(key));
    cr_assert_eq(strspn(spans[i], "0123456789abcdef"), 16);
    mcp_call_reply_text(proxy.parent, "1", 1);
  }
  cr_assert_str_neq(spans[0], spans[1]);
  close_proxy();
  fixture_teardown();
}

static void ask_and_wait(int id, const char *tool, const char *meta) {
  raw_client_send_text(
      caller,
      "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"tools/call\",\"params\":{\"name\":\"ask_and_wait\","
      "\"arguments\":{\"tool\":\"%s\"}%s}}",
      id, tool, meta);
}

Test(client_children, that_block_carry_the_trace) {
  open_all();
  ask_and_wait(1, "trace", ",\"_meta\":{\"trace_id\":\"a trace\"}");
  RUN_UNTIL(raw_client_count_responses(caller, 1) == 1);
  cr_assert(raw_client_response_has(caller, 1, "a trace"));
  ask_and_wait(2, "missing", "");
  RUN_UNTIL(raw_client_count_responses(caller, 2) == 1);
  cr_assert(raw_client_response_has(caller, 2, "unknown tool"));
  close_all();
}

Test(client_children, that_block_end_when_the_caller_cancels_or_leaves) {
  open_all();
  ask_and_wait(1, "hold", "");
  RUN_UNTIL(test_server.held_count == 1);
  cancel(1);
  RUN_UNTIL(test_server.cancels == 1 && atomic_load(&proxy.waits) == 1);
  cr_assert_eq(proxy.waited, MCP_ECANCELED);
  test_server_end_held(0);
  ask_and_wait(2, "hold", "");
  RUN_UNTIL(test_server.held_count == 2);
  raw_client_close(caller);
  RUN_UNTIL(test_server.cancels == 2 && atomic_load(&proxy.waits) == 2);
  cr_assert_eq(proxy.waited, MCP_ECANCELED);
  test_server_end_held(1);
  close_all();
}

static void ask_and_wait_at(int id, int port, uint64_t timeout_ms) {
  raw_client_send_text(
      caller,
      "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"tools/call\",\"params\":{\"name\":\"ask_and_wait\","
      "\"arguments\":{\"tool\":\"now\",\"port\":%d,\"timeout_ms\":%d},\"_meta\":{\"trace_id\":\"t%d\"}}}",
      id, port, (int)timeout_ms, id);
}

/* Of the connection that the fake has accepted last: what came over it, without the greetings. */
static size_t asked_of(const fake_server_t *fake) {
  return fake->last != NULL && fake->last->count > 2 ? fake->last->count - 2 : 0;
}

static void answer_asked(const fake_server_t *fake, size_t index) {
  raw_client_send_text(fake->last,
                       "{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{\"structuredContent\":{\"n\":%d}}}",
                       message_id(fake->last->messages[2 + index]), (int)index);
}

static void ask_trap(fake_server_t *fake, int id) {
  size_t before = asked_of(fake), accepted = fake->accepted;
  ask_and_wait_at(id, fake->port, LONG_TIMEOUT_MS);
  RUN_UNTIL(asked_of(fake) == before + 1 || (fake->accepted == accepted + 1 && asked_of(fake) == 1));
  answer_asked(fake, asked_of(fake) - 1);
  RUN_UNTIL(raw_client_count_responses(caller, id) == 1);
  cr_assert(raw_client_response_has(caller, id, "\\\"n\\\""), "%s", raw_client_response(caller, id));
}

Test(client_children, that_block_share_a_connection) {
  enum { THREADS = 8, ROUNDS = 3 };
  const char *spans[THREADS * ROUNDS];
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_upgrade, NULL);
  open_proxy(fake->port);
  for (size_t made = 0; made < THREADS * ROUNDS; made += THREADS) {
    for (size_t i = 0; i < THREADS; i++)
      ask_and_wait_at((int)(made + i), fake->port, LONG_TIMEOUT_MS);
    RUN_UNTIL(asked_of(fake) == made + THREADS);
    for (size_t i = THREADS; i > 0; i--) /* the last one first */
      answer_asked(fake, made + i - 1);
    RUN_UNTIL(caller->count == made + THREADS);
  }
  cr_assert_eq(fake->accepted, 1);
  for (int id = 0; id < THREADS * ROUNDS; id++) {
    char trace[32], number[32];
    size_t at = 0;
    snprintf(trace, sizeof trace, "\"trace_id\":\"t%d\"", id);
    while (at < THREADS * ROUNDS && strstr(fake->last->messages[2 + at], trace) == NULL)
      at++;
    cr_assert_lt(at, THREADS * ROUNDS, "%s", trace);
    snprintf(number, sizeof number, "\\\"n\\\":%d}", (int)at);
    cr_assert(raw_client_response_has(caller, id, number), "%s, not %s", raw_client_response(caller, id),
              number);
    spans[id] = strstr(fake->last->messages[2 + at], "\"span_id\":\"");
    cr_assert_not_null(spans[id]);
    for (int other = 0; other < id; other++)
      cr_assert_neq(strncmp(spans[id], spans[other], strlen("\"span_id\":\"") + 16), 0);
  }
  close_proxy();
  fixture_teardown();
}

/* Beyond 16 addresses each call opens a separate connection. */
Test(client_children, that_block_ask_several_servers) {
  enum { SHARED = 16, SERVERS = SHARED + 2 };
  fake_server_t *fakes[SERVERS];
  fixture_setup();
  for (int i = 0; i < SERVERS; i++)
    fakes[i] = fake_server_open(script_upgrade, NULL);
  open_proxy(fakes[0]->port);
  for (int id = 0; id < 2 * SERVERS; id++)
    ask_trap(fakes[id % SERVERS], id);
  for (int i = 0; i < SERVERS; i++)
    cr_assert_eq(fakes[i]->accepted, i < SHARED ? 1 : 2, "%d: %zu", i, fakes[i]->accepted);
  close_proxy();
  fixture_teardown();
}

Test(client_children, that_block_connect_again_when_the_peer_has_left) {
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_upgrade, NULL);
  open_proxy(fake->port);
  fixture_freeze_clock(); /* nothing waits for a delay between attempts */
  for (int id = 0; id < 5; id++) {
    ask_trap(fake, id);
    raw_client_close(fake->last);
  }
  cr_assert_eq(fake->accepted, 5);
  ask_and_wait_at(5, fake->port, LONG_TIMEOUT_MS);
  RUN_UNTIL(fake->accepted == 6 && asked_of(fake) == 1);
  raw_client_close(fake->last);
  RUN_UNTIL(raw_client_count_responses(caller, 5) == 1);
  cr_assert_eq(atomic_load(&proxy.waited), MCP_EDISCONNECTED); /* it may have been served */
  close_proxy();
  fixture_teardown();
}

static bool is_down;

static void script_may_be_down(raw_client_t *peer) {
  if (is_down)
    raw_client_close(peer);
  else
    script_upgrade(peer);
}

Test(client_children, that_block_fail_while_the_peer_is_down_and_no_longer) {
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_may_be_down, NULL);
  open_proxy(fake->port);
  fixture_freeze_clock();
  ask_trap(fake, 0);
  raw_client_close(fake->last);
  is_down = true;
  for (int id = 1; id < 4; id++) {
    ask_and_wait_at(id, fake->port, LONG_TIMEOUT_MS);
    RUN_UNTIL(raw_client_count_responses(caller, id) == 1);
    cr_assert_eq(atomic_load(&proxy.waited), MCP_EUPGRADE, "%s", raw_client_response(caller, id));
    cr_assert_eq(fake->accepted, 1 + (size_t)id); /* each has tried */
  }
  is_down = false;
  ask_trap(fake, 4);
  ask_and_wait_at(5, unused_port(), LONG_TIMEOUT_MS);
  RUN_UNTIL(raw_client_count_responses(caller, 5) == 1);
  cr_assert_eq(atomic_load(&proxy.waited), MCP_ECONNECT);
  cr_assert(raw_client_response_has(caller, 5, "refused"), "%s", raw_client_response(caller, 5));
  close_proxy();
  fixture_teardown();
}

Test(client_children, that_block_time_out_alone) {
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_upgrade, NULL);
  open_proxy(fake->port);
  ask_and_wait_at(1, fake->port, LONG_TIMEOUT_MS);
  RUN_UNTIL(asked_of(fake) == 1);
  ask_and_wait_at(2, fake->port, 50);
  RUN_UNTIL(raw_client_count_responses(caller, 2) == 1);
  cr_assert_eq(atomic_load(&proxy.waited), MCP_ETIMEOUT);
  cr_assert(raw_client_response_has(caller, 2, "no answer within 50 ms"), "%s",
            raw_client_response(caller, 2));
  RUN_UNTIL(asked_of(fake) == 3); /* the peer receives notifications/cancelled */
  answer_asked(fake, 0);
  RUN_UNTIL(raw_client_count_responses(caller, 1) == 1);
  cr_assert_eq(atomic_load(&proxy.waited), 0);
  cr_assert_eq(fake->accepted, 1);
  close_proxy();
  fixture_teardown();
}

static void ask_with_progress(int id, int port) {
  raw_client_send_text(
      caller,
      "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"tools/call\",\"params\":{\"name\":\"ask_and_wait\","
      "\"arguments\":{\"tool\":\"now\",\"port\":%d,\"progress\":true},"
      "\"_meta\":{\"progressToken\":\"mine\"}}}",
      id, port);
}

/* The caller has received the progress, with its own token. */
static bool was_told(int progress) {
  char words[128];
  snprintf(words, sizeof words, "\"progressToken\":\"mine\",\"progress\":%d,\"total\":9,\"message\":\"m%d\"}",
           progress, progress);
  for (size_t i = 0; i < caller->count; i++)
    if (strstr(caller->messages[i], words) != NULL)
      return true;
  return false;
}

static void report_to_proxy(const fake_server_t *fake, int progress) {
  raw_client_send_text(
      fake->last,
      "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":\"iccm-%d\","
      "\"progress\":%d,\"total\":9,\"message\":\"m%d\"}}",
      message_id(fake->last->messages[fake->last->count - 1]), progress, progress);
}

/* By the handler's thread, to the caller of its call; the last one also where the answer follows at once. */
Test(client_children, that_block_pass_progress_on) {
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_upgrade, NULL);
  open_proxy(fake->port);
  ask_with_progress(1, fake->port);
  RUN_UNTIL(asked_of(fake) == 1);
  report_to_proxy(fake, 1);
  RUN_UNTIL(was_told(1));
  for (int i = 2; i < 9; i++)
    report_to_proxy(fake, i);
  answer_asked(fake, 0);
  RUN_UNTIL(raw_client_count_responses(caller, 1) == 1);
  cr_assert(was_told(8));
  ask_with_progress(2, fake->port); /* ends with the last report on its way */
  RUN_UNTIL(asked_of(fake) == 2);
  report_to_proxy(fake, 1);
  cancel(2);
  RUN_UNTIL(atomic_load(&proxy.waits) == 2);
  cr_assert_eq(atomic_load(&proxy.waited), MCP_ECANCELED);
  close_proxy();
  fixture_teardown();
}

Test(client_children, that_block_need_an_address) {
  fixture_setup();
  open_proxy(fake_server_open(script_upgrade, NULL)->port);
  ask_and_wait_at(1, -1, LONG_TIMEOUT_MS);
  RUN_UNTIL(raw_client_count_responses(caller, 1) == 1);
  cr_assert_eq(atomic_load(&proxy.waited), MCP_EURL);
  cr_assert(raw_client_response_has(caller, 1, "127.0.0.1:-1"), "%s", raw_client_response(caller, 1));
  close_proxy();
  fixture_teardown();
}

Test(client_children, that_block_may_end_while_their_server_stops) {
  fixture_setup();
  callee = test_server_start();
  open_proxy(mcp_server_port(callee));
  ask_and_wait(1, "hold", "");
  RUN_UNTIL(test_server.held_count == 1);
  fixture_freeze_clock();
  cr_assert_eq(mcp_server_stop(server, test_server_on_stopped, NULL), 0);
  raw_client_sync(caller);
  test_server_end_held(0);
  RUN_UNTIL(raw_client_count_responses(caller, 1) == 1);
  cr_assert_eq(atomic_load(&proxy.waited), 0);
  fixture_unfreeze_clock();
  RUN_UNTIL(test_server.stopped);
  mcp_server_free(server);
  client_close_and_free(proxy.client);
  test_server_stop(callee);
  fixture_teardown();
}

/* One is out, and one waits for a peer that does not take the connection's upgrade. */
Test(client_children, that_block_end_with_their_servers_stop) {
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_upgrade, NULL),
                *silent = fake_server_open(script_silent, NULL);
  open_proxy_with(fake->port, 50);
  ask_and_wait_at(1, fake->port, LONG_TIMEOUT_MS);
  RUN_UNTIL(asked_of(fake) == 1);
  ask_and_wait_at(2, silent->port, LONG_TIMEOUT_MS);
  RUN_UNTIL(silent->accepted == 1);
  test_server_stop(server);
  RUN_UNTIL(atomic_load(&proxy.waits) == 2);
  cr_assert_eq(atomic_load(&proxy.waited), MCP_ECANCELED);
  cr_assert(raw_client_response_has(caller, 1, "the server is stopping"));
  cr_assert(raw_client_response_has(caller, 2, "the server is stopping"));
  client_close_and_free(proxy.client);
  fixture_teardown();
}

Test(client_children, that_block_are_cancelled_once_their_server_has_gone) {
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_upgrade, NULL);
  open_proxy_with(fake->port, 0);
  raw_client_call(caller, 1, "ask_late", "{\"tool\":\"now\"}");
  RUN_UNTIL(atomic_load(&proxy.begun));
  test_server_stop(server);
  atomic_store(&proxy.late, true);
  RUN_UNTIL(atomic_load(&proxy.waits) == 1);
  cr_assert_eq(atomic_load(&proxy.waited), MCP_ECANCELED);
  cr_assert_eq(fake->accepted, 0);
  client_close_and_free(proxy.client);
  fixture_teardown();
}

Test(client_children, carry_no_trace_where_there_is_none) {
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_upgrade, NULL);
  open_proxy(fake->port);
  proxy.keep = true;
  ask(1, "now", "");
  RUN_UNTIL(fake->last != NULL && fake->last->count == 3); /* initialize, initialized, the call */
  cr_assert_not_null(strstr(fake->last->messages[2], "\"params\":{\"name\":\"now\",\"arguments\":{}}"), "%s",
                     fake->last->messages[2]);
  client_close_and_free(proxy.client);
  proxy.client = NULL;
  cr_assert_eq(proxy.child.status, MCP_ECLOSED);
  mcp_call_reply_text(proxy.parent, "1", 1); /* its child is gone, and it does not mind */
  close_proxy();
  fixture_teardown();
}

Test(client_children, end_when_the_caller_cancels) {
  open_all();
  ask(1, "hold", "");
  RUN_UNTIL(test_server.held_count == 1);
  cancel(1);
  RUN_UNTIL(test_server.cancels == 1 && proxy.child.fired);
  cr_assert_eq(proxy.child.status, MCP_ECANCELED);
  cr_assert_not_null(strstr(proxy.child.message, "cancelled"), "%s", proxy.child.message);
  test_server_end_held(0);
  raw_client_sync(caller);
  cr_assert_eq(raw_client_count_responses(caller, 1), 0);
  ask(2, "now", ""); /* the connection between the two is as it was */
  RUN_UNTIL(raw_client_count_responses(caller, 2) == 1);
  cr_assert_eq(proxy.child.fired, 2);
  cr_assert_eq(proxy.child.status, 0);
  close_all();
}

Test(client_children, end_when_the_caller_leaves) {
  open_all();
  ask(1, "hold", "");
  RUN_UNTIL(test_server.held_count == 1);
  raw_client_close(caller);
  RUN_UNTIL(test_server.cancels == 1 && proxy.child.fired);
  cr_assert_eq(proxy.child.status, MCP_ECANCELED);
  cr_assert_eq(proxy.child.fired, 1);
  test_server_end_held(0);
  close_all();
}

Test(client_children, end_without_having_been_sent) {
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_silent, NULL); /* the upgrade is not answered */
  open_proxy(fake->port);
  ask(1, "now", "");
  RUN_UNTIL(proxy.served == 1);
  cancel(1);
  RUN_UNTIL(proxy.child.fired);
  cr_assert_eq(proxy.child.status, MCP_ECANCELED);
  close_proxy();
  fixture_teardown();
}

/* The answer is on its way when the child is cancelled. */
Test(client_children, do_not_hear_a_late_answer) {
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_upgrade, NULL);
  open_proxy(fake->port);
  ask(1, "now", "");
  RUN_UNTIL(fake->last != NULL && fake->last->count == 3);
  int id = message_id(fake->last->messages[2]);
  cancel(1);
  RUN_UNTIL(proxy.child.fired && fake->last->count == 4);
  char told[64];
  snprintf(told, sizeof told, "\"params\":{\"requestId\":%d}", id);
  cr_assert_not_null(strstr(fake->last->messages[3], "notifications/cancelled"));
  cr_assert_not_null(strstr(fake->last->messages[3], told), "%s", fake->last->messages[3]);
  raw_client_send_text(fake->last, "{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{}}", id);
  raw_client_sync(fake->last);
  cr_assert_eq(proxy.child.fired, 1);
  cr_assert_eq(proxy.child.status, MCP_ECANCELED);
  close_proxy();
  fixture_teardown();
}

Test(client_children, outlive_a_parent_that_has_ended) {
  open_all();
  proxy.keep = true;
  ask(1, "hold", "");
  RUN_UNTIL(test_server.held_count == 1);
  mcp_call_reply_text(proxy.parent, "1", 1);
  RUN_UNTIL(raw_client_count_responses(caller, 1) == 1);
  raw_client_close(caller);
  fixture_run_ms(50);
  cr_assert_eq(test_server.cancels, 0);
  cr_assert_eq(proxy.child.fired, 0);
  test_server_end_held(0);
  RUN_UNTIL(proxy.child.fired);
  cr_assert_eq(proxy.child.status, 0);
  close_all();
}

Test(client_children, are_refused_once_nobody_waits) {
  open_all();
  raw_client_call(caller, 1, "wait", "{}");
  RUN_UNTIL(proxy.served == 1);
  raw_client_close(caller);
  RUN_UNTIL(mcp_call_cancelled(proxy.parent));
  cr_assert_eq(mcp_client_call(proxy.client, "now", parse_args("{}"),
                               &(mcp_call_options_t){.parent = proxy.parent}, on_child, NULL),
               MCP_ECANCELED);
  cr_assert_eq(mcp_call_reply_text(proxy.parent, "1", 1), MCP_ESTATE);
  close_all();
}

/* Two pages; what is sent for the first and, where the parent is still there, for the second, carries its
 * trace. */
static void list_two_pages(fake_server_t *fake, const char *args) {
  raw_client_send_text(caller,
                       "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/"
                       "call\",\"params\":{\"name\":\"list\",\"arguments\":%s,"
                       "\"_meta\":{\"trace_id\":\"a trace\"}}}",
                       args);
  RUN_UNTIL(asked_of(fake) == 1);
  cr_assert_not_null(strstr(fake->last->messages[2], "\"trace_id\":\"a trace\",\"span_id\":\""));
  raw_client_send_text(fake->last,
                       "{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{\"tools\":[],\"nextCursor\":\"2\"}}",
                       message_id(fake->last->messages[2]));
  RUN_UNTIL(asked_of(fake) == 2);
  const char *second = fake->last->messages[3];
  cr_assert(strstr(second, "\"cursor\":\"2\"") != NULL && strstr(second, "\"trace_id\":\"a trace\"") != NULL,
            "%s", second);
}

Test(client_children, that_list_tools_end_with_their_parent) {
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_upgrade, NULL);
  open_proxy(fake->port);
  list_two_pages(fake, "{}");
  cancel(1);
  RUN_UNTIL(proxy.child.fired);
  cr_assert_eq(proxy.child.status, MCP_ECANCELED);
  RUN_UNTIL(asked_of(fake) == 3);
  cr_assert_not_null(strstr(fake->last->messages[4], "notifications/cancelled"));
  mcp_call_reply_text(proxy.parent, "1", 1);
  close_proxy();
  fixture_teardown();
}

Test(client_children, that_list_tools_outlive_a_parent_that_has_ended) {
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_upgrade, NULL);
  open_proxy(fake->port);
  list_two_pages(fake, "{\"end\":true}");
  RUN_UNTIL(raw_client_count_responses(caller, 1) == 1);
  raw_client_send_text(fake->last, "{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{\"tools\":[]}}",
                       message_id(fake->last->messages[3]));
  RUN_UNTIL(proxy.child.fired);
  cr_assert_eq(proxy.child.status, 0);
  close_proxy();
  fixture_teardown();
}

Test(client_children, that_list_tools_are_refused_on_the_pool) {
  open_all();
  raw_client_call(caller, 1, "list_blocking", "{\"end\":true}");
  RUN_UNTIL(raw_client_count_responses(caller, 1) == 1);
  cr_assert_eq(proxy.refused, MCP_ESTATE);
  cr_assert_eq(proxy.child.fired, 0);
  close_all();
}

Test(client_children, are_refused_on_the_pool) {
  open_all();
  raw_client_call(caller, 1, "ask_blocking", "{\"tool\":\"now\"}");
  RUN_UNTIL(raw_client_count_responses(caller, 1) == 1);
  cr_assert_eq(proxy.refused, MCP_ESTATE);
  cr_assert_eq(proxy.child.fired, 0);
  close_all();
}

/* Several of one parent; one ends before, another is being ended by its deadline. */
Test(client_children, of_one_parent_end_each_once) {
  enum { CHILDREN = 5 };
  call_record_t children[CHILDREN] = {0};
  open_all();
  fixture_freeze_clock();
  raw_client_call(caller, 1, "wait", "{}");
  RUN_UNTIL(proxy.served == 1);
  for (int i = 0; i < CHILDREN; i++)
    cr_assert_eq(mcp_client_call(proxy.client, i == 2 ? "now" : "hold", NULL,
                                 &(mcp_call_options_t){.timeout_ms = i == 3 ? 50 : 0, .parent = proxy.parent},
                                 record_result, &children[i]),
                 0);
  RUN_UNTIL(children[2].fired && test_server.held_count == CHILDREN - 1);
  fixture_advance_ms(50);
  RUN_UNTIL(children[3].fired);
  raw_client_close(caller);
  RUN_UNTIL(mcp_call_cancelled(proxy.parent));
  fixture_unfreeze_clock();
  RUN_UNTIL(children[0].fired && children[1].fired && children[4].fired);
  static const int wanted[CHILDREN] = {MCP_ECANCELED, MCP_ECANCELED, 0, MCP_ETIMEOUT, MCP_ECANCELED};
  for (int i = 0; i < CHILDREN; i++) {
    cr_assert_eq(children[i].status, wanted[i]);
    cr_assert_eq(children[i].fired, 1);
  }
  RUN_UNTIL(test_server.cancels == CHILDREN - 1); /* the server is notified of the deadline, too */
  for (size_t i = 0; i < CHILDREN - 1; i++)
    test_server_end_held(i);
  mcp_call_reply_text(proxy.parent, "1", 1);
  close_all();
}
