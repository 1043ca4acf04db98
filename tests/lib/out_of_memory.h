/* out_of_memory.h: an allocator that fails on demand and counts live allocations. Install it once per test:
 * Criterion runs each test in its own process, where nothing was allocated before. */
#ifndef OUT_OF_MEMORY_H
#define OUT_OF_MEMORY_H

#include "iccm_network.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static struct {
  long allowed; /* number of allocations that still succeed */
  bool once;    /* after that: true: one allocation fails; false: all fail */
  size_t live;
} memory;

static inline bool allocation_fails(void) {
  memory.allowed--;
  return memory.once ? memory.allowed == -1 : memory.allowed < 0;
}

static inline void *failing_malloc(size_t size, void *arg) {
  (void)arg;
  if (allocation_fails())
    return NULL;
  memory.live++;
  return malloc(size);
}

static inline void *failing_realloc(void *old, size_t size, void *arg) {
  (void)arg;
  return allocation_fails() ? NULL : realloc(old, size);
}

static inline void counted_free(void *old, void *arg) {
  (void)arg;
  memory.live--;
  free(old);
}

static inline void use_failing_allocator(void) {
  const mcp_allocator_t allocator = {failing_malloc, failing_realloc, counted_free, NULL};
  cr_assert_eq(mcp_set_allocator(&allocator), 0);
}

#endif
