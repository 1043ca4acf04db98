/* server_log.c: what a server tells the log: of its connections, its requests and its calls.
 *
 * Each event is a line with a fixed message and data that say who, what and how long; the names are those
 * that ICCM's components have always used. Calls of tools that are log traffic are passed over, and a
 * connection's own events are shipped only once it has made another call: what stores the log would otherwise
 * feed it. Failure: without memory a line goes without its data. */
#include "server/server.h"

#include "base/error.h"

#include <stdio.h>
#include <string.h>

enum { DATA_BYTES = 64 << 10, MAX_ARGUMENT_BYTES = 4096 };

/* Data is put together without a look at each step: what failed is left out as a whole. */
typedef struct data {
  mcp__buf_t text;
  int status;
} data_t;

static void begin(data_t *data) {
  mcp__buf_init(&data->text, DATA_BYTES, NULL);
  data->status = mcp__buf_puts(&data->text, "{");
}

static void add_key(data_t *data, const char *key) {
  int status = mcp__buf_printf(&data->text, "%s\"%s\":", data->text.len > 1 ? "," : "", key);
  data->status = mcp__buf_join(data->status, status);
}

static void add_text(data_t *data, const char *key, const char *text) {
  add_key(data, key);
  data->status = mcp__buf_join(data->status, mcp__buf_json_string(&data->text, text, strlen(text)));
}

static void add_json(data_t *data, const char *key, const char *json) {
  add_key(data, key);
  data->status = mcp__buf_join(data->status, mcp__buf_puts(&data->text, json));
}

static void add_number(data_t *data, const char *key, long long number) {
  add_key(data, key);
  data->status = mcp__buf_join(data->status, mcp__buf_printf(&data->text, "%lld", number));
}

static void add_ms(data_t *data, const char *key, uint64_t ns) {
  add_key(data, key);
  data->status = mcp__buf_join(data->status, mcp__buf_thousandths(&data->text, (ns + 500) / 1000));
}

static void log_line(mcp_server_t *server, mcp__entry_t *entry, data_t *data, unsigned where) {
  entry->part = server->name;
  if (entry->time_us == 0)
    entry->time_us = mcp_time_now_us();
  if (data != NULL && mcp__buf_join(data->status, mcp__buf_puts(&data->text, "}")) == 0) {
    entry->data = data->text.data;
    entry->data_len = data->text.len;
  }
  mcp__logger_log(server->logger, entry, where);
  if (data != NULL)
    mcp__buf_deinit(&data->text);
}

static unsigned where(const mcp__conn_t *conn) {
  return conn->ships ? MCP__SHOW | MCP__SHIP : MCP__SHOW;
}

static void tell(mcp_server_t *server, const char *message, unsigned to) {
  mcp__entry_t entry = {.level = MCP_LOG_INFO, .message = message};
  log_line(server, &entry, NULL, to);
}

void mcp__event_server(mcp_server_t *server, const char *message) {
  tell(server, message, MCP__SHOW | MCP__SHIP);
}

void mcp__event_running(mcp_server_t *server) {
  mcp__entry_t entry = {.level = MCP_LOG_INFO, .message = "Server running"};
  char words[64]; /* for people, and for scripts that look for the port */
  data_t data;
  snprintf(words, sizeof words, "Server running: listening on port %d", server->port);
  tell(server, words, MCP__SHOW);
  begin(&data);
  add_number(&data, "port", server->port);
  log_line(server, &entry, &data, MCP__SHIP);
}

/* ---- connections ------------------------------------------------------------------------------------ */

static void connected(mcp__conn_t *conn, unsigned to) {
  mcp__entry_t entry = {.level = MCP_LOG_DEBUG, .message = "Client connected", .time_us = conn->since_us};
  data_t data;
  begin(&data);
  add_text(&data, "client", conn->peer);
  log_line(conn->server, &entry, &data, to);
}

void mcp__event_connected(mcp__conn_t *conn) {
  conn->since_us = mcp_time_now_us();
  if (mcp__logger_wants(conn->server->logger, MCP_LOG_DEBUG))
    connected(conn, MCP__SHOW);
}

static void begin_to_ship(mcp__conn_t *conn) {
  if (conn->ships)
    return;
  conn->ships = true;
  if (mcp__logger_wants(conn->server->logger, MCP_LOG_DEBUG))
    connected(conn, MCP__SHIP);
}

