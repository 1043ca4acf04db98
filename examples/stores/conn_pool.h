/* conn_pool.h: hands out connections to a database, each to one thread at a time. */
#ifndef STORES_CONN_POOL_H
#define STORES_CONN_POOL_H

#include "stores.h"

#include <pthread.h>

enum { CONN_POOL_SIZE = 4 };

typedef struct conn_pool {
  pthread_mutex_t mutex;
  pthread_cond_t available;
  void *free[CONN_POOL_SIZE];
  int count; /* of free */
} conn_pool_t;

void conn_pool_init(conn_pool_t *pool);
void conn_pool_deinit(conn_pool_t *pool); /* must be empty */

/* A connection that nobody uses; NULL: there was none for so long (STORE_BUSY), or stop said so
 * (STORE_CANCELLED): *code and error say which. */
void *conn_pool_acquire(conn_pool_t *pool, int64_t timeout_ms, cancel_token_t cancel, int *code,
                        store_error_t *error);
void conn_pool_release(conn_pool_t *pool, void *conn);

/* One that is there now, or NULL. */
void *conn_pool_try_acquire(conn_pool_t *pool);

#endif
