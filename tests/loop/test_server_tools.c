/* test_server_tools.c: tools and their results in each protocol version: output schemas, all types of
 * content, progress; tools added and removed; and lists of several pages. */
#include "fixture.h"

#include <pool_threads.h>
#include <stdio.h>
#include <string.h>

static mcp_server_t *server;
static raw_client_t *peer;
static int status; /* what ending the last call gave */

static void reply_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)arg;
  status = mcp_call_reply(call, yyjson_val_mut_copy(mcp_call_doc(call), yyjson_obj_get(args, "result")));
}

static void text_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)arg;
  const char *text = yyjson_get_str(yyjson_obj_get(args, "text"));
  status = mcp_call_reply_text(call, text, strlen(text));
}

static void fail_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)arg;
  status = mcp_call_fail(call, MCP_TOOL_ERROR, yyjson_val_mut_copy(mcp_call_doc(call), args), "no");
}

static void content_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  yyjson_mut_doc *doc = mcp_call_doc(call);
  (void)arg;
  status = mcp_call_reply_content(call, yyjson_val_mut_copy(doc, yyjson_obj_get(args, "content")),
                                  yyjson_val_mut_copy(doc, yyjson_obj_get(args, "structured")),
                                  yyjson_get_bool(yyjson_obj_get(args, "is_error")));
}

static void keep_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  yyjson_mut_doc *doc = mcp_call_doc(call);
  yyjson_mut_val *result = yyjson_mut_obj(doc);
  (void)arg;
  (void)args;
  yyjson_mut_obj_add_val(doc, result, "ignored", mcp_call_ignored(call));
  status = mcp_call_reply(call, result);
}

#define SHAPE "{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"integer\"}},\"required\":[\"n\"]}"
#define ANY_N "{\"type\":\"object\",\"properties\":{\"n\":{}}}"

static const mcp_tool_t tools[] = {
    {.name = "shaped", .handler = reply_tool, .output_schema = SHAPE},
    {.name = "shaped_on_pool", .handler = reply_tool, .flags = MCP_TOOL_BLOCKING, .output_schema = SHAPE},
    {.name = "shaped_text", .handler = text_tool, .output_schema = SHAPE},
    {.name = "shaped_failure", .handler = fail_tool, .output_schema = SHAPE},
    {.name = "shaped_content", .handler = content_tool, .output_schema = SHAPE},
    {.name = "content", .handler = content_tool},
    {.name = "keep", .input_schema = ANY_N, .handler = keep_tool, .unlisted_properties = "{\"quiet\":{}}"},
    {.name = "keep_on_pool", .input_schema = ANY_N, .handler = keep_tool, .flags = MCP_TOOL_BLOCKING},
    {.name = "keep_any", .handler = keep_tool},
    {.name = "content_on_pool", .handler = content_tool, .flags = MCP_TOOL_BLOCKING},
    MCP_TOOL_END,
};

static const char *const revisions[] = {"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"};
enum { INITIALIZE = 1000000 };

static raw_client_t *open_peer(const char *revision) {
  raw_client_t *client = raw_client_open(mcp_server_port(server));
  raw_client_send_text(
      client,
      "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"%s\"}}",
      INITIALIZE, revision);
  raw_client_send_text(client, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}");
  raw_client_sync(client);
  cr_assert_eq(raw_client_count_responses(client, INITIALIZE), 1);
  return client;
}

static void open_with(const char *revision) {
  fixture_setup();
  server = mcp_server_new("tools", "1", 0, tools);
  cr_assert_not_null(server, "%s", mcp_last_error());
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  peer = open_peer(revision);
}

static void close_all(void) {
  test_server_stop(server);
  fixture_teardown();
}

static void ask(int id, const char *tool, const char *args) {
  raw_client_call(peer, id, tool, args);
  RUN_UNTIL(raw_client_count_responses(peer, id) == 1);
}

#define FITS "\"content\":[{\"type\":\"text\",\"text\":\"{\\\"n\\\":5}\"}]"

