/* db_pq.c: db.h on PostgreSQL (pq_pools.h). Parameters carry their types, so statements need no casts.
 *
 * The version is in a table of one row, which a check updates. A statement that fails rolls its
 * transaction back or closes its connection (pq_conn.h); the next db_begin connects again. */
#include "db_pq.h"
#include "db_driver.h"
#include "pq_migrate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct db_pq {
  db_t db; /* must be first */
  pq_pools_t *pools;
  /* The members below are unused on a caller's pools. */
  pq_spec_t spec;
  pq_pools_t own_pools;
  pq_schema_t schema;
  char lock[64];
} db_pq_t;

pq_conn_t *db_pq_conn(const db_conn_t *conn) {
  return db_driver_conn(conn);
}

/* ---- Transactions ---- */

static void *begin(db_t *db, enum db_mode mode, cancel_token_t cancel, int *code, store_error_t *error) {
  pq_pools_t *pools = ((db_pq_t *)db)->pools;
  pq_conn_t *conn = mode == DB_WRITE ? pq_acquire_writer(pools, cancel, code, error)
                                     : pq_acquire_reader(pools, cancel, code, error);
  if (conn == NULL)
    return NULL;
  if (mode == DB_READ_ONCE)
    return conn;
  *code = pq_command(conn, mode == DB_WRITE ? "BEGIN" : "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
                     "beginning", error);
  if (*code == STORE_OK)
    return conn;
  pq_release(mode == DB_WRITE ? &pools->writers : &pools->readers, conn);
  return NULL;
}

static int end(db_t *db, enum db_mode mode, void *arg, bool commit, store_error_t *error) {
  pq_pools_t *pools = ((db_pq_t *)db)->pools;
  pq_conn_t *conn = arg;
  int code = STORE_OK;
  conn->cancel = (cancel_token_t){NULL, NULL};
  if (commit && mode != DB_READ_ONCE)
    code = pq_command(conn, "COMMIT", "committing", error);
  else if (conn->pg != NULL && PQtransactionStatus(conn->pg) != PQTRANS_IDLE)
    pq_roll_back(conn, STORE_OK, NULL, error);
  if (commit && mode == DB_WRITE)
    return pq_release_confirmed(pools, conn, code, error);
  pq_release(mode == DB_WRITE ? &pools->writers : &pools->readers, conn);
  return code;
}

/* ---- Statements ---- */

static void add_value(pq_params_t *params, const db_param_t *param) {
  if (param->is_null)
    pq_add_null(params);
  else if (param->type == DB_TEXT)
    pq_add_text(params, param->text);
  else if (param->type == DB_ID)
    pq_add_id(params, param->id);
  else if (param->type == DB_TIME)
    pq_add_time(params, param->number);
  else if (param->type == DB_BOOL)
    pq_add_bool(params, param->number != 0);
  else
    pq_add_int(params, param->number);
}

static const enum pq_type types[] = {
    [DB_TEXT] = PQ_TEXT, [DB_INT] = PQ_INT, [DB_BOOL] = PQ_BOOL, [DB_TIME] = PQ_TIME, [DB_ID] = PQ_UUID};

static void add_all(pq_params_t *params, const db_params_t *given) {
  params->count = 0;
  for (int i = 0; i < given->count; i++) {
    params->types[i] = types[given->values[i].type];
    add_value(params, &given->values[i]);
  }
}
_Static_assert((int)DB_PARAMS_MAX <= (int)PQ_PARAMS_MAX, "there is a place for each");

static enum pq_row on_row(const PGresult *result, void *arg) {
  db_execution_t *execution = arg;
  const db_row_t row = {.result = result, .execution = execution};
  bool more = db_deliver_row(&row);
  return execution->damaged ? PQ_ROW_DAMAGED : more ? PQ_ROW_CONTINUE : PQ_ROW_STOP;
}

/* A unique key that is in use has its own code. */
static int map_conflict(const pq_conn_t *conn, int code) {
  return code == STORE_FAILED && strcmp(conn->sqlstate, "23505") == 0 ? STORE_CONFLICT : code;
}

