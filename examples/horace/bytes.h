/* bytes.h: the bytes of files, copied and hashed. Blocks for as long as the disk takes, with one buffer
 * whatever the size. Any thread. */
#ifndef HORACE_BYTES_H
#define HORACE_BYTES_H

#include "stores.h"

enum { CHECKSUM_SIZE = 65 }; /* SHA-256 in hexadecimal, with the NUL */

typedef struct bytes {
  int64_t size;
  char checksum[CHECKSUM_SIZE];
} bytes_t;

/* Reads a file from its beginning. 0; -ECANCELED: stop said so; -EAGAIN: it grows; or -errno. */
int bytes_read(int file, store_stop_t stop, bytes_t *bytes);

/* Whether a file has these bytes: 0; -ECANCELED; or -errno. Reads it only where its size says that it may. */
int bytes_match(int file, const bytes_t *bytes, store_stop_t stop, bool *equal);

/* Copies a file to one that is empty, as a clone that shares its blocks where the file system can, and hashes
 * what has arrived there. With 0 it is on the disk. As above, and -EAGAIN: the file changed meanwhile. */
int bytes_copy(int from, int to, store_stop_t stop, bytes_t *bytes);

bool bytes_equal(const bytes_t *one, const bytes_t *other);

#endif
