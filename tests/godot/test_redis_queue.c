/* test_redis_queue.c: the steps of the queue against a real Redis. Each entry is claimed once; none is lost
 * when replies, leases or the connection are lost; stored and dropped entries are counted exactly. */
#include "entry.h"
#include "leaks.h"
#include "redis_process.h"
#include "redis_queue.h"

#include <criterion/criterion.h>
#include <iccm_network.h>
#include <iccm_service.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>
#include <wait_limit.h>

typedef struct fixture {
  uv_loop_t loop;
  uv_timer_t deadline;
  redis_process_t redis;
  config_t config;
  queue_t *queue;
  queue_t *second; /* a second worker, or NULL */
  bool up, second_up;
  int up_count; /* how often the queue was connected */
  unsigned levels_notified;
} fixture_t;

/* The result of a step. */
typedef struct result {
  bool done;
  int status;
  char number[QUEUE_BATCH_NUMBER_SIZE];
  char instance[MCP_UUID_SIZE];
  bool sent_before;
  char entries[8][64];
  size_t count;
  int64_t queued;
  queue_drops_t drops;
  int64_t renewed, fill_percent;
} result_t;

static void on_deadline(uv_timer_t *timer) {
  (void)timer;
  cr_assert_fail("nothing happened for too long");
}

static void run_until(fixture_t *fixture, const bool *done) {
  uv_timer_start(&fixture->deadline, on_deadline, wait_limit_ms(), 0);
  while (!*done)
    uv_run(&fixture->loop, UV_RUN_ONCE);
  uv_timer_stop(&fixture->deadline);
}

static void on_state(const char *reason, void *arg) {
  fixture_t *fixture = arg;
  fixture->up = reason == NULL;
  fixture->up_count += reason == NULL;
}

static void on_levels(void *arg) {
  fixture_t *fixture = arg;
  fixture->levels_notified++;
}

static void on_second_state(const char *reason, void *arg) {
  *(bool *)arg = reason == NULL;
}

static void fixture_init(fixture_t *fixture, int64_t max_entries, int64_t max_bytes) {
  memset(fixture, 0, sizeof *fixture);
  redis_process_init(&fixture->redis);
  uv_loop_init(&fixture->loop);
  uv_timer_init(&fixture->loop, &fixture->deadline);
  fixture->config = (config_t){.redis_host = "127.0.0.1",
                               .redis_port = fixture->redis.port,
                               .queue_name = "logs:queue",
                               .max_queue_entries = max_entries,
                               .max_queue_bytes = max_bytes,
                               .worker_name = "worker-1"};
  fixture->queue = queue_new(&fixture->loop, &fixture->config);
  queue_start(fixture->queue, on_state, on_levels, fixture);
  run_until(fixture, &fixture->up);
}

static void on_closed(void *arg) {
  *(bool *)arg = true;
}

static void close_queue(fixture_t *fixture, queue_t *queue) {
  bool closed = false;
  if (queue == NULL)
    return;
  queue_close(queue, on_closed, &closed);
  run_until(fixture, &closed);
}

/* Starts a second worker, or the same one after a restart. */
static void start_second_queue(fixture_t *fixture, const config_t *config) {
  fixture->second_up = false;
  fixture->second = queue_new(&fixture->loop, config);
  queue_start(fixture->second, on_second_state, NULL, &fixture->second_up);
  run_until(fixture, &fixture->second_up);
}

static void fixture_deinit(fixture_t *fixture) {
  close_queue(fixture, fixture->second);
  close_queue(fixture, fixture->queue);
  uv_close((uv_handle_t *)&fixture->deadline, NULL);
  uv_run(&fixture->loop, UV_RUN_DEFAULT);
  cr_assert_eq(uv_loop_close(&fixture->loop), 0, "handles are still open");
  redis_process_deinit(&fixture->redis);
  expect_no_leak();
}

/* ---- Steps ---- */

static void on_done(int status, void *arg) {
  result_t *result = arg;
  result->status = status;
  result->done = true;
}

static result_t push(fixture_t *fixture, int first, int count) {
  static char texts[QUEUE_MAX_PUSH][32];
  static mcp_text_t entries[QUEUE_MAX_PUSH];
  result_t result = {0};
  for (int i = 0; i < count; i++)
    entries[i] = (mcp_text_t){texts[i],
                              (size_t)snprintf(texts[i], sizeof texts[i], "{\"message\":\"%d\"}", first + i)};
  cr_assert_eq(queue_push(fixture->queue, entries, (size_t)count, on_done, &result), 0);
  cr_assert_not(result.done, "answered within the call");
  run_until(fixture, &result.done);
  return result;
}

static void on_claimed(int status, const queue_batch_t *batch, int64_t queued, void *arg) {
  result_t *result = arg;
  result->queued = queued;
  for (size_t i = 0; batch != NULL && i < batch->count; i++)
    if (i < 8)
      snprintf(result->entries[i], sizeof result->entries[i], "%.*s", (int)batch->entries[i].len,
               batch->entries[i].ptr);
  if (batch != NULL) {
    result->count = batch->count;
    result->sent_before = batch->sent_before;
    memcpy(result->number, batch->number, sizeof result->number);
    snprintf(result->instance, sizeof result->instance, "%s", batch->instance);
  }
  on_done(status, arg);
}

