/* test_migration.c: databases of older versions are brought up to date, whoever comes first, and lose
 * nothing. */
#include "store_test.h"

#include <sqlite3.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define end_migration end_of_test

TestSuite(migration, .init = make_directory, .fini = remove_directory);

/* Version 1 as it was released, with one line. */
static const char version_1[] =
    "CREATE TABLE logs(seq INTEGER PRIMARY KEY, id BLOB NOT NULL, created_at INTEGER NOT NULL,"
    " level INTEGER NOT NULL CHECK(level BETWEEN 0 AND 4), component TEXT NOT NULL, message TEXT NOT NULL,"
    " trace_id TEXT, data TEXT, UNIQUE(id, created_at));"
    "CREATE INDEX logs_time ON logs(created_at, id);"
    "CREATE INDEX logs_level ON logs(level, created_at, id);"
    "CREATE INDEX logs_component ON logs(component, level, created_at, id);"
    "CREATE INDEX logs_trace ON logs(trace_id, created_at, id) WHERE trace_id IS NOT NULL;"
    "CREATE VIRTUAL TABLE logs_text USING fts5(message, content='', columnsize=0);"
    "INSERT INTO logs VALUES(1, x'00000000000040008000000000000007', 1763700007000000, 2, 'alpha', 'of old',"
    " NULL, '{\"k\":[1]}');"
    "INSERT INTO logs_text(rowid, message) VALUES(1, 'of old');"
    "PRAGMA application_id = 1147500409; PRAGMA user_version = 1; PRAGMA journal_mode = WAL";

static int number_in_file(const char *sql) {
  sqlite3 *db;
  sqlite3_stmt *statement;
  cr_assert_eq(sqlite3_open(test_path, &db), SQLITE_OK);
  cr_assert_eq(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
  cr_assert_eq(sqlite3_step(statement), SQLITE_ROW);
  int number = sqlite3_column_int(statement, 0);
  sqlite3_finalize(statement);
  sqlite3_close(db);
  return number;
}

static void make_version_1(const char *more) {
  sqlite3 *db;
  cr_assert_eq(sqlite3_open(test_path, &db), SQLITE_OK);
  cr_assert_eq(sqlite3_exec(db, version_1, NULL, NULL, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
  cr_assert_eq(sqlite3_exec(db, more, NULL, NULL, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
  sqlite3_close(db);
}

static void assert_nothing_is_lost(void) {
  log_filter_t filter = everything();
  filter.search = text("old");
  filter.data = text("{\"k\":[1.0]}");
  cr_expect_eq(find_all(filter), 1);
  cr_expect_str_eq(found_numbers(), "7");
}

static int begin_conversation(store_t *store) {
  conversation_t conversation = {.created_at = time_of(1), .updated_at = time_of(1)};
  mcp_uuid_new(conversation.id);
  return store->add(store, &conversation, true, NULL, NULL, NULL, &test_error);
}

CASE(migration, an_empty_file_gets_the_newest_version) {
  open_store();
  cr_expect_eq(number_in_file("PRAGMA user_version"), 5);
}

CASE(migration, version_1_keeps_its_lines) {
  make_version_1("");
  open_store();
  assert_nothing_is_lost();
  cr_expect_eq(number_in_file("PRAGMA user_version"), 5);
  int64_t retention_at;
  cr_expect_eq(test_store->last_retention(test_store, &retention_at, &test_error), STORE_OK);
  cr_expect_eq(retention_at, 1763700007000000, "the newest line's time");
  cr_expect_eq(begin_conversation(test_store), STORE_OK, "%s", test_error.text);
  cr_expect_eq(store_many(100, 10), 10);
  reopen();
  assert_nothing_is_lost();
  cr_expect_eq(number_in_file("SELECT count(*) FROM conversations"), 1);
}

CASE(migration, a_step_that_fails_changes_nothing) {
  make_version_1("CREATE TABLE messages(x)");
  cr_expect_null(store_sqlite_open(test_path, &test_error));
  cr_expect_eq(number_in_file("PRAGMA user_version"), 1);
  cr_expect_eq(number_in_file("SELECT count(*) FROM sqlite_schema WHERE name = 'conversations'"), 0);
  cr_expect_eq(number_in_file("SELECT count(*) FROM logs"), 1);
}

CASE(migration, a_check_leaves_the_version_alone) {
  make_version_1("");
  open_store();
  cr_expect_eq(test_store->check(test_store, 0, never, &test_error), STORE_OK);
  cr_expect_eq(number_in_file("PRAGMA user_version"), 5);
}

CASE(migration, several_may_do_it_at_once) {
  enum { CHILDREN = 8 };
  pid_t children[CHILDREN];
  make_version_1("");
  for (int i = 0; i < CHILDREN; i++) {
    children[i] = fork();
    if (children[i] == 0) {
      store_t *store = store_sqlite_open(test_path, &test_error);
      _exit(store != NULL && begin_conversation(store) == STORE_OK ? 0 : 1);
    }
    cr_assert_gt(children[i], 0);
  }
  for (int i = 0; i < CHILDREN; i++) {
    int status;
    cr_assert_eq(waitpid(children[i], &status, 0), children[i]);
    cr_expect_eq(status, 0);
  }
  open_store();
  assert_nothing_is_lost();
  cr_expect_eq(number_in_file("SELECT count(*) FROM conversations"), CHILDREN);
}
