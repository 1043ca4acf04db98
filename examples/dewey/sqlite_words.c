/* sqlite_words.c: see sqlite_words.h.
 *
 * Moving: each transaction moves as many rows as fit in STEP_MS, then the writer is free for the same
 * time, so that a write never waits longer. When all rows are moved, the older index is emptied in the
 * same steps and dropped. The file is consistent after every step. */
#include "sqlite_words.h"
#include "db_sqlite.h"
#include "monotonic.h"
#include "words.h"

#include <stdlib.h>
#include <string.h>

enum { STEP_MS = 20, ROWS_FIRST = 16, ROWS_MAX = 4096, BLOCKS = 500 };

/* ---- Searches ---- */

char *sqlite_match_expression(mcp_text_t search) {
  char *pieces = search.len > 0 ? words_of_search(search) : calloc(1, 1);
  char *match = pieces != NULL ? malloc(3 * strlen(pieces) + 3) : NULL, *out = match;
  if (match != NULL && search.len > 0)
    *out++ = '"';
  for (const char *c = pieces; match != NULL && *c != '\0'; c++) {
    memcpy(out, *c == '\n' ? "\" \"" : c, *c == '\n' ? 3 : 1);
    out += *c == '\n' ? 3 : 1;
  }
  if (match != NULL && search.len > 0)
    *out++ = '"';
  if (match != NULL)
    *out = '\0';
  free(pieces);
  return match;
}

char *sqlite_match_expression_old(mcp_text_t search) {
  char *words = malloc(search.len * 3 + 3), *out = words;
  if (words == NULL)
    return NULL;
  bool inside = false;
  for (size_t i = 0; i < search.len; i++) {
    char c = search.ptr[i];
    bool blank = c == '\0' || strchr(" \t\r\n\f\v", c) != NULL;
    if (blank == inside) {
      *out++ = '"';
      if (blank)
        *out++ = ' ';
      inside = !blank;
    }
    if (!blank)
      *out++ = c;
    if (c == '"')
      *out++ = c;
  }
  if (inside)
    *out++ = '"';
  if (out == words && search.len > 0)
    out = stpcpy(out, "\"\"");
  *out = '\0';
  return words;
}

/* ---- Moving ---- */

static enum sqlite_row on_state(sqlite3_stmt *statement, void *arg) {
  sqlite_words_state_t *state = arg;
  state->old_lines = sqlite3_column_int64(statement, 0);
  state->old_messages = sqlite3_column_int64(statement, 1);
  return SQLITE_ROW_STOP;
}

int sqlite_read_words_state(sqlite_conn_t *conn, sqlite_words_state_t *state, store_error_t *error) {
  *state = (sqlite_words_state_t){0};
  return sqlite_conn_exec(conn, sqlite_conn_statement(conn, SQL_WORDS_STATE), on_state, state,
                          "reading the state of indexes", error);
}

int sqlite_read_words(store_db_t *self, db_conn_t *conn, mcp_text_t wanted, word_search_t *search,
                      store_error_t *error) {
  sqlite_words_state_t state;
  (void)self;
  search->owned[0] = sqlite_match_expression(wanted);
  search->owned[1] = sqlite_match_expression_old(wanted);
  if (search->owned[0] == NULL || search->owned[1] == NULL) {
    error->brief = "out of memory";
    return store_db_refuse(STORE_FAILED, "out of memory", error);
  }
  int code = sqlite_read_words_state(db_sqlite_conn(conn), &state, error);
  bool both = code == STORE_OK && state.old_messages > 0;
  search->count = both ? SQL_SEARCH_COUNT_BOTH : SQL_SEARCH_COUNT;
  search->find = both ? SQL_SEARCH_BOTH : SQL_SEARCH;
  for (int i = 0; i < 2; i++)
    search->texts[i] = (mcp_text_t){search->owned[i], strlen(search->owned[i])};
  return code;
}

/* An older index and the statements that move its rows. To open and drop a table, FTS5 needs only its
 * records with ids up to 10. */
typedef struct old_index {
  const char *table, *empty, *drop;
  enum statement index, moved;
  const char *rows_name;
  int rows;   /* in the next step */
  bool moves; /* it had rows */
} old_index_t;

#define OLD_INDEX(name, rows, index, moved)                                                                  \
  {                                                                                                          \
    name, "DELETE FROM " name "_data WHERE id IN (SELECT id FROM " name "_data WHERE id > 10 LIMIT ?1)",     \
        "DROP TABLE " name, index, moved, rows, ROWS_FIRST, false                                            \
  }

static int run_with(sqlite_conn_t *conn, enum statement which, int64_t number, store_error_t *error) {
  sqlite3_stmt *statement = sqlite_conn_statement(conn, which);
  sqlite3_bind_int64(statement, 1, number);
  return sqlite_conn_update(conn, statement, "rebuilding an index", error);
}

