/* delivery.c: the life of a batch: claim, send, acknowledge.
 *
 * Happy path: two round trips for each batch: one to Redis, which ends the last batch and claims the next,
 * one to the store. With fewer than BATCH_SIZE entries queued it asks again a few times within
 * BATCH_TIMEOUT_MS, then takes what there is.
 *
 * Failure modes:
 * - The store is away or ill: the batch stays, its lease is renewed; RETRY_MAX_ATTEMPTS retries with growing
 *   delays, then probes at the greatest delay, for ever, and at once when the connection is back.
 * - Newer entries have pushed entries of the batch out: before each attempt they are dropped and counted,
 *   if it is certain that none of the batch was stored. Where an answer was lost it is not, and all are sent
 *   again: the store knows their ids.
 * - The store refuses the batch: at once (-32602), or as often as it is retried, by an error or by losing the
 *   connection: it is sent in halves (batch.c).
 * - Redis is away: whatever is next waits until it is back. The verdict on a batch is given as often as
 *   needed; only the first one counts.
 * - The lease is lost to another worker: the batch is his.
 */
#include "delivery.h"

#include "batch.h"

#include <iccm_network.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum { RENEW_MS = QUEUE_LEASE_MS / 3, STOP_MS = 2000 };

typedef void (*step_cb)(delivery_t *delivery);

struct delivery {
  uv_loop_t *loop;
  const config_t *config; /* borrowed */
  queue_t *queue;         /* borrowed */
  mcp_client_t *store;
  bool store_up;          /* connected */
  char store_reason[160]; /* why not */
  batch_t batch;
  bool holding;            /* batch is ours, and not acknowledged yet */
  bool uncertain;          /* an answer of the store was lost: the batch may be stored */
  batch_verdict_t verdict; /* of a finished batch, until Redis has it */
  bool concluded;          /* verdict is set */
  unsigned failures;       /* of the store, in a row */
  uint64_t empty_ms;       /* when there was nothing last */
  bool waits;              /* since then entries have come, fewer than a batch */
  bool asking;    /* an answer of Redis or of the store is due: exactly one of this and paused is set */
  step_cb paused; /* the step to go on with, by timer or when what is away has come back; NULL: none */
  enum { NOTHING, REDIS, STORE } away; /* while paused */
  uv_timer_t pause, lease, stop;
  int open; /* handles and client to be closed */
  bool stopping;
  bool closed; /* nothing is waited for any more: callbacks that still come are void */
  void (*on_stopped)(void *arg);
  void *stopped_arg;
};

static void ask_next(delivery_t *delivery);
static void send_next(delivery_t *delivery);
static void renew_and_send(delivery_t *delivery);
static void give_back(delivery_t *delivery);

/* ---- Going on later ---- */

static void resume(delivery_t *delivery) {
  step_cb step = delivery->paused;
  delivery->paused = NULL;
  delivery->away = NOTHING;
  uv_timer_stop(&delivery->pause);
  step(delivery);
}

static void on_pause_over(uv_timer_t *timer) {
  resume(timer->data);
}

static void go_on_in(delivery_t *delivery, uint64_t ms, step_cb step) {
  if (delivery->stopping) {
    give_back(delivery);
    return;
  }
  delivery->paused = step;
  uv_timer_start(&delivery->pause, on_pause_over, ms, 0);
}

/* Redis has failed a step: again when it is back, or in a second where it only refused. */
static void go_on_with_redis(delivery_t *delivery, step_cb step) {
  go_on_in(delivery, 1000, step);
  if (delivery->paused == NULL || queue_is_up(delivery->queue))
    return;
  delivery->away = REDIS;
  uv_timer_stop(&delivery->pause);
}

void delivery_redis_up(delivery_t *delivery) {
  if (delivery->away == REDIS)
    resume(delivery);
}

/* ---- Claiming ---- */

static void drop_batch(delivery_t *delivery) {
  if (delivery->concluded)
    batch_verdict_deinit(&delivery->verdict);
  if (delivery->holding)
    batch_deinit(&delivery->batch);
  delivery->concluded = delivery->holding = delivery->uncertain = false;
  uv_timer_stop(&delivery->lease);
}

