/* dispatch.c: the methods of MCP.
 *
 * Happy path: the method is looked up in a short table, the arguments of a tools/call are validated against
 * the schema of its tool, and the result says what the caller has to do. Requests are served at any time:
 * many clients never send initialize, or send it without params; these get protocol version 2024-11-05.
 * Failure: a result with an error code and a message for the client. */
#include "mcp/dispatch.h"

#include "base/span.h"
#include "mcp/modern.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  QUOTED_MAX_BYTES = 128,
  PROGRESS_TOKEN_MAX_BYTES = 1024,
  PROBLEM_BYTES = 512,
  CURSOR_BYTES = 21,
  SUFFIX_MAX_BYTES = 8192
};

static void refuse(mcp__dispatch_result_t *result, int code, const char *problem) {
  result->action = MCP__DO_REFUSE;
  result->code = code;
  result->problem = problem;
}

static char *new_problem_text(mcp__arena_t *arena) {
  char *text = mcp__arena_alloc(arena, PROBLEM_BYTES);
  if (text != NULL)
    *text = '\0';
  return text;
}

static void refuse_name(mcp__dispatch_result_t *result, int code, const char *what, yyjson_val *name,
                        mcp__arena_t *arena) {
  char *text = new_problem_text(arena);
  size_t len = yyjson_get_len(name);
  bool shown = text != NULL && len <= QUOTED_MAX_BYTES; /* a longer one could be cut within a character */
  if (shown)
    snprintf(text, PROBLEM_BYTES, "%s: %s", what, yyjson_get_str(name));
  refuse(result, code, shown ? text : what);
}

static void refuse_malformed(mcp__dispatch_result_t *result, int code, const char *problem) {
  refuse(result, code, problem);
  result->is_malformed = true;
}

/* A request from 2026-07-28 on names its version in its metadata. Returns whether the request was refused. */
static bool refuse_metadata(yyjson_val *params, bool is_required, mcp__arena_t *arena,
                            mcp__dispatch_result_t *result) {
  mcp__metadata_t metadata;
  mcp__metadata_read(&metadata, params, is_required, arena);
  if (metadata.is_modern)
    result->protocol_version = MCP__2026_07_28;
  if (metadata.code == 0)
    return false;
  refuse_malformed(result, metadata.code, metadata.problem);
  result->data = metadata.data;
  result->data_len = metadata.data_len;
  return true;
}

static mcp__protocol_version_t negotiate_version(yyjson_val *params) {
  yyjson_val *wanted = yyjson_obj_get(params, "protocolVersion");
  mcp__protocol_version_t version;
  if (!yyjson_is_str(wanted))
    return MCP__2024_11_05;
  bool is_known = mcp__protocol_version_parse(yyjson_get_str(wanted), yyjson_get_len(wanted), &version);
  return is_known && version < MCP__2026_07_28 ? version
                                               : MCP__2025_11_25; /* later ones have no initialize */
}

static yyjson_val *experimental_capability(yyjson_val *params, const char *capability) {
  yyjson_val *capabilities = yyjson_obj_get(params, "capabilities");
  return yyjson_obj_get(yyjson_obj_get(capabilities, "experimental"), capability);
}

static void on_initialize(const mcp__server_info_t *server, yyjson_val *params, mcp__arena_t *arena,
                          mcp__dispatch_result_t *result) {
  result->protocol_version = negotiate_version(params);
  if (server->experimental_capability != NULL &&
      yyjson_is_obj(experimental_capability(params, server->experimental_capability)))
    result->initialize_params = params;
  result->is_doctor = yyjson_is_obj(experimental_capability(params, "iccm/doctor"));
  yyjson_mut_doc *doc = yyjson_mut_doc_new(&arena->alc);
  yyjson_mut_val *root = yyjson_mut_obj(doc);
  yyjson_mut_doc_set_root(doc, root);
  yyjson_mut_obj_add_str(doc, root, "protocolVersion", mcp__protocol_version_name(result->protocol_version));
  yyjson_mut_val *capabilities = yyjson_mut_obj_add_obj(doc, root, "capabilities");
  yyjson_mut_val *tools = yyjson_mut_obj_add_obj(doc, capabilities, "tools");
  if (result->protocol_version >= MCP__2025_03_26) /* older peers take the next message for the response */
    yyjson_mut_obj_add_bool(doc, tools, "listChanged", true);
  if (result->initialize_params != NULL)
    yyjson_mut_obj_add_obj(doc, yyjson_mut_obj_add_obj(doc, capabilities, "experimental"),
                           server->experimental_capability);
  yyjson_mut_val *info = yyjson_mut_obj_add_obj(doc, root, "serverInfo");
  yyjson_mut_obj_add_str(doc, info, "name", server->name);
  yyjson_mut_obj_add_str(doc, info, "version", server->version);
  result->json = yyjson_mut_write_opts(doc, 0, &arena->alc, &result->json_len, NULL);
  result->action = MCP__DO_RESPOND;
}

