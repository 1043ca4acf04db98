/* pq_logs.c: log lines in PostgreSQL.
 *
 * Storing: the whole batch is one statement, which stores all or nothing; of a line that is there already it
 * takes no notice. Where jsonb cannot hold the data of a line, the same again keeps such data as text.
 * Clearing: whole days are dropped, the rest deleted in short transactions. Once an hour somebody who stores
 * sees to the partitions of the next days; where that fails, nothing is lost: lines of days without a
 * partition have one of their own. */
#include "pq_schema.h"
#include "monotonic.h"
#include "store_pq.h"
#include "texts.h"

#include <stdlib.h>
#include <string.h>

enum { CLEAR_STEP = 1000, DAYS_MS = 60 * 60 * 1000 };

/* ---- Storing ---- */

enum { IDS, TIMES, LEVELS, COMPONENTS, MESSAGES, TRACES, DATA, COLUMNS };

static void fill(pq_columns_t *columns, const log_entry_t *entries, size_t count) {
  static const enum pq_type types[COLUMNS] = {PQ_UUID, PQ_TIME, PQ_INT, PQ_TEXT, PQ_TEXT, PQ_TEXT, PQ_TEXT};
  pq_columns_init(columns, types, COLUMNS);
  for (size_t i = 0; i < count; i++) {
    const log_entry_t *entry = &entries[i];
    pq_append_id(&columns->arrays[IDS], entry->id);
    pq_append_time(&columns->arrays[TIMES], entry->created_at);
    pq_append_int(&columns->arrays[LEVELS], entry->level);
    pq_append_text(&columns->arrays[COMPONENTS], entry->component);
    pq_append_text(&columns->arrays[MESSAGES], entry->message);
    pq_append_text(&columns->arrays[TRACES], entry->trace_id);
    pq_append_text(&columns->arrays[DATA], entry->data);
  }
}

static int insert(pq_conn_t *conn, pq_columns_t *columns, size_t *inserted, store_error_t *error) {
  pq_params_t params = {.count = 0};
  int64_t changed = 0;
  if (!pq_add_columns(&params, columns))
    return pq_no_memory(conn, error);
  int code = pq_each(conn, PQ_LOGS_INSERT, &params, NULL, NULL, &changed, "storing", error);
  bool unfit = strncmp(conn->state, "22", 2) == 0 || strncmp(conn->state, "54", 2) == 0;
  if (code == STORE_FAILED && unfit)
    code = pq_each(conn, PQ_LOGS_INSERT_CAREFULLY, &params, NULL, NULL, &changed, "storing with care", error);
  if (code == STORE_OK)
    *inserted = (size_t)changed;
  return code;
}

static void make_days(pq_store_t *self, pq_conn_t *conn) {
  int64_t now_ms = monotonic_ms();
  long long due_ms = atomic_load(&self->days_due_ms);
  store_error_t error;
  if (now_ms < due_ms || !atomic_compare_exchange_strong(&self->days_due_ms, &due_ms, now_ms + DAYS_MS))
    return;
  if (pq_schema_make_days(conn, &error) != STORE_OK)
    mcp_log(MCP_LOG_WARN, "store", "%s; tried again in an hour", error.text);
}

int pq_logs_batch(store_t *store, const log_entry_t *entries, size_t count, size_t *inserted,
                  store_error_t *error) {
  pq_store_t *self = (pq_store_t *)store;
  int code;
  pq_conn_t *conn = pq_writer(&self->pools, &code, error);
  if (conn == NULL)
    return code;
  pq_columns_t columns;
  fill(&columns, entries, count);
  code = insert(conn, &columns, inserted, error);
  pq_columns_deinit(&columns);
  if (code == STORE_OK)
    make_days(self, conn);
  return pq_done(&self->pools, conn, code, error);
}

/* ---- Querying ---- */

/* Where rows go. */
typedef struct reading {
  store_row_cb on_row;
  store_count_cb on_count;
  log_stats_t *stats;
  void *arg;
} reading_t;

