/* pq_pools.c: see pq_pools.h. The waits for a connection and for its making are bounded. */
#include "pq_pools.h"
#include "monotonic.h"

#include <stdio.h>
#include <string.h>

enum {
  WRITER_WAIT_MS = 10 * 1000,
  READER_WAIT_MS = 2 * 1000 /* short: whoever waits holds a thread that could store */
};

static pq_conn_t *take(pq_pools_t *pools, conn_pool_t *pool, int wait_ms, store_stop_t stop, int *code,
                       store_error_t *error) {
  pq_conn_t *conn = conn_pool_take(pool, wait_ms, stop, code, error);
  if (conn == NULL)
    return NULL;
  conn->stop = stop;
  *code = pq_connect(conn, &pools->place, error);
  conn->wrote = conn->unsure = false;
  if (*code == STORE_OK)
    return conn;
  pq_give(pool, conn);
  return NULL;
}

static bool is_ready(pq_pools_t *pools, int *code, store_error_t *error) {
  if (atomic_load(&pools->ready))
    return true;
  *code = STORE_FAILED;
  error->brief = "the database has not been prepared yet";
  snprintf(error->text, sizeof error->text, "%s", error->brief);
  return false;
}

pq_conn_t *pq_writer(pq_pools_t *pools, store_stop_t stop, int *code, store_error_t *error) {
  return is_ready(pools, code, error) ? take(pools, &pools->writers, WRITER_WAIT_MS, stop, code, error)
                                      : NULL;
}

pq_conn_t *pq_reader(pq_pools_t *pools, store_stop_t stop, int *code, store_error_t *error) {
  pq_conn_t *conn =
      is_ready(pools, code, error) ? take(pools, &pools->readers, READER_WAIT_MS, stop, code, error) : NULL;
  if (conn != NULL)
    conn->deadline_ms = monotonic_ms() + STORE_QUERY_MS;
  return conn;
}

void pq_give(conn_pool_t *pool, pq_conn_t *conn) {
  conn->deadline_ms = 0;
  conn->stop = STORE_NEVER;
  conn_pool_give(pool, conn);
}

int pq_done(pq_pools_t *pools, pq_conn_t *conn, int code, store_error_t *error) {
  bool tells = code == STORE_OK || code == STORE_NONE || code == STORE_TAKEN;
  int confirmed = tells ? pq_confirm(conn, error) : STORE_OK;
  pq_give(&pools->writers, conn);
  return confirmed == STORE_OK ? code : confirmed;
}

/* A table of its own, which is gone with its transaction, whatever comes of that. A user that may make none
 * is not held to it. */
static int find_room(pq_conn_t *conn, size_t bytes, store_error_t *error) {
  char sql[256];
  snprintf(sql, sizeof sql,
           "CREATE TEMP TABLE room_for_work ON COMMIT DROP AS SELECT repeat('x', 1000)"
           " FROM generate_series(1, %zu)",
           bytes / 1000);
  int code = pq_command(conn, sql, "looking for room", error);
  return code == STORE_FAILED && strcmp(conn->state, "42501") == 0 ? STORE_OK : code;
}

int pq_check(pq_pools_t *pools, size_t room, store_stop_t stop, pq_check_cb check, void *arg,
             store_error_t *error) {
  int code;
  pq_conn_t *conn = take(pools, &pools->writers, WRITER_WAIT_MS, stop, &code, error);
  if (conn == NULL)
    return code;
  code = check(conn, arg, error);
  if (code == STORE_OK && room > 0)
    code = find_room(conn, room, error);
  code = pq_done(pools, conn, code, error);
  if (code == STORE_OK)
    atomic_store(&pools->ready, true);
  return code;
}

/* ---- Opening and closing ---- */

static void close_all(conn_pool_t *pool) {
  for (pq_conn_t *conn = conn_pool_pop(pool); conn != NULL; conn = conn_pool_pop(pool))
    pq_disconnect(conn);
  conn_pool_deinit(pool);
}

void pq_pools_close(pq_pools_t *pools) {
  close_all(&pools->readers);
  close_all(&pools->writers);
}

void pq_pools_open(pq_pools_t *pools, const pq_place_t *place, const pq_plan_t *plan) {
  pools->place = *place;
  conn_pool_init(&pools->writers);
  conn_pool_init(&pools->readers);
  for (int i = 0; i < 2 * CONN_POOL_MAX; i++) {
    pools->conns[i] = (pq_conn_t){.plan = plan};
    conn_pool_give(i < CONN_POOL_MAX ? &pools->writers : &pools->readers, &pools->conns[i]);
  }
  atomic_init(&pools->ready, false);
}
