/* test_arena.c: limits of chunks and of the maximum, growing in place, reset, out of memory. */
#include "base/arena.h"
#include "leaks.h"
#include "out_of_memory.h"

#include <string.h>

enum { CHUNK = 4096 }; /* minimum size of a chunk */

Test(arena, pieces_are_aligned_and_apart) {
  mcp__arena_t arena;
  unsigned char *pieces[300];
  mcp__arena_init(&arena, 1 << 20);
  for (size_t i = 0; i < 300; i++) {
    pieces[i] = mcp__arena_alloc(&arena, i);
    cr_assert_not_null(pieces[i]);
    cr_assert_eq((uintptr_t)pieces[i] % _Alignof(max_align_t), 0);
    memset(pieces[i], (int)(i & 255), i);
  }
  for (size_t i = 0; i < 300; i++)
    for (size_t j = 0; j < i; j++)
      cr_assert_eq(pieces[i][j], i & 255);
  cr_assert_not(arena.failed);
  mcp__arena_deinit(&arena);
  expect_no_leak();
}

Test(arena, maximum) {
  static const struct {
    size_t max, size;
    bool fits;
  } rows[] = {
      {0, 0, false},
      {0, 1, false},
      {CHUNK - 1, 1, false}, /* not even one chunk */
      {CHUNK, 1, true},
      {CHUNK, CHUNK, true},
      {CHUNK, CHUNK + 1, false},
      {10000, 9984, true},
      {10000, 10000, true},
      {10000, 10001, false},
      {9999, 9999, false}, /* too large after rounding up */
      {10000, SIZE_MAX, false},
      {10000, SIZE_MAX - 15, false},
      {SIZE_MAX / 2, SIZE_MAX, false},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    mcp__arena_t arena;
    mcp__arena_init(&arena, rows[i].max);
    void *memory_of_it = mcp__arena_alloc(&arena, rows[i].size);
    cr_expect_eq(memory_of_it != NULL, rows[i].fits, "%zu of %zu", rows[i].size, rows[i].max);
    cr_expect_eq(arena.failed, !rows[i].fits, "%zu of %zu", rows[i].size, rows[i].max);
    cr_expect_leq(arena.used, arena.max);
    if (memory_of_it != NULL)
      memset(memory_of_it, 1, rows[i].size);
    mcp__arena_deinit(&arena);
  }
  expect_no_leak();
}

Test(arena, chunks_together_stay_below_the_maximum) {
  mcp__arena_t arena;
  mcp__arena_init(&arena, 3 * CHUNK + 100);
  size_t count = 0;
  while (mcp__arena_alloc(&arena, 1024) != NULL)
    count++;
  cr_expect_eq(count, 12);
  cr_expect(arena.failed);
  cr_expect_leq(arena.used, arena.max);
  mcp__arena_deinit(&arena);
  expect_no_leak();
}

Test(arena, grows_and_shrinks_in_place) {
  mcp__arena_t arena;
  mcp__arena_init(&arena, 1 << 20);
  const yyjson_alc *alc = &arena.alc;
  char *text = alc->malloc(alc->ctx, 10);
  memcpy(text, "0123456789", 10);
  cr_expect_eq(alc->realloc(alc->ctx, text, 10, CHUNK), text, "the newest, and there is room");
  cr_expect_eq(alc->realloc(alc->ctx, text, CHUNK, 20), text);
  char *next = alc->malloc(alc->ctx, 16);
  cr_expect_eq(next, text + 32);
  char *moved = alc->realloc(alc->ctx, text, 20, 40);
  cr_expect_neq(moved, text, "not the newest");
  cr_expect_eq(memcmp(moved, "0123456789", 10), 0);
  char *large = alc->realloc(alc->ctx, moved, 40, 3 * CHUNK);
  cr_expect_neq(large, moved, "does not fit into the chunk");
  cr_expect_eq(memcmp(large, "0123456789", 10), 0);
  char *small = alc->realloc(alc->ctx, text, 20, 5);
  cr_expect_eq(memcmp(small, "01234", 5), 0);
  cr_expect_null(alc->realloc(alc->ctx, small, 5, SIZE_MAX));
  cr_expect(arena.failed);
  cr_expect_eq(memcmp(small, "01234", 5), 0, "still there");
  alc->free(alc->ctx, small);
  mcp__arena_deinit(&arena);
  expect_no_leak();
}

