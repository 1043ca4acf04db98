/* context_tools.c: see context_tools.h. They run and fail as the tools for conversations do. */
#include "context_tools.h"
#include "calls.h"
#include "texts.h"

#include <string.h>

enum { NAME_MAX_BYTES = 256, CONTENT_MAX_BYTES = 1024 * 1024 };

static const char get_schema[] =
    MCP_JSON({
  "type": "object",
  "properties": {"name": {"type": "string", "description": "Optional context name (defaults to active)"}}
});

static const char set_schema[] = MCP_JSON({
  "type": "object",
  "properties": {
    "name": {"type": "string", "description": "Context name"},
    "content": {"type": "string", "description": "Context content"},
    "set_active": {"type": "boolean", "description": "Make this the active context"}
  },
  "required": ["name", "content"]
});

static const char list_schema[] = MCP_JSON({
  "type": "object",
  "properties": {
    "include_content": {"type": "boolean", "description": "Include full content (default false)"}
  }
});

static const char delete_schema[] =
    MCP_JSON({
  "type": "object",
  "properties": {
    "name": {"type": "string", "description": "Context name"},
    "force": {"type": "boolean", "description": "Force delete without confirmation"}
  },
  "required": ["name"]
});

/* Writes a row into object; its content only where it was asked for. */
static void add_context(yyjson_mut_doc *doc, yyjson_mut_val *object, const startup_context_t *row) {
  yyjson_mut_obj_add_strcpy(doc, object, "id", row->id);
  add_text(doc, object, "name", row->name);
  if (row->content.ptr != NULL)
    add_text(doc, object, "content", row->content);
  yyjson_mut_obj_add_bool(doc, object, "is_active", row->is_active);
  add_time(doc, object, "created_at", &row->created_at);
  add_time(doc, object, "updated_at", &row->updated_at);
}

/* ---- dewey_get_startup_context ---- */

static bool on_got(const startup_context_t *row, void *arg) {
  answer_t *answer = arg;
  add_context(answer->doc, answer->root, row);
  return false;
}

static void on_get(mcp_call_t *call, yyjson_val *args, void *arg) {
  dewey_t *dewey = arg;
  mcp_text_t name;
  if (!name_arg(call, args, "name", NAME_MAX_BYTES, &name))
    return;
  answer_t answer = answer_begin(call, NULL, dewey->figures.rows, "contexts");
  store_error_t error;
  int code = dewey->store->get_context(dewey->store, name, on_got, &answer, &error);
  if (code == STORE_NONE) {
    answer.root = yyjson_mut_null(answer.doc);
    code = STORE_OK;
  }
  answer_end(&answer, &dewey->health, code, "reading", &error);
}

/* ---- dewey_set_startup_context ---- */

static bool on_set_row(const startup_context_t *row, void *arg) {
  answer_t *answer = arg;
  yyjson_mut_obj_add_strcpy(answer->doc, answer->root, "id", row->id);
  add_text(answer->doc, answer->root, "name", row->name);
  yyjson_mut_obj_add_bool(answer->doc, answer->root, "is_active", row->is_active);
  add_time(answer->doc, answer->root, "created_at", &row->created_at);
  return false;
}

static bool read_context(mcp_call_t *call, yyjson_val *args, startup_context_t *out) {
  *out = (startup_context_t){.is_active = mcp_arg_bool(args, "set_active", true),
                             .updated_at = mcp_time_now_us()};
  mcp_uuid_new(out->id);
  if (!name_arg(call, args, "name", NAME_MAX_BYTES, &out->name) ||
      !name_arg(call, args, "content", CONTENT_MAX_BYTES, &out->content))
    return false;
  if (out->name.len > 0)
    return true;
  mcp_call_fail(call, MCP_INVALID_PARAMS, NULL, "name must not be empty");
  return false;
}

static void on_set(mcp_call_t *call, yyjson_val *args, void *arg) {
  dewey_t *dewey = arg;
  startup_context_t context;
  if (!read_context(call, args, &context))
    return;
  answer_t answer = answer_begin(call, NULL, dewey->figures.rows, "contexts");
  store_error_t error;
  int code = dewey->store->set_context(dewey->store, &context, on_set_row, &answer, &error);
  if (code == STORE_OK) {
    health_report(&dewey->health, HEALTH_WRITING, STORE_OK, NULL);
    mcp_call_reply(call, answer.root);
  } else {
    end_failed(call, &dewey->health, HEALTH_WRITING, code, "storing", &error);
  }
}

/* ---- dewey_list_startup_contexts ---- */

static bool on_listed(const startup_context_t *row, void *arg) {
  enum { KEYS_AND_SHORT_VALUES = 256 };
  answer_t *answer = arg;
  if (!answer_takes(answer, KEYS_AND_SHORT_VALUES + text_json_bytes(row->name, true) +
                                text_json_bytes(row->content, true)))
    return false;
  add_context(answer->doc, yyjson_mut_arr_add_obj(answer->doc, answer->rows), row);
  return true;
}

static void on_list(mcp_call_t *call, yyjson_val *args, void *arg) {
  dewey_t *dewey = arg;
  bool with_content = mcp_arg_bool(args, "include_content", false);
  answer_t answer = answer_begin(call, "contexts", dewey->figures.rows, "contexts");
  store_error_t error;
  int code =
      dewey->store->list_contexts(dewey->store, with_content, until_left(call), on_listed, &answer, &error);
  answer_end(&answer, &dewey->health, code, "listing", &error);
}

/* ---- dewey_delete_startup_context ---- */

static void on_delete(mcp_call_t *call, yyjson_val *args, void *arg) {
  dewey_t *dewey = arg;
  mcp_text_t name;
  if (!name_arg(call, args, "name", NAME_MAX_BYTES, &name) || !force_arg(call, args))
    return;
  store_error_t error;
  int code = dewey->store->remove_context(dewey->store, name, &error);
  if (code != STORE_OK) {
    end_failed(call, &dewey->health, HEALTH_WRITING, code, "deleting", &error);
    return;
  }
  yyjson_mut_val *answer = yyjson_mut_obj(mcp_call_doc(call));
  yyjson_mut_obj_add_true(mcp_call_doc(call), answer, "deleted");
  mcp_call_reply(call, answer);
}

/* ---- The table ---- */

void context_tools(dewey_t *dewey, mcp_tool_t tools[CONTEXT_TOOLS]) {
  enum { BY_ARGUMENTS = MCP_TOOL_BLOCKING | MCP_TOOL_STRICT };
  const mcp_tool_t table[CONTEXT_TOOLS] = {
      {"dewey_get_startup_context", "Get the active startup context or a specific one by name", get_schema,
       on_get, dewey, BY_ARGUMENTS},
      {"dewey_set_startup_context", "Create or update a startup context", set_schema, on_set, dewey,
       BY_ARGUMENTS | MCP_TOOL_WAITS},
      {"dewey_list_startup_contexts", "List all available startup contexts", list_schema, on_list, dewey,
       BY_ARGUMENTS},
      {"dewey_delete_startup_context", "Delete a startup context", delete_schema, on_delete, dewey,
       BY_ARGUMENTS | MCP_TOOL_WAITS}};
  memcpy(tools, table, sizeof table);
}
