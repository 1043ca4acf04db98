/* harness.c: see harness.h. */
#include "harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <wait_limit.h>

enum { BYSTANDING = 3 };

static uv_loop_t *turning;

void harness_fail(const char *file, int line, const char *condition, const char *format, ...) {
  va_list args;
  va_start(args, format);
  fprintf(stderr, "%s:%d: %s: ", file, line, condition); /* standard output may be a server's */
  vfprintf(stderr, format, args);
  fprintf(stderr, "\n");
  va_end(args);
  fflush(stdout);
  _exit(1);
}

/* The calls of the bystander during a scenario, one after another. */
static struct {
  mcp_client_t *client; /* NULL: no call is made */
  request_t requests[BYSTANDING];
  size_t begun;
} bystanding;

static void stand_by(void) {
  size_t begun = bystanding.begun;
  const request_t *last = begun > 0 ? &bystanding.requests[begun - 1] : NULL;
  if (bystanding.client == NULL || begun == BYSTANDING || (last != NULL && last->made && last->fired == 0))
    return;
  harness_call(bystanding.client, "echo", "{\"by\":1}", 0, &bystanding.requests[bystanding.begun++]);
}

void harness_iterate(void) {
  stand_by();
  uv_run(turning, UV_RUN_ONCE);
}

/* ---- requests ------------------------------------------------------------------------------------------ */

yyjson_mut_doc *harness_json(const char *json) {
  yyjson_doc *doc = yyjson_read(json, strlen(json), 0);
  yyjson_mut_doc *copy = yyjson_doc_mut_copy(doc, NULL);
  yyjson_doc_free(doc);
  return copy;
}

void harness_on_result(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  request_t *request = arg;
  (void)client;
  REQUIRE(request->made, "called back though it was refused, or from inside of its making");
  REQUIRE(request->fired++ == 0, "called back twice");
  request->status = result->status;
  request->is_error = result->is_error;
  bool bad = result->status != 0 || result->is_error;
  REQUIRE(bad == (result->message != NULL), "status %d: a message where there is an error, and only there",
          result->status);
  REQUIRE(bad || request->expected == NULL ||
              yyjson_equals(result->value, yyjson_doc_get_root(request->expected)),
          "another answer than the call's");
  yyjson_doc_free(request->expected);
  request->expected = NULL;
  REQUIRE(!bad || *result->message != '\0', "status %d without words", result->status);
  snprintf(request->message, sizeof request->message, "%s", bad ? result->message : "");
  snprintf(request->text, sizeof request->text, "%.*s", (int)result->text_len,
           result->text != NULL ? result->text : "");
}

static void on_report(mcp_client_t *client, const mcp_progress_t *progress, void *arg) {
  request_t *request = arg;
  (void)client;
  REQUIRE(request->made && request->fired == 0, "progress %g outside of its call", progress->progress);
  request->reports++;
}

static void was_made(request_t *request, int status) {
  request->status = status;
  request->made = status == 0;
  REQUIRE(*mcp_strerror(status) != '\0', "status %d has no words", status);
}

void harness_call(mcp_client_t *client, const char *tool, const char *args, uint64_t timeout_ms,
                  request_t *request) {
  *request = (request_t){.status = UV_ENOMEM};
  if (client == NULL)
    return;
  bool echoes = strcmp(tool, "echo") == 0 || strcmp(tool, "strict") == 0 || strcmp(tool, "block") == 0;
  if (echoes)
    request->expected = yyjson_read(args != NULL ? args : "{}", args != NULL ? strlen(args) : 2, 0);
  mcp_call_options_t options = {
      .timeout_ms = timeout_ms, .progress_cb = on_report, .progress_arg = request, .id = &request->id};
  was_made(request, mcp_client_call(client, tool, args != NULL ? harness_json(args) : NULL, &options,
                                    harness_on_result, request));
  if (!request->made) {
    yyjson_doc_free(request->expected);
    request->expected = NULL;
  }
}

void harness_request(mcp_client_t *client, const char *method, const char *params, request_t *request) {
  *request = (request_t){.status = UV_ENOMEM};
  if (client != NULL)
    was_made(request, mcp_client_request(client, method, params != NULL ? harness_json(params) : NULL, NULL,
                                         harness_on_result, request));
}