static void on_kept(int status, int64_t entries, void *arg) {
  (void)status;
  (void)entries; /* a lease that was lost shows at the next attempt */
  (void)arg;
}

static void on_lease(uv_timer_t *timer) {
  delivery_t *delivery = timer->data;
  queue_renew(delivery->queue, delivery->batch.n, false, on_kept, NULL);
}

static void take(delivery_t *delivery, const queue_batch_t *batch) {
  delivery->waits = false;
  delivery->empty_ms = uv_now(delivery->loop);
  if (batch_init(&delivery->batch, batch) != 0) { /* UNTESTED, no memory: it is found again by its token */
    go_on_in(delivery, 1000, ask_next);
    return;
  }
  delivery->holding = true;
  delivery->uncertain = batch->sent_before;
  uv_timer_start(&delivery->lease, on_lease, RENEW_MS, RENEW_MS);
  send_next(delivery);
}

static uint64_t poll_ms(const delivery_t *delivery) {
  return delivery->config->batch_timeout_ms / 4 + 1;
}

/* Nothing was claimed. An entry that is there now came after the last time that there was none. */
static void wait_for_more(delivery_t *delivery, int64_t queued) {
  if (queued == 0)
    delivery->empty_ms = uv_now(delivery->loop);
  delivery->waits = queued > 0;
  go_on_in(delivery, poll_ms(delivery), ask_next);
}

static void on_next(int status, const queue_batch_t *batch, int64_t queued, void *arg) {
  delivery_t *delivery = arg;
  delivery->asking = false;
  if (delivery->closed)
    return;
  if (status != 0) {
    go_on_with_redis(delivery, ask_next);
    return;
  }
  drop_batch(delivery);
  if (batch != NULL)
    take(delivery, batch);
  else
    wait_for_more(delivery, queued);
}

static void ask_next(delivery_t *delivery) {
  const config_t *config = delivery->config;
  uint64_t waited_ms = uv_now(delivery->loop) - delivery->empty_ms + poll_ms(delivery);
  bool due = delivery->waits && waited_ms >= config->batch_timeout_ms;
  int64_t most = delivery->stopping ? 0 : config->batch_size;
  int status = queue_next(delivery->queue, delivery->concluded ? &delivery->verdict.verdict : NULL,
                          due ? 1 : config->batch_size, most, on_next, delivery);
  delivery->asking = status == 0;
  if (status != 0)
    go_on_with_redis(delivery, ask_next);
}

/* ---- Sending ---- */

typedef enum outcome {
  ACCEPTED,
  AWAY,   /* there is nobody to send to */
  LOST,   /* the connection went instead of an answer: does an entry end the store each time? */
  ILL,    /* an error that may be the store's or an entry's */
  REFUSED /* an error that is about the entries */
} outcome_t;

static outcome_t classify(const mcp_result_t *result) {
  bool own_code = result->status <= MCP_TOOL_ERROR && result->status > MCP_TOOL_ERROR - 100;
  switch (result->status) {
  case 0:
    return result->is_error ? ILL : ACCEPTED;
  case MCP_INVALID_PARAMS:
  case MCP_ETOOBIG:
  case MCP_EANSWER:
    return REFUSED;
  case MCP_PARSE_ERROR:
  case MCP_INVALID_REQUEST:
  case MCP_INTERNAL_ERROR:
    return ILL;
  case MCP_ELOST:
    return LOST;
  default:
    return own_code ? ILL : AWAY;
  }
}

/* Whether what was sent cannot have been stored. */
static bool surely_not_stored(const mcp_result_t *result) {
  switch (result->status) {
  case MCP_ERESOLVE:
  case MCP_ECONNECT:
  case MCP_ETLS:
  case MCP_EUPGRADE:
  case MCP_EREFUSED:
  case MCP_EFULL:
  case MCP_ETOOBIG:
  case MCP_METHOD_NOT_FOUND:
  case MCP_INVALID_PARAMS:
    return true;
  default: /* a tool's own error says that its transaction was given up; any other may have come too late */
    return classify(result) == ILL && result->status != MCP_INTERNAL_ERROR;
  }
}

