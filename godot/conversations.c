/* conversations.c: Godot's conversation tools. Conversations are kept by the store; Godot keeps nothing of
 * them.
 *
 * Happy path: the corresponding tool of the store is called, and its response converted to the form of
 * Godot's tools. Single messages use the same connection as the queries. Bulk requests use a separate
 * connection and block a thread of the pool, since they may be large and take long. A file of messages is
 * read here, and its messages are sent unchanged; the store normalizes them, and stores all of them or none.
 *
 * Failure modes: store unavailable: an error at once. Store disconnected or silent after the request was
 * sent: an error that says that the messages may have been stored. A file that may not be read, is invalid,
 * or is larger than one call may be: an error that says so. */
#include "conversations.h"

#include "dewey_call.h"
#include "tool_names.h"

#include <iccm_service.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define STORE_UNAVAILABLE "conversation store unavailable, retry"

enum {
  /* While the store imports, other writers wait. A caller that gives up early and retries has stored the
     message twice. */
  SINGLE_TIMEOUT_MS = 30000,
  /* Slightly less than the time after which servers of the library, this one and the store, end any call. */
  BULK_TIMEOUT_MS = 290000,
  FIRST_CAPACITY = 64 << 10,
  MAX_FILES_IN_MEMORY = 2 /* of the largest size; bounds the memory for message files over all calls */
};

static const char begin_schema[] =
    MCP_JSON({
  "type": "object",
  "properties": {
    "session_id": {"type": "string", "description": "Optional session ID to group conversations"},
    "metadata": {"type": "object", "description": "Optional metadata as key-value pairs"}
  }
});

static const char store_message_schema[] = MCP_JSON({
  "type": "object",
  "properties": {
    "conversation_id": {"type": "string", "description": "UUID of the conversation"},
    "role": {
      "type": "string",
      "enum": ["user", "assistant", "system", "tool"],
      "description": "Message role"
    },
    "content": {"type": "string", "description": "Message content"},
    "turn_number": {
      "type": "integer",
      "description": "Optional turn number (auto-increments if not provided)"
    },
    "metadata": {"type": "object", "description": "Optional metadata (e.g., model, tokens, timing)"}
  },
  "required": ["conversation_id", "role", "content"]
});

