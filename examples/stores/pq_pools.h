/* pq_pools.h: the connections of a store on PostgreSQL. Opening needs no database: it is connected to when
 * there is work. Until a check has prepared the tables everything else fails at once, so that nobody waits
 * for a migration. */
#ifndef STORES_PQ_POOLS_H
#define STORES_PQ_POOLS_H

#include "conn_pool.h"
#include "pq_conn.h"

#include <stdatomic.h>

/* Writers and readers have connections of their own: many long queries do not keep anybody from storing. */
typedef struct pq_pools {
  pq_conninfo_t conninfo;
  conn_pool_t writers, readers;
  pq_conn_t conns[2 * CONN_POOL_SIZE];
  atomic_bool ready; /* since a check found it so */
} pq_pools_t;

/* What place and plan point to is borrowed until the pools are closed. */
void pq_pools_open(pq_pools_t *pools, const pq_conninfo_t *conninfo, const pq_spec_t *spec);
void pq_pools_close(pq_pools_t *pools);

/* A connection that works: a writer is given back by pq_release_confirmed, a reader by pq_release to its
 * pool; its work, and the wait for it, end when stop says so, a reader's after STORE_QUERY_TIMEOUT_MS, too.
 * NULL: *code and error say why. */
pq_conn_t *pq_acquire_writer(pq_pools_t *pools, cancel_token_t cancel, int *code, store_error_t *error);
pq_conn_t *pq_acquire_reader(pq_pools_t *pools, cancel_token_t cancel, int *code, store_error_t *error);
void pq_release(conn_pool_t *pool, pq_conn_t *conn);

/* Gives a writer back whose work is committed, or came to nothing, with this code, and answers it: where it
 * tells what is in the database (STORE_OK, STORE_NOT_FOUND, STORE_CONFLICT), a standby has confirmed that, or
 * else the answer says why not. */
int pq_release_confirmed(pq_pools_t *pools, pq_conn_t *conn, int code, store_error_t *error);

/* Runs check on a writer, also while the tables are not prepared, which they are when it answers STORE_OK;
 * then, unless room is 0, whether so many bytes more can be written. */
typedef int (*pq_check_cb)(pq_conn_t *conn, void *arg, store_error_t *error);
int pq_check(pq_pools_t *pools, size_t free_bytes, cancel_token_t cancel, pq_check_cb check, void *arg,
             store_error_t *error);

#endif
