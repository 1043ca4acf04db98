/* test_redis_queue.c: the steps of the queue against a real Redis: what is pushed is claimed once, nothing is
 * lost when answers, leases or Redis itself are, and the books balance. */
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

typedef struct bench {
  uv_loop_t loop;
  uv_timer_t deadline;
  redis_process_t redis;
  config_t config;
  queue_t *queue, *other; /* other: a second worker, where a test wants one */
  bool up, other_up;
  int ups; /* how often queue came up */
  unsigned levels_told;
} bench_t;

/* What a step answered. */
typedef struct answer {
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
} answer_t;

static void on_deadline(uv_timer_t *timer) {
  (void)timer;
  cr_assert_fail("nothing happened for too long");
}

static void run_until(bench_t *bench, const bool *done) {
  uv_timer_start(&bench->deadline, on_deadline, wait_limit_ms(), 0);
  while (!*done)
    uv_run(&bench->loop, UV_RUN_ONCE);
  uv_timer_stop(&bench->deadline);
}

static void on_state(const char *reason, void *arg) {
  bench_t *bench = arg;
  bench->up = reason == NULL;
  bench->ups += reason == NULL;
}

static void on_levels(void *arg) {
  bench_t *bench = arg;
  bench->levels_told++;
}

static void on_other_state(const char *reason, void *arg) {
  *(bool *)arg = reason == NULL;
}

static void open_bench(bench_t *bench, int64_t max_entries, int64_t max_bytes) {
  memset(bench, 0, sizeof *bench);
  redis_process_init(&bench->redis);
  uv_loop_init(&bench->loop);
  uv_timer_init(&bench->loop, &bench->deadline);
  bench->config = (config_t){.redis_host = "127.0.0.1",
                             .redis_port = bench->redis.port,
                             .queue_name = "logs:queue",
                             .max_queue_entries = max_entries,
                             .max_queue_bytes = max_bytes,
                             .worker_name = "worker-1"};
  bench->queue = queue_new(&bench->loop, &bench->config);
  queue_start(bench->queue, on_state, on_levels, bench);
  run_until(bench, &bench->up);
}

static void on_closed(void *arg) {
  *(bool *)arg = true;
}

static void close_queue(bench_t *bench, queue_t *queue) {
  bool closed = false;
  if (queue == NULL)
    return;
  queue_close(queue, on_closed, &closed);
  run_until(bench, &closed);
}

/* A second worker, or the same one after a restart. */
static void open_other(bench_t *bench, const config_t *config) {
  bench->other_up = false;
  bench->other = queue_new(&bench->loop, config);
  queue_start(bench->other, on_other_state, NULL, &bench->other_up);
  run_until(bench, &bench->other_up);
}

static void close_bench(bench_t *bench) {
  close_queue(bench, bench->other);
  close_queue(bench, bench->queue);
  uv_close((uv_handle_t *)&bench->deadline, NULL);
  uv_run(&bench->loop, UV_RUN_DEFAULT);
  cr_assert_eq(uv_loop_close(&bench->loop), 0, "handles are still open");
  redis_process_deinit(&bench->redis);
  expect_no_leak();
}

/* ---- Steps that are waited for ---- */

static void on_done(int status, void *arg) {
  answer_t *answer = arg;
  answer->status = status;
  answer->done = true;
}

static answer_t push(bench_t *bench, int first, int count) {
  static char texts[QUEUE_MAX_PUSH][32];
  static mcp_text_t entries[QUEUE_MAX_PUSH];
  answer_t answer = {0};
  for (int i = 0; i < count; i++)
    entries[i] = (mcp_text_t){texts[i],
                              (size_t)snprintf(texts[i], sizeof texts[i], "{\"message\":\"%d\"}", first + i)};
  cr_assert_eq(queue_push(bench->queue, entries, (size_t)count, on_done, &answer), 0);
  cr_assert_not(answer.done, "answered within the call");
  run_until(bench, &answer.done);
  return answer;
}

static void on_claimed(int status, const queue_batch_t *batch, int64_t queued, void *arg) {
  answer_t *answer = arg;
  answer->queued = queued;
  for (size_t i = 0; batch != NULL && i < batch->count; i++)
    if (i < 8)
      snprintf(answer->entries[i], sizeof answer->entries[i], "%.*s", (int)batch->entries[i].len,
               batch->entries[i].ptr);
  if (batch != NULL) {
    answer->count = batch->count;
    answer->sent_before = batch->sent_before;
    memcpy(answer->number, batch->number, sizeof answer->number);
    snprintf(answer->instance, sizeof answer->instance, "%s", batch->instance);
  }
  on_done(status, arg);
}

static answer_t claim_as_sender(bench_t *bench, queue_t *queue, int sender, const queue_ack_t *ack,
                                int min_entries, int max_entries) {
  answer_t answer = {0};
  cr_assert_eq(queue_claim(queue, sender, ack, min_entries, max_entries, on_claimed, &answer), 0);
  run_until(bench, &answer.done);
  cr_assert_eq(answer.status, 0);
  return answer;
}

