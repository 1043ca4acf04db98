/* blob.c: see blob.h.
 *
 * A reflink is a snapshot of one moment. A copy takes a while: a change of size or times shows that the
 * file was written to meanwhile, and a file that was written to recently is read a second time. */
#define _GNU_SOURCE /* sync_file_range */
#include "blob.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER_BYTES = 1024 * 1024, LATELY_S = 60 };

bool blob_equal(const blob_t *one, const blob_t *other) {
  return one->size == other->size && strcmp(one->checksum, other->checksum) == 0;
}

static void write_hex(const unsigned char *digest, size_t len, char *text) {
  static const char digits[] = "0123456789abcdef";
  for (size_t i = 0; i < len; i++) {
    *text++ = digits[digest[i] >> 4];
    *text++ = digits[digest[i] & 15];
  }
  *text = '\0';
}

static ssize_t read_some(int file, char *buffer) {
  ssize_t len;
  do
    len = read(file, buffer, BUFFER_BYTES);
  while (len < 0 && errno == EINTR);
  return len < 0 ? -errno : len;
}

static int write_all(int file, const char *buffer, size_t len) {
  while (len > 0) {
    ssize_t written = write(file, buffer, len);
    if (written < 0 && errno != EINTR)
      return -errno;
    if (written > 0) {
      buffer += written;
      len -= (size_t)written;
    }
  }
  return 0;
}

/* Reads all of from, hashes it, and writes it to to unless that is -1. Returns -EAGAIN if the file grows,
 * so that a growing file cannot keep it busy. Write-out starts at once, in parallel with hashing, which
 * shortens the final fsync. */
static int pump(int from, int to, cancel_token_t cancel, EVP_MD_CTX *hash, char *buffer, int64_t *size) {
  struct stat file_stat;
  ssize_t len;
  *size = 0;
  if (fstat(from, &file_stat) != 0 || lseek(from, 0, SEEK_SET) < 0)
    return -errno;
  while ((len = read_some(from, buffer)) > 0) {
    if (*size + len > file_stat.st_size)
      return -EAGAIN;
    int code = to >= 0 ? write_all(to, buffer, (size_t)len) : 0;
    if (code != 0)
      return code;
    if (cancel.cb != NULL && cancel.cb(cancel.arg))
      return -ECANCELED;
    if (to >= 0)
      sync_file_range(to, *size, len, SYNC_FILE_RANGE_WRITE); /* only a hint: fsync reports errors */
    EVP_DigestUpdate(hash, buffer, (size_t)len);
    *size += len;
  }
  return (int)len;
}

static int hash_and_copy(int from, int to, cancel_token_t cancel, blob_t *blob) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned len = 0;
  EVP_MD_CTX *hash = EVP_MD_CTX_new();
  char *buffer = malloc(BUFFER_BYTES);
  int code = hash != NULL && buffer != NULL && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1 ? 0 : -ENOMEM;
  if (code == 0)
    code = pump(from, to, cancel, hash, buffer, &blob->size);
  if (code == 0 && EVP_DigestFinal_ex(hash, digest, &len) != 1)
    code = -ENOMEM;
  if (code == 0)
    write_hex(digest, len, blob->checksum);
  free(buffer);
  EVP_MD_CTX_free(hash);
  return code;
}

int blob_hash(int file, cancel_token_t cancel, blob_t *blob) {
  return hash_and_copy(file, -1, cancel, blob);
}

int blob_match(int file, const blob_t *blob, cancel_token_t cancel, bool *equal) {
  struct stat file_stat;
  blob_t read;
  *equal = false;
  if (fstat(file, &file_stat) != 0)
    return -errno;
  if (file_stat.st_size != blob->size)
    return 0;
  int code = blob_hash(file, cancel, &read);
  *equal = code == 0 && blob_equal(&read, blob);
  return code == -EAGAIN ? 0 : code;
}

static bool same_moment(const struct timespec *one, const struct timespec *other) {
  return one->tv_sec == other->tv_sec && one->tv_nsec == other->tv_nsec;
}

/* True if the times may not show a write: a long write sets them when it begins, and a write through a
 * memory mapping only when the kernel flushes the pages. */
static bool is_written_lately(const struct stat *file_stat) {
  return time(NULL) - file_stat->st_mtim.tv_sec < LATELY_S;
}

static int read_again(int from, cancel_token_t cancel, const blob_t *blob) {
  blob_t again;
  int code = blob_hash(from, cancel, &again);
  return code == 0 && !blob_equal(&again, blob) ? -EAGAIN : code;
}

/* A file that cannot fit, such as a huge sparse one, is refused before it fills the disk. */
static bool has_room(int to, int64_t size) {
  struct statvfs disk;
  return fstatvfs(to, &disk) != 0 || disk.f_frsize == 0 || (uint64_t)size / disk.f_frsize <= disk.f_bavail;
}

static int copy(int from, int to, cancel_token_t cancel, blob_t *blob) {
  struct stat before, after;
  if (fstat(from, &before) != 0)
    return -errno;
  int code = has_room(to, before.st_size) ? hash_and_copy(from, to, cancel, blob) : -ENOSPC;
  if (code == 0 && is_written_lately(&before))
    code = read_again(from, cancel, blob);
  if (code == 0 && fstat(from, &after) != 0)
    code = -errno;
  if (code == 0 &&
      !(before.st_size == after.st_size && blob->size == after.st_size &&
        same_moment(&before.st_mtim, &after.st_mtim) && same_moment(&before.st_ctim, &after.st_ctim)))
    code = -EAGAIN;
  return code;
}

int blob_copy(int from, int to, cancel_token_t cancel, blob_t *blob) {
  int code = ioctl(to, FICLONE, from) == 0 ? blob_hash(to, cancel, blob) : copy(from, to, cancel, blob);
  return code == 0 && fsync(to) != 0 ? -errno : code;
}
