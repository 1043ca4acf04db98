/* metrics.h: metrics of the queue and the workers, read from Redis once a second for GET /metrics. */
#ifndef GODOT_METRICS_H
#define GODOT_METRICS_H

#include "redis_queue.h"

#include <iccm_network.h>
#include <uv.h>

typedef struct metrics {
  queue_t *queue; /* borrowed */
  uv_timer_t timer;
  mcp_metric_t *exported[QUEUE_METRICS]; /* owned by the server */
  int64_t previous[QUEUE_METRICS];
  bool in_flight; /* a read has no reply yet */
} metrics_t;

/* Call after the queue exists and before the server starts. */
void metrics_start(metrics_t *metrics, uv_loop_t *loop, mcp_server_t *server, queue_t *queue);

/* Call before the queue and the server are freed. */
void metrics_stop(metrics_t *metrics);

#endif
