/* work.c: see work.h.
 *
 * Settling goes by the catalogue alone, so that it may be begun again any number of times. What the database
 * may still be committing, for a Horace that was killed or a connection that was lost, is waited for first.
 * Somebody may have written to a file between the crash and the start: what a restore would put in its place
 * then gives way. */
#include "work.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ATTEMPTS = 3, ID_LEN = MCP_UUID_SIZE - 1 };

static void work_name(char name[STORAGE_NAME_SIZE], const char *id, int64_t version, const char *suffix) {
  snprintf(name, STORAGE_NAME_SIZE, "%s.%lld%s", id, (long long)version, suffix);
}

static void mark_name(char name[STORAGE_NAME_SIZE], const char *id, const char *what) {
  snprintf(name, STORAGE_NAME_SIZE, "%s.%s", id, what);
}

static int sync_work(const horace_t *horace) {
  return fsync(horace->storage.work) == 0 ? 0 : -errno;
}

static void warn(const char *id, int code, const char *what) {
  mcp_log(MCP_LOG_WARN, "storage", "%s: %s: %s; it is tried again", id, what, strerror(-code));
}

/* ---- Staging ---- */

/* Copies once; mode and owner are set before the bytes are synced. */
static int stage_once(horace_t *horace, const char *name, int from, mode_t mode, const struct stat *owner,
                      store_stop_t stop, bytes_t *bytes) {
  int to = storage_begin(&horace->storage, name);
  if (to < 0)
    return to;
  if (owner != NULL && fchown(to, owner->st_uid, owner->st_gid) != 0 && errno != EPERM)
    warn(name, -errno, "the owner cannot be set");
  int code = fchmod(to, mode) == 0 ? bytes_copy(from, to, stop, bytes) : -errno;
  close(to);
  return code;
}

static int stage(horace_t *horace, const char *name, int from, mode_t mode, const struct stat *owner,
                 store_stop_t stop, bytes_t *bytes) {
  int code = -EAGAIN;
  for (int i = 0; i < ATTEMPTS && code == -EAGAIN; i++)
    code = stage_once(horace, name, from, mode, owner, stop, bytes);
  if (code == 0)
    code = sync_work(horace);
  if (code != 0)
    storage_unlink(horace->storage.work, name);
  return code;
}

int work_stage(horace_t *horace, const char *id, int64_t version, int from, store_stop_t stop,
               bytes_t *bytes) {
  char name[STORAGE_NAME_SIZE];
  struct stat about;
  if (fstat(from, &about) != 0)
    return -errno;
  work_name(name, id, version, "");
  mode_t mode = (about.st_mode & 0555) | S_IRUSR; /* it never changes again, and is read here */
  return stage(horace, name, from, mode, NULL, stop, bytes);
}

int work_stage_file(horace_t *horace, const char *id, int64_t version, int from, const struct stat *present,
                    store_stop_t stop, bytes_t *bytes) {
  char name[STORAGE_NAME_SIZE];
  struct stat about;
  if (fstat(from, &about) != 0)
    return -errno;
  work_name(name, id, version, ".file");
  return stage(horace, name, from,
               present != NULL ? present->st_mode & 0777 : (about.st_mode & 0555) | S_IWUSR, present, stop,
               bytes);
}

static void drop(horace_t *horace, const char *id, int64_t version, const char *suffix) {
  char name[STORAGE_NAME_SIZE];
  work_name(name, id, version, suffix);
  storage_unlink(horace->storage.work, name);
}

void work_drop(horace_t *horace, const char *id, int64_t version) {
  drop(horace, id, version, ".file");
  drop(horace, id, version, "");
}

/* ---- Finishing ---- */

static bool is_there(int directory, const char *name) {
  return faccessat(directory, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Removes the versions up to last, the oldest first, so that those still there follow each other. */
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
    mcp_metric_add(horace->figures.versions, "pruned", 1);
  }
  return code;
}

