/* dewey_call.h: what the tools that ask the store (Dewey) for their callers have in common. */
#ifndef GODOT_DEWEY_CALL_H
#define GODOT_DEWEY_CALL_H

#include <iccm_network.h>

/* A document with those arguments of these names, up to NULL, that were given; NULL: no memory. Any thread.
 */
yyjson_mut_doc *dewey_call_arguments(yyjson_val *args, const char *const *names);

/* Whether a status is the store's own error, of JSON-RPC. */
bool dewey_call_is_error_response(int status);

/* Ends a call that the store has refused: with its words, its data (NULL: none), and its code as far as that
 * says something to Godot's own caller. */
void dewey_call_forward_error(mcp_call_t *call, int code, yyjson_val *data, const char *message);

#endif
