/* json_reader.c: reads the entries of a JSON array, or of a JSON Lines file, one at a time from a descriptor.
 *
 * Happy path: the file begins with [ (an array) or with { (a sequence of values). The end of an entry is
 * found by counting brackets outside of strings; then only that entry is parsed. At most twice the largest
 * entry is in memory, and the file may change while it is read.
 *
 * Failure: an entry that is not an object, not JSON, too large or too deep, or one entry too many, ends the
 * list with an error that names the entry by its number. */
#include "base/surrogates.h"
#include "base/json.h"
#include "iccm_service.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

enum {
  FIRST_CAPACITY = 64 * 1024,
  BOM_BYTES = 3,
  MAX_BYTES = 200 * 1024 * 1024, /* of the file */
  MAX_COUNT = 1000 * 1000,
  ENTRY_MAX_BYTES = 16 * 1024 * 1024,
  ENTRY_MAX_DEPTH = 56 /* a message that contains it is no deeper than peers accept */
};

struct mcp_json_reader {
  int file; /* owned */
  char *bytes;
  /* The bytes read but not yet returned are from begin to end. */
  size_t begin, end, capacity;
  size_t total_read; /* bytes read from the file so far */
  size_t count;      /* entries returned */
  size_t line;       /* line number of begin, from 1 */
  bool list_started, is_array, list_ended;
  bool end_of_file;
  yyjson_doc *doc; /* of the entry returned last */
  char error[256]; /* why the list ended; empty: no error */
};

mcp_json_reader_t *mcp_json_reader_new(int file) {
  mcp_json_reader_t *reader = mcp__calloc(sizeof *reader);
  if (reader == NULL) {
    close(file);
    return NULL;
  }
  reader->file = file;
  reader->line = 1;
  return reader;
}

void mcp_json_reader_free(mcp_json_reader_t *reader) {
  if (reader == NULL)
    return;
  yyjson_doc_free(reader->doc);
  mcp__free(reader->bytes);
  close(reader->file);
  mcp__free(reader);
}

const char *mcp_json_reader_error(const mcp_json_reader_t *reader) {
  return reader->error[0] != '\0' ? reader->error : NULL;
}

static bool fail(mcp_json_reader_t *reader, const char *reason) {
  snprintf(reader->error, sizeof reader->error, "entry %zu, line %zu, %s", reader->count + 1, reader->line,
           reason);
  return false;
}

