/* db_pq.c: db.h on PostgreSQL (pq_pools.h). Parameters say their types, so that a statement needs no casts to
 * be understood.
 *
 * The version stands in a table of one row, which a check writes to. A statement that fails rolls its
 * transaction back, or takes its connection along (pq_conn.h); the next db_begin makes another. */
#include "db_driver.h"
#include "pq_migrate.h"
#include "pq_pools.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct db_pq {
  db_t db; /* first: it is what others see */
  pq_plan_t plan;
  pq_pools_t pools;
  pq_schema_t schema;
  char lock[64];
} db_pq_t;

/* ---- Transactions ---- */

static void *begin(db_t *db, enum db_mode mode, store_stop_t stop, int *code, store_error_t *error) {
  pq_pools_t *pools = &((db_pq_t *)db)->pools;
  pq_conn_t *conn =
      mode == DB_WRITE ? pq_writer(pools, stop, code, error) : pq_reader(pools, stop, code, error);
  if (conn == NULL)
    return NULL;
  *code = pq_command(conn, mode == DB_WRITE ? "BEGIN" : "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
                     "beginning", error);
  if (*code == STORE_OK)
    return conn;
  pq_give(mode == DB_WRITE ? &pools->writers : &pools->readers, conn);
  return NULL;
}

static int end(db_t *db, enum db_mode mode, void *arg, bool commit, store_error_t *error) {
  pq_pools_t *pools = &((db_pq_t *)db)->pools;
  pq_conn_t *conn = arg;
  int code = STORE_OK;
  conn->stop = (store_stop_t){NULL, NULL};
  if (commit)
    code = pq_command(conn, "COMMIT", "committing", error);
  else if (conn->pg != NULL && PQtransactionStatus(conn->pg) != PQTRANS_IDLE)
    pq_roll_back(conn, STORE_OK, NULL, error);
  if (commit && mode == DB_WRITE)
    return pq_done(pools, conn, code, error);
  pq_give(mode == DB_WRITE ? &pools->writers : &pools->readers, conn);
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

static void add_all(pq_params_t *params, const db_params_t *given) {
  static const enum pq_type types[] = {
      [DB_TEXT] = PQ_TEXT, [DB_INT] = PQ_INT, [DB_BOOL] = PQ_BOOL, [DB_TIME] = PQ_TIME, [DB_ID] = PQ_UUID};
  params->count = 0;
  for (int i = 0; i < given->count; i++) {
    params->types[i] = types[given->values[i].type];
    add_value(params, &given->values[i]);
  }
}
_Static_assert((int)DB_PARAMS_MAX <= (int)PQ_PARAMS_MAX, "there is a place for each");

static enum pq_row on_row(const PGresult *result, void *arg) {
  db_asked_t *asked = arg;
  const db_row_t row = {.result = result, .asked = asked};
  bool more = db_give_row(&row);
  return asked->strange ? PQ_STRANGE : more ? PQ_TAKEN : PQ_ENOUGH;
}

static int each(db_t *db, void *arg, db_asked_t *asked, store_error_t *error) {
  pq_conn_t *conn = arg;
  pq_params_t params;
  (void)db;
  conn->state[0] = '\0';
  add_all(&params, asked->params);
  int code =
      asked->sql != NULL
          ? pq_each_sql(conn, asked->sql, &params, on_row, asked, &asked->changed, asked->what, error)
          : pq_each(conn, asked->statement, &params, on_row, asked, &asked->changed, asked->what, error);
  return code == STORE_FAILED && strcmp(conn->state, "23505") == 0 ? STORE_TAKEN : code;
}

static bool is_null(const db_row_t *row, int column) {
  return PQgetisnull(row->result, 0, column);
}

static text_t text(const db_row_t *row, int column) {
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

static int confirm(db_t *db, store_stop_t stop, store_error_t *error) {
  pq_pools_t *pools = &((db_pq_t *)db)->pools;
  int code;
  pq_conn_t *conn = pq_writer(pools, stop, &code, error);
  if (conn == NULL)
    return code;
  return pq_done(pools, conn, STORE_OK, error);
}

static int step(pq_conn_t *conn, int from, const void *arg, store_error_t *error) {
  const db_plan_t *plan = arg;
  char sql[256];
  int code = STORE_OK;
  snprintf(sql, sizeof sql,
           "CREATE TABLE %s(version integer NOT NULL, checked_at timestamptz NOT NULL DEFAULT now());"
           "INSERT INTO %s(version) VALUES(0)",
           plan->version_table, plan->version_table);
  if (from == 0)
    code = pq_command(conn, sql, "making the tables", error);
  return code == STORE_OK ? pq_command(conn, plan->migrations[from], "making the tables", error) : code;
}

static int prepare(pq_conn_t *conn, void *arg, store_error_t *error) {
  const db_pq_t *self = arg;
  char sql[128];
  snprintf(sql, sizeof sql, "UPDATE %s SET checked_at = now()", self->schema.table);
  int code = pq_migrate(conn, &self->schema, error);
  return code == STORE_OK ? pq_command(conn, sql, "checking", error) : code;
}

static int check(db_t *db, size_t room, store_stop_t stop, store_error_t *error) {
  return pq_check(&((db_pq_t *)db)->pools, room, stop, prepare, db, error);
}

/* ---- Opening and closing ---- */

static void on_close(db_t *db) {
  pq_pools_close(&((db_pq_t *)db)->pools);
  free(db);
}

static const db_driver_t driver = {.check = check,
                                   .close = on_close,
                                   .begin = begin,
                                   .end = end,
                                   .confirm = confirm,
                                   .each = each,
                                   .is_null = is_null,
                                   .text = text,
                                   .integer = integer,
                                   .boolean = boolean,
                                   .number = number,
                                   .time = time_of,
                                   .id = id};

db_t *db_open_pq(const pq_place_t *place, const db_plan_t *plan, store_error_t *error) {
  db_pq_t *self = calloc(1, sizeof *self);
  if (self == NULL || plan->statement_count > PQ_STATEMENTS_MAX) {
    snprintf(error->text, sizeof error->text, "%s", self == NULL ? "no memory" : "too many statements");
    free(self);
    return NULL;
  }
  self->db = (db_t){&driver, plan};
  self->plan = (pq_plan_t){plan->name, plan->statements, plan->statement_count};
  snprintf(self->lock, sizeof self->lock, "SELECT pg_advisory_xact_lock(%lld)", (long long)plan->lock);
  self->schema = (pq_schema_t){.table = plan->version_table,
                               .lock = self->lock,
                               .newer = "the database was made by a newer version of this program",
                               .version = plan->migration_count,
                               .step = step,
                               .arg = plan};
  pq_pools_open(&self->pools, place, &self->plan);
  return &self->db;
}
