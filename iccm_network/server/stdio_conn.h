/* stdio_conn.h: the host that a server serves on standard input and output instead of a port. It has one
 * session. */
#ifndef MCP_STDIO_CONN_H
#define MCP_STDIO_CONN_H

#include "server/conn.h"
#include "transport/stdio.h"

typedef struct mcp__stdio_conn_events {
  /* The host has closed the input, each call has ended, and the output is written; or the host cannot be
   * served. The server should stop. Called once. */
  void (*on_end)(void *arg);
  void (*on_closed)(void *arg); /* it is freed */
} mcp__stdio_conn_events_t;

typedef enum mcp__stdio_state {
  MCP__STDIO_OPEN,
  MCP__STDIO_FAILED,    /* the host cannot be served */
  MCP__STDIO_FINISHING, /* the final output is being written */
  MCP__STDIO_CLOSED
} mcp__stdio_state_t;

typedef struct mcp__stdio_conn {
  mcp__session_t session;
  mcp__conns_t *all; /* shared state of the server: memory, limits, log */
  const mcp__stdio_conn_events_t *events;
  void *arg;
  mcp__stdio_state_t state;
  mcp__peer_t peer;
  uv_prepare_t prepare; /* runs after all callbacks that produce output */
  uv_idle_t idle;       /* active while prepare has something to do, see mcp__io_t */
  size_t charged_bytes;
  mcp_call_t *deferred;  /* holds a message that waits for memory to be parsed; else NULL */
  uint64_t window;       /* number of the window of window_messages */
  int window_messages;   /* messages in that window; counted if max_messages is set */
  uint64_t finishing_ms; /* start of the state */
  uint64_t stalled_ms;   /* since when the host has not read; 0: it reads */
  size_t stalled_bytes;
  size_t largest_response;
  bool input_ended, end_reported;
  int open_parts; /* prepare, idle and stdio, until they are closed */
  mcp__stdio_t stdio;
} mcp__stdio_conn_t;

/* Takes standard input and output away from the process and serves them. all has its settings and the members
 * up to memory, whose max_messages and stopping it reads. Returns 0 or an error; then nothing needs to be
 * closed, but the loop has to run once more. */
int mcp__stdio_conn_open(mcp__stdio_conn_t **conn, mcp__conns_t *all, const mcp__stdio_conn_events_t *events,
                         void *arg);
void mcp__stdio_conn_tick(mcp__stdio_conn_t *conn, uint64_t now_ms); /* every MCP__CONN_TICK_MS */
/* Closes it if no call is in flight, or at_once. */
void mcp__stdio_conn_stop(mcp__stdio_conn_t *conn, bool at_once);
void mcp__stdio_conn_abort(mcp__stdio_conn_t *conn); /* closes it without further events */

#endif
