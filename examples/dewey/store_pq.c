/* store_pq.c: the store on PostgreSQL: its functions, and whether it can be used. */
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
    code = pq_change(conn, PQ_CHECK_WRITING, NULL, "checking", error);
  if (code == STORE_OK)
    code = pq_each(conn, PQ_CHECK_READING, NULL, pq_on_number, &found, NULL, "checking", error);
  if (code == STORE_OK)
    atomic_store(&self->taken_over, taken_over);
  return code;
}

static int on_check(store_t *store, size_t room, store_stop_t stop, store_error_t *error) {
  pq_store_t *self = (pq_store_t *)store;
  return pq_check(&self->pools, room, stop, check, self, error);
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

store_t *store_pq_open(const pq_place_t *place, store_error_t *error) {
  pq_store_t *self = calloc(1, sizeof *self);
  db_t *db = self != NULL ? db_on_pq(&self->pools, &pq_plan) : NULL;
  if (db == NULL) {
    free(self);
    snprintf(error->text, sizeof error->text, "no memory");
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
                               .tend = pq_tend,
                               .index = pq_index,
                               .is_taken_over = on_is_taken_over,
                               .close = on_close};
  self->indexer = (pq_conn_t){.plan = &pq_plan};
  store_db_init(&self->base, db, pq_read_words);
  pq_pools_open(&self->pools, place, &pq_plan);
  return &self->base.store;
}
