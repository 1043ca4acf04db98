/* pq_migrate.c: see pq_migrate.h. */
#include "pq_migrate.h"
#include "monotonic.h"

#include <stdio.h>

enum { MIGRATION_MS = 24 * 60 * 60 * 1000 };

/* Reads the version of the tables; 0 if there are none. */
static int find_version(pq_conn_t *conn, const char *table, int64_t *version, store_error_t *error) {
  char sql[128];
  int64_t there = 0;
  snprintf(sql, sizeof sql, "SELECT count(to_regclass('%s'))", table);
  int code = pq_query_int(conn, sql, &there, "looking for the version", error);
  if (code != STORE_OK || there == 0)
    return code;
  snprintf(sql, sizeof sql, "SELECT version::bigint FROM %s", table);
  return pq_query_int(conn, sql, version, "reading the version", error);
}

/* With the lock held. */
static int bring_up(pq_conn_t *conn, const pq_schema_t *schema, store_error_t *error) {
  char sql[128];
  int64_t found = 0;
  int code = find_version(conn, schema->table, &found, error);
  if (code == STORE_OK && found > schema->version) {
    error->brief = schema->newer;
    return pq_roll_back(conn, STORE_FAILED, error->brief, error);
  }
  if (code != STORE_OK || found == schema->version)
    return code;
  if (found > 0)
    mcp_log(MCP_LOG_WARN, "store", "migrating the database; this takes minutes if it is large");
  for (int version = (int)found; version < schema->version && code == STORE_OK; version++)
    code = schema->step(conn, version, schema->arg, error);
  snprintf(sql, sizeof sql, "UPDATE %s SET version = %d", schema->table, schema->version);
  return code == STORE_OK ? pq_command(conn, sql, "preparing the database", error) : code;
}

int pq_migrate(pq_conn_t *conn, const pq_schema_t *schema, store_error_t *error) {
  conn->deadline_ms = monotonic_ms() + MIGRATION_MS;
  int code = pq_command(conn, "BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0",
                        "preparing the database", error);
  if (code == STORE_OK)
    code = pq_command(conn, schema->lock, "preparing the database", error);
  if (code == STORE_OK)
    code = bring_up(conn, schema, error);
  if (code == STORE_OK)
    code = pq_command(conn, "COMMIT", "preparing the database", error);
  conn->deadline_ms = 0;
  return code;
}
