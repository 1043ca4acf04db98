/* test_migration.c: databases of older versions are migrated without loss, by several processes at once
 * too. */
#include "conversations_test.h"
#include "sqlite_schema.h"

#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define end_migration end_of_test

TestSuite(migration, .init = make_directory, .fini = remove_directory);

/* Version 1 as released, with one line. */
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

static void make_version(const char *sql) {
  sqlite3 *db;
  cr_assert_eq(sqlite3_open(test_path, &db), SQLITE_OK);
  cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
  sqlite3_close(db);
}

static void make_version_1(const char *more) {
  make_version(version_1);
  make_version(more);
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
  cr_expect_eq(test_store->last_retention(test_store, &retention_at, CANCEL_NEVER, &test_error), STORE_OK);
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

/* ---- Words ---- */

enum { LINES = 3000, MESSAGES = 600 };

/* A file of version 2 with lines 1 to LINES and messages 1 to MESSAGES; every tenth contains "tenth", all
 * contain "数据库" and "Café". */
static void make_version_2(void) {
  char more[4096];
  snprintf(more, sizeof more,
           "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < %d) INSERT INTO logs"
           " SELECT i, CAST(printf('%%016d', i) AS BLOB), 1763700000000000 + i, 2, 'alpha',"
           " 'Café 数据库 ' || iif(i %% 10 = 0, 'tenth', 'of ' || i), NULL, NULL FROM n;",
           LINES);
  make_version_1(more);
  make_version(sqlite_steps[1]);
  snprintf(more, sizeof more,
           "INSERT INTO conversations VALUES(1, x'0000000000004000900000000000000a', NULL, NULL, 1, 1);"
           "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) INSERT INTO messages"
           " SELECT i, CAST(printf('%%016d', i) AS BLOB), 1, i, 0, 1763700000000000 + i, NULL,"
           " 'Café 数据库 ' || iif(i %% 10 = 0, 'tenth', 'of ' || i) FROM n;"
           "INSERT INTO messages_text(rowid, content) SELECT seq, content FROM messages;"
           "PRAGMA user_version = 2",
           MESSAGES);
  make_version(more);
}

static bool on_any_found(const found_message_t *row, void *arg) {
  (void)row, (void)arg;
  return true;
}

static int64_t count_messages(const char *words) {
  const message_search_t search = {
      .words = text(words), .start_us = INT64_MIN, .end_us = INT64_MAX, .limit = 100};
  int64_t total = -1;
  cr_assert_eq(test_store->search(test_store, &search, never, on_any_found, NULL, &total, &test_error),
               STORE_OK, "%s", test_error.text);
  return total;
}

/* Finds lines by each way of a search: few or all of them, from a level on, of a component. */
static void assert_lines(const char *words, int wanted) {
  for (int way = 0; way < 4; way++) {
    log_filter_t filter = everything();
    filter.search = text(words);
    filter.min_level = way % 2 ? MCP_LOG_INFO : MCP_LOG_TRACE;
    if (way / 2)
      filter.component = text("alpha");
    cr_assert_eq(find_all(filter), wanted < 1001 ? wanted : 1001, "%s, way %d: %d", words, way,
                 test_found.count);
  }
}

static void assert_all_are_found(void) {
  assert_lines("TENTH", LINES / 10);
  assert_lines("cafe", LINES - 1);
  cr_assert_eq(count_messages("tenth"), MESSAGES / 10);
  cr_assert_eq(count_messages("CAFÉ"), MESSAGES);
}

static void index_all(void) {
  cr_assert_eq(test_store->index(test_store, never, &test_error), STORE_OK, "%s", test_error.text);
}

static int older_tables(void) {
  return number_in_file("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'logs_text%' OR name LIKE"
                        " 'messages_text%'");
}

CASE(migration, words_are_indexed_anew) {
  make_version_2();
  open_store();
  assert_all_are_found();
  assert_lines("数据", 0); /* in the older index */
  cr_expect_gt(older_tables(), 0);
  index_all();
  cr_expect_eq(older_tables(), 0);
  assert_all_are_found();
  assert_lines("数据", LINES - 1);
  cr_expect_eq(count_messages("据库"), MESSAGES);
  cr_expect_eq(number_in_file("SELECT old_lines + old_messages FROM words_state"), 0);
  index_all();
}

CASE(migration, new_files_have_no_older_index) {
  open_store();
  index_all();
  cr_expect_eq(older_tables(), 0);
}

static void on_alarm_end(int number) {
  (void)number;
  _exit(9);
}

/* A child process that indexes and exits after so many microseconds. Returns true if it had finished. */
static bool index_for(long us) {
  pid_t child = fork();
  cr_assert_geq(child, 0);
  if (child == 0) {
    store_t *store = store_sqlite_open(test_path, &test_error);
    const struct itimerval timer = {.it_value = {.tv_usec = us}};
    signal(SIGALRM, on_alarm_end);
    setitimer(ITIMER_REAL, &timer, NULL);
    _exit(store != NULL && store->index(store, never, &test_error) == STORE_OK ? 0 : 1);
  }
  int status;
  cr_assert_eq(waitpid(child, &status, 0), child);
  cr_assert(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 9));
  return WEXITSTATUS(status) == 0;
}

