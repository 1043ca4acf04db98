/* update.c: file_update(); see files.h. */
#include "change.h"

#include <errno.h>
#include <unistd.h>

static bool check_for_changes(horace_t *horace, record_t *record, store_stop_t stop, bool *changed,
                              trouble_t *trouble) {
  *changed = false;
  if (record->is_archived) /* nobody changes those */
    return true;
  int file = storage_open_file(&horace->storage, record->path);
  if (file < 0)
    return file == -ENOENT ? change_missing(trouble) : trouble_disk(trouble, file, "opening the file");
  bool fine = change_stage_next(horace, record, file, stop, changed, trouble);
  close(file);
  return fine;
}

/* Whether a file can go to the archive, or come back to files/. */
static bool can_move(horace_t *horace, const record_t *record, bool to_archive, trouble_t *trouble) {
  int spot = storage_look(&horace->storage, record->path);
  if (spot < 0)
    return change_no_place(trouble, spot);
  if (to_archive && spot != SPOT_FILE)
    return change_missing(trouble);
  if (!to_archive && spot != SPOT_FREE)
    return trouble_say(trouble, "PATH_TAKEN", "there is something else at this file's path");
  return true;
}

/* Marks a file that is to be moved for its new status. */
static bool prepare_status(horace_t *horace, record_t *record, int status, edit_t *edit, trouble_t *trouble) {
  bool archived = status == FILE_ARCHIVED || (status == FILE_DELETED && record->is_archived);
  edit->set_status = record->status != status;
  record->status = status;
  if (archived == record->is_archived)
    return true;
  if (!can_move(horace, record, archived, trouble))
    return false;
  int code = work_mark(horace, record->id, "move");
  if (code != 0)
    return trouble_disk(trouble, code, "moving the file");
  record->is_archived = archived;
  if (archived)
    edit->drop_path = record->path;
  else
    edit->free_path = edit->add_path = record->path;
  return true;
}

static bool commit_update(horace_t *horace, edit_t *edit, store_stop_t stop, trouble_t *trouble) {
  store_error_t error;
  const record_t *record = edit->record;
  bool moves = edit->add_path != NULL || edit->drop_path != NULL;
  int code = change_commit_edit(horace, edit, &error);
  if (change_is_refused(code) && moves)
    work_unmark(horace, record->id, "move");
  if (change_is_refused(code) && edit->versions > 0)
    work_drop(horace, record->id, record->version);
  if (code == STORE_TAKEN)
    return trouble_say(trouble, "PATH_TAKEN", "another file is registered at this file's path");
  if (code != STORE_OK)
    return change_not_committed(horace, trouble, code, &error);
  if (edit->versions > 0)
    work_finish(horace, record->id, record->version, edit->oldest);
  if (moves)
    work_move(horace, record, stop);
  return true;
}

/* With the file's turn. */
static bool update(horace_t *horace, wishes_t *wishes, bool check, store_stop_t stop, record_t *record,
                   int64_t *created, trouble_t *trouble) {
  bool changed = false;
  int status = wishes->status >= 0 ? wishes->status : record->status;
  edit_t edit = {.record = record, .wishes = wishes};
  if (!change_prepare(record, wishes, trouble) ||
      (check && !check_for_changes(horace, record, stop, &changed, trouble)))
    return false;
  if (!prepare_status(horace, record, status, &edit, trouble)) {
    if (changed)
      work_drop(horace, record->id, record->version);
    return false;
  }
  edit.versions = changed ? horace->versions : 0;
  record->updated_at = mcp_time_now_us();
  *created = changed ? record->version : 0;
  return commit_update(horace, &edit, stop, trouble);
}

bool file_update(horace_t *horace, const char *id, wishes_t *wishes, bool check, store_stop_t stop,
                 record_t *record, int64_t *created, trouble_t *trouble) {
  if (!change_begin(horace, id, stop, record, trouble))
    return false;
  bool fine = update(horace, wishes, check, stop, record, created, trouble);
  change_end(horace, record);
  if (!fine)
    record_deinit(record);
  return fine;
}
