/* relay.h: calls of blocking handlers to other servers. They share connections: a server has one client for
 * each address, on its loop. */
#ifndef MCP_RELAY_H
#define MCP_RELAY_H

#include "client/client.h"
#include "server/pool.h"

enum { MCP__RELAY_MAX_CLIENTS = 16 };

typedef struct mcp__relay {
  uv_loop_t *loop;
  struct mcp__upstream *upstreams; /* one for each address */
  unsigned count;                  /* number of upstreams */
  uv_timer_t timer;                /* starts the calls that were handed over */
  mcp__loop_task_t *first, *last;  /* oldest first */
  bool closed;
  int open_handles;             /* including clients */
  void (*on_closed)(void *arg); /* NULL until mcp__relay_close() */
  void *arg;
} mcp__relay_t;

/* On the loop's thread. */
void mcp__relay_open(mcp__relay_t *relay, uv_loop_t *loop);
void mcp__relay_take(mcp__relay_t *relay, mcp__loop_task_t *task); /* from mcp__relay_call(), by the pool */
/* Refuses new calls and closes the clients. The caller has cancelled the parents; remaining calls end now. */
void mcp__relay_stop(mcp__relay_t *relay);
void mcp__relay_close(mcp__relay_t *relay, void (*cb)(void *arg), void *arg); /* stops; cb is called once */

/* Makes a call for a parent that the pool serves, and waits for its end. Called on a thread of the pool.
 * *status is 0 if spec->cb was called, on the loop's thread, before this returns; progress_cb is called
 * before that, on the waiting thread. Otherwise *status is MCP_ECANCELED or a code of mcp_client_call() or
 * mcp__client_new(), and mcp_last_error() holds the cause. params is consumed. Returns false if the relay has
 * no client left for this address: then nothing was done, and params still belongs to the caller. */
bool mcp__relay_call(mcp__pool_t *pool, mcp__parent_t *parent, const char *url, size_t max_message,
                     const mcp__request_spec_t *spec, yyjson_mut_doc *params, int *status);

#endif
