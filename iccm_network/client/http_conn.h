/* http_conn.h: one connection of an HTTP client, kept alive: one request and its response after the other. */
#ifndef MCP_HTTP_CONN_H
#define MCP_HTTP_CONN_H

#include "client/sse.h"
#include "transport/http_body.h"
#include "transport/stream.h"

typedef struct mcp__http_conn mcp__http_conn_t;

/* A complete response. All of it is borrowed for the callback; the body may be swapped. */
typedef struct mcp__http_answer {
  int status;
  bool is_json;         /* application/json; else the body is not meant for JSON-RPC */
  bool is_events;       /* the body was a stream of events, and has been delivered as such */
  const char *type;     /* Content-Type; NULL: absent */
  const char *location; /* Location; NULL: absent */
  const char *session;  /* Mcp-Session-Id; NULL: absent */
  mcp__buf_t *body;
} mcp__http_answer_t;

/* Callbacks; each may use or close the connection. */
typedef struct mcp__http_conn_events {
  void (*on_event)(mcp__http_conn_t *conn, mcp__buf_t *text, void *arg); /* one message of a stream */
  /* The response is complete; the connection is idle, or is closing. */
  void (*on_answer)(mcp__http_conn_t *conn, const mcp__http_answer_t *answer, void *arg);
  /* The connection is closing without a complete response to the request. began: a part of it was received.
   */
  void (*on_failed)(mcp__http_conn_t *conn, bool began, int status, const char *problem, void *arg);
  void (*on_freed)(mcp__http_conn_t *conn, void *arg); /* the last callback */
} mcp__http_conn_events_t;

struct mcp__http_conn {
  mcp__stream_t *stream;
  const mcp__http_conn_events_t *events;
  void *arg;
  void *exchange;     /* of the owner, for the request; NULL: the connection is idle */
  uint64_t requests;  /* sent so far */
  uint64_t until_ms;  /* of the owner: when to close it; 0: no limit */
  size_t max_message; /* bytes of a body, or of an event */
  mcp__head_t *head;  /* of the response; NULL: no request is pending */
  mcp__buf_t body;
  mcp__sse_t sse;
  bool has_head, is_json, is_events, until_close, keep_alive;
  bool began; /* bytes of the response were received */
};

/* Takes ownership of the stream, also on failure. NULL: out of memory; no callback is called. host: whose
 * certificate TLS verifies. */
mcp__http_conn_t *mcp__http_conn_new(mcp__stream_t *stream, size_t max_message,
                                     const mcp__http_conn_events_t *events, void *arg);
int mcp__http_conn_start_tls(mcp__http_conn_t *conn, mcp__tls_context_t *tls, const char *host, bool verify);
bool mcp__http_conn_is_secured(const mcp__http_conn_t *conn); /* in clear, or the TLS handshake is complete */

/* The request follows in conn->stream->out; then call mcp__stream_dirty(). 0 or UV_ENOMEM. */
int mcp__http_conn_begin(mcp__http_conn_t *conn, void *exchange);
void mcp__http_conn_close(mcp__http_conn_t *conn); /* only on_freed follows */
static inline bool mcp__http_conn_is_idle(const mcp__http_conn_t *conn) {
  return conn->head == NULL && !conn->stream->closing && !conn->stream->ended;
}

#endif
