/* blob.h: the bytes of files, copied and hashed. Blocks for as long as the disk takes, with one buffer
 * whatever the size. Any thread. */
#ifndef HORACE_BLOB_H
#define HORACE_BLOB_H

#include "stores.h"

enum { BLOB_CHECKSUM_SIZE = 65 }; /* SHA-256 in hexadecimal, with the NUL */

typedef struct blob {
  int64_t size;
  char checksum[BLOB_CHECKSUM_SIZE];
} blob_t;

/* Reads a file from its beginning. 0; -ECANCELED: stop said so; -EAGAIN: it grows; or -errno. */
int blob_hash(int file, cancel_token_t cancel, blob_t *blob);

/* Whether a file has these bytes: 0; -ECANCELED; or -errno. Reads it only where its size says that it may. */
int blob_match(int file, const blob_t *blob, cancel_token_t cancel, bool *equal);

/* Copies a file to one that is empty, as a clone that shares its blocks where the file system can, and hashes
 * what has arrived there. With 0 it is on the disk. As above, and -EAGAIN: the file changed meanwhile. */
int blob_copy(int from, int to, cancel_token_t cancel, blob_t *blob);

bool blob_equal(const blob_t *one, const blob_t *other);

#endif
