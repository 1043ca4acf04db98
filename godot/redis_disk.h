/* redis_disk.h: whether the disk of a Redis on this machine is full.
 *
 * With appendfsync always Redis ends where it cannot write, and has no words for why: its directory, which it
 * told while it ran, is looked at instead. */
#ifndef GODOT_REDIS_DISK_H
#define GODOT_REDIS_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

typedef struct redis_disk {
  uv_fs_t request;
  char directory[4096]; /* "": not known */
  bool checking;        /* the callback will come */
  bool full;            /* as it was seen last */
  void (*on_checked)(void *arg);
  void *arg;
} redis_disk_t;

/* Whether host means this machine, whose directories Redis' are. */
bool redis_disk_is_local(const char *host);

/* Where Redis keeps its file; what is too long is not known. */
void redis_disk_set_directory(redis_disk_t *disk, const char *directory, size_t len);

/* Looks, unless it does so already or knows no directory; on_checked comes once, on the loop. False: it does
 * not. */
bool redis_disk_check(redis_disk_t *disk, uv_loop_t *loop, void (*on_checked)(void *arg), void *arg);

#endif
