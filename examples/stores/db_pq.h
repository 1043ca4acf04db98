/* db_pq.h: db.h on PostgreSQL, for a store that also uses its connections directly. */
#ifndef STORES_DB_PQ_H
#define STORES_DB_PQ_H

#include "db.h"
#include "pq_pools.h"

/* A db_t on connections that the caller opens, with this plan, before its first use. The plan's statements
 * are those of the db_t. The caller prepares the tables (pq_check); db_check may not be called. Pools and
 * plan outlive the db_t. NULL: no memory. */
db_t *db_on_pq(pq_pools_t *pools, const pq_spec_t *spec);

/* The connection of a transaction, valid until its db_end. */
pq_conn_t *db_pq_conn(const db_conn_t *conn);

#endif
