/* sender.c: the life of a batch: claim, send, acknowledge.
 *
 * Happy path: two round trips for each batch: one to Redis, which ends the last batch and claims the next,
 * one to the store. With fewer than BATCH_SIZE entries queued one sender asks again a few times within
 * BATCH_TIMEOUT_MS, then takes what there is; the others wait until it has found something.
 *
 * Failure modes:
 * - The store is away or ill: the batch stays, its lease is renewed; RETRY_MAX_ATTEMPTS retries with growing
 *   delays, then probes at the greatest delay, for ever, and at once when the connection is back. Meanwhile
 *   the oldest batch that failed is sent alone, and one sender alone claims more: one probe at a time, a
 *   connection that is lost is never blamed on another sender's entries, and an entry that goes back to the
 *   queue meets others there.
 * - Newer entries have pushed entries of the batch out: before each attempt they are dropped and counted,
 *   if it is certain that none of the batch was stored. Where an answer was lost it is not, and all are sent
 *   again: the store knows their ids.
 * - The store says that it is full or busy: as away, and no entry is blamed.
 * - The store refuses the batch: at once (-32602), or as often as it is retried, by an error or by losing the
 *   connection: it is sent in halves (batch.c).
 * - Redis is away: whatever is next waits until it is back. The ack on a batch is given as often as
 *   needed; only the first one counts.
 * - The lease is lost to another worker: the batch is his.
 */
#include "sender.h"

#include "store_result.h"

#include <stdlib.h>

enum { RENEW_MS = QUEUE_LEASE_MS / 3 };

static void ask_next(sender_t *sender);
static void send_next(sender_t *sender);
static void renew_and_send(sender_t *sender);

/* ---- Going on later ---- */

void sender_go_on(sender_t *sender) {
  step_cb step = sender->paused;
  sender->paused = NULL;
  sender->missing = NOTHING;
  uv_timer_stop(&sender->pause);
  step(sender);
}

static void on_pause_over(uv_timer_t *timer) {
  sender_go_on(timer->data);
}

static void go_on_in(sender_t *sender, uint64_t ms, step_cb step) {
  if (sender->delivery->stopping) {
    sender_stop(sender);
    return;
  }
  sender->paused = step;
  uv_timer_start(&sender->pause, on_pause_over, ms, 0);
}

/* Another sender goes on with this one when the time has come. */
static void wait_for(sender_t *sender, missing_t missing, step_cb step) {
  go_on_in(sender, 0, step);
  if (sender->paused == NULL)
    return;
  sender->missing = missing;
  uv_timer_stop(&sender->pause);
}

/* In the next turn of the loop, since whoever finds out is in the middle of something. */
static void wake(sender_t *sender) {
  sender->missing = NOTHING;
  uv_timer_start(&sender->pause, on_pause_over, 0, 0);
}

/* Redis has failed a step: again when it is back, or in a second where it only refused. */
static void go_on_with_redis(sender_t *sender, step_cb step) {
  if (queue_is_up(sender->delivery->queue))
    go_on_in(sender, 1000, step);
  else
    wait_for(sender, REDIS, step);
}

/* ---- Whose turn it is to send ---- */

static bool is_older(const sender_t *sender, const sender_t *other) {
  return other == NULL || strtoll(sender->batch.n, NULL, 10) < strtoll(other->batch.n, NULL, 10);
}

/* A sender whose batch has failed sends alone, the oldest batch first. */
static bool has_turn(sender_t *sender) {
  delivery_t *delivery = sender->delivery;
  if (sender->failures > 0 && is_older(sender, delivery->alone))
    delivery->alone = sender;
  return delivery->alone == NULL || (delivery->alone == sender && delivery->sending == 0);
}

/* Something has changed: those who have their turn now go on. */
static void pass_turn(delivery_t *delivery) {
  for (int i = 0; i < delivery->sender_count; i++)
    if (delivery->senders[i].missing == TURN)
      has_turn(&delivery->senders[i]); /* the oldest comes first, wherever it stands */
  for (int i = 0; i < delivery->sender_count; i++)
    if (delivery->senders[i].missing == TURN && has_turn(&delivery->senders[i]))
      wake(&delivery->senders[i]);
}

