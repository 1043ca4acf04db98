/* mime.c: see mime.h.
 *
 * libmagic decides by the bytes, except in two cases. Text stays text: a note that begins with "P1" or
 * "GIF89a" is no picture, and a line of JSON may be a document or JSON Lines. An archive may be a
 * document. In these cases, and for an empty file, the extension decides, if the table has it for that
 * kind of bytes; an extension never makes text of binary data. */
#include "mime.h"

#include <ctype.h>
#include <iccm_network.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define UNKNOWN "application/octet-stream"

enum { HEAD_BYTES = 64 * 1024 };

/* The kinds of content whose MIME type the extension decides. */
enum mime_content { CONTENT_TEXT, CONTENT_ZIP, CONTENT_OLE, CONTENT_MPEG_TS, CONTENT_EMPTY, CONTENT_KNOWN };

static const struct {
  enum mime_content content;
  const char *extension, *mime_type;
} by_extension[] = {
    {CONTENT_TEXT, "c", "text/x-c"},
    {CONTENT_TEXT, "cc", "text/x-c++"},
    {CONTENT_TEXT, "cfg", "text/plain"},
    {CONTENT_TEXT, "cjs", "text/javascript"},
    {CONTENT_TEXT, "conf", "text/plain"},
    {CONTENT_TEXT, "cpp", "text/x-c++"},
    {CONTENT_TEXT, "css", "text/css"},
    {CONTENT_TEXT, "csv", "text/csv"},
    {CONTENT_TEXT, "cts", "text/x-typescript"},
    {CONTENT_TEXT, "diff", "text/x-diff"},
    {CONTENT_TEXT, "eml", "message/rfc822"},
    {CONTENT_TEXT, "geojson", "application/geo+json"},
    {CONTENT_TEXT, "go", "text/x-go"},
    {CONTENT_TEXT, "h", "text/x-c"},
    {CONTENT_TEXT, "hpp", "text/x-c++"},
    {CONTENT_TEXT, "htm", "text/html"},
    {CONTENT_TEXT, "html", "text/html"},
    {CONTENT_TEXT, "ics", "text/calendar"},
    {CONTENT_TEXT, "ini", "text/plain"},
    {CONTENT_TEXT, "ipynb", "application/x-ipynb+json"},
    {CONTENT_TEXT, "java", "text/x-java"},
    {CONTENT_TEXT, "js", "text/javascript"},
    {CONTENT_TEXT, "json", "application/json"},
    {CONTENT_TEXT, "jsonl", "application/jsonl"},
    {CONTENT_TEXT, "log", "text/plain"},
    {CONTENT_TEXT, "lua", "text/x-lua"},
    {CONTENT_TEXT, "markdown", "text/markdown"},
    {CONTENT_TEXT, "md", "text/markdown"},
    {CONTENT_TEXT, "mjs", "text/javascript"},
    {CONTENT_TEXT, "mts", "text/x-typescript"},
    {CONTENT_TEXT, "ndjson", "application/jsonl"},
    {CONTENT_TEXT, "patch", "text/x-diff"},
    {CONTENT_TEXT, "php", "text/x-php"},
    {CONTENT_TEXT, "pl", "text/x-perl"},
    {CONTENT_TEXT, "py", "text/x-python"},
    {CONTENT_TEXT, "rb", "text/x-ruby"},
    {CONTENT_TEXT, "rs", "text/x-rust"},
    {CONTENT_TEXT, "rst", "text/x-rst"},
    {CONTENT_TEXT, "sh", "text/x-shellscript"},
    {CONTENT_TEXT, "sql", "application/sql"},
    {CONTENT_TEXT, "srt", "application/x-subrip"},
    {CONTENT_TEXT, "svg", "image/svg+xml"},
    {CONTENT_TEXT, "tex", "text/x-tex"},
    {CONTENT_TEXT, "text", "text/plain"},
    {CONTENT_TEXT, "toml", "application/toml"},
    {CONTENT_TEXT, "ts", "text/x-typescript"},
    {CONTENT_TEXT, "tsv", "text/tab-separated-values"},
    {CONTENT_TEXT, "tsx", "text/x-typescript"},
    {CONTENT_TEXT, "txt", "text/plain"},
    {CONTENT_TEXT, "vcf", "text/vcard"},
    {CONTENT_TEXT, "vtt", "text/vtt"},
    {CONTENT_TEXT, "xhtml", "application/xhtml+xml"},
    {CONTENT_TEXT, "xml", "application/xml"},
    {CONTENT_TEXT, "yaml", "application/yaml"},
    {CONTENT_TEXT, "yml", "application/yaml"},
    {CONTENT_ZIP, "apk", "application/vnd.android.package-archive"},
    {CONTENT_ZIP, "docm", "application/vnd.ms-word.document.macroenabled.12"},
    {CONTENT_ZIP, "docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"},
    {CONTENT_ZIP, "ear", "application/java-archive"},
    {CONTENT_ZIP, "epub", "application/epub+zip"},
    {CONTENT_ZIP, "jar", "application/java-archive"},
    {CONTENT_ZIP, "kmz", "application/vnd.google-earth.kmz"},
    {CONTENT_ZIP, "odg", "application/vnd.oasis.opendocument.graphics"},
    {CONTENT_ZIP, "odp", "application/vnd.oasis.opendocument.presentation"},
    {CONTENT_ZIP, "ods", "application/vnd.oasis.opendocument.spreadsheet"},
    {CONTENT_ZIP, "odt", "application/vnd.oasis.opendocument.text"},
    {CONTENT_ZIP, "pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"},
    {CONTENT_ZIP, "war", "application/java-archive"},
    {CONTENT_ZIP, "xlsm", "application/vnd.ms-excel.sheet.macroenabled.12"},
    {CONTENT_ZIP, "xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"},
    {CONTENT_ZIP, "xpi", "application/x-xpinstall"},
    {CONTENT_OLE, "doc", "application/msword"},
    {CONTENT_OLE, "msg", "application/vnd.ms-outlook"},
    {CONTENT_OLE, "ppt", "application/vnd.ms-powerpoint"},
    {CONTENT_OLE, "xls", "application/vnd.ms-excel"},
    {CONTENT_MPEG_TS, "m2t", "video/mp2t"},
    {CONTENT_MPEG_TS, "m2ts", "video/mp2t"},
    {CONTENT_MPEG_TS, "mts", "video/mp2t"},
    {CONTENT_MPEG_TS, "ts", "video/mp2t"},
};

