/* conn_pool.c: see conn_pool.h. The wait for a connection is bounded. */
#include "conn_pool.h"
#include "monotonic.h"

#include <stdio.h>

void conn_pool_init(conn_pool_t *pool) {
  pthread_mutex_init(&pool->mutex, NULL);
  pthread_cond_init(&pool->available, NULL);
  pool->count = 0;
}

void conn_pool_deinit(conn_pool_t *pool) {
  pthread_cond_destroy(&pool->available);
  pthread_mutex_destroy(&pool->mutex);
}

void *conn_pool_try_acquire(conn_pool_t *pool) {
  pthread_mutex_lock(&pool->mutex);
  void *conn = pool->count > 0 ? pool->free[--pool->count] : NULL;
  pthread_mutex_unlock(&pool->mutex);
  return conn;
}

/* Waits for a step or until end_ms, with the mutex held. Returns STORE_OK or the reason to stop. */
static int wait_a_step(conn_pool_t *pool, int64_t end_ms, cancel_token_t cancel) {
  int64_t step_ms = monotonic_ms() + CANCEL_POLL_MS;
  if (cancel_requested(cancel))
    return STORE_CANCELLED;
  if (monotonic_ms() >= end_ms)
    return STORE_BUSY;
  cond_wait_until(&pool->available, &pool->mutex, step_ms < end_ms ? step_ms : end_ms);
  return STORE_OK;
}

void *conn_pool_acquire(conn_pool_t *pool, int64_t timeout_ms, cancel_token_t cancel, int *code,
                        store_error_t *error) {
  int64_t end_ms = monotonic_ms() + timeout_ms;
  void *conn = NULL;
  *code = STORE_OK;
  pthread_mutex_lock(&pool->mutex);
  while (pool->count == 0 && *code == STORE_OK)
    *code = wait_a_step(pool, end_ms, cancel);
  if (pool->count > 0) {
    conn = pool->free[--pool->count];
    *code = STORE_OK;
  }
  pthread_mutex_unlock(&pool->mutex);
  if (*code == STORE_BUSY)
    snprintf(error->text, sizeof error->text, "all connections were in use for %d ms", (int)timeout_ms);
  else if (*code == STORE_CANCELLED)
    snprintf(error->text, sizeof error->text, "all connections were in use until the call was cancelled");
  return conn;
}

void conn_pool_release(conn_pool_t *pool, void *conn) {
  pthread_mutex_lock(&pool->mutex);
  pool->free[pool->count++] = conn;
  pthread_cond_signal(&pool->available);
  pthread_mutex_unlock(&pool->mutex);
}
