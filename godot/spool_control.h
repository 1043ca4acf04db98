/* spool_control.h: saves a worker's batches to its spool, and restores the oldest one to the queue; one
 * operation at a time, on a thread of the pool. */
#ifndef GODOT_SPOOL_CONTROL_H
#define GODOT_SPOOL_CONTROL_H

#include "batch.h"
#include "config.h"
#include "redis_queue.h"
#include "spool.h"

#include <stdbool.h>
#include <uv.h>

typedef enum spool_control_state {
  SPOOL_CONTROL_OFF, /* there is no spool */
  SPOOL_CONTROL_IDLE,
  SPOOL_CONTROL_SAVING,   /* a thread writes a batch */
  SPOOL_CONTROL_READING,  /* a thread reads the oldest batch */
  SPOOL_CONTROL_RESTORING /* the oldest batch was sent to Redis */
} spool_control_state_t;

typedef enum spool_control_oldest {
  SPOOL_CONTROL_OLDEST_UNKNOWN, /* not read yet, or the spool is empty */
  SPOOL_CONTROL_OLDEST_READ,    /* read into record, not in Redis */
  SPOOL_CONTROL_OLDEST_RESTORED /* in Redis; dropped before the next one is read */
} spool_control_oldest_t;

typedef void (*spool_control_cb)(void *arg);
typedef void (*spool_control_saved_cb)(int status, void *arg); /* 0: the batch is on disk */

typedef struct spool_control {
  uv_loop_t *loop; /* borrowed */
  queue_t *queue;  /* borrowed */
  spool_t *spool;  /* owned; NULL: off */
  int max_waiting; /* greatest number of restored batches that no sender has claimed yet */
  spool_control_cb on_restored;
  void *arg;
  spool_control_state_t state;
  spool_control_oldest_t oldest;
  spool_record_t record; /* the oldest batch */
  int64_t fill_percent;  /* last known fill level of the queue */
  int64_t bytes;         /* size on disk after the last operation */
  bool failed;           /* the last batch could not be saved; reset by spool_control_retry() */
  bool saving_logged;    /* it was logged that batches are saved to disk */
  bool stopped;          /* no operation is started any more */
  uv_work_t work;
  int status;                   /* of the work */
  mcp_text_t *texts;            /* owned; of the batch being saved, which owns their bytes */
  size_t count;                 /* of texts */
  spool_control_saved_cb saved; /* callback of the batch being saved */
  void *saved_arg;
  spool_control_cb on_closed; /* NULL: not being closed */
  void *closed_arg;
} spool_control_t;

/* Opens the spool, unless config->spool_max_bytes is 0. loop, config and queue are borrowed. on_restored is
 * called whenever a batch was restored: the next one may follow. Returns nonzero if the spool cannot be
 * opened; the error is logged. */
int spool_control_open(spool_control_t *control, uv_loop_t *loop, const config_t *config, queue_t *queue,
                       spool_control_cb on_restored, void *arg);

/* Call after closing; also allowed if control was never opened and is all zeroes. */
void spool_control_deinit(spool_control_t *control);

/* Sets the fill level of the queue, leased entries included, in per cent. */
void spool_control_set_fill(spool_control_t *control, int64_t fill_percent);

/* Allows saving again after a batch could not be saved. */
void spool_control_retry(spool_control_t *control);

/* Whether a batch that the store does not accept should be saved: the queue is nearly full, and the spool
 * idle. */
bool spool_control_has_room(const spool_control_t *control);

/* Saves the entries of the batch that are not stored. The batch is borrowed until saved is called, once,
 * unless the spool is closed before. Returns false if there is no room, nothing to save, or no memory. */
bool spool_control_save(spool_control_t *control, const batch_t *batch, spool_control_saved_cb saved,
                        void *arg);

/* Restores the oldest batch if the queue has room and the spool is idle. */
void spool_control_restore(spool_control_t *control);

/* Returns the size on disk, in bytes. */
int64_t spool_control_bytes(const spool_control_t *control);

/* No operation is started after this call. */
void spool_control_stop(spool_control_t *control);

/* Call after spool_control_stop(). cb is called once, when no thread works for it any more; possibly within
 * this call. */
void spool_control_close(spool_control_t *control, spool_control_cb cb, void *arg);

#endif