static result_t claim_as_sender(fixture_t *fixture, queue_t *queue, int sender, const queue_ack_t *ack,
                                int min_entries, int max_entries) {
  result_t result = {0};
  cr_assert_eq(queue_claim(queue, sender, ack, min_entries, max_entries, on_claimed, &result), 0);
  run_until(fixture, &result.done);
  cr_assert_eq(result.status, 0);
  return result;
}

static result_t claim(fixture_t *fixture, queue_t *queue, const queue_ack_t *ack, int min_entries,
                      int max_entries) {
  return claim_as_sender(fixture, queue, 0, ack, min_entries, max_entries);
}

static result_t acknowledge(fixture_t *fixture, queue_t *queue, const char *batch_number) {
  const queue_ack_t ack = {.batch_number = batch_number};
  return claim(fixture, queue, &ack, 0, 0);
}

static void on_renewed(int status, int64_t entries, int64_t fill_percent, void *arg) {
  result_t *result = arg;
  result->fill_percent = fill_percent;
  result->renewed = entries;
  on_done(status, arg);
}

static int64_t renew(fixture_t *fixture, queue_t *queue, const char *batch_number, bool not_stored) {
  result_t result = {0};
  cr_assert_eq(queue_renew(queue, 0, batch_number, not_stored, on_renewed, &result), 0);
  run_until(fixture, &result.done);
  cr_assert_eq(result.status, 0);
  return result.renewed;
}

static void on_trimmed(int status, const queue_drops_t *drops, void *arg) {
  result_t *result = arg;
  result->drops = *drops;
  on_done(status, arg);
}

static queue_drops_t trim(fixture_t *fixture) {
  result_t result = {0};
  cr_assert_eq(queue_trim(fixture->queue, 0, on_trimmed, &result), 0);
  run_until(fixture, &result.done);
  cr_assert_eq(result.status, 0);
  return result.drops;
}

static long long redis_counter(fixture_t *fixture, const char *key) {
  return redis_process_int(&fixture->redis, "GET %s", key);
}
static long long queue_length(fixture_t *fixture) {
  return redis_process_int(&fixture->redis, "LLEN logs:queue");
}

/* ---- Push ---- */

Test(push, keeps_the_order_and_the_count) {
  fixture_t fixture;
  fixture_init(&fixture, 100, 1 << 20);
  cr_assert_eq(push(&fixture, 1, 3).status, 0);
  cr_assert_eq(queue_length(&fixture), 3);
  cr_assert_str_eq(redis_process_text(&fixture.redis, "LINDEX logs:queue -1"), "{\"message\":\"1\"}");
  cr_assert_str_eq(redis_process_text(&fixture.redis, "LINDEX logs:queue 0"), "{\"message\":\"3\"}");
  cr_assert_eq(redis_counter(&fixture, "logs:dropped"), 0);
  fixture_deinit(&fixture);
}

Test(push, a_thousand_at_once) {
  fixture_t fixture;
  fixture_init(&fixture, 5000, 1 << 20);
  cr_assert_eq(push(&fixture, 0, QUEUE_MAX_PUSH).status, 0);
  cr_assert_eq(queue_length(&fixture), QUEUE_MAX_PUSH);
  fixture_deinit(&fixture);
}

Test(push, beyond_the_bound_the_oldest_go_and_are_counted) {
  fixture_t fixture;
  fixture_init(&fixture, 10, 1 << 20);
  push(&fixture, 1, 10);
  cr_assert_eq(redis_counter(&fixture, "logs:dropped"), 0);
  push(&fixture, 11, 7);
  cr_assert_eq(queue_length(&fixture), 10);
  cr_assert_eq(redis_counter(&fixture, "logs:dropped"), 7);
  cr_assert_str_eq(redis_process_text(&fixture.redis, "LINDEX logs:queue -1"), "{\"message\":\"8\"}");
  fixture_deinit(&fixture);
}

Test(push, the_bound_in_bytes) {
  fixture_t fixture;
  fixture_init(&fixture, 1000, 1024); /* 64 entries of 16 bytes */
  push(&fixture, 10, 64);
  cr_assert_eq(queue_length(&fixture), 64, "just at the bound");
  push(&fixture, 74, 10);
  cr_assert_eq(queue_length(&fixture), 64);
  cr_assert_eq(redis_counter(&fixture, "logs:dropped"), 10);
  fixture_deinit(&fixture);
}

Test(push, refused_by_redis_is_an_error) {
  fixture_t fixture;
  fixture_init(&fixture, 10, 1 << 20);
  redis_process_int(&fixture.redis, "SET logs:queue text");
  cr_assert_eq(push(&fixture, 1, 1).status, UV_EPROTO);
  redis_process_int(&fixture.redis, "DEL logs:queue");
  cr_assert_eq(push(&fixture, 1, 1).status, 0);
  fixture_deinit(&fixture);
}

/* ---- Claim ---- */

Test(claim, takes_the_oldest_under_a_lease) {
  fixture_t fixture;
  result_t batch;
  fixture_init(&fixture, 100, 1 << 20);
  push(&fixture, 1, 5);
  batch = claim(&fixture, fixture.queue, NULL, 1, 3);
  cr_assert_eq(batch.count, 3);
  cr_assert_str_eq(batch.entries[0], "{\"message\":\"3\"}", "newest first");
  cr_assert_str_eq(batch.entries[2], "{\"message\":\"1\"}");
  cr_assert_not(batch.sent_before);
  cr_assert_eq(queue_length(&fixture), 2);
  cr_assert_eq(redis_process_int(&fixture.redis, "ZCARD logs:inflight"), 1);
  cr_assert_eq(redis_process_int(&fixture.redis, "EXISTS logs:batch:%s", batch.number), 1);
  fixture_deinit(&fixture);
}

