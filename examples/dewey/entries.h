/* entries.h: the entries of a JSON array, or of a file of JSON lines, one at a time from a descriptor. */
#ifndef DEWEY_ENTRIES_H
#define DEWEY_ENTRIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <yyjson.h>

enum {
  ENTRIES_MAX_BYTES = 200 * 1024 * 1024, /* of the file */
  ENTRIES_MAX = 1000 * 1000,
  ENTRY_MAX_BYTES = 16 * 1024 * 1024,
  ENTRY_MAX_DEPTH = 56 /* so that an answer with it is no deeper than peers read */
};

/* All of it but error and no_memory is the module's own. */
typedef struct entries {
  int file; /* owned */
  char *bytes;
  size_t begin, end, capacity; /* what was read and not given yet stands from begin to end */
  size_t read;                 /* from the file so far */
  size_t count;                /* of entries given */
  bool started, array, ended;  /* the list */
  bool at_end;                 /* of the file */
  yyjson_doc *doc;             /* the entry given last */
  char error[128];             /* why there are no more, in words for the caller */
  bool no_memory;
} entries_t;

void entries_init(entries_t *entries, int file); /* takes the descriptor over */
void entries_deinit(entries_t *entries);

/* The next entry, an object, borrowed until the next call; NUL and lone surrogates in it are U+FFFD. NULL:
 * there is none, and, where error is not empty, why. Blocks while the file is read. */
yyjson_val *entries_next(entries_t *entries);

#endif
