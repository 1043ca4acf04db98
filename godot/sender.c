/* sender.c: the life cycle of a batch (claim, send, acknowledge), and the order in which senders may send.
 *
 * Happy path: two round trips for each batch: one to Redis, which ends the last batch and claims the next,
 * and one to the store. If fewer than BATCH_SIZE entries are queued, one sender, the poller, polls a few
 * times within BATCH_TIMEOUT_MS, then claims the entries there are; the other senders wait until it has
 * claimed a batch.
 *
 * Failure modes:
 * - The store is unavailable or fails: the batch is kept and its lease renewed. RETRY_MAX_ATTEMPTS
 *   retries follow with increasing delays, then further ones at the longest delay, without limit, and one
 *   at once when the connection is reestablished. Meanwhile only the oldest failed batch is sent, and
 *   only one sender claims batches: this gives one probe at a time, a disconnect is never attributed to
 *   another sender's entries, and an entry that returns to the queue is claimed together with others.
 * - Newer entries have caused entries of the batch to be dropped: before each attempt they are removed
 *   and counted, if it is certain that no entry of the batch was stored. If a response was lost it is not
 *   certain, and all entries are sent again: the store recognizes their ids.
 * - The store reports that it is full or busy: handled as unavailable; no entry is suspected.
 * - The store refuses the batch: at once (-32602), or persistently, by an error or by disconnecting: it
 *   is sent in halves (batch.c).
 * - Redis is unavailable: the next step waits until it is available. A batch is acknowledged as often as
 *   needed; only the first time counts.
 * - The lease is lost to another worker: the batch is that worker's.
 */
#include "sender.h"

#include "store_result.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { RENEW_MS = QUEUE_LEASE_MS / 3 };

static void claim_next(sender_t *sender);
static void send_next(sender_t *sender);
static void renew_and_send(sender_t *sender);
static void stop_sender(sender_t *sender);

/* SENDER_RUNNING alternates with the other states; SENDER_ENDED is final. */
static void set_state(sender_t *sender, sender_state_t state) {
  assert(sender->state != SENDER_ENDED && (sender->state == SENDER_RUNNING) != (state == SENDER_RUNNING));
  sender->state = state;
}

static bool is_stopping(const senders_t *senders) {
  return senders->state >= SENDERS_STOPPING;
}

/* A reply has arrived. Returns false if the senders are closed and the reply is to be ignored. */
static bool accept_reply(sender_t *sender) {
  set_state(sender, SENDER_RUNNING);
  return sender->senders->state != SENDERS_CLOSED;
}

/* ---- Pausing ---- */

static void resume(sender_t *sender) {
  uv_timer_stop(&sender->pause_timer);
  set_state(sender, SENDER_RUNNING);
  sender->next(sender);
}

static void on_pause_timer(uv_timer_t *timer) {
  resume(timer->data);
}

static void resume_in(sender_t *sender, uint64_t ms, sender_step_cb next) {
  if (is_stopping(sender->senders)) {
    stop_sender(sender);
    return;
  }
  set_state(sender, SENDER_PAUSED);
  sender->pause = SENDER_PAUSE_TIMER;
  sender->next = next;
  uv_timer_start(&sender->pause_timer, on_pause_timer, ms, 0);
}

static bool is_paused_for(const sender_t *sender, sender_pause_t pause) {
  return sender->state == SENDER_PAUSED && sender->pause == pause;
}

/* Pauses until another function resumes or wakes this sender. */
static void wait_for(sender_t *sender, sender_pause_t pause, sender_step_cb next) {
  resume_in(sender, 0, next);
  if (sender->state != SENDER_PAUSED)
    return;
  sender->pause = pause;
  uv_timer_stop(&sender->pause_timer);
}

/* Resumes in the next turn of the loop, since the caller may be in the middle of a step. */
static void wake(sender_t *sender) {
  sender->pause = SENDER_PAUSE_TIMER;
  uv_timer_start(&sender->pause_timer, on_pause_timer, 0, 0);
}

/* After a step that Redis failed: retries when Redis is available again, or in a second if it has only
 * refused. */
static void resume_with_redis(sender_t *sender, sender_step_cb next) {
  if (queue_is_up(sender->senders->setup.queue))
    resume_in(sender, 1000, next);
  else
    wait_for(sender, SENDER_PAUSE_REDIS, next);
}

/* ---- Turns ---- */

static bool is_older(const sender_t *sender, const sender_t *other) {
  return other == NULL || strtoll(sender->batch.number, NULL, 10) < strtoll(other->batch.number, NULL, 10);
}

