/* response.h: the response to a tools/call or direct call, in the form that its caller understands; pure. */
#ifndef MCP_RESPONSE_H
#define MCP_RESPONSE_H

#include "mcp/jsonrpc.h"

/* Known revisions of MCP, oldest first. */
typedef enum mcp__protocol_version {
  MCP__2024_11_05,
  MCP__2025_03_26,
  MCP__2025_06_18,
  MCP__2025_11_25
} mcp__protocol_version_t;

/* To whom an answer goes. */
typedef struct mcp__response_context {
  const char *id;
  size_t id_len;
  mcp__protocol_version_t protocol_version;
  bool direct; /* the tool's name was the method: the bare result is wanted */
  bool shaped; /* the tool has an output schema: what is not its result is no structuredContent */
} mcp__response_context_t;

/* json: the result as JSON text. */
int mcp__response_result(mcp__buf_t *buf, const mcp__response_context_t *to, const char *json, size_t len);

/* The same with content of the tool's own, a JSON array of blocks, and structured, an object, or NULL. */
int mcp__response_content(mcp__buf_t *buf, const mcp__response_context_t *to, const char *content, size_t len,
                          const char *structured, size_t structured_len, bool is_error);

/* A notification of progress, whole; token is JSON text, total is not sent where it is 0 or less, message may
 * be NULL. Goes by mcp__free(); NULL: no memory. */
char *mcp__response_progress(const char *token, double progress, double total, const char *message);

/* A failure of the tool's own, code -32000 to -32099: an error on 2024-11-05 and for direct calls, whose
 * callers look at error alone; else a result with isError. data: JSON text, or NULL. */
int mcp__response_tool_error(mcp__buf_t *buf, const mcp__response_context_t *to, int code, const char *text,
                             const char *data, size_t data_len);

#endif
