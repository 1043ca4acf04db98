/* test_spool_control.c: when batches are saved to and restored from the spool; with a fake queue. */
#include "leaks.h"
#include "spool_control.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENTRY(message) "{\"component\":\"c\",\"level\":\"INFO\",\"message\":\"" message "\"}"

static char directory[64];

/* A fake queue, which replaces redis_queue.c. */
static struct {
  bool up, pending;
  int unspool_calls; /* number of calls of queue_unspool() */
  char entries[256];
  queue_unspool_cb cb;
  void *arg;
} fake_queue;

bool queue_is_up(const queue_t *queue) {
  (void)queue;
  return fake_queue.up;
}

int queue_unspool(queue_t *queue, const char *segment, int64_t offset, int64_t max_waiting,
                  const mcp_text_t *entries, size_t count, queue_unspool_cb cb, void *arg) {
  size_t len = 0;
  (void)queue;
  (void)segment;
  (void)offset;
  cr_assert_eq(max_waiting, 3);
  cr_assert_not(fake_queue.pending, "one at a time");
  for (size_t i = 0; i < count; i++)
    len += (size_t)snprintf(fake_queue.entries + len, sizeof fake_queue.entries - len, "%.*s",
                            (int)entries[i].len, entries[i].ptr);
  fake_queue.unspool_calls++;
  fake_queue.pending = true;
  fake_queue.cb = cb;
  fake_queue.arg = arg;
  return 0;
}

static void complete_unspool(int status, bool taken) {
  fake_queue.pending = false;
  fake_queue.cb(status, taken, fake_queue.arg);
}

typedef struct fixture {
  uv_loop_t loop;
  config_t config;
  spool_control_t control;
  batch_t batch;
  int saved, save_status; /* number of calls of the saved callback, its last status */
  int restored, closed;
} fixture_t;

static void on_saved(int status, void *arg) {
  fixture_t *fixture = arg;
  fixture->saved++;
  fixture->save_status = status;
}

static void on_restored(void *arg) {
  fixture_t *fixture = arg;
  fixture->restored++;
}

static void on_closed(void *arg) {
  fixture_t *fixture = arg;
  fixture->closed++;
}

static void run(fixture_t *fixture) {
  uv_run(&fixture->loop, UV_RUN_DEFAULT);
}

static void fixture_init(fixture_t *fixture, int64_t max_bytes) {
  mcp_text_t entries[] = {{ENTRY("new"), sizeof ENTRY("new") - 1}, {ENTRY("old"), sizeof ENTRY("old") - 1}};
  const queue_batch_t batch = {
      .number = "1", .instance = "01234567-89ab-7def-8123-456789abcdef", .entries = entries, .count = 2};
  memset(fixture, 0, sizeof *fixture);
  memset(&fake_queue, 0, sizeof fake_queue);
  fake_queue.up = true;
  strcpy(directory, "/tmp/test-spool-XXXXXX");
  cr_assert_not_null(mkdtemp(directory));
  fixture->config = (config_t){
      .batches_in_flight = 3, .spool_dir = directory, .worker_name = "w", .spool_max_bytes = max_bytes};
  cr_assert_eq(uv_loop_init(&fixture->loop), 0);
  cr_assert_eq(batch_init(&fixture->batch, &batch), 0);
  cr_assert_eq(
      spool_control_open(&fixture->control, &fixture->loop, &fixture->config, NULL, on_restored, fixture), 0);
}

static void fixture_deinit(fixture_t *fixture) {
  char command[96];
  if (!fixture->control.stopped)
    spool_control_stop(&fixture->control);
  if (fixture->closed == 0)
    spool_control_close(&fixture->control, on_closed, fixture);
  run(fixture);
  cr_assert_eq(fixture->closed, 1);
  spool_control_deinit(&fixture->control);
  batch_deinit(&fixture->batch);
  cr_assert_eq(uv_loop_close(&fixture->loop), 0);
  snprintf(command, sizeof command, "rm -r %s", directory);
  cr_assert_eq(system(command), 0);
  expect_no_leak();
}

static void save(fixture_t *fixture) {
  int saved = fixture->saved;
  spool_control_set_fill(&fixture->control, 80);
  cr_assert(spool_control_save(&fixture->control, &fixture->batch, on_saved, fixture));
  run(fixture);
  cr_assert_eq(fixture->saved, saved + 1);
}

