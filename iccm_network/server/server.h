/* server.h: a server, its settings and its states. */
#ifndef MCP_SERVER_H
#define MCP_SERVER_H

#include "server/conn.h"
#include "server/listener.h"
#include "server/reload.h"
#include "server/stdio_conn.h"
#include "server/timers.h"

typedef enum mcp__server_state {
  MCP__SERVER_IDLE,
  MCP__SERVER_RUNNING,
  MCP__SERVER_STOPPING, /* calls end, then connections */
  MCP__SERVER_CLOSING   /* connections are closed; handles and the log follow */
} mcp__server_state_t;

struct mcp_server {
  mcp__server_state_t state;
  char *name, *version;
  mcp__buf_t result_members; /* see mcp__server_info_t */
  int port;
  bool stdio_enabled;    /* serves standard input and output instead of the port */
  bool without_listener; /* started by mcp_server_test_call(), without a port */
  mcp__tools_t tools;
  mcp__readiness_t readiness;
  mcp__metrics_t *metrics; /* metrics of the component */
  /* settings; those of conns, too */
  size_t max_message, max_memory;
  uint64_t call_timeout_ms, shutdown_timeout_ms;
  char *log_url; /* NULL: nothing is shipped; "": the default */
  mcp__timers_t timers;
  char *capability; /* experimental capability of the server; NULL: none */
  /* while started */
  uv_loop_t *loop;
  mcp__listener_t listener;
  mcp__conns_t conns;
  mcp__stdio_conn_t *stdio; /* NULL: there is none */
  mcp__service_t service;
  mcp__server_log_t log;
  uv_timer_t tick;
  mcp__reload_t reload;
  int open_handles;
  uint64_t stop_ms;
  unsigned stop_ticks; /* ticks since the stop until drained */
  bool drained;        /* requests that arrived before the stop have been read */
  mcp_server_cb on_stopped;
  void *on_stopped_arg;
};

/* Reads the settings from environment variables. Returns 0; MCP_EENV, already logged; or another error with
 * mcp_last_error(). */
int mcp__server_read_environment(mcp_server_t *server);
/* Frees the memory of the settings. */
void mcp__server_free_settings(mcp_server_t *server);
static inline bool mcp__server_is_started(const mcp_server_t *server) {
  return server->state != MCP__SERVER_IDLE;
}

/* Opens the parts of a server except listeners and log. Returns 0 or UV_ENOMEM. */
int mcp__server_open(mcp_server_t *server, uv_loop_t *loop);
/* Like mcp_server_start(), without a port, timers, and log lines about the server itself. */
int mcp__server_start_without_listener(mcp_server_t *server, uv_loop_t *loop);

#endif
