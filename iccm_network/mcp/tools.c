/* tools.c: the tool table, copied and validated when a server is created: names, schemas and the pages of
 * tools/list. Adding or removing a tool builds a new table that then replaces the old one; if that runs out
 * of memory, the old table is unchanged. */
#include "mcp/tools.h"

#include "base/json.h"
#include "base/utf8.h"

#include <stdio.h>
#include <string.h>
#include <uv.h>

enum { NAME_MAX_BYTES = 128 };

static const char any_object[] = "{\"type\":\"object\"}";

/* Schemas of these members in MCP 2025-11-25. */
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

typedef struct builder {
  const mcp_tool_t *given;
  mcp__tool_t *tool;
  char *problem;
  size_t problem_size;
} builder_t;

static bool is_valid_name(const char *name) { /* MCP 2025-11-25, tool names */
  size_t len = strlen(name);
  return len >= 1 && len <= NAME_MAX_BYTES &&
         strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.") == len;
}

static bool is_valid_text(const char *text) {
  return text == NULL || mcp__utf8_valid(text, strlen(text));
}

/* If false, the program was compiled for a later version with more members. */
static bool has_zero_reserved(const mcp_tool_t *given) {
  for (size_t i = 0; i < sizeof given->reserved / sizeof *given->reserved; i++)
    if (given->reserved[i] != NULL)
      return false;
  return true;
}

static int refuse_member(const builder_t *builder, const char *member, const char *detail) {
  snprintf(builder->problem, builder->problem_size, "tool %s: %s %s", builder->given->name, member, detail);
  return MCP_ETOOL;
}

static int refuse_tool(const builder_t *builder, const char *why) { /* the name may be invalid */
  snprintf(builder->problem, builder->problem_size, "tool \"%.140s\": %s", builder->given->name, why);
  return MCP_ETOOL;
}

static int read_json(const builder_t *builder, const char *member, const char *text, yyjson_doc **doc) {
  mcp__json_error_t error;
  *doc = mcp__json_read(text, strlen(text), &mcp__json_alc, &error);
  if (*doc != NULL)
    return 0;
  if (error.status == UV_ENOMEM)
    return UV_ENOMEM;
  char detail[200];
  if (error.detail != NULL)
    snprintf(detail, sizeof detail, "is %s at byte %zu: %s", error.message, error.at, error.detail);
  else
    snprintf(detail, sizeof detail, "is %s", error.message);
  return refuse_member(builder, member, detail);
}

static int append_text(mcp__buf_t *list_entry, const char *key, const char *text) {
  int status = mcp__buf_printf(list_entry, ",\"%s\":", key);
  return status == 0 ? mcp__buf_json_string(list_entry, text, strlen(text)) : status;
}

static int append_json(mcp__buf_t *list_entry, const char *key, yyjson_val *value) {
  size_t len;
  char *text = yyjson_val_write_opts(value, 0, &mcp__json_alc, &len, NULL);
  if (text == NULL)
    return UV_ENOMEM;
  int status = mcp__buf_printf(list_entry, ",\"%s\":", key);
  if (status == 0)
    status = mcp__buf_append(list_entry, text, len);
  mcp__free(text);
  return status;
}

static int compile(const builder_t *builder, const char *member, yyjson_val *root, mcp__schema_t **schema) {
  char detail[400] = "";
  int status = mcp__schema_new(root, schema, detail, sizeof detail);
  if (status == 0 && !yyjson_equals_str(yyjson_obj_get(root, "type"), "object"))
    return refuse_member(builder, member, "/type: must be \"object\"");
  return status == 0 || status == UV_ENOMEM ? status : refuse_member(builder, member, detail);
}

static int add_schema(const builder_t *builder, const char *member, const char *text, const char *key,
                      mcp__schema_t **schema, mcp__buf_t *list_entry) {
  yyjson_doc *doc;
  int status = read_json(builder, member, text, &doc);
  if (status != 0)
    return status;
  status = compile(builder, member, yyjson_doc_get_root(doc), schema);
  if (status == 0)
    status = append_json(list_entry, key, yyjson_doc_get_root(doc));
  yyjson_doc_free(doc);
  return status;
}

/* ---- unlisted and unknown arguments ---- */

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

static int add_unlisted(const builder_t *builder, yyjson_mut_doc *doc) {
  static const char member[] = "unlisted_properties";
  yyjson_doc *more;
  int status = read_json(builder, member, builder->given->unlisted_properties, &more);
  if (status != 0)
    return status;
  if (!yyjson_is_obj(yyjson_doc_get_root(more)))
    status = refuse_member(builder, member, "is not an object");
  else if (!add_properties(doc, yyjson_mut_doc_get_root(doc), yyjson_doc_get_root(more)))
    status = UV_ENOMEM;
  yyjson_doc_free(more);
  return status;
}

