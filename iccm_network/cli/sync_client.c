/* sync_client.c: wraps the asynchronous client for one-shot commands.
 *
 * sync_client_call() starts a call and runs the loop; its callback stops the loop. One deadline covers all
 * stages and all requests of a client. Closing has a time limit: the result is already available, and a
 * hanging peer or resolver must not block the command.
 */
#include <iccm_service.h>
#include <string.h>
#include <unistd.h>
#include "check_alloc.h"
#include "error_report.h"
#include "sync_client.h"

enum {
  MAX_MESSAGE_BYTES = 200 * 1024 * 1024,
  NS_PER_MS = 1000000,
  CLOSE_MS = 1000,
  CLOSE_PROGRAM_MS = 5000 /* the library ends a program within 4 s */
};

typedef struct sync_request {
  sync_client_t *sync;
  sync_client_cb cb;
  void *arg;
} sync_request_t;

static void on_state(mcp_client_t *client, int status, const char *reason, void *arg) {
  sync_client_t *sync = arg;
  (void)client;
  (void)reason;
  if (status != 0)
    return; /* the library logs the reason, and the request fails with it */
  sync->connected = true;
  const options_t *options = sync->options;
  const char *url = options->program != NULL ? options->program[0] : options->url;
  char shown[MCP_SHOWN_SIZE];
  mcp_log(MCP_LOG_DEBUG, "iccm", "connected to %s",
          mcp_redact_setting(NULL, url != NULL ? url : "Godot", shown));
}

mcp_client_t *sync_client_new_client(uv_loop_t *loop, const options_t *options) {
  mcp_client_t *client = options->program != NULL
                             ? mcp_client_new_stdio(loop, (const char *const *)options->program)
                         : options->url != NULL ? mcp_client_new(loop, options->url)
                                                : mcp_client_new_godot(loop);
  if (client == NULL)
    return NULL;
  mcp_client_set_max_message_bytes(client, MAX_MESSAGE_BYTES);
  mcp_client_set_fail_fast(client, true);
  mcp_client_set_tls_verify(client, !options->insecure);
  return client;
}

int sync_client_open(sync_client_t *sync, const options_t *options, const print_t *out) {
  *sync = (sync_client_t){.options = options};
  int status = uv_loop_init(&sync->loop);
  if (status != 0) /* UNTESTED: needs a process without descriptors */
    return report_usage_error(options, out, "cannot create an event loop: %s", uv_strerror(status));
  sync->client = sync_client_new_client(&sync->loop, options);
  if (sync->client == NULL) {
    uv_loop_close(&sync->loop);
    return report_usage_error(options, out, "%s", mcp_last_error());
  }
  mcp_client_on_state(sync->client, on_state, sync);
  return 0;
}

/* A later request had less time than --timeout: the message is changed to name the value of --timeout. */
static void on_result(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  sync_request_t *request = arg;
  sync_client_t *sync = request->sync;
  mcp_result_t adjusted = *result;
  char message[640];
  const char *end = result->status == MCP_ETIMEOUT ? strstr(result->message, "no answer within ") : NULL;
  (void)client;
  if (end != NULL) {
    snprintf(message, sizeof message, "%.*sno answer within %llu ms", (int)(end - result->message),
             result->message, (unsigned long long)sync->options->timeout_ms);
    adjusted.message = message;
  }
  request->cb(sync, &adjusted, request->arg);
  uv_stop(&sync->loop);
}

static uint64_t remaining_ms(sync_client_t *sync) {
  uint64_t now = uv_hrtime();
  if (sync->deadline_ns == 0)
    sync->deadline_ns = now + sync->options->timeout_ms * NS_PER_MS;
  return now < sync->deadline_ns ? (sync->deadline_ns - now + NS_PER_MS - 1) / NS_PER_MS : 1;
}

/* status 0: runs the loop until the request's callback; otherwise calls the callback with status. */
static void run_request(sync_request_t *request, int status) {
  if (status == 0) {
    uv_run(&request->sync->loop, UV_RUN_DEFAULT);
    return;
  }
  mcp_result_t result = {.status = status, .message = mcp_strerror(status)};
  request->cb(request->sync, &result, request->arg);
}

void sync_client_call(sync_client_t *sync, const char *tool, yyjson_mut_doc *params, sync_client_cb cb,
                      void *arg) {
  sync_request_t request = {sync, cb, arg};
  mcp_call_options_t call_options = {
      .timeout_ms = remaining_ms(sync), .progress_cb = sync->progress_cb, .progress_arg = sync->progress_arg};
  run_request(&request, mcp_client_call(sync->client, tool, params, &call_options, on_result, &request));
}

