/* test_text_forms.c: calls, results and errors as JSON text with a length: what other languages use. No text
 * here ends with NUL where its length says so. */
#include "fixture.h"

#include <limits.h>
#include <out_of_memory.h>
#include <stdio.h>
#include <string.h>

/* What the handler of "end" does, and what its function returned. */
static struct {
  int code;
  const char *content, *structured, *message, *data;
  bool is_error;
  int status;
} end;

static size_t len_of(const char *text) {
  return text != NULL ? strlen(text) : 0;
}

/* A copy without NUL behind it: AddressSanitizer finds a function that reads further. */
static char *unended(const char *text) {
  char *copy = text != NULL ? malloc(strlen(text) > 0 ? strlen(text) : 1) : NULL;
  return copy != NULL ? memcpy(copy, text, strlen(text)) : NULL;
}

static void args_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  size_t len = 1;
  const char *text = mcp_call_args_text(call, &len);
  (void)args, (void)arg;
  cr_assert_eq(len, len_of(text));
  mcp_call_reply_text(call, text, len);
}

static void content_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  char *content = unended(end.content), *structured = unended(end.structured);
  (void)args, (void)arg;
  end.status = mcp_call_reply_content_text(call, content, len_of(end.content), structured,
                                           len_of(end.structured), end.is_error);
  free(content);
  free(structured);
}

static void fail_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  char *message = unended(end.message), *data = unended(end.data);
  (void)args, (void)arg;
  end.status = mcp_call_fail_text(call, end.code, message, len_of(end.message), data, len_of(end.data));
  free(message);
  free(data);
}

static void log_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  char *message = unended(end.message), *data = unended(end.data);
  (void)args, (void)arg;
  mcp_call_log_text(call, MCP_LOG_INFO, message, len_of(end.message), data, len_of(end.data));
  free(message);
  free(data);
  mcp_call_reply_text(call, "1", 1);
}

static const mcp_tool_t tools[] = {
    {.name = "args", .handler = args_tool},
    {.name = "args_on_pool", .handler = args_tool, .flags = MCP_TOOL_BLOCKING},
    {.name = "content", .handler = content_tool},
    {.name = "fail", .handler = fail_tool},
    {.name = "log", .handler = log_tool},
    MCP_TOOL_END,
};

static mcp_server_t *server;
static mcp_client_t *client;

/* The result of the last call. */
static struct {
  unsigned fired;
  int status;
  bool is_error;
  char value[4096], message[4096];
} last;

static void on_result(mcp_client_t *from, const mcp_result_t *result, void *arg) {
  size_t len = 1, again = 1;
  const char *value = mcp_result_value_text(result, &len);
  (void)from, (void)arg;
  cr_assert_eq(len, len_of(value));
  if (value != NULL)
    cr_assert_eq(mcp_result_value_text(result, &again), value, "the second time it is the same text");
  cr_assert(value == NULL || again == len);
  last.fired++;
  last.status = result->status;
  last.is_error = result->is_error;
  snprintf(last.value, sizeof last.value, "%s", value != NULL ? value : "(none)");
  snprintf(last.message, sizeof last.message, "%s", result->message != NULL ? result->message : "");
}

static const mcp_call_options_t patient = {.timeout_ms = LONG_TIMEOUT_MS};

/* Over HTTP the client has a version of MCP with structured content, over WebSocket one without. */
static void open_over(const char *scheme) {
  char url[64];
  fixture_setup();
  server = mcp_server_new("text", "1", 0, tools);
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  snprintf(url, sizeof url, "%s://127.0.0.1:%d", scheme, mcp_server_port(server));
  client = mcp_client_new(&fixture_loop, url);
  cr_assert_not_null(client);
}

static void open_all(void) {
  open_over("ws");
}

static void close_all(void) {
  client_close_and_free(client);
  test_server_stop(server);
  fixture_teardown();
}

static int call_text(const char *tool, const char *args) {
  char *copy = unended(args);
  int status = mcp_client_call_text(client, tool, copy, len_of(args), &patient, on_result, NULL);
  free(copy);
  return status;
}

