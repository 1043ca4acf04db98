/* link.h: one connection of a client: TLS, WebSocket upgrade, frames, pings. */
#ifndef MCP_LINK_H
#define MCP_LINK_H

#include "transport/stream.h"
#include "transport/url.h"

/* Frees itself after it is closed or lost. */
typedef struct mcp__link mcp__link_t;

typedef struct mcp__link_events {
  void (*on_open)(void *arg); /* the WebSocket upgrade is complete */
  void (*on_message)(mcp__buf_t *text, void *arg);
  void (*on_lost)(int status, const char *problem, void *arg); /* once; not after mcp__link_close() */
  void (*on_freed)(void *arg);                                 /* the last callback */
} mcp__link_events_t;

/* The peer of a link; borrowed during its life. */
typedef struct mcp__link_config {
  const mcp__url_t *url;
  const char *token;       /* NULL: none is sent */
  mcp__tls_context_t *tls; /* NULL: in clear */
  bool verify;             /* whether TLS verifies the peer's certificate and name */
  size_t max_message;
} mcp__link_config_t;

/* Takes ownership of the stream, also on failure. NULL: out of memory; no callback is called. */
mcp__link_t *mcp__link_new(mcp__stream_t *stream, const mcp__link_config_t *config,
                           const mcp__link_events_t *events, void *arg);
/* Calls write to append the text of a message. If it returns an error, the message is discarded and the error
 * returned. */
int mcp__link_send(mcp__link_t *link, int (*write)(mcp__buf_t *out, void *what), void *what);
size_t mcp__link_backlog(const mcp__link_t *link);
mcp_stage_t mcp__link_stage(const mcp__link_t *link);
/* off: nothing is read and no pings are sent */
void mcp__link_set_reading(mcp__link_t *link, bool on);
/* Sends pings and checks time limits; may lose the link. Returns when to call it again. */
uint64_t mcp__link_tick(mcp__link_t *link, uint64_t now_ms);
/* with_close_frame: sends a close frame first, which the peer has 1 s to answer. */
void mcp__link_close(mcp__link_t *link, bool with_close_frame);

#endif
