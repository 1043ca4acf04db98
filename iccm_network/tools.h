/* tools.h: a server's checked copy of its tool table. */
#ifndef MCP_TOOLS_H
#define MCP_TOOLS_H

#include "buf.h"
#include "schema.h"

typedef struct mcp__tool {
  char *name;
  mcp__schema_t *schema;
  mcp_tool_cb handler;
  void *arg;
  unsigned flags;
} mcp__tool_t;

typedef struct mcp__tools {
  mcp__tool_t *table;
  size_t count;
  uint32_t *slots; /* hash table: index into table + 1, or 0 */
  size_t slot_mask;
  mcp__buf_t list; /* the result of tools/list, made once */
} mcp__tools_t;

/* Copies and checks a table up to MCP_TOOL_END. 0, UV_ENOMEM, or MCP_ETOOL with the problem naming tool and place. */
int mcp__tools_init(mcp__tools_t *tools, const mcp_tool_t *given, char *problem, size_t problem_size);
void mcp__tools_deinit(mcp__tools_t *tools); /* a zeroed one is fine */

const mcp__tool_t *mcp__tools_find(const mcp__tools_t *tools, const char *name, size_t len);
bool mcp__tools_any_blocking(const mcp__tools_t *tools);

#endif
