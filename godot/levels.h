/* levels.h: the least level of each component that is queued at all; a copy of what Redis holds. */
#ifndef GODOT_LEVELS_H
#define GODOT_LEVELS_H

#include <stddef.h>

typedef struct levels {
  struct level *items; /* ours; sorted by name once levels_sort() was called */
  size_t count;
} levels_t;

/* Makes room for so many and forgets what there was. MCP_ENOMEM leaves everything as it was. */
int levels_reset(levels_t *levels, size_t capacity);
void levels_deinit(levels_t *levels);

/* Adds one within the capacity, copied; a level that is none of ours is left out. MCP_ENOMEM. */
int levels_add(levels_t *levels, const char *component, size_t len, const char *level);
void levels_sort(levels_t *levels);

/* MCP_LOG_...; -1 for a component without one. */
int levels_get(const levels_t *levels, const char *component, size_t len);

#endif
