/* catalogue.c: see catalogue.h. */
#include "catalogue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const file_statuses[FILE_STATUSES] = {"active", "archived", "deleted"};

static mcp_text_t text_of(const char *text) {
  return (mcp_text_t){text, strlen(text)};
}

int file_status_of(mcp_text_t name) {
  for (int i = 0; i < FILE_STATUSES; i++)
    if (name.len == strlen(file_statuses[i]) && memcmp(name.ptr, file_statuses[i], name.len) == 0)
      return i;
  return -1;
}

/* ---- Reading ---- */

/* Runs a single statement that reads. */
static int read_rows(db_t *db, enum catalogue_statement which, const db_params_t *params, db_row_cb cb,
                     void *arg, store_error_t *error) {
  int code;
  db_conn_t *conn = db_begin(db, DB_READ_ONCE, (cancel_token_t){NULL, NULL}, &code, error);
  if (conn == NULL)
    return code;
  return db_end(conn, db_exec(conn, which, params, cb, arg, NULL, "reading the catalogue", error), error);
}

static void copy_text(char *to, size_t size, mcp_text_t text) {
  snprintf(to, size, "%.*s", (int)text.len, text.ptr != NULL ? text.ptr : "");
}

void record_deinit(record_t *record) {
  free(record->metadata);
  record->metadata = NULL;
}

/* Reads all members but metadata. */
static void read_record(const db_row_t *row, record_t *record) {
  db_id(row, 0, record->id);
  copy_text(record->path, sizeof record->path, db_text(row, 1));
  record->status = file_status_of(db_text(row, 2));
  record->is_archived = db_bool(row, 3);
  record->version = db_int(row, 4);
  copy_text(record->blob.checksum, sizeof record->blob.checksum, db_text(row, 5));
  record->blob.size = db_int(row, 6);
  copy_text(record->mime_type, sizeof record->mime_type, db_text(row, 7));
  record->created_at = db_time(row, 8);
  record->updated_at = db_time(row, 9);
  record->deleted_at = db_time(row, 11);
  record->metadata = NULL;
}

static bool on_record(const db_row_t *row, void *arg) {
  record_t *record = arg;
  mcp_text_t metadata = db_text(row, 10);
  read_record(row, record);
  record->metadata = metadata.ptr != NULL ? strndup(metadata.ptr, metadata.len) : NULL;
  return false;
}

static int find_record(db_t *db, enum catalogue_statement which, const db_params_t *params, record_t *record,
                       store_error_t *error) {
  record->id[0] = '\0';
  record->metadata = NULL;
  int code = read_rows(db, which, params, on_record, record, error);
  if (code != STORE_OK) /* the record may have been read before the failure */
    record_deinit(record);
  return code == STORE_OK && record->id[0] == '\0' ? STORE_NOT_FOUND : code;
}

int catalogue_find(db_t *db, const char *id, record_t *record, store_error_t *error) {
  db_params_t params = {.count = 0};
  db_add_id(&params, id);
  return find_record(db, SQL_FILE_BY_ID, &params, record, error);
}

int catalogue_find_path(db_t *db, const char *path, record_t *record, store_error_t *error) {
  db_params_t params = {.count = 0};
  db_add_text(&params, text_of(path));
  return find_record(db, SQL_FILE_BY_PATH, &params, record, error);
}

typedef struct each_record {
  record_cb cb;
  void *arg;
} each_record_t;

static bool on_each_record(const db_row_t *row, void *arg) {
  const each_record_t *each = arg;
  record_t record;
  read_record(row, &record);
  return each->cb(&record, each->arg);
}

int catalogue_each_with_blob(db_t *db, const blob_t *blob, record_cb cb, void *arg, store_error_t *error) {
  each_record_t each = {cb, arg};
  db_params_t params = {.count = 0};
  db_add_text(&params, text_of(blob->checksum));
  db_add_int(&params, blob->size);
  return read_rows(db, SQL_FILES_BY_BLOB, &params, on_each_record, &each, error);
}

static bool on_there(const db_row_t *row, void *arg) {
  (void)row;
  *(bool *)arg = true;
  return false;
}

