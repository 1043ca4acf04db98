/* link.h: one connection of a client, from TCP to its end: the upgrade, frames, pings. */
#ifndef MCP_LINK_H
#define MCP_LINK_H

#include "transport/stream.h"
#include "transport/url.h"

/* Frees itself. */
typedef struct mcp__link mcp__link_t;

typedef struct mcp__link_events {
  void (*on_open)(void *arg); /* WebSocket is spoken */
  void (*on_message)(mcp__buf_t *text, void *arg);
  void (*on_lost)(int status, const char *problem, void *arg); /* once, unless closed from here */
  void (*on_freed)(void *arg);                                 /* the last thing that is heard of it */
} mcp__link_events_t;

/* Where a link goes, borrowed while it lives. */
typedef struct mcp__link_config {
  const mcp__url_t *url;
  const char *token;       /* NULL: none is sent */
  mcp__tls_context_t *tls; /* NULL: in clear */
  bool verify;             /* in TLS, whether the peer is who it should be */
  size_t max_message;
} mcp__link_config_t;

/* Takes the stream over, in any case. NULL: no memory; nothing is heard of it then. */
mcp__link_t *mcp__link_new(mcp__stream_t *stream, const mcp__link_config_t *config,
                           const mcp__link_events_t *events, void *arg);
/* Calls write with the place for a message's text; what it answers but 0 takes everything back. */
int mcp__link_send(mcp__link_t *link, int (*write)(mcp__buf_t *out, void *what), void *what);
size_t mcp__link_backlog(const mcp__link_t *link);
mcp_stage_t mcp__link_stage(const mcp__link_t *link);
/* Off: nothing is read, so the peer waits, and is not asked by pings. */
void mcp__link_set_reading(mcp__link_t *link, bool on);
/* Keeps pings going; returns when it wants to be called next. May lose the link. */
uint64_t mcp__link_tick(mcp__link_t *link, uint64_t now_ms);
/* With a close frame first, which the peer has 1 s to answer. */
void mcp__link_close(mcp__link_t *link, bool with_close_frame);

#endif
