/* test_maintenance.c: when the callbacks are called, and that the thread can be stopped at any time. */
#include "maintenance.h"
#include "leaks.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <time.h>

static sem_t checked, ran;
static atomic_int checks, failing_checks; /* checks that fail */
static atomic_int runs, waiting_runs;     /* runs that have to wait */

static void make_semaphores(void) {
  sem_init(&checked, 0, 0);
  sem_init(&ran, 0, 0);
}

TestSuite(maintenance, .init = make_semaphores);

static bool check(void *arg, cancel_token_t cancel) {
  (void)arg, (void)cancel;
  int before = atomic_fetch_add(&checks, 1);
  sem_post(&checked);
  return before >= atomic_load(&failing_checks);
}

static bool run(void *arg, cancel_token_t cancel) {
  (void)arg, (void)cancel;
  int before = atomic_fetch_add(&runs, 1);
  sem_post(&ran);
  return before >= atomic_load(&waiting_runs);
}

Test(maintenance, checks_and_runs_at_once) {
  maintenance_t *maintenance = maintenance_start(&(maintenance_config_t){check, run, NULL});
  cr_assert_not_null(maintenance);
  sem_wait(&checked);
  sem_wait(&ran);
  maintenance_stop(maintenance);
  cr_expect_eq(atomic_load(&checks), 1);
  expect_no_leak();
}

Test(maintenance, checks_again_and_does_not_run_until_a_check_succeeds) {
  atomic_store(&failing_checks, 2);
  maintenance_t *maintenance = maintenance_start(&(maintenance_config_t){check, run, NULL});
  sem_wait(&ran);
  maintenance_stop(maintenance);
  cr_expect_eq(atomic_load(&checks), 3);
  expect_no_leak();
}

Test(maintenance, calls_run_again_while_it_has_to_wait) {
  atomic_store(&waiting_runs, 1);
  maintenance_t *maintenance = maintenance_start(&(maintenance_config_t){check, run, NULL});
  sem_wait(&ran);
  sem_wait(&ran);
  maintenance_stop(maintenance);
  cr_expect_eq(atomic_load(&runs), 2);
  expect_no_leak();
}

/* Runs until it is cancelled. */
static bool run_until_cancelled(void *arg, cancel_token_t cancel) {
  const struct timespec pause = {.tv_nsec = 1000000};
  (void)arg;
  sem_post(&ran);
  while (!cancel.cb(cancel.arg))
    nanosleep(&pause, NULL);
  return true;
}

static sem_t continue_run;

/* Never polls the cancel token. */
static bool run_ignoring_cancel(void *arg, cancel_token_t cancel) {
  (void)arg, (void)cancel;
  sem_post(&ran);
  sem_wait(&continue_run);
  return true;
}

Test(maintenance, detaches_a_run_that_does_not_end) {
  sem_init(&continue_run, 0, 0);
  maintenance_t *maintenance = maintenance_start(&(maintenance_config_t){check, run_ignoring_cancel, NULL});
  sem_wait(&ran);
  cr_expect_not(maintenance_stop(maintenance));
  sem_post(&continue_run);
}

Test(maintenance, cancels_a_run) {
  maintenance_t *maintenance = maintenance_start(&(maintenance_config_t){check, run_until_cancelled, NULL});
  sem_wait(&ran);
  cr_expect(maintenance_stop(maintenance));
  cr_expect(maintenance_stop(NULL));
  expect_no_leak();
}
