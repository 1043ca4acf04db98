/* batch.h: one leased batch while it is sent to the store, and the state of each of its entries. No I/O. */
#ifndef GODOT_BATCH_H
#define GODOT_BATCH_H

#include "redis_queue.h"

#include <iccm_network.h>

typedef struct batch_item batch_item_t;

/* Entries sent together: from `from` (inclusive) to `to` (exclusive), counted from the oldest. */
typedef struct batch_range {
  size_t from, to;
} batch_range_t;

typedef struct batch {
  char number[QUEUE_BATCH_NUMBER_SIZE];
  bool sent_before;    /* may be stored already: another sender has sent it, with an unknown result */
  batch_item_t *items; /* owned; the oldest first */
  size_t count;
  size_t redacted;       /* members that were redacted */
  batch_range_t *ranges; /* owned; sent in this order */
  size_t next_range, range_count;
  bool halved;           /* the batch was split */
  bool any_stored;       /* the store has accepted at least one entry */
  bool suspects_retried; /* entries refused alone were sent a second time */
  unsigned responses;    /* number of responses so far; orders refusals and successes */
  unsigned last_success; /* the number of the last response that accepted an entry */
} batch_t;

/* The result of a batch, in the form for Redis. */
typedef struct batch_ack {
  queue_ack_t queue_ack;
  mcp_text_t *texts; /* owned, with the dead letters in it */
} batch_ack_t;

/* Copies and normalizes the queue's entries. An entry that cannot be normalized becomes a dead letter.
 * Returns 0 or MCP_ENOMEM. */
int batch_init(batch_t *batch, const queue_batch_t *from);
void batch_deinit(batch_t *batch);

/* Marks all entries except the newest `count` as dropped: the queue has dropped them. */
void batch_keep_newest(batch_t *batch, size_t count);

/* Returns the arguments for the next range, or NULL if the batch is finished (batch_finished()) or out of
 * memory. */
yyjson_mut_doc *batch_request(batch_t *batch);
bool batch_finished(batch_t *batch);

/* Handles a successful response to the next range: the store has stored its entries, except the rejected
 * ones, which become dead letters. */
void batch_stored(batch_t *batch, yyjson_val *answer);

/* Handles the refusal of the next range as a whole. Several entries are split in halves, which are sent
 * separately. A single entry becomes a dead letter at once if the refusal is permanent. Otherwise the store
 * may have failed: after all other ranges such entries are sent once more, followed by an entry that is
 * already stored. If the store accepts that one, the entries refused again become dead letters; if not, they
 * return to the queue. */
void batch_refused(batch_t *batch, const char *reason, bool is_permanent);

/* Writes the entries that are not stored yet to texts, which has room for batch->count, the oldest first.
 * They are borrowed from the batch. Returns their number. */
size_t batch_unstored(const batch_t *batch, mcp_text_t *texts);

/* Marks these entries as saved in the spool: the batch is finished. */
void batch_mark_spooled(batch_t *batch);

/* Makes the ack of a finished batch. Returns 0 or MCP_ENOMEM. */
int batch_make_ack(const batch_t *batch, batch_ack_t *ack);
void batch_ack_deinit(batch_ack_t *ack);

#endif
