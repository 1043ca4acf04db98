/* out_of_memory.h: an allocator that runs out on demand, and knows what was not given back. One a test:
 * Criterion gives each test a process of its own, in which nothing was allocated before. */
#ifndef OUT_OF_MEMORY_H
#define OUT_OF_MEMORY_H

#include "iccm_network.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static struct {
  long allowed; /* requests that are still granted; then … */
  bool once;    /* … one is allocation_fails, or all */
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
