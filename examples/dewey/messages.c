/* messages.c: see messages.h.
 *
 * A content that is not a text is kept as JSON. Metadata stays JSON text all the way: it is never read again
 * on its way out. */
#include "messages.h"
#include "calls.h"
#include "texts.h"

#include <stdlib.h>
#include <string.h>

static const char *const roles[MESSAGE_ROLES] = {"user", "assistant", "system", "tool"};

const char *message_role_name(int role) {
  return roles[role];
}

int message_role(text_t name) {
  for (int role = 0; role < MESSAGE_ROLES; role++) {
    if (name.ptr != NULL && strlen(roles[role]) == name.len && memcmp(roles[role], name.ptr, name.len) == 0)
      return role;
  }
  return -1;
}

/* ---- In ---- */

void message_deinit(message_in_t *in) {
  free(in->content);
  free(in->metadata);
}

bool json_to_store(yyjson_val *value, char **block, text_t *text) {
  size_t len;
  *text = (text_t){NULL, 0};
  *block = NULL;
  if (value == NULL || yyjson_is_null(value))
    return true;
  *block = yyjson_val_write(value, YYJSON_WRITE_NOFLAG, &len);
  if (*block != NULL)
    *text = (text_t){*block, json_replace_nul(*block, len)};
  return *block != NULL;
}

static bool read_content(message_in_t *in, yyjson_val *content) {
  text_t *text = &in->message.content;
  if (!yyjson_is_str(content))
    return json_to_store(content, &in->content, text);
  *text = (text_t){yyjson_get_str(content), yyjson_get_len(content)};
  if (text_has_nul(*text))
    in->content = text_replace_nul(text);
  return !text_has_nul(*text);
}

int message_make(message_in_t *in, int role, yyjson_val *content, yyjson_val *metadata, int64_t created_at) {
  *in = (message_in_t){.message = {.role = role, .created_at = created_at}};
  mcp_uuid_new(in->message.id);
  if (!read_content(in, content) || !json_to_store(metadata, &in->metadata, &in->message.metadata))
    return MESSAGE_NO_MEMORY;
  return in->message.content.len + in->message.metadata.len <= MESSAGE_MAX_BYTES ? MESSAGE_TAKEN
                                                                                 : MESSAGE_TOO_LARGE;
}

static yyjson_val *given(yyjson_val *object, const char *name) {
  yyjson_val *value = yyjson_obj_get(object, name);
  return yyjson_is_null(value) ? NULL : value;
}

static int role_of(yyjson_val *object) {
  yyjson_val *role = yyjson_obj_get(object, "role");
  int known = message_role((text_t){yyjson_get_str(role), yyjson_get_len(role)});
  return known >= 0 ? known : ROLE_SYSTEM;
}

int message_from_entry(message_in_t *in, yyjson_val *entry, int64_t created_at) {
  yyjson_val *inner = yyjson_obj_get(entry, "message"), *content = given(entry, "content");
  if (!yyjson_is_obj(inner) && given(entry, "role") != NULL && content != NULL)
    return message_make(in, role_of(entry), content, given(entry, "metadata"), created_at);
  int role = ROLE_SYSTEM;
  text_t otherwise = {"unknown", 7};
  if (yyjson_is_obj(inner)) {
    role = role_of(inner);
    content = given(inner, "content");
    otherwise = (text_t){"NA", 2};
  } else {
    content = given(entry, "type");
  }
  int verdict = message_make(in, role, content, entry, created_at);
  if (in->message.content.ptr == NULL)
    in->message.content = otherwise;
  return verdict;
}

/* ---- Out ---- */

enum { KEYS_AND_SHORT_VALUES = 384 };

size_t message_wire_bytes(const message_t *row) {
  return KEYS_AND_SHORT_VALUES + text_json_bytes(row->content, true) + text_json_bytes(row->metadata, false);
}

size_t conversation_wire_bytes(const conversation_t *row) {
  return KEYS_AND_SHORT_VALUES + text_json_bytes(row->session_id, true) +
         text_json_bytes(row->metadata, false);
}

yyjson_mut_val *message_json(yyjson_mut_doc *doc, const message_t *row) {
  yyjson_mut_val *json = yyjson_mut_obj(doc);
  yyjson_mut_obj_add_strcpy(doc, json, "id", row->id);
  yyjson_mut_obj_add_sint(doc, json, "turn", row->turn);
  yyjson_mut_obj_add_str(doc, json, "role", message_role_name(row->role));
  add_text(doc, json, "content", row->content);
  add_json(doc, json, "metadata", row->metadata);
  add_time(doc, json, "created_at", &row->created_at);
  return json;
}

yyjson_mut_val *conversation_json(yyjson_mut_doc *doc, const conversation_t *row) {
  yyjson_mut_val *json = yyjson_mut_obj(doc);
  yyjson_mut_obj_add_strcpy(doc, json, "id", row->id);
  add_text(doc, json, "session_id", row->session_id);
  add_time(doc, json, "created_at", &row->created_at);
  add_time(doc, json, "updated_at", &row->updated_at);
  add_json(doc, json, "metadata", row->metadata);
  yyjson_mut_obj_add_sint(doc, json, "message_count", row->messages);
  return json;
}

yyjson_mut_val *found_json(yyjson_mut_doc *doc, const found_message_t *row) {
  yyjson_mut_val *json = yyjson_mut_obj(doc);
  yyjson_mut_obj_add_strcpy(doc, json, "message_id", row->message.id);
  yyjson_mut_obj_add_strcpy(doc, json, "conversation_id", row->conversation.id);
  yyjson_mut_obj_add_sint(doc, json, "turn", row->message.turn);
  yyjson_mut_obj_add_str(doc, json, "role", message_role_name(row->message.role));
  add_text(doc, json, "content", row->message.content);
  add_time(doc, json, "created_at", &row->message.created_at);
  add_json(doc, json, "metadata", row->message.metadata);
  add_text(doc, json, "session_id", row->conversation.session_id);
  add_json(doc, json, "conversation_metadata", row->conversation.metadata);
  yyjson_mut_obj_add_real(doc, json, "rank", row->rank);
  return json;
}
