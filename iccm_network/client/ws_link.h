/* ws_link.h: a link over one connection: TLS, WebSocket upgrade, frames, pings. */
#ifndef MCP_WS_LINK_H
#define MCP_WS_LINK_H

#include "client/link.h"

/* Takes ownership of the stream, also on failure. NULL: out of memory; no callback is called. */
mcp__link_t *mcp__ws_link_new(mcp__stream_t *stream, const mcp__link_config_t *config,
                              const mcp__link_events_t *events, void *arg);

#endif
