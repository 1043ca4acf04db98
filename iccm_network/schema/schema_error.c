/* schema_error.c: builds an error text in a buffer of fixed size.
 *
 * Text is written in pieces of at most one character or escape, so that truncation never splits one. After a
 * piece that did not fit, nothing is added; values, names and lists are truncated earlier, with "…", to leave
 * room for the following text. A value under a secret's name is never shown, at any depth, since errors are
 * logged. Nothing here can fail. */
#include "schema/schema_error.h"
#include "base/redact.h"
#include "schema/schema_compare.h"

#include <stdio.h>
#include <string.h>

enum {
  QUOTE_MAX = 64, /* bytes of a value or name */
  LIST_MAX = 256  /* bytes of a list of values */
};

static const char dots[] = "…";

void mcp__schema_error_init(mcp__schema_error_t *error, char *to, size_t size) {
  *error = (mcp__schema_error_t){.to = to, .size = size, .limit = size > 0 ? size - 1 : 0};
  if (size > 0)
    to[0] = '\0';
}

void mcp__schema_error_clear(mcp__schema_error_t *error) {
  bool of_schema = error->of_schema;
  mcp__schema_error_init(error, error->to, error->size);
  error->of_schema = of_schema;
}

static void put_piece(mcp__schema_error_t *error, const char *piece, size_t len) {
  if (error->cut || len > error->limit - error->len) {
    error->cut = true;
    return;
  }
  memcpy(error->to + error->len, piece, len);
  error->len += len;
  error->to[error->len] = '\0';
}

void mcp__schema_error_put(mcp__schema_error_t *error, const char *ascii) {
  for (; *ascii != '\0' && !error->cut; ascii++)
    put_piece(error, ascii, 1);
}

/* Text that was already truncated stays truncated: the outer limit is used up. */
size_t mcp__schema_error_begin_cut(mcp__schema_error_t *error, size_t max) {
  size_t outer = error->cut ? error->len : error->limit;
  if (max < error->limit - error->len)
    error->limit = error->len + max;
  return outer;
}

void mcp__schema_error_end_cut(mcp__schema_error_t *error, size_t outer) {
  error->limit = outer;
  if (!error->cut)
    return;
  error->cut = false;
  size_t len = sizeof dots - 1;
  if (error->len < len || memcmp(error->to + error->len - len, dots, len) != 0)
    put_piece(error, dots, len);
}

static size_t character_len(const char *at, const char *end) {
  unsigned char lead = (unsigned char)*at;
  size_t len = lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  return len < (size_t)(end - at) ? len : (size_t)(end - at);
}

/* The code of a control character (C0, DEL, C1), else 0x100. */
static unsigned control_code(const char *at, size_t len) {
  unsigned lead = (unsigned char)at[0], next = len == 2 ? (unsigned char)at[1] : 0;
  if (lead < 0x20 || lead == 0x7f)
    return lead;
  return lead == 0xc2 && next < 0xa0 ? next : 0x100;
}

/* Writes UTF-8 text; control characters as \u00xx, and each character of special as the string of escapes at
 * its index. */
static void put_escaped(mcp__schema_error_t *error, const char *at, size_t len, const char *special,
                        const char *const *escapes) {
  const char *end = at + len;
  for (size_t step; at < end && !error->cut; at += step) {
    step = character_len(at, end);
    unsigned code = control_code(at, step);
    const char *found = code == 0x100 ? strchr(special, *at) : NULL;
    if (code != 0x100) {
      char escape[8];
      int escape_len = snprintf(escape, sizeof escape, "\\u%04x", code);
      put_piece(error, escape, (size_t)escape_len);
    } else if (found != NULL) {
      put_piece(error, escapes[found - special], 2);
    } else {
      put_piece(error, at, step);
    }
  }
}

void mcp__schema_error_put_string(mcp__schema_error_t *error, const char *string, size_t len) {
  static const char *const escapes[] = {"\\\"", "\\\\"};
  put_piece(error, "\"", 1);
  put_escaped(error, string, len, "\"\\", escapes);
  put_piece(error, "\"", 1);
}

static bool is_secret(const mcp__schema_error_t *error, const char *name, size_t len) {
  return !error->of_schema && mcp__redact_is_secret_name(name, len);
}

