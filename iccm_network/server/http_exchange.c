/* http_exchange.c: responses over HTTP.
 *
 * Happy path: the response of a call is written as one JSON document, whose length is put into the head once
 * it is known. A notification before it, or a call that takes long, begins a stream of events instead, in
 * chunks, which the response ends. Failure: a request that gets no response (it was cancelled) ends with 202
 * or with its stream; where memory runs out the connection is closed. */
#include "server/http_exchange.h"

#include "base/json.h"
#include "server/http_headers.h"
#include "server/http_sessions.h"
#include "transport/http_request.h"

#include <string.h>

static const char json_type[] = "application/json", events_type[] = "text/event-stream";

static mcp__response_head_t new_head(const mcp__exchange_t *exchange, int status, const char *type) {
  return (mcp__response_head_t){.status = status,
                                .type = type,
                                .keep_alive = exchange->keep_alive,
                                .origin = mcp__head_value(exchange->head, MCP__H_ORIGIN),
                                .allow = exchange->allow,
                                .session_id = exchange->is_initialize ? exchange->session_id : NULL};
}

/* The exchange is over; its stream may go on with the next one. */
static void finish(mcp__exchange_t *exchange) {
  mcp__session_t *session = exchange->session;
  if (session != NULL && session->origin == exchange)
    session->origin = NULL;
  exchange->state = MCP__EXCHANGE_NONE;
  exchange->session = NULL;
  exchange->session_id = NULL;
  exchange->events->on_done(exchange);
}

static void fail_exchange(mcp__exchange_t *exchange) {
  exchange->events->on_fail(exchange, "out of memory for a response");
}

/* ---- whole responses --------------------------------------------------------------------------------- */

void mcp__exchange_begin(mcp__exchange_t *exchange, const mcp__head_t *head, mcp__session_t *session,
                         uint64_t now_ms) {
  exchange->state = MCP__EXCHANGE_WAITING;
  exchange->head = head;
  exchange->session = session;
  exchange->session_id = exchange->allow = NULL;
  exchange->modern = exchange->listens = exchange->is_initialize = false;
  exchange->takes_events = mcp__http_accepts(head, events_type);
  exchange->takes_json = mcp__http_accepts(head, json_type);
  exchange->sent_ms = now_ms;
}

void mcp__exchange_respond(mcp__exchange_t *exchange, int status, const char *type, const char *body,
                           size_t len) {
  mcp__buf_t *out = &exchange->stream->out;
  mcp__response_head_t head = new_head(exchange, status, type);
  size_t begin = out->len;
  head.len = len;
  int written = mcp__http_write_head(out, &head);
  if (!mcp__head_is_bodiless(exchange->head)) /* HEAD gets what GET would, without the body */
    written = mcp__buf_first_error(written, mcp__buf_append(out, body, len));
  mcp__stream_dirty(exchange->stream);
  if (written == 0) {
    finish(exchange);
    return;
  }
  out->len = begin;
  fail_exchange(exchange);
}

/* ---- streams of events ------------------------------------------------------------------------------- */

static bool is_chunked(const mcp__exchange_t *exchange) {
  return exchange->head->parser.http_minor > 0;
}

static int begin_events(mcp__exchange_t *exchange) {
  mcp__buf_t *out = &exchange->stream->out;
  size_t begin = out->len;
  mcp__response_head_t head = new_head(exchange, 200, events_type);
  head.framing = is_chunked(exchange) ? MCP__CHUNKED : MCP__UNTIL_CLOSE;
  head.uncached = true;
  int status = mcp__http_write_head(out, &head);
  if (status == 0)
    exchange->state = MCP__EXCHANGE_STREAMING;
  else
    out->len = begin;
  return status;
}

static int begin_frame(mcp__exchange_t *exchange) {
  mcp__buf_t *out = &exchange->stream->out;
  exchange->at = out->len;
  return is_chunked(exchange) ? mcp__http_begin_chunk(out, &exchange->at) : 0;
}

