/* http_conn.c: one connection of an HTTP client.
 *
 * Happy path: a request is written, the head of its response read, and the body taken as one message, or
 * event by event. Behind it the connection is idle until the next request, unless the server closes it.
 * Failure: a connection that ends, or does not speak HTTP, is closed and reports its request as failed; an
 * idle one is closed silently. */
#include "client/http_conn.h"

#include <string.h>
#include <strings.h>

enum { EVENTS_KEEP_BYTES = 64 << 10 };

static void drop_head(mcp__http_conn_t *conn) {
  if (conn->head != NULL)
    mcp__head_deinit(conn->head);
  mcp__free(conn->head);
  conn->head = NULL;
}

void mcp__http_conn_close(mcp__http_conn_t *conn) {
  conn->exchange = NULL;
  mcp__stream_close(conn->stream);
}

static void fail(mcp__http_conn_t *conn, int status, const char *problem) {
  bool was_pending = conn->head != NULL;
  drop_head(conn);
  mcp__stream_close(conn->stream);
  if (was_pending)
    conn->events->on_failed(conn, conn->began, status, problem, conn->arg);
}

/* ---- responses ------------------------------------------------------------------------------------- */

/* Whether a Content-Type is that type, whatever its parameters. */
static bool is_type(const char *value, const char *type) {
  size_t len = strlen(type);
  return value != NULL && strncasecmp(value, type, len) == 0 &&
         (value[len] == '\0' || value[len] == ';' || value[len] == ' ');
}

static bool has_body(const mcp__http_conn_t *conn) {
  const llhttp_t *parser = &conn->head->parser;
  bool is_empty = (parser->flags & F_CONTENT_LENGTH) != 0 && parser->content_length == 0;
  int status = conn->head->status;
  return status >= 200 && status != 204 && status != 304 && !is_empty;
}

/* The response is complete. The connection is idle before its owner is told. */
static void finish(mcp__http_conn_t *conn) {
  mcp__head_t *head = conn->head;
  mcp__buf_t body = conn->body;
  mcp__http_answer_t answer = {.status = head->status,
                               .is_json = conn->is_json,
                               .is_events = conn->is_events,
                               .type = mcp__head_value(head, MCP__H_CONTENT_TYPE),
                               .location = mcp__head_value(head, MCP__H_LOCATION),
                               .session = mcp__head_value(head, MCP__H_MCP_SESSION),
                               .body = &body};
  conn->head = NULL;
  mcp__buf_init(&conn->body, conn->max_message, NULL);
  if (!conn->keep_alive)
    mcp__stream_close(conn->stream);
  conn->events->on_answer(conn, &answer, conn->arg);
  mcp__buf_deinit(&body);
  mcp__head_deinit(head);
  mcp__free(head);
}

static bool on_event(mcp__sse_t *sse, void *arg) {
  mcp__http_conn_t *conn = arg;
  bool is_message = *sse->type == '\0' || strcmp(sse->type, "message") == 0;
  if (is_message && sse->data.len > 0) /* an empty one only has an id */
    conn->events->on_event(conn, &sse->data, conn->arg);
  /* The receiver may have left a buffer that is larger than the limit. */
  mcp__buf_clear(&sse->data, conn->max_message < EVENTS_KEEP_BYTES ? conn->max_message : EVENTS_KEEP_BYTES);
  return !conn->stream->closing;
}

static void begin_body(mcp__http_conn_t *conn) {
  const char *type = mcp__head_value(conn->head, MCP__H_CONTENT_TYPE);
  conn->has_head = true;
  conn->is_json = is_type(type, "application/json");
  conn->is_events = is_type(type, "text/event-stream") && conn->head->status == 200;
  conn->keep_alive = conn->head->status >= 200 && llhttp_should_keep_alive(&conn->head->parser) != 0;
  conn->until_close = has_body(conn) && llhttp_message_needs_eof(&conn->head->parser) != 0;
  if (conn->is_events) /* each part of a stream is taken at once */
    mcp__buf_init(&conn->body, SIZE_MAX / 4, NULL);
}

static void fail_response(mcp__http_conn_t *conn) {
  int status = conn->head->status;
  if (status == 413) /* the limits of a head are for requests, too */
    fail(conn, MCP_ETOOBIG, "the response is larger than the limit of a message");
  else if (status == 503)
    fail(conn, UV_ENOMEM, "out of memory while receiving the response");
  else {
    fail(conn, MCP_EUPGRADE,
         status == 431 ? "the head of the response is too large" : "the peer's response is not HTTP");
  }
}

