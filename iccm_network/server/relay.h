/* relay.h: calls that blocking handlers make of other servers. They share connections: a server has one
 * client for each address, on its loop. */
#ifndef MCP_RELAY_H
#define MCP_RELAY_H

#include "client/client.h"
#include "server/pool.h"

enum { MCP__RELAY_MAX_CLIENTS = 16 };

typedef struct mcp__relay {
  uv_loop_t *loop;
  struct mcp__upstream *upstreams; /* one for each address */
  unsigned count;                  /* how many these are */
  uv_timer_t timer;                /* begins what has been handed over */
  mcp__loop_task_t *first, *last;  /* oldest first */
  bool closed;
  int open_handles;             /* clients included */
  void (*on_closed)(void *arg); /* NULL until mcp__relay_close() */
  void *arg;
} mcp__relay_t;

/* On the loop's thread. */
void mcp__relay_open(mcp__relay_t *relay, uv_loop_t *loop);
void mcp__relay_take(mcp__relay_t *relay, mcp__loop_task_t *task); /* of mcp__relay_call(), from the pool */
/* Begins no more calls and closes the clients. Parents are cancelled before; what is left ends then. */
void mcp__relay_stop(mcp__relay_t *relay);
void mcp__relay_close(mcp__relay_t *relay, void (*cb)(void *arg), void *arg); /* the same; cb fires once */

/* Makes a call for the parent, which the pool serves, and waits for its end; on a thread of the pool. *status
 * 0: the order's cb was called, on the loop's thread, before this returns, and progress_cb before that on the
 * thread that waits. Else it is not, and
 * mcp_last_error() says why: a code of mcp_client_call() or mcp__client_new(), or MCP_ECANCELED. params is
 * stolen. false: the relay has no client to spare for this address; nothing was done, and params is the
 * caller's. */
bool mcp__relay_call(mcp__pool_t *pool, mcp__parent_t *parent, const char *url, size_t max_message,
                     const mcp__request_spec_t *spec, yyjson_mut_doc *params, int *status);

#endif
