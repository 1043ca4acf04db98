/* sqlite_store.h: what the parts of the store on SQLite share. */
#ifndef DEWEY_SQLITE_STORE_H
#define DEWEY_SQLITE_STORE_H

#include "pool.h"
#include "sqlite_conn.h"

/* SQLite has one writer at a time: the pool of writers holds one connection, that of readers a few. */
typedef struct sqlite_store {
  store_t store; /* first: it is what others see */
  pool_t writers, readers;
} sqlite_store_t;

/* A connection, given back by sqlite_give to the pool it is of; a reader's work ends after STORE_QUERY_MS, or
 * when stop says so. NULL: none was free for too long, STORE_BUSY. */
conn_t *sqlite_writer(sqlite_store_t *self, store_error_t *error);
conn_t *sqlite_reader(sqlite_store_t *self, store_stop_t stop, store_error_t *error);
void sqlite_give(pool_t *pool, conn_t *conn);

#endif