void work_finish(horace_t *horace, const char *id, int64_t version, int64_t oldest) {
  char name[STORAGE_NAME_SIZE], place[STORAGE_NAME_SIZE];
  work_name(name, id, version, "");
  storage_version_name(place, id, version);
  int code = remove_versions(horace, id, oldest - 1);
  if (code == 0)
    code = storage_move(horace->storage.work, name, horace->storage.versions, place);
  if (code != 0)
    warn(id, code, "a version cannot be put in its place");
}

/* Whether a place that was free, or the file's, is another's by now. */
static bool is_somebody_elses(int code) {
  return code == -EEXIST || code == -ENOTDIR || code == -EISDIR || code == -ELOOP;
}

void work_put_back(horace_t *horace, const record_t *record) {
  char name[STORAGE_NAME_SIZE];
  const char *last;
  work_name(name, record->id, record->version, ".file");
  int parent = storage_open_parent(&horace->storage, record->path, true, &last);
  int code = parent >= 0 ? storage_move(horace->storage.work, name, parent, last) : parent;
  if (parent >= 0)
    close(parent);
  if (is_somebody_elses(code)) {
    mcp_log(
        MCP_LOG_WARN, "storage",
        "%s: there is something else at the path of the restored file; its bytes are kept as version %lld",
        record->path, (long long)record->version);
    drop(horace, record->id, record->version, ".file");
  } else if (code != 0) {
    warn(record->id, code, "the restored file cannot be put in its place");
  }
}

/* ---- Marks ---- */

int work_mark(horace_t *horace, const char *id, const char *what) {
  char name[STORAGE_NAME_SIZE];
  mark_name(name, id, what);
  int file = storage_begin(&horace->storage, name);
  if (file < 0)
    return file;
  close(file);
  return sync_work(horace);
}

void work_unmark(horace_t *horace, const char *id, const char *what) {
  char name[STORAGE_NAME_SIZE];
  mark_name(name, id, what);
  storage_unlink(horace->storage.work, name);
}

/* ---- Moving ---- */

/* Renames unless something stands there: -EEXIST. */
static int move_softly(int from, const char *old_name, int to, const char *new_name) {
  if (is_there(to, new_name))
    return -EEXIST;
  return storage_move(from, old_name, to, new_name);
}

/* The archive's copy goes where the place in files/ is somebody else's by now; its bytes are a version, too.
 * Where they are not, it stays. */
