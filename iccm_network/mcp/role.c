/* role.c: the names of roles. */
#include "mcp/role.h"

#include <string.h>

static const char *const names[] = {
    [MCP__ROLE_READ] = "read", [MCP__ROLE_WRITE] = "write", [MCP__ROLE_ADMIN] = "admin"};

const char *mcp__role_name(mcp__role_t role) {
  return names[role];
}

bool mcp__role_parse(const char *name, mcp__role_t *role) {
  for (mcp__role_t each = MCP__ROLE_READ; each <= MCP__ROLE_ADMIN; each++) {
    if (strcmp(name, names[each]) != 0)
      continue;
    *role = each;
    return true;
  }
  return false;
}
