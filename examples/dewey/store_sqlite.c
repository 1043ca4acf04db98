/* store_sqlite.c: the store on SQLite.
 *
 * Storing: one transaction on the writer, with one INSERT for each entry and one for their index.
 * Querying: a reader (sqlite_query.c). Clearing: short transactions of CLEAR_STEP rows with pauses in
 * between. Conversations and contexts: see store_db.h.
 *
 * Failures: a statement that fails rolls its transaction back (sqlite_conn_fail); waiting for a connection
 * and for other processes is bounded. */
#include "db_sqlite.h"
#include "monotonic.h"
#include "sqlite_query.h"
#include "sqlite_words.h"

#include <stdlib.h>
#include <time.h>

enum { CLEAR_STEP = 500 /* rows: about 20 ms */ };

/* Reads the single row of a statement without parameters, as integers; second may be NULL. */
static int read_numbers(sqlite_conn_t *conn, enum statement which, int64_t *first, int64_t *second,
                        store_error_t *error) {
  sqlite3_stmt *statement = sqlite_conn_statement(conn, which);
  int code = STORE_OK;
  if (statement == NULL || sqlite3_step(statement) != SQLITE_ROW)
    code = sqlite_conn_fail(conn, "reading a number", error);
  else
    *first = sqlite3_column_int64(statement, 0);
  if (code == STORE_OK && second != NULL)
    *second = sqlite3_column_int64(statement, 1);
  sqlite_conn_reset(statement);
  return code;
}

/* ---- Storing ---- */

/* Chooses the time to store. Returns SQLITE_OK or an error code. */
static int choose_time(sqlite_conn_t *conn, const log_entry_t *entry, int64_t *us) {
  sqlite3_stmt *statement = entry->reuse_stored_time ? sqlite_conn_statement(conn, SQL_TIME_OF) : NULL;
  *us = entry->created_at;
  if (statement == NULL)
    return entry->reuse_stored_time ? SQLITE_ERROR : SQLITE_OK;
  sqlite_bind_id(statement, 1, entry->id);
  int code = sqlite3_step(statement);
  if (code == SQLITE_ROW && sqlite3_column_type(statement, 0) == SQLITE_INTEGER)
    *us = sqlite3_column_int64(statement, 0);
  sqlite_conn_reset(statement);
  return code == SQLITE_ROW ? SQLITE_OK : code;
}

/* Returns SQLITE_DONE or an error code. */
static int insert(sqlite3_stmt *statement, const log_entry_t *entry, int64_t created_at, int64_t seq) {
  unsigned char id[ID_BYTES];
  id_to_bytes(entry->id, id);
  sqlite3_bind_blob(statement, 1, id, sizeof id, SQLITE_STATIC);
  sqlite3_bind_int64(statement, 2, created_at);
  sqlite3_bind_int(statement, 3, entry->level);
  sqlite_bind_text(statement, 4, entry->component);
  sqlite_bind_text(statement, 5, entry->message);
  sqlite_bind_text(statement, 6, entry->trace_id);
  sqlite_bind_text(statement, 7, entry->data);
  sqlite3_bind_int64(statement, 8, seq);
  int code = sqlite3_step(statement);
  sqlite_conn_reset(statement);
  return code;
}

/* Adds the rows numbered above last to the text index. */
static int index_text(sqlite_conn_t *conn, int64_t last, store_error_t *error) {
  sqlite3_stmt *statement = sqlite_conn_statement(conn, SQL_INDEX);
  sqlite3_bind_int64(statement, 1, last);
  int code = statement != NULL && sqlite3_step(statement) == SQLITE_DONE
                 ? STORE_OK
                 : sqlite_conn_fail(conn, "indexing", error);
  sqlite_conn_reset(statement);
  return code;
}

static int insert_all(sqlite_conn_t *conn, const log_entry_t *entries, size_t count, size_t *inserted,
                      store_error_t *error) {
  size_t done = 0;
  int64_t last = 0;
  sqlite3_stmt *statement = sqlite_conn_statement(conn, SQL_INSERT);
  if (statement == NULL || sqlite_conn_run(conn, SQLITE_CONN_BEGIN_WRITE) != SQLITE_OK)
    return sqlite_conn_fail(conn, "beginning to store", error);
  int code = read_numbers(conn, SQL_LAST, &last, NULL, error);
  for (size_t i = 0; i < count && code == STORE_OK; i++) {
    int64_t created_at;
    if (choose_time(conn, &entries[i], &created_at) != SQLITE_OK ||
        insert(statement, &entries[i], created_at, last + 1 + (int64_t)done) != SQLITE_DONE)
      code = sqlite_conn_fail(conn, "storing", error);
    done += sqlite3_changes(conn->db) > 0;
  }
  if (code == STORE_OK)
    code = index_text(conn, last, error);
  if (code == STORE_OK && sqlite_conn_run(conn, SQLITE_CONN_COMMIT) != SQLITE_OK)
    code = sqlite_conn_fail(conn, "committing", error);
  if (code == STORE_OK)
    *inserted = done;
  return code;
}