void harness_list(mcp_client_t *client, request_t *request) {
  *request = (request_t){.status = UV_ENOMEM};
  if (client != NULL)
    was_made(request, mcp_client_list_tools(client, NULL, harness_on_result, request));
}

static bool all_ended(const request_t *requests, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (requests[i].made && requests[i].fired == 0)
      return false;
  return true;
}

void harness_wait(const request_t *requests, size_t count) {
  RUN_UNTIL(all_ended(requests, count));
}

bool harness_request_succeeded(const request_t *request) {
  return request->made && request->fired == 1 && request->status == 0 && !request->is_error;
}

/* ---- clients and servers ------------------------------------------------------------------------------- */

mcp_client_t *harness_client(harness_t *harness, const char *host, const mcp_server_t *server) {
  char url[64];
  snprintf(url, sizeof url, "%s://%s:%d/", harness->scheme, host, mcp_server_port(server));
  return harness_client_at(harness, url);
}

bool harness_is_http(const harness_t *harness) {
  return strncmp(harness->scheme, "http", 4) == 0;
}

mcp_client_t *harness_client_at(harness_t *harness, const char *url) {
  mcp_client_t *client = mcp_client_new(harness->loop, url);
  REQUIRE(client != NULL || *mcp_last_error() != '\0', "no client, and no words");
  REQUIRE(client != NULL || !harness->faultless, "no client: %s", mcp_last_error());
  return client;
}

static void on_closed(mcp_client_t *client, void *arg) {
  (void)client;
  *(bool *)arg = true;
}

void harness_close_client(mcp_client_t *client) {
  bool closed = false;
  if (client == NULL)
    return;
  int status = mcp_client_close(client, on_closed, &closed);
  REQUIRE(!closed, "called back from inside of close");
  if (status == 0)
    RUN_UNTIL(closed);
  mcp_client_free(client);
}

static void on_stopped(mcp_server_t *server, void *arg) {
  (void)server;
  *(bool *)arg = true;
}

void harness_stop_server(mcp_server_t *server) {
  bool stopped = false;
  if (server != NULL && mcp_server_stop(server, on_stopped, &stopped) == 0)
    RUN_UNTIL(stopped);
  mcp_server_free(server);
}

/* ---- HTTP ---------------------------------------------------------------------------------------------- */

static bool take_answer(int fd, char *answer, size_t size, size_t *len) { /* false at end of input */
  ssize_t got = syscall(SYS_recvfrom, fd, answer + *len, size - 1 - *len, MSG_DONTWAIT, NULL, NULL);
  bool waits = got < 0 && errno == EAGAIN;
  *len += got > 0 ? (size_t)got : 0;
  answer[*len] = '\0';
  return (got > 0 || waits) && *len < size - 1;
}

bool harness_connect(int fd, const mcp_server_t *server) {
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)mcp_server_port(server)),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  return syscall(SYS_connect, fd, &address, sizeof address) == 0;
}

/* A server that paused listening resumes soon. */
void harness_http(const mcp_server_t *server, const char *request, char *answer, size_t size) {
  int fd = (int)syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
  REQUIRE(fd >= 0, "%s", strerror(errno));
  RUN_UNTIL(harness_connect(fd, server));
  REQUIRE(syscall(SYS_write, fd, request, strlen(request)) == (ssize_t)strlen(request), "%s",
          strerror(errno));
  size_t len = 0;
  RUN_UNTIL(!take_answer(fd, answer, size, &len));
  syscall(SYS_close, fd);
}

/* ---- tools --------------------------------------------------------------------------------------------- */

mcp_client_t *harness_upstream;
unsigned harness_log_lines;

static void echo_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)arg;
  mcp_call_log(call, MCP_LOG_INFO, NULL, "echo");
  mcp_call_reply(call, yyjson_val_mut_copy(mcp_call_doc(call), args));
}

static void fail_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)args;
  (void)arg;
  mcp_call_fail(call, -32042, yyjson_mut_str(mcp_call_doc(call), "why"), "number %d", 42);
}

static void error_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)args;
  (void)arg;
  mcp_call_tool_error(call, "not today");
}

