/* version.c: the version of the linked library, which may differ from that of the header. */
#include "iccm_network.h"

const char *mcp_version(void) {
  return MCP_VERSION;
}
