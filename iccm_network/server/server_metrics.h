/* server_metrics.h: what a server counts of itself, and GET /metrics, which shows it. Everything here is used
 * on the loop's thread alone, so that counting costs an addition. */
#ifndef MCP_SERVER_METRICS_H
#define MCP_SERVER_METRICS_H

#include "base/metrics.h"

/* How a call ended. */
typedef enum mcp__ending {
  MCP__ENDED_OK,
  MCP__ENDED_TOOL_ERROR, /* the tool says so */
  MCP__ENDED_ERROR,      /* another JSON-RPC error, also where a result was not fit to be sent */
  MCP__ENDED_TIMED_OUT,  /* at the deadline, or when the server stopped; the handler may go on */
  MCP__ENDED_CANCELLED,  /* nobody waited any more */
  MCP__ENDED_BUSY,       /* no handler has seen it, nor … */
  MCP__ENDED_INVALID,    /* … this one: arguments refused by the schema */
  MCP__ENDINGS
} mcp__ending_t;

/* Of one tool. */
typedef struct mcp__tool_counts {
  uint64_t endings[MCP__ENDINGS];
  mcp__times_t times; /* of those that a handler has seen */
} mcp__tool_counts_t;

enum { MCP__REFUSALS = 23 };

/* Of one server. */
typedef struct mcp__counts {
  uint64_t connections;
  uint64_t refusals[MCP__REFUSALS]; /* by reason; the last one for any other */
  uint64_t now_ns; /* when input was last begun with, or a call last ended: a call's work begins there, and
                      the clock is read once for each call and not twice */
} mcp__counts_t;

/* reason: an HTTP status, a close code, the code of a JSON-RPC error, or MCP_ETLS. */
void mcp__count_refusal(mcp__counts_t *counts, int reason);

/* Once for each call that was run: false where it has been counted before, or its server has gone. */
bool mcp__count_call(mcp_call_t *call, mcp__ending_t ending);

/* Appends everything, also what the component counts. 0, MCP_ETOOBIG, UV_ENOMEM. */
int mcp__counts_write(mcp_server_t *server, mcp__buf_t *out);

#endif