static void content_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  yyjson_mut_doc *doc = mcp_call_doc(call);
  yyjson_mut_val *blocks = yyjson_mut_arr(doc), *block = yyjson_mut_arr_add_obj(doc, blocks);
  (void)arg;
  yyjson_mut_obj_add_str(doc, block, "type", "text");
  yyjson_mut_obj_add_str(doc, block, "text", "{\"n\":1}");
  mcp_call_reply_content(call, blocks, yyjson_val_mut_copy(doc, args), false);
}

static void progress_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)args;
  (void)arg;
  mcp_call_progress(call, 1, 2, "half");
  mcp_call_progress(call, 2, 2, "whole");
  mcp_call_reply_text(call, "2", 1);
}

static void on_hold_cancelled(mcp_call_t *call, void *arg) {
  (void)arg;
  mcp_call_tool_error(call, "cancelled");
}

static void hold_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)args;
  (void)arg;
  mcp_call_on_cancel(call, on_hold_cancelled, NULL);
}

static void on_relayed(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  mcp_call_t *call = arg;
  (void)client;
  if (result->status != 0 || result->is_error)
    mcp_call_tool_error(call, "%s", result->message);
  else
    mcp_call_reply(call, yyjson_val_mut_copy(mcp_call_doc(call), result->value));
}

static void relay_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  yyjson_mut_doc *copy = yyjson_mut_doc_new(NULL);
  (void)arg;
  yyjson_mut_doc_set_root(copy, yyjson_val_mut_copy(copy, args));
  int status = harness_upstream != NULL
                   ? mcp_client_call(harness_upstream, "echo", copy, &(mcp_call_options_t){.parent = call},
                                     on_relayed, call)
                   : MCP_ECLOSED;
  if (harness_upstream == NULL)
    yyjson_mut_doc_free(copy);
  if (status != 0)
    mcp_call_tool_error(call, "%s", mcp_strerror(status));
}

static void block_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)arg;
  mcp_log(MCP_LOG_INFO, "block", "at work");
  mcp_call_progress(call, 1, 0, NULL);
  mcp_call_reply(call, yyjson_val_mut_copy(mcp_call_doc(call), args));
}

static void pass_on(mcp_client_t *client, const mcp_progress_t *progress, void *arg) {
  (void)client;
  mcp_call_progress(arg, progress->progress, progress->total, progress->message);
}

/* Calls the tool progress of the server at args.url from a pool thread. */
static void ask_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  mcp_call_options_t options = {
      .timeout_ms = 5000, .parent = call, .progress_cb = pass_on, .progress_arg = call};
  yyjson_doc *answer = NULL;
  (void)arg;
  mcp_sync_client_t *client = mcp_sync_client_new(yyjson_get_str(yyjson_obj_get(args, "url")));
  int status = client != NULL ? mcp_sync_client_call(client, "progress", NULL, &options, &answer) : UV_ENOMEM;
  if (status == 0)
    mcp_call_reply(call, yyjson_val_mut_copy(mcp_call_doc(call), yyjson_doc_get_root(answer)));
  else
    mcp_call_tool_error(call, "%s: %s", mcp_strerror(status), mcp_last_error());
  yyjson_doc_free(answer);
  mcp_sync_client_free(client);
}

static void take_line(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)args;
  (void)arg;
  harness_log_lines++;
  mcp_call_reply_text(call, "1", 1);
}

#define STRICT                                                                                               \
  "{\"type\":\"object\",\"required\":[\"name\"],\"additionalProperties\":false,\"properties\":{"             \
  "\"name\":{\"type\":\"string\",\"pattern\":\"^[a-z]+$\"},\"list\":{\"type\":\"array\",\"items\":{"         \
  "\"type\":"                                                                                                \
  "\"integer\"},\"uniqueItems\":true}}}"
const mcp_tool_t harness_tools[] = {
    {.name = "echo", .handler = echo_tool},
    {.name = "fail", .handler = fail_tool},
    {.name = "error", .handler = error_tool},
    {.name = "strict", .handler = echo_tool, .input_schema = STRICT, .description = "Wants a name"},
    {.name = "content",
     .handler = content_tool,
     .output_schema = "{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"integer\"}}}"},
    {.name = "progress", .handler = progress_tool},
    {.name = "hold", .handler = hold_tool},
    {.name = "relay", .handler = relay_tool},
    {.name = "block", .handler = block_tool, .flags = MCP_TOOL_BLOCKING},
    {.name = "ask", .handler = ask_tool, .flags = MCP_TOOL_BLOCKING},
    {.name = "logger_log", .handler = take_line, .flags = MCP_TOOL_LOG_TRAFFIC},
    MCP_TOOL_END,
};

