/* update.c: file_update(); see files.h. */
#include "change.h"

#include <errno.h>
#include <unistd.h>

static bool check_for_changes(horace_t *horace, record_t *record, cancel_token_t cancel, bool *changed,
                              failure_t *failure) {
  *changed = false;
  if (record->is_archived) /* archived bytes do not change */
    return true;
  int file = storage_open_file(&horace->storage, record->path);
  if (file < 0)
    return file == -ENOENT ? change_set_missing(failure)
                           : failure_from_disk(failure, file, "opening the file");
  bool fine = change_stage_next(horace, record, file, cancel, changed, failure);
  close(file);
  return fine;
}

/* Tests that a file can move to the archive or back to files/. */
static bool can_move(horace_t *horace, const record_t *record, bool to_archive, failure_t *failure) {
  int path_state = storage_get_path_state(&horace->storage, record->path);
  if (path_state < 0)
    return change_no_directory(failure, path_state);
  if (to_archive && path_state != STORAGE_PATH_FILE)
    return change_set_missing(failure);
  if (!to_archive && path_state != STORAGE_PATH_FREE)
    return failure_set(failure, "PATH_TAKEN", "something else is at this file's path");
  return true;
}

/* Sets the new status and marks a file that must move for it. */
static bool prepare_status(horace_t *horace, record_t *record, int status, edit_t *edit, failure_t *failure) {
  bool archived = status == FILE_ARCHIVED || (status == FILE_DELETED && record->is_archived);
  edit->set_status = record->status != status;
  record->status = status;
  if (archived == record->is_archived)
    return true;
  if (!can_move(horace, record, archived, failure))
    return false;
  int code = staging_mark(horace, record->id, "move");
  if (code != 0)
    return failure_from_disk(failure, code, "moving the file");
  record->is_archived = archived;
  if (archived)
    edit->drop_path = record->path;
  else
    edit->unused_path = edit->add_path = record->path;
  return true;
}

static bool commit_update(horace_t *horace, edit_t *edit, cancel_token_t cancel, failure_t *failure) {
  store_error_t error;
  const record_t *record = edit->record;
  bool moves = edit->add_path != NULL || edit->drop_path != NULL;
  int code = change_commit_edit(horace, edit, &error);
  if (change_is_refused(code) && moves)
    staging_unmark(horace, record->id, "move");
  if (change_is_refused(code) && edit->versions > 0)
    staging_discard(horace, record->id, record->version);
  if (code == STORE_CONFLICT)
    return failure_set(failure, "PATH_TAKEN", "another file is registered at this file's path");
  if (code != STORE_OK)
    return change_set_not_committed(horace, failure, code, &error);
  if (edit->versions > 0)
    staging_publish(horace, record->id, record->version, edit->oldest);
  if (moves)
    staging_move(horace, record, cancel);
  return true;
}

/* With the file locked. */
static bool update_file(horace_t *horace, metadata_update_t *update, bool check, cancel_token_t cancel,
                        record_t *record, int64_t *created, failure_t *failure) {
  bool changed = false;
  int status = update->status >= 0 ? update->status : record->status;
  edit_t edit = {.record = record, .update = update};
  if (!change_prepare(record, update, failure) ||
      (check && !check_for_changes(horace, record, cancel, &changed, failure)))
    return false;
  if (!prepare_status(horace, record, status, &edit, failure)) {
    if (changed)
      staging_discard(horace, record->id, record->version);
    return false;
  }
  edit.versions = changed ? horace->versions : 0;
  record->updated_at = mcp_time_now_us();
  *created = changed ? record->version : 0;
  return commit_update(horace, &edit, cancel, failure);
}

bool file_update(horace_t *horace, const char *id, metadata_update_t *update, bool check,
                 cancel_token_t cancel, record_t *record, int64_t *created, failure_t *failure) {
  if (!change_begin(horace, id, cancel, record, failure))
    return false;
  bool fine = update_file(horace, update, check, cancel, record, created, failure);
  change_end(horace, record);
  if (!fine)
    record_deinit(record);
  return fine;
}
