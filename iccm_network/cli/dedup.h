/* dedup.h: a set of log line ids with times, to recognise lines that were shown before. No I/O. */
#ifndef ICCM_CLI_DEDUP_H
#define ICCM_CLI_DEDUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DEDUP_ID_SIZE = 40 }; /* a UUID and its NUL */

typedef struct dedup_line {
  int64_t time_us;
  char id[DEDUP_ID_SIZE]; /* "": empty slot */
} dedup_line_t;

/* A zeroed one is empty. */
typedef struct dedup {
  dedup_line_t *lines; /* owned: a hash table with open addressing */
  size_t size;         /* a power of two, or 0 */
  size_t count;
} dedup_t;

/* Adds an id; false: it was already present. An empty or overlong id is not stored and always counts as new.
 * Ends the program if out of memory. */
bool dedup_add(dedup_t *dedup, const char *id, int64_t time_us);
/* Removes ids older than before_us. */
void dedup_forget(dedup_t *dedup, int64_t before_us);
void dedup_deinit(dedup_t *dedup);

#endif