/* ---- one run ------------------------------------------------------------------------------------------- */

static void open_stage(harness_t *harness) {
  request_t request;
  harness->server = mcp_server_new("stage", "1", 0, harness_tools);
  REQUIRE(harness->server != NULL, "%s", mcp_last_error());
  mcp_server_set_log_url(harness->server, NULL);
  mcp_server_set_shutdown_timeout_ms(harness->server, 500);
  int status = mcp_server_start(harness->server, harness->loop);
  REQUIRE(status == 0, "%s", mcp_strerror(status));
  harness->bystander = harness_client(harness, "127.0.0.1", harness->server);
  harness_call(harness->bystander, "echo", "{\"a\":1}", 0, &request);
  harness_wait(&request, 1);
  REQUIRE(harness_request_succeeded(&request), "%s", request.message);
}

/* After the fault both the existing connection and a new one are served. */
static void serve_others(harness_t *harness) {
  request_t requests[2];
  mcp_client_t *newcomer = harness_client(harness, "127.0.0.1", harness->server);
  uint64_t began_ms = faults_ms();
  harness_call(harness->bystander, "echo", "{\"a\":1}", 0, &requests[0]);
  harness_call(newcomer, "echo", "{\"a\":1}", 0, &requests[1]);
  harness_wait(requests, 2);
  REQUIRE(harness_request_succeeded(&requests[0]), "the bystander: %s", requests[0].message);
  REQUIRE(harness_request_succeeded(&requests[1]), "the newcomer: %s", requests[1].message);
  REQUIRE(faults_ms() - began_ms < 5000, "others are served too late");
  harness_close_client(newcomer);
}

/* All calls of the bystander have ended as well; a single fault fails at most one of them. */
static void end_bystanding(const fault_t *fault) {
  size_t spoilt = 0;
  while (bystanding.begun < BYSTANDING)
    harness_iterate();
  harness_wait(bystanding.requests, BYSTANDING);
  bystanding.client = NULL;
  for (size_t i = 0; i < BYSTANDING; i++)
    spoilt += !harness_request_succeeded(&bystanding.requests[i]);
  REQUIRE(spoilt <= fault->count, "%zu of the bystander's calls failed, the last: %s", spoilt,
          bystanding.requests[BYSTANDING - 1].message);
}

static void on_handle(uv_handle_t *handle, void *arg) {
  if (!uv_is_closing(handle))
    *(const char **)arg = uv_handle_type_name(uv_handle_get_type(handle));
}

static void expect_nothing_left(harness_t *harness, long live) {
  const char *handle = NULL;
  RUN_UNTIL(uv_run(harness->loop, UV_RUN_NOWAIT) == 0);
  uv_walk(harness->loop, on_handle, &handle);
  REQUIRE(handle == NULL, "a handle is left: %s", handle);
  for (int ms = 0; faults_live_allocations() != live && ms < (int)wait_limit_ms();
       ms++) /* a detached thread may still be ending */
    uv_sleep(1);
  REQUIRE(faults_live_allocations() == live, "%ld allocations are left", faults_live_allocations() - live);
}

void harness_run_scenario(const scenario_t *scenario, uv_loop_t *loop, const fault_t *fault) {
  harness_t harness = {.loop = loop, .scheme = "ws", .faultless = true};
  long live = faults_live_allocations();
  turning = loop;
  faults_set_clock_speed(scenario->waits_for_threads ? 20 : 50);
  open_stage(&harness);
  harness.scheme = scenario->scheme != NULL ? scenario->scheme : harness.scheme;
  if (scenario->before != NULL)
    scenario->before(&harness);
  harness.faultless = fault->count == 0;
  faults_arm(fault);
  bystanding.client = harness.bystander;
  bystanding.begun = 0;
  scenario->during(&harness);
  faults_disarm();
  end_bystanding(fault);
  harness.faultless = true;
  serve_others(&harness);
  if (scenario->after != NULL)
    scenario->after(&harness);
  harness_close_client(harness.bystander);
  harness_stop_server(harness.server);
  expect_nothing_left(&harness, live);
}
