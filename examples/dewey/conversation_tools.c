/* conversation_tools.c: Dewey's tools for conversations.
 *
 * They run on the server's thread pool. Invalid arguments get MCP_INVALID_PARAMS; a missing conversation
 * and a turn in use are tool errors, since the arguments are well-formed. */
#include "conversation_tools.h"
#include "bulk_tool.h"
#include "tool_args.h"
#include "messages.h"

#include <stdlib.h>
#include <string.h>

enum {
  SESSION_ID_MAX_BYTES = 1024,
  CONVERSATION_METADATA_MAX_BYTES = 256 * 1024, /* a list holds up to a hundred of them */
  QUERY_MAX_BYTES = 1024,
  LIST_LIMIT = 20, /* of conversations and of messages found */
  LIST_LIMIT_MAX = 100
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
    "role": {"type": "string", "description": "Role: user, assistant, or system"},
    "content": {"type": "string", "description": "Message content"},
    "turn_number": {"type": "integer", "description": "Optional turn number"},
    "metadata": {"type": "object", "description": "Optional metadata"}
  },
  "required": ["conversation_id", "role", "content"]
});

static const char get_schema[] = MCP_JSON({
  "type": "object",
  "properties": {"conversation_id": {"type": "string", "description": "UUID of the conversation"}},
  "required": ["conversation_id"]
});

static const char list_schema[] = MCP_JSON({
  "type": "object",
  "properties": {
    "session_id": {"type": "string", "description": "Optional session ID filter"},
    "limit": {"type": "integer", "description": "Maximum results (default 20)"},
    "offset": {"type": "integer", "description": "Number to skip (default 0)"},
    "sort_by": {"type": "string", "description": "Sort field: created_at or updated_at"}
  }
});

static const char delete_schema[] =
    MCP_JSON({
  "type": "object",
  "properties": {
    "conversation_id": {"type": "string", "description": "UUID of the conversation"},
    "force": {"type": "boolean", "description": "Force delete without confirmation"}
  },
  "required": ["conversation_id"]
});

static const char search_schema[] = MCP_JSON({
  "type": "object",
  "properties": {
    "query": {"type": "string", "description": "Search query string"},
    "session_id": {"type": "string", "description": "Optional session ID filter"},
    "start_date": {"type": "string", "description": "Optional start date (ISO format)"},
    "end_date": {"type": "string", "description": "Optional end date (ISO format)"},
    "limit": {"type": "integer", "description": "Maximum results (default 20)"},
    "offset": {"type": "integer", "description": "Number to skip (default 0)"}
  },
  "required": ["query"]
});

/* ---- What several of them need ---- */

bool conversation_id_arg(mcp_call_t *call, yyjson_val *args, char id[MCP_UUID_SIZE]) {
  mcp_text_t text = text_arg(args, "conversation_id");
  if (mcp_uuid_parse(text.ptr, text.len, id) == 0)
    return true;
  mcp_call_fail(call, MCP_INVALID_PARAMS, NULL, "conversation_id is not a UUID");
  return false;
}

static bool session_arg(mcp_call_t *call, yyjson_val *args, mcp_text_t *out) {
  return bounded_text_arg(call, args, "session_id", SESSION_ID_MAX_BYTES, out);
}

/* ---- dewey_begin_conversation ---- */

bool new_conversation_args(mcp_call_t *call, yyjson_val *args, conversation_t *out, char **block) {
  *out = (conversation_t){.created_at = mcp_time_now_us()};
  out->updated_at = out->created_at;
  mcp_uuid_new(out->id);
  if (!session_arg(call, args, &out->session_id))
    return false;
  if (!json_serialize(yyjson_obj_get(args, "metadata"), block, &out->metadata)) {
    reply_no_memory(call);
    return false;
  }
  if (out->metadata.len <= CONVERSATION_METADATA_MAX_BYTES)
    return true;
  mcp_call_fail(call, MCP_INVALID_PARAMS, NULL, "metadata is larger than %d KiB",
                CONVERSATION_METADATA_MAX_BYTES / 1024);
  return false;
}