void mcp__event_disconnected(mcp__conn_t *conn, int level, int code, const char *reason) {
  mcp__entry_t entry = {.level = level, .message = "Client disconnected"};
  data_t data;
  if (!mcp__logger_wants(conn->server->logger, level))
    return;
  begin(&data);
  add_text(&data, "client", conn->peer);
  if (code != 0)
    add_number(&data, "code", code);
  if (*reason != '\0')
    add_text(&data, "reason", reason);
  add_number(&data, "duration_ms", (mcp_time_now_us() - conn->since_us) / 1000);
  add_number(&data, "requests", (long long)conn->requests);
  log_line(conn->server, &entry, &data, where(conn));
}

/* ---- what is summed up ------------------------------------------------------------------------------- */

static void tell_sum(mcp_server_t *server, mcp__refusal_t *refusal, uint64_t now_ms) {
  uint64_t count = mcp__tally_take(&refusal->tally, now_ms);
  if (count == 1)
    mcp_log(MCP_LOG_WARN, server->name, "%s %s%s: %s", refusal->done, refusal->peer, refusal->how,
            refusal->words);
  else if (count > 1)
    mcp_log(MCP_LOG_WARN, server->name, "%s %llu peers%s, the last of them %s: %s", refusal->done,
            (unsigned long long)count, refusal->how, refusal->peer, refusal->words);
}

void mcp__event_summed(mcp__conn_t *conn, const char *reason, const char *done, const char *how,
                       const char *words) {
  mcp__refusal_t *refusal = conn->server->refusals, *last = refusal + MCP__MAX_REFUSALS - 1;
  while (refusal < last && refusal->reason != NULL && refusal->reason != reason)
    refusal++;
  refusal->reason = reason;
  refusal->tally.count++;
  snprintf(refusal->done, sizeof refusal->done, "%s", done);
  snprintf(refusal->how, sizeof refusal->how, "%s", how);
  snprintf(refusal->peer, sizeof refusal->peer, "%s", conn->peer);
  snprintf(refusal->words, sizeof refusal->words, "%.*s", (int)strcspn(words, "\n"), words);
  tell_sum(conn->server, refusal, uv_now(conn->server->loop));
}

void mcp__event_sums(mcp_server_t *server, uint64_t now_ms) {
  for (size_t i = 0; i < MCP__MAX_REFUSALS && server->refusals[i].reason != NULL; i++)
    tell_sum(server, &server->refusals[i], now_ms);
}

/* ---- requests and calls ----------------------------------------------------------------------------- */

static bool is_log_traffic(const mcp__tool_t *tool) {
  return tool != NULL && (tool->flags & MCP_TOOL_LOG_TRAFFIC) != 0;
}

void mcp__event_request(mcp__conn_t *conn, const mcp_call_t *call, const mcp__message_t *message,
                        const mcp__tool_t *tool) {
  mcp__entry_t entry = {
      .level = MCP_LOG_TRACE, .message = "MCP request received", .trace_id = call->parent.trace.id};
  data_t data;
  conn->requests++;
  if (tool != NULL && !is_log_traffic(tool))
    begin_to_ship(conn);
  if (is_log_traffic(tool) || !mcp__logger_wants(conn->server->logger, MCP_LOG_TRACE))
    return;
  begin(&data);
  add_text(&data, "client", conn->peer);
  if (message->method != NULL && yyjson_get_len(message->method) <= MAX_ARGUMENT_BYTES)
    add_text(&data, "method", yyjson_get_str(message->method));
  if (message->id_len <= MAX_ARGUMENT_BYTES) {
    add_key(&data, "id");
    data.status = mcp__buf_join(data.status, mcp__buf_append(&data.text, message->id, message->id_len));
  }
  log_line(conn->server, &entry, &data, where(conn));
}

/* Of a call: who, what, and its place in the trace. */
static void begin_call(data_t *data, mcp__entry_t *entry, const mcp_call_t *call, char span[MCP__SPAN_SIZE]) {
  mcp__span_write(call->parent.trace.span, span);
  entry->trace_id = call->parent.trace.id;
  entry->span_id = span;
  entry->parent_span_id = call->parent.trace.parent_span_id;
  begin(data);
  add_text(data, "tool_name", call->tool->name);
  if (call->conn != NULL)
    add_text(data, "client", call->conn->peer);
}