static answer_t claim(bench_t *bench, queue_t *queue, const queue_ack_t *ack, int min_entries,
                      int max_entries) {
  return claim_as_sender(bench, queue, 0, ack, min_entries, max_entries);
}

static answer_t acknowledge(bench_t *bench, queue_t *queue, const char *batch_number) {
  const queue_ack_t ack = {.batch_number = batch_number};
  return claim(bench, queue, &ack, 0, 0);
}

static void on_renewed(int status, int64_t entries, int64_t fill_percent, void *arg) {
  answer_t *answer = arg;
  answer->fill_percent = fill_percent;
  answer->renewed = entries;
  on_done(status, arg);
}

static int64_t renew(bench_t *bench, queue_t *queue, const char *batch_number, bool not_stored) {
  answer_t answer = {0};
  cr_assert_eq(queue_renew(queue, 0, batch_number, not_stored, on_renewed, &answer), 0);
  run_until(bench, &answer.done);
  cr_assert_eq(answer.status, 0);
  return answer.renewed;
}

static void on_trimmed(int status, const queue_drops_t *drops, void *arg) {
  answer_t *answer = arg;
  answer->drops = *drops;
  on_done(status, arg);
}

static queue_drops_t trim(bench_t *bench) {
  answer_t answer = {0};
  cr_assert_eq(queue_trim(bench->queue, 0, on_trimmed, &answer), 0);
  run_until(bench, &answer.done);
  cr_assert_eq(answer.status, 0);
  return answer.drops;
}

static long long number_of(bench_t *bench, const char *key) {
  return redis_process_int(&bench->redis, "GET %s", key);
}
static long long queued(bench_t *bench) {
  return redis_process_int(&bench->redis, "LLEN logs:queue");
}

/* ---- Push ---- */

Test(push, keeps_the_order_and_the_count) {
  bench_t bench;
  open_bench(&bench, 100, 1 << 20);
  cr_assert_eq(push(&bench, 1, 3).status, 0);
  cr_assert_eq(queued(&bench), 3);
  cr_assert_str_eq(redis_process_text(&bench.redis, "LINDEX logs:queue -1"), "{\"message\":\"1\"}");
  cr_assert_str_eq(redis_process_text(&bench.redis, "LINDEX logs:queue 0"), "{\"message\":\"3\"}");
  cr_assert_eq(number_of(&bench, "logs:dropped"), 0);
  close_bench(&bench);
}

Test(push, a_thousand_at_once) {
  bench_t bench;
  open_bench(&bench, 5000, 1 << 20);
  cr_assert_eq(push(&bench, 0, QUEUE_MAX_PUSH).status, 0);
  cr_assert_eq(queued(&bench), QUEUE_MAX_PUSH);
  close_bench(&bench);
}

Test(push, beyond_the_bound_the_oldest_go_and_are_counted) {
  bench_t bench;
  open_bench(&bench, 10, 1 << 20);
  push(&bench, 1, 10);
  cr_assert_eq(number_of(&bench, "logs:dropped"), 0);
  push(&bench, 11, 7);
  cr_assert_eq(queued(&bench), 10);
  cr_assert_eq(number_of(&bench, "logs:dropped"), 7);
  cr_assert_str_eq(redis_process_text(&bench.redis, "LINDEX logs:queue -1"), "{\"message\":\"8\"}");
  close_bench(&bench);
}

Test(push, the_bound_in_bytes) {
  bench_t bench;
  open_bench(&bench, 1000, 1024); /* 64 entries of 16 bytes */
  push(&bench, 10, 64);
  cr_assert_eq(queued(&bench), 64, "just at the bound");
  push(&bench, 74, 10);
  cr_assert_eq(queued(&bench), 64);
  cr_assert_eq(number_of(&bench, "logs:dropped"), 10);
  close_bench(&bench);
}

Test(push, refused_by_redis_is_an_error) {
  bench_t bench;
  open_bench(&bench, 10, 1 << 20);
  redis_process_int(&bench.redis, "SET logs:queue text");
  cr_assert_eq(push(&bench, 1, 1).status, UV_EPROTO);
  redis_process_int(&bench.redis, "DEL logs:queue");
  cr_assert_eq(push(&bench, 1, 1).status, 0);
  close_bench(&bench);
}

/* ---- Claim ---- */

Test(claim, takes_the_oldest_under_a_lease) {
  bench_t bench;
  answer_t batch;
  open_bench(&bench, 100, 1 << 20);
  push(&bench, 1, 5);
  batch = claim(&bench, bench.queue, NULL, 1, 3);
  cr_assert_eq(batch.count, 3);
  cr_assert_str_eq(batch.entries[0], "{\"message\":\"3\"}", "newest first");
  cr_assert_str_eq(batch.entries[2], "{\"message\":\"1\"}");
  cr_assert_not(batch.sent_before);
  cr_assert_eq(queued(&bench), 2);
  cr_assert_eq(redis_process_int(&bench.redis, "ZCARD logs:inflight"), 1);
  cr_assert_eq(redis_process_int(&bench.redis, "EXISTS logs:batch:%s", batch.number), 1);
  close_bench(&bench);
}

