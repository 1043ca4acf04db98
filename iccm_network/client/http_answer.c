/* http_answer.c: see http_answer.h. */
#include "client/http_answer.h"

#include "mcp/protocol_version.h"

yyjson_doc *mcp__http_answer_parse(const mcp__buf_t *text) {
  mcp__json_error_t error;
  return text->len > 0 ? mcp__json_read(text->data, text->len, &mcp__json_alc, &error) : NULL;
}

bool mcp__http_is_decisive(int status) {
  return status == 401 || status == 403 || status == 429 || status == 503 || (status >= 300 && status < 400);
}

bool mcp__http_answer_is_message(const mcp__http_answer_t *answer) {
  if (!answer->is_json || answer->body->len == 0 || mcp__http_is_decisive(answer->status))
    return false;
  if (answer->status == 200)
    return true;
  yyjson_doc *doc = mcp__http_answer_parse(answer->body);
  bool is_error = yyjson_is_obj(yyjson_obj_get(yyjson_doc_get_root(doc), "error"));
  yyjson_doc_free(doc);
  return is_error;
}

bool mcp__http_event_is_response(const mcp__buf_t *text) {
  yyjson_doc *doc = mcp__http_answer_parse(text);
  yyjson_val *root = yyjson_doc_get_root(doc);
  bool is_response = yyjson_obj_get(root, "result") != NULL || yyjson_obj_get(root, "error") != NULL;
  yyjson_doc_free(doc);
  return is_response;
}

bool mcp__http_answer_lacks_headers(const mcp__http_answer_t *answer) {
  if (answer->status != 400 || !answer->is_json)
    return false;
  yyjson_doc *doc = mcp__http_answer_parse(answer->body);
  yyjson_val *error = yyjson_obj_get(yyjson_doc_get_root(doc), "error");
  bool lacks = yyjson_get_sint(yyjson_obj_get(error, "code")) == MCP__HEADER_MISMATCH;
  yyjson_doc_free(doc);
  return lacks;
}
