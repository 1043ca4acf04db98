/* db_sqlite.h: db.h on SQLite, for a store that asks more of it than db.h does. */
#ifndef STORES_DB_SQLITE_H
#define STORES_DB_SQLITE_H

#include "db.h"
#include "sqlite_pools.h"

/* A db_t on connections that are open, whose plan this is, and for which its extend has called
 * db_sqlite_extend. Both have to outlive it; statements are numbers of that plan. NULL: no memory. */
db_t *db_on_sqlite(sqlite_pools_t *pools, const conn_plan_t *plan);

/* Sets a connection up as db.h says: a conn_plan_t's extend. */
int db_sqlite_extend(sqlite3 *db, void *conn);

/* The connection of a transaction, to be used in it. */
conn_t *db_sqlite_conn(const db_conn_t *conn);

#endif