Test(claim, waits_for_enough) {
  bench_t bench;
  answer_t batch;
  open_bench(&bench, 100, 1 << 20);
  cr_assert_eq(claim(&bench, bench.queue, NULL, 1, 3).queued, 0);
  push(&bench, 1, 2);
  batch = claim(&bench, bench.queue, NULL, 3, 3);
  cr_assert_eq(batch.count, 0);
  cr_assert_eq(batch.queued, 2);
  cr_assert_eq(claim(&bench, bench.queue, NULL, 1, 3).count, 2);
  close_bench(&bench);
}

Test(claim, ends_when_it_is_full_in_bytes) {
  bench_t bench;
  answer_t batch;
  open_bench(&bench, 100, 1 << 30);
  for (int i = 0; i < 4; i++)
    redis_process_int(&bench.redis, "EVAL %s 1 logs:queue %d",
                      "return redis.call('LPUSH', KEYS[1], string.rep('x', ARGV[1]))", 3 << 20);
  batch = claim(&bench, bench.queue, NULL, 1, 100);
  cr_assert_eq(batch.count, 3, "the third one fills it");
  cr_assert_eq(queued(&bench), 1);
  close_bench(&bench);
}

Test(claim, acknowledging_and_claiming_is_one_step) {
  bench_t bench;
  answer_t first, second;
  open_bench(&bench, 100, 1 << 20);
  push(&bench, 1, 4);
  first = claim(&bench, bench.queue, NULL, 1, 2);
  second = claim(&bench, bench.queue, &(queue_ack_t){.batch_number = first.number}, 1, 2);
  cr_assert_str_neq(first.number, second.number);
  cr_assert_str_eq(second.entries[1], "{\"message\":\"3\"}");
  cr_assert_eq(redis_process_int(&bench.redis, "EXISTS logs:batch:%s", first.number), 0);
  cr_assert_eq(redis_process_int(&bench.redis, "ZCARD logs:inflight"), 1);
  acknowledge(&bench, bench.queue, second.number);
  cr_assert_eq(redis_process_int(&bench.redis, "ZCARD logs:inflight"), 0);
  cr_assert_eq(queued(&bench), 0);
  close_bench(&bench);
}

Test(claim, an_answer_that_was_lost_costs_nothing) {
  bench_t bench;
  answer_t first, again, third;
  queue_ack_t ack;
  open_bench(&bench, 100, 1 << 20);
  push(&bench, 1, 4);
  first = claim(&bench, bench.queue, NULL, 1, 2);
  ack = (queue_ack_t){.batch_number = first.number};
  again = claim(&bench, bench.queue, &ack, 1, 2);
  third = claim(&bench, bench.queue, &ack, 1, 2);
  cr_assert_str_eq(again.number, third.number, "the batch that was claimed is found again");
  cr_assert_not(third.sent_before);
  cr_assert_eq(queued(&bench), 0);
  close_bench(&bench);
}

Test(claim, the_instance_stays_the_same) {
  bench_t bench;
  answer_t first, second;
  open_bench(&bench, 100, 1 << 20);
  push(&bench, 1, 2);
  first = claim(&bench, bench.queue, NULL, 1, 1);
  second = claim(&bench, bench.queue, &(queue_ack_t){.batch_number = first.number}, 1, 1);
  cr_assert_str_eq(first.instance, second.instance);
  close_bench(&bench);
}

/* ---- Leases ---- */

Test(lease, keeps_others_away_until_it_ends) {
  bench_t bench;
  config_t other;
  answer_t first, taken;
  open_bench(&bench, 100, 1 << 20);
  other = bench.config;
  other.worker_name = "worker-2";
  open_other(&bench, &other);
  push(&bench, 1, 2);
  first = claim(&bench, bench.queue, NULL, 1, 2);
  cr_assert_eq(claim(&bench, bench.other, NULL, 1, 2).count, 0);
  redis_process_int(&bench.redis, "ZADD logs:inflight 1 %s", first.number);
  taken = claim(&bench, bench.other, NULL, 1, 2);
  cr_assert_str_eq(taken.number, first.number);
  cr_assert(taken.sent_before);
  cr_assert_eq(taken.count, 2);
  cr_assert_eq(renew(&bench, bench.queue, first.number, false), -1, "the first one has lost it");
  acknowledge(&bench, bench.queue, first.number);
  cr_assert_eq(redis_process_int(&bench.redis, "ZCARD logs:inflight"), 1, "and cannot acknowledge it");
  acknowledge(&bench, bench.other, first.number);
  cr_assert_eq(redis_process_int(&bench.redis, "ZCARD logs:inflight"), 0);
  close_bench(&bench);
}

