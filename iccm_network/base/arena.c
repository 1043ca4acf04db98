/* arena.c: bump allocation in chunks.
 *
 * The arena of a call holds its parsed document, its response and small copies, and is reset as a whole. The
 * newest allocation can grow and shrink in place, which is what yyjson's reader and writer do most. A large
 * allocation has a chunk to itself, which is reallocated with it, so that no unused chunk is left. */
#include "base/arena.h"

#include <assert.h>
#include <string.h>

enum { CHUNK_BYTES = 4096, ALIGN = 16, TRIM_FROM_BYTES = 64 << 10 };

typedef struct mcp__chunk {
  struct mcp__chunk *next;
  size_t cap, used;
  _Alignas(ALIGN) char data[];
} chunk_t;

static size_t align_up(size_t size) {
  return (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

void *mcp__arena_alloc(mcp__arena_t *arena, size_t size) {
  if (size > arena->max) { /* also prevents overflow of the sums below */
    arena->failed = true;
    return NULL;
  }
  size = align_up(size);
  chunk_t *chunk = arena->chunks;
  if (chunk == NULL || size > chunk->cap - chunk->used) {
    size_t cap = size > CHUNK_BYTES ? size : CHUNK_BYTES;
    bool allowed = arena->used + cap <= arena->max;
    chunk = allowed ? mcp__malloc(sizeof *chunk + cap) : NULL;
    if (chunk == NULL) {
      arena->failed = true;
      arena->out_of_memory |= allowed;
      return NULL;
    }
    *chunk = (chunk_t){.next = arena->chunks, .cap = cap};
    arena->chunks = chunk;
    arena->used += cap;
  }
  void *memory = chunk->data + chunk->used;
  chunk->used += size;
  assert(chunk->used <= chunk->cap && arena->used <= arena->max);
  return memory;
}

/* Grows or shrinks an allocation that has a chunk to itself; the chunk may move. Returns NULL and leaves the
 * allocation unchanged on failure. */
static void *resize_chunk(mcp__arena_t *arena, size_t cap) {
  chunk_t *chunk = arena->chunks;
  bool allowed = arena->used - chunk->cap + cap <= arena->max;
  chunk_t *moved = allowed ? mcp__realloc(chunk, sizeof *chunk + cap) : NULL;
  if (moved == NULL) {
    arena->failed = true;
    arena->out_of_memory |= allowed;
    return NULL;
  }
  arena->used += cap - moved->cap;
  moved->cap = moved->used = cap;
  arena->chunks = moved;
  return moved->data;
}

static bool is_newest(const chunk_t *chunk, const void *memory, size_t size) {
  return chunk != NULL && (const char *)memory + align_up(size) == chunk->data + chunk->used;
}

static void *json_malloc(void *ctx, size_t size) {
  return mcp__arena_alloc(ctx, size);
}

static void *json_realloc(void *ctx, void *memory, size_t old_size, size_t size) {
  mcp__arena_t *arena = ctx;
  chunk_t *chunk = arena->chunks;
  if (is_newest(chunk, memory, old_size) && size <= arena->max) {
    size_t begin = (size_t)((char *)memory - chunk->data);
    if (align_up(size) <= chunk->cap - begin) {
      chunk->used = begin + align_up(size);
      return memory;
    }
    if (begin == 0 && chunk->cap > CHUNK_BYTES)
      return resize_chunk(arena, align_up(size));
  }
  void *moved = mcp__arena_alloc(arena, size);
  return moved != NULL ? memcpy(moved, memory, old_size < size ? old_size : size) : NULL;
}

void *mcp__arena_trim(mcp__arena_t *arena, void *memory, size_t size) {
  chunk_t *chunk = arena->chunks;
  if (chunk == NULL || memory != chunk->data || chunk->cap <= TRIM_FROM_BYTES ||
      align_up(size) > chunk->cap / 2)
    return memory;
  bool failed = arena->failed, out_of_memory = arena->out_of_memory;
  void *moved = resize_chunk(arena, align_up(size));
  arena->failed = failed; /* if it cannot be reallocated, it stays unchanged */
  arena->out_of_memory = out_of_memory;
  return moved != NULL ? moved : memory;
}

static void json_free(void *ctx, void *memory) { /* memory is freed by reset and deinit */
  (void)ctx;
  (void)memory;
}

void mcp__arena_init(mcp__arena_t *arena, size_t max) {
  *arena = (mcp__arena_t){.max = max, .alc = {json_malloc, json_realloc, json_free, arena}};
}

static void free_down_to(mcp__arena_t *arena, const chunk_t *last) {
  while (arena->chunks != last) {
    chunk_t *chunk = arena->chunks;
    arena->chunks = chunk->next;
    assert(arena->used >= chunk->cap);
    arena->used -= chunk->cap;
    mcp__free(chunk);
  }
}

void mcp__arena_deinit(mcp__arena_t *arena) {
  free_down_to(arena, NULL);
}

void mcp__arena_reset(mcp__arena_t *arena) {
  chunk_t *last = arena->chunks;
  while (last != NULL && last->next != NULL)
    last = last->next;
  if (last != NULL && last->cap > CHUNK_BYTES)
    last = NULL;
  free_down_to(arena, last);
  if (last != NULL)
    last->used = 0;
  arena->failed = arena->out_of_memory = false;
}