bool mime_open(mime_detector_t *detector) {
  detector->magic = magic_open(MAGIC_MIME | MAGIC_ERROR);
  if (detector->magic != NULL && magic_load(detector->magic, NULL) == 0) {
    pthread_mutex_init(&detector->mutex, NULL);
    return true;
  }
  mcp_log(MCP_LOG_ERROR, "mime", "cannot read libmagic's database: %s",
          detector->magic != NULL ? magic_error(detector->magic) : "out of memory");
  magic_close(detector->magic);
  return false;
}

void mime_close(mime_detector_t *detector) {
  magic_close(detector->magic);
  pthread_mutex_destroy(&detector->mutex);
}

void mime_extension(const char *path, char extension[MIME_EXTENSION_SIZE]) {
  const char *name = strrchr(path, '/');
  name = name != NULL ? name + 1 : path;
  const char *dot = strrchr(name, '.');
  size_t len = dot != NULL && dot != name ? strlen(dot + 1) : 0;
  if (len >= MIME_EXTENSION_SIZE)
    len = 0;
  for (size_t i = 0; i < len; i++)
    extension[i] = (char)tolower((unsigned char)dot[1 + i]);
  extension[len] = '\0';
}

/* Writes the MIME type in lower case. Returns true if libmagic considers the bytes text. */
static bool run_libmagic(mime_detector_t *detector, const char *head, size_t len,
                         char mime_type[MIME_TYPE_SIZE]) {
  pthread_mutex_lock(&detector->mutex);
  const char *description = magic_buffer(detector->magic, head, len); /* "text/plain; charset=us-ascii" */
  snprintf(mime_type, MIME_TYPE_SIZE, "%s", description != NULL ? description : UNKNOWN "; charset=binary");
  pthread_mutex_unlock(&detector->mutex);
  bool text = strstr(mime_type, "; charset=") != NULL && strstr(mime_type, "; charset=binary") == NULL;
  mime_type[strcspn(mime_type, ";")] = '\0';
  for (char *at = mime_type; *at != '\0'; at++)
    *at = (char)tolower((unsigned char)*at);
  return text;
}

