/* metrics.h: Dewey's own metrics for GET /metrics, besides the library's. */
#ifndef DEWEY_METRICS_H
#define DEWEY_METRICS_H

#include <iccm_network.h>

/* Owned by the server; any thread may count. All NULL: nothing is counted. */
typedef struct metrics {
  mcp_metric_t *entries;        /* by outcome: stored, duplicate, rejected */
  mcp_metric_t *batches;        /* batches stored */
  mcp_metric_t *deleted;        /* log lines, by cause: retention, clear */
  mcp_metric_t *retention_held; /* 1 while the clock may be wrong */
  mcp_metric_t *rows;           /* returned to callers, by kind: logs, conversations, messages, contexts */
  mcp_metric_t *conversations;  /* by change: begun, deleted */
  mcp_metric_t *messages;       /* by change: stored, deleted */
} metrics_t;

/* Stop counting before the server is freed; calls that outlive it may still count. */
void metrics_init(metrics_t *metrics, mcp_server_t *server);

#endif