static int on_batch(store_t *store, const log_entry_t *entries, size_t count, size_t *inserted,
                    store_error_t *error) {
  sqlite_store_t *self = (sqlite_store_t *)store;
  int code;
  sqlite_conn_t *conn = sqlite_acquire_writer(&self->pools, CANCEL_NEVER, &code, error);
  if (conn == NULL)
    return code;
  code = insert_all(conn, entries, count, inserted, error);
  sqlite_release(&self->pools.writers, conn);
  return code;
}

/* ---- Querying ---- */

static int on_query(store_t *store, const log_filter_t *filter, cancel_token_t cancel, store_row_cb cb,
                    void *arg, store_error_t *error) {
  sqlite_store_t *self = (sqlite_store_t *)store;
  sqlite_conn_t *conn = sqlite_acquire_reader(&self->pools, cancel, error);
  if (conn == NULL)
    return STORE_BUSY;
  int code = sqlite_query(conn, filter, cb, arg, error);
  sqlite_release(&self->pools.readers, conn);
  return code;
}

/* Reads a row number as on_arrived writes it. Returns false if it is invalid. */
static bool seq_parse(mcp_text_t text, int64_t *seq) {
  *seq = 0;
  for (size_t i = 0; i < text.len; i++) {
    if (text.ptr[i] < '0' || text.ptr[i] > '9' || *seq > (INT64_MAX - 9) / 10)
      return false;
    *seq = *seq * 10 + (text.ptr[i] - '0');
  }
  return true;
}

static int on_arrived(store_t *store, const log_filter_t *filter, mcp_text_t mark, cancel_token_t cancel,
                      store_row_cb cb, void *arg, char next[STORE_ARRIVAL_MARK_SIZE], store_error_t *error) {
  sqlite_store_t *self = (sqlite_store_t *)store;
  int64_t place = INT64_MAX;
  if (mark.len > 0 && !seq_parse(mark, &place))
    return STORE_NOT_FOUND;
  sqlite_conn_t *conn = sqlite_acquire_reader(&self->pools, cancel, error);
  if (conn == NULL)
    return STORE_BUSY;
  int code = sqlite_arrived(conn, filter, &place, cb, arg, error);
  sqlite3_snprintf(STORE_ARRIVAL_MARK_SIZE, next, "%lld", (long long)place);
  sqlite_release(&self->pools.readers, conn);
  return code;
}

/* ---- Clearing ---- */

/* Runs a statement on the rows of a step. */
static int run_on_step(sqlite_conn_t *conn, enum statement which, const log_clear_t *what, int level,
                       store_error_t *error) {
  sqlite3_stmt *statement = sqlite_conn_statement(conn, which);
  sqlite3_bind_int(statement, 1, level);
  sqlite3_bind_int64(statement, 2, what->before_us);
  sqlite3_bind_int(statement, 3, CLEAR_STEP);
  sqlite_bind_text(statement, 4, what->component);
  int code = statement != NULL && sqlite3_step(statement) == SQLITE_DONE
                 ? STORE_OK
                 : sqlite_conn_fail(conn, "deleting", error);
  sqlite_conn_reset(statement);
  return code;
}

/* Deletes up to CLEAR_STEP rows of one level; *deleted is their number. */
static int clear_step(sqlite_conn_t *conn, const log_clear_t *what, int level, int *deleted,
                      store_error_t *error) {
  bool component = what->component.ptr != NULL;
  if (sqlite_conn_run(conn, SQLITE_CONN_BEGIN_WRITE) != SQLITE_OK)
    return sqlite_conn_fail(conn, "beginning to delete", error);
  conn->cancel = CANCEL_NEVER; /* a later call continues */
  int code = sqlite_conn_update(conn, sqlite_conn_statement(conn, SQL_KEEP_HIGHEST),
                                "keeping the highest number", error);
  if (code == STORE_OK)
    code = run_on_step(conn, component ? SQL_UNINDEX_COMPONENT : SQL_UNINDEX, what, level, error);
  if (code == STORE_OK)
    code = run_on_step(conn, component ? SQL_CLEAR_COMPONENT : SQL_CLEAR, what, level, error);
  int count = sqlite3_changes(conn->db);
  if (code == STORE_OK && sqlite_conn_run(conn, SQLITE_CONN_COMMIT) != SQLITE_OK)
    code = sqlite_conn_fail(conn, "committing", error);
  if (code == STORE_OK)
    *deleted = count;
  return code;
}

