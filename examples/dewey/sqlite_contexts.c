/* sqlite_contexts.c: see sqlite_contexts.h.
 *
 * That only one context is active is also a rule of the table. Statements outside of a transaction are one
 * each by themselves. */
#include "sqlite_contexts.h"

static const char no_context[] = "there is no such startup context";

/* Where rows go. */
typedef struct reading {
  store_context_cb cb;
  void *arg;
  bool found;
} reading_t;

static enum row on_context(sqlite3_stmt *statement, void *arg) {
  reading_t *reading = arg;
  startup_context_t row = {.name = column_text(statement, 1),
                           .content = column_text(statement, 2),
                           .is_active = sqlite3_column_int(statement, 3) != 0,
                           .created_at = sqlite3_column_int64(statement, 4),
                           .updated_at = sqlite3_column_int64(statement, 5)};
  if (!column_id(statement, 0, row.id) || row.name.ptr == NULL)
    return ROW_DAMAGED;
  reading->found = true;
  return reading->cb(&row, reading->arg) ? ROW_TAKEN : ROW_LAST;
}

static int give_named(conn_t *conn, text_t name, reading_t *reading, store_error_t *error) {
  sqlite3_stmt *statement = conn_fixed(conn, SQL_CONTEXT_FETCH);
  bind_text(statement, 1, name);
  return conn_each(conn, statement, on_context, reading, "reading a startup context", error);
}

static int change(conn_t *conn, const startup_context_t *context, store_error_t *error) {
  int code = STORE_OK;
  if (context->is_active)
    code = conn_change(conn, conn_fixed(conn, SQL_CONTEXT_DEACTIVATE), "changing startup contexts", error);
  if (code != STORE_OK)
    return code;
  sqlite3_stmt *statement = conn_fixed(conn, SQL_CONTEXT_SET);
  bind_id(statement, 1, context->id);
  bind_text(statement, 2, context->name);
  bind_text(statement, 3, context->content);
  sqlite3_bind_int(statement, 4, context->is_active);
  sqlite3_bind_int64(statement, 5, context->updated_at);
  return conn_change(conn, statement, "storing a startup context", error);
}

int context_set(store_t *store, const startup_context_t *context, store_context_cb cb, void *arg,
                store_error_t *error) {
  sqlite_store_t *self = (sqlite_store_t *)store;
  reading_t reading = {cb, arg, false};
  int code;
  conn_t *conn = sqlite_writer(&self->pools, STORE_NEVER, &code, error);
  if (conn == NULL)
    return code;
  code = STORE_OK;
  if (conn_run(conn, CONN_BEGIN_WRITE) != SQLITE_OK)
    code = conn_failed(conn, "beginning to store", error);
  if (code == STORE_OK)
    code = change(conn, context, error);
  if (code == STORE_OK)
    code = give_named(conn, context->name, &reading, error);
  if (code == STORE_OK && conn_run(conn, CONN_COMMIT) != SQLITE_OK)
    code = conn_failed(conn, "committing", error);
  sqlite_give(&self->pools.writers, conn);
  return code;
}

int context_get(store_t *store, text_t name, store_context_cb cb, void *arg, store_error_t *error) {
  sqlite_store_t *self = (sqlite_store_t *)store;
  reading_t reading = {cb, arg, false};
  conn_t *conn = sqlite_reader(&self->pools, (store_stop_t){NULL, NULL}, error);
  if (conn == NULL)
    return STORE_BUSY;
  int code = name.ptr != NULL ? give_named(conn, name, &reading, error)
                              : conn_each(conn, conn_fixed(conn, SQL_CONTEXT_ACTIVE), on_context, &reading,
                                          "reading the active context", error);
  sqlite_give(&self->pools.readers, conn);
  return code == STORE_OK && !reading.found ? STORE_NONE : code;
}

int context_list(store_t *store, bool with_content, store_stop_t stop, store_context_cb cb, void *arg,
                 store_error_t *error) {
  sqlite_store_t *self = (sqlite_store_t *)store;
  reading_t reading = {cb, arg, false};
  conn_t *conn = sqlite_reader(&self->pools, stop, error);
  if (conn == NULL)
    return STORE_BUSY;
  sqlite3_stmt *statement = conn_fixed(conn, SQL_CONTEXT_LIST);
  sqlite3_bind_int(statement, 1, with_content);
  int code = conn_each(conn, statement, on_context, &reading, "listing startup contexts", error);
  sqlite_give(&self->pools.readers, conn);
  return code;
}

int context_remove(store_t *store, text_t name, store_error_t *error) {
  sqlite_store_t *self = (sqlite_store_t *)store;
  int code;
  conn_t *conn = sqlite_writer(&self->pools, STORE_NEVER, &code, error);
  if (conn == NULL)
    return code;
  sqlite3_stmt *statement = conn_fixed(conn, SQL_CONTEXT_DELETE);
  bind_text(statement, 1, name);
  code = conn_change(conn, statement, "deleting a startup context", error);
  if (code == STORE_OK && sqlite3_changes(conn->db) == 0) {
    sqlite3_snprintf(sizeof error->text, error->text, "%s", no_context);
    code = STORE_NONE;
  }
  sqlite_give(&self->pools.writers, conn);
  return code;
}