static enum pq_row on_row(const PGresult *result, void *arg) {
  reading_t *reading = arg;
  log_entry_t row = {.created_at = pq_time(result, 1),
                     .level = (int)pq_int(result, 2),
                     .component = pq_text(result, 3),
                     .message = pq_text(result, 4),
                     .trace_id = pq_text(result, 5),
                     .data = pq_json(result, 6)};
  if (!pq_id(result, 0, row.id) || row.level < MCP_LOG_TRACE || row.level > MCP_LOG_ERROR)
    return PQ_STRANGE;
  return reading->on_row(&row, reading->arg) ? PQ_TAKEN : PQ_ENOUGH;
}

/* A copy with blanks for NUL, which PostgreSQL's texts cannot hold; to be freed. NULL: no memory. */
static char *with_blanks(text_t wanted) {
  char *copy = malloc(wanted.len + 1);
  for (size_t i = 0; copy != NULL && i < wanted.len; i++) {
    copy[i] = wanted.ptr[i];
    if (copy[i] == '\0')
      copy[i] = ' ';
  }
  return copy;
}

static bool is_blank(text_t text) {
  for (size_t i = 0; i < text.len; i++) {
    if (strchr(" \t\r\n\f\v", text.ptr[i]) == NULL)
      return false;
  }
  return true;
}

static int query(pq_conn_t *conn, const log_filter_t *filter, text_t search, reading_t *reading,
                 store_error_t *error) {
  pq_params_t params = {.count = 0};
  bool after = filter->after && filter->after_us <= filter->end_us;
  pq_add_time(&params, filter->start_us);
  pq_add_time(&params, after ? filter->after_us : filter->end_us);
  if (after)
    pq_add_id(&params, filter->after_id);
  else
    pq_add_null(&params);
  pq_add_text(&params, filter->component);
  pq_add_text(&params, filter->trace_id);
  pq_add_int(&params, filter->min_level);
  pq_add_text(&params, search.ptr != NULL && is_blank(search) ? (text_t){NULL, 0} : search);
  pq_add_text(&params, filter->data);
  pq_add_int(&params, filter->limit);
  return pq_each(conn, PQ_LOGS_QUERY, &params, on_row, reading, NULL, "querying", error);
}

int pq_logs_query(store_t *store, const log_filter_t *filter, store_stop_t stop, store_row_cb cb, void *arg,
                  store_error_t *error) {
  pq_store_t *self = (pq_store_t *)store;
  reading_t reading = {.on_row = cb, .arg = arg};
  int code;
  if (text_has_nul(filter->component) || text_has_nul(filter->trace_id))
    return STORE_OK; /* no line has such a one */
  pq_conn_t *conn = pq_reader(&self->pools, stop, &code, error);
  if (conn == NULL)
    return code;
  char *search = filter->search.ptr != NULL ? with_blanks(filter->search) : NULL;
  code = filter->search.ptr != NULL && search == NULL
             ? pq_no_memory(conn, error)
             : query(conn, filter, (text_t){search, filter->search.len}, &reading, error);
  free(search);
  pq_give(&self->pools.readers, conn);
  return code;
}

/* ---- Clearing ---- */

/* Drops the oldest day that is out of date; *lines: those in it, -1 where there is none. */
static int drop_day(pq_conn_t *conn, int64_t before_us, int64_t *lines, store_error_t *error) {
  pq_params_t params = {.count = 0};
  pq_add_time(&params, before_us);
  return pq_each(conn, PQ_DAY_DROP, &params, pq_on_number, lines, NULL, "dropping a day", error);
}

/* Where the next step begins: behind what is gone already, which would be passed again and again. */
typedef struct step {
  int64_t from_us, lines;
} step_t;

static enum pq_row on_step(const PGresult *result, void *arg) {
  step_t *step = arg;
  step->lines = pq_int(result, 0);
  if (step->lines > 0)
    step->from_us = pq_time(result, 1);
  return PQ_ENOUGH;
}