static void end_turn(sender_t *sender) {
  if (sender->delivery->alone != sender)
    return;
  sender->delivery->alone = NULL;
  pass_turn(sender->delivery);
}

/* ---- Claiming ---- */

static void drop_batch(sender_t *sender) {
  if (sender->concluded)
    batch_ack_deinit(&sender->ack);
  if (sender->holding)
    batch_deinit(&sender->batch);
  sender->concluded = sender->holding = sender->uncertain = false;
  uv_timer_stop(&sender->lease);
}

static void on_kept(int status, int64_t entries, int64_t fill, void *arg) {
  (void)status;
  (void)fill;
  (void)entries; /* a lease that was lost shows at the next attempt */
  (void)arg;
}

static void on_lease(uv_timer_t *timer) {
  sender_t *sender = timer->data;
  queue_renew(sender->delivery->queue, sender->number, sender->batch.n, false, on_kept, NULL);
}

/* Where there is work for one there may be work for another. */
static void call_another(sender_t *sender) {
  delivery_t *delivery = sender->delivery;
  if (delivery->poller == sender)
    delivery->poller = NULL;
  for (int i = 0; i < delivery->sender_count; i++)
    if (delivery->senders[i].missing == WORK) {
      wake(&delivery->senders[i]);
      return;
    }
}

static void take(sender_t *sender, const queue_batch_t *batch) {
  sender->delivery->waits = false;
  sender->delivery->empty_ms = uv_now(sender->delivery->loop);
  if (batch_init(&sender->batch, batch) != 0) { /* UNTESTED, no memory: it is found again by its token */
    go_on_in(sender, 1000, ask_next);
    return;
  }
  sender->holding = true;
  sender->uncertain = batch->sent_before;
  sender->retries = 0;
  uv_timer_start(&sender->lease, on_lease, RENEW_MS, RENEW_MS);
  call_another(sender);
  send_next(sender);
}

static uint64_t poll_ms(const delivery_t *delivery) {
  return delivery->config->batch_timeout_ms / 4 + 1;
}

/* While the store fails, the first sender that has seen it alone. */
static bool may_claim(const sender_t *sender) {
  for (int i = 0; i < sender->delivery->sender_count; i++)
    if (sender->delivery->senders[i].failures > 0)
      return &sender->delivery->senders[i] == sender;
  return true;
}

/* What it has seen of the store no longer counts: with nothing in hand it cannot see that the store has
 * recovered. */
static void stand_by(sender_t *sender) {
  sender->failures = 0;
  wait_for(sender, WORK, ask_next);
}

/* Nothing was claimed. An entry that is there now came after the last time that there was none. */
static void wait_for_more(sender_t *sender, int64_t queued) {
  delivery_t *delivery = sender->delivery;
  if (queued == 0)
    delivery->empty_ms = uv_now(delivery->loop);
  delivery->waits = queued > 0;
  if (delivery->poller == NULL || !may_claim(delivery->poller))
    delivery->poller = sender;
  if (delivery->poller == sender)
    go_on_in(sender, poll_ms(delivery), ask_next);
  else
    stand_by(sender);
}

static void on_next(int status, const queue_batch_t *batch, int64_t queued, void *arg) {
  sender_t *sender = arg;
  sender->asking = false;
  if (sender->delivery->closed)
    return;
  if (status != 0) {
    go_on_with_redis(sender, ask_next);
    return;
  }
  drop_batch(sender);
  if (batch != NULL)
    take(sender, batch);
  else
    wait_for_more(sender, queued);
}

static void ask_next(sender_t *sender) {
  delivery_t *delivery = sender->delivery;
  const config_t *config = delivery->config;
  uint64_t waited_ms = uv_now(delivery->loop) - delivery->empty_ms + poll_ms(delivery);
  bool due = delivery->waits && waited_ms >= config->batch_timeout_ms;
  int64_t most = delivery->stopping || !may_claim(sender) ? 0 : config->batch_size;
  int status = queue_next(delivery->queue, sender->number, sender->concluded ? &sender->ack.queue_ack : NULL,
                          due ? 1 : config->batch_size, most, on_next, sender);
  sender->asking = status == 0;
  if (status != 0)
    go_on_with_redis(sender, ask_next);
}

