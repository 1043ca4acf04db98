/* canary_stats: counting of accepted, read, late, doubled, missing and lost lines. */
#include "canary_stats.h"
#include "cli_test.h"

enum { LATE_S = 30, HOUR_S = 3600, DAY_S = 24 * HOUR_S };

static int64_t s(int64_t seconds) {
  return seconds * 1000000;
}

static canary_stats_t begin(void) {
  canary_stats_t stats;
  canary_stats_init(&stats, s(LATE_S));
  return stats;
}

static uint64_t add(canary_stats_t *stats, int64_t second, canary_result_t result) {
  uint64_t number = canary_stats_add(stats, s(second));
  canary_stats_set_result(stats, number, result);
  return number;
}

/* Checks the counters and frees the stats. */
static void expect(canary_stats_t *stats, uint64_t read, uint64_t late, uint64_t doubled, uint64_t missing,
                   uint64_t lost) {
  cr_expect_eq(stats->read, read, "%d read", (int)stats->read);
  cr_expect_eq(stats->late, late, "%d late", (int)stats->late);
  cr_expect_eq(stats->doubled, doubled, "%d doubled", (int)stats->doubled);
  cr_expect_eq(stats->missing, missing, "%d missing", (int)stats->missing);
  cr_expect_eq(stats->lost, lost, "%d lost", (int)stats->lost);
  canary_stats_deinit(stats);
  assert_no_leaks();
}

Test(canary, all_is_well) {
  canary_stats_t stats = begin();
  for (int i = 0; i < 10; i++)
    cr_expect_eq(add(&stats, i, CANARY_ACCEPTED), (uint64_t)i);
  cr_expect_eq(stats.missing, 10);
  for (int i = 9; i >= 0; i--) {
    char id[8];
    snprintf(id, sizeof id, "row %d", i);
    canary_stats_read(&stats, id, (uint64_t)i, s(12));
    canary_stats_read(&stats, id, (uint64_t)i, s(50)); /* the same row, read again */
  }
  canary_stats_read(&stats, "stranger", 10, s(12));
  cr_expect(canary_stats_finish(&stats, s(100)));
  cr_expect_eq(stats.logged, 10);
  cr_expect_eq(stats.slowest_us, s(12));
  expect(&stats, 10, 0, 0, 0, 0);
}

Test(canary, doubled_is_a_second_row) {
  canary_stats_t stats = begin();
  add(&stats, 0, CANARY_ACCEPTED);
  for (int i = 0; i < 3; i++)
    canary_stats_read(&stats, &"a\0b\0c"[2 * i], 0, s(1));
  cr_expect_not(canary_stats_finish(&stats, s(2)));
  expect(&stats, 1, 0, 1, 0, 0);
}

Test(canary, late_is_counted_once) {
  canary_stats_t stats = begin();
  add(&stats, 0, CANARY_ACCEPTED);
  add(&stats, 0, CANARY_ACCEPTED);
  canary_stats_update(&stats, s(LATE_S));
  cr_expect_eq(stats.late, 0);
  cr_expect(canary_stats_is_waiting(&stats, s(LATE_S)));
  cr_expect_not(canary_stats_is_waiting(&stats, s(LATE_S) + 1));
  canary_stats_read(&stats, "a", 0, s(LATE_S) + 1); /* canary_stats_update() was not called in between */
  canary_stats_update(&stats, s(LATE_S) + 1);
  canary_stats_update(&stats, s(40));
  canary_stats_read(&stats, "b", 1, s(40));
  cr_expect_not(canary_stats_finish(&stats, s(50)));
  expect(&stats, 2, 2, 0, 0, 0);
}

Test(canary, lost_is_what_is_missing_and_late_at_the_end) {
  canary_stats_t stats = begin();
  add(&stats, 0, CANARY_ACCEPTED);
  add(&stats, 40, CANARY_ACCEPTED);
  cr_expect_not(canary_stats_finish(&stats, s(50)));
  expect(&stats, 0, 0, 0, 1, 1);
  stats = begin();
  add(&stats, 40, CANARY_ACCEPTED);
  cr_expect(canary_stats_finish(&stats, s(50)), "it was still in time");
  expect(&stats, 0, 0, 0, 1, 0);
}

Test(canary, what_was_not_accepted_need_not_come_but_may) {
  canary_stats_t stats = begin();
  add(&stats, 0, CANARY_REFUSED);
  add(&stats, 1, CANARY_UNSURE);
  add(&stats, 2, CANARY_UNSURE);
  canary_stats_read(&stats, "a", 1, s(100));
  cr_expect(canary_stats_finish(&stats, s(200)));
  cr_expect_eq(stats.refused, 1);
  cr_expect_eq(stats.unsure, 2);
  cr_expect_eq(stats.logged, 0);
  expect(&stats, 1, 0, 0, 0, 0);
}

Test(canary, where_reading_begins) {
  canary_stats_t stats = begin();
  cr_expect_eq(canary_stats_since(&stats, s(1000), true), s(1000 - 2 * LATE_S));
  for (int i = 0; i < 3; i++)
    add(&stats, 100 + i, CANARY_ACCEPTED);
  canary_stats_read(&stats, "a", 0, s(103));
  cr_expect_eq(canary_stats_since(&stats, s(1000), false), s(101));
  canary_stats_read(&stats, "b", 1, s(103));
  canary_stats_read(&stats, "c", 2, s(103));
  cr_expect_eq(canary_stats_since(&stats, s(1000), false), s(1000 - 2 * LATE_S));
  cr_expect_eq(canary_stats_since(&stats, s(1000), true), s(100));
  cr_expect_eq(canary_stats_since(&stats, s(120), true), s(120 - 2 * LATE_S));
  canary_stats_deinit(&stats);
}

Test(canary, forgets) {
  canary_stats_t stats = begin();
  for (int i = 0; i < 3 * HOUR_S; i++) {
    char id[16];
    uint64_t number = add(&stats, i, CANARY_ACCEPTED);
    snprintf(id, sizeof id, "%d", i);
    canary_stats_read(&stats, id, number, s(i));
    canary_stats_update(&stats, s(i));
  }
  cr_expect_leq(stats.count, HOUR_S + 1);
  cr_expect_leq(stats.dedup.count, HOUR_S + 1);
  canary_stats_read(&stats, "0", 0, s(3 * HOUR_S)); /* no longer tracked, so not a duplicate */
  uint64_t missing = add(&stats, 3 * HOUR_S, CANARY_ACCEPTED);
  canary_stats_update(&stats, s(3 * HOUR_S + DAY_S));
  cr_expect_eq(stats.first, missing);
  cr_expect_eq(stats.late, 1);
  canary_stats_update(&stats, s(3 * HOUR_S + DAY_S) + 1);
  cr_expect_eq(stats.count, 0);
  expect(&stats, 3 * HOUR_S, 0, 0, 0, 1);
}