/* Deletes up to CLEAR_STEP lines. */
static int clear_step(pq_conn_t *conn, const log_clear_t *what, step_t *step, store_error_t *error) {
  pq_params_t params = {.count = 0};
  pq_add_time(&params, what->before_us);
  pq_add_text(&params, what->component);
  pq_add_int(&params, what->level);
  pq_add_time(&params, step->from_us);
  pq_add_int(&params, CLEAR_STEP);
  return pq_each(conn, PQ_LOGS_CLEAR, &params, on_step, step, NULL, "deleting", error);
}

static bool is_stopped(store_stop_t stop) {
  return stop.cb != NULL && stop.cb(stop.arg);
}

static int clear_days(pq_conn_t *conn, int64_t before_us, store_stop_t stop, uint64_t *deleted,
                      store_error_t *error) {
  int64_t lines = 0;
  int code = STORE_OK;
  while (code == STORE_OK && lines >= 0) {
    *deleted += (uint64_t)lines;
    code = is_stopped(stop) ? STORE_STOPPED : drop_day(conn, before_us, &lines, error);
  }
  return code;
}

static int clear_lines(pq_conn_t *conn, const log_clear_t *what, store_stop_t stop, uint64_t *deleted,
                       store_error_t *error) {
  step_t step = {.from_us = INT64_MIN, .lines = CLEAR_STEP};
  int code = STORE_OK;
  while (code == STORE_OK && step.lines == CLEAR_STEP) {
    code = is_stopped(stop) ? STORE_STOPPED : clear_step(conn, what, &step, error);
    if (code == STORE_OK)
      *deleted += (uint64_t)step.lines;
  }
  return code;
}

int pq_logs_clear(store_t *store, const log_clear_t *what, store_stop_t stop, uint64_t *deleted,
                  store_error_t *error) {
  pq_store_t *self = (pq_store_t *)store;
  int code;
  *deleted = 0;
  if (text_has_nul(what->component))
    return STORE_OK;
  pq_conn_t *conn = pq_writer(&self->pools, &code, error);
  if (conn == NULL)
    return code;
  code = what->component.ptr == NULL && what->level < 0
             ? clear_days(conn, what->before_us, stop, deleted, error)
             : STORE_OK;
  if (code == STORE_OK)
    code = clear_lines(conn, what, stop, deleted, error);
  return pq_done(&self->pools, conn, code, error);
}

/* ---- Statistics ---- */

static enum pq_row on_count(const PGresult *result, void *arg) {
  reading_t *reading = arg;
  int64_t level = pq_int(result, 1), count = pq_int(result, 2);
  if (level < MCP_LOG_TRACE || level > MCP_LOG_ERROR)
    return PQ_STRANGE;
  reading->stats->total += count;
  reading->stats->by_level[level] += count;
  reading->on_count(pq_text(result, 0), count, reading->arg);
  return PQ_TAKEN;
}

static enum pq_row on_range(const PGresult *result, void *arg) {
  reading_t *reading = arg;
  reading->stats->oldest_us = pq_time(result, 0);
  reading->stats->newest_us = pq_time(result, 1);
  reading->stats->bytes = pq_int(result, 2);
  return PQ_ENOUGH;
}

int pq_logs_stats(store_t *store, log_stats_t *stats, store_stop_t stop, store_count_cb cb, void *arg,
                  store_error_t *error) {
  pq_store_t *self = (pq_store_t *)store;
  reading_t reading = {.on_count = cb, .stats = stats, .arg = arg};
  int code;
  pq_conn_t *conn = pq_reader(&self->pools, stop, &code, error);
  if (conn == NULL)
    return code;
  *stats = (log_stats_t){0};
  code = pq_command(conn, "BEGIN ISOLATION LEVEL REPEATABLE READ", "beginning to count", error);
  if (code == STORE_OK)
    code = pq_each(conn, PQ_LOGS_COUNTS, NULL, on_count, &reading, NULL, "counting", error);
  if (code == STORE_OK)
    code = pq_each(conn, PQ_LOGS_RANGE, NULL, on_range, &reading, NULL, "reading the range", error);
  if (code == STORE_OK)
    code = pq_command(conn, "COMMIT", "ending the statistics", error);
  pq_give(&self->pools.readers, conn);
  return code;
}
