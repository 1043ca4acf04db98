/* db_sqlite.h: db.h on SQLite, for a store that also uses its connections directly. */
#ifndef STORES_DB_SQLITE_H
#define STORES_DB_SQLITE_H

#include "db.h"
#include "sqlite_pools.h"

/* Creates a db_t on connections that the caller opens, with this spec, before its first use. The spec's
 * extend calls db_sqlite_extend; its statements are those of the db_t. Pools and spec outlive the db_t.
 * Returns NULL if out of memory. */
db_t *db_on_sqlite(sqlite_pools_t *pools, const sqlite_spec_t *spec);

/* Sets up a connection as db.h requires (foreign keys, collation "C"). Returns an SQLite result code. */
int db_sqlite_extend(sqlite3 *db, void *conn);

/* The connection of a transaction, valid until its db_end. */
sqlite_conn_t *db_sqlite_conn(const db_conn_t *conn);

#endif
