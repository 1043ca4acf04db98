/* link.h: the way of a client's messages to one peer, over WebSocket (ws_link.h), HTTP (http_link.h) or
 * standard input and output (stdio_link.h). */
#ifndef MCP_LINK_H
#define MCP_LINK_H

#include "base/json.h"
#include "transport/stream.h"
#include "transport/url.h"

/* Frees itself after it is closed or lost. */
typedef struct mcp__link {
  const struct mcp__link_ops *ops;
} mcp__link_t;

typedef struct mcp__link_events {
  /* Messages may be sent: initialize first, unless mcp__link_is_stateless(). Called again where a session has
   * ended and needs initialize once more. */
  void (*on_open)(void *arg);
  void (*on_ready)(void *arg); /* mcp__link_may_send() is true again */
  /* request: the id of the request that the message was sent for, as its response or before it; 0: unknown.
   * Returns whether it is the response, or unreadable. */
  bool (*on_message)(mcp__buf_t *text, uint64_t request, void *arg);
  /* A request has failed, and the link works on. request: 0 if its id is no number. */
  void (*on_failed)(uint64_t request, int status, const char *problem, void *arg);
  void (*on_lost)(int status, const char *problem, void *arg); /* once; not after mcp__link_close() */
  void (*on_freed)(void *arg);                                 /* the last callback */
  /* Before on_open, if initialize was refused and the server then answered server/discover; may be NULL. */
  void (*on_discovered)(yyjson_val *result, void *arg);
} mcp__link_events_t;

/* The peer of a link; borrowed during its life. */
typedef struct mcp__link_config {
  const mcp__url_t *url;
  const char *token;       /* NULL: none is sent */
  mcp__tls_context_t *tls; /* NULL: in clear */
  bool verify;             /* whether TLS verifies the peer's certificate and name */
  bool needs_session;      /* HTTP, stdio: initialize comes first, server/discover if it is refused */
  size_t max_message;
} mcp__link_config_t;

/* Appends the text of a message. */
typedef int (*mcp__link_write_t)(mcp__buf_t *out, void *what);

typedef struct mcp__link_ops {
  int (*send)(mcp__link_t *link, mcp__link_write_t write, void *what);
  bool (*may_send)(mcp__link_t *link);
  bool (*is_stateless)(const mcp__link_t *link);
  size_t (*backlog)(const mcp__link_t *link);
  mcp_stage_t (*stage)(const mcp__link_t *link);
  void (*set_reading)(mcp__link_t *link, bool on);
  uint64_t (*tick)(mcp__link_t *link, uint64_t now_ms);
  void (*close)(mcp__link_t *link, bool politely);
} mcp__link_ops_t;

/* Calls write to append the text of a message. If it returns an error, the message is discarded and the error
 * returned. */
static inline int mcp__link_send(mcp__link_t *link, mcp__link_write_t write, void *what) {
  return link->ops->send(link, write, what);
}

/* Whether a request can be sent now; else on_ready follows. */
static inline bool mcp__link_may_send(mcp__link_t *link) {
  return link->ops->may_send(link);
}

/* Whether requests need no initialize before them. */
static inline bool mcp__link_is_stateless(const mcp__link_t *link) {
  return link->ops->is_stateless(link);
}

/* Bytes that the kernel has not accepted. */
static inline size_t mcp__link_backlog(const mcp__link_t *link) {
  return link->ops->backlog(link);
}

static inline mcp_stage_t mcp__link_stage(const mcp__link_t *link) {
  return link->ops->stage(link);
}

/* off: nothing is read and no pings are sent */
static inline void mcp__link_set_reading(mcp__link_t *link, bool on) {
  link->ops->set_reading(link, on);
}

/* Sends pings and checks time limits; may lose the link. Returns when to call it again. */
static inline uint64_t mcp__link_tick(mcp__link_t *link, uint64_t now_ms) {
  return link->ops->tick(link, now_ms);
}

/* politely: tells the peer first, by a close frame or the end of the session, and waits for up to 1 s. */
static inline void mcp__link_close(mcp__link_t *link, bool politely) {
  link->ops->close(link, politely);
}

#endif
