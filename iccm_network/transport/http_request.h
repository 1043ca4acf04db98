/* http_request.h: what a complete HTTP request says of its body and of the response that it takes; pure. */
#ifndef MCP_HTTP_REQUEST_H
#define MCP_HTTP_REQUEST_H

#include "transport/upgrade.h"

/* Whether Accept admits a media type ("application/json"), by itself or by a range, with a q above 0; a
 * request without Accept admits any (RFC 9110 section 12.5.1). */
bool mcp__http_accepts(const mcp__head_t *head, const char *type);

/* Whether Accept names the media type itself. */
bool mcp__http_names(const mcp__head_t *head, const char *type);

/* Whether Content-Type is this media type, with any parameters. */
bool mcp__http_content_is(const mcp__head_t *head, const char *type);

/* Whether the connection stays open after the response (RFC 9112 section 9.3); never in HTTP/1.0. */
bool mcp__http_keeps_alive(const mcp__head_t *head);

/* Whether the client waits for 100 Continue before it sends the body. */
bool mcp__http_expects_continue(const mcp__head_t *head);

/* The value of the header Mcp-Param-<name>; name in any case. NULL: not given. *twice: given more than once.
 */
const char *mcp__http_param(const mcp__head_t *head, const char *name, bool *twice);

/* Why the body of a POST, a message of at most max_bytes, is not read, with the status of the response; NULL:
 * it is.
 */
const char *mcp__http_post_problem(const mcp__head_t *head, size_t max_bytes, int *status);

#endif