Test(claim, waits_for_enough) {
  fixture_t fixture;
  result_t batch;
  fixture_init(&fixture, 100, 1 << 20);
  cr_assert_eq(claim(&fixture, fixture.queue, NULL, 1, 3).queued, 0);
  push(&fixture, 1, 2);
  batch = claim(&fixture, fixture.queue, NULL, 3, 3);
  cr_assert_eq(batch.count, 0);
  cr_assert_eq(batch.queued, 2);
  cr_assert_eq(claim(&fixture, fixture.queue, NULL, 1, 3).count, 2);
  fixture_deinit(&fixture);
}

Test(claim, ends_when_it_is_full_in_bytes) {
  fixture_t fixture;
  result_t batch;
  fixture_init(&fixture, 100, 1 << 30);
  for (int i = 0; i < 4; i++)
    redis_process_int(&fixture.redis, "EVAL %s 1 logs:queue %d",
                      "return redis.call('LPUSH', KEYS[1], string.rep('x', ARGV[1]))", 3 << 20);
  batch = claim(&fixture, fixture.queue, NULL, 1, 100);
  cr_assert_eq(batch.count, 3, "the third one fills it");
  cr_assert_eq(queue_length(&fixture), 1);
  fixture_deinit(&fixture);
}

Test(claim, acknowledging_and_claiming_is_one_step) {
  fixture_t fixture;
  result_t first, second;
  fixture_init(&fixture, 100, 1 << 20);
  push(&fixture, 1, 4);
  first = claim(&fixture, fixture.queue, NULL, 1, 2);
  second = claim(&fixture, fixture.queue, &(queue_ack_t){.batch_number = first.number}, 1, 2);
  cr_assert_str_neq(first.number, second.number);
  cr_assert_str_eq(second.entries[1], "{\"message\":\"3\"}");
  cr_assert_eq(redis_process_int(&fixture.redis, "EXISTS logs:batch:%s", first.number), 0);
  cr_assert_eq(redis_process_int(&fixture.redis, "ZCARD logs:inflight"), 1);
  acknowledge(&fixture, fixture.queue, second.number);
  cr_assert_eq(redis_process_int(&fixture.redis, "ZCARD logs:inflight"), 0);
  cr_assert_eq(queue_length(&fixture), 0);
  fixture_deinit(&fixture);
}

Test(claim, an_answer_that_was_lost_costs_nothing) {
  fixture_t fixture;
  result_t first, again, third;
  queue_ack_t ack;
  fixture_init(&fixture, 100, 1 << 20);
  push(&fixture, 1, 4);
  first = claim(&fixture, fixture.queue, NULL, 1, 2);
  ack = (queue_ack_t){.batch_number = first.number};
  again = claim(&fixture, fixture.queue, &ack, 1, 2);
  third = claim(&fixture, fixture.queue, &ack, 1, 2);
  cr_assert_str_eq(again.number, third.number, "the batch that was claimed is found again");
  cr_assert_not(third.sent_before);
  cr_assert_eq(queue_length(&fixture), 0);
  fixture_deinit(&fixture);
}

Test(claim, the_instance_stays_the_same) {
  fixture_t fixture;
  result_t first, second;
  fixture_init(&fixture, 100, 1 << 20);
  push(&fixture, 1, 2);
  first = claim(&fixture, fixture.queue, NULL, 1, 1);
  second = claim(&fixture, fixture.queue, &(queue_ack_t){.batch_number = first.number}, 1, 1);
  cr_assert_str_eq(first.instance, second.instance);
  fixture_deinit(&fixture);
}

/* ---- Leases ---- */

Test(lease, keeps_others_away_until_it_ends) {
  fixture_t fixture;
  config_t other;
  result_t first, taken;
  fixture_init(&fixture, 100, 1 << 20);
  other = fixture.config;
  other.worker_name = "worker-2";
  start_second_queue(&fixture, &other);
  push(&fixture, 1, 2);
  first = claim(&fixture, fixture.queue, NULL, 1, 2);
  cr_assert_eq(claim(&fixture, fixture.second, NULL, 1, 2).count, 0);
  redis_process_int(&fixture.redis, "ZADD logs:inflight 1 %s", first.number);
  taken = claim(&fixture, fixture.second, NULL, 1, 2);
  cr_assert_str_eq(taken.number, first.number);
  cr_assert(taken.sent_before);
  cr_assert_eq(taken.count, 2);
  cr_assert_eq(renew(&fixture, fixture.queue, first.number, false), -1, "the first one has lost it");
  acknowledge(&fixture, fixture.queue, first.number);
  cr_assert_eq(redis_process_int(&fixture.redis, "ZCARD logs:inflight"), 1, "and cannot acknowledge it");
  acknowledge(&fixture, fixture.second, first.number);
  cr_assert_eq(redis_process_int(&fixture.redis, "ZCARD logs:inflight"), 0);
  fixture_deinit(&fixture);
}

