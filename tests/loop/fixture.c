/* fixture.c: the loop, the clock, the log, the test server, and results of client calls. */
#include "fixture_internal.h"

#include <leaks.h>
#include <poll.h>
#include <pool_threads.h>
#include <stdio.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <wait_limit.h>

enum { TURN_MS = 20, STEP_MS = 500, MAX_TURNS = 3000000, LOG_BYTES = 1 << 18 };

uv_loop_t fixture_loop;
test_server_t test_server;

static uv_timer_t waker; /* wakes the loop periodically while a test waits */
static uint64_t wait_began;
static unsigned turns;

static uv_mutex_t mutex; /* log, and gate */
static uv_cond_t gate_moved;
static char logged[LOG_BYTES];
static size_t logged_len;

static void on_log(int level, const char *part, const char *text, void *arg) {
  (void)arg;
  uv_mutex_lock(&mutex);
  if (getenv("TEST_LOG") != NULL)
    fprintf(stderr, "%d %s %s\n", level, part, text);
  if (logged_len < LOG_BYTES - 1024)
    logged_len += (size_t)snprintf(logged + logged_len, 1024, "%.200s: %.800s\n", part, text);
  uv_mutex_unlock(&mutex);
}

bool fixture_logged(const char *words) {
  uv_mutex_lock(&mutex);
  bool found = strstr(logged, words) != NULL;
  uv_mutex_unlock(&mutex);
  return found;
}

const char *fixture_log(void) {
  return logged;
}

/* ---- the loop --------------------------------------------------------------------------------------- */

static void on_wake(uv_timer_t *timer) {
  (void)timer;
}

void fixture_setup(void) {
  uv_mutex_init(&mutex);
  uv_cond_init(&gate_moved);
  mcp_set_log_handler(on_log, MCP_LOG_TRACE, NULL);
  cr_assert_eq(uv_loop_init(&fixture_loop), 0);
  uv_timer_init(&fixture_loop, &waker);
  uv_timer_start(&waker, on_wake, TURN_MS, TURN_MS);
  uv_unref((uv_handle_t *)&waker);
}

uint64_t fixture_clock_ms(void) {
  return uv_hrtime() / 1000000;
}

/* ---- the clock ---------------------------------------------------------------------------------------- */

enum { MILLION = 1000000, BILLION = 1000000000 };

static atomic_llong ahead_ns, held_ns; /* held_ns: 0 while the clock runs */

static int64_t real_ns(clockid_t clock) {
  struct timespec now;
  syscall(SYS_clock_gettime, clock, &now);
  return (int64_t)now.tv_sec * BILLION + now.tv_nsec;
}

uint64_t fixture_real_clock_ms(void) {
  return (uint64_t)real_ns(CLOCK_MONOTONIC) / MILLION;
}

/* Replaces the C library's function, also for libuv, so that long time-outs cost no real time. */
int clock_gettime(clockid_t clock, struct timespec *now) {
  if (clock != CLOCK_MONOTONIC && clock != CLOCK_MONOTONIC_COARSE)
    return (int)syscall(SYS_clock_gettime, clock, now);
  int64_t ns = atomic_load(&held_ns);
  ns = (ns > 0 ? ns : real_ns(clock)) + atomic_load(&ahead_ns);
  now->tv_sec = (time_t)(ns / BILLION);
  now->tv_nsec = (long)(ns % BILLION);
  return 0;
}

void fixture_freeze_clock(void) {
  atomic_store(&held_ns, real_ns(CLOCK_MONOTONIC));
}

void fixture_unfreeze_clock(void) {
  int64_t held = atomic_load(&held_ns);
  if (held > 0)
    atomic_fetch_add(&ahead_ns, held - real_ns(CLOCK_MONOTONIC));
  atomic_store(&held_ns, 0);
}

void fixture_jump_ms(uint64_t ms) {
  atomic_fetch_add(&ahead_ns, (int64_t)ms * MILLION);
}

void fixture_advance_ms(uint64_t ms) {
  for (uint64_t step; ms > 0; ms -= step) { /* steps smaller than the distance of timers */
    step = ms < STEP_MS ? ms : STEP_MS;
    fixture_jump_ms(step);
    for (int turn = 0; turn < 4; turn++) /* due timers, the peer's reaction, … */
      uv_run(&fixture_loop, UV_RUN_NOWAIT);
  }
}

/* ---- loop iterations --------------------------------------------------------------------------------- */

void fixture_wait_start(void) {
  wait_began = fixture_real_clock_ms();
  turns = 0;
  uv_ref((uv_handle_t *)&waker);
}

/* While the clock is frozen libuv would never return from waiting for a timer; poll() waits instead. */
static void turn(void) {
  if (atomic_load(&held_ns) == 0) {
    uv_run(&fixture_loop, UV_RUN_ONCE);
    return;
  }
  struct pollfd ready = {.fd = uv_backend_fd(&fixture_loop), .events = POLLIN};
  uv_run(&fixture_loop, UV_RUN_NOWAIT);
  poll(&ready, 1, 1);
}

