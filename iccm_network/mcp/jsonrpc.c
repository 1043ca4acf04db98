/* jsonrpc.c: JSON-RPC 2.0 on yyjson.
 *
 * Happy path: the text is parsed in place (json.h), the members of the envelope are read in one pass, and the
 * id is kept as received, so that 9007199254740993, -0 or 1e2 are sent back unchanged. Failure: kind
 * MCP__INVALID with an error code of section 5.1 and a message. The id is set whenever it can be read, so
 * that the sender can match the error to its request. */
#include "mcp/jsonrpc.h"

#include <string.h>
#include <uv.h>

static const char too_large[] = "the message exceeds the memory limit for one message";

static void invalid(mcp__message_t *message, int code, const char *problem) {
  message->kind = MCP__INVALID;
  message->code = code;
  message->problem = problem;
}

static bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The digits of a number are still in the text after its key: parsing in place changes only strings. */
static bool number_as_received(yyjson_val *key, const char **id, size_t *id_len) {
  const char *at = yyjson_get_str(key) + yyjson_get_len(key) + 1; /* + 1: the quote, now NUL */
  while (is_blank(*at))
    at++;
  if (*at++ != ':')
    return false; /* the key contained an escape and is now shorter than in the text */
  while (is_blank(*at))
    at++;
  size_t len = strcspn(at, ",} \t\n\r");
  *id = at;
  *id_len = len;
  return len > 0;
}

static bool write_id(yyjson_val *value, mcp__arena_t *arena, const char **id, size_t *id_len) {
  size_t len;
  char *text = yyjson_val_write_opts(value, 0, &arena->alc, &len, NULL);
  if (text == NULL)
    return false;
  *id = text;
  *id_len = len;
  return true;
}

bool mcp__jsonrpc_id(yyjson_val *key, yyjson_val *value, mcp__arena_t *arena, const char **id,
                     size_t *id_len) {
  bool is_number = yyjson_is_num(value) || yyjson_is_raw(value);
  if (!is_number && !yyjson_is_str(value))
    return false;
  return (is_number && number_as_received(key, id, id_len)) || write_id(value, arena, id, id_len);
}

static bool keep_id(yyjson_val *key, yyjson_val *value, mcp__arena_t *arena, mcp__message_t *message) {
  if (!mcp__jsonrpc_id(key, value, arena, &message->id, &message->id_len))
    return false; /* the id stays null */
  message->id_value = value;
  return true;
}

typedef struct envelope {
  yyjson_val *jsonrpc, *method, *params, *id_key, *id, *result, *error;
  bool has_duplicate; /* a member occurs more than once */
} envelope_t;

static void set_once(yyjson_val **member, yyjson_val *value, envelope_t *envelope) {
  envelope->has_duplicate |= *member != NULL;
  *member = value;
}

static void read_envelope(yyjson_val *root, envelope_t *envelope) {
  size_t index, count;
  yyjson_val *key, *value;
  yyjson_obj_foreach(root, index, count, key, value) {
    if (unsafe_yyjson_equals_str(key, "id")) {
      set_once(&envelope->id, value, envelope);
      envelope->id_key = key;
    } else if (unsafe_yyjson_equals_str(key, "method")) {
      set_once(&envelope->method, value, envelope);
    } else if (unsafe_yyjson_equals_str(key, "params")) {
      set_once(&envelope->params, value, envelope);
    } else if (unsafe_yyjson_equals_str(key, "jsonrpc")) {
      set_once(&envelope->jsonrpc, value, envelope);
    } else if (unsafe_yyjson_equals_str(key, "result")) {
      set_once(&envelope->result, value, envelope);
    } else if (unsafe_yyjson_equals_str(key, "error")) {
      set_once(&envelope->error, value, envelope);
    }
  }
}

/* "error": null beside a result is ignored, and vice versa. */
static void take_result_or_error(const envelope_t *envelope, mcp__message_t *message) {
  bool no_error = yyjson_is_null(envelope->error);
  message->error = no_error ? NULL : envelope->error;
  message->result = message->error != NULL && yyjson_is_null(envelope->result) ? NULL : envelope->result;
}

static void classify(const envelope_t *envelope, mcp__arena_t *arena, mcp__message_t *message) {
  bool is_response = envelope->method == NULL && (envelope->result != NULL || envelope->error != NULL);
  bool id_is_fine = envelope->id == NULL || keep_id(envelope->id_key, envelope->id, arena, message);
  message->kind = is_response ? MCP__RESPONSE : envelope->id == NULL ? MCP__NOTIFICATION : MCP__REQUEST;
  message->has_id = envelope->id != NULL;
  message->has_method = envelope->method != NULL;
  take_result_or_error(envelope, message);
  if (envelope->has_duplicate)
    invalid(message, MCP_INVALID_REQUEST, "the message has a duplicate member");
  else if (is_response)
    return; /* an error response may have the id null */
  else if (!id_is_fine)
    invalid(message, MCP_INVALID_REQUEST, arena->failed ? too_large : "id must be a string or a number");
  else if (!yyjson_equals_str(envelope->jsonrpc, "2.0"))
    invalid(message, MCP_INVALID_REQUEST, "jsonrpc must be \"2.0\"");
  else if (!yyjson_is_str(envelope->method))
    invalid(message, MCP_INVALID_REQUEST, "method must be a string");
  else if (envelope->params != NULL && !yyjson_is_ctn(envelope->params) && !yyjson_is_null(envelope->params))
    invalid(message, MCP_INVALID_REQUEST, "params must be an object");
  else {
    message->method = envelope->method;
    message->params = yyjson_is_ctn(envelope->params) ? envelope->params : NULL;
  }
}

