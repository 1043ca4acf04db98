/* log_ring.h: lines that wait, in memory taken once; when there is no room the oldest go, and are counted.
 * Not for two threads at once: its owner locks. */
#ifndef MCP_LOG_RING_H
#define MCP_LOG_RING_H

#include "base/log.h"

typedef struct mcp__lines {
  char *memory;
  size_t size;
  size_t first, behind; /* the oldest line, and where the next one goes */
  size_t wrapped;       /* the lines end here and go on at 0; 0: they do not */
  size_t count, max_count;
  uint64_t dropped; /* in all */
} mcp__lines_t;

int mcp__lines_init(mcp__lines_t *lines, size_t max_bytes, size_t max_count); /* 0 or UV_ENOMEM */
void mcp__lines_deinit(mcp__lines_t *lines);                                  /* a zeroed one is fine */

void mcp__lines_push(mcp__lines_t *lines, const mcp__entry_t *entry); /* copied */

/* Takes the oldest out; entry points into memory then. False: there is none, or no memory for it (it stays).
 */
bool mcp__lines_pop(mcp__lines_t *lines, mcp__entry_t *entry, mcp__buf_t *memory);

#endif