void fixture_iterate(const char *condition, const char *file, int line) {
  turn();
  if (++turns > MAX_TURNS || fixture_real_clock_ms() - wait_began > wait_limit_ms())
    cr_assert_fail("%s:%d: timed out: %s (%u iterations)", file, line, condition, turns);
}

void fixture_iterate_once(void) {
  fixture_wait_start();
  fixture_iterate("one turn", __FILE__, __LINE__);
}

void fixture_run_ms(uint64_t ms) {
  uint64_t began = fixture_real_clock_ms();
  RUN_UNTIL(fixture_real_clock_ms() - began >= ms);
}

static void count_handle(uv_handle_t *handle, void *arg) {
  (void)handle;
  ++*(size_t *)arg;
}

size_t fixture_handle_count(void) {
  size_t count = 0;
  uv_walk(&fixture_loop, count_handle, &count);
  return count;
}

static void list_handle(uv_handle_t *handle, void *arg) {
  (void)arg;
  fprintf(stderr, "open handle: %s, %s\n", uv_handle_type_name(uv_handle_get_type(handle)),
          uv_is_closing(handle)  ? "closing"
          : uv_is_active(handle) ? "active"
                                 : "idle");
}

/* Pool threads whose handlers end calls after the stop exit later. A leak check while they run may report
 * false leaks or hang: https://github.com/google/sanitizers/issues/1330 */
static void wait_for_threads(void) {
  uint64_t began = fixture_real_clock_ms();
  while (pool_threads() > 0) {
    cr_assert_lt(fixture_real_clock_ms() - began, wait_limit_ms(), "a handler has not returned");
    usleep(1000);
  }
}

void fixture_teardown(void) {
  raw_clients_close();
  uv_close((uv_handle_t *)&waker, NULL);
  uint64_t began = fixture_real_clock_ms();
  while (uv_run(&fixture_loop, UV_RUN_NOWAIT) != 0 && fixture_real_clock_ms() - began < wait_limit_ms()) {
  }
  if (uv_loop_close(&fixture_loop) != 0) {
    uv_walk(&fixture_loop, list_handle, NULL);
    cr_assert_fail("handles are still open");
  }
  raw_clients_free();
  wait_for_threads();
  expect_no_leak();
}

/* ---- tools ------------------------------------------------------------------------------------------- */

void test_server_now_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)arg;
  test_server.now_count++;
  mcp_call_reply(call, yyjson_val_mut_copy(mcp_call_doc(call), args));
}

static void on_held_cancelled(mcp_call_t *call, void *arg) {
  (void)arg;
  cr_assert(mcp_call_cancelled(call));
  test_server.cancels++;
}

static void hold_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)args;
  (void)arg;
  cr_assert_lt(test_server.held_count, HELD_MAX);
  test_server.held[test_server.held_count++] = call;
  mcp_call_on_cancel(call, on_held_cancelled, NULL);
}

int test_server_end_held(size_t index) {
  char text[32];
  mcp_call_t *call = test_server.held[index];
  test_server.held[index] = NULL;
  snprintf(text, sizeof text, "{\"held\":%zu}", index);
  return mcp_call_reply_text(call, text, strlen(text));
}

typedef struct delayed {
  uv_timer_t timer;
  mcp_call_t *call;
} delayed_t;

static void free_delayed(uv_handle_t *handle) {
  free(handle);
}

static void on_delay_over(uv_timer_t *timer) {
  delayed_t *delayed = (delayed_t *)(void *)timer;
  mcp_call_reply_text(delayed->call, "{\"delayed\":true}", 16);
  uv_close((uv_handle_t *)timer, free_delayed);
}

static void delay_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)arg;
  delayed_t *delayed = malloc(sizeof *delayed);
  delayed->call = call;
  uv_timer_init(&fixture_loop, &delayed->timer);
  uv_timer_start(&delayed->timer, on_delay_over, yyjson_get_uint(yyjson_obj_get(args, "ms")), 0);
}

static void big_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)arg;
  size_t bytes = yyjson_get_uint(yyjson_obj_get(args, "bytes"));
  char *json = malloc(bytes + 2);
  memset(json, 'x', bytes + 2);
  json[0] = json[bytes + 1] = '"';
  mcp_call_reply_text(call, json, bytes + 2);
  free(json);
}

static void fail_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)arg;
  const char *how = yyjson_get_str(yyjson_obj_get(args, "how"));
  yyjson_mut_doc *doc = mcp_call_doc(call);
  if (strcmp(how, "code") == 0)
    mcp_call_fail(call, -32042, yyjson_mut_str(doc, "why"), "number %d", 42);
  else if (strcmp(how, "internal") == 0)
    mcp_call_fail(call, MCP_INTERNAL_ERROR, NULL, "broken");
  else
    mcp_call_tool_error(call, "cannot do %s", how);
}

static void trace_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)args;
  (void)arg;
  mcp_call_reply(call, yyjson_mut_str(mcp_call_doc(call), mcp_call_trace_id(call)));
}

