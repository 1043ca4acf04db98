/* stdio_link.h: a link to a program that is started for it, over its standard input and output. */
#ifndef MCP_STDIO_LINK_H
#define MCP_STDIO_LINK_H

#include "client/link.h"

/* argv: the program, its arguments, NULL; borrowed during its life. NULL: out of memory or of descriptors; no
 * callback is called. */
mcp__link_t *mcp__stdio_link_new(uv_loop_t *loop, char **argv, const mcp__link_config_t *config,
                                 const mcp__link_events_t *events, void *arg);

#endif