static int exec(db_t *db, void *arg, db_execution_t *execution, store_error_t *error) {
  pq_conn_t *conn = arg;
  pq_params_t params;
  (void)db;
  conn->sqlstate[0] = '\0';
  add_all(&params, execution->params);
  int code = execution->sql != NULL ? pq_exec_sql(conn, execution->sql, &params, on_row, execution,
                                                  &execution->changed, execution->what, error)
                                    : pq_exec(conn, execution->statement, &params, on_row, execution,
                                              &execution->changed, execution->what, error);
  return map_conflict(conn, code);
}

/* ---- Many rows ---- */

enum { CHUNK_ROWS = 500, CHUNK_BYTES = 1024 * 1024 };
_Static_assert((int)DB_COLUMNS_MAX <= (int)PQ_COLUMNS_MAX, "there is a place for each");

/* Rows that are not sent yet. */
typedef struct chunk {
  pq_columns_t columns;
  size_t count, bytes;
} chunk_t;

static void append(pq_array_t *array, const db_param_t *param) {
  if (param->is_null)
    pq_append_null(array);
  else if (param->type == DB_TEXT)
    pq_append_text(array, param->text);
  else if (param->type == DB_ID)
    pq_append_id(array, param->id);
  else if (param->type == DB_TIME)
    pq_append_time(array, param->number);
  else if (param->type == DB_BOOL)
    pq_append_bool(array, param->number != 0);
  else
    pq_append_int(array, param->number);
}

/* The first row determines the columns' types. */
static void chunk_add(chunk_t *chunk, const db_param_t *values, int count) {
  enum pq_type columns[PQ_COLUMNS_MAX];
  for (int i = 0; i < count; i++)
    columns[i] = types[values[i].type];
  if (chunk->columns.count == 0)
    pq_columns_init(&chunk->columns, columns, count);
  for (int i = 0; i < chunk->columns.count; i++) {
    append(&chunk->columns.arrays[i], &values[i]);
    chunk->bytes += values[i].text.len;
  }
  chunk->count++;
}

static int chunk_store(pq_conn_t *conn, chunk_t *chunk, db_execution_t *execution, store_error_t *error) {
  pq_params_t params = {.count = 0};
  int64_t changed = 0;
  if (chunk->count == 0)
    return STORE_OK;
  add_all(&params, execution->params);
  if (!pq_add_columns(&params, &chunk->columns))
    return pq_no_memory(conn, error);
  int code = pq_exec(conn, execution->statement, &params, NULL, NULL, &changed, execution->what, error);
  pq_columns_clear(&chunk->columns);
  chunk->count = chunk->bytes = 0;
  execution->changed += changed;
  return map_conflict(conn, code);
}

static int exec_rows(db_t *db, void *conn, db_execution_t *execution, store_error_t *error) {
  chunk_t chunk = {.count = 0};
  db_params_t row = *execution->params;
  int code = STORE_OK, given = 0;
  (void)db;
  while (code == STORE_OK && (given = db_next_row(execution, &row, error)) > 0) {
    chunk_add(&chunk, &row.values[execution->params->count], row.count - execution->params->count);
    if (chunk.count == CHUNK_ROWS || chunk.bytes >= CHUNK_BYTES)
      code = chunk_store(conn, &chunk, execution, error);
  }
  if (code == STORE_OK)
    code = given < 0 ? -given : chunk_store(conn, &chunk, execution, error);
  pq_columns_deinit(&chunk.columns);
  return code;
}

/* ---- Rows ---- */

static bool is_null(const db_row_t *row, int column) {
  return PQgetisnull(row->result, 0, column);
}

static mcp_text_t text(const db_row_t *row, int column) {
  return pq_text(row->result, column);
}

static int64_t integer(const db_row_t *row, int column) {
  return pq_int(row->result, column);
}

static bool boolean(const db_row_t *row, int column) {
  return pq_bool(row->result, column);
}

