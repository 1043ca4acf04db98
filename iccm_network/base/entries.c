/* entries.c: the entries of a JSON array, or of a file of JSON Lines, one at a time from a descriptor.
 *
 * Happy path: the file begins with [ (an array) or with { (values one after the other). The end of each entry
 * is found by counting brackets outside of strings; the entry alone is then parsed. So no more than the
 * largest entry is in memory, twice at most, and the file may change while it is read: what was read counts.
 *
 * Failure: whatever is not an object, not JSON, too large, too deep or too much ends the list with a problem
 * that names the entry by its number. */
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
  MARK_BYTES = 3,
  MAX_BYTES = 200 * 1024 * 1024, /* of the file */
  MAX_COUNT = 1000 * 1000,
  ENTRY_MAX_BYTES = 16 * 1024 * 1024,
  ENTRY_MAX_DEPTH = 56 /* so that a message with it is no deeper than peers read */
};

struct mcp_json_reader {
  int file; /* owned */
  char *bytes;
  size_t begin, end, capacity; /* what was read and not given yet stands from begin to end */
  size_t read;                 /* from the file so far */
  size_t count;                /* of entries given */
  size_t line;                 /* that begin stands in, from 1 */
  bool started, array, ended;  /* the list */
  bool at_end;                 /* of the file */
  yyjson_doc *doc;             /* the entry given last */
  char problem[256];           /* why there are no more; empty: that is all */
};

mcp_json_reader_t *mcp_json_reader_new(int file) {
  mcp_json_reader_t *entries = mcp__calloc(sizeof *entries);
  if (entries == NULL) {
    close(file);
    return NULL;
  }
  entries->file = file;
  entries->line = 1;
  return entries;
}

void mcp_json_reader_free(mcp_json_reader_t *entries) {
  if (entries == NULL)
    return;
  yyjson_doc_free(entries->doc);
  mcp__free(entries->bytes);
  close(entries->file);
  mcp__free(entries);
}

const char *mcp_json_reader_error(const mcp_json_reader_t *entries) {
  return entries->problem[0] != '\0' ? entries->problem : NULL;
}

static bool fail(mcp_json_reader_t *entries, const char *reason) {
  snprintf(entries->problem, sizeof entries->problem, "entry %zu, line %zu, %s", entries->count + 1,
           entries->line, reason);
  return false;
}

