/* storage.c: see storage.h.
 *
 * Opening decides which file a caller means (mcp_open_beneath); the path of the open descriptor comes from
 * the kernel. A mount below files/ does not belong to the storage: files on it are refused by the kernel's
 * mount id. */
#define _GNU_SOURCE /* statx, O_PATH */
#include "storage.h"
#include "stores.h"

#include <errno.h>
#include <fcntl.h>
#include <iccm_service.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum {
  DIRECTORY = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW,
  PROBE_SIZE = 16,
  FIND_ATTEMPTS = 100,
  ROOM_BYTES = 1024 * 1024 /* with less free space the storage counts as full */
};

static const char files_name[] = "files", versions_name[] = ".horace_versions",
                  archive_name[] = ".horace_archive", staging_dir_name[] = ".horace_work";

/* ---- Opening ---- */

static void say(const char *path, const char *what) {
  mcp_log(MCP_LOG_ERROR, "storage", "HORACE_STORAGE_PATH \"%s\": %s: %s", path, what, strerror(errno));
}

static bool open_directory(const char *root, int at, const char *name, mode_t mode, int *directory) {
  if (mkdirat(at, name, mode) != 0 && errno != EEXIST) {
    say(root, name);
    return false;
  }
  *directory = openat(at, name, DIRECTORY);
  if (*directory < 0)
    say(root, name);
  return *directory >= 0;
}

/* Opens a directory of Horace's own and removes the access of other users: it may hold files whose owner
 * has hidden or removed them since. */
static bool open_private(const char *root, int at, const char *name, mode_t mode, int *directory) {
  struct stat file_stat;
  if (!open_directory(root, at, name, mode, directory))
    return false;
  if (fstat(*directory, &file_stat) == 0 && (file_stat.st_mode & S_IRWXO) != 0 &&
      fchmod(*directory, file_stat.st_mode & 07770) != 0)
    mcp_log(MCP_LOG_WARN, "storage", "%s/%s is accessible to all users, and its mode cannot be changed: %s",
            root, name, strerror(errno));
  return true;
}

/* Reads the mount id of a descriptor, or its device where the kernel has no mount ids. */
static int read_mount_id(int file, uint64_t *mount_id) {
  struct statx file_stat;
  if (statx(file, "", AT_EMPTY_PATH, STATX_MNT_ID, &file_stat) != 0)
    return -errno;
  *mount_id = (file_stat.stx_mask & STATX_MNT_ID) != 0
                  ? file_stat.stx_mnt_id
                  : (uint64_t)file_stat.stx_dev_major << 32 | file_stat.stx_dev_minor;
  return 0;
}

static bool open_directories(storage_t *storage, int root) {
  return open_directory(storage->root, root, files_name, 0777, &storage->files) &&
         open_private(storage->root, root, versions_name, 0750, &storage->versions) &&
         open_private(storage->root, root, archive_name, 0750, &storage->archive) &&
         open_private(storage->root, root, staging_dir_name, 0700, &storage->staging);
}

/* Files are renamed between the directories, so all must be on one mount. */
static bool is_one_mount(storage_t *storage) {
  const int others[] = {storage->versions, storage->archive, storage->staging};
  int code = read_mount_id(storage->files, &storage->mount_id);
  for (size_t i = 0; i < sizeof others / sizeof others[0] && code == 0; i++) {
    uint64_t mount_id = 0;
    code = read_mount_id(others[i], &mount_id);
    if (code == 0 && mount_id != storage->mount_id)
      code = -EXDEV;
  }
  errno = -code;
  if (code != 0)
    say(storage->root, "files/ and Horace's own directories must be on one file system");
  return code == 0;
}

