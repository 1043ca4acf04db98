/* db_commands.c: executes the commands on stdin on a database and prints for each the store_code and the
 * public reason. */
#include "database.h"
#include "db.h"

#include <stdio.h>
#include <string.h>

static const char *const migrations[] = {"CREATE TABLE things(id bigint NOT NULL PRIMARY KEY)"};
static const char *const statements[] = {"INSERT INTO things VALUES($1)", "SELECT count(*) FROM things"};
static const db_spec_t spec = {.name = "commands",
                               .version_table = "steps_schema",
                               .application_id = 0x53746570,
                               .lock = 4712,
                               .migrations = migrations,
                               .migration_count = 1,
                               .statements = statements,
                               .statement_count = 2};

static db_t *db;
static db_conn_t *conn;
static store_error_t error;
static int64_t number;

static bool on_count(const db_row_t *row, void *arg) {
  *(int64_t *)arg = db_int(row, 0);
  return true;
}

static int begin(void) {
  int code = STORE_OK;
  conn = db_begin(db, DB_WRITE, (cancel_token_t){NULL, NULL}, &code, &error);
  return conn != NULL ? STORE_OK : code;
}

static int end(int code) {
  if (conn != NULL)
    code = db_end(conn, code, &error);
  conn = NULL;
  return code;
}

static int add(void) {
  db_params_t params = {.count = 0};
  db_add_int(&params, ++number);
  return db_exec(conn, 0, &params, NULL, NULL, NULL, "adding", &error);
}

static int count(void) {
  int64_t found = -1;
  int code = begin();
  if (code == STORE_OK)
    code = end(db_exec(conn, 1, NULL, on_count, &found, NULL, "counting", &error));
  printf("%lld ", (long long)found);
  return code;
}

static int execute(const char *command) {
  if (strcmp(command, "check") == 0)
    return db_check(db, 0, (cancel_token_t){NULL, NULL}, &error);
  if (strcmp(command, "begin") == 0)
    return begin();
  if (strcmp(command, "add") == 0)
    return add();
  return strcmp(command, "count") == 0 ? count() : end(STORE_OK);
}

int main(void) {
  char line[64];
  static database_t database;
  if (!database_from_env(&database, "DEWEY", "."))
    return 1;
  db = database.postgresql.host != NULL ? db_open_pq(&database.postgresql, &spec, &error)
                                        : db_open_sqlite(database.path, &spec, &error);
  while (db != NULL && fgets(line, sizeof line, stdin) != NULL) {
    line[strcspn(line, "\n")] = '\0';
    error.brief = NULL;
    int code = execute(line);
    printf("%d %s\n", code, code == STORE_FAILED && error.brief != NULL ? error.brief : "");
    fflush(stdout);
  }
  db_close(db);
  return 0;
}