static uint64_t delay_ms(const delivery_t *delivery) {
  const config_t *config = delivery->config;
  uint64_t delay = config->retry_initial_ms;
  for (unsigned i = 1; i < delivery->failures && delay < config->retry_max_ms; i++)
    delay *= 2;
  if (delay > config->retry_max_ms)
    delay = config->retry_max_ms;
  return delay / 2 + (uint64_t)random() % (delay / 2 + 1);
}

static void count_failure(delivery_t *delivery, const mcp_result_t *result) {
  unsigned quick = (unsigned)delivery->config->retry_max_attempts;
  delivery->failures++;
  if (delivery->failures == 1)
    mcp_log(MCP_LOG_WARN, "worker", "the log store does not take a batch, trying again: %s", result->message);
  if (delivery->failures == quick + 1)
    mcp_log(MCP_LOG_WARN, "worker", "the log store still does not take it; it is kept, and tried for ever");
}

static void count_success(delivery_t *delivery) {
  if (delivery->failures > 0)
    mcp_log(MCP_LOG_INFO, "worker", "the log store takes batches again, after %u failures",
            delivery->failures);
  delivery->failures = 0;
}

static void conclude(delivery_t *delivery) {
  if (batch_conclude(&delivery->batch, &delivery->verdict) != 0) { /* UNTESTED, no memory */
    go_on_in(delivery, 1000, conclude);
    return;
  }
  delivery->concluded = true;
  if (delivery->verdict.verdict.dead_count > 0)
    mcp_log(MCP_LOG_WARN, "worker", "%zu entries refused, moved to logs:dead",
            delivery->verdict.verdict.dead_count);
  if (delivery->verdict.verdict.back_count > 0 && !delivery->stopping)
    go_on_in(delivery, delay_ms(delivery), ask_next);
  else
    ask_next(delivery);
}

/* Again in a while, or as soon as a store that is away has come back. */
static void retry(delivery_t *delivery, outcome_t outcome) {
  go_on_in(delivery, delay_ms(delivery), renew_and_send);
  if ((outcome == AWAY || outcome == LOST) && delivery->paused != NULL)
    delivery->away = STORE;
}

static void handle_failure(delivery_t *delivery, const mcp_result_t *result, outcome_t outcome) {
  bool persists;
  delivery->uncertain = delivery->uncertain || !surely_not_stored(result);
  if (outcome != REFUSED)
    count_failure(delivery, result);
  persists = delivery->batch.halved || delivery->failures > (unsigned)delivery->config->retry_max_attempts;
  if (outcome == REFUSED || (outcome != AWAY && persists))
    batch_refused(&delivery->batch, result->message, outcome == REFUSED);
  if (outcome == REFUSED || (outcome == ILL && persists))
    go_on_in(delivery, 0, send_next);
  else
    retry(delivery, outcome);
}

static void handle(delivery_t *delivery, const mcp_result_t *result) {
  outcome_t outcome = classify(result);
  if (outcome != ACCEPTED) {
    handle_failure(delivery, result, outcome);
    return;
  }
  count_success(delivery);
  batch_stored(&delivery->batch, result->value);
  send_next(delivery);
}

static void on_answer(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  delivery_t *delivery = arg;
  (void)client;
  delivery->asking = false;
  if (delivery->closed)
    return;
  handle(delivery, result);
}

/* What a call would come to that cannot be sent; nothing is sent while the connection is known to be away, so
 * that an answer that was lost is never mistaken for a question that was never asked. */
static void handle_unsent(delivery_t *delivery, int status, const char *reason) {
  handle(delivery, &(mcp_result_t){.status = status, .message = reason});
}

static void send_next(delivery_t *delivery) {
  yyjson_mut_doc *request;
  int status;
  if (batch_finished(&delivery->batch)) {
    conclude(delivery);
    return;
  }
  if (delivery->stopping) {
    give_back(delivery);
    return;
  }
  if (!delivery->store_up) {
    handle_unsent(delivery, MCP_ECONNECT, delivery->store_reason);
    return;
  }
  request = batch_request(&delivery->batch);
  if (request == NULL) { /* UNTESTED, no memory */
    go_on_in(delivery, 1000, send_next);
    return;
  }
  status = mcp_client_call(delivery->store, "dewey_store_logs_batch", request,
                           delivery->config->dewey_timeout_ms, on_answer, delivery);
  delivery->asking = status == 0;
  if (status != 0)
    handle_unsent(delivery, status, mcp_strerror(status));
}

