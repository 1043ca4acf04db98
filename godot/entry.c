/* entry.c: log entries as JSON.
 *
 * Happy path: an entry has a key (id, created_at), under which the store keeps it once, however often it is
 * retried, and members with the name of a secret are redacted. Failure modes: an entry that the store would
 * refuse is refused with a reason. */
#include "entry.h"

#include "text_redact.h"

#include <iccm_service.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct entry_key {
  char id[MCP_UUID_SIZE];
  int64_t created_us;
} entry_key_t;

static char *refuse(char reason[ENTRY_REASON_SIZE], const char *text) {
  snprintf(reason, ENTRY_REASON_SIZE, "%s", text);
  return NULL;
}

static bool is_given(yyjson_val *value) {
  return value != NULL && !yyjson_is_null(value);
}

static bool read_id(yyjson_val *value, char id[MCP_UUID_SIZE]) {
  return yyjson_is_str(value) && mcp_uuid_parse(yyjson_get_str(value), yyjson_get_len(value), id) == 0;
}

static bool read_time(yyjson_val *value, int64_t *us) {
  return yyjson_is_str(value) && mcp_time_parse(yyjson_get_str(value), yyjson_get_len(value), us) == 0;
}

/* Whether a value is nested at most `levels` deep. */
static bool nests_at_most(yyjson_val *value, int levels) {
  size_t i, count;
  yyjson_val *key, *child;
  if (!yyjson_is_ctn(value))
    return true;
  if (levels == 0)
    return false;
  if (yyjson_is_arr(value)) {
    yyjson_arr_foreach(value, i, count,
                       child) if (yyjson_is_ctn(child) && !nests_at_most(child, levels - 1)) return false;
  } else {
    yyjson_obj_foreach(value, i, count, key,
                       child) if (yyjson_is_ctn(child) && !nests_at_most(child, levels - 1)) return false;
  }
  return true;
}

/* Returns the level in upper case, or NULL if it is invalid. */
static const char *level_name(yyjson_val *value) {
  return mcp_log_level_name(mcp_log_level_from_json(value));
}

static void put_member(yyjson_mut_doc *doc, yyjson_mut_val *entry, const char *name, yyjson_mut_val *value) {
  yyjson_mut_obj_put(entry, yyjson_mut_str(doc, name), value);
}

/* Keeps a replaced value in data, as the store does: as a member of data if data is an object without that
 * name, else in a new object that holds both. */
static void keep_original(yyjson_mut_doc *doc, yyjson_mut_val *entry, const char *name,
                          yyjson_mut_val *original) {
  yyjson_mut_val *data = yyjson_mut_obj_get(entry, "data");
  if (original == NULL || yyjson_mut_is_null(original))
    return;
  if (!yyjson_mut_is_obj(data) || yyjson_mut_obj_get(data, name) != NULL) {
    yyjson_mut_val *object = yyjson_mut_obj(doc);
    if (data != NULL && !yyjson_mut_is_null(data))
      put_member(doc, object, "data", yyjson_mut_val_mut_copy(doc, data));
    put_member(doc, entry, "data", object);
    data = object;
  }
  put_member(doc, data, name, original);
}

static void put_key(yyjson_mut_doc *doc, yyjson_mut_val *entry, const entry_key_t *key) {
  char created_at[MCP_TIME_SIZE];
  mcp_time_format(key->created_us, created_at);
  put_member(doc, entry, "id", yyjson_mut_strcpy(doc, key->id));
  put_member(doc, entry, "created_at", yyjson_mut_strcpy(doc, created_at));
}

static char *write_and_free(yyjson_mut_doc *doc, size_t *len) {
  char *text = yyjson_mut_write(doc, 0, len);
  yyjson_mut_doc_free(doc);
  return text;
}

/* ---- From a call ---- */

/* Reads the caller's id and time. Returns NULL, or the error. */
static const char *choose_key(yyjson_val *args, int64_t now_us, entry_key_t *key) {
  yyjson_val *id = yyjson_obj_get(args, "id"), *created_at = yyjson_obj_get(args, "created_at");
  key->created_us = now_us;
  if (!is_given(id))
    mcp_uuid_new(key->id);
  else if (!read_id(id, key->id))
    return "id is not a UUID";
  if (is_given(created_at))
    return read_time(created_at, &key->created_us) ? NULL : "created_at is not " MCP_TIME_FORM;
  if (is_given(id) && mcp_uuid_time_us(key->id, &key->created_us) != 0)
    return "an id that is not a UUID of version 7 needs created_at";
  return NULL;
}

