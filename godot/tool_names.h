/* tool_names.h: gives tools two names: the current one, and the older godot_…, which is not listed. */
#ifndef GODOT_TOOL_NAMES_H
#define GODOT_TOOL_NAMES_H

#include <iccm_network.h>
#include <stddef.h>

/* Adds each tool of the table under both names, with this arg. Returns nonzero if out of memory; the error is
 * logged. */
int tool_names_add(mcp_server_t *server, const mcp_tool_t *table, size_t count, void *arg);

#endif
