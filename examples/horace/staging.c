/* staging.c: see staging.h.
 *
 * The recovery relies on the catalogue alone and can be repeated any number of times. First it waits for a
 * transaction that the database may still be committing for a killed Horace or a lost connection. If
 * another program has written to a file between the crash and the start, a restored file does not replace it.
 */
#include "staging.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ATTEMPTS = 3, ID_LEN = MCP_UUID_SIZE - 1 };

static void staging_name(char name[STORAGE_NAME_SIZE], const char *id, int64_t version, const char *suffix) {
  snprintf(name, STORAGE_NAME_SIZE, "%s.%lld%s", id, (long long)version, suffix);
}

static void mark_name(char name[STORAGE_NAME_SIZE], const char *id, const char *what) {
  snprintf(name, STORAGE_NAME_SIZE, "%s.%s", id, what);
}

static int sync_staging(const horace_t *horace) {
  return fsync(horace->storage.staging) == 0 ? 0 : -errno;
}

static void warn(const char *id, int code, const char *what) {
  mcp_log(MCP_LOG_WARN, "storage", "%s: %s: %s; retrying", id, what, strerror(-code));
}

/* ---- Staging ---- */

/* Copies once; mode and owner are set before the sync. */
static int stage_once(horace_t *horace, const char *name, int from, mode_t mode, const struct stat *owner,
                      cancel_token_t cancel, blob_t *blob) {
  int to = storage_create_staged(&horace->storage, name);
  if (to < 0)
    return to;
  if (owner != NULL && fchown(to, owner->st_uid, owner->st_gid) != 0 && errno != EPERM)
    warn(name, -errno, "the owner cannot be set");
  int code = fchmod(to, mode) == 0 ? blob_copy(from, to, cancel, blob) : -errno;
  close(to);
  return code;
}

static int stage(horace_t *horace, const char *name, int from, mode_t mode, const struct stat *owner,
                 cancel_token_t cancel, blob_t *blob) {
  int code = -EAGAIN;
  for (int i = 0; i < ATTEMPTS && code == -EAGAIN; i++)
    code = stage_once(horace, name, from, mode, owner, cancel, blob);
  if (code == 0)
    code = sync_staging(horace);
  if (code != 0)
    storage_unlink(horace->storage.staging, name);
  return code;
}

int staging_add_version(horace_t *horace, const char *id, int64_t version, int from, cancel_token_t cancel,
                        blob_t *blob) {
  char name[STORAGE_NAME_SIZE];
  struct stat file_stat;
  if (fstat(from, &file_stat) != 0)
    return -errno;
  staging_name(name, id, version, "");
  mode_t mode = (file_stat.st_mode & 0555) | S_IRUSR; /* read-only: a version never changes */
  return stage(horace, name, from, mode, NULL, cancel, blob);
}

int staging_add_file(horace_t *horace, const char *id, int64_t version, int from, const struct stat *present,
                     cancel_token_t cancel, blob_t *blob) {
  char name[STORAGE_NAME_SIZE];
  struct stat file_stat;
  if (fstat(from, &file_stat) != 0)
    return -errno;
  staging_name(name, id, version, ".file");
  return stage(horace, name, from,
               present != NULL ? present->st_mode & 0777 : (file_stat.st_mode & 0555) | S_IWUSR, present,
               cancel, blob);
}

static void drop(horace_t *horace, const char *id, int64_t version, const char *suffix) {
  char name[STORAGE_NAME_SIZE];
  staging_name(name, id, version, suffix);
  storage_unlink(horace->storage.staging, name);
}

void staging_discard(horace_t *horace, const char *id, int64_t version) {
  drop(horace, id, version, ".file");
  drop(horace, id, version, "");
}

/* ---- Finishing ---- */

