/* protocol_version.h: the versions of MCP that are served; pure. */
#ifndef MCP_PROTOCOL_VERSION_H
#define MCP_PROTOCOL_VERSION_H

#include <stdbool.h>
#include <stddef.h>

/* Oldest first. Versions up to 2025-11-25 are agreed on by initialize, for all that follows; from 2026-07-28
 * on each request names its version. */
typedef enum mcp__protocol_version {
  MCP__2024_11_05,
  MCP__2025_03_26,
  MCP__2025_06_18,
  MCP__2025_11_25,
  MCP__2026_07_28,
  MCP__VERSION_COUNT
} mcp__protocol_version_t;

/* JSON-RPC codes of the specification (MCP 2026-07-28, "Error Codes"). */
enum {
  MCP__HEADER_MISMATCH = -32020,
  MCP__MISSING_CAPABILITY = -32021,
  MCP__UNSUPPORTED_VERSION = -32022,
  MCP__FIRST_SPEC_ERROR = -32020,
  MCP__LAST_SPEC_ERROR = -32099
};

/* Members of _meta (MCP 2026-07-28). */
#define MCP__META_PREFIX "io.modelcontextprotocol/"
#define MCP__META_VERSION MCP__META_PREFIX "protocolVersion"
#define MCP__META_CAPABILITIES MCP__META_PREFIX "clientCapabilities"
#define MCP__META_CLIENT_INFO MCP__META_PREFIX "clientInfo"
#define MCP__META_SERVER_INFO MCP__META_PREFIX "serverInfo"
#define MCP__META_SUBSCRIPTION MCP__META_PREFIX "subscriptionId"

const char *mcp__protocol_version_name(mcp__protocol_version_t version);
/* Whether the name is that of a served version. */
bool mcp__protocol_version_parse(const char *name, size_t len, mcp__protocol_version_t *version);

#endif
