/* tool_args.c: see tool_args.h. */
#include "tool_args.h"
#include "text_nul.h"

#include <iccm_service.h>
#include <stdlib.h>

static bool is_abandoned(void *arg) {
  return mcp_call_cancelled(arg);
}

cancel_token_t cancel_when_abandoned(mcp_call_t *call) {
  return (cancel_token_t){is_abandoned, call};
}

/* data.retry: the request is valid; the caller may repeat it. */
static void reply_retry(mcp_call_t *call, const char *doing) {
  yyjson_mut_doc *doc = mcp_call_doc(call);
  yyjson_mut_val *data = yyjson_mut_obj(doc);
  yyjson_mut_obj_add_bool(doc, data, "retry", true);
  mcp_call_fail(call, MCP_TOOL_ERROR, data, "%s failed, retry", doing);
}

void reply_store_error(mcp_call_t *call, health_t *health, enum health_operation work, int code,
                       const char *doing, const store_error_t *error) {
  if (code == STORE_NOT_FOUND ||
      code == STORE_CONFLICT) { /* not a failure of the store; the text is public */
    mcp_call_tool_error(call, "%s", error->text);
    return;
  }
  health_report(health, work, code, error);
  if (code != STORE_CANCELLED)
    mcp_log(MCP_LOG_ERROR, "store", "%s failed: %s", doing, error->text);
  if (code == STORE_INVALID)
    mcp_call_fail(call, MCP_INVALID_PARAMS, NULL, "%s failed: the database cannot store a given value",
                  doing);
  else if (code == STORE_TIMEOUT)
    mcp_call_tool_error(call, "%s took longer than %d s; narrow the query", doing,
                        STORE_QUERY_TIMEOUT_MS / 1000);
  else
    reply_retry(call, doing);
}

void reply_no_memory(mcp_call_t *call) {
  mcp_call_fail(call, MCP_INTERNAL_ERROR, NULL, "out of memory");
}

void reply_too_large(mcp_call_t *call, const char *advice) {
  mcp_call_tool_error(call, "the answer is larger than %d MiB%s", RESPONSE_MAX_BYTES / 1024 / 1024, advice);
}

bool force_arg(mcp_call_t *call, yyjson_val *args) {
  if (mcp_arg_bool(args, "force", false))
    return true;
  mcp_call_fail(call, MCP_INVALID_PARAMS, NULL, "nothing was deleted: this cannot be undone and needs force");
  return false;
}

mcp_text_t text_arg(yyjson_val *args, const char *name) {
  mcp_text_t text;
  text.ptr = mcp_arg_text(args, name, NULL, &text.len);
  return text;
}

bool replace_nul(mcp_call_t *call, mcp_text_t *text) {
  if (!text_has_nul(*text))
    return true;
  char *copy = text_replace_nul(text);
  yyjson_mut_val *kept = copy != NULL ? yyjson_mut_strncpy(mcp_call_doc(call), copy, text->len) : NULL;
  free(copy);
  text->ptr = yyjson_mut_get_str(kept);
  if (kept == NULL)
    reply_no_memory(call);
  return kept != NULL;
}

bool bounded_text_arg(mcp_call_t *call, yyjson_val *args, const char *name, size_t max_bytes,
                      mcp_text_t *out) {
  *out = text_arg(args, name);
  if (!replace_nul(call, out))
    return false;
  if (out->len <= max_bytes)
    return true;
  mcp_call_fail(call, MCP_INVALID_PARAMS, NULL, "%s is longer than %zu bytes", name, max_bytes);
  return false;
}

static bool read_time(mcp_call_t *call, yyjson_val *args, const char *name,
                      int (*parse)(const char *, size_t, int64_t *), int64_t *out) {
  mcp_text_t text = text_arg(args, name);
  if (text.ptr == NULL || parse(text.ptr, text.len, out) == 0)
    return true;
  mcp_call_fail(call, MCP_INVALID_PARAMS, NULL, "%s is not " MCP_TIME_FORM, name);
  return false;
}

bool time_arg(mcp_call_t *call, yyjson_val *args, const char *name, int64_t *out) {
  return read_time(call, args, name, mcp_time_parse, out);
}

bool end_time_arg(mcp_call_t *call, yyjson_val *args, const char *name, int64_t *out) {
  return read_time(call, args, name, mcp_time_parse_end, out);
}

bool int_arg(mcp_call_t *call, yyjson_val *args, const char *name, int64_t min, int64_t max, int64_t *out) {
  yyjson_val *value = yyjson_obj_get(args, name);
  if (value == NULL || yyjson_is_null(value))
    return true;
  double number = yyjson_get_num(value);
  if (yyjson_is_num(value) && number >= (double)min && number <= (double)max) {
    *out = (int64_t)number;
    return true;
  }
  mcp_call_fail(call, MCP_INVALID_PARAMS, NULL, "%s must be from %lld to %lld", name, (long long)min,
                (long long)max);
  return false;
}

void add_time(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *name, const int64_t *us) {
  char text[MCP_TIME_SIZE];
  if (us == NULL) {
    yyjson_mut_obj_add_null(doc, object, name);
    return;
  }
  mcp_time_format(*us, text);
  yyjson_mut_obj_add_strcpy(doc, object, name, text);
}

void add_text(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *name, mcp_text_t text) {
  if (text.ptr != NULL)
    yyjson_mut_obj_add_strncpy(doc, object, name, text.ptr, text.len);
  else
    yyjson_mut_obj_add_null(doc, object, name);
}

void add_json(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *name, mcp_text_t json) {
  yyjson_mut_obj_add_val(doc, object, name,
                         json.ptr != NULL ? yyjson_mut_rawncpy(doc, json.ptr, json.len)
                                          : yyjson_mut_null(doc));
}

response_t response_begin(mcp_call_t *call, const char *rows, mcp_metric_t *rows_metric,
                          const char *rows_label) {
  response_t response = {
      .call = call, .rows_metric = rows_metric, .rows_label = rows_label, .doc = mcp_call_doc(call)};
  response.root = yyjson_mut_obj(response.doc);
  if (rows != NULL)
    response.rows = yyjson_mut_obj_add_arr(response.doc, response.root, rows);
  return response;
}

bool response_has_room(response_t *response, size_t bytes) {
  response->bytes += bytes;
  return response->bytes <= RESPONSE_MAX_BYTES;
}

void response_end(response_t *response, health_t *health, int code, const char *doing,
                  const store_error_t *error) {
  if (code != STORE_OK) {
    reply_store_error(response->call, health, HEALTH_READ, code, doing, error);
    return;
  }
  health_report(health, HEALTH_READ, STORE_OK, NULL);
  if (response->bytes > RESPONSE_MAX_BYTES) {
    reply_too_large(response->call, "");
    return;
  }
  mcp_metric_add(response->rows_metric, response->rows_label, (double)yyjson_mut_arr_size(response->rows));
  mcp_call_reply(response->call, response->root);
}
