/* protocol_version.c: see protocol_version.h. */
#include "mcp/protocol_version.h"

#include <string.h>

static const char *const names[MCP__VERSION_COUNT] = {"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25",
                                                      "2026-07-28"};

const char *mcp__protocol_version_name(mcp__protocol_version_t version) {
  return names[version];
}

bool mcp__protocol_version_parse(const char *name, size_t len, mcp__protocol_version_t *version) {
  for (int i = 0; i < MCP__VERSION_COUNT; i++)
    if (strlen(names[i]) == len && memcmp(names[i], name, len) == 0) {
      *version = (mcp__protocol_version_t)i;
      return true;
    }
  return false;
}
