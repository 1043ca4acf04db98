/* reload.h: reads the files of a server's settings again, on request and at SIGHUP. */
#ifndef MCP_RELOAD_H
#define MCP_RELOAD_H

#include <stdbool.h>
#include <uv.h>

typedef struct mcp__reload {
  uv_signal_t sighup;
  bool watched; /* sighup is open */
} mcp__reload_t;

/* Ends what mcp_server_reload_on_sighup() has begun. cb gets the handle, whose data is the server; it is not
 * called if nothing was watched. */
void mcp__reload_unwatch(mcp__reload_t *reload, uv_close_cb cb);

#endif
