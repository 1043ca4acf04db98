/* spool.h: batches on disk, first in, first out, while the queue in Redis is full and the log store is away.
 *
 * A directory of segments, <number>-<id>.segment, each a row of records: length, CRC32C (both 4 bytes, the
 * least first), payload. A record is one batch: for each entry its length, 4 bytes, and its text. Functions
 * block: they belong on a thread of the pool, one at a time. */
#ifndef GODOT_SPOOL_H
#define GODOT_SPOOL_H

#include "redis_queue.h"

typedef struct spool spool_t;

/* The oldest batch. Borrowed until it is dropped, or the next one is peeked at. */
typedef struct spool_record {
  const char *segment;       /* its id */
  int64_t offset;            /* where it stands there; grows within a segment */
  const mcp_text_t *entries; /* the oldest first */
  size_t count;              /* 0: there is none */
} spool_record_t;

/* Makes directory/name where it is missing, and holds it against other processes. What a process that was
 * killed has not written to its end is cut off. NULL: the log says why. */
spool_t *spool_open(const char *directory, const char *name, int64_t max_bytes);
void spool_close(spool_t *spool); /* NULL is fine */

/* On disk when this answers 0. MCP_ENOSPC: it would have more than max_bytes, or the disk has no room;
 * MCP_ENOMEM, other errors of files: then it may be found later or not. */
int spool_append(spool_t *spool, const mcp_text_t *entries, size_t count);

/* What cannot be read is put aside as <segment>.bad and told to the log. Nonzero: nothing can be read now. */
int spool_peek(spool_t *spool, spool_record_t *record);

/* Forgets what was peeked at last. */
void spool_drop(spool_t *spool);

/* Whether there is nothing to be peeked at, and bytes on disk; not while another function runs. */
bool spool_is_empty(const spool_t *spool);
int64_t spool_bytes(const spool_t *spool);

#endif
