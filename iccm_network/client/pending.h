/* pending.h: the pending calls of a client by id and by deadline, and the backoff of reconnects; pure: time
 * is an argument. */
#ifndef MCP_PENDING_H
#define MCP_PENDING_H

#include "base/mem.h"

typedef struct mcp__pending_call {
  uint64_t id;
  uint64_t deadline_ms;
  struct mcp__pending_call *next_in_slot; /* in the same slot of the table */
  struct mcp__pending_call *prev, *next;  /* by deadline, the earliest first */
} mcp__pending_call_t;

typedef struct mcp__pending {
  mcp__pending_call_t **slots;
  size_t slot_count, count; /* slot_count is a power of two, or 0 */
  mcp__pending_call_t *first, *last;
} mcp__pending_t;

/* id and deadline_ms must be set. 0 or UV_ENOMEM. */
int mcp__pending_add(mcp__pending_t *pending, mcp__pending_call_t *call);
mcp__pending_call_t *mcp__pending_find(const mcp__pending_t *pending, uint64_t id);
void mcp__pending_remove(mcp__pending_t *pending, mcp__pending_call_t *call);
void mcp__pending_deinit(mcp__pending_t *pending); /* must be empty */

/* The delay before reconnect attempt number attempt (0, 1, …): 0.1 s, doubling up to 30 s, with a jitter of
 * ±50 %. chance is a random number. */
uint64_t mcp__backoff_ms(unsigned attempt, uint32_t chance);

#endif
