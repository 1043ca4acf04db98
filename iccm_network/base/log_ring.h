/* log_ring.h: lines that wait, in memory taken once; when there is no room the oldest go, and are counted.
 * Not for two threads at once: its owner locks. */
#ifndef MCP_LOG_RING_H
#define MCP_LOG_RING_H

#include "base/log.h"

typedef struct mcp__log_ring {
  char *memory;
  size_t size;
  size_t begin, end; /* the oldest line, and where the next one goes */
  size_t wrapped;    /* the lines end here and go on at 0; 0: they do not */
  size_t count, max_count;
  uint64_t dropped; /* in all */
} mcp__log_ring_t;

int mcp__log_ring_init(mcp__log_ring_t *ring, size_t max_bytes, size_t max_count); /* 0 or UV_ENOMEM */
void mcp__log_ring_deinit(mcp__log_ring_t *ring);                                  /* a zeroed one is fine */

void mcp__log_ring_push(mcp__log_ring_t *ring, const mcp__log_record_t *record); /* copied */

/* Takes the oldest out; entry points into memory then. False: there is none, or no memory for it (it stays).
 */
bool mcp__log_ring_pop(mcp__log_ring_t *ring, mcp__log_record_t *record, mcp__buf_t *memory);

#endif
