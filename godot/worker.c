/* worker.c: main of godot-worker, which moves log entries from Redis to the log store.
 *
 * Happy path: connect to both in the background, deliver batches; once a second enforce the queue's bounds
 * and queue a drop report; on SIGTERM release the leases and exit with 0. Failure modes: an invalid setting
 * ends the program at the start with one line; while Redis or the store is unavailable, the worker
 * reconnects. */
#include "config.h"
#include "delivery.h"
#include "entry.h"
#include "redis_queue.h"

#include <iccm_network.h>
#include <iccm_service.h>
#include <stdlib.h>
#include <uv.h>

enum { TRIM_MS = 1000 };

typedef struct worker {
  uv_loop_t loop;
  config_t config;
  queue_t *queue;
  delivery_t *delivery;
  uv_timer_t trim_timer;
  bool redis_loss_logged; /* its unavailability was logged */
  char spool_dir[4096];
} worker_t;

static void on_reported(int status, void *arg) {
  (void)status; /* unreported drops are found at the next trim */
  (void)arg;
}

static void trim(worker_t *worker);

static void on_trimmed(int status, const queue_drops_t *drops, void *arg) {
  worker_t *worker = arg;
  mcp_text_t report;
  char *text;
  if (status == 0)
    delivery_set_fill(worker->delivery, drops->fill_percent);
  if (status == 0 && drops->has_more)
    trim(worker);
  if (status != 0 || drops->count == 0 || !drops->has_room)
    return;
  text = entry_drop_report(drops->count, drops->first_us, drops->last_us, &report.len);
  if (text == NULL)
    return;
  report.ptr = text;
  queue_report_drops(worker->queue, drops, report, on_reported, NULL);
  free(text);
}

static void trim(worker_t *worker) {
  queue_trim(worker->queue, delivery_spooled_bytes(worker->delivery), on_trimmed, worker);
}

static void on_trim_timer(uv_timer_t *timer) {
  trim(timer->data);
}

static void on_redis(const char *reason, void *arg) {
  worker_t *worker = arg;
  if (reason == NULL) {
    mcp_log(MCP_LOG_INFO, "worker", "connected to Redis");
    worker->redis_loss_logged = false;
    delivery_redis_up(worker->delivery);
  } else if (!worker->redis_loss_logged) {
    mcp_log(MCP_LOG_WARN, "worker", "%s", reason);
    worker->redis_loss_logged = true;
  }
}

static void on_queue_closed(void *arg) {
  worker_t *worker = arg;
  delivery_free(worker->delivery);
}

static void on_delivery_stopped(void *arg) {
  worker_t *worker = arg;
  queue_close(worker->queue, on_queue_closed, worker);
}

static void on_stop(void *arg) {
  worker_t *worker = arg;
  mcp_log(MCP_LOG_INFO, "worker", "stopping");
  uv_close((uv_handle_t *)&worker->trim_timer, NULL);
  delivery_stop(worker->delivery, on_delivery_stopped, worker);
}

static void log_endpoints(const config_t *config) {
  char queue[MCP_SHOWN_SIZE], host[MCP_SHOWN_SIZE], dewey[MCP_SHOWN_SIZE];
  mcp_redact_setting("LOG_QUEUE_NAME", config->queue_name, queue);
  mcp_redact_setting("REDIS_HOST", config->redis_host, host);
  mcp_redact_setting("DEWEY_MCP_URL", config->dewey_url, dewey);
  mcp_log(MCP_LOG_INFO, "worker", "%s: moves entries from %s on %s:%d to %s", config->worker_name, queue,
          host, config->redis_port, dewey);
}

static int start(worker_t *worker) {
  if (config_read(&worker->config) != 0 || uv_loop_init(&worker->loop) != 0)
    return 1;
  worker->config.spool_dir = worker->spool_dir;
  if (worker->config.spool_max_bytes > 0 &&
      mcp_env_data_path("GODOT_SPOOL_DIR", "spool", worker->spool_dir, sizeof worker->spool_dir) != 0)
    return 1;
  worker->queue = queue_new(&worker->loop, &worker->config);
  worker->delivery =
      worker->queue == NULL ? NULL : delivery_new(&worker->loop, &worker->config, worker->queue);
  if (worker->delivery == NULL) /* the error is logged */
    return 1;
  uv_timer_init(&worker->loop, &worker->trim_timer);
  worker->trim_timer.data = worker;
  uv_timer_start(&worker->trim_timer, on_trim_timer, TRIM_MS, TRIM_MS);
  if (delivery_start(worker->delivery) != 0)
    return 1;
  queue_start(worker->queue, on_redis, NULL, worker);
  log_endpoints(&worker->config);
  return 0;
}

int main(int argc, char **argv) {
  static worker_t worker;
  int status = mcp_service_command_line(argc, argv, "godot-worker", GODOT_VERSION, config_worker_help);
  if (status >= 0)
    return status;
  if (start(&worker) != 0)
    return 1;
  status = mcp_loop_run(&worker.loop, on_stop, &worker);
  uv_loop_close(&worker.loop);
  return status == 0 ? 0 : 1;
}
