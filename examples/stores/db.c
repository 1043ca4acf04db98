/* db.c: see db.h. The part that both databases share: parameters, rows, and the state of a failed
 * transaction. */
#include "db_driver.h"

#include <stdio.h>
#include <stdlib.h>

struct db_conn {
  db_t *db;
  enum db_mode mode;
  void *conn;            /* of the driver */
  cancel_token_t cancel; /* polled before each statement here, during it by the driver */
  int failed;            /* code of the first failure */
  const char *brief;     /* its public reason */
};

void db_close(db_t *db) {
  if (db != NULL)
    db->driver->close(db);
}

int db_check(db_t *db, size_t free_bytes, cancel_token_t cancel, store_error_t *error) {
  return db->driver->check(db, free_bytes, cancel, error);
}

/* ---- Transactions ---- */

db_conn_t *db_begin(db_t *db, enum db_mode mode, cancel_token_t cancel, int *code, store_error_t *error) {
  db_conn_t *conn = calloc(1, sizeof *conn);
  if (conn == NULL) {
    *code = STORE_FAILED;
    error->brief = "out of memory";
    snprintf(error->text, sizeof error->text, "%s", error->brief);
    return NULL;
  }
  conn->db = db;
  conn->mode = mode;
  conn->cancel = cancel;
  conn->conn = db->driver->begin(db, mode, cancel, code, error);
  if (conn->conn != NULL)
    return conn;
  free(conn);
  return NULL;
}

int db_end(db_conn_t *conn, int code, store_error_t *error) {
  if (conn->failed != STORE_OK)
    code = conn->failed;
  int end = conn->db->driver->end(conn->db, conn->mode, conn->conn, code == STORE_OK, error);
  free(conn);
  return code == STORE_OK ? end : code;
}

void *db_driver_conn(const db_conn_t *conn) {
  return conn->conn;
}

int db_confirm(db_t *db, cancel_token_t cancel, store_error_t *error) {
  return db->driver->confirm != NULL ? db->driver->confirm(db, cancel, error) : STORE_OK;
}

/* ---- Statements ---- */

bool db_deliver_row(const db_row_t *row) {
  db_execution_t *execution = row->execution;
  bool more = execution->cb == NULL || execution->cb(row, execution->arg);
  return more && !execution->damaged;
}

bool db_reject_row(const db_row_t *row) {
  row->execution->damaged = true;
  return false;
}

/* Describes a failure that the database has not reported. Returns code. */
static int refuse(const char *what, int code, const char *reason, const char *brief, store_error_t *error) {
  snprintf(error->text, sizeof error->text, "%s: %s", what, reason);
  error->brief = brief;
  return code;
}

/* Returns STORE_OK, or why the statement cannot run. */
static int check_runnable(const db_conn_t *conn, const db_execution_t *execution, store_error_t *error) {
  if (conn->failed != STORE_OK)
    return refuse(execution->what, conn->failed, "an earlier statement of the transaction failed",
                  conn->brief, error);
  if (conn->cancel.cb != NULL && conn->cancel.cb(conn->cancel.arg))
    return refuse(execution->what, STORE_CANCELLED, "cancelled", NULL, error);
  if (execution->params->count > DB_PARAMS_MAX)
    return refuse(execution->what, STORE_INVALID, "too many parameters", NULL, error);
  return STORE_OK;
}

int db_next_row(const db_execution_t *execution, db_params_t *row, store_error_t *error) {
  row->count = execution->params->count;
  int given = execution->source(row, execution->arg);
  if (given > 0 && row->count - execution->params->count > DB_COLUMNS_MAX)
    return -refuse(execution->what, STORE_INVALID, "too many columns", NULL, error);
  return given;
}

static int run(db_conn_t *conn, db_execution_t *execution, store_error_t *error) {
  if (execution->sql == NULL && conn->db->statements[execution->statement] == NULL)
    return STORE_OK;
  return (execution->source != NULL ? execution->driver->exec_rows
                                    : execution->driver->exec)(conn->db, conn->conn, execution, error);
}

