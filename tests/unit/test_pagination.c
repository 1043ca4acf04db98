/* test_pagination.c: pages around the size limit, and cursors after their entries were removed. */
#include "leaks.h"
#include "mcp/pagination.h"
#include "out_of_memory.h"

#include <stdio.h>
#include <string.h>
#include <uv.h>

/* A list whose entry i has the number numbers[i], takes sizes[i] bytes and begins with "<number>:". */
static void make(mcp__pages_t *pages, const uint64_t *numbers, const size_t *sizes, size_t count) {
  cr_assert_eq(mcp__pages_init(pages, count), 0);
  for (size_t i = 0; i < count; i++) {
    char *text = malloc(sizes[i] + 32);
    int len = snprintf(text, 32, "%llu:", (unsigned long long)numbers[i]);
    memset(text + len, 'x', sizes[i]);
    cr_assert_eq(mcp__pages_begin_entry(pages, numbers[i]), 0);
    cr_assert_eq(mcp__buf_append(&pages->text, text, sizes[i]), 0);
    free(text);
  }
  mcp__pages_cut(pages);
}

/* "1,2" for a page of the entries 1 and 2. */
static const char *numbers_on(const mcp__page_t *page) {
  static char text[1000];
  size_t len = 0;
  text[0] = '\0';
  for (const char *at = page->text, *end = at + page->len; at < end; at++) {
    const char *stop = memchr(at, ',', (size_t)(end - at));
    len +=
        (size_t)snprintf(text + len, sizeof text - len, "%s%llu", len > 0 ? "," : "", strtoull(at, NULL, 10));
    at = stop != NULL ? stop : end - 1;
  }
  return text;
}

static void expect_page(const mcp__pages_t *pages, uint64_t cursor, const char *numbers, uint64_t next) {
  mcp__page_t page = mcp__pages_after(pages, cursor);
  cr_expect_str_eq(numbers_on(&page), numbers, "behind %llu: %s", (unsigned long long)cursor,
                   numbers_on(&page));
  cr_expect_eq(page.next, next, "behind %llu: %llu", (unsigned long long)cursor,
               (unsigned long long)page.next);
  cr_expect(page.len <= MCP__PAGES_MAX_BYTES || strchr(numbers, ',') == NULL, "%zu bytes", page.len);
}

enum { HALF = (MCP__PAGES_MAX_BYTES - 1) / 2, REST = MCP__PAGES_MAX_BYTES - 1 - HALF };

Test(pages, none) {
  mcp__pages_t pages;
  make(&pages, NULL, NULL, 0);
  expect_page(&pages, 0, "", 0);
  expect_page(&pages, 7, "", 0);
  cr_expect_eq(pages.last_cursor, 0);
  mcp__pages_deinit(&pages);
  expect_no_leak();
}

Test(pages, the_bound) {
  static const uint64_t numbers[] = {1, 2};
  mcp__pages_t pages;
  make(&pages, numbers, (const size_t[]){HALF, REST}, 2); /* with the comma exactly the size of a page */
  expect_page(&pages, 0, "1,2", 0);
  cr_expect_eq(mcp__pages_after(&pages, 0).len, MCP__PAGES_MAX_BYTES);
  cr_expect_eq(pages.last_cursor, 0);
  mcp__pages_deinit(&pages);
  make(&pages, numbers, (const size_t[]){HALF, REST + 1}, 2);
  expect_page(&pages, 0, "1", 1);
  expect_page(&pages, 1, "2", 0);
  cr_expect_eq(pages.last_cursor, 1);
  mcp__pages_deinit(&pages);
  expect_no_leak();
}

Test(pages, an_entry_larger_than_a_page) {
  static const uint64_t numbers[] = {3, 5, 8, 9};
  static const size_t sizes[] = {10, MCP__PAGES_MAX_BYTES * 2, 10, MCP__PAGES_MAX_BYTES + 1};
  mcp__pages_t pages;
  make(&pages, numbers, sizes, 4);
  expect_page(&pages, 0, "3", 3);
  expect_page(&pages, 3, "5", 5);
  expect_page(&pages, 5, "8", 8);
  expect_page(&pages, 8, "9", 0);
  expect_page(&pages, 9, "", 0);
  cr_expect_eq(pages.last_cursor, 8);
  mcp__pages_deinit(&pages);
  expect_no_leak();
}

/* From any cursor on, all later entries are returned once and in order. */
Test(pages, every_cursor) {
  enum { COUNT = 60 };
  uint64_t numbers[COUNT];
  size_t sizes[COUNT];
  mcp__pages_t pages;
  for (size_t i = 0; i < COUNT; i++) {
    numbers[i] = 3 * i + 1; /* two of three are removed */
    sizes[i] = 10 + i * 7919 % 17 * (MCP__PAGES_MAX_BYTES / 20);
  }
  make(&pages, numbers, sizes, COUNT);
  for (uint64_t from = 0; from <= numbers[COUNT - 1]; from++) {
    uint64_t cursor = from;
    size_t expected = (size_t)(from + 2) / 3;
    do {
      char text[1000];
      mcp__page_t page = mcp__pages_after(&pages, cursor);
      cr_assert_leq(page.len, MCP__PAGES_MAX_BYTES);
      snprintf(text, sizeof text, "%s", numbers_on(&page));
      for (char *at = text; *at != '\0'; expected++) {
        cr_assert_lt(expected, COUNT);
        cr_assert_eq(strtoull(at, &at, 10), numbers[expected]);
        at += *at == ',';
      }
      cr_assert(page.next == 0 || (page.next > cursor && page.next <= pages.last_cursor));
      cursor = page.next;
    } while (cursor != 0);
    cr_assert_eq(expected, COUNT, "behind %llu", (unsigned long long)from);
  }
  mcp__pages_deinit(&pages);
  expect_no_leak();
}

Test(pages, memory_that_runs_out) {
  mcp__pages_t pages;
  use_failing_allocator();
  cr_expect_eq(mcp__pages_init(&pages, 2), UV_ENOMEM);
  memory.allowed = 2;
  cr_assert_eq(mcp__pages_init(&pages, 2), 0);
  cr_assert_eq(mcp__pages_begin_entry(&pages, 1), 0);
  cr_assert_eq(mcp__buf_puts(&pages.text, "1"), 0);
  memory.allowed = 0;
  while (pages.text.len < pages.text.cap)
    cr_assert_eq(mcp__buf_puts(&pages.text, "1"), 0);
  cr_expect_eq(mcp__pages_begin_entry(&pages, 2), UV_ENOMEM);
  mcp__pages_deinit(&pages);
  cr_assert_eq(memory.live, 0);
  expect_no_leak();
}
