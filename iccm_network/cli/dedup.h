/* dedup.h: which log lines were shown already, by their ids, for as long as they can come again. Pure. */
#ifndef ICCM_CLI_DEDUP_H
#define ICCM_CLI_DEDUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DEDUP_ID_SIZE = 40 }; /* a UUID and its NUL */

typedef struct dedup_line {
  int64_t time_us;
  char id[DEDUP_ID_SIZE]; /* "": nothing stands here */
} dedup_line_t;

/* A zeroed one is empty. */
typedef struct dedup {
  dedup_line_t *lines; /* owned: a hash table with open addresses */
  size_t size;         /* a power of two, or 0 */
  size_t count;
} dedup_t;

/* Remembers an id; false: it was there. An empty or overlong one is always new. Ends the program where there
 * is no memory. */
bool dedup_add(dedup_t *dedup, const char *id, int64_t time_us);
/* Forgets what is older than that. */
void dedup_forget(dedup_t *dedup, int64_t before_us);
void dedup_deinit(dedup_t *dedup);

#endif
