/* mem.c: all memory of the library is allocated here, so that a program can set its own allocator, and tests
 * can make each allocation fail. */
#include "base/mem.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static void *std_malloc(size_t size, void *arg) {
  (void)arg;
  return malloc(size);
}

static void *std_realloc(void *memory, size_t size, void *arg) {
  (void)arg;
  return realloc(memory, size);
}

static void std_free(void *memory, void *arg) {
  (void)arg;
  free(memory);
}

static mcp_allocator_t allocator = {.malloc_cb = std_malloc, .realloc_cb = std_realloc, .free_cb = std_free};
static atomic_bool in_use; /* memory was allocated: the allocator can no longer be changed */
static atomic_uint_fast64_t blocks;

int mcp_set_allocator(const mcp_allocator_t *given) {
  if (atomic_load(&in_use))
    return MCP_ESTATE;
  for (size_t i = 0; i < sizeof given->reserved / sizeof *given->reserved; i++)
    if (given->reserved[i] != NULL)
      return MCP_EINVAL;
  allocator = *given;
  return 0;
}

void *mcp__malloc(size_t size) {
  if (!atomic_load_explicit(&in_use, memory_order_relaxed))
    atomic_store(&in_use, true);
  void *memory = allocator.malloc_cb(size > 0 ? size : 1, allocator.arg);
  if (memory != NULL)
    atomic_fetch_add_explicit(&blocks, 1, memory_order_relaxed);
  return memory;
}

void *mcp__calloc(size_t size) {
  void *memory = mcp__malloc(size);
  if (memory != NULL)
    memset(memory, 0, size);
  return memory;
}

void *mcp__realloc(void *memory, size_t size) {
  return memory == NULL ? mcp__malloc(size) : allocator.realloc_cb(memory, size, allocator.arg);
}

void mcp__free(void *memory) {
  if (memory == NULL)
    return;
  atomic_fetch_sub_explicit(&blocks, 1, memory_order_relaxed);
  allocator.free_cb(memory, allocator.arg);
}

uint64_t mcp_memory_blocks(void) {
  return atomic_load_explicit(&blocks, memory_order_relaxed);
}

char *mcp__strdup(const char *text) {
  size_t size = strlen(text) + 1;
  char *copy = mcp__malloc(size);
  return copy != NULL ? memcpy(copy, text, size) : NULL;
}

static void *json_malloc(void *ctx, size_t size) {
  (void)ctx;
  return mcp__malloc(size);
}

static void *json_realloc(void *ctx, void *memory, size_t old_size, size_t size) {
  (void)ctx;
  (void)old_size;
  return mcp__realloc(memory, size);
}

static void json_free(void *ctx, void *memory) {
  (void)ctx;
  mcp__free(memory);
}

const yyjson_alc mcp__json_alc = {json_malloc, json_realloc, json_free, NULL};
