/* sender.c: the life of a batch: claim, send, acknowledge.
 *
 * Happy path: two round trips for each batch: one to Redis, which ends the last batch and claims the next,
 * one to the store. With fewer than BATCH_SIZE entries queued one lane asks again a few times within
 * BATCH_TIMEOUT_MS, then takes what there is; the others wait until it has found something.
 *
 * Failure modes:
 * - The store is away or ill: the batch stays, its lease is renewed; RETRY_MAX_ATTEMPTS retries with growing
 *   delays, then probes at the greatest delay, for ever, and at once when the connection is back. Meanwhile
 *   the oldest batch that failed is sent alone, and one lane alone claims more: one probe at a time, a
 *   connection that is lost is never blamed on another lane's entries, and an entry that goes back to the
 *   queue meets others there.
 * - Newer entries have pushed entries of the batch out: before each attempt they are dropped and counted,
 *   if it is certain that none of the batch was stored. Where an answer was lost it is not, and all are sent
 *   again: the store knows their ids.
 * - The store says that it is full or busy: as away, and no entry is blamed.
 * - The store refuses the batch: at once (-32602), or as often as it is retried, by an error or by losing the
 *   connection: it is sent in halves (batch.c).
 * - Redis is away: whatever is next waits until it is back. The verdict on a batch is given as often as
 *   needed; only the first one counts.
 * - The lease is lost to another worker: the batch is his.
 */
#include "sender.h"

#include "store_result.h"

#include <stdlib.h>

enum { RENEW_MS = QUEUE_LEASE_MS / 3 };

static void ask_next(lane_t *lane);
static void send_next(lane_t *lane);
static void renew_and_send(lane_t *lane);

/* ---- Going on later ---- */

void lane_go_on(lane_t *lane) {
  step_cb step = lane->paused;
  lane->paused = NULL;
  lane->missing = NOTHING;
  uv_timer_stop(&lane->pause);
  step(lane);
}

static void on_pause_over(uv_timer_t *timer) {
  lane_go_on(timer->data);
}

static void go_on_in(lane_t *lane, uint64_t ms, step_cb step) {
  if (lane->delivery->stopping) {
    lane_stop(lane);
    return;
  }
  lane->paused = step;
  uv_timer_start(&lane->pause, on_pause_over, ms, 0);
}

/* Another lane goes on with this one when the time has come. */
static void wait_for(lane_t *lane, missing_t missing, step_cb step) {
  go_on_in(lane, 0, step);
  if (lane->paused == NULL)
    return;
  lane->missing = missing;
  uv_timer_stop(&lane->pause);
}

/* In the next turn of the loop, since whoever finds out is in the middle of something. */
static void wake(lane_t *lane) {
  lane->missing = NOTHING;
  uv_timer_start(&lane->pause, on_pause_over, 0, 0);
}

/* Redis has failed a step: again when it is back, or in a second where it only refused. */
static void go_on_with_redis(lane_t *lane, step_cb step) {
  if (queue_is_up(lane->delivery->queue))
    go_on_in(lane, 1000, step);
  else
    wait_for(lane, REDIS, step);
}

/* ---- Whose turn it is to send ---- */

static bool is_older(const lane_t *lane, const lane_t *other) {
  return other == NULL || strtoll(lane->batch.n, NULL, 10) < strtoll(other->batch.n, NULL, 10);
}

/* A lane whose batch has failed sends alone, the oldest batch first. */
static bool has_turn(lane_t *lane) {
  delivery_t *delivery = lane->delivery;
  if (lane->failures > 0 && is_older(lane, delivery->alone))
    delivery->alone = lane;
  return delivery->alone == NULL || (delivery->alone == lane && delivery->sending == 0);
}

/* Something has changed: those who have their turn now go on. */
static void pass_turn(delivery_t *delivery) {
  for (int i = 0; i < delivery->lane_count; i++)
    if (delivery->lanes[i].missing == TURN)
      has_turn(&delivery->lanes[i]); /* the oldest comes first, wherever it stands */
  for (int i = 0; i < delivery->lane_count; i++)
    if (delivery->lanes[i].missing == TURN && has_turn(&delivery->lanes[i]))
      wake(&delivery->lanes[i]);
}

