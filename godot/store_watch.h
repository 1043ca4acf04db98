/* store_watch.h: checks once a second whether the store works; sets the server's dependency "dewey". */
#ifndef GODOT_STORE_WATCH_H
#define GODOT_STORE_WATCH_H

#include <iccm_network.h>
#include <uv.h>

typedef struct store_watch {
  uv_timer_t timer;
  mcp_server_t *server;
  mcp_client_t *store;
  bool in_flight; /* a check has no response yet */
} store_watch_t;

/* Starts the checks. Server and client are borrowed. */
void store_watch_start(store_watch_t *watch, uv_loop_t *loop, mcp_server_t *server, mcp_client_t *store);
void store_watch_stop(store_watch_t *watch);

#endif