Test(lease, a_restarted_worker_takes_its_own_back_at_once) {
  fixture_t fixture;
  result_t first, taken;
  fixture_init(&fixture, 100, 1 << 20);
  push(&fixture, 1, 2);
  first = claim(&fixture, fixture.queue, NULL, 1, 2);
  start_second_queue(&fixture, &fixture.config); /* the same name */
  taken = claim(&fixture, fixture.second, NULL, 1, 2);
  cr_assert_str_eq(taken.number, first.number);
  cr_assert(taken.sent_before);
  cr_assert_str_eq(taken.entries[1], "{\"message\":\"1\"}");
  fixture_deinit(&fixture);
}

Test(lease, each_sender_has_its_own) {
  fixture_t fixture;
  result_t first, second;
  fixture_init(&fixture, 100, 1 << 20);
  push(&fixture, 1, 4);
  first = claim_as_sender(&fixture, fixture.queue, 1, NULL, 1, 2);
  second = claim_as_sender(&fixture, fixture.queue, 2, NULL, 1, 2);
  cr_assert_str_neq(first.number, second.number);
  cr_assert_str_eq(claim_as_sender(&fixture, fixture.queue, 2, NULL, 1, 2).number, second.number,
                   "its answer was lost");
  cr_assert_str_eq(claim_as_sender(&fixture, fixture.queue, 1, NULL, 1, 2).number, first.number);
  claim_as_sender(&fixture, fixture.queue, 1, &(queue_ack_t){.batch_number = second.number}, 0, 0);
  cr_assert_eq(redis_process_int(&fixture.redis, "ZCARD logs:inflight"), 2, "another sender holds it");
  fixture_deinit(&fixture);
}

Test(lease, all_senders_of_a_restarted_worker_are_taken_back_at_once) {
  fixture_t fixture;
  result_t taken[2], held[2];
  fixture_init(&fixture, 100, 1 << 20);
  push(&fixture, 1, 4);
  for (int i = 0; i < 2; i++)
    held[i] = claim_as_sender(&fixture, fixture.queue, i, NULL, 1, 2);
  start_second_queue(&fixture, &fixture.config); /* the same name */
  for (int i = 0; i < 2; i++) {
    taken[i] = claim_as_sender(&fixture, fixture.second, i, NULL, 1, 2);
    cr_assert_str_eq(taken[i].number, held[i].number);
    cr_assert(taken[i].sent_before);
  }
  fixture_deinit(&fixture);
}

Test(lease, one_taken_over_may_be_stored_even_where_the_answer_was_lost) {
  fixture_t fixture;
  result_t first, taken;
  fixture_init(&fixture, 100, 1 << 20);
  push(&fixture, 1, 2);
  first = claim(&fixture, fixture.queue, NULL, 1, 2);
  start_second_queue(&fixture, &fixture.config); /* the same name */
  claim(&fixture, fixture.second, NULL, 1, 2);
  taken = claim(&fixture, fixture.second, NULL, 1, 2);
  cr_assert_str_eq(taken.number, first.number);
  cr_assert(taken.sent_before);
  fixture_deinit(&fixture);
}

Test(lease, two_of_one_name_do_not_rob_each_other_for_ever) {
  fixture_t fixture;
  result_t first;
  fixture_init(&fixture, 100, 1 << 20);
  start_second_queue(&fixture, &fixture.config);
  cr_assert_eq(claim(&fixture, fixture.second, NULL, 1, 2).count,
               0); /* it has taken over what an earlier process held */
  push(&fixture, 1, 2);
  first = claim(&fixture, fixture.queue, NULL, 1, 2);
  cr_assert_eq(first.count, 2);
  cr_assert_eq(claim(&fixture, fixture.second, NULL, 1, 2).count, 0);
  fixture_deinit(&fixture);
}

static void on_released(int status, void *arg) {
  on_done(status, arg);
}

Test(lease, given_back_goes_to_whoever_asks_next) {
  fixture_t fixture;
  config_t other;
  result_t first, given = {0};
  fixture_init(&fixture, 100, 1 << 20);
  other = fixture.config;
  other.worker_name = "worker-2";
  start_second_queue(&fixture, &other);
  push(&fixture, 1, 2);
  first = claim(&fixture, fixture.queue, NULL, 1, 2);
  cr_assert_eq(queue_release(fixture.queue, 0, first.number, on_released, &given), 0);
  run_until(&fixture, &given.done);
  cr_assert_str_eq(claim(&fixture, fixture.second, NULL, 1, 2).number, first.number);
  fixture_deinit(&fixture);
}

static void on_unspooled(int status, bool taken, void *arg) {
  result_t *result = arg;
  result->renewed = taken;
  on_done(status, arg);
}

static bool unspool(fixture_t *fixture, const char *segment, int64_t offset) {
  const mcp_text_t entries[] = {{"old", 3}, {"new", 3}};
  result_t result = {0};
  cr_assert_eq(queue_unspool(fixture->queue, segment, offset, 3, entries, 2, on_unspooled, &result), 0);
  run_until(fixture, &result.done);
  cr_assert_eq(result.status, 0);
  return result.renewed != 0;
}