Test(spool_control, has_room_when_the_queue_is_nearly_full) {
  fixture_t fixture;
  fixture_init(&fixture, 1 << 20);
  spool_control_set_fill(&fixture.control, 79);
  cr_expect_not(spool_control_has_room(&fixture.control));
  cr_expect_not(spool_control_save(&fixture.control, &fixture.batch, on_saved, &fixture));
  spool_control_set_fill(&fixture.control, 80);
  cr_expect(spool_control_has_room(&fixture.control));
  cr_assert(spool_control_save(&fixture.control, &fixture.batch, on_saved, &fixture));
  cr_expect_not(spool_control_has_room(&fixture.control), "one at a time");
  run(&fixture);
  cr_expect_eq(fixture.saved, 1);
  cr_expect_eq(fixture.save_status, 0);
  cr_expect_gt(spool_control_bytes(&fixture.control), 0);
  cr_expect(spool_control_has_room(&fixture.control));
  fixture_deinit(&fixture);
}

Test(spool_control, a_batch_that_does_not_fit_is_tried_again_when_told) {
  fixture_t fixture;
  fixture_init(&fixture, 1);
  save(&fixture);
  cr_expect_neq(fixture.save_status, 0);
  cr_expect_not(spool_control_has_room(&fixture.control));
  spool_control_retry(&fixture.control);
  cr_expect(spool_control_has_room(&fixture.control));
  fixture_deinit(&fixture);
}

Test(spool_control, brings_batches_back_one_after_the_other) {
  fixture_t fixture;
  fixture_init(&fixture, 1 << 20);
  save(&fixture);
  save(&fixture);
  spool_control_set_fill(&fixture.control, 90);
  spool_control_restore(&fixture.control);
  run(&fixture);
  cr_expect_eq(fake_queue.unspool_calls, 0, "the queue is full");
  spool_control_set_fill(&fixture.control, 89);
  fake_queue.up = false;
  spool_control_restore(&fixture.control);
  run(&fixture);
  cr_expect_eq(fake_queue.unspool_calls, 0, "Redis is disconnected");
  fake_queue.up = true;
  spool_control_restore(&fixture.control);
  spool_control_restore(&fixture.control);
  run(&fixture);
  cr_assert_eq(fake_queue.unspool_calls, 1);
  cr_expect_not_null(strstr(fake_queue.entries, "\"old\""));
  cr_expect_not_null(strstr(fake_queue.entries, "\"new\""));
  spool_control_restore(&fixture.control);
  run(&fixture);
  cr_assert_eq(fake_queue.unspool_calls, 1, "one is pending");
  complete_unspool(0, false);
  cr_expect_eq(fixture.restored, 0, "not accepted: enough batches are unclaimed");
  spool_control_restore(&fixture.control);
  run(&fixture);
  complete_unspool(0, true);
  cr_expect_eq(fixture.restored, 1);
  spool_control_restore(&fixture.control);
  run(&fixture);
  complete_unspool(0, true);
  spool_control_restore(&fixture.control);
  run(&fixture);
  cr_expect_eq(fixture.restored, 2);
  cr_expect_eq(fake_queue.unspool_calls, 3, "nothing is left");
  cr_expect_eq(spool_control_bytes(&fixture.control), 0);
  fixture_deinit(&fixture);
}

Test(spool_control, nothing_begins_after_the_stop) {
  fixture_t fixture;
  fixture_init(&fixture, 1 << 20);
  save(&fixture);
  spool_control_stop(&fixture.control);
  cr_expect_not(spool_control_has_room(&fixture.control));
  cr_expect_not(spool_control_save(&fixture.control, &fixture.batch, on_saved, &fixture));
  spool_control_restore(&fixture.control);
  run(&fixture);
  cr_expect_eq(fake_queue.unspool_calls, 0);
  fixture_deinit(&fixture);
}

Test(spool_control, closing_waits_for_the_thread_and_tells_nobody_else) {
  fixture_t fixture;
  fixture_init(&fixture, 1 << 20);
  spool_control_set_fill(&fixture.control, 80);
  cr_assert(spool_control_save(&fixture.control, &fixture.batch, on_saved, &fixture));
  spool_control_stop(&fixture.control);
  spool_control_close(&fixture.control, on_closed, &fixture);
  cr_expect_eq(fixture.closed, 0);
  run(&fixture);
  cr_expect_eq(fixture.closed, 1);
  cr_expect_eq(fixture.saved, 0);
  fixture_deinit(&fixture);
}

Test(spool_control, is_off_without_room_on_disk) {
  fixture_t fixture;
  fixture_init(&fixture, 0);
  spool_control_set_fill(&fixture.control, 100);
  cr_expect_not(spool_control_has_room(&fixture.control));
  spool_control_restore(&fixture.control);
  fixture_deinit(&fixture);
}
