/* server.c: main of godot-server: queues log entries, and forwards queries to the store.
 *
 * Happy path: listen at once, connect to Redis and to the store in the background, serve; on SIGTERM accept
 * no new calls, answer those in progress, exit with 0. Failure modes: an invalid setting or a port in use
 * ends the program at the start with one line; while Redis or the store is unavailable, the server
 * reconnects, /readyz names it, and the tools return errors. */
#include "config.h"
#include "conversations.h"
#include "dead_letters.h"
#include "metrics.h"
#include "redis_queue.h"
#include "store_watch.h"
#include "log_tools.h"

#include <iccm_network.h>
#include <iccm_service.h>
#include <uv.h>

typedef struct godot {
  uv_loop_t loop;
  config_t config;
  log_tools_t tools;
  conversations_t conversations;
  metrics_t metrics;
  store_watch_t watch;
  dead_letters_t dead_letters;
  mcp_server_t *server;
  int open_parts; /* while stopping: queue and store that are not closed yet */
} godot_t;

/* Whether Redis is connected, and accepts writes. The server logs changes. */
static void on_redis(const char *reason, void *arg) {
  godot_t *godot = arg;
  mcp_server_set_dependency(godot->server, "redis", reason);
}

static void on_store(mcp_client_t *client, int status, const char *reason, void *arg) {
  godot_t *godot = arg;
  (void)client;
  atomic_store(&godot->conversations.store_is_up, status == 0);
  mcp_server_set_dependency(godot->server, "dewey", status == 0 ? NULL : reason);
}

static void on_levels(void *arg) {
  godot_t *godot = arg;
  mcp_server_notify(godot->server);
}

/* Closing store and queue ends the calls that wait for them. sync_store is not freed: a blocking handler that
 * the stop did not wait for may still use it. */
static void release(godot_t *godot) {
  if (--godot->open_parts > 0)
    return;
  mcp_client_free(godot->tools.store);
  mcp_server_free(godot->server);
}

static void on_store_closed(mcp_client_t *client, void *arg) {
  (void)client;
  release(arg);
}

static void on_queue_closed(void *arg) {
  release(arg);
}

/* Every call was answered, or the deadline of the stop has passed. */
static void on_server_stopped(mcp_server_t *server, void *arg) {
  godot_t *godot = arg;
  (void)server;
  godot->open_parts = 2;
  log_tools_close(&godot->tools);
  metrics_stop(&godot->metrics);
  store_watch_stop(&godot->watch);
  queue_close(godot->tools.queue, on_queue_closed, godot);
  if (mcp_client_close(godot->tools.store, on_store_closed, godot) != 0)
    release(godot);
}

static void on_stop(void *arg) {
  godot_t *godot = arg;
  mcp_server_stop(godot->server, on_server_stopped, godot);
}

/* Adds the tools in the order of tools/list. */
static int add_tools(godot_t *godot) {
  const config_t *config = &godot->config;
  int status = log_tools_start(&godot->tools, &godot->loop, godot->server);
  godot->conversations.store = godot->tools.store;
  godot->conversations.sync_store = mcp_sync_client_new(config->dewey_url);
  godot->conversations.import_paths = config->import_paths;
  godot->conversations.max_message_bytes = config->max_message_bytes;
  if (godot->conversations.sync_store == NULL)
    status = UV_ENOMEM; /* the address is valid, since mcp_client_new() accepted it */
  if (status == 0)
    status = conversations_add_tools(&godot->conversations, godot->server);
  if (status == 0)
    status = dead_letters_add_tools(&godot->dead_letters, godot->server, godot->tools.queue);
  return status;
}

static int create(godot_t *godot) {
  static const mcp_tool_t none[] = {MCP_TOOL_END};
  const config_t *config = &godot->config;
  godot->tools.queue = queue_new(&godot->loop, config);
  godot->tools.store = mcp_client_new(&godot->loop, config->dewey_url);
  godot->server = mcp_server_new("godot", GODOT_VERSION, config->port, none);
  if (godot->tools.queue == NULL || godot->tools.store == NULL || godot->server == NULL)
    return 1;
  if (add_tools(godot) != 0)
    return 1;
  metrics_start(&godot->metrics, &godot->loop, godot->server, godot->tools.queue);
  store_watch_start(&godot->watch, &godot->loop, godot->server, godot->tools.store);
  mcp_client_set_fail_fast(godot->tools.store, true);
  mcp_client_set_max_message_bytes(godot->tools.store, config->max_message_bytes);
  mcp_client_on_state(godot->tools.store, on_store, godot);
  mcp_server_set_max_message_bytes(godot->server, config->max_message_bytes);
  mcp_server_set_log_url(godot->server,
                         NULL); /* it must not log to itself: each log line would cause others */
  mcp_server_set_experimental_capability(godot->server, "iccm/log_level", log_tools_level_notification,
                                         &godot->tools);
  mcp_server_set_dependency(godot->server, "redis", "not connected yet");
  mcp_server_set_dependency(godot->server, "dewey", "not connected yet");
  return 0;
}

static int start(godot_t *godot) {
  if (config_read(&godot->config) != 0 || uv_loop_init(&godot->loop) != 0 || create(godot) != 0)
    return 1;
  if (mcp_server_start(godot->server, &godot->loop) != 0) /* the error is logged */
    return 1;
  mcp_server_reload_tls_on_sighup(godot->server); /* an error is logged */
  queue_on_refusal(godot->tools.queue, on_redis);
  queue_start(godot->tools.queue, on_redis, on_levels, godot);
  mcp_client_connect(godot->tools.store);
  return 0;
}

int main(int argc, char **argv) {
  static godot_t godot;
  int status = mcp_service_command_line(argc, argv, "godot-server", GODOT_VERSION, config_server_help);
  if (status >= 0)
    return status;
  if (start(&godot) != 0)
    return 1;
  status = mcp_loop_run(&godot.loop, on_stop, &godot);
  uv_loop_close(&godot.loop);
  return status == 0 ? 0 : 1;
}
