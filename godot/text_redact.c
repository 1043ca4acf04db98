/* text_redact.c: see text_redact.h.
 *
 * Happy path: scan from name to name; the value of a secret is skipped up to its end: a quoted value to its
 * quote, a bracketed value to its bracket, any other to the next separator. Failure modes: a value without an
 * end extends to the end of the text; in doubt, text is replaced. */
#include "text_redact.h"

#include <iccm_service.h>
#include <stdlib.h>
#include <string.h>

static const char replacement[] = "[REDACTED]";
enum { MAX_NAME_BYTES = 256, NAME_POOL_BYTES = 4096, REPLACEMENT_LEN = sizeof replacement - 1 };

typedef struct scanner {
  const char *pos, *end;
  char *out;
  size_t len, redacted;
} scanner_t;

static bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
         (unsigned char)c >= 0x80;
}

static bool is_one_of(char c, const char *set) {
  return c != '\0' && strchr(set, c) != NULL;
}

static const char *skip(const char *pos, const char *end, const char *set) {
  while (pos < end && is_one_of(*pos, set))
    pos++;
  return pos;
}

/* Whether mcp_redact() redacts a member of this name. Uses memory on the stack, since a text may have
 * millions of names. */
static bool is_secret(const char *name, size_t len) {
  char memory[NAME_POOL_BYTES];
  yyjson_alc alc;
  if (len > MAX_NAME_BYTES || !yyjson_alc_pool_init(&alc, memory, sizeof memory))
    return false;
  yyjson_mut_doc *doc = yyjson_mut_doc_new(&alc);
  yyjson_mut_val *object = yyjson_mut_obj(doc);
  return yyjson_mut_obj_add(object, yyjson_mut_strn(doc, name, len), yyjson_mut_true(doc)) &&
         mcp_redact(object) > 0;
}

/* Returns the position after the closing quote. It follows the same number of backslashes as the opening
 * quote, since a JSON text in a JSON string has escaped quotes. */
static const char *end_of_quoted(const char *pos, const char *end, char quote, size_t backslashes) {
  size_t before = 0;
  for (; pos < end; pos++) {
    if (*pos == quote && (before == backslashes || (backslashes == 0 && before % 2 == 0)))
      return pos + 1;
    before = *pos == '\\' ? before + 1 : 0;
  }
  return end;
}

static const char *end_of_brackets(const char *pos, const char *end) {
  size_t depth = 0, backslashes = 0;
  while (pos < end) {
    char c = *pos++;
    depth += is_one_of(c, "[{(");
    if (is_one_of(c, "]})") && --depth == 0)
      return pos;
    if (is_one_of(c, "\"'"))
      pos = end_of_quoted(pos, end, c, backslashes);
    backslashes = c == '\\' ? backslashes + 1 : 0;
  }
  return end;
}

/* Returns the end of the value at pos. separator: the character before the value. */
static const char *end_of_value(const char *pos, const char *end, char separator) {
  const char *quote = skip(pos, end, "\\");
  if (quote < end && is_one_of(*quote, "\"'"))
    return end_of_quoted(quote + 1, end, *quote, (size_t)(quote - pos));
  if (pos < end && is_one_of(*pos, "[{("))
    return end_of_brackets(pos, end);
  const char *terminators =
      separator == ':' ? ",;}])\"'\r\n" : ",;}])\"'\r\n &\t"; /* "Authorization: Bearer xyz" */
  while (pos < end && !is_one_of(*pos, terminators))
    pos++;
  return pos;
}

static void copy_until(scanner_t *scanner, const char *pos) {
  memcpy(scanner->out + scanner->len, scanner->pos, (size_t)(pos - scanner->pos));
  scanner->len += (size_t)(pos - scanner->pos);
  scanner->pos = pos;
}

/* Copies the name at the current position, and the replacement of its value if the name is a secret's. */
static void redact_name(scanner_t *scanner) {
  const char *name = scanner->pos, *name_end = name;
  while (name_end < scanner->end && is_name_char(*name_end))
    name_end++;
  const char *separator = skip(name_end, scanner->end, "\\\"' \t");
  bool has_value = separator < scanner->end && is_one_of(*separator, ":=");
  if (!has_value || !is_secret(name, (size_t)(name_end - name))) {
    copy_until(scanner, name_end);
    return;
  }
  const char *value = skip(separator + 1, scanner->end, " \t");
  const char *value_end = end_of_value(value, scanner->end, *separator);
  copy_until(scanner, value);
  scanner->pos = value_end;
  if (value_end == value)
    return;
  memcpy(scanner->out + scanner->len, replacement, REPLACEMENT_LEN);
  scanner->len += REPLACEMENT_LEN;
  scanner->redacted++;
}

char *text_redact(const char *text, size_t len, size_t *out_len, size_t *redacted) {
  enum {
    MAX_GROWTH = 4
  }; /* the worst case: a name, a separator and a value of one byte each become 12 bytes */
  scanner_t scanner = {text, text + len, malloc(MAX_GROWTH * len + sizeof replacement), 0, 0};
  while (scanner.out != NULL && scanner.pos < scanner.end) {
    if (is_name_char(*scanner.pos))
      redact_name(&scanner);
    else
      copy_until(&scanner, scanner.pos + 1);
  }
  if (scanner.out == NULL)
    return NULL;
  scanner.out[scanner.len] = '\0';
  *out_len = scanner.len;
  *redacted += scanner.redacted;
  return scanner.out;
}
