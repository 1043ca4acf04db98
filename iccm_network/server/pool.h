/* pool.h: threads for handlers that block. A pool of the server's own: libuv's four threads also resolve
 * names, and a slow tool must not stop connecting. */
#ifndef MCP_POOL_H
#define MCP_POOL_H

#include "base/mem.h"

#include <uv.h>

/* Threads; of these, how many jobs that wait for others may have; how many of each kind may wait for a
 * thread. */
enum { MCP__POOL_THREADS = 8, MCP__POOL_WAITERS = 6, MCP__POOL_MAX_WAITING = 1024 };

typedef struct mcp__job {
  struct mcp__job *next;
  bool waits;   /* its work may wait for others; given with the job */
  bool dropped; /* the pool was closed before the job's turn came */
} mcp__job_t;

/* A thread of the pool wants it done on the loop's. */
typedef struct mcp__loop_task {
  struct mcp__loop_task *next;
} mcp__loop_task_t;

typedef struct mcp__pool mcp__pool_t;

typedef struct mcp__pool_events {
  void (*work)(mcp__job_t *job); /* on a thread of the pool */
  void (*done)(mcp__job_t *job); /* on the loop's thread, once each, also for dropped ones */
  void (*notified)(void *owner); /* on the loop's thread, after mcp__pool_notify() */
  void (*task)(void *owner, mcp__loop_task_t *task); /* on the loop's thread, once each, in order */
  /* Instead of done, on the pool's thread: work ended after the pool was closed. */
  void (*orphan)(mcp__job_t *job);
} mcp__pool_events_t;

/* Threads are made as jobs come. NULL: no memory. The pool alone does not keep the loop alive. */
mcp__pool_t *mcp__pool_new(uv_loop_t *loop, const mcp__pool_events_t *events, void *owner);
/* 0; MCP_ELIMIT; or libuv's, where no thread can be made. */
int mcp__pool_submit(mcp__pool_t *pool, mcp__job_t *job);

/* Has news called soon, before done of jobs that are still at work: on their threads. Nothing where it is
 * closed. */
void mcp__pool_notify(mcp__pool_t *pool);
/* Hands it to the loop's thread; on a thread of the pool. false: the pool is closed, nothing is done. */
bool mcp__pool_post(mcp__pool_t *pool, mcp__loop_task_t *task);

/* Drops what waits (done and errand are called from here), sees threads that are idle to their end and leaves
 * the others to themselves, then calls cb once from the loop; the pool is gone then. */
void mcp__pool_close(mcp__pool_t *pool, void (*cb)(void *arg), void *arg);

#endif
