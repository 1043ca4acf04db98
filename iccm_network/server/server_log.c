/* server_log.c: see server_log.h.
 *
 * Each event is a line with a fixed message and data about the peer, the tool and the duration; the names are
 * those used by all ICCM components. Calls of tools that are log traffic are not logged, and events of a
 * connection are shipped only after another call: otherwise the log store would log itself. Failure: without
 * memory a line has no data. */
#include "server/server_log.h"

#include "base/error.h"
#include "iccm_service.h"

#include <stdio.h>
#include <string.h>

enum { DATA_BYTES = 64 << 10, MAX_ARGUMENT_BYTES = 4096 };

/* Data of a line. Errors are collected in status; on error the whole data is omitted. */
typedef struct data {
  mcp__buf_t text;
  int status;
} event_data_t;

static void begin(event_data_t *data) {
  mcp__buf_init(&data->text, DATA_BYTES, NULL);
  data->status = mcp__buf_puts(&data->text, "{");
}

static void add_key(event_data_t *data, const char *key) {
  int status = mcp__buf_printf(&data->text, "%s\"%s\":", data->text.len > 1 ? "," : "", key);
  data->status = mcp__buf_first_error(data->status, status);
}

static void add_text(event_data_t *data, const char *key, const char *text) {
  add_key(data, key);
  data->status = mcp__buf_first_error(data->status, mcp__buf_json_string(&data->text, text, strlen(text)));
}

static void add_json(event_data_t *data, const char *key, const char *json) {
  add_key(data, key);
  data->status = mcp__buf_first_error(data->status, mcp__buf_puts(&data->text, json));
}

static void add_number(event_data_t *data, const char *key, long long number) {
  add_key(data, key);
  data->status = mcp__buf_first_error(data->status, mcp__buf_printf(&data->text, "%lld", number));
}

static void add_ms(event_data_t *data, const char *key, uint64_t ns) {
  add_key(data, key);
  data->status = mcp__buf_first_error(data->status, mcp__buf_thousandths(&data->text, (ns + 500) / 1000));
}

static void add_peer(event_data_t *data, const mcp__peer_t *peer) {
  add_text(data, "client", peer->name);
  if (peer->token != NULL)
    add_text(data, "caller", peer->token->name);
}

static void log_line(mcp__server_log_t *log, mcp__log_record_t *entry, event_data_t *data, unsigned where) {
  entry->part = log->component;
  if (entry->time_us == 0)
    entry->time_us = mcp_time_now_us();
  if (data != NULL && mcp__buf_first_error(data->status, mcp__buf_puts(&data->text, "}")) == 0) {
    entry->data = data->text.data;
    entry->data_len = data->text.len;
  }
  mcp__log_shipper_log(log->logger, entry, where);
  if (data != NULL)
    mcp__buf_deinit(&data->text);
}

static unsigned where(const mcp__peer_t *peer) {
  return peer->log_shipping ? MCP__LOG_SHOW | MCP__LOG_SHIP : MCP__LOG_SHOW;
}

static void log_message(mcp__server_log_t *log, const char *message, unsigned to) {
  mcp__log_record_t entry = {.level = MCP_LOG_INFO, .message = message};
  log_line(log, &entry, NULL, to);
}

void mcp__server_log_message(mcp__server_log_t *log, const char *message) {
  log_message(log, message, MCP__LOG_SHOW | MCP__LOG_SHIP);
}

static void log_serving(mcp__server_log_t *log, int port) {
  char text[64]; /* for people, and for scripts that parse the port */
  if (port == 0)
    snprintf(text, sizeof text, "Server running: serving standard input and output");
  else
    snprintf(text, sizeof text, "Server running: listening on port %d", port);
  log_message(log, text, MCP__LOG_SHOW);
}

void mcp__server_log_running(mcp__server_log_t *log, int port) {
  mcp__log_record_t entry = {.level = MCP_LOG_INFO, .message = "Server running"};
  event_data_t data;
  log_serving(log, port);
  begin(&data);
  add_number(&data, "port", port);
  log_line(log, &entry, &data, MCP__LOG_SHIP);
}

/* ---- peers ----------------------------------------------------------------------------------------- */

