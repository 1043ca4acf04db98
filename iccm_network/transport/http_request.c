/* http_request.c: the headers of one request. Lists are read item by item: "type/subtype;parameter=value". */
#include "transport/http_request.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef struct item {
  const char *type; /* "type/subtype" */
  size_t len;
  double q;
} item_t;

static size_t trimmed(const char *text, size_t len) {
  while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\t'))
    len--;
  return len;
}

/* The weight among the parameters of an item; 1 where it has none. */
static double weight(const char *at, const char *end) {
  while (at < end) {
    at += strspn(at, "; \t");
    if (end - at > 2 && strncasecmp(at, "q=", 2) == 0)
      return strtod(at + 2, NULL);
    while (at < end && *at != ';')
      at++;
  }
  return 1;
}

static bool next_item(const char **list, item_t *item) {
  const char *at = *list + strspn(*list, " \t,");
  size_t len = strcspn(at, ",");
  if (len == 0)
    return false;
  size_t type_len = strcspn(at, ";,");
  *item = (item_t){at, trimmed(at, type_len), weight(at + type_len, at + len)};
  *list = at + len;
  return true;
}

static bool is(const item_t *item, const char *text, size_t len) {
  return item->len == len && strncasecmp(item->type, text, len) == 0;
}

/* Whether the item is a range that the type belongs to: all of its main type, or all types. */
static bool is_range_of(const item_t *item, const char *type) {
  size_t main_len = strcspn(type, "/") + 1;
  return is(item, "*/*", 3) || (item->len == main_len + 1 && item->type[main_len] == '*' &&
                                strncasecmp(item->type, type, main_len) == 0);
}

bool mcp__http_names(const mcp__head_t *head, const char *type) {
  const char *list = mcp__head_value(head, MCP__H_HTTP_ACCEPT);
  item_t item;
  while (list != NULL && next_item(&list, &item))
    if (is(&item, type, strlen(type)))
      return item.q > 0;
  return false;
}

bool mcp__http_accepts(const mcp__head_t *head, const char *type) {
  const char *list = mcp__head_value(head, MCP__H_HTTP_ACCEPT);
  bool by_range = list == NULL;
  item_t item;
  while (list != NULL && next_item(&list, &item)) {
    if (is(&item, type, strlen(type)))
      return item.q > 0; /* the most specific one decides */
    by_range = by_range || (is_range_of(&item, type) && item.q > 0);
  }
  return by_range;
}

bool mcp__http_content_is(const mcp__head_t *head, const char *type) {
  const char *value = mcp__head_value(head, MCP__H_CONTENT_TYPE);
  if (value == NULL)
    return false;
  size_t len = trimmed(value, strcspn(value, ";"));
  return len == strlen(type) && strncasecmp(value, type, len) == 0;
}

bool mcp__http_keeps_alive(const mcp__head_t *head) {
  const llhttp_t *parser = &head->parser;
  return parser->http_minor > 0 && (parser->flags & F_CONNECTION_CLOSE) == 0;
}

bool mcp__http_expects_continue(const mcp__head_t *head) {
  return head->parser.http_minor > 0 &&
         mcp__head_has_token(mcp__head_value(head, MCP__H_EXPECT), "100-continue");
}

const char *mcp__http_param(const mcp__head_t *head, const char *name, bool *twice) {
  static const char prefix[] = "Mcp-Param-";
  const char *found = NULL;
  *twice = false;
  if (head->params.len == 0)
    return NULL;
  const char *at = head->params.data, *end = at + head->params.len;
  while (at < end) {
    const char *value = at + strlen(at) + 1;
    if (strcasecmp(at + sizeof prefix - 1, name) == 0) {
      *twice = found != NULL;
      found = value;
    }
    at = value + strlen(value) + 1;
  }
  return found;
}

const char *mcp__http_post_problem(const mcp__head_t *head, size_t max_bytes, int *status) {
  const char *coding = mcp__head_value(head, MCP__H_TRANSFER_ENCODING);
  *status = 415;
  if (!mcp__http_content_is(head, "application/json"))
    return "unsupported Content-Type: use application/json\n";
  if (mcp__head_value(head, MCP__H_CONTENT_ENCODING) != NULL)
    return "unsupported Content-Encoding: send the body uncompressed\n";
  *status = 501;
  if (coding != NULL && strcmp(coding, "chunked") != 0)
    return "unsupported Transfer-Encoding: use chunked\n";
  *status = 406;
  if (!mcp__http_accepts(head, "application/json") && !mcp__http_accepts(head, "text/event-stream"))
    return "unsupported Accept: it has to name application/json and text/event-stream\n";
  *status = 413;
  if (head->parser.content_length > max_bytes)
    return "the body is larger than the limit of a message\n";
  return NULL;
}
