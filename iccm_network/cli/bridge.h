/* bridge.h: the parts of `iccm bridge`: bridge.c has its life, bridge_host.c what the host says,
 * bridge_server.c what the server does, bridge_errors.c what the bridge says itself. */
#ifndef ICCM_CLI_BRIDGE_H
#define ICCM_CLI_BRIDGE_H

#include <iccm_network.h>
#include "client/client.h"
#include "options.h"
#include "stdio_transport.h"
#include "bridge_pending.h"

#include <iccm_service.h>

enum {
  BRIDGE_MAX_MESSAGE = 16 << 20, /* of either side */
  BRIDGE_MAX_PENDING = 1024,     /* messages of the host, and requests of the server */
  BRIDGE_MAX_PENDING_BYTES = 16 << 20,
  BRIDGE_MAX_BACKLOG = 1 << 20,         /* of one side, before the other is not read from */
  BRIDGE_MAX_RESPONSE_BYTES = 32 << 20, /* that the host does not take, before it is not read from: its end is
                             to be seen; and of refusals that the server does not take */
  BRIDGE_MAX_ID = 1024,
  BRIDGE_MAX_TRACE = 128,
  BRIDGE_CLOSE_MS = 3000,
  BRIDGE_RECONNECT_MS = 1000, /* between attempts to connect while something waits */
  BRIDGE_ERROR_SIZE = 512,
  BRIDGE_LOG_SIZE = 1024, /* less than a pipe takes at once */
  BRIDGE_SIGNALS = 2
};

/* Why the bridge answers instead of the server: what programs read, and what people can do. */
typedef struct bridge_cause {
  const char *name, *to_do;
} bridge_cause_t;

extern const bridge_cause_t bridge_cause_away, bridge_cause_refused, bridge_cause_lost, bridge_cause_timeout,
    bridge_cause_full, bridge_cause_ended;

typedef struct bridge {
  const options_t *options;
  char url[MCP_SHOWN_SIZE]; /* of options, as it may be shown */
  uv_loop_t loop;
  uv_prepare_t prepare; /* looks at everything before the loop waits */
  uv_timer_t timer;     /* of the oldest deadline; once closing, of BRIDGE_CLOSE_MS */
  uv_signal_t signals[BRIDGE_SIGNALS];
  mcp_client_t *client;
  stdio_transport_t stdio;
  bridge_pending_list_t host_requests;   /* by the host */
  bridge_pending_list_t server_requests; /* by the server, of the host, over this connection */
  char *initialize_params;               /* params of initialize; NULL: the host has said none yet */
  char *next_initialize_params;          /* of one behind that, before there was a connection; NULL: none */
  char trace[BRIDGE_MAX_TRACE + 1];
  mcp__buf_t parse_buf;                  /* of the message being taken apart … */
  mcp__arena_t arena;                    /* … and its values */
  char connect_error[BRIDGE_ERROR_SIZE]; /* why there is no connection, as it was last told */
  bool connected, started, forward_initialized;  /* the last: the host said hello over a connection that had one */
  bool input_ended, closing;
  int open_parts; /* client and stdio: not closed yet */
  int code;
} bridge_t;

/* A line on standard error, unless that is full: who does not read it must not keep the bridge. */
void bridge_log(const char *format, ...) MCP_PRINTF(1, 2);

static inline bool bridge_is_sent(const bridge_pending_t *pending) {
  return pending->text == NULL;
}

mcp__buf_t bridge_new_buf(void); /* empty, without a limit */

/* To the host; text is stolen. status: of writing it; ends the program where there was no memory for that. */
void bridge_write(bridge_t *bridge, mcp__buf_t *text, int status);
void bridge_respond_error(bridge_t *bridge, const char *id, size_t id_len, int code, const char *problem);
void bridge_respond_cause(bridge_t *bridge, const char *id, size_t id_len, const bridge_cause_t *cause,
                          const char *problem);
/* Answers a request of the host in the server's stead, for good; a notification is dropped. */
void bridge_fail_request(bridge_t *bridge, bridge_pending_t *pending, const bridge_cause_t *cause,
                         const char *format, ...) MCP_PRINTF(4, 5);

/* The message in values, which stay until the next one's; text stays as it is. */
void bridge_parse(bridge_t *bridge, const char *text, size_t len, mcp__message_t *message);

void bridge_on_host_line(const char *text, size_t len, void *arg); /* stdio_transport's events */
void bridge_on_host_line_too_long(void *arg);
void bridge_on_host_eof(int status, void *arg);
void bridge_use_next_initialize(bridge_t *bridge); /* the one before it is said */
void bridge_send_pending(bridge_t *bridge);        /* what waits for the connection that is there now */

void bridge_on_initialize_response(const mcp__message_t *answer, void *arg); /* the client's events */
void bridge_on_server_message(const char *text, size_t len, void *arg);
void bridge_on_connection_state(mcp_client_t *client, int status, const char *reason, void *arg);
void bridge_time_out_request(bridge_t *bridge, bridge_pending_t *pending); /* its deadline has passed */

#endif
