/* sqlite_pools.h: the connections of a store on SQLite, which has one writer at a time and a few readers. */
#ifndef STORES_SQLITE_POOLS_H
#define STORES_SQLITE_POOLS_H

#include "conn_pool.h"
#include "sqlite_conn.h"

typedef struct sqlite_pools {
  conn_pool_t writers, readers;
} sqlite_pools_t;

/* Opens all of them. False: error says why, and there is nothing to be closed. */
bool sqlite_pools_open(sqlite_pools_t *pools, const char *path, const sqlite_spec_t *spec,
                       store_error_t *error);
void sqlite_pools_close(sqlite_pools_t *pools);

/* A connection, given back by sqlite_release to the pool it is of; its work, and the wait for it, end when
 * stop says so, a reader's after STORE_QUERY_TIMEOUT_MS, too. NULL: none was free for too long, STORE_BUSY,
 * or STORE_CANCELLED: *code and error say which. */
sqlite_conn_t *sqlite_acquire_writer(sqlite_pools_t *pools, cancel_token_t cancel, int *code,
                                     store_error_t *error);
sqlite_conn_t *sqlite_acquire_reader(sqlite_pools_t *pools, cancel_token_t cancel,
                                     store_error_t *error); /* STORE_BUSY */
void sqlite_release(conn_pool_t *pool, sqlite_conn_t *conn);

/* Whether the file can be written, while what it says stays the same, and there is room for so many bytes
 * beside it. */
int sqlite_check_write(sqlite_pools_t *pools, size_t free_bytes, cancel_token_t cancel, store_error_t *error);

#endif
