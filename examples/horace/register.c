/* register.c: file_register(); see files.h.
 *
 * The path decides whether the file is known. If not, its bytes decide whether it is a duplicate, or, if
 * the file with these bytes is gone from its path, the same file renamed. A deleted file gives its path to
 * a file that was renamed to it; any other file keeps its path and gets a new version. If two callers
 * register the same path or the same bytes at once, the database admits one of them and the other one
 * tries again. */
#include "change.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ATTEMPTS = 3 };

enum attempt { ATTEMPT_DONE, ATTEMPT_FAILED, ATTEMPT_AGAIN }; /* again: the catalogue has changed meanwhile */

static enum attempt attempt_from(bool fine) {
  return fine ? ATTEMPT_DONE : ATTEMPT_FAILED;
}

typedef struct registering {
  horace_t *horace;
  found_file_t *found;
  metadata_update_t *update;
  cancel_token_t cancel;
  record_t *record;
  enum register_result result;
  failure_t *failure;
} registering_t;

/* True if there is no file at the record's path any more. */
static bool is_gone(const registering_t *registering, const record_t *record) {
  int file = record->status == FILE_ACTIVE ? storage_open_file(&registering->horace->storage, record->path)
                                           : -EEXIST;
  if (file >= 0)
    close(file);
  return file == -ENOENT;
}

/* Makes this the path of the file in record, which is locked. is_known: it is already one of the file's
 * other paths. released_by: the deleted and locked file whose own path it was, or NULL. */
static enum attempt rename_file(registering_t *registering, bool is_known, const char *released_by) {
  store_error_t error;
  char old_path[STORAGE_PATH_SIZE];
  record_t *record = registering->record;
  memcpy(old_path, record->path, sizeof old_path);
  memcpy(record->path, registering->found->path, sizeof record->path);
  record->updated_at = mcp_time_now_us();
  mime_detect(&registering->horace->mime_detector, registering->found->file, record->path, record->mime_type);
  edit_t edit = {.record = record,
                 .set_path = true,
                 .drop_path = old_path,
                 .released_by = released_by,
                 .add_path = is_known ? NULL : registering->found->path};
  registering->result = REGISTERED_RENAMED;
  int code = change_commit_edit(registering->horace, &edit, &error);
  if (code == STORE_CONFLICT)
    return ATTEMPT_AGAIN;
  return attempt_from(code == STORE_OK ||
                      change_set_not_committed(registering->horace, registering->failure, code, &error));
}

/* With both files locked: this file was renamed to the path of a deleted one. */
static enum attempt take_path_of(registering_t *registering, const char *deleted) {
  store_error_t error;
  record_t record;
  if (!lock_table_try_lock(&registering->horace->locks, deleted))
    return attempt_from(change_set_busy(registering->failure));
  enum attempt attempt = ATTEMPT_AGAIN;
  int code = catalogue_find(registering->horace->db, deleted, &record, &error);
  if (code == STORE_OK && record.status == FILE_DELETED && strcmp(record.path, registering->found->path) == 0)
    attempt = rename_file(registering, false, deleted);
  else if (code != STORE_OK && code != STORE_NOT_FOUND)
    attempt = attempt_from(
        failure_from_store(registering->horace, registering->failure, code, &error, "reading the catalogue"));
  if (code == STORE_OK)
    record_deinit(&record);
  lock_table_unlock(&registering->horace->locks, deleted);
  return attempt;
}

/* The file in record has these bytes and is gone from its path: if that holds once it is locked, it was
 * renamed. */
static enum attempt take_new_path(registering_t *registering, const char *released_by) {
  char id[MCP_UUID_SIZE];
  bool equal = false;
  enum attempt attempt = ATTEMPT_AGAIN;
  memcpy(id, registering->record->id, sizeof id);
  record_deinit(registering->record);
  if (!change_begin(registering->horace, id, registering->cancel, registering->record, registering->failure))
    return ATTEMPT_FAILED;
  int code = blob_match(registering->found->file, &registering->record->blob, registering->cancel, &equal);
  if (code != 0)
    attempt = attempt_from(failure_from_disk(registering->failure, code, "reading the file"));
  else if (equal && is_gone(registering, registering->record))
    attempt =
        released_by != NULL ? take_path_of(registering, released_by) : rename_file(registering, false, NULL);
  change_end(registering->horace, registering->record);
  return attempt;
}

/* Nothing to write, but the data that the response rests on must be durable. */
static enum attempt known_already(registering_t *registering) {
  store_error_t error;
  registering->result = REGISTERED_DUPLICATE;
  int code = db_confirm(registering->horace->db, registering->cancel, &error);
  return attempt_from(code == STORE_OK ||
                      change_set_not_committed(registering->horace, registering->failure, code, &error));
}

