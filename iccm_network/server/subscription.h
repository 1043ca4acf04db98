/* subscription.h: the notifications that one subscriptions/listen requested (2026-07-28), and the messages
 * that belong to it; pure. */
#ifndef MCP_SUBSCRIPTION_H
#define MCP_SUBSCRIPTION_H

#include "base/buf.h"
#include "mcp/dispatch.h"

enum {
  MCP__MAX_SUBSCRIPTIONS = 64,        /* of a session */
  MCP__SUBSCRIPTION_PARAMS_MAX = 4096 /* bytes of the params that are kept for a capability's callback */
};

typedef struct mcp__subscription {
  struct mcp__subscription *next;
  void *origin; /* of the request: the messages go there */
  char *id;     /* the request's, as JSON text */
  size_t id_len;
  bool wants_tools;        /* notifications/tools/list_changed */
  char *capability_params; /* JSON text for the capability's callback; NULL: its notification is not wanted */
  bool tools_due, capability_due;
} mcp__subscription_t;

/* NULL: out of memory. */
mcp__subscription_t *mcp__subscription_new(const mcp__message_t *message,
                                           const mcp__dispatch_result_t *result, void *origin);
void mcp__subscription_free(mcp__subscription_t *subscription);

/* Each writes a whole message. capability: the name of the experimental one. */
int mcp__subscription_write_acknowledged(mcp__buf_t *out, const mcp__subscription_t *subscription,
                                         const char *capability);
int mcp__subscription_write_tools_changed(mcp__buf_t *out, const mcp__subscription_t *subscription);
/* params: what the callback made; gets the id of the subscription. */
int mcp__subscription_write_capability(mcp__buf_t *out, const mcp__subscription_t *subscription,
                                       const char *capability, yyjson_mut_doc *params);
/* The response to the request: the server ends the subscription. */
int mcp__subscription_write_end(mcp__buf_t *out, const mcp__subscription_t *subscription);

#endif
