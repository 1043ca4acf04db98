/* server.c: the states of a server: created, listening, stopping.
 *
 * Happy path: mcp_server_new() checks and copies tools and environment. Start binds to all addresses and
 * listens, or takes standard input and output. A timer enforces the limits of connections and calls. Stop
 * closes the listeners, waits for calls in flight, closes connections with 1012, and then the handles.
 * Failure: a failed start is undone and returns the cause. A stop takes at most the shutdown timeout plus a
 * second, whatever handlers and peers do.
 */
#include "server/server.h"

#include "base/error.h"
#include "base/utf8.h"
#include "mcp/modern.h"
#include "iccm_service.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
  NAME_MAX_BYTES = 256, /* Godot rejects lines with a longer component name */
  DEFAULT_CALL_TIMEOUT_MS = 300000,
  DEFAULT_SHUTDOWN_TIMEOUT_MS = 3000,
  STOP_TICK_MS = 1,
  SPARE_DESCRIPTORS = 64, /* for the loop, the log, and one or two clients */
  /* time after the shutdown timeout for handlers that poll mcp_call_cancelled() */
  CANCELLED_GRACE_MS = 500,
  RESULT_MEMBERS_MAX_BYTES = 8192,
  ENTRY_SIZE = 1024 /* longest entry of a settings list in a log line */
};

/* IDLE, RUNNING, STOPPING, CLOSING, IDLE. */
static void enter(mcp_server_t *server, mcp__server_state_t state) {
  assert(state == MCP__SERVER_IDLE ? server->state == MCP__SERVER_CLOSING : state == server->state + 1);
  server->state = state;
  server->conns.stopping = server->service.calls.stopping = state >= MCP__SERVER_STOPPING;
}

/* ---- new and free ---------------------------------------------------------------------------------- */

/* Members of each result from 2026-07-28 on, with a NUL behind them. */
static int write_result_members(mcp_server_t *server) {
  mcp__buf_t *members = &server->result_members;
  mcp__buf_init(members, RESULT_MEMBERS_MAX_BYTES, NULL);
  int status = mcp__modern_write_members(members, server->name, server->version);
  return mcp__buf_first_error(status, mcp__buf_append(members, "", 1));
}

static int set_up(mcp_server_t *server, const char *name, const char *version, int port,
                  const mcp_tool_t *tools) {
  if (name == NULL || *name == '\0' || strlen(name) > NAME_MAX_BYTES || version == NULL || tools == NULL ||
      port < 0 || port > 65535 || !mcp__utf8_valid(name, strlen(name)) ||
      !mcp__utf8_valid(version, strlen(version))) {
    mcp__set_last_error("invalid server: expected a name of 1 to 256 bytes and a version in UTF-8, tools, "
                        "and a port from 0 to 65535");
    return UV_EINVAL;
  }
  int status = mcp__server_read_environment(server);
  if (status != 0)
    return status;
  mcp__set_last_error("out of memory");
  server->name = mcp__strdup(name);
  server->version = mcp__strdup(version);
  if (server->name == NULL || server->version == NULL || write_result_members(server) != 0)
    return UV_ENOMEM;
  server->port = port;
  server->call_timeout_ms = DEFAULT_CALL_TIMEOUT_MS;
  server->shutdown_timeout_ms = DEFAULT_SHUTDOWN_TIMEOUT_MS;
  server->service.server_info =
      (mcp__server_info_t){server->name, server->version, &server->tools, NULL, server->result_members.data};
  return 0;
}

static int add_tools(mcp_server_t *server, const mcp_tool_t *tools) {
  char problem[512];
  int status = mcp__tools_init(&server->tools, tools, problem, sizeof problem);
  if (status != 0)
    mcp__set_last_error("%s", problem);
  return status;
}

static mcp_server_t *new_empty(void) {
  mcp_server_t *server = mcp__calloc(sizeof *server);
  if (server == NULL)
    return NULL;
  if (mcp__readiness_init(&server->readiness) == 0) {
    if ((server->metrics = mcp__metrics_new()) != NULL)
      return server;
    mcp__readiness_deinit(&server->readiness);
  }
  mcp__free(server);
  return NULL;
}

