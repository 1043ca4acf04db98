/* test_client_more.c: what a client can do beside calls: cancelling them, giving them up in time, hearing
 * notifications, naming a trace, listing tools page by page, and a call that blocks. */
#include "fixture.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t call(mcp_client_t *client, const char *tool, uint64_t timeout_ms, call_record_t *record) {
  uint64_t id = 0;
  mcp_call_options_t options = {.timeout_ms = timeout_ms, .id = &id};
  cr_assert_eq(mcp_client_call(client, tool, NULL, &options, record_result, record), 0);
  return id;
}

/* ---- cancelling ---- */

Test(client_more, cancels_a_call_that_was_sent) {
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

Test(client_more, cancels_before_the_connection_is_there) {
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
Test(client_more, cancels_while_the_connection_is_being_lost) {
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
Test(client_more, an_answer_behind_a_cancel_is_not_heard) {
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

Test(client_more, cancelled_and_closed_ends_once) {
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

Test(client_more, the_peer_hears_of_a_deadline_once) {
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
Test(client_more, the_peer_does_not_hear_of_calls_that_were_never_sent) {
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

Test(client_more, an_initialize_of_ones_own_is_not_cancelled) {
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

Test(client_more, our_server_stops_waiting_with_its_caller) {
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

/* ---- notifications ---- */

typedef struct heard {
  unsigned count;
  char method[64], params[128];
} heard_t;

static void on_notification(mcp_client_t *client, const char *method, yyjson_val *params, void *arg) {
  heard_t *heard = arg;
  (void)client;
  heard->count++;
  snprintf(heard->method, sizeof heard->method, "%s", method);
  char *text = params != NULL ? yyjson_val_write(params, 0, NULL) : NULL;
  snprintf(heard->params, sizeof heard->params, "%s", text != NULL ? text : "none");
  free(text);
}

Test(client_more, hears_notifications) {
  heard_t heard = {0};
  call_record_t record = {0};
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_upgrade, NULL);
  mcp_client_t *client = client_new_to(fake->port);
  mcp_client_on_notification(client, on_notification, &heard);
  call(client, "now", 0, &record);
  RUN_UNTIL(fake->last != NULL && fake->last->count == 3);
  raw_client_send_text(
      fake->last,
      "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/iccm/log_level\",\"params\":{\"level\":\"WARN\"}}");
  RUN_UNTIL(heard.count == 1);
  cr_assert_str_eq(heard.method, "notifications/iccm/log_level");
  cr_assert_str_eq(heard.params, "{\"level\":\"WARN\"}");
  raw_client_send_text(fake->last, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}");
  RUN_UNTIL(heard.count == 2);
  cr_assert_str_eq(heard.params, "none");
  mcp_client_on_notification(client, NULL, NULL);
  raw_client_send_text(fake->last, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}");
  raw_client_sync(fake->last);
  cr_assert_eq(heard.count, 2);
  cr_assert_eq(record.fired, 0, "a notification is no answer");
  client_close_and_free(client);
  fixture_teardown();
}

/* ---- traces ---- */

Test(client_more, names_the_trace_of_its_calls) {
  call_record_t named = {0}, nameless = {0};
  char trace_id[130];
  fixture_setup();
  mcp_server_t *server = test_server_start();
  mcp_client_t *client = client_new_to(mcp_server_port(server));
  memset(trace_id, 't', sizeof trace_id);
  trace_id[129] = '\0';
  cr_assert_eq(mcp_client_set_trace_id(client, trace_id), UV_EINVAL);
  cr_assert_eq(mcp_client_set_trace_id(client, ""), UV_EINVAL);
  cr_assert_eq(mcp_client_set_trace_id(client, "\xff"), UV_EINVAL);
  trace_id[128] = '\0';
  cr_assert_eq(mcp_client_set_trace_id(client, trace_id), 0);
  call(client, "trace", 0, &named);
  cr_assert_eq(mcp_client_set_trace_id(client, NULL), 0);
  call(client, "trace", 0, &nameless);
  RUN_UNTIL(named.fired && nameless.fired);
  cr_assert_eq(strlen(named.text), 130);
  cr_assert_eq(strncmp(named.text + 1, trace_id, 128), 0);
  cr_assert_eq(nameless.status, MCP_INTERNAL_ERROR); /* the tool had nothing to write */
  client_close_and_free(client);
  test_server_stop(server);
  fixture_teardown();
}

/* ---- tools/list ---- */

static size_t pages, looked_at;

static bool is_new(raw_client_t *peer) { /* not a close frame, for instance */
  bool is = script_handshake(peer) && peer->count > looked_at;
  looked_at = peer->count;
  return is;
}

/* Page n names its tool "tool<n>" and, before the third, the page n + 1. */
static void script_pages(raw_client_t *peer) {
  if (!is_new(peer))
    return;
  const char *message = peer->messages[peer->count - 1];
  const char *cursor = strstr(message, "\"cursor\":\"page");
  int page = cursor != NULL ? atoi(cursor + 14) : 0;
  char next[32] = "";
  if (page < 2)
    snprintf(next, sizeof next, ",\"nextCursor\":\"page%d\"", page + 1);
  pages++;
  raw_client_send_text(peer,
                       "{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{\"tools\":[{\"name\":\"tool%d\"}]%s}}",
                       message_id(message), page, next);
}

static char listed[256];

static void on_listed(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  char *text = result->value != NULL ? yyjson_val_write(result->value, 0, NULL) : NULL;
  snprintf(listed, sizeof listed, "%s", text != NULL ? text : "");
  free(text);
  record_result(client, result, arg);
}

static void list(int port, uint64_t timeout_ms, call_record_t *record) {
  mcp_client_t *client = client_new_to(port);
  cr_assert_eq(mcp_client_list_tools(client, WITHIN(timeout_ms), on_listed, record), 0);
  cr_assert_eq(record->fired, 0);
  RUN_UNTIL(record->fired);
  client_close_and_free(client);
  cr_assert_eq(record->fired, 1);
}

Test(client_more, lists_the_tools_of_all_pages) {
  call_record_t record = {0};
  fixture_setup();
  list(fake_server_open(script_pages, NULL)->port, 0, &record);
  cr_assert_eq(record.status, 0);
  cr_assert_str_eq(listed, "[{\"name\":\"tool0\"},{\"name\":\"tool1\"},{\"name\":\"tool2\"}]");
  cr_assert_eq(pages, 3);
  fixture_teardown();
}

Test(client_more, lists_the_tools_of_a_real_server) {
  call_record_t record = {0};
  fixture_setup();
  mcp_server_t *server = test_server_start();
  list(mcp_server_port(server), 0, &record);
  cr_assert_eq(record.status, 0);
  cr_assert_eq(strncmp(listed, "[{\"name\":\"now\"", 14), 0, "%s", listed);
  test_server_stop(server);
  fixture_teardown();
}

typedef struct pager {
  const char *result; /* of each page; %d: its number */
  int number;
} pager_t;

static pager_t pager;

static void script_same(raw_client_t *peer) {
  char result[128];
  if (!is_new(peer))
    return;
  int number = ++pager.number;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
  snprintf(result, sizeof result, pager.result, number);
#pragma GCC diagnostic pop
  raw_client_send_text(peer, "{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":%s}",
                       message_id(peer->messages[peer->count - 1]), result);
}

static void list_fails(const char *result, int status, int asked) {
  call_record_t record = {0};
  fixture_setup();
  pager.result = result;
  list(fake_server_open(script_same, NULL)->port, 0, &record);
  cr_assert_eq(record.status, status);
  cr_assert_eq(pager.number, asked);
  cr_assert_gt(strlen(record.message), 0);
  fixture_teardown();
}

Test(client_more, a_list_without_tools_is_none) {
  list_fails("{\"tools\":%d}", MCP_EPROTOCOL, 1);
}
Test(client_more, a_page_that_names_itself) {
  list_fails("{\"tools\":[],\"nextCursor\":\"x\"}", MCP_EPROTOCOL, 2);
}
Test(client_more, pages_without_end) {
  list_fails("{\"tools\":[],\"nextCursor\":\"%d\"}", MCP_EPROTOCOL, 1000);
}

static void script_large(raw_client_t *peer) {
  enum { BYTES = 8 << 20 };
  if (!is_new(peer))
    return;
  char *text = malloc(BYTES + 1);
  memset(text, 'x', BYTES);
  text[BYTES] = '\0';
  raw_client_send_text(
      peer, "{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{\"tools\":[\"%s\"],\"nextCursor\":\"%d\"}}",
      message_id(peer->messages[peer->count - 1]), text, ++pager.number);
  free(text);
}

Test(client_more, a_list_that_is_too_large) {
  call_record_t record = {0};
  fixture_setup();
  list(fake_server_open(script_large, NULL)->port, LONG_TIMEOUT_MS, &record);
  cr_assert_eq(record.status, MCP_ETOOBIG, "%d", record.status);
  cr_assert_leq(pager.number, 8);
  fixture_teardown();
}

Test(client_more, a_list_that_is_not_answered) {
  call_record_t record = {0};
  fixture_setup();
  list(fake_server_open(script_upgrade, NULL)->port, 100, &record);
  cr_assert_eq(record.status, MCP_ETIMEOUT);
  fixture_teardown();
}

/* ---- the blocking form: on a thread, since the loop here serves it ---- */

typedef struct blocking {
  uv_thread_t thread;
  char url[64];
  const char *tool, *args, *trace_id;
  uint64_t timeout_ms;
  int status;
  char answer[256], words[256];
  atomic_bool done;
} blocking_t;

static void block(void *arg) {
  blocking_t *blocking = arg;
  mcp_call_options_t options = {.timeout_ms = blocking->timeout_ms, .trace_id = blocking->trace_id};
  yyjson_mut_doc *args = blocking->args != NULL ? parse_args(blocking->args) : NULL;
  yyjson_doc *answer;
  mcp_sync_client_t *client = mcp_sync_client_new(blocking->url);
  blocking->status = mcp_sync_client_call(client, blocking->tool, args, &options, &answer);
  char *text = answer != NULL ? yyjson_write(answer, 0, NULL) : NULL;
  snprintf(blocking->answer, sizeof blocking->answer, "%s", text != NULL ? text : "");
  snprintf(blocking->words, sizeof blocking->words, "%s", mcp_last_error());
  free(text);
  yyjson_doc_free(answer);
  mcp_sync_client_free(client);
  atomic_store(&blocking->done, true);
}

static void wait_for(blocking_t *blocking, int port) {
  atomic_store(&blocking->done, false);
  if (port != 0)
    snprintf(blocking->url, sizeof blocking->url, "127.0.0.1:%d", port);
  cr_assert_eq(uv_thread_create(&blocking->thread, block, blocking), 0);
  RUN_UNTIL(atomic_load(&blocking->done));
  uv_thread_join(&blocking->thread);
}

Test(client_more, a_call_that_blocks) {
  fixture_setup();
  mcp_server_t *server = test_server_start();
  int port = mcp_server_port(server);
  blocking_t blocking = {.tool = "now", .args = "{\"a\":[1,\"Ã¤\"]}"};
  wait_for(&blocking, port);
  cr_assert_eq(blocking.status, 0, "%s", blocking.words);
  cr_assert_str_eq(blocking.answer, "{\"a\":[1,\"Ã¤\"]}");
  blocking = (blocking_t){.tool = "trace", .trace_id = "a trace"};
  wait_for(&blocking, port);
  cr_assert_str_eq(blocking.answer, "\"a trace\"");
  blocking = (blocking_t){.tool = "fail", .args = "{\"how\":\"code\"}"};
  wait_for(&blocking, port);
  cr_assert_eq(blocking.status, -32042);
  cr_assert_str_eq(blocking.answer, "\"why\"");
  cr_assert_str_eq(blocking.words, "number 42");
  test_server_stop(server);
  fixture_teardown();
}

static size_t text_depth;

static void script_deep_text(raw_client_t *peer) {
  if (!script_handshake(peer))
    return;
  char *text = calloc(1, 2 * text_depth + 1);
  memset(text, '[', text_depth);
  memset(text + text_depth, ']', text_depth);
  raw_client_send_text(
      peer, "{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"%s\"}]}}",
      message_id(peer->messages[peer->count - 1]), text);
  free(text);
}

/* JSON in a text has the limits of the message around it; beyond them it is a text. */
Test(client_more, json_in_a_text_may_be_as_deep_as_a_message) {
  static const struct {
    size_t depth;
    const char *begin;
  } rows[] = {{64, "[["}, {65, "{\"content\""}, {300000, "{\"content\""}};
  fixture_setup();
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    text_depth = rows[i].depth;
    blocking_t blocking = {.tool = "x"};
    wait_for(&blocking, fake_server_open(script_deep_text, NULL)->port);
    cr_expect_eq(blocking.status, 0, "%s", blocking.words);
    cr_expect_eq(strncmp(blocking.answer, rows[i].begin, strlen(rows[i].begin)), 0, "%s", blocking.answer);
  }
  fixture_teardown();
}

Test(client_more, a_call_that_blocks_in_vain) {
  fixture_setup();
  blocking_t blocking = {.tool = "now", .args = "{}", .timeout_ms = 100};
  wait_for(&blocking, fake_server_open(script_silent, NULL)->port);
  cr_assert_eq(blocking.status, MCP_ETIMEOUT);
  blocking.timeout_ms = LONG_TIMEOUT_MS;
  wait_for(&blocking, unused_port());
  cr_assert_eq(blocking.status, MCP_ECONNECT);
  cr_assert_not_null(strstr(blocking.words, "refused"), "%s", blocking.words);
  cr_assert_null(mcp_sync_client_new("http://x"));
  cr_assert_not_null(strstr(mcp_last_error(), "http://x"), "%s", mcp_last_error());
  cr_assert_null(mcp_sync_client_new(NULL));
  blocking.trace_id = "";
  wait_for(&blocking, 1);
  cr_assert_eq(blocking.status, UV_EINVAL);
  fixture_teardown();
}
