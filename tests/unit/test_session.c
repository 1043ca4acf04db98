/* test_session.c: a whole session without a socket: messages go in as text, and what comes out is kept by the
 * origin that it is for. */
#include "server/session.h"
#include "leaks.h"
#include "wait_limit.h"

#include <stdio.h>
#include <string.h>

enum { ORIGINS = 3, UNASKED = 0, SPACE = 64 << 10 }; /* UNASKED: what comes without an origin */

typedef struct desk {
  uv_loop_t loop;
  mcp__tools_t tools;
  mcp__budget_t memory;
  mcp__server_log_t log;
  mcp__service_t service;
  mcp__peer_t peer;
  mcp__session_t session;
  char said[ORIGINS][SPACE]; /* messages, a line each */
  mcp__buf_t out;
  bool closed, refuses; /* the transport takes nothing */
  unsigned woken, failed, left;
  mcp_call_t *kept[128]; /* of the tool "keep" */
  unsigned kept_count, cancelled;
} desk_t;

static desk_t desk;
static char origins[ORIGINS]; /* their addresses are what matters */

/* ---- the transport ---- */

static bool is_open(const mcp__session_t *session, const void *origin) {
  (void)session;
  return !desk.closed && origin != NULL;
}

static mcp__buf_t *begin(mcp__session_t *session, void *origin, int kind, size_t *at) {
  (void)kind;
  (void)session;
  (void)origin;
  *at = desk.out.len;
  return desk.refuses ? NULL : &desk.out;
}

static int end(mcp__session_t *session, void *origin, size_t at, int status) {
  long number = origin != NULL ? (char *)origin - origins : UNASKED;
  (void)session;
  if (status == 0) {
    char *said = desk.said[number];
    size_t len = strlen(said);
    snprintf(said + len, SPACE - len, "%.*s\n", (int)(desk.out.len - at), desk.out.data + at);
  }
  desk.out.len = at;
  return status;
}

static void wake(mcp__session_t *session, void *origin) {
  (void)session;
  (void)origin;
  desk.woken++;
}

static bool has_room(const mcp__session_t *session, const void *origin) {
  (void)session;
  (void)origin;
  return true;
}

static void fail(mcp__session_t *session, void *origin, const char *reason) {
  (void)origin;
  cr_assert(*reason != '\0');
  desk.failed++;
  desk.closed = true;
  mcp__session_close(session);
}

static void left(mcp__session_t *session) {
  (void)session;
  desk.left++;
}

static const mcp__transport_t transport = {.is_open = is_open,
                                           .begin = begin,
                                           .end = end,
                                           .wake = wake,
                                           .has_room = has_room,
                                           .fail = fail,
                                           .call_removed = left};

/* ---- the tools ---- */

static void echo(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)arg;
  mcp_call_reply(call, yyjson_val_mut_copy(mcp_call_doc(call), args));
}

static void on_cancel(mcp_call_t *call, void *arg) {
  (void)call;
  (void)arg;
  desk.cancelled++;
}

static void keep(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)args;
  (void)arg;
  mcp_call_on_cancel(call, on_cancel, NULL);
  desk.kept[desk.kept_count++] = call;
}

static const mcp_tool_t tools[] = {{.name = "echo", .handler = echo},
                                   {.name = "keep", .handler = keep},
                                   {.name = "block", .handler = echo, .flags = MCP_TOOL_BLOCKING},
                                   MCP_TOOL_END};

/* ---- the desk ---- */

static void on_ended(void *arg) {
  (void)arg;
}

static yyjson_mut_doc *notice(mcp_server_t *server, yyjson_val *initialize, void *arg) {
  (void)server;
  (void)arg;
  yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
  yyjson_mut_doc_set_root(doc, yyjson_val_mut_copy(doc, yyjson_obj_get(initialize, "protocolVersion")));
  return doc;
}

