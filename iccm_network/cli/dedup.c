/* dedup.c: see dedup.h. Forgetting builds the table anew, and so does growing: nothing is ever taken out of it.
 */
#include "dedup.h"

#include <stdlib.h>
#include <string.h>
#include "print.h"

enum { SMALLEST = 1024 };

static size_t slot_of(const char *id, size_t size) { /* FNV-1a */
  uint64_t hash = 14695981039346656037u;
  for (; *id != '\0'; id++)
    hash = (hash ^ (unsigned char)*id) * 1099511628211u;
  return (size_t)(hash ^ hash >> 32) & (size - 1);
}

/* Where the id stands, or would. The table is never full. */
static seen_line_t *find(const seen_t *seen, const char *id) {
  size_t slot = slot_of(id, seen->size);
  while (seen->lines[slot].id[0] != '\0' && strcmp(seen->lines[slot].id, id) != 0)
    slot = (slot + 1) & (seen->size - 1);
  return &seen->lines[slot];
}

/* Takes over what is not older than that. */
static void rebuild(seen_t *seen, int64_t before_us, size_t size) {
  seen_t next = {.lines = checked(calloc(size, sizeof *next.lines)), .size = size};
  for (size_t i = 0; i < seen->size; i++) {
    const seen_line_t *line = &seen->lines[i];
    if (line->id[0] == '\0' || line->time_us < before_us)
      continue;
    *find(&next, line->id) = *line;
    next.count++;
  }
  free(seen->lines);
  *seen = next;
}

bool seen_add(seen_t *seen, const char *id, int64_t time_us) {
  size_t len = strlen(id);
  if (len == 0 || len >= SEEN_ID_SIZE)
    return true;
  if (seen->count * 2 >= seen->size)
    rebuild(seen, INT64_MIN, seen->size > 0 ? seen->size * 2 : SMALLEST);
  seen_line_t *line = find(seen, id);
  if (line->id[0] != '\0')
    return false;
  memcpy(line->id, id, len + 1);
  line->time_us = time_us;
  seen->count++;
  return true;
}

void seen_forget(seen_t *seen, int64_t before_us) {
  size_t stay = 0, size = SMALLEST;
  for (size_t i = 0; i < seen->size; i++)
    stay += seen->lines[i].id[0] != '\0' && seen->lines[i].time_us >= before_us;
  while (size <= stay * 2)
    size *= 2;
  if (stay < seen->count)
    rebuild(seen, before_us, size);
}

void seen_deinit(seen_t *seen) {
  free(seen->lines);
  *seen = (seen_t){.lines = NULL};
}
