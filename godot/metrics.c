/* metrics.c: see the header. Happy path: one script a second. Failure modes: Redis away: the metrics stay as
 * they were, and /readyz says why; a Redis that has lost its data begins again, the counters go on from where
 * they are.
 */
#include "metrics.h"

enum { INTERVAL_MS = 1000 };

static const struct {
  int type;
  const char *name, *help;
  double unit;
} table[QUEUE_METRICS] = {
    {MCP_GAUGE, "godot_queued_entries", "Entries in the queue that no worker holds.", 1},
    {MCP_GAUGE, "godot_leased_entries", "Entries that a worker holds.", 1},
    {MCP_GAUGE, "godot_queue_bytes", "Memory of both in Redis.", 1},
    {MCP_GAUGE, "godot_spooled_bytes", "Bytes on the disks of workers.", 1},
    {MCP_GAUGE, "godot_dead_letters", "Dead letters that are kept.", 1},
    {MCP_COUNTER, "godot_dropped_total", "Entries dropped by overflow.", 1},
    {MCP_COUNTER, "godot_stored_total", "Entries that the log store has confirmed.", 1},
    {MCP_COUNTER, "godot_retried_total", "Batches that were sent once more.", 1},
    {MCP_COUNTER, "godot_dead_total", "Entries that became dead letters.", 1},
    {MCP_COUNTER, "godot_batches_total", "Batches that workers are done with.", 1},
    {MCP_COUNTER, "godot_batch_seconds_total", "Time of these from the first claim to the end.", 1e-6},
    {MCP_COUNTER, "godot_redacted_total", "Members of entries whose values were redacted.",
     1}, /* by workers; tools.c adds the server's own */
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
