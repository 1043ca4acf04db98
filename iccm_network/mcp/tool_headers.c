/* tool_headers.c: the schema is walked once, with the path from its root: an annotation is allowed at a
 * property that is reached by "properties" alone. */
#include "mcp/tool_headers.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <uv.h>

enum { POINTER_BYTES = 1024, NAME_BYTES = 128, MAX_HEADERS = 32 };

typedef struct walk {
  mcp__tool_headers_t *headers;
  char pointer[POINTER_BYTES]; /* of the property under way */
  char *problem;
  size_t problem_size;
} walk_t;

static int refuse(walk_t *walk, const char *why) {
  snprintf(walk->problem, walk->problem_size, "x-mcp-header of %s %s",
           *walk->pointer != '\0' ? walk->pointer : "the schema", why);
  return MCP_ETOOL;
}

static bool is_token(const char *name, size_t len) { /* RFC 9110 section 5.6.2 */
  static const char marks[] = "!#$%&'*+-.^_`|~";
  for (size_t i = 0; i < len; i++) {
    bool is_letter = (name[i] >= 'a' && name[i] <= 'z') || (name[i] >= 'A' && name[i] <= 'Z');
    bool is_digit = name[i] >= '0' && name[i] <= '9';
    if (!is_letter && !is_digit && (name[i] == '\0' || strchr(marks, name[i]) == NULL))
      return false;
  }
  return len > 0 && len <= NAME_BYTES;
}

static bool is_known(const mcp__tool_headers_t *headers, const char *name) {
  for (size_t i = 0; i < headers->count; i++)
    if (strcasecmp(headers->table[i].name, name) == 0)
      return true;
  return false;
}

static bool has_fitting_type(yyjson_val *schema) {
  yyjson_val *type = yyjson_obj_get(schema, "type");
  return yyjson_equals_str(type, "string") || yyjson_equals_str(type, "integer") ||
         yyjson_equals_str(type, "boolean");
}

static int add(walk_t *walk, const char *name) {
  mcp__tool_headers_t *headers = walk->headers;
  mcp__header_param_t *table = mcp__realloc(headers->table, (headers->count + 1) * sizeof *table);
  if (table == NULL)
    return UV_ENOMEM;
  headers->table = table;
  mcp__header_param_t *param = &table[headers->count++];
  param->name = mcp__strdup(name);
  param->pointer = mcp__strdup(walk->pointer);
  return param->name != NULL && param->pointer != NULL ? 0 : UV_ENOMEM;
}

static int take(walk_t *walk, yyjson_val *schema, yyjson_val *annotation, bool is_reachable) {
  const char *name = yyjson_get_str(annotation);
  if (name == NULL || !is_token(name, yyjson_get_len(annotation)))
    return refuse(walk, "has to be a token of HTTP of 1 to 128 bytes");
  if (!is_reachable || *walk->pointer == '\0')
    return refuse(walk, "stands at no property that is reached by \"properties\" alone");
  if (!has_fitting_type(schema))
    return refuse(walk, "stands at a type that is none of string, integer, boolean");
  if (is_known(walk->headers, name))
    return refuse(walk, "is used twice");
  if (walk->headers->count == MAX_HEADERS)
    return refuse(walk, "is one more than 32");
  return add(walk, name);
}

/* Appends "/name", escaped (RFC 6901), where there is room. */
static bool append_name(walk_t *walk, size_t at, yyjson_val *key) {
  const char *name = yyjson_get_str(key);
  if (at + 2 > POINTER_BYTES)
    return false;
  walk->pointer[at++] = '/';
  for (; *name != '\0'; name++) {
    if (at + 3 > POINTER_BYTES)
      return false;
    bool is_escaped = *name == '~' || *name == '/';
    if (is_escaped)
      walk->pointer[at++] = '~';
    walk->pointer[at++] = *name == '~' ? '0' : *name == '/' ? '1' : *name;
  }
  walk->pointer[at] = '\0';
  return true;
}

static int walk_schema(walk_t *walk, yyjson_val *schema, bool is_reachable);

static int walk_properties(walk_t *walk, yyjson_val *properties, bool is_reachable) {
  size_t at = strlen(walk->pointer), index, max;
  yyjson_val *key, *value;
  yyjson_obj_foreach(properties, index, max, key, value) {
    bool fits = append_name(walk, at, key); /* else no annotation below it can be served */
    int status = walk_schema(walk, value, is_reachable && fits);
    if (status != 0)
      return status;
    walk->pointer[at] = '\0';
  }
  return 0;
}

static bool holds_values(yyjson_val *keyword) { /* and no schemas */
  static const char *const keywords[] = {"enum", "const", "default", "examples"};
  for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++)
    if (yyjson_equals_str(keyword, keywords[i]))
      return true;
  return false;
}

static bool holds_named(yyjson_val *keyword) { /* schemas by names, which are no keywords */
  return yyjson_equals_str(keyword, "patternProperties") || yyjson_equals_str(keyword, "$defs") ||
         yyjson_equals_str(keyword, "definitions") || yyjson_equals_str(keyword, "dependentSchemas");
}

/* A keyword's value: one schema, an array of them, or, by names, an object of them. */
static int walk_others(walk_t *walk, yyjson_val *value, bool is_named) {
  size_t index, max;
  yyjson_val *key, *item;
  int status = 0;
  if (yyjson_is_obj(value) && !is_named)
    return walk_schema(walk, value, false);
  yyjson_arr_foreach(value, index, max, item) status = status == 0 ? walk_schema(walk, item, false) : status;
  yyjson_obj_foreach(value, index, max, key, item) status =
      status == 0 ? walk_schema(walk, item, false) : status;
  return status;
}

static int walk_schema(walk_t *walk, yyjson_val *schema, bool is_reachable) {
  size_t index, max;
  yyjson_val *key, *value, *annotation = yyjson_obj_get(schema, "x-mcp-header");
  int status = annotation != NULL ? take(walk, schema, annotation, is_reachable) : 0;
  yyjson_obj_foreach(schema, index, max, key, value) {
    if (status != 0)
      break;
    if (yyjson_equals_str(key, "properties"))
      status = walk_properties(walk, value, is_reachable);
    else if (!holds_values(key))
      status = walk_others(walk, value, holds_named(key));
  }
  return status;
}

int mcp__tool_headers_read(mcp__tool_headers_t *headers, yyjson_val *schema, char *problem, size_t size) {
  walk_t walk = {.headers = headers, .problem = problem, .problem_size = size};
  int status = walk_schema(&walk, schema, true);
  if (status != 0)
    mcp__tool_headers_free(headers);
  return status;
}

void mcp__tool_headers_free(mcp__tool_headers_t *headers) {
  for (size_t i = 0; i < headers->count; i++) {
    mcp__free(headers->table[i].name);
    mcp__free(headers->table[i].pointer);
  }
  mcp__free(headers->table);
  *headers = (mcp__tool_headers_t){NULL, 0};
}
