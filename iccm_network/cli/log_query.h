/* log_query.h: Godot's log, read over its logger_query in pages. */
#ifndef ICCM_CLI_LOG_QUERY_H
#define ICCM_CLI_LOG_QUERY_H

#include "options.h"
#include "sync_client.h"

/* What to read. Texts are borrowed; NULL: whatever. */
typedef struct log_query_filter {
  const char *component;
  const char *level; /* at least this one */
  const char *trace;
  const char *text;           /* words of the message */
  int64_t since_us, until_us; /* both included; INT64_MIN and INT64_MAX: no limit */
} log_query_filter_t;

/* What was read; a zeroed one is empty. */
typedef struct log_query_rows {
  yyjson_doc **pages; /* owned: of each the array of rows, newest first, as are the pages */
  size_t page_count;
  size_t count; /* of rows in all pages */
  bool more;    /* there are older ones, beyond what was asked for */
} log_query_rows_t;

/* The options with Godot's address: the command's, else the one that the library finds. */
options_t log_query_options(const options_t *options);

/* Reads the newest rows, at most max (at least 1), into *rows, which log_query_rows_deinit() frees. False:
 * *rows is empty, and failed was called once with the reason. */
bool log_query_read(sync_client_t *sync, const log_query_filter_t *filter, size_t max, log_query_rows_t *rows,
                    sync_client_cb on_error, void *arg);

/* Calls each with all rows, oldest first. */
void log_query_for_each(const log_query_rows_t *rows, void (*each)(yyjson_val *row, void *arg), void *arg);
void log_query_rows_deinit(log_query_rows_t *rows);

/* Gives the rows that have arrived at Godot's store since *cursor to each, the first to arrive first, a page
 * of them at most, and moves *cursor (malloc's) behind them. *cursor "arrival": none, those from now on come
 * next. False: failed was called once with the reason, and *cursor is as it was. *count: how many there were.
 */
bool log_query_follow(sync_client_t *sync, const log_query_filter_t *filter, char **cursor, size_t *count,
                      void (*each)(yyjson_val *row, void *arg), sync_client_cb on_error, void *arg);

/* When a row happened; false: it does not say. */
bool log_query_time(yyjson_val *row, int64_t *us);

#endif
