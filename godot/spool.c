/* spool.c: see spool.h.
 *
 * Happy path: a record is appended to the newest segment and synced; a segment of SEGMENT_BYTES is followed
 * by a new one, whose directory entry is synced, too. Records are read from the oldest segment, which is
 * removed after its last record. Each process starts a new segment.
 *
 * Failure modes:
 * - Killed while writing: the record is incomplete, at the end of the newest segment. The next
 *   spool_open() removes it; it was never reported as saved.
 * - Killed between spool_peek() and spool_drop(): the segment is read from its beginning again. The
 *   reader recognizes what it has read by segment ids and offsets.
 * - A write or a sync fails: the incomplete record is removed, the segment is closed, and the next record
 *   starts a new one.
 * - A segment is damaged: it is renamed, and its name is logged.
 */
#include "spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <iccm_network.h>
#include <iccm_service.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

enum {
  SEGMENT_BYTES = 8 << 20, /* a segment of this size is followed by a new one */
  HEADER_BYTES = 8,
  MAX_RECORD_BYTES = 1 << 30,
  NAME_SIZE = 80
};

typedef struct segment {
  uint64_t number;
  char id[MCP_UUID_SIZE];
  int64_t size;
} segment_t;

struct spool {
  int dir; /* locked by this process */
  int64_t max_bytes, bytes;
  segment_t *segments; /* owned; the oldest first */
  size_t count, capacity;
  int writer;           /* file of the newest segment; -1: the next record starts a new one */
  int reader;           /* file of the oldest segment; -1: not open */
  int64_t offset;       /* of the next record to read in the oldest segment */
  int64_t peeked_bytes; /* bytes of the last peeked record; 0: none */
  char *payload;        /* owned; of that record */
  mcp_text_t *entries;  /* owned; of that record */
};

/* ---- Bytes ---- */

static uint32_t crc32c(const unsigned char *bytes, size_t len) {
  uint32_t crc = UINT32_MAX;
  for (size_t i = 0; i < len; i++) {
    crc ^= bytes[i];
    for (int bit = 0; bit < 8; bit++)
      crc = (crc >> 1) ^ ((crc & 1) ? UINT32_C(0x82f63b78) : 0);
  }
  return ~crc;
}

static void put_u32(char *out, size_t value) {
  for (int i = 0; i < 4; i++)
    out[i] = (char)(value >> (8 * i));
}

static uint32_t get_u32(const char *bytes) {
  uint32_t value = 0;
  for (int i = 0; i < 4; i++)
    value |= (uint32_t)(unsigned char)bytes[i] << (8 * i);
  return value;
}

static bool read_at(int fd, char *out, size_t len, int64_t offset) {
  while (len > 0) {
    ssize_t n = pread(fd, out, len, offset);
    if (n <= 0 && !(n < 0 && errno == EINTR))
      return false;
    if (n < 0)
      continue;
    out += n;
    offset += n;
    len -= (size_t)n;
  }
  return true;
}

static int write_all(int fd, const char *bytes, size_t len) {
  while (len > 0) {
    ssize_t n = write(fd, bytes, len);
    if (n < 0 && errno != EINTR)
      return -errno;
    if (n < 0)
      continue;
    bytes += n;
    len -= (size_t)n;
  }
  return 0;
}

/* ---- Segments ---- */

static void name_of(const segment_t *segment, const char *extension, char name[NAME_SIZE]) {
  snprintf(name, NAME_SIZE, "%016" PRIx64 "-%s.%s", segment->number, segment->id, extension);
}

static int open_segment(const spool_t *spool, const segment_t *segment, int flags) {
  char name[NAME_SIZE];
  name_of(segment, "segment", name);
  return openat(spool->dir, name, flags | O_CLOEXEC, 0600);
}

static int compare(const void *a, const void *b) {
  const segment_t *one = a, *other = b;
  return (one->number > other->number) - (one->number < other->number);
}

static int add_segment(spool_t *spool, const segment_t *segment) {
  if (spool->count == spool->capacity) {
    size_t capacity = 2 * spool->capacity + 8;
    segment_t *grown = realloc(spool->segments, capacity * sizeof *grown);
    if (grown == NULL)
      return MCP_ENOMEM;
    spool->segments = grown;
    spool->capacity = capacity;
  }
  spool->segments[spool->count++] = *segment;
  return 0;
}

