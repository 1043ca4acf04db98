/* tools.h: Dewey's tools. */
#ifndef DEWEY_TOOLS_H
#define DEWEY_TOOLS_H

#include "clock_guard.h"
#include "metrics.h"
#include "health.h"
#include "store.h"

#include <stdatomic.h>

enum { DEWEY_TOOLS = 15 };

/* What the tools work with. */
typedef struct dewey {
  store_t *store;
  int64_t retention_days;
  bool retention_is_set;          /* by the operator */
  bool retention_announced;       /* what becomes of lines that were taken over; the keeper's own, */
  atomic_llong last_retention_us; /* as far as is known */
  clock_guard_t clock_guard;      /* and this, too */
  const char *import_paths;       /* as mcp_open_beneath() wants them; empty: none */
  atomic_bool clearing;           /* a call of dewey_clear_logs is at work */
  health_t health;
  metrics_t metrics;
} dewey_t;

/* The point in time before which log lines are too old now. */
int64_t dewey_retention_us(const dewey_t *dewey, int64_t now_us);

/* The tools' table, with dewey as their arg, up to MCP_TOOL_END. */
void dewey_tools(dewey_t *dewey, mcp_tool_t tools[DEWEY_TOOLS + 1]);

#endif
