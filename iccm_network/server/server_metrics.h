/* server_metrics.h: what a server counts of itself, and the text of GET /metrics. Used on the loop's thread
 * alone, so that counting costs an addition. */
#ifndef MCP_SERVER_METRICS_H
#define MCP_SERVER_METRICS_H

#include "client/log_shipper.h"
#include "mcp/tools.h"

enum { MCP__REFUSAL_REASONS = 23 };

/* Of one server. */
typedef struct mcp__server_counters {
  uint64_t connections;
  uint64_t refusals[MCP__REFUSAL_REASONS]; /* by reason; the last one for any other */
  uint64_t now_ns; /* when input was last begun with, or a call last ended: a call's work begins there, and
                      the clock is read once for each call and not twice */
} mcp__server_counters_t;

/* reason: an HTTP status, a close code, the code of a JSON-RPC error, or MCP_ETLS. */
void mcp__count_refusal(mcp__server_counters_t *counters, int reason);

/* The server at this moment, beside what it has counted. */
typedef struct mcp__server_gauges {
  size_t open_connections, calls_in_flight, memory_bytes;
  uint64_t received_bytes, sent_bytes;
  mcp__logger_counts_t lines;
} mcp__server_gauges_t;

/* Appends the whole text; own: what the component counts. 0, MCP_ETOOBIG, UV_ENOMEM. */
int mcp__write_metrics(mcp__buf_t *out, const mcp__server_gauges_t *gauges,
                       const mcp__server_counters_t *counters, const mcp__tools_t *tools,
                       mcp__metrics_t *component_metrics);

#endif
