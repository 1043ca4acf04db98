/* sqlite_query.h: finds and reads the rows that a filter asks for. */
#ifndef DEWEY_SQLITE_QUERY_H
#define DEWEY_SQLITE_QUERY_H

#include "sqlite_statements.h"

/* As store_t.query, on one connection. */
int sqlite_query(sqlite_conn_t *conn, const log_filter_t *filter, store_row_cb cb, void *arg,
                 store_error_t *error);

/* Gives the rows behind number *place in the order of their numbers, which is that of their arrival; then
 * *place is where to go on. INT64_MAX: behind the newest. */
int sqlite_arrived(sqlite_conn_t *conn, const log_filter_t *filter, int64_t *place, store_row_cb cb,
                   void *arg, store_error_t *error);

#endif
