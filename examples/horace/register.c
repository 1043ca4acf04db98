/* register.c: file_register(); see files.h.
 *
 * The path tells whether the file is known; if not, its bytes tell whether it is a duplicate, or, where there
 * is no file any more at the path of the one that has them, the same under a new name. A deleted file leaves
 * its path to one that was renamed to it; one that is not deleted keeps its path, and has a new version. Two
 * who register the same path, or the same bytes, at once: the database lets one of them through, and the
 * other looks again.
 */
#include "change.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ATTEMPTS = 3 };

enum attempt { DONE, FAILED, ONCE_MORE }; /* once more: the catalogue has changed meanwhile */

static enum attempt attempt_of(bool fine) {
  return fine ? DONE : FAILED;
}

typedef struct registering {
  horace_t *horace;
  found_file_t *found;
  wishes_t *wishes;
  store_stop_t stop;
  record_t *record;
  enum file_outcome outcome;
  trouble_t *trouble;
} registering_t;

/* Whether there is no file any more where the one in record was. */
static bool is_gone(const registering_t *this, const record_t *record) {
  int file =
      record->status == FILE_ACTIVE ? storage_open_file(&this->horace->storage, record->path) : -EEXIST;
  if (file >= 0)
    close(file);
  return file == -ENOENT;
}

/* Makes this path that of the file in record, whose turn is taken; is_known: it is one of its others;
 * given_up: it was the own one of a deleted file, whose turn is taken, too, or NULL. */
static enum attempt rename_file(registering_t *this, bool is_known, const char *given_up) {
  store_error_t error;
  char old_path[STORAGE_PATH_SIZE];
  record_t *record = this->record;
  memcpy(old_path, record->path, sizeof old_path);
  memcpy(record->path, this->found->path, sizeof record->path);
  record->updated_at = mcp_time_now_us();
  kinds_read(&this->horace->kinds, this->found->file, record->path, record->kind);
  edit_t edit = {.record = record,
                 .set_path = true,
                 .drop_path = old_path,
                 .given_up = given_up,
                 .add_path = is_known ? NULL : this->found->path};
  this->outcome = FILE_RENAMED;
  int code = change_commit_edit(this->horace, &edit, &error);
  if (code == STORE_TAKEN)
    return ONCE_MORE;
  return attempt_of(code == STORE_OK || change_not_committed(this->horace, this->trouble, code, &error));
}

/* In the turns of both: this file was renamed to where a deleted one was, and left. */
static enum attempt take_path_of(registering_t *this, const char *deleted) {
  store_error_t error;
  record_t record;
  if (!turns_try(&this->horace->turns, deleted))
    return attempt_of(change_busy(this->trouble));
  enum attempt attempt = ONCE_MORE;
  int code = catalogue_find(this->horace->db, deleted, &record, &error);
  if (code == STORE_OK && record.status == FILE_DELETED && strcmp(record.path, this->found->path) == 0)
    attempt = rename_file(this, false, deleted);
  else if (code != STORE_OK && code != STORE_NONE)
    attempt = attempt_of(trouble_store(this->horace, this->trouble, code, &error, "reading the catalogue"));
  if (code == STORE_OK)
    record_deinit(&record);
  turns_give(&this->horace->turns, deleted);
  return attempt;
}

/* The file in record has these bytes, and is gone from its path: as before in its turn, it was renamed. */
static enum attempt take_new_path(registering_t *this, const char *given_up) {
  char id[MCP_UUID_SIZE];
  bool equal = false;
  enum attempt attempt = ONCE_MORE;
  memcpy(id, this->record->id, sizeof id);
  record_deinit(this->record);
  if (!change_begin(this->horace, id, this->stop, this->record, this->trouble))
    return FAILED;
  int code = bytes_match(this->found->file, &this->record->bytes, this->stop, &equal);
  if (code != 0)
    attempt = attempt_of(trouble_disk(this->trouble, code, "reading the file"));
  else if (equal && is_gone(this, this->record))
    attempt = given_up != NULL ? take_path_of(this, given_up) : rename_file(this, false, NULL);
  change_end(this->horace, this->record);
  return attempt;
}

/* There is nothing to be written, and what the answer rests on has to stay. */
static enum attempt known_already(registering_t *this) {
  store_error_t error;
  this->outcome = FILE_DUPLICATE;
  int code = db_confirm(this->horace->db, this->stop, &error);
  return attempt_of(code == STORE_OK || change_not_committed(this->horace, this->trouble, code, &error));
}

/* The bytes are another file's: this path is one more where they are. */
static enum attempt add_duplicate(registering_t *this) {
  store_error_t error;
  const record_t *record = this->record;
  edit_t edit = {.record = record, .add_path = this->found->path};
  if (is_gone(this, record))
    return take_new_path(this, NULL);
  this->outcome = FILE_DUPLICATE;
  if (record->is_archived && strcmp(record->path, this->found->path) == 0)
    return known_already(this); /* its own path, which it has again when it comes back */
  int code = change_commit_edit(this->horace, &edit, &error);
  if (code == STORE_TAKEN)
    return ONCE_MORE;
  return attempt_of(code == STORE_OK || change_not_committed(this->horace, this->trouble, code, &error));
}

