/* spool_control.c: see spool_control.h.
 *
 * Happy path: while the store is unavailable and the queue is filled to SAVE_ABOVE_PERCENT, the oldest batch
 * is written to disk before it is removed from Redis. When the store is available and the queue is below
 * RESTORE_BELOW_PERCENT, the oldest batch becomes a batch in Redis again, and is claimed before queued
 * entries; one for each sender may wait there. Failure modes: the disk is full or fails: the batch stays in
 * Redis, where the oldest entries are dropped beyond the bound; saving is retried after a second. Killed
 * between two steps: the batch is in both places, and the store recognizes its ids; or it is in Redis, and
 * Redis knows its position in the spool. */
#include "spool_control.h"

#include <assert.h>
#include <iccm_network.h>
#include <stdlib.h>

enum { SAVE_ABOVE_PERCENT = 80, RESTORE_BELOW_PERCENT = 90 };

/* Every operation starts and ends in SPOOL_CONTROL_IDLE; a batch that was read may then be restored. */
static void set_state(spool_control_t *control, spool_control_state_t state) {
  assert((control->state == SPOOL_CONTROL_IDLE) != (state == SPOOL_CONTROL_IDLE) ||
         (control->state == SPOOL_CONTROL_READING && state == SPOOL_CONTROL_RESTORING));
  assert(control->state != SPOOL_CONTROL_OFF && state != SPOOL_CONTROL_OFF);
  control->state = state;
}

int spool_control_open(spool_control_t *control, uv_loop_t *loop, const config_t *config, queue_t *queue,
                       spool_control_cb on_restored, void *arg) {
  *control = (spool_control_t){.loop = loop,
                               .queue = queue,
                               .max_waiting = config->batches_in_flight,
                               .on_restored = on_restored,
                               .arg = arg};
  if (config->spool_max_bytes == 0)
    return 0;
  control->spool = spool_open(config->spool_dir, config->worker_name, config->spool_max_bytes);
  if (control->spool == NULL)
    return MCP_EIO;
  control->work.data = control;
  control->state = SPOOL_CONTROL_IDLE;
  control->bytes = spool_bytes(control->spool);
  return 0;
}

void spool_control_deinit(spool_control_t *control) {
  spool_close(control->spool);
}

void spool_control_set_fill(spool_control_t *control, int64_t fill_percent) {
  control->fill_percent = fill_percent;
}

void spool_control_retry(spool_control_t *control) {
  control->failed = false;
}

int64_t spool_control_bytes(const spool_control_t *control) {
  return control->bytes;
}

/* Starts a job on a thread of the pool. spool_control_close() waits for it. */
static bool start(spool_control_t *control, spool_control_state_t state, uv_work_cb job,
                  uv_after_work_cb then) {
  if (uv_queue_work(control->loop, &control->work, job, then) != 0)
    return false;
  set_state(control, state);
  return true;
}

/* ---- Saving ---- */

bool spool_control_has_room(const spool_control_t *control) {
  return control->state == SPOOL_CONTROL_IDLE && !control->stopped && !control->failed &&
         control->fill_percent >= SAVE_ABOVE_PERCENT;
}

static void save(uv_work_t *work) {
  spool_control_t *control = work->data;
  control->status = spool_append(control->spool, control->texts, control->count);
}

static void log_saving(spool_control_t *control) {
  if (control->status != 0 && !control->failed)
    mcp_log(MCP_LOG_WARN, "spool", "cannot save a batch to disk, it stays in Redis: %s",
            uv_strerror(control->status));
  else if (control->status == 0 && !control->saving_logged)
    mcp_log(MCP_LOG_WARN, "spool",
            "the log store is unavailable and the queue nearly full: saving batches to disk");
  control->saving_logged = control->saving_logged || control->status == 0;
  control->failed = control->status != 0;
}

