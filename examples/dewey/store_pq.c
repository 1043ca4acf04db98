/* store_pq.c: the store on PostgreSQL: its connections, and whether they can be used.
 *
 * Opening needs no database: it connects when there is work, and a check prepares the tables. Until one has
 * done so everything else fails at once, so that nobody waits for a migration. Writers and readers have
 * connections of their own: many long queries do not keep anybody from storing. */
#include "store_pq.h"
#include "pq_schema.h"

#include <stdio.h>
#include <stdlib.h>

enum {
  WRITER_WAIT_MS = 10 * 1000,
  READER_WAIT_MS = 2 * 1000 /* short: whoever waits holds a thread that could store */
};

static pq_conn_t *take(pq_store_t *self, pool_t *pool, int wait_ms, int *code, store_error_t *error) {
  pq_conn_t *conn = pool_take(pool, wait_ms, error);
  *code = conn == NULL ? STORE_BUSY : pq_connect(conn, &self->place, error);
  if (conn == NULL || *code == STORE_OK)
    return conn;
  pq_give(pool, conn);
  return NULL;
}

static bool is_ready(pq_store_t *self, int *code, store_error_t *error) {
  if (atomic_load(&self->ready))
    return true;
  *code = STORE_FAILED;
  error->brief = "the database has not been prepared yet";
  snprintf(error->text, sizeof error->text, "%s", error->brief);
  return false;
}

pq_conn_t *pq_writer(pq_store_t *self, int *code, store_error_t *error) {
  return is_ready(self, code, error) ? take(self, &self->writers, WRITER_WAIT_MS, code, error) : NULL;
}

pq_conn_t *pq_reader(pq_store_t *self, store_stop_t stop, int *code, store_error_t *error) {
  pq_conn_t *conn =
      is_ready(self, code, error) ? take(self, &self->readers, READER_WAIT_MS, code, error) : NULL;
  if (conn != NULL) {
    conn->deadline_ms = monotonic_ms() + STORE_QUERY_MS;
    conn->stop = stop;
  }
  return conn;
}

void pq_give(pool_t *pool, pq_conn_t *conn) {
  conn->deadline_ms = 0;
  conn->stop = (store_stop_t){NULL, NULL};
  pool_give(pool, conn);
}

/* ---- Checking ---- */

static int check(pq_conn_t *conn, bool *taken_over, store_error_t *error) {
  int64_t found;
  int code = pq_schema_make(conn, taken_over, error);
  conn->deadline_ms = 0;
  if (code == STORE_OK)
    code = pq_change(conn, PQ_CHECK_WRITING, NULL, "checking", error);
  if (code == STORE_OK)
    code = pq_each(conn, PQ_CHECK_READING, NULL, pq_on_number, &found, NULL, "checking", error);
  return code;
}

static int on_check(store_t *store, store_stop_t stop, store_error_t *error) {
  pq_store_t *self = (pq_store_t *)store;
  bool taken_over = false;
  int code;
  pq_conn_t *conn = take(self, &self->writers, WRITER_WAIT_MS, &code, error);
  if (conn == NULL)
    return code;
  conn->stop = stop;
  code = check(conn, &taken_over, error);
  pq_give(&self->writers, conn);
  if (code == STORE_OK) {
    atomic_store(&self->taken_over, taken_over);
    atomic_store(&self->ready, true);
  }
  return code;
}

static bool on_is_taken_over(store_t *store) {
  return atomic_load(&((pq_store_t *)store)->taken_over);
}

/* ---- Opening and closing ---- */

static void close_all(pool_t *pool) {
  for (pq_conn_t *conn = pool_pop(pool); conn != NULL; conn = pool_pop(pool))
    pq_disconnect(conn);
  pool_deinit(pool);
}

static void on_close(store_t *store) {
  pq_store_t *self = (pq_store_t *)store;
  close_all(&self->readers);
  close_all(&self->writers);
  free(self);
}

store_t *store_pq_open(const pq_place_t *place, store_error_t *error) {
  pq_store_t *self = calloc(1, sizeof *self);
  if (self == NULL) {
    snprintf(error->text, sizeof error->text, "no memory");
    return NULL;
  }
  self->place = *place;
  self->store = (store_t){.batch = pq_logs_batch,
                          .query = pq_logs_query,
                          .clear = pq_logs_clear,
                          .stats = pq_logs_stats,
                          .add = pq_conversation_add,
                          .get = pq_conversation_get,
                          .list = pq_conversation_list,
                          .remove = pq_conversation_remove,
                          .search = pq_conversation_search,
                          .set_context = pq_context_set,
                          .get_context = pq_context_get,
                          .list_contexts = pq_context_list,
                          .remove_context = pq_context_remove,
                          .check = on_check,
                          .is_taken_over = on_is_taken_over,
                          .close = on_close};
  pool_init(&self->writers);
  pool_init(&self->readers);
  for (int i = 0; i < POOL_MAX; i++) {
    pool_give(&self->writers, &self->conns[i]);
    pool_give(&self->readers, &self->conns[POOL_MAX + i]);
  }
  return &self->store;
}
