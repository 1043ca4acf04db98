/* tools.c: the tool table, copied and checked when a server is made, so that nothing about it can be wrong later:
 * names, schemas and the answer to tools/list. */
#include "tools.h"

#include "utf8.h"

#include <stdio.h>
#include <string.h>
#include <uv.h>

enum { NAME_MAX_BYTES = 128 };

static uint32_t hash(const char *name, size_t len) { /* FNV-1a */
  uint32_t value = 2166136261u;
  for (size_t i = 0; i < len; i++)
    value = (value ^ (unsigned char)name[i]) * 16777619u;
  return value;
}

const mcp__tool_t *mcp__tools_find(const mcp__tools_t *tools, const char *name, size_t len) {
  for (size_t slot = hash(name, len) & tools->slot_mask; tools->slots[slot] != 0;
       slot = (slot + 1) & tools->slot_mask) {
    const mcp__tool_t *tool = &tools->table[tools->slots[slot] - 1];
    if (strlen(tool->name) == len && memcmp(tool->name, name, len) == 0)
      return tool;
  }
  return NULL;
}

static bool name_is_fine(const char *name) { /* MCP 2025-11-25, tool names */
  size_t len = strlen(name);
  return len >= 1 && len <= NAME_MAX_BYTES &&
         strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.") == len;
}

static bool text_is_fine(const char *text) { return text == NULL || mcp__utf8_valid(text, strlen(text)); }

static int add_to_list(mcp__buf_t *list, const mcp_tool_t *given, yyjson_val *schema) {
  size_t len;
  char *text = yyjson_val_write_opts(schema, 0, &mcp__json_alc, &len, NULL);
  if (text == NULL)
    return UV_ENOMEM;
  const char *description = given->description != NULL ? given->description : "";
  int status = mcp__buf_printf(list, "%s{\"name\":\"%s\",\"description\":", list->data[list->len - 1] == '[' ? "" : ",",
                               given->name);
  if (status == 0)
    status = mcp__buf_json_string(list, description, strlen(description));
  if (status == 0)
    status = mcp__buf_printf(list, ",\"inputSchema\":%s}", text);
  mcp__free(text);
  return status;
}

static int add_schema(mcp__tools_t *tools, mcp__tool_t *tool, const mcp_tool_t *given, char *problem, size_t size) {
  const char *text = given->input_schema != NULL ? given->input_schema : "{\"type\":\"object\"}";
  yyjson_read_err error;
  yyjson_doc *doc = /* without INSITU nothing is written to the text */
      yyjson_read_opts((char *)(uintptr_t)text, strlen(text), YYJSON_READ_BIGNUM_AS_RAW, &mcp__json_alc, &error);
  if (doc == NULL && error.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION)
    return UV_ENOMEM;
  if (doc == NULL) {
    snprintf(problem, size, "tool %s: input_schema is not valid JSON at byte %zu: %s", given->name, error.pos, error.msg);
    return MCP_ETOOL;
  }
  char place[400] = "";
  yyjson_val *root = yyjson_doc_get_root(doc);
  int status = mcp__schema_new(root, &tool->schema, place, sizeof place);
  if (status == 0 && !yyjson_equals_str(yyjson_obj_get(root, "type"), "object")) {
    snprintf(place, sizeof place, "/type: must be \"object\"");
    status = MCP_ETOOL;
  }
  if (status == 0 && (given->flags & MCP_TOOL_UNLISTED) == 0)
    status = add_to_list(&tools->list, given, root);
  else if (status != 0 && status != UV_ENOMEM) {
    snprintf(problem, size, "tool %s: input_schema %s", given->name, place);
    status = MCP_ETOOL;
  }
  yyjson_doc_free(doc);
  return status;
}

static int add(mcp__tools_t *tools, const mcp_tool_t *given, char *problem, size_t size) {
  const char *wrong = !name_is_fine(given->name)  ? "a name is 1 to 128 of A-Z a-z 0-9 _ - ."
                      : given->handler == NULL    ? "it has no handler"
                      : !text_is_fine(given->description) ? "its description is not valid UTF-8"
                      : mcp__tools_find(tools, given->name, strlen(given->name)) != NULL ? "it is there twice"
                                                                                         : NULL;
  if (wrong != NULL) {
    snprintf(problem, size, "tool \"%.140s\": %s", given->name, wrong);
    return MCP_ETOOL;
  }
  mcp__tool_t *tool = &tools->table[tools->count++];
  tool->name = mcp__strdup(given->name);
  if (tool->name == NULL)
    return UV_ENOMEM;
  tool->handler = given->handler;
  tool->arg = given->arg;
  tool->flags = given->flags;
  size_t slot = hash(tool->name, strlen(tool->name)) & tools->slot_mask;
  while (tools->slots[slot] != 0)
    slot = (slot + 1) & tools->slot_mask;
  tools->slots[slot] = (uint32_t)tools->count;
  return add_schema(tools, tool, given, problem, size);
}

int mcp__tools_init(mcp__tools_t *tools, const mcp_tool_t *given, char *problem, size_t problem_size) {
  *tools = (mcp__tools_t){0};
  mcp__buf_init(&tools->list, SIZE_MAX / 2, NULL);
  size_t count = 0, slots = 8;
  while (given[count].name != NULL)
    count++;
  while (slots < count * 2)
    slots *= 2;
  tools->slot_mask = slots - 1;
  tools->slots = mcp__calloc(slots * sizeof *tools->slots);
  tools->table = mcp__calloc((count + 1) * sizeof *tools->table);
  int status = tools->slots != NULL && tools->table != NULL ? mcp__buf_puts(&tools->list, "{\"tools\":[") : UV_ENOMEM;
  for (size_t i = 0; status == 0 && i < count; i++)
    status = add(tools, &given[i], problem, problem_size);
  if (status == 0)
    status = mcp__buf_puts(&tools->list, "]}");
  if (status == UV_ENOMEM)
    snprintf(problem, problem_size, "out of memory");
  if (status != 0)
    mcp__tools_deinit(tools);
  return status;
}

void mcp__tools_deinit(mcp__tools_t *tools) {
  for (size_t i = 0; i < tools->count; i++) {
    mcp__free(tools->table[i].name);
    mcp__schema_free(tools->table[i].schema);
  }
  mcp__free(tools->table);
  mcp__free(tools->slots);
  mcp__buf_deinit(&tools->list);
  *tools = (mcp__tools_t){0};
}

bool mcp__tools_any_blocking(const mcp__tools_t *tools) {
  for (size_t i = 0; i < tools->count; i++)
    if ((tools->table[i].flags & MCP_TOOL_BLOCKING) != 0)
      return true;
  return false;
}
