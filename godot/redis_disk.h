/* redis_disk.h: detects that the disk of a Redis on this machine is full.
 *
 * With appendfsync always, Redis exits when a write fails, without reporting the cause. Its data directory,
 * read while it was running, is checked instead. */
#ifndef GODOT_REDIS_DISK_H
#define GODOT_REDIS_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

typedef struct redis_disk {
  uv_fs_t request;
  char directory[4096]; /* "": unknown */
  bool checking;        /* a check is in progress; on_checked will be called */
  bool full;            /* result of the last check */
  void (*on_checked)(void *arg);
  void *arg;
} redis_disk_t;

/* Whether host is this machine, so that the data directory of Redis is accessible. */
bool redis_disk_is_local(const char *host);

/* Sets the data directory of Redis. A path that is too long counts as unknown. */
void redis_disk_set_directory(redis_disk_t *disk, const char *directory, size_t len);

/* Starts a check; on_checked is called once, on the loop. Returns false, without a call, if a check is in
 * progress or the directory is unknown. */
bool redis_disk_check(redis_disk_t *disk, uv_loop_t *loop, void (*on_checked)(void *arg), void *arg);

#endif
