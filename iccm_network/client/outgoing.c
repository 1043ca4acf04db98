/* outgoing.c: the metadata of a modern request is inserted into the text of the message, which is not
 * serialised again: params are the last member of each request that this library writes, and _meta is the
 * last of params. Other texts, which a bridge forwards, are rewritten to this form first. */
#include "client/outgoing.h"

#include "base/json.h"
#include "iccm_network.h"
#include "mcp/protocol_version.h"

#include <string.h>
#include <uv.h>

/* The members that _meta of a modern request must have. */
#define METADATA                                                                                             \
  "\"" MCP__META_VERSION "\":\"2026-07-28\",\"" MCP__META_CAPABILITIES "\":{},\"" MCP__META_CLIENT_INFO      \
  "\":{\"name\":\"iccm-network\",\"version\":\"" MCP_VERSION "\"}"

static char *json_text(yyjson_val *value) {
  return value != NULL ? yyjson_val_write_opts(value, 0, &mcp__json_alc, NULL, NULL) : NULL;
}

static char *copy_text(yyjson_val *value) {
  return yyjson_is_str(value) ? mcp__strdup(yyjson_get_str(value)) : NULL;
}

/* The parameter that Mcp-Name repeats. */
static const char *name_key(const char *method) {
  if (strcmp(method, "tools/call") == 0 || strcmp(method, "prompts/get") == 0)
    return "name";
  return strcmp(method, "resources/read") == 0 ? "uri" : NULL;
}

static yyjson_val *last_value(yyjson_val *object) {
  size_t index, max;
  yyjson_val *key, *value, *last = NULL;
  yyjson_obj_foreach(object, index, max, key, value) last = value;
  return last;
}

static bool ends_with(const char *text, size_t len, const char *end) {
  size_t end_len = strlen(end);
  return len >= end_len && memcmp(text + len - end_len, end, end_len) == 0;
}

/* Puts insert in front of the last back bytes. */
static int insert(mcp__buf_t *body, const char *text, size_t len, size_t back, const char *before,
                  const char *after) {
  int status = mcp__buf_append(body, text, len - back);
  status = mcp__buf_first_error(status, mcp__buf_puts(body, before));
  status = mcp__buf_first_error(status, mcp__buf_puts(body, METADATA));
  status = mcp__buf_first_error(status, mcp__buf_puts(body, after));
  return mcp__buf_first_error(status, mcp__buf_append(body, text + len - back, back));
}

/* Whether the metadata could be inserted into the text as it is; *status then says how that went. */
static bool insert_metadata(mcp__buf_t *body, yyjson_val *root, const char *text, size_t len, int *status) {
  yyjson_val *params = yyjson_obj_get(root, "params"), *meta = yyjson_obj_get(params, "_meta");
  bool last = last_value(root) == params && yyjson_is_obj(params);
  bool is_new = yyjson_obj_get(meta, MCP__META_CAPABILITIES) == NULL &&
                yyjson_obj_get(meta, MCP__META_CLIENT_INFO) == NULL;
  if (params == NULL && ends_with(text, len, "}"))
    *status = insert(body, text, len, 1, ",\"params\":{\"_meta\":{", "}}");
  else if (last && meta == NULL && yyjson_obj_size(params) > 0 && ends_with(text, len, "}}"))
    *status = insert(body, text, len, 2, ",\"_meta\":{", "}");
  else if (last && is_new && yyjson_obj_size(meta) > 0 && last_value(params) == meta &&
           ends_with(text, len, "}}}"))
    *status = insert(body, text, len, 3, ",", "");
  else
    return false;
  return true;
}