/* Removes the oldest segment from the list. */
static void forget_oldest(spool_t *spool) {
  if (spool->count == 1 && spool->writer >= 0) {
    close(spool->writer);
    spool->writer = -1;
  }
  if (spool->reader >= 0)
    close(spool->reader);
  spool->reader = -1;
  spool->offset = 0;
  memmove(spool->segments, spool->segments + 1, --spool->count * sizeof *spool->segments);
}

static void remove_oldest(spool_t *spool) {
  char name[NAME_SIZE];
  name_of(&spool->segments[0], "segment", name);
  spool->bytes -= spool->segments[0].size;
  unlinkat(spool->dir, name, 0); /* if this fails, it is read again, and the reader recognizes it */
  forget_oldest(spool);
}

/* Its bytes still count against max_bytes. */
static void quarantine_oldest(spool_t *spool) {
  char name[NAME_SIZE], bad[NAME_SIZE];
  name_of(&spool->segments[0], "segment", name);
  name_of(&spool->segments[0], "bad", bad);
  mcp_log(MCP_LOG_ERROR, "spool", "%s is damaged at byte %" PRId64 "; the rest is kept as %s", name,
          spool->offset, bad);
  renameat(spool->dir, name, spool->dir, bad);
  forget_oldest(spool);
}

/* ---- Reading ---- */

/* Reads and verifies the record at an offset; its payload is allocated with malloc. Returns 0, MCP_ENOMEM,
 * UV_EOF (the last record, incomplete) or MCP_EIO (damaged). */
static int read_record(int fd, int64_t offset, int64_t size, char **payload, uint32_t *len) {
  char head[HEADER_BYTES];
  int64_t left = size - offset - HEADER_BYTES;
  bool valid;
  if (left < 0)
    return UV_EOF;
  if (!read_at(fd, head, HEADER_BYTES, offset))
    return MCP_EIO;
  *len = get_u32(head);
  if (left < *len)
    return UV_EOF;
  if (*len == 0) /* records are never empty, but zeros on a disk that lost power look like an empty one */
    return MCP_EIO;
  *payload = malloc(*len + 1);
  if (*payload == NULL)
    return MCP_ENOMEM;
  valid = read_at(fd, *payload, *len, offset + HEADER_BYTES) &&
          crc32c((const unsigned char *)*payload, *len) == get_u32(head + 4);
  if (valid)
    return 0;
  free(*payload);
  *payload = NULL;
  return left == *len ? UV_EOF : MCP_EIO;
}

/* Reads the entries of a payload into list (may be NULL) and returns their number; 0: none, or damaged. */
static size_t parse_entries(const char *payload, size_t len, mcp_text_t *list) {
  size_t count = 0;
  for (size_t pos = 0; pos < len;) {
    size_t left = len - pos;
    uint32_t size = left < 4 ? 0 : get_u32(payload + pos);
    if (left < 4 || size > left - 4)
      return 0;
    if (list != NULL)
      list[count] = (mcp_text_t){payload + pos + 4, size};
    count++;
    pos += 4 + size;
  }
  return count;
}

static void free_record(spool_t *spool) {
  free(spool->payload);
  free(spool->entries);
  spool->payload = NULL;
  spool->entries = NULL;
  spool->peeked_bytes = 0;
}

/* Loads the record at spool->offset. Returns 0, MCP_ENOMEM, or another nonzero value if it is damaged. */
static int load(spool_t *spool, spool_record_t *record) {
  uint32_t len;
  size_t count;
  int status = read_record(spool->reader, spool->offset, spool->segments[0].size, &spool->payload, &len);
  if (status != 0)
    return status;
  count = parse_entries(spool->payload, len, NULL);
  spool->entries = count == 0 ? NULL : calloc(count, sizeof *spool->entries);
  if (spool->entries == NULL) {
    free_record(spool);
    return count == 0 ? MCP_EIO : MCP_ENOMEM;
  }
  parse_entries(spool->payload, len, spool->entries);
  spool->peeked_bytes = HEADER_BYTES + (int64_t)len;
  *record = (spool_record_t){spool->segments[0].id, spool->offset, spool->entries, count};
  return 0;
}

