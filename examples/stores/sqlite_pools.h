/* sqlite_pools.h: the connections of a store on SQLite: one writer and a few readers. */
#ifndef STORES_SQLITE_POOLS_H
#define STORES_SQLITE_POOLS_H

#include "conn_pool.h"
#include "sqlite_conn.h"

typedef struct sqlite_pools {
  conn_pool_t writers, readers;
} sqlite_pools_t;

/* Opens all connections. Returns false with error set on failure; then there is nothing to close. */
bool sqlite_pools_open(sqlite_pools_t *pools, const char *path, const sqlite_spec_t *spec,
                       store_error_t *error);
void sqlite_pools_close(sqlite_pools_t *pools);

/* Takes a connection; release it to its pool with sqlite_release. The wait and all work on it end when
 * cancelled, a reader's also after STORE_QUERY_TIMEOUT_MS. Returns NULL with error set if none becomes
 * free in time (STORE_BUSY) or when cancelled (STORE_CANCELLED). */
sqlite_conn_t *sqlite_acquire_writer(sqlite_pools_t *pools, cancel_token_t cancel, int *code,
                                     store_error_t *error);
sqlite_conn_t *sqlite_acquire_reader(sqlite_pools_t *pools, cancel_token_t cancel,
                                     store_error_t *error); /* NULL: STORE_BUSY */
void sqlite_release(conn_pool_t *pool, sqlite_conn_t *conn);

/* Tests that the file can be written, without changing its contents, and that free_bytes can be written
 * beside it. */
int sqlite_check_write(sqlite_pools_t *pools, size_t free_bytes, cancel_token_t cancel, store_error_t *error);

#endif