static void call(const char *tool, const char *args) {
  unsigned fired = last.fired;
  cr_assert_eq(call_text(tool, args), 0);
  RUN_UNTIL(last.fired > fired);
}

Test(text_forms, arguments_reach_the_handler_and_come_back) {
  static const char *const texts[] = {
      "{}", "{\"a\":[1,-2,3.5,true,null,\"\\u0000\"],\"\xc3\xa4\":{\"b\":18446744073709551615}}",
      "{\"big\":123456789012345678901234567890}"};
  open_all();
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    call("args", texts[i]);
    cr_expect_str_eq(last.value, texts[i]);
    call("args_on_pool", texts[i]);
    cr_expect_str_eq(last.value, texts[i]);
  }
  call("args", NULL);
  cr_expect_str_eq(last.value, "{}");
  call("args", "\xef\xbb\xbf {\"a\" : \"\\ud83d\"}\n");
  cr_expect_str_eq(last.value, "{\"a\":\"\xef\xbf\xbd\"}", "a byte order mark, and half a surrogate pair");
  close_all();
}

Test(text_forms, text_that_is_not_json_is_not_sent) {
  static const char *const texts[] = {"", "{", "{\"a\":NaN}", "{\"a\":\"\xff\"}", "{} {}"};
  open_all();
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    cr_expect_eq(call_text("args", texts[i]), MCP_EENCODE, "%s", texts[i]);
    cr_expect(strstr(mcp_last_error(), "not valid JSON at byte ") != NULL, "%s", mcp_last_error());
  }
  char deep[2 * 65 + 1];
  memset(deep, '[', 65);
  memset(deep + 65, ']', 65);
  deep[130] = '\0';
  cr_expect_eq(call_text("args", deep), MCP_EENCODE);
  cr_expect(strstr(mcp_last_error(), "nested deeper than 64 levels") != NULL);
  call("args", "{}");
  cr_expect_eq(last.fired, 1);
  close_all();
}

Test(text_forms, requests_of_any_method) {
  open_all();
  unsigned fired = last.fired;
  cr_assert_eq(
      mcp_client_request_text(client, "tools/list", "{\"cursor\":\"x\"}", 14, &patient, on_result, NULL), 0);
  RUN_UNTIL(last.fired > fired);
  cr_expect_eq(last.status, MCP_INVALID_PARAMS);
  cr_expect_str_eq(last.value, "(none)");
  cr_assert_eq(mcp_client_request_text(client, "ping", NULL, 0, &patient, on_result, NULL), 0);
  RUN_UNTIL(last.fired > fired + 1);
  cr_expect_str_eq(last.value, "{}");
  cr_expect_eq(mcp_client_request_text(client, "ping", "{", 1, &patient, on_result, NULL), MCP_EENCODE);
  cr_assert_eq(mcp_client_list_tools(client, &patient, on_result, NULL), 0);
  RUN_UNTIL(last.fired > fired + 2);
  cr_expect_eq(strncmp(last.value, "[{\"name\":\"args\"", 15), 0, "%s", last.value);
  close_all();
}

Test(text_forms, a_closed_client_refuses) {
  open_all();
  call("args", "{}");
  cr_assert_eq(mcp_client_close(client, NULL, NULL), 0);
  cr_expect_eq(call_text("args", "{}"), MCP_ECLOSED);
  RUN_UNTIL(fixture_logged("Client disconnected"));
  while (mcp_client_close(client, NULL, NULL) == 0)
    fixture_iterate_once();
  test_server_stop(server);
  mcp_client_free(client);
  fixture_teardown();
}

/* ---- results ----------------------------------------------------------------------------------------- */

Test(text_forms, content_blocks_with_and_without_structured_content) {
  open_over("http");
  end.content = "[{\"type\":\"text\",\"text\":\"one\"}]";
  call("content", NULL);
  cr_expect_eq(end.status, 0);
  cr_expect_eq(last.status, 0);
  end.structured = "{\"n\":123456789012345678901234567890}";
  call("content", NULL);
  cr_expect_str_eq(last.value, end.structured);
  end.is_error = true;
  call("content", NULL);
  cr_expect(last.is_error);
  cr_expect_str_eq(last.message, "one");
  close_all();
}

