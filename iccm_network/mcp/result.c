/* result.c: see result.h. */
#include "mcp/result.h"

static yyjson_val *first_text(yyjson_val *result) {
  size_t index, count;
  yyjson_val *block, *content = yyjson_obj_get(result, "content");
  if (!yyjson_is_arr(content))
    return NULL;
  yyjson_arr_foreach(content, index, count, block) {
    yyjson_val *text = yyjson_obj_get(block, "text");
    if (yyjson_equals_str(yyjson_obj_get(block, "type"), "text") && yyjson_is_str(text))
      return text;
  }
  return NULL;
}

static yyjson_val *value_of(yyjson_val *result, const mcp_result_t *answer, mcp__arena_t *arena) {
  yyjson_val *structured = yyjson_obj_get(result, "structuredContent");
  if (yyjson_is_obj(structured))
    return structured;
  yyjson_doc *doc = NULL;
  mcp__json_error_t error;
  if (answer->text != NULL)
    doc = mcp__json_read(answer->text, answer->text_len, &arena->alc, &error);
  return doc != NULL ? yyjson_doc_get_root(doc) : result;
}

static void read_result(yyjson_val *result, bool is_tool, mcp__arena_t *arena, mcp_result_t *answer) {
  answer->value = result;
  if (!is_tool)
    return;
  yyjson_val *text = first_text(result);
  answer->text = yyjson_get_str(text);
  answer->text_len = yyjson_get_len(text);
  answer->value = value_of(result, answer, arena);
  answer->is_error = yyjson_is_true(yyjson_obj_get(result, "isError"));
  if (answer->is_error)
    answer->message = answer->text != NULL ? answer->text : "the tool reports an error";
}

static void read_error(yyjson_val *error, mcp_result_t *answer) {
  yyjson_val *code = yyjson_obj_get(error, "code"), *data = yyjson_obj_get(error, "data");
  const char *message = yyjson_get_str(yyjson_is_str(error) ? error : yyjson_obj_get(error, "message"));
  int64_t number = yyjson_get_sint(code);
  answer->status = number >= -32768 && number <= -32000 ? (int)number : MCP_TOOL_ERROR;
  answer->message = message != NULL ? message : mcp_strerror(answer->status);
  answer->value = yyjson_is_null(data) ? NULL : data;
}

void mcp__result_read(const mcp__message_t *message, bool is_tool, mcp__arena_t *arena,
                      mcp_result_t *result) {
  if (message->error != NULL)
    read_error(message->error, result);
  else
    read_result(message->result, is_tool, arena, result);
}
