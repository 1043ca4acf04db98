/* metrics.c: see metrics.h. Happy path: one script a second. Failure modes: while Redis is unavailable the
 * metrics keep their values, and /readyz names Redis; after Redis has lost its data, its counters restart at
 * 0 and the exported counters continue from their values. */
#include "metrics.h"

enum { INTERVAL_MS = 1000 };

static const struct {
  int type;
  const char *name, *help;
  double unit;
} table[QUEUE_METRICS] = {
    {MCP_GAUGE, "godot_queued_entries", "Entries in the queue that are not leased to a worker.", 1},
    {MCP_GAUGE, "godot_leased_entries", "Entries leased to a worker.", 1},
    {MCP_GAUGE, "godot_queue_bytes", "Memory of queued and leased entries in Redis.", 1},
    {MCP_GAUGE, "godot_spooled_bytes", "Bytes in the spools of the workers.", 1},
    {MCP_GAUGE, "godot_dead_letters", "Dead letters in Redis.", 1},
    {MCP_COUNTER, "godot_dropped_total", "Entries dropped because the queue was full.", 1},
    {MCP_COUNTER, "godot_stored_total", "Entries that the log store has confirmed.", 1},
    {MCP_COUNTER, "godot_retried_total", "Batches that were sent again.", 1},
    {MCP_COUNTER, "godot_dead_total", "Entries that became dead letters.", 1},
    {MCP_COUNTER, "godot_batches_total", "Batches that workers have finished.", 1},
    {MCP_COUNTER, "godot_batch_seconds_total", "Time from the first claim of a batch to its end.", 1e-6},
    {MCP_COUNTER, "godot_redacted_total", "Members of log entries that were redacted.",
     1}, /* of the workers; log_tools.c counts those of the server */
};

static void on_metrics(int status, const int64_t *values, void *arg) {
  metrics_t *metrics = arg;
  metrics->in_flight = false;
  for (int i = 0; status == 0 && i < QUEUE_METRICS; i++) {
    if (table[i].type == MCP_GAUGE)
      mcp_metric_set(metrics->exported[i], NULL, (double)values[i] * table[i].unit);
    else if (values[i] > metrics->previous[i])
      mcp_metric_add(metrics->exported[i], NULL, (double)(values[i] - metrics->previous[i]) * table[i].unit);
    metrics->previous[i] = values[i];
  }
}

static void on_timer(uv_timer_t *timer) {
  metrics_t *metrics = timer->data;
  if (!metrics->in_flight)
    metrics->in_flight = queue_metrics(metrics->queue, on_metrics, metrics) == 0;
}

void metrics_start(metrics_t *metrics, uv_loop_t *loop, mcp_server_t *server, queue_t *queue) {
  metrics->queue = queue;
  for (int i = 0; i < QUEUE_METRICS; i++)
    metrics->exported[i] = mcp_server_metric(server, table[i].type, table[i].name, table[i].help, NULL);
  uv_timer_init(loop, &metrics->timer);
  metrics->timer.data = metrics;
  uv_timer_start(&metrics->timer, on_timer, 0, INTERVAL_MS);
}

void metrics_stop(metrics_t *metrics) {
  uv_close((uv_handle_t *)&metrics->timer, NULL);
}
