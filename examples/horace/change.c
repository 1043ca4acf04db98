/* change.c: see change.h. */
#include "change.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool change_set_not_staged(failure_t *failure, int code) {
  return failure_from_disk(failure, code, "keeping a version");
}

bool change_set_busy(failure_t *failure) {
  return failure_set_retry(failure, "FILE_BUSY", "another operation on this file is running, retry");
}

bool change_set_missing(failure_t *failure) {
  return failure_set(failure, "FILE_MISSING",
                     "the file is missing in files/ (horace_restore_version restores it)");
}

bool change_no_directory(failure_t *failure, int code) {
  if (code == -EACCES || code == -EROFS)
    return failure_set(failure, "NO_ACCESS", "Horace has no permission to change the file's directory");
  return failure_from_disk(failure, code, "opening the file's directory");
}

/* ---- A file's turn ---- */

bool change_begin(horace_t *horace, const char *id, cancel_token_t cancel, record_t *record,
                  failure_t *failure) {
  store_error_t error;
  if (!lock_table_lock(&horace->locks, id, cancel))
    return change_set_busy(failure);
  int moved = storage_check_moved(&horace->storage);
  bool fine = moved == 0 ? staging_recover(horace, id, cancel, failure)
                         : failure_from_disk(failure, moved, "looking for the storage");
  int code = fine ? catalogue_find(horace->db, id, record, &error) : STORE_OK;
  if (code == STORE_NOT_FOUND)
    fine = failure_set(failure, "FILE_NOT_FOUND", "there is no file %s in the catalogue", id);
  else if (code != STORE_OK)
    fine = failure_from_store(horace, failure, code, &error, "reading the catalogue");
  if (!fine)
    lock_table_unlock(&horace->locks, id);
  return fine;
}

void change_end(horace_t *horace, const record_t *record) {
  lock_table_unlock(&horace->locks, record->id);
}

/* ---- Wishes ---- */

/* Merges the members without a column: those of record, overridden by those of the update. */
static yyjson_mut_val *merge_metadata(const record_t *record, metadata_update_t *update) {
  const char *old_json = record->metadata != NULL ? record->metadata : "{}";
  yyjson_doc *old = mcp_json_read(old_json, strlen(old_json));
  yyjson_mut_val *all = yyjson_val_mut_copy(update->doc, yyjson_doc_get_root(old));
  size_t i, count;
  yyjson_mut_val *key, *value;
  yyjson_doc_free(old);
  yyjson_mut_obj_foreach(update->members, i, count, key, value) {
    if (yyjson_mut_is_null(value))
      yyjson_mut_obj_remove(all, key);
    else
      yyjson_mut_obj_put(all, yyjson_mut_val_mut_copy(update->doc, key),
                         yyjson_mut_val_mut_copy(update->doc, value));
  }
  return all;
}

bool change_prepare(const record_t *record, metadata_update_t *update, failure_t *failure) {
  size_t len = 0;
  yyjson_mut_val *all = merge_metadata(record, update);
  char *json = yyjson_mut_val_write(all, 0, &len);
  yyjson_mut_val *kept = json != NULL ? yyjson_mut_strncpy(update->doc, json, len) : NULL;
  free(json);
  if (kept == NULL)
    return failure_set_retry(failure, "NO_MEMORY", "out of memory");
  if (len > FILES_METADATA_MAX_BYTES)
    return failure_set(failure, "METADATA_TOO_LARGE", "metadata would be larger than %d KiB",
                       FILES_METADATA_MAX_BYTES / 1024);
  update->details.metadata = (mcp_text_t){yyjson_mut_get_str(kept), len};
  if (yyjson_mut_obj_size(all) == 0)
    update->details.metadata = (mcp_text_t){"", 0};
  return true;
}

/* ---- New versions ---- */

bool change_stage_next(horace_t *horace, record_t *record, int file, cancel_token_t cancel, bool *changed,
                       failure_t *failure) {
  blob_t blob;
  int code = blob_match(file, &record->blob, cancel, changed);
  *changed = !*changed;
  if (code == 0 && *changed)
    code = staging_add_version(horace, record->id, record->version + 1, file, cancel, &blob);
  if (code != 0)
    return change_set_not_staged(failure, code);
  if (!*changed)
    return true;
  record->version++;
  record->blob = blob;
  record->updated_at = mcp_time_now_us();
  mime_detect(&horace->mime_detector, file, record->path, record->mime_type);
  return true;
}

/* ---- One transaction ---- */

bool change_is_refused(int code) {
  return code == STORE_CONFLICT || code == STORE_BUSY;
}

int change_commit(horace_t *horace, change_write_cb write, void *arg, store_error_t *error) {
  int code = storage_check_moved(&horace->storage);
  if (code != 0) { /* copying may have taken a while */
    snprintf(error->text, sizeof error->text, "%s", storage_strerror(code));
    return STORE_BUSY;
  }
  db_conn_t *conn = db_begin(horace->db, DB_WRITE, (cancel_token_t){NULL, NULL}, &code, error);
  if (conn != NULL)
    code = db_end(conn, write(conn, arg, error), error);
  if (code == STORE_OK)
    health_report(&horace->health, HEALTH_WRITE, STORE_OK, NULL);
  return code;
}

bool change_set_not_committed(horace_t *horace, failure_t *failure, int code, const store_error_t *error) {
  return failure_from_store(horace, failure, code, error, "changing the catalogue");
}

static int write_edit(db_conn_t *conn, void *arg, store_error_t *error) {
  edit_t *edit = arg;
  const record_t *record = edit->record;
  int code = STORE_OK;
  if (edit->versions > 0)
    code = catalogue_add_version(conn, record, edit->versions, &edit->oldest, error);
  if (code == STORE_OK && edit->update != NULL)
    code = catalogue_set_details(conn, record->id, &edit->update->details, record->updated_at, error);
  if (code == STORE_OK && edit->set_status)
    code = catalogue_set_status(conn, record, record->updated_at, error);
  if (code == STORE_OK && edit->set_path)
    code = catalogue_set_path(conn, record, error);
  if (code == STORE_OK && edit->drop_path != NULL)
    code = catalogue_drop_path(conn, edit->drop_path, error);
  if (code == STORE_OK && edit->unused_path != NULL)
    code = catalogue_remove_other_path(conn, edit->unused_path, error);
  if (code == STORE_OK && edit->released_by != NULL)
    code = catalogue_release_path(conn, edit->add_path, edit->released_by, error);
  if (code == STORE_OK && edit->add_path != NULL)
    code = catalogue_add_path(conn, edit->add_path, record->id, error);
  return code;
}

int change_commit_edit(horace_t *horace, edit_t *edit, store_error_t *error) {
  int code = change_commit(horace, write_edit, edit, error);
  if (code == STORE_OK && edit->set_status)
    mcp_metric_add(horace->metrics.files, file_statuses[edit->record->status], 1);
  return code;
}
