/* blob.h: copies and hashes the bytes of files. Blocks for as long as the disk takes; uses one buffer of
 * fixed size. Any thread. */
#ifndef HORACE_BLOB_H
#define HORACE_BLOB_H

#include "stores.h"

enum { BLOB_CHECKSUM_SIZE = 65 }; /* SHA-256 in hexadecimal, NUL included */

typedef struct blob {
  int64_t size;
  char checksum[BLOB_CHECKSUM_SIZE];
} blob_t;

/* Hashes a file from its beginning. Returns 0; -ECANCELED; -EAGAIN if the file grows meanwhile; or -errno. */
int blob_hash(int file, cancel_token_t cancel, blob_t *blob);

/* Sets *equal if a file has these bytes; reads it only if its size is equal. Returns 0, -ECANCELED or
 * -errno. */
int blob_match(int file, const blob_t *blob, cancel_token_t cancel, bool *equal);

/* Copies a file into an empty one, as a reflink where the file system can, and hashes the copy. When it
 * returns 0 the copy is on the disk. Fails like blob_hash, and with -EAGAIN if the source changed
 * meanwhile. */
int blob_copy(int from, int to, cancel_token_t cancel, blob_t *blob);

bool blob_equal(const blob_t *one, const blob_t *other);

#endif
