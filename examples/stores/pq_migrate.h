/* pq_migrate.h: brings the tables in a PostgreSQL database up to date. */
#ifndef STORES_PQ_MIGRATE_H
#define STORES_PQ_MIGRATE_H

#include "pq_conn.h"

typedef struct pq_schema {
  const char *table; /* its one row holds the version, an integer named so */
  const char *lock;  /* SQL: takes a lock until the end of the transaction, for one at a time */
  const char *newer; /* why tables of a newer version are refused, in words for all */
  int version;       /* what the steps come to */
  /* Brings the tables from a version to the next; from 0 it makes them, and table with its row. A store_code;
   * after a failure nothing is left open. */
  int (*step)(pq_conn_t *conn, int from, const void *arg, store_error_t *error);
  const void *arg;
} pq_schema_t;

/* Runs the steps that are wanting, in one transaction; several may do this at once: the others wait for the
 * first. Ends when the connection's stop says so. After a failure nothing has changed. */
int pq_migrate(pq_conn_t *conn, const pq_schema_t *schema, store_error_t *error);

#endif
