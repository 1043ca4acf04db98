/* secrets.c: see secrets.h.
 *
 * Happy path: from name to name; what is behind a secret's is passed over up to where it ends: a quoted one
 * at its quote, one in brackets at theirs, any other at the next separator. Failure modes: a value that does
 * not end is all that is left of the text; what cannot be told apart is rather replaced than kept.
 */
#include "secrets.h"

#include <iccm_service.h>
#include <stdlib.h>
#include <string.h>

static const char replacement[] = "[REDACTED]";
enum { NAME_MAX_BYTES = 256, NAME_MEMORY = 4096, REPLACEMENT_LEN = sizeof replacement - 1 };

typedef struct scanner {
  const char *at, *end;
  char *out;
  size_t len, redacted;
} scanner_t;

static bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
         (unsigned char)c >= 0x80;
}

static bool is_one_of(char c, const char *set) {
  return c != '\0' && strchr(set, c) != NULL;
}

static const char *skip(const char *at, const char *end, const char *set) {
  while (at < end && is_one_of(*at, set))
    at++;
  return at;
}

/* As mcp_redact() says, in memory on the stack: a text may have millions of names. */
static bool is_secret(const char *name, size_t len) {
  char memory[NAME_MEMORY];
  yyjson_alc alc;
  if (len > NAME_MAX_BYTES || !yyjson_alc_pool_init(&alc, memory, sizeof memory))
    return false;
  yyjson_mut_doc *doc = yyjson_mut_doc_new(&alc);
  yyjson_mut_val *object = yyjson_mut_obj(doc);
  return yyjson_mut_obj_add(object, yyjson_mut_strn(doc, name, len), yyjson_mut_true(doc)) &&
         mcp_redact(object) > 0;
}

/* Behind the quote that ends what begins behind one with so many backslashes in front, as quotes in a text in
 * a text have. */
static const char *end_of_quoted(const char *at, const char *end, char quote, size_t backslashes) {
  size_t before = 0;
  for (; at < end; at++) {
    if (*at == quote && (before == backslashes || (backslashes == 0 && before % 2 == 0)))
      return at + 1;
    before = *at == '\\' ? before + 1 : 0;
  }
  return end;
}

static const char *end_of_brackets(const char *at, const char *end) {
  size_t depth = 0, backslashes = 0;
  while (at < end) {
    char c = *at++;
    depth += is_one_of(c, "[{(");
    if (is_one_of(c, "]})") && --depth == 0)
      return at;
    if (is_one_of(c, "\"'"))
      at = end_of_quoted(at, end, c, backslashes);
    backslashes = c == '\\' ? backslashes + 1 : 0;
  }
  return end;
}

/* Where the value that begins here ends; separator: what stands in front of it. */
static const char *end_of_value(const char *at, const char *end, char separator) {
  const char *quote = skip(at, end, "\\");
  if (quote < end && is_one_of(*quote, "\"'"))
    return end_of_quoted(quote + 1, end, *quote, (size_t)(quote - at));
  if (at < end && is_one_of(*at, "[{("))
    return end_of_brackets(at, end);
  const char *ends = separator == ':' ? ",;}])\"'\r\n" : ",;}])\"'\r\n &\t"; /* "Authorization: Bearer xyz" */
  while (at < end && !is_one_of(*at, ends))
    at++;
  return at;
}

static void copy_until(scanner_t *scanner, const char *at) {
  memcpy(scanner->out + scanner->len, scanner->at, (size_t)(at - scanner->at));
  scanner->len += (size_t)(at - scanner->at);
  scanner->at = at;
}

/* A name begins here: copies it, and where it is a secret's what takes the place of its value. */
static void take_name(scanner_t *scanner) {
  const char *name = scanner->at, *name_end = name;
  while (name_end < scanner->end && is_name(*name_end))
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
  scanner->at = value_end;
  if (value_end == value)
    return;
  memcpy(scanner->out + scanner->len, replacement, REPLACEMENT_LEN);
  scanner->len += REPLACEMENT_LEN;
  scanner->redacted++;
}

char *secrets_redact(const char *text, size_t len, size_t *out_len, size_t *redacted) {
  enum { GROWS = 4 }; /* a name, a separator and a value of a byte each become 12 bytes */
  scanner_t scanner = {text, text + len, malloc(GROWS * len + sizeof replacement), 0, 0};
  while (scanner.out != NULL && scanner.at < scanner.end) {
    if (is_name(*scanner.at))
      take_name(&scanner);
    else
      copy_until(&scanner, scanner.at + 1);
  }
  if (scanner.out == NULL)
    return NULL;
  scanner.out[scanner.len] = '\0';
  *out_len = scanner.len;
  *redacted += scanner.redacted;
  return scanner.out;
}
