/* http_tools.h: the headers that calls of tools need over HTTP, from the server's list of tools; and the
 * calls that wait until it is read. */
#ifndef MCP_HTTP_TOOLS_H
#define MCP_HTTP_TOOLS_H

#include "base/json.h"
#include "client/client_exchange.h"
#include "client/header_cache.h"

/* Zeroed: nothing is known yet. */
typedef struct mcp__http_tools {
  mcp__header_cache_t headers;
  mcp__exchange_queue_t parked; /* calls that wait for the list */
  unsigned pages;
} mcp__http_tools_t;

void mcp__http_tools_deinit(mcp__http_tools_t *tools);

/* A list that the client requested says which headers its calls need; text: the response. Without memory, the
 * first refused call reads the list again. */
void mcp__http_tools_learn(mcp__http_tools_t *tools, const mcp__client_exchange_t *exchange,
                           const mcp__buf_t *text);
/* The headers that a message needs; NULL: none. */
const mcp__tool_headers_t *mcp__http_tools_find(const mcp__http_tools_t *tools,
                                                const mcp__outgoing_t *message);

/* Parks a call until the list is read. *next: the request for its first page, or NULL if it is under way. If
 * the result is UV_ENOMEM, the call is not parked. */
int mcp__http_tools_park(mcp__http_tools_t *tools, mcp__client_exchange_t *exchange,
                         mcp__client_exchange_t **next);
/* Takes a page of the list. *next: the request for the next page; NULL: it was the last one, and the parked
 * calls can be sent. 0 or UV_ENOMEM. */
int mcp__http_tools_take_page(mcp__http_tools_t *tools, yyjson_val *result, mcp__client_exchange_t **next);

#endif
