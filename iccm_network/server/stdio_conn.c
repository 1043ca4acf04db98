/* stdio_conn.c: the host of a server on standard input and output.
 *
 * Happy path: each line is passed to the session, and each response is a line. Output is written at the end
 * of the loop iteration. Reading pauses under the conditions of conn.c, so that a fast host delays only
 * itself. When the input ends, the calls in flight end and their responses are written; then the server is
 * asked to stop. Failure: a line over the limit gets an error response. If the output is closed, is not read
 * for 30 s, or memory is exhausted, the calls are cancelled and the server is asked to stop. */
#include "server/stdio_conn.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_SIZE = 128 };

static uint64_t now(const mcp__stdio_conn_t *conn) {
  return uv_now(conn->all->loop);
}

static void on_idle(uv_idle_t *idle) {
  (void)idle; /* on_prepare() follows */
}

/* on_prepare() has something to do: the loop must not wait before it. */
static void request_prepare(mcp__stdio_conn_t *conn) {
  if (conn->state != MCP__STDIO_CLOSED)
    uv_idle_start(&conn->idle, on_idle);
}

static void charge(mcp__stdio_conn_t *conn) {
  size_t bytes = conn->state == MCP__STDIO_CLOSED ? 0 : mcp__stdio_memory(&conn->stdio);
  mcp__budget_charge(&conn->session.caller.account, &conn->charged_bytes, bytes);
}

static bool has_calls(const mcp__stdio_conn_t *conn) {
  const mcp__caller_t *caller = &conn->session.caller;
  return caller->in_flight != NULL || caller->waiting != NULL;
}

/* ---- end ------------------------------------------------------------------------------------------- */

static void report_end(mcp__stdio_conn_t *conn) {
  if (conn->end_reported)
    return;
  conn->end_reported = true;
  conn->events->on_end(conn->arg);
}

static void end_session(mcp__stdio_conn_t *conn, mcp__stdio_state_t state) {
  assert(state > conn->state);
  conn->state = state;
  mcp__stdio_read(&conn->stdio, false);
  if (conn->deferred != NULL)
    mcp__call_release(conn->deferred);
  conn->deferred = NULL;
  mcp__session_close(&conn->session);
}

static void fail_host(mcp__stdio_conn_t *conn, int level, const char *reason) {
  if (conn->state != MCP__STDIO_OPEN)
    return;
  mcp_log(level, conn->peer.log->component, "stopping, because the host cannot be served: %s", reason);
  end_session(conn, MCP__STDIO_FAILED);
  request_prepare(conn);
}

static void finish(mcp__stdio_conn_t *conn) {
  end_session(conn, MCP__STDIO_FINISHING);
  conn->finishing_ms = now(conn);
  request_prepare(conn);
}

static void on_part_closed(mcp__stdio_conn_t *conn) {
  if (--conn->open_parts > 0)
    return;
  if (conn->events != NULL)
    conn->events->on_closed(conn->arg);
  mcp__free(conn);
}

static void on_handle_closed(uv_handle_t *handle) {
  on_part_closed(handle->data);
}

static void close_now(mcp__stdio_conn_t *conn) {
  if (conn->state < MCP__STDIO_FINISHING)
    end_session(conn, MCP__STDIO_FINISHING);
  conn->state = MCP__STDIO_CLOSED;
  charge(conn);
  mcp__session_deinit(&conn->session);
  mcp__budget_leave(&conn->all->memory, conn->session.caller.address);
  conn->open_parts = 3;
  uv_close((uv_handle_t *)&conn->prepare, on_handle_closed);
  uv_close((uv_handle_t *)&conn->idle, on_handle_closed);
  mcp__stdio_close(&conn->stdio);
}

/* ---- transport of the session ----------------------------------------------------------------------
 * All messages of the session arrive on the same stream: origins are ignored. */

static mcp__stdio_conn_t *conn_of(const mcp__session_t *session) {
  return session->arg;
}

