/* json.c: see json.h.
 *
 * Text in a peer's response, in a file or in a database may contain JSON again, and each such text needs the
 * same limits: yyjson reads any depth, and functions that copy or compare values recurse. Therefore all JSON
 * is read here. A lone surrogate becomes U+FFFD: peers whose strings can hold one send it, and one such
 * character must not make the text unreadable. A UTF-8 byte order mark at the beginning is skipped. Failure:
 * text that is not JSON, is nested too deeply, has too many values, or does not fit into memory is not read
 * at all. */
#include "base/json.h"

#include "base/error.h"
#include "base/surrogates.h"
#include "iccm_service.h"

#include <string.h>
#include <uv.h>

/* yyjson stores its values in one flat array in which each container knows its end, so measuring the depth
 * needs no recursion. */
static bool too_deep(yyjson_doc *doc) {
  size_t count = yyjson_doc_get_val_count(doc), depth = 0;
  if (count <= MCP__JSON_MAX_DEPTH)
    return false;
  yyjson_val *root = yyjson_doc_get_root(doc);
  yyjson_val *ends[MCP__JSON_MAX_DEPTH], *end = root + count;
  for (yyjson_val *value = root; value < end; value++) {
    while (depth > 0 && value >= ends[depth - 1])
      depth--;
    if (yyjson_is_ctn(value)) {
      if (depth == MCP__JSON_MAX_DEPTH)
        return true;
      ends[depth++] = unsafe_yyjson_get_next(value);
    }
  }
  return false;
}

static yyjson_doc *fail(yyjson_doc *doc, const char *message, mcp__json_error_t *error) {
  yyjson_doc_free(doc);
  *error = (mcp__json_error_t){.status = MCP_PARSE_ERROR, .message = message};
  return NULL;
}

size_t mcp_bom_length(const char *text, size_t len) {
  static const char bom[] = "\xef\xbb\xbf"; /* U+FEFF */
  size_t size = sizeof bom - 1;
  return len >= size && memcmp(text, bom, size) == 0 ? size : 0;
}

static yyjson_doc *read(char *text, size_t len, yyjson_read_flag flags, const yyjson_alc *alc,
                        mcp__json_error_t *error, yyjson_read_err *found) {
  size_t start = mcp_bom_length(text, len);
  char *json = start > 0 ? text + start : text; /* json may be NULL */
  yyjson_doc *doc = yyjson_read_opts(json, len - start, flags | YYJSON_READ_BIGNUM_AS_RAW, alc, found);
  if (doc != NULL)
    return too_deep(doc) ? fail(doc, "nested deeper than 64 levels", error) : doc;
  fail(NULL, "not valid JSON", error);
  error->detail = found->msg;
  error->at = start + found->pos;
  if (found->code == YYJSON_READ_ERROR_MEMORY_ALLOCATION)
    *error = (mcp__json_error_t){.status = UV_ENOMEM, .message = "out of memory"};
  return NULL;
}

/* Reads a copy in which lone surrogates are replaced, since these may be the error. */
static yyjson_doc *read_replacing_surrogates(const char *text, size_t len, const yyjson_alc *alc,
                                             mcp__json_error_t *error) {
  yyjson_read_err found;
  char *copy = mcp__malloc(len + 1);
  if (copy == NULL) {
    *error = (mcp__json_error_t){.status = UV_ENOMEM, .message = "out of memory"};
    return NULL;
  }
  memcpy(copy, text, len);
  mcp__replace_lone_surrogates(copy, len, false);
  yyjson_doc *doc = read(copy, len, 0, alc, error, &found);
  mcp__free(copy);
  return doc;
}

yyjson_doc *mcp__json_read(const char *text, size_t len, const yyjson_alc *alc, mcp__json_error_t *error) {
  yyjson_read_err found = {0};
  yyjson_doc *doc =
      read((char *)(uintptr_t)text, len, 0, alc, error, &found); /* not in place: text is not changed */
  if (doc == NULL && found.code == YYJSON_READ_ERROR_INVALID_STRING)
    doc = read_replacing_surrogates(text, len, alc, error);
  if (yyjson_doc_get_val_count(doc) > MCP__JSON_MAX_VALUES)
    return fail(doc, "more than 12,500,000 values", error);
  return doc;
}

yyjson_doc *mcp__json_read_in_place(char *text, size_t len, const yyjson_alc *alc, mcp__json_error_t *error) {
  yyjson_read_err found;
  /* Before reading: a failed read leaves the text partly changed. */
  mcp__replace_lone_surrogates(text, len, false);
  return read(text, len, YYJSON_READ_INSITU, alc, error, &found);
}

void mcp__json_set_last_error(const mcp__json_error_t *error) {
  if (error->detail != NULL)
    mcp__set_last_error("%s at byte %zu: %s", error->message, error->at + 1, error->detail);
  else
    mcp__set_last_error("%s", error->message);
}

yyjson_doc *mcp_json_read(const char *text, size_t len) {
  mcp__json_error_t error;
  yyjson_doc *doc = mcp__json_read(text, len, &mcp__json_alc, &error);
  if (doc == NULL)
    mcp__json_set_last_error(&error);
  return doc;
}

size_t mcp__json_long_number(yyjson_val *value) {
  for (const yyjson_val *end = unsafe_yyjson_get_next(value); value < end; value++)
    if (yyjson_is_raw(value) && yyjson_get_len(value) > MCP__JSON_MAX_DIGITS)
      return yyjson_get_len(value);
  return 0;
}

void mcp__json_join_lines(char *text, size_t len) {
  for (char *at = text; (at = memchr(at, '\n', len - (size_t)(at - text))) != NULL;)
    *at = ' ';
  for (char *at = text; (at = memchr(at, '\r', len - (size_t)(at - text))) != NULL;)
    *at = ' ';
}