static void on_saved(uv_work_t *work, int status) {
  spool_control_t *control = work->data;
  (void)status; /* never cancelled */
  set_state(control, SPOOL_CONTROL_IDLE);
  control->bytes = spool_bytes(control->spool);
  free(control->texts);
  control->texts = NULL;
  log_saving(control);
  if (control->on_closed == NULL)
    control->saved(control->status, control->saved_arg);
  else
    control->on_closed(control->closed_arg);
}

bool spool_control_save(spool_control_t *control, const batch_t *batch, spool_control_saved_cb saved,
                        void *arg) {
  if (!spool_control_has_room(control))
    return false;
  control->texts = calloc(batch->count + 1, sizeof *control->texts);
  if (control->texts == NULL)
    return false;
  control->count = batch_unstored(batch, control->texts);
  control->saved = saved;
  control->saved_arg = arg;
  if (control->count > 0 && start(control, SPOOL_CONTROL_SAVING, save, on_saved))
    return true;
  free(control->texts);
  control->texts = NULL;
  return false;
}

/* ---- Restoring ---- */

static void peek(uv_work_t *work) {
  spool_control_t *control = work->data;
  control->status = 0;
  if (control->oldest == SPOOL_CONTROL_OLDEST_READ) /* Redis has not accepted it yet */
    return;
  if (control->oldest == SPOOL_CONTROL_OLDEST_RESTORED)
    spool_drop(control->spool);
  control->oldest = SPOOL_CONTROL_OLDEST_UNKNOWN;
  control->status = spool_peek(control->spool, &control->record);
  if (control->status == 0 && control->record.count > 0)
    control->oldest = SPOOL_CONTROL_OLDEST_READ;
}

static void on_restored(int status, bool accepted, void *arg) {
  spool_control_t *control = arg;
  set_state(control, SPOOL_CONTROL_IDLE);
  if (accepted)
    control->oldest = SPOOL_CONTROL_OLDEST_RESTORED;
  if (status == 0 && accepted && !control->stopped)
    control->on_restored(control->arg);
}

/* Returns whether the oldest batch was sent to Redis. */
static bool send_to_redis(spool_control_t *control) {
  const spool_record_t *record = &control->record;
  return control->oldest == SPOOL_CONTROL_OLDEST_READ && control->on_closed == NULL &&
         queue_unspool(control->queue, record->segment, record->offset, control->max_waiting, record->entries,
                       record->count, on_restored, control) == 0;
}

static void on_peeked(uv_work_t *work, int status) {
  spool_control_t *control = work->data;
  bool none = control->status == 0 && control->oldest == SPOOL_CONTROL_OLDEST_UNKNOWN;
  (void)status;
  control->bytes = spool_bytes(control->spool);
  set_state(control, send_to_redis(control) ? SPOOL_CONTROL_RESTORING : SPOOL_CONTROL_IDLE);
  if (control->status != 0)
    mcp_log(MCP_LOG_WARN, "spool", "cannot read the spool: %s", uv_strerror(control->status));
  else if (none && control->saving_logged)
    mcp_log(MCP_LOG_INFO, "spool", "all batches on disk were restored to Redis");
  control->saving_logged = control->saving_logged && !none;
  if (control->on_closed != NULL)
    control->on_closed(control->closed_arg);
}

void spool_control_restore(spool_control_t *control) {
  if (control->state != SPOOL_CONTROL_IDLE || control->stopped ||
      control->fill_percent >= RESTORE_BELOW_PERCENT || !queue_is_up(control->queue) ||
      spool_is_empty(control->spool))
    return;
  start(control, SPOOL_CONTROL_READING, peek, on_peeked);
}

/* ---- End ---- */

void spool_control_stop(spool_control_t *control) {
  control->stopped = true;
}

void spool_control_close(spool_control_t *control, spool_control_cb cb, void *arg) {
  assert(control->stopped && control->on_closed == NULL);
  control->on_closed = cb;
  control->closed_arg = arg;
  if (control->state != SPOOL_CONTROL_SAVING && control->state != SPOOL_CONTROL_READING)
    cb(arg);
}
