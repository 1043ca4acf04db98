/* response.h: writes the response to a tools/call or a direct call in the form of the client's protocol
 * version; pure. */
#ifndef MCP_RESPONSE_H
#define MCP_RESPONSE_H

#include "mcp/jsonrpc.h"
#include "mcp/protocol_version.h"

/* The request that is answered. */
typedef struct mcp__response_context {
  const char *id;
  size_t id_len;
  mcp__protocol_version_t protocol_version;
  bool direct;         /* direct call (the method is the tool's name): the result is sent without a wrapper */
  bool shaped;         /* the tool has an output schema: error data is not sent as structuredContent */
  const char *members; /* that each result has from 2026-07-28 on, a comma in front; "" before */
} mcp__response_context_t;

/* Writes a result, given as JSON text. */
int mcp__response_result(mcp__buf_t *buf, const mcp__response_context_t *to, const char *json, size_t len);

/* Writes a result with the tool's own content, a JSON array of blocks, and structured, an object or NULL. */
int mcp__response_content(mcp__buf_t *buf, const mcp__response_context_t *to, const char *content, size_t len,
                          const char *structured, size_t structured_len, bool is_error);

/* Writes a complete progress notification. token is JSON text; total is omitted if it is 0 or less; message
 * may be NULL. Free it with mcp__free(). NULL: out of memory. */
char *mcp__response_progress(const char *token, double progress, double total, const char *message);

/* Writes an error of the tool, with a code from -32000 to -32099: a JSON-RPC error on 2024-11-05 and for
 * direct calls, whose clients only check error, else a result with isError. data: JSON text or NULL. */
int mcp__response_tool_error(mcp__buf_t *buf, const mcp__response_context_t *to, int code, const char *text,
                             const char *data, size_t data_len);

#endif
