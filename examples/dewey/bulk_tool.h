/* bulk_tool.h: the tool dewey_store_messages_bulk. */
#ifndef DEWEY_BULK_TOOL_H
#define DEWEY_BULK_TOOL_H

#include "conversation_tools.h"

extern const char bulk_schema[];
void on_bulk(mcp_call_t *call, yyjson_val *args, void *arg);

#endif
