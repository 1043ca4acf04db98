/* pq_contexts.c: startup contexts in PostgreSQL.
 *
 * That only one is active is also a rule of the table; those who change them do so one after the other. */
#include "store_pq.h"

#include <stdio.h>

static const char no_context[] = "there is no such startup context";

/* Where rows go. */
typedef struct reading {
  store_context_cb cb;
  void *arg;
  bool found;
} reading_t;

static enum pq_row on_context(const PGresult *result, void *arg) {
  reading_t *reading = arg;
  startup_context_t row = {.name = pq_text(result, 1),
                           .content = pq_text(result, 2),
                           .is_active = pq_bool(result, 3),
                           .created_at = pq_time(result, 4),
                           .updated_at = pq_time(result, 5)};
  if (!pq_id(result, 0, row.id))
    return PQ_STRANGE;
  reading->found = true;
  return reading->cb(&row, reading->arg) ? PQ_TAKEN : PQ_ENOUGH;
}

/* Of this name; missing: the active one. */
static int give_named(pq_conn_t *conn, text_t name, reading_t *reading, store_error_t *error) {
  pq_params_t params = {.count = 0};
  pq_add_text(&params, name);
  return pq_each(conn, PQ_CONTEXT_FETCH, &params, on_context, reading, NULL, "reading a startup context",
                 error);
}

static int change(pq_conn_t *conn, const startup_context_t *context, store_error_t *error) {
  pq_params_t params = {.count = 0};
  int code = STORE_OK;
  pq_add_id(&params, context->id);
  pq_add_text(&params, context->name);
  pq_add_text(&params, context->content);
  pq_add_bool(&params, context->is_active);
  pq_add_time(&params, context->updated_at);
  if (context->is_active)
    code = pq_change(conn, PQ_CONTEXT_DEACTIVATE, NULL, "changing startup contexts", error);
  return code == STORE_OK ? pq_change(conn, PQ_CONTEXT_SET, &params, "storing a startup context", error)
                          : code;
}

int pq_context_set(store_t *store, const startup_context_t *context, store_context_cb cb, void *arg,
                   store_error_t *error) {
  pq_store_t *self = (pq_store_t *)store;
  reading_t reading = {cb, arg, false};
  int code;
  pq_conn_t *conn = pq_writer(&self->pools, STORE_NEVER, &code, error);
  if (conn == NULL)
    return code;
  code = pq_command(conn, "BEGIN; LOCK TABLE startup_contexts IN SHARE ROW EXCLUSIVE MODE",
                    "beginning to store", error);
  if (code == STORE_OK)
    code = change(conn, context, error);
  if (code == STORE_OK)
    code = give_named(conn, context->name, &reading, error);
  if (code == STORE_OK)
    code = pq_command(conn, "COMMIT", "committing", error);
  return pq_done(&self->pools, conn, code, error);
}

int pq_context_get(store_t *store, text_t name, store_context_cb cb, void *arg, store_error_t *error) {
  pq_store_t *self = (pq_store_t *)store;
  reading_t reading = {cb, arg, false};
  int code;
  pq_conn_t *conn = pq_reader(&self->pools, (store_stop_t){NULL, NULL}, &code, error);
  if (conn == NULL)
    return code;
  code = give_named(conn, name, &reading, error);
  pq_give(&self->pools.readers, conn);
  return code == STORE_OK && !reading.found ? STORE_NONE : code;
}

int pq_context_list(store_t *store, bool with_content, store_stop_t stop, store_context_cb cb, void *arg,
                    store_error_t *error) {
  pq_store_t *self = (pq_store_t *)store;
  reading_t reading = {cb, arg, false};
  pq_params_t params = {.count = 0};
  int code;
  pq_conn_t *conn = pq_reader(&self->pools, stop, &code, error);
  if (conn == NULL)
    return code;
  pq_add_bool(&params, with_content);
  code =
      pq_each(conn, PQ_CONTEXT_LIST, &params, on_context, &reading, NULL, "listing startup contexts", error);
  pq_give(&self->pools.readers, conn);
  return code;
}

int pq_context_remove(store_t *store, text_t name, store_error_t *error) {
  pq_store_t *self = (pq_store_t *)store;
  pq_params_t params = {.count = 0};
  int64_t deleted = 0;
  int code;
  pq_conn_t *conn = pq_writer(&self->pools, STORE_NEVER, &code, error);
  if (conn == NULL)
    return code;
  pq_add_text(&params, name);
  code = pq_each(conn, PQ_CONTEXT_DELETE, &params, NULL, NULL, &deleted, "deleting a startup context", error);
  if (code == STORE_OK && deleted == 0) {
    snprintf(error->text, sizeof error->text, "%s", no_context);
    code = STORE_NONE;
  }
  return pq_done(&self->pools, conn, code, error);
}
