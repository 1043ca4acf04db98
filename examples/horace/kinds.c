/* kinds.c: see kinds.h.
 *
 * What a format's own bytes say decides, but two things they leave open. Text is text: that a note begins
 * with "P1" or "GIF89a" makes no picture of it, and a line of JSON may be a whole document or one of JSON
 * Lines. And an archive may be a document. There the name's extension decides, where it is one of the table
 * and of such bytes; a name makes no text of bytes that are none. Nothing else can be said of an empty file.
 */
#include "kinds.h"

#include <ctype.h>
#include <iccm_network.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define UNKNOWN "application/octet-stream"

enum { HEAD_BYTES = 64 * 1024 };

/* What the bytes of a file are, as far as they leave its kind open. */
enum bytes_are { TEXT, ZIP, OLE, STREAM, NOTHING, CLEAR };

static const struct {
  enum bytes_are bytes;
  const char *extension, *kind;
} by_extension[] = {
    {TEXT, "c", "text/x-c"},
    {TEXT, "cc", "text/x-c++"},
    {TEXT, "cfg", "text/plain"},
    {TEXT, "cjs", "text/javascript"},
    {TEXT, "conf", "text/plain"},
    {TEXT, "cpp", "text/x-c++"},
    {TEXT, "css", "text/css"},
    {TEXT, "csv", "text/csv"},
    {TEXT, "cts", "text/x-typescript"},
    {TEXT, "diff", "text/x-diff"},
    {TEXT, "eml", "message/rfc822"},
    {TEXT, "geojson", "application/geo+json"},
    {TEXT, "go", "text/x-go"},
    {TEXT, "h", "text/x-c"},
    {TEXT, "hpp", "text/x-c++"},
    {TEXT, "htm", "text/html"},
    {TEXT, "html", "text/html"},
    {TEXT, "ics", "text/calendar"},
    {TEXT, "ini", "text/plain"},
    {TEXT, "ipynb", "application/x-ipynb+json"},
    {TEXT, "java", "text/x-java"},
    {TEXT, "js", "text/javascript"},
    {TEXT, "json", "application/json"},
    {TEXT, "jsonl", "application/jsonl"},
    {TEXT, "log", "text/plain"},
    {TEXT, "lua", "text/x-lua"},
    {TEXT, "markdown", "text/markdown"},
    {TEXT, "md", "text/markdown"},
    {TEXT, "mjs", "text/javascript"},
    {TEXT, "mts", "text/x-typescript"},
    {TEXT, "ndjson", "application/jsonl"},
    {TEXT, "patch", "text/x-diff"},
    {TEXT, "php", "text/x-php"},
    {TEXT, "pl", "text/x-perl"},
    {TEXT, "py", "text/x-python"},
    {TEXT, "rb", "text/x-ruby"},
    {TEXT, "rs", "text/x-rust"},
    {TEXT, "rst", "text/x-rst"},
    {TEXT, "sh", "text/x-shellscript"},
    {TEXT, "sql", "application/sql"},
    {TEXT, "srt", "application/x-subrip"},
    {TEXT, "svg", "image/svg+xml"},
    {TEXT, "tex", "text/x-tex"},
    {TEXT, "text", "text/plain"},
    {TEXT, "toml", "application/toml"},
    {TEXT, "ts", "text/x-typescript"},
    {TEXT, "tsv", "text/tab-separated-values"},
    {TEXT, "tsx", "text/x-typescript"},
    {TEXT, "txt", "text/plain"},
    {TEXT, "vcf", "text/vcard"},
    {TEXT, "vtt", "text/vtt"},
    {TEXT, "xhtml", "application/xhtml+xml"},
    {TEXT, "xml", "application/xml"},
    {TEXT, "yaml", "application/yaml"},
    {TEXT, "yml", "application/yaml"},
    {ZIP, "apk", "application/vnd.android.package-archive"},
    {ZIP, "docm", "application/vnd.ms-word.document.macroenabled.12"},
    {ZIP, "docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"},
    {ZIP, "ear", "application/java-archive"},
    {ZIP, "epub", "application/epub+zip"},
    {ZIP, "jar", "application/java-archive"},
    {ZIP, "kmz", "application/vnd.google-earth.kmz"},
    {ZIP, "odg", "application/vnd.oasis.opendocument.graphics"},
    {ZIP, "odp", "application/vnd.oasis.opendocument.presentation"},
    {ZIP, "ods", "application/vnd.oasis.opendocument.spreadsheet"},
    {ZIP, "odt", "application/vnd.oasis.opendocument.text"},
    {ZIP, "pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"},
    {ZIP, "war", "application/java-archive"},
    {ZIP, "xlsm", "application/vnd.ms-excel.sheet.macroenabled.12"},
    {ZIP, "xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"},
    {ZIP, "xpi", "application/x-xpinstall"},
    {OLE, "doc", "application/msword"},
    {OLE, "msg", "application/vnd.ms-outlook"},
    {OLE, "ppt", "application/vnd.ms-powerpoint"},
    {OLE, "xls", "application/vnd.ms-excel"},
    {STREAM, "m2t", "video/mp2t"},
    {STREAM, "m2ts", "video/mp2t"},
    {STREAM, "mts", "video/mp2t"},
    {STREAM, "ts", "video/mp2t"},
};