Test(lease, a_restarted_worker_takes_its_own_back_at_once) {
  bench_t bench;
  answer_t first, taken;
  open_bench(&bench, 100, 1 << 20);
  push(&bench, 1, 2);
  first = claim(&bench, bench.queue, NULL, 1, 2);
  open_other(&bench, &bench.config); /* the same name */
  taken = claim(&bench, bench.other, NULL, 1, 2);
  cr_assert_str_eq(taken.number, first.number);
  cr_assert(taken.sent_before);
  cr_assert_str_eq(taken.entries[1], "{\"message\":\"1\"}");
  close_bench(&bench);
}

Test(lease, each_sender_has_its_own) {
  bench_t bench;
  answer_t first, second;
  open_bench(&bench, 100, 1 << 20);
  push(&bench, 1, 4);
  first = claim_as_sender(&bench, bench.queue, 1, NULL, 1, 2);
  second = claim_as_sender(&bench, bench.queue, 2, NULL, 1, 2);
  cr_assert_str_neq(first.number, second.number);
  cr_assert_str_eq(claim_as_sender(&bench, bench.queue, 2, NULL, 1, 2).number, second.number,
                   "its answer was lost");
  cr_assert_str_eq(claim_as_sender(&bench, bench.queue, 1, NULL, 1, 2).number, first.number);
  claim_as_sender(&bench, bench.queue, 1, &(queue_ack_t){.batch_number = second.number}, 0, 0);
  cr_assert_eq(redis_process_int(&bench.redis, "ZCARD logs:inflight"), 2, "it is not this sender's to end");
  close_bench(&bench);
}

Test(lease, all_senders_of_a_restarted_worker_are_taken_back_at_once) {
  bench_t bench;
  answer_t taken[2], held[2];
  open_bench(&bench, 100, 1 << 20);
  push(&bench, 1, 4);
  for (int i = 0; i < 2; i++)
    held[i] = claim_as_sender(&bench, bench.queue, i, NULL, 1, 2);
  open_other(&bench, &bench.config); /* the same name */
  for (int i = 0; i < 2; i++) {
    taken[i] = claim_as_sender(&bench, bench.other, i, NULL, 1, 2);
    cr_assert_str_eq(taken[i].number, held[i].number);
    cr_assert(taken[i].sent_before);
  }
  close_bench(&bench);
}

Test(lease, one_taken_over_may_be_stored_even_where_the_answer_was_lost) {
  bench_t bench;
  answer_t first, taken;
  open_bench(&bench, 100, 1 << 20);
  push(&bench, 1, 2);
  first = claim(&bench, bench.queue, NULL, 1, 2);
  open_other(&bench, &bench.config); /* the same name */
  claim(&bench, bench.other, NULL, 1, 2);
  taken = claim(&bench, bench.other, NULL, 1, 2);
  cr_assert_str_eq(taken.number, first.number);
  cr_assert(taken.sent_before);
  close_bench(&bench);
}

Test(lease, two_of_one_name_do_not_rob_each_other_for_ever) {
  bench_t bench;
  answer_t first;
  open_bench(&bench, 100, 1 << 20);
  open_other(&bench, &bench.config);
  cr_assert_eq(claim(&bench, bench.other, NULL, 1, 2).count, 0); /* it has settled */
  push(&bench, 1, 2);
  first = claim(&bench, bench.queue, NULL, 1, 2);
  cr_assert_eq(first.count, 2);
  cr_assert_eq(claim(&bench, bench.other, NULL, 1, 2).count, 0);
  close_bench(&bench);
}

static void on_released(int status, void *arg) {
  on_done(status, arg);
}

Test(lease, given_back_goes_to_whoever_asks_next) {
  bench_t bench;
  config_t other;
  answer_t first, given = {0};
  open_bench(&bench, 100, 1 << 20);
  other = bench.config;
  other.worker_name = "worker-2";
  open_other(&bench, &other);
  push(&bench, 1, 2);
  first = claim(&bench, bench.queue, NULL, 1, 2);
  cr_assert_eq(queue_release(bench.queue, 0, first.number, on_released, &given), 0);
  run_until(&bench, &given.done);
  cr_assert_str_eq(claim(&bench, bench.other, NULL, 1, 2).number, first.number);
  close_bench(&bench);
}

static void on_unspooled(int status, bool taken, void *arg) {
  answer_t *answer = arg;
  answer->renewed = taken;
  on_done(status, arg);
}

static bool unspool(bench_t *bench, const char *segment, int64_t offset) {
  const mcp_text_t entries[] = {{"old", 3}, {"new", 3}};
  answer_t answer = {0};
  cr_assert_eq(queue_unspool(bench->queue, segment, offset, 3, entries, 2, on_unspooled, &answer), 0);
  run_until(bench, &answer.done);
  cr_assert_eq(answer.status, 0);
  return answer.renewed != 0;
}

