/* sqlite_migrate.c: see sqlite_migrate.h. The file's header holds the version (user_version) and
 * identifies the program (application_id). */
#include "sqlite_migrate.h"

#include <stdio.h>
#include <string.h>

static int pragma_int(sqlite3 *db, const char *sql, int *value) {
  sqlite3_stmt *statement;
  int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
  if (code != SQLITE_OK)
    return code;
  if (sqlite3_step(statement) == SQLITE_ROW)
    *value = sqlite3_column_int(statement, 0);
  return sqlite3_finalize(statement);
}

/* Runs a step without COLLATE "C": SQLite compares bytes anyway, and other programs could not read a file
 * that names a collation of ours. */
static int run_step(sqlite3 *db, const char *sql) {
  static const char collation[] = " COLLATE \"C\"";
  char *plain = sqlite3_malloc64(strlen(sql) + 1), *end = plain;
  if (plain == NULL)
    return SQLITE_NOMEM;
  for (const char *found; (found = strstr(sql, collation)) != NULL; sql = found + strlen(collation)) {
    memcpy(end, sql, (size_t)(found - sql));
    end += found - sql;
  }
  memcpy(end, sql, strlen(sql) + 1);
  int code = sqlite3_exec(db, plain, NULL, NULL, NULL);
  sqlite3_free(plain);
  return code;
}

/* Runs the steps that a file of this version lacks. */
static int bring_up(sqlite3 *db, const sqlite_spec_t *spec, int version) {
  int code = SQLITE_OK;
  if (version > 0)
    mcp_log(MCP_LOG_WARN, "store", "migrating the database; this takes minutes if it is large");
  for (; version < spec->step_count && code == SQLITE_OK; version++)
    code = run_step(db, spec->steps[version]);
  char sql[96];
  sqlite3_snprintf(sizeof sql, sql, "PRAGMA application_id = %d; PRAGMA user_version = %d",
                   (int)spec->application_id, spec->step_count);
  return code == SQLITE_OK ? sqlite3_exec(db, sql, NULL, NULL, NULL) : code;
}

int sqlite_migrate(sqlite3 *db, const sqlite_spec_t *spec, char *refused, size_t size) {
  int version = 0, application = 0, tables = 0;
  int code = pragma_int(db, "PRAGMA user_version", &version);
  if (code == SQLITE_OK)
    code = pragma_int(db, "PRAGMA application_id", &application);
  if (code == SQLITE_OK)
    code = pragma_int(db, "SELECT count(*) FROM sqlite_schema", &tables);
  if (code != SQLITE_OK)
    return code;
  bool ours = application == spec->application_id && version > 0;
  if (ours && version > spec->step_count)
    snprintf(refused, size, "the database was made by a newer version of %s", spec->name);
  else if (!ours && (application != 0 || version != 0 || tables != 0))
    snprintf(refused, size, "the database was made by another program");
  if (refused[0] != '\0')
    return SQLITE_ERROR;
  return version == spec->step_count ? SQLITE_OK : bring_up(db, spec, version);
}