static void on_ping(const mcp__server_info_t *server, yyjson_val *params, mcp__arena_t *arena,
                    mcp__dispatch_result_t *result) {
  (void)server;
  (void)params;
  (void)arena;
  result->action = MCP__DO_RESPOND;
  result->json = "{}";
  result->json_len = 2;
}

/* A notification, which some clients send with an id. */
static void on_initialized(const mcp__server_info_t *server, yyjson_val *params, mcp__arena_t *arena,
                           mcp__dispatch_result_t *result) {
  result->initialized = true;
  on_ping(server, params, arena, result);
}

/* Parses a cursor as page_suffix() writes it, a number above 0. *cursor is 0 for the first page. False: not a
 * cursor of this server. */
static bool read_cursor(yyjson_val *value, uint64_t *cursor) {
  const char *text = yyjson_get_str(value);
  size_t len = yyjson_get_len(value);
  *cursor = 0;
  if (value == NULL || yyjson_is_null(value))
    return true;
  if (text == NULL || len == 0 || len >= CURSOR_BYTES || strspn(text, "0123456789") != len || *text == '0')
    return false;
  *cursor = strtoull(text, NULL, 10); /* UINT64_MAX on overflow */
  return true;
}

/* A text in the arena; NULL: out of memory, which the arena notes. */
static const char *keep(mcp__arena_t *arena, mcp__buf_t *text, int status) {
  status = mcp__buf_first_error(status, mcp__buf_append(text, "", 1));
  char *copy = status == 0 ? mcp__arena_alloc(arena, text->len) : NULL;
  if (copy != NULL)
    memcpy(copy, text->data, text->len);
  arena->failed |= copy == NULL;
  mcp__buf_deinit(text);
  return copy;
}

/* The end of a result that clients may keep for a time (MCP 2026-07-28, "Caching"). */
static int write_modern_end(mcp__buf_t *text, const mcp__server_info_t *server) {
  int status = mcp__modern_write_caching(text);
  status = mcp__buf_first_error(status, mcp__buf_puts(text, server->result_members));
  return mcp__buf_first_error(status, mcp__buf_puts(text, "}"));
}

static const char *page_suffix(const mcp__server_info_t *server, const mcp__dispatch_result_t *result,
                               uint64_t next, mcp__arena_t *arena) {
  bool is_modern = result->protocol_version >= MCP__2026_07_28;
  mcp__buf_t text;
  if (next == 0 && !is_modern)
    return "]}";
  mcp__buf_init(&text, SUFFIX_MAX_BYTES, NULL);
  int status = mcp__buf_puts(&text, "]");
  if (next != 0)
    status = mcp__buf_first_error(
        status, mcp__buf_printf(&text, ",\"nextCursor\":\"%llu\"", (unsigned long long)next));
  status =
      mcp__buf_first_error(status, is_modern ? write_modern_end(&text, server) : mcp__buf_puts(&text, "}"));
  return keep(arena, &text, status);
}

static void on_tools_list(const mcp__server_info_t *server, yyjson_val *params, mcp__arena_t *arena,
                          mcp__dispatch_result_t *result) {
  uint64_t cursor;
  mcp__page_t page;
  /* outputSchema promises structuredContent, which is sent from this version on */
  bool with_output = result->protocol_version >= MCP__2025_06_18;
  if (!read_cursor(yyjson_obj_get(params, "cursor"), &cursor) ||
      !mcp__tools_page(server->tools, with_output, cursor, &page)) {
    refuse(result, MCP_INVALID_PARAMS, "/cursor: unknown cursor; omit it to get the first page");
    return;
  }
  result->action = MCP__DO_RESPOND;
  result->json_prefix = "{\"tools\":[";
  result->json = page.text;
  result->json_len = page.len;
  result->json_suffix = page_suffix(server, result, page.next, arena);
}

