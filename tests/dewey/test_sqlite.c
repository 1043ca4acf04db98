/* test_sqlite.c: conditions of SQLite files: locked, full, damaged, or of another program. */
#include "sqlite_query.h"
#include "store_test.h"

#include <limits.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define end_sqlite end_of_test
#define end_opening end_of_test

TestSuite(sqlite, .init = make_store, .fini = remove_directory);

static bool on_any_row(const log_entry_t *row, void *arg) {
  (void)row;
  (void)arg;
  return true;
}

static void on_any_count(mcp_text_t component, int64_t count, void *arg) {
  (void)component, (void)count, (void)arg;
}

/* ---- Trouble ---- */

CASE(sqlite, a_query_ends_when_its_time_is_over) {
  store_many(0, 1000);
  log_filter_t filter = everything();
  filter.data = text("{\"nobody\":\"has this\"}");
  sqlite_conn_t *conn = sqlite_conn_open(test_path, &sqlite_spec, false, &test_error);
  cr_assert_not_null(conn);
  conn->deadline_ms = 1;
  cr_expect_eq(sqlite_query(conn, &filter, on_any_row, NULL, &test_error), STORE_TIMEOUT);
  sqlite_conn_close(conn);
}

static mode_t mode_of(const char *suffix) { /* 0: no such file */
  char path[PATH_MAX];
  struct stat about;
  snprintf(path, sizeof path, "%s%s", test_path, suffix);
  return stat(path, &about) == 0 ? about.st_mode & 0777 : 0;
}

/* Other users cannot read the files, neither new ones nor those that were open to all. */
CASE(sqlite, files_are_private) {
  store_many(0, 1);
  static const char *const suffixes[] = {"", "-wal", "-shm"};
  for (size_t i = 0; i < 3; i++) {
    mode_t mode = mode_of(suffixes[i]);
    cr_expect(mode != 0 && (mode & 0137) == 0, "%s: %o", suffixes[i], mode);
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s%s", test_path, suffixes[i]);
    cr_assert_eq(chmod(path, 0666), 0);
  }
  sqlite_conn_t *conn = sqlite_conn_open(test_path, &sqlite_spec, true, &test_error);
  cr_assert_not_null(conn);
  for (size_t i = 0; i < 3; i++)
    cr_expect_eq(mode_of(suffixes[i]), 0660, "%s: %o", suffixes[i], mode_of(suffixes[i]));
  sqlite_conn_close(conn);
}

