/* pool.h: threads for blocking handlers. Separate from libuv's four threads, which also resolve names: a slow
 * tool must not delay connecting. */
#ifndef MCP_POOL_H
#define MCP_POOL_H

#include "base/mem.h"

#include <uv.h>

/* Number of threads; how many of them may run jobs that wait for other servers; length of the queue for each
 * kind of job. */
enum { MCP__POOL_THREADS = 8, MCP__POOL_WAITERS = 6, MCP__POOL_MAX_WAITING = 1024 };

typedef struct mcp__job {
  struct mcp__job *next;
  bool waits;   /* its work may wait for other servers; set by the submitter */
  bool dropped; /* the pool was closed before the job began */
} mcp__job_t;

/* Work that a thread of the pool hands to the loop's thread. */
typedef struct mcp__loop_task {
  struct mcp__loop_task *next;
} mcp__loop_task_t;

typedef struct mcp__pool mcp__pool_t;

typedef struct mcp__pool_events {
  void (*work)(mcp__job_t *job); /* on a thread of the pool */
  void (*done)(mcp__job_t *job); /* on the loop's thread, once for each job, also if dropped */
  void (*notified)(void *owner); /* on the loop's thread, after mcp__pool_notify() */
  void (*task)(void *owner, mcp__loop_task_t *task); /* on the loop's thread, once for each, in order */
  /* Called instead of done, on the pool's thread, if work ends after the pool was closed. */
  void (*orphan)(mcp__job_t *job);
} mcp__pool_events_t;

/* Threads are created on demand. Returns NULL if out of memory. The pool does not keep the loop alive. */
mcp__pool_t *mcp__pool_new(uv_loop_t *loop, const mcp__pool_events_t *events, void *owner);
/* Returns 0; MCP_ELIMIT; or a libuv error if no thread can be created. */
int mcp__pool_submit(mcp__pool_t *pool, mcp__job_t *job);

/* Schedules the notified callback, before done of jobs that are still running. Called on threads of the pool.
 * No effect if the pool is closed. */
void mcp__pool_notify(mcp__pool_t *pool);
/* Passes a task to the loop's thread; called on a thread of the pool. Returns false, without effect, if the
 * pool is closed. */
bool mcp__pool_post(mcp__pool_t *pool, mcp__loop_task_t *task);

/* Drops queued jobs, calling done and task from here. Joins idle threads and detaches busy ones. Then calls
 * cb once from the loop; the pool is freed by then. */
void mcp__pool_close(mcp__pool_t *pool, void (*cb)(void *arg), void *arg);

#endif
