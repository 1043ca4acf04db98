/* conn_pool.h: a pool of database connections; each is lent to one thread at a time. */
#ifndef STORES_CONN_POOL_H
#define STORES_CONN_POOL_H

#include "stores.h"

#include <pthread.h>

enum { CONN_POOL_SIZE = 4 };

typedef struct conn_pool {
  pthread_mutex_t mutex;
  pthread_cond_t available;
  void *free[CONN_POOL_SIZE];
  int count; /* number of free connections */
} conn_pool_t;

void conn_pool_init(conn_pool_t *pool);
void conn_pool_deinit(conn_pool_t *pool); /* all connections were taken out before */

/* Takes a free connection and waits for one if necessary. Returns NULL after timeout_ms (STORE_BUSY) or
 * when cancelled (STORE_CANCELLED), with *code and error set. */
void *conn_pool_acquire(conn_pool_t *pool, int64_t timeout_ms, cancel_token_t cancel, int *code,
                        store_error_t *error);
void conn_pool_release(conn_pool_t *pool, void *conn);

/* Takes a free connection without waiting. Returns NULL if there is none. */
void *conn_pool_try_acquire(conn_pool_t *pool);

#endif
