/* storage.h: Horace's directories and the names in them.
 *
 *     files/                    the files, put there by others
 *     .horace_versions/XX/ID.N  the bytes of version N of the file ID, never changed
 *     .horace_archive/XX/ID     the bytes of an archived file
 *     .horace_work/             pending changes; empty when there are none
 *
 * XX are the last two digits of ID. A path is relative to files/ and contains no link, "." or "..", so
 * each file has exactly one. It is opened component by component, so that links and mounts cannot lead out
 * of files/. Any thread. */
#ifndef HORACE_STORAGE_H
#define HORACE_STORAGE_H

#include <iccm_network.h>
#include <sys/stat.h>

/* Longer paths than STORAGE_PATH_MAX_BYTES are refused: PostgreSQL's indexes take at most 2.6 KiB. */
enum { STORAGE_PATH_SIZE = 4096, STORAGE_PATH_MAX_BYTES = 2048, STORAGE_NAME_SIZE = 80 };

typedef struct storage {
  char root[STORAGE_PATH_SIZE];           /* absolute, without links */
  char files_path[STORAGE_PATH_SIZE + 8]; /* root/files */
  char allowed[2 * (STORAGE_PATH_SIZE +
                    8)]; /* files_path, and the same in the operator's spelling, for mcp_open_beneath() */
  int files, versions, archive, staging, lock;
  uint64_t mount_id; /* mount that all of them are on */
} storage_t;

/* Creates missing directories and locks the storage against other Horaces. Returns false after logging the
 * error; then there is nothing to close. */
bool storage_open(storage_t *storage, const char *path);
void storage_close(storage_t *storage);

/* Returns 0 if the directories are at their paths and writable, else -errno. */
int storage_check(const storage_t *storage);

/* Returns 0 if the directories are still at their paths, -ESTALE if they were moved or replaced, or
 * -errno. Data written to moved directories would be lost at the next start. All functions that open by a
 * path check this first and return -ESTALE. */
int storage_check_moved(const storage_t *storage);

/* Returns a public message for -errno. */
const char *storage_strerror(int code);

/* A file that a caller named. */
typedef struct found_file {
  int file; /* open for reading; owned by the caller */
  char path[STORAGE_PATH_SIZE];
} found_file_t;

/* Opens a file that a caller names, by an absolute path below files/ or relative to it. Returns 0;
 * MCP_EPATH; -ESTALE; MCP_ENOTREGULAR; MCP_EAGAIN if another process keeps replacing the file or holds a
 * lease on it (fcntl(2)); or the system's code, such as MCP_ENOENT. */
int storage_find(const storage_t *storage, const char *file_path, size_t len, found_file_t *found);

/* Opens the file at a path for reading. Returns a descriptor or -errno; -ENOENT also if the path leads
 * outside or to no regular file. */
int storage_open_file(const storage_t *storage, const char *path);

/* Tells whether a file can be put at a path. Returns the state, or -errno; -EACCES if the directory is not
 * writable. */
enum storage_path_state { STORAGE_PATH_FREE, STORAGE_PATH_FILE, STORAGE_PATH_OTHER };
int storage_get_path_state(const storage_t *storage, const char *path);

/* Opens the parent directory of a path and sets *name to the last component; make creates missing
 * directories. Returns a descriptor or -errno. */
int storage_open_parent(const storage_t *storage, const char *path, bool make, const char **name);

/* Names relative to their directories. */
void storage_version_name(char name[STORAGE_NAME_SIZE], const char *id, int64_t version);
void storage_archive_name(char name[STORAGE_NAME_SIZE], const char *id);

/* Renames durably: syncs both directories, the source last. Creates a missing directory XX. Returns 0 or
 * -errno. */
int storage_move(int from, const char *old_name, int to, const char *new_name);

/* Creates an empty file in the working directory. Returns a descriptor or -errno. */
int storage_create_staged(const storage_t *storage, const char *name);

/* Unlinks; a missing file is no error. Returns 0 or -errno. */
int storage_unlink(int directory, const char *name);

#endif
