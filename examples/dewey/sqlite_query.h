/* sqlite_query.h: finds and reads the rows that match a filter. */
#ifndef DEWEY_SQLITE_QUERY_H
#define DEWEY_SQLITE_QUERY_H

#include "sqlite_statements.h"

/* As store_t.query, on one connection. */
int sqlite_query(sqlite_conn_t *conn, const log_filter_t *filter, store_row_cb cb, void *arg,
                 store_error_t *error);

/* Passes the rows numbered above *place to cb, by number, which is the order of arrival; sets *place to
 * the number to continue after. INT64_MAX: after the newest row. */
int sqlite_arrived(sqlite_conn_t *conn, const log_filter_t *filter, int64_t *place, store_row_cb cb,
                   void *arg, store_error_t *error);

#endif