void mcp__peer_set_token(mcp__peer_t *peer, mcp__token_t *token) {
  mcp__token_hold(token);
  mcp__token_release(peer->token);
  peer->token = token;
}

bool mcp__peer_may_call(const mcp__peer_t *peer, const mcp__tool_t *tool) {
  return peer->token == NULL || mcp__token_has_role(peer->token, tool->role);
}

/* ---- connections ------------------------------------------------------------------------------------ */

static void log_connected(const mcp__peer_t *peer, unsigned to) {
  mcp__log_record_t entry = {
      .level = MCP_LOG_DEBUG, .message = "Client connected", .time_us = peer->since_us};
  event_data_t data;
  begin(&data);
  add_peer(&data, peer);
  log_line(peer->log, &entry, &data, to);
}

void mcp__server_log_connected(mcp__peer_t *peer) {
  peer->since_us = mcp_time_now_us();
  if (mcp__log_shipper_wants(peer->log->logger, MCP_LOG_DEBUG))
    log_connected(peer, MCP__LOG_SHOW);
}

static void start_shipping(mcp__peer_t *peer) {
  if (peer->log_shipping)
    return;
  peer->log_shipping = true;
  if (mcp__log_shipper_wants(peer->log->logger, MCP_LOG_DEBUG))
    log_connected(peer, MCP__LOG_SHIP);
}

void mcp__server_log_disconnected(const mcp__peer_t *peer, int level, int code, const char *reason) {
  mcp__log_record_t entry = {.level = level, .message = "Client disconnected"};
  event_data_t data;
  if (!mcp__log_shipper_wants(peer->log->logger, level))
    return;
  begin(&data);
  add_peer(&data, peer);
  if (code != 0)
    add_number(&data, "code", code);
  if (*reason != '\0')
    add_text(&data, "reason", reason);
  add_number(&data, "duration_ms", (mcp_time_now_us() - peer->since_us) / 1000);
  add_number(&data, "requests", (long long)peer->requests);
  log_line(peer->log, &entry, &data, where(peer));
}

/* ---- throttled lines --------------------------------------------------------------------------------- */

static void log_refusal(const mcp__server_log_t *log, mcp__refusal_t *refusal, uint64_t now_ms) {
  uint64_t count = mcp__log_throttle_take(&refusal->throttle, now_ms);
  if (count == 1)
    mcp_log(MCP_LOG_WARN, log->component, "%s %s%s: %s", refusal->verb, refusal->peer, refusal->detail,
            refusal->cause);
  else if (count > 1)
    mcp_log(MCP_LOG_WARN, log->component, "%s %llu peers%s, the last of them %s: %s", refusal->verb,
            (unsigned long long)count, refusal->detail, refusal->peer, refusal->cause);
}

void mcp__server_log_throttled(const mcp__peer_t *peer, uint64_t now_ms, const char *reason, const char *verb,
                               const char *detail, const char *cause) {
  mcp__refusal_t *refusal = peer->log->refusals, *last = refusal + MCP__SERVER_LOG_MAX_REASONS - 1;
  while (refusal < last && refusal->reason != NULL && refusal->reason != reason)
    refusal++;
  refusal->reason = reason;
  refusal->throttle.count++;
  snprintf(refusal->verb, sizeof refusal->verb, "%s", verb);
  snprintf(refusal->detail, sizeof refusal->detail, "%s", detail);
  snprintf(refusal->peer, sizeof refusal->peer, "%s", peer->name);
  snprintf(refusal->cause, sizeof refusal->cause, "%.*s", (int)strcspn(cause, "\n"), cause);
  log_refusal(peer->log, refusal, now_ms);
}

void mcp__server_log_flush(mcp__server_log_t *log, uint64_t now_ms) {
  for (size_t i = 0; i < MCP__SERVER_LOG_MAX_REASONS && log->refusals[i].reason != NULL; i++)
    log_refusal(log, &log->refusals[i], now_ms);
}

/* ---- requests and calls ----------------------------------------------------------------------------- */

