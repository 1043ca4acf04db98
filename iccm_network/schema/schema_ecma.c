/* schema_ecma.c: translates ECMA-262 regular expressions to PCRE2.
 *
 * The text is read once. Every character that only PCRE2 could interpret is written as a code: so \Q, (?i),
 * POSIX classes, possessive quantifiers and the like never reach PCRE2 with that meaning. Syntax that is not
 * ECMA-262 is rejected with its offset. Groups get numbers instead of names. A lone surrogate is a character
 * that never occurs. PCRE2 requires lookbehinds of fixed length and rejects others itself. Out of memory is
 * detected at the end: appending continues until then. */
#include "schema/schema_ecma.h"
#include "schema/schema_ecma_properties.h"

#include <errno.h>
#include <string.h>

typedef struct reader {
  const char *start, *at, *end;
  mcp__buf_t *out;
  int status;
  const char *words; /* NULL: no error so far */
  unsigned groups;   /* in the whole text */
  unsigned opened;   /* opened before the current position */
  unsigned nested;   /* open groups of any kind */
  bool repeatable;   /* the last item may have a quantifier */
} reader_t;

typedef enum kind {
  CHARACTER,
  TYPE, /* \d, \D, \w, \W */
  SPACE,
  NOT_SPACE,
  PROPERTY,
  BOUNDARY, /* \b, \B */
  GROUP     /* a back reference */
} kind_t;

typedef struct item {
  kind_t kind;
  uint32_t code; /* character code, group number, or the letter of other items */
  char property[MCP__ECMA_PROPERTY_BYTES];
} item_t;

/* ECMA-262 12.2 and 12.3: WhiteSpace and LineTerminator, and the complement. */
static const char spaces[] =
    "\\x{9}-\\x{d}\\x{20}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}"
    "\\x{205f}\\x{3000}\\x{feff}";
static const char not_spaces[] =
    "\\x{0}-\\x{8}\\x{e}-\\x{1f}\\x{21}-\\x{9f}\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}\\x{200b}-\\x{2027}"
    "\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-\\x{d7ff}\\x{e000}-\\x{fefe}"
    "\\x{ff00}-\\x{10ffff}";
static const char never[] = "(?:(?!))"; /* "[]" could not have a quantifier */
static const char not_line_ends[] = "[^\\n\\r\\x{2028}\\x{2029}]";

enum { HIGH_FIRST = 0xd800, LOW_FIRST = 0xdc00, LOW_LAST = 0xdfff, LAST = 0x10ffff };

/* ---- Reading and writing ---- */

static bool wrong(reader_t *reader, const char *at, const char *words) {
  if (reader->words == NULL) {
    reader->words = words;
    reader->at = at;
  }
  return false;
}

static void put(reader_t *reader, const char *text) {
  reader->status = mcp__buf_first_error(reader->status, mcp__buf_puts(reader->out, text));
}

static bool is_plain(uint32_t code) {
  return code >= 0x80 || code == '_' || (code >= '0' && code <= '9') ||
         ((code | 0x20) >= 'a' && (code | 0x20) <= 'z');
}

static bool is_half(uint32_t code) {
  return code >= HIGH_FIRST && code <= LOW_LAST;
}

static void put_character(reader_t *reader, uint32_t code) {
  const char *format = is_plain(code) && code < 0x80 ? "%c" : "\\x{%x}";
  reader->status =
      mcp__buf_first_error(reader->status, mcp__buf_printf(reader->out, format, code)); /* NOLINT */
}

static bool skip(reader_t *reader, const char *prefix) {
  size_t len = strlen(prefix);
  if ((size_t)(reader->end - reader->at) < len || memcmp(reader->at, prefix, len) != 0)
    return false;
  reader->at += len;
  return true;
}

static char next(const reader_t *reader) { /* NUL at the end */
  return reader->at < reader->end ? *reader->at : '\0';
}

static uint32_t read_character(reader_t *reader) { /* of UTF-8 */
  unsigned char lead = (unsigned char)*reader->at++;
  unsigned more = lead < 0xc0 ? 0 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
  uint32_t code = more == 0 ? lead : lead & (0x3fu >> more);
  for (; more > 0 && reader->at < reader->end; more--)
    code = code << 6 | ((unsigned char)*reader->at++ & 0x3f);
  return code;
}

static int digit(char text) { /* 16: not a digit */
  int small = text | 0x20;
  if (text >= '0' && text <= '9')
    return text - '0';
  return small >= 'a' && small <= 'f' ? small - 'a' + 10 : 16;
}