/* Opens the file as another program would, and locks it against writing. */
static sqlite3 *lock_database(void) {
  sqlite3 *other;
  cr_assert_eq(sqlite3_open(test_path, &other), SQLITE_OK);
  cr_assert_eq(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
  return other;
}

static bool stop_after(void *arg) {
  int *times = arg;
  return (*times)-- <= 0;
}

/* A wait for another program's lock ends when cancelled, not only at its timeout. */
CASE(sqlite, waits_for_a_lock_end_when_told_to) {
  sqlite3 *other = lock_database();
  int times = 3;
  const cancel_token_t cancel = {stop_after, &times};
  cr_expect_eq(test_store->check(test_store, 0, cancel, &test_error), STORE_CANCELLED);
  times = 3;
  cr_expect_eq(test_store->begin_retention(test_store, 0, cancel, &test_error), STORE_CANCELLED);
  times = 3;
  uint64_t deleted;
  const log_clear_t what = {.before_us = INT64_MAX, .level = -1};
  cr_expect_eq(test_store->clear(test_store, &what, cancel, &deleted, &test_error), STORE_CANCELLED);
  sqlite3_close(other);
  cr_expect_eq(store_many(0, 1), 1);
}

CASE(sqlite, a_locked_database_is_busy_and_can_be_read) {
  store_many(0, 1);
  sqlite3 *other = lock_database();
  log_entry_t one = entry(1);
  size_t inserted;
  cr_assert_eq(test_store->batch(test_store, &one, 1, &inserted, &test_error), STORE_BUSY);
  cr_assert_eq(find_all(everything()), 1);
  sqlite3_close(other);
  store_one(one);
}

/* A limit on the file size acts like a full disk. */
static void limit_files(rlim_t bytes) {
  struct rlimit limit;
  signal(SIGXFSZ, SIG_IGN);
  getrlimit(RLIMIT_FSIZE, &limit);
  limit.rlim_cur = bytes;
  setrlimit(RLIMIT_FSIZE, &limit);
}

CASE(sqlite, a_full_disk_fails_the_whole_batch_and_heals) {
  enum { COUNT = 1000 };
  store_many(0, 10);
  log_entry_t *entries = calloc(COUNT, sizeof *entries);
  for (int i = 0; i < COUNT; i++)
    entries[i] = entry(10 + i);
  limit_files(256 * 1024);
  size_t inserted;
  cr_expect_eq(test_store->batch(test_store, entries, COUNT, &inserted, &test_error), STORE_FAILED);
  free(entries);
  cr_assert_eq(find_all(everything()), 10);
  limit_files(RLIM_INFINITY);
  cr_assert_eq(store_many(10, COUNT - 10), COUNT - 10);
  cr_assert_eq(find_all(everything()), COUNT);
}

CASE(sqlite, a_check_writes_and_changes_nothing) {
  store_many(0, 10);
  cr_assert_eq(test_store->check(test_store, 0, never, &test_error), STORE_OK, "%s", test_error.text);
  limit_files(4096);
  test_error.brief = NULL;
  cr_assert_eq(test_store->check(test_store, 0, never, &test_error), STORE_FAILED);
  cr_assert_not_null(test_error.brief);
  limit_files(RLIM_INFINITY);
  cr_assert_eq(test_store->check(test_store, 0, never, &test_error), STORE_OK, "%s", test_error.text);
  reopen();
  cr_assert_eq(find_all(everything()), 10);
}

CASE(sqlite, a_check_finds_whether_there_is_room) {
  limit_files(1024 * 1024);
  cr_assert_eq(test_store->check(test_store, 1024 * 1024, never, &test_error), STORE_OK, "%s",
               test_error.text);
  cr_assert_eq(test_store->check(test_store, 1024 * 1024 + 1, never, &test_error), STORE_FAILED);
  limit_files(RLIM_INFINITY);
}

/* ---- Opening ---- */

TestSuite(opening, .init = make_directory, .fini = remove_directory);

static void assert_cannot_open(const char *path) {
  test_error.text[0] = '\0';
  cr_assert_null(store_sqlite_open(path, &test_error));
  cr_assert_neq(test_error.text[0], '\0', "a reason");
}

static void make_database(const char *sql) {
  sqlite3 *other;
  cr_assert_eq(sqlite3_open(test_path, &other), SQLITE_OK);
  cr_assert_eq(sqlite3_exec(other, sql, NULL, NULL, NULL), SQLITE_OK);
  sqlite3_close(other);
}

CASE(opening, fails_where_there_is_no_directory) {
  char path[512];
  snprintf(path, sizeof path, "%s/missing/dewey.db", test_directory);
  assert_cannot_open(path);
  assert_cannot_open(test_directory);
}

CASE(opening, fails_in_a_directory_that_cannot_be_written) {
  chmod(test_directory, 0500);
  if (geteuid() == 0) /* root may write everywhere */
    cr_assert_eq(chown(test_directory, 65534, 65534) + seteuid(65534), 0);
  assert_cannot_open(test_path);
  cr_assert_eq(seteuid(getuid()), 0);
}

CASE(opening, fails_on_a_file_that_is_no_database) {
  FILE *file = fopen(test_path, "w");
  for (int i = 0; i < 10000; i++)
    fputs("not a database\n", file);
  fclose(file);
  assert_cannot_open(test_path);
}

CASE(opening, fails_on_another_programs_database_and_leaves_it_alone) {
  make_database("CREATE TABLE logs(id TEXT)");
  assert_cannot_open(test_path);
  cr_assert_str_eq(test_error.text, "the database was made by another program");
  make_database("INSERT INTO logs VALUES('still there')");
}

CASE(opening, fails_on_a_database_of_a_newer_version) {
  test_store = store_sqlite_open(test_path, &test_error);
  cr_assert_not_null(test_store, "%s", test_error.text);
  test_store->close(test_store);
  test_store = NULL;
  make_database("PRAGMA user_version = 99");
  assert_cannot_open(test_path);
  cr_assert_str_eq(test_error.text, "the database was made by a newer version of Dewey");
}

/* Every operation on a damaged file ends with an error or with valid data. */
static void ask_everything(void) {
  log_filter_t filter = everything();
  log_stats_t stats;
  uint64_t deleted;
  size_t inserted;
  const log_clear_t all = {.before_us = INT64_MAX, .level = -1};
  log_entry_t one = entry(99999);
  for (filter.min_level = MCP_LOG_TRACE; filter.min_level <= MCP_LOG_ERROR; filter.min_level++)
    test_store->query(test_store, &filter, never, on_any_row, NULL, &test_error);
  filter = everything();
  filter.search = text("message");
  test_store->query(test_store, &filter, never, on_any_row, NULL, &test_error);
  test_store->stats(test_store, &stats, never, on_any_count, NULL, &test_error);
  test_store->batch(test_store, &one, 1, &inserted, &test_error);
  test_store->clear(test_store, &all, never, &deleted, &test_error);
}

CASE(opening, a_damaged_database_gives_errors) {
  for (long conninfo = 4096; conninfo <= 40 * 4096; conninfo += 3 * 4096) {
    unlink(test_path);
    test_store = store_sqlite_open(test_path, &test_error);
    cr_assert_not_null(test_store, "%s", test_error.text);
    store_many(0, 1000);
    test_store->close(test_store);
    FILE *file = fopen(test_path, "r+");
    fseek(file, conninfo, SEEK_SET);
    for (int i = 0; i < 2 * 4096; i++)
      fputc(i * 31 % 256, file);
    fclose(file);
    test_store = store_sqlite_open(test_path, &test_error);
    if (test_store != NULL) {
      ask_everything();
      test_store->close(test_store);
      test_store = NULL;
    }
  }
}