static void reply_begun(mcp_call_t *call, const conversation_t *conversation) {
  yyjson_mut_doc *doc = mcp_call_doc(call);
  yyjson_mut_val *response = yyjson_mut_obj(doc);
  yyjson_mut_obj_add_strcpy(doc, response, "conversation_id", conversation->id);
  add_text(doc, response, "session_id", conversation->session_id);
  add_time(doc, response, "created_at", &conversation->created_at);
  yyjson_mut_obj_add_val(doc, response, "ignored", mcp_call_ignored(call));
  mcp_call_reply(call, response);
}

static void on_begin(mcp_call_t *call, yyjson_val *args, void *arg) {
  dewey_t *dewey = arg;
  conversation_t conversation;
  char *block = NULL;
  store_error_t error;
  if (new_conversation_args(call, args, &conversation, &block)) {
    int code = dewey->store->add(dewey->store, &conversation, true, NULL, NULL, NULL, &error);
    if (code == STORE_OK) {
      health_report(&dewey->health, HEALTH_WRITE, STORE_OK, NULL);
      mcp_metric_add(dewey->metrics.conversations, "begun", 1);
      reply_begun(call, &conversation);
    } else {
      reply_store_error(call, &dewey->health, HEALTH_WRITE, code, "storing", &error);
    }
  }
  free(block);
}

/* ---- dewey_store_message ---- */

/* The single message of a call. */
typedef struct single {
  message_input_t in;
  bool given;
} single_t;

static int on_single(message_t *message, void *arg) {
  single_t *single = arg;
  if (single->given)
    return 0;
  single->given = true;
  *message = single->in.message;
  return 1;
}

static void reply_stored(mcp_call_t *call, const message_t *message, int64_t turn) {
  yyjson_mut_doc *doc = mcp_call_doc(call);
  yyjson_mut_val *response = yyjson_mut_obj(doc);
  yyjson_mut_obj_add_strcpy(doc, response, "message_id", message->id);
  yyjson_mut_obj_add_sint(doc, response, "turn_number", turn);
  add_time(doc, response, "created_at", &message->created_at);
  yyjson_mut_obj_add_val(doc, response, "ignored", mcp_call_ignored(call));
  mcp_call_reply(call, response);
}

static void store_single(mcp_call_t *call, dewey_t *dewey, const char *id, single_t *single) {
  conversation_t conversation = {.updated_at = single->in.message.created_at};
  memcpy(conversation.id, id, MCP_UUID_SIZE);
  store_error_t error;
  int64_t turn;
  int code = dewey->store->add(dewey->store, &conversation, false, on_single, single, &turn, &error);
  if (code == STORE_OK) {
    health_report(&dewey->health, HEALTH_WRITE, STORE_OK, NULL);
    mcp_metric_add(dewey->metrics.messages, "stored", 1);
    reply_stored(call, &single->in.message, turn);
  } else {
    reply_store_error(call, &dewey->health, HEALTH_WRITE, code, "storing", &error);
  }
}

static bool read_single(mcp_call_t *call, yyjson_val *args, single_t *single) {
  int role = message_role_parse(text_arg(args, "role"));
  int64_t turn = 0;
  if (role < 0) {
    mcp_call_fail(call, MCP_INVALID_PARAMS, NULL, "role must be one of user, assistant, system, tool");
    return false;
  }
  if (!int_arg(call, args, "turn_number", 1, STORE_TURN_MAX, &turn))
    return false;
  int result = message_make(&single->in, role, yyjson_obj_get(args, "content"),
                            yyjson_obj_get(args, "metadata"), mcp_time_now_us());
  single->in.message.turn = turn;
  if (result == MESSAGE_NO_MEMORY)
    reply_no_memory(call);
  else if (result == MESSAGE_TOO_LARGE)
    mcp_call_fail(call, MCP_INVALID_PARAMS, NULL, "the message is larger than %d MiB",
                  MESSAGE_MAX_BYTES / 1024 / 1024);
  return result == MESSAGE_ACCEPTED;
}

static void on_store_message(mcp_call_t *call, yyjson_val *args, void *arg) {
  char id[MCP_UUID_SIZE];
  single_t single = {.given = false};
  if (conversation_id_arg(call, args, id) && read_single(call, args, &single))
    store_single(call, arg, id, &single);
  message_deinit(&single.in);
}

