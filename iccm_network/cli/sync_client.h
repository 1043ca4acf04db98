/* sync_client.h: one connection, used by one request after the other, under one deadline. */
#ifndef ICCM_CLI_SYNC_CLIENT_H
#define ICCM_CLI_SYNC_CLIENT_H

#include <uv.h>
#include <iccm_network.h>
#include "options.h"
#include "print.h"

typedef struct sync_client {
  uv_loop_t loop;
  mcp_client_t *client;
  const options_t *options; /* borrowed */
  uint64_t deadline_ns; /* of uv_hrtime(): options->timeout_ms after the first request; 0: there was none */
  bool connected;       /* a connection came about, at least once */
  mcp_progress_cb progress_cb; /* of sync_client_call(); NULL: servers are not asked for progress */
  void *progress_arg;
} sync_client_t;

typedef void (*sync_client_cb)(sync_client_t *sync, const mcp_result_t *result, void *arg);

/* 0, or an exit code after it was reported; then there is nothing to end. */
int sync_client_open(sync_client_t *sync, const options_t *options, const print_t *out);

/* Sends a request and returns after cb was called, once. params is stolen, NULL: none. */
void sync_client_call(sync_client_t *sync, const char *tool, yyjson_mut_doc *params, sync_client_cb cb,
                      void *arg);
void sync_client_request(sync_client_t *sync, const char *method, yyjson_mut_doc *params, sync_client_cb cb,
                         void *arg);
/* max_ms: at most so long, where that is sooner than the deadline; 0: until that. */
void sync_client_list_tools(sync_client_t *sync, uint64_t max_ms, sync_client_cb cb, void *arg);

/* How far the client has come: MCP_STAGE_OPEN where a connection came about, at least once. */
mcp_stage_t sync_client_stage(const sync_client_t *sync);

/* For commands that go on: the deadline of what comes next begins with that. And waiting meanwhile, the
 * connection being served; uv_stop() ends that early. */
void sync_client_reset_deadline(sync_client_t *sync);
void sync_client_sleep(sync_client_t *sync, uint64_t ms);

/* Closes the connection and returns code; ends the process when that takes longer than SYNC_CLIENT_CLOSE_MS.
 */
int sync_client_close(sync_client_t *sync, int code);

/* The means to that: flushes all output and ends the process with the int at timer->data. */
enum { SYNC_CLIENT_CLOSE_MS = 1000 };
void sync_client_on_close_timeout(uv_timer_t *timer);

/* A client that takes messages as large as existing servers send, and fails at once when the server is away.
 */
mcp_client_t *sync_client_new_client(uv_loop_t *loop, const options_t *options);

#endif
