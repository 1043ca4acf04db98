/* dedup.h: which log lines were shown already, by their ids, for as long as they can come again. Pure. */
#ifndef ICCM_CLI_DEDUP_H
#define ICCM_CLI_DEDUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SEEN_ID_SIZE = 40 }; /* a UUID and its NUL */

typedef struct seen_line {
  int64_t time_us;
  char id[SEEN_ID_SIZE]; /* "": nothing stands here */
} seen_line_t;

/* A zeroed one is empty. */
typedef struct seen {
  seen_line_t *lines; /* owned: a hash table with open addresses */
  size_t size;        /* a power of two, or 0 */
  size_t count;
} seen_t;

/* Remembers an id; false: it was there. An empty or overlong one is always new. Ends the program where there
 * is no memory. */
bool seen_add(seen_t *seen, const char *id, int64_t time_us);
/* Forgets what is older than that. */
void seen_forget(seen_t *seen, int64_t before_us);
void seen_deinit(seen_t *seen);

#endif
