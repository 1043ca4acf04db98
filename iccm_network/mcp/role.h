/* role.h: what a caller may do. A tool needs a role, and a token gives one. */
#ifndef MCP_ROLE_H
#define MCP_ROLE_H

#include <stdbool.h>

/* Each role includes those before it. */
typedef enum mcp__role {
  MCP__ROLE_READ = 1, /* tools that change nothing, the pages and the metrics */
  MCP__ROLE_WRITE,    /* other tools, but for those of administrators */
  MCP__ROLE_ADMIN
} mcp__role_t;

const char *mcp__role_name(mcp__role_t role);
/* Returns false if there is no role of this name. */
bool mcp__role_parse(const char *name, mcp__role_t *role);

#endif