static void end_turn(lane_t *lane) {
  if (lane->delivery->alone != lane)
    return;
  lane->delivery->alone = NULL;
  pass_turn(lane->delivery);
}

/* ---- Claiming ---- */

static void drop_batch(lane_t *lane) {
  if (lane->concluded)
    batch_verdict_deinit(&lane->verdict);
  if (lane->holding)
    batch_deinit(&lane->batch);
  lane->concluded = lane->holding = lane->uncertain = false;
  uv_timer_stop(&lane->lease);
}

static void on_kept(int status, int64_t entries, int64_t fill, void *arg) {
  (void)status;
  (void)fill;
  (void)entries; /* a lease that was lost shows at the next attempt */
  (void)arg;
}

static void on_lease(uv_timer_t *timer) {
  lane_t *lane = timer->data;
  queue_renew(lane->delivery->queue, lane->number, lane->batch.n, false, on_kept, NULL);
}

/* Where there is work for one there may be work for another. */
static void call_another(lane_t *lane) {
  delivery_t *delivery = lane->delivery;
  if (delivery->poller == lane)
    delivery->poller = NULL;
  for (int i = 0; i < delivery->lane_count; i++)
    if (delivery->lanes[i].missing == WORK) {
      wake(&delivery->lanes[i]);
      return;
    }
}

static void take(lane_t *lane, const queue_batch_t *batch) {
  lane->delivery->waits = false;
  lane->delivery->empty_ms = uv_now(lane->delivery->loop);
  if (batch_init(&lane->batch, batch) != 0) { /* UNTESTED, no memory: it is found again by its token */
    go_on_in(lane, 1000, ask_next);
    return;
  }
  lane->holding = true;
  lane->uncertain = batch->sent_before;
  lane->retries = 0;
  uv_timer_start(&lane->lease, on_lease, RENEW_MS, RENEW_MS);
  call_another(lane);
  send_next(lane);
}

static uint64_t poll_ms(const delivery_t *delivery) {
  return delivery->config->batch_timeout_ms / 4 + 1;
}

/* While the store fails, the first lane that has seen it alone. */
static bool may_claim(const lane_t *lane) {
  for (int i = 0; i < lane->delivery->lane_count; i++)
    if (lane->delivery->lanes[i].failures > 0)
      return &lane->delivery->lanes[i] == lane;
  return true;
}

/* What it has seen of the store no longer counts: with nothing in hand it cannot see that the store has
 * recovered. */
static void stand_by(lane_t *lane) {
  lane->failures = 0;
  wait_for(lane, WORK, ask_next);
}

/* Nothing was claimed. An entry that is there now came after the last time that there was none. */
static void wait_for_more(lane_t *lane, int64_t queued) {
  delivery_t *delivery = lane->delivery;
  if (queued == 0)
    delivery->empty_ms = uv_now(delivery->loop);
  delivery->waits = queued > 0;
  if (delivery->poller == NULL || !may_claim(delivery->poller))
    delivery->poller = lane;
  if (delivery->poller == lane)
    go_on_in(lane, poll_ms(delivery), ask_next);
  else
    stand_by(lane);
}

static void on_next(int status, const queue_batch_t *batch, int64_t queued, void *arg) {
  lane_t *lane = arg;
  lane->asking = false;
  if (lane->delivery->closed)
    return;
  if (status != 0) {
    go_on_with_redis(lane, ask_next);
    return;
  }
  drop_batch(lane);
  if (batch != NULL)
    take(lane, batch);
  else
    wait_for_more(lane, queued);
}

static void ask_next(lane_t *lane) {
  delivery_t *delivery = lane->delivery;
  const config_t *config = delivery->config;
  uint64_t waited_ms = uv_now(delivery->loop) - delivery->empty_ms + poll_ms(delivery);
  bool due = delivery->waits && waited_ms >= config->batch_timeout_ms;
  int64_t most = delivery->stopping || !may_claim(lane) ? 0 : config->batch_size;
  int status = queue_next(delivery->queue, lane->number, lane->concluded ? &lane->verdict.verdict : NULL,
                          due ? 1 : config->batch_size, most, on_next, lane);
  lane->asking = status == 0;
  if (status != 0)
    go_on_with_redis(lane, ask_next);
}

