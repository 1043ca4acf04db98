/* spool.h: batches on disk, first in, first out, while the queue in Redis is full and the log store
 * unavailable.
 *
 * The spool is a directory of segments, <number>-<id>.segment. A segment is a sequence of records: length and
 * CRC32C of the payload (4 bytes each, little-endian), payload. A record is one batch: for each entry its
 * length (4 bytes, little-endian) and its text. The functions block: call them from a thread of the pool, one
 * at a time. */
#ifndef GODOT_SPOOL_H
#define GODOT_SPOOL_H

#include "redis_queue.h"

typedef struct spool spool_t;

/* The oldest batch. Borrowed until spool_drop() or the next spool_peek(). */
typedef struct spool_record {
  const char *segment;       /* its id */
  int64_t offset;            /* position in the segment; increases within a segment */
  const mcp_text_t *entries; /* the oldest first */
  size_t count;              /* 0: the spool is empty */
} spool_record_t;

/* Creates directory/name if it does not exist, and locks it against other processes. An incomplete record at
 * the end is removed. Returns NULL on error, which is logged. */
spool_t *spool_open(const char *directory, const char *name, int64_t max_bytes);
void spool_close(spool_t *spool); /* NULL is allowed */

/* Writes a batch; it is on disk if this returns 0. Returns MCP_ENOSPC if the spool would exceed max_bytes or
 * the disk is full, MCP_ENOMEM, or another file error: then the batch may be found later. */
int spool_append(spool_t *spool, const mcp_text_t *entries, size_t count);

/* Reads the oldest batch. A damaged segment is logged, and renamed to <segment>.bad. Returns nonzero if the
 * spool cannot be read now. */
int spool_peek(spool_t *spool, spool_record_t *record);

/* Removes the batch read by the last spool_peek(). */
void spool_drop(spool_t *spool);

/* Whether there is no batch, and the size on disk. Do not call them while another function runs. */
bool spool_is_empty(const spool_t *spool);
int64_t spool_bytes(const spool_t *spool);

#endif