/* A sender with a failed batch sends exclusively, the oldest batch first. */
static bool has_turn(sender_t *sender) {
  senders_t *senders = sender->senders;
  if (sender->failures > 0 && is_older(sender, senders->exclusive))
    senders->exclusive = sender;
  return senders->exclusive == NULL || (senders->exclusive == sender && senders->sends_in_flight == 0);
}

/* Wakes the senders that may send now. */
static void wake_next_turn(senders_t *senders) {
  for (int i = 0; i < senders->count; i++)
    if (is_paused_for(&senders->list[i], SENDER_PAUSE_TURN))
      has_turn(&senders->list[i]); /* first find the oldest batch, regardless of the order of senders */
  for (int i = 0; i < senders->count; i++)
    if (is_paused_for(&senders->list[i], SENDER_PAUSE_TURN) && has_turn(&senders->list[i]))
      wake(&senders->list[i]);
}

static void release_turn(sender_t *sender) {
  if (sender->senders->exclusive != sender)
    return;
  sender->senders->exclusive = NULL;
  wake_next_turn(sender->senders);
}

/* ---- Claiming ---- */

static void forget_batch(sender_t *sender) {
  if (sender->holds == SENDER_HOLDS_ACK)
    batch_ack_deinit(&sender->ack);
  if (sender->holds != SENDER_HOLDS_NOTHING)
    batch_deinit(&sender->batch);
  sender->holds = SENDER_HOLDS_NOTHING;
  sender->may_be_stored = false;
  uv_timer_stop(&sender->lease_timer);
}

static void on_lease_renewed(int status, int64_t entries, int64_t fill_percent, void *arg) {
  (void)status;
  (void)fill_percent;
  (void)entries; /* a lost lease is noticed at the next attempt */
  (void)arg;
}

static void on_lease_timer(uv_timer_t *timer) {
  sender_t *sender = timer->data;
  queue_renew(sender->senders->setup.queue, sender->index, sender->batch.number, false, on_lease_renewed,
              NULL);
}

/* If one sender has claimed a batch, there may be entries for another. */
static void wake_another(sender_t *sender) {
  senders_t *senders = sender->senders;
  if (senders->poller == sender)
    senders->poller = NULL;
  for (int i = 0; i < senders->count; i++)
    if (is_paused_for(&senders->list[i], SENDER_PAUSE_WORK)) {
      wake(&senders->list[i]);
      return;
    }
}

static void start_batch(sender_t *sender, const queue_batch_t *batch) {
  sender->senders->has_waiting_entries = false;
  sender->senders->last_empty_ms = uv_now(sender->senders->setup.loop);
  /* UNTESTED, out of memory: the next claim finds the batch by its token */
  if (batch_init(&sender->batch, batch) != 0) {
    resume_in(sender, 1000, claim_next);
    return;
  }
  assert(sender->holds == SENDER_HOLDS_NOTHING);
  sender->holds = SENDER_HOLDS_BATCH;
  sender->may_be_stored = batch->sent_before;
  sender->retries = 0;
  uv_timer_start(&sender->lease_timer, on_lease_timer, RENEW_MS, RENEW_MS);
  wake_another(sender);
  send_next(sender);
}

static uint64_t poll_ms(const senders_t *senders) {
  return senders->setup.config->batch_timeout_ms / 4 + 1;
}

/* While the store fails, only the first sender that has seen it fail may claim. */
static bool may_claim(const sender_t *sender) {
  for (int i = 0; i < sender->senders->count; i++)
    if (sender->senders->list[i].failures > 0)
      return &sender->senders->list[i] == sender;
  return true;
}

/* Its failures no longer count: without a batch it cannot see that the store has recovered. */
static void wait_for_work(sender_t *sender) {
  sender->failures = 0;
  wait_for(sender, SENDER_PAUSE_WORK, claim_next);
}

/* Nothing was claimed. Entries that are queued now were queued after last_empty_ms. */
static void handle_empty_claim(sender_t *sender, int64_t queued) {
  senders_t *senders = sender->senders;
  if (queued == 0)
    senders->last_empty_ms = uv_now(senders->setup.loop);
  senders->has_waiting_entries = queued > 0;
  if (senders->poller == NULL || !may_claim(senders->poller))
    senders->poller = sender;
  if (senders->poller == sender)
    resume_in(sender, poll_ms(senders), claim_next);
  else
    wait_for_work(sender);
}