static bool is_open(const mcp__session_t *session, const void *origin) {
  (void)origin;
  return conn_of(session)->state == MCP__STDIO_OPEN;
}

static mcp__buf_t *begin_message(mcp__session_t *session, void *origin, int kind, size_t *at) {
  mcp__buf_t *out = &conn_of(session)->stdio.queued;
  (void)origin;
  (void)kind;
  *at = out->len;
  return out;
}

static int end_message(mcp__session_t *session, void *origin, size_t at, int status) {
  mcp__stdio_conn_t *conn = conn_of(session);
  mcp__buf_t *out = &conn->stdio.queued;
  (void)origin;
  if (status == 0)
    status = mcp__stdio_end_line(&conn->stdio, at);
  if (status != 0)
    out->len = at;
  else if (out->len - at > conn->largest_response)
    conn->largest_response = out->len - at;
  return status;
}

/* Output is written by on_prepare(), which runs before the loop waits. */
static void wake(mcp__session_t *session, void *origin) {
  (void)origin;
  charge(conn_of(session));
  request_prepare(conn_of(session));
}

static bool has_room(const mcp__session_t *session, const void *origin) {
  (void)origin;
  return mcp__stdio_backlog(&conn_of(session)->stdio) <= MCP__CONN_BACKLOG_PAUSE;
}

static void fail(mcp__session_t *session, void *origin, const char *reason) {
  (void)origin;
  fail_host(conn_of(session), MCP_LOG_ERROR, reason);
}

static void call_removed(mcp__session_t *session) {
  request_prepare(conn_of(session)); /* which begins the next one */
}

static const mcp__transport_t transport = {.is_open = is_open,
                                           .begin = begin_message,
                                           .end = end_message,
                                           .wake = wake,
                                           .has_room = has_room,
                                           .fail = fail,
                                           .call_removed = call_removed};

/* ---- input ----------------------------------------------------------------------------------------- */

static void count_message(mcp__stdio_conn_t *conn) {
  if (conn->window != conn->all->window)
    conn->window_messages = 0;
  conn->window = conn->all->window;
  conn->window_messages += conn->all->max_messages > 0;
}

static bool is_over_message_rate(const mcp__stdio_conn_t *conn) {
  const mcp__conns_t *all = conn->all;
  return all->max_messages > 0 && conn->window == all->window && conn->window_messages >= all->max_messages;
}

static bool exceeds_share(const mcp__stdio_conn_t *conn) {
  const mcp__caller_t *caller = &conn->session.caller;
  return mcp__budget_exceeds_share(&conn->all->memory, caller->address, &caller->account);
}

/* Over its share only while it has calls: their end frees memory and resumes. */
static bool should_pause(const mcp__stdio_conn_t *conn) {
  return mcp__session_is_full(&conn->session) || mcp__stdio_backlog(&conn->stdio) > MCP__CONN_BACKLOG_PAUSE ||
         is_over_message_rate(conn) || (has_calls(conn) && exceeds_share(conn));
}

/* Small messages are always parsed, and each if nothing else holds memory that will be freed. */
static bool may_parse(mcp__stdio_conn_t *conn, mcp_call_t *call) {
  const mcp__budget_t *memory = &conn->all->memory;
  if (call->text.len <= MCP__BUF_QUOTA_FROM_BYTES)
    return true;
  mcp__call_charge(call);
  return mcp__budget_has(memory, mcp__session_parse_memory(conn->stdio.max_line)) ||
         mcp__budget_has(memory, mcp__jsonrpc_memory(call->text.data, call->text.len)) ||
         (!has_calls(conn) && mcp__stdio_backlog(&conn->stdio) == 0);
}

static void serve_or_defer(mcp__stdio_conn_t *conn, mcp_call_t *call) {
  if (may_parse(conn, call))
    mcp__session_serve(&conn->session, call, conn);
  else
    conn->deferred = call;
}

