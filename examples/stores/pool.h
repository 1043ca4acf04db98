/* pool.h: hands out connections to a database, each to one thread at a time. */
#ifndef STORES_POOL_H
#define STORES_POOL_H

#include "stores.h"

#include <pthread.h>

enum { POOL_MAX = 4 };

typedef struct pool {
  pthread_mutex_t mutex;
  pthread_cond_t given;
  void *free[POOL_MAX];
  int count; /* of free */
} pool_t;

void pool_init(pool_t *pool);
void pool_deinit(pool_t *pool); /* must be empty */

/* A connection that nobody uses; NULL: there was none for so long (STORE_BUSY), or stop said so
 * (STORE_STOPPED): *code and error say which. */
void *pool_take(pool_t *pool, int64_t timeout_ms, store_stop_t stop, int *code, store_error_t *error);
void pool_give(pool_t *pool, void *conn);

/* One that is there now, or NULL. */
void *pool_pop(pool_t *pool);

#endif