CASE(migration, an_end_at_any_moment_loses_nothing) {
  make_version_2();
  for (long us = 500; !index_for(us); us += us / 2) {
    open_store();
    assert_all_are_found();
    test_store->close(test_store);
    test_store = NULL;
  }
  open_store();
  assert_all_are_found();
  cr_expect_eq(older_tables(), 0);
}

static atomic_bool is_indexed;

static void *index_beside(void *arg) {
  int code = test_store->index(test_store, never, arg);
  atomic_store(&is_indexed, true);
  return code == STORE_OK ? NULL : arg;
}

static void remove_messages(void) {
  int64_t messages;
  cr_assert_eq(test_store->remove(test_store, "00000000-0000-4000-9000-00000000000a", &messages, &test_error),
               STORE_OK, "%s", test_error.text);
  cr_assert_eq(messages, MESSAGES);
}

CASE(migration, storing_searching_and_deleting_go_on) {
  pthread_t thread;
  void *failed;
  store_error_t error;
  make_version_2();
  open_store();
  cr_assert_eq(begin_in(1, NULL), STORE_OK);
  cr_assert_eq(pthread_create(&thread, NULL, index_beside, &error), 0);
  int stored = 0;
  do {
    stored += (int)store_many(100 + stored, 10);
    assert_lines("message", stored);
    assert_lines("tenth", LINES / 10);
    cr_assert_eq(count_messages("tenth"), MESSAGES / 10);
    cr_assert_eq(add_to(1, (source_t){.first = stored, .count = 1}, &(int64_t){0}), STORE_OK);
    cr_assert_eq(count_messages("message"), stored / 10);
  } while (stored < 900 && !atomic_load(&is_indexed));
  cr_assert_eq(pthread_join(thread, &failed), 0);
  cr_assert_null(failed, "%s", error.text);
  assert_all_are_found();
}

CASE(migration, what_is_deleted_meanwhile_is_not_found) {
  const log_clear_t old = {.before_us = 1763700000000000 + LINES / 2, .level = -1};
  uint64_t deleted;
  make_version_2();
  open_store();
  remove_messages();
  cr_expect_eq(count_messages("tenth"), 0);
  cr_assert_eq(begin_in(1, NULL), STORE_OK);
  cr_assert_eq(add_to(1, (source_t){.first = 1, .count = 3}, &(int64_t){0}), STORE_OK);
  cr_expect_eq(count_messages("message"), 3);
  cr_expect_eq(count_messages("tenth"), 0, "numbers that are used again");
  cr_assert_eq(test_store->clear(test_store, &old, never, &deleted, &test_error), STORE_OK);
  assert_lines("tenth", LINES / 20 + 1);
  index_all();
  assert_lines("tenth", LINES / 20 + 1);
  cr_expect_eq(count_messages("message"), 3);
  cr_expect_eq(count_messages("tenth"), 0);
}
