/* timers.c: a list of libuv timers, created before the start and kept until the server is freed. */
#include "server/timers.h"

typedef struct mcp__timer {
  uv_timer_t handle; /* its data is the server */
  struct mcp__timer *next;
  mcp_server_t *server;
  uint64_t interval_ms;
  mcp_server_cb cb;
  void *arg;
} server_timer_t;

int mcp__timers_add(mcp__timers_t *timers, mcp_server_t *server, uint64_t interval_ms, mcp_server_cb cb,
                    void *arg) {
  if (interval_ms == 0)
    return UV_EINVAL;
  if (timers->count >= MCP__TIMERS_MAX)
    return MCP_ELIMIT;
  server_timer_t *timer = mcp__calloc(sizeof *timer);
  if (timer == NULL)
    return UV_ENOMEM;
  timer->server = server;
  timer->interval_ms = interval_ms;
  timer->cb = cb;
  timer->arg = arg;
  timer->next = timers->first;
  timers->first = timer;
  timers->count++;
  return 0;
}

static void on_timer(uv_timer_t *handle) {
  server_timer_t *timer = (server_timer_t *)(void *)handle;
  timer->cb(timer->server, timer->arg);
}

void mcp__timers_start(mcp__timers_t *timers, uv_loop_t *loop) {
  for (server_timer_t *timer = timers->first; timer != NULL; timer = timer->next) {
    uv_timer_init(loop, &timer->handle);
    timer->handle.data = timer->server;
    uv_timer_start(&timer->handle, on_timer, timer->interval_ms, timer->interval_ms);
  }
  timers->open = timers->count;
}

void mcp__timers_stop(mcp__timers_t *timers) {
  for (server_timer_t *timer = timers->first; timer != NULL && timers->open > 0; timer = timer->next)
    uv_timer_stop(&timer->handle);
}

int mcp__timers_close(mcp__timers_t *timers, uv_close_cb cb) {
  int closed = timers->open;
  for (server_timer_t *timer = timers->first; timer != NULL && closed > 0; timer = timer->next)
    uv_close((uv_handle_t *)&timer->handle, cb);
  timers->open = 0;
  return closed;
}

void mcp__timers_free(mcp__timers_t *timers) {
  for (server_timer_t *timer = timers->first, *next; timer != NULL; timer = next) {
    next = timer->next;
    mcp__free(timer);
  }
}