Test(server_tools, a_result_of_the_promised_shape) {
  for (int i = 0; i < 4; i++) {
    open_with(revisions[i]);
    ask(1, "shaped", "{\"result\":{\"n\":5}}");
    ask(2, "shaped_on_pool", "{\"result\":{\"n\":5}}");
    ask(3, "shaped_text", "{\"text\":\"{\\\"n\\\":5}\"}");
    for (int id = 1; id <= 3; id++) {
      cr_expect(raw_client_response_has(peer, id, FITS), "%s: %s", revisions[i],
                raw_client_response(peer, id));
      cr_expect_eq(raw_client_response_has(peer, id, "\"structuredContent\":{\"n\":5}"), i >= 2, "%s",
                   raw_client_response(peer, id));
    }
    close_all();
  }
}

Test(server_tools, a_result_of_another_shape_is_an_internal_error) {
  static const char *const rows[][2] = {
      {"shaped", "{\"result\":{\"n\":\"5\"}}"},
      {"shaped", "{\"result\":[5]}"},
      {"shaped", "{\"result\":{}}"},
      {"shaped_on_pool", "{\"result\":{\"n\":1.5}}"},
      {"shaped_text", "{\"text\":\"{\"}"},
      {"shaped_text", "{\"text\":\"\"}"},
      {"shaped_text", "{\"text\":\"{} {}\"}"},
      {"shaped_content", "{\"content\":[]}"},
      {"shaped_content", "{\"content\":[],\"structured\":{\"n\":[]}}"},
  };
  for (int i = 0; i < 4; i++) {
    open_with(revisions[i]);
    for (int id = 0; id < (int)(sizeof rows / sizeof *rows); id++) {
      ask(id, rows[id][0], rows[id][1]);
      cr_expect(raw_client_response_has(peer, id, "\"code\":-32603"), "%s", raw_client_response(peer, id));
      cr_expect_eq(status, MCP_EENCODE);
    }
    cr_expect(fixture_logged("a result of the tool shaped: output_schema /n: \"5\" is not an integer"));
    cr_expect(fixture_logged("a result of the tool shaped_on_pool: output_schema /n: 1.5 is not an integer"));
    cr_expect(
        fixture_logged("a result of the tool shaped_content: structured is required by its output_schema"));
    close_all();
  }
}

Test(server_tools, what_a_tool_does_not_know_is_named_in_its_answer) {
  static const char *const rows[][3] = {
      {"keep", "{\"n\":1,\"quiet\":true,\"m\":null}", "\"result\":{}"},
      {"keep", "{\"n\":1,\"m\":2,\"_meta\":{},\"o\\n\":{\"p\":3}}",
       "\"result\":{\"ignored\":[\"m\",\"o\\n\"]}"},
      {"keep_on_pool", "{\"n\":1,\"quiet\":true}", "\"result\":{\"ignored\":[\"quiet\"]}"},
      {"keep_any", "{\"n\":1}", "\"result\":{\"ignored\":[\"n\"]}"},
  };
  open_with("2024-11-05");
  for (int id = 0; id < (int)(sizeof rows / sizeof *rows); id++) {
    raw_client_send_text(peer, "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"%s\",\"params\":%s}", id,
                         rows[id][0], rows[id][1]);
    RUN_UNTIL(raw_client_count_responses(peer, id) == 1);
    cr_expect(raw_client_response_has(peer, id, rows[id][2]), "%s", raw_client_response(peer, id));
  }
  ask(100, "keep", "{\"n\":1,\"_meta\":{}}");
  cr_expect(raw_client_response_has(peer, 100, "{\\\"ignored\\\":[\\\"_meta\\\"]}"), "%s",
            raw_client_response(peer, 100));
  close_all();
}

/* Clients judge structuredContent by the schema: data of an error is none. */
Test(server_tools, a_failure_need_not_have_the_shape) {
  open_with("2025-06-18");
  ask(1, "shaped_failure", "{\"n\":\"x\"}");
  cr_expect(raw_client_response_has(peer, 1, "\"isError\":true"), "%s", raw_client_response(peer, 1));
  cr_expect(!raw_client_response_has(peer, 1, "structuredContent"), "%s", raw_client_response(peer, 1));
  ask(2, "shaped_content", "{\"content\":[],\"structured\":{\"n\":[]},\"is_error\":true}");
  cr_expect(raw_client_response_has(peer, 2, "{\"content\":[],\"isError\":true}"), "%s",
            raw_client_response(peer, 2));
  close_all();
}

