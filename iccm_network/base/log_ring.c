/* log_ring.c: a ring of bytes that holds lines, each in one piece.
 *
 * Happy path: a line is copied behind the last one, and out again when its turn comes; an empty ring starts
 * over, so that few lines touch little memory. Failure: a line that finds no room pushes out the oldest; one
 * that is larger than the whole ring is dropped itself. */
#include "base/log_ring.h"

#include <stdalign.h>
#include <string.h>
#include <uv.h>

enum { TEXTS = 6 };

typedef struct record {
  size_t size; /* with its texts, rounded up */
  int level;
  int64_t time_us;
  size_t lens[TEXTS]; /* with the NUL; 0: NULL */
} record_t;

int mcp__lines_init(mcp__lines_t *lines, size_t max_bytes, size_t max_count) {
  *lines = (mcp__lines_t){.memory = mcp__malloc(max_bytes), .size = max_bytes, .max_count = max_count};
  return lines->memory != NULL ? 0 : UV_ENOMEM;
}

void mcp__lines_deinit(mcp__lines_t *lines) {
  mcp__free(lines->memory);
  *lines = (mcp__lines_t){0};
}

static size_t fill(record_t *record, const mcp__entry_t *entry, const char *texts[TEXTS]) {
  const char *all[TEXTS] = {entry->part,    entry->message,        entry->trace_id,
                            entry->span_id, entry->parent_span_id, entry->data};
  *record = (record_t){.size = sizeof *record, .level = entry->level, .time_us = entry->time_us};
  for (int i = 0; i < TEXTS; i++) {
    texts[i] = all[i];
    if (all[i] != NULL)
      record->lens[i] = (i == TEXTS - 1 ? entry->data_len : strlen(all[i])) + 1;
    record->size += record->lens[i];
  }
  record->size = (record->size + alignof(record_t) - 1) / alignof(record_t) * alignof(record_t);
  return record->size;
}

static size_t oldest_size(const mcp__lines_t *lines) {
  record_t record;
  memcpy(&record, lines->memory + lines->first, sizeof record);
  return record.size;
}

static void leave_oldest(mcp__lines_t *lines) {
  lines->first += oldest_size(lines);
  if (lines->wrapped != 0 && lines->first == lines->wrapped)
    lines->first = lines->wrapped = 0;
  if (--lines->count == 0)
    lines->first = lines->behind = lines->wrapped = 0;
}

static bool find_room(mcp__lines_t *lines, size_t size) {
  if (lines->wrapped != 0)
    return lines->first - lines->behind >= size;
  if (lines->size - lines->behind >= size)
    return true;
  if (lines->first < size)
    return false;
  lines->wrapped = lines->behind;
  lines->behind = 0;
  return true;
}

void mcp__lines_push(mcp__lines_t *lines, const mcp__entry_t *entry) {
  record_t record;
  const char *texts[TEXTS];
  size_t size = fill(&record, entry, texts);
  if (size > lines->size) {
    lines->dropped++;
    return;
  }
  while (lines->count == lines->max_count || !find_room(lines, size)) {
    leave_oldest(lines);
    lines->dropped++;
  }
  char *to = lines->memory + lines->behind;
  memcpy(to, &record, sizeof record);
  to += sizeof record;
  for (int i = 0; i < TEXTS; i++) {
    if (record.lens[i] == 0)
      continue;
    memcpy(to, texts[i], record.lens[i] - 1);
    to[record.lens[i] - 1] = '\0';
    to += record.lens[i];
  }
  lines->behind += size;
  lines->count++;
}

bool mcp__lines_pop(mcp__lines_t *lines, mcp__entry_t *entry, mcp__buf_t *memory) {
  record_t record;
  const char *texts[TEXTS] = {NULL};
  memory->len = 0;
  if (lines->count == 0 || mcp__buf_append(memory, lines->memory + lines->first, oldest_size(lines)) != 0)
    return false;
  leave_oldest(lines);
  memcpy(&record, memory->data, sizeof record);
  const char *from = memory->data + sizeof record;
  for (int i = 0; i < TEXTS; i++) {
    texts[i] = record.lens[i] > 0 ? from : NULL;
    from += record.lens[i];
  }
  *entry = (mcp__entry_t){record.level, record.time_us, texts[0],
                          texts[1],     texts[2],       texts[3],
                          texts[4],     texts[5],       record.lens[5] > 0 ? record.lens[5] - 1 : 0};
  return true;
}