void sync_client_request(sync_client_t *sync, const char *method, yyjson_mut_doc *params, sync_client_cb cb,
                         void *arg) {
  sync_request_t request = {sync, cb, arg};
  run_request(&request, mcp_client_request(sync->client, method, params,
                                           &(mcp_call_options_t){.timeout_ms = remaining_ms(sync)}, on_result,
                                           &request));
}

void sync_client_list_tools(sync_client_t *sync, uint64_t max_ms, sync_client_cb cb, void *arg) {
  sync_request_t request = {sync, cb, arg};
  uint64_t left = remaining_ms(sync);
  uint64_t timeout_ms = max_ms > 0 && max_ms < left ? max_ms : left;
  run_request(&request, mcp_client_list_tools(sync->client, &(mcp_call_options_t){.timeout_ms = timeout_ms},
                                              on_result, &request));
}

mcp_stage_t sync_client_stage(const sync_client_t *sync) {
  return sync->connected ? MCP_STAGE_OPEN : mcp_client_stage(sync->client);
}

void sync_client_reset_deadline(sync_client_t *sync) {
  sync->deadline_ns = 0;
}

static void on_sleep_timer(uv_timer_t *timer) {
  uv_stop(timer->loop);
}

static void on_timer_closed(uv_handle_t *timer) {
  *(bool *)timer->data = true;
}

void sync_client_sleep(sync_client_t *sync, uint64_t ms) {
  uv_timer_t timer;
  bool closed = false;
  uv_timer_init(&sync->loop, &timer);
  timer.data = &closed;
  uv_update_time(&sync->loop);
  uv_timer_start(&timer, on_sleep_timer, ms, 0);
  uv_run(&sync->loop, UV_RUN_DEFAULT);
  uv_close((uv_handle_t *)&timer, on_timer_closed);
  while (!closed)
    uv_run(&sync->loop, UV_RUN_NOWAIT);
}

static void on_closed(mcp_client_t *client, void *arg) {
  (void)client;
  uv_close(arg, NULL);
}

uint64_t sync_client_close_ms(const options_t *options) {
  return options->program != NULL ? CLOSE_PROGRAM_MS : CLOSE_MS;
}

void sync_client_on_close_timeout(uv_timer_t *timer) {
  fflush(NULL);
  _exit(*(int *)timer->data); /* exit() would wait for libuv's threads, where a resolver may hang */
}

int sync_client_close(sync_client_t *sync, int code) {
  uv_timer_t close_timer;
  close_timer.data = &code;
  uv_timer_init(&sync->loop, &close_timer);
  uv_timer_start(&close_timer, sync_client_on_close_timeout, sync_client_close_ms(sync->options), 0);
  mcp_client_close(sync->client, on_closed, &close_timer);
  uv_run(&sync->loop, UV_RUN_DEFAULT);
  mcp_client_free(sync->client);
  uv_loop_close(&sync->loop);
  return code;
}

/* ---- the server's name ----------------------------------------------------------------------------- */

static void on_initialize(sync_client_t *sync, const mcp_result_t *result, void *arg) {
  yyjson_val *info = result->status == 0 ? yyjson_obj_get(result->value, "serverInfo") : NULL;
  const char *name = yyjson_get_str(yyjson_obj_get(info, "name"));
  bool usable = name != NULL && *name != '\0' && strlen(name) < SYNC_CLIENT_NAME_SIZE;
  (void)sync;
  for (const char *each = name; usable && *each != '\0'; each++)
    usable = (unsigned char)*each >= ' ' && *each != 0x7f;
  if (usable)
    memcpy(arg, name, strlen(name) + 1);
}

/* The client handles the response to its own initialize: this one is the second over a connection that is
 * used for nothing else, since it may reset a session. */
int sync_client_server_name(const options_t *options, const print_t *out, char name[SYNC_CLIENT_NAME_SIZE]) {
  static const char text[] = "{\"protocolVersion\":\"2024-11-05\",\"capabilities\":{},"
                             "\"clientInfo\":{\"name\":\"iccm\",\"version\":\"" ICCM_VERSION "\"}}";
  sync_client_t sync;
  int code = sync_client_open(&sync, options, out);
  if (code != 0)
    return code;
  yyjson_doc *params = check_alloc(mcp_json_read(text, strlen(text)));
  sync_client_request(&sync, "initialize", check_alloc(yyjson_doc_mut_copy(params, NULL)), on_initialize,
                      name);
  yyjson_doc_free(params);
  mcp_client_close(sync.client, NULL, NULL); /* sync_client_close() may end the process */
  uv_run(&sync.loop, UV_RUN_DEFAULT);
  mcp_client_free(sync.client);
  uv_loop_close(&sync.loop);
  return 0;
}
