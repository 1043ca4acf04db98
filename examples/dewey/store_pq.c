/* store_pq.c: the store on PostgreSQL: its function table and its check. */
#include "store_pq.h"
#include "db_pq.h"
#include "pq_schema.h"
#include "pq_words.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- Checking ---- */

static int check(pq_conn_t *conn, void *arg, store_error_t *error) {
  int64_t found;
  bool taken_over = false;
  pq_store_t *self = arg;
  int code = pq_schema_make(conn, &taken_over, error);
  if (code == STORE_OK)
    code = pq_update(conn, PQ_CHECK_WRITING, NULL, "checking", error);
  if (code == STORE_OK)
    code = pq_exec(conn, PQ_CHECK_READING, NULL, pq_read_int, &found, NULL, "checking", error);
  if (code == STORE_OK)
    atomic_store(&self->taken_over, taken_over);
  return code;
}

static int on_check(store_t *store, size_t free_bytes, cancel_token_t cancel, store_error_t *error) {
  pq_store_t *self = (pq_store_t *)store;
  return pq_check(&self->pools, free_bytes, cancel, check, self, error);
}

static bool on_is_taken_over(store_t *store) {
  return atomic_load(&((pq_store_t *)store)->taken_over);
}

/* ---- Opening and closing ---- */

static void on_close(store_t *store) {
  pq_store_t *self = (pq_store_t *)store;
  db_close(self->base.db);
  pq_pools_close(&self->pools);
  free(self);
}

store_t *store_pq_open(const pq_conninfo_t *conninfo, store_error_t *error) {
  pq_store_t *self = calloc(1, sizeof *self);
  db_t *db = self != NULL ? db_on_pq(&self->pools, &pq_spec) : NULL;
  if (db == NULL) {
    free(self);
    snprintf(error->text, sizeof error->text, "out of memory");
    return NULL;
  }
  self->base.store = (store_t){.batch = pq_logs_batch,
                               .query = pq_logs_query,
                               .arrived = pq_logs_arrived,
                               .clear = pq_logs_clear,
                               .count = pq_logs_count,
                               .stats = pq_logs_stats,
                               .check = on_check,
                               .last_retention = pq_last_retention,
                               .begin_retention = pq_begin_retention,
                               .maintain = pq_maintain,
                               .index = pq_index,
                               .is_taken_over = on_is_taken_over,
                               .close = on_close};
  self->indexer = (pq_conn_t){.spec = &pq_spec};
  store_db_init(&self->base, db, pq_read_words);
  pq_pools_open(&self->pools, conninfo, &pq_spec);
  return &self->base.store;
}
