/* metadata_update.c: see metadata_update.h. Members without a column are stored unchanged. */
#include "metadata_update.h"

#include <stdlib.h>
#include <string.h>

enum { METADATA_PURPOSE_MAX_BYTES = 4096, METADATA_CORRELATION_MAX_BYTES = 128 };

void reply_failure(mcp_call_t *call, const failure_t *failure) {
  yyjson_mut_doc *doc = mcp_call_doc(call);
  yyjson_mut_val *data = yyjson_mut_obj(doc);
  yyjson_mut_obj_add_str(doc, data, "error_code", failure->error_code);
  if (failure->retry)
    yyjson_mut_obj_add_true(doc, data, "retry");
  mcp_call_fail(call, MCP_TOOL_ERROR, data, "%s", failure->text);
}

void reply_store_failure(mcp_call_t *call, horace_t *horace, int code, const store_error_t *error,
                         const char *doing) {
  failure_t failure;
  failure_from_store(horace, &failure, code, error, doing);
  reply_failure(call, &failure);
}

static bool refuse(mcp_call_t *call, const char *name, const char *what) {
  mcp_call_fail(call, MCP_INVALID_PARAMS, NULL, "%s %s", name, what);
  return false;
}

bool file_id_arg(mcp_call_t *call, yyjson_val *value, char id[MCP_UUID_SIZE]) {
  failure_t failure;
  if (yyjson_is_str(value) && mcp_uuid_parse(yyjson_get_str(value), yyjson_get_len(value), id) == 0)
    return true;
  failure_set(&failure, "FILE_NOT_FOUND", "invalid file id");
  reply_failure(call, &failure);
  return false;
}

bool object_arg(mcp_call_t *call, yyjson_val *args, const char *name, mcp_text_t *json) {
  yyjson_val *value = yyjson_obj_get(args, name);
  *json = (mcp_text_t){NULL, 0};
  if (value == NULL || yyjson_is_null(value))
    return true;
  size_t len = 0;
  char *text = yyjson_val_write(value, 0, &len);
  yyjson_mut_val *kept = text != NULL && len <= FILES_METADATA_MAX_BYTES
                             ? yyjson_mut_strncpy(mcp_call_doc(call), text, len)
                             : NULL;
  free(text);
  *json = (mcp_text_t){yyjson_mut_get_str(kept), len};
  return kept != NULL || refuse(call, name, "is too large");
}

bool collection_arg(mcp_call_t *call, horace_t *horace, yyjson_val *name, char id[MCP_UUID_SIZE]) {
  mcp_text_t text = {yyjson_get_str(name), yyjson_get_len(name)};
  failure_t failure;
  store_error_t error;
  if (!replace_nul(call, &text))
    return false;
  int code = catalogue_find_collection(horace->db, text, true, id, &error);
  if (code == STORE_OK)
    return true;
  if (code != STORE_NOT_FOUND) {
    reply_store_failure(call, horace, code, &error, "reading the catalogue");
    return false;
  }
  failure_set(&failure, "COLLECTION_NOT_FOUND",
              "there is no such collection; horace_create_collection makes one");
  reply_failure(call, &failure);
  return false;
}

/* A text, or null, which clears it. */
static bool read_text(mcp_call_t *call, const char *name, yyjson_val *value, size_t max_bytes,
                      mcp_text_t *text) {
  *text = yyjson_is_null(value) ? (mcp_text_t){"", 0}
                                : (mcp_text_t){yyjson_get_str(value), yyjson_get_len(value)};
  if (text->ptr == NULL)
    return refuse(call, name, "must be a text");
  return text->len <= max_bytes ? replace_nul(call, text) : refuse(call, name, "is too long");
}

static bool has_tag(yyjson_mut_val *tags, mcp_text_t tag) {
  size_t i, count;
  yyjson_mut_val *other;
  yyjson_mut_arr_foreach(tags, i, count, other) {
    if (yyjson_mut_equals_strn(other, tag.ptr, tag.len))
      return true;
  }
  return false;
}