mcp_server_t *mcp_server_new(const char *name, const char *version, int port, const mcp_tool_t *tools) {
  mcp_env_check();
  mcp_server_t *server = new_empty();
  mcp__set_last_error("out of memory");
  int status = server != NULL ? set_up(server, name, version, port, tools) : UV_ENOMEM;
  if (status != 0 && tools != NULL)
    mcp__tools_destroy_args(tools);
  else if (status == 0)
    status = add_tools(server, tools);
  if (status == 0)
    return server;
  if (status != MCP_EENV) /* already logged */
    mcp_log(MCP_LOG_ERROR, name != NULL ? name : "server", "%s", mcp_last_error());
  mcp_server_free(server);
  return NULL;
}

void mcp_server_free(mcp_server_t *server) {
  if (server == NULL)
    return;
  if (mcp__server_is_started(server)) {
    mcp_log(MCP_LOG_ERROR, server->name, "mcp_server_free() before the server was stopped: nothing is freed");
    return;
  }
  mcp__tools_deinit(&server->tools);
  mcp__metrics_release(server->metrics);
  mcp__readiness_deinit(&server->readiness);
  mcp__timers_free(&server->timers);
  mcp__server_free_settings(server);
  mcp__free(server->name);
  mcp__free(server->version);
  mcp__buf_deinit(&server->result_members);
  mcp__free(server);
}

/* ---- component state -------------------------------------------------------------------------------- */

void mcp_server_notify(mcp_server_t *server) {
  mcp__conns_notify(&server->conns);
  if (server->stdio != NULL)
    mcp__session_notify(&server->stdio->session);
}

int mcp_server_set_dependency(mcp_server_t *server, const char *name, const char *reason) {
  bool changed = false;
  int status = mcp__readiness_set(&server->readiness, name, reason, &changed);
  if (changed) /* without a lock: a log handler may call anything */
    mcp_log(reason == NULL ? MCP_LOG_INFO : MCP_LOG_WARN, server->name, "%s: %s", name,
            reason == NULL ? "available" : reason);
  return status;
}

mcp_metric_t *mcp_server_metric(mcp_server_t *server, int type, const char *name, const char *help,
                                const char *label) {
  const char *problem;
  mcp_metric_t *metric = NULL;
  if (mcp__metrics_add(server->metrics, type, name, help, label, &metric, &problem) == 0)
    return metric;
  mcp__set_last_error("metric %.128s: %s", name != NULL ? name : "without a name", problem);
  mcp_log(MCP_LOG_ERROR, server->name, "%s", mcp_last_error());
  return NULL;
}

mcp_metric_t *mcp_server_counter(mcp_server_t *server, const char *name, const char *help, const char *label,
                                 const char *const *values) {
  mcp_metric_t *metric = mcp_server_metric(server, MCP_COUNTER, name, help, label);
  for (; values != NULL && *values != NULL; values++)
    mcp_metric_add(metric, *values, 0);
  return metric;
}

/* ---- tools at run time ------------------------------------------------------------------------------ */

static void warn_of_schema(const mcp_server_t *server, const char *tool, const char *member,
                           const mcp__schema_t *schema) {
  const char *notice;
  for (size_t i = 0; schema != NULL && (notice = mcp__schema_warning(schema, i)) != NULL; i++)
    mcp_log(MCP_LOG_WARN, server->name, "tool %s: %s %s", tool, member, notice);
}

static void warn_of_tool(const mcp_server_t *server, const mcp__tool_t *tool) {
  warn_of_schema(server, tool->name, "input_schema", tool->schema);
  warn_of_schema(server, tool->name, "output_schema", tool->output);
}

static void tools_changed(mcp_server_t *server) {
  mcp__conns_tools_changed(&server->conns);
  if (server->stdio != NULL)
    mcp__session_tools_changed(&server->stdio->session);
}