/* Steps over bytes. */
static void pass(mcp_json_reader_t *entries, size_t len) {
  const char *at = entries->bytes + entries->begin, *end = at + len;
  entries->begin += len;
  while ((at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
    entries->line++;
    at++;
  }
}

static const char no_memory[] = "needs more memory than there is";

/* ---- Reading ---- */

/* Makes room behind end: by moving what is left to the front, else by twice the memory. */
static bool make_room(mcp_json_reader_t *entries) {
  if (entries->begin > 0) {
    memmove(entries->bytes, entries->bytes + entries->begin, entries->end - entries->begin);
    entries->end -= entries->begin;
    entries->begin = 0;
  }
  if (entries->end < entries->capacity)
    return true;
  if (entries->end > ENTRY_MAX_BYTES)
    return fail(entries, "is larger than 16 MiB");
  size_t capacity = entries->capacity > 0 ? entries->capacity * 2 : FIRST_CAPACITY;
  char *bytes = mcp__realloc(entries->bytes, capacity);
  if (bytes == NULL)
    return fail(entries, no_memory);
  entries->bytes = bytes;
  entries->capacity = capacity;
  return true;
}

/* Reads more; at the end of the file there is none, and at_end is set. */
static bool read_more(mcp_json_reader_t *entries) {
  ssize_t got;
  if (!make_room(entries))
    return false;
  do
    got = read(entries->file, entries->bytes + entries->end, entries->capacity - entries->end);
  while (got < 0 && errno == EINTR);
  if (got < 0)
    return fail(entries, "cannot be read");
  entries->at_end = got == 0;
  entries->end += (size_t)got;
  entries->read += (size_t)got;
  if (entries->read <= MAX_BYTES)
    return true;
  snprintf(entries->problem, sizeof entries->problem, "the file is larger than 200 MiB");
  return false;
}

enum { NO_BYTE = -1 };

/* The next byte that is no blank, which begin then points to, or NO_BYTE. */
static int skip_blanks(mcp_json_reader_t *entries) {
  for (;;) {
    while (entries->begin < entries->end) {
      char c = entries->bytes[entries->begin];
      if (c == '\0' || strchr(" \t\r\n", c) == NULL)
        return (unsigned char)c;
      pass(entries, 1);
    }
    if (entries->at_end || !read_more(entries) || entries->at_end)
      return NO_BYTE;
  }
}

/* A byte order mark at the beginning of the file. */
static void skip_mark(mcp_json_reader_t *entries) {
  bool more = true;
  while (more && entries->end - entries->begin < MARK_BYTES && !entries->at_end)
    more = read_more(entries);
  if (entries->bytes != NULL)
    entries->begin += mcp_bom_length(entries->bytes + entries->begin, entries->end - entries->begin);
}

/* ---- One entry ---- */

/* A place inside of an entry. */
typedef struct place {
  int depth;
  bool in_string, escaped;
} place_t;

/* Whether the entry ends with this byte. */
static bool ends_with(place_t *place, char c) {
  if (place->in_string) {
    if (place->escaped)
      place->escaped = false;
    else if (c == '\\')
      place->escaped = true;
    else if (c == '"')
      place->in_string = false;
    return false;
  }
  if (c == '"')
    place->in_string = true;
  else if (c == '{' || c == '[')
    place->depth++;
  else if (c == '}' || c == ']')
    place->depth--;
  return place->depth == 0;
}

/* The length of the entry at begin; 0: it does not end, or not soon enough. */
static size_t find_end(mcp_json_reader_t *entries) {
  place_t place = {.depth = 0};
  for (size_t at = 0;; at++) {
    if (at == ENTRY_MAX_BYTES)
      return fail(entries, "is larger than 16 MiB");
    if (entries->begin + at == entries->end) {
      if (!read_more(entries))
        return 0;
      if (entries->at_end)
        return fail(entries, "does not end");
    }
    if (ends_with(&place, entries->bytes[entries->begin + at]))
      return at + 1;
    if (place.depth > ENTRY_MAX_DEPTH)
      return fail(entries, "is nested too deeply");
  }
}

static void fail_to_parse(mcp_json_reader_t *entries, const mcp__json_error_t *error) {
  char reason[160];
  snprintf(reason, sizeof reason, "is no valid JSON: %s",
           error->detail != NULL ? error->detail : error->words);
  pass(entries, error->at);
  fail(entries, reason);
}

static yyjson_val *parse(mcp_json_reader_t *entries, size_t len) {
  mcp__json_error_t error;
  char *text = entries->bytes + entries->begin;
  mcp__mend_escapes(text, len, true);
  entries->doc = mcp__json_read(text, len, &mcp__json_alc, &error);
  if (entries->doc == NULL && error.status == UV_ENOMEM)
    fail(entries, no_memory);
  else if (entries->doc == NULL)
    fail_to_parse(entries, &error);
  else
    pass(entries, len);
  entries->count += entries->doc != NULL;
  return yyjson_doc_get_root(entries->doc);
}

/* ---- The list ---- */

/* Steps over the bracket or comma before an entry. False: there is no entry. */
static bool step_to_entry(mcp_json_reader_t *entries) {
  if (!entries->started)
    skip_mark(entries);
  int c = skip_blanks(entries);
  if (!entries->started) {
    entries->started = true;
    entries->array = c == '[';
    if (entries->array) {
      entries->begin++;
      return skip_blanks(entries) != ']' || (entries->begin++, false);
    }
  } else if (entries->array) {
    if (c != ',' && c != ']')
      return entries->problem[0] == '\0' &&
             fail(entries, c == NO_BYTE ? "is missing, or the end of the array" : "is not parted by a comma");
    entries->begin++;
    return c == ',';
  }
  return c != NO_BYTE;
}

/* Behind the end there is nothing. */
static void expect_end(mcp_json_reader_t *entries) {
  if (entries->problem[0] == '\0' && skip_blanks(entries) != NO_BYTE)
    fail(entries, "stands behind the end of the array");
}

yyjson_val *mcp_json_reader_next(mcp_json_reader_t *entries, const char **text, size_t *len) {
  yyjson_doc_free(entries->doc);
  entries->doc = NULL;
  if (entries->ended || entries->problem[0] != '\0')
    return NULL;
  if (!step_to_entry(entries)) {
    entries->ended = true;
    expect_end(entries);
    return NULL;
  }
  int c = skip_blanks(entries);
  if (entries->problem[0] == '\0' && c != '{')
    fail(entries, "is not an object: expected is a JSON array of objects, or one object a line");
  if (entries->count == MAX_COUNT)
    fail(entries, "is one too many: 1,000,000 are taken");
  size_t bytes = entries->problem[0] == '\0' ? find_end(entries) : 0;
  if (bytes == 0)
    return NULL;
  if (text != NULL) {
    *text = entries->bytes + entries->begin;
    *len = bytes;
  }
  return parse(entries, bytes);
}
