/* client.h: the parts of a client: client.c holds calls and the connection's life, link.c one connection of it. */
#ifndef MCP_CLIENT_H
#define MCP_CLIENT_H

#include "connect.h"
#include "jsonrpc.h"
#include "upgrade.h"
#include "ws.h"

/* One connection, from TCP to its end: the upgrade, frames, pings. Frees itself. */
typedef struct mcp__link mcp__link_t;

typedef struct mcp__link_events {
  void (*on_open)(void *arg);                /* WebSocket is spoken */
  void (*on_message)(mcp__buf_t *text, void *arg);
  void (*on_lost)(int status, const char *problem, void *arg); /* once, unless closed from here */
  void (*on_freed)(void *arg);               /* the last thing that is heard of it */
} mcp__link_events_t;

/* Takes the stream over, in any case. NULL: no memory; nothing is heard of it then. */
mcp__link_t *mcp__link_new(mcp__stream_t *stream, const char *authority, const char *path, size_t max_message,
                           const mcp__link_events_t *events, void *arg);
/* Calls write with the place for a message's text; what it answers but 0 takes everything back. */
int mcp__link_send(mcp__link_t *link, int (*write)(mcp__buf_t *out, void *what), void *what);
size_t mcp__link_backlog(const mcp__link_t *link);
/* Keeps pings going; returns when it wants to be called next. May lose the link. */
uint64_t mcp__link_tick(mcp__link_t *link, uint64_t now_ms);
void mcp__link_close(mcp__link_t *link, bool politely); /* with a close frame first, which the peer has 1 s to answer */

/* What only the library itself sets, before the first call. hello: the params of initialize as JSON text, borrowed. */
void mcp__client_set_hello(mcp_client_t *client, const char *hello);
void mcp__client_set_connect_ms(mcp_client_t *client, uint64_t ms); /* for everything from the name to initialize */

#endif
