/* arena.h: an arena allocator; all allocations are freed together. Each call has one. */
#ifndef MCP_ARENA_H
#define MCP_ARENA_H

#include "base/mem.h"

typedef struct mcp__arena {
  struct mcp__chunk *chunks; /* newest first; reset keeps the last of the list */
  size_t used, max;          /* bytes in chunks; at most max */
  /* An allocation failed since the last reset. yyjson continues without the member that failed. */
  bool failed;
  /* An allocation failed although max allowed it. */
  bool out_of_memory;
  yyjson_alc alc; /* allocates from this arena, for yyjson */
} mcp__arena_t;

void mcp__arena_init(mcp__arena_t *arena, size_t max); /* the arena must not move afterwards */
void mcp__arena_deinit(mcp__arena_t *arena);
void *mcp__arena_alloc(mcp__arena_t *arena, size_t size); /* aligned for any type; NULL: sets failed */
/* Shrinks a large chunk that contains only this allocation, if at most half of it (size bytes) is in use.
 * Returns the address of the allocation, which may have moved. */
void *mcp__arena_trim(mcp__arena_t *arena, void *memory, size_t size);
void mcp__arena_reset(mcp__arena_t *arena);

#endif