int spool_peek(spool_t *spool, spool_record_t *record) {
  memset(record, 0, sizeof *record);
  free_record(spool);
  while (spool->count > 0) {
    if (spool->reader < 0)
      spool->reader = open_segment(spool, &spool->segments[0], O_RDONLY);
    if (spool->reader < 0)
      return -errno;
    if (spool->offset < spool->segments[0].size) {
      int status = load(spool, record);
      if (status == 0 || status == MCP_ENOMEM)
        return status;
      quarantine_oldest(spool);
    } else {
      remove_oldest(spool);
    }
  }
  return 0;
}

void spool_drop(spool_t *spool) {
  if (spool->peeked_bytes == 0)
    return;
  spool->offset += spool->peeked_bytes;
  free_record(spool);
  if (spool->offset == spool->segments[0].size)
    remove_oldest(spool);
}

bool spool_is_empty(const spool_t *spool) {
  return spool->count == 0;
}

int64_t spool_bytes(const spool_t *spool) {
  return spool->bytes;
}

/* ---- Writing ---- */

static int create_segment(spool_t *spool) {
  segment_t segment = {.number = spool->count == 0 ? 1 : spool->segments[spool->count - 1].number + 1};
  int status;
  mcp_uuid_new(segment.id);
  status = add_segment(spool, &segment);
  if (status != 0)
    return status;
  spool->writer = open_segment(spool, &segment, O_WRONLY | O_CREAT | O_EXCL);
  if (spool->writer < 0) {
    spool->count--;
    return -errno;
  }
  return fsync(spool->dir) == 0 ? 0 : -errno;
}

/* Returns a record allocated with malloc, or NULL if out of memory. */
static char *make_record(const mcp_text_t *entries, size_t count, size_t *len) {
  size_t payload = 0, pos = HEADER_BYTES;
  char *bytes;
  for (size_t i = 0; i < count; i++)
    payload += 4 + entries[i].len;
  bytes = malloc(HEADER_BYTES + payload);
  if (bytes == NULL)
    return NULL;
  for (size_t i = 0; i < count; i++) {
    put_u32(bytes + pos, entries[i].len);
    memcpy(bytes + pos + 4, entries[i].ptr, entries[i].len);
    pos += 4 + entries[i].len;
  }
  put_u32(bytes, payload);
  put_u32(bytes + 4, crc32c((const unsigned char *)bytes + HEADER_BYTES, payload));
  *len = pos;
  return bytes;
}

static int write_record(spool_t *spool, const char *bytes, size_t len) {
  int status = 0;
  if (spool->writer < 0)
    status = create_segment(spool);
  if (status == 0)
    status = write_all(spool->writer, bytes, len);
  if (status == 0 && fdatasync(spool->writer) != 0)
    status = -errno;
  if (status == 0) {
    spool->segments[spool->count - 1].size += (int64_t)len;
    spool->bytes += (int64_t)len;
  } else if (spool->writer >= 0 && ftruncate(spool->writer, spool->segments[spool->count - 1].size) != 0) {
    mcp_log(MCP_LOG_WARN, "spool", "half a record stays in a segment: %s", strerror(errno));
  }
  if (spool->writer >= 0 && (status != 0 || spool->segments[spool->count - 1].size >= SEGMENT_BYTES)) {
    close(spool->writer);
    spool->writer = -1;
  }
  return status;
}

int spool_append(spool_t *spool, const mcp_text_t *entries, size_t count) {
  size_t len = 0;
  char *bytes = make_record(entries, count, &len);
  int status = bytes == NULL ? MCP_ENOMEM : MCP_ENOSPC;
  if (bytes != NULL && len <= MAX_RECORD_BYTES && spool->bytes + (int64_t)len <= spool->max_bytes)
    status = write_record(spool, bytes, len);
  free(bytes);
  return status;
}

/* ---- Opening ---- */