/* ---- blocking tools ---------------------------------------------------------------------------------- */

static void block_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)arg;
  mcp_call_reply(call, yyjson_val_mut_copy(mcp_call_doc(call), args));
}

static void forget_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)call;
  (void)args;
  (void)arg;
}

void test_server_gate_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)args;
  (void)arg;
  uv_mutex_lock(&mutex);
  test_server.at_gate++;
  while (!test_server.gate_open)
    uv_cond_wait(&gate_moved, &mutex);
  test_server.at_gate--;
  uv_mutex_unlock(&mutex);
  int status = mcp_call_reply_text(call, "\"through\"", 9);
  uv_mutex_lock(&mutex);
  test_server.gate_status = status;
  test_server.gate_done++;
  uv_mutex_unlock(&mutex);
}

void test_server_set_gate(bool open) {
  uv_mutex_lock(&mutex);
  test_server.gate_open = open;
  uv_cond_broadcast(&gate_moved);
  uv_mutex_unlock(&mutex);
}

static size_t read_locked(const size_t *number) {
  uv_mutex_lock(&mutex);
  size_t copy = *number;
  uv_mutex_unlock(&mutex);
  return copy;
}

size_t test_server_at_gate(void) {
  return read_locked(&test_server.at_gate);
}
size_t test_server_gate_done(void) {
  return read_locked(&test_server.gate_done);
}

/* ---- the server ---------------------------------------------------------------------------------------- */

static const mcp_tool_t tools[] = {
    {"now", "answers its arguments at once", NULL, test_server_now_tool, NULL, 0},
    {"hold", "is answered when the test says so", NULL, hold_tool, NULL, 0},
    {"delay", "answers after ms", "{\"type\":\"object\",\"properties\":{\"ms\":{\"type\":\"integer\"}}}",
     delay_tool, NULL, 0},
    {"big", "answers a text of that many bytes", NULL, big_tool, NULL, 0},
    {"fail", "fails", "{\"type\":\"object\",\"required\":[\"how\"]}", fail_tool, NULL, 0},
    {"trace", "answers its trace id", NULL, trace_tool, NULL, MCP_TOOL_BLOCKING},
    {"block", "answers its arguments on the pool", NULL, block_tool, NULL, MCP_TOOL_BLOCKING},
    {"forget", "does not end its call", NULL, forget_tool, NULL, MCP_TOOL_BLOCKING},
    {"gate", "waits for the test on the pool", NULL, test_server_gate_tool, NULL, MCP_TOOL_BLOCKING},
    MCP_TOOL_END,
};

mcp_server_t *test_server_new(void) {
  mcp_server_t *server = mcp_server_new("test-server", "1.2.3", 0, tools);
  cr_assert_not_null(server, "%s", mcp_last_error());
  return server;
}

mcp_server_t *test_server_start(void) {
  mcp_server_t *server = test_server_new();
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  return server;
}

void test_server_on_stopped(mcp_server_t *server, void *arg) {
  (void)server;
  (void)arg;
  cr_assert(!test_server.stopped, "stopped twice");
  test_server.stopped = true;
}

void test_server_stop(mcp_server_t *server) {
  fixture_unfreeze_clock();
  test_server.stopped = false;
  cr_assert_eq(mcp_server_stop(server, test_server_on_stopped, NULL), 0);
  cr_assert(!test_server.stopped, "called back from inside of stop");
  RUN_UNTIL(test_server.stopped);
  mcp_server_free(server);
}

/* ---- clients ---------------------------------------------------------------------------------------------
 */

static unsigned records;

void record_result(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  call_record_t *record = arg;
  (void)client;
  record->fired++;
  record->status = result->status;
  record->is_error = result->is_error;
  record->order = ++records;
  snprintf(record->text, sizeof record->text, "%.*s", (int)result->text_len,
           result->text != NULL ? result->text : "");
  snprintf(record->message, sizeof record->message, "%s", result->message != NULL ? result->message : "");
  cr_assert((result->status != 0 || result->is_error) == (result->message != NULL), "status %d",
            result->status);
}

mcp_client_t *client_new_to(int port) {
  char url[64];
  snprintf(url, sizeof url, "ws://127.0.0.1:%d/", port);
  mcp_client_t *client = mcp_client_new(&fixture_loop, url);
  cr_assert_not_null(client);
  return client;
}

static void on_client_closed(mcp_client_t *client, void *arg) {
  *(bool *)arg = true;
  mcp_client_free(client);
}

void client_close_and_free(mcp_client_t *client) {
  bool closed = false;
  fixture_unfreeze_clock();
  cr_assert_eq(mcp_client_close(client, on_client_closed, &closed), 0);
  cr_assert(!closed, "called back from inside of close");
  RUN_UNTIL(closed);
}

yyjson_mut_doc *parse_args(const char *json) {
  yyjson_doc *doc = yyjson_read(json, strlen(json), 0);
  yyjson_mut_doc *args = yyjson_doc_mut_copy(doc, NULL);
  yyjson_doc_free(doc);
  return args;
}