/* ---- dewey_get_conversation, dewey_list_conversations ---- */

static bool on_conversation(const conversation_t *row, void *arg) {
  response_t *response = arg;
  yyjson_mut_obj_add_strcpy(response->doc, response->root, "conversation_id", row->id);
  add_text(response->doc, response->root, "session_id", row->session_id);
  add_time(response->doc, response->root, "created_at", &row->created_at);
  add_time(response->doc, response->root, "updated_at", &row->updated_at);
  add_json(response->doc, response->root, "metadata", row->metadata);
  response->rows = yyjson_mut_obj_add_arr(response->doc, response->root, "messages");
  return response_has_room(response, conversation_wire_bytes(row));
}

static bool on_message(const message_t *row, void *arg) {
  response_t *response = arg;
  if (!response_has_room(response, message_wire_bytes(row)))
    return false;
  yyjson_mut_arr_append(response->rows, message_json(response->doc, row));
  return true;
}

static void on_get(mcp_call_t *call, yyjson_val *args, void *arg) {
  dewey_t *dewey = arg;
  char id[MCP_UUID_SIZE];
  if (!conversation_id_arg(call, args, id))
    return;
  response_t response = response_begin(call, NULL, dewey->metrics.rows, "messages");
  store_error_t error;
  int code = dewey->store->get(dewey->store, id, cancel_when_abandoned(call), on_conversation, on_message,
                               &response, &error);
  response_end(&response, &dewey->health, code, "reading", &error);
}

static bool on_listed(const conversation_t *row, void *arg) {
  response_t *response = arg;
  if (!response_has_room(response, conversation_wire_bytes(row)))
    return false;
  yyjson_mut_arr_append(response->rows, conversation_json(response->doc, row));
  return true;
}

static bool sort_arg(mcp_call_t *call, yyjson_val *args, bool *by_updated) {
  yyjson_val *value = yyjson_obj_get(args, "sort_by");
  *by_updated = yyjson_equals_str(value, "updated_at");
  if (*by_updated || !yyjson_is_str(value) || yyjson_equals_str(value, "created_at"))
    return true;
  mcp_call_fail(call, MCP_INVALID_PARAMS, NULL, "sort_by must be created_at or updated_at");
  return false;
}

/* Adds total, limit and offset to the response of a list. */
static void add_place(response_t *response, int64_t total, int64_t limit, int64_t offset) {
  yyjson_mut_obj_add_sint(response->doc, response->root, "total", total);
  yyjson_mut_obj_add_sint(response->doc, response->root, "limit", limit);
  yyjson_mut_obj_add_sint(response->doc, response->root, "offset", offset);
}

static void on_list(mcp_call_t *call, yyjson_val *args, void *arg) {
  dewey_t *dewey = arg;
  conversation_page_t page = {.limit = LIST_LIMIT};
  if (!session_arg(call, args, &page.session_id) || !sort_arg(call, args, &page.by_updated) ||
      !int_arg(call, args, "limit", 1, LIST_LIMIT_MAX, &page.limit) ||
      !int_arg(call, args, "offset", 0, INT32_MAX, &page.offset))
    return;
  response_t response = response_begin(call, "conversations", dewey->metrics.rows, "conversations");
  store_error_t error;
  int64_t total = 0;
  int code = dewey->store->list(dewey->store, &page, cancel_when_abandoned(call), on_listed, &response,
                                &total, &error);
  add_place(&response, total, page.limit, page.offset);
  response_end(&response, &dewey->health, code, "listing", &error);
}

/* ---- dewey_search ---- */

static bool on_found(const found_message_t *row, void *arg) {
  response_t *response = arg;
  if (!response_has_room(response,
                         message_wire_bytes(&row->message) + conversation_wire_bytes(&row->conversation)))
    return false;
  yyjson_mut_arr_append(response->rows, found_json(response->doc, row));
  return true;
}