Test(unspool, each_place_becomes_one_batch_and_goes_first) {
  fixture_t fixture;
  result_t batch;
  fixture_init(&fixture, 100, 1 << 20);
  push(&fixture, 1, 2);
  cr_assert(unspool(&fixture, "a", 0));
  cr_assert(unspool(&fixture, "a", 7));
  cr_assert(unspool(&fixture, "a", 0), "it was restored before");
  cr_assert(unspool(&fixture, "b", 0), "another segment");
  cr_assert_eq(redis_process_int(&fixture.redis, "ZCARD logs:inflight"), 3);
  cr_assert_not(unspool(&fixture, "b", 7), "three are unclaimed");
  for (int sender = 0; sender < 3; sender++) {
    batch = claim_as_sender(&fixture, fixture.queue, sender, NULL, 1, 2);
    cr_assert_eq(batch.count, 2);
    cr_assert_str_eq(batch.entries[1], "old");
    cr_assert(batch.sent_before);
    cr_assert_eq(atoi(batch.number), sender + 1);
  }
  cr_assert(unspool(&fixture, "b", 7));
  fixture_deinit(&fixture);
}

/* ---- Leased entries and the bound ---- */

Test(bound, leased_entries_count_and_go_only_when_they_are_not_stored) {
  fixture_t fixture;
  result_t batch;
  fixture_init(&fixture, 10, 1 << 20);
  push(&fixture, 1, 10);
  batch = claim(&fixture, fixture.queue, NULL, 1, 4);
  push(&fixture, 11, 3);
  cr_assert_eq(queue_length(&fixture), 9, "6 and 3: the leased ones are older");
  cr_assert_eq(redis_counter(&fixture, "logs:dropped"), 0, "they may be stored at this moment");
  cr_assert_eq(renew(&fixture, fixture.queue, batch.number, true), 1);
  cr_assert_eq(redis_counter(&fixture, "logs:dropped"), 3);
  cr_assert_str_eq(redis_process_text(&fixture.redis, "LINDEX logs:batch:%s -1", batch.number),
                   "{\"message\":\"4\"}");
  push(&fixture, 14, 2);
  cr_assert_eq(queue_length(&fixture), 10, "the last leased one, and one that is queued");
  cr_assert_eq(redis_counter(&fixture, "logs:dropped"), 4);
  cr_assert_eq(renew(&fixture, fixture.queue, batch.number, true), 0);
  cr_assert_eq(redis_counter(&fixture, "logs:dropped"), 5);
  acknowledge(&fixture, fixture.queue, batch.number);
  cr_assert_eq(queue_length(&fixture), 10);
  fixture_deinit(&fixture);
}

Test(bound, the_oldest_batch_goes_first_then_the_next_then_what_is_queued) {
  fixture_t fixture;
  result_t batches[2];
  fixture_init(&fixture, 10, 1 << 20);
  push(&fixture, 1, 10);
  for (int i = 0; i < 2; i++)
    batches[i] = claim_as_sender(&fixture, fixture.queue, i, NULL, 1, 2);
  push(&fixture, 11, 2);
  push(&fixture, 13, 1);
  push(&fixture, 14, 2);
  cr_assert_eq(queue_length(&fixture), 10);
  cr_assert_eq(redis_counter(&fixture, "logs:dropped"), 1, "4 leased ones are older");
  for (int i = 0; i < 2; i++) {
    result_t result = {0};
    cr_assert_eq(queue_renew(fixture.queue, i, batches[i].number, true, on_renewed, &result), 0);
    run_until(&fixture, &result.done);
    cr_assert_eq(result.renewed, 0);
  }
  cr_assert_eq(redis_counter(&fixture, "logs:dropped"), 5);
  cr_assert_str_eq(redis_process_text(&fixture.redis, "LINDEX logs:queue -1"), "{\"message\":\"6\"}");
  fixture_deinit(&fixture);
}

Test(bound, what_was_stored_meanwhile_is_not_counted_as_dropped) {
  fixture_t fixture;
  result_t batch;
  fixture_init(&fixture, 10, 1 << 20);
  push(&fixture, 1, 10);
  batch = claim(&fixture, fixture.queue, NULL, 1, 4);
  push(&fixture, 11, 6); /* 16 pushed: 4 are being stored, 10 are queued, 2 are dropped */
  acknowledge(&fixture, fixture.queue, batch.number);
  cr_assert_eq(queue_length(&fixture), 10);
  cr_assert_eq(redis_counter(&fixture, "logs:dropped"), 2);
  fixture_deinit(&fixture);
}

Test(bound, holds_for_those_who_push_by_themselves) {
  fixture_t fixture;
  queue_drops_t drops;
  fixture_init(&fixture, 10, 1 << 20);
  for (int i = 0; i < 25; i++)
    redis_process_int(&fixture.redis, "LPUSH logs:queue %d", i);
  drops = trim(&fixture);
  cr_assert_eq(queue_length(&fixture), 10);
  cr_assert_eq(drops.count, 15);
  cr_assert_leq(drops.first_us, drops.last_us);
  cr_assert_not(drops.has_room, "it is at its bound");
  cr_assert_str_eq(redis_process_text(&fixture.redis, "LINDEX logs:queue -1"), "15");
  fixture_deinit(&fixture);
}

