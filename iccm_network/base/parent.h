/* parent.h: calls that a client makes for a call that is being served; what client and server know of each
 * other. */
#ifndef MCP_PARENT_H
#define MCP_PARENT_H

#include "iccm_network.h"

typedef struct mcp__child {
  struct mcp__child *prev, *next; /* of the same parent */
  mcp_call_t *parent;             /* NULL: none, or it has ended */
  /* Nobody waits for the parent any more, which it has left by then. */
  void (*on_cancel)(struct mcp__child *child);
} mcp__child_t;

/* MCP_ECANCELED: nobody waits for the call any more; MCP_ESTATE: it is served on another thread. */
int mcp__call_may_adopt(const mcp_call_t *call);
void mcp__call_adopt(mcp_call_t *call, mcp__child_t *child); /* where it may; on_cancel is set */
uint64_t mcp__call_span(const mcp_call_t *call);             /* see span.h */
size_t mcp__call_max_message(const mcp_call_t *call);        /* of its server; any thread */
struct mcp__pool *mcp__call_pool(const mcp_call_t *call);    /* it serves call; NULL: the loop does */
void mcp__child_leave(mcp__child_t *child);                  /* also where there is no parent */

#endif
