/* test_spool_control.c: when a batch goes to the spool and when it comes back, with a queue that this test
 * plays. */
#include "leaks.h"
#include "spool_control.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENTRY(message) "{\"component\":\"c\",\"level\":\"INFO\",\"message\":\"" message "\"}"

static char directory[64];

/* The queue, in the place of redis_queue.c. */
static struct {
  bool up, pending;
  int asked; /* queue_unspool() was called so often */
  char entries[256];
  queue_unspool_cb cb;
  void *arg;
} redis;

bool queue_is_up(const queue_t *queue) {
  (void)queue;
  return redis.up;
}

int queue_unspool(queue_t *queue, const char *segment, int64_t offset, int64_t max_waiting,
                  const mcp_text_t *entries, size_t count, queue_unspool_cb cb, void *arg) {
  size_t len = 0;
  (void)queue;
  (void)segment;
  (void)offset;
  cr_assert_eq(max_waiting, 3);
  cr_assert_not(redis.pending, "one at a time");
  for (size_t i = 0; i < count; i++)
    len += (size_t)snprintf(redis.entries + len, sizeof redis.entries - len, "%.*s", (int)entries[i].len,
                            entries[i].ptr);
  redis.asked++;
  redis.pending = true;
  redis.cb = cb;
  redis.arg = arg;
  return 0;
}

static void answer(int status, bool taken) {
  redis.pending = false;
  redis.cb(status, taken, redis.arg);
}

/* A spool and its owner. */
typedef struct owner {
  uv_loop_t loop;
  config_t config;
  spool_control_t control;
  batch_t batch;
  int saved, save_status; /* how often saved fired */
  int restored, closed;
} owner_t;

static void on_saved(int status, void *arg) {
  owner_t *owner = arg;
  owner->saved++;
  owner->save_status = status;
}

static void on_restored(void *arg) {
  owner_t *owner = arg;
  owner->restored++;
}

static void on_closed(void *arg) {
  owner_t *owner = arg;
  owner->closed++;
}

static void run(owner_t *owner) {
  uv_run(&owner->loop, UV_RUN_DEFAULT);
}

static void begin(owner_t *owner, int64_t max_bytes) {
  mcp_text_t entries[] = {{ENTRY("new"), sizeof ENTRY("new") - 1}, {ENTRY("old"), sizeof ENTRY("old") - 1}};
  const queue_batch_t batch = {
      .number = "1", .instance = "01234567-89ab-7def-8123-456789abcdef", .entries = entries, .count = 2};
  memset(owner, 0, sizeof *owner);
  memset(&redis, 0, sizeof redis);
  redis.up = true;
  strcpy(directory, "/tmp/test-spool-XXXXXX");
  cr_assert_not_null(mkdtemp(directory));
  owner->config = (config_t){
      .batches_in_flight = 3, .spool_dir = directory, .worker_name = "w", .spool_max_bytes = max_bytes};
  cr_assert_eq(uv_loop_init(&owner->loop), 0);
  cr_assert_eq(batch_init(&owner->batch, &batch), 0);
  cr_assert_eq(spool_control_open(&owner->control, &owner->loop, &owner->config, NULL, on_restored, owner),
               0);
}

static void end(owner_t *owner) {
  char command[96];
  if (!owner->control.stopped)
    spool_control_stop(&owner->control);
  if (owner->closed == 0)
    spool_control_close(&owner->control, on_closed, owner);
  run(owner);
  cr_assert_eq(owner->closed, 1);
  spool_control_deinit(&owner->control);
  batch_deinit(&owner->batch);
  cr_assert_eq(uv_loop_close(&owner->loop), 0);
  snprintf(command, sizeof command, "rm -r %s", directory);
  cr_assert_eq(system(command), 0);
  expect_no_leak();
}

static void save(owner_t *owner) {
  int saved = owner->saved;
  spool_control_set_fill(&owner->control, 80);
  cr_assert(spool_control_save(&owner->control, &owner->batch, on_saved, owner));
  run(owner);
  cr_assert_eq(owner->saved, saved + 1);
}

