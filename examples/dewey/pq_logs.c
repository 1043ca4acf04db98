/* pq_logs.c: log lines in PostgreSQL.
 *
 * Storing: the whole batch is one statement; lines that exist are skipped. If jsonb cannot hold the data
 * of a line, a second statement stores such data as text. Clearing: whole days are dropped, the remaining
 * lines deleted in short transactions. With each retention the partitions of the next days are created; if
 * that fails nothing is lost, since lines of days without a partition go to logs_other. */
#include "pq_schema.h"
#include "pq_words.h"
#include "text_nul.h"

#include <stdlib.h>
#include <string.h>

enum { CLEAR_STEP = 1000 };

/* ---- Storing ---- */

enum { IDS, TIMES, LEVELS, COMPONENTS, MESSAGES, TRACES, DATA, REUSE_TIME, COLUMNS };

static bool any_reuses_time(const log_entry_t *entries, size_t count) {
  size_t i = 0;
  while (i < count && !entries[i].reuse_stored_time)
    i++;
  return i < count;
}

static void fill(pq_columns_t *columns, const log_entry_t *entries, size_t count, bool reuses_time) {
  static const enum pq_type types[COLUMNS] = {PQ_UUID, PQ_TIME, PQ_INT,  PQ_TEXT,
                                              PQ_TEXT, PQ_TEXT, PQ_TEXT, PQ_INT};
  pq_columns_init(columns, types, reuses_time ? COLUMNS : REUSE_TIME);
  for (size_t i = 0; i < count; i++) {
    const log_entry_t *entry = &entries[i];
    pq_append_id(&columns->arrays[IDS], entry->id);
    pq_append_time(&columns->arrays[TIMES], entry->created_at);
    pq_append_int(&columns->arrays[LEVELS], entry->level);
    pq_append_text(&columns->arrays[COMPONENTS], entry->component);
    pq_append_text(&columns->arrays[MESSAGES], entry->message);
    pq_append_text(&columns->arrays[TRACES], entry->trace_id);
    pq_append_text(&columns->arrays[DATA], entry->data);
    if (reuses_time)
      pq_append_int(&columns->arrays[REUSE_TIME], entry->reuse_stored_time);
  }
}

static int insert(pq_conn_t *conn, pq_columns_t *columns, size_t *inserted, store_error_t *error) {
  pq_params_t params = {.count = 0};
  int64_t changed = 0;
  if (!pq_add_columns(&params, columns))
    return pq_no_memory(conn, error);
  int code = pq_exec(conn, PQ_LOGS_INSERT, &params, NULL, NULL, &changed, "storing", error);
  if (code == STORE_INVALID)
    code =
        pq_exec(conn, PQ_LOGS_INSERT_JSON_AS_TEXT, &params, NULL, NULL, &changed, "storing with care", error);
  if (code == STORE_OK)
    *inserted = (size_t)changed;
  return code;
}

/* The same with reuse_stored_time. A lock makes these run one after the other, so that each sees the lines
 * of the previous one. */
static int insert_reusing_time(pq_conn_t *conn, pq_columns_t *columns, size_t *inserted,
                               store_error_t *error) {
  pq_params_t params = {.count = 0};
  int64_t changed = 0;
  if (!pq_add_columns(&params, columns))
    return pq_no_memory(conn, error);
  int code = pq_command(conn, "BEGIN; SELECT pg_advisory_xact_lock(7306934504)", "beginning to store", error);
  if (code == STORE_OK)
    code = pq_exec(conn, PQ_LOGS_INSERT_REUSING_TIME, &params, NULL, NULL, &changed, "storing", error);
  if (code == STORE_OK)
    code = pq_command(conn, "COMMIT", "storing", error);
  if (code == STORE_OK)
    *inserted = (size_t)changed;
  return code;
}