static void open_desk(void) {
  char problem[256];
  cr_assert_eq(uv_loop_init(&desk.loop), 0);
  cr_assert_eq(mcp__tools_init(&desk.tools, tools, problem, sizeof problem), 0, "%s", problem);
  desk.memory.max = 64 << 20;
  desk.log.component = "desk";
  desk.service.server_info =
      (mcp__server_info_t){"desk", "1", &desk.tools, "clock", ",\"resultType\":\"complete\""};
  desk.service.capability_cb = notice;
  mcp__calls_t *calls = &desk.service.calls;
  calls->loop = &desk.loop;
  calls->max_message = 1 << 20;
  calls->memory = &desk.memory;
  calls->log = &desk.log;
  calls->counters = &desk.service.counters;
  calls->on_ended = on_ended;
  cr_assert_eq(mcp__calls_ensure_pool(calls), 0);
  mcp__calls_open(calls);
  mcp__buf_init(&desk.out, SPACE, NULL);
  desk.peer.log = &desk.log;
  mcp__session_init(&desk.session, &desk.service, &transport, &desk.peer, NULL);
  desk.session.origin = &origins[UNASKED];
}

static void nothing(void *arg) {
  (void)arg;
}

static void close_desk(void) {
  mcp__calls_t *calls = &desk.service.calls;
  mcp__session_close(&desk.session);
  for (unsigned i = 0; i < desk.kept_count; i++)
    if (desk.kept[i] != NULL)
      mcp_call_tool_error(desk.kept[i], "closed");
  mcp__session_deinit(&desk.session);
  cr_assert_null(calls->oldest);
  mcp__calls_free_spare(calls);
  mcp__pool_close(calls->pool, nothing, NULL);
  mcp__relay_close(&calls->relay, nothing, NULL);
  uv_close((uv_handle_t *)&calls->late_cancels, NULL);
  uv_close((uv_handle_t *)&calls->progress, NULL);
  uv_run(&desk.loop, UV_RUN_DEFAULT);
  cr_assert_eq(uv_loop_close(&desk.loop), 0);
  mcp__buf_deinit(&desk.out);
  mcp__tools_deinit(&desk.tools);
  expect_no_leak();
}

TestSuite(session, .init = open_desk, .fini = close_desk);

static void hand_in(int origin, const char *text) {
  mcp_call_t *call = mcp__call_acquire(&desk.session.caller);
  cr_assert_not_null(call);
  cr_assert_eq(mcp__buf_reserve(&call->text, strlen(text) + MCP__JSON_PADDING), 0);
  cr_assert_eq(mcp__buf_append(&call->text, text, strlen(text)), 0);
  mcp__session_serve(&desk.session, call, &origins[origin]);
}

static void call_tool(int origin, int id, const char *tool) {
  char text[256];
  snprintf(text, sizeof text,
           "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"tools/call\",\"params\":{\"name\":\"%s\","
           "\"arguments\":{\"n\":%d},\"_meta\":{\"progressToken\":\"p%d\"}}}",
           id, tool, id, id);
  hand_in(origin, text);
}

static void on_limit(uv_timer_t *timer) {
  (void)timer;
  cr_assert_fail("waited in vain");
}

static bool has_said(int origin, const char *text) {
  return strstr(desk.said[origin], text) != NULL;
}

static void initialize(const char *capabilities) {
  char text[256];
  snprintf(text, sizeof text,
           "{\"jsonrpc\":\"2.0\",\"id\":\"hello\",\"method\":\"initialize\",\"params\":{\"protocolVersion\":"
           "\"2025-11-25\",\"capabilities\":%s,\"clientInfo\":{\"name\":\"a\",\"version\":\"1\"}}}",
           capabilities);
  hand_in(1, text);
  hand_in(1, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}");
}

/* ---- tests ---- */

Test(session, answers_go_where_their_request_came_from) {
  initialize("{}");
  call_tool(1, 7, "keep");
  call_tool(2, 8, "keep");
  call_tool(2, 9, "echo");
  cr_assert(has_said(1, "\"id\":\"hello\"") && has_said(1, "\"protocolVersion\":\"2025-11-25\""));
  cr_assert(has_said(2, "\"id\":9") && !has_said(2, "\"id\":8") && !has_said(1, "\"id\":9"));
  cr_assert_eq(mcp_call_reply_text(desk.kept[1], "{}", 2), 0);
  cr_assert_eq(mcp_call_reply_text(desk.kept[0], "{}", 2), 0);
  desk.kept_count = 0;
  cr_assert(has_said(2, "\"id\":8") && !has_said(1, "\"id\":8"));
  cr_assert(has_said(1, "\"id\":7") && !has_said(2, "\"id\":7"));
  cr_assert_str_empty(desk.said[UNASKED]);
}