#define BLOCKS                                                                                               \
  "[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"image\",\"data\":\"AAE=\",\"mimeType\":\"image/png\"},"   \
  "{\"type\":\"audio\",\"data\":\"\",\"mimeType\":\"audio/wav\"},"                                           \
  "{\"type\":\"resource_link\",\"uri\":\"file:///a\",\"name\":\"a\",\"size\":1},"                            \
  "{\"type\":\"resource\",\"resource\":{\"uri\":\"a:b\",\"text\":\"t\"}},"                                   \
  "{\"type\":\"resource\",\"resource\":{\"uri\":\"a:b\",\"blob\":\"AAEC\"}}]"

Test(server_tools, content_of_all_types) {
  for (int i = 0; i < 4; i++) {
    open_with(revisions[i]);
    ask(1, "content", "{\"content\":" BLOCKS "}");
    ask(2, "content_on_pool", "{\"content\":" BLOCKS "}");
    ask(3, "content", "{\"content\":" BLOCKS ",\"structured\":{\"a\":1}}");
    for (int id = 1; id <= 2; id++)
      cr_expect(raw_client_response_has(peer, id, "\"result\":{\"content\":" BLOCKS "}}"), "%s",
                raw_client_response(peer, id));
    cr_expect(raw_client_response_has(peer, 3,
                                      i >= 2 ? "\"content\":" BLOCKS ",\"structuredContent\":{\"a\":1}}}"
                                             : "\"content\":" BLOCKS "}}"),
              "%s", raw_client_response(peer, 3));
    ask(4, "content", "{\"content\":" BLOCKS ",\"is_error\":true}");
    cr_expect(raw_client_response_has(peer, 4,
                                      i >= 1 ? "\"content\":" BLOCKS ",\"isError\":true}}"
                                             : "\"error\":{\"code\":-32000,\"message\":\"a\",\"data\":" BLOCKS
                                               "}"),
              "%s", raw_client_response(peer, 4));
    cr_expect_eq(status, 0);
    close_all();
  }
}

Test(server_tools, content_for_direct_calls) {
  open_with("2025-11-25");
  raw_client_send_text(
      peer, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"content\",\"params\":{\"content\":" BLOCKS "}}");
  raw_client_send_text(peer,
                       "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"content\",\"params\":{\"content\":[],"
                       "\"structured\":{\"a\":1}}}");
  raw_client_send_text(peer,
                       "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"content\",\"params\":{\"content\":[],"
                       "\"structured\":{\"a\":1},\"is_error\":true}}");
  raw_client_sync(peer);
  cr_expect(raw_client_response_has(peer, 1, "\"result\":" BLOCKS "}"), "%s", raw_client_response(peer, 1));
  cr_expect(raw_client_response_has(peer, 2, "\"result\":{\"a\":1}}"), "%s", raw_client_response(peer, 2));
  cr_expect(raw_client_response_has(
                peer, 3, "\"error\":{\"code\":-32000,\"message\":\"tool error\",\"data\":{\"a\":1}}"),
            "%s", raw_client_response(peer, 3));
  close_all();
}