static void on_claimed(int status, const queue_batch_t *batch, int64_t queued, void *arg) {
  sender_t *sender = arg;
  if (!accept_reply(sender))
    return;
  if (status != 0) {
    resume_with_redis(sender, claim_next);
    return;
  }
  forget_batch(sender);
  if (batch != NULL)
    start_batch(sender, batch);
  else
    handle_empty_claim(sender, queued);
}

static void claim_next(sender_t *sender) {
  senders_t *senders = sender->senders;
  const config_t *config = senders->setup.config;
  uint64_t waited_ms = uv_now(senders->setup.loop) - senders->last_empty_ms + poll_ms(senders);
  bool due = senders->has_waiting_entries && waited_ms >= config->batch_timeout_ms;
  int64_t max_entries = is_stopping(senders) || !may_claim(sender) ? 0 : config->batch_size;
  int status = queue_claim(senders->setup.queue, sender->index,
                           sender->holds == SENDER_HOLDS_ACK ? &sender->ack.queue_ack : NULL,
                           due ? 1 : config->batch_size, max_entries, on_claimed, sender);
  if (status == 0)
    set_state(sender, SENDER_AWAITING_REPLY);
  else
    resume_with_redis(sender, claim_next);
}

/* ---- Sending ---- */

static uint64_t delay_ms(const sender_t *sender) {
  const config_t *config = sender->senders->setup.config;
  uint64_t delay = config->retry_initial_ms;
  for (unsigned i = 1; i < sender->failures && delay < config->retry_max_ms; i++)
    delay *= 2;
  if (delay > config->retry_max_ms)
    delay = config->retry_max_ms;
  return delay / 2 + (uint64_t)random() % (delay / 2 + 1);
}

static void count_failure(sender_t *sender, const mcp_result_t *result) {
  senders_t *senders = sender->senders;
  sender->failures++;
  if (sender->failures == 1 && senders->exclusive == NULL)
    mcp_log(MCP_LOG_WARN, "worker", "the log store did not accept a batch, retrying: %s", result->message);
  if (sender->failures == (unsigned)senders->setup.config->retry_max_attempts + 1)
    mcp_log(MCP_LOG_WARN, "worker", "the log store still does not accept a batch; it is kept, and retried");
  has_turn(sender); /* it is exclusive from now on */
}

static void count_success(sender_t *sender) {
  if (sender->failures > 0)
    mcp_log(MCP_LOG_INFO, "worker", "the log store accepts batches again after %u failures",
            sender->failures);
  sender->failures = 0;
}

static void acknowledge(sender_t *sender) {
  if (batch_make_ack(&sender->batch, &sender->ack) != 0) { /* UNTESTED, out of memory */
    resume_in(sender, 1000, acknowledge);
    return;
  }
  assert(sender->holds == SENDER_HOLDS_BATCH);
  sender->holds = SENDER_HOLDS_ACK;
  sender->ack.queue_ack.retried = sender->retries;
  release_turn(sender);
  sender->senders->setup.on_batch_done(sender->senders->setup.arg);
  if (sender->ack.queue_ack.dead_count > 0)
    mcp_log(MCP_LOG_WARN, "worker", "the log store refused %zu entries: moved to logs:dead (see iccm dead)",
            sender->ack.queue_ack.dead_count);
  if (sender->ack.queue_ack.returned_count > 0 && !is_stopping(sender->senders))
    resume_in(sender, delay_ms(sender), claim_next);
  else
    claim_next(sender);
}

/* Whether to save the batch to disk: the store is unavailable, and the queue nearly full. */
static bool should_save(const sender_t *sender) {
  const senders_t *senders = sender->senders;
  bool unavailable =
      !senders->store_up || sender->failures > (unsigned)senders->setup.config->retry_max_attempts;
  return unavailable && spool_control_has_room(senders->setup.spool);
}

/* Retries after a delay, or as soon as the store is connected again; at once if the batch can be saved to
 * disk. */
static void retry(sender_t *sender, store_result_t store_result) {
  sender->retries++;
  resume_in(sender, should_save(sender) ? 0 : delay_ms(sender), renew_and_send);
  if ((store_result == STORE_RESULT_UNAVAILABLE || store_result == STORE_RESULT_DISCONNECTED) &&
      sender->state == SENDER_PAUSED)
    sender->pause = SENDER_PAUSE_STORE; /* or the timer */
}

