/* tool_counts.h: counts the calls of one tool by status, and their durations. Single-threaded. */
#ifndef MCP_TOOL_COUNTS_H
#define MCP_TOOL_COUNTS_H

#include "base/metrics.h"

typedef enum mcp__call_status {
  MCP__CALL_OK,
  MCP__CALL_TOOL_ERROR, /* reported by the tool */
  MCP__CALL_ERROR,      /* another JSON-RPC error, or the result could not be sent */
  MCP__CALL_TIMED_OUT,  /* at the deadline, or when the server stopped; the handler may still run */
  MCP__CALL_CANCELLED,  /* the caller cancelled it or disconnected */
  MCP__CALL_BUSY,       /* rejected before the handler ran */
  MCP__CALL_INVALID,    /* arguments rejected by the schema, before the handler ran */
  MCP__CALL_FORBIDDEN,  /* the caller's role does not suffice */
  MCP__CALL_STATUSES
} mcp__call_status_t;

typedef struct mcp__tool_counts {
  uint64_t calls[MCP__CALL_STATUSES];
  mcp__duration_histogram_t times; /* of calls whose handler ran */
} mcp__tool_counts_t;

#endif
