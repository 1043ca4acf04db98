/* redis_disk.c: see redis_disk.h. A directory that cannot be checked, such as one in a container, counts as
 * not full. */
#include "redis_disk.h"

#include <string.h>

enum { MIN_FREE_BYTES = 1024 * 1024 /* a disk with less free space counts as full */ };

bool redis_disk_is_local(const char *host) {
  return strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0;
}

void redis_disk_set_directory(redis_disk_t *disk, const char *directory, size_t len) {
  disk->directory[0] = '\0';
  if (len >= sizeof disk->directory)
    return;
  memcpy(disk->directory, directory, len);
  disk->directory[len] = '\0';
}

static void on_statfs(uv_fs_t *request) {
  redis_disk_t *disk = request->data;
  const uv_statfs_t *stat = request->ptr;
  disk->full =
      request->result == 0 && stat->f_bavail < MIN_FREE_BYTES / (stat->f_bsize > 0 ? stat->f_bsize : 1);
  disk->checking = false;
  uv_fs_req_cleanup(request);
  disk->on_checked(disk->arg);
}

bool redis_disk_check(redis_disk_t *disk, uv_loop_t *loop, void (*on_checked)(void *arg), void *arg) {
  if (disk->checking || disk->directory[0] == '\0')
    return false;
  disk->on_checked = on_checked;
  disk->arg = arg;
  disk->request.data = disk;
  disk->checking = uv_fs_statfs(loop, &disk->request, disk->directory, on_statfs) == 0;
  return disk->checking;
}
