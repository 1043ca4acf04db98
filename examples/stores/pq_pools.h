/* pq_pools.h: the connections of a store on PostgreSQL. Opening the pools does not connect; connections
 * are made when they are needed. Until a check has migrated the tables all other calls fail at once
 * instead of waiting for the migration. */
#ifndef STORES_PQ_POOLS_H
#define STORES_PQ_POOLS_H

#include "conn_pool.h"
#include "pq_conn.h"

#include <stdatomic.h>

/* Writers and readers have separate connections, so that slow queries do not delay writes. */
typedef struct pq_pools {
  pq_conninfo_t conninfo;
  conn_pool_t writers, readers;
  pq_conn_t conns[2 * CONN_POOL_SIZE];
  atomic_bool ready; /* set by a successful check */
} pq_pools_t;

/* Strings of conninfo and spec are borrowed until the pools are closed. */
void pq_pools_open(pq_pools_t *pools, const pq_conninfo_t *conninfo, const pq_spec_t *spec);
void pq_pools_close(pq_pools_t *pools);

/* Takes a connected connection; release a writer with pq_release_confirmed, a reader with pq_release to
 * its pool. The wait and all work on it end when cancelled, a reader's also after STORE_QUERY_TIMEOUT_MS.
 * Returns NULL with *code and error set on failure. */
pq_conn_t *pq_acquire_writer(pq_pools_t *pools, cancel_token_t cancel, int *code, store_error_t *error);
pq_conn_t *pq_acquire_reader(pq_pools_t *pools, cancel_token_t cancel, int *code, store_error_t *error);
void pq_release(conn_pool_t *pool, pq_conn_t *conn);

/* Releases a writer after a commit or rollback with this code. If the code states the contents of the
 * database (STORE_OK, STORE_NOT_FOUND, STORE_CONFLICT), waits first until a standby has confirmed them.
 * Returns code, or the failure of that wait. */
int pq_release_confirmed(pq_pools_t *pools, pq_conn_t *conn, int code, store_error_t *error);

/* Runs check on a writer, even before the tables are prepared; they count as prepared once it returns
 * STORE_OK. Then tests that free_bytes can be written, unless that is 0. */
typedef int (*pq_check_cb)(pq_conn_t *conn, void *arg, store_error_t *error);
int pq_check(pq_pools_t *pools, size_t free_bytes, cancel_token_t cancel, pq_check_cb check, void *arg,
             store_error_t *error);

#endif
