/* origins.c: see origins.h.
 *
 * Happy path: most programs send no Origin and may use any name for the server. The server's own pages send
 * its scheme, host and port; so do libraries that generate an Origin, some of them without the port. Failure:
 * a page of another site has a different Origin. After DNS rebinding a page has a matching Origin, and its
 * GET over http has none; but its host name is a public one, and public names are refused unless they are
 * listed. */
#include "transport/origins.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

typedef struct authority {
  const char *host;
  size_t host_len;
  const char *port; /* after the colon; NULL: absent */
  size_t port_len;
} authority_t;

static bool equals_n(const char *a, size_t a_len, const char *b, size_t b_len) {
  return a_len == b_len && strncasecmp(a, b, a_len) == 0;
}

static bool equals(const char *text, size_t len, const char *word) {
  return equals_n(text, len, word, strlen(word));
}

/* Parses "host" or "host:port". The brackets of an IPv6 address are part of the host. */
static authority_t split_authority(const char *text, size_t len) {
  const char *bracket = len > 0 && *text == '[' ? memchr(text, ']', len) : NULL;
  const char *from = bracket != NULL ? bracket : text;
  const char *colon = memchr(from, ':', len - (size_t)(from - text));
  if (colon == NULL)
    return (authority_t){text, len, NULL, 0};
  return (authority_t){text, (size_t)(colon - text), colon + 1, len - (size_t)(colon + 1 - text)};
}

static bool is_literal(authority_t parts) {
  char text[INET6_ADDRSTRLEN];
  unsigned char address[16];
  bool six = parts.host_len > 2 && *parts.host == '[';
  const char *begin = parts.host + six;
  const char *zone = six ? memchr(begin, '%', parts.host_len - 1) : NULL;
  size_t len = zone != NULL ? (size_t)(zone - begin) : parts.host_len - (six ? 2 : 0);
  if (len >= sizeof text || (six && parts.host[parts.host_len - 1] != ']'))
    return false;
  memcpy(text, begin, len);
  text[len] = '\0';
  return inet_pton(six ? AF_INET6 : AF_INET, text, address) == 1;
}

static bool is_name(const char *host, size_t len) {
  static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";
  for (size_t i = 0; i < len; i++)
    if (host[i] == '\0' || strchr(allowed, host[i]) == NULL)
      return false;
  return true;
}

static bool has_valid_port(authority_t parts) { /* or no port */
  return parts.port == NULL ||
         (parts.port_len > 0 && parts.port_len <= 5 && strspn(parts.port, "0123456789") >= parts.port_len);
}

static size_t without_root_dot(const char *host, size_t len) { /* of a fully qualified name */
  return len > 0 && host[len - 1] == '.' ? len - 1 : len;
}

static bool ends_with(const char *host, size_t len, const char *suffix) {
  size_t suffix_len = strlen(suffix);
  return len > suffix_len && equals(host + len - suffix_len, suffix_len, suffix);
}

const char *mcp__origins_next(const char **list, size_t *len) {
  if (*list == NULL)
    return NULL;
  const char *begin = *list + strspn(*list, " \t,");
  *len = strcspn(begin, ",");
  *list = begin + *len;
  while (*len > 0 && (begin[*len - 1] == ' ' || begin[*len - 1] == '\t'))
    (*len)--;
  return *len > 0 ? begin : NULL;
}

/* ---- Host ---------------------------------------------------------------------------------------------- */

static bool is_listed_host(const char *list, const char *host, size_t len) {
  const char *entry;
  for (size_t entry_len; (entry = mcp__origins_next(&list, &entry_len)) != NULL;) {
    authority_t parts = split_authority(entry, entry_len);
    if (equals(entry, entry_len, "*") ||
        equals_n(parts.host, without_root_dot(parts.host, parts.host_len), host, len))
      return true;
  }
  return false;
}

/* Whether the host cannot be the target of DNS rebinding: an address, or a name that public DNS does not
 * resolve. */
static bool is_host_admitted(const char *list, const mcp__head_t *head) {
  static const char *const suffixes[] = {".localhost", ".local", ".internal", ".svc", ".cluster.local"};
  size_t len;
  const char *authority = mcp__head_authority(head, &len);
  if (authority == NULL) /* HTTP/1.0, which no browser sends */
    return true;
  authority_t parts = split_authority(authority, len);
  if (is_literal(parts) || is_listed_host(list, "*", 1))
    return true;
  if (!is_name(parts.host, parts.host_len))
    return false;
  if (memchr(parts.host, '.', parts.host_len) == NULL)
    return true;
  len = without_root_dot(parts.host, parts.host_len);
  for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
    if (ends_with(parts.host, len, suffixes[i]))
      return true;
  return equals(parts.host, len, "localhost") || is_listed_host(list, parts.host, len);
}

