/* messages.c: see messages.h.
 *
 * A content that is not a text is stored as JSON. Metadata stays serialised JSON: it is not parsed again
 * on output. */
#include "messages.h"
#include "tool_args.h"
#include "text_nul.h"

#include <stdlib.h>
#include <string.h>

static const char *const roles[STORE_ROLES] = {"user", "assistant", "system", "tool"};

const char *message_role_name(int role) {
  return roles[role];
}

int message_role_parse(mcp_text_t name) {
  for (int role = 0; role < STORE_ROLES; role++) {
    if (name.ptr != NULL && strlen(roles[role]) == name.len && memcmp(roles[role], name.ptr, name.len) == 0)
      return role;
  }
  return -1;
}

/* ---- In ---- */

void message_deinit(message_input_t *in) {
  free(in->content);
  free(in->metadata);
}

bool json_serialize(yyjson_val *value, char **block, mcp_text_t *text) {
  size_t len;
  *text = (mcp_text_t){NULL, 0};
  *block = NULL;
  if (value == NULL || yyjson_is_null(value))
    return true;
  *block = yyjson_val_write(value, YYJSON_WRITE_NOFLAG, &len);
  if (*block != NULL)
    *text = (mcp_text_t){*block, json_replace_nul(*block, len)};
  return *block != NULL;
}

static bool read_content(message_input_t *in, yyjson_val *content) {
  mcp_text_t *text = &in->message.content;
  if (!yyjson_is_str(content))
    return json_serialize(content, &in->content, text);
  *text = (mcp_text_t){yyjson_get_str(content), yyjson_get_len(content)};
  if (text_has_nul(*text))
    in->content = text_replace_nul(text);
  return !text_has_nul(*text);
}

static int check_size(const message_input_t *in) {
  return in->message.content.len + in->message.metadata.len <= MESSAGE_MAX_BYTES ? MESSAGE_ACCEPTED
                                                                                 : MESSAGE_TOO_LARGE;
}

int message_make(message_input_t *in, int role, yyjson_val *content, yyjson_val *metadata,
                 int64_t created_at) {
  *in = (message_input_t){.message = {.role = role, .created_at = created_at}};
  mcp_uuid_new(in->message.id);
  if (!read_content(in, content) || !json_serialize(metadata, &in->metadata, &in->message.metadata))
    return MESSAGE_NO_MEMORY;
  return check_size(in);
}

/* ---- From an entry ---- */

static yyjson_val *given(yyjson_val *object, const char *name) {
  yyjson_val *value = yyjson_obj_get(object, name);
  return yyjson_is_null(value) ? NULL : value;
}

static int known_role(yyjson_val *role) { /* -1: unknown */
  return message_role_parse((mcp_text_t){yyjson_get_str(role), yyjson_get_len(role)});
}

static int role_of(yyjson_val *object) {
  int known = known_role(yyjson_obj_get(object, "role"));
  return known >= 0 ? known : STORE_ROLE_SYSTEM;
}

/* Reads a text, or a number of seconds or milliseconds since 1970; at most a day ahead. */
static bool read_time(yyjson_val *value, int64_t now_us, int64_t *us) {
  const double day = 86400e6, most_seconds = 1e11;
  int64_t found;
  if (yyjson_is_num(value)) {
    double number = yyjson_get_num(value);
    number *= number < most_seconds ? 1e6 : 1e3;
    if (number < 0 || number > (double)now_us + day)
      return false;
    found = (int64_t)number;
  } else if (!yyjson_is_str(value) ||
             mcp_time_parse(yyjson_get_str(value), yyjson_get_len(value), &found) != 0) {
    return false;
  }
  if ((double)found > (double)now_us + day)
    return false;
  *us = found;
  return true;
}

/* Returns the name of the member with the entry's time and sets *us, or NULL. */
static const char *find_time(yyjson_val *entry, int64_t now_us, int64_t *us) {
  static const char *const names[] = {"created_at", "timestamp"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (read_time(yyjson_obj_get(entry, names[i]), now_us, us))
      return names[i];
  }
  return NULL;
}