Test(unspool, each_place_becomes_one_batch_and_goes_first) {
  bench_t bench;
  answer_t batch;
  open_bench(&bench, 100, 1 << 20);
  push(&bench, 1, 2);
  cr_assert(unspool(&bench, "a", 0));
  cr_assert(unspool(&bench, "a", 7));
  cr_assert(unspool(&bench, "a", 0), "it is there already");
  cr_assert(unspool(&bench, "b", 0), "another segment");
  cr_assert_eq(redis_process_int(&bench.redis, "ZCARD logs:inflight"), 3);
  cr_assert_not(unspool(&bench, "b", 7), "no more than three wait");
  for (int sender = 0; sender < 3; sender++) {
    batch = claim_as_sender(&bench, bench.queue, sender, NULL, 1, 2);
    cr_assert_eq(batch.count, 2);
    cr_assert_str_eq(batch.entries[1], "old");
    cr_assert(batch.sent_before);
    cr_assert_eq(atoi(batch.number), sender + 1);
  }
  cr_assert(unspool(&bench, "b", 7));
  close_bench(&bench);
}

/* ---- Leased entries and the bound ---- */

Test(bound, leased_entries_count_and_go_only_when_they_are_not_stored) {
  bench_t bench;
  answer_t batch;
  open_bench(&bench, 10, 1 << 20);
  push(&bench, 1, 10);
  batch = claim(&bench, bench.queue, NULL, 1, 4);
  push(&bench, 11, 3);
  cr_assert_eq(queued(&bench), 9, "6 and 3: the leased ones are older");
  cr_assert_eq(number_of(&bench, "logs:dropped"), 0, "they may be stored at this moment");
  cr_assert_eq(renew(&bench, bench.queue, batch.number, true), 1);
  cr_assert_eq(number_of(&bench, "logs:dropped"), 3);
  cr_assert_str_eq(redis_process_text(&bench.redis, "LINDEX logs:batch:%s -1", batch.number),
                   "{\"message\":\"4\"}");
  push(&bench, 14, 2);
  cr_assert_eq(queued(&bench), 10, "the last leased one, and one that is queued");
  cr_assert_eq(number_of(&bench, "logs:dropped"), 4);
  cr_assert_eq(renew(&bench, bench.queue, batch.number, true), 0);
  cr_assert_eq(number_of(&bench, "logs:dropped"), 5);
  acknowledge(&bench, bench.queue, batch.number);
  cr_assert_eq(queued(&bench), 10);
  close_bench(&bench);
}

Test(bound, the_oldest_batch_goes_first_then_the_next_then_what_is_queued) {
  bench_t bench;
  answer_t batches[2];
  open_bench(&bench, 10, 1 << 20);
  push(&bench, 1, 10);
  for (int i = 0; i < 2; i++)
    batches[i] = claim_as_sender(&bench, bench.queue, i, NULL, 1, 2);
  push(&bench, 11, 2);
  push(&bench, 13, 1);
  push(&bench, 14, 2);
  cr_assert_eq(queued(&bench), 10);
  cr_assert_eq(number_of(&bench, "logs:dropped"), 1, "4 leased ones are older");
  for (int i = 0; i < 2; i++) {
    answer_t answer = {0};
    cr_assert_eq(queue_renew(bench.queue, i, batches[i].number, true, on_renewed, &answer), 0);
    run_until(&bench, &answer.done);
    cr_assert_eq(answer.renewed, 0);
  }
  cr_assert_eq(number_of(&bench, "logs:dropped"), 5);
  cr_assert_str_eq(redis_process_text(&bench.redis, "LINDEX logs:queue -1"), "{\"message\":\"6\"}");
  close_bench(&bench);
}

Test(bound, what_was_stored_meanwhile_is_not_counted_as_dropped) {
  bench_t bench;
  answer_t batch;
  open_bench(&bench, 10, 1 << 20);
  push(&bench, 1, 10);
  batch = claim(&bench, bench.queue, NULL, 1, 4);
  push(&bench, 11, 6); /* 16 pushed: 4 are being stored, 10 are queued, 2 have to go */
  acknowledge(&bench, bench.queue, batch.number);
  cr_assert_eq(queued(&bench), 10);
  cr_assert_eq(number_of(&bench, "logs:dropped"), 2);
  close_bench(&bench);
}

Test(bound, holds_for_those_who_push_by_themselves) {
  bench_t bench;
  queue_drops_t drops;
  open_bench(&bench, 10, 1 << 20);
  for (int i = 0; i < 25; i++)
    redis_process_int(&bench.redis, "LPUSH logs:queue %d", i);
  drops = trim(&bench);
  cr_assert_eq(queued(&bench), 10);
  cr_assert_eq(drops.count, 15);
  cr_assert_leq(drops.first_us, drops.last_us);
  cr_assert_not(drops.has_room, "it is at its bound");
  cr_assert_str_eq(redis_process_text(&bench.redis, "LINDEX logs:queue -1"), "15");
  close_bench(&bench);
}