static void expect_invalid_content(const char *content, const char *structured, const char *logged) {
  end.content = content;
  end.structured = structured;
  call("content", NULL);
  cr_expect_eq(end.status, MCP_EENCODE, "%s", content);
  cr_expect_eq(last.status, MCP_INTERNAL_ERROR, "%s", content);
  cr_expect(fixture_logged(logged), "%s", logged);
}

Test(text_forms, content_that_is_invalid_is_an_internal_error) {
  open_all();
  expect_invalid_content(NULL, NULL, "the result of the tool content cannot be written: it is NULL");
  expect_invalid_content("[", NULL, "the result of the tool content cannot be written: not valid JSON");
  expect_invalid_content("[\"\xff\"]", NULL, "not valid JSON");
  expect_invalid_content("{}", NULL, "a result of the tool content: content /: must be an array of blocks");
  expect_invalid_content("[{\"type\":\"text\"}]", NULL, "content /0/text: required");
  expect_invalid_content("[]", "[]", "structured must be an object");
  expect_invalid_content("[]", "{", "not valid JSON");
  close_all();
}

static void fail_with(int code, const char *message, const char *data) {
  end.code = code;
  end.message = message;
  end.data = data;
  call("fail", NULL);
}

Test(text_forms, errors_with_and_without_data) {
  open_over("http");
  fail_with(MCP_INVALID_PARAMS, "no 100 % of it", "{\"at\":[1,2]}");
  cr_expect_eq(end.status, 0);
  cr_expect_eq(last.status, MCP_INVALID_PARAMS);
  cr_expect_str_eq(last.message, "no 100 % of it");
  cr_expect_str_eq(last.value, "{\"at\":[1,2]}");
  fail_with(MCP_TOOL_ERROR, "the tool %s failed", NULL);
  cr_expect_eq(last.status, 0);
  cr_expect(last.is_error);
  cr_expect_str_eq(last.message, "the tool %s failed");
  close_all();
}

Test(text_forms, errors_that_are_invalid_reach_the_caller_nevertheless) {
  char text[2000];
  open_all();
  fail_with(MCP_INVALID_PARAMS, "text", "{\"at\":");
  cr_expect_eq(end.status, MCP_EENCODE);
  cr_expect_str_eq(last.message, "text");
  cr_expect_str_eq(last.value, "(none)");
  cr_expect(fixture_logged("the error data of the tool fail is omitted: not valid JSON"));
  fail_with(MCP_INVALID_PARAMS, NULL, NULL);
  cr_expect_str_eq(last.message, "invalid params");
  fail_with(MCP_INVALID_PARAMS, "an \xff inside", NULL);
  cr_expect_str_eq(last.message, "invalid params");
  fail_with(MCP_INVALID_PARAMS, "", NULL);
  cr_expect_str_eq(last.message, "");
  memset(text, 'x', sizeof text);
  memcpy(text + 1022, "\xc3\xa4", 2);
  text[sizeof text - 1] = '\0';
  fail_with(MCP_INVALID_PARAMS, text, NULL);
  cr_expect_eq(strlen(last.message), 1022, "cut in front of the character that does not fit");
  close_all();
}

/* ---- log --------------------------------------------------------------------------------------------- */

Test(text_forms, lines_of_a_call) {
  open_all();
  end.message = "50 %s done";
  end.data = "{\"token\":\"hidden\",\"step\":2}";
  mcp_client_set_trace_id(client, "t-1");
  call("log", NULL);
  RUN_UNTIL(fixture_logged("text: 50 %s done {\"token\":\"[REDACTED]\",\"step\":2} [t-1]"));
  end.message = "invalid \xff, and data";
  end.data = "{\"step\":";
  call("log", NULL);
  RUN_UNTIL(fixture_logged("text: invalid ?, and data {\"data_bytes\":8} [t-1]"));
  close_all();
}

