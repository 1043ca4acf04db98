/* levels.c: a sorted table from component to level.
 *
 * Happy path: reset, add all, sort, then look up the level of each entry. Failure modes: out of memory is
 * returned; levels added before are kept. */
#include "levels.h"

#include <iccm_network.h>
#include <stdlib.h>
#include <string.h>

struct level {
  char *component; /* owned, not NUL-terminated */
  size_t len;
  int level;
};

static int compare(const void *a, const void *b) {
  const struct level *left = a, *right = b;
  size_t len = left->len < right->len ? left->len : right->len;
  int order = memcmp(left->component, right->component, len);
  return order != 0 ? order : (left->len > right->len) - (left->len < right->len);
}

void levels_deinit(levels_t *levels) {
  for (size_t i = 0; i < levels->count; i++)
    free(levels->items[i].component);
  free(levels->items);
  levels->items = NULL;
  levels->count = 0;
}

int levels_reset(levels_t *levels, size_t capacity) {
  struct level *items = calloc(capacity + 1, sizeof *items);
  if (items == NULL)
    return MCP_ENOMEM;
  levels_deinit(levels);
  levels->items = items;
  return 0;
}

int levels_add(levels_t *levels, const char *component, size_t len, const char *level) {
  struct level *item = &levels->items[levels->count];
  item->level = mcp_log_level_parse(level);
  if (item->level < 0)
    return 0;
  item->component = malloc(len + 1);
  if (item->component == NULL)
    return MCP_ENOMEM;
  memcpy(item->component, component, len);
  item->len = len;
  levels->count++;
  return 0;
}

void levels_sort(levels_t *levels) {
  if (levels->count > 1)
    qsort(levels->items, levels->count, sizeof *levels->items, compare);
}

int levels_get(const levels_t *levels, const char *component, size_t len) {
  const struct level *found;
  struct level wanted = {.len = len};
  memcpy(&wanted.component, &component, sizeof component); /* read only, but the member is not const */
  if (levels->count == 0)
    return -1;
  found = bsearch(&wanted, levels->items, levels->count, sizeof *levels->items, compare);
  return found == NULL ? -1 : found->level;
}
