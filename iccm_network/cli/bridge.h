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
  MAX_MESSAGE = 16 << 20, /* of either side */
  MAX_WAITING = 1024,     /* messages of the host, and requests of the server */
  MAX_WAITING_BYTES = 16 << 20,
  MAX_BACKLOG = 1 << 20,  /* of one side, before the other is not read from */
  MAX_ANSWERS = 32 << 20, /* that the host does not take, before it is not read from: its end is to be seen;
                             and of refusals that the server does not take */
  MAX_ID = 1024,
  MAX_TRACE = 128,
  END_MS = 3000,
  HURRY_MS = 1000, /* between attempts to connect while something waits */
  PROBLEM_SIZE = 512,
  LOG_SIZE = 1024, /* less than a pipe takes at once */
  SIGNALS = 2
};

/* Why the bridge answers instead of the server: what programs read, and what people can do. */
typedef struct bridge_cause {
  const char *name, *to_do;
} bridge_cause_t;

extern const bridge_cause_t bridge_away, bridge_refused, bridge_lost, bridge_late, bridge_full, bridge_ended;

typedef struct bridge {
  const options_t *options;
  char url[MCP_SHOWN_SIZE]; /* of options, as it may be shown */
  uv_loop_t loop;
  uv_prepare_t prepare; /* looks at everything before the loop waits */
  uv_timer_t timer;     /* of the oldest deadline; once closing, of END_MS */
  uv_signal_t signals[SIGNALS];
  mcp_client_t *client;
  stdio_transport_t stdio;
  bridge_pending_list_t asked; /* by the host */
  bridge_pending_list_t asks;  /* by the server, of the host, over this connection */
  char *hello;                 /* params of initialize; NULL: the host has said none yet */
  char *next_hello;            /* of one behind that, before there was a connection; NULL: none */
  char trace[MAX_TRACE + 1];
  mcp__buf_t scratch;                   /* of the message being taken apart … */
  mcp__arena_t arena;                   /* … and its values */
  char problem[PROBLEM_SIZE];           /* why there is no connection, as it was last told */
  bool connected, started, hello_again; /* the last: the host said hello over a connection that had one */
  bool input_ended, closing;
  int open; /* client and stdio: not closed yet */
  int code;
} bridge_t;

/* A line on standard error, unless that is full: who does not read it must not keep the bridge. */
void bridge_say(const char *format, ...) MCP_PRINTF(1, 2);

static inline bool bridge_is_sent(const bridge_pending_t *pending) {
  return pending->text == NULL;
}

mcp__buf_t bridge_buf(void); /* empty, without a limit */

/* To the host; text is stolen. status: of writing it; ends the program where there was no memory for that. */
void bridge_tell(bridge_t *bridge, mcp__buf_t *text, int status);
void bridge_tell_error(bridge_t *bridge, const char *id, size_t id_len, int code, const char *problem);
void bridge_tell_cause(bridge_t *bridge, const char *id, size_t id_len, const bridge_cause_t *cause,
                       const char *problem);
/* Answers a request of the host in the server's stead, for good; a notification is dropped. */
void bridge_fail(bridge_t *bridge, bridge_pending_t *pending, const bridge_cause_t *cause, const char *format,
                 ...) MCP_PRINTF(4, 5);

/* The message in values, which stay until the next one's; text stays as it is. */
void bridge_take_apart(bridge_t *bridge, const char *text, size_t len, mcp__message_t *message);

void bridge_on_line(const char *text, size_t len, void *arg); /* stdio_transport's events */
void bridge_on_long(void *arg);
void bridge_on_input_end(int status, void *arg);
void bridge_take_next_hello(bridge_t *bridge); /* the one before it is said */
void bridge_send_pending(bridge_t *bridge);    /* what waits for the connection that is there now */

void bridge_on_hello(const mcp__message_t *answer, void *arg); /* the client's events */
void bridge_on_text(const char *text, size_t len, void *arg);
void bridge_on_state(mcp_client_t *client, int status, const char *reason, void *arg);
void bridge_expire(bridge_t *bridge, bridge_pending_t *pending); /* its deadline has passed */

#endif
