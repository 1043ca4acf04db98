/* test_clock_guard.c: when old data may be removed. */
#include "clock_guard.h"

#include <criterion/criterion.h>

static const int64_t day_us = INT64_C(86400000000), now_us = INT64_C(1763700007000000);

TestSuite(clock_guard);

Test(clock_guard, doubts_a_clock_that_is_more_than_two_days_away_from_the_last_removal) {
  cr_expect_not(clock_guard_is_suspect(INT64_MIN, now_us), "there was none");
  cr_expect_not(clock_guard_is_suspect(now_us, now_us));
  cr_expect_not(clock_guard_is_suspect(now_us - 2 * day_us, now_us));
  cr_expect(clock_guard_is_suspect(now_us - 2 * day_us - 1, now_us));
  cr_expect_not(clock_guard_is_suspect(now_us + 2 * day_us, now_us));
  cr_expect(clock_guard_is_suspect(now_us + 2 * day_us + 1, now_us));
}

Test(clock_guard, holds_for_a_day_of_the_monotonic_clock) {
  clock_guard_t guard = {.holds = false};
  const int64_t ahead_us = now_us + 3650 * day_us, began_ms = 5000;
  cr_expect(clock_guard_allows(&guard, now_us, now_us, 0));
  cr_expect_not(clock_guard_allows(&guard, now_us, ahead_us, began_ms));
  cr_expect_not(clock_guard_allows(&guard, now_us, ahead_us, began_ms + CLOCK_GUARD_HOLD_MS - 1));
  cr_expect(clock_guard_allows(&guard, now_us, ahead_us, began_ms + CLOCK_GUARD_HOLD_MS));
  cr_expect_not(guard.holds);
}

Test(clock_guard, holds_until_the_clock_is_set_right_or_said_to_be_right) {
  clock_guard_t guard = {.holds = false};
  const int64_t ahead_us = now_us + 10 * day_us;
  cr_expect_not(clock_guard_allows(&guard, now_us, ahead_us, 0));
  cr_expect(clock_guard_allows(&guard, now_us, now_us + day_us, 1000));
  cr_expect_not(clock_guard_allows(&guard, now_us, ahead_us, 2000));
  cr_expect(clock_guard_allows(&guard, ahead_us, ahead_us, 3000));
}

Test(clock_guard, holds_anew_when_another_program_has_removed_by_another_clock) {
  clock_guard_t guard = {.holds = false};
  const int64_t ahead_us = now_us + 10 * day_us, hour_us = day_us / 24;
  cr_expect_not(clock_guard_allows(&guard, now_us, ahead_us, 0));
  cr_expect_not(clock_guard_allows(&guard, now_us + hour_us, ahead_us + hour_us, CLOCK_GUARD_HOLD_MS));
  cr_expect(clock_guard_allows(&guard, now_us + hour_us, ahead_us + hour_us, 2 * CLOCK_GUARD_HOLD_MS));
}
