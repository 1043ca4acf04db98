/* collection_tools.c: see collection_tools.h. */
#include "collection_tools.h"
#include "metadata_update.h"

#include <stdio.h>
#include <string.h>

enum { DESCRIPTION_MAX_BYTES = 4096, FILE_IDS_MAX = 1000, LIST_LIMIT = 50, LIST_LIMIT_MAX = 1000 };

const char create_collection_schema[] =
    MCP_JSON({
  "type": "object",
  "properties": {
    "name": {"type": "string"},
    "description": {"type": "string"},
    "file_ids": {"type": "array", "items": {"type": "string"}},
    "metadata": {"type": "object"}
  },
  "required": ["name"]
});

const char list_collections_schema[] = MCP_JSON({
  "type": "object",
  "properties": {"limit": {"type": "integer"}, "offset": {"type": "integer"}}
});

static const char doing[] = "reading the catalogue";

/* ---- Collections shown ---- */

typedef struct shown {
  yyjson_mut_doc *doc;
  yyjson_mut_val *collections, *collection; /* the last one */
} shown_t;

static bool on_collection(const db_row_t *row, void *arg) {
  shown_t *shown = arg;
  yyjson_mut_doc *doc = shown->doc;
  yyjson_mut_val *collection = shown->collection = yyjson_mut_arr_add_obj(doc, shown->collections);
  char id[MCP_UUID_SIZE];
  int64_t created_at = db_time(row, 4);
  db_id(row, 0, id);
  yyjson_mut_obj_add_strcpy(doc, collection, "collection_id", id);
  add_text(doc, collection, "name", db_text(row, 1));
  add_text(doc, collection, "description", db_text(row, 2));
  yyjson_mut_obj_add_int(doc, collection, "file_count", db_int(row, 5));
  add_time(doc, collection, "created_at", &created_at);
  if (!db_is_null(row, 3))
    add_json(doc, collection, "metadata", db_text(row, 3));
  return true;
}

/* ---- horace_create_collection ---- */

typedef struct creating {
  char id[MCP_UUID_SIZE];
  mcp_text_t name, description, metadata;
  yyjson_val *file_ids;
  char missing[MCP_UUID_SIZE]; /* id of a file that does not exist */
} creating_t;

static int insert_or_change(db_conn_t *conn, creating_t *creating, bool is_new, store_error_t *error) {
  db_params_t params = {.count = 0};
  db_add_id(&params, creating->id);
  if (is_new)
    db_add_text(&params, creating->name);
  db_add_text(&params, creating->description);
  db_add_text(&params, creating->metadata);
  if (is_new)
    db_add_time(&params, mcp_time_now_us());
  return db_exec(conn, is_new ? SQL_COLLECTION_INSERT : SQL_COLLECTION_UPDATE, &params, NULL, NULL, NULL,
                 "storing a collection", error);
}

static int put_file(db_conn_t *conn, creating_t *creating, yyjson_val *file, store_error_t *error) {
  db_params_t params = {.count = 0};
  int64_t changed = 0;
  mcp_uuid_parse(yyjson_get_str(file), yyjson_get_len(file), creating->missing);
  db_add_id(&params, creating->missing);
  db_add_id(&params, creating->id);
  db_add_time(&params, mcp_time_now_us());
  int code =
      db_exec(conn, SQL_FILE_SET_COLLECTION, &params, NULL, NULL, &changed, "storing a collection", error);
  return code == STORE_OK && changed == 0 ? STORE_NOT_FOUND : code;
}

/* Adds all files, or returns STORE_NOT_FOUND. */
static int put_files(db_conn_t *conn, creating_t *creating, store_error_t *error) {
  int code = STORE_OK;
  for (size_t i = 0; i < yyjson_arr_size(creating->file_ids) && code == STORE_OK; i++)
    code = put_file(conn, creating, yyjson_arr_get(creating->file_ids, i), error);
  return code;
}

static int store_collection(horace_t *horace, creating_t *creating, bool is_new, shown_t *shown,
                            store_error_t *error) {
  int code;
  db_params_t params = {.count = 0};
  db_conn_t *conn = db_begin(horace->db, DB_WRITE, (cancel_token_t){NULL, NULL}, &code, error);
  if (conn == NULL)
    return code;
  db_add_id(&params, creating->id);
  code = insert_or_change(conn, creating, is_new, error);
  if (code == STORE_OK)
    code = put_files(conn, creating, error);
  if (code == STORE_OK)
    code = db_exec(conn, SQL_COLLECTION_SHOW, &params, on_collection, shown, NULL, doing, error);
  return db_end(conn, code, error);
}

/* Updates the collection of this name, or creates it. If another caller creates it meanwhile, the second
 * attempt finds it. */
