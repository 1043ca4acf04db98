/* pq_schema.h: migrates and maintains Dewey's tables in PostgreSQL. */
#ifndef DEWEY_PQ_SCHEMA_H
#define DEWEY_PQ_SCHEMA_H

#include "pq_conn.h"

/* Creates missing tables in one transaction, or migrates the tables of an older installation; several
 * processes may call it at once and take turns. Ends when the connection's work is cancelled. With
 * STORE_FAILED nothing has changed. *taken_over: the tables came from an older installation. */
int pq_schema_make(pq_conn_t *conn, bool *taken_over, store_error_t *error);

/* Creates the partitions of the days around now_us and the arrival indexes that older partitions lack,
 * without blocking writers. What it could not finish is done the next time. */
int pq_schema_maintain(pq_conn_t *conn, int64_t now_us, store_error_t *error);

#endif
