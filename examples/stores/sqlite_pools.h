/* sqlite_pools.h: the connections of a store on SQLite, which has one writer at a time and a few readers. */
#ifndef STORES_SQLITE_POOLS_H
#define STORES_SQLITE_POOLS_H

#include "conn_pool.h"
#include "sqlite_conn.h"

typedef struct sqlite_pools {
  conn_pool_t writers, readers;
} sqlite_pools_t;

/* Opens all of them. False: error says why, and there is nothing to be closed. */
bool sqlite_pools_open(sqlite_pools_t *pools, const char *path, const conn_plan_t *plan,
                       store_error_t *error);
void sqlite_pools_close(sqlite_pools_t *pools);

/* A connection, given back by sqlite_give to the pool it is of; its work, and the wait for it, end when stop
 * says so, a reader's after STORE_QUERY_MS, too. NULL: none was free for too long, STORE_BUSY, or
 * STORE_STOPPED: *code and error say which. */
conn_t *sqlite_writer(sqlite_pools_t *pools, store_stop_t stop, int *code, store_error_t *error);
conn_t *sqlite_reader(sqlite_pools_t *pools, store_stop_t stop, store_error_t *error); /* STORE_BUSY */
void sqlite_give(conn_pool_t *pool, conn_t *conn);

/* Whether the file can be written, while what it says stays the same, and there is room for so many bytes
 * beside it. */
int sqlite_check_writing(sqlite_pools_t *pools, size_t room, store_stop_t stop, store_error_t *error);

#endif
