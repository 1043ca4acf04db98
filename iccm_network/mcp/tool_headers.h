/* tool_headers.h: the arguments of a tool that HTTP requests repeat in headers, as x-mcp-header in its input
 * schema says (MCP 2026-07-28); pure. */
#ifndef MCP_TOOL_HEADERS_H
#define MCP_TOOL_HEADERS_H

#include "base/json.h"

typedef struct mcp__header_param {
  char *name;    /* the header is Mcp-Param-<name> */
  char *pointer; /* JSON pointer of the argument */
} mcp__header_param_t;

typedef struct mcp__tool_headers {
  mcp__header_param_t *table;
  size_t count;
} mcp__tool_headers_t;

/* Reads a schema. 0; UV_ENOMEM; or MCP_ETOOL with the problem: an annotation that the specification forbids,
 * for its name, its type or its place. */
int mcp__tool_headers_read(mcp__tool_headers_t *headers, yyjson_val *schema, char *problem, size_t size);
void mcp__tool_headers_free(mcp__tool_headers_t *headers); /* a zeroed one is fine */

#endif