/* Which of the files of some bytes is the one that is registered. */
typedef struct choice {
  const registering_t *this;
  int rank;
  char id[MCP_UUID_SIZE];
} choice_t;

static const char *last_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash != NULL ? slash + 1 : path;
}

/* Rather one that is gone from its path, which was renamed, than one that is there; of those that are gone
 * rather one of the same name, whose directory was renamed; else the oldest. */
static bool on_candidate(const record_t *record, void *arg) {
  enum { THERE = 1, RENAMED, MOVED };
  choice_t *choice = arg;
  bool same_name = strcmp(last_name(record->path), last_name(choice->this->found->path)) == 0;
  int rank = !is_gone(choice->this, record) ? THERE : same_name ? MOVED : RENAMED;
  if (rank > choice->rank) {
    choice->rank = rank;
    memcpy(choice->id, record->id, sizeof choice->id);
  }
  return choice->rank < MOVED;
}

/* Looks for a file of these bytes, which *record is then; STORE_NONE: there is none. */
static int find_duplicate(registering_t *this, const bytes_t *bytes, store_error_t *error) {
  record_t record;
  choice_t choice = {.this = this};
  int code = catalogue_each_of_bytes(this->horace->db, bytes, on_candidate, &choice, error);
  if (code == STORE_OK)
    code = choice.rank > 0 ? catalogue_find(this->horace->db, choice.id, &record, error) : STORE_NONE;
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
    return attempt_of(change_not_staged(this->trouble, read));
  if (code == STORE_OK)
    code = find_duplicate(this, &bytes, &error);
  *found = code == STORE_OK;
  return attempt_of(*found || code == STORE_NONE ||
                    trouble_store(this->horace, this->trouble, code, &error, "reading the catalogue"));
}

static int write_new(db_conn_t *conn, void *arg, store_error_t *error) {
  const registering_t *this = arg;
  const record_t *record = this->record;
  int code = catalogue_add(conn, record, error);
  return code == STORE_OK
             ? catalogue_set_details(conn, record->id, &this->wishes->details, record->updated_at, error)
             : code;
}

/* A version 1 that is staged goes to the catalogue, unless its bytes have come there meanwhile. Whoever
 * registers the same bytes waits. */
static enum attempt add_new(registering_t *this) {
  store_error_t error;
  record_t new = *this->record;
  if (!turns_take(&this->horace->turns, new.bytes.checksum, this->stop)) {
    work_drop(this->horace, new.id, 1);
    return attempt_of(change_busy(this->trouble));
  }
  int code = find_duplicate(this, &new.bytes, &error);
  bool duplicate = code == STORE_OK;
  if (code == STORE_NONE)
    code = change_commit(this->horace, write_new, this, &error);
  turns_give(&this->horace->turns, new.bytes.checksum);
  if (duplicate || change_is_refused(code))
    work_drop(this->horace, new.id, 1);
  if (duplicate)
    return add_duplicate(this);
  if (code == STORE_TAKEN)
    return ONCE_MORE;
  if (code != STORE_OK)
    return attempt_of(change_not_committed(this->horace, this->trouble, code, &error));
  work_finish(this->horace, new.id, 1, 1);
  this->outcome = FILE_NEW;
  return DONE;
}

static enum attempt stage_new(registering_t *this) {
  record_t *record = this->record;
  int code = work_stage(this->horace, record->id, 1, this->found->file, this->stop, &record->bytes);
  if (code != 0)
    return attempt_of(change_not_staged(this->trouble, code));
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
  if (!change_prepare(record, this->wishes, this->trouble))
    return FAILED;
  if (!turns_take(&this->horace->turns, id, this->stop))
    return attempt_of(change_busy(this->trouble));
  attempt = stage_new(this);
  turns_give(&this->horace->turns, id);
  return attempt;
}

/* The catalogue knows this path as one where the bytes of a file are, beside its own. */
static enum attempt register_other_path(registering_t *this) {
  store_error_t error;
  bool equal;
  int code = bytes_match(this->found->file, &this->record->bytes, this->stop, &equal);
  this->outcome = FILE_DUPLICATE;
  if (code != 0)
    return attempt_of(trouble_disk(this->trouble, code, "reading the file"));
  if (equal && is_gone(this, this->record))
    return rename_file(this, true, NULL);
  if (equal && this->record->status != FILE_DELETED)
    return known_already(this);
  edit_t edit = {.record = this->record, .drop_path = this->found->path};
  code = change_commit_edit(this->horace, &edit, &error);
  return code == STORE_OK ? ONCE_MORE
                          : attempt_of(change_not_committed(this->horace, this->trouble, code, &error));
}

