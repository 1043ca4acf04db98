/* http_message.h: a JSON-RPC message as an HTTP request (MCP, Streamable HTTP), and the meaning of the
 * statuses of responses; pure. */
#ifndef MCP_HTTP_MESSAGE_H
#define MCP_HTTP_MESSAGE_H

#include "client/outgoing.h"
#include "mcp/tool_headers.h"
#include "transport/url.h"

/* Where and how requests are sent. */
typedef struct mcp__http_target {
  const mcp__url_t *url;
  const char *token;   /* NULL: none */
  const char *version; /* MCP-Protocol-Version; NULL: none is agreed on yet */
  const char *session; /* Mcp-Session-Id; NULL: none */
  mcp__era_t era;
} mcp__http_target_t;

/* Writes a POST with the message. params: lines of Mcp-Param headers, or NULL. */
int mcp__http_write_post(mcp__buf_t *out, const mcp__http_target_t *to, const mcp__outgoing_t *message,
                         const mcp__buf_t *params);
/* Writes a GET of a stream of events. last_event_id: the event that it continues after; NULL: none. */
int mcp__http_write_get(mcp__buf_t *out, const mcp__http_target_t *to, const char *last_event_id);
/* Writes a DELETE of the session. */
int mcp__http_write_delete(mcp__buf_t *out, const mcp__http_target_t *to);

/* Appends the Mcp-Param headers of a tools/call, for the arguments that it has. */
int mcp__http_write_params(mcp__buf_t *out, const mcp__tool_headers_t *headers,
                           const mcp__outgoing_t *message);

/* A response that is no message of JSON-RPC. */
typedef struct mcp__http_refusal {
  int status;
  const char *type, *location; /* headers; NULL: absent */
  const char *body;
  size_t body_len;
} mcp__http_refusal_t;

/* Returns the error code of a response, and writes a message that names its probable cause. */
int mcp__http_explain(const mcp__http_refusal_t *refusal, char *problem, size_t size);

#endif
