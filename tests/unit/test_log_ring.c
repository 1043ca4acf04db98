/* test_log_ring.c: records in and out in order, drops when the ring is full, and comparison with a plain
 * list. */
#include "base/log_ring.h"
#include "leaks.h"
#include "out_of_memory.h"

#include <stdio.h>
#include <string.h>
#include <uv.h>

static uint32_t next_random(uint32_t *state) { /* xorshift */
  *state ^= *state << 13;
  *state ^= *state >> 17;
  *state ^= *state << 5;
  return *state;
}

static bool same_text(const char *a, const char *b) {
  return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static void expect_same(const mcp__log_record_t *got, const mcp__log_record_t *wanted) {
  cr_assert(got->level == wanted->level && got->time_us == wanted->time_us);
  cr_assert(same_text(got->part, wanted->part) && same_text(got->message, wanted->message),
            "%s: %s not %s: %s", got->part, got->message, wanted->part, wanted->message);
  cr_assert(same_text(got->trace_id, wanted->trace_id) && same_text(got->span_id, wanted->span_id) &&
            same_text(got->parent_span_id, wanted->parent_span_id));
  cr_assert_eq(got->data == NULL, wanted->data == NULL);
  cr_assert(got->data_len == wanted->data_len &&
            (got->data == NULL || memcmp(got->data, wanted->data, got->data_len) == 0));
}

Test(log_ring, every_text_there_or_not) {
  mcp__log_ring_t ring;
  mcp__buf_t text;
  mcp__buf_init(&text, 1 << 20, NULL);
  cr_assert_eq(mcp__log_ring_init(&ring, 4096, 10), 0);
  for (unsigned there = 0; there < 64; there++) {
    mcp__log_record_t in = {.level = (int)there % 5,
                            .time_us = INT64_MAX - there,
                            .part = there & 1 ? "part" : NULL,
                            .message = there & 2 ? "" : NULL,
                            .trace_id = there & 4 ? "trace" : NULL,
                            .span_id = there & 8 ? "0123456789abcdef" : NULL,
                            .parent_span_id = there & 16 ? "p" : NULL,
                            .data = there & 32 ? "{\"a\":1} not this" : NULL,
                            .data_len = there & 32 ? 7 : 0};
    mcp__log_record_t out;
    mcp__log_ring_push(&ring, &in);
    cr_assert(mcp__log_ring_pop(&ring, &out, &text));
    expect_same(&out, &in);
    cr_assert(out.data == NULL || out.data[out.data_len] == '\0');
    cr_assert(!mcp__log_ring_pop(&ring, &out, &text));
  }
  cr_assert_eq(ring.dropped, 0);
  mcp__log_ring_deinit(&ring);
  mcp__log_ring_deinit(&ring);
  mcp__buf_deinit(&text);
  expect_no_leak();
}

Test(log_ring, more_than_may_wait_push_out_the_oldest) {
  mcp__log_ring_t ring;
  mcp__buf_t text;
  mcp__log_record_t record = {.part = "p", .message = "m"};
  mcp__buf_init(&text, 4096, NULL);
  cr_assert_eq(mcp__log_ring_init(&ring, 1 << 20, 100), 0);
  for (int i = 0; i < 250; i++) {
    record.time_us = i;
    mcp__log_ring_push(&ring, &record);
    cr_assert_eq(ring.dropped, (uint64_t)(i < 100 ? 0 : i - 99));
    cr_assert_eq(ring.count, (size_t)(i < 100 ? i + 1 : 100));
  }
  for (int i = 150; i < 250; i++) {
    cr_assert(mcp__log_ring_pop(&ring, &record, &text));
    cr_assert_eq(record.time_us, i);
  }
  cr_assert(!mcp__log_ring_pop(&ring, &record, &text));
  cr_assert_eq(ring.dropped, 150);
  mcp__log_ring_deinit(&ring);
  mcp__buf_deinit(&text);
}

Test(log_ring, one_that_is_larger_than_all_room_is_dropped_itself) {
  mcp__log_ring_t ring;
  mcp__buf_t text;
  char words[2048];
  memset(words, 'x', sizeof words);
  words[sizeof words - 1] = '\0';
  mcp__log_record_t small = {.part = "p", .message = "small"}, large = {.part = "p", .message = words}, out;
  mcp__buf_init(&text, 4096, NULL);
  cr_assert_eq(mcp__log_ring_init(&ring, 1024, 100), 0);
  mcp__log_ring_push(&ring, &small);
  mcp__log_ring_push(&ring, &large);
  cr_assert(ring.count == 1 && ring.dropped == 1);
  cr_assert(mcp__log_ring_pop(&ring, &out, &text));
  expect_same(&out, &small);
  mcp__log_ring_deinit(&ring);
  mcp__buf_deinit(&text);
}

/* ---- against a plain list --------------------------------------------------------------------------- */

enum { MODEL = 4096 };

typedef struct model {
  struct {
    int64_t number;
    size_t len;
  } items[MODEL];
  size_t first, behind;
} model_t;

static char filler[3000];

static mcp__log_record_t entry_of(int64_t number, size_t len) {
  return (mcp__log_record_t){.level = (int)(number % 5),
                             .time_us = number,
                             .part = "part",
                             .message = filler + sizeof filler - 1 - len,
                             .data = number % 3 == 0 ? filler : NULL,
                             .data_len = number % 3 == 0 ? len / 2 : 0};
}

static void pop_both(mcp__log_ring_t *ring, model_t *model, mcp__buf_t *text) {
  mcp__log_record_t out;
  bool popped = mcp__log_ring_pop(ring, &out, text);
  cr_assert_eq(popped, model->first < model->behind);
  if (!popped)
    return;
  mcp__log_record_t wanted = entry_of(model->items[model->first].number, model->items[model->first].len);
  expect_same(&out, &wanted);
  model->first++;
}

/* The oldest records are dropped, as the following pops show. No record is as large as the ring. */
static void push_both(mcp__log_ring_t *ring, model_t *model, int64_t number, size_t len) {
  mcp__log_record_t record = entry_of(number, len);
  uint64_t before = ring->dropped;
  size_t waiting = model->behind - model->first;
  mcp__log_ring_push(ring, &record);
  uint64_t dropped = ring->dropped - before;
  model->items[model->behind].number = number;
  model->items[model->behind++].len = len;
  cr_assert_leq(dropped, waiting);
  model->first += dropped;
  cr_assert_eq(ring->count, model->behind - model->first);
}

static void play(size_t bytes, size_t max_count, uint32_t seed) {
  static model_t model;
  mcp__log_ring_t ring;
  mcp__buf_t text;
  model.first = model.behind = 0;
  mcp__buf_init(&text, 1 << 16, NULL);
  cr_assert_eq(mcp__log_ring_init(&ring, bytes, max_count), 0);
  for (int64_t number = 0; number < MODEL; number++) {
    push_both(&ring, &model, number, next_random(&seed) % (bytes / 4));
    for (uint32_t pops = next_random(&seed) % 4; pops > 1; pops--)
      pop_both(&ring, &model, &text);
    if (next_random(&seed) % 200 == 0)
      while (model.first < model.behind)
        pop_both(&ring, &model, &text);
    cr_assert_leq(ring.count, max_count);
  }
  while (model.first < model.behind)
    pop_both(&ring, &model, &text);
  pop_both(&ring, &model, &text);
  cr_assert_eq(ring.count, 0);
  mcp__log_ring_deinit(&ring);
  mcp__buf_deinit(&text);
}

Test(log_ring, as_a_plain_list_does_at_every_size) {
  memset(filler, 'f', sizeof filler - 1);
  for (size_t bytes = 512; bytes < 768; bytes++) /* every position relative to the end of the memory */
    play(bytes, 50, (uint32_t)bytes);
  for (size_t count = 1; count < 20; count++)
    play(8192, count, (uint32_t)count);
  expect_no_leak();
}

Test(log_ring, a_line_that_no_memory_is_there_for_stays) {
  mcp__log_ring_t ring;
  mcp__buf_t text;
  mcp__log_record_t in = {.part = "p", .message = "m"}, out;
  use_failing_allocator();
  mcp__buf_init(&text, 4096, NULL);
  cr_assert_eq(mcp__log_ring_init(&ring, 1024, 10), UV_ENOMEM);
  memory.allowed = 1;
  cr_assert_eq(mcp__log_ring_init(&ring, 1024, 10), 0);
  mcp__log_ring_push(&ring, &in);
  cr_assert(!mcp__log_ring_pop(&ring, &out, &text));
  cr_assert_eq(ring.count, 1);
  memory.allowed = 1;
  cr_assert(mcp__log_ring_pop(&ring, &out, &text));
  expect_same(&out, &in);
  mcp__buf_deinit(&text);
  mcp__log_ring_deinit(&ring);
  cr_assert_eq(memory.live, 0);
}
