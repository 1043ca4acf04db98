/* conversation_tools.h: Dewey's tools for conversations. */
#ifndef DEWEY_CONVERSATION_TOOLS_H
#define DEWEY_CONVERSATION_TOOLS_H

#include "tool_args.h"
#include "tools.h"

enum { CONVERSATION_TOOLS = 7 };

/* Writes its part of the table of tools, with dewey as their arg. */
void conversation_tools(dewey_t *dewey, mcp_tool_t tools[CONVERSATION_TOOLS]);

/* Arguments. Each returns false after failing the call. */
bool conversation_id_arg(mcp_call_t *call, yyjson_val *args, char id[MCP_UUID_SIZE]);
/* The arguments of a new conversation. *block, initially NULL, holds the metadata; free it also after a
 * failure. */
bool new_conversation_args(mcp_call_t *call, yyjson_val *args, conversation_t *out, char **block);

#endif
