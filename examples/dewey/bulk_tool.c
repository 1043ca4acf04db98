/* bulk_tool.c: see bulk_tool.h.
 *
 * The store pulls one message at a time inside its transaction; each entry is converted (messages.c) when
 * it is pulled, so only one needs memory. An invalid entry fails the whole call: nothing is stored, and
 * the error names it. */
#include "bulk_tool.h"
#include "messages.h"

#include <stdlib.h>
#include <string.h>

const char bulk_schema[] = MCP_JSON({
  "type": "object",
  "properties": {
    "messages": {
      "type": "array",
      "description": "Array of message objects with role and content (inline)",
      "items": {"type": "object"}
    },
    "messages_file": {
      "type": "string",
      "description": "Path to JSON file containing message array (file reference - industry standard for large payloads)"
    },
    "conversation_id": {"type": "string", "description": "Optional existing conversation ID"},
    "session_id": {"type": "string", "description": "Optional session ID for new conversation"},
    "metadata": {"type": "object", "description": "Optional metadata for new conversation"}
  }
});

/* A call while its messages are stored. */
typedef struct bulk {
  mcp_call_t *call;
  yyjson_arr_iter entries;
  mcp_json_reader_t *file; /* messages_file, or NULL */
  const char *name;        /* its name without directories */
  message_input_t in;      /* the current message */
  int result;              /* of its conversion */
  int64_t now_us;
  yyjson_mut_val *ids; /* of all messages so far */
} bulk_t;

static int give(bulk_t *bulk, yyjson_val *entry, message_t *message) {
  message_deinit(&bulk->in);
  bulk->result = message_from_entry(&bulk->in, entry, bulk->now_us);
  if (bulk->result != MESSAGE_ACCEPTED)
    return -1;
  *message = bulk->in.message;
  yyjson_mut_arr_add_strcpy(mcp_call_doc(bulk->call), bulk->ids, message->id);
  return 1;
}

static int on_next(message_t *message, void *arg) {
  bulk_t *bulk = arg;
  if (mcp_call_cancelled(bulk->call))
    return -1;
  yyjson_val *entry = bulk->file != NULL ? mcp_json_reader_next(bulk->file, NULL, NULL)
                                         : yyjson_arr_iter_next(&bulk->entries);
  if (entry != NULL)
    return give(bulk, entry, message);
  bool none = yyjson_mut_arr_size(bulk->ids) == 0; /* only a file can turn out to be empty */
  return bulk->file != NULL && (none || mcp_json_reader_error(bulk->file) != NULL) ? -1 : 0;
}

/* Fails the call with the reason why the source ended early. */
static void end_refused(bulk_t *bulk) {
  const char *problem = bulk->file != NULL ? mcp_json_reader_error(bulk->file) : NULL;
  if (bulk->result == MESSAGE_TOO_LARGE)
    mcp_call_fail(bulk->call, MCP_INVALID_PARAMS, NULL, "message %zu is larger than %d MiB",
                  yyjson_mut_arr_size(bulk->ids) + 1, MESSAGE_MAX_BYTES / 1024 / 1024);
  else if (bulk->result == MESSAGE_NO_MEMORY)
    reply_no_memory(bulk->call);
  else if (problem != NULL)
    mcp_call_tool_error(bulk->call, "messages_file \"%s\": %s", bulk->name, problem);
  else if (bulk->file != NULL && !mcp_call_cancelled(bulk->call))
    mcp_call_tool_error(bulk->call, "messages_file holds no messages");
  else
    mcp_call_tool_error(bulk->call, "the call was cancelled");
}

/* Returns the names of unknown arguments, and of arguments that apply to a new conversation only; NULL:
 * none. */
static yyjson_mut_val *ignored(bulk_t *bulk, yyjson_val *args, bool begin) {
  static const char *const of_new[] = {"session_id", "metadata"};
  yyjson_mut_doc *doc = mcp_call_doc(bulk->call);
  yyjson_mut_val *names = mcp_call_ignored(bulk->call);
  for (size_t i = 0; i < sizeof of_new / sizeof *of_new && !begin; i++) {
    yyjson_val *value = yyjson_obj_get(args, of_new[i]);
    if (value == NULL || yyjson_is_null(value))
      continue;
    if (names == NULL)
      names = yyjson_mut_arr(doc);
    yyjson_mut_arr_add_str(doc, names, of_new[i]);
  }
  return names;
}

