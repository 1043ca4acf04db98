/* test_client_sync.c: the blocking client, on a thread, because the loop of the test serves it: reconnects,
 * progress and options. Blocking calls in handlers: test_client_children.c. */
#include "fixture.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct blocking {
  uv_thread_t thread;
  mcp_sync_client_t *client;
  mcp_call_options_t options;
  int status;
  char answer[64], words[256];
  size_t reports;
  bool elsewhere; /* a report on another thread, or with a client */
  atomic_bool done;
} blocking_t;

static void on_report(mcp_client_t *client, const mcp_progress_t *progress, void *arg) {
  blocking_t *blocking = arg;
  uv_thread_t self = uv_thread_self();
  blocking->reports++;
  blocking->elsewhere = client != NULL || !uv_thread_equal(&self, &blocking->thread) || progress->total != 4;
}

static void block(void *arg) {
  blocking_t *blocking = arg;
  yyjson_doc *answer;
  blocking->thread = uv_thread_self();
  blocking->status =
      mcp_sync_client_call(blocking->client, "now", parse_args("{\"n\":1}"), &blocking->options, &answer);
  char *text = answer != NULL ? yyjson_write(answer, 0, NULL) : NULL;
  snprintf(blocking->answer, sizeof blocking->answer, "%s", text != NULL ? text : "");
  snprintf(blocking->words, sizeof blocking->words, "%s", blocking->status != 0 ? mcp_last_error() : "");
  free(text);
  yyjson_doc_free(answer);
  atomic_store(&blocking->done, true);
}

static mcp_sync_client_t *blocking_to(int port) {
  char url[64];
  snprintf(url, sizeof url, "127.0.0.1:%d", port);
  mcp_sync_client_t *client = mcp_sync_client_new(url);
  cr_assert_not_null(client);
  return client;
}

static uv_thread_t begin(blocking_t *blocking) {
  uv_thread_t thread;
  atomic_store(&blocking->done, false);
  blocking->reports = 0;
  cr_assert_eq(uv_thread_create(&thread, block, blocking), 0);
  return thread;
}

static void end(blocking_t *blocking, uv_thread_t thread) {
  RUN_UNTIL(atomic_load(&blocking->done));
  uv_thread_join(&thread);
}

static void call(blocking_t *blocking) {
  end(blocking, begin(blocking));
}

static void free_it(void *arg) {
  blocking_t *blocking = arg;
  mcp_sync_client_free(blocking->client);
  atomic_store(&blocking->done, true);
}

/* The loop here has to see its connection close. */
static void free_client(blocking_t *blocking) {
  uv_thread_t thread;
  atomic_store(&blocking->done, false);
  cr_assert_eq(uv_thread_create(&thread, free_it, blocking), 0);
  end(blocking, thread);
}

/* Answers each call. */
static void script_answer(raw_client_t *peer) {
  size_t *seen = ((fake_server_t *)peer->arg)->arg;
  if (!script_handshake(peer) || peer->count == *seen)
    return;
  *seen = peer->count;
  raw_client_send_text(peer,
                       "{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{\"structuredContent\":{\"calls\":%d}}}",
                       message_id(peer->messages[peer->count - 1]), (int)peer->count - 2);
}

static void expect_call(blocking_t *blocking, int number) {
  char answer[64];
  call(blocking);
  snprintf(answer, sizeof answer, "{\"calls\":%d}", number);
  cr_assert_eq(blocking->status, 0, "%s", blocking->words);
  cr_assert_str_eq(blocking->answer, answer);
}

Test(client_sync, keeps_its_connection) {
  size_t seen = 0;
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_answer, &seen);
  blocking_t blocking = {.client = blocking_to(fake->port), .options.timeout_ms = LONG_TIMEOUT_MS};
  for (int i = 1; i < 4; i++)
    expect_call(&blocking, i);
  cr_assert_eq(fake->accepted, 1);
  free_client(&blocking);
  RUN_UNTIL(fake->last->ended);
  cr_assert_eq(fake->last->close_code, 1000);
  fixture_teardown();
}

Test(client_sync, connects_again_when_the_peer_has_left) {
  size_t seen = 0;
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_answer, &seen);
  blocking_t blocking = {.client = blocking_to(fake->port), .options.timeout_ms = LONG_TIMEOUT_MS};
  for (int i = 0; i < 3; i++) {
    expect_call(&blocking, 1);
    cr_assert_eq(fake->accepted, (size_t)i + 1);
    raw_client_close(fake->last);
    seen = 0;
  }
  free_client(&blocking);
  fixture_teardown();
}

