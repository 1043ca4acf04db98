/* db_sqlite.c: db.h on SQLite (sqlite_pools.h). Ids are blobs of 16 bytes; times and booleans are
 * integers.
 *
 * Foreign keys are enforced and the collation "C" is defined, as on PostgreSQL. A statement that fails
 * rolls its transaction back (sqlite_conn_fail). */
#include "db_sqlite.h"
#include "db_driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct db_sqlite {
  db_t db; /* must be first */
  sqlite_pools_t *pools;
  /* The members below are unused on a caller's pools. */
  sqlite_spec_t spec;
  sqlite_pools_t own_pools;
} db_sqlite_t;

sqlite_conn_t *db_sqlite_conn(const db_conn_t *conn) {
  return db_driver_conn(conn);
}

/* ---- Transactions ---- */

static void *begin(db_t *db, enum db_mode mode, cancel_token_t cancel, int *code, store_error_t *error) {
  sqlite_pools_t *pools = ((db_sqlite_t *)db)->pools;
  *code = STORE_BUSY;
  sqlite_conn_t *conn = mode == DB_WRITE ? sqlite_acquire_writer(pools, cancel, code, error)
                                         : sqlite_acquire_reader(pools, cancel, error);
  if (conn == NULL)
    return NULL;
  conn->cancel = cancel;
  if (mode == DB_READ_ONCE ||
      sqlite_conn_run(conn, mode == DB_WRITE ? SQLITE_CONN_BEGIN_WRITE : SQLITE_CONN_BEGIN_READ) == SQLITE_OK)
    return conn;
  *code = sqlite_conn_fail(conn, "beginning", error);
  sqlite_release(mode == DB_WRITE ? &pools->writers : &pools->readers, conn);
  return NULL;
}

static int end(db_t *db, enum db_mode mode, void *arg, bool commit, store_error_t *error) {
  sqlite_pools_t *pools = ((db_sqlite_t *)db)->pools;
  sqlite_conn_t *conn = arg;
  int code = STORE_OK;
  conn->cancel = (cancel_token_t){NULL, NULL};
  conn->deadline_ms = 0;
  if (commit && mode != DB_READ_ONCE && sqlite_conn_run(conn, SQLITE_CONN_COMMIT) != SQLITE_OK)
    code = sqlite_conn_fail(conn, "committing", error);
  else if (!commit && !sqlite3_get_autocommit(conn->db))
    sqlite_conn_run(conn, SQLITE_CONN_ROLLBACK);
  sqlite_release(mode == DB_WRITE ? &pools->writers : &pools->readers, conn);
  return code;
}

/* ---- Statements ---- */

static void bind_one(sqlite3_stmt *statement, int index, const db_param_t *param) {
  if (param->is_null)
    return;
  if (param->type == DB_TEXT)
    sqlite_bind_text(statement, index, param->text);
  else if (param->type == DB_ID)
    sqlite_bind_id(statement, index, param->id);
  else
    sqlite3_bind_int64(statement, index, param->number);
}

/* SQLite treats $1, $2, … as names and numbers them in order of appearance. */
static void bind_all(sqlite3_stmt *statement, const db_params_t *params) {
  for (int i = 0; i < params->count; i++) {
    char name[16];
    snprintf(name, sizeof name, "$%d", i + 1);
    int index = sqlite3_bind_parameter_index(statement, name);
    if (index > 0)
      bind_one(statement, index, &params->values[i]);
  }
}

static enum sqlite_row on_row(sqlite3_stmt *statement, void *arg) {
  db_execution_t *execution = arg;
  const db_row_t row = {.statement = statement, .execution = execution};
  bool more = db_deliver_row(&row);
  return execution->damaged ? SQLITE_ROW_DAMAGED : more ? SQLITE_ROW_CONTINUE : SQLITE_ROW_STOP;
}

static int run(sqlite_conn_t *conn, sqlite3_stmt *statement, const db_params_t *params,
               db_execution_t *execution, store_error_t *error) {
  conn->failure = SQLITE_OK;
  if (statement != NULL)
    bind_all(statement, params);
  int code = sqlite_conn_exec(conn, statement, on_row, execution, execution->what, error);
  execution->changed += sqlite3_changes(conn->db);
  bool taken = conn->failure == SQLITE_CONSTRAINT_UNIQUE || conn->failure == SQLITE_CONSTRAINT_PRIMARYKEY;
  return taken ? STORE_CONFLICT : code;
}