Test(session, progress_goes_there_too) {
  call_tool(2, 7, "keep");
  cr_assert_eq(mcp_call_progress(desk.kept[0], 1, 2, "half"), 0);
  mcp__calls_send_progress(&desk.service.calls.progress);
  cr_assert(has_said(2, "\"progressToken\":\"p7\""), "%s", desk.said[2]);
  cr_assert_eq(mcp_call_progress(desk.kept[0], 2, 2, NULL), 0);
  cr_assert_eq(mcp_call_reply_text(desk.kept[0], "1", 1), 0);
  desk.kept_count = 0;
  cr_assert(strstr(desk.said[2], "\"progress\":2") < strstr(desk.said[2], "\"id\":7"),
            "in front of the answer");
}

Test(session, a_cancellation_may_come_over_another_origin) {
  call_tool(1, 7, "keep");
  hand_in(2, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":7}}");
  cr_assert_eq(desk.cancelled, 1);
  cr_assert_eq(mcp_call_reply_text(desk.kept[0], "1", 1), MCP_ESTATE, "the call was cancelled");
  desk.kept_count = 0;
  cr_assert(!has_said(1, "\"id\":7"));
}

Test(session, the_65th_call_waits_and_begins_in_its_turn) {
  for (int id = 1; id <= MCP__CALLER_MAX_IN_FLIGHT + 2; id++)
    call_tool(1, id, "keep");
  cr_assert_eq(desk.kept_count, MCP__CALLER_MAX_IN_FLIGHT);
  cr_assert_eq(desk.session.caller.waiting_count, 2);
  cr_assert(!mcp__session_is_full(&desk.session));
  mcp_call_reply_text(desk.kept[0], "1", 1);
  cr_assert_gt(desk.left, 0, "the transport looks for room");
  mcp__session_begin_waiting(&desk.session);
  cr_assert_eq(desk.kept_count, MCP__CALLER_MAX_IN_FLIGHT + 1);
  cr_assert_eq(desk.session.caller.waiting_count, 1);
  desk.kept[0] = NULL;
}

Test(session, a_call_on_the_pool_is_answered_on_the_loop) {
  static uv_timer_t limit;
  call_tool(1, 7, "block");
  cr_assert(!has_said(1, "\"id\":7"));
  uv_timer_init(&desk.loop, &limit);
  uv_timer_start(&limit, on_limit, wait_limit_ms(), 0);
  while (!has_said(1, "\"id\":7"))
    uv_run(&desk.loop, UV_RUN_ONCE);
  uv_close((uv_handle_t *)&limit, NULL);
}

Test(session, an_id_in_flight_is_refused_over_any_origin) {
  call_tool(1, 7, "keep");
  call_tool(2, 7, "keep");
  cr_assert(has_said(2, "a call with this id is still in flight"));
  cr_assert_eq(desk.kept_count, 1);
}

Test(session, its_end_tells_the_handlers) {
  call_tool(1, 7, "keep");
  desk.closed = true;
  mcp__session_close(&desk.session);
  cr_assert_eq(desk.cancelled, 1);
  cr_assert_eq(mcp_call_reply_text(desk.kept[0], "1", 1), MCP_ESTATE);
  desk.kept_count = 0;
}

Test(session, an_answer_that_cannot_be_sent_fails_it_once) {
  call_tool(1, 7, "keep");
  desk.refuses = true;
  call_tool(1, 8, "echo");
  cr_assert_eq(desk.failed, 1);
  cr_assert_eq(desk.cancelled, 1);
}

Test(session, changes_are_told_once_and_unasked) {
  mcp__session_tools_changed(&desk.session);
  mcp__session_write_notifications(&desk.session);
  cr_assert_str_empty(desk.said[UNASKED], "not before it has said that it is ready");
  initialize("{}");
  desk.woken = 0;
  mcp__session_tools_changed(&desk.session);
  mcp__session_tools_changed(&desk.session);
  cr_assert_eq(desk.woken, 2);
  mcp__session_write_notifications(&desk.session);
  mcp__session_write_notifications(&desk.session);
  cr_assert_str_eq(desk.said[UNASKED],
                   "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n");
}

