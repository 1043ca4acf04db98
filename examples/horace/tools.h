/* tools.h: Horace's tools. */
#ifndef HORACE_TOOLS_H
#define HORACE_TOOLS_H

#include "horace.h"

enum { HORACE_TOOLS = 7 };

/* The table of tools, with horace as their arg, ended by MCP_TOOL_END. */
void horace_tools(horace_t *horace, mcp_tool_t tools[HORACE_TOOLS + 1]);

#endif
