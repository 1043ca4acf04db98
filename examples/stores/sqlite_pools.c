/* sqlite_pools.c: see sqlite_pools.h. The wait for a connection is bounded. */
#include "sqlite_pools.h"
#include "monotonic.h"

enum {
  READERS = 4,
  WRITER_WAIT_MS = 10 * 1000,
  READER_WAIT_MS = 2 * 1000 /* short: whoever waits holds a thread that could store */
};

conn_t *sqlite_writer(sqlite_pools_t *pools, store_stop_t stop, int *code, store_error_t *error) {
  conn_t *conn = conn_pool_take(&pools->writers, WRITER_WAIT_MS, stop, code, error);
  if (conn != NULL)
    conn->stop = stop;
  return conn;
}

conn_t *sqlite_reader(sqlite_pools_t *pools, store_stop_t stop, store_error_t *error) {
  int code;
  conn_t *conn = conn_pool_take(&pools->readers, READER_WAIT_MS, STORE_NEVER, &code, error);
  if (conn == NULL)
    return NULL;
  conn->deadline_ms = monotonic_ms() + STORE_QUERY_MS;
  conn->stop = stop;
  return conn;
}

void sqlite_give(conn_pool_t *pool, conn_t *conn) {
  conn->deadline_ms = 0;
  conn->stop = STORE_NEVER;
  conn->ended = STORE_OK;
  conn_pool_give(pool, conn);
}

int sqlite_check_writing(sqlite_pools_t *pools, size_t room, store_stop_t stop, store_error_t *error) {
  int code;
  conn_t *conn = sqlite_writer(pools, stop, &code, error);
  if (conn == NULL)
    return code;
  code = conn_touch(conn) == SQLITE_OK ? STORE_OK : conn_failed(conn, "checking", error);
  if (code == STORE_OK && room > 0)
    code = conn_find_room(conn, room, error);
  sqlite_give(&pools->writers, conn);
  return code;
}

/* ---- Opening and closing ---- */

static void close_all(conn_pool_t *pool) {
  for (conn_t *conn = conn_pool_pop(pool); conn != NULL; conn = conn_pool_pop(pool))
    conn_close(conn);
  conn_pool_deinit(pool);
}

void sqlite_pools_close(sqlite_pools_t *pools) {
  close_all(&pools->readers);
  close_all(&pools->writers); /* last: closing it takes the journal into the file */
}

bool sqlite_pools_open(sqlite_pools_t *pools, const char *path, const conn_plan_t *plan,
                       store_error_t *error) {
  conn_pool_init(&pools->writers);
  conn_pool_init(&pools->readers);
  for (int i = 0; i <= READERS; i++) {
    conn_t *conn = conn_open(path, plan, i == 0, error);
    if (conn == NULL) {
      sqlite_pools_close(pools);
      return false;
    }
    sqlite_give(i == 0 ? &pools->writers : &pools->readers, conn);
  }
  return true;
}
