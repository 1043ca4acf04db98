/* version.c: the version of the library that is linked, which need not be that of the header. */
#include "iccm_network.h"

const char *mcp_version(void) {
  return MCP_VERSION;
}