int pq_logs_batch(store_t *store, const log_entry_t *entries, size_t count, size_t *inserted,
                  store_error_t *error) {
  pq_store_t *self = (pq_store_t *)store;
  int code;
  pq_conn_t *conn = pq_acquire_writer(&self->pools, CANCEL_NEVER, &code, error);
  if (conn == NULL)
    return code;
  pq_columns_t columns;
  bool reuses_time = any_reuses_time(entries, count);
  fill(&columns, entries, count, reuses_time);
  code = (reuses_time ? insert_reusing_time : insert)(conn, &columns, inserted, error);
  pq_columns_deinit(&columns);
  return pq_release_confirmed(&self->pools, conn, code, error);
}

/* ---- Querying ---- */

/* The callbacks of a query. */
typedef struct reading {
  store_row_cb on_row;
  store_count_cb on_count;
  log_stats_t *stats;
  void *arg;
} reading_t;

bool pq_log_row(const PGresult *result, log_entry_t *row) {
  *row = (log_entry_t){.created_at = pq_time(result, 1),
                       .level = (int)pq_int(result, 2),
                       .component = pq_text(result, 3),
                       .message = pq_text(result, 4),
                       .trace_id = pq_text(result, 5),
                       .data = pq_json(result, 6)};
  return pq_id(result, 0, row->id) && row->level >= MCP_LOG_TRACE && row->level <= MCP_LOG_ERROR;
}

static enum pq_row on_row(const PGresult *result, void *arg) {
  reading_t *reading = arg;
  log_entry_t row;
  if (!pq_log_row(result, &row))
    return PQ_ROW_DAMAGED;
  return reading->on_row(&row, reading->arg) ? PQ_ROW_CONTINUE : PQ_ROW_STOP;
}

void pq_add_filter(pq_params_t *params, const log_filter_t *filter, int64_t end_us, const char *after_id,
                   const pq_search_t *search) {
  pq_add_time(params, filter->start_us);
  pq_add_time(params, end_us);
  if (after_id != NULL)
    pq_add_id(params, after_id);
  else
    pq_add_null(params);
  pq_add_text(params, filter->component);
  pq_add_text(params, filter->trace_id);
  pq_add_int(params, filter->min_level);
  pq_add_text(params, search->words);
  pq_add_text(params, filter->data);
  pq_add_int(params, filter->limit);
  pq_add_text(params, search->phrases);
}

static int query(pq_conn_t *conn, const log_filter_t *filter, const pq_search_t *search, reading_t *reading,
                 store_error_t *error) {
  pq_params_t params = {.count = 0};
  bool after = filter->after && filter->after_us <= filter->end_us;
  pq_add_filter(&params, filter, after ? filter->after_us : filter->end_us, after ? filter->after_id : NULL,
                search);
  return pq_exec(conn, search->old ? PQ_LOGS_QUERY_OLD : PQ_LOGS_QUERY, &params, on_row, reading, NULL,
                 "querying", error);
}

int pq_logs_query(store_t *store, const log_filter_t *filter, cancel_token_t cancel, store_row_cb cb,
                  void *arg, store_error_t *error) {
  pq_store_t *self = (pq_store_t *)store;
  reading_t reading = {.on_row = cb, .arg = arg};
  int code;
  if (text_has_nul(filter->component) || text_has_nul(filter->trace_id))
    return STORE_OK; /* matches no line */
  pq_conn_t *conn = pq_acquire_reader(&self->pools, cancel, &code, error);
  if (conn == NULL)
    return code;
  pq_search_t search;
  code = pq_search_init(&search, self, conn, filter->search, error);
  if (code == STORE_OK)
    code = query(conn, filter, &search, &reading, error);
  pq_search_deinit(&search);
  pq_release(&self->pools.readers, conn);
  return code;
}

/* ---- Clearing ---- */

/* Drops the oldest expired day; *lines is its number of lines, -1 if there is none. */
static int drop_day(pq_conn_t *conn, int64_t before_us, int64_t *lines, store_error_t *error) {
  pq_params_t params = {.count = 0};
  pq_add_time(&params, before_us);
  return pq_exec(conn, PQ_DAY_DROP, &params, pq_read_int, lines, NULL, "dropping a day", error);
}