void sqlite_yield_writer(int64_t used_ms) {
  struct timespec pause = {.tv_sec = used_ms / 1000, .tv_nsec = used_ms % 1000 * 1000000 + 1000000};
  nanosleep(&pause, NULL);
}

static int clear_level(sqlite_store_t *self, const log_clear_t *what, int level, cancel_token_t cancel,
                       uint64_t *deleted, store_error_t *error) {
  int step = CLEAR_STEP, code = STORE_OK;
  while (step == CLEAR_STEP && code == STORE_OK) {
    if (cancel_requested(cancel))
      return STORE_CANCELLED;
    sqlite_conn_t *conn = sqlite_acquire_writer(&self->pools, cancel, &code, error);
    if (conn == NULL)
      return code;
    int64_t begin_ms = monotonic_ms();
    step = 0;
    code = clear_step(conn, what, level, &step, error);
    sqlite_release(&self->pools.writers, conn);
    *deleted += (uint64_t)step;
    if (step == CLEAR_STEP)
      sqlite_yield_writer(monotonic_ms() - begin_ms);
  }
  return code;
}

static int first_level(const log_clear_t *what) {
  return what->level >= 0 ? what->level : MCP_LOG_TRACE;
}

static int last_level(const log_clear_t *what) {
  return what->level >= 0 ? what->level : MCP_LOG_ERROR;
}

static int on_clear(store_t *store, const log_clear_t *what, cancel_token_t cancel, uint64_t *deleted,
                    store_error_t *error) {
  int code = STORE_OK;
  *deleted = 0;
  for (int level = first_level(what); level <= last_level(what) && code == STORE_OK; level++)
    code = clear_level((sqlite_store_t *)store, what, level, cancel, deleted, error);
  return code;
}

static enum sqlite_row add_to_count(sqlite3_stmt *statement, void *arg) {
  *(uint64_t *)arg += (uint64_t)sqlite3_column_int64(statement, 0);
  return SQLITE_ROW_STOP;
}

static int count_level(sqlite_conn_t *conn, const log_clear_t *what, int level, uint64_t *count,
                       store_error_t *error) {
  sqlite3_stmt *statement =
      sqlite_conn_statement(conn, what->component.ptr != NULL ? SQL_CLEAR_COUNT_COMPONENT : SQL_CLEAR_COUNT);
  sqlite3_bind_int(statement, 1, level);
  sqlite3_bind_int64(statement, 2, what->before_us);
  sqlite_bind_text(statement, 4, what->component);
  return sqlite_conn_exec(conn, statement, add_to_count, count, "counting", error);
}

static int on_count(store_t *store, const log_clear_t *what, cancel_token_t cancel, uint64_t *count,
                    store_error_t *error) {
  sqlite_store_t *self = (sqlite_store_t *)store;
  sqlite_conn_t *conn = sqlite_acquire_reader(&self->pools, cancel, error);
  if (conn == NULL)
    return STORE_BUSY;
  int code = STORE_OK;
  *count = 0;
  for (int level = first_level(what); level <= last_level(what) && code == STORE_OK; level++)
    code = count_level(conn, what, level, count, error);
  sqlite_release(&self->pools.readers, conn);
  return code;
}

/* ---- Statistics ---- */

static int count_rows(sqlite_conn_t *conn, log_stats_t *stats, store_count_cb cb, void *arg,
                      store_error_t *error) {
  sqlite3_stmt *statement = sqlite_conn_statement(conn, SQL_COUNTS);
  if (statement == NULL)
    return sqlite_conn_fail(conn, "preparing to count", error);
  int code;
  while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
    int level = sqlite3_column_int(statement, 1);
    int64_t count = sqlite3_column_int64(statement, 2);
    stats->total += count;
    if (level >= MCP_LOG_TRACE && level <= MCP_LOG_ERROR)
      stats->by_level[level] += count;
    cb(sqlite_column_text(statement, 0), count, arg);
  }
  int result = code == SQLITE_DONE ? STORE_OK : sqlite_conn_fail(conn, "counting", error);
  sqlite_conn_reset(statement);
  return result;
}

static int read_stats(sqlite_conn_t *conn, log_stats_t *stats, store_count_cb cb, void *arg,
                      store_error_t *error) {
  if (sqlite_conn_run(conn, SQLITE_CONN_BEGIN_READ) != SQLITE_OK)
    return sqlite_conn_fail(conn, "beginning to count", error);
  int code = count_rows(conn, stats, cb, arg, error);
  if (code == STORE_OK)
    code = read_numbers(conn, SQL_RANGE, &stats->oldest_us, &stats->newest_us, error);
  if (code == STORE_OK)
    code = read_numbers(conn, SQL_BYTES, &stats->bytes, NULL, error);
  if (code == STORE_OK && sqlite_conn_run(conn, SQLITE_CONN_COMMIT) != SQLITE_OK)
    code = sqlite_conn_fail(conn, "ending the statistics", error);
  return code;
}