/* Whether a tool can be added now. */
static int prepare_to_add(mcp_server_t *server, const mcp_tool_t *tool) {
  if (server->state >= MCP__SERVER_STOPPING)
    return MCP_ESTATE;
  if (tool->name == NULL)
    return UV_EINVAL;
  bool needs_pool = mcp__server_is_started(server) && (tool->flags & MCP_TOOL_BLOCKING) != 0;
  int status = needs_pool ? mcp__calls_ensure_pool(&server->service.calls) : 0; /* otherwise start does */
  if (status != 0)
    mcp_log(MCP_LOG_ERROR, server->name, "out of memory");
  return status;
}

int mcp_server_add_tool(mcp_server_t *server, const mcp_tool_t *tool) {
  char problem[512];
  int status = prepare_to_add(server, tool);
  if (status != 0) {
    mcp__tool_destroy_arg(tool);
    return status;
  }
  status = mcp__tools_add(&server->tools, tool, problem, sizeof problem);
  if (status != 0) {
    mcp_log(MCP_LOG_ERROR, server->name, "%s", problem);
    return status;
  }
  if (mcp__server_is_started(server)) /* otherwise start does */
    warn_of_tool(server, mcp__tools_find(&server->tools, tool->name, strlen(tool->name)));
  tools_changed(server);
  return 0;
}

int mcp_server_remove_tool(mcp_server_t *server, const char *name) {
  int status = server->state >= MCP__SERVER_STOPPING ? MCP_ESTATE : mcp__tools_remove(&server->tools, name);
  if (status == 0)
    tools_changed(server);
  return status;
}

int mcp_server_reload_tls(mcp_server_t *server) {
  return mcp__certificate_reload(&server->conns.certificate, server->name);
}

int mcp_server_reload_tls_on_sighup(mcp_server_t *server) {
  return server->state == MCP__SERVER_RUNNING
             ? mcp__certificate_watch(&server->conns.certificate, server->loop, server->name)
             : MCP_ESTATE;
}

int mcp_server_port(const mcp_server_t *server) {
  return server->port;
}

/* ---- signals --------------------------------------------------------------------------------------- */

/* A loop that mcp_loop_run() runs. */
typedef struct signals {
  uv_signal_t handles[2];
  uv_loop_t *loop;
  void (*on_stop)(void *arg);
  void *arg;
  bool stopping;
  bool received; /* the first signal */
  struct signals *outer;
} signals_t;

static _Thread_local signals_t *running; /* by this thread; NULL: none */

static void stop_once(signals_t *signals) {
  if (!signals->stopping) {
    signals->stopping = true;
    signals->on_stop(signals->arg);
  }
}

static void on_signal(uv_signal_t *handle, int number) {
  signals_t *signals = handle->data;
  if (signals->received)
    _exit(128 + number);
  signals->received = true;
  stop_once(signals);
}

/* Like a first signal, which may still follow. False: the program runs the loop itself. */
static bool stop_loop(const uv_loop_t *loop) {
  if (running == NULL || running->loop != loop)
    return false;
  stop_once(running);
  return true;
}

/* ---- start ----------------------------------------------------------------------------------------- */

static int on_connection(uv_stream_t *socket, void *arg) {
  mcp_server_t *server = arg;
  return mcp__conns_accept(&server->conns, socket);
}

static void raise_descriptor_limit(mcp_server_t *server) {
  struct rlimit limit;
  rlim_t wanted = (rlim_t)server->conns.max_connections + MCP__CONN_MAX_REJECTED + SPARE_DESCRIPTORS;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
    return;
  limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
    getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur >= wanted)
    return;
  rlim_t taken = MCP__CONN_MAX_REJECTED + SPARE_DESCRIPTORS;
  server->conns.max_connections = limit.rlim_cur > taken ? (int)(limit.rlim_cur - taken) : 1;
  mcp_log(MCP_LOG_WARN, server->name, "only %llu descriptors are allowed (ulimit -n): at most %d connections",
          (unsigned long long)limit.rlim_cur, server->conns.max_connections);
}