static const char *trace_text(yyjson_val *meta, const char *key) {
  yyjson_val *id = yyjson_obj_get(meta, key);
  size_t len = yyjson_get_len(id);
  bool fine = yyjson_is_str(id) && len > 0 && len <= MCP__TRACE_ID_BYTES && strlen(yyjson_get_str(id)) == len;
  return fine ? yyjson_get_str(id) : NULL;
}

/* The parent id of a traceparent (W3C Trace Context): version-traceid-parentid-flags, in hexadecimal digits;
 * NULL if it is invalid or all zeros. */
static const char *parent_of_traceparent(const char *traceparent, mcp__arena_t *arena) {
  static const char digits[] = "0123456789abcdef";
  bool fine = traceparent != NULL && strlen(traceparent) >= 55 && strspn(traceparent, digits) == 2 &&
              traceparent[2] == '-' && strspn(traceparent + 3, digits) == 32 && traceparent[35] == '-' &&
              strspn(traceparent + 36, digits) == 16 && strspn(traceparent + 36, "0") < 16 &&
              traceparent[52] == '-' && strspn(traceparent + 53, digits) == 2;
  char *parent = fine ? mcp__arena_alloc(arena, 17) : NULL;
  if (parent == NULL)
    return NULL;
  memcpy(parent, traceparent + 36, 16);
  parent[16] = '\0';
  return parent;
}

static void read_trace(yyjson_val *params, mcp__arena_t *arena, mcp__dispatch_result_t *result) {
  yyjson_val *meta = yyjson_obj_get(params, "_meta");
  if (meta == NULL)
    return;
  const char *traceparent = trace_text(meta, "traceparent");
  result->trace_id = trace_text(meta, "trace_id");
  if (result->trace_id == NULL)
    result->trace_id = traceparent;
  result->parent_span_id = trace_text(meta, "span_id");
  if (result->parent_span_id == NULL)
    result->parent_span_id = parent_of_traceparent(traceparent, arena);
}

/* As it came, since the caller compares it: an integer of any size, or a string. */
static const char *progress_token(yyjson_val *params, mcp__arena_t *arena) {
  yyjson_val *token = yyjson_obj_get(yyjson_obj_get(params, "_meta"), "progressToken");
  bool big = yyjson_is_raw(token) && strcspn(yyjson_get_raw(token), ".eE") == yyjson_get_len(token);
  if ((!yyjson_is_str(token) && !yyjson_is_int(token) && !big) ||
      yyjson_get_len(token) > PROGRESS_TOKEN_MAX_BYTES)
    return NULL;
  return yyjson_val_write_opts(token, 0, &arena->alc, NULL, NULL);
}

static yyjson_val *arguments_or_empty(yyjson_val *args, mcp__arena_t *arena) {
  if (args != NULL && !yyjson_is_null(args))
    return args;
  yyjson_val *empty =
      mcp__arena_alloc(arena, 3 * sizeof *empty); /* parsed values also have a value after them */
  if (empty != NULL)
    memset(empty, 0, 3 * sizeof *empty);
  if (empty != NULL) {
    empty->tag = YYJSON_TYPE_OBJ;
    empty->uni.ofs = sizeof *empty;
  }
  return empty;
}

/* The arguments of a direct call: its params without _meta, which belongs to the request. */
static yyjson_val *without_meta(yyjson_val *params, mcp__arena_t *arena) {
  size_t index, max, count = 0;
  yyjson_val *key, *value;
  if (yyjson_obj_get(params, "_meta") == NULL)
    return params;
  yyjson_val *args =
      mcp__arena_alloc(arena, (size_t)((char *)unsafe_yyjson_get_next(params) - (char *)params));
  if (args == NULL)
    return NULL;
  yyjson_val *end = args + 1;
  yyjson_obj_foreach(params, index, max, key, value) {
    size_t values = (size_t)(unsafe_yyjson_get_next(value) - key);
    if (yyjson_equals_str(key, "_meta"))
      continue;
    memcpy(end, key, values * sizeof *key);
    end += values;
    count++;
  }
  args->tag = YYJSON_TYPE_OBJ | (uint64_t)count << YYJSON_TAG_BIT;
  args->uni.ofs = (size_t)(end - args) * sizeof *args;
  return args;
}

/* Whether the client lacks a capability that the tool needs (MCP 2026-07-28,
 * MissingRequiredClientCapability). */
