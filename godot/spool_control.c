/* spool_control.c: see the header.
 *
 * Happy path: with the store away and the queue at SAVE_ABOVE per cent, the oldest batch is on disk before it
 * leaves Redis; with the store back and the queue below REPLAY_BELOW it becomes a batch in Redis again, and
 * is preferred to what is queued; one for each lane may wait there. Failure modes: the disk is full or fails:
 * the batch stays in Redis, where the bound is kept by dropping the oldest; it is tried again in a second.
 * Killed between two steps: the batch is in both places, and the store knows its ids; or it is in Redis, and
 * Redis knows from where it came.
 */
#include "spool_control.h"

#include "sender.h"

#include <stdlib.h>

enum { SAVE_ABOVE = 80, REPLAY_BELOW = 90 };

int spooling_open(delivery_t *delivery) {
  const config_t *config = delivery->config;
  if (config->spool_max_bytes == 0)
    return 0;
  delivery->spooling.spool = spool_open(config->spool_dir, config->worker_name, config->spool_max_bytes);
  delivery->spooling.work.data = delivery;
  if (delivery->spooling.spool == NULL)
    return UV_EIO;
  delivery->spooling.bytes = spool_bytes(delivery->spooling.spool);
  return 0;
}

void spooling_close(delivery_t *delivery) {
  spool_close(delivery->spooling.spool);
}

/* Starts a job that the delivery does not end before. */
static bool start(delivery_t *delivery, uv_work_cb job, uv_after_work_cb then) {
  if (uv_queue_work(delivery->loop, &delivery->spooling.work, job, then) != 0)
    return false;
  delivery->spooling.busy = true;
  delivery->open++;
  return true;
}

/* ---- To the disk ---- */

bool spooling_is_wanted(const lane_t *lane) {
  const delivery_t *delivery = lane->delivery;
  const spooling_t *spooling = &delivery->spooling;
  bool away = !delivery->store_up || lane->failures > (unsigned)delivery->config->retry_max_attempts;
  return spooling->spool != NULL && !spooling->busy && !spooling->failed && away &&
         delivery->fill >= SAVE_ABOVE;
}

static void save(uv_work_t *work) {
  delivery_t *delivery = work->data;
  spooling_t *spooling = &delivery->spooling;
  spooling->status = spool_append(spooling->spool, spooling->texts, spooling->count);
}

static void tell(spooling_t *spooling) {
  if (spooling->status != 0 && !spooling->failed)
    mcp_log(MCP_LOG_WARN, "spool", "a batch stays in Redis: %s", uv_strerror(spooling->status));
  else if (spooling->status == 0 && !spooling->told)
    mcp_log(MCP_LOG_WARN, "spool", "the log store is away and the queue nearly full: batches go to disk");
  spooling->told = spooling->told || spooling->status == 0;
  spooling->failed = spooling->status != 0;
}

static void on_saved(uv_work_t *work, int status) {
  delivery_t *delivery = work->data;
  spooling_t *spooling = &delivery->spooling;
  (void)status; /* it is never cancelled */
  spooling->busy = false;
  spooling->bytes = spool_bytes(spooling->spool);
  free(spooling->texts);
  spooling->texts = NULL;
  tell(spooling);
  if (!delivery->closed)
    lane_saved(spooling->lane, spooling->status);
  delivery_release(delivery);
}

bool spooling_save(lane_t *lane) {
  spooling_t *spooling = &lane->delivery->spooling;
  spooling->texts = calloc(lane->batch.count + 1, sizeof *spooling->texts);
  if (spooling->texts == NULL)
    return false;
  spooling->count = batch_rest(&lane->batch, spooling->texts);
  spooling->lane = lane;
  if (spooling->count > 0 && start(lane->delivery, save, on_saved))
    return true;
  free(spooling->texts);
  spooling->texts = NULL;
  return false;
}

/* ---- And back ---- */

static void peek(uv_work_t *work) {
  delivery_t *delivery = work->data;
  spooling_t *spooling = &delivery->spooling;
  if (spooling->restored)
    spool_drop(spooling->spool);
  else if (spooling->status == 0 && spooling->record.count > 0)
    return; /* it had to wait */
  spooling->restored = false;
  spooling->status = spool_peek(spooling->spool, &spooling->record);
}

static void on_restored(int status, bool taken, void *arg) {
  delivery_t *delivery = arg;
  delivery->spooling.busy = false;
  delivery->spooling.restored = taken;
  if (status == 0 && taken)
    spooling_replay(delivery);
}

static void on_peeked(uv_work_t *work, int status) {
  delivery_t *delivery = work->data;
  spooling_t *spooling = &delivery->spooling;
  const spool_record_t *record = &spooling->record;
  (void)status;
  spooling->bytes = spool_bytes(spooling->spool);
  spooling->busy = spooling->status == 0 && record->count > 0 && !delivery->closed &&
                   queue_unspool(delivery->queue, record->segment, record->offset, delivery->lane_count,
                                 record->entries, record->count, on_restored, delivery) == 0;
  if (spooling->status != 0)
    mcp_log(MCP_LOG_WARN, "spool", "cannot be read: %s", uv_strerror(spooling->status));
  else if (record->count == 0 && spooling->told)
    mcp_log(MCP_LOG_INFO, "spool", "all that was on disk is in Redis again");
  spooling->told = spooling->told && record->count > 0;
  delivery_release(delivery);
}

void spooling_replay(delivery_t *delivery) {
  const spooling_t *spooling = &delivery->spooling;
  bool calm = delivery->store_up && delivery->alone == NULL && delivery->fill < REPLAY_BELOW;
  if (spooling->spool == NULL || spooling->busy || delivery->stopping || !calm ||
      !queue_is_up(delivery->queue) || spool_is_empty(spooling->spool))
    return;
  start(delivery, peek, on_peeked);
}
