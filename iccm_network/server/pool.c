/* pool.c: a queue of jobs, threads that run them, and an async handle that returns them and other tasks to
 * the loop.
 *
 * Jobs that may wait for other servers never occupy all threads: at their limit, later jobs in the queue
 * overtake them.
 *
 * A closed pool joins its idle threads, which end at once, so that none is still exiting when the process
 * exits. A handler that never returns cannot be stopped; therefore a busy thread is detached, and the last
 * user frees the state shared with it. */
#define _GNU_SOURCE /* pthread_setname_np() */
#include "server/pool.h"

#include <assert.h>
#include <pthread.h>

typedef struct thread {
  mcp__pool_t *pool;
  pthread_t id;
  bool at_work;
} thread_t;

struct mcp__pool {
  uv_mutex_t mutex;
  uv_cond_t wake;
  uv_async_t async;
  const mcp__pool_events_t *events;
  void *owner; /* for the callbacks */
  bool notify_pending;
  mcp__loop_task_t *task, *last_task; /* for the loop; oldest first */
  mcp__job_t *first, **end;           /* queue; end: where the next job is linked */
  mcp__job_t *finished;               /* for the loop; newest first */
  unsigned waiting[2];                /* queued jobs: without and with waits */
  unsigned idle, threads, waiters;    /* waiters: busy threads with a job that waits */
  thread_t all[MCP__POOL_THREADS];    /* the first threads entries are in use */
  unsigned users;                     /* threads and the owner; the last one frees */
  bool closed;
  void (*on_closed)(void *arg);
  void *arg;
};

static void unref(mcp__pool_t *pool) { /* called with the mutex held, which it unlocks */
  assert(pool->users > 0);
  bool last = --pool->users == 0;
  uv_mutex_unlock(&pool->mutex);
  if (!last)
    return;
  uv_cond_destroy(&pool->wake);
  uv_mutex_destroy(&pool->mutex);
  mcp__free(pool);
}

/* With the mutex held: returns the link of the first job that may begin; it holds NULL if none may. */
static mcp__job_t **next_runnable(mcp__pool_t *pool) {
  mcp__job_t **link = &pool->first;
  while (*link != NULL && (*link)->waits && pool->waiters == MCP__POOL_WAITERS)
    link = &(*link)->next;
  return link;
}

static mcp__job_t *take(mcp__pool_t *pool) { /* with the mutex held; NULL: the pool is closed */
  mcp__job_t **link, *job;
  while (*(link = next_runnable(pool)) == NULL && !pool->closed) {
    pool->idle++;
    uv_cond_wait(&pool->wake, &pool->mutex);
    pool->idle--;
  }
  if ((job = *link) == NULL)
    return NULL;
  *link = job->next;
  if (*link == NULL)
    pool->end = link;
  assert(pool->waiting[job->waits] > 0);
  pool->waiting[job->waits]--;
  pool->waiters += job->waits;
  return job;
}

static void *thread_main(void *arg) {
  thread_t *thread = arg;
  mcp__pool_t *pool = thread->pool;
  pthread_setname_np(pthread_self(), "mcp-pool");
  uv_mutex_lock(&pool->mutex);
  for (mcp__job_t *job; (job = take(pool)) != NULL;) {
    bool waits = job->waits;
    thread->at_work = true;
    uv_mutex_unlock(&pool->mutex);
    pool->events->work(job);
    uv_mutex_lock(&pool->mutex);
    pool->waiters -= waits;
    thread->at_work = pool->closed; /* then it was detached */
    if (pool->closed) {
      uv_mutex_unlock(&pool->mutex);
      pool->events->orphan(job);
      uv_mutex_lock(&pool->mutex);
    } else {
      job->next = pool->finished;
      pool->finished = job;
      uv_async_send(&pool->async);
    }
  }
  unref(pool);
  return NULL;
}

static void finish(mcp__pool_t *pool, mcp__job_t *job) { /* the list is newest first */
  mcp__job_t *in_order = NULL;
  while (job != NULL) {
    mcp__job_t *next = job->next;
    job->next = in_order;
    in_order = job;
    job = next;
  }
  while (in_order != NULL) {
    mcp__job_t *next = in_order->next;
    pool->events->done(in_order);
    in_order = next;
  }
}

static mcp__job_t *take_finished(mcp__pool_t *pool) {
  mcp__job_t *jobs = pool->finished;
  pool->finished = NULL;
  return jobs;
}

static mcp__loop_task_t *take_tasks(mcp__pool_t *pool) {
  mcp__loop_task_t *tasks = pool->task;
  pool->task = NULL;
  return tasks;
}

static void run_tasks(mcp__pool_t *pool, mcp__loop_task_t *task) {
  while (task != NULL) {
    mcp__loop_task_t *next = task->next;
    pool->events->task(pool->owner, task);
    task = next;
  }
}

