/* spool_control.c: see the header.
 *
 * Happy path: with the store away and the queue at SAVE_ABOVE per cent, the oldest batch is on disk before it
 * leaves Redis; with the store back and the queue below REPLAY_BELOW it becomes a batch in Redis again, and
 * is preferred to what is queued; one for each sender may wait there. Failure modes: the disk is full or
 * fails: the batch stays in Redis, where the bound is kept by dropping the oldest; it is tried again in a
 * second. Killed between two steps: the batch is in both places, and the store knows its ids; or it is in
 * Redis, and Redis knows from where it came.
 */
#include "spool_control.h"

#include "sender.h"

#include <stdlib.h>

enum { SAVE_ABOVE = 80, REPLAY_BELOW = 90 };

int spool_control_open(delivery_t *delivery) {
  const config_t *config = delivery->config;
  if (config->spool_max_bytes == 0)
    return 0;
  delivery->control.spool = spool_open(config->spool_dir, config->worker_name, config->spool_max_bytes);
  delivery->control.work.data = delivery;
  if (delivery->control.spool == NULL)
    return UV_EIO;
  delivery->control.bytes = spool_bytes(delivery->control.spool);
  return 0;
}

void spool_control_close(delivery_t *delivery) {
  spool_close(delivery->control.spool);
}

/* Starts a job that the delivery does not end before. */
static bool start(delivery_t *delivery, uv_work_cb job, uv_after_work_cb then) {
  if (uv_queue_work(delivery->loop, &delivery->control.work, job, then) != 0)
    return false;
  delivery->control.busy = true;
  delivery->open++;
  return true;
}

/* ---- To the disk ---- */

bool spool_control_is_wanted(const sender_t *sender) {
  const delivery_t *delivery = sender->delivery;
  const spool_control_t *control = &delivery->control;
  bool away = !delivery->store_up || sender->failures > (unsigned)delivery->config->retry_max_attempts;
  return control->spool != NULL && !control->busy && !control->failed && away && delivery->fill >= SAVE_ABOVE;
}

static void save(uv_work_t *work) {
  delivery_t *delivery = work->data;
  spool_control_t *control = &delivery->control;
  control->status = spool_append(control->spool, control->texts, control->count);
}

static void tell(spool_control_t *control) {
  if (control->status != 0 && !control->failed)
    mcp_log(MCP_LOG_WARN, "spool", "a batch stays in Redis: %s", uv_strerror(control->status));
  else if (control->status == 0 && !control->told)
    mcp_log(MCP_LOG_WARN, "spool", "the log store is away and the queue nearly full: batches go to disk");
  control->told = control->told || control->status == 0;
  control->failed = control->status != 0;
}

static void on_saved(uv_work_t *work, int status) {
  delivery_t *delivery = work->data;
  spool_control_t *control = &delivery->control;
  (void)status; /* it is never cancelled */
  control->busy = false;
  control->bytes = spool_bytes(control->spool);
  free(control->texts);
  control->texts = NULL;
  tell(control);
  if (!delivery->closed)
    sender_saved(control->sender, control->status);
  delivery_release(delivery);
}

bool spool_control_save(sender_t *sender) {
  spool_control_t *control = &sender->delivery->control;
  control->texts = calloc(sender->batch.count + 1, sizeof *control->texts);
  if (control->texts == NULL)
    return false;
  control->count = batch_rest(&sender->batch, control->texts);
  control->sender = sender;
  if (control->count > 0 && start(sender->delivery, save, on_saved))
    return true;
  free(control->texts);
  control->texts = NULL;
  return false;
}

/* ---- And back ---- */

static void peek(uv_work_t *work) {
  delivery_t *delivery = work->data;
  spool_control_t *control = &delivery->control;
  if (control->restored)
    spool_drop(control->spool);
  else if (control->status == 0 && control->record.count > 0)
    return; /* it had to wait */
  control->restored = false;
  control->status = spool_peek(control->spool, &control->record);
}

static void on_restored(int status, bool taken, void *arg) {
  delivery_t *delivery = arg;
  delivery->control.busy = false;
  delivery->control.restored = taken;
  if (status == 0 && taken)
    spool_control_replay(delivery);
}

static void on_peeked(uv_work_t *work, int status) {
  delivery_t *delivery = work->data;
  spool_control_t *control = &delivery->control;
  const spool_record_t *record = &control->record;
  (void)status;
  control->bytes = spool_bytes(control->spool);
  control->busy = control->status == 0 && record->count > 0 && !delivery->closed &&
                  queue_unspool(delivery->queue, record->segment, record->offset, delivery->sender_count,
                                record->entries, record->count, on_restored, delivery) == 0;
  if (control->status != 0)
    mcp_log(MCP_LOG_WARN, "spool", "cannot be read: %s", uv_strerror(control->status));
  else if (record->count == 0 && control->told)
    mcp_log(MCP_LOG_INFO, "spool", "all that was on disk is in Redis again");
  control->told = control->told && record->count > 0;
  delivery_release(delivery);
}

void spool_control_replay(delivery_t *delivery) {
  const spool_control_t *control = &delivery->control;
  bool calm = delivery->store_up && delivery->alone == NULL && delivery->fill < REPLAY_BELOW;
  if (control->spool == NULL || control->busy || delivery->stopping || !calm ||
      !queue_is_up(delivery->queue) || spool_is_empty(control->spool))
    return;
  start(delivery, peek, on_peeked);
}
