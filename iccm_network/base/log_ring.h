/* log_ring.h: a ring of log records in memory that is allocated once. When it is full, the oldest records are
 * dropped and counted. Not thread-safe: the owner locks. */
#ifndef MCP_LOG_RING_H
#define MCP_LOG_RING_H

#include "base/log.h"

typedef struct mcp__log_ring {
  char *memory;
  size_t size;
  size_t begin, end; /* offsets of the oldest record, and of the free space after the newest */
  size_t wrapped;    /* offset where records continue at 0; 0: they do not */
  size_t count, max_count;
  uint64_t dropped; /* in total */
} mcp__log_ring_t;

int mcp__log_ring_init(mcp__log_ring_t *ring, size_t max_bytes, size_t max_count); /* 0 or UV_ENOMEM */
void mcp__log_ring_deinit(mcp__log_ring_t *ring);                                  /* a zeroed ring is fine */

void mcp__log_ring_push(mcp__log_ring_t *ring, const mcp__log_record_t *record); /* copies the record */

/* Removes the oldest record; record then points into memory. False: the ring is empty, or out of memory (the
 * record stays). */
bool mcp__log_ring_pop(mcp__log_ring_t *ring, mcp__log_record_t *record, mcp__buf_t *memory);

#endif
