/* delivery.c: a worker's connection to the store, its senders and its spool, started and stopped together.
 *
 * Happy path: connect, start all senders; at the end each one releases its lease. Failure modes: Redis or the
 * store unavailable: the senders wait and are notified when it is available again. At the end, responses that
 * are due are waited for, up to STOP_MS. */
#include "delivery.h"

#include "sender.h"
#include "spool_control.h"

#include <iccm_network.h>
#include <stdlib.h>
#include <uv.h>

enum { STOP_MS = 2000 };

struct delivery {
  uv_loop_t *loop;
  const config_t *config; /* borrowed */
  queue_t *queue;         /* borrowed */
  mcp_client_t *store;
  senders_t senders;
  spool_control_t spool;
  uv_timer_t stop_timer;
  int open_parts; /* parts that are not closed yet */
  void (*on_stopped)(void *arg);
  void *stopped_arg;
};

/* Restores batches from disk while the store works. */
static void restore(void *arg) {
  delivery_t *delivery = arg;
  if (senders_store_works(&delivery->senders))
    spool_control_restore(&delivery->spool);
}

void delivery_redis_up(delivery_t *delivery) {
  senders_redis_up(&delivery->senders);
}

void delivery_set_fill(delivery_t *delivery, int64_t fill_percent) {
  spool_control_set_fill(&delivery->spool, fill_percent);
  spool_control_retry(&delivery->spool);
  senders_try_spool(&delivery->senders);
  restore(delivery);
}

int64_t delivery_spooled_bytes(const delivery_t *delivery) {
  return spool_control_bytes(&delivery->spool);
}

static void on_store_state(mcp_client_t *client, int status, const char *reason, void *arg) {
  delivery_t *delivery = arg;
  (void)client;
  senders_store_changed(&delivery->senders, status == 0, reason);
}

static void on_senders_ended(void *arg);

delivery_t *delivery_new(uv_loop_t *loop, const config_t *config, queue_t *queue) {
  delivery_t *delivery = calloc(1, sizeof *delivery);
  mcp_client_t *store = mcp_client_new(loop, config->dewey_url);
  if (delivery == NULL || store == NULL || mcp_client_set_fail_fast(store, true) != 0) {
    mcp_client_free(store);
    free(delivery);
    return NULL;
  }
  delivery->loop = loop;
  delivery->config = config;
  delivery->queue = queue;
  delivery->store = store;
  senders_init(&delivery->senders, &(senders_setup_t){.loop = loop,
                                                      .config = config,
                                                      .queue = queue,
                                                      .store = store,
                                                      .spool = &delivery->spool,
                                                      .on_batch_done = restore,
                                                      .on_ended = on_senders_ended,
                                                      .arg = delivery});
  uv_timer_init(loop, &delivery->stop_timer);
  delivery->stop_timer.data = delivery;
  return delivery;
}

int delivery_start(delivery_t *delivery) {
  int status = spool_control_open(&delivery->spool, delivery->loop, delivery->config, delivery->queue,
                                  restore, delivery);
  if (status != 0)
    return status;
  mcp_client_on_state(delivery->store, on_store_state, delivery);
  senders_start(&delivery->senders);
  return mcp_client_connect(delivery->store);
}

/* ---- End ---- */

static void on_part_closed(void *arg) {
  delivery_t *delivery = arg;
  if (--delivery->open_parts == 0)
    delivery->on_stopped(delivery->stopped_arg);
}

static void on_stop_timer_closed(uv_handle_t *handle) {
  on_part_closed(handle->data);
}

static void on_client_closed(mcp_client_t *client, void *arg) {
  (void)client;
  on_part_closed(arg);
}

static void close_all(delivery_t *delivery) {
  delivery->open_parts = 4;
  uv_close((uv_handle_t *)&delivery->stop_timer, on_stop_timer_closed);
  senders_close(&delivery->senders, on_part_closed, delivery);
  spool_control_close(&delivery->spool, on_part_closed, delivery);
  if (mcp_client_close(delivery->store, on_client_closed, delivery) != 0)
    on_part_closed(delivery);
}

static void on_senders_ended(void *arg) {
  close_all(arg);
}

static void on_stop_timer(uv_timer_t *timer) {
  delivery_t *delivery = timer->data;
  senders_release_leases(&delivery->senders);
  close_all(delivery);
}

void delivery_stop(delivery_t *delivery, void (*cb)(void *arg), void *arg) {
  delivery->on_stopped = cb;
  delivery->stopped_arg = arg;
  uv_timer_start(&delivery->stop_timer, on_stop_timer, STOP_MS, 0);
  spool_control_stop(&delivery->spool);
  senders_stop(&delivery->senders);
}

void delivery_free(delivery_t *delivery) {
  senders_deinit(&delivery->senders);
  spool_control_deinit(&delivery->spool);
  mcp_client_free(delivery->store);
  free(delivery);
}