/* Reads "<number>-<id>.segment". */
static bool read_name(const char *name, segment_t *segment) {
  char *end;
  segment->number = strtoull(name, &end, 16);
  return end == name + 16 && *end == '-' && mcp_uuid_parse(end + 1, 36, segment->id) == 0 &&
         strcmp(end + 37, ".segment") == 0;
}

static int list_segments(spool_t *spool) {
  DIR *dir = fdopendir(openat(spool->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const struct dirent *file;
  int status = 0;
  if (dir == NULL)
    return -errno;
  while (status == 0 && (file = readdir(dir)) != NULL) {
    segment_t segment = {0};
    struct stat stat;
    if (fstatat(spool->dir, file->d_name, &stat, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(stat.st_mode))
      continue;
    spool->bytes += stat.st_size;
    segment.size = stat.st_size;
    if (strlen(file->d_name) == 16 + 1 + 36 + 8 && read_name(file->d_name, &segment))
      status = add_segment(spool, &segment);
  }
  closedir(dir);
  if (spool->count > 0)
    qsort(spool->segments, spool->count, sizeof *spool->segments, compare);
  return status;
}

/* Removes an incomplete record from the end of the newest segment; it was never reported as saved. */
static int truncate_newest(spool_t *spool) {
  segment_t *newest = &spool->segments[spool->count - 1];
  int64_t valid = 0;
  uint32_t len;
  char *payload;
  int status;
  int fd = open_segment(spool, newest, O_RDWR);
  if (fd < 0)
    return -errno;
  while ((status = read_record(fd, valid, newest->size, &payload, &len)) == 0) {
    free(payload);
    valid += HEADER_BYTES + (int64_t)len;
  }
  if (status != MCP_ENOMEM)
    status = status == UV_EOF ? 0 : 1; /* damage is handled by spool_peek() */
  if (status == 0 && valid < newest->size) {
    mcp_log(MCP_LOG_WARN, "spool", "removed an incomplete record of %" PRId64 " bytes", newest->size - valid);
    if (ftruncate(fd, valid) != 0 || fsync(fd) != 0)
      status = -errno;
    spool->bytes -= newest->size - valid;
    newest->size = valid;
  }
  close(fd);
  return status == 1 ? 0 : status;
}

static int prepare(spool_t *spool, const char *directory, const char *name) {
  int status;
  int parent = mkdir(directory, 0700) != 0 && errno != EEXIST
                   ? -1
                   : open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (parent < 0)
    return -errno;
  status = mkdirat(parent, name, 0700) != 0 && errno != EEXIST ? -errno : 0;
  spool->dir = status != 0 ? -1 : openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  close(parent);
  if (status != 0)
    return status;
  if (spool->dir < 0 || flock(spool->dir, LOCK_EX | LOCK_NB) != 0)
    return -errno;
  if (fchmod(spool->dir, 0700) != 0) /* an older version may have created it readable by others */
    mcp_log(MCP_LOG_WARN, "spool", "cannot restrict access to %s/%s: %s", directory, name, strerror(errno));
  status = list_segments(spool);
  if (status == 0 && spool->count > 0)
    status = truncate_newest(spool);
  return status;
}

spool_t *spool_open(const char *directory, const char *name, int64_t max_bytes) {
  spool_t *spool = calloc(1, sizeof *spool);
  int status = MCP_ENOMEM;
  if (spool != NULL) {
    spool->dir = spool->writer = spool->reader = -1;
    spool->max_bytes = max_bytes;
    status = prepare(spool, directory, name);
  }
  if (status == 0)
    return spool;
  mcp_log(MCP_LOG_ERROR, "spool", "%s/%s: %s", directory, name,
          status == -EWOULDBLOCK ? "in use by another worker with this name (set GODOT_WORKER_NAME)"
                                 : uv_strerror(status));
  spool_close(spool);
  return NULL;
}

void spool_close(spool_t *spool) {
  if (spool == NULL)
    return;
  free_record(spool);
  free(spool->segments);
  if (spool->writer >= 0)
    close(spool->writer);
  if (spool->reader >= 0)
    close(spool->reader);
  if (spool->dir >= 0)
    close(spool->dir);
  free(spool);
}