/* Warns of entries in a settings list that cannot match any request. */
static void warn_of_invalid_entries(const mcp_server_t *server, const char *list, const char *variable,
                                    bool (*is_valid)(const char *entry, size_t len), const char *expected) {
  size_t len;
  for (const char *entry; (entry = mcp__origins_next(&list, &len)) != NULL;) {
    char text[ENTRY_SIZE], shown[MCP_SHOWN_SIZE];
    snprintf(text, sizeof text, "%.*s", (int)(len < sizeof text ? len : sizeof text - 1), entry);
    if (!is_valid(entry, len))
      mcp_log(MCP_LOG_WARN, server->name, "%s: \"%s\" cannot match any request: expected %s", variable,
              mcp_redact_setting(variable, text, shown), expected);
  }
}

static void check_stop(mcp_server_t *server);
static void on_tick(uv_timer_t *timer);

static void resume_listening(mcp_server_t *server) {
  if (mcp__listener_resume(&server->listener, server->port))
    mcp_log(MCP_LOG_INFO, server->name, "listening again on port %d", server->port);
}

/* Connections without a call in flight are closed after two loop iterations, so that requests which had
 * arrived before the stop are read and answered. */
static void drain_arrived(mcp_server_t *server) {
  server->drained = ++server->stop_ticks > 1;
  uv_timer_start(&server->tick, on_tick, server->drained ? MCP__CONN_TICK_MS : STOP_TICK_MS,
                 MCP__CONN_TICK_MS);
}

static void on_tick(uv_timer_t *timer) {
  mcp_server_t *server = timer->data;
  if (server->listener.paused && server->state == MCP__SERVER_RUNNING)
    resume_listening(server);
  mcp__calls_time_out(&server->service.calls, server->call_timeout_ms, MCP_CANCEL_DEADLINE);
  mcp__conns_tick(&server->conns);
  if (server->stdio != NULL)
    mcp__stdio_conn_tick(server->stdio, uv_now(server->loop));
  if (server->state == MCP__SERVER_STOPPING && !server->drained)
    drain_arrived(server);
  mcp__server_log_flush(&server->log, uv_now(server->loop));
  check_stop(server);
}

static void request_tick(void *arg) {
  mcp_server_t *server = arg;
  if (server->state == MCP__SERVER_RUNNING && uv_timer_get_due_in(&server->tick) > 1)
    uv_timer_start(&server->tick, on_tick, 1, MCP__CONN_TICK_MS);
}

static void on_conn_closed(void *arg) {
  mcp_server_t *server = arg;
  if (server->state == MCP__SERVER_STOPPING && server->conns.first == NULL)
    check_stop(server);
}

static void on_stdio_end(void *arg) {
  mcp_server_t *server = arg;
  if (server->state == MCP__SERVER_RUNNING && !stop_loop(server->loop))
    kill(getpid(), SIGTERM); /* the component's own handler stops it */
}

static void on_stdio_closed(void *arg) {
  mcp_server_t *server = arg;
  server->stdio = NULL;
  check_stop(server);
}

static const mcp__stdio_conn_events_t stdio_events = {on_stdio_end, on_stdio_closed};

static void on_call_ended(void *arg) {
  mcp_server_t *server = arg;
  if (server->state == MCP__SERVER_STOPPING && server->service.calls.oldest == NULL)
    check_stop(server);
}

static int write_metrics(mcp__buf_t *out, void *arg) {
  const mcp_server_t *server = arg;
  const mcp__server_gauges_t gauges = {.open_connections = mcp__conns_count_open(&server->conns),
                                       .calls_in_flight = server->service.calls.running,
                                       .memory_bytes = server->conns.memory.all.used,
                                       .received_bytes = server->conns.io.received,
                                       .sent_bytes = server->conns.io.sent,
                                       .lines = mcp__log_shipper_counts(server->log.logger)};
  return mcp__write_metrics(out, &gauges, &server->service.counters, &server->tools, server->metrics);
}

