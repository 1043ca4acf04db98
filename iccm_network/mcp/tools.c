/* tools.c: the tool table, copied and checked when a server is made, so that nothing about it can be wrong
 * later: names, schemas and the pages of tools/list. A change makes a whole new table of the tools and puts
 * it in the old one's place: where memory runs out on the way, nothing has changed. */
#include "mcp/tools.h"

#include "base/json.h"
#include "base/utf8.h"

#include <stdio.h>
#include <string.h>
#include <uv.h>

enum { NAME_MAX_BYTES = 128 };

static const char any_object[] = "{\"type\":\"object\"}";

/* What MCP 2025-11-25 says of these members. */
static const char annotations_rule[] =
    "{\"type\":\"object\",\"properties\":{\"title\":{\"type\":\"string\"},\"readOnlyHint\":{\"type\":"
    "\"boolean\"},"
    "\"destructiveHint\":{\"type\":\"boolean\"},\"idempotentHint\":{\"type\":\"boolean\"},"
    "\"openWorldHint\":{\"type\":\"boolean\"}}}";
static const char icons_rule[] =
    "{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":[\"src\"],\"properties\":{"
    "\"src\":{\"type\":\"string\",\"minLength\":1},\"mimeType\":{\"type\":\"string\"},"
    "\"sizes\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},\"theme\":{\"enum\":[\"light\",\"dark\"]}"
    "}}}";

static uint32_t hash(const char *name, size_t len) { /* FNV-1a */
  uint32_t value = 2166136261u;
  for (size_t i = 0; i < len; i++)
    value = (value ^ (unsigned char)name[i]) * 16777619u;
  return value;
}

mcp__tool_t *mcp__tools_find(const mcp__tools_t *tools, const char *name, size_t len) {
  for (size_t slot = hash(name, len) & tools->slot_mask; tools->slots[slot] != 0;
       slot = (slot + 1) & tools->slot_mask) {
    mcp__tool_t *tool = tools->table[tools->slots[slot] - 1];
    if (strlen(tool->name) == len && memcmp(tool->name, name, len) == 0)
      return tool;
  }
  return NULL;
}

/* ---- one tool -------------------------------------------------------------------------------------- */

typedef struct making {
  const mcp_tool_t *given;
  mcp__tool_t *tool;
  char *problem;
  size_t problem_size;
} making_t;

static bool name_is_fine(const char *name) { /* MCP 2025-11-25, tool names */
  size_t len = strlen(name);
  return len >= 1 && len <= NAME_MAX_BYTES &&
         strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.") == len;
}

static bool text_is_fine(const char *text) {
  return text == NULL || mcp__utf8_valid(text, strlen(text));
}

/* Else the program was compiled for a later version, which has more members. */
static bool is_known(const mcp_tool_t *given) {
  for (size_t i = 0; i < sizeof given->reserved / sizeof *given->reserved; i++)
    if (given->reserved[i] != NULL)
      return false;
  return true;
}

static int is_wrong(const making_t *making, const char *member, const char *place) {
  snprintf(making->problem, making->problem_size, "tool %s: %s %s", making->given->name, member, place);
  return MCP_ETOOL;
}

static int refuse_tool(const making_t *making, const char *why) { /* its name may be anything */
  snprintf(making->problem, making->problem_size, "tool \"%.140s\": %s", making->given->name, why);
  return MCP_ETOOL;
}

static int read_json(const making_t *making, const char *member, const char *text, yyjson_doc **doc) {
  mcp__json_error_t error;
  *doc = mcp__json_read(text, strlen(text), &mcp__json_alc, &error);
  if (*doc != NULL)
    return 0;
  if (error.status == UV_ENOMEM)
    return UV_ENOMEM;
  char place[200];
  if (error.detail != NULL)
    snprintf(place, sizeof place, "is %s at byte %zu: %s", error.words, error.at, error.detail);
  else
    snprintf(place, sizeof place, "is %s", error.words);
  return is_wrong(making, member, place);
}

static int show_text(mcp__buf_t *shown, const char *key, const char *text) {
  int status = mcp__buf_printf(shown, ",\"%s\":", key);
  return status == 0 ? mcp__buf_json_string(shown, text, strlen(text)) : status;
}

static int show_json(mcp__buf_t *shown, const char *key, yyjson_val *value) {
  size_t len;
  char *text = yyjson_val_write_opts(value, 0, &mcp__json_alc, &len, NULL);
  if (text == NULL)
    return UV_ENOMEM;
  int status = mcp__buf_printf(shown, ",\"%s\":", key);
  if (status == 0)
    status = mcp__buf_append(shown, text, len);
  mcp__free(text);
  return status;
}

static int compile(const making_t *making, const char *member, yyjson_val *root, mcp__schema_t **schema) {
  char place[400] = "";
  int status = mcp__schema_new(root, schema, place, sizeof place);
  if (status == 0 && !yyjson_equals_str(yyjson_obj_get(root, "type"), "object"))
    return is_wrong(making, member, "/type: must be \"object\"");
  return status == 0 || status == UV_ENOMEM ? status : is_wrong(making, member, place);
}

static int add_schema(const making_t *making, const char *member, const char *text, const char *key,
                      mcp__schema_t **schema, mcp__buf_t *shown) {
  yyjson_doc *doc;
  int status = read_json(making, member, text, &doc);
  if (status != 0)
    return status;
  status = compile(making, member, yyjson_doc_get_root(doc), schema);
  if (status == 0)
    status = show_json(shown, key, yyjson_doc_get_root(doc));
  yyjson_doc_free(doc);
  return status;
}

/* ---- arguments that are not listed, or not known ---- */

static bool add_properties(yyjson_mut_doc *doc, yyjson_mut_val *schema, yyjson_val *more) {
  yyjson_mut_val *properties = yyjson_mut_obj_get(schema, "properties");
  size_t index, max;
  yyjson_val *key, *value;
  if (properties == NULL)
    properties = yyjson_mut_obj_add_obj(doc, schema, "properties");
  yyjson_obj_foreach(more, index, max, key, value) {
    if (!yyjson_mut_obj_put(properties, yyjson_val_mut_copy(doc, key), yyjson_val_mut_copy(doc, value)))
      return false;
  }
  return properties != NULL;
}

static int add_unlisted(const making_t *making, yyjson_mut_doc *doc) {
  static const char member[] = "unlisted_properties";
  yyjson_doc *more;
  int status = read_json(making, member, making->given->unlisted_properties, &more);
  if (status != 0)
    return status;
  if (!yyjson_is_obj(yyjson_doc_get_root(more)))
    status = is_wrong(making, member, "is not an object");
  else if (!add_properties(doc, yyjson_mut_doc_get_root(doc), yyjson_doc_get_root(more)))
    status = UV_ENOMEM;
  yyjson_doc_free(more);
  return status;
}

/* Allows no members but those that the schema names, and the same in those that are among its properties.
 * False: no memory. */
static bool close_schema(yyjson_mut_doc *doc, yyjson_mut_val *schema, bool is_root) {
  size_t index, max;
  yyjson_mut_val *key, *property, *properties = yyjson_mut_obj_get(schema, "properties");
  if (properties == NULL && !is_root)
    return true;
  yyjson_mut_obj_foreach(properties, index, max, key, property) {
    if (!close_schema(doc, property, false))
      return false;
  }
  return yyjson_mut_obj_get(schema, "additionalProperties") != NULL ||
         yyjson_mut_obj_get(schema, "unevaluatedProperties") != NULL ||
         yyjson_mut_obj_get(schema, "patternProperties") != NULL ||
         yyjson_mut_obj_add_false(doc, schema, "additionalProperties");
}

/* Puts what arguments are checked by in the place of the schema that is listed, where they differ. */
static int change_schema(const making_t *making, yyjson_val *listed) {
  const mcp_tool_t *given = making->given;
  mcp__tool_t *tool = making->tool;
  yyjson_mut_doc *doc = yyjson_mut_doc_new(&mcp__json_alc);
  yyjson_mut_doc_set_root(doc, yyjson_val_mut_copy(doc, listed));
  int status = given->unlisted_properties != NULL ? add_unlisted(making, doc) : 0;
  if (status == 0 && (given->flags & MCP_TOOL_STRICT) != 0 &&
      !close_schema(doc, yyjson_mut_doc_get_root(doc), true))
    status = UV_ENOMEM;
  yyjson_doc *whole = status == 0 ? yyjson_mut_doc_imut_copy(doc, &mcp__json_alc) : NULL;
  if (status == 0 && whole == NULL)
    status = UV_ENOMEM;
  yyjson_mut_doc_free(doc);
  if (status != 0)
    return status;
  mcp__schema_free(tool->schema);
  tool->schema = NULL;
  status = compile(making, "unlisted_properties", yyjson_doc_get_root(whole), &tool->schema);
  yyjson_doc_free(whole);
  return status;
}

static int add_input_schema(const making_t *making) {
  const mcp_tool_t *given = making->given;
  const char *text = given->input_schema != NULL ? given->input_schema : any_object;
  yyjson_doc *doc;
  int status =
      add_schema(making, "input_schema", text, "inputSchema", &making->tool->schema, &making->tool->shown);
  if (status != 0 || (given->unlisted_properties == NULL && (given->flags & MCP_TOOL_STRICT) == 0))
    return status;
  status = read_json(making, "input_schema", text, &doc);
  if (status != 0)
    return status;
  status = change_schema(making, yyjson_doc_get_root(doc));
  yyjson_doc_free(doc);
  return status;
}

static int judge(const making_t *making, const char *member, yyjson_val *value, const char *rule) {
  yyjson_doc *doc;
  mcp__schema_t *schema = NULL;
  char place[400] = "";
  int status = read_json(making, member, rule, &doc);
  if (status == 0) {
    status = mcp__schema_new(yyjson_doc_get_root(doc), &schema, NULL, 0);
    yyjson_doc_free(doc);
  }
  if (status == 0 && !mcp__schema_check(schema, value, place, sizeof place))
    status = is_wrong(making, member, place);
  mcp__schema_free(schema);
  return status;
}

/* annotations and icons: shown as they were given, once they are what they should be */
static int add_ruled(const making_t *making, const char *member, const char *text, const char *rule) {
  yyjson_doc *doc;
  if (text == NULL)
    return 0;
  int status = read_json(making, member, text, &doc);
  if (status != 0)
    return status;
  status = judge(making, member, yyjson_doc_get_root(doc), rule);
  if (status == 0)
    status = show_json(&making->tool->shown, member, yyjson_doc_get_root(doc));
  yyjson_doc_free(doc);
  return status;
}

static int add_members(const making_t *making) {
  const mcp_tool_t *given = making->given;
  mcp__tool_t *tool = making->tool;
  mcp__buf_t *shown = &tool->shown;
  int status = mcp__buf_printf(shown, "{\"name\":\"%s\"", tool->name);
  if (status == 0 && given->title != NULL)
    status = show_text(shown, "title", given->title);
  if (status == 0)
    status = show_text(shown, "description", given->description != NULL ? given->description : "");
  if (status == 0)
    status = add_input_schema(making);
  if (status == 0 && given->output_schema != NULL)
    status = add_schema(making, "output_schema", given->output_schema, "outputSchema", &tool->output,
                        &tool->shown_output);
  if (status == 0)
    status = add_ruled(making, "annotations", given->annotations, annotations_rule);
  return status == 0 ? add_ruled(making, "icons", given->icons, icons_rule) : status;
}

static int make(const mcp_tool_t *given, mcp__tool_t **out, char *problem, size_t size) {
  making_t making = {given, NULL, problem, size};
  const char *wrong = !name_is_fine(given->name)          ? "a name is 1 to 128 of A-Z a-z 0-9 _ - ."
                      : given->handler == NULL            ? "it has no handler"
                      : !text_is_fine(given->description) ? "its description is not valid UTF-8"
                      : !text_is_fine(given->title)       ? "its title is not valid UTF-8"
                      : !is_known(given)
                          ? "its reserved members are not zero: initialize the whole struct, or use "
                            "the version of the library that the program was compiled for"
                          : NULL;
  if (wrong != NULL)
    return refuse_tool(&making, wrong);
  mcp__tool_t *tool = making.tool = mcp__calloc(sizeof *tool);
  if (tool == NULL)
    return UV_ENOMEM;
  atomic_init(&tool->users, 1);
  mcp__buf_init(&tool->shown, SIZE_MAX / 2, NULL);
  mcp__buf_init(&tool->shown_output, SIZE_MAX / 2, NULL);
  tool->handler = given->handler;
  tool->arg = given->arg;
  tool->flags = given->flags;
  tool->name = mcp__strdup(given->name);
  int status = tool->name != NULL ? add_members(&making) : UV_ENOMEM;
  if (status == 0)
    *out = tool;
  else
    mcp__tool_release(tool);
  return status;
}

mcp__tool_t *mcp__tool_hold(mcp__tool_t *tool) {
  atomic_fetch_add_explicit(&tool->users, 1, memory_order_relaxed);
  return tool;
}

void mcp__tool_release(mcp__tool_t *tool) {
  if (tool == NULL || atomic_fetch_sub(&tool->users, 1) > 1)
    return;
  mcp__free(tool->name);
  mcp__schema_free(tool->schema);
  mcp__schema_free(tool->output);
  mcp__buf_deinit(&tool->shown);
  mcp__buf_deinit(&tool->shown_output);
  mcp__free(tool);
}

/* ---- all of them ----------------------------------------------------------------------------------- */

static int list(mcp__pages_t *pages, const mcp__tools_t *tools, bool with_output) {
  int status = mcp__pages_init(pages, tools->count);
  for (size_t i = 0; status == 0 && i < tools->count; i++) {
    const mcp__tool_t *tool = tools->table[i];
    if ((tool->flags & MCP_TOOL_UNLISTED) != 0)
      continue;
    status = mcp__pages_begin_entry(pages, tool->number);
    if (status == 0)
      status = mcp__buf_append(&pages->text, tool->shown.data, tool->shown.len);
    if (status == 0 && with_output)
      status = mcp__buf_append(&pages->text, tool->shown_output.data, tool->shown_output.len);
    if (status == 0)
      status = mcp__buf_puts(&pages->text, "}");
  }
  if (status == 0)
    mcp__pages_cut(pages);
  return status;
}

static int make_lists(mcp__tools_t *tools) {
  int status = 0;
  for (int i = 0; status == 0 && i < 2; i++) {
    status = list(&tools->lists[i], tools, i == 1);
    if (tools->lists[i].last_cursor > tools->last_cursor)
      tools->last_cursor = tools->lists[i].last_cursor;
  }
  return status;
}

bool mcp__tools_page(const mcp__tools_t *tools, bool with_output, uint64_t cursor, mcp__page_t *page) {
  if (cursor > tools->last_cursor)
    return false;
  *page = mcp__pages_behind(&tools->lists[with_output], cursor);
  return true;
}

/* Completes a table whose tools are there: 0; UV_ENOMEM; or MCP_ETOOL, then *twice has a name that is taken.
 */
static int complete(mcp__tools_t *tools, const char **twice) {
  size_t slots = 8;
  while (slots < tools->count * 2)
    slots *= 2;
  tools->slot_mask = slots - 1;
  tools->slots = mcp__calloc(slots * sizeof *tools->slots);
  if (tools->slots == NULL)
    return UV_ENOMEM;
  for (size_t i = 0; i < tools->count; i++) {
    const char *name = tools->table[i]->name;
    if (mcp__tools_find(tools, name, strlen(name)) != NULL) {
      *twice = name;
      return MCP_ETOOL;
    }
    size_t slot = hash(name, strlen(name)) & tools->slot_mask;
    while (tools->slots[slot] != 0)
      slot = (slot + 1) & tools->slot_mask;
    tools->slots[slot] = (uint32_t)i + 1;
  }
  return make_lists(tools);
}

/* before: the table that the new one replaces, with numbers that are used; NULL: none */
static int begin(mcp__tools_t *tools, size_t capacity, const mcp__tools_t *before) {
  *tools = (mcp__tools_t){0};
  if (before != NULL) {
    tools->last_number = before->last_number;
    tools->last_cursor = before->last_cursor;
  }
  tools->table = mcp__calloc((capacity + 1) * sizeof(mcp__tool_t *));
  return tools->table != NULL ? 0 : UV_ENOMEM;
}

static void put(mcp__tools_t *tools, mcp__tool_t *tool) {
  tools->table[tools->count++] = tool;
}

/* Makes what is given, and with what is there already a complete table; what is wrong is in the problem then.
 */
static int fill(mcp__tools_t *tools, const mcp_tool_t *given, size_t count, char *problem,
                size_t problem_size) {
  const char *twice = NULL;
  int status = 0;
  for (size_t i = 0; status == 0 && i < count; i++) {
    mcp__tool_t *tool;
    status = make(&given[i], &tool, problem, problem_size);
    if (status == 0) {
      tool->number = ++tools->last_number;
      put(tools, tool);
    }
  }
  if (status == 0)
    status = complete(tools, &twice);
  if (twice != NULL)
    snprintf(problem, problem_size, "tool \"%s\": it is there twice", twice);
  if (status == UV_ENOMEM)
    snprintf(problem, problem_size, "out of memory");
  return status;
}

int mcp__tools_init(mcp__tools_t *tools, const mcp_tool_t *given, char *problem, size_t problem_size) {
  size_t count = 0;
  while (given[count].name != NULL)
    count++;
  snprintf(problem, problem_size, "out of memory");
  int status = begin(tools, count, NULL);
  if (status == 0) {
    problem[0] = '\0';
    status = fill(tools, given, count, problem, problem_size);
  }
  if (status != 0)
    mcp__tools_deinit(tools);
  return status;
}

void mcp__tools_deinit(mcp__tools_t *tools) {
  for (size_t i = 0; i < tools->count; i++)
    mcp__tool_release(tools->table[i]);
  mcp__free(tools->table);
  mcp__free(tools->slots);
  mcp__pages_deinit(&tools->lists[0]);
  mcp__pages_deinit(&tools->lists[1]);
  *tools = (mcp__tools_t){0};
}

/* Puts next in the place of tools where its making has succeeded. */
static int replace(mcp__tools_t *tools, mcp__tools_t *next, int status) {
  if (status == 0) {
    mcp__tools_t old = *tools;
    *tools = *next;
    *next = old;
  }
  mcp__tools_deinit(next);
  return status;
}

int mcp__tools_add(mcp__tools_t *tools, const mcp_tool_t *given, char *problem, size_t problem_size) {
  mcp__tools_t next;
  int status = begin(&next, tools->count + 1, tools);
  if (status != 0) {
    snprintf(problem, problem_size, "out of memory");
    return status;
  }
  for (size_t i = 0; i < tools->count; i++)
    put(&next, mcp__tool_hold(tools->table[i]));
  return replace(tools, &next, fill(&next, given, 1, problem, problem_size));
}

int mcp__tools_remove(mcp__tools_t *tools, const char *name) {
  const mcp__tool_t *tool = mcp__tools_find(tools, name, strlen(name));
  const char *twice;
  mcp__tools_t next;
  if (tool == NULL)
    return UV_ENOENT;
  int status = begin(&next, tools->count, tools);
  if (status != 0)
    return status;
  for (size_t i = 0; i < tools->count; i++)
    if (tools->table[i] != tool)
      put(&next, mcp__tool_hold(tools->table[i]));
  return replace(tools, &next, complete(&next, &twice));
}

bool mcp__tools_any_blocking(const mcp__tools_t *tools) {
  for (size_t i = 0; i < tools->count; i++)
    if ((tools->table[i]->flags & MCP_TOOL_BLOCKING) != 0)
      return true;
  return false;
}