/* True if a member of an entry with role and content is not part of the message itself. */
static bool is_rest(yyjson_val *key, yyjson_val *value, const char *time) {
  if (yyjson_is_null(value) || yyjson_equals_str(key, "content") || yyjson_equals_str(key, "metadata"))
    return false;
  if (yyjson_equals_str(key, "role"))
    return known_role(value) < 0;
  return time == NULL || !yyjson_equals_str(key, time);
}

/* Merges the entry's metadata with its other members: as further members if metadata is missing or an
 * object without these names, else both in a new object. NULL: out of memory. */
static yyjson_mut_val *gather(yyjson_mut_doc *doc, yyjson_val *entry, const char *time) {
  yyjson_val *metadata = given(entry, "metadata"), *key, *value;
  bool extend = yyjson_is_obj(metadata);
  size_t index, max;
  yyjson_obj_foreach(entry, index, max, key, value) {
    extend = extend && !(is_rest(key, value, time) &&
                         yyjson_obj_getn(metadata, yyjson_get_str(key), yyjson_get_len(key)) != NULL);
  }
  yyjson_mut_val *all = extend ? yyjson_val_mut_copy(doc, metadata) : yyjson_mut_obj(doc);
  bool fine = extend || metadata == NULL ||
              yyjson_mut_obj_add_val(doc, all, "metadata", yyjson_val_mut_copy(doc, metadata));
  yyjson_obj_foreach(entry, index, max, key, value) {
    if (is_rest(key, value, time))
      fine = fine && yyjson_mut_obj_add(all, yyjson_val_mut_copy(doc, key), yyjson_val_mut_copy(doc, value));
  }
  return fine ? all : NULL;
}

static bool has_rest(yyjson_val *entry, const char *time) {
  size_t index, max;
  yyjson_val *key, *value;
  yyjson_obj_foreach(entry, index, max, key, value) {
    if (is_rest(key, value, time))
      return true;
  }
  return false;
}

/* An entry with role and content. */
static int make_plain(message_input_t *in, yyjson_val *entry, const char *time, int64_t created_at) {
  bool rest = has_rest(entry, time);
  int result = message_make(in, role_of(entry), given(entry, "content"),
                            rest ? NULL : given(entry, "metadata"), created_at);
  if (!rest || result != MESSAGE_ACCEPTED)
    return result;
  yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
  yyjson_mut_val *all = doc != NULL ? gather(doc, entry, time) : NULL;
  size_t len = 0;
  in->metadata = all != NULL ? yyjson_mut_val_write(all, YYJSON_WRITE_NOFLAG, &len) : NULL;
  yyjson_mut_doc_free(doc);
  if (in->metadata == NULL)
    return MESSAGE_NO_MEMORY;
  in->message.metadata = (mcp_text_t){in->metadata, json_replace_nul(in->metadata, len)};
  return check_size(in);
}

int message_from_entry(message_input_t *in, yyjson_val *entry, int64_t now_us) {
  yyjson_val *inner = yyjson_obj_get(entry, "message"), *content = given(entry, "content");
  int64_t created_at = now_us;
  const char *time = find_time(entry, now_us, &created_at);
  if (!yyjson_is_obj(inner) && given(entry, "role") != NULL && content != NULL)
    return make_plain(in, entry, time, created_at);
  int role = STORE_ROLE_SYSTEM;
  mcp_text_t otherwise = {"unknown", 7};
  if (yyjson_is_obj(inner)) {
    role = role_of(inner);
    content = given(inner, "content");
    otherwise = (mcp_text_t){"NA", 2};
    if (time == NULL)
      find_time(inner, now_us, &created_at);
  } else {
    content = given(entry, "type");
  }
  int result = message_make(in, role, content, entry, created_at);
  if (in->message.content.ptr == NULL)
    in->message.content = otherwise;
  return result;
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