int catalogue_has_size(db_t *db, int64_t size, bool *known, store_error_t *error) {
  db_params_t params = {.count = 0};
  db_add_int(&params, size);
  *known = false;
  return read_rows(db, SQL_HAS_SIZE, &params, on_there, known, error);
}

typedef struct version_row {
  blob_t *blob;
  int64_t *oldest;
  bool found;
} version_row_t;

static bool on_version(const db_row_t *row, void *arg) {
  version_row_t *version = arg;
  copy_text(version->blob->checksum, BLOB_CHECKSUM_SIZE, db_text(row, 0));
  version->blob->size = db_int(row, 1);
  *version->oldest = db_int(row, 2);
  version->found = true;
  return false;
}

int catalogue_version(db_t *db, const char *id, int64_t version, blob_t *blob, int64_t *oldest,
                      store_error_t *error) {
  version_row_t row = {blob, oldest, false};
  db_params_t params = {.count = 0};
  db_add_id(&params, id);
  db_add_int(&params, version);
  int code = read_rows(db, SQL_VERSION_FETCH, &params, on_version, &row, error);
  return code == STORE_OK && !row.found ? STORE_NOT_FOUND : code;
}

static bool on_expired(const db_row_t *row, void *arg) {
  id_list_t *list = arg;
  db_id(row, 0, list->ids[list->count++]);
  return true;
}

int catalogue_expired(db_t *db, int64_t before_us, id_list_t *list, store_error_t *error) {
  db_params_t params = {.count = 0};
  db_add_time(&params, before_us);
  list->count = 0;
  return read_rows(db, SQL_EXPIRED, &params, on_expired, list, error);
}

static bool on_time(const db_row_t *row, void *arg) {
  if (!db_is_null(row, 0))
    *(int64_t *)arg = db_time(row, 0);
  return false;
}

int catalogue_last_retention(db_t *db, int64_t *at_us, store_error_t *error) {
  *at_us = INT64_MIN;
  return read_rows(db, SQL_RETENTION_AT, NULL, on_time, at_us, error);
}

int catalogue_begin_retention(db_t *db, int64_t at_us, cancel_token_t cancel, store_error_t *error) {
  db_params_t params = {.count = 0};
  int code;
  db_add_time(&params, at_us);
  db_conn_t *conn = db_begin(db, DB_WRITE, cancel, &code, error);
  if (conn == NULL)
    return code;
  code = db_exec(conn, SQL_RETENTION_BEGIN, &params, NULL, NULL, NULL, "beginning the retention", error);
  return db_end(conn, code, error);
}

static bool on_id(const db_row_t *row, void *arg) {
  db_id(row, 0, arg);
  return false;
}

int catalogue_find_collection(db_t *db, mcp_text_t name, bool or_id, char id[MCP_UUID_SIZE],
                              store_error_t *error) {
  char as_id[MCP_UUID_SIZE];
  db_params_t params = {.count = 0};
  db_add_text(&params, name);
  db_add_id(&params, or_id && mcp_uuid_parse(name.ptr, name.len, as_id) == 0 ? as_id : NULL);
  id[0] = '\0';
  int code = read_rows(db, SQL_COLLECTION_FIND, &params, on_id, id, error);
  return code == STORE_OK && id[0] == '\0' ? STORE_NOT_FOUND : code;
}

/* ---- Changing ---- */

static int change(db_conn_t *conn, enum catalogue_statement which, const db_params_t *params,
                  store_error_t *error) {
  return db_exec(conn, which, params, NULL, NULL, NULL, "changing the catalogue", error);
}

static int insert_version(db_conn_t *conn, const record_t *record, store_error_t *error) {
  db_params_t params = {.count = 0};
  db_add_id(&params, record->id);
  db_add_int(&params, record->version);
  db_add_text(&params, text_of(record->blob.checksum));
  db_add_int(&params, record->blob.size);
  db_add_time(&params, record->updated_at);
  return change(conn, SQL_VERSION_INSERT, &params, error);
}