Test(server_tools, wrong_content_is_an_internal_error) {
  static const char *const rows[][2] = {
      {"{}", "/: must be an array"},
      {"[5]", "/0/type: must be"},
      {"[{\"type\":\"text\",\"text\":\"\"},{\"type\":\"video\"}]", "/1/type: must be"},
      {"[{\"type\":\"text\"}]", "/0/text: required, must be a string"},
      {"[{\"type\":\"text\",\"text\":5}]", "/0/text: required, must be a string"},
      {"[{\"type\":\"image\",\"data\":\"AAE=\"}]", "/0/mimeType: required, must be a string"},
      {"[{\"type\":\"image\",\"data\":\"AA=\",\"mimeType\":\"a/b\"}]", "/0/data: is not base64"},
      {"[{\"type\":\"image\",\"data\":\"A===\",\"mimeType\":\"a/b\"}]", "/0/data: is not base64"},
      {"[{\"type\":\"audio\",\"data\":\"AA=A\",\"mimeType\":\"a/b\"}]", "/0/data: is not base64"},
      {"[{\"type\":\"resource_link\",\"uri\":\"a:b\"}]", "/0/name: required, must be a string"},
      {"[{\"type\":\"resource\"}]", "/0/resource: required, must be an object"},
      {"[{\"type\":\"resource\",\"resource\":{\"text\":\"\"}}]",
       "/0/resource/uri: required, must be a string"},
      {"[{\"type\":\"resource\",\"resource\":{\"uri\":\"a:b\"}}]", "/0/resource: text or blob is required"},
      {"[{\"type\":\"resource\",\"resource\":{\"uri\":\"a:b\",\"blob\":\"?\"}}]",
       "/0/resource/blob: is not base64"},
  };
  open_with("2025-11-25");
  for (int id = 0; id < (int)(sizeof rows / sizeof *rows); id++) {
    char args[300], logged[200];
    snprintf(args, sizeof args, "{\"content\":%s}", rows[id][0]);
    ask(id, "content", args);
    cr_expect(raw_client_response_has(peer, id, "\"code\":-32603"), "%s", raw_client_response(peer, id));
    cr_expect_eq(status, MCP_EENCODE);
    snprintf(logged, sizeof logged, "a result of the tool content: content %s", rows[id][1]);
    cr_expect(fixture_logged(logged), "%s", logged);
  }
  ask(100, "content", "{\"content\":[],\"structured\":[]}");
  cr_expect(raw_client_response_has(peer, 100, "\"code\":-32603"));
  cr_expect(fixture_logged("a result of the tool content: structured must be an object"));
  close_all();
}

/* ---- progress ---------------------------------------------------------------------------------------- */

enum { STEPS = 1000 };

static mcp_call_t *held;
static uv_sem_t go_on;

static void hold_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)args;
  (void)arg;
  held = call;
}

static void steps_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)args;
  (void)arg;
  for (int i = 1; i <= STEPS; i++)
    mcp_call_progress(call, i, STEPS, "step");
  status = mcp_call_reply_text(call, "{}", 2);
}

static void wait_tool(mcp_call_t *call, yyjson_val *args, void *arg) { /* on the pool */
  (void)args;
  (void)arg;
  mcp_call_progress(call, 1, 0, NULL);
  uv_sem_wait(&go_on);
  int told = mcp_call_progress(call, 2, 0, NULL);
  mcp_call_reply_text(call, "{}", 2);
  status = told;
}

static const mcp_tool_t hold = {.name = "hold", .handler = hold_tool},
                        steps = {.name = "steps", .handler = steps_tool},
                        pool_steps = {.name = "pool_steps",
                                      .handler = steps_tool,
                                      .flags = MCP_TOOL_BLOCKING},
                        wait_on_pool = {.name = "wait", .handler = wait_tool, .flags = MCP_TOOL_BLOCKING};

static void open_for_progress(void) {
  open_with("2024-11-05"); /* progress is as old as MCP */
  const mcp_tool_t *more[] = {&hold, &steps, &pool_steps, &wait_on_pool};
  for (size_t i = 0; i < 4; i++)
    cr_assert_eq(mcp_server_add_tool(server, more[i]), 0);
  cr_assert_eq(uv_sem_init(&go_on, 0), 0);
  status = 1;
}

static void call_with_token(int id, const char *tool, const char *token) {
  raw_client_send_text(peer,
                       "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"tools/call\",\"params\":{\"name\":\"%s\","
                       "\"_meta\":{\"progressToken\":%s}}}",
                       id, tool, token);
}

static size_t count_words(const raw_client_t *client, const char *words) {
  size_t count = 0;
  for (size_t i = 0; i < client->count; i++)
    count += strstr(client->messages[i], words) != NULL;
  return count;
}

