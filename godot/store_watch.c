/* store_watch.c: see store_watch.h.
 *
 * Happy path: the store reports once a second that it is ready. Failure modes: it reports why it is not
 * ready, or does not respond: the dependency is set to that reason. The state of the connection is reported
 * elsewhere (server.c). A store without the tool dewey_ready counts as ready. */
#include "store_watch.h"

enum { INTERVAL_MS = 1000, TIMEOUT_MS = 5000 };

static void on_answer(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  store_watch_t *watch = arg;
  (void)client;
  watch->in_flight = false;
  if (result->is_error || result->status == MCP_TOOL_ERROR)
    mcp_server_set_dependency(watch->server, "dewey", result->message);
  else if (result->status == MCP_ETIMEOUT)
    mcp_server_set_dependency(watch->server, "dewey", "the log store does not answer");
  else if (result->status == 0 || result->status == MCP_METHOD_NOT_FOUND ||
           result->status == MCP_INVALID_PARAMS)
    mcp_server_set_dependency(watch->server, "dewey", NULL);
}

static void on_timer(uv_timer_t *timer) {
  store_watch_t *watch = timer->data;
  if (!watch->in_flight)
    watch->in_flight =
        mcp_client_call(watch->store, "dewey_ready", NULL, &(mcp_call_options_t){.timeout_ms = TIMEOUT_MS},
                        on_answer, watch) == 0;
}

void store_watch_start(store_watch_t *watch, uv_loop_t *loop, mcp_server_t *server, mcp_client_t *store) {
  watch->server = server;
  watch->store = store;
  uv_timer_init(loop, &watch->timer);
  watch->timer.data = watch;
  uv_timer_start(&watch->timer, on_timer, INTERVAL_MS, INTERVAL_MS);
}

void store_watch_stop(store_watch_t *watch) {
  uv_close((uv_handle_t *)&watch->timer, NULL);
}
