/* conn_http.c: HTTP requests of a connection.
 *
 * Happy path: a POST brings one message, which its session serves; the response goes out by the exchange, and
 * the connection waits for the next request. Requests of 2026-07-28, and those without a session, are served
 * by the connection's own session, others by the one that they name. While a request is served,
 * further input waits; only the end of the connection is noticed. Failure: a request that cannot be served is
 * refused, and the connection closes. When the connection ends, the calls of its own session are cancelled;
 * those of a named session go on, as the older revisions want it, and their responses are dropped. */
#include "server/conn_parts.h"
#include "transport/http_body.h"
#include "transport/http_request.h"

#include <string.h>

static mcp__conn_t *conn_of(mcp__exchange_t *exchange) {
  return exchange->arg;
}

static uint64_t now(const mcp__conn_t *conn) {
  return uv_now(conn->all->loop);
}

/* ---- one request after the other --------------------------------------------------------------------- */

static void release_session(mcp__conn_http_t *http, uint64_t now_ms) {
  if (http->session != NULL)
    mcp__http_session_release(http->session, now_ms);
  http->session = NULL;
}

static void release_deferred(mcp__conn_t *conn) {
  if (conn->deferred != NULL)
    mcp__call_release(conn->deferred);
  conn->deferred = NULL;
}

static void on_output(mcp__exchange_t *exchange) {
  mcp__conn_t *conn = conn_of(exchange);
  mcp__stream_dirty(&conn->stream);
  mcp__conn_charge(conn);
  if (!mcp__budget_has(&conn->all->memory, 0))
    conn->all->request_tick(conn->all->arg);
}

/* What follows is read once this response is written, see mcp__conn_http_resume(). */
static void on_done(mcp__exchange_t *exchange) {
  mcp__conn_t *conn = conn_of(exchange);
  mcp__conn_http_t *http = conn->http;
  release_deferred(conn); /* its session was deleted, or the server stops */
  release_session(http, now(conn));
  mcp__stream_dirty(&conn->stream);
  mcp__head_deinit(conn->head);
  if (!exchange->keep_alive || conn->all->stopping || mcp__head_init(conn->head, true) != 0) {
    mcp__conn_start_closing(conn);
    return;
  }
  http->phase = MCP__HTTP_READS_HEAD;
  http->since_ms = now(conn);
  mcp__buf_clear(&http->body, MCP__STREAM_KEEP_BYTES);
}

static void on_fail(mcp__exchange_t *exchange, const char *reason) {
  mcp__conn_t *conn = conn_of(exchange);
  if (exchange->state == MCP__EXCHANGE_WAITING)
    mcp__conn_refuse(conn, 503, reason);
  else
    mcp__conn_close_now(conn);
}

static bool begin_http(mcp__conn_t *conn) {
  static const mcp__exchange_events_t events = {on_output, on_done, on_fail};
  if (conn->http == NULL) {
    mcp__conn_http_t *http = mcp__calloc(sizeof *http);
    if (http == NULL) {
      mcp__conn_close_now(conn);
      return false;
    }
    http->exchange = (mcp__exchange_t){.stream = &conn->stream, .events = &events, .arg = conn};
    mcp__buf_init(&http->body, conn->ws_config.max_message, &conn->quota);
    conn->http = http;
  }
  if (conn->state == MCP__CONN_HANDSHAKE)
    mcp__conn_enter(conn, MCP__CONN_HTTP);
  return true;
}

static void begin_exchange(mcp__conn_t *conn, mcp__session_t *session) {
  mcp__conn_http_t *http = conn->http;
  http->phase = MCP__HTTP_BUSY;
  http->exchange.keep_alive = mcp__http_keeps_alive(conn->head) && !conn->all->stopping;
  mcp__exchange_begin(&http->exchange, conn->head, session, now(conn));
}

