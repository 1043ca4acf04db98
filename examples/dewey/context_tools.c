/* context_tools.c: see context_tools.h. Threads and errors: see conversation_tools.c. */
#include "context_tools.h"
#include "tool_args.h"
#include "text_nul.h"

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

/* Writes a row into object; the content only if it was requested. */
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
  response_t *response = arg;
  add_context(response->doc, response->root, row);
  return false;
}

static void on_get(mcp_call_t *call, yyjson_val *args, void *arg) {
  dewey_t *dewey = arg;
  mcp_text_t name;
  if (!bounded_text_arg(call, args, "name", NAME_MAX_BYTES, &name))
    return;
  response_t response = response_begin(call, NULL, dewey->metrics.rows, "contexts");
  store_error_t error;
  int code = dewey->store->get_context(dewey->store, name, on_got, &response, &error);
  if (code == STORE_NOT_FOUND) {
    response.root = yyjson_mut_null(response.doc);
    code = STORE_OK;
  }
  response_end(&response, &dewey->health, code, "reading", &error);
}

/* ---- dewey_set_startup_context ---- */

static bool on_set_row(const startup_context_t *row, void *arg) {
  response_t *response = arg;
  yyjson_mut_obj_add_strcpy(response->doc, response->root, "id", row->id);
  add_text(response->doc, response->root, "name", row->name);
  yyjson_mut_obj_add_bool(response->doc, response->root, "is_active", row->is_active);
  add_time(response->doc, response->root, "created_at", &row->created_at);
  return false;
}

static bool read_context(mcp_call_t *call, yyjson_val *args, startup_context_t *out) {
  *out = (startup_context_t){.is_active = mcp_arg_bool(args, "set_active", true),
                             .updated_at = mcp_time_now_us()};
  mcp_uuid_new(out->id);
  if (!bounded_text_arg(call, args, "name", NAME_MAX_BYTES, &out->name) ||
      !bounded_text_arg(call, args, "content", CONTENT_MAX_BYTES, &out->content))
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
  response_t response = response_begin(call, NULL, dewey->metrics.rows, "contexts");
  store_error_t error;
  int code = dewey->store->set_context(dewey->store, &context, on_set_row, &response, &error);
  if (code == STORE_OK) {
    health_report(&dewey->health, HEALTH_WRITE, STORE_OK, NULL);
    mcp_call_reply(call, response.root);
  } else {
    reply_store_error(call, &dewey->health, HEALTH_WRITE, code, "storing", &error);
  }
}

/* ---- dewey_list_startup_contexts ---- */

static bool on_listed(const startup_context_t *row, void *arg) {
  enum { KEYS_AND_SHORT_VALUES = 256 };
  response_t *response = arg;
  if (!response_has_room(response, KEYS_AND_SHORT_VALUES + text_json_bytes(row->name, true) +
                                       text_json_bytes(row->content, true)))
    return false;
  add_context(response->doc, yyjson_mut_arr_add_obj(response->doc, response->rows), row);
  return true;
}

static void on_list(mcp_call_t *call, yyjson_val *args, void *arg) {
  dewey_t *dewey = arg;
  bool with_content = mcp_arg_bool(args, "include_content", false);
  response_t response = response_begin(call, "contexts", dewey->metrics.rows, "contexts");
  store_error_t error;
  int code = dewey->store->list_contexts(dewey->store, with_content, cancel_when_abandoned(call), on_listed,
                                         &response, &error);
  response_end(&response, &dewey->health, code, "listing", &error);
}

/* ---- dewey_delete_startup_context ---- */

static void on_delete(mcp_call_t *call, yyjson_val *args, void *arg) {
  dewey_t *dewey = arg;
  mcp_text_t name;
  if (!bounded_text_arg(call, args, "name", NAME_MAX_BYTES, &name) || !force_arg(call, args))
    return;
  store_error_t error;
  int code = dewey->store->remove_context(dewey->store, name, &error);
  if (code != STORE_OK) {
    reply_store_error(call, &dewey->health, HEALTH_WRITE, code, "deleting", &error);
    return;
  }
  yyjson_mut_val *response = yyjson_mut_obj(mcp_call_doc(call));
  yyjson_mut_obj_add_true(mcp_call_doc(call), response, "deleted");
  mcp_call_reply(call, response);
}

/* ---- The table ---- */

void context_tools(dewey_t *dewey, mcp_tool_t tools[CONTEXT_TOOLS]) {
  enum { BY_ARGUMENTS = MCP_TOOL_BLOCKING | MCP_TOOL_STRICT };
  const mcp_tool_t table[CONTEXT_TOOLS] = {
      {"dewey_get_startup_context", "Get the active startup context or a specific one by name", get_schema,
       on_get, dewey, BY_ARGUMENTS, .annotations = MCP_READS},
      {"dewey_set_startup_context", "Create or update a startup context", set_schema, on_set, dewey,
       BY_ARGUMENTS | MCP_TOOL_WAITS, .annotations = MCP_CHANGES},
      {"dewey_list_startup_contexts", "List all available startup contexts", list_schema, on_list, dewey,
       BY_ARGUMENTS, .annotations = MCP_READS},
      {"dewey_delete_startup_context", "Delete a startup context", delete_schema, on_delete, dewey,
       BY_ARGUMENTS | MCP_TOOL_WAITS, .annotations = MCP_CHANGES}};
  memcpy(tools, table, sizeof table);
}
