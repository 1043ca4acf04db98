/* log_subscription.h: asks Godot for the minimum level of a component where that takes a subscription: over
 * HTTP, from MCP 2026-07-28 on. Otherwise initialize asks for it. */
#ifndef MCP_LOG_SUBSCRIPTION_H
#define MCP_LOG_SUBSCRIPTION_H

#include "client/client.h"

typedef struct mcp__log_subscription {
  mcp_client_t *client;  /* borrowed */
  const uv_loop_t *loop; /* the client's */
  const char *component; /* borrowed */
  bool wanted;           /* has to be requested, from again_ms on */
  bool pending;          /* was requested and has not ended */
  uint64_t again_ms;
} mcp__log_subscription_t;

/* The connection of the client is open. */
void mcp__log_subscription_open(mcp__log_subscription_t *subscription);
/* Requests the subscription if that is due. Call it now and then; a zeroed one is fine. */
void mcp__log_subscription_tick(mcp__log_subscription_t *subscription);

#endif
