/* result.h: the response to a request, as its caller gets it; pure. */
#ifndef MCP_RESULT_H
#define MCP_RESULT_H

#include "mcp/jsonrpc.h"

/* Fills a zeroed result from a response with a result or an error. is_tool: it answers tools/call. What is
 * read anew, JSON in a text, is in the arena's memory: the result counts only where that has not failed. */
void mcp__result_read(const mcp__message_t *message, bool is_tool, mcp__arena_t *arena, mcp_result_t *result);

#endif
