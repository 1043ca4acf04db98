/* http_message.c: the metadata of a modern request is inserted into the text of the message, which is not
 * serialised again: params are the last member of each request that this library writes, and _meta is the
 * last of params. Other texts, which a bridge forwards, are rewritten to this form first. */
#include "client/http_message.h"

#include "base/json.h"
#include "iccm_network.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

enum { BODY_LINE_MAX = 120 };

/* The members that _meta of a modern request must have. */
#define METADATA                                                                                             \
  "\"" MCP__META_VERSION "\":\"2026-07-28\",\"" MCP__META_CAPABILITIES "\":{},\"" MCP__META_CLIENT_INFO      \
  "\":{\"name\":\"iccm-network\",\"version\":\"" MCP_VERSION "\"}"

/* ---- reading --------------------------------------------------------------------------------------- */

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

static int write_body(mcp__http_message_t *message, yyjson_val *root, const char *text, size_t len,
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
static int write_discover(mcp__http_message_t *message) {
  mcp__free(message->method);
  message->method = mcp__strdup("server/discover");
  return mcp__buf_printf(&message->body,
                         "{\"jsonrpc\":\"2.0\",\"id\":%s,\"method\":\"server/discover\","
                         "\"params\":{\"_meta\":{" METADATA "}}}",
                         message->id);
}

static int read_members(mcp__http_message_t *message, yyjson_val *root) {
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

int mcp__http_message_read(mcp__http_message_t *message, const char *text, size_t len, mcp__era_t era,
                           size_t max_bytes) {
  mcp__json_error_t error;
  *message = (mcp__http_message_t){0};
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
    mcp__http_message_deinit(message);
  return status;
}

void mcp__http_message_deinit(mcp__http_message_t *message) {
  mcp__free(message->method);
  mcp__free(message->id);
  mcp__free(message->name);
  mcp__free(message->cancels);
  mcp__buf_deinit(&message->body);
  *message = (mcp__http_message_t){0};
}

/* ---- writing --------------------------------------------------------------------------------------- */

/* Whether a header can hold the value as it is: visible ASCII and blanks inside, and no look of base64. */
static bool is_plain(const char *value, size_t len) {
  if (len == 0 || value[0] == ' ' || value[len - 1] == ' ' || strncmp(value, "=?base64?", 9) == 0)
    return false;
  for (size_t i = 0; i < len; i++)
    if (value[i] < 0x20 || value[i] > 0x7e)
      return false;
  return true;
}

/* Appends the value of a header, in base64 if it has to be (MCP 2026-07-28, "Value Encoding"). */
static int write_value(mcp__buf_t *out, const char *value, size_t len) {
  if (is_plain(value, len))
    return mcp__buf_append(out, value, len);
  int status = mcp__buf_puts(out, "=?base64?");
  status = mcp__buf_first_error(status, mcp__buf_reserve(out, len / 3 * 4 + 5));
  if (status != 0)
    return status;
  int digits = EVP_EncodeBlock((unsigned char *)out->data + out->len, (const unsigned char *)value, (int)len);
  out->len += (size_t)digits;
  return mcp__buf_puts(out, "?=");
}

static int write_header(mcp__buf_t *out, const char *name, const char *value) {
  if (value == NULL)
    return 0;
  int status = mcp__buf_puts(out, name);
  status = mcp__buf_first_error(status, mcp__buf_puts(out, ": "));
  status = mcp__buf_first_error(status, write_value(out, value, strlen(value)));
  return mcp__buf_first_error(status, mcp__buf_puts(out, "\r\n"));
}

static int write_start(mcp__buf_t *out, const mcp__http_target_t *to, const char *method) {
  int status =
      mcp__buf_printf(out, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, to->url->path, to->url->authority);
  if (to->token != NULL) { /* printf() would leave it on the stack */
    status = mcp__buf_first_error(status, mcp__buf_puts(out, "Authorization: Bearer "));
    status = mcp__buf_first_error(status, mcp__buf_puts(out, to->token));
    status = mcp__buf_first_error(status, mcp__buf_puts(out, "\r\n"));
  }
  status = mcp__buf_first_error(status, write_header(out, "MCP-Protocol-Version", to->version));
  return mcp__buf_first_error(status, write_header(out, "Mcp-Session-Id", to->session));
}

int mcp__http_write_post(mcp__buf_t *out, const mcp__http_target_t *to, const mcp__http_message_t *message,
                         const mcp__buf_t *params) {
  size_t begin = out->len;
  int status = write_start(out, to, "POST");
  status =
      mcp__buf_first_error(status, mcp__buf_puts(out, "Content-Type: application/json\r\n"
                                                      "Accept: application/json, text/event-stream\r\n"));
  if (to->era == MCP__ERA_MODERN) {
    status = mcp__buf_first_error(status, write_header(out, "Mcp-Method", message->method));
    status = mcp__buf_first_error(status, write_header(out, "Mcp-Name", message->name));
  }
  if (params != NULL)
    status = mcp__buf_first_error(status, mcp__buf_append(out, params->data, params->len));
  status =
      mcp__buf_first_error(status, mcp__buf_printf(out, "Content-Length: %zu\r\n\r\n", message->body.len));
  status = mcp__buf_first_error(status, mcp__buf_append(out, message->body.data, message->body.len));
  if (status != 0)
    out->len = begin;
  return status;
}

int mcp__http_write_delete(mcp__buf_t *out, const mcp__http_target_t *to) {
  size_t begin = out->len;
  int status = write_start(out, to, "DELETE");
  status = mcp__buf_first_error(status, mcp__buf_puts(out, "\r\n"));
  if (status != 0)
    out->len = begin;
  return status;
}

static int write_param(mcp__buf_t *out, const char *name, yyjson_val *value) {
  char *text = yyjson_is_str(value) ? NULL : json_text(value);
  int status = mcp__buf_printf(out, "Mcp-Param-%s: ", name);
  if (yyjson_is_str(value))
    status = mcp__buf_first_error(status, write_value(out, yyjson_get_str(value), yyjson_get_len(value)));
  else
    status = mcp__buf_first_error(status, text != NULL ? mcp__buf_puts(out, text) : UV_ENOMEM);
  mcp__free(text);
  return mcp__buf_first_error(status, mcp__buf_puts(out, "\r\n"));
}

int mcp__http_write_params(mcp__buf_t *out, const mcp__tool_headers_t *headers,
                           const mcp__http_message_t *message) {
  mcp__json_error_t error;
  yyjson_doc *doc = mcp__json_read(message->body.data, message->body.len, &mcp__json_alc, &error);
  yyjson_val *params = yyjson_obj_get(yyjson_doc_get_root(doc), "params");
  yyjson_val *args = yyjson_obj_get(params, "arguments");
  int status = doc != NULL ? 0 : UV_ENOMEM;
  for (size_t i = 0; status == 0 && i < headers->count; i++) {
    yyjson_val *value = yyjson_ptr_get(args, headers->table[i].pointer);
    bool fits = yyjson_is_str(value) || yyjson_is_num(value) || yyjson_is_raw(value) || yyjson_is_bool(value);
    if (fits) /* else the server refuses the argument itself */
      status = write_param(out, headers->table[i].name, value);
  }
  yyjson_doc_free(doc);
  return status;
}

/* ---- refusals -------------------------------------------------------------------------------------- */

static bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static const char *hint_of(int status) {
  switch (status) {
  case 401:
    return ": set its token with ICCM_AUTH_TOKEN or mcp_client_set_auth_token()";
  case 404:
    return ": no MCP endpoint at this path (many servers use /mcp)";
  case 405:
    return ": no MCP endpoint that takes POST at this path (many servers use /mcp)";
  case 406:
    return ": the server does not accept Accept: application/json, text/event-stream";
  case 415:
    return ": the server does not accept Content-Type: application/json";
  case 429:
  case 503:
    return ": retry later";
  default:
    return status >= 200 && status < 300
               ? " without a response of JSON-RPC: check that the path is that of MCP"
               : "";
  }
}

static int code_of(int status) {
  switch (status) {
  case 202:
    return MCP_EPROTOCOL;
  case 401:
  case 403:
    return MCP_EREFUSED;
  case 413:
    return MCP_ETOOBIG;
  case 429:
  case 503:
    return MCP_EBUSY;
  default:
    return MCP_EUPGRADE;
  }
}

static size_t printable_len(const char *text, size_t len, size_t max) {
  size_t end = 0;
  while (end < len && end < max && text[end] >= 0x20 && text[end] < 0x7f)
    end++;
  return end;
}

int mcp__http_explain(const mcp__http_refusal_t *refusal, char *problem, size_t size) {
  int status = refusal->status;
  if (is_redirect(status)) {
    snprintf(problem, size, "the server answered HTTP %d: redirects are not followed, use the address %s",
             status, refusal->location != NULL ? refusal->location : "that it redirects to");
    return MCP_EUPGRADE;
  }
  const char *type = refusal->type;
  size_t line = refusal->body != NULL ? printable_len(refusal->body, refusal->body_len, BODY_LINE_MAX) : 0;
  int at = snprintf(problem, size, "the server answered HTTP %d", status);
  if (type != NULL)
    at += snprintf(problem + at, size - (size_t)at, " with %.*s", (int)printable_len(type, strlen(type), 60),
                   type);
  if (line > 0)
    at += snprintf(problem + at, size - (size_t)at, " \"%.*s\"", (int)line, refusal->body);
  snprintf(problem + at, size - (size_t)at, "%s", hint_of(status));
  return code_of(status);
}