static bool refuse_capabilities(yyjson_val *needed, yyjson_val *params, mcp__arena_t *arena,
                                mcp__dispatch_result_t *result) {
  yyjson_val *declared = yyjson_obj_get(yyjson_obj_get(params, "_meta"), MCP__META_CAPABILITIES);
  yyjson_mut_doc *doc = yyjson_mut_doc_new(&arena->alc);
  yyjson_mut_val *data = yyjson_mut_obj(doc);
  yyjson_mut_val *missing = yyjson_mut_obj_add_obj(doc, data, "requiredCapabilities");
  size_t index, max;
  yyjson_val *key, *value;
  yyjson_obj_foreach(needed, index, max, key, value) {
    if (yyjson_obj_getn(declared, yyjson_get_str(key), yyjson_get_len(key)) == NULL)
      yyjson_mut_obj_add(missing, yyjson_val_mut_copy(doc, key), yyjson_val_mut_copy(doc, value));
  }
  if (yyjson_mut_obj_size(missing) == 0)
    return false;
  refuse(result, MCP__MISSING_CAPABILITY, "the client lacks capabilities that the tool needs");
  result->data = yyjson_mut_val_write_opts(data, 0, &arena->alc, &result->data_len, NULL);
  return true;
}

static void call(mcp__tool_t *tool, yyjson_val *args, yyjson_val *params, mcp__arena_t *arena,
                 mcp__dispatch_result_t *result) {
  result->tool = tool;
  args = arguments_or_empty(args, arena);
  char *problem = new_problem_text(arena);
  if (args == NULL || problem == NULL || arena->failed) {
    refuse(result, MCP_INTERNAL_ERROR, "out of memory");
    return;
  }
  result->tool = tool;
  read_trace(params, arena, result);
  if (result->protocol_version >= MCP__2026_07_28 && tool->client_capabilities != NULL &&
      refuse_capabilities(yyjson_doc_get_root(tool->client_capabilities), params, arena, result))
    return;
  if (!mcp__schema_check(tool->schema, args, problem, PROBLEM_BYTES)) {
    refuse(result, MCP_INVALID_PARAMS, problem);
    result->action = MCP__DO_REFUSE_CALL;
    return;
  }
  result->action = MCP__DO_CALL;
  result->args = args;
  result->progress_token = progress_token(params, arena);
}

static void on_tools_call(const mcp__server_info_t *server, yyjson_val *params, mcp__arena_t *arena,
                          mcp__dispatch_result_t *result) {
  yyjson_val *name = yyjson_obj_get(params, "name");
  if (!yyjson_is_str(name)) {
    refuse(result, MCP_INVALID_PARAMS, "/name: required, the name of a tool as a string");
    return;
  }
  mcp__tool_t *tool = mcp__tools_find(server->tools, yyjson_get_str(name), yyjson_get_len(name));
  if (tool != NULL)
    call(tool, yyjson_obj_get(params, "arguments"), params, arena, result);
  else
    refuse_name(result,
                result->protocol_version == MCP__2024_11_05 ? MCP_METHOD_NOT_FOUND : MCP_INVALID_PARAMS,
                "unknown tool", name, arena);
}

static void on_cancelled(const mcp__server_info_t *server, yyjson_val *params, mcp__arena_t *arena,
                         mcp__dispatch_result_t *result) {
  (void)server;
  yyjson_val *id = yyjson_obj_get(params, "requestId"); /* yyjson stores a value after its key */
  if (id != NULL && mcp__jsonrpc_id(id - 1, id, arena, &result->cancel_id, &result->cancel_id_len))
    result->action = MCP__DO_CANCEL;
}

static void on_discover(const mcp__server_info_t *server, yyjson_val *params, mcp__arena_t *arena,
                        mcp__dispatch_result_t *result) {
  mcp__buf_t suffix;
  (void)params;
  mcp__buf_init(&suffix, SUFFIX_MAX_BYTES, NULL);
  result->json_suffix = keep(arena, &suffix, write_modern_end(&suffix, server));
  result->json = mcp__modern_discover(server->experimental_capability, arena, &result->json_len);
  result->action = MCP__DO_RESPOND;
}

static void on_listen(const mcp__server_info_t *server, yyjson_val *params, mcp__arena_t *arena,
                      mcp__dispatch_result_t *result) {
  yyjson_val *wanted = yyjson_obj_get(params, "notifications");
  const char *capability = server->experimental_capability;
  (void)arena;
  if (!yyjson_is_obj(wanted)) {
    refuse(result, MCP_INVALID_PARAMS, "/notifications: must be an object");
    return;
  }
  result->action = MCP__DO_LISTEN;
  result->listens_tools = yyjson_is_true(yyjson_obj_get(wanted, "toolsListChanged"));
  result->listens_capability = capability != NULL && yyjson_is_true(yyjson_obj_get(wanted, capability));
}