/* Disallows members that the schema does not name, also in objects among its properties. False: out of
 * memory. */
static bool close_object(yyjson_mut_doc *doc, yyjson_mut_val *schema, bool is_root) {
  size_t index, max;
  yyjson_mut_val *key, *property, *properties = yyjson_mut_obj_get(schema, "properties");
  if (properties == NULL && !is_root)
    return true;
  yyjson_mut_obj_foreach(properties, index, max, key, property) {
    if (!close_object(doc, property, false))
      return false;
  }
  return yyjson_mut_obj_get(schema, "additionalProperties") != NULL ||
         yyjson_mut_obj_get(schema, "unevaluatedProperties") != NULL ||
         yyjson_mut_obj_get(schema, "patternProperties") != NULL ||
         yyjson_mut_obj_add_false(doc, schema, "additionalProperties");
}

/* Replaces the listed schema by the one that validates arguments, if they differ. */
static int derive_input_schema(const builder_t *builder, yyjson_val *listed) {
  const mcp_tool_t *given = builder->given;
  mcp__tool_t *tool = builder->tool;
  yyjson_mut_doc *doc = yyjson_mut_doc_new(&mcp__json_alc);
  yyjson_mut_doc_set_root(doc, yyjson_val_mut_copy(doc, listed));
  int status = given->unlisted_properties != NULL ? add_unlisted(builder, doc) : 0;
  if (status == 0 && (given->flags & MCP_TOOL_STRICT) != 0 &&
      !close_object(doc, yyjson_mut_doc_get_root(doc), true))
    status = UV_ENOMEM;
  yyjson_doc *whole = status == 0 ? yyjson_mut_doc_imut_copy(doc, &mcp__json_alc) : NULL;
  if (status == 0 && whole == NULL)
    status = UV_ENOMEM;
  yyjson_mut_doc_free(doc);
  if (status != 0)
    return status;
  mcp__schema_free(tool->schema);
  tool->schema = NULL;
  status = compile(builder, "unlisted_properties", yyjson_doc_get_root(whole), &tool->schema);
  yyjson_doc_free(whole);
  return status;
}

static int add_headers(const builder_t *builder, yyjson_val *schema) {
  char problem[1200];
  int status = mcp__tool_headers_read(&builder->tool->headers, schema, problem, sizeof problem);
  return status == MCP_ETOOL ? refuse_member(builder, "input_schema", problem) : status;
}

static int add_input_schema(const builder_t *builder) {
  const mcp_tool_t *given = builder->given;
  const char *text = given->input_schema != NULL ? given->input_schema : any_object;
  yyjson_doc *doc;
  int status = add_schema(builder, "input_schema", text, "inputSchema", &builder->tool->schema,
                          &builder->tool->list_entry);
  if (status == 0)
    status = read_json(builder, "input_schema", text, &doc);
  if (status != 0)
    return status;
  status = add_headers(builder, yyjson_doc_get_root(doc));
  if (status == 0 && (given->unlisted_properties != NULL || (given->flags & MCP_TOOL_STRICT) != 0))
    status = derive_input_schema(builder, yyjson_doc_get_root(doc));
  yyjson_doc_free(doc);
  return status;
}

static int check_member(const builder_t *builder, const char *member, yyjson_val *value, const char *rule) {
  yyjson_doc *doc;
  mcp__schema_t *schema = NULL;
  char detail[400] = "";
  int status = read_json(builder, member, rule, &doc);
  if (status == 0) {
    status = mcp__schema_new(yyjson_doc_get_root(doc), &schema, NULL, 0);
    yyjson_doc_free(doc);
  }
  if (status == 0 && !mcp__schema_check(schema, value, detail, sizeof detail))
    status = refuse_member(builder, member, detail);
  mcp__schema_free(schema);
  return status;
}

/* Adds annotations or icons as given, after checking them. */
static int add_checked(const builder_t *builder, const char *member, const char *text, const char *rule) {
  yyjson_doc *doc;
  if (text == NULL)
    return 0;
  int status = read_json(builder, member, text, &doc);
  if (status != 0)
    return status;
  status = check_member(builder, member, yyjson_doc_get_root(doc), rule);
  if (status == 0)
    status = append_json(&builder->tool->list_entry, member, yyjson_doc_get_root(doc));
  yyjson_doc_free(doc);
  return status;
}

static int add_client_capabilities(const builder_t *builder) {
  static const char member[] = "client_capabilities";
  const char *text = builder->given->client_capabilities;
  yyjson_doc **doc = &builder->tool->client_capabilities;
  int status = text != NULL ? read_json(builder, member, text, doc) : 0;
  if (status == 0 && text != NULL && !yyjson_is_obj(yyjson_doc_get_root(*doc)))
    return refuse_member(builder, member, "is not an object");
  return status;
}

