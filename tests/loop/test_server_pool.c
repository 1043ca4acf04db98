/* test_server_pool.c: blocking tools. They reply from threads, block nobody, and may outlive their server.
 * */
#include "fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

enum { THREADS = 8, WAITING = 1024, IN_FLIGHT = 64 };

static mcp_server_t *server;
static raw_client_t *peer;

static void open_with(uint64_t call_timeout_ms, uint64_t shutdown_timeout_ms) {
  fixture_setup();
  server = test_server_new();
  if (call_timeout_ms > 0)
    cr_assert_eq(mcp_server_set_call_timeout_ms(server, call_timeout_ms), 0);
  cr_assert_eq(mcp_server_set_shutdown_timeout_ms(server, shutdown_timeout_ms), 0);
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  peer = raw_client_open(mcp_server_port(server));
}

static void close_all(void) {
  test_server_stop(server);
  fixture_teardown();
}

Test(server_pool, answers) {
  open_with(0, 3000);
  for (int id = 0; id < 200; id++)
    raw_client_call(peer, id, "block", "{\"deep\":[1,{\"a\":\"b\"}]}");
  RUN_UNTIL(peer->count == 200);
  raw_client_sync(peer);
  for (int id = 0; id < 200; id++)
    cr_assert(raw_client_response_has(peer, id, "\\\"deep\\\""));
  close_all();
}

Test(server_pool, a_forgotten_answer_is_an_internal_error) {
  open_with(0, 3000);
  raw_client_call(peer, 1, "forget", "{}");
  RUN_UNTIL(raw_client_count_responses(peer, 1) == 1);
  cr_assert(raw_client_response_has(peer, 1, "-32603"));
  close_all();
}

Test(server_pool, slow_ones_do_not_stop_the_loop) {
  open_with(0, 3000);
  for (int id = 0; id < 2 * THREADS; id++)
    raw_client_call(peer, id, "gate", "{}");
  RUN_UNTIL(test_server_at_gate() == THREADS);
  raw_client_call(peer, 100, "now", "{}");
  raw_client_send_frame(peer, 9, "hi", 2);
  raw_client_sync(peer);
  cr_assert_eq(raw_client_count_responses(peer, 100), 1);
  cr_assert_eq(peer->pongs, 1);
  cr_assert_eq(peer->count, 2);
  test_server_set_gate(true);
  RUN_UNTIL(peer->count == 2 + 2 * THREADS);
  close_all();
}

/* However many wait for others, and were first. */
Test(server_pool, those_that_wait_for_others_leave_threads) {
  enum { WAITERS = 6, CALLS = 20 };
  static const mcp_tool_t tool = {
      .name = "queue", .handler = test_server_gate_tool, .flags = MCP_TOOL_BLOCKING | MCP_TOOL_WAITS};
  open_with(0, 3000);
  cr_assert_eq(mcp_server_add_tool(server, &tool), 0);
  for (int id = 0; id < CALLS; id++)
    raw_client_call(peer, id, "queue", "{}");
  RUN_UNTIL(test_server_at_gate() == WAITERS);
  for (int id = CALLS; id < 2 * CALLS; id++)
    raw_client_call(peer, id, "block", "{}");
  RUN_UNTIL(peer->count == CALLS);
  for (int id = CALLS; id < 2 * CALLS; id++)
    cr_assert_eq(raw_client_count_responses(peer, id), 1);
  cr_assert_eq(test_server_at_gate(), WAITERS);
  test_server_set_gate(true);
  RUN_UNTIL(peer->count == 2 * CALLS);
  raw_client_sync(peer);
  for (int id = 0; id < CALLS; id++)
    cr_assert(raw_client_response_has(peer, id, "through"));
  close_all();
}

static size_t messages_of(raw_client_t *const *peers, size_t count) {
  size_t messages = 0;
  for (size_t i = 0; i < count; i++)
    messages += peers[i]->count;
  return messages;
}

