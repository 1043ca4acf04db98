/* bench.c: `iccm bench URL TOOL [ARGUMENTS]`. Calls a tool as fast as the server responds.
 *
 * Each client is a connection; each of its slots holds one call in flight and starts the next call when the
 * response arrives. Phases: CONNECT (each client makes one call, MAX_CONNECTING clients at a time; a failure
 * is reported and ends the run), WARM_UP, MEASURE (only responses in this phase count), DRAIN (no new calls;
 * ends when all calls have ended, at the latest after their timeout).
 *
 * A call that fails without a response is counted, and its slot waits for the next tick: an unavailable
 * server must not cause a loop of immediate failures. A JSON-RPC error is a response; its slot continues at
 * once.
 */
#include <stdlib.h>
#include <sys/resource.h>
#include "arguments.h"
#include "bench_report.h"
#include "check_alloc.h"
#include "commands.h"
#include "exit_codes.h"
#include "histogram.h"
#include "apply_schema.h"
#include "error_report.h"
#include "sync_client.h"

enum { MAX_CONNECTING = 32, WARM_UP_MS = 500, TICK_MS = 50 };

enum phase { CONNECT, WARM_UP, MEASURE, DRAIN };

typedef struct bench bench_t;

typedef struct slot {
  bench_t *bench;
  mcp_client_t *client; /* shared with other slots */
  uint64_t began_ns;
  bool waits_for_tick;
} slot_t;

struct bench {
  const options_t *options;
  const print_t *out;
  yyjson_mut_doc *arguments; /* copied for each call */
  uv_loop_t loop;
  uv_timer_t tick;
  enum phase phase;
  uint64_t phase_ends_ms; /* in uv_now() */
  mcp_client_t **clients;
  slot_t *slots; /* those of clients[i] start at i * options->in_flight */
  int clients_started, clients_ready, clients_open;
  int in_flight;
  bool connected; /* some client was connected at least once */
  int code;
  bench_result_t result;
  bench_usage_t before;
};

static size_t slot_count(const bench_t *bench) {
  return (size_t)bench->options->connections * (size_t)bench->options->in_flight;
}

static void on_response(mcp_client_t *client, const mcp_result_t *result, void *arg);

static int start_call(slot_t *slot, uint64_t now_ns) {
  bench_t *bench = slot->bench;
  yyjson_mut_doc *arguments = check_alloc(yyjson_mut_doc_mut_copy(bench->arguments, NULL));
  slot->began_ns = now_ns;
  int status =
      mcp_client_call(slot->client, bench->options->tool, arguments,
                      &(mcp_call_options_t){.timeout_ms = bench->options->timeout_ms}, on_response, slot);
  slot->waits_for_tick = status != 0;
  if (status == 0)
    bench->in_flight++;
  else if (bench->phase == MEASURE)
    bench_result_error(&bench->result, status, mcp_strerror(status));
  return status;
}

static void enter_phase(bench_t *bench, enum phase phase, uint64_t length_ms) {
  bench->phase = phase;
  bench->phase_ends_ms = uv_now(&bench->loop) + length_ms;
}

static void on_first_response(slot_t *slot, const mcp_result_t *result);

static void start_clients(bench_t *bench) {
  while (bench->clients_started < bench->options->connections &&
         bench->clients_started - bench->clients_ready < MAX_CONNECTING) {
    size_t first = (size_t)bench->clients_started++ * (size_t)bench->options->in_flight;
    int status = start_call(&bench->slots[first], uv_hrtime());
    if (status != 0) {
      mcp_result_t result = {.status = status, .message = mcp_strerror(status)};
      on_first_response(&bench->slots[first], &result);
      return;
    }
  }
}

/* The first response on a connection. */
static void on_first_response(slot_t *slot, const mcp_result_t *result) {
  bench_t *bench = slot->bench;
  if (result->status != 0 || result->is_error) {
    bench->code = report_failure(bench->options, bench->out, bench->options->tool, result,
                                 bench->connected ? MCP_STAGE_OPEN : mcp_client_stage(slot->client));
    enter_phase(bench, DRAIN, 0);
    return;
  }
  bench->clients_ready++;
  if (bench->clients_ready < bench->options->connections) {
    start_clients(bench);
    return;
  }
  enter_phase(bench, WARM_UP, WARM_UP_MS);
  uint64_t now_ns = uv_hrtime();
  for (size_t i = 0; i < slot_count(bench); i++)
    start_call(&bench->slots[i], now_ns);
}

static void count(bench_t *bench, const slot_t *slot, const mcp_result_t *result, uint64_t now_ns) {
  if (result->status != 0 || result->is_error)
    bench_result_error(&bench->result, result->status != 0 ? result->status : MCP_TOOL_ERROR,
                       result->message);
  else
    histogram_add(&bench->result.latency_ns, now_ns - slot->began_ns);
}

static void on_response(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  slot_t *slot = arg;
  bench_t *bench = slot->bench;
  uint64_t now_ns = uv_hrtime();
  (void)client;
  bench->in_flight--;
  if (bench->phase == CONNECT) {
    on_first_response(slot, result);
    return;
  }
  if (bench->phase == MEASURE)
    count(bench, slot, result, now_ns);
  if (bench->phase == DRAIN)
    return;
  if (result->status == 0 || result->status <= -32000)
    start_call(slot, now_ns);
  else
    slot->waits_for_tick = true;
}