/* The bytes are another file's: adds this path to it. */
static enum attempt add_duplicate(registering_t *registering) {
  store_error_t error;
  const record_t *record = registering->record;
  edit_t edit = {.record = record, .add_path = registering->found->path};
  if (is_gone(registering, record))
    return take_new_path(registering, NULL);
  registering->result = REGISTERED_DUPLICATE;
  if (record->is_archived && strcmp(record->path, registering->found->path) == 0)
    return known_already(registering); /* its own path, which it gets back when it is unarchived */
  int code = change_commit_edit(registering->horace, &edit, &error);
  if (code == STORE_CONFLICT)
    return ATTEMPT_AGAIN;
  return attempt_from(code == STORE_OK ||
                      change_set_not_committed(registering->horace, registering->failure, code, &error));
}

/* Chooses the file among those with the same bytes. */
typedef struct choice {
  const registering_t *registering;
  int rank;
  char id[MCP_UUID_SIZE];
} choice_t;

static const char *last_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash != NULL ? slash + 1 : path;
}

/* Prefers a file that is gone from its path, since it was renamed; among those, one of the same name,
 * whose directory was renamed; else the oldest. */
static bool on_candidate(const record_t *record, void *arg) {
  enum { THERE = 1, RENAMED, MOVED };
  choice_t *choice = arg;
  bool same_name = strcmp(last_name(record->path), last_name(choice->registering->found->path)) == 0;
  int rank = !is_gone(choice->registering, record) ? THERE : same_name ? MOVED : RENAMED;
  if (rank > choice->rank) {
    choice->rank = rank;
    memcpy(choice->id, record->id, sizeof choice->id);
  }
  return choice->rank < MOVED;
}

/* Reads the file with these bytes into *record. Returns STORE_NOT_FOUND if there is none. */
static int find_duplicate(registering_t *registering, const blob_t *blob, store_error_t *error) {
  record_t record;
  choice_t choice = {.registering = registering};
  int code = catalogue_each_with_blob(registering->horace->db, blob, on_candidate, &choice, error);
  if (code == STORE_OK)
    code = choice.rank > 0 ? catalogue_find(registering->horace->db, choice.id, &record, error)
                           : STORE_NOT_FOUND;
  if (code == STORE_OK)
    *registering->record = record;
  return code;
}

/* Before anything is copied: a file of a known size may be a duplicate. */
static enum attempt look_for_duplicate(registering_t *registering, bool *found) {
  struct stat file_stat;
  blob_t blob;
  store_error_t error;
  bool known = false;
  *found = false;
  if (fstat(registering->found->file, &file_stat) != 0)
    return attempt_from(failure_from_disk(registering->failure, -errno, "reading the file"));
  int code = catalogue_has_size(registering->horace->db, file_stat.st_size, &known, &error);
  if (code == STORE_OK && !known)
    return ATTEMPT_DONE;
  int read = code == STORE_OK ? blob_hash(registering->found->file, registering->cancel, &blob) : 0;
  if (read != 0)
    return attempt_from(change_set_not_staged(registering->failure, read));
  if (code == STORE_OK)
    code = find_duplicate(registering, &blob, &error);
  *found = code == STORE_OK;
  return attempt_from(
      *found || code == STORE_NOT_FOUND ||
      failure_from_store(registering->horace, registering->failure, code, &error, "reading the catalogue"));
}

static int write_new(db_conn_t *conn, void *arg, store_error_t *error) {
  const registering_t *registering = arg;
  const record_t *record = registering->record;
  int code = catalogue_add(conn, record, error);
  return code == STORE_OK ? catalogue_set_details(conn, record->id, &registering->update->details,
                                                  record->updated_at, error)
                          : code;
}

/* Commits a staged version 1, unless its bytes were registered meanwhile. The lock on the checksum makes
 * others with the same bytes wait. */
static enum attempt add_new(registering_t *registering) {
  store_error_t error;
  record_t new = *registering->record;
  if (!lock_table_lock(&registering->horace->locks, new.blob.checksum, registering->cancel)) {
    staging_discard(registering->horace, new.id, 1);
    return attempt_from(change_set_busy(registering->failure));
  }
  int code = find_duplicate(registering, &new.blob, &error);
  bool duplicate = code == STORE_OK;
  if (code == STORE_NOT_FOUND)
    code = change_commit(registering->horace, write_new, registering, &error);
  lock_table_unlock(&registering->horace->locks, new.blob.checksum);
  if (duplicate || change_is_refused(code))
    staging_discard(registering->horace, new.id, 1);
  if (duplicate)
    return add_duplicate(registering);
  if (code == STORE_CONFLICT)
    return ATTEMPT_AGAIN;
  if (code != STORE_OK)
    return attempt_from(change_set_not_committed(registering->horace, registering->failure, code, &error));
  staging_publish(registering->horace, new.id, 1, 1);
  registering->result = REGISTERED_NEW;
  return ATTEMPT_DONE;
}

