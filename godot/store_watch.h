/* store_watch.h: whether the store works, not only whether it is there: the server's need "dewey". */
#ifndef GODOT_STORE_WATCH_H
#define GODOT_STORE_WATCH_H

#include <iccm_network.h>
#include <uv.h>

typedef struct store_watch {
  uv_timer_t timer;
  mcp_server_t *server;
  mcp_client_t *store;
  bool in_flight;
} store_watch_t;

/* Asks the store once a second from now on. Both are borrowed. */
void store_watch_start(store_watch_t *watch, uv_loop_t *loop, mcp_server_t *server, mcp_client_t *store);
void store_watch_stop(store_watch_t *watch);

#endif
