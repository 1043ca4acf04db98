/* dewey_call.h: shared by the tools that call the store (Dewey) for their callers. */
#ifndef GODOT_DEWEY_CALL_H
#define GODOT_DEWEY_CALL_H

#include <iccm_network.h>

/* Returns a document with those arguments that have one of the names (NULL-terminated) and are not null.
 * Returns NULL if out of memory. Any thread. */
yyjson_mut_doc *dewey_call_arguments(yyjson_val *args, const char *const *names);

/* Whether a status is a JSON-RPC error that the store returned. */
bool dewey_call_is_error_response(int status);

/* Ends a call with the store's error: its message and its data (may be NULL). The code is the store's if it
 * concerns Godot's own caller, else MCP_TOOL_ERROR. */
void dewey_call_forward_error(mcp_call_t *call, int code, yyjson_val *data, const char *message);

#endif
