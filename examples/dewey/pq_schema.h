/* pq_schema.h: makes and checks Dewey's tables in PostgreSQL. */
#ifndef DEWEY_PQ_SCHEMA_H
#define DEWEY_PQ_SCHEMA_H

#include "pq_conn.h"

/* Makes the tables where there are none, in one transaction, and takes those of an older installation over;
 * several may do this at once: the others wait for the first. Ends when the connection's stop says so. With
 * STORE_FAILED nothing has changed. *taken_over: the database came from an older installation. */
int pq_schema_make(pq_conn_t *conn, bool *taken_over, store_error_t *error);

/* Makes the partitions of the days around now_us, and the indexes by arrival that older partitions lack,
 * without stopping those who store. What it has not done is done the next time. */
int pq_schema_maintain(pq_conn_t *conn, int64_t now_us, store_error_t *error);

#endif
