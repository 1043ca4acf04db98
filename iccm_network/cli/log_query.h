/* log_query.h: reads Godot's log with logger_query, page by page. */
#ifndef ICCM_CLI_LOG_QUERY_H
#define ICCM_CLI_LOG_QUERY_H

#include "options.h"
#include "sync_client.h"

/* The filter of a query. Strings are borrowed; NULL: any. */
typedef struct log_query_filter {
  const char *component;
  const char *level; /* the minimum */
  const char *trace;
  const char *text;           /* words of the message */
  int64_t since_us, until_us; /* both included; INT64_MIN and INT64_MAX: no limit */
} log_query_filter_t;

/* The result of a query; a zeroed one is empty. */
typedef struct log_query_rows {
  yyjson_doc **pages; /* owned; each an array of rows; rows and pages newest first */
  size_t page_count;
  size_t count; /* of rows in all pages */
  bool more;    /* older rows match, but exceed max */
} log_query_rows_t;

/* A copy of the options whose url is the URL in args; NULL: the library uses Godot's default address. */
options_t log_query_options(const options_t *options);

/* Reads the newest rows, at most max (at least 1), into *rows; free them with log_query_rows_deinit(). False:
 * *rows is empty, and on_error was called once with the reason. */
bool log_query_read(sync_client_t *sync, const log_query_filter_t *filter, size_t max, log_query_rows_t *rows,
                    sync_client_cb on_error, void *arg);

/* Calls each for every row, oldest first. */
void log_query_for_each(const log_query_rows_t *rows, void (*each)(yyjson_val *row, void *arg), void *arg);
void log_query_rows_deinit(log_query_rows_t *rows);

/* Calls each for the rows that have arrived at Godot's store since *cursor, in order of arrival, at most one
 * page, and advances *cursor (allocated with malloc). *cursor "arrival": no rows; sets *cursor to the current
 * end. *count: the number of rows. False: on_error was called once with the reason; *cursor is unchanged. */
bool log_query_follow(sync_client_t *sync, const log_query_filter_t *filter, char **cursor, size_t *count,
                      void (*each)(yyjson_val *row, void *arg), sync_client_cb on_error, void *arg);

/* The time of a row; false: it has none. */
bool log_query_time(yyjson_val *row, int64_t *us);

#endif
