/* header_cache.h: which arguments the tools of a server want repeated in HTTP headers, as far as its list of
 * tools was read; pure. */
#ifndef MCP_HEADER_CACHE_H
#define MCP_HEADER_CACHE_H

#include "mcp/tool_headers.h"

enum { MCP__HEADER_CACHE_MAX = 256 }; /* tools with such arguments; those beyond are ignored */

typedef struct mcp__header_cache {
  struct mcp__cached_tool *tools;
  size_t count;
} mcp__header_cache_t; /* zeroed: empty */

void mcp__header_cache_clear(mcp__header_cache_t *cache);
/* Adds the tools of a result of tools/list that have such arguments, in place of older ones of the same
 * names. 0 or UV_ENOMEM. */
int mcp__header_cache_add(mcp__header_cache_t *cache, yyjson_val *result);
/* NULL: the tool has none. */
const mcp__tool_headers_t *mcp__header_cache_find(const mcp__header_cache_t *cache, const char *tool);

#endif
