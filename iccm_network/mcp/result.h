/* result.h: converts a response to the mcp_result_t of its caller; pure. */
#ifndef MCP_RESULT_H
#define MCP_RESULT_H

#include "mcp/jsonrpc.h"

/* Fills a zeroed result from a response with a result or an error. is_tool: the request was tools/call. JSON
 * within a text is parsed into the arena: the result is valid only if the arena has not failed. */
void mcp__result_read(const mcp__message_t *message, bool is_tool, mcp__arena_t *arena, mcp_result_t *result);

#endif