static int add_members(const builder_t *builder) {
  const mcp_tool_t *given = builder->given;
  mcp__tool_t *tool = builder->tool;
  mcp__buf_t *list_entry = &tool->list_entry;
  int status = mcp__buf_printf(list_entry, "{\"name\":\"%s\"", tool->name);
  if (status == 0 && given->title != NULL)
    status = append_text(list_entry, "title", given->title);
  if (status == 0)
    status = append_text(list_entry, "description", given->description != NULL ? given->description : "");
  if (status == 0)
    status = add_input_schema(builder);
  if (status == 0 && given->output_schema != NULL)
    status = add_schema(builder, "output_schema", given->output_schema, "outputSchema", &tool->output,
                        &tool->list_entry_output);
  if (status == 0)
    status = add_client_capabilities(builder);
  if (status == 0)
    status = add_checked(builder, "annotations", given->annotations, annotations_rule);
  return status == 0 ? add_checked(builder, "icons", given->icons, icons_rule) : status;
}

static int build(const mcp_tool_t *given, mcp__tool_t **out, char *problem, size_t size) {
  builder_t builder = {given, NULL, problem, size};
  const char *wrong =
      !is_valid_name(given->name)          ? "the name must be 1 to 128 characters of A-Z a-z 0-9 _ - ."
      : given->handler == NULL             ? "no handler"
      : !is_valid_text(given->description) ? "the description is not valid UTF-8"
      : !is_valid_text(given->title)       ? "the title is not valid UTF-8"
      : !has_zero_reserved(given) ? "reserved members are not zero; initialize the whole struct, or use "
                                    "the version of the library that the program was compiled for"
                                  : NULL;
  if (wrong != NULL)
    return refuse_tool(&builder, wrong);
  mcp__tool_t *tool = builder.tool = mcp__calloc(sizeof *tool);
  if (tool == NULL)
    return UV_ENOMEM;
  atomic_init(&tool->users, 1);
  mcp__buf_init(&tool->list_entry, SIZE_MAX / 2, NULL);
  mcp__buf_init(&tool->list_entry_output, SIZE_MAX / 2, NULL);
  tool->handler = given->handler;
  tool->arg = given->arg;
  tool->flags = given->flags;
  tool->name = mcp__strdup(given->name);
  int status = tool->name != NULL ? add_members(&builder) : UV_ENOMEM;
  if (status == 0)
    *out = tool;
  else
    mcp__tool_release(tool);
  return status;
}

void mcp__tool_destroy_arg(const mcp_tool_t *given) {
  if (given->destroy != NULL)
    given->destroy(given->arg);
}

void mcp__tools_destroy_args(const mcp_tool_t *given) {
  for (; given->name != NULL; given++)
    mcp__tool_destroy_arg(given);
}

/* Takes over the arg, also on error. */
static int make_tool(const mcp_tool_t *given, mcp__tool_t **out, char *problem, size_t size) {
  int status = build(given, out, problem, size);
  if (status == 0)
    (*out)->destroy = given->destroy;
  else
    mcp__tool_destroy_arg(given);
  return status;
}

mcp__tool_t *mcp__tool_hold(mcp__tool_t *tool) {
  atomic_fetch_add_explicit(&tool->users, 1, memory_order_relaxed);
  return tool;
}

void mcp__tool_release(mcp__tool_t *tool) {
  if (tool == NULL || atomic_fetch_sub(&tool->users, 1) > 1)
    return;
  if (tool->destroy != NULL)
    tool->destroy(tool->arg);
  mcp__free(tool->name);
  mcp__schema_free(tool->schema);
  mcp__schema_free(tool->output);
  mcp__tool_headers_free(&tool->headers);
  yyjson_doc_free(tool->client_capabilities);
  mcp__buf_deinit(&tool->list_entry);
  mcp__buf_deinit(&tool->list_entry_output);
  mcp__free(tool);
}

/* ---- the table ------------------------------------------------------------------------------------- */

static int build_pages(mcp__pages_t *pages, const mcp__tools_t *tools, bool with_output) {
  int status = mcp__pages_init(pages, tools->count);
  for (size_t i = 0; status == 0 && i < tools->count; i++) {
    const mcp__tool_t *tool = tools->table[i];
    if ((tool->flags & MCP_TOOL_UNLISTED) != 0)
      continue;
    status = mcp__pages_begin_entry(pages, tool->number);
    if (status == 0)
      status = mcp__buf_append(&pages->text, tool->list_entry.data, tool->list_entry.len);
    if (status == 0 && with_output)
      status = mcp__buf_append(&pages->text, tool->list_entry_output.data, tool->list_entry_output.len);
    if (status == 0)
      status = mcp__buf_puts(&pages->text, "}");
  }
  if (status == 0)
    mcp__pages_cut(pages);
  return status;
}

