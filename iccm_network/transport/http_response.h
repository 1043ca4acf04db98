/* http_response.h: the heads of HTTP responses, and the frames of bodies that are sent in pieces; pure. */
#ifndef MCP_HTTP_RESPONSE_H
#define MCP_HTTP_RESPONSE_H

#include "base/buf.h"

#define MCP__HTTP_PLAIN_TEXT "text/plain; charset=utf-8"
#define MCP__HTTP_METHODS "GET, HEAD, POST, DELETE, OPTIONS"

typedef enum mcp__framing {
  MCP__LENGTH,       /* the length is known */
  MCP__LENGTH_LATER, /* written by mcp__http_set_length() once it is known */
  MCP__CHUNKED,
  MCP__UNTIL_CLOSE /* for HTTP/1.0 */
} mcp__framing_t;

typedef struct mcp__response_head {
  int status;
  const char *type; /* NULL: no body, which is framed as one of length 0, or with 204 not at all */
  mcp__framing_t framing;
  size_t len;
  bool keep_alive;
  bool uncached;          /* nor buffered by a proxy: a stream of events */
  const char *allow;      /* for 405: the methods that are served; NULL: MCP__HTTP_METHODS */
  const char *origin;     /* of a page that may read the response (CORS); NULL: none */
  const char *session_id; /* Mcp-Session-Id; NULL: none */
} mcp__response_head_t;

const char *mcp__http_reason(int status); /* of those that are sent here */

int mcp__http_write_head(mcp__buf_t *out, const mcp__response_head_t *head);

/* Completes a head that was written with MCP__LENGTH_LATER; body: where the body begins in out. */
void mcp__http_set_length(mcp__buf_t *out, size_t body);

/* A chunk begins here; its size is written by mcp__http_end_chunk(), which gets the same place, at. */
int mcp__http_begin_chunk(mcp__buf_t *out, size_t *at);
int mcp__http_end_chunk(mcp__buf_t *out, size_t at);
int mcp__http_last_chunk(mcp__buf_t *out);

/* A whole response with a body, which says Connection: close. All or nothing. */
int mcp__write_body(mcp__buf_t *out, int status, const char *type, const char *body, size_t len);
int mcp__write_plain(mcp__buf_t *out, int status, const char *text);

#endif
