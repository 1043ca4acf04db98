/* test_maintenance.c: when the keeper calls back, and that it can be stopped at any time. */
#include "maintenance.h"
#include "leaks.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <time.h>

static sem_t looked, worked;
static atomic_int looks, ill_for;  /* looks that find it so */
static atomic_int works, wait_for; /* works that have to wait */

static void make_semaphores(void) {
  sem_init(&looked, 0, 0);
  sem_init(&worked, 0, 0);
}

TestSuite(maintenance, .init = make_semaphores);

static bool look(void *arg, cancel_token_t cancel) {
  (void)arg, (void)cancel;
  int before = atomic_fetch_add(&looks, 1);
  sem_post(&looked);
  return before >= atomic_load(&ill_for);
}

static bool work(void *arg, cancel_token_t cancel) {
  (void)arg, (void)cancel;
  int before = atomic_fetch_add(&works, 1);
  sem_post(&worked);
  return before >= atomic_load(&wait_for);
}

Test(maintenance, looks_and_works_at_once) {
  maintenance_t *maintenance = maintenance_start(&(maintenance_config_t){look, work, NULL});
  cr_assert_not_null(maintenance);
  sem_wait(&looked);
  sem_wait(&worked);
  maintenance_stop(maintenance);
  cr_expect_eq(atomic_load(&looks), 1);
  expect_no_leak();
}

Test(maintenance, looks_again_and_does_no_work_until_all_is_well) {
  atomic_store(&ill_for, 2);
  maintenance_t *maintenance = maintenance_start(&(maintenance_config_t){look, work, NULL});
  sem_wait(&worked);
  maintenance_stop(maintenance);
  cr_expect_eq(atomic_load(&looks), 3);
  expect_no_leak();
}

Test(maintenance, calls_work_that_has_to_wait_again) {
  atomic_store(&wait_for, 1);
  maintenance_t *maintenance = maintenance_start(&(maintenance_config_t){look, work, NULL});
  sem_wait(&worked);
  sem_wait(&worked);
  maintenance_stop(maintenance);
  cr_expect_eq(atomic_load(&works), 2);
  expect_no_leak();
}

/* Work that goes on until it is told to end. */
static bool work_for_ever(void *arg, cancel_token_t cancel) {
  const struct timespec pause = {.tv_nsec = 1000000};
  (void)arg;
  sem_post(&worked);
  while (!cancel.cb(cancel.arg))
    nanosleep(&pause, NULL);
  return true;
}

static sem_t go_on;

/* Work that does not ask. */
static bool work_deaf(void *arg, cancel_token_t cancel) {
  (void)arg, (void)cancel;
  sem_post(&worked);
  sem_wait(&go_on);
  return true;
}

Test(maintenance, leaves_work_that_does_not_end) {
  sem_init(&go_on, 0, 0);
  maintenance_t *maintenance = maintenance_start(&(maintenance_config_t){look, work_deaf, NULL});
  sem_wait(&worked);
  cr_expect_not(maintenance_stop(maintenance));
  sem_post(&go_on);
}

Test(maintenance, tells_its_work_to_end) {
  maintenance_t *maintenance = maintenance_start(&(maintenance_config_t){look, work_for_ever, NULL});
  sem_wait(&worked);
  cr_expect(maintenance_stop(maintenance));
  cr_expect(maintenance_stop(NULL));
  expect_no_leak();
}