Test(spool_control, has_room_when_the_queue_is_nearly_full) {
  owner_t owner;
  begin(&owner, 1 << 20);
  spool_control_set_fill(&owner.control, 79);
  cr_expect_not(spool_control_has_room(&owner.control));
  cr_expect_not(spool_control_save(&owner.control, &owner.batch, on_saved, &owner));
  spool_control_set_fill(&owner.control, 80);
  cr_expect(spool_control_has_room(&owner.control));
  cr_assert(spool_control_save(&owner.control, &owner.batch, on_saved, &owner));
  cr_expect_not(spool_control_has_room(&owner.control), "one at a time");
  run(&owner);
  cr_expect_eq(owner.saved, 1);
  cr_expect_eq(owner.save_status, 0);
  cr_expect_gt(spool_control_bytes(&owner.control), 0);
  cr_expect(spool_control_has_room(&owner.control));
  end(&owner);
}

Test(spool_control, a_batch_that_does_not_fit_is_tried_again_when_told) {
  owner_t owner;
  begin(&owner, 1);
  save(&owner);
  cr_expect_neq(owner.save_status, 0);
  cr_expect_not(spool_control_has_room(&owner.control));
  spool_control_retry(&owner.control);
  cr_expect(spool_control_has_room(&owner.control));
  end(&owner);
}

Test(spool_control, brings_batches_back_one_after_the_other) {
  owner_t owner;
  begin(&owner, 1 << 20);
  save(&owner);
  save(&owner);
  spool_control_set_fill(&owner.control, 90);
  spool_control_restore(&owner.control);
  run(&owner);
  cr_expect_eq(redis.asked, 0, "the queue is full");
  spool_control_set_fill(&owner.control, 89);
  redis.up = false;
  spool_control_restore(&owner.control);
  run(&owner);
  cr_expect_eq(redis.asked, 0, "Redis is not there");
  redis.up = true;
  spool_control_restore(&owner.control);
  spool_control_restore(&owner.control);
  run(&owner);
  cr_assert_eq(redis.asked, 1);
  cr_expect_not_null(strstr(redis.entries, "\"old\""));
  cr_expect_not_null(strstr(redis.entries, "\"new\""));
  spool_control_restore(&owner.control);
  run(&owner);
  cr_assert_eq(redis.asked, 1, "it is on its way");
  answer(0, false);
  cr_expect_eq(owner.restored, 0, "enough such batches wait");
  spool_control_restore(&owner.control);
  run(&owner);
  answer(0, true);
  cr_expect_eq(owner.restored, 1);
  spool_control_restore(&owner.control);
  run(&owner);
  answer(0, true);
  spool_control_restore(&owner.control);
  run(&owner);
  cr_expect_eq(owner.restored, 2);
  cr_expect_eq(redis.asked, 3, "nothing is left");
  cr_expect_eq(spool_control_bytes(&owner.control), 0);
  end(&owner);
}

Test(spool_control, nothing_begins_after_the_stop) {
  owner_t owner;
  begin(&owner, 1 << 20);
  save(&owner);
  spool_control_stop(&owner.control);
  cr_expect_not(spool_control_has_room(&owner.control));
  cr_expect_not(spool_control_save(&owner.control, &owner.batch, on_saved, &owner));
  spool_control_restore(&owner.control);
  run(&owner);
  cr_expect_eq(redis.asked, 0);
  end(&owner);
}

Test(spool_control, closing_waits_for_the_thread_and_tells_nobody_else) {
  owner_t owner;
  begin(&owner, 1 << 20);
  spool_control_set_fill(&owner.control, 80);
  cr_assert(spool_control_save(&owner.control, &owner.batch, on_saved, &owner));
  spool_control_stop(&owner.control);
  spool_control_close(&owner.control, on_closed, &owner);
  cr_expect_eq(owner.closed, 0);
  run(&owner);
  cr_expect_eq(owner.closed, 1);
  cr_expect_eq(owner.saved, 0);
  end(&owner);
}

Test(spool_control, is_off_without_room_on_disk) {
  owner_t owner;
  begin(&owner, 0);
  spool_control_set_fill(&owner.control, 100);
  cr_expect_not(spool_control_has_room(&owner.control));
  spool_control_restore(&owner.control);
  end(&owner);
}