static int exec(db_t *db, void *arg, db_execution_t *execution, store_error_t *error) {
  sqlite_conn_t *conn = arg;
  sqlite3_stmt *made = NULL;
  (void)db;
  if (execution->sql != NULL)
    sqlite3_prepare_v2(conn->db, execution->sql, -1, &made, NULL);
  int code = run(conn, execution->sql != NULL ? made : sqlite_conn_statement(conn, execution->statement),
                 execution->params, execution, error);
  sqlite3_finalize(made);
  return code;
}

static int exec_rows(db_t *db, void *arg, db_execution_t *execution, store_error_t *error) {
  sqlite_conn_t *conn = arg;
  db_params_t row = *execution->params;
  int code = STORE_OK, given;
  (void)db;
  while (code == STORE_OK && (given = db_next_row(execution, &row, error)) != 0)
    code = given > 0 ? run(conn, sqlite_conn_statement(conn, execution->statement), &row, execution, error)
                     : -given;
  return code;
}

static bool is_null(const db_row_t *row, int column) {
  return sqlite3_column_type(row->statement, column) == SQLITE_NULL;
}

static mcp_text_t text(const db_row_t *row, int column) {
  return sqlite_column_text(row->statement, column);
}

static int64_t integer(const db_row_t *row, int column) {
  return sqlite3_column_int64(row->statement, column);
}

static bool boolean(const db_row_t *row, int column) {
  return sqlite3_column_int(row->statement, column) != 0;
}

static double number(const db_row_t *row, int column) {
  return sqlite3_column_double(row->statement, column);
}

static bool id(const db_row_t *row, int column, char id[MCP_UUID_SIZE]) {
  return sqlite_column_id(row->statement, column, id);
}

/* ---- Checking ---- */

static int check(db_t *db, size_t free_bytes, cancel_token_t cancel, store_error_t *error) {
  int code = sqlite_check_write(((db_sqlite_t *)db)->pools, free_bytes, cancel, error);
  db_conn_t *conn = code == STORE_OK ? db_begin(db, DB_READ, cancel, &code, error) : NULL;
  if (conn == NULL)
    return code;
  code = db_exec_sql(conn, "SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL, "checking", error);
  return db_end(conn, code, error);
}

/* ---- Opening and closing ---- */

static int compare_bytes(void *arg, int a_len, const void *a, int b_len, const void *b) {
  int order = memcmp(a, b, (size_t)(a_len < b_len ? a_len : b_len));
  (void)arg;
  return order != 0 ? order : a_len - b_len;
}

int db_sqlite_extend(sqlite3 *db, void *conn) {
  int code = sqlite3_exec(db, "PRAGMA foreign_keys = ON", NULL, NULL, NULL);
  (void)conn;
  return code != SQLITE_OK ? code : sqlite3_create_collation(db, "C", SQLITE_UTF8, NULL, compare_bytes);
}

static void on_close(db_t *db) {
  db_sqlite_t *self = (db_sqlite_t *)db;
  if (self->pools == &self->own_pools)
    sqlite_pools_close(self->pools);
  free(self);
}

static const db_driver_t driver = {.check = check,
                                   .close = on_close,
                                   .begin = begin,
                                   .end = end,
                                   .exec = exec,
                                   .exec_rows = exec_rows,
                                   .is_null = is_null,
                                   .text = text,
                                   .integer = integer,
                                   .boolean = boolean,
                                   .number = number,
                                   .time = integer,
                                   .id = id};

db_t *db_on_sqlite(sqlite_pools_t *pools, const sqlite_spec_t *spec) {
  db_sqlite_t *self = calloc(1, sizeof *self);
  if (self == NULL)
    return NULL;
  self->db = (db_t){&driver, spec->statements};
  self->pools = pools;
  return (db_t *)self;
}

db_t *db_open_sqlite(const char *path, const db_spec_t *spec, store_error_t *error) {
  db_sqlite_t *self = calloc(1, sizeof *self);
  if (self == NULL) {
    snprintf(error->text, sizeof error->text, "out of memory");
    return NULL;
  }
  self->db = (db_t){&driver, spec->statements};
  self->pools = &self->own_pools;
  self->spec = (sqlite_spec_t){.name = spec->name,
                               .application_id = spec->application_id,
                               .steps = spec->migrations,
                               .step_count = spec->migration_count,
                               .statements = spec->statements,
                               .statement_count = spec->statement_count,
                               .extend = db_sqlite_extend};
  if (sqlite_pools_open(self->pools, path, &self->spec, error))
    return &self->db;
  free(self);
  return NULL;
}
