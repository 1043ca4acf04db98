/* timers.h: periodic callbacks of a component while its server runs. */
#ifndef MCP_TIMERS_H
#define MCP_TIMERS_H

#include "base/mem.h"

#include <uv.h>

enum { MCP__TIMERS_MAX = 64 };

typedef struct mcp__timers {
  struct mcp__timer *first;
  int count;
  int open; /* open handles: all, from start to close */
} mcp__timers_t;

/* Takes effect at the next start. Returns 0; MCP_ELIMIT; UV_EINVAL: interval_ms is 0; UV_ENOMEM. */
int mcp__timers_add(mcp__timers_t *timers, mcp_server_t *server, uint64_t interval_ms, mcp_server_cb cb,
                    void *arg);
void mcp__timers_start(mcp__timers_t *timers, uv_loop_t *loop);
void mcp__timers_stop(mcp__timers_t *timers); /* idempotent */
/* Calls cb once for each started timer, whose data is the server. Returns their number. */
int mcp__timers_close(mcp__timers_t *timers, uv_close_cb cb);
void mcp__timers_free(mcp__timers_t *timers);

#endif