bool kinds_open(kinds_t *kinds) {
  kinds->magic = magic_open(MAGIC_MIME | MAGIC_ERROR);
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

/* The kind, in small letters, and whether libmagic takes the bytes for text. */
static bool ask_magic(kinds_t *kinds, const char *head, size_t len, char kind[KIND_SIZE]) {
  pthread_mutex_lock(&kinds->mutex);
  const char *answer = magic_buffer(kinds->magic, head, len); /* "text/plain; charset=us-ascii" */
  snprintf(kind, KIND_SIZE, "%s", answer != NULL ? answer : UNKNOWN "; charset=binary");
  pthread_mutex_unlock(&kinds->mutex);
  bool text = strstr(kind, "; charset=") != NULL && strstr(kind, "; charset=binary") == NULL;
  kind[strcspn(kind, ";")] = '\0';
  for (char *at = kind; *at != '\0'; at++)
    *at = (char)tolower((unsigned char)*at);
  return text;
}

static bool begins(const char *head, size_t len, const char *with, size_t with_len) {
  return len >= with_len && memcmp(head, with, with_len) == 0;
}

/* MPEG's transport stream: packets of 188 bytes that begin with "G"; in M2TS each stands behind four bytes.
 */
static bool is_stream(const char *head, size_t len) {
  enum { PACKET = 188, MARK = 4, PACKETS = 3 };
  for (size_t mark = 0; mark <= MARK; mark += MARK) {
    size_t count = 0, at = mark;
    for (; at < len && head[at] == 'G'; at += PACKET + mark)
      count++;
    if (at >= len && count >= PACKETS)
      return true;
  }
  return false;
}

static enum bytes_are judge(const char *head, size_t len, bool text, const char *kind) {
  bool unknown = strcmp(kind, UNKNOWN) == 0;
  if (len == 0)
    return NOTHING;
  if (text || (len == 1 && isprint((unsigned char)*head))) /* libmagic takes one byte for too little */
    return TEXT;
  if ((begins(head, len, "PK\3\4", 4) || begins(head, len, "PK\5\6", 4)) &&
      (unknown || strcmp(kind, "application/zip") == 0 || strcmp(kind, "application/java-archive") == 0))
    return ZIP;
  if (begins(head, len, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 8) &&
      (unknown || strcmp(kind, "application/x-ole-storage") == 0 || strcmp(kind, "application/cdfv2") == 0))
    return OLE;
  return unknown && is_stream(head, len) ? STREAM : CLEAR;
}

static void decide(const char *path, enum bytes_are bytes, char kind[KIND_SIZE]) {
  char extension[EXTENSION_SIZE];
  kinds_extension(path, extension);
  static const char *const as_such[] = {
      [TEXT] = "text/plain", [ZIP] = "application/zip", [OLE] = "application/x-ole-storage"};
  if (bytes < sizeof as_such / sizeof *as_such && as_such[bytes] != NULL && strcmp(kind, UNKNOWN) == 0)
    snprintf(kind, KIND_SIZE, "%s", as_such[bytes]); /* libmagic's versions differ in what they recognise */
  for (size_t i = 0; bytes != CLEAR && i < sizeof by_extension / sizeof by_extension[0]; i++) {
    if ((bytes == NOTHING || bytes == by_extension[i].bytes) &&
        strcmp(by_extension[i].extension, extension) == 0) {
      snprintf(kind, KIND_SIZE, "%s", by_extension[i].kind);
      return;
    }
  }
}

void kinds_read(kinds_t *kinds, int file, const char *path, char kind[KIND_SIZE]) {
  char *head = malloc(HEAD_BYTES);
  ssize_t len = head != NULL ? pread(file, head, HEAD_BYTES, 0) : -1;
  snprintf(kind, KIND_SIZE, UNKNOWN);
  if (len >= 0) {
    bool text = ask_magic(kinds, head, (size_t)len, kind);
    decide(path, judge(head, (size_t)len, text, kind), kind);
  }
  free(head);
}
