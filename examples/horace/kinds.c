/* kinds.c: see kinds.h.
 *
 * The first bytes decide where they say something. Formats that are plain text, or that look like nothing, go
 * by their extension. */
#include "kinds.h"

#include <ctype.h>
#include <iccm_network.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { HEAD_BYTES = 64 * 1024 };

static const struct {
  const char *extension, *kind;
} by_extension[] = {
    {"css", "text/css"},
    {"csv", "text/csv"},
    {"htm", "text/html"},
    {"html", "text/html"},
    {"js", "text/javascript"},
    {"json", "application/json"},
    {"jsonl", "application/jsonl"},
    {"md", "text/markdown"},
    {"mjs", "text/javascript"},
    {"sql", "application/sql"},
    {"svg", "image/svg+xml"},
    {"toml", "application/toml"},
    {"ts", "text/x-typescript"},
    {"tsv", "text/tab-separated-values"},
    {"xml", "application/xml"},
    {"yaml", "application/yaml"},
    {"yml", "application/yaml"},
};

bool kinds_open(kinds_t *kinds) {
  kinds->magic = magic_open(MAGIC_MIME_TYPE | MAGIC_ERROR);
  if (kinds->magic != NULL && magic_load(kinds->magic, NULL) == 0) {
    pthread_mutex_init(&kinds->mutex, NULL);
    return true;
  }
  mcp_log(MCP_LOG_ERROR, "kinds", "the table of file types cannot be read: %s",
          kinds->magic != NULL ? magic_error(kinds->magic) : "no memory");
  magic_close(kinds->magic);
  return false;
}

void kinds_close(kinds_t *kinds) {
  magic_close(kinds->magic);
  pthread_mutex_destroy(&kinds->mutex);
}

void kinds_extension(const char *path, char extension[EXTENSION_SIZE]) {
  const char *name = strrchr(path, '/');
  name = name != NULL ? name + 1 : path;
  const char *dot = strrchr(name, '.');
  size_t len = dot != NULL && dot != name ? strlen(dot + 1) : 0;
  if (len >= EXTENSION_SIZE)
    len = 0;
  for (size_t i = 0; i < len; i++)
    extension[i] = (char)tolower((unsigned char)dot[1 + i]);
  extension[len] = '\0';
}

static void ask_magic(kinds_t *kinds, const char *head, size_t len, char kind[KIND_SIZE]) {
  pthread_mutex_lock(&kinds->mutex);
  const char *answer = magic_buffer(kinds->magic, head, len);
  snprintf(kind, KIND_SIZE, "%s", answer != NULL ? answer : "application/octet-stream");
  pthread_mutex_unlock(&kinds->mutex);
}

void kinds_read(kinds_t *kinds, int file, const char *path, char kind[KIND_SIZE]) {
  char extension[EXTENSION_SIZE];
  char *head = malloc(HEAD_BYTES);
  ssize_t len = head != NULL ? pread(file, head, HEAD_BYTES, 0) : -1;
  snprintf(kind, KIND_SIZE, "application/octet-stream");
  if (len >= 0)
    ask_magic(kinds, head, (size_t)len, kind);
  free(head);
  if (strncmp(kind, "text/", 5) != 0 && strcmp(kind, "application/octet-stream") != 0)
    return;
  kinds_extension(path, extension);
  for (size_t i = 0; i < sizeof by_extension / sizeof by_extension[0]; i++)
    if (strcmp(by_extension[i].extension, extension) == 0)
      snprintf(kind, KIND_SIZE, "%s", by_extension[i].kind);
}
