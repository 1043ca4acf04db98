/* log_tools.c: logger_log, logger_query, logger_clear, logger_set_level and godot_remove_level.
 *
 * Happy path of logger_log: validate, give the entry its id and time, add it to the pending group; before the
 * loop blocks, the group is pushed to Redis in one step, and all its callers are answered when Redis has it.
 * Queries are forwarded to the store, and so are its responses.
 *
 * Failure modes: Redis unavailable: an error at once. Redis does not reply: an error when the queue
 * reconnects (the entry may be queued or not; a retry with an id is harmless). Store unavailable: an error at
 * once, or after STORE_TIMEOUT_MS. */
#include "log_tools.h"

#include "audit.h"
#include "dewey_call.h"
#include "entry.h"
#include "tool_names.h"

#include <iccm_service.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STORE_UNAVAILABLE "log store unavailable, retry"

enum {
  STORE_TIMEOUT_MS = 8000,
  MAX_PUSH_BYTES = 8 << 20,        /* in one step */
  MAX_UNANSWERED_BYTES = 64 << 20, /* pending or sent to Redis, over all callers */
};

/* Calls whose entries are pushed together. */
typedef struct push_group {
  log_tools_t *tools;
  size_t count, bytes;
  mcp_call_t *calls[QUEUE_MAX_PUSH];
  mcp_text_t entries[QUEUE_MAX_PUSH]; /* texts are owned until they are sent */
} push_group_t;

/* ---- logger_log ---- */

/* Replies with status "ok" and the message, and names the ignored arguments. */
static void reply_ok(mcp_call_t *call, const char *message) {
  yyjson_mut_val *ignored = mcp_call_ignored(call);
  char text[128];
  if (ignored == NULL) {
    int len = snprintf(text, sizeof text, "{\"status\":\"ok\",\"message\":\"%s\"}", message);
    mcp_call_reply_text(call, text, (size_t)len);
    return;
  }
  yyjson_mut_doc *doc = mcp_call_doc(call);
  yyjson_mut_val *answer = yyjson_mut_obj(doc);
  yyjson_mut_obj_add_str(doc, answer, "status", "ok");
  yyjson_mut_obj_add_str(doc, answer, "message", message);
  yyjson_mut_obj_add_val(doc, answer, "ignored", ignored);
  mcp_call_reply(call, answer);
}

static void on_pushed(int status, void *arg) {
  push_group_t *group = arg;
  group->tools->unanswered_bytes -= group->bytes;
  mcp_metric_add(group->tools->entries, status == 0 ? "accepted" : "unavailable", (double)group->count);
  for (size_t i = 0; i < group->count; i++) {
    if (status == 0)
      reply_ok(group->calls[i], "Log entry queued.");
    else
      mcp_call_tool_error(group->calls[i], QUEUE_UNAVAILABLE);
  }
  free(group);
}

static void flush(log_tools_t *tools) {
  push_group_t *group = tools->pending_group;
  int status;
  if (group == NULL)
    return;
  tools->pending_group = NULL;
  uv_prepare_stop(&tools->flush_prepare);
  status = queue_push(tools->queue, group->entries, group->count, on_pushed, group);
  for (size_t i = 0; i < group->count; i++)
    free((void *)(uintptr_t)group->entries[i].ptr);
  if (status != 0)
    on_pushed(status, group);
}

static void on_flush_prepare(uv_prepare_t *prepare) {
  flush(prepare->data);
}

/* Returns a group that has room for an entry of len bytes, or NULL if out of memory. */
static push_group_t *group_with_room(log_tools_t *tools, size_t len) {
  push_group_t *group = tools->pending_group;
  if (group != NULL && (group->count == QUEUE_MAX_PUSH || group->bytes + len > MAX_PUSH_BYTES))
    flush(tools);
  if (tools->pending_group == NULL) {
    group = malloc(sizeof *group);
    if (group == NULL)
      return NULL;
    group->tools = tools;
    group->count = group->bytes = 0;
    tools->pending_group = group;
    uv_prepare_start(&tools->flush_prepare, on_flush_prepare);
  }
  return tools->pending_group;
}

/* Takes ownership of text. */
static void add_to_group(log_tools_t *tools, mcp_call_t *call, char *text, size_t len) {
  bool has_room = tools->unanswered_bytes + len <= MAX_UNANSWERED_BYTES;
  push_group_t *group = has_room && queue_is_up(tools->queue) ? group_with_room(tools, len) : NULL;
  if (group == NULL) {
    free(text);
    mcp_metric_add(tools->entries, "unavailable", 1);
    mcp_call_tool_error(call, QUEUE_UNAVAILABLE);
    return;
  }
  group->calls[group->count] = call;
  group->entries[group->count++] = (mcp_text_t){text, len};
  group->bytes += len;
  tools->unanswered_bytes += len;
}