/* Sets the references between the parts. */
static void connect_parts(mcp_server_t *server) {
  mcp__calls_t *calls = &server->service.calls;
  mcp__conns_t *conns = &server->conns;
  size_t least = (1 + MCP__SESSION_PARSE_FACTOR) * server->max_message; /* for one message */
  server->log.component = server->name;
  server->service.server = server;
  *calls = (mcp__calls_t){.loop = server->loop,
                          .max_message = server->max_message,
                          .memory = &conns->memory,
                          .log = &server->log,
                          .counters = &server->service.counters,
                          .metrics = server->metrics,
                          .on_ended = on_call_ended,
                          .arg = server};
  conns->loop = server->loop;
  conns->service = &server->service;
  conns->site = (mcp__http_site_t){server->name,     server->version, &server->readiness,
                                   &conns->stopping, write_metrics,   server};
  conns->log = &server->log;
  conns->memory = (mcp__budget_t){.max = server->max_memory > least ? server->max_memory : least};
  conns->request_tick = request_tick;
  conns->on_conn_closed = on_conn_closed;
  conns->arg = server;
}

int mcp__server_open(mcp_server_t *server, uv_loop_t *loop) {
  server->loop = loop;
  connect_parts(server);
  int status = mcp__tools_any_blocking(&server->tools) ? mcp__calls_ensure_pool(&server->service.calls) : 0;
  if (status == 0 && server->stdio_enabled && !server->without_listener)
    status = mcp__stdio_conn_open(&server->stdio, &server->conns, &stdio_events, server);
  if (status == 0)
    status = mcp__conns_open(&server->conns);
  if (status != 0)
    return status;
  mcp__calls_open(&server->service.calls);
  server->tick.data = server;
  uv_timer_init(server->loop, &server->tick);
  return 0;
}

static void ignore_pool_closed(void *arg) {
  (void)arg;
}

/* Closes what was opened before. */
static int abort_start(mcp_server_t *server, int status) {
  if (server->stdio != NULL)
    mcp__stdio_conn_abort(server->stdio);
  server->stdio = NULL;
  if (server->service.calls.pool != NULL)
    mcp__pool_close(server->service.calls.pool, ignore_pool_closed, NULL);
  server->service.calls.pool = NULL;
  return status;
}

static void warn_of_settings(mcp_server_t *server) {
  raise_descriptor_limit(server);
  warn_of_invalid_entries(server, server->conns.origins.origins, "ICCM_ALLOWED_ORIGINS",
                          mcp__origins_valid_origin, "scheme://host:port without a path");
  warn_of_invalid_entries(server, server->conns.origins.hosts, "ICCM_ALLOWED_HOSTS", mcp__origins_valid_host,
                          "a host name");
}

static void begin_running(mcp_server_t *server) {
  enter(server, MCP__SERVER_RUNNING);
  uv_timer_start(&server->tick, on_tick, MCP__CONN_TICK_MS, MCP__CONN_TICK_MS);
}

int mcp__server_start_without_listener(mcp_server_t *server, uv_loop_t *loop) {
  server->service.calls.pool = NULL;
  server->without_listener = true;
  int status = mcp__server_open(server, loop);
  if (status != 0)
    return abort_start(server, status);
  begin_running(server);
  return 0;
}

static int open_listener(mcp_server_t *server, uv_loop_t *loop) {
  server->listener.loop = loop;
  server->listener.component = server->name;
  server->listener.on_connection = on_connection;
  server->listener.arg = server;
  return mcp__listener_open(&server->listener, &server->port);
}

static void log_start_failure(const mcp_server_t *server, int status) {
  if (server->stdio_enabled)
    mcp_log(MCP_LOG_ERROR, server->name, "cannot serve standard input and output: %s", mcp_strerror(status));
  else
    mcp_log(MCP_LOG_ERROR, server->name, "cannot listen on port %d: %s", server->port, mcp_strerror(status));
}