Test(bound, in_bytes_holds_for_those_who_push_by_themselves) {
  bench_t bench;
  open_bench(&bench, 100000, 64 << 10);
  for (int i = 0; i < 50; i++)
    redis_process_int(&bench.redis, "EVAL %s 1 logs:queue %d",
                      "return redis.call('LPUSH', KEYS[1], string.rep('x', ARGV[1]))", 4 << 10);
  trim(&bench);
  cr_assert_leq(redis_process_int(&bench.redis, "MEMORY USAGE logs:queue SAMPLES 0"), 66 << 10);
  cr_assert_geq(queued(&bench), 10);
  cr_assert_eq(queued(&bench) + number_of(&bench, "logs:dropped"), 50);
  close_bench(&bench);
}

/* Trims until it is done; how many steps that took. */
static int trim_all(bench_t *bench) {
  int steps = 1;
  while (trim(bench).has_more)
    steps++;
  return steps;
}

Test(bound, a_step_drops_no_more_entries_than_it_may) {
  bench_t bench;
  queue_drops_t drops;
  open_bench(&bench, 10, 64 << 20);
  redis_process_int(&bench.redis, "EVAL %s 1 logs:queue",
                    "for i = 1, 6000 do redis.call('LPUSH', KEYS[1], i) end return 1");
  drops = trim(&bench);
  cr_assert_eq(drops.count, 5000);
  cr_assert(drops.has_more);
  cr_assert_eq(push(&bench, 1, 1).status, 0);
  cr_assert_eq(queued(&bench), 10);
  cr_assert_not(trim(&bench).has_more);
  cr_assert_eq(number_of(&bench, "logs:dropped"), 5991);
  close_bench(&bench);
}

Test(bound, a_step_drops_no_more_bytes_than_it_may) {
  bench_t bench;
  open_bench(&bench, 1000, 1 << 20);
  redis_process_int(&bench.redis, "EVAL %s 1 logs:queue",
                    "for i = 1, 20 do redis.call('LPUSH', KEYS[1], string.rep('x', 900000)) end return 1");
  cr_assert_gt(trim_all(&bench), 2);
  cr_assert_eq(queued(&bench), 1);
  redis_process_int(&bench.redis, "LPUSH logs:queue %s", "x");
  cr_assert_eq(trim_all(&bench), 1);
  cr_assert_eq(queued(&bench), 2);
  close_bench(&bench);
}

Test(bound, drops_are_reported_once) {
  bench_t bench;
  queue_drops_t drops;
  answer_t reported = {0}, late = {0};
  const mcp_text_t line = {"{\"message\":\"line\"}", 18};
  open_bench(&bench, 10, 1 << 20);
  push(&bench, 1, 12);
  acknowledge(&bench, bench.queue, claim(&bench, bench.queue, NULL, 1, 5).number);
  drops = trim(&bench);
  cr_assert_eq(drops.count, 2);
  cr_assert(drops.has_room);
  cr_assert_eq(queue_report_drops(bench.queue, &drops, line, on_done, &reported), 0);
  run_until(&bench, &reported.done);
  cr_assert_eq(queued(&bench), 6);
  cr_assert_eq(trim(&bench).count, 0);
  cr_assert_eq(queue_report_drops(bench.queue, &drops, line, on_done, &late), 0);
  run_until(&bench, &late.done);
  cr_assert_eq(queued(&bench), 6, "not twice");
  close_bench(&bench);
}

Test(bound, a_report_that_is_dropped_itself_is_named_again) {
  bench_t bench;
  queue_drops_t drops, again;
  answer_t reported = {0};
  mcp_text_t line;
  char *text;
  open_bench(&bench, 10, 1 << 20);
  push(&bench, 1, 12);
  acknowledge(&bench, bench.queue, claim(&bench, bench.queue, NULL, 1, 10).number);
  drops = trim(&bench);
  text = entry_drop_report(drops.count, drops.first_us, drops.last_us, &line.len);
  line.ptr = text;
  cr_assert_eq(queue_report_drops(bench.queue, &drops, line, on_done, &reported), 0);
  run_until(&bench, &reported.done);
  free(text);
  push(&bench, 13, 11); /* drops the line, and one entry */
  again = trim(&bench);
  cr_assert_eq(again.count, 3);
  cr_assert_eq(again.first_us, drops.first_us);
  cr_assert_eq(number_of(&bench, "logs:dropped"), 3, "the line itself does not count");
  close_bench(&bench);
}

/* ---- Acknowledgements ---- */

Test(ack, dead_letters_and_entries_that_go_back) {
  bench_t bench;
  answer_t batch;
  const mcp_text_t dead[] = {{"letter", 6}}, back[] = {{"newer", 5}, {"older", 5}};
  queue_ack_t ack;
  open_bench(&bench, 100, 1 << 20);
  push(&bench, 1, 4);
  batch = claim(&bench, bench.queue, NULL, 1, 3);
  ack = (queue_ack_t){
      .batch_number = batch.number, .dead = dead, .dead_count = 1, .returned = back, .returned_count = 2};
  claim(&bench, bench.queue, &ack, 0, 0);
  claim(&bench, bench.queue, &ack, 0, 0); /* the answer may have been lost */
  cr_assert_eq(redis_process_int(&bench.redis, "LLEN logs:dead"), 1);
  cr_assert_eq(redis_process_int(&bench.redis, "HGET logs:state dead"), 1);
  cr_assert_eq(queued(&bench), 3);
  cr_assert_str_eq(redis_process_text(&bench.redis, "LINDEX logs:queue -1"), "older");
  cr_assert_str_eq(redis_process_text(&bench.redis, "LINDEX logs:queue -2"), "newer");
  close_bench(&bench);
}

