/* metrics.h: what queue and workers have come to, read from Redis once a second for GET /metrics. */
#ifndef GODOT_METRICS_H
#define GODOT_METRICS_H

#include "redis_queue.h"

#include <iccm_network.h>
#include <uv.h>

typedef struct metrics {
  queue_t *queue; /* borrowed */
  uv_timer_t timer;
  mcp_metric_t *exported[QUEUE_METRICS]; /* the server's */
  int64_t previous[QUEUE_METRICS];
  bool in_flight;
} metrics_t;

/* Once the queue is there, before the server starts. */
void metrics_start(metrics_t *metrics, uv_loop_t *loop, mcp_server_t *server, queue_t *queue);

/* Before queue and server go. */
void metrics_stop(metrics_t *metrics);

#endif