static const char *check_arguments(yyjson_val *args) {
  yyjson_val *trace_id = yyjson_obj_get(args, "trace_id");
  if (yyjson_is_str(trace_id) && yyjson_get_len(trace_id) > ENTRY_MAX_TRACE_ID)
    return "trace_id has more than 128 bytes";
  if (yyjson_get_len(yyjson_obj_get(args, "component")) > ENTRY_MAX_COMPONENT)
    return "component has more than 256 bytes";
  if (level_name(yyjson_obj_get(args, "level")) == NULL)
    return ENTRY_INVALID_LEVEL;
  if (!nests_at_most(args, ENTRY_MAX_DEPTH))
    return "data is nested too deep";
  return NULL;
}

static yyjson_mut_val *copy_of(yyjson_mut_doc *doc, yyjson_val *args, const char *name) {
  yyjson_val *value = yyjson_obj_get(args, name);
  return is_given(value) ? yyjson_val_mut_copy(doc, value) : yyjson_mut_null(doc);
}

static yyjson_mut_doc *assemble(yyjson_val *args, const char *trace_id, const entry_key_t *key) {
  yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
  yyjson_mut_val *entry = yyjson_mut_obj(doc), *trace = copy_of(doc, args, "trace_id");
  if (yyjson_mut_is_null(trace) && trace_id != NULL && strlen(trace_id) <= ENTRY_MAX_TRACE_ID)
    trace = yyjson_mut_str(doc, trace_id);
  put_key(doc, entry, key);
  put_member(doc, entry, "trace_id", trace);
  put_member(doc, entry, "component", copy_of(doc, args, "component"));
  put_member(doc, entry, "level", yyjson_mut_str(doc, level_name(yyjson_obj_get(args, "level"))));
  put_member(doc, entry, "message", copy_of(doc, args, "message"));
  put_member(doc, entry, "data", copy_of(doc, args, "data"));
  yyjson_mut_doc_set_root(doc, entry);
  return doc;
}

char *entry_new(yyjson_val *args, const char *trace_id, int64_t now_us, size_t *len, size_t *redacted,
                char reason[ENTRY_REASON_SIZE]) {
  static const char envelope[] = /* not counted: the smallest size of an entry with empty texts */
      "{\"id\":\"xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx\",\"created_at\":\"xxxx-xx-xxTxx:xx:xx.xxxxxxZ\","
      "\"trace_id\":\"\","
      "\"component\":\"\",\"level\":\"xxxx\",\"message\":\"\",\"data\":}";
  entry_key_t key;
  const char *error = check_arguments(args);
  yyjson_mut_doc *doc;
  char *text;
  if (error == NULL)
    error = choose_key(args, now_us, &key);
  if (error != NULL)
    return refuse(reason, error);
  doc = assemble(args, trace_id, &key);
  *redacted = mcp_redact(yyjson_mut_doc_get_root(doc));
  text = write_and_free(doc, len);
  if (text == NULL)
    return refuse(reason, "the entry cannot be written as JSON");
  if (*len <= ENTRY_MAX_BYTES + sizeof envelope - 1)
    return text;
  free(text);
  return refuse(reason, "the log line is larger than 256 KiB");
}

/* ---- From the queue ---- */

/* Whether the store knows the member, or the queue uses it. */
static bool is_known(const char *name, size_t len) {
  static const char *const names[] = {"id",    "created_at", "trace_id", "component",
                                      "level", "message",    "data",     "godot_drops"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strlen(names[i]) == len && memcmp(names[i], name, len) == 0)
      return true;
  return false;
}

static bool all_members_known(yyjson_val *entry) {
  size_t i, count;
  yyjson_val *name, *value;
  yyjson_obj_foreach(entry, i, count, name, value) {
    if (!is_known(yyjson_get_str(name), yyjson_get_len(name)))
      return false;
  }
  return true;
}

