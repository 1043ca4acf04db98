/* dedup.c: see dedup.h. Growing and forgetting rebuild the table; single entries are never removed. */
#include "dedup.h"

#include <stdlib.h>
#include <string.h>
#include "check_alloc.h"

enum { SMALLEST = 1024 };

static size_t slot_of(const char *id, size_t size) { /* FNV-1a */
  uint64_t hash = 14695981039346656037u;
  for (; *id != '\0'; id++)
    hash = (hash ^ (unsigned char)*id) * 1099511628211u;
  return (size_t)(hash ^ hash >> 32) & (size - 1);
}

/* The slot of the id, or the empty slot for it. The table is never full. */
static dedup_line_t *find(const dedup_t *dedup, const char *id) {
  size_t slot = slot_of(id, dedup->size);
  while (dedup->lines[slot].id[0] != '\0' && strcmp(dedup->lines[slot].id, id) != 0)
    slot = (slot + 1) & (dedup->size - 1);
  return &dedup->lines[slot];
}

/* Copies the ids that are not older than before_us. */
static void rebuild(dedup_t *dedup, int64_t before_us, size_t size) {
  dedup_t next = {.lines = check_alloc(calloc(size, sizeof *next.lines)), .size = size};
  for (size_t i = 0; i < dedup->size; i++) {
    const dedup_line_t *line = &dedup->lines[i];
    if (line->id[0] == '\0' || line->time_us < before_us)
      continue;
    *find(&next, line->id) = *line;
    next.count++;
  }
  free(dedup->lines);
  *dedup = next;
}

bool dedup_add(dedup_t *dedup, const char *id, int64_t time_us) {
  size_t len = strlen(id);
  if (len == 0 || len >= DEDUP_ID_SIZE)
    return true;
  if (dedup->count * 2 >= dedup->size)
    rebuild(dedup, INT64_MIN, dedup->size > 0 ? dedup->size * 2 : SMALLEST);
  dedup_line_t *line = find(dedup, id);
  if (line->id[0] != '\0')
    return false;
  memcpy(line->id, id, len + 1);
  line->time_us = time_us;
  dedup->count++;
  return true;
}

void dedup_forget(dedup_t *dedup, int64_t before_us) {
  size_t stay = 0, size = SMALLEST;
  for (size_t i = 0; i < dedup->size; i++)
    stay += dedup->lines[i].id[0] != '\0' && dedup->lines[i].time_us >= before_us;
  while (size <= stay * 2)
    size *= 2;
  if (stay < dedup->count)
    rebuild(dedup, before_us, size);
}

void dedup_deinit(dedup_t *dedup) {
  free(dedup->lines);
  *dedup = (dedup_t){.lines = NULL};
}
