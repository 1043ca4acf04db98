/* bridge.h: `iccm bridge`. bridge.c: start and shutdown; bridge_host.c: messages from the host;
 * bridge_server.c: messages from the server, connection state and timeouts; bridge_errors.c: the bridge's own
 * responses and log.
 */
#ifndef ICCM_CLI_BRIDGE_H
#define ICCM_CLI_BRIDGE_H

#include <iccm_network.h>
#include "client/client.h"
#include "transport/stdio.h"
#include "options.h"
#include "bridge_pending.h"

#include <iccm_service.h>

enum {
  BRIDGE_MAX_MESSAGE = 16 << 20, /* bytes, in either direction */
  BRIDGE_MAX_PENDING = 1024,     /* messages from the host; also requests from the server */
  BRIDGE_MAX_PENDING_BYTES = 16 << 20,
  BRIDGE_MAX_BACKLOG = 1 << 20, /* unsent bytes to one side at which reading from the other stops */
  /* Unsent bytes to the host at which reading from the host stops, too; below, its end of input must be seen.
   * Also the limit of unsent rejections to the server. */
  BRIDGE_MAX_RESPONSE_BYTES = 32 << 20,
  BRIDGE_MAX_ID = 1024,
  BRIDGE_MAX_TRACE = 128,
  BRIDGE_CLOSE_MS = 3000,
  BRIDGE_RECONNECT_MS = 1000, /* between connection attempts while messages are pending */
  BRIDGE_ERROR_SIZE = 512,
  BRIDGE_LOG_SIZE = 1024, /* below PIPE_BUF, so that a line is written atomically */
  BRIDGE_SIGNALS = 2
};

/* Why the bridge responds in place of the server: a name for programs, and what the user can do. */
typedef struct bridge_cause {
  const char *name, *to_do;
} bridge_cause_t;

extern const bridge_cause_t bridge_cause_away, bridge_cause_refused, bridge_cause_lost, bridge_cause_timeout,
    bridge_cause_full, bridge_cause_ended;

typedef struct bridge {
  const options_t *options;
  char url[MCP_SHOWN_SIZE]; /* options->url with secrets redacted */
  uv_loop_t loop;
  uv_prepare_t prepare; /* updates the state before the loop waits */
  uv_timer_t timer;     /* for the oldest deadline; when closing, for BRIDGE_CLOSE_MS */
  uv_signal_t signals[BRIDGE_SIGNALS];
  mcp_client_t *client;
  mcp__stdio_t stdio;
  bridge_pending_list_t host_requests;   /* from the host, in flight or queued; also queued notifications */
  bridge_pending_list_t server_requests; /* from the server, over the current connection */
  char *initialize_params;      /* owned: sent on each connection; NULL: the host has sent none yet */
  char *next_initialize_params; /* owned: of a second initialize before the connection; NULL: none */
  char trace[BRIDGE_MAX_TRACE + 1];
  mcp__buf_t parse_buf;                  /* text of the parsed message */
  mcp__arena_t arena;                    /* values of the parsed message */
  char connect_error[BRIDGE_ERROR_SIZE]; /* the last reported connection error; "": none */
  bool connected, started;
  bool forward_initialized; /* the host has sent an initialize that was forwarded */
  bool input_ended, closing;
  int open_parts; /* of client and stdio: not yet closed */
  int code;
} bridge_t;

/* Writes a line to standard error. The line is dropped if the pipe is full, so that the bridge never blocks.
 */
void bridge_log(const char *format, ...) MCP_PRINTF(1, 2);

static inline bool bridge_is_sent(const bridge_pending_t *pending) {
  return pending->text == NULL;
}

/* An empty buffer without a limit. */
mcp__buf_t bridge_new_buf(void);

/* Sends a line to the host. */
void bridge_write_line(bridge_t *bridge, const char *text, size_t len);
/* Sends text to the host and takes ownership of it. status: of building it; nonzero (out of memory) ends the
 * program. */
void bridge_write(bridge_t *bridge, mcp__buf_t *text, int status);
void bridge_respond_error(bridge_t *bridge, const char *id, size_t id_len, int code, const char *error);
void bridge_respond_cause(bridge_t *bridge, const char *id, size_t id_len, const bridge_cause_t *cause,
                          const char *error);
/* Responds to a request of the host in place of the server and removes it; a notification is dropped. */
void bridge_fail_request(bridge_t *bridge, bridge_pending_t *pending, const bridge_cause_t *cause,
                         const char *format, ...) MCP_PRINTF(4, 5);

/* Parses text, which is not modified. The values of *message are valid until the next call. */
void bridge_parse(bridge_t *bridge, const char *text, size_t len, mcp__message_t *message);

/* Events of stdio. */
void bridge_on_host_line(mcp__buf_t *line, void *arg);
void bridge_on_host_line_discarded(int status, void *arg);
void bridge_on_host_eof(int status, void *arg);

/* Replaces initialize_params with next_initialize_params, if any. Call it when connected. */
void bridge_use_next_initialize(bridge_t *bridge);
/* Sends the queued messages over the new connection. */
void bridge_send_pending(bridge_t *bridge);

/* Events of the client. */
void bridge_on_initialize_response(const mcp__message_t *response, void *arg);
void bridge_on_discover(yyjson_val *result, void *arg);
void bridge_on_server_message(const char *text, size_t len, void *arg);
void bridge_on_connection_state(mcp_client_t *client, int status, const char *reason, void *arg);

/* Fails a request whose deadline has passed. */
void bridge_time_out_request(bridge_t *bridge, bridge_pending_t *pending);

#endif