void mcp__conn_http_respond(mcp__conn_t *conn, int status, const char *type, const char *body, size_t len) {
  if (!begin_http(conn))
    return;
  begin_exchange(conn, &conn->session);
  mcp__exchange_respond(&conn->http->exchange, status, type, body, len);
}

/* ---- sessions ---------------------------------------------------------------------------------------- */

/* Of a request without the header: 2025-03-26, unless its body says something else. */
static mcp__protocol_version_t named_version(const mcp__head_t *head) {
  const char *name = mcp__head_value(head, MCP__H_MCP_VERSION);
  mcp__protocol_version_t version = MCP__2025_03_26;
  if (name != NULL && !mcp__protocol_version_parse(name, strlen(name), &version))
    version = MCP__2026_07_28; /* then the body has to name it, too, and learns that it is unknown */
  return version;
}

/* Each initialize gets a new session. A body that holds the word somewhere else gets one, too,
 * which ends with the request: mcp__http_session_t.is_temporary. */
static bool may_initialize(const mcp__buf_t *body) {
  static const char word[] = "\"initialize\"";
  if (body->len == 0)
    return false;
  const char *at = body->data, *end = at + body->len;
  while (at != NULL && (size_t)(end - at) >= sizeof word - 1) {
    if (memcmp(at, word, sizeof word - 1) == 0)
      return true;
    at = memchr(at + 1, '"', (size_t)(end - at) - 1);
  }
  return false;
}

static void respond_error(mcp__conn_t *conn, int status, const char *text) {
  mcp__count_refusal(&conn->all->service->counters, status);
  mcp__exchange_respond(&conn->http->exchange, status, MCP__HTTP_PLAIN_TEXT, text, strlen(text));
}

static void hold_session(mcp__conn_t *conn, mcp__http_session_t *session) {
  mcp__http_session_hold(&conn->all->http_sessions, session);
  conn->http->session = session;
  conn->http->exchange.session = &session->session;
}

/* Chooses the session that serves the request. False: a response says why there is none. */
static bool choose_session(mcp__conn_t *conn) {
  mcp__http_sessions_t *all = &conn->all->http_sessions;
  const char *id = mcp__head_value(conn->head, MCP__H_MCP_SESSION);
  mcp__protocol_version_t version = named_version(conn->head);
  conn->session.protocol_version = version;
  if (version >= MCP__2026_07_28)
    return true; /* it knows no sessions */
  mcp__http_session_t *session = id != NULL ? mcp__http_sessions_find(all, id, conn->peer.token) : NULL;
  if (id != NULL && session == NULL) {
    respond_error(conn, 404, "no such session: send initialize without Mcp-Session-Id\n");
    return false;
  }
  if (session == NULL && may_initialize(&conn->http->body)) {
    session = mcp__http_sessions_new(all, &conn->session, &mcp__http_transport, now(conn));
    if (session == NULL) {
      respond_error(conn, 503, "too many sessions, retry later\n");
      return false;
    }
    conn->http->exchange.session_id = session->id;
  }
  if (session != NULL)
    hold_session(conn, session);
  return true;
}

/* ---- messages ---------------------------------------------------------------------------------------- */

static void serve(mcp__conn_t *conn, mcp_call_t *call) {
  mcp__exchange_t *exchange = &conn->http->exchange;
  mcp__session_t *session = exchange->session;
  mcp__session_set_trace_id(session, mcp__head_value(conn->head, MCP__H_TRACE_ID));
  if (!mcp__session_serve(session, call, exchange) && exchange->state == MCP__EXCHANGE_WAITING)
    mcp__exchange_respond(exchange, 202, NULL, "", 0);
}

static void serve_or_defer(mcp__conn_t *conn, mcp_call_t *call) {
  bool granted = mcp__conn_may_parse(conn, call);
  if (conn->state != MCP__CONN_HTTP) /* evicted meanwhile */
    mcp__call_release(call);
  else if (granted)
    serve(conn, call);
  else
    conn->deferred = call;
}