void mcp__server_log_request(mcp__peer_t *peer, const char *trace_id, const mcp__message_t *message,
                             const mcp__tool_t *tool) {
  mcp__log_record_t entry = {.level = MCP_LOG_TRACE, .message = "MCP request received", .trace_id = trace_id};
  event_data_t data;
  peer->requests++;
  if (tool != NULL && !mcp__is_log_traffic(tool))
    start_shipping(peer);
  if (mcp__is_log_traffic(tool) || !mcp__log_shipper_wants(peer->log->logger, MCP_LOG_TRACE))
    return;
  begin(&data);
  add_peer(&data, peer);
  if (message->method != NULL && yyjson_get_len(message->method) <= MAX_ARGUMENT_BYTES)
    add_text(&data, "method", yyjson_get_str(message->method));
  if (message->id_len <= MAX_ARGUMENT_BYTES) {
    add_key(&data, "id");
    data.status =
        mcp__buf_first_error(data.status, mcp__buf_append(&data.text, message->id, message->id_len));
  }
  log_line(peer->log, &entry, &data, where(peer));
}

void mcp__server_log_call_refused(const mcp__peer_t *peer, const char *trace_id, const mcp__tool_t *tool,
                                  int code, const char *problem) {
  mcp__log_record_t entry = {.level = MCP_LOG_WARN, .message = "Tool error", .trace_id = trace_id};
  event_data_t data;
  if (mcp__is_log_traffic(tool) || !mcp__log_shipper_wants(peer->log->logger, MCP_LOG_WARN))
    return;
  begin(&data);
  add_text(&data, "tool_name", tool->name);
  add_peer(&data, peer);
  add_text(&data, "error", problem);
  add_number(&data, "code", code);
  log_line(peer->log, &entry, &data, where(peer));
}

/* Begins the data of a call: its tool, peer and trace. */
static void begin_call(event_data_t *data, mcp__log_record_t *entry, const mcp__call_event_t *call,
                       char span[MCP__SPAN_SIZE]) {
  mcp__span_write(call->trace->span, span);
  entry->trace_id = call->trace->id;
  entry->span_id = span;
  entry->parent_span_id = call->trace->parent_span_id;
  begin(data);
  add_text(data, "tool_name", call->tool->name);
  if (call->peer != NULL)
    add_peer(data, call->peer);
}

void mcp__server_log_call_started(const mcp__call_event_t *call, yyjson_val *args, size_t message_bytes,
                                  const yyjson_alc *alc) {
  mcp__log_record_t entry = {.level = MCP_LOG_TRACE, .message = "Tool call started"};
  char span[MCP__SPAN_SIZE], *text = NULL;
  event_data_t data;
  if (mcp__is_log_traffic(call->tool) || !mcp__log_shipper_wants(call->log->logger, MCP_LOG_TRACE))
    return;
  begin_call(&data, &entry, call, span);
  if (message_bytes <= MAX_ARGUMENT_BYTES)
    text = yyjson_val_write_opts(args, 0, alc, NULL, NULL);
  if (text != NULL)
    add_json(&data, "arguments", text);
  else
    add_number(&data, "message_bytes", (long long)message_bytes);
  log_line(call->log, &entry, &data, MCP__LOG_SHOW | MCP__LOG_SHIP);
}

/* An error of the caller is only a warning for the component. */
static int level_of(int failure) {
  return failure == MCP_INVALID_PARAMS || failure == MCP_METHOD_NOT_FOUND || failure == MCP_INVALID_REQUEST
             ? MCP_LOG_WARN
             : MCP_LOG_ERROR;
}

void mcp__server_log_call_ended(const mcp__call_event_t *call, bool cancelled, int failure, const char *text,
                                uint64_t duration_ns) {
  bool failed = failure != 0 && !cancelled;
  int level = failed ? level_of(failure) : MCP_LOG_TRACE;
  mcp__log_record_t entry = {.level = level, .message = failed ? "Tool error" : "Tool call completed"};
  char span[MCP__SPAN_SIZE];
  event_data_t data;
  if (mcp__is_log_traffic(call->tool) || !mcp__log_shipper_wants(call->log->logger, level))
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
  add_ms(&data, "duration_ms", duration_ns);
  log_line(call->log, &entry, &data, MCP__LOG_SHOW | MCP__LOG_SHIP);
}
