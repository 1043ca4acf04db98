/* pool.c: see pool.h. The wait for a connection is bounded. */
#include "pool.h"
#include "monotonic.h"

#include <stdio.h>

void pool_init(pool_t *pool) {
  pthread_mutex_init(&pool->mutex, NULL);
  pthread_cond_init(&pool->given, NULL);
  pool->count = 0;
}

void pool_deinit(pool_t *pool) {
  pthread_cond_destroy(&pool->given);
  pthread_mutex_destroy(&pool->mutex);
}

void *pool_pop(pool_t *pool) {
  pthread_mutex_lock(&pool->mutex);
  void *conn = pool->count > 0 ? pool->free[--pool->count] : NULL;
  pthread_mutex_unlock(&pool->mutex);
  return conn;
}

void *pool_take(pool_t *pool, int64_t timeout_ms, store_error_t *error) {
  int64_t end_ms = monotonic_ms() + timeout_ms;
  void *conn = NULL;
  int code = 0;
  pthread_mutex_lock(&pool->mutex);
  while (pool->count == 0 && code == 0)
    code = cond_wait_until(&pool->given, &pool->mutex, end_ms);
  if (pool->count > 0)
    conn = pool->free[--pool->count];
  pthread_mutex_unlock(&pool->mutex);
  if (conn == NULL)
    snprintf(error->text, sizeof error->text, "all connections were in use for %d ms", (int)timeout_ms);
  return conn;
}

void pool_give(pool_t *pool, void *conn) {
  pthread_mutex_lock(&pool->mutex);
  pool->free[pool->count++] = conn;
  pthread_cond_signal(&pool->given);
  pthread_mutex_unlock(&pool->mutex);
}
