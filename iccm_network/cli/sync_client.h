/* sync_client.h: one connection, used by one request after the other, under one deadline. */
#ifndef ICCM_CLI_SYNC_CLIENT_H
#define ICCM_CLI_SYNC_CLIENT_H

#include <uv.h>
#include "cli.h"

typedef struct session {
  uv_loop_t loop;
  mcp_client_t *client;
  const options_t *options; /* borrowed */
  uint64_t deadline_ns;     /* of uv_hrtime(): options->timeout_ms after the first request; 0: there was none */
  bool connected;           /* a connection came about, at least once */
} session_t;

typedef void (*session_cb)(session_t *session, const mcp_result_t *result, void *arg);

/* 0, or an exit code after it was reported; then there is nothing to end. */
int session_begin(session_t *session, const options_t *options, const print_t *out);

/* Sends a request and returns after cb was called, once. params is stolen, NULL: none. */
void session_call(session_t *session, const char *tool, yyjson_mut_doc *params, session_cb cb, void *arg);
void session_request(session_t *session, const char *method, yyjson_mut_doc *params, session_cb cb,
                     void *arg);
/* max_ms: at most so long, where that is sooner than the deadline; 0: until that. */
void session_list_tools(session_t *session, uint64_t max_ms, session_cb cb, void *arg);

/* How far the session has come: MCP_STAGE_OPEN where a connection came about, at least once. */
mcp_stage_t session_reached(const session_t *session);

/* For commands that go on: the deadline of what comes next begins with that. And waiting meanwhile, the connection
 * being served; uv_stop() ends that early. */
void session_renew(session_t *session);
void session_pause(session_t *session, uint64_t ms);

/* Closes the connection and returns code; ends the process when that takes longer than SESSION_END_MS. */
int session_end(session_t *session, int code);

/* The means to that: flushes all output and ends the process with the int at timer->data. */
enum { SESSION_END_MS = 1000 };
void session_on_overdue(uv_timer_t *timer);

/* A client that takes messages as large as existing servers send, and fails at once when the server is away.
 */
mcp_client_t *session_client(uv_loop_t *loop, const options_t *options);

#endif
