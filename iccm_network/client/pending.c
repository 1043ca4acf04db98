/* pending.c: a hash table on ids that rise one by one, and a list that is sorted from its end: calls with the
 * same time-out, which is nearly all, are added in one step. */
#include "client/pending.h"

#include <uv.h>

enum { FIRST_SLOTS = 16, BACKOFF_MIN_MS = 100, BACKOFF_MAX_MS = 30000 };

static mcp__waiting_t **slot_of(const mcp__pending_t *pending, uint64_t id) {
  return &pending->slots[id & (pending->slot_count - 1)];
}

static int grow(mcp__pending_t *pending) {
  mcp__pending_t larger = {.slot_count = pending->slot_count > 0 ? pending->slot_count * 2 : FIRST_SLOTS};
  larger.slots = mcp__calloc(larger.slot_count * sizeof *larger.slots);
  if (larger.slots == NULL)
    return UV_ENOMEM;
  for (mcp__waiting_t *each = pending->first; each != NULL; each = each->next) {
    mcp__waiting_t **slot = slot_of(&larger, each->id);
    each->next_same = *slot;
    *slot = each;
  }
  mcp__free(pending->slots);
  pending->slots = larger.slots;
  pending->slot_count = larger.slot_count;
  return 0;
}

int mcp__pending_add(mcp__pending_t *pending, mcp__waiting_t *waiting) {
  if (pending->count >= pending->slot_count && grow(pending) != 0)
    return UV_ENOMEM;
  mcp__waiting_t **slot = slot_of(pending, waiting->id);
  waiting->next_same = *slot;
  *slot = waiting;
  mcp__waiting_t *before = pending->last;
  while (before != NULL && before->deadline_ms > waiting->deadline_ms)
    before = before->prev;
  waiting->prev = before;
  waiting->next = before != NULL ? before->next : pending->first;
  *(before != NULL ? &before->next : &pending->first) = waiting;
  *(waiting->next != NULL ? &waiting->next->prev : &pending->last) = waiting;
  pending->count++;
  return 0;
}

mcp__waiting_t *mcp__pending_find(const mcp__pending_t *pending, uint64_t id) {
  mcp__waiting_t *waiting = pending->slot_count > 0 ? *slot_of(pending, id) : NULL;
  while (waiting != NULL && waiting->id != id)
    waiting = waiting->next_same;
  return waiting;
}

void mcp__pending_remove(mcp__pending_t *pending, mcp__waiting_t *waiting) {
  mcp__waiting_t **same = slot_of(pending, waiting->id);
  while (*same != waiting)
    same = &(*same)->next_same;
  *same = waiting->next_same;
  *(waiting->prev != NULL ? &waiting->prev->next : &pending->first) = waiting->next;
  *(waiting->next != NULL ? &waiting->next->prev : &pending->last) = waiting->prev;
  pending->count--;
}

void mcp__pending_deinit(mcp__pending_t *pending) {
  mcp__free(pending->slots);
  *pending = (mcp__pending_t){0};
}

uint64_t mcp__backoff_ms(unsigned attempt, uint32_t chance) {
  uint64_t delay = BACKOFF_MAX_MS;
  if (attempt < 9 && (uint64_t)BACKOFF_MIN_MS << attempt < BACKOFF_MAX_MS)
    delay = (uint64_t)BACKOFF_MIN_MS << attempt;
  return delay / 2 + chance % (delay + 1);
}