static bool last_says(const raw_client_t *client, size_t back, const char *words) {
  return client->count > back && strstr(client->messages[client->count - 1 - back], words) != NULL;
}

Test(server_tools, progress_comes_before_the_answer) {
  static const char *const tokens[] = {"0", "\"a b\"", "9007199254740993"};
  open_for_progress();
  for (int id = 0; id < 6; id++) {
    char words[200];
    call_with_token(id, id < 3 ? "steps" : "pool_steps", tokens[id % 3]);
    RUN_UNTIL(raw_client_count_responses(peer, id) == 1);
    snprintf(
        words, sizeof words,
        "\"method\":\"notifications/progress\",\"params\":{\"progressToken\":%s,\"progress\":%d,\"total\":%d,"
        "\"message\":\"step\"}}",
        tokens[id % 3], STEPS, STEPS);
    cr_expect(last_says(peer, 1, words), "%s", peer->messages[peer->count - 2]);
    cr_expect(last_says(peer, 0, "\"result\""), "%s", peer->messages[peer->count - 1]);
  }
  uv_sem_destroy(&go_on);
  close_all();
}

Test(server_tools, no_progress_for_those_who_did_not_ask) {
  open_for_progress();
  size_t before = peer->count;
  raw_client_call(peer, 1, "steps", "{}");
  raw_client_send_text(peer, "{\"jsonrpc\":\"2.0\",\"method\":\"tools/call\",\"params\":{\"name\":\"steps\","
                             "\"_meta\":{\"progressToken\":1}}}");
  raw_client_call(peer, 2, "pool_steps", "{}");
  RUN_UNTIL(raw_client_count_responses(peer, 2) == 1);
  fixture_run_ms(100);
  cr_expect_eq(peer->count, before + 2);
  uv_sem_destroy(&go_on);
  close_all();
}

Test(server_tools, progress_while_the_call_goes_on) {
  open_for_progress();
  call_with_token(1, "wait", "1");
  RUN_UNTIL(count_words(peer, "\"progressToken\":1,\"progress\":1}") == 1);
  call_with_token(2, "hold", "2");
  raw_client_sync(peer);
  cr_assert_eq(mcp_call_progress(held, 0.5, 0, NULL), 0);
  RUN_UNTIL(count_words(peer, "\"progressToken\":2,\"progress\":0.5}") == 1);
  cr_expect_eq(mcp_call_progress(held, 0.5, 0, NULL), UV_EINVAL);
  cr_expect_eq(mcp_call_progress(held, 0.4, 0, NULL), UV_EINVAL);
  cr_expect_eq(mcp_call_progress(held, 0.0 / 0.0, 0, NULL), UV_EINVAL);
  cr_expect_eq(mcp_call_progress(held, 1, 1.0 / 0.0, NULL), UV_EINVAL);
  cr_expect_eq(mcp_call_progress(held, 1, 0, "\xff"), UV_EINVAL);
  fixture_run_ms(100);
  raw_client_sync(peer);
  cr_expect_eq(count_words(peer, "progress\":"), 2);
  uv_sem_post(&go_on);
  RUN_UNTIL(raw_client_count_responses(peer, 1) == 1);
  cr_expect_eq(count_words(peer, "\"progressToken\":1,\"progress\":2}"), 1);
  mcp_call_reply_text(held, "1", 1);
  uv_sem_destroy(&go_on);
  close_all();
}

Test(server_tools, progress_is_not_sent_more_often_than_people_look) {
  open_for_progress();
  call_with_token(1, "hold", "1");
  raw_client_sync(peer);
  double told = 0;
  fixture_freeze_clock();
  for (int ms = 0; ms < 300; ms++) {
    cr_assert_eq(mcp_call_progress(held, ++told, 0, NULL), 0);
    fixture_advance_ms(1);
  }
  raw_client_sync(peer);
  size_t most = 300 / 50 + 2, sent = count_words(peer, "notifications/progress");
  cr_expect(sent >= 2 && sent <= most, "%zu of %.0f, at most %zu", sent, told, most);
  mcp_call_reply_text(held, "1", 1);
  raw_client_sync(peer);
  char words[60];
  snprintf(words, sizeof words, "\"progress\":%.0f}", told);
  cr_expect_eq(count_words(peer, words), 1, "the newest was lost");
  uv_sem_destroy(&go_on);
  close_all();
}