Test(bound, in_bytes_holds_for_those_who_push_by_themselves) {
  fixture_t fixture;
  fixture_init(&fixture, 100000, 64 << 10);
  for (int i = 0; i < 50; i++)
    redis_process_int(&fixture.redis, "EVAL %s 1 logs:queue %d",
                      "return redis.call('LPUSH', KEYS[1], string.rep('x', ARGV[1]))", 4 << 10);
  trim(&fixture);
  cr_assert_leq(redis_process_int(&fixture.redis, "MEMORY USAGE logs:queue SAMPLES 0"), 66 << 10);
  cr_assert_geq(queue_length(&fixture), 10);
  cr_assert_eq(queue_length(&fixture) + redis_counter(&fixture, "logs:dropped"), 50);
  fixture_deinit(&fixture);
}

/* Trims until nothing is left to drop. Returns the number of steps. */
static int trim_all(fixture_t *fixture) {
  int steps = 1;
  while (trim(fixture).has_more)
    steps++;
  return steps;
}

Test(bound, a_step_drops_no_more_entries_than_it_may) {
  fixture_t fixture;
  queue_drops_t drops;
  fixture_init(&fixture, 10, 64 << 20);
  redis_process_int(&fixture.redis, "EVAL %s 1 logs:queue",
                    "for i = 1, 6000 do redis.call('LPUSH', KEYS[1], i) end return 1");
  drops = trim(&fixture);
  cr_assert_eq(drops.count, 5000);
  cr_assert(drops.has_more);
  cr_assert_eq(push(&fixture, 1, 1).status, 0);
  cr_assert_eq(queue_length(&fixture), 10);
  cr_assert_not(trim(&fixture).has_more);
  cr_assert_eq(redis_counter(&fixture, "logs:dropped"), 5991);
  fixture_deinit(&fixture);
}

Test(bound, a_step_drops_no_more_bytes_than_it_may) {
  fixture_t fixture;
  fixture_init(&fixture, 1000, 1 << 20);
  redis_process_int(&fixture.redis, "EVAL %s 1 logs:queue",
                    "for i = 1, 20 do redis.call('LPUSH', KEYS[1], string.rep('x', 900000)) end return 1");
  cr_assert_gt(trim_all(&fixture), 2);
  cr_assert_eq(queue_length(&fixture), 1);
  redis_process_int(&fixture.redis, "LPUSH logs:queue %s", "x");
  cr_assert_eq(trim_all(&fixture), 1);
  cr_assert_eq(queue_length(&fixture), 2);
  fixture_deinit(&fixture);
}

Test(bound, drops_are_reported_once) {
  fixture_t fixture;
  queue_drops_t drops;
  result_t reported = {0}, late = {0};
  const mcp_text_t report = {"{\"message\":\"line\"}", 18};
  fixture_init(&fixture, 10, 1 << 20);
  push(&fixture, 1, 12);
  acknowledge(&fixture, fixture.queue, claim(&fixture, fixture.queue, NULL, 1, 5).number);
  drops = trim(&fixture);
  cr_assert_eq(drops.count, 2);
  cr_assert(drops.has_room);
  cr_assert_eq(queue_report_drops(fixture.queue, &drops, report, on_done, &reported), 0);
  run_until(&fixture, &reported.done);
  cr_assert_eq(queue_length(&fixture), 6);
  cr_assert_eq(trim(&fixture).count, 0);
  cr_assert_eq(queue_report_drops(fixture.queue, &drops, report, on_done, &late), 0);
  run_until(&fixture, &late.done);
  cr_assert_eq(queue_length(&fixture), 6, "not twice");
  fixture_deinit(&fixture);
}

Test(bound, a_report_that_is_dropped_itself_is_named_again) {
  fixture_t fixture;
  queue_drops_t drops, again;
  result_t reported = {0};
  mcp_text_t report;
  char *text;
  fixture_init(&fixture, 10, 1 << 20);
  push(&fixture, 1, 12);
  acknowledge(&fixture, fixture.queue, claim(&fixture, fixture.queue, NULL, 1, 10).number);
  drops = trim(&fixture);
  text = entry_drop_report(drops.count, drops.first_us, drops.last_us, &report.len);
  report.ptr = text;
  cr_assert_eq(queue_report_drops(fixture.queue, &drops, report, on_done, &reported), 0);
  run_until(&fixture, &reported.done);
  free(text);
  push(&fixture, 13, 11); /* drops the report, and one entry */
  again = trim(&fixture);
  cr_assert_eq(again.count, 3);
  cr_assert_eq(again.first_us, drops.first_us);
  cr_assert_eq(redis_counter(&fixture, "logs:dropped"), 3, "the report itself does not count");
  fixture_deinit(&fixture);
}

/* ---- Acknowledgements ---- */

Test(ack, dead_letters_and_entries_that_go_back) {
  fixture_t fixture;
  result_t batch;
  const mcp_text_t dead[] = {{"letter", 6}}, back[] = {{"newer", 5}, {"older", 5}};
  queue_ack_t ack;
  fixture_init(&fixture, 100, 1 << 20);
  push(&fixture, 1, 4);
  batch = claim(&fixture, fixture.queue, NULL, 1, 3);
  ack = (queue_ack_t){
      .batch_number = batch.number, .dead = dead, .dead_count = 1, .returned = back, .returned_count = 2};
  claim(&fixture, fixture.queue, &ack, 0, 0);
  claim(&fixture, fixture.queue, &ack, 0, 0); /* as if the reply was lost */
  cr_assert_eq(redis_process_int(&fixture.redis, "LLEN logs:dead"), 1);
  cr_assert_eq(redis_process_int(&fixture.redis, "HGET logs:state dead"), 1);
  cr_assert_eq(queue_length(&fixture), 3);
  cr_assert_str_eq(redis_process_text(&fixture.redis, "LINDEX logs:queue -1"), "older");
  cr_assert_str_eq(redis_process_text(&fixture.redis, "LINDEX logs:queue -2"), "newer");
  fixture_deinit(&fixture);
}