/* Moves members that the store does not know into data. */
static void move_unknown_members(yyjson_mut_doc *doc, yyjson_mut_val *entry) {
  yyjson_mut_val *unknown = yyjson_mut_obj(doc), *name;
  yyjson_mut_obj_iter members = yyjson_mut_obj_iter_with(entry);
  while ((name = yyjson_mut_obj_iter_next(&members)) != NULL) {
    if (!is_known(yyjson_mut_get_str(name), yyjson_mut_get_len(name)))
      yyjson_mut_obj_add(unknown, name, yyjson_mut_obj_iter_remove(&members));
  }
  if (yyjson_mut_obj_size(unknown) > 0)
    keep_original(doc, entry, "original_members", unknown);
}

static bool is_normal(yyjson_val *entry) {
  yyjson_val *level = yyjson_obj_get(entry, "level");
  const char *name = level_name(level);
  char id[MCP_UUID_SIZE];
  int64_t us;
  return read_id(yyjson_obj_get(entry, "id"), id) && read_time(yyjson_obj_get(entry, "created_at"), &us) &&
         (name == NULL || yyjson_equals_str(level, name)) && all_members_known(entry);
}

static char *normalize(yyjson_mut_doc *doc, yyjson_val *entry, const entry_origin_t *origin, size_t *len) {
  yyjson_mut_val *copy = yyjson_mut_doc_get_root(doc);
  yyjson_val *id = yyjson_obj_get(entry, "id"), *created_at = yyjson_obj_get(entry, "created_at");
  const char *level = level_name(yyjson_obj_get(entry, "level"));
  entry_key_t key = {.created_us = origin->claimed_us};
  char name[64];
  if (!read_id(id, key.id)) {
    int name_len = snprintf(name, sizeof name, "%s/%zu", origin->batch, origin->index);
    mcp_uuid_v5(origin->instance, name, (size_t)name_len, key.id);
    keep_original(doc, copy, "original_id", yyjson_mut_val_mut_copy(doc, yyjson_mut_obj_get(copy, "id")));
  }
  if (!read_time(created_at, &key.created_us)) {
    mcp_uuid_time_us(key.id, &key.created_us);
    keep_original(doc, copy, "original_created_at",
                  yyjson_mut_val_mut_copy(doc, yyjson_mut_obj_get(copy, "created_at")));
  }
  move_unknown_members(doc, copy);
  put_key(doc, copy, &key);
  if (level != NULL)
    put_member(doc, copy, "level", yyjson_mut_str(doc, level));
  return yyjson_mut_write(doc, 0, len);
}

static char *copy_text(const char *text, size_t len) {
  char *copy = malloc(len + 1);
  if (copy != NULL) {
    memcpy(copy, text, len);
    copy[len] = '\0';
  }
  return copy;
}

/* Returns a copy with its secrets redacted, or NULL if out of memory. */
static yyjson_mut_doc *copy_redacted(yyjson_val *value, size_t *redacted) {
  yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
  yyjson_mut_val *copy = yyjson_val_mut_copy(doc, value);
  if (copy == NULL) {
    yyjson_mut_doc_free(doc);
    return NULL;
  }
  yyjson_mut_doc_set_root(doc, copy);
  *redacted = mcp_redact(copy);
  return doc;
}

char *entry_redact(const char *text, size_t len, size_t *out_len, size_t *redacted) {
  /* mcp_json_read() is not used: an entry that exceeds its limits is kept as a dead letter, with its secrets
   * redacted. */
  yyjson_doc *doc = yyjson_read(text, len, YYJSON_READ_BIGNUM_AS_RAW);
  yyjson_mut_doc *copy = doc != NULL ? copy_redacted(yyjson_doc_get_root(doc), redacted) : NULL;
  char *out = NULL;
  *out_len = len;
  if (doc == NULL)
    return text_redact(text, len, out_len, redacted);
  if (copy != NULL && *redacted > 0)
    out = yyjson_mut_write(copy, 0, out_len);
  else if (copy != NULL)
    out = copy_text(text, len);
  yyjson_mut_doc_free(copy);
  yyjson_doc_free(doc);
  return out;
}