void mcp__event_refused(mcp__conn_t *conn, const mcp_call_t *call, const mcp__outcome_t *outcome) {
  mcp__entry_t entry = {.level = MCP_LOG_WARN, .message = "Tool error", .trace_id = call->parent.trace.id};
  data_t data;
  if (is_log_traffic(outcome->tool) || !mcp__logger_wants(conn->server->logger, MCP_LOG_WARN))
    return;
  begin(&data);
  add_text(&data, "tool_name", outcome->tool->name);
  add_text(&data, "client", conn->peer);
  add_text(&data, "error", outcome->problem);
  add_number(&data, "code", outcome->code);
  log_line(conn->server, &entry, &data, where(conn));
}

void mcp__event_call_started(mcp_call_t *call) {
  mcp__entry_t entry = {.level = MCP_LOG_TRACE, .message = "Tool call started"};
  char span[MCP__SPAN_SIZE];
  data_t data;
  if (is_log_traffic(call->tool) || !mcp__logger_wants(call->server->logger, MCP_LOG_TRACE))
    return;
  begin_call(&data, &entry, call, span);
  char *args = NULL;
  if (call->text.len <= MAX_ARGUMENT_BYTES)
    args = yyjson_val_write_opts(call->args, 0, &call->arena.alc, NULL, NULL);
  if (args != NULL)
    add_json(&data, "arguments", args);
  else
    add_number(&data, "message_bytes", (long long)call->text.len);
  log_line(call->server, &entry, &data, MCP__SHOW | MCP__SHIP);
}

/* What the caller did wrong is no error of the component. */
static int level_of(int failure) {
  return failure == MCP_INVALID_PARAMS || failure == MCP_METHOD_NOT_FOUND || failure == MCP_INVALID_REQUEST
             ? MCP_LOG_WARN
             : MCP_LOG_ERROR;
}

void mcp__event_call_ended(mcp_call_t *call, int failure, const char *text) {
  bool cancelled = atomic_load(&call->parent.cancelled), failed = failure != 0 && !cancelled;
  int level = failed ? level_of(failure) : MCP_LOG_TRACE;
  mcp__entry_t entry = {.level = level, .message = failed ? "Tool error" : "Tool call completed"};
  char span[MCP__SPAN_SIZE];
  data_t data;
  if (is_log_traffic(call->tool) || !mcp__logger_wants(call->server->logger, level))
    return;
  begin_call(&data, &entry, call, span);
  if (failed) {
    add_text(&data, "error", text != NULL ? text : mcp_strerror(failure));
    add_number(&data, "code", failure);
  } else {
    add_json(&data, "success", cancelled ? "false" : "true");
    if (cancelled)
      add_json(&data, "cancelled", "true");
  }
  add_ms(&data, "duration_ms", call->server->counts.now_ns - call->started_ns);
  log_line(call->server, &entry, &data, MCP__SHOW | MCP__SHIP);
}

void mcp_call_log(mcp_call_t *call, int level, yyjson_mut_val *data, const char *format, ...) {
  mcp__logger_t *logger = call->parent.on_pool   ? call->logger
                          : call->server != NULL ? call->server->logger
                                                 : NULL;
  if (mcp_log_level_name(level) == NULL || !mcp__logger_wants(logger, level))
    return;
  char text[MCP__LOG_MESSAGE_BYTES], span[MCP__SPAN_SIZE];
  mcp__span_write(call->parent.trace.span, span);
  mcp__entry_t entry = {.level = level,
                        .time_us = mcp_time_now_us(),
                        .part = logger != NULL ? mcp__logger_component(logger) : call->tool->name,
                        .message = text,
                        .trace_id = call->parent.trace.id,
                        .span_id = span,
                        .parent_span_id = call->parent.trace.parent_span_id};
  va_list args;
  va_start(args, format);
  mcp__log_format(text, format, args);
  va_end(args);
  char note[MCP__LOG_NOTE_BYTES], *json = NULL;
  size_t len = 0;
  if (data != NULL && !call->arena.failed)
    json = yyjson_mut_val_write_opts(data, 0, &call->arena.alc, &len, NULL);
  mcp__log_add_data(&entry, json, len, note);
  mcp__logger_log(logger, &entry, is_log_traffic(call->tool) ? MCP__SHOW : MCP__SHOW | MCP__SHIP);
}