/* Moves the newest rows up to last. */
static int move_rows(sqlite_conn_t *conn, old_index_t *old, int64_t last, store_error_t *error) {
  int64_t left = last > old->rows ? last - old->rows : 0;
  if (!old->moves)
    mcp_log(MCP_LOG_INFO, "store", "rebuilding the text index of %s; searches keep working", old->rows_name);
  old->moves = true;
  int code = run_with(conn, old->index, left, error);
  return code == STORE_OK ? run_with(conn, old->moved, left, error) : code;
}

static enum sqlite_row on_number(sqlite3_stmt *statement, void *arg) {
  *(int64_t *)arg = sqlite3_column_int64(statement, 0);
  return SQLITE_ROW_STOP;
}

/* Runs SQL with a number as parameter and stores the integer of its result, if any. */
static int run_sql(sqlite_conn_t *conn, const char *sql, int64_t given, int64_t *result,
                   store_error_t *error) {
  sqlite3_stmt *statement = NULL;
  sqlite3_prepare_v2(conn->db, sql, -1, &statement, NULL);
  if (given > 0)
    sqlite3_bind_int64(statement, 1, given);
  int code = sqlite_conn_exec(conn, statement, on_number, result, "dropping an older index", error);
  sqlite3_finalize(statement);
  return code;
}

/* Deletes some records of an index without rows. */
static int drop_blocks(sqlite_conn_t *conn, const old_index_t *old, bool *done, store_error_t *error) {
  int64_t none = 0;
  int code = run_sql(conn, old->empty, BLOCKS, &none, error);
  *done = code == STORE_OK && sqlite3_changes(conn->db) < BLOCKS;
  return *done ? run_sql(conn, old->drop, 0, &none, error) : code;
}

static int count_tables(sqlite_conn_t *conn, const old_index_t *old, int64_t *there, store_error_t *error) {
  char sql[128];
  sqlite3_snprintf(sizeof sql, sql, "SELECT count(*) FROM sqlite_schema WHERE name = '%s'", old->table);
  return run_sql(conn, sql, 0, there, error);
}

/* One transaction. */
static int move_in(sqlite_conn_t *conn, old_index_t *old, bool *done, store_error_t *error) {
  sqlite_words_state_t state;
  int64_t there = 0;
  if (sqlite_conn_run(conn, SQLITE_CONN_BEGIN_WRITE) != SQLITE_OK)
    return sqlite_conn_fail(conn, "beginning to rebuild an index", error);
  int code = sqlite_read_words_state(conn, &state, error);
  int64_t last = old->index == SQL_LINES_INDEX ? state.old_lines : state.old_messages;
  if (code == STORE_OK)
    code = count_tables(conn, old, &there, error);
  *done = there == 0;
  if (code == STORE_OK && there > 0)
    code = last > 0 ? move_rows(conn, old, last, error) : drop_blocks(conn, old, done, error);
  if (code == STORE_OK && sqlite_conn_run(conn, SQLITE_CONN_COMMIT) != SQLITE_OK)
    code = sqlite_conn_fail(conn, "committing", error);
  if (code == STORE_OK && *done && old->moves)
    mcp_log(MCP_LOG_INFO, "store", "searches use the new text index of %s", old->rows_name);
  return code;
}

static int step(sqlite_store_t *self, old_index_t *old, cancel_token_t cancel, bool *done,
                store_error_t *error) {
  int code;
  sqlite_conn_t *conn = sqlite_acquire_writer(&self->pools, cancel, &code, error);
  if (conn == NULL)
    return code;
  int64_t begin_ms = monotonic_ms();
  code = move_in(conn, old, done, error);
  sqlite_release(&self->pools.writers, conn);
  int64_t used_ms = monotonic_ms() - begin_ms;
  if (used_ms < STEP_MS / 2 && old->rows < ROWS_MAX)
    old->rows *= 2;
  if (used_ms > STEP_MS && old->rows > 1)
    old->rows /= 2;
  if (code == STORE_OK && !*done)
    sqlite_yield_writer(used_ms);
  return code;
}

int sqlite_index(store_t *store, cancel_token_t cancel, store_error_t *error) {
  old_index_t indexes[] = {OLD_INDEX("logs_text", "log lines", SQL_LINES_INDEX, SQL_LINES_MOVED),
                           OLD_INDEX("messages_text", "messages", SQL_MESSAGES_INDEX, SQL_MESSAGES_MOVED)};
  int code = STORE_OK;
  for (int i = 0; i < 2; i++) {
    bool done = false;
    while (code == STORE_OK && !done)
      code = cancel_requested(cancel) ? STORE_CANCELLED
                                      : step((sqlite_store_t *)store, &indexes[i], cancel, &done, error);
  }
  return code;
}
