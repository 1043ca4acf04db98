/* scarce.h: an allocator that runs out on demand, and knows what was not given back. One a test: Criterion
 * gives each test a process of its own, in which nothing was allocated before. */
#ifndef SCARCE_H
#define SCARCE_H

#include "iccm_network.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static struct {
  long allowed; /* requests that are still granted; then … */
  bool once;    /* … one is refused, or all */
  size_t live;
} memory;

static inline bool refused(void) {
  memory.allowed--;
  return memory.once ? memory.allowed == -1 : memory.allowed < 0;
}

static inline void *scarce_malloc(size_t size, void *arg) {
  (void)arg;
  if (refused())
    return NULL;
  memory.live++;
  return malloc(size);
}

static inline void *scarce_realloc(void *old, size_t size, void *arg) {
  (void)arg;
  return refused() ? NULL : realloc(old, size);
}

static inline void counted_free(void *old, void *arg) {
  (void)arg;
  memory.live--;
  free(old);
}

static inline void use_scarce_memory(void) {
  const mcp_allocator_t allocator = {scarce_malloc, scarce_realloc, counted_free, NULL};
  cr_assert_eq(mcp_set_allocator(&allocator), 0);
}

#endif
