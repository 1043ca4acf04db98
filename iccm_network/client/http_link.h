/* http_link.h: a link over HTTP (MCP, Streamable HTTP): each request is an HTTP request, on one of several
 * connections that are kept alive. */
#ifndef MCP_HTTP_LINK_H
#define MCP_HTTP_LINK_H

#include "client/link.h"

/* Takes ownership of the stream, also on failure. NULL: out of memory; no callback is called. */
mcp__link_t *mcp__http_link_new(mcp__stream_t *stream, const mcp__link_config_t *config,
                                const mcp__link_events_t *events, void *arg);

#endif
