/* listener.h: the sockets that a server listens on: 0.0.0.0 and, where there is IPv6, [::]. */
#ifndef MCP_LISTENER_H
#define MCP_LISTENER_H

#include "base/mem.h"

#include <uv.h>

typedef struct mcp__listener {
  uv_loop_t *loop;
  const char *component; /* for the log; borrowed */
  bool reuseport;        /* other servers of the same user may listen on the port, too */
  /* A connection came. 0, or why it could not be accepted: then accepting pauses. */
  int (*on_connection)(uv_stream_t *socket, void *arg);
  void *arg;
  uv_tcp_t *sockets[2]; /* NULL: not listening */
  bool paused;          /* accepting failed: the sockets are closed until mcp__listener_resume() */
} mcp__listener_t;

/* *port 0: picks one, and writes it there. The members up to arg are set. 0, or libuv's code. */
int mcp__listener_open(mcp__listener_t *listener, int *port);
void mcp__listener_close(mcp__listener_t *listener); /* again is fine */
/* Listens again where it paused; whether it now does. */
bool mcp__listener_resume(mcp__listener_t *listener, int port);

#endif