/* Advances begin by len bytes and counts lines. */
static void advance(mcp_json_reader_t *reader, size_t len) {
  const char *at = reader->bytes + reader->begin, *end = at + len;
  reader->begin += len;
  while ((at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
    reader->line++;
    at++;
  }
}

static const char no_memory[] = "cannot be read: out of memory";

/* ---- Reading ---- */

/* Makes room after end: moves the remaining bytes to the front, or doubles the buffer. */
static bool make_room(mcp_json_reader_t *reader) {
  if (reader->begin > 0) {
    memmove(reader->bytes, reader->bytes + reader->begin, reader->end - reader->begin);
    reader->end -= reader->begin;
    reader->begin = 0;
  }
  if (reader->end < reader->capacity)
    return true;
  if (reader->end > ENTRY_MAX_BYTES)
    return fail(reader, "is larger than 16 MiB");
  size_t capacity = reader->capacity > 0 ? reader->capacity * 2 : FIRST_CAPACITY;
  char *bytes = mcp__realloc(reader->bytes, capacity);
  if (bytes == NULL)
    return fail(reader, no_memory);
  reader->bytes = bytes;
  reader->capacity = capacity;
  return true;
}

/* Reads more bytes; sets end_of_file at the end of the file. */
static bool read_more(mcp_json_reader_t *reader) {
  ssize_t got;
  if (!make_room(reader))
    return false;
  do
    got = read(reader->file, reader->bytes + reader->end, reader->capacity - reader->end);
  while (got < 0 && errno == EINTR);
  if (got < 0)
    return fail(reader, "cannot be read");
  reader->end_of_file = got == 0;
  reader->end += (size_t)got;
  reader->total_read += (size_t)got;
  if (reader->total_read <= MAX_BYTES)
    return true;
  snprintf(reader->error, sizeof reader->error, "the file is larger than 200 MiB");
  return false;
}

enum { NO_BYTE = -1 };

/* The next byte that is not whitespace, at begin; or NO_BYTE. */
static int skip_whitespace(mcp_json_reader_t *reader) {
  for (;;) {
    while (reader->begin < reader->end) {
      char c = reader->bytes[reader->begin];
      if (c == '\0' || strchr(" \t\r\n", c) == NULL)
        return (unsigned char)c;
      advance(reader, 1);
    }
    if (reader->end_of_file || !read_more(reader) || reader->end_of_file)
      return NO_BYTE;
  }
}

/* Skips a byte order mark at the beginning of the file. */
static void skip_bom(mcp_json_reader_t *reader) {
  bool more = true;
  while (more && reader->end - reader->begin < BOM_BYTES && !reader->end_of_file)
    more = read_more(reader);
  if (reader->bytes != NULL)
    reader->begin += mcp_bom_length(reader->bytes + reader->begin, reader->end - reader->begin);
}

/* ---- One entry ---- */

/* The scanner's state within an entry. */
typedef struct state {
  int depth;
  bool in_string, escaped;
} scan_state_t;

/* Whether the entry ends with this byte. */
static bool ends_entry(scan_state_t *state, char c) {
  if (state->in_string) {
    if (state->escaped)
      state->escaped = false;
    else if (c == '\\')
      state->escaped = true;
    else if (c == '"')
      state->in_string = false;
    return false;
  }
  if (c == '"')
    state->in_string = true;
  else if (c == '{' || c == '[')
    state->depth++;
  else if (c == '}' || c == ']')
    state->depth--;
  return state->depth == 0;
}

/* The length of the entry at begin; 0: it is incomplete or too large. */
static size_t find_end(mcp_json_reader_t *reader) {
  scan_state_t state = {.depth = 0};
  for (size_t at = 0;; at++) {
    if (at == ENTRY_MAX_BYTES)
      return fail(reader, "is larger than 16 MiB");
    if (reader->begin + at == reader->end) {
      if (!read_more(reader))
        return 0;
      if (reader->end_of_file)
        return fail(reader, "is incomplete");
    }
    if (ends_entry(&state, reader->bytes[reader->begin + at]))
      return at + 1;
    if (state.depth > ENTRY_MAX_DEPTH)
      return fail(reader, "is nested too deeply");
  }
}

static void fail_parse(mcp_json_reader_t *reader, const mcp__json_error_t *error) {
  char reason[160];
  snprintf(reason, sizeof reason, "is not valid JSON: %s",
           error->detail != NULL ? error->detail : error->message);
  advance(reader, error->at);
  fail(reader, reason);
}

static yyjson_val *parse(mcp_json_reader_t *reader, size_t len) {
  mcp__json_error_t error;
  char *text = reader->bytes + reader->begin;
  mcp__replace_lone_surrogates(text, len, true);
  reader->doc = mcp__json_read(text, len, &mcp__json_alc, &error);
  if (reader->doc == NULL && error.status == UV_ENOMEM)
    fail(reader, no_memory);
  else if (reader->doc == NULL)
    fail_parse(reader, &error);
  else
    advance(reader, len);
  reader->count += reader->doc != NULL;
  return yyjson_doc_get_root(reader->doc);
}

/* ---- The list ---- */

/* Skips the bracket or comma before an entry. False: there is no further entry. */
static bool skip_to_entry(mcp_json_reader_t *reader) {
  if (!reader->list_started)
    skip_bom(reader);
  int c = skip_whitespace(reader);
  if (!reader->list_started) {
    reader->list_started = true;
    reader->is_array = c == '[';
    if (reader->is_array) {
      reader->begin++;
      return skip_whitespace(reader) != ']' || (reader->begin++, false);
    }
  } else if (reader->is_array) {
    if (c != ',' && c != ']')
      return reader->error[0] == '\0' &&
             fail(reader, c == NO_BYTE ? "is missing: expected a comma or the end of the array"
                                       : "does not follow a comma");
    reader->begin++;
    return c == ',';
  }
  return c != NO_BYTE;
}

/* Only whitespace may follow the end. */
static void expect_end(mcp_json_reader_t *reader) {
  if (reader->error[0] == '\0' && skip_whitespace(reader) != NO_BYTE)
    fail(reader, "follows the end of the array");
}

yyjson_val *mcp_json_reader_next(mcp_json_reader_t *reader, const char **text, size_t *len) {
  yyjson_doc_free(reader->doc);
  reader->doc = NULL;
  if (reader->list_ended || reader->error[0] != '\0')
    return NULL;
  if (!skip_to_entry(reader)) {
    reader->list_ended = true;
    expect_end(reader);
    return NULL;
  }
  int c = skip_whitespace(reader);
  if (reader->error[0] == '\0' && c != '{')
    fail(reader, "is not an object; expected a JSON array of objects or one object per line");
  if (reader->count == MAX_COUNT)
    fail(reader, "exceeds the limit of 1,000,000 entries");
  size_t bytes = reader->error[0] == '\0' ? find_end(reader) : 0;
  if (bytes == 0)
    return NULL;
  if (text != NULL) {
    *text = reader->bytes + reader->begin;
    *len = bytes;
  }
  return parse(reader, bytes);
}
