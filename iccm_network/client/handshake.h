/* handshake.h: judges the first responses of a server: the version that it speaks, and its
 * session; pure. */
#ifndef MCP_HANDSHAKE_H
#define MCP_HANDSHAKE_H

#include "base/json.h"

enum { MCP__SESSION_ID_MAX = 1024 }; /* bytes of Mcp-Session-Id */

typedef enum mcp__era_verdict {
  MCP__IS_MODERN,   /* requests of 2026-07-28 are served */
  MCP__IS_LEGACY,   /* initialize has to be tried */
  MCP__IS_NO_SERVER /* neither: the response is a refusal, or none of MCP */
} mcp__era_verdict_t;

/* Judges the response to server/discover by its status and JSON; root NULL: it is no JSON. */
mcp__era_verdict_t mcp__judge_discover(int status, yyjson_val *root);

/* Judges a result of initialize, with the header Mcp-Session-Id, or NULL. Sets *version to the name of the
 * version and returns NULL, or returns why it cannot be used. */
const char *mcp__judge_initialize(yyjson_val *result, const char *session, const char **version);

/* Describes the error of JSON-RPC that refuses one of both. */
void mcp__describe_refusal(yyjson_val *root, char *problem, size_t size);

#endif
