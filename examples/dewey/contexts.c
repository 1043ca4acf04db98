/* contexts.c: startup contexts, see store_db.h.
 *
 * The table allows one active context only. Writers run one at a time: on PostgreSQL they lock the table. */
#include "store_db.h"

static const char context_not_found[] = "there is no such startup context";

/* The caller's callback, and whether it was called. */
typedef struct reading {
  store_context_cb cb;
  void *arg;
  bool found;
} reading_t;

static bool on_context(const db_row_t *row, void *arg) {
  reading_t *reading = arg;
  startup_context_t context = {.name = db_text(row, 1),
                               .content = db_text(row, 2),
                               .is_active = db_bool(row, 3),
                               .created_at = db_time(row, 4),
                               .updated_at = db_time(row, 5)};
  if (!db_id(row, 0, context.id) || context.name.ptr == NULL)
    return db_reject_row(row);
  reading->found = true;
  return reading->cb(&context, reading->arg);
}

/* Reads the context with this name; without a name the active one. */
static int give(db_conn_t *conn, mcp_text_t name, reading_t *reading, store_error_t *error) {
  db_params_t params = {.count = 0};
  if (name.ptr == NULL)
    return db_exec(conn, SQL_CONTEXT_ACTIVE, NULL, on_context, reading, NULL, "reading the active context",
                   error);
  db_add_text(&params, name);
  return db_exec(conn, SQL_CONTEXT_FETCH, &params, on_context, reading, NULL, "reading a startup context",
                 error);
}

static int change(db_conn_t *conn, const startup_context_t *context, store_error_t *error) {
  db_params_t params = {.count = 0};
  db_add_id(&params, context->id);
  db_add_text(&params, context->name);
  db_add_text(&params, context->content);
  db_add_bool(&params, context->is_active);
  db_add_time(&params, context->updated_at);
  int code = db_exec(conn, SQL_CONTEXTS_LOCK, NULL, NULL, NULL, NULL, "changing startup contexts", error);
  if (code == STORE_OK && context->is_active)
    code = db_exec(conn, SQL_CONTEXT_DEACTIVATE, NULL, NULL, NULL, NULL, "changing startup contexts", error);
  return code == STORE_OK
             ? db_exec(conn, SQL_CONTEXT_SET, &params, NULL, NULL, NULL, "storing a startup context", error)
             : code;
}

static db_conn_t *begin(store_t *store, enum db_mode mode, cancel_token_t cancel, int *code,
                        store_error_t *error) {
  return db_begin(((store_db_t *)store)->db, mode, cancel, code, error);
}

int context_set(store_t *store, const startup_context_t *context, store_context_cb cb, void *arg,
                store_error_t *error) {
  reading_t reading = {cb, arg, false};
  int code;
  db_conn_t *conn = begin(store, DB_WRITE, CANCEL_NEVER, &code, error);
  if (conn == NULL)
    return code;
  code = change(conn, context, error);
  if (code == STORE_OK)
    code = give(conn, context->name, &reading, error);
  return store_db_end(store, conn, code, error);
}

int context_get(store_t *store, mcp_text_t name, store_context_cb cb, void *arg, store_error_t *error) {
  reading_t reading = {cb, arg, false};
  int code;
  db_conn_t *conn = begin(store, DB_READ_ONCE, CANCEL_NEVER, &code, error);
  if (conn == NULL)
    return code;
  code = db_end(conn, give(conn, name, &reading, error), error);
  return code == STORE_OK && !reading.found ? STORE_NOT_FOUND : code;
}

int context_list(store_t *store, bool with_content, cancel_token_t cancel, store_context_cb cb, void *arg,
                 store_error_t *error) {
  reading_t reading = {cb, arg, false};
  db_params_t params = {.count = 0};
  int code;
  db_conn_t *conn = begin(store, DB_READ_ONCE, cancel, &code, error);
  if (conn == NULL)
    return code;
  db_add_bool(&params, with_content);
  code =
      db_exec(conn, SQL_CONTEXT_LIST, &params, on_context, &reading, NULL, "listing startup contexts", error);
  return db_end(conn, code, error);
}

int context_remove(store_t *store, mcp_text_t name, store_error_t *error) {
  db_params_t params = {.count = 0};
  int64_t deleted = 0;
  int code;
  db_conn_t *conn = begin(store, DB_WRITE, CANCEL_NEVER, &code, error);
  if (conn == NULL)
    return code;
  db_add_text(&params, name);
  code =
      db_exec(conn, SQL_CONTEXT_DELETE, &params, NULL, NULL, &deleted, "deleting a startup context", error);
  if (code == STORE_OK && deleted == 0)
    code = store_db_refuse(STORE_NOT_FOUND, context_not_found, error);
  return store_db_end(store, conn, code, error);
}