static bool begins(const char *head, size_t len, const char *with, size_t with_len) {
  return len >= with_len && memcmp(head, with, with_len) == 0;
}

/* MPEG transport stream: packets of 188 bytes that begin with "G"; in M2TS each follows four bytes. */
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

static enum mime_content classify(const char *head, size_t len, bool text, const char *mime_type) {
  bool unknown = strcmp(mime_type, UNKNOWN) == 0;
  if (len == 0)
    return CONTENT_EMPTY;
  if (text || (len == 1 && isprint((unsigned char)*head))) /* libmagic does not classify a single byte */
    return CONTENT_TEXT;
  if ((begins(head, len, "PK\3\4", 4) || begins(head, len, "PK\5\6", 4)) &&
      (unknown || strcmp(mime_type, "application/zip") == 0 ||
       strcmp(mime_type, "application/java-archive") == 0))
    return CONTENT_ZIP;
  if (begins(head, len, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 8) &&
      (unknown || strcmp(mime_type, "application/x-ole-storage") == 0 ||
       strcmp(mime_type, "application/cdfv2") == 0))
    return CONTENT_OLE;
  return unknown && is_stream(head, len) ? CONTENT_MPEG_TS : CONTENT_KNOWN;
}

static void apply_extension(const char *path, enum mime_content content, char mime_type[MIME_TYPE_SIZE]) {
  char extension[MIME_EXTENSION_SIZE];
  mime_extension(path, extension);
  static const char *const mime_type_of[] = {[CONTENT_TEXT] = "text/plain",
                                             [CONTENT_ZIP] = "application/zip",
                                             [CONTENT_OLE] = "application/x-ole-storage"};
  if (content < sizeof mime_type_of / sizeof *mime_type_of && mime_type_of[content] != NULL &&
      strcmp(mime_type, UNKNOWN) == 0)
    snprintf(mime_type, MIME_TYPE_SIZE, "%s",
             mime_type_of[content]); /* versions of libmagic differ in what they recognise */
  for (size_t i = 0; content != CONTENT_KNOWN && i < sizeof by_extension / sizeof by_extension[0]; i++) {
    if ((content == CONTENT_EMPTY || content == by_extension[i].content) &&
        strcmp(by_extension[i].extension, extension) == 0) {
      snprintf(mime_type, MIME_TYPE_SIZE, "%s", by_extension[i].mime_type);
      return;
    }
  }
}

void mime_detect(mime_detector_t *detector, int file, const char *path, char mime_type[MIME_TYPE_SIZE]) {
  char *head = malloc(HEAD_BYTES);
  ssize_t len = head != NULL ? pread(file, head, HEAD_BYTES, 0) : -1;
  snprintf(mime_type, MIME_TYPE_SIZE, UNKNOWN);
  if (len >= 0) {
    bool text = run_libmagic(detector, head, (size_t)len, mime_type);
    apply_extension(path, classify(head, (size_t)len, text, mime_type), mime_type);
  }
  free(head);
}