/* Where the next step begins: after the rows deleted so far, so that their dead versions are not scanned
 * again. */
typedef struct step {
  int64_t from_us, lines;
} step_t;

static enum pq_row on_step(const PGresult *result, void *arg) {
  step_t *step = arg;
  step->lines = pq_int(result, 0);
  if (step->lines > 0)
    step->from_us = pq_time(result, 1);
  return PQ_ROW_STOP;
}

/* For PQ_LOGS_CLEAR and PQ_LOGS_CLEAR_COUNT. */
static void add_what(pq_params_t *params, const log_clear_t *what) {
  pq_add_time(params, what->before_us);
  pq_add_text(params, what->component);
  pq_add_int(params, what->level);
}

/* Deletes up to CLEAR_STEP lines. */
static int clear_step(pq_conn_t *conn, const log_clear_t *what, step_t *step, store_error_t *error) {
  pq_params_t params = {.count = 0};
  add_what(&params, what);
  pq_add_time(&params, step->from_us);
  pq_add_int(&params, CLEAR_STEP);
  return pq_exec(conn, PQ_LOGS_CLEAR, &params, on_step, step, NULL, "deleting", error);
}

static bool is_cancelled(cancel_token_t cancel) {
  return cancel.cb != NULL && cancel.cb(cancel.arg);
}

static int clear_days(pq_conn_t *conn, int64_t before_us, cancel_token_t cancel, uint64_t *deleted,
                      store_error_t *error) {
  int64_t lines = 0;
  int code = STORE_OK;
  while (code == STORE_OK && lines >= 0) {
    *deleted += (uint64_t)lines;
    code = is_cancelled(cancel) ? STORE_CANCELLED : drop_day(conn, before_us, &lines, error);
  }
  return code == STORE_BUSY ? STORE_OK : code; /* the day is in use: its lines are deleted one by one */
}

static int clear_lines(pq_conn_t *conn, const log_clear_t *what, cancel_token_t cancel, uint64_t *deleted,
                       store_error_t *error) {
  step_t step = {.from_us = INT64_MIN, .lines = CLEAR_STEP};
  int code = STORE_OK;
  while (code == STORE_OK && step.lines == CLEAR_STEP) {
    code = is_cancelled(cancel) ? STORE_CANCELLED : clear_step(conn, what, &step, error);
    if (code == STORE_OK)
      *deleted += (uint64_t)step.lines;
  }
  return code;
}

int pq_logs_clear(store_t *store, const log_clear_t *what, cancel_token_t cancel, uint64_t *deleted,
                  store_error_t *error) {
  pq_store_t *self = (pq_store_t *)store;
  int code;
  *deleted = 0;
  if (text_has_nul(what->component))
    return STORE_OK;
  pq_conn_t *conn = pq_acquire_writer(&self->pools, cancel, &code, error);
  if (conn == NULL)
    return code;
  conn->cancel = CANCEL_NEVER; /* a later call continues */
  code = what->component.ptr == NULL && what->level < 0
             ? clear_days(conn, what->before_us, cancel, deleted, error)
             : STORE_OK;
  if (code == STORE_OK)
    code = clear_lines(conn, what, cancel, deleted, error);
  return pq_release_confirmed(&self->pools, conn, code, error);
}

int pq_logs_count(store_t *store, const log_clear_t *what, cancel_token_t cancel, uint64_t *count,
                  store_error_t *error) {
  pq_store_t *self = (pq_store_t *)store;
  int code;
  int64_t found = 0;
  *count = 0;
  if (text_has_nul(what->component))
    return STORE_OK;
  pq_conn_t *conn = pq_acquire_reader(&self->pools, cancel, &code, error);
  if (conn == NULL)
    return code;
  pq_params_t params = {.count = 0};
  add_what(&params, what);
  code = pq_exec(conn, PQ_LOGS_CLEAR_COUNT, &params, pq_read_int, &found, NULL, "counting", error);
  *count = (uint64_t)found;
  pq_release(&self->pools.readers, conn);
  return code;
}