static void handle_failure(sender_t *sender, const mcp_result_t *result, store_result_t store_result) {
  bool persists;
  sender->may_be_stored = sender->may_be_stored || !store_result_proves_not_stored(result);
  if (store_result != STORE_RESULT_REFUSED)
    count_failure(sender, result);
  persists =
      sender->batch.halved || sender->failures > (unsigned)sender->senders->setup.config->retry_max_attempts;
  if (store_result == STORE_RESULT_REFUSED || (store_result != STORE_RESULT_UNAVAILABLE && persists))
    batch_refused(&sender->batch, result->message, store_result == STORE_RESULT_REFUSED);
  if (store_result == STORE_RESULT_REFUSED || (store_result == STORE_RESULT_AMBIGUOUS && persists))
    resume_in(sender, 0, send_next);
  else
    retry(sender, store_result);
}

static void handle_result(sender_t *sender, const mcp_result_t *result) {
  store_result_t store_result = store_result_of(result);
  if (store_result == STORE_RESULT_ACCEPTED) {
    count_success(sender);
    batch_stored(&sender->batch, result->value);
    send_next(sender);
  } else if (result->status == MCP_ELIMIT && sender->senders->sends_in_flight > 0) {
    wait_for(sender, SENDER_PAUSE_TURN, renew_and_send); /* large batches of other senders are in flight */
  } else {
    handle_failure(sender, result, store_result);
  }
}

static void on_answer(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  sender_t *sender = arg;
  (void)client;
  sender->senders->sends_in_flight--;
  if (!accept_reply(sender))
    return;
  handle_result(sender, result);
  wake_next_turn(sender->senders);
}

/* Handles a request that was not sent like one that failed. Nothing is sent while the connection is known to
 * be down, so that a lost response is never mistaken for a request that was not sent. */
static void handle_unsent(sender_t *sender, int status, const char *reason) {
  handle_result(sender, &(mcp_result_t){.status = status, .message = reason});
}

static void call_store(sender_t *sender) {
  senders_t *senders = sender->senders;
  yyjson_mut_doc *request = batch_request(&sender->batch);
  int status;
  if (request == NULL) { /* UNTESTED, out of memory */
    resume_in(sender, 1000, send_next);
    return;
  }
  status = mcp_client_call(senders->setup.store, "dewey_store_logs_batch", request,
                           &(mcp_call_options_t){.timeout_ms = senders->setup.config->dewey_timeout_ms},
                           on_answer, sender);
  if (status != 0) {
    handle_unsent(sender, status, mcp_strerror(status));
    return;
  }
  set_state(sender, SENDER_AWAITING_REPLY);
  senders->sends_in_flight++;
}

static void send_next(sender_t *sender) {
  senders_t *senders = sender->senders;
  if (batch_finished(&sender->batch))
    acknowledge(sender);
  else if (is_stopping(senders))
    stop_sender(sender);
  else if (!has_turn(sender))
    wait_for(sender, SENDER_PAUSE_TURN, renew_and_send);
  else if (!senders->store_up)
    handle_unsent(sender, MCP_ECONNECT, senders->store_reason);
  else
    call_store(sender);
}

static void on_saved(int status, void *arg) {
  sender_t *sender = arg;
  if (!accept_reply(sender))
    return;
  if (status == 0)
    batch_mark_spooled(&sender->batch);
  send_next(sender);
}

static void send_or_save(sender_t *sender) {
  bool saving = !batch_finished(&sender->batch) && !is_stopping(sender->senders) && has_turn(sender) &&
                should_save(sender) &&
                spool_control_save(sender->senders->setup.spool, &sender->batch, on_saved, sender);
  if (saving)
    set_state(sender, SENDER_AWAITING_REPLY);
  else
    send_next(sender);
}

static void on_renewed(int status, int64_t entries, int64_t fill_percent, void *arg) {
  sender_t *sender = arg;
  if (!accept_reply(sender))
    return;
  if (status != 0) {
    resume_with_redis(sender, renew_and_send);
  } else if (entries < 0) {
    mcp_log(MCP_LOG_WARN, "worker", "lost the lease of batch %s to another worker", sender->batch.number);
    forget_batch(sender);
    release_turn(sender);
    resume_in(sender, 0, claim_next);
  } else {
    spool_control_set_fill(sender->senders->setup.spool, fill_percent);
    batch_keep_newest(&sender->batch, (size_t)entries);
    send_or_save(sender);
  }
}

static void renew_and_send(sender_t *sender) {
  bool not_stored = !sender->may_be_stored && !sender->batch.any_stored;
  int status = queue_renew(sender->senders->setup.queue, sender->index, sender->batch.number, not_stored,
                           on_renewed, sender);
  if (status == 0)
    set_state(sender, SENDER_AWAITING_REPLY);
  else
    resume_with_redis(sender, renew_and_send);
}

/* ---- Start and end ---- */