/* Reads exactly count hexadecimal digits. */
static bool read_hex(reader_t *reader, size_t count, uint32_t *code) {
  *code = 0;
  for (size_t i = 0; i < count; i++) {
    if (reader->at + i >= reader->end || digit(reader->at[i]) > 15)
      return false;
    *code = *code * 16 + (uint32_t)digit(reader->at[i]);
  }
  reader->at += count;
  return true;
}

/* ---- Escapes ---- */

static bool read_braced(reader_t *reader, uint32_t *code) { /* after \u{ */
  const char *start = reader->at;
  *code = 0;
  while (digit(next(reader)) < 16 && *code <= LAST)
    *code = *code * 16 + (uint32_t)digit(*reader->at++);
  return reader->at > start && *code <= LAST && skip(reader, "}");
}

static bool read_unicode(reader_t *reader, uint32_t *code) { /* after \u */
  uint32_t low;
  if (skip(reader, "{"))
    return read_braced(reader, code);
  if (!read_hex(reader, 4, code))
    return false;
  const char *before = reader->at;
  if (*code >= HIGH_FIRST && *code < LOW_FIRST && skip(reader, "\\u")) {
    if (read_hex(reader, 4, &low) && low >= LOW_FIRST && low <= LOW_LAST)
      *code = 0x10000 + ((*code - HIGH_FIRST) << 10) + (low - LOW_FIRST);
    else
      reader->at = before;
  }
  return true;
}

static bool read_property(reader_t *reader, char letter, item_t *item) { /* after \p or \P */
  const char *name = reader->at + 1;
  const char *close = next(reader) == '{' ? memchr(name, '}', (size_t)(reader->end - name)) : NULL;
  item->kind = PROPERTY;
  if (close == NULL || !mcp__ecma_property(name, (size_t)(close - name), letter == 'P', item->property))
    return false;
  reader->at = close + 1;
  return true;
}

/* Reads the name between "<" and ">"; returns its length, or 0. */
static size_t read_name(reader_t *reader, const char **name) {
  *name = reader->at;
  while (reader->at < reader->end && (is_plain((unsigned char)*reader->at) || *reader->at == '$'))
    reader->at++;
  size_t len = (size_t)(reader->at - *name);
  return skip(reader, ">") && (**name < '0' || **name > '9') ? len : 0;
}

/* Scans all capturing groups. Returns the number of the group with the name, or 0; *count is the number of
 * groups. */
static unsigned find_group(const reader_t *reader, const char *name, size_t len, unsigned *count) {
  reader_t scan = *reader;
  bool in_class = false;
  unsigned found = 0;
  *count = 0;
  for (scan.at = scan.start; scan.at < scan.end; scan.at++) {
    char text = *scan.at;
    if (text == '\\')
      scan.at++;
    else if (in_class || text == '[')
      in_class = text != ']';
    else if (text == '(' && (scan.end - scan.at < 2 || scan.at[1] != '?'))
      ++*count;
    else if (text == '(' && scan.end - scan.at > 3 && scan.at[2] == '<' && strchr("=!", scan.at[3]) == NULL) {
      ++*count;
      if (found == 0 && (size_t)(scan.end - scan.at) > 3 + len && len > 0 && scan.at[3 + len] == '>' &&
          memcmp(scan.at + 3, name, len) == 0)
        found = *count;
    }
  }
  return found;
}

static bool read_reference(reader_t *reader, item_t *item) { /* at the "<" of \k, or at a number */
  const char *name;
  unsigned count;
  item->kind = GROUP;
  item->code = 0;
  if (skip(reader, "<")) {
    size_t len = read_name(reader, &name);
    item->code = len > 0 ? find_group(reader, name, len, &count) : 0;
  } else {
    while (digit(next(reader)) < 10 && item->code <= reader->groups)
      item->code = item->code * 10 + (uint32_t)digit(*reader->at++);
  }
  return item->code > 0 && item->code <= reader->groups;
}

/* A character by its code: \x, \u, \c, \0. */
static bool read_code(reader_t *reader, char letter, item_t *item) {
  const char *start = reader->at - 2;
  int small = next(reader) | 0x20;
  switch (letter) {
  case 'x':
    return read_hex(reader, 2, &item->code) || wrong(reader, start, "\\x needs two hexadecimal digits");
  case 'u':
    return read_unicode(reader, &item->code) ||
           wrong(reader, start, "\\u needs four hexadecimal digits, or a code in braces");
  case 'c':
    item->code = (uint32_t)small % 32;
    return (small >= 'a' && small <= 'z' && reader->at++ != NULL) ||
           wrong(reader, start, "\\c needs a letter");
  case '0':
    item->code = 0;
    return digit(next(reader)) > 9 || wrong(reader, start, "an octal escape");
  default:
    return wrong(reader, start, "unknown escape");
  }
}

