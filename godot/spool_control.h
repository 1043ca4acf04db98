/* spool_control.h: when batches of a worker go to its spool, and when they come back. Private to delivery.c
 * and sender.c. */
#ifndef GODOT_SPOOL_CONTROL_H
#define GODOT_SPOOL_CONTROL_H

#include "spool.h"

#include <uv.h>

struct delivery;
struct sender;

typedef struct spool_control {
  spool_t *spool; /* ours; NULL: off */
  uv_work_t work;
  bool busy;             /* work is under way, or what it found is on its way to Redis */
  bool failed;           /* the last batch could not be saved; until the next second */
  bool told;             /* the log knows that batches go to disk */
  struct sender *sender; /* whose batch is being saved */
  queue_text_t *texts;   /* ours: its entries; their bytes are the batch's */
  size_t count;          /* of texts */
  spool_record_t record; /* being brought back */
  bool restored;         /* it is in Redis: it goes before the next one is read */
  int status;            /* of the work */
  int64_t bytes;         /* on disk when work was last done */
} spool_control_t;

/* Nonzero: the log says why. */
int spool_control_open(struct delivery *delivery);
void spool_control_close(struct delivery *delivery);

/* Whether the batch in hand should be saved rather than sent: the store is away, and the queue nearly full.
 */
bool spool_control_is_wanted(const struct sender *sender);

/* Saves what is left of the sender's batch on a thread of the pool; then sender_saved(), once. False: not
 * now, or there is no memory. */
bool spool_control_save(struct sender *sender);

/* Brings back the oldest batch, and then the next, as long as the store is there and the queue has room. */
void spool_control_replay(struct delivery *delivery);

#endif
