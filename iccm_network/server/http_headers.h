/* http_headers.h: the headers that repeat what the body of a request says (MCP 2026-07-28, streamable HTTP,
 * "Request Metadata"); pure. */
#ifndef MCP_HTTP_HEADERS_H
#define MCP_HTTP_HEADERS_H

#include "mcp/dispatch.h"
#include "transport/upgrade.h"

/* Turns the result into a refusal with MCP__HEADER_MISMATCH where a header is missing, cannot be read or
 * differs from the message, a request of 2026-07-28 that was dispatched. */
void mcp__http_check_headers(const mcp__head_t *head, const mcp__message_t *message, mcp__arena_t *arena,
                             mcp__dispatch_result_t *result);

#endif