Test(arena, reset_keeps_one_chunk_and_forgets_the_failure) {
  static const struct {
    size_t sizes[3], kept;
  } rows[] = {{{10, 10, 10}, CHUNK},
              {{CHUNK, CHUNK, CHUNK}, CHUNK},
              {{10, 2 * CHUNK, 10}, CHUNK},
              {{2 * CHUNK, 10, 10}, 0}}; /* large chunks are not kept */
  use_failing_allocator();
  memory.allowed = 1000;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    mcp__arena_t arena;
    mcp__arena_init(&arena, 100000);
    for (int round = 0; round < 3; round++) {
      for (size_t j = 0; j < 3; j++)
        memset(mcp__arena_alloc(&arena, rows[i].sizes[j]), 1, rows[i].sizes[j]);
      cr_expect_null(mcp__arena_alloc(&arena, 100001));
      mcp__arena_reset(&arena);
      cr_expect_not(arena.failed);
      cr_expect_eq(arena.used, rows[i].kept, "row %zu: %zu", i, arena.used);
      cr_expect_eq(memory.live, rows[i].kept / CHUNK, "row %zu", i);
    }
    mcp__arena_deinit(&arena);
    mcp__arena_deinit(&arena);
    cr_expect_eq(memory.live, 0);
  }
  mcp__arena_t untouched;
  mcp__arena_init(&untouched, 10);
  mcp__arena_reset(&untouched);
  mcp__arena_deinit(&untouched);
  expect_no_leak();
}

/* Growing beyond a chunk leaves no unused chunk. */
Test(arena, a_large_piece_takes_its_chunk_with_it) {
  use_failing_allocator();
  memory.allowed = 1000;
  mcp__arena_t arena;
  mcp__arena_init(&arena, 1 << 20);
  const yyjson_alc *alc = &arena.alc;
  char *small = alc->malloc(alc->ctx, 10);
  char *text = alc->malloc(alc->ctx, 2 * CHUNK);
  memset(text, 'x', 2 * CHUNK);
  for (size_t size = 2 * CHUNK; size < 40 * CHUNK; size *= 2) {
    text = alc->realloc(alc->ctx, text, size, 2 * size);
    cr_assert_not_null(text);
    cr_expect_eq(arena.used, CHUNK + 2 * size);
    cr_expect_eq(memory.live, 2, "chunks");
    cr_expect(text[0] == 'x' && text[2 * CHUNK - 1] == 'x');
  }
  cr_expect_null(alc->realloc(alc->ctx, text, 64 * CHUNK, 1 << 20), "the other chunk counts, too");
  cr_expect(arena.failed && !arena.out_of_memory);
  arena.failed = false;
  memory.allowed = 0;
  cr_expect_null(alc->realloc(alc->ctx, text, 64 * CHUNK, 65 * CHUNK));
  cr_expect(arena.failed && arena.out_of_memory);
  memory.allowed = 1000;
  cr_expect(text[0] == 'x' && text[2 * CHUNK - 1] == 'x', "still there");
  memset(small, 1, 10);
  mcp__arena_deinit(&arena);
  expect_no_leak();
}

Test(arena, trim) {
  static const struct {
    size_t size, used, left;
  } rows[] = {{100 * CHUNK, 10 * CHUNK, 10 * CHUNK},
              {100 * CHUNK, 1, 16},
              {100 * CHUNK, 60 * CHUNK, 100 * CHUNK}, /* trimmed only if at least half is unused */
              {10 * CHUNK, 1, 10 * CHUNK}};           /* small chunks are not trimmed */
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    mcp__arena_t arena;
    mcp__arena_init(&arena, 1 << 20);
    char *text = mcp__arena_alloc(&arena, rows[i].size);
    memset(text, 'x', rows[i].size);
    text = mcp__arena_trim(&arena, text, rows[i].used);
    cr_expect_eq(arena.used, rows[i].left, "row %zu: %zu", i, arena.used);
    cr_expect_eq(text[rows[i].used - 1], 'x');
    char *next = mcp__arena_alloc(&arena, 10);
    cr_expect_eq(mcp__arena_trim(&arena, text, 1), text, "not the newest");
    memset(next, 1, 10);
    mcp__arena_deinit(&arena);
  }
  expect_no_leak();
}

/* yyjson continues without a member that failed: only arena.failed shows it. */
Test(arena, memory_that_runs_out) {
  use_failing_allocator();
  long allocations = 0;
  for (bool complete = false; !complete; allocations++) {
    mcp__arena_t arena;
    memory.allowed = allocations;
    mcp__arena_init(&arena, 1 << 20);
    yyjson_mut_doc *doc = yyjson_mut_doc_new(&arena.alc);
    yyjson_mut_val *list = yyjson_mut_arr(doc);
    yyjson_mut_doc_set_root(doc, list);
    for (int i = 0; i < 2000; i++)
      yyjson_mut_arr_add_strcpy(doc, list, "a piece of text");
    complete = !arena.failed;
    cr_expect_eq(complete, yyjson_mut_arr_size(list) == 2000);
    mcp__arena_deinit(&arena);
    cr_assert_eq(memory.live, 0);
  }
  cr_expect_gt(allocations, 3);
  expect_no_leak();
}
