/* metrics.h: what Dewey counts of its own for GET /metrics, beside what the library counts. */
#ifndef DEWEY_METRICS_H
#define DEWEY_METRICS_H

#include <iccm_network.h>

/* The server's; counting is for any thread. All NULL: nothing is counted. */
typedef struct metrics {
  mcp_metric_t *entries;        /* by outcome: stored, duplicate, rejected */
  mcp_metric_t *batches;        /* of these that were stored */
  mcp_metric_t *deleted;        /* log lines, by what: retention, clear */
  mcp_metric_t *retention_held; /* 1 while the clock is doubted */
  mcp_metric_t *rows;           /* given to callers, of: logs, conversations, messages, contexts */
  mcp_metric_t *conversations;  /* by change: begun, deleted */
  mcp_metric_t *messages;       /* by change: stored, deleted */
} metrics_t;

/* Whoever counts has to have ended when the server is freed, but for calls that outlive it. */
void metrics_init(metrics_t *metrics, mcp_server_t *server);

#endif
