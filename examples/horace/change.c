/* change.c: see change.h. */
#include "change.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool change_not_staged(trouble_t *trouble, int code) {
  return trouble_disk(trouble, code, "keeping a version");
}

bool change_busy(trouble_t *trouble) {
  return trouble_retry(trouble, "FILE_BUSY", "others work on this file, retry");
}

bool change_missing(trouble_t *trouble) {
  return trouble_say(trouble, "FILE_MISSING",
                     "the file is gone from files/; horace_restore_version brings it back");
}

bool change_no_place(trouble_t *trouble, int code) {
  if (code == -EACCES || code == -EROFS)
    return trouble_say(trouble, "NO_ACCESS", "Horace may not change the file's directory");
  return trouble_disk(trouble, code, "opening the file's directory");
}

/* ---- A file's turn ---- */

bool change_begin(horace_t *horace, const char *id, store_stop_t stop, record_t *record, trouble_t *trouble) {
  store_error_t error;
  if (!turns_take(&horace->turns, id, stop))
    return change_busy(trouble);
  int moved = storage_find_moved(&horace->storage);
  bool fine = moved == 0 ? work_settle(horace, id, stop, trouble)
                         : trouble_disk(trouble, moved, "looking for the storage");
  int code = fine ? catalogue_find(horace->db, id, record, &error) : STORE_OK;
  if (code == STORE_NONE)
    fine = trouble_say(trouble, "FILE_NOT_FOUND", "there is no file %s in the catalogue", id);
  else if (code != STORE_OK)
    fine = trouble_store(horace, trouble, code, &error, "reading the catalogue");
  if (!fine)
    turns_give(&horace->turns, id);
  return fine;
}

void change_end(horace_t *horace, const record_t *record) {
  turns_give(&horace->turns, record->id);
}

/* ---- Wishes ---- */

/* Members that have no column: those that record has, and the wishes over them. */
static yyjson_mut_val *merge_metadata(const record_t *record, wishes_t *wishes) {
  const char *old_json = record->metadata != NULL ? record->metadata : "{}";
  yyjson_doc *old = mcp_json_read(old_json, strlen(old_json));
  yyjson_mut_val *all = yyjson_val_mut_copy(wishes->doc, yyjson_doc_get_root(old));
  size_t i, count;
  yyjson_mut_val *key, *value;
  yyjson_doc_free(old);
  yyjson_mut_obj_foreach(wishes->more, i, count, key, value) {
    if (yyjson_mut_is_null(value))
      yyjson_mut_obj_remove(all, key);
    else
      yyjson_mut_obj_put(all, yyjson_mut_val_mut_copy(wishes->doc, key),
                         yyjson_mut_val_mut_copy(wishes->doc, value));
  }
  return all;
}

bool change_prepare(const record_t *record, wishes_t *wishes, trouble_t *trouble) {
  size_t len = 0;
  yyjson_mut_val *all = merge_metadata(record, wishes);
  char *json = yyjson_mut_val_write(all, 0, &len);
  yyjson_mut_val *kept = json != NULL ? yyjson_mut_strncpy(wishes->doc, json, len) : NULL;
  free(json);
  if (kept == NULL)
    return trouble_retry(trouble, "NO_MEMORY", "out of memory");
  if (len > METADATA_MAX_BYTES)
    return trouble_say(trouble, "METADATA_TOO_LARGE", "metadata would be larger than %d KiB",
                       METADATA_MAX_BYTES / 1024);
  wishes->details.metadata = (mcp_text_t){yyjson_mut_get_str(kept), len};
  if (yyjson_mut_obj_size(all) == 0)
    wishes->details.metadata = (mcp_text_t){"", 0};
  return true;
}

/* ---- New versions ---- */

bool change_stage_next(horace_t *horace, record_t *record, int file, store_stop_t stop, bool *changed,
                       trouble_t *trouble) {
  bytes_t bytes;
  int code = bytes_match(file, &record->bytes, stop, changed);
  *changed = !*changed;
  if (code == 0 && *changed)
    code = work_stage(horace, record->id, record->version + 1, file, stop, &bytes);
  if (code != 0)
    return change_not_staged(trouble, code);
  if (!*changed)
    return true;
  record->version++;
  record->bytes = bytes;
  record->updated_at = mcp_time_now_us();
  kinds_read(&horace->kinds, file, record->path, record->kind);
  return true;
}

/* ---- One transaction ---- */

bool change_is_refused(int code) {
  return code == STORE_TAKEN || code == STORE_BUSY;
}

int change_commit(horace_t *horace, change_write_cb write, void *arg, store_error_t *error) {
  int code = storage_find_moved(&horace->storage);
  if (code != 0) { /* copying may have taken a while */
    snprintf(error->text, sizeof error->text, "%s", storage_words(code));
    return STORE_BUSY;
  }
  db_conn_t *conn = db_begin(horace->db, DB_WRITE, (store_stop_t){NULL, NULL}, &code, error);
  if (conn != NULL)
    code = db_end(conn, write(conn, arg, error), error);
  if (code == STORE_OK)
    health_report(&horace->health, HEALTH_WRITING, STORE_OK, NULL);
  return code;
}

bool change_not_committed(horace_t *horace, trouble_t *trouble, int code, const store_error_t *error) {
  return trouble_store(horace, trouble, code, error, "changing the catalogue");
}

static int write_edit(db_conn_t *conn, void *arg, store_error_t *error) {
  edit_t *edit = arg;
  const record_t *record = edit->record;
  int code = STORE_OK;
  if (edit->versions > 0)
    code = catalogue_add_version(conn, record, edit->versions, &edit->oldest, error);
  if (code == STORE_OK && edit->wishes != NULL)
    code = catalogue_set_details(conn, record->id, &edit->wishes->details, record->updated_at, error);
  if (code == STORE_OK && edit->set_status)
    code = catalogue_set_status(conn, record, record->updated_at, error);
  if (code == STORE_OK && edit->set_path)
    code = catalogue_set_path(conn, record, error);
  if (code == STORE_OK && edit->drop_path != NULL)
    code = catalogue_drop_path(conn, edit->drop_path, error);
  if (code == STORE_OK && edit->free_path != NULL)
    code = catalogue_free_path(conn, edit->free_path, error);
  if (code == STORE_OK && edit->given_up != NULL)
    code = catalogue_give_up_path(conn, edit->add_path, edit->given_up, error);
  if (code == STORE_OK && edit->add_path != NULL)
    code = catalogue_add_path(conn, edit->add_path, record->id, error);
  return code;
}

int change_commit_edit(horace_t *horace, edit_t *edit, store_error_t *error) {
  int code = change_commit(horace, write_edit, edit, error);
  if (code == STORE_OK && edit->set_status)
    mcp_metric_add(horace->figures.files, file_statuses[edit->record->status], 1);
  return code;
}