static bool is_below_level(const log_tools_t *tools, yyjson_val *args) {
  yyjson_val *component = yyjson_obj_get(args, "component");
  int level = mcp_log_level_from_json(yyjson_obj_get(args, "level"));
  return level < queue_level(tools->queue, yyjson_get_str(component), yyjson_get_len(component));
}

static void logger_log(mcp_call_t *call, yyjson_val *args, void *arg) {
  log_tools_t *tools = arg;
  char reason[ENTRY_REASON_SIZE];
  size_t len, redacted = 0;
  char *text = entry_new(args, mcp_call_trace_id(call), mcp_time_now_us(), &len, &redacted, reason);
  if (text == NULL) {
    mcp_metric_add(tools->entries, "refused", 1);
    mcp_call_fail(call, MCP_INVALID_PARAMS, NULL, "%s", reason);
  } else if (is_below_level(tools, args)) {
    free(text);
    mcp_metric_add(tools->entries, "below_level", 1);
    reply_ok(call, "Below the level of its component; not queued.");
  } else {
    mcp_metric_add(tools->redacted, NULL, (double)redacted);
    add_to_group(tools, call, text, len);
  }
}

/* ---- logger_set_level ---- */

/* A call that changes the logs, and what the audit says of it. */
typedef struct audited {
  queue_t *queue;
  mcp_call_t *call;
  const char *what, *perhaps; /* done, and with an unknown outcome */
} audited_t;

/* Returns NULL if out of memory. */
static audited_t *audited_new(const log_tools_t *tools, mcp_call_t *call, const char *what,
                              const char *perhaps) {
  audited_t *audited = malloc(sizeof *audited);
  if (audited != NULL)
    *audited = (audited_t){tools->queue, call, what, perhaps};
  return audited;
}

static void on_level_set(int status, void *arg) {
  audited_t audited = *(audited_t *)arg;
  mcp_call_t *call = audited.call;
  free(arg);
  if (status == MCP_ELIMIT)
    mcp_call_tool_error(call, "%d components have a level already (godot_remove_level removes one)",
                        QUEUE_MAX_LEVELS);
  else if (status == UV_EPROTO)
    mcp_call_tool_error(call, "cannot set the level: Redis refused it");
  else if (status != 0) {
    audit(audited.queue, call, audited.perhaps, NULL); /* Redis did not say whether it has done it */
    mcp_call_tool_error(call, QUEUE_UNAVAILABLE);
  } else {
    audit(audited.queue, call, audited.what, NULL);
    mcp_call_reply(call, yyjson_mut_doc_get_root(mcp_call_doc(call)));
  }
}

/* level NULL: removes the component's level. */
static void set_level(mcp_call_t *call, log_tools_t *tools, yyjson_val *component, const char *level) {
  yyjson_mut_doc *doc = mcp_call_doc(call);
  yyjson_mut_val *answer = yyjson_mut_obj(doc);
  int status;
  if (yyjson_get_len(component) == 0 || yyjson_get_len(component) > ENTRY_MAX_COMPONENT) {
    mcp_call_fail(call, MCP_INVALID_PARAMS, NULL, "component must have 1 to %d bytes", ENTRY_MAX_COMPONENT);
    return;
  }
  yyjson_mut_doc_set_root(doc, answer);
  yyjson_mut_obj_add_str(doc, answer, "status", "ok");
  yyjson_mut_obj_add_val(doc, answer, "component", yyjson_val_mut_copy(doc, component));
  yyjson_mut_obj_add_val(doc, answer, "level",
                         level != NULL ? yyjson_mut_str(doc, level) : yyjson_mut_null(doc));
  audited_t *audited = level != NULL
                           ? audited_new(tools, call, "log level set", "log level perhaps set")
                           : audited_new(tools, call, "log level removed", "log level perhaps removed");
  status = audited != NULL
               ? queue_set_level(tools->queue, yyjson_get_str(component), yyjson_get_len(component),
                                 level != NULL ? level : "", on_level_set, audited)
               : MCP_ENOMEM;
  if (status != 0) {
    free(audited);
    mcp_call_tool_error(call, QUEUE_UNAVAILABLE);
  }
}

static void logger_set_level(mcp_call_t *call, yyjson_val *args, void *arg) {
  const char *level = mcp_log_level_name(mcp_log_level_from_json(yyjson_obj_get(args, "level")));
  if (level != NULL)
    set_level(call, arg, yyjson_obj_get(args, "component"), level);
  else
    mcp_call_fail(call, MCP_INVALID_PARAMS, NULL, ENTRY_INVALID_LEVEL);
}

static void remove_level(mcp_call_t *call, yyjson_val *args, void *arg) {
  set_level(call, arg, yyjson_obj_get(args, "component"), NULL);
}

