/* tool_counts.h: how the calls of one tool ended, and how long they took. One thread. */
#ifndef MCP_TOOL_COUNTS_H
#define MCP_TOOL_COUNTS_H

#include "base/metrics.h"

typedef enum mcp__call_status {
  MCP__CALL_OK,
  MCP__CALL_TOOL_ERROR, /* the tool reported it */
  MCP__CALL_ERROR,      /* another JSON-RPC error, or a result that could not be sent */
  MCP__CALL_TIMED_OUT,  /* at the deadline, or when the server stopped; the handler may go on */
  MCP__CALL_CANCELLED,  /* the caller cancelled it or disconnected */
  MCP__CALL_BUSY,       /* refused before a handler saw it */
  MCP__CALL_INVALID,    /* arguments refused by the schema, before a handler saw it */
  MCP__CALL_STATUSES
} mcp__call_status_t;

typedef struct mcp__tool_counts {
  uint64_t calls[MCP__CALL_STATUSES];
  mcp__duration_histogram_t times; /* of those that a handler has seen */
} mcp__tool_counts_t;

#endif