static int exec(db_conn_t *conn, db_execution_t *execution, store_error_t *error) {
  static const db_params_t none = {.count = 0};
  execution->driver = conn->db->driver;
  if (execution->params == NULL)
    execution->params = &none;
  int code = check_runnable(conn, execution, error);
  if (code == STORE_OK)
    code = run(conn, execution, error);
  if (execution->damaged)
    code = refuse(execution->what, STORE_FAILED, "invalid value in a row", "the database is damaged", error);
  conn->failed = code;
  conn->brief = code == STORE_FAILED ? error->brief : NULL;
  return code;
}

static int exec_counting(db_conn_t *conn, db_execution_t *execution, int64_t *changed, store_error_t *error) {
  int code = exec(conn, execution, error);
  if (code == STORE_OK && changed != NULL)
    *changed = execution->changed;
  return code;
}

int db_exec(db_conn_t *conn, int statement, const db_params_t *params, db_row_cb cb, void *arg,
            int64_t *changed, const char *what, store_error_t *error) {
  db_execution_t execution = {.statement = statement, .params = params, .cb = cb, .arg = arg, .what = what};
  return exec_counting(conn, &execution, changed, error);
}

int db_exec_rows(db_conn_t *conn, int statement, const db_params_t *shared, db_source_cb source, void *arg,
                 int64_t *changed, const char *what, store_error_t *error) {
  db_execution_t execution = {
      .statement = statement, .params = shared, .source = source, .arg = arg, .what = what};
  return exec_counting(conn, &execution, changed, error);
}

int db_exec_sql(db_conn_t *conn, const char *sql, const db_params_t *params, db_row_cb cb, void *arg,
                const char *what, store_error_t *error) {
  db_execution_t execution = {.sql = sql, .params = params, .cb = cb, .arg = arg, .what = what};
  return exec(conn, &execution, error);
}

/* ---- Parameters ---- */

static void add(db_params_t *params, db_param_t value) {
  if (params->count < DB_PARAMS_MAX)
    params->values[params->count] = value;
  params->count++;
}

void db_add_text(db_params_t *params, mcp_text_t text) {
  add(params, (db_param_t){.type = DB_TEXT, .is_null = text.ptr == NULL, .text = text});
}

void db_add_int(db_params_t *params, int64_t value) {
  add(params, (db_param_t){.type = DB_INT, .number = value});
}

void db_add_bool(db_params_t *params, bool value) {
  add(params, (db_param_t){.type = DB_BOOL, .number = value});
}

void db_add_time(db_params_t *params, int64_t us) {
  add(params, (db_param_t){.type = DB_TIME, .number = us});
}

void db_add_id(db_params_t *params, const char *id) {
  add(params, (db_param_t){.type = DB_ID, .is_null = id == NULL, .id = id});
}

void db_add_null(db_params_t *params, enum db_type type) {
  add(params, (db_param_t){.type = type, .is_null = true});
}

/* ---- Rows ---- */

bool db_is_null(const db_row_t *row, int column) {
  return row->execution->driver->is_null(row, column);
}

mcp_text_t db_text(const db_row_t *row, int column) {
  return row->execution->driver->text(row, column);
}

int64_t db_int(const db_row_t *row, int column) {
  return row->execution->driver->integer(row, column);
}

bool db_read_int(const db_row_t *row, void *arg) {
  *(int64_t *)arg = db_int(row, 0);
  return false;
}

bool db_bool(const db_row_t *row, int column) {
  return row->execution->driver->boolean(row, column);
}

double db_double(const db_row_t *row, int column) {
  return row->execution->driver->number(row, column);
}

int64_t db_time(const db_row_t *row, int column) {
  return db_is_null(row, column) ? 0 : row->execution->driver->time(row, column);
}

bool db_id(const db_row_t *row, int column, char id[MCP_UUID_SIZE]) {
  id[0] = '\0';
  if (db_is_null(row, column))
    return false;
  bool is_id = row->execution->driver->id(row, column, id);
  row->execution->damaged = row->execution->damaged || !is_id;
  return is_id;
}