Test(ack, dead_letters_are_bounded) {
  fixture_t fixture;
  result_t batch;
  const mcp_text_t dead[] = {{"letter", 6}};
  fixture_init(&fixture, 100, 1 << 20);
  redis_process_int(&fixture.redis, "EVAL %s 0",
                    "for i = 1, 10000 do redis.call('LPUSH', 'logs:dead', 'old') end return 1");
  push(&fixture, 1, 1);
  batch = claim(&fixture, fixture.queue, NULL, 1, 1);
  claim(&fixture, fixture.queue, &(queue_ack_t){.batch_number = batch.number, .dead = dead, .dead_count = 1},
        0, 0);
  cr_assert_eq(redis_process_int(&fixture.redis, "LLEN logs:dead"), QUEUE_MAX_DEAD);
  cr_assert_str_eq(redis_process_text(&fixture.redis, "LINDEX logs:dead 0"), "letter");
  fixture_deinit(&fixture);
}

/* The size of all letters is measured, not extrapolated from the newest. */
Test(ack, large_dead_letters_cost_no_small_ones) {
  fixture_t fixture;
  result_t batch;
  static char text[64 << 10];
  const mcp_text_t large = {text, sizeof text}, dead[] = {large, large, large, large, large};
  memset(text, 'x', sizeof text);
  fixture_init(&fixture, 100, 1 << 20);
  redis_process_int(&fixture.redis, "EVAL %s 0",
                    "for i = 1, 9000 do redis.call('LPUSH', 'logs:dead', string.rep('x', 512)) end return 1");
  push(&fixture, 1, 5);
  batch = claim(&fixture, fixture.queue, NULL, 1, 5);
  claim(&fixture, fixture.queue, &(queue_ack_t){.batch_number = batch.number, .dead = dead, .dead_count = 5},
        0, 0);
  cr_assert_eq(redis_process_int(&fixture.redis, "LLEN logs:dead"), 9005);
  fixture_deinit(&fixture);
}

/* ---- Dead letters ---- */

typedef struct letters {
  bool done;
  int64_t total, examined, moved;
  size_t count;
} letters_t;

static void on_letters(int status, const queue_letters_t *letters, void *arg) {
  cr_assert_eq(status, 0);
  *(letters_t *)arg = (letters_t){true, letters->total, letters->examined, letters->moved, letters->count};
}

static letters_t dead_letters_step(fixture_t *fixture, const char *action, int64_t max_letters,
                                   int64_t offset, int64_t max_bytes) {
  letters_t result = {0};
  cr_assert_eq(
      queue_dead_letters(fixture->queue, action, max_letters, offset, max_bytes, on_letters, &result), 0);
  run_until(fixture, &result.done);
  return result;
}

Test(dead, a_step_reads_no_more_bytes_than_it_may) {
  fixture_t fixture;
  letters_t result;
  fixture_init(&fixture, 100, 64 << 20);
  redis_process_int(&fixture.redis, "EVAL %s 0",
                    "local letter = '{\"entry\":\"' .. string.rep('\\\\u0001', 1000) .. '\"}' "
                    "for i = 1, 10 do redis.call('LPUSH', 'logs:dead', letter) end return #letter");
  result = dead_letters_step(&fixture, "list", 100, 0, 2 * 6012);
  cr_assert_eq(result.total, 10);
  cr_assert_eq(result.count, 2);
  cr_assert_eq(dead_letters_step(&fixture, "list", 100, 0, 2 * 6012 - 1).count, 1);
  cr_assert_eq(dead_letters_step(&fixture, "list", 100, 0, 1).count, 1, "one in any case");
  cr_assert_eq(dead_letters_step(&fixture, "list", 100, 7, 1 << 20).count, 3);
  cr_assert_eq(dead_letters_step(&fixture, "list", 100, 10, 1 << 20).count, 0);
  result = dead_letters_step(&fixture, "replay", 100, 0, 2 * 6012);
  cr_assert_eq(result.examined, 2);
  cr_assert_eq(result.moved, 2);
  cr_assert_eq(queue_length(&fixture), 2);
  result = dead_letters_step(&fixture, "discard", 3, 0, 1);
  cr_assert_eq(result.moved, 3);
  cr_assert_eq(redis_process_int(&fixture.redis, "LLEN logs:dead"), 5);
  fixture_deinit(&fixture);
}

/* ---- Redis disconnects and reconnects ---- */

Test(redis, forgets_its_scripts) {
  fixture_t fixture;
  fixture_init(&fixture, 100, 1 << 20);
  push(&fixture, 1, 1);
  redis_process_text(&fixture.redis, "SCRIPT FLUSH");
  cr_assert_eq(push(&fixture, 2, 1).status, 0);
  cr_assert_eq(queue_length(&fixture), 2);
  fixture_deinit(&fixture);
}