static void on_client_state(mcp_client_t *client, int status, const char *reason, void *arg) {
  bench_t *bench = arg;
  (void)client;
  (void)reason;
  bench->connected = bench->connected || status == 0;
}

static void on_client_closed(mcp_client_t *client, void *arg) {
  bench_t *bench = arg;
  (void)client;
  if (--bench->clients_open == 0)
    uv_close((uv_handle_t *)&bench->tick, NULL);
}

static void close_clients(bench_t *bench) {
  if (bench->code == ICCM_OK)
    bench->code = bench_result_print(&bench->result, bench->options, bench->out);
  bench->tick.data = &bench->code;
  uv_timer_start(&bench->tick, sync_client_on_close_timeout, sync_client_close_ms(bench->options), 0);
  for (int i = 0; i < bench->options->connections; i++)
    mcp_client_close(bench->clients[i], on_client_closed, bench);
}

static void end_measurement(bench_t *bench) {
  bench_usage_t after;
  if (!bench_usage_read(&after, bench->options->server_pid))
    bench->code = report_usage_error(bench->options, bench->out, "process %d ended during the measurement",
                                     bench->options->server_pid);
  bench_result_usage(&bench->result, &bench->before, &after);
  enter_phase(bench, DRAIN, 0);
}

static void on_tick(uv_timer_t *tick) {
  bench_t *bench = tick->data;
  bool phase_over = uv_now(&bench->loop) >= bench->phase_ends_ms;
  if (bench->phase == DRAIN && (bench->in_flight == 0 || bench->code != ICCM_OK)) {
    close_clients(bench);
    return;
  }
  if (bench->phase == MEASURE && phase_over)
    end_measurement(bench);
  if (bench->phase == WARM_UP && phase_over) {
    enter_phase(bench, MEASURE, (uint64_t)(bench->options->seconds * 1000));
    bench_usage_read(&bench->before, bench->options->server_pid);
  }
  if (bench->phase != WARM_UP && bench->phase != MEASURE)
    return;
  uint64_t now_ns = uv_hrtime();
  for (size_t i = 0; i < slot_count(bench); i++) {
    if (bench->slots[i].waits_for_tick)
      start_call(&bench->slots[i], now_ns);
  }
}

/* Raises the soft limit of descriptors to the hard limit. */
static void raise_descriptor_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
}

static bool create_clients(bench_t *bench) {
  int clients = bench->options->connections, per_client = bench->options->in_flight;
  bench->clients = check_alloc(calloc((size_t)clients, sizeof *bench->clients));
  bench->slots = check_alloc(calloc(slot_count(bench), sizeof *bench->slots));
  for (int i = 0; i < clients; i++) {
    bench->clients[i] = sync_client_new_client(&bench->loop, bench->options);
    if (bench->clients[i] == NULL)
      return false;
    mcp_client_on_state(bench->clients[i], on_client_state, bench);
    for (int k = 0; k < per_client; k++)
      bench->slots[(size_t)i * (size_t)per_client + (size_t)k] =
          (slot_t){.bench = bench, .client = bench->clients[i]};
  }
  bench->clients_open = clients;
  return true;
}

static void run(bench_t *bench) {
  raise_descriptor_limit();
  uv_timer_init(&bench->loop, &bench->tick);
  bench->tick.data = bench;
  uv_timer_start(&bench->tick, on_tick, TICK_MS, TICK_MS);
  start_clients(bench);
  uv_run(&bench->loop, UV_RUN_DEFAULT);
}

/* Converts the arguments to the types in the schema, over a connection that is closed before the measurement.
 * Returns 0 or an exit code. */
static int fetch_argument_types(bench_t *bench) {
  sync_client_t sync;
  bool disconnected;
  int code = sync_client_open(&sync, bench->options, bench->out);
  if (code != 0)
    return code;
  return sync_client_close(&sync, apply_schema(&sync, bench->out, bench->arguments, &disconnected));
}

int bench_run(const options_t *options, const print_t *out) {
  bench_t *bench = check_alloc(calloc(1, sizeof *bench));
  char error[ARGUMENTS_ERROR_SIZE];
  bench->options = options;
  bench->out = out;
  bench->arguments = arguments_parse(options->arg_count, options->args, stdin, error);
  int status = uv_loop_init(&bench->loop);
  if (status != 0) /* UNTESTED: needs a process without descriptors */
    bench->code = report_usage_error(options, out, "cannot create an event loop: %s", uv_strerror(status));
  else if (bench->arguments == NULL)
    bench->code = report_usage_error(options, out, "%s", error);
  else if (!bench_usage_read(&bench->before, options->server_pid))
    bench->code = report_usage_error(options, out, "no process %d", options->server_pid);
  else if (!create_clients(bench))
    bench->code = report_usage_error(options, out, "%s", mcp_last_error());
  else if ((bench->code = fetch_argument_types(bench)) == 0)
    run(bench);
  int code = bench->code;
  for (int i = 0; bench->clients != NULL && i < options->connections; i++)
    mcp_client_free(bench->clients[i]);
  if (status == 0)
    uv_loop_close(&bench->loop);
  yyjson_mut_doc_free(bench->arguments);
  free(bench->clients);
  free(bench->slots);
  free(bench);
  return code;
}
