/* pq_pools.c: see pq_pools.h. Waiting for a connection and connecting are bounded. */
#include "pq_pools.h"
#include "monotonic.h"

#include <stdio.h>
#include <string.h>

enum {
  WRITER_WAIT_MS = 10 * 1000,
  READER_WAIT_MS = 2 * 1000 /* short: the waiting thread could serve a write */
};

static pq_conn_t *take(pq_pools_t *pools, conn_pool_t *pool, int wait_ms, cancel_token_t cancel, int *code,
                       store_error_t *error) {
  pq_conn_t *conn = conn_pool_acquire(pool, wait_ms, cancel, code, error);
  if (conn == NULL)
    return NULL;
  conn->cancel = cancel;
  *code = pq_connect(conn, &pools->conninfo, error);
  conn->wrote = conn->standby_wait_ended = false;
  if (*code == STORE_OK)
    return conn;
  pq_release(pool, conn);
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

pq_conn_t *pq_acquire_writer(pq_pools_t *pools, cancel_token_t cancel, int *code, store_error_t *error) {
  return is_ready(pools, code, error) ? take(pools, &pools->writers, WRITER_WAIT_MS, cancel, code, error)
                                      : NULL;
}

pq_conn_t *pq_acquire_reader(pq_pools_t *pools, cancel_token_t cancel, int *code, store_error_t *error) {
  pq_conn_t *conn =
      is_ready(pools, code, error) ? take(pools, &pools->readers, READER_WAIT_MS, cancel, code, error) : NULL;
  if (conn != NULL)
    conn->deadline_ms = monotonic_ms() + STORE_QUERY_TIMEOUT_MS;
  return conn;
}

void pq_release(conn_pool_t *pool, pq_conn_t *conn) {
  conn->deadline_ms = 0;
  conn->cancel = CANCEL_NEVER;
  conn_pool_release(pool, conn);
}

int pq_release_confirmed(pq_pools_t *pools, pq_conn_t *conn, int code, store_error_t *error) {
  bool is_result = code == STORE_OK || code == STORE_NOT_FOUND || code == STORE_CONFLICT;
  int confirmed = is_result ? pq_confirm(conn, error) : STORE_OK;
  pq_release(&pools->writers, conn);
  return confirmed == STORE_OK ? code : confirmed;
}

/* Fills a temporary table, which is dropped with its transaction. A user without that permission passes. */
static int test_space(pq_conn_t *conn, size_t bytes, store_error_t *error) {
  char sql[256];
  snprintf(sql, sizeof sql,
           "CREATE TEMP TABLE room_for_work ON COMMIT DROP AS SELECT repeat('x', 1000)"
           " FROM generate_series(1, %zu)",
           bytes / 1000);
  int code = pq_command(conn, sql, "testing for free space", error);
  return code == STORE_FAILED && strcmp(conn->sqlstate, "42501") == 0 ? STORE_OK : code;
}

int pq_check(pq_pools_t *pools, size_t free_bytes, cancel_token_t cancel, pq_check_cb check, void *arg,
             store_error_t *error) {
  int code;
  pq_conn_t *conn = take(pools, &pools->writers, WRITER_WAIT_MS, cancel, &code, error);
  if (conn == NULL)
    return code;
  code = check(conn, arg, error);
  if (code == STORE_OK && free_bytes > 0)
    code = test_space(conn, free_bytes, error);
  code = pq_release_confirmed(pools, conn, code, error);
  if (code == STORE_OK)
    atomic_store(&pools->ready, true);
  return code;
}

/* ---- Opening and closing ---- */

static void close_all(conn_pool_t *pool) {
  for (pq_conn_t *conn = conn_pool_try_acquire(pool); conn != NULL; conn = conn_pool_try_acquire(pool))
    pq_disconnect(conn);
  conn_pool_deinit(pool);
}

void pq_pools_close(pq_pools_t *pools) {
  close_all(&pools->readers);
  close_all(&pools->writers);
}

void pq_pools_open(pq_pools_t *pools, const pq_conninfo_t *conninfo, const pq_spec_t *spec) {
  pools->conninfo = *conninfo;
  conn_pool_init(&pools->writers);
  conn_pool_init(&pools->readers);
  for (int i = 0; i < 2 * CONN_POOL_SIZE; i++) {
    pools->conns[i] = (pq_conn_t){.spec = spec};
    conn_pool_release(i < CONN_POOL_SIZE ? &pools->writers : &pools->readers, &pools->conns[i]);
  }
  atomic_init(&pools->ready, false);
}