static int build_lists(mcp__tools_t *tools) {
  int status = 0;
  for (int i = 0; status == 0 && i < 2; i++) {
    status = build_pages(&tools->lists[i], tools, i == 1);
    if (tools->lists[i].last_cursor > tools->last_cursor)
      tools->last_cursor = tools->lists[i].last_cursor;
  }
  return status;
}

bool mcp__tools_page(const mcp__tools_t *tools, bool with_output, uint64_t cursor, mcp__page_t *page) {
  if (cursor > tools->last_cursor)
    return false;
  *page = mcp__pages_after(&tools->lists[with_output], cursor);
  return true;
}

/* Indexes a complete table and builds its pages. 0; UV_ENOMEM; or MCP_ETOOL, then *duplicate is a name that
 * occurs twice. */
static int index_table(mcp__tools_t *tools, const char **duplicate) {
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
      *duplicate = name;
      return MCP_ETOOL;
    }
    size_t slot = hash(name, strlen(name)) & tools->slot_mask;
    while (tools->slots[slot] != 0)
      slot = (slot + 1) & tools->slot_mask;
    tools->slots[slot] = (uint32_t)i + 1;
  }
  return build_lists(tools);
}

/* previous: the table that this one replaces, whose numbers are used up; NULL: none */
static int begin_table(mcp__tools_t *tools, size_t capacity, const mcp__tools_t *previous) {
  *tools = (mcp__tools_t){0};
  if (previous != NULL) {
    tools->last_number = previous->last_number;
    tools->last_cursor = previous->last_cursor;
  }
  tools->table = mcp__calloc((capacity + 1) * sizeof(mcp__tool_t *));
  return tools->table != NULL ? 0 : UV_ENOMEM;
}

static void append_tool(mcp__tools_t *tools, mcp__tool_t *tool) {
  tools->table[tools->count++] = tool;
}

static int make_and_append(mcp__tools_t *tools, const mcp_tool_t *given, char *problem, size_t problem_size) {
  mcp__tool_t *tool;
  int status = make_tool(given, &tool, problem, problem_size);
  if (status != 0)
    return status;
  tool->number = ++tools->last_number;
  append_tool(tools, tool);
  return 0;
}

/* Adds the given tools and completes the table. On error, problem is the message. */
static int make_table(mcp__tools_t *tools, const mcp_tool_t *given, size_t count, char *problem,
                      size_t problem_size) {
  const char *duplicate = NULL;
  int status = 0;
  for (size_t i = 0; i < count; i++) {
    if (status == 0)
      status = make_and_append(tools, &given[i], problem, problem_size);
    else
      mcp__tool_destroy_arg(&given[i]);
  }
  if (status == 0)
    status = index_table(tools, &duplicate);
  if (duplicate != NULL)
    snprintf(problem, problem_size, "tool \"%s\": duplicate name", duplicate);
  if (status == UV_ENOMEM)
    snprintf(problem, problem_size, "out of memory");
  return status;
}

int mcp__tools_init(mcp__tools_t *tools, const mcp_tool_t *given, char *problem, size_t problem_size) {
  size_t count = 0;
  while (given[count].name != NULL)
    count++;
  snprintf(problem, problem_size, "out of memory");
  int status = begin_table(tools, count, NULL);
  if (status == 0) {
    problem[0] = '\0';
    status = make_table(tools, given, count, problem, problem_size);
  } else {
    mcp__tools_destroy_args(given);
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

/* Replaces tools by next if building it succeeded. */
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
  int status = begin_table(&next, tools->count + 1, tools);
  if (status != 0) {
    snprintf(problem, problem_size, "out of memory");
    mcp__tool_destroy_arg(given);
    return status;
  }
  for (size_t i = 0; i < tools->count; i++)
    append_tool(&next, mcp__tool_hold(tools->table[i]));
  return replace(tools, &next, make_table(&next, given, 1, problem, problem_size));
}

int mcp__tools_remove(mcp__tools_t *tools, const char *name) {
  const mcp__tool_t *tool = mcp__tools_find(tools, name, strlen(name));
  const char *duplicate;
  mcp__tools_t next;
  if (tool == NULL)
    return UV_ENOENT;
  int status = begin_table(&next, tools->count, tools);
  if (status != 0)
    return status;
  for (size_t i = 0; i < tools->count; i++)
    if (tools->table[i] != tool)
      append_tool(&next, mcp__tool_hold(tools->table[i]));
  return replace(tools, &next, index_table(&next, &duplicate));
}

bool mcp__tools_any_blocking(const mcp__tools_t *tools) {
  for (size_t i = 0; i < tools->count; i++)
    if ((tools->table[i]->flags & MCP_TOOL_BLOCKING) != 0)
      return true;
  return false;
}
