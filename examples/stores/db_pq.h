/* db_pq.h: db.h on PostgreSQL, for a store that asks more of it than db.h does. */
#ifndef STORES_DB_PQ_H
#define STORES_DB_PQ_H

#include "db.h"
#include "pq_pools.h"

/* A db_t on connections whose plan this is. Both have to outlive it; statements are numbers of that plan. It
 * has no db_check: whoever made the pools has to prepare the tables (pq_check). NULL: no memory. */
db_t *db_on_pq(pq_pools_t *pools, const pq_plan_t *plan);

/* The connection of a transaction, to be used in it. */
pq_conn_t *db_pq_conn(const db_conn_t *conn);

#endif
