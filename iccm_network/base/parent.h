/* parent.h: a call that is being served, as seen by those who make calls for it.
 *
 * It is a leaf: clients (who make calls for it) and servers (who serve it) both know it, and not each other.
 * Used on the thread of the loop that serves the call, unless a function says otherwise. */
#ifndef MCP_PARENT_H
#define MCP_PARENT_H

#include "base/span.h"
#include "iccm_network.h"

#include <stdatomic.h>

/* A call that is made for another one. */
typedef struct mcp__child {
  struct mcp__child *prev, *next; /* of the same parent */
  struct mcp__parent *parent;     /* NULL: none, or it has ended */
  /* The parent was cancelled. The child has left it by then. */
  void (*on_cancel)(struct mcp__child *child);
} mcp__child_t;

/* First member of mcp_call_t. */
typedef struct mcp__parent {
  mcp__child_t *children; /* that have not ended */
  mcp__trace_t trace;
  size_t max_message;    /* of its server; any thread */
  atomic_bool cancelled; /* nobody waits for its answer; any thread */
  bool on_pool;          /* its handler runs on a thread of the pool */
} mcp__parent_t;

static inline mcp__parent_t *mcp__parent_of(mcp_call_t *call) {
  return (mcp__parent_t *)(void *)call;
}

/* 0; MCP_ECANCELED: the parent was cancelled; MCP_ESTATE: another thread serves it. */
int mcp__parent_may_adopt(const mcp__parent_t *parent);
void mcp__parent_adopt(mcp__parent_t *parent, mcp__child_t *child); /* on_cancel is set */
void mcp__parent_leave_children(mcp__parent_t *parent);             /* it has ended */
void mcp__parent_cancel_children(mcp__parent_t *parent);

void mcp__child_leave(mcp__child_t *child); /* does nothing where there is no parent */

#endif
