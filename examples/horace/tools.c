/* tools.c: Horace's tools for files, and the table of all its tools.
 *
 * They run on the server's thread pool, since disk and database block. Responses are built in the call's
 * own document, which reports lack of memory. Invalid arguments get MCP_INVALID_PARAMS, all other failures
 * MCP_TOOL_ERROR with data.error_code. */
#include "tools.h"
#include "collection_tools.h"
#include "search.h"
#include "metadata_update.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  SEARCH_LIMIT = 50,
  SEARCH_LIMIT_MAX = 1000,
  OTHER_PATHS_MAX = 100, /* of one file in a response; empty files may have thousands */
  ALL_PATHS_MAX = 10000  /* the same with all_paths */
};

static const char register_schema[] = MCP_JSON({
  "type": "object",
  "properties": {
    "file_path": {"type": "string", "description": "Absolute path to file in /mnt/irina_storage/"},
    "metadata": {
      "type": "object",
      "description": "File metadata",
      "properties": {
        "owner": {"type": "string"},
        "purpose": {"type": "string"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "collection": {"type": "string"},
        "correlation_id": {"type": "string"}
      }
    }
  },
  "required": ["file_path", "metadata"]
});

#define FILTERS                                                                                              \
  "\"tags\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},"                                           \
  "\"owner\":{\"type\":\"string\"},"                                                                         \
  "\"created_after\":{\"type\":\"string\"},"                                                                 \
  "\"created_before\":{\"type\":\"string\"},"                                                                \
  "\"file_type\":{\"type\":\"string\"},"                                                                     \
  "\"min_size\":{\"type\":\"integer\"},"                                                                     \
  "\"max_size\":{\"type\":\"integer\"},"                                                                     \
  "\"collection\":{\"type\":\"string\"},"                                                                    \
  "\"status\":{\"type\":\"string\"},"                                                                        \
  "\"limit\":{\"type\":\"integer\"},"                                                                        \
  "\"offset\":{\"type\":\"integer\"},"                                                                       \
  "\"sort_by\":{\"type\":\"string\",\"enum\":[\"created_at\",\"updated_at\",\"size\",\"path\",\"owner\","    \
  "\"mime_type\",\"version\"]},"                                                                             \
  "\"order\":{\"type\":\"string\",\"enum\":[\"asc\",\"desc\"]}"

/* For the command scan, which registers files without any known path. */
static const char search_unlisted[] = MCP_JSON({"all_paths": {"type": "boolean"}});

static const char search_schema[] =
    "{\"type\":\"object\",\"properties\":{" FILTERS ","
    "\"query\":{\"type\":\"object\",\"description\":\"The same arguments, nested\",\"properties\":{" FILTERS
    "}}}}";

static const char info_schema[] =
    MCP_JSON({
  "type": "object",
  "properties": {"file_id": {"type": "string"}, "include_versions": {"type": "boolean"}},
  "required": ["file_id"]
});

static const char update_schema[] = MCP_JSON({
  "type": "object",
  "properties": {
    "file_id": {"type": "string"},
    "metadata": {"type": "object"},
    "check_for_changes": {"type": "boolean"}
  },
  "required": ["file_id"]
});

static const char restore_schema[] = MCP_JSON({
  "type": "object",
  "properties": {"file_id": {"type": "string"}, "version": {"type": "integer"}},
  "required": ["file_id", "version"]
});

/* ---- What all of them do ---- */

static void add_path(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *name, const horace_t *horace,
                     const char *path) {
  char whole[2 * STORAGE_PATH_SIZE];
  snprintf(whole, sizeof whole, "%s/%s", horace->storage.files_path, path);
  yyjson_mut_obj_add_strcpy(doc, object, name, whole);
}

/* Logs a line about a file. */
static void log_file(mcp_call_t *call, const record_t *record, const char *what) {
  yyjson_mut_doc *doc = mcp_call_doc(call);
  yyjson_mut_val *data = yyjson_mut_obj(doc);
  yyjson_mut_obj_add_strcpy(doc, data, "file_id", record->id);
  yyjson_mut_obj_add_strcpy(doc, data, "path", record->path);
  yyjson_mut_obj_add_int(doc, data, "version", record->version);
  yyjson_mut_obj_add_int(doc, data, "size", record->blob.size);
  mcp_call_log(call, MCP_LOG_INFO, data, "%s: %s", what, record->path);
}

/* ---- Files shown ---- */

/* Turns rows into an array with one object for each file. */
typedef struct shown {
  const horace_t *horace;
  yyjson_mut_doc *doc;
  yyjson_mut_val *files, *file; /* the last one */
  char id[MCP_UUID_SIZE];       /* of the last one */
  bool whole;                   /* with the members of horace_get_file_info */
  size_t max_paths;             /* besides its own */
} shown_t;

static shown_t shown_begin(mcp_call_t *call, const horace_t *horace, bool whole) {
  yyjson_mut_doc *doc = mcp_call_doc(call);
  return (shown_t){.horace = horace,
                   .doc = doc,
                   .files = yyjson_mut_arr(doc),
                   .whole = whole,
                   .max_paths = OTHER_PATHS_MAX};
}

static void add_whole(shown_t *shown, const db_row_t *row) {
  add_text(shown->doc, shown->file, "status", db_text(row, 12));
  add_text(shown->doc, shown->file, "correlation_id", db_text(row, 13));
  yyjson_mut_obj_add_int(shown->doc, shown->file, "current_version", db_int(row, 9));
  if (!db_is_null(row, 14))
    add_json(shown->doc, shown->file, "metadata", db_text(row, 14));
}

static void add_row_path(shown_t *shown, const char *name, mcp_text_t path) {
  char text[STORAGE_PATH_SIZE];
  snprintf(text, sizeof text, "%.*s", (int)path.len, path.ptr);
  add_path(shown->doc, shown->file, name, shown->horace, text);
}

static void add_file(shown_t *shown, const db_row_t *row) {
  yyjson_mut_doc *doc = shown->doc;
  yyjson_mut_val *file = shown->file = yyjson_mut_obj(doc);
  int64_t created_at = db_time(row, 7), updated_at = db_time(row, 8);
  yyjson_mut_arr_append(shown->files, file);
  yyjson_mut_obj_add_strcpy(doc, file, "file_id", shown->id);
  add_row_path(shown, "path", db_text(row, 1));
  add_text(doc, file, "owner", db_text(row, 2));
  add_text(doc, file, "purpose", db_text(row, 3));
  add_json(doc, file, "tags", db_text(row, 4));
  yyjson_mut_obj_add_int(doc, file, "size", db_int(row, 5));
  add_text(doc, file, "mime_type", db_text(row, 6));
  add_time(doc, file, "created_at", &created_at);
  add_time(doc, file, "updated_at", &updated_at);
  yyjson_mut_obj_add_int(doc, file, "version", db_int(row, 9));
  add_text(doc, file, "checksum", db_text(row, 10));
  add_text(doc, file, "collection", db_text(row, 11));
  if (shown->whole)
    add_whole(shown, row);
}

static void add_other_path(shown_t *shown, mcp_text_t path) {
  yyjson_mut_val *paths = yyjson_mut_obj_get(shown->file, "other_paths");
  char whole[2 * STORAGE_PATH_SIZE];
  if (paths == NULL)
    paths = yyjson_mut_obj_add_arr(shown->doc, shown->file, "other_paths");
  if (yyjson_mut_arr_size(paths) == shown->max_paths)
    return;
  snprintf(whole, sizeof whole, "%s/%.*s", shown->horace->storage.files_path, (int)path.len, path.ptr);
  yyjson_mut_arr_add_strcpy(shown->doc, paths, whole);
}

static bool on_file(const db_row_t *row, void *arg) {
  shown_t *shown = arg;
  char id[MCP_UUID_SIZE];
  db_id(row, 0, id);
  if (strcmp(id, shown->id) != 0) {
    memcpy(shown->id, id, sizeof id);
    add_file(shown, row);
  }
  if (!db_is_null(row, 16))
    add_other_path(shown, db_text(row, 16));
  return true;
}

/* ---- horace_search_files ---- */

/* Returns an argument, preferably from query. */
static yyjson_val *either(yyjson_val *args, const char *name) {
  yyjson_val *nested = yyjson_obj_get(yyjson_obj_get(args, "query"), name);
  return nested != NULL && !yyjson_is_null(nested) ? nested : yyjson_obj_get(args, name);
}

/* Returns the object that holds an argument, for functions that look it up by name. */
static yyjson_val *holder(yyjson_val *args, const char *name) {
  yyjson_val *query = yyjson_obj_get(args, "query"), *nested = yyjson_obj_get(query, name);
  return nested != NULL && !yyjson_is_null(nested) ? query : args;
}

static bool refuse(mcp_call_t *call, const char *why) {
  mcp_call_fail(call, MCP_INVALID_PARAMS, NULL, "%s", why);
  return false;
}

static bool read_search_tags(mcp_call_t *call, yyjson_val *tags, search_t *search) {
  size_t i, count;
  yyjson_val *tag;
  if (yyjson_arr_size(tags) > SEARCH_TAGS_MAX)
    return refuse(call, "tags has more than 16 items");
  yyjson_arr_foreach(tags, i, count, tag) {
    search->tags[i] = (mcp_text_t){yyjson_get_str(tag), yyjson_get_len(tag)};
    if (!replace_nul(call, &search->tags[i]))
      return false;
    search->tag_count++;
  }
  return true;
}

static bool read_search_status(mcp_call_t *call, yyjson_val *args, search_t *search) {
  mcp_text_t status = text_arg(holder(args, "status"), "status");
  if (status.ptr == NULL)
    return true;
  search->status = file_status_of(status);
  if (search->status >= 0 || (status.len == 3 && memcmp(status.ptr, "all", 3) == 0))
    return true;
  return refuse(call, "status must be active, archived, deleted or all");
}

static void read_order(yyjson_val *args, search_t *search) {
  yyjson_val *sort = either(args, "sort_by");
  for (int i = 0; i < SEARCH_SORTS; i++)
    if (yyjson_equals_str(sort, search_sorts[i]))
      search->sort = (enum search_sort)i;
  search->ascending = yyjson_equals_str(either(args, "order"), "asc");
}

static bool read_search(mcp_call_t *call, horace_t *horace, yyjson_val *args, search_t *search,
                        char collection[MCP_UUID_SIZE]) {
  *search = (search_t){.status = FILE_ACTIVE,
                       .created_after = INT64_MIN,
                       .created_before = INT64_MAX,
                       .max_size = INT64_MAX,
                       .limit = SEARCH_LIMIT};
  yyjson_val *in = either(args, "collection");
  read_order(args, search);
  if (!bounded_text_arg(call, holder(args, "owner"), "owner", METADATA_NAME_MAX_BYTES, &search->owner) ||
      !bounded_text_arg(call, holder(args, "file_type"), "file_type", MIME_TYPE_SIZE - 2,
                        &search->file_type) ||
      !time_arg(call, holder(args, "created_after"), "created_after", &search->created_after) ||
      !end_time_arg(call, holder(args, "created_before"), "created_before", &search->created_before) ||
      !int_arg(call, holder(args, "min_size"), "min_size", 0, INT64_MAX / 2, &search->min_size) ||
      !int_arg(call, holder(args, "max_size"), "max_size", 0, INT64_MAX / 2, &search->max_size) ||
      !int_arg(call, holder(args, "limit"), "limit", 1, SEARCH_LIMIT_MAX, &search->limit) ||
      !int_arg(call, holder(args, "offset"), "offset", 0, INT64_MAX / 2, &search->offset) ||
      !read_search_status(call, args, search) || !read_search_tags(call, either(args, "tags"), search))
    return false;
  if (search->file_type.ptr != NULL && search->file_type.len == 0)
    return refuse(call, "file_type is empty");
  if (in == NULL || yyjson_is_null(in))
    return true;
  search->collection = collection;
  return collection_arg(call, horace, in, collection);
}

static void on_search(mcp_call_t *call, yyjson_val *args, void *arg) {
  horace_t *horace = arg;
  search_t search;
  char collection[MCP_UUID_SIZE];
  store_error_t error;
  int64_t total = 0;
  if (!read_search(call, horace, args, &search, collection))
    return;
  shown_t shown = shown_begin(call, horace, false);
  if (mcp_arg_bool(args, "all_paths", false))
    shown.max_paths = ALL_PATHS_MAX;
  int code = search_run(horace->db, &search, cancel_when_abandoned(call), on_file, &shown, &total, &error);
  if (code != STORE_OK) {
    reply_store_failure(call, horace, code, &error, "searching");
    return;
  }
  yyjson_mut_val *response = yyjson_mut_obj(shown.doc);
  yyjson_mut_obj_add_int(shown.doc, response, "total_count", total);
  yyjson_mut_obj_add_val(shown.doc, response, "results", shown.files);
  yyjson_mut_obj_add_int(shown.doc, response, "limit", search.limit);
  yyjson_mut_obj_add_int(shown.doc, response, "offset", search.offset);
  mcp_metric_add(horace->metrics.rows, "files", (double)yyjson_mut_arr_size(shown.files));
  mcp_call_reply(call, response);
}

/* ---- horace_get_file_info ---- */

static bool on_version(const db_row_t *row, void *arg) {
  shown_t *shown = arg;
  yyjson_mut_doc *doc = shown->doc;
  yyjson_mut_val *versions = yyjson_mut_obj_get(shown->file, "versions");
  yyjson_mut_val *version = yyjson_mut_arr_add_obj(doc, versions);
  int64_t number = db_int(row, 0), created_at = db_time(row, 1);
  char name[STORAGE_NAME_SIZE], path[STORAGE_PATH_SIZE + STORAGE_NAME_SIZE];
  storage_version_name(name, shown->id, number);
  snprintf(path, sizeof path, "%s/.horace_versions/%s", shown->horace->storage.root, name);
  yyjson_mut_obj_add_int(doc, version, "version", number);
  add_time(doc, version, "timestamp", &created_at);
  yyjson_mut_obj_add_int(doc, version, "size", db_int(row, 2));
  add_text(doc, version, "checksum", db_text(row, 3));
  yyjson_mut_obj_add_strcpy(doc, version, "path", path);
  return true;
}

/* Returns STORE_NOT_FOUND if there is no such file. */
static int read_info(horace_t *horace, const char *id, bool versions, shown_t *shown, store_error_t *error) {
  static const char doing[] = "reading the catalogue";
  int code;
  db_params_t params = {.count = 0};
  db_add_id(&params, id);
  db_conn_t *conn = db_begin(horace->db, DB_READ, (cancel_token_t){NULL, NULL}, &code, error);
  if (conn == NULL)
    return code;
  code = db_exec(conn, SQL_FILE_SHOW, &params, on_file, shown, NULL, doing, error);
  if (code == STORE_OK && versions && shown->file != NULL) {
    yyjson_mut_obj_add_arr(shown->doc, shown->file, "versions");
    code = db_exec(conn, SQL_VERSIONS_SHOW, &params, on_version, shown, NULL, doing, error);
  }
  code = db_end(conn, code, error);
  return code == STORE_OK && shown->file == NULL ? STORE_NOT_FOUND : code;
}

static void on_info(mcp_call_t *call, yyjson_val *args, void *arg) {
  horace_t *horace = arg;
  char id[MCP_UUID_SIZE];
  store_error_t error;
  failure_t failure;
  if (!file_id_arg(call, yyjson_obj_get(args, "file_id"), id))
    return;
  shown_t shown = shown_begin(call, horace, true);
  int code = read_info(horace, id, mcp_arg_bool(args, "include_versions", false), &shown, &error);
  if (code == STORE_OK) {
    mcp_metric_add(horace->metrics.rows, "files", 1);
    mcp_call_reply(call, shown.file);
  } else if (code == STORE_NOT_FOUND) {
    failure_set(&failure, "FILE_NOT_FOUND", "there is no file %s in the catalogue", id);
    reply_failure(call, &failure);
  } else {
    reply_store_failure(call, horace, code, &error, "reading the catalogue");
  }
}

/* ---- horace_register_file ---- */

static void end_registered(mcp_call_t *call, const record_t *record) {
  yyjson_mut_doc *doc = mcp_call_doc(call);
  yyjson_mut_val *response = yyjson_mut_obj(doc);
  yyjson_mut_obj_add_strcpy(doc, response, "file_id", record->id);
  yyjson_mut_obj_add_strcpy(doc, response, "checksum", record->blob.checksum);
  yyjson_mut_obj_add_int(doc, response, "size", record->blob.size);
  yyjson_mut_obj_add_strcpy(doc, response, "mime_type", record->mime_type);
  add_time(doc, response, "registered_at", &record->updated_at);
  yyjson_mut_obj_add_int(doc, response, "version", record->version);
  yyjson_mut_obj_add_val(doc, response, "ignored", mcp_call_ignored(call));
  mcp_call_reply(call, response);
}

/* Returns the value of a metadata member in the response object of a file. */
static yyjson_val *member_of(yyjson_val *file, yyjson_val *name) {
  static const char *const columns[] = {"owner", "purpose", "tags", "collection", "correlation_id"};
  for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
    if (yyjson_equals_str(name, columns[i]))
      return yyjson_obj_get(file, columns[i]);
  return yyjson_obj_getn(yyjson_obj_get(file, "metadata"), yyjson_get_str(name), yyjson_get_len(name));
}

/* Returns a file as in a response, for yyjson_doc_free(), or NULL on failure. */
static yyjson_doc *read_shown(mcp_call_t *call, horace_t *horace, const char *id) {
  store_error_t error;
  size_t len = 0;
  shown_t shown = shown_begin(call, horace, true);
  if (read_info(horace, id, false, &shown, &error) != STORE_OK)
    return NULL;
  char *text = yyjson_mut_val_write(shown.file, 0, &len);
  yyjson_doc *doc = text != NULL ? mcp_json_read(text, len) : NULL;
  free(text);
  return doc;
}

/* Returns the names of unknown arguments and of metadata that the file does not have, or NULL. */
static yyjson_mut_val *find_ignored(mcp_call_t *call, horace_t *horace, yyjson_val *metadata,
                                    const char *id) {
  yyjson_mut_val *names = mcp_call_ignored(call);
  size_t i, count;
  yyjson_val *name, *value;
  if (yyjson_obj_size(metadata) == 0)
    return names;
  yyjson_doc *file = read_shown(call, horace, id);
  yyjson_obj_foreach(metadata, i, count, name, value) {
    if (yyjson_is_null(value) || yyjson_equals(member_of(yyjson_doc_get_root(file), name), value))
      continue;
    if (names == NULL)
      names = yyjson_mut_arr(mcp_call_doc(call));
    yyjson_mut_arr_append(names, yyjson_val_mut_copy(mcp_call_doc(call), name));
  }
  yyjson_doc_free(file);
  return names;
}

static void end_known(mcp_call_t *call, const record_t *record, const char *message,
                      yyjson_mut_val *ignored) {
  yyjson_mut_doc *doc = mcp_call_doc(call);
  yyjson_mut_val *response = yyjson_mut_obj(doc);
  yyjson_mut_obj_add_strcpy(doc, response, "file_id", record->id);
  yyjson_mut_obj_add_str(doc, response, "message", message);
  yyjson_mut_obj_add_val(doc, response, "ignored", ignored);
  mcp_call_reply(call, response);
}

/* For each result of a registration: the label of the metric, the log message and, if the bytes were
 * known, the message of the response. */
static const struct result {
  const char *name, *words, *message;
} results[] = {
    [REGISTERED_NEW] = {"new", "Registered", NULL},
    [REGISTERED_CHANGED] = {"changed", "New version registered", NULL},
    [REGISTERED_REACTIVATED] = {"again", "Registered again", NULL},
    [REGISTERED_DUPLICATE] = {"duplicate", "Registered already", "These bytes are registered already."},
    [REGISTERED_RENAMED] = {"renamed", "Renamed",
                            "These bytes are registered already; their file was renamed."}};

static void on_register(mcp_call_t *call, yyjson_val *args, void *arg) {
  horace_t *horace = arg;
  yyjson_val *metadata = yyjson_obj_get(args, "metadata");
  metadata_update_t update;
  failure_t failure;
  record_t record;
  enum register_result result;
  if (!metadata_update_read(call, horace, metadata, false, &update))
    return;
  if (!file_register(horace, text_arg(args, "file_path"), &update, cancel_when_abandoned(call), &record,
                     &result, &failure)) {
    reply_failure(call, &failure);
    return;
  }
  const struct result *what = &results[result];
  mcp_metric_add(horace->metrics.registrations, what->name, 1);
  if (result == REGISTERED_NEW || result == REGISTERED_CHANGED)
    mcp_metric_add(horace->metrics.versions, "made", 1);
  log_file(call, &record, what->words);
  if (what->message != NULL)
    end_known(call, &record, what->message, find_ignored(call, horace, metadata, record.id));
  else
    end_registered(call, &record);
  record_deinit(&record);
}

/* ---- horace_update_file ---- */

static void end_updated(mcp_call_t *call, yyjson_val *metadata, const record_t *record, int64_t created) {
  yyjson_mut_doc *doc = mcp_call_doc(call);
  yyjson_mut_val *response = yyjson_mut_obj(doc);
  size_t i, count;
  yyjson_val *key, *value;
  yyjson_mut_obj_add_strcpy(doc, response, "file_id", record->id);
  yyjson_mut_val *fields = yyjson_mut_obj_add_arr(doc, response, "updated_fields");
  yyjson_obj_foreach(metadata, i, count, key, value) {
    yyjson_mut_arr_append(fields, yyjson_val_mut_copy(doc, key));
  }
  if (created > 0)
    yyjson_mut_obj_add_int(doc, response, "version_created", created);
  else
    yyjson_mut_obj_add_null(doc, response, "version_created");
  yyjson_mut_obj_add_int(doc, response, "current_version", record->version);
  mcp_call_reply(call, response);
}

static void on_update(mcp_call_t *call, yyjson_val *args, void *arg) {
  horace_t *horace = arg;
  yyjson_val *metadata = yyjson_obj_get(args, "metadata");
  char id[MCP_UUID_SIZE];
  metadata_update_t update;
  failure_t failure;
  record_t record;
  int64_t created = 0;
  if (!file_id_arg(call, yyjson_obj_get(args, "file_id"), id) ||
      !metadata_update_read(call, horace, metadata, true, &update))
    return;
  if (!file_update(horace, id, &update, mcp_arg_bool(args, "check_for_changes", false),
                   cancel_when_abandoned(call), &record, &created, &failure)) {
    reply_failure(call, &failure);
    return;
  }
  if (created > 0)
    mcp_metric_add(horace->metrics.versions, "made", 1);
  log_file(call, &record, created > 0 ? "New version" : update.status >= 0 ? "Status set" : "Updated");
  end_updated(call, metadata, &record, created);
  record_deinit(&record);
}

/* ---- horace_restore_version ---- */

static void on_restore(mcp_call_t *call, yyjson_val *args, void *arg) {
  horace_t *horace = arg;
  char id[MCP_UUID_SIZE];
  failure_t failure;
  record_t record;
  int64_t version = 0;
  if (!file_id_arg(call, yyjson_obj_get(args, "file_id"), id) ||
      !int_arg(call, args, "version", 1, INT32_MAX, &version))
    return;
  if (!file_restore(horace, id, version, cancel_when_abandoned(call), &record, &failure)) {
    reply_failure(call, &failure);
    return;
  }
  yyjson_mut_doc *doc = mcp_call_doc(call);
  yyjson_mut_val *response = yyjson_mut_obj(doc);
  mcp_metric_add(horace->metrics.versions, "restored", 1);
  log_file(call, &record, "Restored");
  yyjson_mut_obj_add_strcpy(doc, response, "file_id", record.id);
  yyjson_mut_obj_add_int(doc, response, "restored_to_version", version);
  yyjson_mut_obj_add_int(doc, response, "new_version_created", record.version);
  add_path(doc, response, "current_path", horace, record.path);
  mcp_call_reply(call, response);
  record_deinit(&record);
}

/* ---- The table ---- */

void horace_tools(horace_t *horace, mcp_tool_t tools[HORACE_TOOLS + 1]) {
  enum { STORES = MCP_TOOL_BLOCKING | MCP_TOOL_WAITS, BY_ARGUMENTS = MCP_TOOL_BLOCKING | MCP_TOOL_STRICT };
  const mcp_tool_t table[HORACE_TOOLS + 1] = {
      {"horace_register_file", "Register a file with Horace catalog", register_schema, on_register, horace,
       STORES, .annotations = MCP_ADDS},
      {"horace_search_files", "Search file catalog by metadata", search_schema, on_search, horace,
       BY_ARGUMENTS, .annotations = MCP_READS, .unlisted_properties = search_unlisted},
      {"horace_get_file_info", "Get detailed metadata for specific file", info_schema, on_info, horace,
       BY_ARGUMENTS, .annotations = MCP_READS},
      {"horace_create_collection", "Create or update a file collection", create_collection_schema,
       on_create_collection, horace, STORES, .annotations = MCP_CHANGES},
      {"horace_list_collections", "List all collections", list_collections_schema, on_list_collections,
       horace, BY_ARGUMENTS, .annotations = MCP_READS},
      {"horace_update_file", "Update file metadata or trigger re-versioning", update_schema, on_update,
       horace, BY_ARGUMENTS | MCP_TOOL_WAITS, .annotations = MCP_CHANGES},
      {"horace_restore_version", "Restore a file to a previous version", restore_schema, on_restore, horace,
       BY_ARGUMENTS | MCP_TOOL_WAITS, .annotations = MCP_CHANGES},
      MCP_TOOL_END};
  memcpy(tools, table, sizeof table);
}
