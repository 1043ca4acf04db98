/* settings.h: the library's environment variables, which a program may disable. */
#ifndef MCP_SETTINGS_H
#define MCP_SETTINGS_H

#include "iccm_network.h"

/* False after mcp_ignore_environment() was called. Any thread. */
bool mcp__settings_enabled(void);
/* NULL: the variable is unset or empty, or the environment is ignored. Borrowed from the environment. Any
 * thread. */
const char *mcp__setting(const char *name);

#endif