/* Gives the received part of a stream of events to its reader. False: the connection is closing. */
static bool take_events(mcp__http_conn_t *conn) {
  mcp__buf_t part = conn->body;
  mcp__buf_init(&conn->body, SIZE_MAX / 4, NULL);
  int status = mcp__sse_feed(&conn->sse, part.data, part.len);
  bool is_open = !conn->stream->closing;
  if (is_open && conn->head != NULL) {
    mcp__buf_clear(&part, EVENTS_KEEP_BYTES);
    conn->head->body_bytes = 0; /* the limits of a body are those of one event here */
    conn->body = part;
  } else {
    mcp__buf_deinit(&part);
  }
  if (status == 0 || !is_open)
    return is_open;
  fail(conn, status,
       status == MCP_ETOOBIG ? "an event of the response is larger than the limit of a message"
                             : "out of memory while receiving the response");
  return false;
}

static void feed(mcp__http_conn_t *conn, const char *data, size_t len) {
  size_t used = 0, body_used = 0;
  mcp__head_state_t state = MCP__HEAD_DONE;
  if (!conn->has_head) {
    state = mcp__head_feed(conn->head, data, len, &used);
    if (state == MCP__HEAD_DONE)
      begin_body(conn);
  }
  if (state == MCP__HEAD_DONE && has_body(conn)) {
    state = MCP__HEAD_MORE;
    if (used < len)
      state = mcp__http_body_feed(conn->head, &conn->body, data + used, len - used, &body_used);
    used += body_used;
  }
  if (state == MCP__HEAD_BAD) {
    fail_response(conn);
    return;
  }
  if (conn->has_head && conn->is_events && !take_events(conn))
    return;
  if (state == MCP__HEAD_DONE) {
    conn->keep_alive = conn->keep_alive && used == len; /* otherwise unrequested bytes follow */
    finish(conn);
  }
}

static void on_data(mcp__stream_t *stream, const char *data, size_t len) {
  mcp__http_conn_t *conn = stream->arg;
  if (conn->head == NULL) { /* no request is open */
    mcp__stream_close(stream);
    return;
  }
  conn->began = true;
  feed(conn, data, len);
}

static void on_end(mcp__stream_t *stream, int status) {
  mcp__http_conn_t *conn = stream->arg;
  bool is_secured = mcp__http_conn_is_secured(conn);
  const char *what = status == UV_EOF     ? "the peer closed the connection"
                     : status == MCP_ETLS ? stream->tls->problem
                                          : mcp_strerror(status);
  if (conn->head != NULL && conn->has_head && conn->until_close && status == UV_EOF) {
    conn->keep_alive = false;
    finish(conn);
    return;
  }
  fail(conn, is_secured ? MCP_EDISCONNECTED : MCP_ETLS, what);
}

static void on_closed(mcp__stream_t *stream) {
  mcp__http_conn_t *conn = stream->arg;
  drop_head(conn);
  mcp__buf_deinit(&conn->body);
  mcp__sse_deinit(&conn->sse);
  mcp__free(stream);
  conn->events->on_freed(conn, conn->arg);
  mcp__free(conn);
}

static const mcp__stream_events_t stream_events = {on_data, on_end, NULL, NULL, on_closed};

/* ---- creation and requests ------------------------------------------------------------------------- */

static void free_stream(mcp__stream_t *stream) {
  mcp__free(stream);
}

static const mcp__stream_events_t ownerless_events = {.on_closed = free_stream};

mcp__http_conn_t *mcp__http_conn_new(mcp__stream_t *stream, size_t max_message,
                                     const mcp__http_conn_events_t *events, void *arg) {
  mcp__http_conn_t *conn = mcp__calloc(sizeof *conn);
  if (conn == NULL) {
    stream->events = &ownerless_events;
    mcp__stream_close(stream);
    return NULL;
  }
  conn->stream = stream;
  conn->events = events;
  conn->arg = arg;
  conn->max_message = max_message;
  mcp__buf_init(&conn->body, max_message, NULL);
  stream->events = &stream_events;
  stream->arg = conn;
  mcp__stream_read(stream, true);
  return conn;
}

int mcp__http_conn_start_tls(mcp__http_conn_t *conn, mcp__tls_context_t *tls, const char *host, bool verify) {
  return mcp__stream_start_tls(conn->stream, tls, host, verify);
}

bool mcp__http_conn_is_secured(const mcp__http_conn_t *conn) {
  return conn->stream->tls == NULL || conn->stream->tls->open;
}

int mcp__http_conn_begin(mcp__http_conn_t *conn, void *exchange) {
  conn->head = mcp__malloc(sizeof *conn->head);
  if (conn->head == NULL || mcp__head_init(conn->head, false) != 0) {
    mcp__free(conn->head);
    conn->head = NULL;
    return UV_ENOMEM;
  }
  mcp__sse_deinit(&conn->sse);
  mcp__sse_init(&conn->sse, conn->max_message, on_event, conn);
  conn->exchange = exchange;
  conn->requests++;
  conn->has_head = conn->is_json = conn->is_events = conn->until_close = conn->keep_alive = false;
  conn->began = false;
  return 0;
}