Test(ack, dead_letters_are_bounded) {
  bench_t bench;
  answer_t batch;
  const mcp_text_t dead[] = {{"letter", 6}};
  open_bench(&bench, 100, 1 << 20);
  redis_process_int(&bench.redis, "EVAL %s 0",
                    "for i = 1, 10000 do redis.call('LPUSH', 'logs:dead', 'old') end return 1");
  push(&bench, 1, 1);
  batch = claim(&bench, bench.queue, NULL, 1, 1);
  claim(&bench, bench.queue, &(queue_ack_t){.batch_number = batch.number, .dead = dead, .dead_count = 1}, 0,
        0);
  cr_assert_eq(redis_process_int(&bench.redis, "LLEN logs:dead"), QUEUE_MAX_DEAD);
  cr_assert_str_eq(redis_process_text(&bench.redis, "LINDEX logs:dead 0"), "letter");
  close_bench(&bench);
}

/* What is measured is what stands there, not what the newest would come to if all were as large. */
Test(ack, large_dead_letters_cost_no_small_ones) {
  bench_t bench;
  answer_t batch;
  static char text[64 << 10];
  const mcp_text_t large = {text, sizeof text}, dead[] = {large, large, large, large, large};
  memset(text, 'x', sizeof text);
  open_bench(&bench, 100, 1 << 20);
  redis_process_int(&bench.redis, "EVAL %s 0",
                    "for i = 1, 9000 do redis.call('LPUSH', 'logs:dead', string.rep('x', 512)) end return 1");
  push(&bench, 1, 5);
  batch = claim(&bench, bench.queue, NULL, 1, 5);
  claim(&bench, bench.queue, &(queue_ack_t){.batch_number = batch.number, .dead = dead, .dead_count = 5}, 0,
        0);
  cr_assert_eq(redis_process_int(&bench.redis, "LLEN logs:dead"), 9005);
  close_bench(&bench);
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

static letters_t dead_letters_step(bench_t *bench, const char *action, int64_t max_letters, int64_t offset,
                                   int64_t max_bytes) {
  letters_t answer = {0};
  cr_assert_eq(queue_dead_letters(bench->queue, action, max_letters, offset, max_bytes, on_letters, &answer),
               0);
  run_until(bench, &answer.done);
  return answer;
}

Test(dead, a_step_reads_no_more_bytes_than_it_may) {
  bench_t bench;
  letters_t answer;
  open_bench(&bench, 100, 64 << 20);
  redis_process_int(&bench.redis, "EVAL %s 0",
                    "local letter = '{\"entry\":\"' .. string.rep('\\\\u0001', 1000) .. '\"}' "
                    "for i = 1, 10 do redis.call('LPUSH', 'logs:dead', letter) end return #letter");
  answer = dead_letters_step(&bench, "list", 100, 0, 2 * 6012);
  cr_assert_eq(answer.total, 10);
  cr_assert_eq(answer.count, 2);
  cr_assert_eq(dead_letters_step(&bench, "list", 100, 0, 2 * 6012 - 1).count, 1);
  cr_assert_eq(dead_letters_step(&bench, "list", 100, 0, 1).count, 1, "one in any case");
  cr_assert_eq(dead_letters_step(&bench, "list", 100, 7, 1 << 20).count, 3);
  cr_assert_eq(dead_letters_step(&bench, "list", 100, 10, 1 << 20).count, 0);
  answer = dead_letters_step(&bench, "replay", 100, 0, 2 * 6012);
  cr_assert_eq(answer.examined, 2);
  cr_assert_eq(answer.moved, 2);
  cr_assert_eq(queued(&bench), 2);
  answer = dead_letters_step(&bench, "discard", 3, 0, 1);
  cr_assert_eq(answer.moved, 3);
  cr_assert_eq(redis_process_int(&bench.redis, "LLEN logs:dead"), 5);
  close_bench(&bench);
}

/* ---- Redis goes, and comes back ---- */

Test(redis, forgets_its_scripts) {
  bench_t bench;
  open_bench(&bench, 100, 1 << 20);
  push(&bench, 1, 1);
  redis_process_text(&bench.redis, "SCRIPT FLUSH");
  cr_assert_eq(push(&bench, 2, 1).status, 0);
  cr_assert_eq(queued(&bench), 2);
  close_bench(&bench);
}

Test(redis, killed_and_started_again) {
  bench_t bench;
  answer_t lost = {0};
  const mcp_text_t entry = {"{}", 2};
  bool down = false;
  open_bench(&bench, 100, 1 << 20);
  push(&bench, 1, 3);
  redis_process_kill(&bench.redis);
  if (queue_push(bench.queue, &entry, 1, on_done, &lost) == 0) {
    run_until(&bench, &lost.done);
    cr_assert_eq(lost.status, MCP_EDISCONNECTED);
  }
  down = !queue_is_up(bench.queue);
  cr_assert(down);
  cr_assert_eq(queue_push(bench.queue, &entry, 1, on_done, &lost), MCP_ESTATE);
  redis_process_start(&bench.redis);
  run_until(&bench, &bench.up);
  cr_assert_eq(queued(&bench), 3, "what was acknowledged is still there");
  cr_assert_eq(push(&bench, 4, 1).status, 0);
  close_bench(&bench);
}

Test(redis, silent) {
  bench_t bench;
  answer_t answer = {0};
  const mcp_text_t entry = {"{}", 2};
  open_bench(&bench, 100, 1 << 20);
  kill(bench.redis.pid, SIGSTOP);
  cr_assert_eq(queue_push(bench.queue, &entry, 1, on_done, &answer), 0);
  run_until(&bench, &answer.done);
  cr_assert_eq(answer.status, MCP_EDISCONNECTED);
  kill(bench.redis.pid, SIGCONT);
  run_until(&bench, &bench.up);
  cr_assert_eq(push(&bench, 1, 1).status, 0);
  close_bench(&bench);
}

Test(redis, a_host_that_does_not_exist_is_asked_for_again) {
  bench_t bench;
  config_t nowhere;
  bool other_up = true;
  queue_t *queue;
  open_bench(&bench, 100, 1 << 20);
  nowhere = bench.config;
  nowhere.redis_host = "no-such-host.invalid";
  queue = queue_new(&bench.loop, &nowhere);
  queue_start(queue, on_other_state, NULL, &other_up);
  uv_timer_start(&bench.deadline, on_deadline, wait_limit_ms(), 0);
  while (other_up)
    uv_run(&bench.loop, UV_RUN_ONCE);
  close_queue(&bench, queue);
  close_bench(&bench);
}

/* ---- Levels ---- */

static void set_level(bench_t *bench, queue_t *queue, const char *component, const char *level) {
  answer_t answer = {0};
  cr_assert_eq(queue_set_level(queue, component, strlen(component), level, on_done, &answer), 0);
  run_until(bench, &answer.done);
  cr_assert_eq(answer.status, 0);
}

Test(levels, obeyed_at_once_and_after_a_restart) {
  bench_t bench;
  open_bench(&bench, 100, 1 << 20);
  cr_assert_eq(queue_level(bench.queue, "dewey", 5), -1);
  set_level(&bench, bench.queue, "dewey", "WARN");
  set_level(&bench, bench.queue, "alpha", "DEBUG");
  cr_assert_eq(queue_level(bench.queue, "dewey", 5), MCP_LOG_WARN);
  cr_assert_eq(queue_level(bench.queue, "alpha", 5), MCP_LOG_DEBUG);
  cr_assert_eq(queue_level(bench.queue, "dewe", 4), -1);
  open_other(&bench, &bench.config);
  cr_assert_eq(queue_level(bench.other, "dewey", 5), MCP_LOG_WARN);
  close_bench(&bench);
}

Test(levels, heard_from_another_godot) {
  bench_t bench;
  open_bench(&bench, 100, 1 << 20);
  open_other(&bench, &bench.config);
  unsigned told = bench.levels_told; /* before the change: it may be heard while its answer is awaited */
  set_level(&bench, bench.other, "message", "ERROR");
  uv_timer_start(&bench.deadline, on_deadline, wait_limit_ms(), 0);
  while (queue_level(bench.queue, "message", 7) != MCP_LOG_ERROR)
    uv_run(&bench.loop, UV_RUN_ONCE);
  cr_assert_gt(bench.levels_told, told);
  close_bench(&bench);
}

Test(levels, are_bounded) {
  bench_t bench;
  answer_t answer = {0};
  open_bench(&bench, 100, 1 << 20);
  redis_process_int(&bench.redis, "EVAL %s 0",
                    "for i = 1, 10000 do redis.call('HSET', 'logger_config:levels', i, 'INFO') end return 1");
  cr_assert_eq(queue_set_level(bench.queue, "one more", 8, "WARN", on_done, &answer), 0);
  run_until(&bench, &answer.done);
  cr_assert_eq(answer.status, MCP_ELIMIT);
  set_level(&bench, bench.queue, "17", "WARN");
  cr_assert_eq(queue_level(bench.queue, "17", 2), MCP_LOG_WARN);
  set_level(&bench, bench.queue, "17", "");
  cr_assert_eq(queue_level(bench.queue, "17", 2), -1);
  set_level(&bench, bench.queue, "one more", "WARN");
  close_bench(&bench);
}