yyjson_mut_doc *log_tools_level_notification(mcp_server_t *server, yyjson_val *initialize, void *arg) {
  const log_tools_t *tools = arg;
  yyjson_val *component = yyjson_ptr_get(initialize, "/capabilities/experimental/iccm~1log_level/component");
  (void)server;
  if (!yyjson_is_str(component))
    component = yyjson_ptr_get(initialize, "/clientInfo/name");
  if (!yyjson_is_str(component))
    return NULL;
  int level = queue_level(tools->queue, yyjson_get_str(component), yyjson_get_len(component));
  yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
  yyjson_mut_val *params = yyjson_mut_obj(doc);
  yyjson_mut_doc_set_root(doc, params);
  yyjson_mut_obj_add_val(doc, params, "component", yyjson_val_mut_copy(doc, component));
  yyjson_mut_obj_add_val(doc, params, "level",
                         level < 0 ? yyjson_mut_null(doc) : yyjson_mut_str(doc, mcp_log_level_name(level)));
  return doc;
}

/* ---- Tools that call the store ---- */

static void reply_from_store(mcp_call_t *call, const mcp_result_t *result) {
  if (result->is_error)
    dewey_call_forward_error(call, MCP_TOOL_ERROR, NULL, result->message);
  else if (dewey_call_is_error_response(result->status))
    dewey_call_forward_error(call, result->status, result->value, result->message);
  else if (result->status != 0 || result->text == NULL)
    mcp_call_tool_error(call, STORE_UNAVAILABLE);
  else
    mcp_call_reply_text(call, result->text, result->text_len);
}

static void on_store_answer(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  (void)client;
  reply_from_store(arg, result);
}

/* Returns 0, or an error: cb is then not called. Takes ownership of args. */
static int call_store(mcp_call_t *call, const log_tools_t *tools, const char *tool, yyjson_mut_doc *args,
                      mcp_result_cb cb, void *arg) {
  const mcp_call_options_t options = {.timeout_ms = STORE_TIMEOUT_MS, .parent = call};
  int status = args != NULL ? mcp_client_call(tools->store, tool, args, &options, cb, arg) : MCP_ENOMEM;
  if (status != 0)
    mcp_call_tool_error(call, STORE_UNAVAILABLE);
  return status;
}

static void logger_query(mcp_call_t *call, yyjson_val *args, void *arg) {
  static const char *const names[] = {"trace_id", "component", "level", "start_time", "end_time",
                                      "limit",    "search",    "data",  "cursor",     NULL};
  yyjson_mut_doc *picked = dewey_call_arguments(args, names);
  yyjson_mut_val *root = yyjson_mut_doc_get_root(picked);
  if (picked != NULL && yyjson_mut_obj_get(root, "limit") == NULL)
    yyjson_mut_obj_add_int(picked, root, "limit", 100);
  call_store(call, arg, "dewey_query_logs", picked, on_store_answer, call);
}

/* An error that is not the store's leaves open whether it has cleared them. */
static void on_cleared(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  audited_t audited = *(audited_t *)arg;
  (void)client;
  free(arg);
  if (result->status == 0 && !result->is_error)
    audit(audited.queue, audited.call, audited.what, result->value);
  else if (!result->is_error && !dewey_call_is_error_response(result->status))
    audit(audited.queue, audited.call, audited.perhaps, NULL);
  reply_from_store(audited.call, result);
}

static void logger_clear(mcp_call_t *call, yyjson_val *args, void *arg) {
  static const char *const names[] = {"component", "before_time", "level", "dry_run", NULL};
  yyjson_mut_doc *picked = dewey_call_arguments(args, names);
  bool is_dry = mcp_arg_bool(args, "dry_run", false);
  audited_t *audited = is_dry ? NULL : audited_new(arg, call, "logs cleared", "logs perhaps cleared");
  if (!is_dry && audited == NULL) {
    yyjson_mut_doc_free(picked);
    mcp_call_tool_error(call, STORE_UNAVAILABLE);
    return;
  }
  int status = is_dry ? call_store(call, arg, "dewey_clear_logs", picked, on_store_answer, call)
                      : call_store(call, arg, "dewey_clear_logs", picked, on_cleared, audited);
  if (status != 0)
    free(audited);
}

/* ---- The tools ---- */

enum { STRICT_LOG_TRAFFIC = MCP_TOOL_LOG_TRAFFIC | MCP_TOOL_STRICT };