static int open_transport(mcp_server_t *server, uv_loop_t *loop) {
  server->without_listener = false;
  server->service.calls.pool = NULL;
  if (server->stdio_enabled)
    server->port = 0;
  int status = server->stdio_enabled ? 0 : open_listener(server, loop);
  if (status == 0)
    status = mcp__server_open(server, loop);
  if (status == 0)
    return 0;
  log_start_failure(server, status);
  mcp__listener_close(&server->listener);
  return abort_start(server, status);
}

int mcp_server_start(mcp_server_t *server, struct uv_loop_s *loop) {
  if (mcp__server_is_started(server))
    return MCP_ESTATE;
  signal(SIGPIPE, SIG_IGN); /* a write after a reset must not end the process */
  int status = open_transport(server, loop);
  if (status != 0)
    return status;
  warn_of_settings(server);
  begin_running(server);
  mcp__timers_start(&server->timers, loop);
  server->log.logger = mcp__log_shipper_new(loop, server->name, server->version, server->log_url);
  if (server->log.logger == NULL)
    mcp_log(MCP_LOG_WARN, server->name,
            "cannot ship log lines: no memory or thread; writing them to stderr only");
  for (size_t i = 0; i < server->tools.count; i++)
    warn_of_tool(server, server->tools.table[i]);
  mcp__server_log_running(&server->log, server->port);
  return 0;
}

/* ---- stop ------------------------------------------------------------------------------------------ */

static void on_logger_stopped(void *arg) {
  mcp_server_t *server = arg;
  enter(server, MCP__SERVER_IDLE);
  server->log.logger = NULL;
  if (server->on_stopped != NULL)
    server->on_stopped(server, server->on_stopped_arg);
}

/* The log is closed last, after the last line. */
static void handle_closed(mcp_server_t *server) {
  if (--server->open_handles > 0)
    return;
  mcp__io_deinit(&server->conns.io);
  mcp__calls_free_spare(&server->service.calls);
  server->service.calls.pool = NULL;
  mcp__server_log_flush(&server->log, UINT64_MAX);
  if (!server->without_listener)
    mcp__server_log_message(&server->log, "Server stopped");
  if (server->log.logger != NULL)
    mcp__log_shipper_stop(server->log.logger, server->shutdown_timeout_ms, on_logger_stopped, server);
  else
    on_logger_stopped(server);
}

static void on_handle_closed(uv_handle_t *handle) {
  handle_closed(handle->data);
}

static void on_calls_timer_closed(uv_handle_t *handle) {
  const mcp__calls_t *calls = handle->data;
  handle_closed(calls->arg);
}

static void on_part_closed(void *arg) {
  handle_closed(arg);
}

static void close_handles(mcp_server_t *server) {
  mcp__http_sessions_end_all(&server->conns.http_sessions);
  mcp__calls_t *calls = &server->service.calls;
  mcp__certificate_t *certificate = &server->conns.certificate;
  enter(server, MCP__SERVER_CLOSING);
  mcp__calls_detach(calls);
  server->open_handles =
      5 + certificate->watched + (calls->pool != NULL) + mcp__timers_close(&server->timers, on_handle_closed);
  certificate->sighup.data = server;
  mcp__certificate_unwatch(certificate, on_handle_closed);
  uv_close((uv_handle_t *)&server->tick, on_handle_closed);
  uv_close((uv_handle_t *)&calls->late_cancels, on_calls_timer_closed);
  uv_close((uv_handle_t *)&calls->progress, on_calls_timer_closed);
  mcp__io_close(&server->conns.io, on_handle_closed);
  mcp__relay_close(&calls->relay, on_part_closed, server); /* before the pool: refuses later calls */
  if (calls->pool != NULL)
    mcp__pool_close(calls->pool, on_part_closed, server);
}

static void stop_conns(mcp_server_t *server, bool at_once) {
  mcp__conns_stop(&server->conns, at_once);
  if (server->stdio != NULL)
    mcp__stdio_conn_stop(server->stdio, at_once);
}

