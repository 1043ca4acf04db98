/* test_client_blocking.c: the blocking form of a call. It runs on a thread, because the loop of the test
 * serves it.
 */
#include "fixture.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

Test(client_blocking, a_call_that_blocks) {
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
Test(client_blocking, json_in_a_text_may_be_as_deep_as_a_message) {
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

Test(client_blocking, a_call_that_blocks_in_vain) {
  fixture_setup();
  blocking_t blocking = {.tool = "now", .args = "{}", .timeout_ms = 100};
  wait_for(&blocking, fake_server_open(script_silent, NULL)->port);
  cr_assert_eq(blocking.status, MCP_ETIMEOUT);
  blocking.timeout_ms = LONG_TIMEOUT_MS;
  wait_for(&blocking, unused_port());
  cr_assert_eq(blocking.status, MCP_ECONNECT);
  cr_assert_not_null(strstr(blocking.words, "refused"), "%s", blocking.words);
  cr_assert_null(mcp_sync_client_new("ftp://x"));
  cr_assert_not_null(strstr(mcp_last_error(), "ftp://x"), "%s", mcp_last_error());
  cr_assert_null(mcp_sync_client_new(NULL));
  blocking.trace_id = "";
  wait_for(&blocking, 1);
  cr_assert_eq(blocking.status, UV_EINVAL);
  fixture_teardown();
}
