/* server_metrics.h: counters of a server, and the text of GET /metrics. For the loop's thread only, so
 * counters need no synchronization. */
#ifndef MCP_SERVER_METRICS_H
#define MCP_SERVER_METRICS_H

#include "client/log_shipper.h"
#include "mcp/tools.h"

enum { MCP__REFUSAL_REASONS = 23 };

/* Counters of one server. */
typedef struct mcp__server_counters {
  uint64_t connections;
  uint64_t refusals[MCP__REFUSAL_REASONS]; /* by reason; the last one counts all other reasons */
  /* Time when input was last processed or a call last ended. Used as the start time of calls, so that the
   * clock is read once for each call. */
  uint64_t now_ns;
} mcp__server_counters_t;

/* reason: an HTTP status, a close code, a JSON-RPC error code, or MCP_ETLS. */
void mcp__count_refusal(mcp__server_counters_t *counters, int reason);

/* Current state of a server, in addition to its counters. */
typedef struct mcp__server_gauges {
  size_t open_connections, calls_in_flight, memory_bytes;
  uint64_t received_bytes, sent_bytes;
  mcp__log_shipper_counts_t lines;
} mcp__server_gauges_t;

/* Appends the whole page. component_metrics: metrics of the component. Returns 0, MCP_ETOOBIG or UV_ENOMEM.
 */
int mcp__write_metrics(mcp__buf_t *out, const mcp__server_gauges_t *gauges,
                       const mcp__server_counters_t *counters, const mcp__tools_t *tools,
                       mcp__metrics_t *component_metrics);

#endif
