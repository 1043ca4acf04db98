/* timers.h: callbacks of a component that run now and then while its server does. */
#ifndef MCP_TIMERS_H
#define MCP_TIMERS_H

#include "base/mem.h"

#include <uv.h>

enum { MCP__TIMERS_MAX = 64 };

typedef struct mcp__timers {
  struct mcp__timer *first;
  int count;
  int open; /* handles on a loop: all, from start to close */
} mcp__timers_t;

/* For the next start. 0; MCP_ELIMIT; UV_EINVAL: interval_ms is 0; UV_ENOMEM. */
int mcp__timers_add(mcp__timers_t *timers, mcp_server_t *server, uint64_t interval_ms, mcp_server_cb cb,
                    void *arg);
void mcp__timers_start(mcp__timers_t *timers, uv_loop_t *loop);
void mcp__timers_stop(mcp__timers_t *timers); /* again is fine */
/* cb: once for each that was started; its data is the server. How many these are. */
int mcp__timers_close(mcp__timers_t *timers, uv_close_cb cb);
void mcp__timers_free(mcp__timers_t *timers);

#endif