static int on_stats(store_t *store, log_stats_t *stats, cancel_token_t cancel, store_count_cb cb, void *arg,
                    store_error_t *error) {
  sqlite_store_t *self = (sqlite_store_t *)store;
  sqlite_conn_t *conn = sqlite_acquire_reader(&self->pools, cancel, error);
  if (conn == NULL)
    return STORE_BUSY;
  *stats = (log_stats_t){0};
  int code = read_stats(conn, stats, cb, arg, error);
  sqlite_release(&self->pools.readers, conn);
  return code;
}

/* ---- Retention ---- */

static enum sqlite_row take_time(sqlite3_stmt *statement, void *arg) {
  if (sqlite3_column_type(statement, 0) == SQLITE_INTEGER)
    *(int64_t *)arg = sqlite3_column_int64(statement, 0);
  return SQLITE_ROW_STOP;
}

static int on_last_retention(store_t *store, int64_t *at_us, cancel_token_t cancel, store_error_t *error) {
  sqlite_store_t *self = (sqlite_store_t *)store;
  sqlite_conn_t *conn = sqlite_acquire_reader(&self->pools, cancel, error);
  if (conn == NULL)
    return STORE_BUSY;
  *at_us = INT64_MIN;
  int code = sqlite_conn_exec(conn, sqlite_conn_statement(conn, SQL_RETENTION_AT), take_time, at_us,
                              "reading the last retention", error);
  sqlite_release(&self->pools.readers, conn);
  return code;
}

static int on_begin_retention(store_t *store, int64_t at_us, cancel_token_t cancel, store_error_t *error) {
  sqlite_store_t *self = (sqlite_store_t *)store;
  int code;
  sqlite_conn_t *conn = sqlite_acquire_writer(&self->pools, cancel, &code, error);
  if (conn == NULL)
    return code;
  sqlite3_stmt *statement = sqlite_conn_statement(conn, SQL_RETENTION_BEGIN);
  sqlite3_bind_int64(statement, 1, at_us);
  code = sqlite_conn_update(conn, statement, "beginning the retention", error);
  sqlite_release(&self->pools.writers, conn);
  return code;
}

static int on_maintain(store_t *store, int64_t now_us, cancel_token_t cancel, store_error_t *error) {
  (void)store, (void)now_us, (void)cancel, (void)error;
  return STORE_OK;
}

/* ---- Checking ---- */

static int on_check(store_t *store, size_t free_bytes, cancel_token_t cancel, store_error_t *error) {
  sqlite_store_t *self = (sqlite_store_t *)store;
  int code = sqlite_check_write(&self->pools, free_bytes, cancel, error);
  sqlite_conn_t *conn = code == STORE_OK ? sqlite_acquire_reader(&self->pools, cancel, error) : NULL;
  if (conn == NULL)
    return code == STORE_OK ? STORE_BUSY : code;
  int64_t oldest_us, newest_us;
  code = read_numbers(conn, SQL_RANGE, &oldest_us, &newest_us, error);
  sqlite_release(&self->pools.readers, conn);
  return code;
}

static bool on_is_taken_over(store_t *store) {
  (void)store;
  return false; /* older installations had PostgreSQL */
}

/* ---- Opening and closing ---- */

static void on_close(store_t *store) {
  sqlite_store_t *self = (sqlite_store_t *)store;
  db_close(self->base.db);
  sqlite_pools_close(&self->pools);
  free(self);
}

store_t *store_sqlite_open(const char *path, store_error_t *error) {
  sqlite_store_t *self = calloc(1, sizeof *self);
  db_t *db = self != NULL ? db_on_sqlite(&self->pools, &sqlite_spec) : NULL;
  if (db == NULL) {
    free(self);
    sqlite3_snprintf(sizeof error->text, error->text, "out of memory");
    return NULL;
  }
  self->base.store = (store_t){.batch = on_batch,
                               .query = on_query,
                               .arrived = on_arrived,
                               .clear = on_clear,
                               .count = on_count,
                               .stats = on_stats,
                               .check = on_check,
                               .last_retention = on_last_retention,
                               .begin_retention = on_begin_retention,
                               .maintain = on_maintain,
                               .index = sqlite_index,
                               .is_taken_over = on_is_taken_over,
                               .close = on_close};
  store_db_init(&self->base, db, sqlite_read_words);
  if (sqlite_pools_open(&self->pools, path, &sqlite_spec, error))
    return &self->base.store;
  db_close(db);
  free(self);
  return NULL;
}
