/* http_message.c: see http_message.h. */
#include "client/http_message.h"

#include "base/json.h"
#include "iccm_network.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

enum { BODY_LINE_MAX = 120 };

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

int mcp__http_write_post(mcp__buf_t *out, const mcp__http_target_t *to, const mcp__outgoing_t *message,
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

int mcp__http_write_get(mcp__buf_t *out, const mcp__http_target_t *to, const char *last_event_id) {
  size_t begin = out->len;
  int status = write_start(out, to, "GET");
  status = mcp__buf_first_error(status, mcp__buf_puts(out, "Accept: text/event-stream\r\n"));
  if (last_event_id != NULL)
    status = mcp__buf_first_error(status, mcp__buf_printf(out, "Last-Event-ID: %s\r\n", last_event_id));
  status = mcp__buf_first_error(status, mcp__buf_puts(out, "\r\n"));
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

static char *json_text(yyjson_val *value) {
  return value != NULL ? yyjson_val_write_opts(value, 0, &mcp__json_alc, NULL, NULL) : NULL;
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
                           const mcp__outgoing_t *message) {
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