static int give_up_archived(horace_t *horace, const record_t *record, const char *archived,
                            store_stop_t stop) {
  bool known = false;
  int file = openat(horace->storage.archive, archived, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  int code = file < 0 ? -errno : bytes_match(file, &record->bytes, stop, &known);
  if (file >= 0)
    close(file);
  if (code != 0)
    return code;
  mcp_log(MCP_LOG_WARN, "storage", "%s: there is something else at the path of the file that comes back; %s",
          record->path, known ? "its bytes are kept as a version" : "it stays in the archive");
  return known ? storage_unlink(horace->storage.archive, archived) : 0;
}

static int move(horace_t *horace, const record_t *record, store_stop_t stop) {
  char archived[STORAGE_NAME_SIZE];
  const char *last;
  const storage_t *storage = &horace->storage;
  storage_archive_name(archived, record->id);
  int parent = storage_open_parent(storage, record->path, !record->is_archived, &last);
  int code = parent;
  if (parent >= 0) {
    code = record->is_archived ? move_softly(parent, last, storage->archive, archived)
                               : move_softly(storage->archive, archived, parent, last);
    close(parent);
  }
  if (!is_somebody_elses(code))
    return code;
  return record->is_archived ? 0 : give_up_archived(horace, record, archived, stop);
}

void work_move(horace_t *horace, const record_t *record, store_stop_t stop) {
  int code = move(horace, record, stop);
  if (code == 0 || code == -ENOENT) /* moved already, or somebody has taken it away */
    work_unmark(horace, record->id, "move");
  else
    warn(record->id, code, "the file cannot be moved");
}

/* ---- Removing ---- */

/* Whether the file in files/ is the one that the catalogue knows. */
static int is_known(horace_t *horace, const record_t *record, store_stop_t stop, bool *known) {
  *known = false;
  int file = storage_open_file(&horace->storage, record->path);
  if (file < 0)
    return file == -ENOENT ? 0 : file;
  int code = bytes_match(file, &record->bytes, stop, known);
  close(file);
  return code;
}

static int remove_file(horace_t *horace, const record_t *record, store_stop_t stop) {
  const char *last;
  bool known;
  int code = is_known(horace, record, stop, &known);
  if (code != 0 || !known)
    return code;
  int parent = storage_open_parent(&horace->storage, record->path, false, &last);
  if (parent < 0)
    return parent;
  code = storage_unlink(parent, last);
  close(parent);
  return code;
}

static int remove_bytes(horace_t *horace, const record_t *record, store_stop_t stop) {
  char archived[STORAGE_NAME_SIZE];
  storage_archive_name(archived, record->id);
  int code = record->is_archived ? storage_unlink(horace->storage.archive, archived)
                                 : remove_file(horace, record, stop);
  return code == 0 ? remove_versions(horace, record->id, record->version) : code;
}

bool work_purge(horace_t *horace, const record_t *record, store_stop_t stop, trouble_t *trouble) {
  store_error_t error;
  int code = remove_bytes(horace, record, stop);
  if (code != 0)
    return trouble_disk(trouble, code, "removing a deleted file");
  db_conn_t *conn = db_begin(horace->db, DB_WRITE, (store_stop_t){NULL, NULL}, &code, &error);
  if (conn != NULL)
    code = db_end(conn, catalogue_forget(conn, record->id, &error), &error);
  if (code != STORE_OK)
    return trouble_store(horace, trouble, code, &error, "removing a deleted file");
  work_unmark(horace, record->id, "purge");
  mcp_metric_add(horace->figures.files, "removed", 1);
  mcp_log(MCP_LOG_INFO, "files", "removed %s (%s), deleted 30 days ago", record->path, record->id);
  return true;
}

/* ---- Settling ---- */

enum { NAMES_MAX = 8 }; /* of one file: two versions, a file, two marks, and room */

/* What stands in the working directory for one file. */
typedef struct under_way {
  int versions;
  int64_t staged[NAMES_MAX]; /* ascending */
  int64_t file;              /* the version whose file is staged; 0: none */
  bool move, purge;
} under_way_t;

static void add_staged(under_way_t *under_way, int64_t version) {
  int i = under_way->versions++;
  for (; i > 0 && under_way->staged[i - 1] > version; i--)
    under_way->staged[i] = under_way->staged[i - 1];
  under_way->staged[i] = version;
}

static void add_name(under_way_t *under_way, const char *suffix) {
  char *end;
  int64_t version = strtoll(suffix, &end, 10);
  if (strcmp(suffix, "move") == 0)
    under_way->move = true;
  else if (strcmp(suffix, "purge") == 0)
    under_way->purge = true;
  else if (version > 0 && strcmp(end, ".file") == 0)
    under_way->file = version;
  else if (version > 0 && *end == '\0' && under_way->versions < NAMES_MAX)
    add_staged(under_way, version);
}

/* The working directory, read from its beginning by the caller alone; NULL: errno. */
static DIR *open_work(const horace_t *horace) {
  int directory = openat(horace->storage.work, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *entries = directory >= 0 ? fdopendir(directory) : NULL;
  if (entries == NULL && directory >= 0)
    close(directory);
  return entries;
}

static bool read_under_way(const horace_t *horace, const char *id, under_way_t *under_way) {
  bool any = false;
  *under_way = (under_way_t){.versions = 0};
  DIR *entries = open_work(horace);
  if (entries == NULL)
    return false;
  for (struct dirent *entry; (entry = readdir(entries)) != NULL;)
    if (strncmp(entry->d_name, id, ID_LEN) == 0 && entry->d_name[ID_LEN] == '.') {
      add_name(under_way, entry->d_name + ID_LEN + 1);
      any = true;
    }
  closedir(entries);
  return any;
}

/* A restored file takes its place unless somebody has written to it since. */
static bool settle_file(horace_t *horace, const record_t *record, int64_t version, store_stop_t stop,
                        trouble_t *trouble) {
  store_error_t error;
  record_t before = *record;
  int64_t oldest;
  bool known;
  int code = catalogue_version(horace->db, record->id, version - 1, &before.bytes, &oldest, &error);
  if (code != STORE_OK && code != STORE_NONE)
    return trouble_store(horace, trouble, code, &error, "settling");
  int file = storage_open_file(&horace->storage, record->path);
  if (file >= 0)
    close(file);
  code = file >= 0 ? is_known(horace, &before, stop, &known) : file;
  if (code != 0 && code != -ENOENT)
    return trouble_disk(trouble, code, "settling");
  if (code == -ENOENT || known)
    work_put_back(horace, record);
  else
    drop(horace, record->id, version, ".file");
  return true;
}

/* One version that was staged: finished where the catalogue has it. */
static bool settle_version(horace_t *horace, const record_t *record, int64_t version, trouble_t *trouble) {
  store_error_t error;
  bytes_t bytes;
  int64_t oldest;
  int code = catalogue_version(horace->db, record->id, version, &bytes, &oldest, &error);
  if (code == STORE_OK)
    work_finish(horace, record->id, version, oldest);
  else if (code == STORE_NONE)
    work_drop(horace, record->id, version);
  else
    return trouble_store(horace, trouble, code, &error, "settling");
  return true;
}

/* Of a file that the catalogue knows. */
static bool settle(horace_t *horace, const record_t *record, const under_way_t *under_way, store_stop_t stop,
                   trouble_t *trouble) {
  bool fine = true;
  if (under_way->purge && record->status == FILE_DELETED)
    return work_purge(horace, record, stop, trouble);
  work_unmark(horace, record->id, "purge");
  if (under_way->file != 0 && under_way->file == record->version)
    fine = settle_file(horace, record, under_way->file, stop, trouble);
  else if (under_way->file != 0)
    drop(horace, record->id, under_way->file, ".file");
  for (int i = 0; i < under_way->versions && fine; i++)
    fine = settle_version(horace, record, under_way->staged[i], trouble);
  if (fine && under_way->move)
    work_move(horace, record, stop);
  return fine;
}

/* Of a file that the catalogue does not know. */
static void undo(horace_t *horace, const char *id, const under_way_t *under_way) {
  for (int i = 0; i < under_way->versions; i++)
    work_drop(horace, id, under_way->staged[i]);
  work_unmark(horace, id, "move");
  work_unmark(horace, id, "purge");
}

bool work_settle(horace_t *horace, const char *id, store_stop_t stop, trouble_t *trouble) {
  under_way_t under_way;
  store_error_t error;
  record_t record;
  if (!read_under_way(horace, id, &under_way))
    return true;
  int code = catalogue_await(horace->db, id, stop, &error);
  if (code == STORE_OK)
    code = catalogue_find(horace->db, id, &record, &error);
  if (code == STORE_NONE) {
    undo(horace, id, &under_way);
    return true;
  }
  if (code != STORE_OK)
    return trouble_store(horace, trouble, code, &error, "settling");
  bool fine = settle(horace, &record, &under_way, stop, trouble);
  record_deinit(&record);
  return fine;
}

/* The file's turn is needed only for as long as it takes; who has it settles by himself. */
static void settle_entry(horace_t *horace, const char *name, store_stop_t stop) {
  char id[MCP_UUID_SIZE];
  trouble_t trouble; /* it has been logged */
  if (strlen(name) <= ID_LEN || mcp_uuid_parse(name, ID_LEN, id) != 0 || !turns_try(&horace->turns, id))
    return;
  work_settle(horace, id, stop, &trouble);
  turns_give(&horace->turns, id);
}

void work_settle_all(horace_t *horace, store_stop_t stop) {
  trouble_t trouble;
  DIR *entries = open_work(horace);
  if (entries == NULL) {
    trouble_disk(&trouble, -errno, "settling");
    return;
  }
  for (struct dirent *entry; (entry = readdir(entries)) != NULL && !(stop.cb != NULL && stop.cb(stop.arg));)
    settle_entry(horace, entry->d_name, stop);
  closedir(entries);
}
