/* conversation_tools.h: Dewey's tools for conversations. */
#ifndef DEWEY_CONVERSATION_TOOLS_H
#define DEWEY_CONVERSATION_TOOLS_H

#include "tools.h"

enum { CONVERSATION_TOOLS = 5 };

/* Writes their part of the table, with dewey as their arg. */
void conversation_tools(dewey_t *dewey, mcp_tool_t tools[CONVERSATION_TOOLS]);

#endif
