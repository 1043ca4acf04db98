/* store_test.c: see store_test.h. */
#include "store_test.h"
#include "databases.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char test_directory[256], test_path[sizeof test_directory + 16];
store_t *test_store;
found_t test_found;
store_error_t test_error;
const cancel_token_t never = {NULL, NULL};

void make_directory(void) {
  const char *parent = getenv("TMPDIR");
  snprintf(test_directory, sizeof test_directory, "%s/dewey-store-XXXXXX",
           parent != NULL ? parent : P_tmpdir);
  cr_assert_not_null(mkdtemp(test_directory));
  snprintf(test_path, sizeof test_path, "%s/dewey.db", test_directory);
}

store_t *new_store(void) {
  store_t *store = on_postgresql() ? store_pq_open(postgresql_conninfo(), &test_error)
                                   : store_sqlite_open(test_path, &test_error);
  if (store == NULL || store->check(store, 0, never, &test_error) == STORE_OK)
    return store;
  store->close(store);
  return NULL;
}

void open_store(void) {
  test_store = new_store();
  cr_assert_not_null(test_store, "%s", test_error.text);
}

void make_location(void) {
  make_directory();
  if (on_postgresql())
    make_schema();
}

void make_store(void) {
  make_location();
  open_store();
}

void reopen(void) {
  test_store->close(test_store);
  open_store();
}

void end_of_test(void) {
  if (test_store != NULL)
    test_store->close(test_store);
  expect_no_leak();
}

void remove_directory(void) {
  chmod(test_directory, 0700);
  DIR *directory = opendir(test_directory);
  struct dirent *file;
  while ((file = readdir(directory)) != NULL)
    unlinkat(dirfd(directory), file->d_name, 0);
  closedir(directory);
  rmdir(test_directory);
}

mcp_text_t text(const char *words) {
  return (mcp_text_t){words, strlen(words)};
}

int64_t time_of(int n) {
  return 1763700000000000 + (int64_t)n * 1000000;
}

log_entry_t entry(int n) {
  static char messages[1000][32];
  char *message = messages[n % 1000];
  snprintf(message, sizeof messages[0], "message %d", n);
  log_entry_t made = {.created_at = time_of(n), .level = MCP_LOG_INFO, .component = text("alpha")};
  snprintf(made.id, sizeof made.id, "00000000-0000-4000-8000-%012d", n);
  made.message = text(message);
  return made;
}

void store_one(log_entry_t one) {
  size_t inserted = 0;
  cr_assert_eq(test_store->batch(test_store, &one, 1, &inserted, &test_error), STORE_OK, "%s",
               test_error.text);
  cr_assert_eq(inserted, 1);
}

size_t store_many(int first, int count) {
  size_t inserted = 0;
  log_entry_t *entries = calloc((size_t)count, sizeof *entries);
  for (int i = 0; i < count; i++)
    entries[i] = entry(first + i);
  int code = test_store->batch(test_store, entries, (size_t)count, &inserted, &test_error);
  free(entries);
  cr_assert_eq(code, STORE_OK, "%s", test_error.text);
  return inserted;
}

static bool on_row(const log_entry_t *row, void *arg) {
  found_t *found = arg;
  cr_assert_lt(found->count, FOUND_MAX);
  found->created_at[found->count] = row->created_at;
  strcpy(found->ids[found->count++], row->id);
  return found->count != found->enough;
}

int find_all(log_filter_t filter) {
  test_found.count = 0;
  int code = test_store->query(test_store, &filter, never, on_row, &test_found, &test_error);
  cr_assert_eq(code, STORE_OK, "%s", test_error.text);
  return test_found.count;
}

log_filter_t everything(void) {
  return (log_filter_t){.start_us = INT64_MIN, .end_us = INT64_MAX, .limit = 1001};
}

const char *found_numbers(void) {
  static char numbers[256];
  size_t used = 0;
  numbers[0] = '\0';
  for (int i = 0; i < test_found.count && used < sizeof numbers - 16; i++)
    used += (size_t)snprintf(numbers + used, sizeof numbers - used, "%s%d", i > 0 ? " " : "",
                             atoi(test_found.ids[i] + 24));
  return numbers;
}