static int insert_file(db_conn_t *conn, const record_t *record, store_error_t *error) {
  char extension[MIME_EXTENSION_SIZE];
  db_params_t params = {.count = 0};
  mime_extension(record->path, extension);
  db_add_id(&params, record->id);
  db_add_text(&params, text_of(record->path));
  db_add_text(&params, text_of(extension));
  db_add_int(&params, record->version);
  db_add_text(&params, text_of(record->blob.checksum));
  db_add_int(&params, record->blob.size);
  db_add_text(&params, text_of(record->mime_type));
  db_add_time(&params, record->created_at);
  return change(conn, SQL_FILE_INSERT, &params, error);
}

int catalogue_add(db_conn_t *conn, const record_t *record, store_error_t *error) {
  int code = insert_file(conn, record, error);
  if (code == STORE_OK)
    code = catalogue_add_path(conn, record->path, record->id, error);
  return code == STORE_OK ? insert_version(conn, record, error) : code;
}

static int prune(db_conn_t *conn, const record_t *record, int keep, int64_t *oldest, store_error_t *error) {
  db_params_t params = {.count = 0}, id = {.count = 0};
  db_add_id(&params, record->id);
  db_add_int(&params, record->version - keep);
  int code = change(conn, SQL_VERSIONS_PRUNE, &params, error);
  if (code != STORE_OK)
    return code;
  db_add_id(&id, record->id);
  return db_exec(conn, SQL_VERSION_OLDEST, &id, db_read_int, oldest, NULL, "reading the catalogue", error);
}

int catalogue_add_version(db_conn_t *conn, const record_t *record, int keep, int64_t *oldest,
                          store_error_t *error) {
  db_params_t params = {.count = 0};
  db_add_id(&params, record->id);
  db_add_int(&params, record->version);
  db_add_text(&params, text_of(record->blob.checksum));
  db_add_int(&params, record->blob.size);
  db_add_text(&params, text_of(record->mime_type));
  db_add_time(&params, record->updated_at);
  int code = change(conn, SQL_FILE_SET_VERSION, &params, error);
  if (code == STORE_OK)
    code = insert_version(conn, record, error);
  return code == STORE_OK ? prune(conn, record, keep, oldest, error) : code;
}

static int insert_tags(db_conn_t *conn, const char *id, yyjson_mut_val *tags, store_error_t *error) {
  db_params_t file = {.count = 0};
  db_add_id(&file, id);
  int code = change(conn, SQL_TAGS_DELETE, &file, error);
  size_t i, count;
  yyjson_mut_val *tag;
  yyjson_mut_arr_foreach(tags, i, count, tag) {
    db_params_t params = {.count = 0};
    db_add_text(&params, (mcp_text_t){yyjson_mut_get_str(tag), yyjson_mut_get_len(tag)});
    db_add_id(&params, id);
    if (code == STORE_OK)
      code = change(conn, SQL_TAG_INSERT, &params, error);
  }
  return code;
}

static int set_tags(db_conn_t *conn, const char *id, yyjson_mut_val *tags, store_error_t *error) {
  size_t len = 0;
  char *json = yyjson_mut_val_write(tags, 0, &len);
  db_params_t params = {.count = 0};
  db_add_id(&params, id);
  db_add_text(&params, (mcp_text_t){json, len});
  int code = STORE_FAILED;
  error->brief = "out of memory";
  snprintf(error->text, sizeof error->text, "%s", error->brief);
  if (json != NULL)
    code = change(conn, SQL_FILE_SET_TAGS, &params, error);
  free(json);
  return code == STORE_OK ? insert_tags(conn, id, tags, error) : code;
}

static int set_collection(db_conn_t *conn, const char *id, const char *collection, int64_t now_us,
                          store_error_t *error) {
  db_params_t params = {.count = 0};
  db_add_id(&params, id);
  db_add_id(&params, collection[0] != '\0' ? collection : NULL);
  db_add_time(&params, now_us);
  return change(conn, SQL_FILE_SET_COLLECTION, &params, error);
}

int catalogue_set_details(db_conn_t *conn, const char *id, const details_t *details, int64_t now_us,
                          store_error_t *error) {
  db_params_t params = {.count = 0};
  db_add_id(&params, id);
  db_add_text(&params, details->owner);
  db_add_text(&params, details->purpose);
  db_add_text(&params, details->correlation_id);
  db_add_text(&params, details->metadata);
  db_add_time(&params, now_us);
  int code = change(conn, SQL_FILE_SET_DETAILS, &params, error);
  if (code == STORE_OK && details->tags != NULL)
    code = set_tags(conn, id, details->tags, error);
  if (code == STORE_OK && details->collection != NULL)
    code = set_collection(conn, id, details->collection, now_us, error);
  return code;
}

