/* pq_schema.c: see pq_schema.h.
 *
 * A migration holds an advisory lock until the end of its transaction. The table dewey_schema holds the
 * version. If it is missing, existing tables with Dewey's names belong to an older installation: they are
 * renamed, new tables are created, and the rows copied, all in one transaction. With millions of lines
 * this takes a while. */
#include "pq_schema.h"
#include "monotonic.h"
#include "pq_migrate.h"
#include "pq_words.h"

#include <stdio.h>

#define LOCK "SELECT pg_advisory_xact_lock(7306934501)" /* held during migrations of this database */

static const char schema[] =
#include "pq_schema.sql.inc"
    ;
static const char arrivals[] =
#include "pq_arrivals.sql.inc"
    ;
static const char set_aside[] =
#include "pq_set_aside.sql.inc"
    ;
static const char take_over[] =
#include "pq_take_over.sql.inc"
    ;

static int make(pq_conn_t *conn, store_error_t *error) {
  int64_t old = 0;
  int code =
      pq_query_int(conn,
                   "SELECT count(*) FROM unnest('{logs,messages,conversations,startup_contexts}'::text[])"
                   " AS name WHERE to_regclass(name) IS NOT NULL",
                   &old, "looking for tables", error);
  if (code == STORE_OK && old > 0) {
    mcp_log(MCP_LOG_WARN, "store", "migrating the tables of an older installation; this may take a while");
    code = pq_command(conn, set_aside, "setting the older tables aside", error);
  }
  if (code == STORE_OK)
    code = pq_command(conn, schema, "making the tables", error);
  if (code == STORE_OK && old > 0)
    code = pq_command(conn, take_over, "taking the older tables over", error);
  if (code == STORE_OK && old > 0)
    mcp_log(MCP_LOG_WARN, "store",
            "migrated the older tables; the originals remain as legacy_... (drop them manually)");
  return code;
}

static int step(pq_conn_t *conn, int from, const void *arg, store_error_t *error) {
  (void)arg;
  if (from == 0)
    return make(conn, error);
  return from == 1 ? pq_command(conn, arrivals, "adding the order of arrival", error)
                   : pq_words_make(conn, error);
}

int pq_schema_make(pq_conn_t *conn, bool *taken_over, store_error_t *error) {
  static const pq_schema_t tables = {.table = "dewey_schema",
                                     .lock = LOCK,
                                     .newer = "the database was made by a newer version of Dewey",
                                     .version = 3,
                                     .step = step};
  int64_t taken = 0;
  int code = pq_migrate(conn, &tables, error);
  if (code == STORE_OK)
    code = pq_query_int(conn, "SELECT taken_over::integer::bigint FROM dewey_schema", &taken,
                        "reading the version", error);
  *taken_over = taken != 0;
  return code;
}

static int make_days(pq_conn_t *conn, int64_t now_us, store_error_t *error) {
  char sql[224];
  snprintf(sql, sizeof sql,
           "BEGIN; SET LOCAL lock_timeout = 2000; " LOCK
           "; SELECT dewey_make_days((to_timestamp(%lld) AT TIME ZONE 'UTC')::date); COMMIT",
           (long long)(now_us / 1000000));
  return pq_command(conn, sql, "making the days' partitions", error);
}

/* ---- The indexes by arrival ---- */

enum { INDEX_MS = 5 * 60 * 1000, NAME_SIZE = 64 };

static enum pq_row on_name(const PGresult *result, void *arg) {
  mcp_text_t name = pq_text(result, 0);
  snprintf(arg, NAME_SIZE, "%.*s", (int)name.len, name.ptr != NULL ? name.ptr : "");
  return PQ_ROW_STOP;
}

/* Creates the missing index of a partition without blocking writers, after dropping an invalid one left by
 * an interruption. */
static int make_index(pq_conn_t *conn, const char *partition, store_error_t *error) {
  char sql[3 * NAME_SIZE + 96];
  snprintf(sql, sizeof sql, "DROP INDEX CONCURRENTLY IF EXISTS %s_arrival", partition);
  int code = pq_command(conn, sql, "dropping an index", error);
  snprintf(sql, sizeof sql,
           "CREATE INDEX CONCURRENTLY %s_arrival ON %s(arrival, id) WHERE arrival IS NOT NULL", partition,
           partition);
  return code == STORE_OK ? pq_command(conn, sql, "making an index", error) : code;
}

static int make_indexes(pq_conn_t *conn, store_error_t *error) {
  char partition[NAME_SIZE] = "";
  int code = pq_command(conn, "SET statement_timeout = 0", "making indexes", error);
  do {
    if (code == STORE_OK)
      code = pq_exec_sql(conn, "SELECT dewey_day_to_index()", NULL, on_name, partition, NULL,
                         "looking for indexes", error);
    if (code == STORE_OK && partition[0] != '\0')
      code = make_index(conn, partition, error);
  } while (code == STORE_OK && partition[0] != '\0');
  return code;
}

/* One program at a time: two would wait for each other. */
static int make_missing_indexes(pq_conn_t *conn, store_error_t *error) {
  int64_t mine = 0;
  int code = pq_query_int(conn,
                          "SELECT CASE WHEN dewey_day_to_index() IS NOT NULL THEN"
                          " pg_try_advisory_lock(7306934503)::integer ELSE 0 END",
                          &mine, "looking for indexes", error);
  if (code != STORE_OK || mine == 0)
    return code;
  conn->deadline_ms = monotonic_ms() + INDEX_MS;
  code = make_indexes(conn, error);
  conn->deadline_ms = 0;
  pq_disconnect(conn); /* releases the lock and the settings */
  return code;
}

int pq_schema_maintain(pq_conn_t *conn, int64_t now_us, store_error_t *error) {
  int code = make_days(conn, now_us, error);
  return code == STORE_OK ? make_missing_indexes(conn, error) : code;
}
