/* listener.h: the listening sockets of a server: 0.0.0.0 and, if IPv6 is available, [::]. */
#ifndef MCP_LISTENER_H
#define MCP_LISTENER_H

#include "base/mem.h"

#include <uv.h>

typedef struct mcp__listener {
  uv_loop_t *loop;
  const char *component; /* for the log; borrowed */
  bool reuseport;        /* sets SO_REUSEPORT: servers of the same user may share the port */
  /* A connection is pending. Returns 0, or an error: then the listener pauses. */
  int (*on_connection)(uv_stream_t *socket, void *arg);
  void *arg;
  uv_tcp_t *sockets[2]; /* NULL: not listening */
  bool paused;          /* accepting failed: sockets are closed until mcp__listener_resume() */
} mcp__listener_t;

/* *port 0: picks a port and stores it. Set the members up to arg first. Returns 0 or a libuv error. */
int mcp__listener_open(mcp__listener_t *listener, int *port);
void mcp__listener_close(mcp__listener_t *listener); /* idempotent */
/* Listens again if paused. Returns whether it listens now. */
bool mcp__listener_resume(mcp__listener_t *listener, int port);

#endif
