/* tool_names.c: see tool_names.h. Happy path: two tools for each one of the table. Failure modes: the server
 * cannot add a tool: the remaining ones are not added. */
#include "tool_names.h"

#include <stdio.h>

enum { NAME_SIZE = 64 };

static int add_both(mcp_server_t *server, mcp_tool_t tool) {
  char older[NAME_SIZE];
  int status = mcp_server_add_tool(server, &tool);
  if (status != 0)
    return status;
  snprintf(older, sizeof older, "godot_%s", tool.name);
  tool.name = older;
  tool.flags |= MCP_TOOL_UNLISTED;
  return mcp_server_add_tool(server, &tool);
}

int tool_names_add(mcp_server_t *server, const mcp_tool_t *table, size_t count, void *arg) {
  int status = 0;
  for (size_t i = 0; status == 0 && i < count; i++) {
    mcp_tool_t tool = table[i];
    tool.arg = arg;
    status = add_both(server, tool);
  }
  return status;
}
