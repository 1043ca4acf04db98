/* conversation_tools.h: Dewey's tools for conversations. */
#ifndef DEWEY_CONVERSATION_TOOLS_H
#define DEWEY_CONVERSATION_TOOLS_H

#include "tool_args.h"
#include "tools.h"

enum { CONVERSATION_TOOLS = 7 };

/* Writes their part of the table, with dewey as their arg. */
void conversation_tools(dewey_t *dewey, mcp_tool_t tools[CONVERSATION_TOOLS]);

/* Arguments. False: the call has been ended with the reason. */
bool conversation_id_arg(mcp_call_t *call, yyjson_val *args, char id[MCP_UUID_SIZE]);
/* A new conversation; *block, NULL before, holds its metadata and is to be freed, also when it fails. */
bool new_conversation_args(mcp_call_t *call, yyjson_val *args, conversation_t *out, char **block);

#endif
