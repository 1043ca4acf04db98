/* storage.h: the directories that Horace keeps, and the names in them.
 *
 *     files/                    the files themselves; whatever others put there
 *     .horace_versions/XX/ID.N  the bytes of version N of the file ID, never changed
 *     .horace_archive/XX/ID     those of a file that is archived
 *     .horace_work/             what is under way; empty when nothing is
 *
 * XX are the last two digits of ID. A path is relative to files/ and has no link, "." or ".." in it: each
 * file has one. It is opened step by step, so that nothing that others put there leads elsewhere. Any thread.
 */
#ifndef HORACE_STORAGE_H
#define HORACE_STORAGE_H

#include <iccm_network.h>
#include <sys/stat.h>

/* A path that is longer than STORAGE_PATH_MAX_BYTES is no file's: PostgreSQL's indexes take no more than 2.6
 * KiB. */
enum { STORAGE_PATH_SIZE = 4096, STORAGE_PATH_MAX_BYTES = 2048, STORAGE_NAME_SIZE = 80 };

typedef struct storage {
  char root[STORAGE_PATH_SIZE];              /* absolute, without links */
  char files_path[STORAGE_PATH_SIZE + 8];    /* root/files */
  char allowed[2 * (STORAGE_PATH_SIZE + 8)]; /* that, and as the operator spelt it, for mcp_open_beneath() */
  int files, versions, archive, staging, lock;
  uint64_t mount_id; /* that all of them are on */
} storage_t;

/* Makes the directories that are missing, and sees to it that no other Horace uses them. False: the log says
 * why, and nothing has to be closed. */
bool storage_open(storage_t *storage, const char *path);
void storage_close(storage_t *storage);

/* Whether it is where it was, and can be written to: 0, or -errno. */
int storage_check(const storage_t *storage);

/* Whether the directories are still at their paths: 0, or -errno; -ESTALE: others are there, or none. What is
 * written from then on would be nowhere once Horace starts again. All that opens by a path looks at that
 * first, and answers -ESTALE itself. */
int storage_check_moved(const storage_t *storage);

/* What -errno means for the storage, in words for everybody. */
const char *storage_strerror(int code);

/* A file that a caller named. */
typedef struct found_file {
  int file; /* open for reading; the caller's to close */
  char path[STORAGE_PATH_SIZE];
} found_file_t;

/* Finds what a caller calls file_path: absolute below files/, or relative to it. 0; MCP_EPATH; -ESTALE;
 * MCP_ENOTREGULAR; or the system's code, MCP_ENOENT and others; MCP_EAGAIN: another process replaces it all
 * the time, or holds a lease on it (fcntl(2)). */
int storage_find(const storage_t *storage, const char *file_path, size_t len, found_file_t *found);

/* Opens the file at a path for reading: a descriptor, or -errno; -ENOENT also where the path leads elsewhere
 * by now, or to no regular file. */
int storage_open_file(const storage_t *storage, const char *path);

/* What is at a path, so that something else can be put there: or -errno, -EACCES where its directory may not
 * be changed. */
enum storage_path_state { STORAGE_PATH_FREE, STORAGE_PATH_FILE, STORAGE_PATH_OTHER };
int storage_get_path_state(const storage_t *storage, const char *path);

/* Opens the directory that a path's last name is in, and gives that name; make: makes it where it is missing.
 * A descriptor, or -errno. */
int storage_open_parent(const storage_t *storage, const char *path, bool make, const char **name);

/* Names below their directories. */
void storage_version_name(char name[STORAGE_NAME_SIZE], const char *id, int64_t version);
void storage_archive_name(char name[STORAGE_NAME_SIZE], const char *id);

/* Renames so that it outlasts a crash: the directories are synced, the one it came from last. A directory XX
 * that is missing is made. 0 or -errno. */
int storage_move(int from, const char *old_name, int to, const char *new_name);

/* Opens a new empty file in the working directory, or -errno. */
int storage_create_staged(const storage_t *storage, const char *name);

/* Unlinks, and does not mind where there is nothing; 0 or -errno. */
int storage_unlink(int directory, const char *name);

#endif
