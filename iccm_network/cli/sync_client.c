/* sync_client.c: the asynchronous client as straight-line code for one-shot commands.
 *
 * session_call() starts a call, runs the loop, and its callback stops the loop. One deadline covers all
 * stages and all requests of a session. Ending closes the connection properly, but waits for that only so
 * long: the answer is there already, and a peer or a resolver that hangs must not keep the command.
 */
#include <string.h>
#include <unistd.h>
#include "report.h"
#include "sync_client.h"

enum { MAX_MESSAGE_BYTES = 200 * 1024 * 1024, NS_PER_MS = 1000000 };

typedef struct waiting {
  session_t *session;
  session_cb cb;
  void *arg;
} waiting_t;

static void on_state(mcp_client_t *client, int status, const char *reason, void *arg) {
  session_t *session = arg;
  (void)client;
  (void)reason;
  if (status != 0)
    return; /* the library logs this, and the request says it */
  session->connected = true;
  const char *url = session->options->url != NULL ? session->options->url : "Godot";
  char shown[MCP_SHOWN_SIZE];
  mcp_log(MCP_LOG_DEBUG, "iccm", "connected to %s", mcp_redact_setting(NULL, url, shown));
}

mcp_client_t *session_client(uv_loop_t *loop, const options_t *options) {
  mcp_client_t *client =
      options->url != NULL ? mcp_client_new(loop, options->url) : mcp_client_new_godot(loop);
  if (client == NULL)
    return NULL;
  mcp_client_set_max_message_bytes(client, MAX_MESSAGE_BYTES);
  mcp_client_set_fail_fast(client, true);
  mcp_client_set_tls_verify(client, !options->insecure);
  return client;
}

int session_begin(session_t *session, const options_t *options, const print_t *out) {
  *session = (session_t){.options = options};
  int status = uv_loop_init(&session->loop);
  if (status != 0) /* UNTESTED: needs a process without descriptors */
    return report_usage(options, out, "no event loop: %s", uv_strerror(status));
  session->client = session_client(&session->loop, options);
  if (session->client == NULL) {
    uv_loop_close(&session->loop);
    return report_usage(options, out, "%s", mcp_last_error());
  }
  mcp_client_on_state(session->client, on_state, session);
  return 0;
}

/* A request that was not the first had less time than the option says: the words name the option. */
static void on_result(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  waiting_t *waiting = arg;
  session_t *session = waiting->session;
  mcp_result_t named = *result;
  char words[640];
  const char *end = result->status == MCP_ETIMEOUT ? strstr(result->message, "no answer within ") : NULL;
  (void)client;
  if (end != NULL) {
    snprintf(words, sizeof words, "%.*sno answer within %llu ms", (int)(end - result->message),
             result->message, (unsigned long long)session->options->timeout_ms);
    named.message = words;
  }
  waiting->cb(session, &named, waiting->arg);
  uv_stop(&session->loop);
}

static uint64_t left_ms(session_t *session) {
  uint64_t now = uv_hrtime();
  if (session->deadline_ns == 0)
    session->deadline_ns = now + session->options->timeout_ms * NS_PER_MS;
  return now < session->deadline_ns ? (session->deadline_ns - now + NS_PER_MS - 1) / NS_PER_MS : 1;
}

/* Runs the loop until the callback of a request that was accepted (0), or says at once why it was not. */
static void finish(waiting_t *waiting, int status) {
  if (status == 0) {
    uv_run(&waiting->session->loop, UV_RUN_DEFAULT);
    return;
  }
  mcp_result_t result = {.status = status, .message = mcp_strerror(status)};
  waiting->cb(waiting->session, &result, waiting->arg);
}

void session_call(session_t *session, const char *tool, yyjson_mut_doc *params, session_cb cb, void *arg) {
  waiting_t waiting = {session, cb, arg};
  finish(&waiting, mcp_client_call(session->client, tool, params, left_ms(session), on_result, &waiting));
}

void session_request(session_t *session, const char *method, yyjson_mut_doc *params, session_cb cb,
                     void *arg) {
  waiting_t waiting = {session, cb, arg};
  finish(&waiting,
         mcp_client_request(session->client, method, params, left_ms(session), on_result, &waiting));
}

void session_list_tools(session_t *session, uint64_t max_ms, session_cb cb, void *arg) {
  waiting_t waiting = {session, cb, arg};
  uint64_t left = left_ms(session);
  uint64_t timeout_ms = max_ms > 0 && max_ms < left ? max_ms : left;
  finish(&waiting, mcp_client_list_tools(session->client, timeout_ms, on_result, &waiting));
}

mcp_stage_t session_reached(const session_t *session) {
  return session->connected ? MCP_STAGE_OPEN : mcp_client_stage(session->client);
}

void session_renew(session_t *session) {
  session->deadline_ns = 0;
}

static void on_pause_over(uv_timer_t *timer) {
  uv_stop(timer->loop);
}

static void on_timer_closed(uv_handle_t *timer) {
  *(bool *)timer->data = true;
}

void session_pause(session_t *session, uint64_t ms) {
  uv_timer_t timer;
  bool closed = false;
  uv_timer_init(&session->loop, &timer);
  timer.data = &closed;
  uv_update_time(&session->loop);
  uv_timer_start(&timer, on_pause_over, ms, 0);
  uv_run(&session->loop, UV_RUN_DEFAULT);
  uv_close((uv_handle_t *)&timer, on_timer_closed);
  while (!closed)
    uv_run(&session->loop, UV_RUN_NOWAIT);
}

static void on_closed(mcp_client_t *client, void *arg) {
  (void)client;
  uv_close(arg, NULL);
}

void session_on_overdue(uv_timer_t *timer) {
  fflush(NULL);
  _exit(*(int *)timer->data); /* exit() would wait for libuv's threads, where a resolver may hang */
}

int session_end(session_t *session, int code) {
  uv_timer_t overdue;
  overdue.data = &code;
  uv_timer_init(&session->loop, &overdue);
  uv_timer_start(&overdue, session_on_overdue, SESSION_END_MS, 0);
  mcp_client_close(session->client, on_closed, &overdue);
  uv_run(&session->loop, UV_RUN_DEFAULT);
  mcp_client_free(session->client);
  uv_loop_close(&session->loop);
  return code;
}
