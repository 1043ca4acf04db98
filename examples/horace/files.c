/* files.c: see files.h.
 *
 * Each change is one transaction, before which the bytes are staged and after which they are finished. A
 * failure before it drops what was staged; where its outcome is unknown, what was staged stays to be settled.
 */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

enum { ATTEMPTS = 3 };

static bool stage_failed(trouble_t *trouble, int code) {
  if (code == -EAGAIN)
    return trouble_retry(trouble, "FILE_BUSY", "the file is being written to, retry");
  return trouble_disk(trouble, code, "keeping a version");
}

static bool taken(trouble_t *trouble) {
  return trouble_retry(trouble, "FILE_BUSY", "others work on this file, retry");
}

/* ---- A file's turn ---- */

/* Takes the turn of a file that is known, with nothing under way; false: nothing is to be ended. */
static bool begin(horace_t *horace, const char *id, store_stop_t stop, record_t *record, trouble_t *trouble) {
  store_error_t error;
  if (!turns_take(&horace->turns, id, stop))
    return taken(trouble);
  bool fine = work_settle(horace, id, trouble);
  int code = fine ? catalogue_find(horace->db, id, record, &error) : STORE_OK;
  if (code == STORE_NONE)
    fine = trouble_say(trouble, "FILE_NOT_FOUND", "there is no file %s in the catalogue", id);
  else if (code != STORE_OK)
    fine = trouble_store(horace, trouble, code, &error, "reading the catalogue");
  if (!fine)
    turns_give(&horace->turns, id);
  return fine;
}

/* record lives on, where it is the caller's answer. */
static void end(horace_t *horace, const record_t *record) {
  turns_give(&horace->turns, record->id);
}

/* ---- One transaction ---- */

/* What changes at once; record is as it shall be. */
typedef struct edit {
  const record_t *record;
  bool add_version;
  wishes_t *wishes; /* NULL: none */
  bool set_status;
  const char *add_path, *drop_path;
  int64_t oldest; /* comes out: the oldest version left */
} edit_t;

