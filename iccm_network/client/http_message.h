/* http_message.h: a JSON-RPC message as an HTTP request (MCP, Streamable HTTP), and the meaning of the
 * statuses of responses; pure. */
#ifndef MCP_HTTP_MESSAGE_H
#define MCP_HTTP_MESSAGE_H

#include "base/buf.h"
#include "mcp/protocol_version.h"
#include "mcp/tool_headers.h"
#include "transport/url.h"

/* The revision that requests follow. */
typedef enum mcp__era { MCP__ERA_MODERN, MCP__ERA_LEGACY } mcp__era_t;

/* A message to be sent. */
typedef struct mcp__http_message {
  char *method;  /* NULL: a response */
  char *id;      /* its JSON text; NULL: a notification */
  char *name;    /* the value of Mcp-Name; NULL: none */
  char *cancels; /* JSON text of the id that notifications/cancelled names; else NULL */
  mcp__buf_t body;
} mcp__http_message_t;

/* Reads a message; for a modern request the body gets the metadata of its params. A modern "ping", a method
 * that does not exist any more, becomes "server/discover". 0, UV_ENOMEM, MCP_EENCODE or MCP_ETOOBIG. */
int mcp__http_message_read(mcp__http_message_t *message, const char *text, size_t len, mcp__era_t era,
                           size_t max_bytes);
void mcp__http_message_deinit(mcp__http_message_t *message); /* a zeroed one is fine */

/* Where and how requests are sent. */
typedef struct mcp__http_target {
  const mcp__url_t *url;
  const char *token;   /* NULL: none */
  const char *version; /* MCP-Protocol-Version; NULL: none is agreed on yet */
  const char *session; /* Mcp-Session-Id; NULL: none */
  mcp__era_t era;
} mcp__http_target_t;

/* Writes a POST with the message. params: lines of Mcp-Param headers, or NULL. */
int mcp__http_write_post(mcp__buf_t *out, const mcp__http_target_t *to, const mcp__http_message_t *message,
                         const mcp__buf_t *params);
/* Writes a DELETE of the session. */
int mcp__http_write_delete(mcp__buf_t *out, const mcp__http_target_t *to);

/* Appends the Mcp-Param headers of a tools/call, for the arguments that it has. */
int mcp__http_write_params(mcp__buf_t *out, const mcp__tool_headers_t *headers,
                           const mcp__http_message_t *message);

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
