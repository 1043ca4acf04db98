/* bridge.c: `iccm bridge URL`. Connects an MCP host on standard input and output to a server over WebSocket.
 * The bridge reconnects automatically; calls in flight then fail with an error, new calls wait for the
 * reconnect.
 *
 * Happy path: the client sends the host's initialize, and the response goes back to the host. After that,
 * every line and every message is forwarded unchanged. The bridge stores the id and the deadline of each
 * request. Failure: an invalid line gets an error response at once. When the connection is lost, requests
 * already sent fail; new ones wait for the next connection, on which the client sends the same initialize. A
 * request that waits too long fails. Each request gets exactly one response, or none if the host has
 * cancelled it. Flow control: the bridge does not read from one side while the other accepts no data. It ends
 * after the end of standard input, when all requests are answered. */
#include "bridge.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/utf8.h"
#include "check_alloc.h"
#include "commands.h"
#include "exit_codes.h"
#include "error_report.h"
#include "sync_client.h"

/* ---- shutdown -------------------------------------------------------------------------------------- */

static void part_closed(bridge_t *bridge) {
  if (--bridge->open_parts > 0)
    return;
  for (int i = 0; i < BRIDGE_SIGNALS; i++)
    uv_close((uv_handle_t *)&bridge->signals[i], NULL);
  uv_close((uv_handle_t *)&bridge->timer, NULL);
  uv_close((uv_handle_t *)&bridge->prepare, NULL);
}

static void on_client_closed(mcp_client_t *client, void *arg) {
  (void)client;
  part_closed(arg);
}

static void on_stdio_closed(void *arg) {
  part_closed(arg);
}

/* Closes the connection; the host has BRIDGE_CLOSE_MS to read queued output. */
static void start_closing(bridge_t *bridge) {
  bridge->closing = true;
  mcp__stdio_read(&bridge->stdio, false);
  bridge->timer.data = &bridge->code;
  uint64_t ms = sync_client_close_ms(bridge->options);
  uv_timer_start(&bridge->timer, sync_client_on_close_timeout, ms > BRIDGE_CLOSE_MS ? ms : BRIDGE_CLOSE_MS,
                 0);
  mcp_client_close(bridge->client, on_client_closed, bridge);
}

/* Stops reading input and fails all pending requests. */
static void shut_down(bridge_t *bridge, int code, const char *error) {
  if (bridge->closing)
    return;
  bridge->code = code;
  bridge->input_ended = true;
  while (bridge->host_requests.first != NULL)
    bridge_fail_request(bridge, bridge->host_requests.first, &bridge_cause_ended, "%s", error);
}

/* A closed standard output (EPIPE) is no error. */
static int output_failure_code(const bridge_t *bridge) {
  int status = bridge->stdio.write_error;
  if (status == UV_EPIPE)
    return ICCM_OK;
  bridge_log("cannot write standard output: %s", uv_strerror(status));
  return ICCM_USAGE;
}

static void close_stdio(bridge_t *bridge) {
  if (bridge->stdio.write_error != 0 && bridge->code == ICCM_OK)
    bridge->code = output_failure_code(bridge);
  mcp__stdio_close(&bridge->stdio);
}

static void on_signal(uv_signal_t *handle, int number) {
  shut_down(handle->data, number == SIGINT ? ICCM_INTERRUPTED : ICCM_OK, "the bridge is shutting down");
}

static void on_timer(uv_timer_t *timer) {
  bridge_t *bridge = timer->data;
  for (bridge_pending_t *first; (first = bridge_pending_first_due(&bridge->host_requests)) != NULL &&
                                first->deadline_ms <= uv_now(&bridge->loop);)
    bridge_time_out_request(bridge, first);
}

/* Runs before the loop waits, after all callbacks that may have changed the state. */
static void on_prepare(uv_prepare_t *prepare) {
  bridge_t *bridge = prepare->data;
  if (bridge->closing) {
    if (mcp__stdio_backlog(&bridge->stdio) == 0 && !bridge->stdio.closing)
      close_stdio(bridge);
    return;
  }
  if (bridge->stdio.write_error != 0)
    shut_down(bridge, output_failure_code(bridge), "");
  size_t backlog = mcp__stdio_backlog(&bridge->stdio);
  mcp__client_set_reading(bridge->client, backlog < BRIDGE_MAX_BACKLOG);
  mcp__stdio_read(&bridge->stdio, backlog < BRIDGE_MAX_RESPONSE_BYTES && !bridge->input_ended &&
                                      mcp__client_backlog(bridge->client) < BRIDGE_MAX_BACKLOG);
  const bridge_pending_t *first = bridge_pending_first_due(&bridge->host_requests);
  if (bridge->input_ended && first == NULL) { /* subscriptions end with the connection */
    start_closing(bridge);
    return;
  }
  uint64_t now_ms = uv_now(&bridge->loop);
  if (first == NULL)
    uv_timer_stop(&bridge->timer);
  else
    uv_timer_start(&bridge->timer, on_timer, first->deadline_ms > now_ms ? first->deadline_ms - now_ms : 0,
                   0);
}