static bool take_lock(storage_t *storage, int root) {
  storage->lock = openat(root, ".horace_lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (storage->lock >= 0 && flock(storage->lock, LOCK_EX | LOCK_NB) == 0)
    return true;
  say(storage->root, errno == EWOULDBLOCK ? "another Horace uses it" : ".horace_lock");
  return false;
}

/* Sets the directories that callers may name: the resolved one and the operator's spelling. */
static bool set_paths(storage_t *storage, const char *path) {
  if (strchr(path, ':') != NULL || strchr(storage->root, ':') != NULL) {
    errno = EINVAL;
    say(path, "it must not contain a colon");
    return false;
  }
  if (strcmp(storage->root, "/") == 0) {
    errno = EINVAL;
    say(path, "it must not be the root directory");
    return false;
  }
  snprintf(storage->files_path, sizeof storage->files_path, "%s/%s", storage->root, files_name);
  int len = (int)strlen(path);
  while (len > 0 && path[len - 1] == '/')
    len--;
  if (path[0] == '/')
    snprintf(storage->allowed, sizeof storage->allowed, "%s:%.*s/%s", storage->files_path, len, path,
             files_name);
  else
    snprintf(storage->allowed, sizeof storage->allowed, "%s", storage->files_path);
  return true;
}

bool storage_open(storage_t *storage, const char *path) {
  *storage = (storage_t){.files = -1, .versions = -1, .archive = -1, .staging = -1, .lock = -1};
  bool there = mkdir(path, 0755) == 0 || errno == EEXIST;
  int root = there && realpath(path, storage->root) != NULL ? open(storage->root, DIRECTORY) : -1;
  if (root < 0) {
    say(path, "cannot open the directory");
    return false;
  }
  bool fine = set_paths(storage, path) && take_lock(storage, root) && open_directories(storage, root) &&
              is_one_mount(storage);
  close(root);
  if (!fine)
    storage_close(storage);
  return fine;
}

void storage_close(storage_t *storage) {
  const int all[] = {storage->files, storage->versions, storage->archive, storage->staging, storage->lock};
  for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
    if (all[i] >= 0)
      close(all[i]);
}

static int find_one_moved(const storage_t *storage, int directory, const char *name) {
  char path[STORAGE_PATH_SIZE + 32];
  struct stat here, there;
  snprintf(path, sizeof path, "%s/%s", storage->root, name);
  if (fstat(directory, &here) != 0)
    return -errno;
  if (stat(path, &there) != 0) /* never -ENOENT, which would mean a missing file */
    return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? -ESTALE : -errno;
  return here.st_dev == there.st_dev && here.st_ino == there.st_ino ? 0 : -ESTALE;
}

int storage_check_moved(const storage_t *storage) {
  int code = find_one_moved(storage, storage->files, files_name);
  if (code == 0)
    code = find_one_moved(storage, storage->versions, versions_name);
  if (code == 0)
    code = find_one_moved(storage, storage->archive, archive_name);
  return code == 0 ? find_one_moved(storage, storage->staging, staging_dir_name) : code;
}

const char *storage_strerror(int code) {
  if (code == -ESTALE)
    return "the storage's directories were moved or replaced: put them back, or restart Horace";
  if (code == -ENOSPC || code == -EDQUOT || code == -EFBIG)
    return STORE_DISK_FULL;
  return strerror(-code);
}

int storage_check(const storage_t *storage) {
  int code = storage_check_moved(storage);
  if (code != 0)
    return code;
  int file = storage_create_staged(storage, "probe");
  code = file < 0 ? file : 0;
  if (file >= 0)
    code = -posix_fallocate(file, 0, ROOM_BYTES);
  if (file >= 0)
    close(file);
  storage_unlink(storage->staging, "probe");
  return code;
}

/* ---- Finding ---- */

/* Reads the path of an open file relative to files/. Returns false if it is outside or was moved. */
static bool read_path(const storage_t *storage, int file, char path[STORAGE_PATH_SIZE]) {
  char link[64], whole[STORAGE_PATH_SIZE];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t len = readlink(link, whole, sizeof whole - 1);
  size_t prefix_len = strlen(storage->files_path);
  if (len <= (ssize_t)prefix_len + 1)
    return false;
  whole[len] = '\0';
  if (memcmp(whole, storage->files_path, prefix_len) != 0 || whole[prefix_len] != '/')
    return false;
  memcpy(path, whole + prefix_len + 1, (size_t)len - prefix_len);
  return true;
}

/* True if the path leads to the same file, on the mount of files/. */
static bool is_at(const storage_t *storage, int file, const char *path) {
  struct stat here, there;
  int again = storage_open_file(storage, path);
  if (again < 0)
    return false;
  bool same = fstat(file, &here) == 0 && fstat(again, &there) == 0 && here.st_dev == there.st_dev &&
              here.st_ino == there.st_ino;
  close(again);
  return same;
}

/* Returns -EAGAIN if the file was moved or replaced between opening it and reading its path. */
static int find_once(const storage_t *storage, const char *whole, size_t len, found_file_t *found) {
  uint64_t mount_id = 0;
  int code = storage_check_moved(storage);
  if (code != 0)
    return code;
  found->file = mcp_open_beneath(storage->allowed, whole, len);
  if (found->file < 0)
    return found->file;
  if (read_mount_id(found->file, &mount_id) != 0 || mount_id != storage->mount_id)
    code = MCP_EPATH;
  else if (!read_path(storage, found->file, found->path) || !is_at(storage, found->file, found->path))
    code = -EAGAIN;
  else if (strlen(found->path) > STORAGE_PATH_MAX_BYTES)
    code = -ENAMETOOLONG;
  if (code != 0)
    close(found->file);
  return code;
}

int storage_find(const storage_t *storage, const char *file_path, size_t len, found_file_t *found) {
  char whole[STORAGE_PATH_SIZE];
  bool absolute = len > 0 && file_path[0] == '/';
  size_t prefix_len = absolute ? 0 : strlen(storage->files_path) + 1;
  if (len == 0 || len + prefix_len >= sizeof whole || memchr(file_path, '\0', len) != NULL)
    return MCP_EPATH;
  if (!absolute)
    snprintf(whole, sizeof whole, "%s/", storage->files_path);
  memcpy(whole + prefix_len, file_path, len);
  int code = -EAGAIN;
  for (int i = 0; i < FIND_ATTEMPTS && code == -EAGAIN; i++)
    code = find_once(storage, whole, prefix_len + len, found);
  return code;
}

/* Opens one component below directory, which is closed; name need not be NUL-terminated. Refuses other
 * mounts. */
static int step(const storage_t *storage, int directory, const char *name, size_t len, bool make) {
  char text[256];
  uint64_t mount_id = 0;
  int next = -ENOENT;
  if (len < sizeof text) {
    memcpy(text, name, len);
    text[len] = '\0';
    if (make && mkdirat(directory, text, 0777) == 0)
      fsync(directory);
    next = openat(directory, text, DIRECTORY);
    next = next < 0 ? -errno : next;
  }
  close(directory);
  if (next >= 0 && (read_mount_id(next, &mount_id) != 0 || mount_id != storage->mount_id)) {
    close(next);
    next = -ENOENT;
  }
  return next;
}

int storage_open_parent(const storage_t *storage, const char *path, bool make, const char **name) {
  int moved = storage_check_moved(storage);
  *name = path;
  if (moved != 0)
    return moved;
  int at = fcntl(storage->files, F_DUPFD_CLOEXEC, 0);
  if (at < 0)
    return -errno;
  for (const char *slash; at >= 0 && (slash = strchr(path, '/')) != NULL; path = slash + 1)
    at = step(storage, at, path, (size_t)(slash - path), make);
  *name = path;
  return at;
}

int storage_open_file(const storage_t *storage, const char *path) {
  const char *name;
  int parent = storage_open_parent(storage, path, false, &name);
  if (parent < 0)
    return parent == -ENOTDIR || parent == -ELOOP ? -ENOENT : parent;
  int file = openat(parent, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  int code = file < 0 ? -errno : 0;
  struct stat file_stat;
  uint64_t mount_id = 0;
  close(parent);
  if (file < 0)
    return code == -ELOOP || code == -ENXIO ? -ENOENT : code;
  if (fstat(file, &file_stat) == 0 && S_ISREG(file_stat.st_mode) && read_mount_id(file, &mount_id) == 0 &&
      mount_id == storage->mount_id)
    return file;
  close(file);
  return -ENOENT;
}

int storage_get_path_state(const storage_t *storage, const char *path) {
  const char *name;
  struct stat file_stat;
  int parent = storage_open_parent(storage, path, false, &name);
  if (parent == -ENOENT)
    return STORAGE_PATH_FREE;
  if (parent < 0)
    return parent == -ENOTDIR || parent == -ELOOP ? STORAGE_PATH_OTHER : parent;
  int path_state;
  if (faccessat(parent, ".", W_OK | X_OK, AT_EACCESS) != 0 ||
      fstatat(parent, name, &file_stat, AT_SYMLINK_NOFOLLOW) != 0)
    path_state = -errno;
  else
    path_state = S_ISREG(file_stat.st_mode) ? STORAGE_PATH_FILE : STORAGE_PATH_OTHER;
  close(parent);
  return path_state == -ENOENT ? STORAGE_PATH_FREE : path_state;
}

/* ---- Names ---- */

static const char *shard_of(const char *id) {
  return id + MCP_UUID_SIZE - 1 - 2;
}

void storage_version_name(char name[STORAGE_NAME_SIZE], const char *id, int64_t version) {
  snprintf(name, STORAGE_NAME_SIZE, "%s/%s.%lld", shard_of(id), id, (long long)version);
}

void storage_archive_name(char name[STORAGE_NAME_SIZE], const char *id) {
  snprintf(name, STORAGE_NAME_SIZE, "%s/%s", shard_of(id), id);
}

/* ---- Changing ---- */

/* Syncs the directory of a name with at most one slash. */
static int sync_directory_of(int directory, const char *name) {
  const char *slash = strchr(name, '/');
  char shard[8] = ".";
  if (slash != NULL)
    snprintf(shard, sizeof shard, "%.*s", (int)(slash - name), name);
  int at = openat(directory, shard, DIRECTORY);
  int code = at < 0 || fsync(at) != 0 ? -errno : 0;
  if (at >= 0)
    close(at);
  return code;
}

static void make_shard(int directory, const char *name) {
  char shard[8];
  snprintf(shard, sizeof shard, "%.*s", (int)strcspn(name, "/"), name);
  if (mkdirat(directory, shard, 0750) == 0)
    fsync(directory);
}

int storage_move(int from, const char *old_name, int to, const char *new_name) {
  int code = renameat(from, old_name, to, new_name);
  if (code != 0 && errno == ENOENT && strchr(new_name, '/') != NULL) {
    make_shard(to, new_name);
    code = renameat(from, old_name, to, new_name);
  }
  if (code != 0)
    return -errno;
  code = sync_directory_of(to, new_name);
  return code == 0 ? sync_directory_of(from, old_name) : code;
}

int storage_create_staged(const storage_t *storage, const char *name) {
  storage_unlink(storage->staging, name);
  int file = openat(storage->staging, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  return file < 0 ? -errno : file;
}

int storage_unlink(int directory, const char *name) {
  return unlinkat(directory, name, 0) == 0 || errno == ENOENT ? 0 : -errno;
}