static double number(const db_row_t *row, int column) {
  return pq_double(row->result, column);
}

static int64_t time_of(const db_row_t *row, int column) {
  return pq_time(row->result, column);
}

static bool id(const db_row_t *row, int column, char id[MCP_UUID_SIZE]) {
  return pq_id(row->result, column, id);
}

/* ---- Checking ---- */

static int confirm(db_t *db, cancel_token_t cancel, store_error_t *error) {
  pq_pools_t *pools = ((db_pq_t *)db)->pools;
  int code;
  pq_conn_t *conn = pq_acquire_writer(pools, cancel, &code, error);
  if (conn == NULL)
    return code;
  return pq_release_confirmed(pools, conn, STORE_OK, error);
}

static int step(pq_conn_t *conn, int from, const void *arg, store_error_t *error) {
  const db_spec_t *spec = arg;
  char sql[256];
  int code = STORE_OK;
  snprintf(sql, sizeof sql,
           "CREATE TABLE %s(version integer NOT NULL, checked_at timestamptz NOT NULL DEFAULT now());"
           "INSERT INTO %s(version) VALUES(0)",
           spec->version_table, spec->version_table);
  if (from == 0)
    code = pq_command(conn, sql, "making the tables", error);
  return code == STORE_OK ? pq_command(conn, spec->migrations[from], "making the tables", error) : code;
}

static int prepare(pq_conn_t *conn, void *arg, store_error_t *error) {
  const db_pq_t *self = arg;
  char sql[128];
  snprintf(sql, sizeof sql, "UPDATE %s SET checked_at = now()", self->schema.table);
  int code = pq_migrate(conn, &self->schema, error);
  return code == STORE_OK ? pq_command(conn, sql, "checking", error) : code;
}

static int check(db_t *db, size_t free_bytes, cancel_token_t cancel, store_error_t *error) {
  return pq_check(((db_pq_t *)db)->pools, free_bytes, cancel, prepare, db, error);
}

/* ---- Opening and closing ---- */

static void on_close(db_t *db) {
  db_pq_t *self = (db_pq_t *)db;
  if (self->pools == &self->own_pools)
    pq_pools_close(self->pools);
  free(self);
}

static const db_driver_t driver = {.check = check,
                                   .close = on_close,
                                   .begin = begin,
                                   .end = end,
                                   .confirm = confirm,
                                   .exec = exec,
                                   .exec_rows = exec_rows,
                                   .is_null = is_null,
                                   .text = text,
                                   .integer = integer,
                                   .boolean = boolean,
                                   .number = number,
                                   .time = time_of,
                                   .id = id};

db_t *db_on_pq(pq_pools_t *pools, const pq_spec_t *spec) {
  db_pq_t *self = calloc(1, sizeof *self);
  if (self == NULL)
    return NULL;
  self->db = (db_t){&driver, spec->statements};
  self->pools = pools;
  return (db_t *)self;
}

db_t *db_open_pq(const pq_conninfo_t *conninfo, const db_spec_t *spec, store_error_t *error) {
  db_pq_t *self = calloc(1, sizeof *self);
  if (self == NULL || spec->statement_count > PQ_STATEMENTS_MAX) {
    snprintf(error->text, sizeof error->text, "%s", self == NULL ? "out of memory" : "too many statements");
    free(self);
    return NULL;
  }
  self->db = (db_t){&driver, spec->statements};
  self->pools = &self->own_pools;
  self->spec = (pq_spec_t){spec->name, spec->statements, spec->statement_count};
  snprintf(self->lock, sizeof self->lock, "SELECT pg_advisory_xact_lock(%lld)", (long long)spec->lock);
  self->schema = (pq_schema_t){.table = spec->version_table,
                               .lock = self->lock,
                               .newer = "the database was made by a newer version of this program",
                               .version = spec->migration_count,
                               .step = step,
                               .arg = spec};
  pq_pools_open(self->pools, conninfo, &self->spec);
  return &self->db;
}
