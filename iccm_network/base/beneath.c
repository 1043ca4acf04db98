/* beneath.c: opens files named by callers, only below directories that the operator allows.
 *
 * Happy path: the path begins with one of the directories, and the kernel opens the rest relative to it with
 * RESOLVE_BENEATH. The check happens during the open, not before it, so that a symbolic link created in
 * between cannot escape. Failure: for a path outside, the error does not reveal whether the file exists. */
#define _GNU_SOURCE /* O_PATH */
#include "base/beneath.h"

#include "iccm_network.h"
#include "iccm_service.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FILE_FLAGS = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, PATH_SIZE = 4096, ATTEMPTS = 100 };

/* The kernel returns EAGAIN in two cases: a component was renamed while ".." was resolved, where a retry
 * succeeds; or another process holds a lease on the file (fcntl(2)), which may last. */
int mcp__beneath_resolve(int directory, const char *path) {
  struct open_how how = {.flags = FILE_FLAGS, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
  long file = -1;
  errno = EAGAIN;
  for (int i = 0; i < ATTEMPTS && file < 0 && (errno == EINTR || errno == EAGAIN); i++)
    file = syscall(SYS_openat2, directory, path, &how, sizeof how);
  return file < 0 ? -errno : (int)file;
}

/* Opens a component of a path and closes directory. name need not end in NUL. */
static int open_component(int directory, const char *name, size_t len, int flags) {
  char text[256];
  int next = -ENAMETOOLONG;
  if (len < sizeof text) {
    memcpy(text, name, len);
    text[len] = '\0';
    next = openat(directory, text, flags | O_NOFOLLOW);
    next = next < 0 ? -errno : next;
  }
  close(directory);
  return next == -ELOOP ? -EXDEV : next;
}

int mcp__beneath_walk(int directory, const char *path) {
  int fd = fcntl(directory, F_DUPFD_CLOEXEC, 0);
  if (fd < 0)
    return -errno;
  while (fd >= 0) {
    path += strspn(path, "/");
    size_t len = strcspn(path, "/");
    bool last = path[len] == '\0';
    if (len == 2 && memcmp(path, "..", 2) == 0) {
      close(fd);
      return -EXDEV;
    }
    fd = open_component(fd, path, len, last ? FILE_FLAGS : O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (last)
      return fd;
    path += len;
  }
  /* O_DIRECTORY | O_NOFOLLOW reports a symbolic link as ENOTDIR */
  return fd == -ENOTDIR ? -EXDEV : fd;
}

static int regular_file(int file) {
  struct stat status;
  int code = 0;
  if (fstat(file, &status) != 0)
    code = -errno;
  else if (!S_ISREG(status.st_mode))
    code = MCP_ENOTREGULAR;
  if (code == 0)
    return file;
  close(file);
  return code;
}

static int open_below(const char *root, const char *path) {
  int directory = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0)
    return -errno;
  int file = mcp__beneath_resolve(directory, path);
  if (file == -ENOSYS || file == -EPERM)
    file = mcp__beneath_walk(directory, path);
  close(directory);
  if (file == -ELOOP || file == -EXDEV)
    return MCP_EPATH;
  return file < 0 ? file : regular_file(file);
}

int mcp_open_beneath(const char *directories, const char *path, size_t len) {
  char text[PATH_SIZE], root[PATH_SIZE];
  if (len >= sizeof text || memchr(path, '\0', len) != NULL)
    return MCP_EPATH;
  memcpy(text, path, len);
  text[len] = '\0';
  for (const char *entry = directories; *entry != '\0';) {
    size_t entry_len = strcspn(entry, ":"), root_len = entry_len;
    while (root_len > 0 && entry[root_len - 1] == '/')
      root_len--;
    if (entry_len < sizeof root && strncmp(text, entry, root_len) == 0 && text[root_len] == '/') {
      memcpy(root, entry, entry_len);
      root[entry_len] = '\0';
      const char *below = text + root_len + strspn(text + root_len, "/");
      return *below != '\0' ? open_below(root, below) : MCP_ENOTREGULAR;
    }
    entry += entry_len;
    entry += *entry == ':';
  }
  return MCP_EPATH;
}