static void on_async(uv_async_t *async) {
  mcp__pool_t *pool = async->data;
  uv_mutex_lock(&pool->mutex);
  mcp__job_t *jobs = take_finished(pool);
  mcp__loop_task_t *tasks = take_tasks(pool);
  bool notify_pending = pool->notify_pending;
  pool->notify_pending = false;
  uv_mutex_unlock(&pool->mutex);
  if (notify_pending)
    pool->events->notified(pool->owner);
  run_tasks(pool, tasks);
  finish(pool, jobs);
}

void mcp__pool_notify(mcp__pool_t *pool) {
  uv_mutex_lock(&pool->mutex);
  if (!pool->closed) {
    pool->notify_pending = true;
    uv_async_send(&pool->async);
  }
  uv_mutex_unlock(&pool->mutex);
}

bool mcp__pool_post(mcp__pool_t *pool, mcp__loop_task_t *task) {
  uv_mutex_lock(&pool->mutex);
  bool open = !pool->closed;
  if (open) {
    task->next = NULL;
    *(pool->task != NULL ? &pool->last_task->next : &pool->task) = task;
    pool->last_task = task;
    uv_async_send(&pool->async);
  }
  uv_mutex_unlock(&pool->mutex);
  return open;
}

mcp__pool_t *mcp__pool_new(uv_loop_t *loop, const mcp__pool_events_t *events, void *owner) {
  mcp__pool_t *pool = mcp__calloc(sizeof *pool);
  if (pool == NULL)
    return NULL;
  pool->events = events;
  pool->end = &pool->first;
  pool->owner = owner;
  pool->users = 1;
  if (uv_mutex_init(&pool->mutex) != 0)
    goto no_mutex;
  if (uv_cond_init(&pool->wake) != 0)
    goto no_cond;
  if (uv_async_init(loop, &pool->async, on_async) != 0)
    goto no_async;
  pool->async.data = pool;
  uv_unref((uv_handle_t *)&pool->async);
  return pool;
no_async:
  uv_cond_destroy(&pool->wake);
no_cond:
  uv_mutex_destroy(&pool->mutex);
no_mutex:
  mcp__free(pool);
  return NULL;
}

static int start_thread(mcp__pool_t *pool) { /* with the mutex held */
  thread_t *thread = &pool->all[pool->threads];
  *thread = (thread_t){.pool = pool};
  int status = pthread_create(&thread->id, NULL, thread_main, thread);
  if (status != 0)
    return uv_translate_sys_error(status);
  pool->threads++;
  pool->users++;
  return 0;
}

int mcp__pool_submit(mcp__pool_t *pool, mcp__job_t *job) {
  int status = 0;
  uv_mutex_lock(&pool->mutex);
  if (pool->waiting[job->waits] >= MCP__POOL_MAX_WAITING)
    status = MCP_ELIMIT;
  else if (pool->idle <= pool->waiting[0] + pool->waiting[1] && pool->threads < MCP__POOL_THREADS)
    status = start_thread(pool);
  if (status != 0 && status != MCP_ELIMIT && pool->threads > 0)
    status = 0; /* the existing threads suffice */
  if (status == 0) {
    job->next = NULL;
    job->dropped = false;
    *pool->end = job;
    pool->end = &job->next;
    pool->waiting[job->waits]++;
    uv_cond_signal(&pool->wake);
  }
  uv_mutex_unlock(&pool->mutex);
  return status;
}

static void join_threads(mcp__pool_t *pool) { /* the pool is closed: no thread begins another job */
  for (unsigned i = 0; i < pool->threads; i++) {
    uv_mutex_lock(&pool->mutex);
    bool at_work = pool->all[i].at_work;
    uv_mutex_unlock(&pool->mutex);
    if (at_work)
      pthread_detach(pool->all[i].id);
    else
      pthread_join(pool->all[i].id, NULL);
  }
}

static void on_async_closed(uv_handle_t *handle) {
  mcp__pool_t *pool = handle->data;
  void (*cb)(void *arg) = pool->on_closed;
  void *arg = pool->arg;
  join_threads(pool);
  uv_mutex_lock(&pool->mutex);
  unref(pool);
  cb(arg);
}

void mcp__pool_close(mcp__pool_t *pool, void (*cb)(void *arg), void *arg) {
  uv_mutex_lock(&pool->mutex);
  pool->closed = true;
  pool->on_closed = cb;
  pool->arg = arg;
  mcp__job_t *waiting = pool->first;
  mcp__job_t *finished = take_finished(pool);
  mcp__loop_task_t *tasks = take_tasks(pool);
  pool->first = NULL;
  pool->end = &pool->first;
  pool->waiting[0] = pool->waiting[1] = 0;
  uv_cond_broadcast(&pool->wake);
  uv_mutex_unlock(&pool->mutex);
  run_tasks(pool, tasks);
  finish(pool, finished);
  while (waiting != NULL) {
    mcp__job_t *next = waiting->next;
    waiting->dropped = true;
    pool->events->done(waiting);
    waiting = next;
  }
  uv_close((uv_handle_t *)&pool->async, on_async_closed);
}
