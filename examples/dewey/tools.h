/* tools.h: Dewey's tools. */
#ifndef DEWEY_TOOLS_H
#define DEWEY_TOOLS_H

#include "clock_guard.h"
#include "metrics.h"
#include "health.h"
#include "store.h"

#include <stdatomic.h>

enum { DEWEY_TOOLS = 15 };

/* The state that the tools share. */
typedef struct dewey {
  store_t *store;
  int64_t retention_days;
  bool retention_is_set;          /* set by the operator */
  bool retention_announced;       /* maintenance thread only */
  atomic_llong last_retention_us; /* last known value */
  clock_guard_t clock_guard;      /* maintenance thread only */
  const char *import_paths;       /* for mcp_open_beneath(); empty: none */
  atomic_bool clearing;           /* a dewey_clear_logs is running */
  health_t health;
  metrics_t metrics;
} dewey_t;

/* Returns the time before which log lines are too old. */
int64_t dewey_retention_us(const dewey_t *dewey, int64_t now_us);

/* The table of tools, with dewey as their arg, ended by MCP_TOOL_END. */
void dewey_tools(dewey_t *dewey, mcp_tool_t tools[DEWEY_TOOLS + 1]);

#endif