static void on_line(mcp__buf_t *line, void *arg) {
  mcp__stdio_conn_t *conn = arg;
  conn->all->service->counters.now_ns = uv_hrtime();
  count_message(conn);
  mcp_call_t *call = mcp__call_acquire(&conn->session.caller);
  if (call == NULL) {
    fail_host(conn, MCP_LOG_ERROR, "out of memory for a call");
    return;
  }
  mcp__buf_swap(&call->text, line);
  serve_or_defer(conn, call);
  if (conn->deferred != NULL || should_pause(conn))
    mcp__stdio_read(&conn->stdio, false); /* until on_prepare() resumes */
}

static void on_discarded(int status, void *arg) {
  static const char too_large[] = "a message is larger than the limit";
  mcp__stdio_conn_t *conn = arg;
  mcp__buf_t *out = &conn->stdio.queued;
  char text[TEXT_SIZE];
  size_t at = out->len;
  if (status != MCP_ETOOBIG) {
    fail_host(conn, MCP_LOG_ERROR, "out of memory for input");
    return;
  }
  snprintf(text, sizeof text, "the message is larger than %zu bytes (set ICCM_MAX_MESSAGE_BYTES)",
           conn->stdio.max_line);
  mcp__server_log_throttled(&conn->peer, now(conn), too_large, "refused", "", too_large);
  mcp__count_refusal(&conn->all->service->counters, MCP_INVALID_REQUEST);
  status = mcp__jsonrpc_error(out, "null", 4, MCP_INVALID_REQUEST, text, NULL, 0);
  if (end_message(&conn->session, conn, at, status) != 0)
    fail_host(conn, MCP_LOG_ERROR, "out of memory for a response");
  request_prepare(conn);
}

static void on_eof(int status, void *arg) {
  mcp__stdio_conn_t *conn = arg;
  conn->input_ended = true;
  request_prepare(conn);
  if (status != 0)
    mcp_log(MCP_LOG_ERROR, conn->peer.log->component, "cannot read standard input: %s", mcp_strerror(status));
}

static void on_written(void *arg) {
  request_prepare(arg);
}

static void on_stdio_closed(void *arg) {
  on_part_closed(arg);
}

static const mcp__stdio_events_t stdio_events = {on_line, on_discarded, on_eof, on_stdio_closed, on_written};

/* ---- before the loop waits ------------------------------------------------------------------------- */

static void resume(mcp__stdio_conn_t *conn) {
  mcp_call_t *deferred = conn->deferred;
  mcp__session_begin_waiting(&conn->session);
  if (conn->state != MCP__STDIO_OPEN || should_pause(conn))
    return;
  conn->deferred = NULL;
  if (deferred != NULL)
    serve_or_defer(conn, deferred);
  if (conn->state == MCP__STDIO_OPEN && conn->deferred == NULL)
    mcp__stdio_read(&conn->stdio, true);
}

static void check_output(mcp__stdio_conn_t *conn) {
  int status = conn->stdio.write_error;
  if (status == UV_EPIPE)
    fail_host(conn, MCP_LOG_INFO, "it has closed standard output");
  else if (status != 0)
    fail_host(conn, MCP_LOG_ERROR, mcp_strerror(status));
}

static bool is_complete(const mcp__stdio_conn_t *conn) {
  return conn->input_ended && !has_calls(conn) && conn->deferred == NULL &&
         mcp__stdio_backlog(&conn->stdio) == 0;
}

static void on_prepare(uv_prepare_t *prepare) {
  mcp__stdio_conn_t *conn = prepare->data;
  uv_idle_stop(&conn->idle);
  if (conn->state == MCP__STDIO_OPEN)
    resume(conn);
  if (conn->state == MCP__STDIO_OPEN)
    mcp__session_write_notifications(&conn->session);
  mcp__stdio_flush(&conn->stdio);
  charge(conn);
  check_output(conn);
  if (conn->state == MCP__STDIO_FAILED || (conn->state == MCP__STDIO_OPEN && is_complete(conn)))
    report_end(conn);
  if (conn->state == MCP__STDIO_FINISHING && mcp__stdio_backlog(&conn->stdio) == 0)
    close_now(conn);
}

