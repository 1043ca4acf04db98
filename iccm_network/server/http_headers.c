/* http_headers.c: each header is decoded and compared with its member of the body. */
#include "server/http_headers.h"

#include "transport/http_request.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_INTEGER 9007199254740991.0

enum { PROBLEM_BYTES = 256 };

static void refuse(mcp__dispatch_result_t *result, mcp__arena_t *arena, const char *name,
                   const char *problem) {
  char *text = mcp__arena_alloc(arena, PROBLEM_BYTES);
  if (text != NULL)
    snprintf(text, PROBLEM_BYTES, "header mismatch: %.100s %s", name, problem);
  result->action = MCP__DO_REFUSE;
  result->code = MCP__HEADER_MISMATCH;
  result->problem = text != NULL ? text : "header mismatch";
  result->data = NULL;
}

/* Visible ASCII, blanks and tabs (RFC 9110 section 5.5). */
static bool is_printable(const char *value) {
  for (; *value != '\0'; value++)
    if ((*value < 0x20 && *value != '\t') || *value > 0x7e)
      return false;
  return true;
}

/* "=?base64?...?=" is decoded, anything else stands for itself. NULL: it cannot be read. */
static const char *decode(const char *value, mcp__arena_t *arena, size_t *len) {
  static const char prefix[] = "=?base64?";
  size_t prefix_len = sizeof prefix - 1, value_len = strlen(value);
  *len = value_len;
  if (!is_printable(value))
    return NULL;
  if (strncmp(value, prefix, prefix_len) != 0 || value_len < prefix_len + 2 ||
      strcmp(value + value_len - 2, "?=") != 0)
    return value;
  size_t digits = value_len - prefix_len - 2;
  unsigned char *bytes = mcp__arena_alloc(arena, digits + 1);
  int decoded = bytes == NULL || digits % 4 != 0
                    ? -1
                    : EVP_DecodeBlock(bytes, (const unsigned char *)value + prefix_len, (int)digits);
  if (decoded < 0)
    return NULL;
  const char *end = value + prefix_len + digits; /* EVP_DecodeBlock() counts the padding as bytes */
  for (int padding = 0; padding < 2 && digits > 0 && end[-1 - padding] == '='; padding++)
    decoded--;
  *len = (size_t)decoded;
  bytes[decoded] = '\0';
  return (const char *)bytes;
}

static bool is_same_text(const char *text, size_t len, yyjson_val *value) {
  const char *own = yyjson_get_str(value);
  return own != NULL && yyjson_get_len(value) == len && memcmp(own, text, len) == 0;
}

/* A string, an integer or a boolean: x-mcp-header stands at no other. Integers are limited to those that a
 * double holds exactly ("Constraints on x-mcp-header values"). */
static bool is_same(const char *text, size_t len, yyjson_val *value) {
  if (yyjson_is_str(value))
    return is_same_text(text, len, value);
  if (yyjson_is_bool(value))
    return strcmp(text, yyjson_get_bool(value) ? "true" : "false") == 0 && strlen(text) == len;
  char *end;
  double number = strtod(text, &end);
  return yyjson_is_num(value) && len > 0 && end == text + len && strspn(text, "+-.0123456789eE") == len &&
         number == yyjson_get_num(value) && number <= MAX_INTEGER && number >= -MAX_INTEGER;
}

static void check_name(const mcp__head_t *head, yyjson_val *name, mcp__arena_t *arena,
                       mcp__dispatch_result_t *result) {
  const char *value = mcp__head_value(head, MCP__H_MCP_NAME);
  size_t len = 0;
  const char *text = value != NULL ? decode(value, arena, &len) : NULL;
  if (value == NULL)
    refuse(result, arena, "Mcp-Name", "is missing: it has to be the name of the tool");
  else if (text == NULL)
    refuse(result, arena, "Mcp-Name", "cannot be read");
  else if (head->occurrences[MCP__H_MCP_NAME] != 1 || !is_same_text(text, len, name))
    refuse(result, arena, "Mcp-Name", "is not the name in the body");
}

/* Whether the header of one parameter is as the argument, which is absent or null where it is not given. */
static bool check_param(const mcp__head_t *head, const mcp__header_param_t *param, yyjson_val *args,
                        mcp__arena_t *arena, mcp__dispatch_result_t *result) {
  char name[PROBLEM_BYTES];
  bool twice;
  size_t len = 0;
  yyjson_val *value = yyjson_ptr_get(args, param->pointer);
  bool is_given = value != NULL && !yyjson_is_null(value);
  const char *header = mcp__http_param(head, param->name, &twice);
  const char *text = header != NULL ? decode(header, arena, &len) : NULL;
  const char *problem = NULL;
  if (header == NULL && is_given)
    problem = "is missing: the argument is given";
  else if (header != NULL && !is_given)
    problem = "is given, but the argument is not";
  else if (header != NULL && text == NULL)
    problem = "cannot be read";
  else if (header != NULL && (twice || !is_same(text, len, value)))
    problem = "is not the value in the body";
  if (problem == NULL)
    return true;
  snprintf(name, sizeof name, "Mcp-Param-%s", param->name);
  refuse(result, arena, name, problem);
  return false;
}

static bool check_value(const mcp__head_t *head, mcp__header_t header, const char *name, yyjson_val *value,
                        mcp__arena_t *arena, mcp__dispatch_result_t *result) {
  const char *text = mcp__head_value(head, header);
  if (text != NULL && head->occurrences[header] == 1 && is_same_text(text, strlen(text), value))
    return true;
  refuse(result, arena, name, text == NULL ? "is missing" : "is not the value in the body");
  return false;
}

void mcp__http_check_headers(const mcp__head_t *head, const mcp__message_t *message, mcp__arena_t *arena,
                             mcp__dispatch_result_t *result) {
  yyjson_val *params = message->params, *meta = yyjson_obj_get(params, "_meta");
  yyjson_val *version = yyjson_obj_get(meta, MCP__META_VERSION);
  if (result->is_malformed && result->code != MCP__UNSUPPORTED_VERSION)
    return;
  if (!check_value(head, MCP__H_MCP_VERSION, "MCP-Protocol-Version", version, arena, result) ||
      result->code == MCP__UNSUPPORTED_VERSION ||
      !check_value(head, MCP__H_MCP_METHOD, "Mcp-Method", message->method, arena, result))
    return;
  yyjson_val *name = yyjson_obj_get(params, "name");
  if (!yyjson_equals_str(message->method, "tools/call") || !yyjson_is_str(name))
    return;
  check_name(head, name, arena, result);
  yyjson_val *args = yyjson_obj_get(params, "arguments");
  for (size_t i = 0;
       result->tool != NULL && result->code != MCP__HEADER_MISMATCH && i < result->tool->headers.count; i++)
    check_param(head, &result->tool->headers.table[i], args, arena, result);
}