static bool is_there(int directory, const char *name) {
  return faccessat(directory, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Removes the versions up to last, the oldest first, so that the remaining ones stay contiguous. */
static int remove_versions(horace_t *horace, const char *id, int64_t last) {
  char name[STORAGE_NAME_SIZE];
  int64_t first = last + 1;
  int code = 0;
  do
    storage_version_name(name, id, --first);
  while (first > 0 && is_there(horace->storage.versions, name));
  while (++first <= last && code == 0) {
    storage_version_name(name, id, first);
    code = storage_unlink(horace->storage.versions, name);
    mcp_metric_add(horace->metrics.versions, "pruned", 1);
  }
  return code;
}

void staging_publish(horace_t *horace, const char *id, int64_t version, int64_t oldest) {
  char name[STORAGE_NAME_SIZE], place[STORAGE_NAME_SIZE];
  staging_name(name, id, version, "");
  storage_version_name(place, id, version);
  int code = remove_versions(horace, id, oldest - 1);
  if (code == 0)
    code = storage_move(horace->storage.staging, name, horace->storage.versions, place);
  if (code != 0)
    warn(id, code, "a version cannot be put in its place");
}

/* True if something else took the path. */
static bool is_path_taken(int code) {
  return code == -EEXIST || code == -ENOTDIR || code == -EISDIR || code == -ELOOP;
}

void staging_publish_file(horace_t *horace, const record_t *record) {
  char name[STORAGE_NAME_SIZE];
  const char *last;
  staging_name(name, record->id, record->version, ".file");
  int parent = storage_open_parent(&horace->storage, record->path, true, &last);
  int code = parent >= 0 ? storage_move(horace->storage.staging, name, parent, last) : parent;
  if (parent >= 0)
    close(parent);
  if (is_path_taken(code)) {
    mcp_log(MCP_LOG_WARN, "storage",
            "%s: something else is at the path of the restored file; its bytes are kept as version %lld",
            record->path, (long long)record->version);
    drop(horace, record->id, record->version, ".file");
  } else if (code != 0) {
    warn(record->id, code, "the restored file cannot be put in its place");
  }
}

/* ---- Marks ---- */

int staging_mark(horace_t *horace, const char *id, const char *what) {
  char name[STORAGE_NAME_SIZE];
  mark_name(name, id, what);
  int file = storage_create_staged(&horace->storage, name);
  if (file < 0)
    return file;
  close(file);
  return sync_staging(horace);
}

void staging_unmark(horace_t *horace, const char *id, const char *what) {
  char name[STORAGE_NAME_SIZE];
  mark_name(name, id, what);
  storage_unlink(horace->storage.staging, name);
}

/* ---- Moving ---- */

/* Renames. Returns -EEXIST if the target exists. */
static int move_unless_exists(int from, const char *old_name, int to, const char *new_name) {
  if (is_there(to, new_name))
    return -EEXIST;
  return storage_move(from, old_name, to, new_name);
}

/* The path in files/ is taken: removes the archived file if its bytes are kept as a version, else keeps
 * it. */
static int give_up_archived(horace_t *horace, const record_t *record, const char *archived,
                            cancel_token_t cancel) {
  bool known = false;
  int file = openat(horace->storage.archive, archived, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  int code = file < 0 ? -errno : blob_match(file, &record->blob, cancel, &known);
  if (file >= 0)
    close(file);
  if (code != 0)
    return code;
  mcp_log(MCP_LOG_WARN, "storage", "%s: something else is at the path of the unarchived file; %s",
          record->path, known ? "its bytes are kept as a version" : "it stays in the archive");
  return known ? storage_unlink(horace->storage.archive, archived) : 0;
}

static int move(horace_t *horace, const record_t *record, cancel_token_t cancel) {
  char archived[STORAGE_NAME_SIZE];
  const char *last;
  const storage_t *storage = &horace->storage;
  storage_archive_name(archived, record->id);
  int parent = storage_open_parent(storage, record->path, !record->is_archived, &last);
  int code = parent;
  if (parent >= 0) {
    code = record->is_archived ? move_unless_exists(parent, last, storage->archive, archived)
                               : move_unless_exists(storage->archive, archived, parent, last);
    close(parent);
  }
  if (!is_path_taken(code))
    return code;
  return record->is_archived ? 0 : give_up_archived(horace, record, archived, cancel);
}

void staging_move(horace_t *horace, const record_t *record, cancel_token_t cancel) {
  int code = move(horace, record, cancel);
  if (code == 0 || code == -ENOENT) /* moved already, or removed by another program */
    staging_unmark(horace, record->id, "move");
  else
    warn(record->id, code, "the file cannot be moved");
}

/* ---- Removing ---- */

/* Sets *known if the file in files/ has the bytes of record. */
static int is_known(horace_t *horace, const record_t *record, cancel_token_t cancel, bool *known) {
  *known = false;
  int file = storage_open_file(&horace->storage, record->path);
  if (file < 0)
    return file == -ENOENT ? 0 : file;
  int code = blob_match(file, &record->blob, cancel, known);
  close(file);
  return code;
}

static int remove_file(horace_t *horace, const record_t *record, cancel_token_t cancel) {
  const char *last;
  bool known;
  int code = is_known(horace, record, cancel, &known);
  if (code != 0 || !known)
    return code;
  int parent = storage_open_parent(&horace->storage, record->path, false, &last);
  if (parent < 0)
    return parent;
  code = storage_unlink(parent, last);
  close(parent);
  return code;
}

static int remove_bytes(horace_t *horace, const record_t *record, cancel_token_t cancel) {
  char archived[STORAGE_NAME_SIZE];
  storage_archive_name(archived, record->id);
  int code = record->is_archived ? storage_unlink(horace->storage.archive, archived)
                                 : remove_file(horace, record, cancel);
  return code == 0 ? remove_versions(horace, record->id, record->version) : code;
}

bool staging_purge(horace_t *horace, const record_t *record, cancel_token_t cancel, failure_t *failure) {
  store_error_t error;
  int code = remove_bytes(horace, record, cancel);
  if (code != 0)
    return failure_from_disk(failure, code, "removing a deleted file");
  db_conn_t *conn = db_begin(horace->db, DB_WRITE, (cancel_token_t){NULL, NULL}, &code, &error);
  if (conn != NULL)
    code = db_end(conn, catalogue_delete(conn, record->id, &error), &error);
  if (code != STORE_OK)
    return failure_from_store(horace, failure, code, &error, "removing a deleted file");
  staging_unmark(horace, record->id, "purge");
  mcp_metric_add(horace->metrics.files, "removed", 1);
  mcp_log(MCP_LOG_INFO, "files", "removed %s (%s), deleted 30 days ago", record->path, record->id);
  return true;
}

/* ---- Settling ---- */

enum { NAMES_MAX = 8 }; /* of one file: two versions, a file, two marks, and spare */

/* The pending changes of one file. */
typedef struct pending {
  int versions;
  int64_t staged[NAMES_MAX]; /* ascending */
  int64_t file;              /* version whose file is staged; 0: none */
  bool move, purge;
} pending_t;

static void add_staged(pending_t *pending, int64_t version) {
  int i = pending->versions++;
  for (; i > 0 && pending->staged[i - 1] > version; i--)
    pending->staged[i] = pending->staged[i - 1];
  pending->staged[i] = version;
}

static void add_name(pending_t *pending, const char *suffix) {
  char *end;
  int64_t version = strtoll(suffix, &end, 10);
  if (strcmp(suffix, "move") == 0)
    pending->move = true;
  else if (strcmp(suffix, "purge") == 0)
    pending->purge = true;
  else if (version > 0 && strcmp(end, ".file") == 0)
    pending->file = version;
  else if (version > 0 && *end == '\0' && pending->versions < NAMES_MAX)
    add_staged(pending, version);
}

/* Opens the working directory with a separate position. Returns NULL with errno set. */
static DIR *open_staging(const horace_t *horace) {
  int directory = openat(horace->storage.staging, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *entries = directory >= 0 ? fdopendir(directory) : NULL;
  if (entries == NULL && directory >= 0)
    close(directory);
  return entries;
}

static bool read_pending(const horace_t *horace, const char *id, pending_t *pending) {
  bool any = false;
  *pending = (pending_t){.versions = 0};
  DIR *entries = open_staging(horace);
  if (entries == NULL)
    return false;
  for (struct dirent *entry; (entry = readdir(entries)) != NULL;)
    if (strncmp(entry->d_name, id, ID_LEN) == 0 && entry->d_name[ID_LEN] == '.') {
      add_name(pending, entry->d_name + ID_LEN + 1);
      any = true;
    }
  closedir(entries);
  return any;
}

/* Publishes a restored file unless another program has written to the present one since. */
static bool recover_file(horace_t *horace, const record_t *record, int64_t version, cancel_token_t cancel,
                         failure_t *failure) {
  store_error_t error;
  record_t before = *record;
  int64_t oldest;
  bool known;
  int code = catalogue_version(horace->db, record->id, version - 1, &before.blob, &oldest, &error);
  if (code != STORE_OK && code != STORE_NOT_FOUND)
    return failure_from_store(horace, failure, code, &error, "settling");
  int file = storage_open_file(&horace->storage, record->path);
  if (file >= 0)
    close(file);
  code = file >= 0 ? is_known(horace, &before, cancel, &known) : file;
  if (code != 0 && code != -ENOENT)
    return failure_from_disk(failure, code, "settling");
  if (code == -ENOENT || known)
    staging_publish_file(horace, record);
  else
    drop(horace, record->id, version, ".file");
  return true;
}

/* Publishes a staged version if it was committed, else discards it. */
static bool recover_version(horace_t *horace, const record_t *record, int64_t version, failure_t *failure) {
  store_error_t error;
  blob_t blob;
  int64_t oldest;
  int code = catalogue_version(horace->db, record->id, version, &blob, &oldest, &error);
  if (code == STORE_OK)
    staging_publish(horace, record->id, version, oldest);
  else if (code == STORE_NOT_FOUND)
    staging_discard(horace, record->id, version);
  else
    return failure_from_store(horace, failure, code, &error, "settling");
  return true;
}

/* Recovers a file that the catalogue has. */
static bool recover(horace_t *horace, const record_t *record, const pending_t *pending, cancel_token_t cancel,
                    failure_t *failure) {
  bool fine = true;
  if (pending->purge && record->status == FILE_DELETED)
    return staging_purge(horace, record, cancel, failure);
  staging_unmark(horace, record->id, "purge");
  if (pending->file != 0 && pending->file == record->version)
    fine = recover_file(horace, record, pending->file, cancel, failure);
  else if (pending->file != 0)
    drop(horace, record->id, pending->file, ".file");
  for (int i = 0; i < pending->versions && fine; i++)
    fine = recover_version(horace, record, pending->staged[i], failure);
  if (fine && pending->move)
    staging_move(horace, record, cancel);
  return fine;
}

/* Discards the changes of a file that the catalogue does not have. */
static void undo(horace_t *horace, const char *id, const pending_t *pending) {
  for (int i = 0; i < pending->versions; i++)
    staging_discard(horace, id, pending->staged[i]);
  staging_unmark(horace, id, "move");
  staging_unmark(horace, id, "purge");
}

bool staging_recover(horace_t *horace, const char *id, cancel_token_t cancel, failure_t *failure) {
  pending_t pending;
  store_error_t error;
  record_t record;
  if (!read_pending(horace, id, &pending))
    return true;
  int code = catalogue_wait_for_commit(horace->db, id, cancel, &error);
  if (code == STORE_OK)
    code = catalogue_find(horace->db, id, &record, &error);
  if (code == STORE_NOT_FOUND) {
    undo(horace, id, &pending);
    return true;
  }
  if (code != STORE_OK)
    return failure_from_store(horace, failure, code, &error, "settling");
  bool fine = recover(horace, &record, &pending, cancel, failure);
  record_deinit(&record);
  return fine;
}

/* Skips a locked file: its holder recovers it. */
static void recover_entry(horace_t *horace, const char *name, cancel_token_t cancel) {
  char id[MCP_UUID_SIZE];
  failure_t failure; /* logged already */
  if (strlen(name) <= ID_LEN || mcp_uuid_parse(name, ID_LEN, id) != 0 ||
      !lock_table_try_lock(&horace->locks, id))
    return;
  staging_recover(horace, id, cancel, &failure);
  lock_table_unlock(&horace->locks, id);
}

void staging_recover_all(horace_t *horace, cancel_token_t cancel) {
  failure_t failure;
  DIR *entries = open_staging(horace);
  if (entries == NULL) {
    failure_from_disk(&failure, -errno, "settling");
    return;
  }
  for (struct dirent *entry;
       (entry = readdir(entries)) != NULL && !(cancel.cb != NULL && cancel.cb(cancel.arg));)
    recover_entry(horace, entry->d_name, cancel);
  closedir(entries);
}