typedef enum method_era { ANY, UP_TO_2025_11_25, FROM_2026_07_28 } method_era_t;

typedef struct method {
  const char *name;
  method_era_t era;
  void (*serve)(const mcp__server_info_t *, yyjson_val *, mcp__arena_t *, mcp__dispatch_result_t *);
} method_t;

static const method_t methods[] = {
    {"tools/call", ANY, on_tools_call},
    {"tools/list", ANY, on_tools_list},
    {"ping", UP_TO_2025_11_25, on_ping},
    {"initialize", UP_TO_2025_11_25, on_initialize},
    {"notifications/initialized", UP_TO_2025_11_25, on_initialized},
    {"notifications/cancelled", ANY, on_cancelled},
    {"server/discover", FROM_2026_07_28, on_discover},
    {"subscriptions/listen", FROM_2026_07_28, on_listen},
};

static const method_t *find_method(yyjson_val *name) {
  for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
    if (yyjson_equals_str(name, methods[i].name))
      return &methods[i];
  return NULL;
}

void mcp__dispatch(const mcp__server_info_t *server, mcp__protocol_version_t protocol_version,
                   const mcp__message_t *message, mcp__arena_t *arena, mcp__dispatch_result_t *result) {
  *result = (mcp__dispatch_result_t){
      .action = MCP__DO_NOTHING, .protocol_version = protocol_version, .json_prefix = "", .json_suffix = ""};
  if (message->kind == MCP__RESPONSE)
    return; /* this server sends no requests */
  if (message->kind == MCP__INVALID) {
    refuse(result, message->code, message->problem);
    return;
  }
  const method_t *method = find_method(message->method);
  bool is_modern = protocol_version >= MCP__2026_07_28 || (method != NULL && method->era == FROM_2026_07_28);
  if (message->kind == MCP__REQUEST && refuse_metadata(message->params, is_modern, arena, result))
    return;
  if (method != NULL && method->era == UP_TO_2025_11_25 && result->protocol_version >= MCP__2026_07_28)
    method = NULL;
  if (method != NULL && yyjson_is_arr(message->params)) {
    refuse(result, MCP_INVALID_PARAMS, "params must be an object, not an array");
  } else if (method != NULL) {
    method->serve(server, message->params, arena, result);
  } else {
    mcp__tool_t *tool =
        mcp__tools_find(server->tools, yyjson_get_str(message->method), yyjson_get_len(message->method));
    result->direct = true;
    if (tool != NULL)
      call(tool, without_meta(message->params, arena), message->params, arena, result);
    else
      refuse_name(result, MCP_METHOD_NOT_FOUND, "unknown method", message->method, arena);
  }
  if (result->action == MCP__DO_LISTEN && message->kind != MCP__REQUEST)
    result->action = MCP__DO_NOTHING; /* without an id there is no subscription */
  bool is_silent = result->action == MCP__DO_NOTHING || result->action == MCP__DO_CANCEL;
  if (is_silent && message->kind == MCP__REQUEST) /* every request gets a response */
    refuse(result, MCP_INVALID_REQUEST, "a notification must not have an id");
  if (arena->failed && result->action == MCP__DO_RESPOND)
    refuse(result, MCP_INTERNAL_ERROR, "out of memory");
}

int mcp__dispatch_write(mcp__buf_t *out, const mcp__response_context_t *to,
                        const mcp__dispatch_result_t *result) {
  if (result->action == MCP__DO_RESPOND) {
    int status = mcp__jsonrpc_begin_result(out, to->id, to->id_len);
    status = mcp__buf_first_error(status, mcp__buf_puts(out, result->json_prefix));
    status = mcp__buf_first_error(status, mcp__buf_append(out, result->json, result->json_len));
    status = mcp__buf_first_error(status, mcp__buf_puts(out, result->json_suffix));
    return mcp__buf_first_error(status, mcp__buf_puts(out, "}"));
  }
  bool is_result = to->protocol_version >= MCP__2025_11_25; /* required by that version for arguments */
  if (result->action == MCP__DO_REFUSE_CALL && (is_result || result->code == MCP_TOOL_ERROR))
    return mcp__response_tool_error(out, to, result->code, result->problem, NULL, 0);
  return mcp__jsonrpc_error(out, to->id, to->id_len, result->code, result->problem, result->data,
                            result->data_len);
}
