/* spool_control.h: a worker's spool at work: saves a batch, or brings the oldest one back into the queue, one
 * at a time and on a thread of the pool. */
#ifndef GODOT_SPOOL_CONTROL_H
#define GODOT_SPOOL_CONTROL_H

#include "batch.h"
#include "config.h"
#include "redis_queue.h"
#include "spool.h"

#include <stdbool.h>
#include <uv.h>

typedef enum spool_control_state {
  SPOOL_CONTROL_OFF, /* no spool is wanted */
  SPOOL_CONTROL_IDLE,
  SPOOL_CONTROL_SAVING,   /* a thread writes a batch */
  SPOOL_CONTROL_READING,  /* a thread reads the oldest batch */
  SPOOL_CONTROL_RESTORING /* that batch is on its way to Redis */
} spool_control_state_t;

typedef enum spool_control_oldest {
  SPOOL_CONTROL_OLDEST_UNKNOWN, /* not read yet, or there is none */
  SPOOL_CONTROL_OLDEST_READ,    /* record holds it, and Redis does not */
  SPOOL_CONTROL_OLDEST_RESTORED /* Redis holds it: it is dropped before the next one is read */
} spool_control_oldest_t;

typedef void (*spool_control_cb)(void *arg);
typedef void (*spool_control_saved_cb)(int status, void *arg); /* 0: the batch is on disk */

typedef struct spool_control {
  uv_loop_t *loop; /* borrowed */
  queue_t *queue;  /* borrowed */
  spool_t *spool;  /* ours; NULL: off */
  int max_waiting; /* batches that were brought back and that no sender has claimed yet */
  spool_control_cb on_restored;
  void *arg;
  spool_control_state_t state;
  spool_control_oldest_t oldest;
  spool_record_t record; /* the oldest batch */
  int64_t fill_percent;  /* how full the queue was when last seen, in per cent */
  int64_t bytes;         /* on disk when work was last done */
  bool failed;           /* the last batch could not be saved; until spool_control_retry() */
  bool saving_logged;    /* the log knows that batches go to disk */
  bool stopped;          /* nothing begins any more */
  uv_work_t work;
  int status;                   /* of the work */
  mcp_text_t *texts;            /* ours: of the batch being saved; their bytes are the batch's */
  size_t count;                 /* of texts */
  spool_control_saved_cb saved; /* of the batch being saved */
  void *saved_arg;
  spool_control_cb on_closed; /* NULL: not being closed */
  void *closed_arg;
} spool_control_t;

/* loop, config and queue are borrowed. on_restored fires whenever a batch has come back: the next one may
 * follow. Nonzero: the spool cannot be opened; the log says why. */
int spool_control_open(spool_control_t *control, uv_loop_t *loop, const config_t *config, queue_t *queue,
                       spool_control_cb on_restored, void *arg);

/* Of one that is closed, or that was never opened and is all zeroes. */
void spool_control_deinit(spool_control_t *control);

/* How full queue and leases are, in per cent. */
void spool_control_set_fill(spool_control_t *control, int64_t fill_percent);

/* After a batch could not be saved: the next one may be tried. */
void spool_control_retry(spool_control_t *control);

/* Whether a batch that the store does not take should be saved: the queue is nearly full, and the spool free.
 */
bool spool_control_has_room(const spool_control_t *control);

/* Saves what is left of the batch, borrowed until saved fires, once, unless the spool is closed before.
 * False: not now, there is nothing left, or no memory. */
bool spool_control_save(spool_control_t *control, const batch_t *batch, spool_control_saved_cb saved,
                        void *arg);

/* Brings back the oldest batch, where the queue has room and the spool is free. */
void spool_control_restore(spool_control_t *control);

/* What is on disk, in bytes. */
int64_t spool_control_bytes(const spool_control_t *control);

/* Nothing begins from now on. */
void spool_control_stop(spool_control_t *control);

/* Of one that was stopped: cb, once, when no thread works for it any more, which may be at once. */
void spool_control_close(spool_control_t *control, spool_control_cb cb, void *arg);

#endif
