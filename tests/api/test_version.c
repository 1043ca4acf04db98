/* test_version.c: header, library and build description name the same version. */
#include <iccm_network.h>
#include <stdio.h>
#include <string.h>

static int differs(const char *what, const char *version) {
  if (strcmp(version, PROJECT_VERSION) == 0)
    return 0;
  fprintf(stderr, "%s is \"%s\", the project's version is \"%s\"\n", what, version, PROJECT_VERSION);
  return 1;
}

int main(void) {
  char numbers[64];
  snprintf(numbers, sizeof numbers, "%d.%d.%d", MCP_VERSION_MAJOR, MCP_VERSION_MINOR, MCP_VERSION_PATCH);
  return differs("MCP_VERSION", MCP_VERSION) + differs("of MCP_VERSION_MAJOR, _MINOR, _PATCH", numbers) +
         differs("mcp_version()", mcp_version());
}
