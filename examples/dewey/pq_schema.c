/* pq_schema.c: see pq_schema.h.
 *
 * Whoever prepares the database holds a lock of ours until the end of its transaction. The version stands in
 * the table dewey_schema. Where that is not there, tables of the names that Dewey uses are those of an older
 * installation: they are set aside, the tables made, and all that was in them copied. That takes a while with
 * millions of lines; it is done as a whole or not at all. */
#include "pq_schema.h"
#include "pq_migrate.h"

#define LOCK "SELECT pg_advisory_xact_lock(7306934501)" /* of preparing, in this database */

static const char schema[] =
#include "pq_schema.sql.inc"
    ;
static const char set_aside[] =
#include "pq_set_aside.sql.inc"
    ;
static const char take_over[] =
#include "pq_take_over.sql.inc"
    ;

/* The one step. */
static int make(pq_conn_t *conn, int from, const void *arg, store_error_t *error) {
  int64_t old = 0;
  (void)from, (void)arg;
  int code = pq_ask(conn,
                    "SELECT count(*) FROM unnest('{logs,messages,conversations,startup_contexts}'::text[])"
                    " AS name WHERE to_regclass(name) IS NOT NULL",
                    &old, "looking for tables", error);
  if (code == STORE_OK && old > 0) {
    mcp_log(MCP_LOG_WARN, "store", "taking over the tables of an older installation; this may take a while");
    code = pq_command(conn, set_aside, "setting the older tables aside", error);
  }
  if (code == STORE_OK)
    code = pq_command(conn, schema, "making the tables", error);
  if (code == STORE_OK && old > 0)
    code = pq_command(conn, take_over, "taking the older tables over", error);
  if (code == STORE_OK && old > 0)
    mcp_log(MCP_LOG_WARN, "store",
            "the older tables were taken over and are still there as legacy_...; drop them by hand");
  return code;
}

int pq_schema_make(pq_conn_t *conn, bool *taken_over, store_error_t *error) {
  static const pq_schema_t tables = {.table = "dewey_schema",
                                     .lock = LOCK,
                                     .newer = "the database was made by a newer version of Dewey",
                                     .version = 1,
                                     .step = make};
  int64_t taken = 0;
  int code = pq_migrate(conn, &tables, error);
  if (code == STORE_OK)
    code = pq_ask(conn, "SELECT taken_over::integer::bigint FROM dewey_schema", &taken, "reading the version",
                  error);
  *taken_over = taken != 0;
  return code;
}

int pq_schema_make_days(pq_conn_t *conn, store_error_t *error) {
  return pq_command(conn, "BEGIN; SET LOCAL lock_timeout = 2000; " LOCK "; SELECT dewey_make_days(); COMMIT",
                    "making the days' partitions", error);
}
