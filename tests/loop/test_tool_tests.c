/* test_tool_tests.c: mcp_server_test_call(), with which components test their tools. */
#include <iccm_network.h>

#include <leaks.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

static void echo(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)arg;
  mcp_call_progress(call, 1, 2, "not requested");
  mcp_call_reply(call, yyjson_val_mut_copy(mcp_call_doc(call), args));
}

static void refuse(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)args;
  (void)arg;
  yyjson_mut_val *data = yyjson_mut_obj(mcp_call_doc(call));
  yyjson_mut_obj_add_int(mcp_call_doc(call), data, "left", 3);
  mcp_call_fail(call, -32007, data, "not today");
}

static void say_error(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)args;
  (void)arg;
  mcp_call_tool_error(call, "it did not work");
}

static mcp_call_t *forgotten;

static void forget(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)args;
  (void)arg;
  forgotten = call;
}

#define TEXT "{\"type\":\"object\",\"properties\":{\"text\":{\"type\":\"string\"}},\"required\":[\"text\"]}"
static const mcp_tool_t tools[] = {{.name = "echo", .input_schema = TEXT, .handler = echo},
                                   {.name = "block", .handler = echo, .flags = MCP_TOOL_BLOCKING},
                                   {.name = "refuse", .handler = refuse},
                                   {.name = "say_error", .handler = say_error},
                                   {.name = "forget", .handler = forget},
                                   MCP_TOOL_END};

static mcp_server_t *server;
static yyjson_doc *answer;

static void set_up(void) {
  server = mcp_server_new("tested", "1", 0, tools);
  cr_assert_not_null(server);
}

static void tear_down(void) {
  mcp_server_free(server);
  yyjson_doc_free(answer);
  expect_no_leak();
}

TestSuite(tool_tests, .init = set_up, .fini = tear_down);

static int call(const char *tool, const char *args) {
  yyjson_doc *doc = args != NULL ? yyjson_read(args, strlen(args), 0) : NULL;
  yyjson_mut_doc *copy = args != NULL ? yyjson_doc_mut_copy(doc, NULL) : NULL;
  yyjson_doc_free(doc);
  yyjson_doc_free(answer);
  return mcp_server_test_call(server, tool, copy, &answer);
}

static yyjson_val *member(const char *name) {
  return yyjson_obj_get(yyjson_doc_get_root(answer), name);
}

Test(tool_tests, an_answer_comes_back_as_a_value) {
  cr_assert_eq(call("echo", "{\"text\":\"a \\u00e4\"}"), 0);
  cr_assert_str_eq(yyjson_get_str(member("text")), "a ä");
}

Test(tool_tests, arguments_are_checked) {
  cr_assert_eq(call("echo", NULL), MCP_INVALID_PARAMS);
  cr_assert_str_eq(mcp_last_error(), "/text: required, not given");
}

Test(tool_tests, a_blocking_tool_runs_on_a_thread) {
  cr_assert_eq(call("block", "{\"n\":1}"), 0);
  cr_assert_eq(yyjson_get_int(member("n")), 1);
}

Test(tool_tests, errors_have_their_code_message_and_data) {
  cr_assert_eq(call("refuse", NULL), MCP_TOOL_ERROR, "a tool's own codes are results with isError");
  cr_assert_str_eq(mcp_last_error(), "not today");
  cr_assert_eq(call("say_error", NULL), MCP_TOOL_ERROR);
  cr_assert_str_eq(mcp_last_error(), "it did not work");
  cr_assert_eq(call("nothing", NULL), MCP_INVALID_PARAMS);
}

Test(tool_tests, a_call_that_is_never_ended_times_out) {
  cr_assert_eq(mcp_server_set_call_timeout_ms(server, 1), 0);
  cr_assert_eq(mcp_server_set_shutdown_timeout_ms(server, 0), 0);
  cr_assert_eq(call("forget", NULL), MCP_INTERNAL_ERROR);
  cr_assert_str_eq(mcp_last_error(), "timed out");
  cr_assert_eq(mcp_call_tool_error(forgotten, "late"), MCP_ESTATE);
}

static void on_stopped(mcp_server_t *stopped, void *arg) {
  (void)stopped;
  *(bool *)arg = true;
}

Test(tool_tests, the_server_can_be_started_afterwards_and_not_called_then) {
  uv_loop_t loop;
  bool stopped = false;
  for (int i = 0; i < 3; i++)
    cr_assert_eq(call("block", "{}"), 0);
  cr_assert_eq(uv_loop_init(&loop), 0);
  cr_assert_eq(mcp_server_start(server, &loop), 0);
  cr_assert_gt(mcp_server_port(server), 0);
  cr_assert_eq(call("echo", "{\"text\":\"\"}"), MCP_ESTATE);
  mcp_server_stop(server, on_stopped, &stopped);
  uv_run(&loop, UV_RUN_DEFAULT);
  cr_assert(stopped);
  cr_assert_eq(uv_loop_close(&loop), 0);
}
