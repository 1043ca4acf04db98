/* test_processes.c: the store used by several threads or processes, and when processes are killed. */
#include "store_test.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define end_processes end_of_test

TestSuite(processes, .init = make_location, .fini = remove_directory);

enum { BATCH = 50 };

/* A child that dies with the test. It leaves by _exit, since its memory belongs to the parent. */
static pid_t start(int (*run)(int), int arg) {
  pid_t parent = getpid(), child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    _exit(getppid() == parent ? run(arg) : 1);
  }
  cr_assert_gt(child, 0);
  return child;
}

static int exit_status(pid_t child) {
  int status;
  cr_assert_eq(waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* ---- Several at once ---- */

static int open_and_store(int number) {
  log_entry_t one = entry(number);
  size_t inserted = 0;
  store_t *store = new_store();
  if (store == NULL || store->batch(store, &one, 1, &inserted, &test_error) != STORE_OK)
    return 1;
  store->close(store);
  return inserted == 1 ? 0 : 2;
}

CASE(processes, several_may_create_the_database_at_once) {
  enum { CHILDREN = 8 };
  pid_t children[CHILDREN];
  for (int i = 0; i < CHILDREN; i++)
    children[i] = start(open_and_store, i);
  for (int i = 0; i < CHILDREN; i++)
    cr_assert_eq(exit_status(children[i]), 0);
  open_store();
  cr_assert_eq(find_all(everything()), CHILDREN);
}

static void *store_on_thread(void *arg) {
  int first = *(int *)arg;
  size_t inserted, sum = 0;
  for (int i = 0; i < 40; i++) {
    log_entry_t entries[2] = {entry(first + i), entry(first + i + 1)}; /* one id occurs twice */
    store_error_t error;
    if (test_store->batch(test_store, entries, 2, &inserted, &error) == STORE_OK)
      sum += inserted;
  }
  return sum == 41 ? arg : NULL;
}

static bool count_row(const log_entry_t *row, void *arg) {
  (void)row;
  ++*(int *)arg;
  return true;
}

static void *query_on_thread(void *arg) {
  int last = 0;
  for (int i = 0; i < 40; i++) {
    const log_filter_t filter = everything();
    store_error_t error;
    int count = 0;
    int code =
        test_store->query(test_store, &filter, (cancel_token_t){NULL, NULL}, count_row, &count, &error);
    if (code != STORE_OK || count < last)
      return NULL;
    last = count;
  }
  return arg;
}

CASE(processes, threads_store_and_read_side_by_side) {
  enum { WRITERS = 4, READERS = 6 };
  pthread_t threads[WRITERS + READERS];
  int firsts[WRITERS + READERS];
  open_store();
  for (int i = 0; i < WRITERS + READERS; i++) {
    firsts[i] = i * 100;
    cr_assert_eq(
        pthread_create(&threads[i], NULL, i < WRITERS ? store_on_thread : query_on_thread, &firsts[i]), 0);
  }
  for (int i = 0; i < WRITERS + READERS; i++) {
    void *result;
    pthread_join(threads[i], &result);
    cr_expect_not_null(result, "thread %d", i);
  }
  cr_assert_eq(find_all(everything()), WRITERS * 41);
}

static sem_t row_seen, row_wanted;

static bool on_row_that_waits(const log_entry_t *row, void *arg) {
  (void)row;
  (void)arg;
  sem_post(&row_seen);
  sem_wait(&row_wanted);
  return false;
}

static void *query_and_wait(void *arg) {
  const log_filter_t filter = everything();
  store_error_t error;
  test_store->query(test_store, &filter, (cancel_token_t){NULL, NULL}, on_row_that_waits, NULL, &error);
  return arg;
}

CASE(processes, a_query_too_many_is_busy_and_storing_goes_on) {
  enum { READERS = 4 };
  pthread_t threads[READERS];
  open_store();
  store_many(0, 1);
  sem_init(&row_seen, 0, 0);
  sem_init(&row_wanted, 0, 0);
  for (int i = 0; i < READERS; i++)
    cr_assert_eq(pthread_create(&threads[i], NULL, query_and_wait, NULL), 0);
  for (int i = 0; i < READERS; i++)
    sem_wait(&row_seen);
  const log_filter_t filter = everything();
  int count = 0;
  cr_expect_eq(test_store->query(test_store, &filter, never, count_row, &count, &test_error), STORE_BUSY);
  cr_expect_eq(store_many(1, 1), 1);
  for (int i = 0; i < READERS; i++)
    sem_post(&row_wanted);
  for (int i = 0; i < READERS; i++)
    pthread_join(threads[i], NULL);
  cr_assert_eq(find_all(filter), 2);
}

static void *clear_on_thread(void *arg) {
  const log_clear_t all = {.before_us = INT64_MAX, .level = -1};
  store_error_t error;
  uint64_t deleted;
  int code = test_store->clear(test_store, &all, (cancel_token_t){NULL, NULL}, &deleted, &error);
  return code == STORE_OK ? arg : NULL;
}

/* Each batch must get the writer between two steps. */
CASE(processes, storing_goes_on_while_much_is_cleared) {
  open_store();
  for (int i = 0; i < 20; i++)
    store_many(i * 1000, 1000);
  pthread_t thread;
  void *result;
  cr_assert_eq(pthread_create(&thread, NULL, clear_on_thread, &result), 0);
  for (int i = 0; i < 20; i++)
    cr_assert_eq(store_many(100000 + i, 1), 1);
  pthread_join(thread, &result);
  cr_assert_not_null(result);
}

/* ---- kill -9 ---- */

static int acknowledged[2];

/* Stores batches and reports the number of each one after it was stored. */
static int store_for_ever(int first) {
  test_store = new_store();
  for (int i = first; test_store != NULL; i++) {
    store_many(i * BATCH, BATCH);
    if (write(acknowledged[1], &i, sizeof i) != sizeof i)
      return 1;
  }
  return 1;
}

/* Lets a child store batches and kills it. Returns the number of the last batch reported. */
static int store_and_kill(int first, int batches) {
  int last = first - 1;
  cr_assert_eq(pipe(acknowledged), 0);
  pid_t child = start(store_for_ever, first);
  close(acknowledged[1]);
  while (last < first + batches - 1)
    cr_assert_eq(read(acknowledged[0], &last, sizeof last), sizeof last);
  kill(child, SIGKILL);
  exit_status(child);
  while (read(acknowledged[0], &last, sizeof last) == sizeof last)
    ;
  close(acknowledged[0]);
  return last;
}

static int rows_between(int first, int last) {
  log_filter_t filter = everything();
  filter.start_us = time_of(first);
  filter.end_us = time_of(last);
  return find_all(filter);
}

CASE(processes, what_was_acknowledged_survives_kill_9) {
  int first = 0;
  for (int round = 0; round < 10; round++) {
    int last = store_and_kill(first, 3 + round * 2);
    open_store();
    for (int batch = first; batch <= last; batch++)
      cr_assert_eq(rows_between(batch * BATCH, batch * BATCH + BATCH - 1), BATCH);
    int extra = rows_between((last + 1) * BATCH, (last + 2) * BATCH - 1);
    cr_assert(extra == 0 || extra == BATCH, "half a batch: %d", extra);
    cr_assert_eq(store_many(first * BATCH, BATCH), 0, "none is stored twice");
    log_filter_t filter = everything();
    filter.search = text("message");
    cr_assert_eq(find_all(filter), find_all(everything()), "the index knows them all");
    test_store->close(test_store);
    test_store = NULL;
    first = last + 2;
  }
}