/* Writes JSON. Each level writes a byte first, so the limit of the text also bounds the recursion. */
static void put_json(mcp__schema_error_t *error, yyjson_val *value) {
  size_t index, max;
  yyjson_val *key, *item;
  if (yyjson_is_str(value)) {
    mcp__schema_error_put_string(error, yyjson_get_str(value), yyjson_get_len(value));
  } else if (yyjson_is_arr(value)) {
    mcp__schema_error_put(error, "[");
    yyjson_arr_foreach(value, index, max, item) {
      if (error->cut)
        return;
      mcp__schema_error_put(error, index > 0 ? ", " : "");
      put_json(error, item);
    }
    mcp__schema_error_put(error, "]");
  } else if (yyjson_is_obj(value)) {
    mcp__schema_error_put(error, "{");
    yyjson_obj_foreach(value, index, max, key, item) {
      if (error->cut)
        return;
      mcp__schema_error_put(error, index > 0 ? ", " : "");
      put_json(error, key);
      mcp__schema_error_put(error, ": ");
      if (is_secret(error, yyjson_get_str(key), yyjson_get_len(key)))
        mcp__schema_error_put(error, MCP__REDACTED);
      else
        put_json(error, item);
    }
    mcp__schema_error_put(error, "}");
  } else {
    char memory[MCP__JSON_SCALAR_BYTES];
    mcp__schema_error_put(error, mcp__json_scalar_text(value, memory));
  }
}

void mcp__schema_error_put_value(mcp__schema_error_t *error, yyjson_val *value) {
  if (error->size == 0)
    return;
  size_t outer = mcp__schema_error_begin_cut(error, QUOTE_MAX);
  put_json(error, value);
  mcp__schema_error_end_cut(error, outer);
}

void mcp__schema_error_put_values(mcp__schema_error_t *error, yyjson_val *array) {
  size_t index, max, outer = mcp__schema_error_begin_cut(error, LIST_MAX);
  yyjson_val *value;
  yyjson_arr_foreach(array, index, max, value) {
    if (error->cut)
      break;
    mcp__schema_error_put(error, index > 0 ? ", " : "");
    mcp__schema_error_put_value(error, value);
  }
  mcp__schema_error_end_cut(error, outer);
}

void mcp__schema_error_put_number(mcp__schema_error_t *error, uint64_t number) {
  char digits[24];
  snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
  mcp__schema_error_put(error, digits);
}

mcp__location_t mcp__location_member(const mcp__location_t *at, const char *name, size_t len) {
  return (mcp__location_t){at, name, len, false};
}

mcp__location_t mcp__location_element(const mcp__location_t *at, size_t index) {
  return (mcp__location_t){at, NULL, index, false};
}

unsigned mcp__location_closeness(const mcp__location_t *at) {
  unsigned depth = 0;
  for (; at->up != NULL; at = at->up)
    depth++;
  return 2 * depth + 1;
}

static void put_place(mcp__schema_error_t *error, const mcp__location_t *at) { /* RFC 6901 section 3 */
  static const char *const escapes[] = {"~0", "~1"};
  if (at->up == NULL)
    return;
  put_place(error, at->up);
  mcp__schema_error_put(error, "/");
  size_t outer = mcp__schema_error_begin_cut(error, QUOTE_MAX);
  if (at->name != NULL)
    put_escaped(error, at->name, at->number, "~/", escapes);
  else
    mcp__schema_error_put_number(error, at->number);
  mcp__schema_error_end_cut(error, outer);
}

/* If a name itself is checked, it is part of the location and shown anyway. */
static bool lies_in_secret(const mcp__schema_error_t *error, const mcp__location_t *at) {
  for (const mcp__location_t *each = at->is_name ? at->up : at; each->up != NULL; each = each->up)
    if (each->name != NULL && is_secret(error, each->name, each->number))
      return true;
  return false;
}

bool mcp__schema_error_begin(mcp__schema_error_t *error, const mcp__location_t *at, yyjson_val *value,
                             const char *message) {
  error->closeness = mcp__location_closeness(at);
  if (error->size == 0)
    return false;
  if (error->bare) {
    mcp__schema_error_put(error, message + (*message == ' '));
    return false;
  }
  size_t outer = mcp__schema_error_begin_cut(error, error->limit / 2);
  if (at->up == NULL)
    mcp__schema_error_put(error, "/");
  put_place(error, at);
  mcp__schema_error_end_cut(error, outer);
  mcp__schema_error_put(error, at->is_name ? ": its name: " : ": ");
  if (value != NULL && lies_in_secret(error, at))
    mcp__schema_error_put(error, MCP__REDACTED);
  else if (value != NULL)
    mcp__schema_error_put_value(error, value);
  mcp__schema_error_put(error, message);
  return false;
}

bool mcp__schema_error_begin_other(mcp__schema_error_t *error, const mcp__location_t *at, yyjson_val *value,
                                   const char *message) {
  mcp__schema_error_begin(error, at, value, message);
  error->closeness--;
  return false;
}