bool mcp__origins_valid_host(const char *host, size_t len) {
  authority_t parts = split_authority(host, len);
  return equals(host, len, "*") || (has_valid_port(parts) && parts.host_len > 0 &&
                                    (is_literal(parts) || is_name(parts.host, parts.host_len)));
}

/* ---- Origin -------------------------------------------------------------------------------------------- */

static const char *after_scheme(const char *origin, size_t len) { /* NULL: no scheme */
  for (size_t i = 1; i + 3 <= len; i++)
    if (memcmp(origin + i, "://", 3) == 0)
      return origin + i + 3;
  return NULL;
}

static bool is_scheme(const char *origin, const char *authority_begin, const char *http, const char *ws) {
  size_t len = (size_t)(authority_begin - origin) - 3;
  return equals(origin, len, http) || equals(origin, len, ws);
}

/* Length without a trailing slash and without the default port of the scheme. */
static size_t normalized_len(const char *origin, size_t len) {
  if (len > 0 && origin[len - 1] == '/')
    len--;
  const char *authority_begin = after_scheme(origin, len);
  if (authority_begin == NULL)
    return len;
  authority_t parts = split_authority(authority_begin, len - (size_t)(authority_begin - origin));
  bool default_port =
      (is_scheme(origin, authority_begin, "http", "ws") && equals(parts.port, parts.port_len, "80")) ||
      (is_scheme(origin, authority_begin, "https", "wss") && equals(parts.port, parts.port_len, "443"));
  return default_port ? (size_t)(parts.host + parts.host_len - origin) : len;
}

static bool is_listed(const char *list, const char *origin, size_t len) {
  const char *entry;
  for (size_t entry_len; (entry = mcp__origins_next(&list, &entry_len)) != NULL;)
    if (equals(entry, entry_len, "*") || equals_n(entry, normalized_len(entry, entry_len), origin, len))
      return true;
  return false;
}

static bool same_port(authority_t a, authority_t b, bool tls) {
  const char *default_port = tls ? "443" : "80";
  const char *a_port = a.port != NULL ? a.port : default_port,
             *b_port = b.port != NULL ? b.port : default_port;
  return equals_n(a_port, a.port != NULL ? a.port_len : strlen(default_port), b_port,
                  b.port != NULL ? b.port_len : strlen(default_port));
}

/* Whether the Origin has the request's scheme, host and port. The port may differ if the host is this
 * machine, because libraries omit it. */
static bool is_same_origin(const mcp__head_t *head, bool tls, const char *origin, size_t len) {
  size_t authority_len;
  const char *authority = mcp__head_authority(head, &authority_len);
  const char *authority_begin = after_scheme(origin, len);
  if (authority == NULL || authority_begin == NULL ||
      !is_scheme(origin, authority_begin, tls ? "https" : "http", tls ? "wss" : "ws"))
    return false;
  authority_t server = split_authority(authority, authority_len);
  authority_t page = split_authority(authority_begin, len - (size_t)(authority_begin - origin));
  if (page.host_len == 0 || !has_valid_port(page) ||
      !equals_n(server.host, server.host_len, page.host, page.host_len))
    return false;
  return same_port(server, page, tls) || is_literal(server) ||
         equals(server.host, server.host_len, "localhost") ||
         ends_with(server.host, server.host_len, ".localhost");
}

bool mcp__origins_valid_origin(const char *origin, size_t len) {
  const char *authority_begin = after_scheme(origin, len);
  if (authority_begin == NULL)
    return equals(origin, len, "*") || equals(origin, len, "null");
  const char *end = origin + normalized_len(origin, len);
  while (authority_begin < end && strchr("/?#@*%", *authority_begin) == NULL)
    authority_begin++;
  return authority_begin >= end;
}

/* ---- Host and Origin ----------------------------------------------------------------------------------- */

static bool is_health_path(const mcp__head_t *head) { /* public pages */
  return mcp__head_path_is(head, "/healthz") || mcp__head_path_is(head, "/readyz");
}

const char *mcp__origins_problem(const mcp__origins_t *allowed, const mcp__head_t *head,
                                 mcp__http_request_kind_t kind, bool tls) {
  const char *origin = mcp__head_value(head, MCP__H_ORIGIN);
  bool is_private_page = kind == MCP__HTTP_GET && !is_health_path(head);
  if ((origin != NULL || is_private_page) && !is_host_admitted(allowed->hosts, head))
    return "possible DNS rebinding: add this Host to ICCM_ALLOWED_HOSTS of the server, or send the token\n";
  if (origin == NULL)
    return NULL;
  size_t len = normalized_len(origin, strlen(origin));
  if (head->occurrences[MCP__H_ORIGIN] == 1 &&
      (is_listed(allowed->origins, origin, len) || is_same_origin(head, tls, origin, len)))
    return NULL;
  return "the Origin header is not the server's: add it to ICCM_ALLOWED_ORIGINS of the server, or send the "
         "token\n";
}