Test(server_pool, beyond_those_that_may_wait_they_are_busy) {
  open_with(0, 3000);
  enum { PEERS = (THREADS + WAITING) / IN_FLIGHT + 1 };
  raw_client_t *peers[PEERS];
  size_t busy = 0, answers = 0;
  for (int i = 0; i < PEERS; i++) {
    peers[i] = raw_client_open(mcp_server_port(server));
    for (int id = 0; id < IN_FLIGHT; id++)
      raw_client_call(peers[i], id, "gate", "{}");
    if (i == 0)
      RUN_UNTIL(test_server_at_gate() == THREADS);
  }
  enum { BUSY = PEERS * IN_FLIGHT - THREADS - WAITING };
  RUN_UNTIL(messages_of(peers, PEERS) == BUSY);
  for (int i = 0; i < PEERS; i++)
    for (size_t each = 0; each < peers[i]->count; each++)
      busy += strstr(peers[i]->messages[each], "-32000") != NULL &&
              strstr(peers[i]->messages[each], "\"retry\":true") != NULL;
  cr_assert_eq(busy, BUSY);
  test_server_set_gate(true);
  for (int i = 0; i < PEERS; i++) {
    RUN_UNTIL(peers[i]->count == IN_FLIGHT);
    for (int id = 0; id < IN_FLIGHT; id++)
      answers += raw_client_count_responses(peers[i], id);
  }
  cr_assert_eq(answers, (size_t)PEERS * IN_FLIGHT);
  close_all();
}

/* A burst of one connection is no reason to be busy. */
Test(server_pool, ten_thousand_calls_at_once_are_all_answered) {
  enum { CALLS = 10000 };
  open_with(0, 3000);
  for (int id = 0; id < CALLS; id++)
    raw_client_call(peer, id, "block", "{}");
  RUN_UNTIL(peer->count == CALLS);
  raw_client_sync(peer);
  for (int id = 0; id < CALLS; id++)
    cr_assert_null(strstr(peer->messages[id], "error"), "%s", peer->messages[id]);
  close_all();
}

Test(server_pool, calls_given_up_before_a_thread_has_taken_them_do_not_begin) {
  enum { CALLS = 200 };
  open_with(0, 3000);
  for (int id = 0; id < CALLS; id++)
    raw_client_call(peer, id, "gate", "{}");
  RUN_UNTIL(test_server_at_gate() == THREADS);
  for (int id = 0; id < CALLS - 1; id++)
    raw_client_send_text(
        peer, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":%d}}",
        id);
  raw_client_sync(peer);
  test_server_set_gate(true);
  RUN_UNTIL(peer->count == 2); /* that of settling, and this */
  cr_assert(raw_client_response_has(peer, CALLS - 1, "through"));
  RUN_UNTIL(test_server_gate_done() >= THREADS + 1); /* a thread counts after it has answered */
  close_all();
  cr_assert_eq(test_server_gate_done(), THREADS + 1);
}

Test(server_pool, times_out_and_the_late_end_is_harmless) {
  open_with(50, 3000);
  raw_client_call(peer, 1, "gate", "{}");
  RUN_UNTIL(test_server_at_gate() == 1);
  RUN_UNTIL(raw_client_count_responses(peer, 1) == 1);
  cr_assert(raw_client_response_has(peer, 1, "timed out"));
  test_server_set_gate(true);
  RUN_UNTIL(test_server_gate_done() == 1);
  cr_assert_eq(test_server.gate_status, MCP_ESTATE);
  raw_client_sync(peer);
  cr_assert_eq(raw_client_count_responses(peer, 1), 1);
  close_all();
}

Test(server_pool, the_peer_leaves_meanwhile) {
  open_with(0, 3000);
  for (int id = 0; id < 20; id++)
    raw_client_call(peer, id, "gate", "{}");
  RUN_UNTIL(test_server_at_gate() == THREADS);
  raw_client_reset(peer);
  RUN_UNTIL(fixture_logged("Client disconnected"));
  test_server_set_gate(true);
  RUN_UNTIL(test_server_gate_done() == 20);
  cr_assert_eq(test_server.gate_status, MCP_ESTATE);
  close_all();
}