Test(session, the_notice_comes_after_the_answer_and_at_each_change) {
  initialize("{\"experimental\":{\"clock\":{}}}");
  cr_assert_str_empty(desk.said[UNASKED]);
  mcp__session_write_notifications(&desk.session);
  static const char told[] =
      "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/clock\",\"params\":\"2025-11-25\"}\n";
  cr_assert_str_eq(desk.said[UNASKED], told);
  mcp__session_notify(&desk.session);
  desk.refuses = true;
  mcp__session_write_notifications(&desk.session);
  cr_assert_str_eq(desk.said[UNASKED], told);
  desk.refuses = false; /* it is still due */
  mcp__session_write_notifications(&desk.session);
  cr_assert_eq(strlen(desk.said[UNASKED]), 2 * (sizeof told - 1));
}

Test(session, what_is_no_message_is_answered) {
  hand_in(2, "{\"jsonrpc\":");
  cr_assert(has_said(2, "-32700") && has_said(2, "\"id\":null"));
  hand_in(2, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"nothing\"}");
  cr_assert(has_said(2, "-32601"));
}

/* ---- subscriptions ---- */

#define META                                                                                                 \
  "\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\","                                   \
  "\"io.modelcontextprotocol/clientCapabilities\":{}}"

static void listen_to(int origin, const char *id, const char *notifications) {
  char text[2048];
  snprintf(text, sizeof text,
           "{\"jsonrpc\":\"2.0\",\"id\":%s,\"method\":\"subscriptions/listen\",\"params\":{" META
           ",\"notifications\":{%s}}}",
           id, notifications);
  hand_in(origin, text);
}

static void cancel_id(int origin, const char *id) {
  char text[256];
  snprintf(text, sizeof text,
           "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":%s}}", id);
  hand_in(origin, text);
}

#define ACKNOWLEDGED "notifications/subscriptions/acknowledged"
#define TAG(id) "\"io.modelcontextprotocol/subscriptionId\":" id

Test(session, subscriptions_are_told_where_they_were_asked_for) {
  listen_to(1, "1", "\"toolsListChanged\":true");
  listen_to(2, "\"1\"", "\"toolsListChanged\":true");
  listen_to(2, "2", "");
  cr_assert(has_said(1, ACKNOWLEDGED) && has_said(1, TAG("1")), "%s", desk.said[1]);
  cr_assert(has_said(2, TAG("\"1\"")) && has_said(2, TAG("2")), "%s", desk.said[2]);
  *desk.said[1] = *desk.said[2] = '\0';
  desk.woken = 0;
  mcp__session_tools_changed(&desk.session);
  mcp__session_tools_changed(&desk.session);
  cr_assert_gt(desk.woken, 0);
  mcp__session_write_notifications(&desk.session);
  mcp__session_write_notifications(&desk.session);
  cr_assert_str_eq(desk.said[1],
                   "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\",\"params\":{"
                   "\"_meta\":{" TAG("1") "}}}\n");
  cr_assert(has_said(2, TAG("\"1\"")) && !has_said(2, TAG("2")), "%s", desk.said[2]);
  cr_assert_str_empty(desk.said[UNASKED]);
}

Test(session, subscriptions_end_by_cancellation_with_their_origin_and_with_the_server) {
  listen_to(1, "1", "\"toolsListChanged\":true");
  listen_to(2, "2", "\"toolsListChanged\":true");
  listen_to(2, "3", "\"toolsListChanged\":true");
  cancel_id(1, "2"); /* over another origin */
  mcp__session_forget_origin(&desk.session, &origins[1]);
  cr_assert_eq(desk.session.subscription_count, 1);
  *desk.said[1] = *desk.said[2] = '\0';
  mcp__session_tools_changed(&desk.session);
  mcp__session_end_subscriptions(&desk.session);
  cr_assert_str_empty(desk.said[1]);
  cr_assert_str_eq(
      desk.said[2],
      "{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{\"resultType\":\"complete\",\"_meta\":{" TAG("3") "}}}\n");
  cr_assert_eq(desk.session.subscription_count, 0);
  mcp__session_end_subscriptions(&desk.session);
}