/* The catalogue knows this path as a file's own. */
static enum attempt register_again(registering_t *this) {
  store_error_t error;
  record_t *record = this->record;
  bool changed, deleted = record->status == FILE_DELETED;
  if (!change_prepare(record, this->wishes, this->trouble) ||
      !change_stage_next(this->horace, record, this->found->file, this->stop, &changed, this->trouble))
    return FAILED;
  if (!changed && !deleted)
    return known_already(this);
  this->outcome = changed ? FILE_CHANGED : FILE_AGAIN;
  record->status = FILE_ACTIVE;
  record->updated_at = mcp_time_now_us();
  edit_t edit = {.record = record,
                 .versions = changed ? this->horace->versions : 0,
                 .wishes = this->wishes,
                 .set_status = deleted};
  int code = change_commit_edit(this->horace, &edit, &error);
  if (changed && change_is_refused(code))
    work_drop(this->horace, record->id, record->version);
  if (code != STORE_OK)
    return attempt_of(change_not_committed(this->horace, this->trouble, code, &error));
  if (changed)
    work_finish(this->horace, record->id, record->version, edit.oldest);
  return DONE;
}

/* Somebody may have restored the file while its turn was waited for: what was opened then is there no more.
 */
static bool open_again(registering_t *this) {
  int file = storage_open_file(&this->horace->storage, this->found->path);
  if (file == -ENOENT)
    return trouble_say(this->trouble, "FILE_NOT_FOUND", "there is no such file");
  if (file < 0)
    return trouble_disk(this->trouble, file, "opening the file");
  close(this->found->file);
  this->found->file = file;
  return true;
}

static enum attempt register_known(registering_t *this, const char *id) {
  if (!change_begin(this->horace, id, this->stop, this->record, this->trouble))
    return FAILED;
  bool own = strcmp(this->record->path, this->found->path) == 0;
  enum attempt attempt = !open_again(this) ? FAILED : own ? register_again(this) : register_other_path(this);
  change_end(this->horace, this->record);
  return attempt;
}

/* The catalogue knows this path as a deleted file's own: whether another one was renamed to it, which is in
 * record then. */
static enum attempt look_for_renamed(registering_t *this, const record_t *deleted, bool *renamed) {
  bool found;
  *renamed = false;
  enum attempt attempt = look_for_duplicate(this, &found);
  if (attempt != DONE || !found)
    return attempt;
  *renamed = !bytes_equal(&this->record->bytes, &deleted->bytes) && is_gone(this, this->record);
  if (!*renamed)
    record_deinit(this->record);
  return DONE;
}

static enum attempt attempt_to_register(registering_t *this) {
  store_error_t error;
  record_t known;
  enum attempt attempt = DONE;
  bool renamed = false;
  int code = catalogue_find_path(this->horace->db, this->found->path, &known, &error);
  if (code == STORE_NONE)
    return register_new(this);
  if (code != STORE_OK)
    return attempt_of(trouble_store(this->horace, this->trouble, code, &error, "reading the catalogue"));
  record_deinit(&known);
  if (known.status == FILE_DELETED && strcmp(known.path, this->found->path) == 0)
    attempt = look_for_renamed(this, &known, &renamed);
  if (attempt != DONE)
    return attempt;
  return renamed ? take_new_path(this, known.id) : register_known(this, known.id);
}

/* Answers and PostgreSQL hold no other names; a link may lead to one. */
static bool is_utf8(yyjson_mut_doc *doc, const char *path) {
  char *json = yyjson_mut_val_write(yyjson_mut_str(doc, path), 0, NULL);
  free(json);
  return json != NULL;
}

/* Why a file cannot be opened for its caller: false. */
static bool not_found(horace_t *horace, int code, trouble_t *trouble) {
  if (code == MCP_ENOENT || code == MCP_ENOTDIR)
    return trouble_say(trouble, "FILE_NOT_FOUND", "there is no such file");
  if (code == MCP_ENOTREGULAR || code == MCP_ENXIO)
    return trouble_say(trouble, "INVALID_PATH", "that is no regular file");
  if (code == MCP_EACCES || code == MCP_EPERM)
    return trouble_say(trouble, "INVALID_PATH", "Horace may not read that file");
  if (code == MCP_ENAMETOOLONG)
    return trouble_say(trouble, "INVALID_PATH", "the path of that file is too long");
  if (code == MCP_EPATH || code == MCP_ELOOP)
    return trouble_say(trouble, "INVALID_PATH", "file_path has to lead to a file below %s",
                       horace->storage.below);
  return trouble_disk(trouble, code, "opening the file");
}

static bool find_file(horace_t *horace, mcp_text_t file_path, yyjson_mut_doc *doc, found_file_t *found,
                      trouble_t *trouble) {
  int code = storage_find(&horace->storage, file_path.ptr, file_path.len, found);
  if (code != 0)
    return not_found(horace, code, trouble);
  if (is_utf8(doc, found->path))
    return true;
  close(found->file);
  return trouble_say(trouble, "INVALID_PATH", "the name of that file is not UTF-8");
}

bool file_register(horace_t *horace, mcp_text_t file_path, wishes_t *wishes, store_stop_t stop,
                   record_t *record, enum file_outcome *outcome, trouble_t *trouble) {
  found_file_t found;
  if (!find_file(horace, file_path, wishes->doc, &found, trouble))
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
  return attempt == DONE || (attempt == ONCE_MORE ? change_busy(trouble) : false);
}