/* ---- Sending ---- */

static uint64_t delay_ms(const lane_t *lane) {
  const config_t *config = lane->delivery->config;
  uint64_t delay = config->retry_initial_ms;
  for (unsigned i = 1; i < lane->failures && delay < config->retry_max_ms; i++)
    delay *= 2;
  if (delay > config->retry_max_ms)
    delay = config->retry_max_ms;
  return delay / 2 + (uint64_t)random() % (delay / 2 + 1);
}

static void count_failure(lane_t *lane, const mcp_result_t *result) {
  delivery_t *delivery = lane->delivery;
  lane->failures++;
  if (lane->failures == 1 && delivery->alone == NULL)
    mcp_log(MCP_LOG_WARN, "worker", "the log store does not take a batch, trying again: %s", result->message);
  if (lane->failures == (unsigned)delivery->config->retry_max_attempts + 1)
    mcp_log(MCP_LOG_WARN, "worker", "the log store still does not take it; it is kept, and tried for ever");
  has_turn(lane); /* from now on */
}

static void count_success(lane_t *lane) {
  if (lane->failures > 0)
    mcp_log(MCP_LOG_INFO, "worker", "the log store takes batches again, after %u failures", lane->failures);
  lane->failures = 0;
}

static void conclude(lane_t *lane) {
  if (batch_conclude(&lane->batch, &lane->verdict) != 0) { /* UNTESTED, no memory */
    go_on_in(lane, 1000, conclude);
    return;
  }
  lane->concluded = true;
  lane->verdict.verdict.retried = lane->retries;
  end_turn(lane);
  spooling_replay(lane->delivery);
  if (lane->verdict.verdict.dead_count > 0)
    mcp_log(MCP_LOG_WARN, "worker", "%zu entries refused, moved to logs:dead",
            lane->verdict.verdict.dead_count);
  if (lane->verdict.verdict.back_count > 0 && !lane->delivery->stopping)
    go_on_in(lane, delay_ms(lane), ask_next);
  else
    ask_next(lane);
}

/* Again in a while, or as soon as a store that is away has come back; at once where the batch can go to disk.
 */
static void retry(lane_t *lane, outcome_t outcome) {
  lane->retries++;
  go_on_in(lane, spooling_is_wanted(lane) ? 0 : delay_ms(lane), renew_and_send);
  if ((outcome == AWAY || outcome == LOST) && lane->paused != NULL)
    lane->missing = STORE;
}

static void handle_failure(lane_t *lane, const mcp_result_t *result, outcome_t outcome) {
  bool persists;
  lane->uncertain = lane->uncertain || !outcome_surely_not_stored(result);
  if (outcome != REFUSED)
    count_failure(lane, result);
  persists = lane->batch.halved || lane->failures > (unsigned)lane->delivery->config->retry_max_attempts;
  if (outcome == REFUSED || (outcome != AWAY && persists))
    batch_refused(&lane->batch, result->message, outcome == REFUSED);
  if (outcome == REFUSED || (outcome == ILL && persists))
    go_on_in(lane, 0, send_next);
  else
    retry(lane, outcome);
}

static void handle(lane_t *lane, const mcp_result_t *result) {
  outcome_t outcome = outcome_of(result);
  if (outcome == ACCEPTED) {
    count_success(lane);
    batch_stored(&lane->batch, result->value);
    send_next(lane);
  } else if (result->status == MCP_EFULL && lane->delivery->sending > 0) {
    wait_for(lane, TURN, renew_and_send); /* the other lanes' large batches are still on their way */
  } else {
    handle_failure(lane, result, outcome);
  }
}

static void on_answer(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  lane_t *lane = arg;
  (void)client;
  lane->asking = false;
  lane->delivery->sending--;
  if (lane->delivery->closed)
    return;
  handle(lane, result);
  pass_turn(lane->delivery);
}

/* What a call would come to that cannot be sent; nothing is sent while the connection is known to be away, so
 * that an answer that was lost is never mistaken for a question that was never asked. */
