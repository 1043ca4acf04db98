/* metrics.h: Horace's own metrics for GET /metrics, besides the library's. */
#ifndef HORACE_METRICS_H
#define HORACE_METRICS_H

#include <iccm_network.h>

/* Owned by the server; any thread may count. All NULL: nothing is counted. */
typedef struct metrics {
  mcp_metric_t *registrations;  /* by outcome: new, changed, again, duplicate, renamed */
  mcp_metric_t *versions;       /* by change: made, restored, pruned */
  mcp_metric_t *files;          /* by new status: active, archived, deleted, removed */
  mcp_metric_t *retention_held; /* 1 while the clock may be wrong */
  mcp_metric_t *rows;           /* returned to callers, by kind: files, collections */
} metrics_t;

/* Stop counting before the server is freed; calls that outlive it may still count. */
void metrics_init(metrics_t *metrics, mcp_server_t *server);

#endif
