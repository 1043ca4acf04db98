/* schema_problem.c: says what is wrong where, in a buffer of fixed size.
 *
 * Text is written piece by piece, and a piece is at most one character or escape, so that a cut never splits
 * one. Once a piece did not fit nothing more is taken; values, names and lists are cut earlier, with dots,
 * for the sake of what follows them. A value that belongs to a secret's name is never shown, wherever in the
 * value at hand it lies: words go to logs. Nothing here can fail. */
#include "schema/schema_problem.h"
#include "base/redact.h"
#include "schema/schema_compare.h"

#include <stdio.h>
#include <string.h>

enum {
  QUOTE_MAX = 64, /* bytes of a value or name */
  LIST_MAX = 256  /* bytes of a list of values */
};

static const char dots[] = "…";

void mcp__problem_init(mcp__problem_t *problem, char *to, size_t size) {
  *problem = (mcp__problem_t){.to = to, .size = size, .limit = size > 0 ? size - 1 : 0};
  if (size > 0)
    to[0] = '\0';
}

void mcp__problem_clear(mcp__problem_t *problem) {
  bool of_schema = problem->of_schema;
  mcp__problem_init(problem, problem->to, problem->size);
  problem->of_schema = of_schema;
}

static void put_piece(mcp__problem_t *problem, const char *piece, size_t len) {
  if (problem->cut || len > problem->limit - problem->len) {
    problem->cut = true;
    return;
  }
  memcpy(problem->to + problem->len, piece, len);
  problem->len += len;
  problem->to[problem->len] = '\0';
}

void mcp__problem_put(mcp__problem_t *problem, const char *ascii) {
  for (; *ascii != '\0' && !problem->cut; ascii++)
    put_piece(problem, ascii, 1);
}

/* What was cut before stays so: the limit to go back to is used
 * up. */
size_t mcp__problem_begin_cut(mcp__problem_t *problem, size_t max) {
  size_t outer = problem->cut ? problem->len : problem->limit;
  if (max < problem->limit - problem->len)
    problem->limit = problem->len + max;
  return outer;
}

