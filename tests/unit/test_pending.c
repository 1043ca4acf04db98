/* test_pending.c: random operations compared with a plain model, order of deadlines, backoff, out of memory.
 */
#include "client/pending.h"
#include "leaks.h"
#include "out_of_memory.h"

#include <string.h>
#include <uv.h>

static uint32_t next_random(uint32_t *state) { /* xorshift */
  *state ^= *state << 13;
  *state ^= *state >> 17;
  *state ^= *state << 5;
  return *state;
}

enum { ENTRIES = 400 };

typedef struct model {
  mcp__pending_t pending;
  mcp__pending_call_t entries[ENTRIES]; /* id 0: not in pending */
  uint64_t last_id;
} model_t;

static void expect_agreement(const model_t *model) {
  size_t count = 0;
  const mcp__pending_call_t *before = NULL;
  for (const mcp__pending_call_t *each = model->pending.first; each != NULL; each = each->next) {
    cr_assert_eq(each->prev, before);
    if (before != NULL) { /* added later: after those with the same deadline */
      cr_assert_leq(before->deadline_ms, each->deadline_ms);
      cr_assert(before->deadline_ms < each->deadline_ms || before->id < each->id);
    }
    before = each;
    count++;
  }
  cr_assert_eq(model->pending.last, before);
  cr_assert_eq(model->pending.count, count);
  for (size_t i = 0; i < ENTRIES; i++) {
    if (model->entries[i].id != 0)
      cr_assert_eq(mcp__pending_find(&model->pending, model->entries[i].id), &model->entries[i]);
    count -= model->entries[i].id != 0;
  }
  cr_assert_eq(count, 0);
}

static void step(model_t *model, uint32_t *random) {
  mcp__pending_call_t *entry = &model->entries[next_random(random) % ENTRIES];
  if (entry->id != 0) {
    uint64_t id = entry->id;
    mcp__pending_remove(&model->pending, entry);
    cr_assert_null(mcp__pending_find(&model->pending, id));
    entry->id = 0;
    return;
  }
  model->last_id += 1 + next_random(random) % 3 * (next_random(random) % 20);
  memset(entry, 0xee, sizeof *entry); /* links need not be cleared */
  entry->id = model->last_id;
  entry->deadline_ms = 1000 + next_random(random) % 50;
  cr_assert_eq(mcp__pending_add(&model->pending, entry), 0);
}

Test(pending, random_operations) {
  static model_t model;
  for (uint32_t seed = 1; seed <= 20; seed++) {
    uint32_t random = seed * 2654435761u;
    memset(&model, 0, sizeof model);
    cr_assert_null(mcp__pending_find(&model.pending, 1), "empty");
    for (int i = 0; i < 2000; i++) {
      step(&model, &random);
      if (i % 16 == 0)
        expect_agreement(&model);
    }
    for (size_t i = 0; i < ENTRIES; i++)
      if (model.entries[i].id != 0)
        mcp__pending_remove(&model.pending, &model.entries[i]);
    cr_assert_eq(model.pending.count, 0);
    cr_assert_null(model.pending.first);
    cr_assert_null(model.pending.last);
    mcp__pending_deinit(&model.pending);
  }
  expect_no_leak();
}

Test(pending, earliest_first) {
  static const uint64_t deadlines[] = {50, 10, 30, 30, UINT64_MAX, 0, 50, 10};
  static const uint64_t order[] = {6, 2, 8, 3, 4, 1, 7, 5};
  mcp__pending_call_t entries[8];
  mcp__pending_t pending = {0};
  for (size_t i = 0; i < 8; i++) {
    entries[i] = (mcp__pending_call_t){.id = i + 1, .deadline_ms = deadlines[i]};
    cr_assert_eq(mcp__pending_add(&pending, &entries[i]), 0);
  }
  for (size_t i = 0; i < 8; i++) {
    cr_expect_eq(pending.first->id, order[i], "place %zu: %llu", i, (unsigned long long)pending.first->id);
    mcp__pending_remove(&pending, pending.first);
  }
  mcp__pending_deinit(&pending);
  mcp__pending_deinit(&pending);
  expect_no_leak();
}

Test(pending, ids_of_64_bits) {
  static const uint64_t ids[] = {UINT64_MAX, UINT64_MAX - 16, 16, 32, UINT64_C(1) << 32, UINT64_C(1) << 63};
  mcp__pending_call_t entries[6];
  mcp__pending_t pending = {0};
  for (size_t i = 0; i < 6; i++) {
    entries[i] = (mcp__pending_call_t){.id = ids[i]};
    cr_assert_eq(mcp__pending_add(&pending, &entries[i]), 0);
  }
  for (size_t i = 0; i < 6; i++) {
    cr_expect_eq(mcp__pending_find(&pending, ids[i]), &entries[i]);
    cr_expect_null(mcp__pending_find(&pending, ids[i] + 64));
  }
  for (size_t i = 0; i < 6; i++)
    mcp__pending_remove(&pending, &entries[i]);
  mcp__pending_deinit(&pending);
  expect_no_leak();
}

Test(pending, memory_that_runs_out) {
  use_failing_allocator();
  for (long allocations = 0; allocations < 6; allocations++) {
    static mcp__pending_call_t entries[ENTRIES];
    mcp__pending_t pending = {0};
    size_t added = 0;
    memory.allowed = allocations;
    for (; added < ENTRIES; added++) {
      entries[added] = (mcp__pending_call_t){.id = added + 1, .deadline_ms = 5};
      if (mcp__pending_add(&pending, &entries[added]) != 0)
        break;
    }
    cr_expect_eq(added, allocations == 0                            ? 0
                        : (size_t)16 << (allocations - 1) > ENTRIES ? ENTRIES
                                                                    : (size_t)16 << (allocations - 1));
    cr_expect_eq(pending.count, added, "as it was before");
    cr_expect_null(mcp__pending_find(&pending, added + 1));
    for (size_t i = 0; i < added; i++) {
      cr_assert_eq(mcp__pending_find(&pending, i + 1), &entries[i]);
      mcp__pending_remove(&pending, &entries[i]);
    }
    mcp__pending_deinit(&pending);
    cr_expect_eq(memory.live, 0);
  }
  expect_no_leak();
}

Test(pending, backoff) {
  static const uint64_t middle[] = {100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000};
  for (unsigned attempt = 0; attempt < 100; attempt++) {
    uint64_t delay = middle[attempt < 10 ? attempt : 10], least = UINT64_MAX, most = 0;
    for (uint32_t chance = 0; chance <= 30000; chance++) {
      uint64_t ms = mcp__backoff_ms(attempt, chance);
      least = ms < least ? ms : least;
      most = ms > most ? ms : most;
    }
    cr_expect_eq(least, delay / 2, "attempt %u", attempt);
    cr_expect_eq(most, delay + delay / 2, "attempt %u", attempt);
  }
  static const unsigned late[] = {31, 32, 63, 64, 1000000, UINT32_MAX};
  for (size_t i = 0; i < sizeof late / sizeof *late; i++)
    for (uint32_t chance = UINT32_MAX; chance > UINT32_MAX - 40000; chance--)
      cr_assert(mcp__backoff_ms(late[i], chance) >= 15000 && mcp__backoff_ms(late[i], chance) <= 45000);
}