static bool read_letter(reader_t *reader, char letter, bool in_class, item_t *item) {
  static const char controls[] = "t\tn\nv\vf\fr\r";
  const char *start = reader->at - 2, *control = strchr(controls, letter);
  item->code = (unsigned char)letter;
  if (control != NULL && (control - controls) % 2 == 0) {
    item->code = (unsigned char)control[1];
    return true;
  }
  if (strchr("dDwW", letter) != NULL) {
    item->kind = TYPE;
    return true;
  }
  if (letter == 's' || letter == 'S') {
    item->kind = letter == 's' ? SPACE : NOT_SPACE;
    return true;
  }
  if (letter == 'p' || letter == 'P')
    return read_property(reader, letter, item) || wrong(reader, start, "unknown Unicode property");
  if (letter != 'b' && letter != 'B')
    return read_code(reader, letter, item);
  item->kind = in_class ? CHARACTER : BOUNDARY;
  item->code = in_class ? '\b' : (unsigned char)letter;
  return !in_class || letter == 'b' || wrong(reader, start, "\\B in a class");
}

static bool read_escape(reader_t *reader, bool in_class, item_t *item) { /* after the backslash */
  if (reader->at >= reader->end)
    return wrong(reader, reader->at, "\\ at the end");
  if (!in_class && (next(reader) == 'k' || (next(reader) >= '1' && next(reader) <= '9'))) {
    const char *start = reader->at - 1;
    reader->at += next(reader) == 'k';
    return read_reference(reader, item) || wrong(reader, start, "reference to a missing group");
  }
  uint32_t code = read_character(reader);
  *item = (item_t){.kind = CHARACTER, .code = code};
  return code >= 0x80 || code == '_' || !is_plain(code) || read_letter(reader, (char)code, in_class, item);
}

/* ---- Classes ---- */

static bool read_member(reader_t *reader, item_t *item) {
  if (reader->at >= reader->end)
    return wrong(reader, reader->at, "missing terminating ] of a class");
  if (skip(reader, "\\"))
    return read_escape(reader, true, item);
  *item = (item_t){.kind = CHARACTER, .code = read_character(reader)};
  return true;
}

/* Omits surrogates, which PCRE2 rejects as the end of a range. */
static void put_range(reader_t *reader, uint32_t low, uint32_t high) {
  low = is_half(low) ? LOW_LAST + 1 : low;
  high = is_half(high) ? HIGH_FIRST - 1 : high;
  if (low > high)
    return;
  put_character(reader, low);
  if (low < high) {
    put(reader, "-");
    put_character(reader, high);
  }
}

static void put_set(reader_t *reader, const item_t *item) { /* within a class */
  char type[] = {'\\', (char)item->code, '\0'};
  put(reader, item->kind == SPACE       ? spaces
              : item->kind == NOT_SPACE ? not_spaces
              : item->kind == PROPERTY  ? item->property
                                        : type);
}

static bool read_class(reader_t *reader) { /* after [ */
  bool inverted = skip(reader, "^");
  put(reader, inverted ? "[^" : "[");
  size_t before = reader->out->len;
  while (!skip(reader, "]")) {
    item_t low, high;
    const char *start = reader->at;
    if (!read_member(reader, &low))
      return false;
    bool range = next(reader) == '-' && reader->end - reader->at > 1 && reader->at[1] != ']';
    high = low;
    if (range && (!skip(reader, "-") || !read_member(reader, &high)))
      return false;
    if (range && (low.kind != CHARACTER || high.kind != CHARACTER))
      return wrong(reader, start, "a set cannot be the end of a range (write \\- for a hyphen)");
    if (low.code > high.code)
      return wrong(reader, start, "range out of order");
    if (low.kind == CHARACTER)
      put_range(reader, low.code, high.code);
    else
      put_set(reader, &low);
  }
  if (inverted || reader->out->len > before) {
    put(reader, "]");
  } else {
    reader->out->len = before > 0 ? before - 1 : 0;
    put(reader, never);
  }
  return true;
}

/* ---- Groups and quantifiers ---- */