static bool is_tag(yyjson_val *tag) {
  return yyjson_is_str(tag) && yyjson_get_len(tag) > 0 && yyjson_get_len(tag) <= METADATA_TAG_MAX_BYTES;
}

/* Removes duplicates and keeps the order. */
static bool read_tags(mcp_call_t *call, yyjson_val *value, metadata_update_t *update) {
  size_t i, count;
  yyjson_val *tag;
  update->details.tags = yyjson_mut_arr(update->doc);
  if (!yyjson_is_arr(value) && !yyjson_is_null(value))
    return refuse(call, "tags", "must be an array of texts");
  if (yyjson_arr_size(value) > METADATA_TAGS_MAX)
    return refuse(call, "tags", "has more than 64 items");
  yyjson_arr_foreach(value, i, count, tag) {
    if (!is_tag(tag))
      return refuse(call, "tags", "must be texts of 1 to 128 bytes");
    mcp_text_t text = {yyjson_get_str(tag), yyjson_get_len(tag)};
    if (!replace_nul(call, &text))
      return false;
    if (!has_tag(update->details.tags, text))
      yyjson_mut_arr_add_strncpy(update->doc, update->details.tags, text.ptr, text.len);
  }
  return true;
}

static bool read_collection(mcp_call_t *call, horace_t *horace, yyjson_val *value,
                            metadata_update_t *update) {
  update->details.collection = "";
  if (yyjson_is_null(value) || (yyjson_is_str(value) && yyjson_get_len(value) == 0))
    return true;
  if (!yyjson_is_str(value))
    return refuse(call, "collection", "must be a text");
  update->details.collection = update->collection;
  return collection_arg(call, horace, value, update->collection);
}

static bool read_status(mcp_call_t *call, yyjson_val *value, metadata_update_t *update) {
  update->status =
      yyjson_is_str(value) ? file_status_of((mcp_text_t){yyjson_get_str(value), yyjson_get_len(value)}) : -1;
  return update->status >= 0 || refuse(call, "status", "must be active, archived or deleted");
}

static bool read_member(mcp_call_t *call, horace_t *horace, yyjson_val *key, yyjson_val *value,
                        bool status_too, metadata_update_t *update) {
  if (yyjson_equals_str(key, "owner"))
    return read_text(call, "owner", value, METADATA_NAME_MAX_BYTES, &update->details.owner);
  if (yyjson_equals_str(key, "purpose"))
    return read_text(call, "purpose", value, METADATA_PURPOSE_MAX_BYTES, &update->details.purpose);
  if (yyjson_equals_str(key, "correlation_id"))
    return read_text(call, "correlation_id", value, METADATA_CORRELATION_MAX_BYTES,
                     &update->details.correlation_id);
  if (yyjson_equals_str(key, "tags"))
    return read_tags(call, value, update);
  if (yyjson_equals_str(key, "collection"))
    return read_collection(call, horace, value, update);
  if (status_too && yyjson_equals_str(key, "status"))
    return read_status(call, value, update);
  yyjson_mut_obj_put(update->members, yyjson_val_mut_copy(update->doc, key),
                     yyjson_val_mut_copy(update->doc, value));
  return true;
}

bool metadata_update_read(mcp_call_t *call, horace_t *horace, yyjson_val *metadata, bool status_too,
                          metadata_update_t *update) {
  size_t i, count;
  yyjson_val *key, *value;
  *update = (metadata_update_t){.doc = mcp_call_doc(call), .status = -1};
  update->members = yyjson_mut_obj(update->doc);
  if (yyjson_obj_size(metadata) > METADATA_MEMBERS_MAX) /* each lookup is linear */
    return refuse(call, "metadata", "has more than 4096 members");
  yyjson_obj_foreach(metadata, i, count, key, value) {
    if (!read_member(call, horace, key, value, status_too, update))
      return false;
  }
  return true;
}
