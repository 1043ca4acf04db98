/* levels.h: the minimum log level of each component; a copy of the hash in Redis. */
#ifndef GODOT_LEVELS_H
#define GODOT_LEVELS_H

#include <stddef.h>

typedef struct levels {
  struct level *items; /* owned; sorted by component after levels_sort() */
  size_t count;
} levels_t;

/* Removes all levels and allocates room for `capacity` new ones. On MCP_ENOMEM nothing is changed. */
int levels_reset(levels_t *levels, size_t capacity);
void levels_deinit(levels_t *levels);

/* Adds the level of a component, which is copied; at most as many as levels_reset() made room for. An invalid
 * level is ignored. Returns 0 or MCP_ENOMEM. */
int levels_add(levels_t *levels, const char *component, size_t len, const char *level);
void levels_sort(levels_t *levels);

/* Returns MCP_LOG_..., or -1 if the component has no level. */
int levels_get(const levels_t *levels, const char *component, size_t len);

#endif
