/* context_tools.h: Dewey's tools for startup contexts: texts that a session may begin with, one of which
 * may be active. */
#ifndef DEWEY_CONTEXT_TOOLS_H
#define DEWEY_CONTEXT_TOOLS_H

#include "tools.h"

enum { CONTEXT_TOOLS = 4 };

/* Writes its part of the table of tools, with dewey as their arg. */
void context_tools(dewey_t *dewey, mcp_tool_t tools[CONTEXT_TOOLS]);

#endif
