/* origins.c: see origins.h.
 *
 * Happy path: most programs send no Origin, and may use any name for the server. A page of the server's own
 * sends the server's scheme, host and port; so do libraries that invent an Origin, some of them without the
 * port. Failure: of a page from elsewhere, Origin is another. A page whose own name was bound anew to this
 * machine has the right Origin, and over http its GET has none; but its name is one that everybody could have
 * registered, and such names are refused unless they are listed. */
#include "transport/origins.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

typedef struct place {
  const char *host;
  size_t host_len;
  const char *port; /* behind the colon; NULL: not given */
  size_t port_len;
} place_t;

static bool same(const char *a, size_t a_len, const char *b, size_t b_len) {
  return a_len == b_len && strncasecmp(a, b, a_len) == 0;
}

static bool is(const char *text, size_t len, const char *word) {
  return same(text, len, word, strlen(word));
}

/* "host", "host:port"; an IPv6 address stands in brackets, which are part of the host here. */
static place_t take_apart(const char *text, size_t len) {
  const char *bracket = len > 0 && *text == '[' ? memchr(text, ']', len) : NULL;
  const char *from = bracket != NULL ? bracket : text;
  const char *colon = memchr(from, ':', len - (size_t)(from - text));
  if (colon == NULL)
    return (place_t){text, len, NULL, 0};
  return (place_t){text, (size_t)(colon - text), colon + 1, len - (size_t)(colon + 1 - text)};
}