/* It stops, which closes its connections properly, and another listens at its port. */
Test(client_sync, outlives_a_restart_of_its_server) {
  const mcp_tool_t tools[] = {{.name = "now", .handler = test_server_now_tool}, MCP_TOOL_END};
  fixture_setup();
  mcp_server_t *server = test_server_start();
  int port = mcp_server_port(server);
  blocking_t blocking = {.client = blocking_to(port), .options.timeout_ms = LONG_TIMEOUT_MS};
  call(&blocking);
  cr_assert_eq(blocking.status, 0, "%s", blocking.words);
  test_server_stop(server);
  call(&blocking);
  cr_assert_eq(blocking.status, MCP_ECONNECT, "%s", blocking.words);
  server = mcp_server_new("again", "1", port, tools);
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  test_server.stopped = false;
  call(&blocking);
  cr_assert_eq(blocking.status, 0, "%s", blocking.words);
  cr_assert_str_eq(blocking.answer, "{\"n\":1}");
  free_client(&blocking);
  test_server_stop(server);
  fixture_teardown();
}

Test(client_sync, goes_on_after_a_call_that_failed) {
  size_t seen = 0;
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_upgrade, &seen);
  blocking_t blocking = {.client = blocking_to(fake->port), .options.timeout_ms = 100};
  call(&blocking);
  cr_assert_eq(blocking.status, MCP_ETIMEOUT, "%s", blocking.words);
  RUN_UNTIL(fake->last->count == 4); /* the peer receives notifications/cancelled at once */
  cr_assert_not_null(strstr(fake->last->messages[3], "notifications/cancelled"));
  blocking.options = (mcp_call_options_t){.timeout_ms = LONG_TIMEOUT_MS, .trace_id = ""};
  call(&blocking);
  cr_assert_eq(blocking.status, UV_EINVAL);
  blocking.options.trace_id = NULL;
  uv_thread_t thread = begin(&blocking);
  RUN_UNTIL(fake->last->count == 5);
  raw_client_close(fake->last);
  end(&blocking, thread);
  cr_assert_eq(blocking.status, MCP_EDISCONNECTED, "%s", blocking.words);
  fake->script = script_answer;
  expect_call(&blocking, 1);
  cr_assert_eq(fake->accepted, 2);
  free_client(&blocking);
  fixture_teardown();
}

/* A ping that came while no call waited is answered before the next one. */
Test(client_sync, answers_pings_with_its_next_call) {
  size_t seen = 0;
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_answer, &seen);
  blocking_t blocking = {.client = blocking_to(fake->port), .options.timeout_ms = LONG_TIMEOUT_MS};
  expect_call(&blocking, 1);
  raw_client_send_frame(fake->last, 9, "p", 1);
  expect_call(&blocking, 2);
  cr_assert_eq(fake->last->pongs, 1);
  free_client(&blocking);
  fixture_teardown();
}

/* Reports before the answer, as many as a script can send at once. */
static void script_report(raw_client_t *peer) {
  if (!script_handshake(peer))
    return;
  int id = message_id(peer->messages[peer->count - 1]);
  for (int i = 1; i < 5; i++)
    raw_client_send_text(
        peer,
        "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":"
        "\"iccm-%d\",\"progress\":%d,\"total\":4}}",
        id, i);
  raw_client_send_text(peer, "{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{\"structuredContent\":{}}}", id);
}

Test(client_sync, hears_of_progress_on_its_thread) {
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_report, NULL);
  blocking_t blocking = {.client = blocking_to(fake->port), .options = {.timeout_ms = LONG_TIMEOUT_MS}};
  call(&blocking);
  cr_assert_eq(blocking.reports, 0);
  blocking.options.progress_cb = on_report;
  blocking.options.progress_arg = &blocking;
  for (int i = 0; i < 2; i++) {
    call(&blocking);
    cr_assert_eq(blocking.status, 0, "%s", blocking.words);
    cr_assert_eq(blocking.reports, 4);
    cr_assert(!blocking.elsewhere);
  }
  free_client(&blocking);
  fixture_teardown();
}

static void wait_in_vain(mcp_call_t *call, yyjson_val *args, void *arg) {
  yyjson_doc *answer;
  mcp_call_options_t options = {.parent = call};
  cr_assert_eq(mcp_sync_client_call(arg, "now", parse_args("{}"), &options, &answer), MCP_ESTATE);
  cr_assert_null(answer);
  options.trace_id = "t";
  cr_assert_eq(mcp_sync_client_call(arg, "now", parse_args("{}"), &options, &answer), UV_EINVAL);
  (void)args;
  mcp_call_reply_text(call, "1", 1);
}

Test(client_sync, does_not_block_a_loop_that_serves) {
  call_record_t record = {0};
  fixture_setup();
  mcp_sync_client_t *unused = blocking_to(1);
  const mcp_tool_t tools[] = {{.name = "x", .handler = wait_in_vain, .arg = unused}, MCP_TOOL_END};
  mcp_server_t *server = mcp_server_new("loop", "1", 0, tools);
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  mcp_client_t *client = client_new_to(mcp_server_port(server));
  cr_assert_eq(mcp_client_call(client, "x", NULL, NULL, record_result, &record), 0);
  RUN_UNTIL(record.fired);
  cr_assert_eq(record.status, 0);
  client_close_and_free(client);
  test_server_stop(server);
  mcp_sync_client_free(unused);
  mcp_sync_client_free(NULL);
  fixture_teardown();
}
