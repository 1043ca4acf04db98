/* pq_migrate.h: migrates the tables in a PostgreSQL database. */
#ifndef STORES_PQ_MIGRATE_H
#define STORES_PQ_MIGRATE_H

#include "pq_conn.h"

typedef struct pq_schema {
  const char *table; /* its single row holds the integer version */
  const char *lock;  /* SQL that takes a lock until the end of the transaction */
  const char *newer; /* public error message for tables of a newer version */
  int version;       /* after all steps */
  /* Brings the tables from one version to the next; from 0 it creates them, and table with its row.
   * Returns a store_code; after a failure no transaction is open. */
  int (*step)(pq_conn_t *conn, int from, const void *arg, store_error_t *error);
  const void *arg;
} pq_schema_t;

/* Runs the missing steps in one transaction. Several processes may call it at once; they take turns by the
 * lock. Ends when the connection's work is cancelled. After a failure nothing has changed. */
int pq_migrate(pq_conn_t *conn, const pq_schema_t *schema, store_error_t *error);

#endif
