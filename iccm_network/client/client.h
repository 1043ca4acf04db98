/* client.h: what the library itself wants of a client, beyond the public header. */
#ifndef MCP_CLIENT_H
#define MCP_CLIENT_H

#include "client/request.h"

/* mcp_client_new(), which says why: 0, MCP_EURL, MCP_EENV, UV_EINVAL (ICCM_TLS_CA), UV_ENOMEM. url NULL:
 * where Godot is unless that was set. */
int mcp__client_new(struct uv_loop_s *loop, const char *url, mcp_client_t **client);

/* Makes what the order says, connecting where that is needed; params is stolen. Nonzero: its cb does not
 * fire. */
int mcp__client_send_request(mcp_client_t *client, mcp__request_spec_t *spec, yyjson_mut_doc *params);

/* What only the library itself sets, before the first call. hello: the params of initialize as JSON text,
 * borrowed. */
void mcp__client_set_initialize_params(mcp_client_t *client, const char *initialize_params);
/* For everything from the name to initialize. */
void mcp__client_set_connect_ms(mcp_client_t *client, uint64_t ms);

/* For who passes on messages that are not its own, and asks nothing by the functions of the header: the
 * client connects, says hello (which may be set again at any time, for the next connection) and comes back.
 */
typedef struct mcp__forward {
  /* To initialize: before on_state tells of the connection. */
  void (*on_initialize)(const mcp__message_t *response, void *arg);
  void (*on_text)(const char *text, size_t len, void *arg); /* each message after it, as it came; borrowed */
  void *arg;
} mcp__forward_t;
/* Borrowed; before the first call. */
void mcp__client_set_forward(mcp_client_t *client, const mcp__forward_t *forward);
/* MCP_ESTATE: not connected; UV_ENOMEM. */
int mcp__client_send(mcp_client_t *client, const char *text, size_t len);
size_t mcp__client_backlog(const mcp_client_t *client);      /* bytes that the peer has not taken yet */
void mcp__client_set_reading(mcp_client_t *client, bool on); /* of this connection; the next begins with on */
/* The peer's fault: the next follows. */
void mcp__client_drop(mcp_client_t *client, int status, const char *problem);
/* No longer than that before the next attempt; 0: what is asked next makes one. */
void mcp__client_retry_within(mcp_client_t *client, uint64_t ms);

#endif
