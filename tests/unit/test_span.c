/* test_span.c: ids of spans: none twice, whichever threads make them, and 16 digits always. */
#include "base/span.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 4, EACH = 50000 };

static uint64_t spans[THREADS][EACH];

static void *make(void *arg) {
  for (size_t i = 0; i < EACH; i++)
    ((uint64_t *)arg)[i] = mcp__span_new();
  return NULL;
}

static int compare(const void *a, const void *b) {
  uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
  return (left > right) - (left < right);
}

Test(span, none_twice) {
  pthread_t threads[THREADS];
  for (int i = 0; i < THREADS; i++)
    cr_assert_eq(pthread_create(&threads[i], NULL, make, spans[i]), 0);
  for (int i = 0; i < THREADS; i++)
    pthread_join(threads[i], NULL);
  uint64_t *all = spans[0];
  qsort(all, (size_t)THREADS * EACH, sizeof *all, compare);
  cr_assert_neq(all[0], 0);
  for (size_t i = 1; i < (size_t)THREADS * EACH; i++)
    cr_assert_neq(all[i], all[i - 1]);
}

Test(span, sixteen_digits) {
  static const struct {
    uint64_t span;
    const char *text;
  } rows[] = {{1, "0000000000000001"}, {0xabc, "0000000000000abc"}, {UINT64_MAX, "ffffffffffffffff"}};
  char text[MCP__SPAN_SIZE];
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    mcp__span_write(rows[i].span, text);
    cr_expect_str_eq(text, rows[i].text);
  }
}

Test(span, what_was_written_is_read) {
  static const char *const wrong[] = {"1", "000000000000000", "00000000000000000", "000000000000000A",
                                      "0x00000000000000"};
  char text[MCP__SPAN_SIZE + 1] = "";
  uint64_t span = 1;
  cr_expect(mcp__span_read(text, &span) && span == 0);
  mcp__span_write(UINT64_MAX - 1, text);
  cr_expect(mcp__span_read(text, &span) && span == UINT64_MAX - 1);
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    snprintf(text, sizeof text, "%s", wrong[i]);
    cr_expect_not(mcp__span_read(text, &span), "%s", text);
  }
}