/* ---- timeouts and stop ----------------------------------------------------------------------------- */

static bool is_write_stalled(mcp__stdio_conn_t *conn, uint64_t now_ms) {
  size_t bytes = mcp__stdio_backlog(&conn->stdio) - conn->stdio.queued.len;
  if (bytes == 0 || bytes != conn->stalled_bytes || conn->stalled_ms == 0) {
    conn->stalled_bytes = bytes;
    conn->stalled_ms = bytes > 0 ? now_ms : 0;
    return false;
  }
  return now_ms - conn->stalled_ms > MCP__CONN_WRITE_STALL_MS;
}

static bool backlog_too_large(const mcp__stdio_conn_t *conn) {
  size_t backlog = mcp__stdio_backlog(&conn->stdio), most = MCP__CONN_BACKLOG_CLOSE;
  if (conn->largest_response > most / 2)
    most = conn->largest_response * 2;
  return backlog > most || (backlog > MCP__CONN_BACKLOG_PAUSE && exceeds_share(conn) &&
                            !mcp__budget_has(&conn->all->memory, 0));
}

void mcp__stdio_conn_tick(mcp__stdio_conn_t *conn, uint64_t now_ms) {
  if (conn->state == MCP__STDIO_OPEN && (is_write_stalled(conn, now_ms) || backlog_too_large(conn)))
    fail_host(conn, MCP_LOG_ERROR, "responses are not being read");
  if (conn->state == MCP__STDIO_FINISHING && now_ms - conn->finishing_ms > MCP__CONN_DRAIN_MS)
    close_now(conn);
}

void mcp__stdio_conn_stop(mcp__stdio_conn_t *conn, bool at_once) {
  if (conn->state == MCP__STDIO_OPEN)
    mcp__session_end_subscriptions(&conn->session);
  if (conn->state < MCP__STDIO_FINISHING && (at_once || !has_calls(conn)))
    finish(conn);
}

void mcp__stdio_conn_abort(mcp__stdio_conn_t *conn) {
  conn->events = NULL;
  close_now(conn);
}

/* ---- open ------------------------------------------------------------------------------------------ */

static void init(mcp__stdio_conn_t *conn, mcp__conns_t *all) {
  mcp__caller_t *caller = &conn->session.caller;
  conn->all = all;
  conn->peer.log = all->log;
  snprintf(conn->peer.name, sizeof conn->peer.name, "stdio");
  mcp__session_init(&conn->session, all->service, &transport, &conn->peer, conn);
  conn->session.origin = conn;
  conn->session.protocol_version = MCP__2024_11_05; /* until an initialize */
  caller->account.parent = &caller->address->account;
  uv_prepare_init(all->loop, &conn->prepare);
  uv_idle_init(all->loop, &conn->idle);
  conn->prepare.data = conn->idle.data = conn;
  uv_prepare_start(&conn->prepare, on_prepare);
}

int mcp__stdio_conn_open(mcp__stdio_conn_t **opened, mcp__conns_t *all,
                         const mcp__stdio_conn_events_t *events, void *arg) {
  int fds[2];
  mcp__stdio_conn_t *conn = mcp__calloc(sizeof *conn);
  mcp__budget_address_t *address = conn != NULL ? mcp__budget_join(&all->memory, 0) : NULL;
  int status = address != NULL ? mcp__stdio_take(fds) : UV_ENOMEM;
  if (status != 0) {
    if (address != NULL)
      mcp__budget_leave(&all->memory, address);
    mcp__free(conn);
    return status;
  }
  conn->session.caller.address = address;
  init(conn, all);
  status =
      mcp__stdio_open(&conn->stdio, all->loop, fds, all->service->calls.max_message, &stdio_events, conn);
  if (status != 0) {
    mcp__stdio_conn_abort(conn);
    return status;
  }
  conn->events = events;
  conn->arg = arg;
  *opened = conn;
  return 0;
}