static enum attempt stage_new(registering_t *registering) {
  record_t *record = registering->record;
  int code = staging_add_version(registering->horace, record->id, 1, registering->found->file,
                                 registering->cancel, &record->blob);
  if (code != 0)
    return attempt_from(change_set_not_staged(registering->failure, code));
  mime_detect(&registering->horace->mime_detector, registering->found->file, record->path, record->mime_type);
  return add_new(registering);
}

static enum attempt register_new(registering_t *registering) {
  char id[MCP_UUID_SIZE];
  record_t *record = registering->record;
  bool duplicate;
  enum attempt attempt = look_for_duplicate(registering, &duplicate);
  if (attempt != ATTEMPT_DONE)
    return attempt;
  if (duplicate)
    return add_duplicate(registering);
  *record = (record_t){.status = FILE_ACTIVE, .version = 1, .created_at = mcp_time_now_us()};
  record->updated_at = record->created_at;
  memcpy(record->path, registering->found->path, sizeof record->path);
  mcp_uuid_new(record->id);
  memcpy(id, record->id, sizeof id);
  if (!change_prepare(record, registering->update, registering->failure))
    return ATTEMPT_FAILED;
  if (!lock_table_lock(&registering->horace->locks, id, registering->cancel))
    return attempt_from(change_set_busy(registering->failure));
  attempt = stage_new(registering);
  lock_table_unlock(&registering->horace->locks, id);
  return attempt;
}

/* The catalogue knows this path as one of a file's other paths. */
static enum attempt register_other_path(registering_t *registering) {
  store_error_t error;
  bool equal;
  int code = blob_match(registering->found->file, &registering->record->blob, registering->cancel, &equal);
  registering->result = REGISTERED_DUPLICATE;
  if (code != 0)
    return attempt_from(failure_from_disk(registering->failure, code, "reading the file"));
  if (equal && is_gone(registering, registering->record))
    return rename_file(registering, true, NULL);
  if (equal && registering->record->status != FILE_DELETED)
    return known_already(registering);
  edit_t edit = {.record = registering->record, .drop_path = registering->found->path};
  code = change_commit_edit(registering->horace, &edit, &error);
  return code == STORE_OK ? ATTEMPT_AGAIN
                          : attempt_from(change_set_not_committed(registering->horace, registering->failure,
                                                                  code, &error));
}

/* The catalogue knows this path as a file's own. */
static enum attempt register_again(registering_t *registering) {
  store_error_t error;
  record_t *record = registering->record;
  bool changed, deleted = record->status == FILE_DELETED;
  if (!change_prepare(record, registering->update, registering->failure) ||
      !change_stage_next(registering->horace, record, registering->found->file, registering->cancel, &changed,
                         registering->failure))
    return ATTEMPT_FAILED;
  if (!changed && !deleted)
    return known_already(registering);
  registering->result = changed ? REGISTERED_CHANGED : REGISTERED_REACTIVATED;
  record->status = FILE_ACTIVE;
  record->updated_at = mcp_time_now_us();
  edit_t edit = {.record = record,
                 .versions = changed ? registering->horace->versions : 0,
                 .update = registering->update,
                 .set_status = deleted};
  int code = change_commit_edit(registering->horace, &edit, &error);
  if (changed && change_is_refused(code))
    staging_discard(registering->horace, record->id, record->version);
  if (code != STORE_OK)
    return attempt_from(change_set_not_committed(registering->horace, registering->failure, code, &error));
  if (changed)
    staging_publish(registering->horace, record->id, record->version, edit.oldest);
  return ATTEMPT_DONE;
}

/* Opens the path again: the file may have been replaced while its lock was awaited. */
static bool open_again(registering_t *registering) {
  int file = storage_open_file(&registering->horace->storage, registering->found->path);
  if (file == -ENOENT)
    return failure_set(registering->failure, "FILE_NOT_FOUND", "there is no such file");
  if (file < 0)
    return failure_from_disk(registering->failure, file, "opening the file");
  close(registering->found->file);
  registering->found->file = file;
  return true;
}