static void on_renewed(int status, int64_t entries, void *arg) {
  delivery_t *delivery = arg;
  delivery->asking = false;
  if (delivery->closed)
    return;
  if (status != 0) {
    go_on_with_redis(delivery, renew_and_send);
  } else if (entries < 0) {
    mcp_log(MCP_LOG_WARN, "worker", "another worker has taken batch %s", delivery->batch.n);
    drop_batch(delivery);
    go_on_in(delivery, 0, ask_next);
  } else {
    batch_keep_newest(&delivery->batch, (size_t)entries);
    send_next(delivery);
  }
}

static void renew_and_send(delivery_t *delivery) {
  bool not_stored = !delivery->uncertain && !delivery->batch.any_stored;
  int status = queue_renew(delivery->queue, delivery->batch.n, not_stored, on_renewed, delivery);
  delivery->asking = status == 0;
  if (status != 0)
    go_on_with_redis(delivery, renew_and_send);
}

static void on_store_state(mcp_client_t *client, int status, const char *reason, void *arg) {
  delivery_t *delivery = arg;
  (void)client;
  delivery->store_up = status == 0;
  snprintf(delivery->store_reason, sizeof delivery->store_reason, "%s", reason == NULL ? "" : reason);
  if (status == 0 && delivery->away == STORE)
    resume(delivery);
}

/* ---- Life ---- */

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
  uv_timer_init(loop, &delivery->pause);
  uv_timer_init(loop, &delivery->lease);
  uv_timer_init(loop, &delivery->stop);
  delivery->pause.data = delivery->lease.data = delivery->stop.data = delivery;
  delivery->open = 4;
  return delivery;
}

int delivery_start(delivery_t *delivery) {
  snprintf(delivery->store_reason, sizeof delivery->store_reason, "not connected yet");
  mcp_client_on_state(delivery->store, on_store_state, delivery);
  delivery->empty_ms = uv_now(delivery->loop);
  go_on_with_redis(delivery, ask_next);
  return mcp_client_connect(delivery->store);
}

static void release(delivery_t *delivery) {
  if (--delivery->open == 0)
    delivery->on_stopped(delivery->stopped_arg);
}

static void on_handle_closed(uv_handle_t *handle) {
  release(handle->data);
}

static void on_client_closed(mcp_client_t *client, void *arg) {
  (void)client;
  release(arg);
}

static void close_all(delivery_t *delivery) {
  if (delivery->closed)
    return;
  delivery->closed = true;
  uv_close((uv_handle_t *)&delivery->pause, on_handle_closed);
  uv_close((uv_handle_t *)&delivery->lease, on_handle_closed);
  uv_close((uv_handle_t *)&delivery->stop, on_handle_closed);
  if (mcp_client_close(delivery->store, on_client_closed, delivery) != 0)
    release(delivery);
}

static void on_given_back(int status, void *arg) {
  (void)status;
  close_all(arg);
}

/* The last step: whoever asks next gets the batch. */
static void give_back(delivery_t *delivery) {
  if (!delivery->holding || queue_release(delivery->queue, delivery->batch.n, on_given_back, delivery) != 0)
    close_all(delivery);
}

static void on_nothing(int status, void *arg) {
  (void)status;
  (void)arg;
}

static void on_stop_over(uv_timer_t *timer) {
  delivery_t *delivery = timer->data;
  if (delivery->holding)
    queue_release(delivery->queue, delivery->batch.n, on_nothing, NULL);
  close_all(delivery);
}

void delivery_stop(delivery_t *delivery, void (*cb)(void *arg), void *arg) {
  delivery->stopping = true;
  delivery->on_stopped = cb;
  delivery->stopped_arg = arg;
  uv_timer_start(&delivery->stop, on_stop_over, STOP_MS, 0);
  if (!delivery->asking)
    give_back(delivery);
}

void delivery_free(delivery_t *delivery) {
  drop_batch(delivery);
  mcp_client_free(delivery->store);
  free(delivery);
}
