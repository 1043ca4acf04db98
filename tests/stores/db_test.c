/* db_test.c: see db_test.h. */
#include "db_test.h"
#include "databases.h"
#include "leaks.h"

#include <dirent.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const migrations[] = {
    "CREATE TABLE things(id uuid NOT NULL PRIMARY KEY, name text UNIQUE, size bigint, flag boolean,"
    " ratio double precision, at timestamptz);"
    "CREATE INDEX things_size ON things(size, id)",
    "ALTER TABLE things ADD COLUMN parent uuid REFERENCES things(id);"
    "CREATE INDEX things_parent ON things(parent) WHERE parent IS NOT NULL"};

static const char *const statements[STATEMENTS] = {
    [ADD] = "INSERT INTO things(at, id, name, size, flag, ratio) VALUES($5, $1, $2, $3, $4, 0.25)",
    [FETCH] = "SELECT id, name, size, flag, at, ratio FROM things WHERE id = $1",
    [SET_PARENT] = "UPDATE things SET parent = $1 WHERE id = $2",
    [COUNT] = "SELECT count(*) FROM things",
    [GROW] = "UPDATE things SET size = size + 1 WHERE id = $1",
    [NAMES] = "SELECT name FROM things WHERE $1 IS NULL OR name = $1 ORDER BY name COLLATE \"C\"",
    [ADD_ROWS] = "INSERT INTO things(parent, id, name, size, flag, at, ratio) SELECT $1, id, name, size, "
                 "flag, at, 0.25"
                 " FROM (SELECT $2 AS id, $3 AS name, $4 AS size, $5 AS flag, $6 AS at) AS given WHERE true"
                 " ON CONFLICT(name) DO NOTHING",
    [ADD_ROWS_PQ] = "INSERT INTO things(parent, id, name, size, flag, at, ratio) SELECT $1, id, name, size, "
                    "flag, at, 0.25"
                    " FROM unnest($2::uuid[], $3::text[], $4::bigint[], $5::boolean[], $6::timestamptz[])"
                    " AS given(id, name, size, flag, at) ON CONFLICT(name) DO NOTHING"};

const db_spec_t test_spec = {.name = "Things",
                             .version_table = "things_schema",
                             .application_id = 0x54686e67,
                             .lock = 4711,
                             .migrations = migrations,
                             .migration_count = 2,
                             .statements = statements,
                             .statement_count = STATEMENTS};

static char directory[256], path[sizeof directory + 16];
db_t *test_db;
store_error_t test_error;
const cancel_token_t never = {NULL, NULL};

void run_as_other_program(const char *sql) {
  if (on_postgresql()) {
    run_on_postgresql(sql);
    return;
  }
  sqlite3 *other;
  cr_assert_eq(sqlite3_open(path, &other), SQLITE_OK);
  cr_assert_eq(sqlite3_exec(other, sql, NULL, NULL, NULL), SQLITE_OK, "%s", sqlite3_errmsg(other));
  sqlite3_close(other);
}

void make_location(void) {
  const char *parent = getenv("TMPDIR");
  snprintf(directory, sizeof directory, "%s/stores-XXXXXX", parent != NULL ? parent : P_tmpdir);
  cr_assert_not_null(mkdtemp(directory));
  snprintf(path, sizeof path, "%s/things.db", directory);
  if (on_postgresql())
    make_schema();
}

db_t *open_unchecked(const db_spec_t *spec) {
  test_error = (store_error_t){.text = ""};
  return on_postgresql() ? db_open_pq(postgresql_conninfo(), spec, &test_error)
                         : db_open_sqlite(path, spec, &test_error);
}

db_t *open_with(const db_spec_t *spec) {
  db_t *db = open_unchecked(spec);
  if (db == NULL || db_check(db, 0, never, &test_error) == STORE_OK)
    return db;
  db_close(db);
  return NULL;
}

void make_db(void) {
  make_location();
  test_db = open_with(&test_spec);
  cr_assert_not_null(test_db, "%s", test_error.text);
}

void remove_location(void) {
  DIR *files = opendir(directory);
  struct dirent *file;
  while ((file = readdir(files)) != NULL)
    unlinkat(dirfd(files), file->d_name, 0);
  closedir(files);
  rmdir(directory);
}

void end_of_test(void) {
  db_close(test_db);
  expect_no_leak();
}

mcp_text_t text(const char *words) {
  return (mcp_text_t){words, words != NULL ? strlen(words) : 0};
}

const char *id_of(int n) {
  static char ids[8][MCP_UUID_SIZE];
  static int turn;
  char *id = ids[turn++ % 8];
  snprintf(id, MCP_UUID_SIZE, "00000000-0000-4000-8000-%012d", n);
  return id;
}

db_conn_t *begin(enum db_mode mode) {
  int code = STORE_OK;
  db_conn_t *conn = db_begin(test_db, mode, never, &code, &test_error);
  cr_assert_not_null(conn, "%d: %s", code, test_error.text);
  return conn;
}

int add(db_conn_t *conn, int n, const char *name) {
  db_params_t params = {.count = 0};
  db_add_id(&params, id_of(n));
  db_add_text(&params, text(name));
  db_add_int(&params, n);
  db_add_bool(&params, n % 2 == 1);
  db_add_time(&params, 1763700000000000 + n);
  return db_exec(conn, ADD, &params, NULL, NULL, NULL, "adding", &test_error);
}

void store(int n, const char *name) {
  db_conn_t *conn = begin(DB_WRITE);
  cr_assert_eq(db_end(conn, add(conn, n, name), &test_error), STORE_OK, "%s", test_error.text);
}

static bool on_count(const db_row_t *row, void *arg) {
  *(int64_t *)arg = db_int(row, 0);
  return true;
}

int64_t count(void) {
  int64_t found = -1;
  db_conn_t *conn = begin(DB_READ);
  int code = db_exec(conn, COUNT, NULL, on_count, &found, NULL, "counting", &test_error);
  cr_assert_eq(db_end(conn, code, &test_error), STORE_OK, "%s", test_error.text);
  return found;
}