/* ---- Sending ---- */

static uint64_t delay_ms(const sender_t *sender) {
  const config_t *config = sender->delivery->config;
  uint64_t delay = config->retry_initial_ms;
  for (unsigned i = 1; i < sender->failures && delay < config->retry_max_ms; i++)
    delay *= 2;
  if (delay > config->retry_max_ms)
    delay = config->retry_max_ms;
  return delay / 2 + (uint64_t)random() % (delay / 2 + 1);
}

static void count_failure(sender_t *sender, const mcp_result_t *result) {
  delivery_t *delivery = sender->delivery;
  sender->failures++;
  if (sender->failures == 1 && delivery->alone == NULL)
    mcp_log(MCP_LOG_WARN, "worker", "the log store does not take a batch, trying again: %s", result->message);
  if (sender->failures == (unsigned)delivery->config->retry_max_attempts + 1)
    mcp_log(MCP_LOG_WARN, "worker", "the log store still does not take it; it is kept, and tried for ever");
  has_turn(sender); /* from now on */
}

static void count_success(sender_t *sender) {
  if (sender->failures > 0)
    mcp_log(MCP_LOG_INFO, "worker", "the log store takes batches again, after %u failures", sender->failures);
  sender->failures = 0;
}

static void conclude(sender_t *sender) {
  if (batch_conclude(&sender->batch, &sender->ack) != 0) { /* UNTESTED, no memory */
    go_on_in(sender, 1000, conclude);
    return;
  }
  sender->concluded = true;
  sender->ack.queue_ack.retried = sender->retries;
  end_turn(sender);
  spool_control_replay(sender->delivery);
  if (sender->ack.queue_ack.dead_count > 0)
    mcp_log(MCP_LOG_WARN, "worker", "%zu entries refused, moved to logs:dead",
            sender->ack.queue_ack.dead_count);
  if (sender->ack.queue_ack.back_count > 0 && !sender->delivery->stopping)
    go_on_in(sender, delay_ms(sender), ask_next);
  else
    ask_next(sender);
}

/* Again in a while, or as soon as a store that is away has come back; at once where the batch can go to disk.
 */
static void retry(sender_t *sender, store_result_t store_result) {
  sender->retries++;
  go_on_in(sender, spool_control_is_wanted(sender) ? 0 : delay_ms(sender), renew_and_send);
  if ((store_result == STORE_RESULT_UNAVAILABLE || store_result == STORE_RESULT_LOST) &&
      sender->paused != NULL)
    sender->missing = STORE;
}

static void handle_failure(sender_t *sender, const mcp_result_t *result, store_result_t store_result) {
  bool persists;
  sender->uncertain = sender->uncertain || !store_result_surely_not_stored(result);
  if (store_result != STORE_RESULT_REFUSED)
    count_failure(sender, result);
  persists =
      sender->batch.halved || sender->failures > (unsigned)sender->delivery->config->retry_max_attempts;
  if (store_result == STORE_RESULT_REFUSED || (store_result != STORE_RESULT_UNAVAILABLE && persists))
    batch_refused(&sender->batch, result->message, store_result == STORE_RESULT_REFUSED);
  if (store_result == STORE_RESULT_REFUSED || (store_result == STORE_RESULT_AMBIGUOUS && persists))
    go_on_in(sender, 0, send_next);
  else
    retry(sender, store_result);
}

static void handle(sender_t *sender, const mcp_result_t *result) {
  store_result_t store_result = store_result_of(result);
  if (store_result == STORE_RESULT_ACCEPTED) {
    count_success(sender);
    batch_stored(&sender->batch, result->value);
    send_next(sender);
  } else if (result->status == MCP_EFULL && sender->delivery->sending > 0) {
    wait_for(sender, TURN, renew_and_send); /* the other senders' large batches are still on their way */
  } else {
    handle_failure(sender, result, store_result);
  }
}

static void on_answer(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  sender_t *sender = arg;
  (void)client;
  sender->asking = false;
  sender->delivery->sending--;
  if (sender->delivery->closed)
    return;
  handle(sender, result);
  pass_turn(sender->delivery);
}

/* What a call would come to that cannot be sent; nothing is sent while the connection is known to be away, so
 * that an answer that was lost is never mistaken for a question that was never asked. */
