/* metrics.h: what Horace counts of its own for GET /metrics, beside what the library counts. */
#ifndef HORACE_METRICS_H
#define HORACE_METRICS_H

#include <iccm_network.h>

/* The server's; counting is for any thread. All NULL: nothing is counted. */
typedef struct metrics {
  mcp_metric_t *registrations;  /* by outcome: new, changed, again, duplicate */
  mcp_metric_t *versions;       /* by change: made, restored, pruned */
  mcp_metric_t *files;          /* by change of status: active, archived, deleted; removed */
  mcp_metric_t *retention_held; /* 1 while the clock is doubted */
  mcp_metric_t *rows;           /* given to callers, of: files, collections */
} metrics_t;

/* Whoever counts has to have ended when the server is freed, but for calls that outlive it. */
void metrics_init(metrics_t *metrics, mcp_server_t *server);

#endif
