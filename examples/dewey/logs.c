/* logs.c: see logs.h.
 *
 * An entry needs component, level and message. Other defects are repaired, so that a mistake of a producer
 * loses no line: a missing id is generated; a time that is invalid or far in the future is replaced, with
 * the original kept in the entry's data; NUL becomes U+FFFD, since not every database can store it. All
 * else is rejected with a reason. Data stays serialised JSON: it is not parsed again on output. */
#include "logs.h"
#include "text_nul.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  LINE_MAX_BYTES = 256 * 1024, /* component, message, trace id and data together, as JSON */
  TRACE_ID_MAX_BYTES = 128,
  BLOCKS_PER_ENTRY = 4
};

/* The limit for times in the future. A time more than AHEAD_REPLACED_US ahead may have been replaced by an
 * earlier call. */
#define AHEAD_MAX_US INT64_C(86400000000)
#define AHEAD_REPLACED_US INT64_C(3600000000)

#define KEPT_TIME "original_created_at"

bool log_batch_init(log_batch_t *batch, size_t max) {
  *batch = (log_batch_t){.entries = calloc(max, sizeof *batch->entries),
                         .blocks = calloc(max * BLOCKS_PER_ENTRY, sizeof *batch->blocks)};
  if (batch->entries != NULL && batch->blocks != NULL)
    return true;
  log_batch_deinit(batch);
  return false;
}

void log_batch_deinit(log_batch_t *batch) {
  for (size_t i = 0; i < batch->block_count; i++)
    free(batch->blocks[i]);
  free(batch->blocks);
  free(batch->entries);
}

/* ---- Sizes ---- */

size_t log_row_wire_bytes(const log_entry_t *row) {
  enum { KEYS_AND_SHORT_VALUES = 256 };
  return KEYS_AND_SHORT_VALUES + text_json_bytes(row->component, true) + text_json_bytes(row->message, true) +
         text_json_bytes(row->trace_id, true) + text_json_bytes(row->data, false);
}

/* ---- Judging ---- */

static bool keep(log_batch_t *batch, char *block) {
  if (block != NULL)
    batch->blocks[batch->block_count++] = block;
  return block != NULL;
}

static yyjson_val *get(yyjson_val *object, const char *name) {
  yyjson_val *value = yyjson_obj_get(object, name);
  return yyjson_is_null(value) ? NULL : value;
}

/* Reads a text and replaces NUL. Returns false if out of memory. */
static bool read_text(log_batch_t *batch, yyjson_val *value, mcp_text_t *text) {
  *text = (mcp_text_t){yyjson_get_str(value), yyjson_get_len(value)};
  if (!text_has_nul(*text))
    return true;
  return keep(batch, text_replace_nul(text));
}

/* Serialises data with the replaced time: as one more member if data is an object without that name, else
 * in a new object that holds both. */
static char *write_data_with_time(yyjson_val *data, yyjson_val *time, size_t *len) {
  char *json = NULL;
  yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
  if (doc == NULL)
    return NULL;
  bool extend = yyjson_is_obj(data) && yyjson_obj_get(data, KEPT_TIME) == NULL;
  yyjson_mut_val *copy = data != NULL ? yyjson_val_mut_copy(doc, data) : NULL;
  yyjson_mut_val *root = extend ? copy : yyjson_mut_obj(doc);
  bool made = data == NULL || copy != NULL;
  if (made && data != NULL && !extend)
    made = yyjson_mut_obj_add_val(doc, root, "data", copy);
  if (made && yyjson_mut_obj_add_val(doc, root, KEPT_TIME, yyjson_val_mut_copy(doc, time)))
    json = yyjson_mut_val_write(root, YYJSON_WRITE_NOFLAG, len);
  yyjson_mut_doc_free(doc);
  return json;
}

/* kept_time: the created_at that was replaced, or NULL. Returns false if out of memory. */
static bool read_data(log_batch_t *batch, yyjson_val *data, yyjson_val *kept_time, mcp_text_t *text) {
  *text = (mcp_text_t){NULL, 0};
  if (data == NULL && kept_time == NULL)
    return true;
  size_t len;
  char *json = kept_time != NULL ? write_data_with_time(data, kept_time, &len)
                                 : yyjson_val_write(data, YYJSON_WRITE_NOFLAG, &len);
  if (!keep(batch, json))
    return false;
  *text = (mcp_text_t){json, json_replace_nul(json, len)};
  return true;
}

static const char *validate_id(yyjson_val *value, log_entry_t *entry) {
  if (value == NULL)
    mcp_uuid_new(entry->id);
  else if (!yyjson_is_str(value) ||
           mcp_uuid_parse(yyjson_get_str(value), yyjson_get_len(value), entry->id) != 0)
    return "id must be a UUID";
  return NULL;
}

/* Uses the given time, else that of the id, else that of the stored line with this id, else now, so that
 * an entry that is sent again gets the same key. Returns value if it cannot be used: it is invalid, or so
 * far ahead that the line would never expire. */
