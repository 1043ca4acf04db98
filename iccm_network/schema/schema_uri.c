/* schema_uri.c: splits two URIs into their parts, merges them by the rules of RFC 3986 section 5.2, and joins
 * them again. Nothing is decoded or changed in case: URIs are equal if their texts are. It fails only if out
 * of memory. */
#include "schema/schema_uri.h"

#include <errno.h>
#include <string.h>

typedef struct piece {
  const char *at; /* NULL: absent */
  size_t len;
} piece_t;

typedef struct uri {
  piece_t scheme, authority, path, query;
} uri_t;

static bool is_scheme(const char *at, size_t len) {
  for (size_t i = 0; i < len; i++) {
    bool letter = (at[i] | 0x20) >= 'a' && (at[i] | 0x20) <= 'z';
    if (!letter && (i == 0 || strchr("0123456789+-.", at[i]) == NULL))
      return false;
  }
  return len > 0;
}

static uri_t split(const char *text) { /* RFC 3986 appendix B, without the fragment */
  uri_t uri = {0};
  size_t len = strcspn(text, ":/?#");
  if (text[len] == ':' && is_scheme(text, len)) {
    uri.scheme = (piece_t){text, len};
    text += len + 1;
  }
  if (text[0] == '/' && text[1] == '/') {
    text += 2;
    uri.authority = (piece_t){text, strcspn(text, "/?#")};
    text += uri.authority.len;
  }
  uri.path = (piece_t){text, strcspn(text, "?#")};
  text += uri.path.len;
  if (*text == '?')
    uri.query = (piece_t){text + 1, strcspn(text + 1, "#")};
  return uri;
}

static char *put(char *to, const char *before, piece_t piece, const char *after) {
  to = stpcpy(to, before);
  if (piece.len > 0)
    memcpy(to, piece.at, piece.len);
  return stpcpy(to + piece.len, after);
}

static bool starts(const char *text, const char *prefix) {
  return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Removes the dot segments of a path in place (section 5.2.4); returns the end. */
static char *remove_dots(char *path) {
  const char *from = path;
  char *to = path;
  while (*from != '\0') {
    bool up = starts(from, "/../") || strcmp(from, "/..") == 0;
    if (starts(from, "../") || starts(from, "./")) {
      from += from[1] == '.' ? 3 : 2;
    } else if (up || starts(from, "/./") || strcmp(from, "/.") == 0) {
      from += up ? 3 : 2;
      while (up && to > path && *--to != '/')
        ;
      if (*from == '\0')
        *to++ = '/';
    } else if (strcmp(from, ".") == 0 || strcmp(from, "..") == 0) {
      break;
    } else {
      do
        *to++ = *from++;
      while (*from != '/' && *from != '\0');
    }
  }
  *to = '\0';
  return to;
}

/* The directory of the base's path, for a relative reference (section 5.2.3). */
static piece_t directory_of(const uri_t *base) {
  size_t len = base->path.len;
  while (len > 0 && base->path.at[len - 1] != '/')
    len--;
  return len == 0 && base->authority.at != NULL ? (piece_t){"/", 1} : (piece_t){base->path.at, len};
}

static void merge(const uri_t *base, const uri_t *ref, char *to) { /* sections 5.2.2 and 5.3 */
  bool absolute = ref->scheme.at != NULL, of_host = absolute || ref->authority.at != NULL;
  bool same = !of_host && ref->path.len == 0;
  piece_t scheme = absolute ? ref->scheme : base->scheme;
  piece_t authority = of_host ? ref->authority : base->authority;
  piece_t query = same && ref->query.at == NULL ? base->query : ref->query;
  if (scheme.at != NULL)
    to = put(to, "", scheme, ":");
  if (authority.at != NULL)
    to = put(to, "//", authority, "");
  char *path = to;
  if (same) {
    to = put(to, "", base->path, "");
  } else {
    if (!of_host && *ref->path.at != '/')
      to = put(to, "", directory_of(base), "");
    put(to, "", ref->path, "");
    to = remove_dots(path);
  }
  if (query.at != NULL)
    put(to, "?", query, "");
}

int mcp__uri_resolve(mcp__arena_t *arena, const char *base, const char *reference, const char **out,
                     const char **fragment) {
  const char *hash = strchr(reference, '#');
  *fragment = hash != NULL ? hash + 1 : "";
  *out = base;
  if (hash == reference || *reference == '\0')
    return 0;
  uri_t from = split(base), ref = split(reference);
  char *text = mcp__arena_alloc(arena, strlen(base) + strlen(reference) + sizeof ":///?");
  if (text == NULL)
    return -ENOMEM;
  merge(&from, &ref, text);
  *out = text;
  return 0;
}