static int end_frame(mcp__exchange_t *exchange) {
  return is_chunked(exchange) ? mcp__http_end_chunk(&exchange->stream->out, exchange->at) : 0;
}

static int end_events(mcp__exchange_t *exchange) {
  return is_chunked(exchange) ? mcp__http_last_chunk(&exchange->stream->out) : 0;
}

static int write_comment(mcp__exchange_t *exchange) {
  mcp__buf_t *out = &exchange->stream->out;
  int status = begin_frame(exchange);
  status = mcp__buf_first_error(status, mcp__buf_puts(out, ":\n\n"));
  status = mcp__buf_first_error(status, status == 0 ? end_frame(exchange) : 0);
  if (status != 0)
    out->len = exchange->at;
  return status;
}

void mcp__exchange_listen(mcp__exchange_t *exchange) {
  exchange->listens = true;
  if (begin_events(exchange) != 0 || write_comment(exchange) != 0) /* so that the head is sent at once */
    fail_exchange(exchange);
  else
    exchange->events->on_output(exchange);
}

void mcp__exchange_drop(mcp__exchange_t *exchange) {
  if (exchange->state == MCP__EXCHANGE_WAITING) {
    mcp__exchange_respond(exchange, 202, NULL, "", 0);
    return;
  }
  if (end_events(exchange) != 0) {
    fail_exchange(exchange);
    return;
  }
  exchange->events->on_output(exchange);
  finish(exchange);
}

void mcp__exchange_tick(mcp__exchange_t *exchange, uint64_t now_ms) {
  uint64_t silent_ms = now_ms - exchange->sent_ms;
  bool begins =
      exchange->state == MCP__EXCHANGE_WAITING && exchange->takes_events && silent_ms > MCP__EVENTS_AFTER_MS;
  bool is_due = exchange->state == MCP__EXCHANGE_STREAMING && silent_ms > MCP__COMMENT_MS &&
                mcp__stream_backlog(exchange->stream) == 0;
  if (!begins && !is_due)
    return;
  exchange->sent_ms = now_ms; /* without memory for a comment the next one comes later */
  if ((!begins || begin_events(exchange) == 0) && write_comment(exchange) == 0)
    exchange->events->on_output(exchange);
}

/* ---- the transport of a session ---------------------------------------------------------------------- */

static bool is_open(const mcp__session_t *session, const void *origin) {
  const mcp__exchange_t *exchange = origin;
  return exchange != NULL && exchange->state != MCP__EXCHANGE_NONE && exchange->session == session;
}

int mcp__exchange_status(bool modern, int kind) {
  bool is_malformed = kind == MCP_PARSE_ERROR || kind == MCP_INVALID_REQUEST ||
                      (kind <= MCP__FIRST_SPEC_ERROR && kind >= MCP__LAST_SPEC_ERROR);
  if (modern && kind == MCP_METHOD_NOT_FOUND)
    return 404;
  if (is_malformed || (modern && kind == MCP_INVALID_PARAMS))
    return 400;
  return 200;
}

static int begin_json(mcp__exchange_t *exchange, int kind) {
  mcp__buf_t *out = &exchange->stream->out;
  mcp__response_head_t head = new_head(exchange, mcp__exchange_status(exchange->modern, kind), json_type);
  head.framing = MCP__LENGTH_LATER;
  exchange->at = out->len;
  return mcp__http_write_head(out, &head);
}

static int begin_event(mcp__exchange_t *exchange) {
  int status = exchange->state == MCP__EXCHANGE_WAITING ? begin_events(exchange) : 0;
  status = mcp__buf_first_error(status, status == 0 ? begin_frame(exchange) : 0);
  return mcp__buf_first_error(status, mcp__buf_puts(&exchange->stream->out, "event: message\ndata: "));
}