static const char store_messages_bulk_schema[] = MCP_JSON({
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

/* ---- Results ---- */

/* data and message: of the store's error. */
static void fail_not_stored(mcp_call_t *call, int status, yyjson_val *data, const char *message) {
  if (dewey_call_is_error_response(status))
    dewey_call_forward_error(call, status, data, message);
  else if (status == MCP_EDISCONNECTED || status == MCP_EBUSY || status == MCP_ETIMEOUT)
    mcp_call_tool_error(call, "the conversation store did not respond: the messages may be stored; check "
                              "before you retry");
  else
    mcp_call_tool_error(call, STORE_UNAVAILABLE);
}

/* Ends a call with the answer. complete is false if the store's response lacks a member. */
static void reply(mcp_call_t *call, yyjson_mut_val *answer, bool complete) {
  if (complete)
    mcp_call_reply(call, answer);
  else
    mcp_call_fail(call, MCP_INTERNAL_ERROR, NULL, "invalid response from the conversation store");
}

/* ---- One at a time ---- */

static void call_store(mcp_call_t *call, const conversations_t *conversations, const char *tool,
                       yyjson_mut_doc *args, mcp_result_cb cb) {
  int status =
      args == NULL
          ? MCP_ENOMEM
          : mcp_client_call(conversations->store, tool, args,
                            &(mcp_call_options_t){.timeout_ms = SINGLE_TIMEOUT_MS, .parent = call}, cb, call);
  if (status != 0)
    fail_not_stored(call, status, NULL, NULL);
}

/* Returns false after ending the call with an error. */
static bool check_stored(mcp_call_t *call, const mcp_result_t *result) {
  if (result->is_error)
    dewey_call_forward_error(call, MCP_TOOL_ERROR, NULL, result->message);
  else if (result->status != 0)
    fail_not_stored(call, result->status, result->value, result->message);
  return !result->is_error && result->status == 0;
}

/* Replies with the named members (NULL-terminated) of the store's response. A member that the response lacks
 * is taken from the root of the call's document, where the handler has put it. */
static void reply_with(mcp_call_t *call, const mcp_result_t *result, const char *const *names) {
  yyjson_mut_doc *doc = mcp_call_doc(call);
  yyjson_mut_val *answer = yyjson_mut_obj(doc), *kept = yyjson_mut_doc_get_root(doc);
  bool complete = true;
  if (!check_stored(call, result))
    return;
  for (; *names != NULL; names++) {
    yyjson_val *received = yyjson_obj_get(result->value, *names);
    yyjson_mut_val *value =
        received != NULL ? yyjson_val_mut_copy(doc, received) : yyjson_mut_obj_remove_key(kept, *names);
    complete = yyjson_mut_obj_add_val(doc, answer, *names, value) && complete;
  }
  yyjson_mut_obj_add_val(doc, answer, "ignored", mcp_call_ignored(call));
  reply(call, answer, complete);
}

static void on_conversation_begun(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  static const char *const names[] = {"conversation_id", "session_id", "created_at", NULL};
  (void)client;
  reply_with(arg, result, names);
}

static void conversation_begin(mcp_call_t *call, yyjson_val *args, void *arg) {
  static const char *const names[] = {"session_id", "metadata", NULL};
  call_store(call, arg, "dewey_begin_conversation", dewey_call_arguments(args, names), on_conversation_begun);
}

static void on_stored(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  static const char *const names[] = {"message_id", "conversation_id", "turn_number", "created_at", NULL};
  (void)client;
  reply_with(arg, result, names);
}

static void conversation_store_message(mcp_call_t *call, yyjson_val *args, void *arg) {
  static const char *const names[] = {"conversation_id", "role", "content", "turn_number", "metadata", NULL};
  yyjson_mut_doc *doc = mcp_call_doc(call);
  yyjson_mut_val *kept = yyjson_mut_obj(doc);
  yyjson_mut_doc_set_root(doc, kept);
  yyjson_mut_obj_add_val(doc, kept, "conversation_id",
                         yyjson_val_mut_copy(doc, yyjson_obj_get(args, "conversation_id")));
  call_store(call, arg, "dewey_store_message", dewey_call_arguments(args, names), on_stored);
}

/* ---- A file of messages ---- */

/* The messages of a file, as the text of a JSON array. */
typedef struct file_text {
  mcp_call_t *call;
  conversations_t *conversations;
  char *bytes;          /* owned */
  size_t len, capacity; /* capacity is counted in conversations->file_bytes until the call ends */
} file_text_t;

static void fail_too_large(mcp_call_t *call, const conversations_t *conversations) {
  mcp_call_fail(call, MCP_INVALID_PARAMS, NULL,
                "the messages are larger than %zu bytes, the limit of one call: send them in parts, the "
                "later parts with the conversation_id from the first answer",
                conversations->max_message_bytes);
}

static void fail_out_of_memory(mcp_call_t *call) {
  mcp_call_fail(call, MCP_INTERNAL_ERROR, NULL, "out of memory");
}

/* Makes room for len more bytes. Returns false after ending the call with an error. */
static bool reserve(file_text_t *text, size_t len) {
  const size_t max = text->conversations->max_message_bytes;
  size_t capacity = text->capacity > 0 ? text->capacity : FIRST_CAPACITY;
  if (len > max - text->len) {
    fail_too_large(text->call, text->conversations);
    return false;
  }
  while (capacity < text->len + len)
    capacity *= 2;
  if (capacity > max)
    capacity = max;
  size_t more = capacity - text->capacity;
  text->capacity = capacity;
  if (atomic_fetch_add(&text->conversations->file_bytes, more) + more > MAX_FILES_IN_MEMORY * max) {
    mcp_call_tool_error(text->call, "too many message files in progress, retry later");
    return false;
  }
  char *bytes = realloc(text->bytes, capacity);
  if (bytes == NULL)
    fail_out_of_memory(text->call);
  else
    text->bytes = bytes;
  return bytes != NULL;
}

/* Appends the separator and the message. Returns false after ending the call with an error. */
static bool append(file_text_t *text, char separator, const char *message, size_t len) {
  if (text->capacity - text->len < 1 + len && !reserve(text, 1 + len))
    return false;
  text->bytes[text->len] = separator;
  memcpy(text->bytes + text->len + 1, message, len);
  text->len += 1 + len;
  return true;
}

/* False: the call was ended. */
static bool read_messages(file_text_t *text, const char *path, mcp_json_reader_t *reader) {
  const char *slash = strrchr(path, '/'); /* do not show the directories of the server to the caller */
  const char *message;
  size_t len;
  while (!mcp_call_cancelled(text->call) && mcp_json_reader_next(reader, &message, &len) != NULL) {
    if (!append(text, text->len == 0 ? '[' : ',', message, len))
      return false;
  }
  if (mcp_call_cancelled(text->call))
    mcp_call_tool_error(text->call, "the call was cancelled");
  else if (mcp_json_reader_error(reader) != NULL)
    mcp_call_tool_error(text->call, "messages_file \"%s\": %s", slash != NULL ? slash + 1 : path,
                        mcp_json_reader_error(reader));
  else if (text->len == 0)
    mcp_call_tool_error(text->call, "messages_file holds no messages");
  else
    return append(text, ']', "", 0);
  return false;
}

/* Returns NULL after ending the call with an error. */
static mcp_json_reader_t *open_file(mcp_call_t *call, const conversations_t *conversations,
                                    yyjson_val *path) {
  int file = mcp_open_beneath(conversations->import_paths, yyjson_get_str(path), yyjson_get_len(path));
  mcp_json_reader_t *reader = file >= 0 ? mcp_json_reader_new(file) : NULL;
  if (file == MCP_EPATH)
    mcp_call_fail(call, MCP_INVALID_PARAMS, NULL, "messages_file: %s (GODOT_IMPORT_PATHS)",
                  mcp_strerror(file));
  else if (file < 0)
    mcp_call_tool_error(call, "messages_file: %s", mcp_strerror(file));
  else if (reader == NULL)
    fail_out_of_memory(call);
  return reader;
}

/* Adds the file's messages to the request; text is empty before. Returns false after ending the call with an
 * error. */
static bool add_file(file_text_t *text, yyjson_val *path, yyjson_mut_doc *request) {
  mcp_json_reader_t *reader = open_file(text->call, text->conversations, path);
  bool added = reader != NULL && read_messages(text, yyjson_get_str(path), reader);
  mcp_json_reader_free(reader);
  if (added) {
    yyjson_mut_val *messages = yyjson_mut_rawncpy(request, text->bytes, text->len);
    added = yyjson_mut_obj_add_val(request, yyjson_mut_doc_get_root(request), "messages", messages);
    if (!added)
      fail_out_of_memory(text->call);
  }
  free(text->bytes); /* free it early: request has its own copy */
  return added;
}

/* ---- Bulk ---- */

static bool copy_member(yyjson_mut_doc *doc, yyjson_mut_val *answer, const char *name, yyjson_val *value) {
  return value != NULL && yyjson_mut_obj_add_val(doc, answer, name, yyjson_val_mut_copy(doc, value));
}

/* Returns the names of arguments that Godot or the store ignored, or NULL if there are none. */
static yyjson_mut_val *ignored_names(mcp_call_t *call, yyjson_val *stored) {
  yyjson_mut_doc *doc = mcp_call_doc(call);
  yyjson_mut_val *names = mcp_call_ignored(call);
  size_t index, max;
  yyjson_val *name;
  yyjson_arr_foreach(yyjson_obj_get(stored, "ignored"), index, max, name) {
    if (names == NULL)
      names = yyjson_mut_arr(doc);
    yyjson_mut_arr_append(names, yyjson_val_mut_copy(doc, name));
  }
  return names;
}

static void reply_bulk(mcp_call_t *call, yyjson_val *stored) {
  yyjson_mut_doc *doc = mcp_call_doc(call);
  yyjson_mut_val *answer = yyjson_mut_obj(doc);
  bool complete = copy_member(doc, answer, "conversation_id", yyjson_obj_get(stored, "conversation_id")) &&
                  copy_member(doc, answer, "messages_stored", yyjson_obj_get(stored, "stored")) &&
                  yyjson_mut_obj_add_str(doc, answer, "status", "success");
  yyjson_mut_obj_add_val(doc, answer, "ignored", ignored_names(call, stored));
  reply(call, answer, complete);
}

/* Takes ownership of request. */
static void store_bulk(mcp_call_t *call, const conversations_t *conversations, yyjson_mut_doc *request) {
  mcp_call_options_t options = {.timeout_ms = BULK_TIMEOUT_MS, .parent = call};
  yyjson_doc *answer;
  int status = mcp_sync_client_call(conversations->sync_store, "dewey_store_messages_bulk", request, &options,
                                    &answer);
  if (status != 0 && !dewey_call_is_error_response(status) && status != MCP_ECANCELED)
    mcp_log(MCP_LOG_WARN, "store", "%s", mcp_last_error());
  if (status == 0)
    reply_bulk(call, yyjson_doc_get_root(answer));
  else if (status == MCP_ETOOBIG)
    fail_too_large(call, conversations);
  else
    fail_not_stored(call, status, yyjson_doc_get_root(answer), mcp_last_error());
  yyjson_doc_free(answer);
}

static void store_messages(mcp_call_t *call, yyjson_val *args, yyjson_val *path,
                           conversations_t *conversations) {
  static const char *const names[] = {"messages", "conversation_id", "session_id", "metadata", NULL};
  yyjson_mut_doc *request = dewey_call_arguments(args, path != NULL ? names + 1 : names);
  file_text_t text = {.call = call, .conversations = conversations};
  if (request == NULL)
    fail_out_of_memory(call);
  else if (path != NULL && !add_file(&text, path, request))
    yyjson_mut_doc_free(request);
  else
    store_bulk(call, conversations, request);
  atomic_fetch_sub(&conversations->file_bytes, text.capacity);
}

static void conversation_store_messages_bulk(mcp_call_t *call, yyjson_val *args, void *arg) {
  conversations_t *conversations = arg;
  yyjson_val *path = yyjson_obj_get(args, "messages_file");
  bool named = yyjson_is_str(path), given = yyjson_arr_size(yyjson_obj_get(args, "messages")) > 0;
  if (named && given)
    mcp_call_fail(call, MCP_INVALID_PARAMS, NULL, "give messages or messages_file, not both");
  else if (!named && !given)
    mcp_call_fail(call, MCP_INVALID_PARAMS, NULL, "give messages, at least one, or messages_file");
  else if (!atomic_load(&conversations->store_is_up))
    mcp_call_tool_error(call, STORE_UNAVAILABLE);
  else
    store_messages(call, args, named ? path : NULL, conversations);
}

/* ---- The tools ---- */

int conversations_add_tools(conversations_t *conversations, mcp_server_t *server) {
  static const mcp_tool_t table[] = {
      {.name = "conversation_begin",
       .description = "Start a new conversation and return its ID",
       .input_schema = begin_schema,
       .annotations = MCP_ADDS,
       .handler = conversation_begin},
      {.name = "conversation_store_message",
       .description = "Store a single message in a conversation",
       .input_schema = store_message_schema,
       .annotations = MCP_ADDS,
       .handler = conversation_store_message},
      {.name = "conversation_store_messages_bulk",
       .description =
           "Store multiple messages at once (up to 1000). Supports file references for large payloads.",
       .input_schema = store_messages_bulk_schema,
       .annotations = MCP_ADDS,
       .handler = conversation_store_messages_bulk,
       .flags = MCP_TOOL_BLOCKING},
  };
  return tool_names_add(server, table, sizeof table / sizeof table[0], conversations);
}