Test(server_tools, no_progress_after_a_cancel) {
  open_for_progress();
  call_with_token(1, "hold", "1");
  raw_client_sync(peer);
  cr_expect_eq(mcp_call_progress(held, 1, 0, NULL), 0);
  RUN_UNTIL(count_words(peer, "notifications/progress") == 1);
  cr_expect_eq(mcp_call_progress(held, 2, 0, NULL), 0); /* waits for its time, and is overtaken */
  raw_client_send_text(
      peer, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":1}}");
  raw_client_sync(peer);
  cr_assert(mcp_call_cancelled(held));
  size_t before = count_words(peer, "notifications/progress");
  cr_expect_eq(mcp_call_progress(held, 3, 0, NULL), MCP_ESTATE);
  fixture_run_ms(120);
  raw_client_sync(peer);
  cr_expect_eq(count_words(peer, "notifications/progress"), before);
  cr_expect_eq(count_words(peer, "\"progress\":3"), 0);
  cr_expect_eq(mcp_call_reply_text(held, "1", 1), MCP_ESTATE);
  uv_sem_destroy(&go_on);
  close_all();
}

Test(server_tools, progress_from_a_thread_that_outlives_the_server) {
  open_for_progress();
  call_with_token(1, "wait", "1");
  RUN_UNTIL(count_words(peer, "notifications/progress") == 1);
  mcp_server_t *gone = server;
  test_server.stopped = false;
  cr_assert_eq(mcp_server_stop(gone, test_server_on_stopped, NULL), 0);
  RUN_UNTIL(test_server.stopped);
  mcp_server_free(gone);
  uv_sem_post(&go_on);
  RUN_UNTIL(pool_threads() == 0); /* it ends its call and leaves the pool */
  cr_expect_eq(status, MCP_ESTATE);
  uv_sem_destroy(&go_on);
  fixture_teardown();
}

/* ---- tools that come and go -------------------------------------------------------------------------- */

#define CHANGED "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}"

static void expect_notice(const char *words, bool expected) {
  char line[256];
  snprintf(line, sizeof line, "tool %s", words);
  cr_expect_eq(fixture_logged(line), expected, "%s in:\n%s", line, fixture_log());
}

/* A rule that is dropped because its name has a slip is named when the server starts, or the tool comes. */
Test(server_tools, a_slip_in_a_schema_is_a_warning) {
  mcp_tool_t given[] = {
      {.name = "slip",
       .input_schema = "{\"type\":\"object\",\"propertis\":{},\"properties\":{\"requierd\":{\"minlength\":1},"
                       "\"a\":{\"enum\":[{\"typ\":1}],\"default\":{\"itmes\":1}}}}",
       .output_schema = "{\"type\":\"object\",\"Required\":[\"a\"]}",
       .flags = MCP_TOOL_STRICT,
       .handler = hold_tool},
      MCP_TOOL_END,
  };
  mcp_tool_t later = {.name = "later",
                      .input_schema = "{\"type\":\"object\",\"allOf\":[{\"$refs\":1}]}",
                      .handler = hold_tool};
  fixture_setup();
  server = mcp_server_new("tools", "1", 0, given);
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  expect_notice("slip: input_schema /propertis: not a JSON Schema keyword; did you mean \"properties\"?",
                true);
  expect_notice("slip: input_schema /properties/requierd/minlength: not a JSON Schema keyword; did you mean "
                "\"minLength\"?",
                true);
  expect_notice("slip: output_schema /Required: not a JSON Schema keyword; did you mean \"required\"?", true);
  expect_notice("slip: input_schema /properties/a", false);
  cr_assert_eq(mcp_server_add_tool(server, &later), 0);
  expect_notice("later: input_schema /allOf/0/$refs: not a JSON Schema keyword; did you mean \"$ref\"?",
                true);
  close_all();
}