/* The body is complete. */
static void take_message(mcp__conn_t *conn) {
  mcp__buf_t *body = &conn->http->body;
  mcp__conn_count_message(conn);
  conn->message_ms = 0;
  begin_exchange(conn, &conn->session);
  if (!choose_session(conn))
    return;
  mcp_call_t *call = mcp__call_acquire(&conn->http->exchange.session->caller);
  if (call != NULL)
    mcp__buf_swap(&call->text, body);
  if (call == NULL || mcp__buf_reserve(&call->text, MCP__JSON_PADDING) != 0) {
    if (call != NULL)
      mcp__call_release(call);
    mcp__conn_refuse(conn, 503, "out of memory for a call, retry later\n");
    return;
  }
  serve_or_defer(conn, call);
}

size_t mcp__conn_http_take_body(mcp__conn_t *conn, const char *data, size_t len) {
  size_t used;
  if (conn->http->phase != MCP__HTTP_READS_BODY)
    return 0;
  mcp__head_state_t state = mcp__http_body_feed(conn->head, &conn->http->body, data, len, &used);
  return mcp__conn_after_feed(conn, state, take_message, used);
}

/* ---- requests ---------------------------------------------------------------------------------------- */

static void begin_post(mcp__conn_t *conn) {
  int status;
  const char *problem = mcp__http_post_problem(conn->head, conn->ws_config.max_message, &status);
  if (problem != NULL) {
    mcp__conn_refuse(conn, status, problem);
    return;
  }
  conn->http->phase = MCP__HTTP_READS_BODY;
  if (!mcp__http_has_body(conn->head)) {
    take_message(conn);
    return;
  }
  if (mcp__http_expects_continue(conn->head) &&
      mcp__buf_puts(&conn->stream.out, "HTTP/1.1 100 Continue\r\n\r\n") == 0)
    mcp__stream_dirty(&conn->stream);
}

static mcp__http_session_t *named_session(mcp__conn_t *conn) {
  const char *id = mcp__head_value(conn->head, MCP__H_MCP_SESSION);
  mcp__http_session_t *session = NULL;
  begin_exchange(conn, &conn->session);
  if (id == NULL || named_version(conn->head) >= MCP__2026_07_28) {
    conn->http->exchange.allow = "POST, OPTIONS";
    respond_error(conn, 405, "only POST is supported here, unless Mcp-Session-Id names a session\n");
    return NULL;
  }
  session = mcp__http_sessions_find(&conn->all->http_sessions, id, conn->peer.token);
  if (session == NULL)
    respond_error(conn, 404, "no such session: send initialize without Mcp-Session-Id\n");
  return session;
}

static void begin_stream(mcp__conn_t *conn) {
  mcp__http_session_t *session = named_session(conn);
  if (session == NULL)
    return;
  hold_session(conn, session);
  session->session.origin = &conn->http->exchange; /* the newest stream gets the unsolicited messages */
  mcp__exchange_listen(&conn->http->exchange);
}

/* Its other requests end without a response. */
static void delete_session(mcp__conn_t *conn) {
  mcp__http_session_t *session = named_session(conn);
  if (session == NULL)
    return;
  for (mcp__conn_t *other = conn->all->first, *next; other != NULL; other = next) {
    next = other->next;
    if (other->http != NULL && other->http->session == session)
      mcp__exchange_drop(&other->http->exchange);
  }
  mcp__http_sessions_end(&conn->all->http_sessions, session);
  mcp__exchange_respond(&conn->http->exchange, 200, NULL, "", 0);
}

void mcp__conn_http_request(mcp__conn_t *conn) {
  if (!begin_http(conn))
    return;
  if (!conn->http->is_admitted) {
    conn->all->service->counters.connections++;
    mcp__server_log_connected(&conn->peer);
  }
  conn->http->is_admitted = true;
  if (conn->head->parser.method == HTTP_POST)
    begin_post(conn);
  else if (conn->head->parser.method == HTTP_DELETE)
    delete_session(conn);
  else
    begin_stream(conn);
}

