/* test_health.c: the state of a store after operations and checks. */
#include "health.h"
#include "leaks.h"

static const cancel_token_t never = {NULL, NULL};
static health_t health;
static store_error_t full = {.text = "full", .brief = "the disk is full"};
static size_t room_asked;
static int check_answers, check_code;

static int check(void *arg, size_t room, cancel_token_t cancel, store_error_t *error) {
  (void)arg, (void)cancel;
  room_asked = room;
  check_answers++;
  *error = full;
  return check_code;
}

static void make_health(void) {
  health_init(&health, "test", 1234, true);
}

TestSuite(health, .init = make_health, .timeout = 60);

Test(health, a_check_writes_as_much_as_work_while_that_fails) {
  cr_expect(health_check(&health, check, NULL, never));
  cr_expect_eq(room_asked, 0);
  health_report(&health, HEALTH_WRITE, STORE_FAILED, &full);
  cr_expect_str_eq(health_failure(&health), "the disk is full");
  check_code = STORE_FAILED;
  cr_expect_not(health_check(&health, check, NULL, never));
  cr_expect_eq(room_asked, 1234);
  cr_expect_not_null(health_failure(&health));
  check_code = STORE_OK;
  cr_expect(health_check(&health, check, NULL, never));
  cr_expect_eq(room_asked, 1234);
  cr_expect_null(health_failure(&health));
  cr_expect_eq(check_answers, 3, "also while all is well");
}

Test(health, what_is_the_callers_says_nothing) {
  static const int codes[] = {STORE_INVALID, STORE_TIMEOUT,   STORE_CANCELLED,
                              STORE_BUSY,    STORE_NOT_FOUND, STORE_CONFLICT};
  store_error_t none = {.brief = NULL};
  for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
    health_report(&health, HEALTH_READ, codes[i], &none);
    cr_expect_null(health_failure(&health));
  }
  health_report(&health, HEALTH_WRITE, STORE_FAILED, &full);
  for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
    health_report(&health, HEALTH_WRITE, codes[i], &none);
    cr_expect_not_null(health_failure(&health));
  }
}
