/* server.h: a server: its settings, and its life from start to stop. */
#ifndef MCP_SERVER_H
#define MCP_SERVER_H

#include "server/conn.h"
#include "server/listener.h"
#include "server/timers.h"

typedef enum mcp__server_state {
  MCP__SERVER_IDLE,
  MCP__SERVER_RUNNING,
  MCP__SERVER_STOPPING, /* calls end, and then connections */
  MCP__SERVER_CLOSING   /* connections have gone; handles and the log follow */
} mcp__server_state_t;

struct mcp_server {
  mcp__server_state_t state;
  char *name, *version;
  int port;
  bool without_listener; /* started without a port, for one call of a test */
  mcp__tools_t tools;
  mcp__readiness_t readiness;
  mcp__metrics_t *metrics; /* those that the component made */
  /* settings; those of conns, too */
  size_t max_message, max_memory;
  uint64_t call_timeout_ms, shutdown_timeout_ms;
  char *log_url; /* NULL: nothing is shipped; "": it was not set */
  mcp__timers_t timers;
  char *capability; /* a capability that clients may ask for; NULL: none */
  /* while started */
  uv_loop_t *loop;
  mcp__listener_t listener;
  mcp__conns_t conns;
  mcp__service_t service;
  mcp__server_log_t log;
  uv_timer_t tick;
  int open_handles;
  uint64_t stop_ms;
  unsigned stop_ticks; /* so many since the stop, until … */
  bool drained;        /* … what had arrived before it has been read */
  mcp_server_cb on_stopped;
  void *on_stopped_arg;
};

/* Of the environment. 0; MCP_EENV, which is logged; else mcp_last_error() has the words. */
int mcp__server_read_environment(mcp_server_t *server);
/* Frees what the settings hold. */
void mcp__server_free_settings(mcp_server_t *server);
static inline bool mcp__server_is_started(const mcp_server_t *server) {
  return server->state != MCP__SERVER_IDLE;
}

/* The parts of a server that is being started, without listeners and log. 0 or UV_ENOMEM. */
int mcp__server_open(mcp_server_t *server, uv_loop_t *loop);
/* mcp_server_start() without a port, timers, and lines of the log about the server itself. */
int mcp__server_start_without_listener(mcp_server_t *server, uv_loop_t *loop);

#endif