/* yyjson reserves memory for more values than most texts have. */
static yyjson_doc *trim(yyjson_doc *doc, mcp__arena_t *arena) {
  size_t begin = (size_t)((char *)doc->root - (char *)doc);
  size_t size = begin + (doc->val_read + 1) * sizeof *doc->root; /* + 1: the end of the last value */
  doc = mcp__arena_trim(arena, doc, size);
  doc->root = (yyjson_val *)(void *)((char *)doc + begin);
  return doc;
}

size_t mcp__jsonrpc_memory(const char *text, size_t len) {
  size_t values = 2; /* includes the head of the document */
  for (size_t i = 0; i < len; i++)
    values += text[i] == ',' || text[i] == ':' || text[i] == '[' || text[i] == '{';
  return (values + 8) * sizeof(yyjson_val);
}

void mcp__jsonrpc_parse(char *text, size_t len, size_t max_values, mcp__arena_t *arena,
                        mcp__message_t *message) {
  *message = (mcp__message_t){.id = "null", .id_len = 4};
  mcp__json_error_t error;
  yyjson_doc *doc = mcp__json_read_in_place(text, len, &arena->alc, &error);
  if (doc == NULL) {
    bool no_memory = error.status == UV_ENOMEM;
    message->detail = error.detail;
    message->at = error.at;
    invalid(message, no_memory ? MCP_INVALID_REQUEST : error.status, no_memory ? too_large : error.message);
    return;
  }
  doc = trim(doc, arena);
  yyjson_val *root = yyjson_doc_get_root(doc);
  if (!yyjson_is_obj(root)) {
    invalid(message, MCP_INVALID_REQUEST,
            yyjson_is_arr(root) ? "batches are not supported: send one object"
                                : "a message must be an object");
    return;
  }
  envelope_t envelope = {0};
  read_envelope(root, &envelope);
  classify(&envelope, arena, message);
  if (yyjson_doc_get_val_count(doc) > max_values)
    invalid(message, MCP_INVALID_REQUEST, "too many values in one message");
}

bool mcp__jsonrpc_is_empty_response(const mcp__message_t *message) {
  return message->kind == MCP__INVALID && message->id_value != NULL && !message->has_method &&
         message->result == NULL && message->error == NULL;
}

bool mcp__jsonrpc_may_answer_notification(bool has_id, yyjson_val *error) {
  yyjson_val *code = yyjson_obj_get(error, "code");
  return error != NULL && (!has_id || yyjson_get_sint(code) == MCP_METHOD_NOT_FOUND) &&
         yyjson_get_sint(code) != MCP_PARSE_ERROR;
}

int mcp__jsonrpc_begin_result(mcp__buf_t *buf, const char *id, size_t id_len) {
  int status = mcp__buf_puts(buf, "{\"jsonrpc\":\"2.0\",\"id\":");
  status = mcp__buf_first_error(status, mcp__buf_append(buf, id, id_len));
  return mcp__buf_first_error(status, mcp__buf_puts(buf, ",\"result\":"));
}

int mcp__jsonrpc_error(mcp__buf_t *buf, const char *id, size_t id_len, int code, const char *text,
                       const char *data, size_t data_len) {
  int status = mcp__buf_puts(buf, "{\"jsonrpc\":\"2.0\",\"id\":");
  status = mcp__buf_first_error(status, mcp__buf_append(buf, id, id_len));
  status = mcp__buf_first_error(status, mcp__buf_printf(buf, ",\"error\":{\"code\":%d,\"message\":", code));
  status = mcp__buf_first_error(status, mcp__buf_json_string(buf, text, strlen(text)));
  if (data != NULL) {
    status = mcp__buf_first_error(status, mcp__buf_puts(buf, ",\"data\":"));
    status = mcp__buf_first_error(status, mcp__buf_append(buf, data, data_len));
  }
  return mcp__buf_first_error(status, mcp__buf_puts(buf, "}}"));
}

int mcp__jsonrpc_begin_request(mcp__buf_t *buf, uint64_t id, const char *method) {
  int status = mcp__buf_puts(buf, "{\"jsonrpc\":\"2.0\",");
  if (id != 0)
    status = mcp__buf_first_error(status, mcp__buf_printf(buf, "\"id\":%llu,", (unsigned long long)id));
  status = mcp__buf_first_error(status, mcp__buf_puts(buf, "\"method\":"));
  return mcp__buf_first_error(status, mcp__buf_json_string(buf, method, strlen(method)));
}

int mcp__jsonrpc_request(mcp__buf_t *buf, uint64_t id, const char *method, const char *params, size_t len) {
  int status = mcp__jsonrpc_begin_request(buf, id, method);
  if (len > 0) {
    status = mcp__buf_first_error(status, mcp__buf_puts(buf, ",\"params\":"));
    status = mcp__buf_first_error(status, mcp__buf_append(buf, params, len));
  }
  return mcp__buf_first_error(status, mcp__buf_puts(buf, "}"));
}
