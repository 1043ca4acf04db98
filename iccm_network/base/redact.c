/* redact.c: see redact.h.
 *
 * Happy path: the letters and digits of each member name, in lower case, are compared with the suffixes that
 * names of secrets have. Failure: none; a value that is too deep to examine is redacted. */
#include "base/redact.h"

#include "base/json.h"
#include "iccm_service.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

enum { MAX_NAMES = 64, NAME_BYTES = 64, MESSAGE_DEPTH = 64 /* the depth of received messages */ };

static char names[MAX_NAMES][NAME_BYTES] = {"password", "token", "apikey", "authorization", "secret"};
static atomic_uint name_count = 5; /* incremented after the name is complete, so that any thread may read */

/* Keeps the last NAME_BYTES - 1 characters. */
static size_t normalize_name(const char *key, size_t len, char normalized[NAME_BYTES]) {
  size_t count = 0;
  for (size_t i = len; i > 0 && count < NAME_BYTES - 1; i--) {
    char c = key[i - 1];
    if (c >= 'A' && c <= 'Z')
      c = (char)(c - 'A' + 'a');
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (unsigned char)c >= 0x80)
      normalized[NAME_BYTES - 2 - count++] = c;
  }
  memmove(normalized, normalized + NAME_BYTES - 1 - count, count);
  normalized[count] = '\0';
  return count;
}

int mcp_log_redact(const char *name) {
  unsigned count = atomic_load(&name_count);
  size_t len = name != NULL ? strlen(name) : 0;
  char normalized[NAME_BYTES];
  if (len == 0 || len >= NAME_BYTES || normalize_name(name, len, normalized) == 0)
    return UV_EINVAL;
  if (count == MAX_NAMES)
    return MCP_ELIMIT;
  memcpy(names[count], normalized, NAME_BYTES);
  atomic_store(&name_count, count + 1);
  return 0;
}

bool mcp__redact_is_secret_name(const char *key, size_t len) {
  char normalized[NAME_BYTES];
  size_t count = normalize_name(key, len, normalized);
  unsigned all = atomic_load(&name_count);
  for (unsigned i = 0; i < all; i++) {
    size_t name_len = strlen(names[i]);
    if (count >= name_len && memcmp(normalized + count - name_len, names[i], name_len) == 0)
      return true;
  }
  return false;
}

/* Returns the number of values redacted now: 0 if it already was. */
static size_t redact_value(yyjson_mut_val *value) {
  if (yyjson_mut_equals_str(value, MCP__REDACTED))
    return 0;
  yyjson_mut_set_str(value, MCP__REDACTED);
  return 1;
}

static size_t redact(yyjson_mut_val *value, unsigned levels) {
  size_t index, count, redacted = 0;
  yyjson_mut_val *key, *member;
  if (levels == 0 && yyjson_mut_is_ctn(value)) {
    redacted = redact_value(value);
  } else if (yyjson_mut_is_obj(value)) {
    yyjson_mut_obj_foreach(value, index, count, key, member) {
      if (mcp__redact_is_secret_name(yyjson_mut_get_str(key), yyjson_mut_get_len(key)))
        redacted += redact_value(member);
      else
        redacted += redact(member, levels - 1);
    }
  } else if (yyjson_mut_is_arr(value)) {
    yyjson_mut_arr_foreach(value, index, count, member) {
      redacted += redact(member, levels - 1);
    }
  }
  return redacted;
}

void mcp__redact(yyjson_mut_val *value) {
  redact(value, MCP__REDACT_DEPTH);
}

size_t mcp_redact(yyjson_mut_val *value) {
  return redact(value, MESSAGE_DEPTH);
}

/* ---- URLs and settings ----------------------------------------------------------------------------- */

bool mcp__redact_is_at_sign(const char *text) {
  if (*text != '%')
    return *text == '@';
  for (text++; strncmp(text, "25", 2) == 0;) /* percent-encoded more than once */
    text += 2;
  return strncmp(text, "40", 2) == 0;
}

/* Points after the = of the first name=value of a secret; NULL: there is none. */
static const char *find_secret(const char *text) {
  for (const char *equals = text; (equals = strchr(equals, '=')) != NULL; equals++) {
    const char *name = equals;
    while (name > text && strchr(" \t,;/?&", name[-1]) == NULL)
      name--;
    if (mcp__redact_is_secret_name(name, (size_t)(equals - name)))
      return equals + 1;
  }
  return NULL;
}

/* The userinfo of a URL: the bytes from *begin up to the last @; returns their number. */
static size_t find_userinfo(const char *text, const char **begin) {
  const char *slashes = strstr(text, "://"), *last = NULL;
  for (const char *at = text; *at != '\0'; at++)
    if (mcp__redact_is_at_sign(at))
      last = at;
  *begin = slashes != NULL && (last == NULL || last > slashes) ? slashes + 3 : text;
  return last != NULL && last > *begin ? (size_t)(last - *begin) : 0;
}

const char *mcp_redact_setting(const char *name, const char *value, char shown[MCP_SHOWN_SIZE]) {
  bool is_path = (*value == '/' && value[1] != '/') || *value == '.';
  const char *rest = value, *secret = find_secret(value);
  size_t user = is_path ? 0 : find_userinfo(value, &rest);
  if (secret != NULL && secret < rest) {
    rest = value;
    user = 0;
  }
  size_t query = strcspn(rest, is_path ? "" : "?#");
  if ((name != NULL && mcp__redact_is_secret_name(name, strlen(name))) ||
      strstr(value, "-----BEGIN ") != NULL)
    snprintf(shown, MCP_SHOWN_SIZE, "%s", MCP__REDACTED);
  /* ambiguous: a password that contains ? or #, or a query that contains @ */
  else if (user > 0 && query < user)
    snprintf(shown, MCP_SHOWN_SIZE, "%.*s%s", (int)(rest - value), value, MCP__REDACTED);
  else {
    const char *behind = rest + user, *end = rest[query] != '\0' ? rest + query + 1 : rest + query;
    if (secret != NULL && secret < end)
      end = secret;
    snprintf(shown, MCP_SHOWN_SIZE, "%.*s%s%.*s%s", (int)(rest - value), value, user > 0 ? MCP__REDACTED : "",
             end > behind ? (int)(end - behind) : 0, behind, *end != '\0' ? MCP__REDACTED : "");
  }
  return shown;
}

/* ---- text ------------------------------------------------------------------------------------------ */

int mcp__redact_text(mcp__buf_t *out, const char *json, size_t len) {
  mcp__json_error_t error;
  yyjson_doc *doc = mcp__json_read(json, len, &mcp__json_alc, &error);
  if (doc == NULL && (error.detail != NULL || error.status == UV_ENOMEM))
    return error.detail != NULL ? UV_EINVAL : UV_ENOMEM;
  if (doc == NULL) /* beyond a limit of the reader: redact all */
    return mcp__buf_puts(out, "\"" MCP__REDACTED "\"");
  yyjson_mut_doc *copy = yyjson_doc_mut_copy(doc, &mcp__json_alc);
  yyjson_doc_free(doc);
  mcp__redact(yyjson_mut_doc_get_root(copy));
  size_t written;
  char *text = yyjson_mut_write_opts(copy, 0, &mcp__json_alc, &written, NULL);
  yyjson_mut_doc_free(copy);
  int status = text != NULL ? mcp__buf_append(out, text, written) : UV_ENOMEM;
  mcp__free(text);
  return status;
}
