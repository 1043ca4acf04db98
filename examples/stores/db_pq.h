/* db_pq.h: db.h on PostgreSQL, for a store that also uses its connections directly. */
#ifndef STORES_DB_PQ_H
#define STORES_DB_PQ_H

#include "db.h"
#include "pq_pools.h"

/* Creates a db_t on connections that the caller opens, with this spec, before its first use. The spec's
 * statements are those of the db_t. The caller migrates the tables (pq_check); do not call db_check. Pools
 * and spec outlive the db_t. Returns NULL if out of memory. */
db_t *db_on_pq(pq_pools_t *pools, const pq_spec_t *spec);

/* The connection of a transaction, valid until its db_end. */
pq_conn_t *db_pq_conn(const db_conn_t *conn);

#endif
