/* metrics.h: what queue and workers have come to, read from Redis once a second for GET /metrics. */
#ifndef GODOT_METRICS_H
#define GODOT_METRICS_H

#include "redis_queue.h"

#include <iccm_network.h>
#include <uv.h>

typedef struct figures {
  queue_t *queue; /* borrowed */
  uv_timer_t timer;
  mcp_metric_t *metrics[QUEUE_FIGURES]; /* the server's */
  int64_t last[QUEUE_FIGURES];
  bool asking;
} figures_t;

/* Once the queue is there, before the server starts. */
void figures_start(figures_t *figures, uv_loop_t *loop, mcp_server_t *server, queue_t *queue);

/* Before queue and server go. */
void figures_stop(figures_t *figures);

#endif