char *entry_normalize(const char *text, size_t len, const entry_origin_t *origin, size_t *out_len,
                      size_t *redacted, char reason[ENTRY_REASON_SIZE]) {
  size_t start = mcp_bom_length(text, len); /* without a BOM, since it becomes a part of a larger text */
  text += start;
  len -= start;
  yyjson_doc *doc = mcp_json_read(text, len);
  yyjson_val *entry = yyjson_doc_get_root(doc);
  char *out = NULL;
  if (doc == NULL)
    return refuse(reason, mcp_last_error());
  if (!yyjson_is_obj(entry)) {
    refuse(reason, "not a JSON object");
  } else if (!nests_at_most(entry, ENTRY_MAX_DEPTH)) {
    refuse(reason, "nested deeper than 56 levels");
  } else {
    yyjson_mut_doc *copy = copy_redacted(entry, redacted);
    *out_len = len;
    if (copy != NULL && *redacted == 0 && is_normal(entry))
      out = copy_text(text, len);
    else if (copy != NULL)
      out = normalize(copy, entry, origin, out_len);
    yyjson_mut_doc_free(copy);
    if (out == NULL)
      refuse(reason, "cannot be written as JSON");
  }
  yyjson_doc_free(doc);
  return out;
}

/* ---- Dead letters and drop reports ---- */

static void add_base64(yyjson_mut_doc *doc, yyjson_mut_val *letter, const char *text, size_t len) {
  unsigned char *encoded = malloc((len + 2) / 3 * 4 + 1);
  if (encoded == NULL)
    return;
  EVP_EncodeBlock(encoded, (const unsigned char *)text, (int)len);
  yyjson_mut_obj_add_strcpy(doc, letter, "entry_base64", (const char *)encoded);
  free(encoded);
}

char *entry_dead_letter(const char *text, size_t len, const char *reason, int64_t now_us, size_t *out_len) {
  yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
  yyjson_mut_val *letter = yyjson_mut_obj(doc);
  size_t kept = len > ENTRY_MAX_BYTES ? ENTRY_MAX_BYTES : len;
  char at[MCP_TIME_SIZE];
  char *out;
  mcp_time_format(now_us, at);
  yyjson_mut_doc_set_root(doc, letter);
  yyjson_mut_obj_add_str(doc, letter, "at", at);
  yyjson_mut_obj_add_str(doc, letter, "reason", reason);
  if (kept < len)
    yyjson_mut_obj_add_uint(doc, letter, "cut_from", len);
  yyjson_mut_obj_add_strn(doc, letter, "entry", text, kept);
  out = yyjson_mut_write(doc, 0, out_len);
  if (out == NULL) { /* not UTF-8 */
    yyjson_mut_obj_remove_key(letter, "entry");
    add_base64(doc, letter, text, kept);
    out = yyjson_mut_write(doc, 0, out_len);
  }
  yyjson_mut_doc_free(doc);
  return out;
}

char *entry_drop_report(int64_t count, int64_t first_us, int64_t last_us, size_t *out_len) {
  yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
  yyjson_mut_val *entry = yyjson_mut_obj(doc), *data = yyjson_mut_obj(doc);
  entry_key_t key = {.created_us = mcp_time_now_us()};
  char first[MCP_TIME_SIZE], last[MCP_TIME_SIZE], message[160];
  mcp_uuid_new(key.id);
  mcp_time_format(first_us, first);
  mcp_time_format(last_us, last);
  put_member(doc, entry, "godot_drops",
             yyjson_mut_arr_with_sint64(doc, (const int64_t[]){count, first_us}, 2));
  snprintf(message, sizeof message, "%" PRId64 " entries dropped between %s and %s", count, first, last);
  put_key(doc, entry, &key);
  yyjson_mut_obj_add_str(doc, entry, "component", "godot");
  yyjson_mut_obj_add_str(doc, entry, "level", "WARN");
  yyjson_mut_obj_add_str(doc, entry, "message", message);
  yyjson_mut_obj_add_int(doc, data, "dropped", count);
  yyjson_mut_obj_add_str(doc, data, "first", first);
  yyjson_mut_obj_add_str(doc, data, "last", last);
  yyjson_mut_obj_add_val(doc, entry, "data", data);
  yyjson_mut_doc_set_root(doc, entry);
  return write_and_free(doc, out_len);
}
