/* http_tools.c: see http_tools.h. */
#include "client/http_tools.h"

#include <string.h>
#include <uv.h>

enum { MAX_PAGES = 100 };

void mcp__http_tools_deinit(mcp__http_tools_t *tools) {
  mcp__header_cache_clear(&tools->headers);
  mcp__exchange_free_all(&tools->parked);
}

void mcp__http_tools_learn(mcp__http_tools_t *tools, const mcp__client_exchange_t *exchange,
                           const mcp__buf_t *text) {
  mcp__json_error_t error;
  const char *method = exchange->message.method;
  if (method == NULL || strcmp(method, "tools/list") != 0 || text->len == 0)
    return;
  yyjson_doc *doc = mcp__json_read(text->data, text->len, &mcp__json_alc, &error);
  mcp__header_cache_add(&tools->headers, yyjson_obj_get(yyjson_doc_get_root(doc), "result"));
  yyjson_doc_free(doc);
}

const mcp__tool_headers_t *mcp__http_tools_find(const mcp__http_tools_t *tools,
                                                const mcp__outgoing_t *message) {
  if (message->method == NULL || strcmp(message->method, "tools/call") != 0)
    return NULL;
  return mcp__header_cache_find(&tools->headers, message->name);
}

static int request_page(mcp__http_tools_t *tools, yyjson_val *cursor, mcp__client_exchange_t **next) {
  char *text = cursor != NULL ? yyjson_val_write_opts(cursor, 0, &mcp__json_alc, NULL, NULL) : NULL;
  mcp__buf_t message;
  mcp__buf_init(&message, SIZE_MAX / 4, NULL);
  int status = mcp__buf_printf(&message, "{\"jsonrpc\":\"2.0\",\"id\":\"tools-%u\",\"method\":\"tools/list\"",
                               ++tools->pages);
  if (text != NULL)
    status = mcp__buf_first_error(status, mcp__buf_printf(&message, ",\"params\":{\"cursor\":%s}", text));
  status = mcp__buf_first_error(status, mcp__buf_puts(&message, "}"));
  if (status == 0)
    status = mcp__client_exchange_new(MCP__FOR_TOOLS, message.data, message.len, MCP__ERA_MODERN, next);
  mcp__buf_deinit(&message);
  mcp__free(text);
  return status;
}

int mcp__http_tools_park(mcp__http_tools_t *tools, mcp__client_exchange_t *exchange,
                         mcp__client_exchange_t **next) {
  bool is_first = tools->parked.first == NULL;
  *next = NULL;
  if (is_first) {
    mcp__header_cache_clear(&tools->headers);
    tools->pages = 0;
    if (request_page(tools, NULL, next) != 0)
      return UV_ENOMEM;
  }
  exchange->has_listed = true;
  mcp__exchange_append(&tools->parked, exchange);
  return 0;
}

int mcp__http_tools_take_page(mcp__http_tools_t *tools, yyjson_val *result, mcp__client_exchange_t **next) {
  yyjson_val *cursor = yyjson_obj_get(result, "nextCursor");
  int status = mcp__header_cache_add(&tools->headers, result);
  *next = NULL;
  if (status == 0 && yyjson_is_str(cursor) && tools->pages < MAX_PAGES)
    status = request_page(tools, cursor, next);
  return status;
}
