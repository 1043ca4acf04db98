/* The books of a canary: seconds are numbers, rows are words. */
#include "canary_stats.h"
#include "cli_test.h"

enum { LATE_S = 30, HOUR_S = 3600, DAY_S = 24 * HOUR_S };

static int64_t s(int64_t seconds) {
  return seconds * 1000000;
}

static canary_book_t begin(void) {
  canary_book_t book;
  canary_book_init(&book, s(LATE_S));
  return book;
}

static uint64_t add(canary_book_t *book, int64_t second, canary_answer_t answer) {
  uint64_t number = canary_book_add(book, s(second));
  canary_book_answered(book, number, answer);
  return number;
}

/* Ends a book that has counted these. */
static void expect(canary_book_t *book, uint64_t read, uint64_t late, uint64_t doubled, uint64_t missing,
                   uint64_t lost) {
  cr_expect_eq(book->read, read, "%d read", (int)book->read);
  cr_expect_eq(book->late, late, "%d late", (int)book->late);
  cr_expect_eq(book->doubled, doubled, "%d doubled", (int)book->doubled);
  cr_expect_eq(book->missing, missing, "%d missing", (int)book->missing);
  cr_expect_eq(book->lost, lost, "%d lost", (int)book->lost);
  canary_book_deinit(book);
  assert_no_leaks();
}

Test(canary, all_is_well) {
  canary_book_t book = begin();
  for (int i = 0; i < 10; i++)
    cr_expect_eq(add(&book, i, CANARY_ACCEPTED), (uint64_t)i);
  cr_expect_eq(book.missing, 10);
  for (int i = 9; i >= 0; i--) {
    char id[8];
    snprintf(id, sizeof id, "row %d", i);
    canary_book_read(&book, id, (uint64_t)i, s(12));
    canary_book_read(&book, id, (uint64_t)i, s(50)); /* the same row, read again */
  }
  canary_book_read(&book, "stranger", 10, s(12));
  cr_expect(canary_book_finish(&book, s(100)));
  cr_expect_eq(book.logged, 10);
  cr_expect_eq(book.slowest_us, s(12));
  expect(&book, 10, 0, 0, 0, 0);
}

Test(canary, doubled_is_a_second_row) {
  canary_book_t book = begin();
  add(&book, 0, CANARY_ACCEPTED);
  for (int i = 0; i < 3; i++)
    canary_book_read(&book, &"a\0b\0c"[2 * i], 0, s(1));
  cr_expect_not(canary_book_finish(&book, s(2)));
  expect(&book, 1, 0, 1, 0, 0);
}

Test(canary, late_is_counted_once) {
  canary_book_t book = begin();
  add(&book, 0, CANARY_ACCEPTED);
  add(&book, 0, CANARY_ACCEPTED);
  canary_book_judge(&book, s(LATE_S));
  cr_expect_eq(book.late, 0);
  cr_expect(canary_book_waits(&book, s(LATE_S)));
  cr_expect_not(canary_book_waits(&book, s(LATE_S) + 1));
  canary_book_read(&book, "a", 0, s(LATE_S) + 1); /* nobody had judged it */
  canary_book_judge(&book, s(LATE_S) + 1);
  canary_book_judge(&book, s(40));
  canary_book_read(&book, "b", 1, s(40));
  cr_expect_not(canary_book_finish(&book, s(50)));
  expect(&book, 2, 2, 0, 0, 0);
}

Test(canary, lost_is_what_is_missing_and_late_at_the_end) {
  canary_book_t book = begin();
  add(&book, 0, CANARY_ACCEPTED);
  add(&book, 40, CANARY_ACCEPTED);
  cr_expect_not(canary_book_finish(&book, s(50)));
  expect(&book, 0, 0, 0, 1, 1);
  book = begin();
  add(&book, 40, CANARY_ACCEPTED);
  cr_expect(canary_book_finish(&book, s(50)), "it was still in time");
  expect(&book, 0, 0, 0, 1, 0);
}

Test(canary, what_was_not_accepted_need_not_come_but_may) {
  canary_book_t book = begin();
  add(&book, 0, CANARY_REFUSED);
  add(&book, 1, CANARY_UNSURE);
  add(&book, 2, CANARY_UNSURE);
  canary_book_read(&book, "a", 1, s(100));
  cr_expect(canary_book_finish(&book, s(200)));
  cr_expect_eq(book.refused, 1);
  cr_expect_eq(book.unsure, 2);
  cr_expect_eq(book.logged, 0);
  expect(&book, 1, 0, 0, 0, 0);
}

Test(canary, where_reading_begins) {
  canary_book_t book = begin();
  cr_expect_eq(canary_book_since(&book, s(1000), true), s(1000 - 2 * LATE_S));
  for (int i = 0; i < 3; i++)
    add(&book, 100 + i, CANARY_ACCEPTED);
  canary_book_read(&book, "a", 0, s(103));
  cr_expect_eq(canary_book_since(&book, s(1000), false), s(101));
  canary_book_read(&book, "b", 1, s(103));
  canary_book_read(&book, "c", 2, s(103));
  cr_expect_eq(canary_book_since(&book, s(1000), false), s(1000 - 2 * LATE_S));
  cr_expect_eq(canary_book_since(&book, s(1000), true), s(100));
  cr_expect_eq(canary_book_since(&book, s(120), true), s(120 - 2 * LATE_S));
  canary_book_deinit(&book);
}

Test(canary, forgets) {
  canary_book_t book = begin();
  for (int i = 0; i < 3 * HOUR_S; i++) {
    char id[16];
    uint64_t number = add(&book, i, CANARY_ACCEPTED);
    snprintf(id, sizeof id, "%d", i);
    canary_book_read(&book, id, number, s(i));
    canary_book_judge(&book, s(i));
  }
  cr_expect_leq(book.count, HOUR_S + 1);
  cr_expect_leq(book.seen.count, HOUR_S + 1);
  canary_book_read(&book, "0", 0, s(3 * HOUR_S)); /* long forgotten, and no second one therefore */
  uint64_t missing = add(&book, 3 * HOUR_S, CANARY_ACCEPTED);
  canary_book_judge(&book, s(3 * HOUR_S + DAY_S));
  cr_expect_eq(book.first, missing);
  cr_expect_eq(book.late, 1);
  canary_book_judge(&book, s(3 * HOUR_S + DAY_S) + 1);
  cr_expect_eq(book.count, 0);
  expect(&book, 3 * HOUR_S, 0, 0, 0, 1);
}
