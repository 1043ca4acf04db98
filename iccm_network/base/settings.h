/* settings.h: the library's own variables of the environment, which a program may keep it from reading. */
#ifndef MCP_SETTINGS_H
#define MCP_SETTINGS_H

#include "iccm_network.h"

/* False once mcp_ignore_environment() was called. Any thread. */
bool mcp__settings_enabled(void);
/* NULL: the variable is unset or empty, or is not read. Borrowed from the environment. Any thread. */
const char *mcp__setting(const char *name);

#endif