/* ---- start ----------------------------------------------------------------------------------------- */

static void on_log(int level, const char *part, const char *text, void *arg) {
  (void)arg;
  bridge_log("%s %s: %s", mcp_log_level_name(level), part, text);
}

static const mcp__stdio_events_t stdio_events = {bridge_on_host_line, bridge_on_host_line_discarded,
                                                 bridge_on_host_eof, on_stdio_closed};

static void begin(bridge_t *bridge) {
  static const int numbers[BRIDGE_SIGNALS] = {SIGINT, SIGTERM};
  for (int i = 0; i < BRIDGE_SIGNALS; i++) {
    uv_signal_init(&bridge->loop, &bridge->signals[i]);
    bridge->signals[i].data = bridge;
    uv_signal_start(&bridge->signals[i], on_signal, numbers[i]);
  }
  uv_timer_init(&bridge->loop, &bridge->timer);
  uv_prepare_init(&bridge->loop, &bridge->prepare);
  bridge->timer.data = bridge->prepare.data = bridge;
  uv_prepare_start(&bridge->prepare, on_prepare);
  mcp_client_on_state(bridge->client, bridge_on_connection_state, bridge);
  mcp__buf_init(&bridge->parse_buf, BRIDGE_MAX_MESSAGE + MCP__JSON_PADDING, NULL);
  mcp__arena_init(&bridge->arena, 8 * (size_t)BRIDGE_MAX_MESSAGE);
  bridge->open_parts = 2;
}

static bool set_trace(bridge_t *bridge) {
  const char *trace = bridge->options->trace;
  size_t len = trace != NULL ? strlen(trace) : 0;
  if (trace == NULL)
    return true;
  if (strcmp(trace, "new") == 0) {
    mcp_uuid_new(bridge->trace);
    bridge_log("trace %s", bridge->trace);
    return true;
  }
  snprintf(bridge->trace, sizeof bridge->trace, "%s", trace);
  return len > 0 && len <= BRIDGE_MAX_TRACE && mcp__utf8_valid(trace, len);
}

static void end(bridge_t *bridge) {
  mcp_client_free(bridge->client);
  uv_loop_close(&bridge->loop);
  bridge_pending_clear(&bridge->host_requests);
  bridge_pending_clear(&bridge->server_requests);
  mcp__buf_deinit(&bridge->parse_buf);
  mcp__arena_deinit(&bridge->arena);
  free(bridge->initialize_params);
  free(bridge->next_initialize_params);
  free(bridge);
}

int bridge_run(const options_t *options, const print_t *out) {
  if (options->listen_port >= 0)
    return bridge_listen_run(options, out);
  bridge_t *bridge = check_alloc(calloc(1, sizeof *bridge));
  mcp__forward_t forward = {bridge_on_initialize_response, bridge_on_discover, bridge_on_server_message,
                            bridge};
  bridge->options = options;
  mcp_set_log_handler(on_log, options->verbose ? MCP_LOG_TRACE : MCP_LOG_ERROR + 1, NULL);
  if (!set_trace(bridge)) {
    free(bridge);
    return report_usage_error(options, out, "--trace takes 1 to 128 bytes of UTF-8");
  }
  int status = uv_loop_init(&bridge->loop);
  if (status != 0) { /* UNTESTED: needs a process without descriptors */
    free(bridge);
    return report_usage_error(options, out, "cannot create an event loop: %s", uv_strerror(status));
  }
  mcp_redact_setting(NULL, options->program != NULL ? options->program[0] : options->url, bridge->url);
  bridge->client = options->program != NULL
                       ? mcp_client_new_stdio(&bridge->loop, (const char *const *)options->program)
                       : mcp_client_new(&bridge->loop, options->url);
  if (bridge->client == NULL) {
    end(bridge);
    return report_usage_error(options, out, "%s", mcp_last_error());
  }
  mcp_client_set_tls_verify(bridge->client, !options->insecure);
  mcp__client_set_forward(bridge->client, &forward);
  begin(bridge);
  status = mcp__stdio_open(&bridge->stdio, &bridge->loop, (int[]){STDIN_FILENO, STDOUT_FILENO},
                           BRIDGE_MAX_MESSAGE, &stdio_events, bridge);
  if (status != 0)
    shut_down(
        bridge,
        report_usage_error(options, out, "cannot use standard input or output: %s", uv_strerror(status)), "");
  uv_run(&bridge->loop, UV_RUN_DEFAULT);
  int code = bridge->code;
  end(bridge);
  return code;
}
