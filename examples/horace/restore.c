/* restore.c: file_restore(); see files.h.
 *
 * What is there becomes a version first, unless it is one. Then the old bytes are a version more, and take
 * the file's place, all in one transaction. Somebody who writes to the file meanwhile is noticed up to the
 * moment before it. */
#include "change.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

typedef struct restoring {
  horace_t *horace;
  record_t *record; /* as it was, in the end as it is */
  store_stop_t stop;
  int64_t version;
  bytes_t bytes;     /* of the version */
  int present;       /* the file in files/; -1: it is gone */
  struct stat about; /* of that */
  bool changed;      /* it is none of the versions yet */
  int64_t oldest;    /* version that is left */
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
  return change_stage_next(this->horace, &this->kept, this->present, this->stop, &this->changed,
                           this->trouble);
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
    return change_not_staged(this->trouble, code);
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
         now.st_mtim.tv_nsec == this->about.st_mtim.tv_nsec &&
         now.st_ctim.tv_sec == this->about.st_ctim.tv_sec &&
         now.st_ctim.tv_nsec == this->about.st_ctim.tv_nsec;
}

static int write_restored(db_conn_t *conn, void *arg, store_error_t *error) {
  restoring_t *this = arg;
  int keep = this->horace->versions, code = STORE_OK;
  if (this->changed)
    code = catalogue_add_version(conn, &this->kept, keep, &this->oldest, error);
  return code == STORE_OK ? catalogue_add_version(conn, this->record, keep, &this->oldest, error) : code;
}

static bool commit_restored(restoring_t *this) {
  store_error_t error;
  horace_t *horace = this->horace;
  record_t *record = this->record;
  record->version += 1 + this->changed;
  record->bytes = this->bytes;
  record->updated_at = mcp_time_now_us();
  int code = change_commit(horace, write_restored, this, &error);
  if (change_is_refused(code)) {
    if (this->changed)
      work_drop(horace, record->id, record->version - 1);
    work_drop(horace, record->id, record->version);
  }
  if (code != STORE_OK)
    return change_not_committed(horace, this->trouble, code, &error);
  work_put_back(horace, record);
  if (this->changed)
    work_finish(horace, record->id, record->version - 1, this->oldest);
  work_finish(horace, record->id, record->version, this->oldest);
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
    return trouble_disk(this->trouble, -EAGAIN, "reading the file");
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
  int spot = storage_look(&this->horace->storage, this->record->path);
  if (spot < 0)
    return change_no_place(this->trouble, spot);
  if (spot == SPOT_OTHER)
    return trouble_say(this->trouble, "PATH_TAKEN", "there is something else at this file's path");
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
  if (!change_begin(horace, id, stop, record, trouble))
    return false;
  bool fine = restore(&this);
  change_end(horace, record);
  if (!fine)
    record_deinit(record);
  return fine;
}