Test(session, ids_of_subscriptions_are_in_use) {
  listen_to(1, "1", "");
  listen_to(2, "1", "");
  cr_assert(has_said(2, "still in flight") && !has_said(2, ACKNOWLEDGED));
  call_tool(2, 1, "echo");
  cr_assert_null(strstr(desk.said[2], "\"n\":1"));
  cancel_id(2, "1");
  call_tool(2, 1, "echo");
  cr_assert_not_null(strstr(desk.said[2], "\\\"n\\\":1"), "%s", desk.said[2]);
}

Test(session, subscriptions_have_a_limit) {
  char id[16];
  for (int i = 0; i < MCP__MAX_SUBSCRIPTIONS; i++) {
    snprintf(id, sizeof id, "%d", i);
    listen_to(1, id, "");
  }
  cr_assert_eq(desk.session.subscription_count, MCP__MAX_SUBSCRIPTIONS);
  listen_to(2, "64", "");
  cr_assert(has_said(2, "there are 64 subscriptions"));
  char long_id[1200];
  cancel_id(1, "0");
  snprintf(long_id, sizeof long_id, "\"%0*d\"", 1023, 0);
  listen_to(2, long_id, "");
  cr_assert(has_said(2, "limited to 1,024 bytes"));
  cr_assert_eq(desk.session.subscription_count, MCP__MAX_SUBSCRIPTIONS - 1);
}

Test(session, what_cannot_be_written_stays_due) {
  listen_to(1, "1", "\"toolsListChanged\":true");
  *desk.said[1] = '\0';
  mcp__session_tools_changed(&desk.session);
  desk.refuses = true;
  mcp__session_write_notifications(&desk.session);
  cr_assert_str_empty(desk.said[1]);
  desk.refuses = false;
  mcp__session_write_notifications(&desk.session);
  cr_assert(has_said(1, TAG("1")));
}

Test(session, a_subscription_that_cannot_be_acknowledged_is_none) {
  desk.refuses = true;
  listen_to(1, "1", "\"toolsListChanged\":true");
  cr_assert_eq(desk.session.subscription_count, 0);
}

/* ---- origins that end before their calls ---- */

Test(session, calls_whose_origin_has_ended_go_on_and_hold_up_no_other) {
  for (int id = 1; id <= MCP__CALLER_MAX_IN_FLIGHT + 1; id++)
    call_tool(1, id, "keep"); /* the last one waits */
  call_tool(2, 100, "keep");  /* behind it */
  cr_assert_eq(desk.session.caller.waiting_count, 2);
  mcp__session_forget_origin(&desk.session, &origins[1]);
  cr_assert_eq(desk.cancelled, 0);
  *desk.said[1] = '\0';
  for (int i = 0; i < 2; i++)
    mcp_call_reply_text(desk.kept[i], "1", 1);
  mcp__session_begin_waiting(&desk.session);
  cr_assert_eq(desk.session.caller.waiting_count, 0);
  cr_assert_eq(desk.kept_count, MCP__CALLER_MAX_IN_FLIGHT + 2);
  mcp_call_reply_text(desk.kept[MCP__CALLER_MAX_IN_FLIGHT + 1], "1", 1);
  cr_assert(has_said(2, "\"id\":100"));
  cr_assert_str_empty(desk.said[1]);
  desk.kept[0] = desk.kept[1] = desk.kept[MCP__CALLER_MAX_IN_FLIGHT + 1] = NULL;
}

/* Of one request to the next over HTTP: the header of the one before is not theirs. */
Test(session, a_trace_id_is_taken_back) {
  mcp__session_set_trace_id(&desk.session, "first");
  cr_assert_str_eq(desk.session.trace_id, "first");
  mcp__session_set_trace_id(&desk.session, NULL);
  cr_assert_null(desk.session.trace_id);
  mcp__session_set_trace_id(&desk.session, "second");
  mcp__session_set_trace_id(&desk.session, "\xff");
  cr_assert_null(desk.session.trace_id);
}
