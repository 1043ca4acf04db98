/* server_metrics.c: see server_metrics.h. Label values come from fixed lists and the server's own tools: a
 * peer cannot create any. */
#include "server/server_metrics.h"

#include <stdio.h>

static const int reasons[MCP__REFUSAL_REASONS - 1] = {400,
                                                      401,
                                                      403,
                                                      405,
                                                      408,
                                                      426,
                                                      431,
                                                      503,
                                                      505, /* HTTP, before the upgrade */
                                                      1002,
                                                      1003,
                                                      1007,
                                                      1008,
                                                      1009,
                                                      1011,
                                                      1013, /* WebSocket */
                                                      MCP_PARSE_ERROR,
                                                      MCP_INVALID_REQUEST,
                                                      MCP_METHOD_NOT_FOUND,
                                                      MCP_INVALID_PARAMS,
                                                      MCP_INTERNAL_ERROR,
                                                      MCP_ETLS};

void mcp__count_refusal(mcp__server_counters_t *counters, int reason) {
  size_t i = 0;
  while (i < MCP__REFUSAL_REASONS - 1 && reasons[i] != reason)
    i++;
  counters->refusals[i]++;
}

/* ---- /metrics -------------------------------------------------------------------------------------- */

static int write_metric(mcp__buf_t *out, const char *name, int type, const char *help, double value) {
  int status = mcp__expose_header(out, name, type, help);
  return mcp__buf_first_error(status, mcp__expose(out, name, NULL, 0, value));
}

static int write_refusals(const mcp__server_counters_t *counters, mcp__buf_t *out) {
  static const char name[] = "iccm_refusals_total";
  int status = mcp__expose_header(
      out, name, MCP_COUNTER,
      "Refusals by HTTP status, WebSocket close code or JSON-RPC error code; tls: TLS handshakes.");
  for (size_t i = 0; i < MCP__REFUSAL_REASONS; i++) {
    char reason[16] = "other";
    if (i < MCP__REFUSAL_REASONS - 1 && reasons[i] == MCP_ETLS)
      snprintf(reason, sizeof reason, "tls");
    else if (i < MCP__REFUSAL_REASONS - 1)
      snprintf(reason, sizeof reason, "%d", reasons[i]);
    const mcp__label_t label = {"reason", reason};
    if (counters->refusals[i] > 0)
      status = mcp__buf_first_error(status, mcp__expose(out, name, &label, 1, (double)counters->refusals[i]));
  }
  return status;
}

static int write_calls(const mcp__tools_t *tools, mcp__buf_t *out) {
  static const char name[] = "iccm_calls_total";
  static const char *const statuses[MCP__CALL_STATUSES] = {"ok",        "tool_error", "error",   "timed_out",
                                                           "cancelled", "busy",       "invalid", "forbidden"};
  int status = mcp__expose_header(out, name, MCP_COUNTER, "Calls that have ended, by tool and outcome.");
  for (size_t i = 0; i < tools->count; i++) {
    for (size_t status_index = 0; status_index < MCP__CALL_STATUSES; status_index++) {
      const mcp__label_t labels[] = {{"tool", tools->table[i]->name}, {"outcome", statuses[status_index]}};
      double value = (double)tools->table[i]->counts.calls[status_index];
      status = mcp__buf_first_error(status, mcp__expose(out, name, labels, 2, value));
    }
  }
  return status;
}

static int write_durations(const mcp__tools_t *tools, mcp__buf_t *out) {
  static const char name[] = "iccm_call_duration_seconds";
  int status =
      mcp__expose_header(out, name, MCP_HISTOGRAM, "Duration of calls from message to end, by tool.");
  for (size_t i = 0; i < tools->count; i++) {
    const mcp__label_t label = {"tool", tools->table[i]->name};
    status = mcp__buf_first_error(
        status, mcp__expose_histogram(out, name, &label, 1, &tools->table[i]->counts.times));
  }
  return status;
}

static int write_lines(const mcp__log_shipper_counts_t *lines, mcp__buf_t *out) {
  static const char name[] = "iccm_log_lines_total";
  const mcp__label_t shipped = {"outcome", "shipped"}, dropped = {"outcome", "dropped"};
  int status = mcp__expose_header(out, name, MCP_COUNTER, "Log lines for Godot, shipped or dropped.");
  status = mcp__buf_first_error(status, mcp__expose(out, name, &shipped, 1, (double)lines->shipped));
  return mcp__buf_first_error(status, mcp__expose(out, name, &dropped, 1, (double)lines->dropped));
}

int mcp__write_metrics(mcp__buf_t *out, const mcp__server_gauges_t *gauges,
                       const mcp__server_counters_t *counters, const mcp__tools_t *tools,
                       mcp__metrics_t *component_metrics) {
  const struct {
    const char *name;
    int type;
    const char *help;
    double value;
  } metrics[] = {
      {"iccm_connections", MCP_GAUGE, "WebSocket connections that are open.",
       (double)gauges->open_connections},
      {"iccm_connections_total", MCP_COUNTER, "WebSocket connections that were opened.",
       (double)counters->connections},
      {"iccm_calls_in_flight", MCP_GAUGE, "Calls that have not ended.", (double)gauges->calls_in_flight},
      {"iccm_memory_bytes", MCP_GAUGE, "Memory held for messages, calls and responses.",
       (double)gauges->memory_bytes},
      {"iccm_received_bytes_total", MCP_COUNTER, "Bytes read from connections.",
       (double)gauges->received_bytes},
      {"iccm_sent_bytes_total", MCP_COUNTER, "Bytes written to connections.", (double)gauges->sent_bytes},
  };
  int status = 0;
  for (size_t i = 0; i < sizeof metrics / sizeof *metrics; i++)
    status = mcp__buf_first_error(
        status, write_metric(out, metrics[i].name, metrics[i].type, metrics[i].help, metrics[i].value));
  status = mcp__buf_first_error(status, write_refusals(counters, out));
  status = mcp__buf_first_error(status, write_lines(&gauges->lines, out));
  status = mcp__buf_first_error(status, write_calls(tools, out));
  status = mcp__buf_first_error(status, write_durations(tools, out));
  return mcp__buf_first_error(status, mcp__metrics_write(component_metrics, out));
}