Test(text_forms, lines_without_a_call) {
  static const char message[] = {'a', '\0', 'b'};
  const mcp_span_t span = {"t-2", "0123456789abcdef", "fedcba9876543210"};
  char *large = malloc((128 << 10) + 1);
  fixture_setup();
  mcp_log_text(MCP_LOG_INFO, "part", &span, message, sizeof message, "[1]", 3);
  cr_expect(fixture_logged("part: a?b [1] [t-2]"));
  mcp_log_text(MCP_LOG_INFO, NULL, NULL, "alone", 5, NULL, 0);
  cr_expect(fixture_logged("log: alone\n"));
  memset(large, '1', (128 << 10) + 1);
  mcp_log_text(MCP_LOG_INFO, NULL, NULL, large, (128 << 10) + 1, large, (128 << 10) + 1);
  cr_expect(fixture_logged("{\"data_bytes\":131073}") || fixture_logged("log: 1111"));
  free(large);
  cr_expect(mcp_log_enabled(MCP_LOG_TRACE));
  cr_expect_not(mcp_log_enabled(MCP_LOG_ERROR + 1));
  cr_expect_not(mcp_log_enabled(-1));
  mcp_log_text(MCP_LOG_ERROR + 1, "part", NULL, "never", 5, NULL, 0);
  cr_expect_not(fixture_logged("never"));
  mcp_set_log_handler(NULL, MCP_LOG_WARN, NULL);
  cr_expect_not(mcp_log_enabled(MCP_LOG_INFO));
  cr_expect(mcp_log_enabled(MCP_LOG_WARN));
  fixture_teardown();
}

/* ---- memory ------------------------------------------------------------------------------------------ */

/* Each allocation of a call with every text form fails once. Each call ends once, and nothing leaks. */
Test(text_forms, memory_fails_once_at_each_step) {
  use_failing_allocator();
  memory.allowed = LONG_MAX;
  open_all();
  end.content = "[{\"type\":\"text\",\"text\":\"one\"}]";
  end.structured = "{\"a\":1}";
  end.message = "message";
  end.data = "{\"b\":2}";
  end.code = MCP_INVALID_PARAMS;
  static const char *const names[] = {"args", "content", "fail", "log"};
  for (size_t i = 0; i < 4; i++)
    call(names[i], "{\"a\":1}");
  uint64_t blocks = mcp_memory_blocks();
  for (size_t i = 0; i < 4; i++) {
    bool failed = true;
    for (long allowed = 0; failed; allowed++) {
      unsigned fired = last.fired;
      memory.allowed = allowed;
      memory.once = true;
      int status = call_text(names[i], "{\"a\":1}");
      if (status == 0)
        RUN_UNTIL(last.fired > fired);
      else
        cr_assert_eq(status, UV_ENOMEM);
      failed = memory.allowed < 0;
      memory.allowed = LONG_MAX;
      cr_assert_eq(last.fired, fired + (status == 0));
      call(names[i], "{\"a\":1}"); /* it connects again, if the fault closed the connection */
      cr_assert_lt(allowed, 500);
    }
  }
  for (size_t i = 0; i < 4; i++)
    call(names[i], "{\"a\":1}");
  cr_expect_leq(mcp_memory_blocks(), blocks + 8, "%llu and %llu", (unsigned long long)blocks,
                (unsigned long long)mcp_memory_blocks());
  close_all();
  cr_expect_eq(memory.live, 0);
}

Test(text_forms, blocks_are_counted) {
  fixture_setup();
  uint64_t before = mcp_memory_blocks();
  yyjson_doc *doc = mcp_json_read("[1]", 3);
  cr_expect_gt(mcp_memory_blocks(), before);
  yyjson_doc_free(doc);
  cr_expect_eq(mcp_memory_blocks(), before);
  fixture_teardown();
}

Test(text_forms, a_result_that_the_library_did_not_make_has_no_text) {
  size_t len = 1;
  yyjson_doc *doc = yyjson_read("[1]", 3, 0);
  const mcp_result_t result = {.value = yyjson_doc_get_root(doc)};
  cr_expect_null(mcp_result_value_text(&result, &len));
  cr_expect_eq(len, 0);
  yyjson_doc_free(doc);
}