static void check_stop(mcp_server_t *server) {
  mcp__calls_t *calls = &server->service.calls;
  if (server->state != MCP__SERVER_STOPPING)
    return;
  uint64_t waited_ms = uv_now(server->loop) - server->stop_ms;
  bool timed_out = waited_ms >= server->shutdown_timeout_ms;
  if (timed_out) {
    mcp__calls_time_out(calls, 0, MCP_CANCEL_STOPPING);
    mcp__relay_stop(&calls->relay);
  }
  if (timed_out || server->drained)
    stop_conns(server, timed_out);
  if (server->conns.first == NULL && server->stdio == NULL && server->state == MCP__SERVER_STOPPING &&
      (calls->oldest == NULL || waited_ms >= server->shutdown_timeout_ms + CANCELLED_GRACE_MS))
    close_handles(server);
}

int mcp_server_stop(mcp_server_t *server, mcp_server_cb cb, void *arg) {
  if (server->state != MCP__SERVER_RUNNING)
    return MCP_ESTATE;
  if (!server->without_listener)
    mcp__server_log_message(&server->log, "Server stopping");
  enter(server, MCP__SERVER_STOPPING);
  server->stop_ms = uv_now(server->loop);
  server->on_stopped = cb;
  server->on_stopped_arg = arg;
  mcp__listener_close(&server->listener);
  mcp__timers_stop(&server->timers);
  server->drained = false;
  server->stop_ticks = 0;
  uv_timer_start(&server->tick, on_tick, STOP_TICK_MS, MCP__CONN_TICK_MS);
  check_stop(server);
  return 0;
}

/* ---- run ------------------------------------------------------------------------------------------- */

int mcp_loop_run(struct uv_loop_s *loop, void (*on_stop)(void *arg), void *arg) {
  static const int numbers[2] = {SIGTERM, SIGINT};
  signals_t signals = {.loop = loop, .on_stop = on_stop, .arg = arg, .outer = running};
  int status = 0;
  for (int i = 0; i < 2; i++) {
    int failed = uv_signal_init(loop, &signals.handles[i]);
    if (failed == 0) {
      signals.handles[i].data = &signals;
      failed = uv_signal_start(&signals.handles[i], on_signal, numbers[i]);
      uv_unref((uv_handle_t *)&signals.handles[i]);
    }
    if (failed != 0)
      status = failed;
  }
  if (status != 0) { /* UNTESTED: libuv's signal pipe exists since the loop was created */
    mcp_log(MCP_LOG_ERROR, "loop", "cannot install signal handlers: %s", mcp_strerror(status));
    on_stop(arg);
  }
  running = &signals;
  uv_run(loop, UV_RUN_DEFAULT);
  running = signals.outer;
  for (int i = 0; i < 2; i++)
    if (signals.handles[i].type == UV_SIGNAL)
      uv_close((uv_handle_t *)&signals.handles[i], NULL);
  uv_run(loop, UV_RUN_DEFAULT); /* runs the close callbacks before the handles are freed */
  return status;
}

static void stop_server(void *arg) {
  mcp_server_stop(arg, NULL, NULL);
}

int mcp_server_run(mcp_server_t *server) {
  uv_loop_t loop;
  int status = uv_loop_init(&loop);
  if (status != 0) {
    mcp_log(MCP_LOG_ERROR, server->name, "cannot run: %s", mcp_strerror(status));
    return status;
  }
  status = mcp_server_start(server, &loop);
  if (status == 0) {
    mcp_server_reload_tls_on_sighup(server); /* an error is logged */
    status = mcp_loop_run(&loop, stop_server, server);
  } else {
    uv_run(&loop, UV_RUN_DEFAULT); /* closes the handles that start has opened */
  }
  uv_loop_close(&loop);
  return status == 0 && server->service.calls.handler_left_running ? MCP_ETIMEOUT : status;
}

int mcp_server_run_stdio(mcp_server_t *server) {
  if (mcp__server_is_started(server))
    return MCP_ESTATE;
  server->stdio_enabled = true;
  return mcp_server_run(server);
}
