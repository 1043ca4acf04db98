/* restore.c: file_restore(); see files.h.
 *
 * The present bytes become a version first, unless the newest version has them. The old bytes become one
 * more version and replace the file, all in one transaction. A write to the file is detected until shortly
 * before that transaction. */
#include "change.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

typedef struct restoring {
  horace_t *horace;
  record_t *record; /* the state before, at the end the state after */
  cancel_token_t cancel;
  int64_t version;
  blob_t blob;           /* of the version */
  int present;           /* descriptor of the file in files/; -1: missing */
  struct stat file_stat; /* of present */
  bool changed;          /* the present bytes are not a version yet */
  int64_t oldest;        /* oldest version kept */
  record_t kept;         /* the version made of the present bytes, if changed */
  failure_t *failure;
} restoring_t;

static void drop_restored(restoring_t *restoring) {
  if (restoring->changed)
    staging_discard(restoring->horace, restoring->record->id, restoring->record->version + 1);
  staging_discard(restoring->horace, restoring->record->id,
                  restoring->record->version + 1 + restoring->changed);
}

/* Stages the present bytes as a version, unless the newest version has them. */
static bool keep_present(restoring_t *restoring) {
  restoring->kept = *restoring->record;
  if (restoring->present < 0)
    return true;
  if (fstat(restoring->present, &restoring->file_stat) != 0)
    return failure_from_disk(restoring->failure, -errno, "reading the file");
  return change_stage_next(restoring->horace, &restoring->kept, restoring->present, restoring->cancel,
                           &restoring->changed, restoring->failure);
}

/* Copies the old bytes twice and verifies both copies. */
static bool stage_restored(restoring_t *restoring) {
  char name[STORAGE_NAME_SIZE];
  blob_t once, twice;
  int64_t next = restoring->record->version + 1 + restoring->changed;
  const char *id = restoring->record->id;
  storage_version_name(name, id, restoring->version);
  int from = openat(restoring->horace->storage.versions, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  int code =
      from < 0 ? -errno : staging_add_version(restoring->horace, id, next, from, restoring->cancel, &once);
  if (code == 0)
    code =
        staging_add_file(restoring->horace, id, next, from,
                         restoring->present >= 0 ? &restoring->file_stat : NULL, restoring->cancel, &twice);
  if (code == 0)
    mime_detect(&restoring->horace->mime_detector, from, restoring->record->path,
                restoring->record->mime_type);
  if (from >= 0)
    close(from);
  if (code != 0 && code != -ENOENT)
    return change_set_not_staged(restoring->failure, code);
  if (code == 0 && blob_equal(&once, &restoring->blob) && blob_equal(&twice, &restoring->blob))
    return true;
  mcp_log(MCP_LOG_ERROR, "storage", "%s: the bytes of version %lld are %s", id, (long long)restoring->version,
          code == 0 ? "damaged" : "missing");
  return failure_set(restoring->failure, "VERSION_DAMAGED",
                     "the bytes of version %lld are damaged; nothing was restored",
                     (long long)restoring->version);
}

/* True if the file has not been written to since it was examined. */
static bool is_untouched(restoring_t *restoring) {
  struct stat now;
  int file = storage_open_file(&restoring->horace->storage, restoring->record->path);
  bool there = file >= 0 && fstat(file, &now) == 0;
  if (file >= 0)
    close(file);
  if (restoring->present < 0)
    return file == -ENOENT;
  return there && now.st_ino == restoring->file_stat.st_ino && now.st_size == restoring->file_stat.st_size &&
         now.st_mtim.tv_sec == restoring->file_stat.st_mtim.tv_sec &&
         now.st_mtim.tv_nsec == restoring->file_stat.st_mtim.tv_nsec &&
         now.st_ctim.tv_sec == restoring->file_stat.st_ctim.tv_sec &&
         now.st_ctim.tv_nsec == restoring->file_stat.st_ctim.tv_nsec;
}

static int write_restored(db_conn_t *conn, void *arg, store_error_t *error) {
  restoring_t *restoring = arg;
  int keep = restoring->horace->versions, code = STORE_OK;
  if (restoring->changed)
    code = catalogue_add_version(conn, &restoring->kept, keep, &restoring->oldest, error);
  return code == STORE_OK ? catalogue_add_version(conn, restoring->record, keep, &restoring->oldest, error)
                          : code;
}

static bool commit_restored(restoring_t *restoring) {
  store_error_t error;
  horace_t *horace = restoring->horace;
  record_t *record = restoring->record;
  record->version += 1 + restoring->changed;
  record->blob = restoring->blob;
  record->updated_at = mcp_time_now_us();
  int code = change_commit(horace, write_restored, restoring, &error);
  if (change_is_refused(code)) {
    if (restoring->changed)
      staging_discard(horace, record->id, record->version - 1);
    staging_discard(horace, record->id, record->version);
  }
  if (code != STORE_OK)
    return change_set_not_committed(horace, restoring->failure, code, &error);
  staging_publish_file(horace, record);
  if (restoring->changed)
    staging_publish(horace, record->id, record->version - 1, restoring->oldest);
  staging_publish(horace, record->id, record->version, restoring->oldest);
  return true;
}

/* With the file locked and present open. */
static bool restore_over(restoring_t *restoring) {
  if (!keep_present(restoring) || !stage_restored(restoring)) {
    drop_restored(restoring);
    return false;
  }
  if (!is_untouched(restoring)) {
    drop_restored(restoring);
    return failure_from_disk(restoring->failure, -EAGAIN, "reading the file");
  }
  return commit_restored(restoring);
}

static bool find_version(restoring_t *restoring) {
  store_error_t error;
  int64_t oldest;
  const record_t *record = restoring->record;
  if (record->status != FILE_ACTIVE)
    return failure_set(restoring->failure, "INVALID_STATE", "the file is %s; set its status to active first",
                       file_statuses[record->status]);
  int code = catalogue_version(restoring->horace->db, record->id, restoring->version, &restoring->blob,
                               &oldest, &error);
  if (code == STORE_NOT_FOUND)
    return failure_set(restoring->failure, "VERSION_NOT_FOUND", "version %lld of this file is not kept",
                       (long long)restoring->version);
  return code == STORE_OK ||
         failure_from_store(restoring->horace, restoring->failure, code, &error, "reading the catalogue");
}

static bool restore(restoring_t *restoring) {
  if (!find_version(restoring))
    return false;
  int path_state = storage_get_path_state(&restoring->horace->storage, restoring->record->path);
  if (path_state < 0)
    return change_no_directory(restoring->failure, path_state);
  if (path_state == STORAGE_PATH_OTHER)
    return failure_set(restoring->failure, "PATH_TAKEN", "something else is at this file's path");
  restoring->present = storage_open_file(&restoring->horace->storage, restoring->record->path);
  if (restoring->present < 0 && restoring->present != -ENOENT)
    return failure_from_disk(restoring->failure, restoring->present, "opening the file");
  bool fine = restore_over(restoring);
  if (restoring->present >= 0)
    close(restoring->present);
  return fine;
}

bool file_restore(horace_t *horace, const char *id, int64_t version, cancel_token_t cancel, record_t *record,
                  failure_t *failure) {
  restoring_t restoring = {
      .horace = horace, .record = record, .cancel = cancel, .version = version, .failure = failure};
  if (!change_begin(horace, id, cancel, record, failure))
    return false;
  bool fine = restore(&restoring);
  change_end(horace, record);
  if (!fine)
    record_deinit(record);
  return fine;
}
