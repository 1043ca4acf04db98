/* log_ring.c: a ring of bytes; each record is contiguous.
 *
 * Happy path: a record is copied after the last one, and out again later. An empty ring starts at offset 0
 * again, so that few records touch little memory. Failure: a record without room drops the oldest ones; a
 * record larger than the ring is dropped itself. */
#include "base/log_ring.h"

#include <assert.h>
#include <stdalign.h>
#include <string.h>
#include <uv.h>

enum { TEXT_COUNT = 6 };

typedef struct header {
  size_t size; /* with its texts, aligned */
  int level;
  int64_t time_us;
  size_t lens[TEXT_COUNT]; /* with the NUL; 0: NULL */
} header_t;

int mcp__log_ring_init(mcp__log_ring_t *ring, size_t max_bytes, size_t max_count) {
  *ring = (mcp__log_ring_t){.memory = mcp__malloc(max_bytes), .size = max_bytes, .max_count = max_count};
  return ring->memory != NULL ? 0 : UV_ENOMEM;
}

void mcp__log_ring_deinit(mcp__log_ring_t *ring) {
  mcp__free(ring->memory);
  *ring = (mcp__log_ring_t){0};
}

static size_t make_header(header_t *header, const mcp__log_record_t *record, const char *texts[TEXT_COUNT]) {
  const char *all[TEXT_COUNT] = {record->part,    record->message,        record->trace_id,
                                 record->span_id, record->parent_span_id, record->data};
  *header = (header_t){.size = sizeof *header, .level = record->level, .time_us = record->time_us};
  for (int i = 0; i < TEXT_COUNT; i++) {
    texts[i] = all[i];
    if (all[i] != NULL)
      header->lens[i] = (i == TEXT_COUNT - 1 ? record->data_len : strlen(all[i])) + 1;
    header->size += header->lens[i];
  }
  header->size = (header->size + alignof(header_t) - 1) / alignof(header_t) * alignof(header_t);
  return header->size;
}

static size_t oldest_size(const mcp__log_ring_t *ring) {
  header_t header;
  memcpy(&header, ring->memory + ring->begin, sizeof header);
  return header.size;
}

static void drop_oldest(mcp__log_ring_t *ring) {
  assert(ring->count > 0);
  ring->begin += oldest_size(ring);
  if (ring->wrapped != 0 && ring->begin == ring->wrapped)
    ring->begin = ring->wrapped = 0;
  if (--ring->count == 0)
    ring->begin = ring->end = ring->wrapped = 0;
}

static bool make_contiguous(mcp__log_ring_t *ring, size_t size) {
  if (ring->wrapped != 0)
    return ring->begin - ring->end >= size;
  if (ring->size - ring->end >= size)
    return true;
  if (ring->begin < size)
    return false;
  ring->wrapped = ring->end;
  ring->end = 0;
  return true;
}

void mcp__log_ring_push(mcp__log_ring_t *ring, const mcp__log_record_t *record) {
  header_t header;
  const char *texts[TEXT_COUNT];
  size_t size = make_header(&header, record, texts);
  if (size > ring->size) {
    ring->dropped++;
    return;
  }
  while (ring->count == ring->max_count || !make_contiguous(ring, size)) {
    drop_oldest(ring);
    ring->dropped++;
  }
  char *to = ring->memory + ring->end;
  memcpy(to, &header, sizeof header);
  to += sizeof header;
  for (int i = 0; i < TEXT_COUNT; i++) {
    if (header.lens[i] == 0)
      continue;
    memcpy(to, texts[i], header.lens[i] - 1);
    to[header.lens[i] - 1] = '\0';
    to += header.lens[i];
  }
  ring->end += size;
  ring->count++;
  /* Wrapped: free space is between end and begin. Not wrapped: the lines are between begin and end. */
  assert(ring->wrapped != 0 ? ring->end <= ring->begin && ring->begin < ring->wrapped
                            : ring->begin < ring->end);
  assert(ring->end <= ring->size && ring->wrapped <= ring->size && ring->count <= ring->max_count);
}

bool mcp__log_ring_pop(mcp__log_ring_t *ring, mcp__log_record_t *record, mcp__buf_t *memory) {
  header_t header;
  const char *texts[TEXT_COUNT] = {NULL};
  memory->len = 0;
  if (ring->count == 0 || mcp__buf_append(memory, ring->memory + ring->begin, oldest_size(ring)) != 0)
    return false;
  drop_oldest(ring);
  memcpy(&header, memory->data, sizeof header);
  const char *from = memory->data + sizeof header;
  for (int i = 0; i < TEXT_COUNT; i++) {
    texts[i] = header.lens[i] > 0 ? from : NULL;
    from += header.lens[i];
  }
  *record = (mcp__log_record_t){header.level, header.time_us, texts[0],
                                texts[1],     texts[2],       texts[3],
                                texts[4],     texts[5],       header.lens[5] > 0 ? header.lens[5] - 1 : 0};
  return true;
}