/* ---- Retention ---- */

static enum pq_row on_time(const PGresult *result, void *arg) {
  *(int64_t *)arg = pq_time(result, 0);
  return PQ_ROW_STOP;
}

/* Uses a writer, which is connected already, so that the first retention begins at once. Neither this nor
 * pq_maintain() needs the confirmation of a standby. */
int pq_last_retention(store_t *store, int64_t *at_us, cancel_token_t cancel, store_error_t *error) {
  pq_store_t *self = (pq_store_t *)store;
  int code;
  pq_conn_t *conn = pq_acquire_writer(&self->pools, cancel, &code, error);
  if (conn == NULL)
    return code;
  *at_us = INT64_MIN;
  code = pq_exec(conn, PQ_RETENTION_AT, NULL, on_time, at_us, NULL, "reading the last retention", error);
  pq_release(&self->pools.writers, conn);
  return code;
}

int pq_begin_retention(store_t *store, int64_t at_us, cancel_token_t cancel, store_error_t *error) {
  pq_store_t *self = (pq_store_t *)store;
  pq_params_t params = {.count = 0};
  int code;
  pq_conn_t *conn = pq_acquire_writer(&self->pools, cancel, &code, error);
  if (conn == NULL)
    return code;
  pq_add_time(&params, at_us);
  code = pq_update(conn, PQ_RETENTION_BEGIN, &params, "beginning the retention", error);
  return pq_release_confirmed(&self->pools, conn, code, error);
}

int pq_maintain(store_t *store, int64_t now_us, cancel_token_t cancel, store_error_t *error) {
  pq_store_t *self = (pq_store_t *)store;
  int code;
  pq_conn_t *conn = pq_acquire_writer(&self->pools, cancel, &code, error);
  if (conn == NULL)
    return code;
  code = pq_schema_maintain(conn, now_us, error);
  pq_release(&self->pools.writers, conn);
  return code;
}

/* ---- Statistics ---- */

static enum pq_row on_count(const PGresult *result, void *arg) {
  reading_t *reading = arg;
  int64_t level = pq_int(result, 1), count = pq_int(result, 2);
  if (level < MCP_LOG_TRACE || level > MCP_LOG_ERROR)
    return PQ_ROW_DAMAGED;
  reading->stats->total += count;
  reading->stats->by_level[level] += count;
  reading->on_count(pq_text(result, 0), count, reading->arg);
  return PQ_ROW_CONTINUE;
}

static enum pq_row on_range(const PGresult *result, void *arg) {
  reading_t *reading = arg;
  reading->stats->oldest_us = pq_time(result, 0);
  reading->stats->newest_us = pq_time(result, 1);
  reading->stats->bytes = pq_int(result, 2);
  return PQ_ROW_STOP;
}

int pq_logs_stats(store_t *store, log_stats_t *stats, cancel_token_t cancel, store_count_cb cb, void *arg,
                  store_error_t *error) {
  pq_store_t *self = (pq_store_t *)store;
  reading_t reading = {.on_count = cb, .stats = stats, .arg = arg};
  int code;
  pq_conn_t *conn = pq_acquire_reader(&self->pools, cancel, &code, error);
  if (conn == NULL)
    return code;
  *stats = (log_stats_t){0};
  code = pq_command(conn, "BEGIN ISOLATION LEVEL REPEATABLE READ", "beginning to count", error);
  if (code == STORE_OK)
    code = pq_exec(conn, PQ_LOGS_COUNTS, NULL, on_count, &reading, NULL, "counting", error);
  if (code == STORE_OK)
    code = pq_exec(conn, PQ_LOGS_RANGE, NULL, on_range, &reading, NULL, "reading the range", error);
  if (code == STORE_OK)
    code = pq_command(conn, "COMMIT", "ending the statistics", error);
  pq_release(&self->pools.readers, conn);
  return code;
}