/* ---- output, time, end ------------------------------------------------------------------------------- */

bool mcp__conn_http_resume(mcp__conn_t *conn) {
  mcp__conn_http_t *http = conn->http;
  if (http->exchange.session != NULL)
    mcp__session_begin_waiting(http->exchange.session);
  mcp_call_t *deferred = conn->deferred;
  conn->deferred = NULL;
  if (deferred != NULL)
    serve_or_defer(conn, deferred);
  return conn->state == MCP__CONN_HTTP && http->phase != MCP__HTTP_BUSY &&
         !mcp__conn_is_over_message_rate(conn);
}

void mcp__conn_http_before_write(mcp__conn_t *conn) {
  mcp__session_t *session = conn->http->exchange.session;
  if (session != NULL && (session == &conn->session || session->origin == &conn->http->exchange))
    mcp__session_write_notifications(session);
}

bool mcp__conn_http_is_idle(const mcp__conn_t *conn) {
  return conn->state == MCP__CONN_HTTP && conn->http->phase == MCP__HTTP_READS_HEAD &&
         conn->head->bytes == 0 && conn->input.len == 0;
}

static void tick_idle(mcp__conn_t *conn, uint64_t age_ms) {
  if (age_ms > MCP__HTTP_KEEP_ALIVE_MS) {
    mcp__conn_close_now(conn);
    return;
  }
  mcp__stream_trim(&conn->stream); /* an idle connection keeps little memory */
  mcp__conn_charge(conn);
}

/* The window of the message rate has ended, or there may be memory: the next write, even an empty one,
 * resumes. The peer is not to blame for the time. */
static void retry_input(mcp__conn_t *conn) {
  conn->message_ms = 0;
  mcp__stream_dirty(&conn->stream);
}

void mcp__conn_http_tick(mcp__conn_t *conn, uint64_t now_ms) {
  mcp__conn_http_t *http = conn->http;
  uint64_t age_ms = now_ms - http->since_ms;
  if (http->phase == MCP__HTTP_BUSY)
    mcp__exchange_tick(&http->exchange, now_ms);
  else if (conn->input.len > 0)
    retry_input(conn);
  else if (http->phase == MCP__HTTP_READS_BODY && mcp__conn_is_trickling(conn, true, http->body.len, now_ms))
    mcp__conn_refuse(conn, 408,
                     "the body came too slowly: in 30 s neither its end nor 32 KiB and a sixteenth of it\n");
  else if (mcp__conn_http_is_idle(conn))
    tick_idle(conn, age_ms);
  else if (http->phase == MCP__HTTP_READS_HEAD && conn->head->bytes > 0 && age_ms > MCP__CONN_HANDSHAKE_MS)
    mcp__conn_refuse(conn, 408, "no complete request within 5 s\n");
}

void mcp__conn_http_stop(mcp__conn_t *conn, bool at_once) {
  mcp__conn_http_t *http = conn->http;
  bool is_served = http->phase == MCP__HTTP_BUSY && !http->exchange.listens;
  if (is_served && !at_once)
    mcp__session_end_subscriptions(http->exchange.session);
  else if (http->phase == MCP__HTTP_BUSY)
    mcp__exchange_drop(&http->exchange);
  else
    mcp__conn_close_now(conn);
}

void mcp__conn_http_end(mcp__conn_t *conn) {
  mcp__conn_http_t *http = conn->http;
  if (http == NULL)
    return;
  if (http->session != NULL)
    mcp__session_forget_origin(&http->session->session, &http->exchange);
  release_session(http, now(conn));
  http->exchange.state = MCP__EXCHANGE_NONE;
  http->exchange.session = NULL;
  mcp__buf_deinit(&http->body);
}

void mcp__conn_http_free(mcp__conn_t *conn) {
  if (conn->http != NULL)
    mcp__buf_deinit(&conn->http->body);
  mcp__free(conn->http);
}