static bool is_literal(place_t place) {
  char text[INET6_ADDRSTRLEN];
  unsigned char address[16];
  bool six = place.host_len > 2 && *place.host == '[';
  const char *at = place.host + six;
  const char *zone = six ? memchr(at, '%', place.host_len - 1) : NULL;
  size_t len = zone != NULL ? (size_t)(zone - at) : place.host_len - (six ? 2 : 0);
  if (len >= sizeof text || (six && place.host[place.host_len - 1] != ']'))
    return false;
  memcpy(text, at, len);
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

static bool has_fine_port(place_t place) { /* or none */
  return place.port == NULL ||
         (place.port_len > 0 && place.port_len <= 5 && strspn(place.port, "0123456789") >= place.port_len);
}

static size_t without_last_dot(const char *host, size_t len) { /* that of the root */
  return len > 0 && host[len - 1] == '.' ? len - 1 : len;
}

static bool ends_with(const char *host, size_t len, const char *suffix) {
  size_t suffix_len = strlen(suffix);
  return len > suffix_len && is(host + len - suffix_len, suffix_len, suffix);
}

const char *mcp__origins_next(const char **list, size_t *len) {
  if (*list == NULL)
    return NULL;
  const char *at = *list + strspn(*list, " \t,");
  *len = strcspn(at, ",");
  *list = at + *len;
  while (*len > 0 && (at[*len - 1] == ' ' || at[*len - 1] == '\t'))
    (*len)--;
  return *len > 0 ? at : NULL;
}

/* ---- Host ---------------------------------------------------------------------------------------------- */

static bool is_listed_host(const char *list, const char *host, size_t len) {
  const char *entry;
  for (size_t entry_len; (entry = mcp__origins_next(&list, &entry_len)) != NULL;) {
    place_t place = take_apart(entry, entry_len);
    if (is(entry, entry_len, "*") ||
        same(place.host, without_last_dot(place.host, place.host_len), host, len))
      return true;
  }
  return false;
}

/* Whether nobody can have bound the name of this machine to it but those who run it: an address, or a name
 * that no public DNS gives to a stranger. */
static bool is_host_admitted(const char *list, const mcp__head_t *head) {
  static const char *const suffixes[] = {".localhost", ".local", ".internal", ".svc", ".cluster.local"};
  size_t len;
  const char *authority = mcp__head_authority(head, &len);
  if (authority == NULL) /* HTTP/1.0, which no browser speaks */
    return true;
  place_t place = take_apart(authority, len);
  if (is_literal(place) || is_listed_host(list, "*", 1))
    return true;
  if (!is_name(place.host, place.host_len))
    return false;
  if (memchr(place.host, '.', place.host_len) == NULL)
    return true;
  len = without_last_dot(place.host, place.host_len);
  for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
    if (ends_with(place.host, len, suffixes[i]))
      return true;
  return is(place.host, len, "localhost") || is_listed_host(list, place.host, len);
}

bool mcp__origins_can_be_host(const char *host, size_t len) {
  place_t place = take_apart(host, len);
  return is(host, len, "*") || (has_fine_port(place) && place.host_len > 0 &&
                                (is_literal(place) || is_name(place.host, place.host_len)));
}

/* ---- Origin -------------------------------------------------------------------------------------------- */

static const char *behind_scheme(const char *origin, size_t len) { /* NULL: it has none */
  for (size_t i = 1; i + 3 <= len; i++)
    if (memcmp(origin + i, "://", 3) == 0)
      return origin + i + 3;
  return NULL;
}

static bool is_scheme(const char *origin, const char *behind, const char *http, const char *ws) {
  size_t len = (size_t)(behind - origin) - 3;
  return is(origin, len, http) || is(origin, len, ws);
}

/* Without a slash at its end, and without the port that its scheme has anyway. */
static size_t shortened(const char *origin, size_t len) {
  if (len > 0 && origin[len - 1] == '/')
    len--;
  const char *behind = behind_scheme(origin, len);
  if (behind == NULL)
    return len;
  place_t place = take_apart(behind, len - (size_t)(behind - origin));
  bool usual = (is_scheme(origin, behind, "http", "ws") && is(place.port, place.port_len, "80")) ||
               (is_scheme(origin, behind, "https", "wss") && is(place.port, place.port_len, "443"));
  return usual ? (size_t)(place.host + place.host_len - origin) : len;
}

static bool is_listed(const char *list, const char *origin, size_t len) {
  const char *entry;
  for (size_t entry_len; (entry = mcp__origins_next(&list, &entry_len)) != NULL;)
    if (is(entry, entry_len, "*") || same(entry, shortened(entry, entry_len), origin, len))
      return true;
  return false;
}

static bool same_port(place_t a, place_t b, bool tls) {
  const char *usual = tls ? "443" : "80";
  const char *a_port = a.port != NULL ? a.port : usual, *b_port = b.port != NULL ? b.port : usual;
  return same(a_port, a.port != NULL ? a.port_len : strlen(usual), b_port,
              b.port != NULL ? b.port_len : strlen(usual));
}

/* The request's own scheme, host and port. Any port will do where the host can be nobody else's: libraries
 * leave it out. */
static bool is_own(const mcp__head_t *head, bool tls, const char *origin, size_t len) {
  size_t authority_len;
  const char *authority = mcp__head_authority(head, &authority_len);
  const char *behind = behind_scheme(origin, len);
  if (authority == NULL || behind == NULL ||
      !is_scheme(origin, behind, tls ? "https" : "http", tls ? "wss" : "ws"))
    return false;
  place_t own = take_apart(authority, authority_len);
  place_t its = take_apart(behind, len - (size_t)(behind - origin));
  if (its.host_len == 0 || !has_fine_port(its) || !same(own.host, own.host_len, its.host, its.host_len))
    return false;
  return same_port(own, its, tls) || is_literal(own) || is(own.host, own.host_len, "localhost") ||
         ends_with(own.host, own.host_len, ".localhost");
}

bool mcp__origins_can_be(const char *origin, size_t len) {
  const char *behind = behind_scheme(origin, len);
  if (behind == NULL)
    return is(origin, len, "*") || is(origin, len, "null");
  const char *end = origin + shortened(origin, len);
  while (behind < end && strchr("/?#@*%", *behind) == NULL)
    behind++;
  return behind >= end;
}

/* ---- both ---------------------------------------------------------------------------------------------- */

static bool is_health(const mcp__head_t *head) { /* nothing there is worth hiding */
  return mcp__head_path_is(head, "/healthz") || mcp__head_path_is(head, "/readyz");
}

const char *mcp__origins_problem(const mcp__origins_t *admitted, const mcp__head_t *head,
                                 mcp__http_request_kind_t wish, bool tls) {
  const char *origin = mcp__head_value(head, MCP__H_ORIGIN);
  bool shows = wish == MCP__HTTP_GET && !is_health(head);
  if ((origin != NULL || shows) && !is_host_admitted(admitted->hosts, head))
    return "a page may have given this name in Host to the server: add it to ICCM_ALLOWED_HOSTS of the "
           "server, "
           "or send the token\n";
  if (origin == NULL)
    return NULL;
  size_t len = shortened(origin, strlen(origin));
  if (head->given[MCP__H_ORIGIN] == 1 &&
      (is_listed(admitted->origins, origin, len) || is_own(head, tls, origin, len)))
    return NULL;
  return "this Origin is not the server's own: add it to ICCM_ALLOWED_ORIGINS of the server, or send the "
         "token\n";
}