static bool open_group(reader_t *reader) { /* after ( */
  static const char *const kinds[] = {"?:", "?=", "?!", "?<=", "?<!"};
  const char *start = reader->at - 1, *name;
  unsigned count;
  reader->nested++;
  reader->repeatable = false;
  put(reader, "(");
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
    if (skip(reader, kinds[i])) {
      put(reader, kinds[i]);
      return true;
    }
  }
  reader->opened++;
  if (next(reader) == '*')
    return wrong(reader, reader->at, "quantifier does not follow a repeatable item");
  if (next(reader) != '?')
    return true;
  if (!skip(reader, "?<"))
    return wrong(reader, start, "unknown kind of group");
  size_t len = read_name(reader, &name);
  if (len == 0)
    return wrong(reader, start, "a group name must consist of letters, digits, _ and $");
  return find_group(reader, name, len, &count) == reader->opened ||
         wrong(reader, start, "two groups have the same name");
}

/* Skips digits of any number: they are copied unchanged. */
static const char *pass_digits(const reader_t *reader, const char *at) {
  while (at < reader->end && *at >= '0' && *at <= '9')
    at++;
  return at;
}

/* The end of a quantifier in braces; NULL: not a quantifier. */
static const char *find_braces(const reader_t *reader) {
  const char *at = pass_digits(reader, reader->at + 1);
  if (at == reader->at + 1)
    return NULL;
  if (at < reader->end && *at == ',')
    at = pass_digits(reader, at + 1);
  return at < reader->end && *at == '}' ? at + 1 : NULL;
}

/* Skips a quantifier; false if there is none. */
static bool skip_quantifier(reader_t *reader) {
  const char *close = next(reader) == '{' ? find_braces(reader) : NULL;
  if (close != NULL)
    reader->at = close;
  return close != NULL || skip(reader, "*") || skip(reader, "+") || skip(reader, "?");
}

static bool read_quantifier(reader_t *reader, const char *start) { /* up to here */
  if (!reader->repeatable)
    return wrong(reader, start, "quantifier does not follow a repeatable item");
  skip(reader, "?");
  reader->status =
      mcp__buf_first_error(reader->status, mcp__buf_append(reader->out, start, (size_t)(reader->at - start)));
  reader->repeatable = false;
  return true;
}

/* ---- The expression ---- */

static void put_item(reader_t *reader, const item_t *item) {
  reader->repeatable = item->kind != BOUNDARY;
  if (item->kind == CHARACTER && is_half(item->code)) {
    put(reader, never);
  } else if (item->kind == CHARACTER) {
    put_character(reader, item->code);
  } else if (item->kind == GROUP) {
    reader->status =
        mcp__buf_first_error(reader->status, mcp__buf_printf(reader->out, "\\g{%u}", item->code));
  } else if (item->kind == SPACE || item->kind == NOT_SPACE) {
    put(reader, "[");
    put_set(reader, item);
    put(reader, "]");
  } else {
    put_set(reader, item);
  }
}

/* A leading .* of an alternative that may match anywhere only adds work. */
static void skip_idle_start(reader_t *reader) {
  while (reader->nested == 0 && skip(reader, ".*"))
    skip(reader, "?");
}

static bool read_item(reader_t *reader) {
  const char *start = reader->at;
  item_t item;
  if (skip_quantifier(reader))
    return read_quantifier(reader, start);
  char first = *start;
  reader->repeatable = strchr("^$(|", first) == NULL || first == '\0';
  if (skip(reader, "\\")) {
    if (!read_escape(reader, false, &item))
      return false;
    put_item(reader, &item);
  } else if (skip(reader, "[")) {
    return read_class(reader);
  } else if (skip(reader, "(")) {
    return open_group(reader);
  } else if (skip(reader, ")")) {
    put(reader, ")");
    return reader->nested-- > 0 || wrong(reader, start, "unmatched closing parenthesis");
  } else if (skip(reader, ".")) {
    put(reader, not_line_ends);
  } else if (skip(reader, "|")) {
    put(reader, "|");
    skip_idle_start(reader);
  } else if (skip(reader, "^") || skip(reader, "$")) {
    put(reader, first == '^' ? "^" : "$");
  } else {
    put_character(reader, read_character(reader));
  }
  return true;
}

int mcp__ecma_translate(const char *text, size_t len, mcp__buf_t *out, const char **words, size_t *offset) {
  reader_t reader = {.start = text, .at = text, .end = text + len, .out = out};
  find_group(&reader, "", 0, &reader.groups);
  skip_idle_start(&reader);
  while (reader.at < reader.end && read_item(&reader))
    ;
  if (reader.words == NULL && reader.nested > 0)
    wrong(&reader, reader.end, "missing closing parenthesis");
  *words = reader.words;
  *offset = (size_t)(reader.at - text);
  return reader.status != 0 ? -ENOMEM : reader.words != NULL ? -EINVAL : 0;
}
