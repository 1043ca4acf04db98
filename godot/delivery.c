/* delivery.c: the senders of a worker, its connection to the store, start and end.
 *
 * Happy path: connect, let all senders run; at the end each gives its lease back. Failure modes: Redis or the
 * store away: the senders wait and are told when it is back. An answer that is due at the end is waited for,
 * for STOP_MS.
 */
#include "delivery.h"

#include "sender.h"

#include <stdio.h>
#include <stdlib.h>

enum { STOP_MS = 2000 };

/* Those senders go on for which this was missing. */
static void go_on(delivery_t *delivery, missing_t missing) {
  for (int i = 0; i < delivery->sender_count; i++)
    if (delivery->senders[i].missing == missing)
      sender_go_on(&delivery->senders[i]);
}

void delivery_redis_up(delivery_t *delivery) {
  go_on(delivery, REDIS);
}

void delivery_fill(delivery_t *delivery, int64_t fill) {
  delivery->fill = fill;
  delivery->control.failed = false;
  for (int i = 0; i < delivery->sender_count; i++)
    if (delivery->senders[i].missing == STORE && spool_control_is_wanted(&delivery->senders[i]))
      sender_go_on(&delivery->senders[i]);
  spool_control_replay(delivery);
}

int64_t delivery_spooled(const delivery_t *delivery) {
  return delivery->control.bytes;
}

static void on_store_state(mcp_client_t *client, int status, const char *reason, void *arg) {
  delivery_t *delivery = arg;
  (void)client;
  delivery->store_up = status == 0;
  snprintf(delivery->store_reason, sizeof delivery->store_reason, "%s", reason == NULL ? "" : reason);
  if (status == 0)
    go_on(delivery, STORE);
}

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
  delivery->sender_count = config->batches_in_flight;
  for (int i = 0; i < delivery->sender_count; i++)
    sender_init(&delivery->senders[i], delivery, i);
  uv_timer_init(loop, &delivery->stop);
  delivery->stop.data = delivery;
  delivery->open = 2 * delivery->sender_count + 2;
  return delivery;
}

int delivery_start(delivery_t *delivery) {
  int status = spool_control_open(delivery);
  if (status != 0)
    return status;
  snprintf(delivery->store_reason, sizeof delivery->store_reason, "not connected yet");
  mcp_client_on_state(delivery->store, on_store_state, delivery);
  delivery->empty_ms = uv_now(delivery->loop);
  for (int i = 0; i < delivery->sender_count; i++)
    sender_start(&delivery->senders[i]);
  return mcp_client_connect(delivery->store);
}

/* ---- End ---- */

void delivery_release(delivery_t *delivery) {
  if (--delivery->open == 0)
    delivery->on_stopped(delivery->stopped_arg);
}

static void on_sender_handle_closed(uv_handle_t *handle) {
  const sender_t *sender = handle->data;
  delivery_release(sender->delivery);
}

static void on_stop_closed(uv_handle_t *handle) {
  delivery_release(handle->data);
}

static void on_client_closed(mcp_client_t *client, void *arg) {
  (void)client;
  delivery_release(arg);
}

static void close_all(delivery_t *delivery) {
  delivery->closed = true;
  for (int i = 0; i < delivery->sender_count; i++) {
    uv_close((uv_handle_t *)&delivery->senders[i].pause, on_sender_handle_closed);
    uv_close((uv_handle_t *)&delivery->senders[i].lease, on_sender_handle_closed);
  }
  uv_close((uv_handle_t *)&delivery->stop, on_stop_closed);
  if (mcp_client_close(delivery->store, on_client_closed, delivery) != 0)
    delivery_release(delivery);
}

void delivery_sender_ended(delivery_t *delivery) {
  if (++delivery->senders_ended == delivery->sender_count)
    close_all(delivery);
}

static void on_stop_over(uv_timer_t *timer) {
  delivery_t *delivery = timer->data;
  for (int i = 0; i < delivery->sender_count; i++)
    sender_let_go(&delivery->senders[i]);
  close_all(delivery);
}

void delivery_stop(delivery_t *delivery, void (*cb)(void *arg), void *arg) {
  delivery->stopping = true;
  delivery->on_stopped = cb;
  delivery->stopped_arg = arg;
  uv_timer_start(&delivery->stop, on_stop_over, STOP_MS, 0);
  for (int i = 0; i < delivery->sender_count; i++)
    sender_stop(&delivery->senders[i]);
}

void delivery_free(delivery_t *delivery) {
  for (int i = 0; i < delivery->sender_count; i++)
    sender_deinit(&delivery->senders[i]);
  spool_control_close(delivery);
  mcp_client_free(delivery->store);
  free(delivery);
}
