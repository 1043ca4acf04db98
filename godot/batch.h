/* batch.h: one leased batch while it is brought to the store, and what becomes of each of its entries; no
 * I/O. */
#ifndef GODOT_BATCH_H
#define GODOT_BATCH_H

#include "redis_queue.h"

#include <iccm_network.h>

typedef struct batch_item batch_item_t;

/* Entries that are sent together: from included, to not, counted from the oldest. */
typedef struct batch_range {
  size_t from, to;
} batch_range_t;

typedef struct batch {
  char number[QUEUE_BATCH_NUMBER_SIZE];
  bool sent_before;    /* may be stored already: somebody has sent it, and nobody knows what came of it */
  batch_item_t *items; /* ours, the oldest first */
  size_t count;
  size_t redacted;       /* members whose values were taken out */
  batch_range_t *ranges; /* ours: still to be sent, in this order */
  size_t next_range, range_count;
  bool halved;           /* ranges are parts */
  bool any_stored;       /* the store has taken at least one entry */
  bool suspects_retried; /* those refused alone have had their second chance */
  unsigned answers;      /* counts answers: which came first, an entry's refusal or another one's success */
  unsigned last_success;
} batch_t;

/* What became of a batch, in the form that Redis takes. */
typedef struct batch_ack {
  queue_ack_t queue_ack;
  mcp_text_t *texts; /* ours; the letters belong to it, too */
} batch_ack_t;

/* Takes over what the queue handed out, copied; what is no entry is a dead letter already. MCP_ENOMEM. */
int batch_init(batch_t *batch, const queue_batch_t *from);
void batch_deinit(batch_t *batch);

/* The older entries are gone from the queue: only so many, the newest, still count. */
void batch_keep_newest(batch_t *batch, size_t count);

/* The arguments for the range that is next; NULL: everything has been sent, or there is no memory
 * (batch_finished). */
yyjson_mut_doc *batch_request(batch_t *batch);
bool batch_finished(batch_t *batch);

/* The store's answer for the range that is next: it holds the entries, but for those it names as rejected. */
void batch_stored(batch_t *batch, yyjson_val *answer);

/* The store refused the range as a whole: it is halved, and sent in parts. An entry refused alone is a dead
 * letter at once if is_permanent. Else it may have been the store that was ill: when everything else is
 * through, such entries are sent once more, and behind them one that is stored already. If the store takes
 * that one, those refused again are dead letters; if not, they go back to the queue. */
void batch_refused(batch_t *batch, const char *reason, bool is_permanent);

/* What has not been stored yet, into texts with room for batch->count, the oldest first, borrowed; how many.
 */
size_t batch_unstored(const batch_t *batch, mcp_text_t *texts);

/* All of that is safe elsewhere: the batch is finished. */
void batch_mark_spooled(batch_t *batch);

/* Of a finished batch. MCP_ENOMEM. */
int batch_make_ack(const batch_t *batch, batch_ack_t *ack);
void batch_ack_deinit(batch_ack_t *ack);

#endif