static void handle_unsent(lane_t *lane, int status, const char *reason) {
  handle(lane, &(mcp_result_t){.status = status, .message = reason});
}

static void call_store(lane_t *lane) {
  delivery_t *delivery = lane->delivery;
  yyjson_mut_doc *request = batch_request(&lane->batch);
  int status;
  if (request == NULL) { /* UNTESTED, no memory */
    go_on_in(lane, 1000, send_next);
    return;
  }
  status = mcp_client_call(delivery->store, "dewey_store_logs_batch", request,
                           delivery->config->dewey_timeout_ms, on_answer, lane);
  lane->asking = status == 0;
  if (status == 0)
    delivery->sending++;
  else
    handle_unsent(lane, status, mcp_strerror(status));
}

static void send_next(lane_t *lane) {
  delivery_t *delivery = lane->delivery;
  if (batch_finished(&lane->batch))
    conclude(lane);
  else if (delivery->stopping)
    lane_stop(lane);
  else if (!has_turn(lane))
    wait_for(lane, TURN, renew_and_send);
  else if (!delivery->store_up)
    handle_unsent(lane, MCP_ECONNECT, delivery->store_reason);
  else
    call_store(lane);
}

static void send_or_save(lane_t *lane) {
  bool saving = !batch_finished(&lane->batch) && !lane->delivery->stopping && has_turn(lane) &&
                spooling_is_wanted(lane) && spooling_save(lane);
  if (saving)
    lane->asking = true;
  else
    send_next(lane);
}

void lane_saved(lane_t *lane, int status) {
  lane->asking = false;
  if (status == 0)
    batch_rest_saved(&lane->batch);
  send_next(lane);
}

static void on_renewed(int status, int64_t entries, int64_t fill, void *arg) {
  lane_t *lane = arg;
  lane->asking = false;
  if (lane->delivery->closed)
    return;
  if (status != 0) {
    go_on_with_redis(lane, renew_and_send);
  } else if (entries < 0) {
    mcp_log(MCP_LOG_WARN, "worker", "another worker has taken batch %s", lane->batch.n);
    drop_batch(lane);
    end_turn(lane);
    go_on_in(lane, 0, ask_next);
  } else {
    lane->delivery->fill = fill;
    batch_keep_newest(&lane->batch, (size_t)entries);
    send_or_save(lane);
  }
}

static void renew_and_send(lane_t *lane) {
  bool not_stored = !lane->uncertain && !lane->batch.any_stored;
  int status = queue_renew(lane->delivery->queue, lane->number, lane->batch.n, not_stored, on_renewed, lane);
  lane->asking = status == 0;
  if (status != 0)
    go_on_with_redis(lane, renew_and_send);
}

/* ---- Life ---- */

void lane_init(lane_t *lane, delivery_t *delivery, int number) {
  lane->delivery = delivery;
  lane->number = number;
  uv_timer_init(delivery->loop, &lane->pause);
  uv_timer_init(delivery->loop, &lane->lease);
  lane->pause.data = lane->lease.data = lane;
}

void lane_start(lane_t *lane) {
  go_on_with_redis(lane, ask_next);
}

static void end(lane_t *lane) {
  lane->ended = true;
  delivery_lane_ended(lane->delivery);
}

static void on_given_back(int status, void *arg) {
  lane_t *lane = arg;
  (void)status;
  if (!lane->delivery->closed)
    end(lane);
}

void lane_stop(lane_t *lane) {
  if (lane->asking || lane->ended)
    return;
  lane->paused = NULL;
  lane->missing = NOTHING;
  uv_timer_stop(&lane->pause);
  lane->asking = lane->holding &&
                 queue_release(lane->delivery->queue, lane->number, lane->batch.n, on_given_back, lane) == 0;
  if (!lane->asking)
    end(lane);
}

static void on_let_go(int status, void *arg) {
  (void)status;
  (void)arg;
}

void lane_let_go(lane_t *lane) {
  if (lane->holding)
    queue_release(lane->delivery->queue, lane->number, lane->batch.n, on_let_go, NULL);
}

void lane_deinit(lane_t *lane) {
  drop_batch(lane);
}