static int create(horace_t *horace, creating_t *creating, shown_t *shown, store_error_t *error) {
  int code = STORE_CONFLICT;
  for (int i = 0; i < 2 && code == STORE_CONFLICT; i++) {
    code = catalogue_find_collection(horace->db, creating->name, false, creating->id, error);
    bool is_new = code == STORE_NOT_FOUND;
    if (code != STORE_OK && !is_new)
      return code;
    if (is_new)
      mcp_uuid_new(creating->id);
    code = store_collection(horace, creating, is_new, shown, error);
  }
  return code;
}

static bool read_file_ids(mcp_call_t *call, yyjson_val *ids) {
  size_t i, count;
  yyjson_val *file;
  char id[MCP_UUID_SIZE];
  if (yyjson_arr_size(ids) > FILE_IDS_MAX) {
    mcp_call_fail(call, MCP_INVALID_PARAMS, NULL, "file_ids has more than %d items", FILE_IDS_MAX);
    return false;
  }
  yyjson_arr_foreach(ids, i, count, file) {
    if (!file_id_arg(call, file, id))
      return false;
  }
  return true;
}

static bool read_creating(mcp_call_t *call, yyjson_val *args, creating_t *creating) {
  creating->file_ids = yyjson_obj_get(args, "file_ids");
  if (!bounded_text_arg(call, args, "name", METADATA_NAME_MAX_BYTES, &creating->name) ||
      !bounded_text_arg(call, args, "description", DESCRIPTION_MAX_BYTES, &creating->description) ||
      !object_arg(call, args, "metadata", &creating->metadata) || !read_file_ids(call, creating->file_ids))
    return false;
  if (creating->name.len > 0)
    return true;
  mcp_call_fail(call, MCP_INVALID_PARAMS, NULL, "name is empty");
  return false;
}

void on_create_collection(mcp_call_t *call, yyjson_val *args, void *arg) {
  horace_t *horace = arg;
  creating_t creating = {.id = ""};
  store_error_t error;
  failure_t failure;
  shown_t shown = {.doc = mcp_call_doc(call), .collections = yyjson_mut_arr(mcp_call_doc(call))};
  if (!read_creating(call, args, &creating))
    return;
  int code = create(horace, &creating, &shown, &error);
  if (code == STORE_OK) {
    mcp_call_log(call, MCP_LOG_INFO, NULL, "Collection stored: %.*s", (int)creating.name.len,
                 creating.name.ptr);
    yyjson_mut_obj_add_val(shown.doc, shown.collection, "ignored", mcp_call_ignored(call));
    mcp_call_reply(call, shown.collection);
  } else if (code == STORE_NOT_FOUND) {
    failure_set(&failure, "FILE_NOT_FOUND", "there is no file %s in the catalogue; nothing was changed",
                creating.missing);
    reply_failure(call, &failure);
  } else {
    reply_store_failure(call, horace, code, &error, "storing a collection");
  }
}

/* ---- horace_list_collections ---- */

static int list(horace_t *horace, int64_t limit, int64_t offset, cancel_token_t cancel, shown_t *shown,
                int64_t *total, store_error_t *error) {
  int code;
  db_params_t params = {.count = 0};
  db_add_int(&params, limit);
  db_add_int(&params, offset);
  db_conn_t *conn = db_begin(horace->db, DB_READ, cancel, &code, error);
  if (conn == NULL)
    return code;
  code = db_exec(conn, SQL_COLLECTIONS_COUNT, NULL, db_read_int, total, NULL, doing, error);
  if (code == STORE_OK)
    code = db_exec(conn, SQL_COLLECTIONS_SHOW, &params, on_collection, shown, NULL, doing, error);
  return db_end(conn, code, error);
}

void on_list_collections(mcp_call_t *call, yyjson_val *args, void *arg) {
  horace_t *horace = arg;
  int64_t limit = LIST_LIMIT, offset = 0, total = 0;
  store_error_t error;
  shown_t shown = {.doc = mcp_call_doc(call), .collections = yyjson_mut_arr(mcp_call_doc(call))};
  if (!int_arg(call, args, "limit", 1, LIST_LIMIT_MAX, &limit) ||
      !int_arg(call, args, "offset", 0, INT64_MAX / 2, &offset))
    return;
  int code = list(horace, limit, offset, cancel_when_abandoned(call), &shown, &total, &error);
  if (code != STORE_OK) {
    reply_store_failure(call, horace, code, &error, doing);
    return;
  }
  yyjson_mut_val *response = yyjson_mut_obj(shown.doc);
  yyjson_mut_obj_add_int(shown.doc, response, "total_count", total);
  yyjson_mut_obj_add_val(shown.doc, response, "collections", shown.collections);
  mcp_metric_add(horace->metrics.rows, "collections", (double)yyjson_mut_arr_size(shown.collections));
  mcp_call_reply(call, response);
}
