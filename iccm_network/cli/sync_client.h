/* sync_client.h: blocking requests over one connection, with one deadline for all of them. */
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
  uint64_t deadline_ns; /* in uv_hrtime(): options->timeout_ms after the first request; 0: no request yet */
  bool connected;       /* was connected at least once */
  mcp_progress_cb progress_cb; /* for sync_client_call(); NULL: no progress requested */
  void *progress_arg;
} sync_client_t;

typedef void (*sync_client_cb)(sync_client_t *sync, const mcp_result_t *result, void *arg);

/* Returns 0, or an exit code after reporting an error; then there is nothing to close. */
int sync_client_open(sync_client_t *sync, const options_t *options, const print_t *out);

/* Sends a request and returns after cb was called exactly once. Takes ownership of params; NULL: none. */
void sync_client_call(sync_client_t *sync, const char *tool, yyjson_mut_doc *params, sync_client_cb cb,
                      void *arg);
void sync_client_request(sync_client_t *sync, const char *method, yyjson_mut_doc *params, sync_client_cb cb,
                         void *arg);
/* max_ms: an additional time limit; 0: only the deadline. */
void sync_client_list_tools(sync_client_t *sync, uint64_t max_ms, sync_client_cb cb, void *arg);

/* The stage that the client has reached: MCP_STAGE_OPEN if it was connected at least once. */
mcp_stage_t sync_client_stage(const sync_client_t *sync);

/* For commands that keep running. sync_client_reset_deadline: the next request starts a new deadline.
 * sync_client_sleep: waits while the connection is served; uv_stop() ends it early. */
void sync_client_reset_deadline(sync_client_t *sync);
void sync_client_sleep(sync_client_t *sync, uint64_t ms);

/* Closes the connection and returns code. Ends the process if closing takes longer than
 * sync_client_close_ms(). */
int sync_client_close(sync_client_t *sync, int code);

/* Timer callback for that limit: flushes all output and ends the process with the int at timer->data. */
uint64_t sync_client_close_ms(const options_t *options);
void sync_client_on_close_timeout(uv_timer_t *timer);

/* Connects, sends initialize and closes the connection. name receives the server's name. It does not change
 * if the server is unavailable, or gives no name that is printable and fits. Returns 0, or an exit code after
 * reporting an invalid URL. */
enum { SYNC_CLIENT_NAME_SIZE = 257 };
int sync_client_server_name(const options_t *options, const print_t *out, char name[SYNC_CLIENT_NAME_SIZE]);

/* A client that accepts messages of up to 200 MiB and fails at once if the server is unavailable. */
mcp_client_t *sync_client_new_client(uv_loop_t *loop, const options_t *options);

#endif