static yyjson_val *choose_time(yyjson_val *value, int64_t now_us, bool has_id, log_entry_t *entry) {
  int64_t inside_us;
  bool read = yyjson_is_str(value) &&
              mcp_time_parse(yyjson_get_str(value), yyjson_get_len(value), &entry->created_at) == 0;
  bool fine = read && entry->created_at <= now_us + AHEAD_MAX_US;
  bool inside = mcp_uuid_time_us(entry->id, &inside_us) == 0 && inside_us <= now_us + AHEAD_MAX_US;
  if (!fine)
    entry->created_at = inside ? inside_us : now_us;
  bool sure = (fine || (inside && !read)) && entry->created_at <= now_us + AHEAD_REPLACED_US;
  entry->reuse_stored_time = has_id && !sure;
  return fine ? NULL : value;
}

static const char *validate(yyjson_val *value, log_entry_t *entry) {
  yyjson_val *trace_id = get(value, "trace_id");
  if (!yyjson_is_str(yyjson_obj_get(value, "component")))
    return "component is required and must be a text";
  if (yyjson_get_len(yyjson_obj_get(value, "component")) > LOG_COMPONENT_MAX_BYTES)
    return "component must have at most 256 bytes";
  if (!yyjson_is_str(yyjson_obj_get(value, "message")))
    return "message is required and must be a text";
  entry->level = mcp_log_level_from_json(yyjson_obj_get(value, "level"));
  if (entry->level < 0)
    return "level must be one of TRACE, DEBUG, INFO, WARN, ERROR";
  if (trace_id != NULL && (!yyjson_is_str(trace_id) || yyjson_get_len(trace_id) > TRACE_ID_MAX_BYTES))
    return "trace_id must be a text of at most 128 bytes, or null";
  return validate_id(get(value, "id"), entry);
}

int log_batch_add(log_batch_t *batch, yyjson_val *value, int64_t now_us, const char **reason) {
  log_entry_t *entry = &batch->entries[batch->count];
  *reason = validate(value, entry);
  if (*reason != NULL)
    return LOG_REJECTED;
  bool has_id = get(value, "id") != NULL;
  yyjson_val *kept_time = choose_time(get(value, "created_at"), now_us, has_id, entry);
  if (!read_text(batch, yyjson_obj_get(value, "component"), &entry->component) ||
      !read_text(batch, yyjson_obj_get(value, "message"), &entry->message) ||
      !read_text(batch, get(value, "trace_id"), &entry->trace_id) ||
      !read_data(batch, get(value, "data"), kept_time, &entry->data))
    return LOG_NO_MEMORY;
  size_t bytes = text_json_bytes(entry->component, false) + text_json_bytes(entry->message, false) +
                 text_json_bytes(entry->trace_id, false) + entry->data.len;
  if (bytes > LINE_MAX_BYTES) {
    *reason = "the log line is larger than 256 KiB";
    return LOG_REJECTED;
  }
  batch->bytes += bytes;
  batch->count++;
  return LOG_ACCEPTED;
}

/* ---- Writing ---- */

static yyjson_mut_val *text_json(yyjson_mut_doc *doc, mcp_text_t text) {
  return text.ptr != NULL ? yyjson_mut_strncpy(doc, text.ptr, text.len) : yyjson_mut_null(doc);
}

yyjson_mut_val *log_row_json(yyjson_mut_doc *doc, const log_entry_t *row, int64_t now_us) {
  char created_at[MCP_TIME_SIZE];
  mcp_time_format(row->created_at, created_at);
  yyjson_mut_val *json = yyjson_mut_obj(doc);
  yyjson_mut_obj_add_strcpy(doc, json, "id", row->id);
  yyjson_mut_obj_add_val(doc, json, "trace_id", text_json(doc, row->trace_id));
  yyjson_mut_obj_add_val(doc, json, "component", text_json(doc, row->component));
  yyjson_mut_obj_add_str(doc, json, "level", mcp_log_level_name(row->level));
  yyjson_mut_obj_add_val(doc, json, "message", text_json(doc, row->message));
  yyjson_mut_obj_add_val(doc, json, "data",
                         row->data.ptr != NULL ? yyjson_mut_rawncpy(doc, row->data.ptr, row->data.len)
                                               : yyjson_mut_null(doc));
  yyjson_mut_obj_add_strcpy(doc, json, "created_at", created_at);
  yyjson_mut_obj_add_real(doc, json, "age", (double)(now_us - row->created_at) / 1e6);
  return json;
}

void log_cursor_format(const log_entry_t *row, char cursor[LOG_CURSOR_SIZE]) {
  snprintf(cursor, LOG_CURSOR_SIZE, "%lld_%s", (long long)row->created_at, row->id);
}

bool log_cursor_parse(mcp_text_t cursor, int64_t *created_at, char id[MCP_UUID_SIZE]) {
  char text[LOG_CURSOR_SIZE], again[LOG_CURSOR_SIZE];
  log_entry_t row;
  if (cursor.len >= sizeof text)
    return false;
  memcpy(text, cursor.ptr, cursor.len);
  text[cursor.len] = '\0';
  char *end;
  row.created_at = strtoll(text, &end, 10);
  if (*end != '_' || mcp_uuid_parse(end + 1, strlen(end + 1), row.id) != 0)
    return false;
  log_cursor_format(&row, again); /* rejects blanks, signs and zeros that log_cursor_format does not write */
  if (strlen(again) != cursor.len || memcmp(again, cursor.ptr, cursor.len) != 0)
    return false;
  *created_at = row.created_at;
  memcpy(id, row.id, MCP_UUID_SIZE);
  return true;
}