Test(server_tools, those_who_know_of_changes_are_told_once_a_turn) {
  open_with("2025-03-26");
  raw_client_t *old = open_peer("2024-11-05"), *raw = raw_client_open(mcp_server_port(server));
  raw_client_t *early = raw_client_open(mcp_server_port(server)), *newest = open_peer("2025-11-25");
  raw_client_send_text(
      early, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{\"protocolVersion\":"
             "\"2025-11-25\"}}"); /* and not initialized yet */
  raw_client_sync(early);
  cr_assert_eq(mcp_server_add_tool(server, &hold), 0);
  cr_assert_eq(mcp_server_add_tool(server, &steps), 0);
  cr_assert_eq(mcp_server_remove_tool(server, "content"), 0);
  cr_assert_eq(mcp_server_remove_tool(server, "content"), UV_ENOENT);
  cr_assert_eq(mcp_server_add_tool(server, &steps), MCP_ETOOL);
  cr_expect(fixture_logged("tool \"steps\": duplicate name"));
  cr_assert_eq(mcp_server_add_tool(server, &(mcp_tool_t){.handler = hold_tool}), UV_EINVAL);
  raw_client_t *all[] = {peer, newest, old, raw, early};
  for (size_t i = 0; i < 5; i++) {
    raw_client_sync(all[i]);
    cr_expect_eq(count_words(all[i], CHANGED), i < 2 ? 1 : 0, "peer %zu: %zu", i,
                 count_words(all[i], CHANGED));
  }
  cr_assert_eq(mcp_server_remove_tool(server, "hold"), 0);
  RUN_UNTIL(count_words(peer, CHANGED) == 2);
  raw_client_send_text(peer, "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"tools/list\"}");
  ask(6, "steps", "{}");
  ask(7, "hold", "{}");
  cr_expect(raw_client_response_has(peer, 5, "\"name\":\"steps\"") &&
            !raw_client_response_has(peer, 5, "\"name\":\"hold\""));
  cr_expect(raw_client_response_has(peer, 6, "\"result\""));
  cr_expect(raw_client_response_has(peer, 7, "unknown tool: hold"));
  close_all();
}

Test(server_tools, calls_of_a_tool_that_goes_end_normally) {
  open_for_progress();
  call_with_token(1, "wait", "1");
  call_with_token(2, "hold", "2");
  RUN_UNTIL(count_words(peer, "notifications/progress") == 1 && held != NULL);
  cr_assert_eq(mcp_server_remove_tool(server, "wait"), 0);
  cr_assert_eq(mcp_server_remove_tool(server, "hold"), 0);
  uv_sem_post(&go_on);
  RUN_UNTIL(raw_client_count_responses(peer, 1) == 1);
  cr_expect_eq(mcp_call_reply_text(held, "1", 1), 0);
  RUN_UNTIL(raw_client_count_responses(peer, 2) == 1);
  cr_expect(raw_client_response_has(peer, 1, "\"result\"") && raw_client_response_has(peer, 2, "\"result\""));
  uv_sem_destroy(&go_on);
  close_all();
}

Test(server_tools, a_blocking_tool_comes_to_a_server_that_had_none) {
  static const mcp_tool_t none[] = {MCP_TOOL_END};
  fixture_setup();
  server = mcp_server_new("bare", "1", 0, none);
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  peer = raw_client_open(mcp_server_port(server));
  ask(1, "pool_steps", "{}");
  cr_expect(raw_client_response_has(peer, 1, "unknown tool"));
  cr_assert_eq(mcp_server_add_tool(server, &pool_steps), 0);
  ask(2, "pool_steps", "{}");
  cr_expect(raw_client_response_has(peer, 2, "\"result\""));
  cr_assert_eq(mcp_server_stop(server, test_server_on_stopped, NULL), 0);
  cr_expect_eq(mcp_server_add_tool(server, &hold), MCP_ESTATE);
  cr_expect_eq(mcp_server_remove_tool(server, "pool_steps"), MCP_ESTATE);
  RUN_UNTIL(test_server.stopped);
  mcp_server_free(server);
  fixture_teardown();
}

/* ---- lists of more than one page --------------------------------------------------------------------- */

enum { WORDS = 300 << 10, MANY = 10, CLOSES_AT = 1 << 20 }; /* as many clients do */

static char words[WORDS + 1];

static void add_wordy(const char *name) {
  cr_assert_eq(mcp_server_add_tool(server, &(mcp_tool_t){name, words, .handler = hold_tool}), 0);
}

/* A server of the tools "0" to "9", which take several pages. */
static void open_wordy(void) {
  static const mcp_tool_t none[] = {MCP_TOOL_END};
  memset(words, 'w', WORDS);
  fixture_setup();
  server = mcp_server_new("wordy", "1", 0, none);
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  for (int i = 0; i < MANY; i++)
    add_wordy((char[]){(char)('0' + i), '\0'});
  peer = open_peer("2025-06-18");
}

static char names[64];

static void append_names(yyjson_val *list) {
  size_t index, count;
  yyjson_val *tool;
  yyjson_arr_foreach(list, index, count, tool) strcat(names, yyjson_get_str(yyjson_obj_get(tool, "name")));
}

static void on_names(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  (void)client;
  cr_assert_eq(result->status, 0, "%s", result->message);
  append_names(result->value);
  *(bool *)arg = true;
}

Test(server_tools, our_client_gets_all_pages) {
  bool done = false;
  open_wordy();
  mcp_client_t *client = client_new_to(mcp_server_port(server));
  cr_assert_eq(mcp_client_list_tools(client, NULL, on_names, &done), 0);
  RUN_UNTIL(done);
  cr_expect_str_eq(names, "0123456789", "%s", names);
  client_close_and_free(client);
  close_all();
}

/* Appends the names on the page behind a cursor and takes the next one's in its place; false: it was the
 * last. */
static bool turn_page(int id, char cursor[32]) {
  raw_client_send_text(peer, "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"tools/list\",\"params\":{%s%s%s}}",
                       id, *cursor != '\0' ? "\"cursor\":\"" : "", cursor, *cursor != '\0' ? "\"" : "");
  RUN_UNTIL(raw_client_count_responses(peer, id) == 1);
  const char *answer = raw_client_response(peer, id);
  cr_expect_lt(strlen(answer), CLOSES_AT);
  yyjson_doc *doc = yyjson_read(answer, strlen(answer), 0);
  yyjson_val *result = yyjson_obj_get(yyjson_doc_get_root(doc), "result");
  const char *next = yyjson_get_str(yyjson_obj_get(result, "nextCursor"));
  append_names(yyjson_obj_get(result, "tools"));
  snprintf(cursor, 32, "%s", next != NULL ? next : "");
  yyjson_doc_free(doc);
  return *cursor != '\0';
}

Test(server_tools, pages_while_tools_come_and_go) {
  char cursor[32] = "", kept[32];
  open_wordy();
  cr_assert(turn_page(1, cursor));
  size_t first = strlen(names);
  cr_assert(first >= 1 && first < MANY / 2);
  snprintf(kept, sizeof kept, "%s", cursor);
  cr_assert_eq(mcp_server_remove_tool(server, (char[]){(char)('0' + first - 1), '\0'}),
               0); /* the last one shown */
  cr_assert_eq(mcp_server_remove_tool(server, (char[]){(char)('0' + first), '\0'}),
               0); /* that would be next */
  add_wordy("n");
  int id = 2;
  while (turn_page(id, cursor))
    cr_assert_lt(++id, 20);
  char expected[32];
  snprintf(expected, sizeof expected, "%.*s%sn", (int)first, "0123456789", &"0123456789"[first + 1]);
  cr_expect_str_eq(names, expected, "%s", names);
  *names = '\0';
  cr_expect(turn_page(20, kept), "it stays good");
  cr_expect_eq(*names, expected[first]);
  snprintf(cursor, sizeof cursor, "n");
  turn_page(21, cursor);
  cr_expect(
      raw_client_response_has(peer, 21, "\"code\":-32602,\"message\":\"/cursor: unknown cursor; omit it"));
  close_all();
}