/* Members that have no column: those that record has, and the wishes over them. */
static yyjson_mut_val *merge_metadata(const record_t *record, wishes_t *wishes) {
  const char *old_json = record->metadata != NULL ? record->metadata : "{}";
  yyjson_doc *old = yyjson_read(old_json, strlen(old_json), 0);
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

/* Makes details of the wishes for this file. */
static bool prepare_wishes(const record_t *record, wishes_t *wishes, trouble_t *trouble) {
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
  wishes->details.metadata = (text_t){yyjson_mut_get_str(kept), len};
  if (yyjson_mut_obj_size(all) == 0)
    wishes->details.metadata = (text_t){"", 0};
  return true;
}

static int write_edit(horace_t *horace, db_conn_t *conn, edit_t *edit, store_error_t *error) {
  const record_t *record = edit->record;
  int code = STORE_OK;
  if (edit->add_version)
    code = catalogue_add_version(conn, record, horace->versions, &edit->oldest, error);
  if (code == STORE_OK && edit->wishes != NULL)
    code = catalogue_set_details(conn, record->id, &edit->wishes->details, record->updated_at, error);
  if (code == STORE_OK && edit->set_status)
    code = catalogue_set_status(conn, record, record->updated_at, error);
  if (code == STORE_OK && edit->drop_path != NULL)
    code = catalogue_drop_path(conn, edit->drop_path, error);
  if (code == STORE_OK && edit->add_path != NULL)
    code = catalogue_add_path(conn, edit->add_path, record->id, error);
  return code;
}

/* Whether nothing of it can have been committed. */
static bool is_refused(int code) {
  return code == STORE_TAKEN || code == STORE_BUSY;
}

static int commit(horace_t *horace, edit_t *edit, store_error_t *error) {
  int code;
  db_conn_t *conn = db_begin(horace->db, DB_WRITE, (store_stop_t){NULL, NULL}, &code, error);
  return conn != NULL ? db_end(conn, write_edit(horace, conn, edit, error), error) : code;
}

static bool commit_failed(horace_t *horace, trouble_t *trouble, int code, const store_error_t *error) {
  return trouble_store(horace, trouble, code, error, "changing the catalogue");
}

/* ---- New versions ---- */

/* Whether an open file has these bytes; reads it only where its size says that it may. */
static int has_bytes(int file, const bytes_t *bytes, store_stop_t stop, bool *equal) {
  struct stat about;
  bytes_t read;
  *equal = false;
  if (fstat(file, &about) != 0)
    return -errno;
  if (about.st_size != bytes->size)
    return 0;
  int code = bytes_read(file, stop, &read);
  *equal = code == 0 && bytes_equal(&read, bytes);
  return code;
}

/* Stages a file as the next version of record, which is that then; *changed: whether its bytes are new. */
static bool stage_next(horace_t *horace, record_t *record, int file, store_stop_t stop, bool *changed,
                       trouble_t *trouble) {
  bytes_t bytes;
  int code = has_bytes(file, &record->bytes, stop, changed);
  *changed = !*changed;
  if (code == 0 && *changed)
    code = work_stage(horace, record->id, record->version + 1, file, stop, &bytes);
  if (code != 0)
    return stage_failed(trouble, code);
  if (!*changed)
    return true;
  record->version++;
  record->bytes = bytes;
  record->updated_at = mcp_time_now_us();
  kinds_read(&horace->kinds, file, record->path, record->kind);
  return true;
}

/* ---- Registering ---- */

enum attempt { DONE, FAILED, ONCE_MORE }; /* once more: the catalogue has changed meanwhile */

static enum attempt attempt_of(bool fine) {
  return fine ? DONE : FAILED;
}

typedef struct registering {
  horace_t *horace;
  const found_file_t *found;
  wishes_t *wishes;
  store_stop_t stop;
  record_t *record;
  enum file_outcome outcome;
  trouble_t *trouble;
} registering_t;

/* The bytes are another file's: this path is one more where they are. */
static enum attempt add_duplicate(registering_t *this) {
  store_error_t error;
  edit_t edit = {.record = this->record, .add_path = this->found->path};
  int code = commit(this->horace, &edit, &error);
  this->outcome = FILE_DUPLICATE;
  if (code == STORE_TAKEN)
    return ONCE_MORE;
  return attempt_of(code == STORE_OK || commit_failed(this->horace, this->trouble, code, &error));
}

/* Looks for a file of these bytes, which *record is then; STORE_NONE: there is none. */
static int find_duplicate(registering_t *this, const bytes_t *bytes, store_error_t *error) {
  record_t record;
  int code = catalogue_find_bytes(this->horace->db, bytes, &record, error);
  if (code == STORE_OK)
    *this->record = record;
  return code;
}

/* Before anything is copied: a file of a size that is known may be a duplicate. */
static enum attempt look_for_duplicate(registering_t *this, bool *found) {
  struct stat about;
  bytes_t bytes;
  store_error_t error;
  bool known = false;
  *found = false;
  if (fstat(this->found->file, &about) != 0)
    return attempt_of(trouble_disk(this->trouble, -errno, "reading the file"));
  int code = catalogue_knows_size(this->horace->db, about.st_size, &known, &error);
  if (code == STORE_OK && !known)
    return DONE;
  int read = code == STORE_OK ? bytes_read(this->found->file, this->stop, &bytes) : 0;
  if (read != 0)
    return attempt_of(trouble_disk(this->trouble, read, "reading the file"));
  if (code == STORE_OK)
    code = find_duplicate(this, &bytes, &error);
  *found = code == STORE_OK;
  return attempt_of(*found || code == STORE_NONE ||
                    trouble_store(this->horace, this->trouble, code, &error, "reading the catalogue"));
}

static int insert_new(registering_t *this, store_error_t *error) {
  int code;
  db_conn_t *conn = db_begin(this->horace->db, DB_WRITE, (store_stop_t){NULL, NULL}, &code, error);
  if (conn == NULL)
    return code;
  code = catalogue_add(conn, this->record, error);
  if (code == STORE_OK)
    code = catalogue_set_details(conn, this->record->id, &this->wishes->details, this->record->updated_at,
                                 error);
  return db_end(conn, code, error);
}

/* A version 1 that is staged goes to the catalogue, unless its bytes have come there meanwhile. Whoever
 * registers the same bytes waits. */
static enum attempt add_new(registering_t *this) {
  store_error_t error;
  record_t new = *this->record;
  if (!turns_take(&this->horace->turns, new.bytes.checksum, this->stop)) {
    work_drop(this->horace, new.id, 1);
    return attempt_of(taken(this->trouble));
  }
  int code = find_duplicate(this, &new.bytes, &error);
  bool duplicate = code == STORE_OK;
  if (code == STORE_NONE)
    code = insert_new(this, &error);
  turns_give(&this->horace->turns, new.bytes.checksum);
  if (duplicate || is_refused(code))
    work_drop(this->horace, new.id, 1);
  if (duplicate)
    return add_duplicate(this);
  if (code == STORE_TAKEN)
    return ONCE_MORE;
  if (code != STORE_OK)
    return attempt_of(commit_failed(this->horace, this->trouble, code, &error));
  work_finish(this->horace, new.id, 1, 1);
  this->outcome = FILE_NEW;
  return DONE;
}

static enum attempt stage_new(registering_t *this) {
  record_t *record = this->record;
  int code = work_stage(this->horace, record->id, 1, this->found->file, this->stop, &record->bytes);
  if (code != 0)
    return attempt_of(stage_failed(this->trouble, code));
  kinds_read(&this->horace->kinds, this->found->file, record->path, record->kind);
  return add_new(this);
}

static enum attempt register_new(registering_t *this) {
  char id[MCP_UUID_SIZE];
  record_t *record = this->record;
  bool duplicate;
  enum attempt attempt = look_for_duplicate(this, &duplicate);
  if (attempt != DONE)
    return attempt;
  if (duplicate)
    return add_duplicate(this);
  *record = (record_t){.status = FILE_ACTIVE, .version = 1, .created_at = mcp_time_now_us()};
  record->updated_at = record->created_at;
  memcpy(record->path, this->found->path, sizeof record->path);
  mcp_uuid_new(record->id);
  memcpy(id, record->id, sizeof id);
  if (!prepare_wishes(record, this->wishes, this->trouble))
    return FAILED;
  if (!turns_take(&this->horace->turns, id, this->stop))
    return attempt_of(taken(this->trouble));
  attempt = stage_new(this);
  turns_give(&this->horace->turns, id);
  return attempt;
}

/* The catalogue knows this path as one where the bytes of a file are, beside its own. */
static enum attempt register_other_path(registering_t *this) {
  store_error_t error;
  bool equal;
  int code = has_bytes(this->found->file, &this->record->bytes, this->stop, &equal);
  this->outcome = FILE_DUPLICATE;
  if (code != 0)
    return attempt_of(trouble_disk(this->trouble, code, "reading the file"));
  if (equal && this->record->status != FILE_DELETED)
    return DONE;
  edit_t edit = {.record = this->record, .drop_path = this->found->path};
  code = commit(this->horace, &edit, &error);
  return code == STORE_OK ? ONCE_MORE : attempt_of(commit_failed(this->horace, this->trouble, code, &error));
}

/* The catalogue knows this path as a file's own. */
static enum attempt register_again(registering_t *this) {
  store_error_t error;
  record_t *record = this->record;
  bool changed, deleted = record->status == FILE_DELETED;
  if (!prepare_wishes(record, this->wishes, this->trouble) ||
      !stage_next(this->horace, record, this->found->file, this->stop, &changed, this->trouble))
    return FAILED;
  this->outcome = changed ? FILE_CHANGED : deleted ? FILE_AGAIN : FILE_DUPLICATE;
  if (this->outcome == FILE_DUPLICATE)
    return DONE;
  record->status = FILE_ACTIVE;
  record->updated_at = mcp_time_now_us();
  edit_t edit = {.record = record, .add_version = changed, .wishes = this->wishes, .set_status = deleted};
  int code = commit(this->horace, &edit, &error);
  if (changed && is_refused(code))
    work_drop(this->horace, record->id, record->version);
  if (code != STORE_OK)
    return attempt_of(commit_failed(this->horace, this->trouble, code, &error));
  if (changed)
    work_finish(this->horace, record->id, record->version, edit.oldest);
  return DONE;
}

static enum attempt register_known(registering_t *this, const char *id) {
  if (!begin(this->horace, id, this->stop, this->record, this->trouble))
    return FAILED;
  bool own = strcmp(this->record->path, this->found->path) == 0;
  enum attempt attempt = own ? register_again(this) : register_other_path(this);
  end(this->horace, this->record);
  return attempt;
}

static enum attempt attempt_to_register(registering_t *this) {
  store_error_t error;
  record_t known;
  int code = catalogue_find_path(this->horace->db, this->found->path, &known, &error);
  if (code == STORE_NONE)
    return register_new(this);
  if (code != STORE_OK)
    return attempt_of(trouble_store(this->horace, this->trouble, code, &error, "reading the catalogue"));
  record_deinit(&known);
  return register_known(this, known.id);
}

static bool find_file(horace_t *horace, text_t file_path, found_file_t *found, trouble_t *trouble) {
  int code = storage_find(&horace->storage, file_path.ptr, file_path.len, found);
  if (code == 0)
    return true;
  if (code == UV_ENOENT || code == UV_ENOTDIR)
    return trouble_say(trouble, "FILE_NOT_FOUND", "there is no such file");
  if (code == MCP_ENOTFILE)
    return trouble_say(trouble, "INVALID_PATH", "that is no regular file");
  if (code == UV_EACCES || code == UV_EPERM)
    return trouble_say(trouble, "INVALID_PATH", "Horace may not read that file");
  if (code == MCP_EOUTSIDE || code == UV_ENAMETOOLONG || code == UV_ELOOP)
    return trouble_say(trouble, "INVALID_PATH", "file_path has to lead to a file below %s",
                       horace->storage.below);
  return trouble_disk(trouble, code, "opening the file");
}

bool file_register(horace_t *horace, text_t file_path, wishes_t *wishes, store_stop_t stop, record_t *record,
                   enum file_outcome *outcome, trouble_t *trouble) {
  found_file_t found;
  if (!find_file(horace, file_path, &found, trouble))
    return false;
  registering_t this = {horace, &found, wishes, stop, record, FILE_NEW, trouble};
  enum attempt attempt = ONCE_MORE;
  for (int i = 0; i < ATTEMPTS && attempt == ONCE_MORE; i++) {
    record->metadata = NULL;
    attempt = attempt_to_register(&this);
    if (attempt != DONE)
      record_deinit(record);
  }
  close(found.file);
  *outcome = this.outcome;
  return attempt == DONE || (attempt == ONCE_MORE ? taken(trouble) : false);
}

/* ---- Changing ---- */

/* The bytes in files/; false: they are gone. */
static int open_present(horace_t *horace, const record_t *record, trouble_t *trouble) {
  int file = storage_open_file(&horace->storage, record->path);
  if (file == -ENOENT)
    trouble_say(trouble, "FILE_MISSING",
                "the file is gone from files/; horace_restore_version brings it back");
  else if (file < 0)
    trouble_disk(trouble, file, "opening the file");
  return file;
}

static bool check_for_changes(horace_t *horace, record_t *record, store_stop_t stop, bool *changed,
                              trouble_t *trouble) {
  *changed = false;
  if (record->is_archived) /* nobody changes those */
    return true;
  int file = open_present(horace, record, trouble);
  if (file < 0)
    return false;
  bool fine = stage_next(horace, record, file, stop, changed, trouble);
  close(file);
  return fine;
}

/* Whether a file can go to the archive, or come back to files/. */
static bool can_move(horace_t *horace, const record_t *record, bool to_archive, trouble_t *trouble) {
  int file = storage_open_file(&horace->storage, record->path);
  if (file >= 0)
    close(file);
  if (to_archive && file == -ENOENT)
    return trouble_say(trouble, "FILE_MISSING",
                       "the file is gone from files/; horace_restore_version brings it back");
  if (!to_archive && file >= 0)
    return trouble_say(trouble, "PATH_TAKEN", "there is another file at this file's path");
  return file >= 0 || file == -ENOENT || trouble_disk(trouble, file, "opening the file");
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
  *(archived ? &edit->drop_path : &edit->add_path) = record->path;
  return true;
}

static bool commit_update(horace_t *horace, edit_t *edit, trouble_t *trouble) {
  store_error_t error;
  const record_t *record = edit->record;
  bool moves = edit->add_path != NULL || edit->drop_path != NULL;
  int code = commit(horace, edit, &error);
  if (is_refused(code) && moves)
    work_unmark(horace, record->id, "move");
  if (is_refused(code) && edit->add_version)
    work_drop(horace, record->id, record->version);
  if (code == STORE_TAKEN)
    return trouble_say(trouble, "PATH_TAKEN", "another file is registered at this file's path");
  if (code != STORE_OK)
    return commit_failed(horace, trouble, code, &error);
  if (edit->add_version)
    work_finish(horace, record->id, record->version, edit->oldest);
  if (moves)
    work_move(horace, record);
  return true;
}

/* With the file's turn. */
static bool update(horace_t *horace, wishes_t *wishes, bool check, store_stop_t stop, record_t *record,
                   int64_t *created, trouble_t *trouble) {
  bool changed = false;
  int status = wishes->status >= 0 ? wishes->status : record->status;
  edit_t edit = {.record = record, .wishes = wishes};
  if (!prepare_wishes(record, wishes, trouble) ||
      (check && !check_for_changes(horace, record, stop, &changed, trouble)))
    return false;
  if (!prepare_status(horace, record, status, &edit, trouble)) {
    if (changed)
      work_drop(horace, record->id, record->version);
    return false;
  }
  edit.add_version = changed;
  record->updated_at = mcp_time_now_us();
  *created = changed ? record->version : 0;
  return commit_update(horace, &edit, trouble);
}

bool file_update(horace_t *horace, const char *id, wishes_t *wishes, bool check, store_stop_t stop,
                 record_t *record, int64_t *created, trouble_t *trouble) {
  if (!begin(horace, id, stop, record, trouble))
    return false;
  bool fine = update(horace, wishes, check, stop, record, created, trouble);
  end(horace, record);
  if (!fine)
    record_deinit(record);
  return fine;
}

/* ---- Restoring ---- */

typedef struct restoring {
  horace_t *horace;
  record_t *record; /* as it was, in the end as it is */
  store_stop_t stop;
  int64_t version;
  bytes_t bytes;     /* of the version */
  int present;       /* the file in files/; -1: it is gone */
  struct stat about; /* of that */
  bool changed;      /* it is none of the versions yet */
  record_t kept;     /* if so, the version it becomes */
  trouble_t *trouble;
} restoring_t;

static void drop_restored(restoring_t *this) {
  if (this->changed)
    work_drop(this->horace, this->record->id, this->record->version + 1);
  work_drop(this->horace, this->record->id, this->record->version + 1 + this->changed);
}

/* Keeps what is there now, unless the newest version is just that. */
static bool keep_present(restoring_t *this) {
  this->kept = *this->record;
  if (this->present < 0)
    return true;
  if (fstat(this->present, &this->about) != 0)
    return trouble_disk(this->trouble, -errno, "reading the file");
  return stage_next(this->horace, &this->kept, this->present, this->stop, &this->changed, this->trouble);
}

/* Copies the old bytes twice, and sees whether they are what they were. */
static bool stage_restored(restoring_t *this) {
  char name[STORAGE_NAME_SIZE];
  bytes_t once, twice;
  int64_t next = this->record->version + 1 + this->changed;
  const char *id = this->record->id;
  storage_version_name(name, id, this->version);
  int from = openat(this->horace->storage.versions, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  int code = from < 0 ? -errno : work_stage(this->horace, id, next, from, this->stop, &once);
  if (code == 0)
    code = work_stage_file(this->horace, id, next, from, this->present >= 0 ? &this->about : NULL, this->stop,
                           &twice);
  if (code == 0)
    kinds_read(&this->horace->kinds, from, this->record->path, this->record->kind);
  if (from >= 0)
    close(from);
  if (code != 0 && code != -ENOENT)
    return stage_failed(this->trouble, code);
  if (code == 0 && bytes_equal(&once, &this->bytes) && bytes_equal(&twice, &this->bytes))
    return true;
  mcp_log(MCP_LOG_ERROR, "storage", "%s: the bytes of version %lld are %s", id, (long long)this->version,
          code == 0 ? "damaged" : "missing");
  return trouble_say(this->trouble, "VERSION_DAMAGED",
                     "the bytes of version %lld are damaged; nothing was restored", (long long)this->version);
}

/* Whether somebody has written to the file since it was looked at. */
static bool is_untouched(restoring_t *this) {
  struct stat now;
  int file = storage_open_file(&this->horace->storage, this->record->path);
  bool there = file >= 0 && fstat(file, &now) == 0;
  if (file >= 0)
    close(file);
  if (this->present < 0)
    return file == -ENOENT;
  return there && now.st_ino == this->about.st_ino && now.st_size == this->about.st_size &&
         now.st_mtim.tv_sec == this->about.st_mtim.tv_sec &&
         now.st_mtim.tv_nsec == this->about.st_mtim.tv_nsec;
}

static int write_restored(restoring_t *this, db_conn_t *conn, int64_t *oldest, store_error_t *error) {
  int keep = this->horace->versions, code = STORE_OK;
  if (this->changed)
    code = catalogue_add_version(conn, &this->kept, keep, oldest, error);
  return code == STORE_OK ? catalogue_add_version(conn, this->record, keep, oldest, error) : code;
}

static bool commit_restored(restoring_t *this) {
  store_error_t error;
  horace_t *horace = this->horace;
  record_t *record = this->record;
  int64_t oldest = 0;
  int code;
  record->version += 1 + this->changed;
  record->bytes = this->bytes;
  record->updated_at = mcp_time_now_us();
  db_conn_t *conn = db_begin(horace->db, DB_WRITE, (store_stop_t){NULL, NULL}, &code, &error);
  if (conn != NULL)
    code = db_end(conn, write_restored(this, conn, &oldest, &error), &error);
  if (code != STORE_OK) /* what was staged is settled */
    return commit_failed(horace, this->trouble, code, &error);
  work_put_back(horace, record);
  if (this->changed)
    work_finish(horace, record->id, record->version - 1, oldest);
  work_finish(horace, record->id, record->version, oldest);
  return true;
}

/* With the file's turn, and present open. */
static bool restore_over(restoring_t *this) {
  if (!keep_present(this) || !stage_restored(this)) {
    drop_restored(this);
    return false;
  }
  if (!is_untouched(this)) {
    drop_restored(this);
    return trouble_retry(this->trouble, "FILE_BUSY", "the file is being written to, retry");
  }
  return commit_restored(this);
}

static bool find_version(restoring_t *this) {
  store_error_t error;
  int64_t oldest;
  const record_t *record = this->record;
  if (record->status != FILE_ACTIVE)
    return trouble_say(this->trouble, "INVALID_STATE", "the file is %s; set its status to active first",
                       file_statuses[record->status]);
  int code = catalogue_version(this->horace->db, record->id, this->version, &this->bytes, &oldest, &error);
  if (code == STORE_NONE)
    return trouble_say(this->trouble, "VERSION_NOT_FOUND", "version %lld of this file is not kept",
                       (long long)this->version);
  return code == STORE_OK ||
         trouble_store(this->horace, this->trouble, code, &error, "reading the catalogue");
}

static bool restore(restoring_t *this) {
  if (!find_version(this))
    return false;
  this->present = storage_open_file(&this->horace->storage, this->record->path);
  if (this->present < 0 && this->present != -ENOENT)
    return trouble_disk(this->trouble, this->present, "opening the file");
  bool fine = restore_over(this);
  if (this->present >= 0)
    close(this->present);
  return fine;
}

bool file_restore(horace_t *horace, const char *id, int64_t version, store_stop_t stop, record_t *record,
                  trouble_t *trouble) {
  restoring_t this = {
      .horace = horace, .record = record, .stop = stop, .version = version, .trouble = trouble};
  if (!begin(horace, id, stop, record, trouble))
    return false;
  bool fine = restore(&this);
  end(horace, record);
  if (!fine)
    record_deinit(record);
  return fine;
}

/* ---- Removing ---- */

static bool purge_one(horace_t *horace, const char *id, int64_t before_us, trouble_t *trouble) {
  record_t record;
  if (!begin(horace, id, (store_stop_t){NULL, NULL}, &record, trouble))
    return false;
  bool expired = record.status == FILE_DELETED && record.deleted_at < before_us, fine = true;
  int code = expired ? work_mark(horace, id, "purge") : 0;
  if (code != 0)
    fine = trouble_disk(trouble, code, "removing a deleted file");
  else if (expired)
    fine = work_purge(horace, &record, trouble);
  if (expired && fine)
    mcp_log(MCP_LOG_INFO, "files", "removed %s (%s), deleted 30 days ago", record.path, id);
  end(horace, &record);
  record_deinit(&record);
  return fine;
}

void files_purge(horace_t *horace, store_stop_t stop) {
  id_list_t list = {.count = 1};
  store_error_t error;
  trouble_t trouble;
  bool fine = true;
  int64_t before_us = mcp_time_now_us() - FILES_DELETED_US;
  while (fine && list.count > 0) {
    int code = catalogue_expired(horace->db, before_us, &list, &error);
    if (code != STORE_OK) {
      trouble_store(horace, &trouble, code, &error, "looking for deleted files");
      return;
    }
    for (int i = 0; i < list.count && fine; i++)
      fine = (stop.cb == NULL || !stop.cb(stop.arg)) && purge_one(horace, list.ids[i], before_us, &trouble);
  }
}