static void reply_stored(bulk_t *bulk, const char *conversation_id, yyjson_mut_val *ignored_names) {
  yyjson_mut_doc *doc = mcp_call_doc(bulk->call);
  yyjson_mut_val *response = yyjson_mut_obj(doc);
  yyjson_mut_obj_add_strcpy(doc, response, "conversation_id", conversation_id);
  yyjson_mut_obj_add_uint(doc, response, "stored", yyjson_mut_arr_size(bulk->ids));
  yyjson_mut_obj_add_val(doc, response, "message_ids", bulk->ids);
  yyjson_mut_obj_add_val(doc, response, "ignored", ignored_names);
  mcp_call_reply(bulk->call, response);
}

static void store_all(bulk_t *bulk, dewey_t *dewey, const conversation_t *conversation, bool begin,
                      yyjson_val *args) {
  store_error_t error;
  int code = dewey->store->add(dewey->store, conversation, begin, on_next, bulk, NULL, &error);
  if (code == STORE_OK) {
    health_report(&dewey->health, HEALTH_WRITE, STORE_OK, NULL);
    mcp_metric_add(dewey->metrics.conversations, "begun", begin);
    mcp_metric_add(dewey->metrics.messages, "stored", (double)yyjson_mut_arr_size(bulk->ids));
    reply_stored(bulk, conversation->id, ignored(bulk, args, begin));
  } else if (code == STORE_CANCELLED) {
    end_refused(bulk);
  } else {
    reply_store_error(bulk->call, &dewey->health, HEALTH_WRITE, code, "storing", &error);
  }
}

static bool open_file(bulk_t *bulk, const char *directories, mcp_text_t path) {
  const char *slash = strrchr(path.ptr, '/');
  bulk->name = slash != NULL ? slash + 1 : path.ptr;
  int file = mcp_open_beneath(directories, path.ptr, path.len);
  if (file == MCP_EPATH)
    mcp_call_fail(bulk->call, MCP_INVALID_PARAMS, NULL, "messages_file: %s (DEWEY_IMPORT_PATHS)",
                  mcp_strerror(file));
  else if (file < 0)
    mcp_call_tool_error(bulk->call, "messages_file: %s", mcp_strerror(file));
  else if ((bulk->file = mcp_json_reader_new(file)) == NULL)
    reply_no_memory(bulk->call);
  return bulk->file != NULL;
}

/* Opens the source of messages, which must not be empty. */
static bool source_args(bulk_t *bulk, const dewey_t *dewey, yyjson_val *args) {
  yyjson_val *messages = yyjson_obj_get(args, "messages");
  mcp_text_t path = text_arg(args, "messages_file");
  if (path.ptr != NULL && yyjson_arr_size(messages) > 0)
    mcp_call_fail(bulk->call, MCP_INVALID_PARAMS, NULL, "give messages or messages_file, not both");
  else if (path.ptr != NULL)
    return open_file(bulk, dewey->import_paths, path);
  else if (yyjson_arr_size(messages) == 0)
    mcp_call_fail(bulk->call, MCP_INVALID_PARAMS, NULL, "messages must hold at least one message");
  else
    return yyjson_arr_iter_init(messages, &bulk->entries);
  return false;
}

void on_bulk(mcp_call_t *call, yyjson_val *args, void *arg) {
  dewey_t *dewey = arg;
  bool begin = text_arg(args, "conversation_id").ptr == NULL;
  bulk_t bulk = {.call = call, .now_us = mcp_time_now_us(), .ids = yyjson_mut_arr(mcp_call_doc(call))};
  conversation_t conversation = {.updated_at = bulk.now_us};
  char *block = NULL;
  bool fine = begin ? new_conversation_args(call, args, &conversation, &block)
                    : conversation_id_arg(call, args, conversation.id);
  if (fine && source_args(&bulk, dewey, args))
    store_all(&bulk, dewey, &conversation, begin, args);
  mcp_json_reader_free(bulk.file);
  message_deinit(&bulk.in);
  free(block);
}
