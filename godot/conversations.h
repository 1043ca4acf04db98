/* conversations.h: the tools conversation_begin, conversation_store_message and
 * conversation_store_messages_bulk, with tools_t as their arg. */
#ifndef GODOT_CONVERSATIONS_H
#define GODOT_CONVERSATIONS_H

#include <iccm_network.h>

extern const char conversation_begin_schema[], conversation_store_message_schema[];
void conversation_begin(mcp_call_t *call, yyjson_val *args, void *arg);
void conversation_store_message(mcp_call_t *call, yyjson_val *args, void *arg);

extern const char conversation_store_messages_bulk_schema[];
void conversation_store_messages_bulk(mcp_call_t *call, yyjson_val *args, void *arg); /* blocks */

#endif