static void set_senders_state(senders_t *senders, senders_state_t state) {
  assert(state == senders->state + 1);
  senders->state = state;
}

void senders_init(senders_t *senders, const senders_setup_t *setup) {
  *senders = (senders_t){.setup = *setup, .count = setup->config->batches_in_flight};
  snprintf(senders->store_reason, sizeof senders->store_reason, "not connected yet");
  for (int i = 0; i < senders->count; i++) {
    sender_t *sender = &senders->list[i];
    sender->senders = senders;
    sender->index = i;
    uv_timer_init(setup->loop, &sender->pause_timer);
    uv_timer_init(setup->loop, &sender->lease_timer);
    sender->pause_timer.data = sender->lease_timer.data = sender;
  }
}

void senders_start(senders_t *senders) {
  set_senders_state(senders, SENDERS_RUNNING);
  senders->last_empty_ms = uv_now(senders->setup.loop);
  for (int i = 0; i < senders->count; i++)
    resume_with_redis(&senders->list[i], claim_next);
}

/* Resumes all senders that pause for this event. */
static void resume_all(senders_t *senders, sender_pause_t pause) {
  for (int i = 0; i < senders->count; i++)
    if (is_paused_for(&senders->list[i], pause))
      resume(&senders->list[i]);
}

void senders_redis_up(senders_t *senders) {
  resume_all(senders, SENDER_PAUSE_REDIS);
}

void senders_store_changed(senders_t *senders, bool up, const char *reason) {
  senders->store_up = up;
  snprintf(senders->store_reason, sizeof senders->store_reason, "%s", reason == NULL ? "" : reason);
  if (up)
    resume_all(senders, SENDER_PAUSE_STORE);
}

void senders_try_spool(senders_t *senders) {
  for (int i = 0; i < senders->count; i++)
    if (is_paused_for(&senders->list[i], SENDER_PAUSE_STORE) && should_save(&senders->list[i]))
      resume(&senders->list[i]);
}

bool senders_store_works(const senders_t *senders) {
  return senders->store_up && senders->exclusive == NULL;
}

static void end_sender(sender_t *sender) {
  senders_t *senders = sender->senders;
  set_state(sender, SENDER_ENDED);
  if (++senders->ended_count == senders->count)
    senders->setup.on_ended(senders->setup.arg);
}

static void on_batch_released(int status, void *arg) {
  sender_t *sender = arg;
  (void)status;
  if (accept_reply(sender))
    end_sender(sender);
}

static void stop_sender(sender_t *sender) {
  if (sender->state == SENDER_AWAITING_REPLY || sender->state == SENDER_ENDED)
    return;
  uv_timer_stop(&sender->pause_timer);
  if (sender->state == SENDER_PAUSED)
    set_state(sender, SENDER_RUNNING);
  if (sender->holds != SENDER_HOLDS_NOTHING &&
      queue_release(sender->senders->setup.queue, sender->index, sender->batch.number, on_batch_released,
                    sender) == 0)
    set_state(sender, SENDER_AWAITING_REPLY);
  else
    end_sender(sender);
}

void senders_stop(senders_t *senders) {
  set_senders_state(senders, SENDERS_STOPPING);
  for (int i = 0; i < senders->count; i++)
    stop_sender(&senders->list[i]);
}

static void on_lease_released(int status, void *arg) {
  (void)status;
  (void)arg;
}

void senders_release_leases(senders_t *senders) {
  for (int i = 0; i < senders->count; i++) {
    const sender_t *sender = &senders->list[i];
    if (sender->holds != SENDER_HOLDS_NOTHING)
      queue_release(senders->setup.queue, sender->index, sender->batch.number, on_lease_released, NULL);
  }
}

static void on_timer_closed(uv_handle_t *handle) {
  const sender_t *sender = handle->data;
  senders_t *senders = sender->senders;
  if (--senders->open_timers == 0)
    senders->on_closed(senders->closed_arg);
}

void senders_close(senders_t *senders, void (*cb)(void *arg), void *arg) {
  set_senders_state(senders, SENDERS_CLOSED);
  senders->on_closed = cb;
  senders->closed_arg = arg;
  senders->open_timers = 2 * senders->count;
  for (int i = 0; i < senders->count; i++) {
    uv_close((uv_handle_t *)&senders->list[i].pause_timer, on_timer_closed);
    uv_close((uv_handle_t *)&senders->list[i].lease_timer, on_timer_closed);
  }
}

void senders_deinit(senders_t *senders) {
  for (int i = 0; i < senders->count; i++)
    forget_batch(&senders->list[i]);
}
