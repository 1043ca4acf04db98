/* client.h: functions of a client that only the library uses, in addition to the public header. */
#ifndef MCP_CLIENT_H
#define MCP_CLIENT_H

#include "client/request.h"

/* mcp_client_new() with an error code: 0, MCP_EURL, MCP_EENV, UV_EINVAL (ICCM_TLS_CA), UV_ENOMEM. url NULL:
 * the default endpoints of Godot. */
int mcp__client_new(struct uv_loop_s *loop, const char *url, mcp_client_t **client);

/* Sends the request described by spec, and connects if needed. Takes ownership of params. If the result is
 * not 0, the callback of spec is not called. */
int mcp__client_send_request(mcp_client_t *client, mcp__request_spec_t *spec, yyjson_mut_doc *params);

/* Whether arguments of tools are repeated in headers (x-mcp-header): MCP 2026-07-28 over HTTP. */
bool mcp__client_uses_tool_headers(const mcp_client_t *client);

/* Settings for the library, to be called before the first request. initialize_params: the params of
 * initialize as JSON text, borrowed. */
void mcp__client_set_initialize_params(mcp_client_t *client, const char *initialize_params);
/* Whether the client is connected to a peer whose requests need no initialize: one of 2026-07-28 over HTTP.
 */
bool mcp__client_is_stateless(const mcp_client_t *client);
/* Time limit from the name look-up to initialize. */
void mcp__client_set_connect_ms(mcp_client_t *client, uint64_t ms);

/* Callbacks for a proxy that only forwards messages and sends no other requests. The client connects,
 * initializes (the params may change at any time, for the next connection) and reconnects. */
typedef struct mcp__forward {
  /* The response to initialize; called before on_state reports the connection. */
  void (*on_initialize)(const mcp__message_t *response, void *arg);
  /* In place of it: the result of server/discover of a server that knows no initialize. */
  void (*on_discover)(yyjson_val *result, void *arg);
  void (*on_text)(const char *text, size_t len, void *arg); /* each later message as received; borrowed */
  void *arg;
} mcp__forward_t;
/* Borrowed; call it before the first request. */
void mcp__client_set_forward(mcp_client_t *client, const mcp__forward_t *forward);
/* MCP_ESTATE: not connected; UV_ENOMEM. */
int mcp__client_send(mcp_client_t *client, const char *text, size_t len);
size_t mcp__client_backlog(const mcp_client_t *client); /* unsent bytes */
/* pauses or resumes reading; a new connection starts with on */
void mcp__client_set_reading(mcp_client_t *client, bool on);
/* Drops the connection because of an error of the peer; the client reconnects. */
void mcp__client_drop(mcp_client_t *client, int status, const char *problem);
/* Limits the wait before the next attempt to ms; 0: the next request starts it. */
void mcp__client_retry_within(mcp_client_t *client, uint64_t ms);

#endif