/* Adds the metadata to params of any form. */
static int rewrite(mcp__buf_t *body, yyjson_val *root) {
  static const char all[] = "{" METADATA "}";
  mcp__json_error_t error;
  yyjson_doc *metadata = mcp__json_read(all, sizeof all - 1, &mcp__json_alc, &error);
  yyjson_mut_doc *doc = yyjson_mut_doc_new(&mcp__json_alc);
  yyjson_mut_val *copy = yyjson_val_mut_copy(doc, root), *params = yyjson_mut_obj_get(copy, "params");
  if (!yyjson_mut_is_obj(params))
    yyjson_mut_obj_put(copy, yyjson_mut_str(doc, "params"), params = yyjson_mut_obj(doc));
  yyjson_mut_val *meta = yyjson_mut_obj_get(params, "_meta");
  if (!yyjson_mut_is_obj(meta))
    yyjson_mut_obj_put(params, yyjson_mut_str(doc, "_meta"), meta = yyjson_mut_obj(doc));
  size_t index, max, len = 0;
  bool ok = meta != NULL;
  yyjson_val *key, *value;
  yyjson_obj_foreach(yyjson_doc_get_root(metadata), index, max, key, value) ok =
      ok && yyjson_mut_obj_put(meta, yyjson_val_mut_copy(doc, key), yyjson_val_mut_copy(doc, value));
  char *text = ok && metadata != NULL ? yyjson_mut_val_write_opts(copy, 0, &mcp__json_alc, &len, NULL) : NULL;
  int status = text != NULL ? mcp__buf_append(body, text, len) : UV_ENOMEM;
  mcp__free(text);
  yyjson_mut_doc_free(doc);
  yyjson_doc_free(metadata);
  return status;
}

static int write_body(mcp__outgoing_t *message, yyjson_val *root, const char *text, size_t len,
                      mcp__era_t era) {
  yyjson_val *meta = yyjson_obj_get(yyjson_obj_get(root, "params"), "_meta");
  bool is_complete = era == MCP__ERA_LEGACY || message->method == NULL || message->id == NULL ||
                     yyjson_obj_get(meta, MCP__META_VERSION) != NULL;
  int status = 0;
  if (is_complete)
    return mcp__buf_append(&message->body, text, len);
  return insert_metadata(&message->body, root, text, len, &status) ? status : rewrite(&message->body, root);
}

/* A modern server does not know ping: what every one of them answers stands in for it. */
static int write_discover(mcp__outgoing_t *message) {
  mcp__free(message->method);
  message->method = mcp__strdup("server/discover");
  return mcp__buf_printf(&message->body,
                         "{\"jsonrpc\":\"2.0\",\"id\":%s,\"method\":\"server/discover\","
                         "\"params\":{\"_meta\":{" METADATA "}}}",
                         message->id);
}

static int read_members(mcp__outgoing_t *message, yyjson_val *root) {
  yyjson_val *method = yyjson_obj_get(root, "method"), *id = yyjson_obj_get(root, "id");
  yyjson_val *params = yyjson_obj_get(root, "params");
  message->method = copy_text(method);
  message->id = json_text(id);
  if ((method != NULL && message->method == NULL) || (id != NULL && message->id == NULL))
    return UV_ENOMEM;
  if (message->method == NULL)
    return 0;
  const char *key = name_key(message->method);
  message->name = key != NULL ? copy_text(yyjson_obj_get(params, key)) : NULL;
  if (strcmp(message->method, "notifications/cancelled") == 0)
    message->cancels = json_text(yyjson_obj_get(params, "requestId"));
  return 0;
}

int mcp__outgoing_read(mcp__outgoing_t *message, const char *text, size_t len, mcp__era_t era,
                       size_t max_bytes) {
  mcp__json_error_t error;
  *message = (mcp__outgoing_t){0};
  mcp__buf_init(&message->body, max_bytes, NULL);
  yyjson_doc *doc = mcp__json_read(text, len, &mcp__json_alc, &error);
  if (doc == NULL)
    return error.status == UV_ENOMEM ? UV_ENOMEM : MCP_EENCODE;
  yyjson_val *root = yyjson_doc_get_root(doc);
  int status = read_members(message, root);
  bool is_ping = message->method != NULL && message->id != NULL && strcmp(message->method, "ping") == 0;
  if (status == 0)
    status = is_ping && era == MCP__ERA_MODERN ? write_discover(message)
                                               : write_body(message, root, text, len, era);
  yyjson_doc_free(doc);
  if (status != 0)
    mcp__outgoing_deinit(message);
  return status;
}

void mcp__outgoing_deinit(mcp__outgoing_t *message) {
  mcp__free(message->method);
  mcp__free(message->id);
  mcp__free(message->name);
  mcp__free(message->cancels);
  mcp__buf_deinit(&message->body);
  *message = (mcp__outgoing_t){0};
}
