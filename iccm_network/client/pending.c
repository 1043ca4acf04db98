/* pending.c: a hash table on ids that increase by one, and a list sorted by deadline that is searched from
 * its end: calls with the same time limit, which are most calls, are added in one step. */
#include "client/pending.h"

#include <assert.h>
#include <uv.h>

enum { FIRST_SLOTS = 16, BACKOFF_MIN_MS = 100, BACKOFF_MAX_MS = 30000 };

static mcp__pending_call_t **slot_of(const mcp__pending_t *pending, uint64_t id) {
  return &pending->slots[id & (pending->slot_count - 1)];
}

static int grow(mcp__pending_t *pending) {
  mcp__pending_t larger = {.slot_count = pending->slot_count > 0 ? pending->slot_count * 2 : FIRST_SLOTS};
  larger.slots = mcp__calloc(larger.slot_count * sizeof *larger.slots);
  if (larger.slots == NULL)
    return UV_ENOMEM;
  for (mcp__pending_call_t *each = pending->first; each != NULL; each = each->next) {
    mcp__pending_call_t **slot = slot_of(&larger, each->id);
    each->next_in_slot = *slot;
    *slot = each;
  }
  mcp__free(pending->slots);
  pending->slots = larger.slots;
  pending->slot_count = larger.slot_count;
  return 0;
}

int mcp__pending_add(mcp__pending_t *pending, mcp__pending_call_t *call) {
  if (pending->count >= pending->slot_count && grow(pending) != 0)
    return UV_ENOMEM;
  mcp__pending_call_t **slot = slot_of(pending, call->id);
  call->next_in_slot = *slot;
  *slot = call;
  mcp__pending_call_t *before = pending->last;
  while (before != NULL && before->deadline_ms > call->deadline_ms)
    before = before->prev;
  call->prev = before;
  call->next = before != NULL ? before->next : pending->first;
  *(before != NULL ? &before->next : &pending->first) = call;
  *(call->next != NULL ? &call->next->prev : &pending->last) = call;
  assert(call->prev == NULL || call->prev->deadline_ms <= call->deadline_ms);
  assert(call->next == NULL || call->deadline_ms <= call->next->deadline_ms);
  pending->count++;
  return 0;
}

mcp__pending_call_t *mcp__pending_find(const mcp__pending_t *pending, uint64_t id) {
  mcp__pending_call_t *call = pending->slot_count > 0 ? *slot_of(pending, id) : NULL;
  while (call != NULL && call->id != id)
    call = call->next_in_slot;
  return call;
}

void mcp__pending_remove(mcp__pending_t *pending, mcp__pending_call_t *call) {
  mcp__pending_call_t **slot_end = slot_of(pending, call->id);
  while (*slot_end != call) {
    assert(*slot_end != NULL);
    slot_end = &(*slot_end)->next_in_slot;
  }
  *slot_end = call->next_in_slot;
  assert(call->prev != NULL ? call->prev->next == call : pending->first == call);
  assert(call->next != NULL ? call->next->prev == call : pending->last == call);
  assert(pending->count > 0);
  *(call->prev != NULL ? &call->prev->next : &pending->first) = call->next;
  *(call->next != NULL ? &call->next->prev : &pending->last) = call->prev;
  pending->count--;
}

void mcp__pending_deinit(mcp__pending_t *pending) {
  assert(pending->count == 0 && pending->first == NULL && pending->last == NULL);
  mcp__free(pending->slots);
  *pending = (mcp__pending_t){0};
}

uint64_t mcp__backoff_ms(unsigned attempt, uint32_t chance) {
  uint64_t delay = BACKOFF_MAX_MS;
  if (attempt < 9 && (uint64_t)BACKOFF_MIN_MS << attempt < BACKOFF_MAX_MS)
    delay = (uint64_t)BACKOFF_MIN_MS << attempt;
  return delay / 2 + chance % (delay + 1);
}
