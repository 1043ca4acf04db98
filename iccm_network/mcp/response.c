/* response.c: a tool's result is sent as text that contains its JSON (MCP tools/call), and from 2025-06-18 on
 * also as structuredContent if it is an object. */
#include "mcp/response.h"

#include <math.h>
#include <string.h>

static int content(mcp__buf_t *buf, const char *text, size_t len) {
  int status = mcp__buf_puts(buf, "{\"content\":[{\"type\":\"text\",\"text\":");
  status = mcp__buf_first_error(status, mcp__buf_json_string(buf, text, len));
  return mcp__buf_first_error(status, mcp__buf_puts(buf, "}]"));
}

static int end_result(mcp__buf_t *buf, const mcp__response_context_t *to, bool is_error) {
  if (*to->members == '\0')
    return mcp__buf_puts(buf, is_error ? ",\"isError\":true}}" : "}}");
  int status = mcp__buf_puts(buf, is_error ? ",\"isError\":true" : "");
  status = mcp__buf_first_error(status, mcp__buf_puts(buf, to->members));
  return mcp__buf_first_error(status, mcp__buf_puts(buf, "}}"));
}

static int structured(mcp__buf_t *buf, mcp__protocol_version_t protocol_version, const char *json,
                      size_t len) {
  size_t begin = 0;
  while (begin < len && memchr(" \t\r\n", json[begin], 4) != NULL)
    begin++;
  if (protocol_version < MCP__2025_06_18 || begin == len || json[begin] != '{')
    return 0;
  int status = mcp__buf_puts(buf, ",\"structuredContent\":");
  return mcp__buf_first_error(status, mcp__buf_append(buf, json, len));
}

int mcp__response_result(mcp__buf_t *buf, const mcp__response_context_t *to, const char *json, size_t len) {
  int status = mcp__jsonrpc_begin_result(buf, to->id, to->id_len);
  if (to->direct) {
    status = mcp__buf_first_error(status, mcp__buf_append(buf, json, len));
    return mcp__buf_first_error(status, mcp__buf_puts(buf, "}"));
  }
  status = mcp__buf_first_error(status, content(buf, json, len));
  status = mcp__buf_first_error(status, structured(buf, to->protocol_version, json, len));
  return mcp__buf_first_error(status, end_result(buf, to, false));
}

int mcp__response_content(mcp__buf_t *buf, const mcp__response_context_t *to, const char *blocks, size_t len,
                          const char *object, size_t object_len, bool is_error) {
  int status = mcp__jsonrpc_begin_result(buf, to->id, to->id_len);
  if (to->direct) {
    status = mcp__buf_first_error(
        status, mcp__buf_append(buf, object != NULL ? object : blocks, object != NULL ? object_len : len));
    return mcp__buf_first_error(status, mcp__buf_puts(buf, "}"));
  }
  status = mcp__buf_first_error(status, mcp__buf_puts(buf, "{\"content\":"));
  status = mcp__buf_first_error(status, mcp__buf_append(buf, blocks, len));
  if (!is_error || !to->shaped)
    status = mcp__buf_first_error(status, structured(buf, to->protocol_version, object, object_len));
  return mcp__buf_first_error(status, end_result(buf, to, is_error));
}

int mcp__response_tool_error(mcp__buf_t *buf, const mcp__response_context_t *to, int code, const char *text,
                             const char *data, size_t data_len) {
  if (to->direct || to->protocol_version == MCP__2024_11_05)
    return mcp__jsonrpc_error(buf, to->id, to->id_len, code, text, data, data_len);
  int status = mcp__jsonrpc_begin_result(buf, to->id, to->id_len);
  status = mcp__buf_first_error(status, content(buf, text, strlen(text)));
  if (!to->shaped)
    status = mcp__buf_first_error(status, structured(buf, to->protocol_version, data, data_len));
  return mcp__buf_first_error(status, end_result(buf, to, true));
}

static void add_number(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key, double value) {
  if (fabs(value) < 9007199254740992.0 && value == (double)(int64_t)value) /* 3, not 3.0 */
    yyjson_mut_obj_add_sint(doc, object, key, (int64_t)value);
  else
    yyjson_mut_obj_add_real(doc, object, key, value);
}

char *mcp__response_progress(const char *token, double progress, double total, const char *message) {
  yyjson_mut_doc *doc = yyjson_mut_doc_new(&mcp__json_alc);
  yyjson_mut_val *root = yyjson_mut_obj(doc);
  yyjson_mut_doc_set_root(doc, root);
  yyjson_mut_obj_add_str(doc, root, "jsonrpc", "2.0");
  yyjson_mut_obj_add_str(doc, root, "method", "notifications/progress");
  yyjson_mut_val *params = yyjson_mut_obj_add_obj(doc, root, "params");
  yyjson_mut_obj_add_val(doc, params, "progressToken", yyjson_mut_raw(doc, token));
  add_number(doc, params, "progress", progress);
  if (total > 0)
    add_number(doc, params, "total", total);
  if (message != NULL)
    yyjson_mut_obj_add_str(doc, params, "message", message);
  char *text = yyjson_mut_write_opts(doc, 0, &mcp__json_alc, NULL, NULL);
  yyjson_mut_doc_free(doc);
  return text;
}