static mcp__buf_t *begin_message(mcp__session_t *session, void *origin, int kind, size_t *at) {
  mcp__exchange_t *exchange = origin;
  mcp__buf_t *out = &exchange->stream->out;
  size_t begin = out->len;
  (void)session;
  if (kind == MCP__SEND_NOTIFICATION && !exchange->takes_events)
    return NULL; /* it could come in no other way */
  bool as_event =
      exchange->state == MCP__EXCHANGE_STREAMING || kind == MCP__SEND_NOTIFICATION || !exchange->takes_json;
  int status = as_event ? begin_event(exchange) : begin_json(exchange, kind);
  *at = exchange->body = out->len;
  exchange->ends = kind != MCP__SEND_NOTIFICATION;
  if (status == 0)
    return out;
  out->len = exchange->state == MCP__EXCHANGE_STREAMING ? exchange->at : begin;
  return NULL;
}

static int end_event(mcp__exchange_t *exchange) {
  mcp__buf_t *out = &exchange->stream->out;
  mcp__json_join_lines(out->data + exchange->body, out->len - exchange->body);
  int status = mcp__buf_puts(out, "\n\n");
  status = mcp__buf_first_error(status, status == 0 ? end_frame(exchange) : 0);
  return mcp__buf_first_error(status, status == 0 && exchange->ends ? end_events(exchange) : 0);
}

static int end_message(mcp__session_t *session, void *origin, size_t at, int status) {
  mcp__exchange_t *exchange = origin;
  (void)session;
  (void)at;
  if (status == 0 && exchange->state == MCP__EXCHANGE_STREAMING)
    status = end_event(exchange);
  else if (status == 0)
    mcp__http_set_length(&exchange->stream->out, exchange->body);
  if (status != 0) {
    exchange->stream->out.len = exchange->at;
    return status;
  }
  exchange->sent_ms = uv_now(exchange->stream->tcp.loop);
  if (exchange->ends)
    finish(exchange);
  return 0;
}

static void wake(mcp__session_t *session, void *origin) {
  mcp__exchange_t *exchange = origin;
  (void)session;
  exchange->events->on_output(exchange);
}

static bool has_room(const mcp__session_t *session, const void *origin) {
  const mcp__exchange_t *exchange = origin;
  (void)session;
  return mcp__stream_backlog(exchange->stream) <= MCP__EVENTS_BACKLOG;
}

static void fail(mcp__session_t *session, void *origin, const char *reason) {
  mcp__exchange_t *exchange = origin;
  (void)session;
  exchange->events->on_fail(exchange, reason);
}

/* The first exchange that has a waiting call resumes, when its output has been written. If all of them have
 * ended, mcp__http_sessions_tick() begins their calls. */
static void call_removed(mcp__session_t *session) {
  const mcp_call_t *next = session->caller.waiting;
  while (next != NULL && next->origin == NULL)
    next = next->next;
  if (next != NULL)
    mcp__stream_dirty(((mcp__exchange_t *)next->origin)->stream);
}

static void drop(mcp__session_t *session, void *origin) {
  (void)session;
  mcp__exchange_drop(origin);
}

static void check(mcp__session_t *session, void *origin, const mcp__message_t *message, mcp__arena_t *arena,
                  mcp__dispatch_result_t *result) {
  mcp__exchange_t *exchange = origin;
  (void)session;
  exchange->modern = result->protocol_version >= MCP__2026_07_28;
  if (exchange->modern && message->kind == MCP__REQUEST)
    mcp__http_check_headers(exchange->head, message, arena, result);
  if (exchange->session_id == NULL || result->action != MCP__DO_RESPOND ||
      !yyjson_equals_str(message->method, "initialize"))
    return;
  exchange->is_initialize = true;
  mcp__http_session_keep(session->arg);
}

const mcp__transport_t mcp__http_transport = {.is_open = is_open,
                                              .begin = begin_message,
                                              .end = end_message,
                                              .wake = wake,
                                              .has_room = has_room,
                                              .fail = fail,
                                              .call_removed = call_removed,
                                              .drop = drop,
                                              .check = check};