static const char log_schema[] = MCP_JSON({
  "type": "object",
  "properties": {
    "component": {"type": "string", "description": "Component name"},
    "level": {
      "type": "string",
      "enum": ["ERROR", "WARN", "INFO", "DEBUG", "TRACE", "error", "warn", "info", "debug", "trace"]
    },
    "message": {"type": "string", "description": "Log message"},
    "trace_id": {"type": "string", "description": "Optional trace ID for correlation"},
    "data": {"type": "object", "description": "Optional structured data"},
    "id": {
      "type": "string",
      "description": "Optional UUID: the same entry sent again with it is stored once"
    },
    "created_at": {"type": "string", "description": "Optional time of the event (ISO 8601)"}
  },
  "required": ["component", "level", "message"]
});

static const char query_schema[] = MCP_JSON({
  "type": "object",
  "properties": {
    "trace_id": {"type": "string"},
    "component": {"type": "string"},
    "level": {"type": "string"},
    "start_time": {"type": "string"},
    "end_time": {"type": "string"},
    "limit": {"type": "integer", "default": 100},
    "search": {"type": "string", "description": "Full-text search in message"},
    "data": {"type": "object", "description": "JSON that an entry's data contains"},
    "cursor": {"type": "string", "description": "Page by page: empty for the first, then next_cursor"}
  }
});

static const char clear_schema[] =
    MCP_JSON({
  "type": "object",
  "properties": {
    "component": {"type": "string"},
    "before_time": {"type": "string"},
    "level": {"type": "string"}
  }
});

static const char clear_unlisted_properties[] = MCP_JSON({"dry_run": {"type": "boolean"}});

static const char set_level_schema[] = MCP_JSON({
  "type": "object",
  "properties": {
    "component": {"type": "string"},
    "level": {"type": "string", "enum": ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"]}
  },
  "required": ["component", "level"]
});

/* More spellings are accepted than the listed enums name. */
static const char level_unlisted_properties[] = MCP_JSON({"level": {"type": "string"}});

static const char remove_level_schema[] = MCP_JSON({
  "type": "object",
  "properties": {"component": {"type": "string"}},
  "required": ["component"]
});

static const mcp_tool_t table[] = {
    {.name = "logger_log",
     .description = "Push a log entry to the logging queue",
     .input_schema = log_schema,
     .handler = logger_log,
     .flags = MCP_TOOL_LOG_TRAFFIC,
     .annotations = MCP_ADDS,
     .unlisted_properties = level_unlisted_properties},
    {.name = "logger_query",
     .description = "Query logs from storage (proxies to Dewey)",
     .input_schema = query_schema,
     .handler = logger_query,
     .flags = STRICT_LOG_TRAFFIC,
     .annotations = MCP_READS},
    {.name = "logger_clear",
     .description = "Clear logs from storage (proxies to Dewey)",
     .input_schema = clear_schema,
     .handler = logger_clear,
     .flags = STRICT_LOG_TRAFFIC | MCP_TOOL_ADMIN,
     .annotations = MCP_CHANGES,
     .unlisted_properties = clear_unlisted_properties},
    {.name = "logger_set_level",
     .description = "Set log level for a component",
     .input_schema = set_level_schema,
     .handler = logger_set_level,
     .flags = STRICT_LOG_TRAFFIC | MCP_TOOL_ADMIN,
     .annotations = MCP_CHANGES,
     .unlisted_properties = level_unlisted_properties},
};

/* A tool without an older name. */
static const mcp_tool_t remove_level_tool = {.name = "godot_remove_level",
                                             .description = "Remove a component's log level",
                                             .input_schema = remove_level_schema,
                                             .handler = remove_level,
                                             .flags = STRICT_LOG_TRAFFIC | MCP_TOOL_UNLISTED | MCP_TOOL_ADMIN,
                                             .annotations = MCP_CHANGES};

static int add_tools(log_tools_t *tools, mcp_server_t *server) {
  mcp_tool_t tool = remove_level_tool;
  int status = tool_names_add(server, table, sizeof table / sizeof table[0], tools);
  tool.arg = tools;
  return status != 0 ? status : mcp_server_add_tool(server, &tool);
}

int log_tools_start(log_tools_t *tools, uv_loop_t *loop, mcp_server_t *server) {
  static const char *const outcomes[] = {"accepted", "below_level", "refused", "unavailable", NULL};
  int status = add_tools(tools, server);
  if (status != 0)
    return status;
  tools->entries = mcp_server_counter(server, "godot_entries_total",
                                      "Entries sent to logger_log, by outcome.", "outcome", outcomes);
  tools->redacted = mcp_server_counter(server, "godot_redacted_total",
                                       "Members of log entries that were redacted.", NULL, NULL);
  uv_prepare_init(loop, &tools->flush_prepare);
  tools->flush_prepare.data = tools;
  return 0;
}

void log_tools_close(log_tools_t *tools) {
  flush(tools);
  uv_close((uv_handle_t *)&tools->flush_prepare, NULL);
}
