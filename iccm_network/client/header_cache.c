/* header_cache.c: see header_cache.h. A tool whose annotation is invalid must not be called by the rules of
 * MCP; it is left out here, and in mcp_client_list_tools(). */
#include "client/header_cache.h"

#include <string.h>
#include <uv.h>

typedef struct mcp__cached_tool {
  char *name;
  mcp__tool_headers_t headers;
} cached_tool_t;

void mcp__header_cache_clear(mcp__header_cache_t *cache) {
  for (size_t i = 0; i < cache->count; i++) {
    mcp__free(cache->tools[i].name);
    mcp__tool_headers_free(&cache->tools[i].headers);
  }
  mcp__free(cache->tools);
  *cache = (mcp__header_cache_t){0};
}

static int keep(mcp__header_cache_t *cache, const char *name, const mcp__tool_headers_t *headers) {
  cached_tool_t *tools = mcp__realloc(cache->tools, (cache->count + 1) * sizeof *tools);
  if (tools == NULL)
    return UV_ENOMEM;
  cache->tools = tools;
  char *copy = mcp__strdup(name);
  if (copy == NULL)
    return UV_ENOMEM;
  tools[cache->count++] = (cached_tool_t){copy, *headers};
  return 0;
}

static void forget(mcp__header_cache_t *cache, const char *name) {
  for (size_t i = 0; i < cache->count; i++)
    if (strcmp(cache->tools[i].name, name) == 0) {
      mcp__free(cache->tools[i].name);
      mcp__tool_headers_free(&cache->tools[i].headers);
      cache->tools[i] = cache->tools[--cache->count];
      return;
    }
}

static int add_tool(mcp__header_cache_t *cache, yyjson_val *tool) {
  char problem[256];
  mcp__tool_headers_t headers = {0};
  const char *name = yyjson_get_str(yyjson_obj_get(tool, "name"));
  int status = mcp__tool_headers_read(&headers, yyjson_obj_get(tool, "inputSchema"), problem, sizeof problem);
  if (name != NULL)
    forget(cache, name);
  if (status == 0 && headers.count > 0 && name != NULL && cache->count < MCP__HEADER_CACHE_MAX)
    status = keep(cache, name, &headers);
  else
    mcp__tool_headers_free(&headers);
  if (status == UV_ENOMEM)
    mcp__tool_headers_free(&headers);
  return status == UV_ENOMEM ? status : 0;
}

int mcp__header_cache_add(mcp__header_cache_t *cache, yyjson_val *result) {
  size_t index, max;
  int status = 0;
  yyjson_val *tool, *tools = yyjson_obj_get(result, "tools");
  if (!yyjson_is_arr(tools))
    return 0;
  yyjson_arr_foreach(tools, index, max, tool) status = status == 0 ? add_tool(cache, tool) : status;
  return status;
}

const mcp__tool_headers_t *mcp__header_cache_find(const mcp__header_cache_t *cache, const char *tool) {
  for (size_t i = 0; tool != NULL && i < cache->count; i++)
    if (strcmp(cache->tools[i].name, tool) == 0)
      return &cache->tools[i].headers;
  return NULL;
}