Test(redis, killed_and_started_again) {
  fixture_t fixture;
  result_t lost = {0};
  const mcp_text_t entry = {"{}", 2};
  bool down = false;
  fixture_init(&fixture, 100, 1 << 20);
  push(&fixture, 1, 3);
  redis_process_kill(&fixture.redis);
  if (queue_push(fixture.queue, &entry, 1, on_done, &lost) == 0) {
    run_until(&fixture, &lost.done);
    cr_assert_eq(lost.status, MCP_EDISCONNECTED);
  }
  down = !queue_is_up(fixture.queue);
  cr_assert(down);
  cr_assert_eq(queue_push(fixture.queue, &entry, 1, on_done, &lost), MCP_ESTATE);
  redis_process_start(&fixture.redis);
  run_until(&fixture, &fixture.up);
  cr_assert_eq(queue_length(&fixture), 3, "what was acknowledged is still there");
  cr_assert_eq(push(&fixture, 4, 1).status, 0);
  fixture_deinit(&fixture);
}

Test(redis, silent) {
  fixture_t fixture;
  result_t result = {0};
  const mcp_text_t entry = {"{}", 2};
  fixture_init(&fixture, 100, 1 << 20);
  kill(fixture.redis.pid, SIGSTOP);
  cr_assert_eq(queue_push(fixture.queue, &entry, 1, on_done, &result), 0);
  run_until(&fixture, &result.done);
  cr_assert_eq(result.status, MCP_EDISCONNECTED);
  kill(fixture.redis.pid, SIGCONT);
  run_until(&fixture, &fixture.up);
  cr_assert_eq(push(&fixture, 1, 1).status, 0);
  fixture_deinit(&fixture);
}

Test(redis, a_host_that_does_not_exist_is_asked_for_again) {
  fixture_t fixture;
  config_t nowhere;
  bool second_up = true;
  queue_t *queue;
  fixture_init(&fixture, 100, 1 << 20);
  nowhere = fixture.config;
  nowhere.redis_host = "no-such-host.invalid";
  queue = queue_new(&fixture.loop, &nowhere);
  queue_start(queue, on_second_state, NULL, &second_up);
  uv_timer_start(&fixture.deadline, on_deadline, wait_limit_ms(), 0);
  while (second_up)
    uv_run(&fixture.loop, UV_RUN_ONCE);
  close_queue(&fixture, queue);
  fixture_deinit(&fixture);
}

/* ---- Levels ---- */

static void set_level(fixture_t *fixture, queue_t *queue, const char *component, const char *level) {
  result_t result = {0};
  cr_assert_eq(queue_set_level(queue, component, strlen(component), level, on_done, &result), 0);
  run_until(fixture, &result.done);
  cr_assert_eq(result.status, 0);
}

Test(levels, obeyed_at_once_and_after_a_restart) {
  fixture_t fixture;
  fixture_init(&fixture, 100, 1 << 20);
  cr_assert_eq(queue_level(fixture.queue, "dewey", 5), -1);
  set_level(&fixture, fixture.queue, "dewey", "WARN");
  set_level(&fixture, fixture.queue, "alpha", "DEBUG");
  cr_assert_eq(queue_level(fixture.queue, "dewey", 5), MCP_LOG_WARN);
  cr_assert_eq(queue_level(fixture.queue, "alpha", 5), MCP_LOG_DEBUG);
  cr_assert_eq(queue_level(fixture.queue, "dewe", 4), -1);
  start_second_queue(&fixture, &fixture.config);
  cr_assert_eq(queue_level(fixture.second, "dewey", 5), MCP_LOG_WARN);
  fixture_deinit(&fixture);
}

Test(levels, heard_from_another_godot) {
  fixture_t fixture;
  fixture_init(&fixture, 100, 1 << 20);
  start_second_queue(&fixture, &fixture.config);
  unsigned told =
      fixture.levels_notified; /* before the change: the notification may arrive before the reply */
  set_level(&fixture, fixture.second, "message", "ERROR");
  uv_timer_start(&fixture.deadline, on_deadline, wait_limit_ms(), 0);
  while (queue_level(fixture.queue, "message", 7) != MCP_LOG_ERROR)
    uv_run(&fixture.loop, UV_RUN_ONCE);
  cr_assert_gt(fixture.levels_notified, told);
  fixture_deinit(&fixture);
}

Test(levels, are_bounded) {
  fixture_t fixture;
  result_t result = {0};
  fixture_init(&fixture, 100, 1 << 20);
  redis_process_int(&fixture.redis, "EVAL %s 0",
                    "for i = 1, 10000 do redis.call('HSET', 'logger_config:levels', i, 'INFO') end return 1");
  cr_assert_eq(queue_set_level(fixture.queue, "one more", 8, "WARN", on_done, &result), 0);
  run_until(&fixture, &result.done);
  cr_assert_eq(result.status, MCP_ELIMIT);
  set_level(&fixture, fixture.queue, "17", "WARN");
  cr_assert_eq(queue_level(fixture.queue, "17", 2), MCP_LOG_WARN);
  set_level(&fixture, fixture.queue, "17", "");
  cr_assert_eq(queue_level(fixture.queue, "17", 2), -1);
  set_level(&fixture, fixture.queue, "one more", "WARN");
  fixture_deinit(&fixture);
}