static void handle_unsent(sender_t *sender, int status, const char *reason) {
  handle(sender, &(mcp_result_t){.status = status, .message = reason});
}

static void call_store(sender_t *sender) {
  delivery_t *delivery = sender->delivery;
  yyjson_mut_doc *request = batch_request(&sender->batch);
  int status;
  if (request == NULL) { /* UNTESTED, no memory */
    go_on_in(sender, 1000, send_next);
    return;
  }
  status = mcp_client_call(delivery->store, "dewey_store_logs_batch", request,
                           delivery->config->dewey_timeout_ms, on_answer, sender);
  sender->asking = status == 0;
  if (status == 0)
    delivery->sending++;
  else
    handle_unsent(sender, status, mcp_strerror(status));
}

static void send_next(sender_t *sender) {
  delivery_t *delivery = sender->delivery;
  if (batch_finished(&sender->batch))
    conclude(sender);
  else if (delivery->stopping)
    sender_stop(sender);
  else if (!has_turn(sender))
    wait_for(sender, TURN, renew_and_send);
  else if (!delivery->store_up)
    handle_unsent(sender, MCP_ECONNECT, delivery->store_reason);
  else
    call_store(sender);
}

static void send_or_save(sender_t *sender) {
  bool saving = !batch_finished(&sender->batch) && !sender->delivery->stopping && has_turn(sender) &&
                spool_control_is_wanted(sender) && spool_control_save(sender);
  if (saving)
    sender->asking = true;
  else
    send_next(sender);
}

void sender_saved(sender_t *sender, int status) {
  sender->asking = false;
  if (status == 0)
    batch_rest_saved(&sender->batch);
  send_next(sender);
}

static void on_renewed(int status, int64_t entries, int64_t fill, void *arg) {
  sender_t *sender = arg;
  sender->asking = false;
  if (sender->delivery->closed)
    return;
  if (status != 0) {
    go_on_with_redis(sender, renew_and_send);
  } else if (entries < 0) {
    mcp_log(MCP_LOG_WARN, "worker", "another worker has taken batch %s", sender->batch.n);
    drop_batch(sender);
    end_turn(sender);
    go_on_in(sender, 0, ask_next);
  } else {
    sender->delivery->fill = fill;
    batch_keep_newest(&sender->batch, (size_t)entries);
    send_or_save(sender);
  }
}

static void renew_and_send(sender_t *sender) {
  bool not_stored = !sender->uncertain && !sender->batch.any_stored;
  int status =
      queue_renew(sender->delivery->queue, sender->number, sender->batch.n, not_stored, on_renewed, sender);
  sender->asking = status == 0;
  if (status != 0)
    go_on_with_redis(sender, renew_and_send);
}

/* ---- Life ---- */

void sender_init(sender_t *sender, delivery_t *delivery, int number) {
  sender->delivery = delivery;
  sender->number = number;
  uv_timer_init(delivery->loop, &sender->pause);
  uv_timer_init(delivery->loop, &sender->lease);
  sender->pause.data = sender->lease.data = sender;
}

void sender_start(sender_t *sender) {
  go_on_with_redis(sender, ask_next);
}

static void end(sender_t *sender) {
  sender->ended = true;
  delivery_sender_ended(sender->delivery);
}

static void on_given_back(int status, void *arg) {
  sender_t *sender = arg;
  (void)status;
  if (!sender->delivery->closed)
    end(sender);
}

void sender_stop(sender_t *sender) {
  if (sender->asking || sender->ended)
    return;
  sender->paused = NULL;
  sender->missing = NOTHING;
  uv_timer_stop(&sender->pause);
  sender->asking = sender->holding && queue_release(sender->delivery->queue, sender->number, sender->batch.n,
                                                    on_given_back, sender) == 0;
  if (!sender->asking)
    end(sender);
}

static void on_let_go(int status, void *arg) {
  (void)status;
  (void)arg;
}

void sender_let_go(sender_t *sender) {
  if (sender->holding)
    queue_release(sender->delivery->queue, sender->number, sender->batch.n, on_let_go, NULL);
}

void sender_deinit(sender_t *sender) {
  drop_batch(sender);
}