/* Requires at least one word. */
static bool words_arg(mcp_call_t *call, yyjson_val *args, mcp_text_t *out) {
  if (!bounded_text_arg(call, args, "query", QUERY_MAX_BYTES, out))
    return false;
  for (size_t i = 0; i < out->len; i++) {
    if (strchr(" \t\r\n\f\v", out->ptr[i]) == NULL)
      return true;
  }
  mcp_call_fail(call, MCP_INVALID_PARAMS, NULL, "query must hold at least one word");
  return false;
}

static void on_search(mcp_call_t *call, yyjson_val *args, void *arg) {
  dewey_t *dewey = arg;
  message_search_t search = {.start_us = INT64_MIN, .end_us = INT64_MAX, .limit = LIST_LIMIT};
  if (!words_arg(call, args, &search.words) || !session_arg(call, args, &search.session_id) ||
      !time_arg(call, args, "start_date", &search.start_us) ||
      !end_time_arg(call, args, "end_date", &search.end_us) ||
      !int_arg(call, args, "limit", 1, LIST_LIMIT_MAX, &search.limit) ||
      !int_arg(call, args, "offset", 0, INT32_MAX, &search.offset))
    return;
  response_t response = response_begin(call, "results", dewey->metrics.rows, "messages");
  store_error_t error;
  int64_t total = 0;
  int code = dewey->store->search(dewey->store, &search, cancel_when_abandoned(call), on_found, &response,
                                  &total, &error);
  add_place(&response, total, search.limit, search.offset);
  response_end(&response, &dewey->health, code, "searching", &error);
}

/* ---- dewey_delete_conversation ---- */

static void on_delete(mcp_call_t *call, yyjson_val *args, void *arg) {
  dewey_t *dewey = arg;
  char id[MCP_UUID_SIZE];
  if (!conversation_id_arg(call, args, id) || !force_arg(call, args))
    return;
  store_error_t error;
  int64_t messages;
  int code = dewey->store->remove(dewey->store, id, &messages, &error);
  if (code != STORE_OK) {
    reply_store_error(call, &dewey->health, HEALTH_WRITE, code, "deleting", &error);
    return;
  }
  mcp_metric_add(dewey->metrics.conversations, "deleted", 1);
  mcp_metric_add(dewey->metrics.messages, "deleted", (double)messages);
  yyjson_mut_doc *doc = mcp_call_doc(call);
  yyjson_mut_val *response = yyjson_mut_obj(doc);
  yyjson_mut_obj_add_true(doc, response, "deleted");
  yyjson_mut_obj_add_sint(doc, response, "messages_deleted", messages);
  mcp_call_reply(call, response);
}

/* ---- The table ---- */

void conversation_tools(dewey_t *dewey, mcp_tool_t tools[CONVERSATION_TOOLS]) {
  enum { STORES = MCP_TOOL_BLOCKING | MCP_TOOL_WAITS, BY_ARGUMENTS = MCP_TOOL_BLOCKING | MCP_TOOL_STRICT };
  const mcp_tool_t table[CONVERSATION_TOOLS] = {
      {"dewey_begin_conversation", "Start a new conversation and return its ID", begin_schema, on_begin,
       dewey, STORES, .annotations = MCP_ADDS},
      {"dewey_store_message", "Store a single message in a conversation", store_message_schema,
       on_store_message, dewey, STORES, .annotations = MCP_ADDS},
      {"dewey_store_messages_bulk",
       "Store multiple messages at once (up to 1000). Supports file references for large payloads.",
       bulk_schema, on_bulk, dewey, STORES, .annotations = MCP_ADDS},
      {"dewey_get_conversation", "Retrieve all messages from a conversation", get_schema, on_get, dewey,
       BY_ARGUMENTS, .annotations = MCP_READS},
      {"dewey_list_conversations", "List conversations with pagination and filtering", list_schema, on_list,
       dewey, BY_ARGUMENTS, .annotations = MCP_READS},
      {"dewey_delete_conversation", "Delete a conversation and all its messages", delete_schema, on_delete,
       dewey, BY_ARGUMENTS | MCP_TOOL_WAITS, .annotations = MCP_CHANGES},
      {"dewey_search", "Full-text search across all messages", search_schema, on_search, dewey, BY_ARGUMENTS,
       .annotations = MCP_READS}};
  memcpy(tools, table, sizeof table);
}