void mcp__problem_end_cut(mcp__problem_t *problem, size_t outer) {
  problem->limit = outer;
  if (!problem->cut)
    return;
  problem->cut = false;
  size_t len = sizeof dots - 1;
  if (problem->len < len || memcmp(problem->to + problem->len - len, dots, len) != 0)
    put_piece(problem, dots, len);
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

/* UTF-8 with control characters as \u00xx, and the characters of special as the strings of escapes. */
static void put_escaped(mcp__problem_t *problem, const char *at, size_t len, const char *special,
                        const char *const *escapes) {
  const char *end = at + len;
  for (size_t step; at < end && !problem->cut; at += step) {
    step = character_len(at, end);
    unsigned code = control_code(at, step);
    const char *found = code == 0x100 ? strchr(special, *at) : NULL;
    if (code != 0x100) {
      char escape[8];
      int escape_len = snprintf(escape, sizeof escape, "\\u%04x", code);
      put_piece(problem, escape, (size_t)escape_len);
    } else if (found != NULL) {
      put_piece(problem, escapes[found - special], 2);
    } else {
      put_piece(problem, at, step);
    }
  }
}

void mcp__problem_put_string(mcp__problem_t *problem, const char *string, size_t len) {
  static const char *const escapes[] = {"\\\"", "\\\\"};
  put_piece(problem, "\"", 1);
  put_escaped(problem, string, len, "\"\\", escapes);
  put_piece(problem, "\"", 1);
}

static bool is_secret(const mcp__problem_t *problem, const char *name, size_t len) {
  return !problem->of_schema && mcp__redact_names(name, len);
}

/* As JSON. Each level writes a byte first, so the text's limit bounds the recursion too. */
static void put_json(mcp__problem_t *problem, yyjson_val *value) {
  size_t index, max;
  yyjson_val *key, *item;
  if (yyjson_is_str(value)) {
    mcp__problem_put_string(problem, yyjson_get_str(value), yyjson_get_len(value));
  } else if (yyjson_is_arr(value)) {
    mcp__problem_put(problem, "[");
    yyjson_arr_foreach(value, index, max, item) {
      if (problem->cut)
        return;
      mcp__problem_put(problem, index > 0 ? ", " : "");
      put_json(problem, item);
    }
    mcp__problem_put(problem, "]");
  } else if (yyjson_is_obj(value)) {
    mcp__problem_put(problem, "{");
    yyjson_obj_foreach(value, index, max, key, item) {
      if (problem->cut)
        return;
      mcp__problem_put(problem, index > 0 ? ", " : "");
      put_json(problem, key);
      mcp__problem_put(problem, ": ");
      if (is_secret(problem, yyjson_get_str(key), yyjson_get_len(key)))
        mcp__problem_put(problem, MCP__REDACTED);
      else
        put_json(problem, item);
    }
    mcp__problem_put(problem, "}");
  } else {
    char memory[MCP__JSON_SCALAR_BYTES];
    mcp__problem_put(problem, mcp__json_scalar_text(value, memory));
  }
}

void mcp__problem_put_value(mcp__problem_t *problem, yyjson_val *value) {
  if (problem->size == 0)
    return;
  size_t outer = mcp__problem_begin_cut(problem, QUOTE_MAX);
  put_json(problem, value);
  mcp__problem_end_cut(problem, outer);
}

void mcp__problem_put_values(mcp__problem_t *problem, yyjson_val *array) {
  size_t index, max, outer = mcp__problem_begin_cut(problem, LIST_MAX);
  yyjson_val *value;
  yyjson_arr_foreach(array, index, max, value) {
    if (problem->cut)
      break;
    mcp__problem_put(problem, index > 0 ? ", " : "");
    mcp__problem_put_value(problem, value);
  }
  mcp__problem_end_cut(problem, outer);
}

void mcp__problem_put_number(mcp__problem_t *problem, uint64_t number) {
  char digits[24];
  snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
  mcp__problem_put(problem, digits);
}

mcp__place_t mcp__place_member(const mcp__place_t *at, const char *name, size_t len) {
  return (mcp__place_t){at, name, len, false};
}

mcp__place_t mcp__place_element(const mcp__place_t *at, size_t index) {
  return (mcp__place_t){at, NULL, index, false};
}

unsigned mcp__place_closeness(const mcp__place_t *at) {
  unsigned depth = 0;
  for (; at->up != NULL; at = at->up)
    depth++;
  return 2 * depth + 1;
}

static void put_place(mcp__problem_t *problem, const mcp__place_t *at) { /* RFC 6901 section 3 */
  static const char *const escapes[] = {"~0", "~1"};
  if (at->up == NULL)
    return;
  put_place(problem, at->up);
  mcp__problem_put(problem, "/");
  size_t outer = mcp__problem_begin_cut(problem, QUOTE_MAX);
  if (at->name != NULL)
    put_escaped(problem, at->name, at->number, "~/", escapes);
  else
    mcp__problem_put_number(problem, at->number);
  mcp__problem_end_cut(problem, outer);
}

/* A name that is judged is shown by its place, too. */
static bool lies_in_secret(const mcp__problem_t *problem, const mcp__place_t *at) {
  for (const mcp__place_t *each = at->is_name ? at->up : at; each->up != NULL; each = each->up)
    if (each->name != NULL && is_secret(problem, each->name, each->number))
      return true;
  return false;
}

bool mcp__problem_begin(mcp__problem_t *problem, const mcp__place_t *at, yyjson_val *value,
                        const char *words) {
  problem->closeness = mcp__place_closeness(at);
  if (problem->size == 0)
    return false;
  if (problem->bare) {
    mcp__problem_put(problem, words + (*words == ' '));
    return false;
  }
  size_t outer = mcp__problem_begin_cut(problem, problem->limit / 2);
  if (at->up == NULL)
    mcp__problem_put(problem, "/");
  put_place(problem, at);
  mcp__problem_end_cut(problem, outer);
  mcp__problem_put(problem, at->is_name ? ": its name: " : ": ");
  if (value != NULL && lies_in_secret(problem, at))
    mcp__problem_put(problem, MCP__REDACTED);
  else if (value != NULL)
    mcp__problem_put_value(problem, value);
  mcp__problem_put(problem, words);
  return false;
}

bool mcp__problem_begin_other(mcp__problem_t *problem, const mcp__place_t *at, yyjson_val *value,
                              const char *words) {
  mcp__problem_begin(problem, at, value, words);
  problem->closeness--;
  return false;
}
