/* arena.h: memory that is handed out piece by piece and taken back as a whole; a call's own. */
#ifndef MCP_ARENA_H
#define MCP_ARENA_H

#include "base/mem.h"

typedef struct mcp__arena {
  struct mcp__chunk *chunks; /* newest first; the last of the list stays over a reset */
  size_t used, max;          /* bytes in chunks; never over max */
  bool failed;        /* a request was refused since the last reset: yyjson builds on without the member */
  bool out_of_memory; /* … though max allowed it: there is no memory */
  yyjson_alc alc;     /* this arena, for yyjson */
} mcp__arena_t;

void mcp__arena_init(mcp__arena_t *arena, size_t max); /* the arena must not move afterwards */
void mcp__arena_deinit(mcp__arena_t *arena);
void *mcp__arena_alloc(mcp__arena_t *arena, size_t size); /* aligned for anything; NULL sets failed */
/* Gives back most of a large chunk that holds memory alone and no more than size bytes of use: where it is
 * now. */
void *mcp__arena_trim(mcp__arena_t *arena, void *memory, size_t size);
void mcp__arena_reset(mcp__arena_t *arena);

#endif
