/* parent.h: the part of a call being served that the client layer needs.
 *
 * Both clients (which make calls for it) and servers (which serve it) include this header, and not each
 * other. Use it on the thread of the loop that serves the call, unless a function says otherwise. */
#ifndef MCP_PARENT_H
#define MCP_PARENT_H

#include "base/span.h"
#include "iccm_network.h"

#include <stdatomic.h>

/* A client call that is made while a call is served. */
typedef struct mcp__child {
  struct mcp__child *prev, *next; /* of the same parent */
  struct mcp__parent *parent;     /* NULL: none, or it has ended */
  /* Called when the parent is cancelled. The child has already left its parent. */
  void (*on_cancel)(struct mcp__child *child);
} mcp__child_t;

/* First member of mcp_call_t. */
typedef struct mcp__parent {
  mcp__child_t *children; /* that have not ended */
  mcp__trace_t trace;
  size_t max_message; /* maximum message size of its server; any thread */
  /* Why the response is no longer wanted; MCP_CANCEL_NONE, which is 0: it is. Any thread. */
  _Atomic(mcp_cancel_reason_t) cancelled;
  bool on_pool; /* its handler runs on a pool thread */
} mcp__parent_t;

static inline mcp__parent_t *mcp__parent_of(mcp_call_t *call) {
  return (mcp__parent_t *)(void *)call;
}

/* 0; MCP_ECANCELED: the parent was cancelled; MCP_ESTATE: the parent runs on a pool thread. */
int mcp__parent_may_adopt(const mcp__parent_t *parent);
void mcp__parent_adopt(mcp__parent_t *parent, mcp__child_t *child); /* on_cancel must be set */
void mcp__parent_leave_children(mcp__parent_t *parent);             /* the parent has ended */
void mcp__parent_cancel_children(mcp__parent_t *parent);

void mcp__child_leave(mcp__child_t *child); /* no effect without a parent */

#endif