int catalogue_set_status(db_conn_t *conn, const record_t *record, int64_t now_us, store_error_t *error) {
  db_params_t params = {.count = 0};
  db_add_id(&params, record->id);
  db_add_text(&params, text_of(file_statuses[record->status]));
  db_add_bool(&params, record->is_archived);
  db_add_time(&params, now_us);
  if (record->status == FILE_DELETED)
    db_add_time(&params, now_us);
  else
    db_add_null(&params, DB_TIME);
  return change(conn, SQL_FILE_SET_STATUS, &params, error);
}

int catalogue_set_path(db_conn_t *conn, const record_t *record, store_error_t *error) {
  char extension[MIME_EXTENSION_SIZE];
  db_params_t params = {.count = 0};
  mime_extension(record->path, extension);
  db_add_id(&params, record->id);
  db_add_text(&params, text_of(record->path));
  db_add_text(&params, text_of(extension));
  db_add_text(&params, text_of(record->mime_type));
  db_add_time(&params, record->updated_at);
  return change(conn, SQL_FILE_SET_PATH, &params, error);
}

int catalogue_add_path(db_conn_t *conn, const char *path, const char *id, store_error_t *error) {
  db_params_t params = {.count = 0};
  db_add_text(&params, text_of(path));
  db_add_id(&params, id);
  return change(conn, SQL_PATH_INSERT, &params, error);
}

static int change_path(db_conn_t *conn, enum catalogue_statement which, const char *path,
                       store_error_t *error) {
  db_params_t params = {.count = 0};
  db_add_text(&params, text_of(path));
  return change(conn, which, &params, error);
}

int catalogue_drop_path(db_conn_t *conn, const char *path, store_error_t *error) {
  return change_path(conn, SQL_PATH_DELETE, path, error);
}

int catalogue_remove_other_path(db_conn_t *conn, const char *path, store_error_t *error) {
  return change_path(conn, SQL_PATH_DELETE_OTHER, path, error);
}

int catalogue_release_path(db_conn_t *conn, const char *path, const char *id, store_error_t *error) {
  db_params_t params = {.count = 0};
  db_add_id(&params, id);
  int code = change(conn, SQL_FILE_RELEASE_PATH, &params, error);
  return code == STORE_OK ? catalogue_drop_path(conn, path, error) : code;
}

/* Updating the same row, or inserting the same id, waits for the other transaction. */
int catalogue_wait_for_commit(db_t *db, const char *id, cancel_token_t cancel, store_error_t *error) {
  record_t record = {.version = 1};
  db_params_t params = {.count = 0};
  int64_t changed = 0;
  int code;
  db_conn_t *conn = db_begin(db, DB_WRITE, cancel, &code, error);
  if (conn == NULL)
    return code;
  memcpy(record.id, id, sizeof record.id);
  db_add_id(&params, id);
  code = db_exec(conn, SQL_FILE_TOUCH, &params, NULL, NULL, &changed, "awaiting a change", error);
  if (code == STORE_OK && changed == 0)
    code = insert_file(conn, &record, error);
  code = db_end(conn, code == STORE_OK ? STORE_NOT_FOUND : code, error); /* rolled back */
  return code == STORE_NOT_FOUND || code == STORE_CONFLICT ? db_confirm(db, cancel, error) : code;
}

int catalogue_delete(db_conn_t *conn, const char *id, store_error_t *error) {
  static const enum catalogue_statement all[] = {SQL_TAGS_DELETE, SQL_PATHS_DELETE, SQL_VERSIONS_DELETE,
                                                 SQL_FILE_DELETE};
  db_params_t params = {.count = 0};
  db_add_id(&params, id);
  int code = STORE_OK;
  for (size_t i = 0; i < sizeof all / sizeof all[0] && code == STORE_OK; i++)
    code = change(conn, all[i], &params, error);
  return code;
}
