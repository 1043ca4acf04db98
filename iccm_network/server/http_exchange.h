/* http_exchange.h: one HTTP request of a connection that MCP is asked by, and its response: a JSON document,
 * or a stream of events (SSE) where something is sent before the response or the call takes long.
 *
 * An exchange is the origin of its messages, see session.h. It knows the stream that it writes to, and of the
 * connection only what mcp__exchange_events_t names. */
#ifndef MCP_HTTP_EXCHANGE_H
#define MCP_HTTP_EXCHANGE_H

#include "server/session.h"
#include "transport/http_response.h"
#include "transport/stream.h"
#include "transport/upgrade.h"

enum {
  MCP__EVENTS_AFTER_MS = 5000, /* a response that has not come by then becomes a stream of events */
  MCP__COMMENT_MS = 15000,     /* between two comments, which keep proxies from closing a silent stream */
  MCP__EVENTS_BACKLOG = 1 << 20
};

typedef struct mcp__exchange mcp__exchange_t;

typedef enum mcp__exchange_state {
  MCP__EXCHANGE_NONE,     /* no request is being served */
  MCP__EXCHANGE_WAITING,  /* nothing of the response is written */
  MCP__EXCHANGE_STREAMING /* events are written */
} mcp__exchange_state_t;

typedef struct mcp__exchange_events {
  void (*on_output)(mcp__exchange_t *exchange); /* there is more to write */
  void (*on_done)(mcp__exchange_t *exchange);   /* the response is written whole; the state is NONE */
  void (*on_fail)(mcp__exchange_t *exchange, const char *reason); /* it cannot be served: close */
} mcp__exchange_events_t;

struct mcp__exchange {
  mcp__stream_t *stream;
  const mcp__exchange_events_t *events;
  void *arg;
  mcp__exchange_state_t state;
  const mcp__head_t *head; /* borrowed until the response is written */
  mcp__session_t *session; /* that serves the request */
  const char *session_id;  /* of a session that initialize begins, if it is one; NULL: none */
  const char *allow;       /* for a response with 405; NULL: all methods */
  bool keep_alive;
  bool is_initialize; /* and it is answered */
  bool modern;        /* the request follows 2026-07-28 */
  bool listens;       /* it is a GET: it gets unsolicited messages, and no response */
  bool takes_events;  /* it accepts text/event-stream, … */
  bool takes_json;    /* … and application/json */
  bool ends;          /* the message under way is the response */
  size_t at, body;    /* where the message under way begins in the output: with its frame, and without */
  uint64_t sent_ms;   /* something was written, or the request came */
};

extern const mcp__transport_t mcp__http_transport;

/* The status of a response: an error that the request itself is to blame for has another one than 200. kind:
 * see session.h. */
int mcp__exchange_status(bool modern, int kind);

/* A request whose head, which stays until the response is written, and body are there. session_id is NULL. */
void mcp__exchange_begin(mcp__exchange_t *exchange, const mcp__head_t *head, mcp__session_t *session,
                         uint64_t now_ms);
/* A whole response that is no JSON-RPC message. type NULL: without a body. */
void mcp__exchange_respond(mcp__exchange_t *exchange, int status, const char *type, const char *body,
                           size_t len);
/* Begins the response of a GET, a stream of events. */
void mcp__exchange_listen(mcp__exchange_t *exchange);
/* Ends the exchange without a JSON-RPC response. */
void mcp__exchange_drop(mcp__exchange_t *exchange);
/* Writes what keeps a slow response alive. Every second or so. */
void mcp__exchange_tick(mcp__exchange_t *exchange, uint64_t now_ms);

#endif
