/* sqlite_pools.c: see sqlite_pools.h. The wait for a connection is bounded. */
#include "sqlite_pools.h"
#include "monotonic.h"

enum {
  READERS = 4,
  WRITER_WAIT_MS = 10 * 1000,
  READER_WAIT_MS = 2 * 1000 /* short: the waiting thread could serve a write */
};

sqlite_conn_t *sqlite_acquire_writer(sqlite_pools_t *pools, cancel_token_t cancel, int *code,
                                     store_error_t *error) {
  sqlite_conn_t *conn = conn_pool_acquire(&pools->writers, WRITER_WAIT_MS, cancel, code, error);
  if (conn != NULL)
    conn->cancel = cancel;
  return conn;
}

sqlite_conn_t *sqlite_acquire_reader(sqlite_pools_t *pools, cancel_token_t cancel, store_error_t *error) {
  int code;
  sqlite_conn_t *conn = conn_pool_acquire(&pools->readers, READER_WAIT_MS, CANCEL_NEVER, &code, error);
  if (conn == NULL)
    return NULL;
  conn->deadline_ms = monotonic_ms() + STORE_QUERY_TIMEOUT_MS;
  conn->cancel = cancel;
  return conn;
}

void sqlite_release(conn_pool_t *pool, sqlite_conn_t *conn) {
  conn->deadline_ms = 0;
  conn->cancel = CANCEL_NEVER;
  conn->interrupt_code = STORE_OK;
  conn_pool_release(pool, conn);
}

int sqlite_check_write(sqlite_pools_t *pools, size_t free_bytes, cancel_token_t cancel,
                       store_error_t *error) {
  int code;
  sqlite_conn_t *conn = sqlite_acquire_writer(pools, cancel, &code, error);
  if (conn == NULL)
    return code;
  code = sqlite_conn_test_write(conn) == SQLITE_OK ? STORE_OK : sqlite_conn_fail(conn, "checking", error);
  if (code == STORE_OK && free_bytes > 0)
    code = sqlite_conn_test_space(conn, free_bytes, error);
  sqlite_release(&pools->writers, conn);
  return code;
}

/* ---- Opening and closing ---- */

static void close_all(conn_pool_t *pool) {
  for (sqlite_conn_t *conn = conn_pool_try_acquire(pool); conn != NULL; conn = conn_pool_try_acquire(pool))
    sqlite_conn_close(conn);
  conn_pool_deinit(pool);
}

void sqlite_pools_close(sqlite_pools_t *pools) {
  close_all(&pools->readers);
  close_all(&pools->writers); /* last: closing it checkpoints the journal */
}

bool sqlite_pools_open(sqlite_pools_t *pools, const char *path, const sqlite_spec_t *spec,
                       store_error_t *error) {
  conn_pool_init(&pools->writers);
  conn_pool_init(&pools->readers);
  for (int i = 0; i <= READERS; i++) {
    sqlite_conn_t *conn = sqlite_conn_open(path, spec, i == 0, error);
    if (conn == NULL) {
      sqlite_pools_close(pools);
      return false;
    }
    sqlite_release(i == 0 ? &pools->writers : &pools->readers, conn);
  }
  return true;
}
