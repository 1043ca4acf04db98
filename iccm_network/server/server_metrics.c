/* server_metrics.c: see server_metrics.h. Labels come from fixed lists and from the server's own tools: a
 * peer can make none.
 */
#include "server/server_metrics.h"

#include "server/server.h"

#include <stdio.h>

static const int reasons[MCP__REFUSALS - 1] = {400,
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

void mcp__count_refusal(mcp__counts_t *counts, int reason) {
  size_t i = 0;
  while (i < MCP__REFUSALS - 1 && reasons[i] != reason)
    i++;
  counts->refusals[i]++;
}

bool mcp__count_call(mcp_call_t *call, mcp__ending_t ending) {
  mcp_server_t *server = call->server;
  if (server == NULL || call->counted)
    return false;
  call->counted = true;
  mcp__tool_counts_t *counts = &call->tool->counts;
  counts->endings[ending]++;
  if (ending == MCP__ENDED_BUSY || call->waiting)
    return true;
  server->counts.now_ns = uv_hrtime();
  double seconds = (double)(server->counts.now_ns - call->started_ns) * 1e-9;
  counts->times.buckets[mcp__bucket_of(seconds)]++;
  counts->times.sum_s += seconds;
  return true;
}

static double open_connections(const mcp_server_t *server) {
  double count = 0;
  for (const mcp__conn_t *conn = server->conns; conn != NULL; conn = conn->next)
    count += conn->state == MCP__CONN_OPEN;
  return count;
}

/* ---- /metrics -------------------------------------------------------------------------------------- */

static int write_one(mcp__buf_t *out, const char *name, int type, const char *help, double value) {
  int status = mcp__expose_head(out, name, type, help);
  return mcp__buf_join(status, mcp__expose(out, name, NULL, 0, value));
}

static int write_refusals(const mcp__counts_t *counts, mcp__buf_t *out) {
  static const char name[] = "iccm_refusals_total";
  int status = mcp__expose_head(
      out, name, MCP_COUNTER,
      "Refused, by HTTP status, WebSocket close code or JSON-RPC error code, or in TLS's handshake.");
  for (size_t i = 0; i < MCP__REFUSALS; i++) {
    char reason[16] = "other";
    if (i < MCP__REFUSALS - 1 && reasons[i] == MCP_ETLS)
      snprintf(reason, sizeof reason, "tls");
    else if (i < MCP__REFUSALS - 1)
      snprintf(reason, sizeof reason, "%d", reasons[i]);
    const mcp__label_t label = {"reason", reason};
    if (counts->refusals[i] > 0)
      status = mcp__buf_join(status, mcp__expose(out, name, &label, 1, (double)counts->refusals[i]));
  }
  return status;
}

static int write_calls(const mcp__tools_t *tools, mcp__buf_t *out) {
  static const char name[] = "iccm_calls_total";
  static const char *const outcomes[MCP__ENDINGS] = {"ok",        "tool_error", "error",  "timed_out",
                                                     "cancelled", "busy",       "invalid"};
  int status = mcp__expose_head(out, name, MCP_COUNTER, "Calls that have ended, by tool and outcome.");
  for (size_t i = 0; i < tools->count; i++) {
    for (size_t ending = 0; ending < MCP__ENDINGS; ending++) {
      const mcp__label_t labels[] = {{"tool", tools->table[i]->name}, {"outcome", outcomes[ending]}};
      double value = (double)tools->table[i]->counts.endings[ending];
      status = mcp__buf_join(status, mcp__expose(out, name, labels, 2, value));
    }
  }
  return status;
}

static int write_durations(const mcp__tools_t *tools, mcp__buf_t *out) {
  static const char name[] = "iccm_call_duration_seconds";
  int status =
      mcp__expose_head(out, name, MCP_HISTOGRAM, "How long calls took from message to end, by tool.");
  for (size_t i = 0; i < tools->count; i++) {
    const mcp__label_t label = {"tool", tools->table[i]->name};
    status = mcp__buf_join(status, mcp__expose_times(out, name, &label, 1, &tools->table[i]->counts.times));
  }
  return status;
}

static int write_lines(const mcp__logger_counts_t *lines, mcp__buf_t *out) {
  static const char name[] = "iccm_log_lines_total";
  const mcp__label_t shipped = {"outcome", "shipped"}, dropped = {"outcome", "dropped"};
  int status = mcp__expose_head(out, name, MCP_COUNTER, "Log lines for Godot: taken by it, or dropped.");
  status = mcp__buf_join(status, mcp__expose(out, name, &shipped, 1, (double)lines->shipped));
  return mcp__buf_join(status, mcp__expose(out, name, &dropped, 1, (double)lines->dropped));
}

int mcp__counts_write(mcp_server_t *server, mcp__buf_t *out) {
  const struct {
    const char *name;
    int type;
    const char *help;
    double value;
  } ones[] = {
      {"iccm_connections", MCP_GAUGE, "WebSocket connections that are open.", open_connections(server)},
      {"iccm_connections_total", MCP_COUNTER, "WebSocket connections that were opened.",
       (double)server->counts.connections},
      {"iccm_calls_in_flight", MCP_GAUGE, "Calls that have not ended.", (double)server->calls},
      {"iccm_memory_bytes", MCP_GAUGE, "Memory held for messages, calls and answers.",
       (double)server->memory.all.used},
      {"iccm_received_bytes_total", MCP_COUNTER, "Bytes read from connections.", (double)server->io.received},
      {"iccm_sent_bytes_total", MCP_COUNTER, "Bytes handed to the system for connections.",
       (double)server->io.sent},
  };
  mcp__logger_counts_t lines = mcp__logger_counts(server->logger);
  int status = 0;
  for (size_t i = 0; i < sizeof ones / sizeof *ones; i++)
    status = mcp__buf_join(status, write_one(out, ones[i].name, ones[i].type, ones[i].help, ones[i].value));
  status = mcp__buf_join(status, write_refusals(&server->counts, out));
  status = mcp__buf_join(status, write_lines(&lines, out));
  status = mcp__buf_join(status, write_calls(&server->tools, out));
  status = mcp__buf_join(status, write_durations(&server->tools, out));
  return mcp__buf_join(status, mcp__metrics_write(server->metrics, out));
}