Test(server_pool, cancelled_by_the_peer) {
  open_with(0, 3000);
  raw_client_call(peer, 1, "gate", "{}");
  RUN_UNTIL(test_server_at_gate() == 1);
  raw_client_send_text(
      peer, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":1}}");
  raw_client_sync(peer);
  test_server_set_gate(true);
  RUN_UNTIL(test_server_gate_done() == 1);
  raw_client_sync(peer);
  cr_assert_eq(test_server.gate_status, MCP_ESTATE);
  cr_assert_eq(raw_client_count_responses(peer, 1), 0);
  close_all();
}

Test(server_pool, a_stop_lets_them_finish) {
  open_with(0, LONG_TIMEOUT_MS);
  for (int id = 0; id < 20; id++)
    raw_client_call(peer, id, "gate", "{}");
  raw_client_sync(peer);
  RUN_UNTIL(test_server_at_gate() == THREADS);
  cr_assert_eq(mcp_server_stop(server, test_server_on_stopped, NULL), 0);
  fixture_run_ms(50);
  cr_assert(!test_server.stopped);
  test_server_set_gate(true);
  RUN_UNTIL(test_server.stopped);
  mcp_server_free(server);
  for (int id = 0; id < 20; id++)
    cr_assert(raw_client_response_has(peer, id, "through"));
  cr_assert_eq(peer->close_code, 1012);
  fixture_teardown();
}

static pthread_key_t key;
static atomic_int threads_left;

static void on_thread_leaves(void *arg) {
  (void)arg;
  usleep(50000); /* code that does not wait for the thread would be faster */
  threads_left++;
}

static void note_thread(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)args, (void)arg;
  pthread_setspecific(key, &key);
  mcp_call_reply_text(call, "true", 4);
}

/* A thread that was still leaving when the process exits would run code that is being taken down. */
Test(server_pool, a_stop_sees_idle_threads_to_their_end) {
  static const mcp_tool_t tool = {.name = "note", .handler = note_thread, .flags = MCP_TOOL_BLOCKING};
  cr_assert_eq(pthread_key_create(&key, on_thread_leaves), 0);
  open_with(0, 3000);
  cr_assert_eq(mcp_server_add_tool(server, &tool), 0);
  raw_client_call(peer, 1, "note", "{}");
  RUN_UNTIL(peer->count == 1);
  close_all();
  cr_assert_eq(threads_left, 1);
  pthread_key_delete(key);
}

/* The threads are still in their handlers when everything else is gone; what they hold is freed by them. */
Test(server_pool, a_stop_does_not_wait_for_those_that_never_return) {
  open_with(0, 100);
  for (int id = 0; id < 20; id++)
    raw_client_call(peer, id, "gate", "{}");
  raw_client_sync(peer);
  RUN_UNTIL(test_server_at_gate() == THREADS);
  cr_assert_eq(mcp_server_stop(server, test_server_on_stopped, NULL), 0);
  RUN_UNTIL(test_server.stopped); /* while the handlers wait for the gate */
  mcp_server_free(server);
  for (int id = 0; id < 20; id++)
    cr_assert(raw_client_response_has(peer, id, "the server is stopping"));
  cr_assert_eq(test_server_at_gate(), THREADS);
  test_server_set_gate(true);
  RUN_UNTIL(test_server_gate_done() == THREADS); /* the others were dropped */
  cr_assert_eq(test_server.gate_status, MCP_ESTATE);
  fixture_teardown();
}

Test(server_pool, a_new_server_while_old_handlers_still_run) {
  open_with(0, 0);
  raw_client_call(peer, 1, "gate", "{}");
  RUN_UNTIL(test_server_at_gate() == 1);
  test_server_stop(server);
  server = test_server_start();
  peer = raw_client_open(mcp_server_port(server));
  raw_client_call(peer, 2, "block", "{}");
  RUN_UNTIL(raw_client_count_responses(peer, 2) == 1);
  test_server_set_gate(true);
  RUN_UNTIL(test_server_gate_done() == 1);
  test_server_stop(server);
  fixture_teardown();
}