static enum attempt register_known(registering_t *registering, const char *id) {
  if (!change_begin(registering->horace, id, registering->cancel, registering->record, registering->failure))
    return ATTEMPT_FAILED;
  bool own = strcmp(registering->record->path, registering->found->path) == 0;
  enum attempt attempt = !open_again(registering) ? ATTEMPT_FAILED
                         : own                    ? register_again(registering)
                                                  : register_other_path(registering);
  change_end(registering->horace, registering->record);
  return attempt;
}

/* The catalogue knows this path as a deleted file's own. Sets *renamed, and record, if another file was
 * renamed to it. */
static enum attempt look_for_renamed(registering_t *registering, const record_t *deleted, bool *renamed) {
  bool found;
  *renamed = false;
  enum attempt attempt = look_for_duplicate(registering, &found);
  if (attempt != ATTEMPT_DONE || !found)
    return attempt;
  *renamed =
      !blob_equal(&registering->record->blob, &deleted->blob) && is_gone(registering, registering->record);
  if (!*renamed)
    record_deinit(registering->record);
  return ATTEMPT_DONE;
}

static enum attempt attempt_to_register(registering_t *registering) {
  store_error_t error;
  record_t known;
  enum attempt attempt = ATTEMPT_DONE;
  bool renamed = false;
  int code = catalogue_find_path(registering->horace->db, registering->found->path, &known, &error);
  if (code == STORE_NOT_FOUND)
    return register_new(registering);
  if (code != STORE_OK)
    return attempt_from(
        failure_from_store(registering->horace, registering->failure, code, &error, "reading the catalogue"));
  record_deinit(&known);
  if (known.status == FILE_DELETED && strcmp(known.path, registering->found->path) == 0)
    attempt = look_for_renamed(registering, &known, &renamed);
  if (attempt != ATTEMPT_DONE)
    return attempt;
  return renamed ? take_new_path(registering, known.id) : register_known(registering, known.id);
}

/* JSON and PostgreSQL hold UTF-8 only; a link may lead to another name. */
static bool is_utf8(yyjson_mut_doc *doc, const char *path) {
  char *json = yyjson_mut_val_write(yyjson_mut_str(doc, path), 0, NULL);
  free(json);
  return json != NULL;
}

/* Sets the failure of opening a file. Returns false. */
static bool not_found(horace_t *horace, int code, failure_t *failure) {
  if (code == MCP_ENOENT || code == MCP_ENOTDIR)
    return failure_set(failure, "FILE_NOT_FOUND", "there is no such file");
  if (code == MCP_ENOTREGULAR || code == MCP_ENXIO)
    return failure_set(failure, "INVALID_PATH", "the path is not a regular file");
  if (code == MCP_EACCES || code == MCP_EPERM)
    return failure_set(failure, "INVALID_PATH", "Horace has no permission to read the file");
  if (code == MCP_ENAMETOOLONG)
    return failure_set(failure, "INVALID_PATH", "the path of the file is too long");
  if (code == MCP_EPATH || code == MCP_ELOOP)
    return failure_set(failure, "INVALID_PATH", "file_path must lead to a file below %s",
                       horace->storage.files_path);
  return failure_from_disk(failure, code, "opening the file");
}

static bool find_file(horace_t *horace, mcp_text_t file_path, yyjson_mut_doc *doc, found_file_t *found,
                      failure_t *failure) {
  int code = storage_find(&horace->storage, file_path.ptr, file_path.len, found);
  if (code != 0)
    return not_found(horace, code, failure);
  if (is_utf8(doc, found->path))
    return true;
  close(found->file);
  return failure_set(failure, "INVALID_PATH", "the name of the file is not UTF-8");
}

bool file_register(horace_t *horace, mcp_text_t file_path, metadata_update_t *update, cancel_token_t cancel,
                   record_t *record, enum register_result *result, failure_t *failure) {
  found_file_t found;
  if (!find_file(horace, file_path, update->doc, &found, failure))
    return false;
  registering_t registering = {horace, &found, update, cancel, record, REGISTERED_NEW, failure};
  enum attempt attempt = ATTEMPT_AGAIN;
  for (int i = 0; i < ATTEMPTS && attempt == ATTEMPT_AGAIN; i++) {
    record->metadata = NULL;
    attempt = attempt_to_register(&registering);
    if (attempt != ATTEMPT_DONE)
      record_deinit(record);
  }
  close(found.file);
  *result = registering.result;
  return attempt == ATTEMPT_DONE || (attempt == ATTEMPT_AGAIN ? change_set_busy(failure) : false);
}
