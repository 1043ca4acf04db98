/* url.c: see url.h. */
#include "transport/url.h"

#include "iccm_network.h"
#include "iccm_service.h"
#include "base/mem.h"
#include "base/redact.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <uv.h>

static int url_error(const char *text, const char *cause, char *problem, size_t size) {
  char shown[MCP_SHOWN_SIZE];
  snprintf(problem, size, "\"%s\": %s", mcp_redact_setting(NULL, text, shown), cause);
  return MCP_EURL;
}

typedef struct scheme {
  const char *name;
  bool http, tls;
} scheme_t;

static const scheme_t schemes[] = {
    {"ws://", false, false}, {"wss://", false, true}, {"http://", true, false}, {"https://", true, true}};

/* The scheme at the beginning of text; NULL: none that is supported. */
static const scheme_t *find_scheme(const char *text) {
  for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
    if (strncasecmp(text, schemes[i].name, strlen(schemes[i].name)) == 0)
      return &schemes[i];
  return NULL;
}

/* Returns the text after the scheme; NULL: unsupported scheme. */
static const char *skip_scheme(const char *text, mcp__url_t *url) {
  const scheme_t *scheme = find_scheme(text);
  size_t end = strcspn(text, ":/?#"); /* a later "://" belongs to the path */
  url->http = scheme != NULL && scheme->http;
  url->tls = scheme != NULL && scheme->tls;
  if (scheme != NULL)
    return text + strlen(scheme->name);
  return strncmp(text + end, "://", 3) == 0 ? NULL : text;
}

static const char *default_path(const mcp__url_t *url, char first) {
  return first == '/' ? "" : url->http ? "/mcp" : "/";
}

static int read_port(const char *text, size_t len) { /* -1: invalid */
  char digits[6];
  if (len == 0 || len > 5 || strspn(text, "0123456789") < len)
    return -1;
  memcpy(digits, text, len);
  digits[len] = '\0';
  int port = atoi(digits);
  return port >= 1 && port <= 65535 ? port : -1;
}

/* Returns the start of the host and its length; *rest is the text after it. */
static const char *find_host(const char *at, size_t *len, const char **rest) {
  if (*at == '[') {
    size_t inside = strcspn(++at, "]/?#");
    bool is_address = at[inside] == ']' && memchr(at, ':', inside) != NULL;
    *len = is_address ? inside : 0;
    *rest = is_address ? at + inside + 1 : at;
    return at;
  }
  *len = strcspn(at, ":/?#");
  *rest = at + *len;
  return at;
}

static bool has_user(const char *at) {
  size_t len = strcspn(at, "/?#"), i = *at == '[' ? strcspn(at, "]/?#") : 0; /* a zone may contain %40 */
  for (; i < len; i++)
    if (mcp__redact_is_at_sign(at + i))
      return true;
  return false;
}

static bool is_printable(const char *text) {
  while ((unsigned char)*text > 0x20 && (unsigned char)*text < 0x7f)
    text++;
  return *text == '\0';
}

/* Returns false for a % without a zone. */
static bool set_host(const char *host, size_t len, mcp__url_t *url) {
  const char *percent = memchr(host, '%', len);
  size_t bare = percent != NULL && memchr(host, ':', len) != NULL ? (size_t)(percent - host) : len;
  size_t mark = bare == len ? 0 : len - bare >= 3 && memcmp(percent, "%25", 3) == 0 ? 3 : 1;
  snprintf(url->host, sizeof url->host, "%.*s", (int)bare, host);
  snprintf(url->address, sizeof url->address, "%s%s%.*s", url->host, mark > 0 ? "%" : "",
           (int)(len - bare - mark), host + bare + mark);
  return mark == 0 || len > bare + mark;
}

int mcp__url_parse(const char *text, mcp__url_t *url, char *problem, size_t size) {
  const char *rest;
  size_t host_len;
  if (text == NULL || !is_printable(text))
    return url_error(text != NULL ? text : "", "not an address of the form ws://host:port/path", problem,
                     size);
  const char *at = skip_scheme(text, url);
  if (at == NULL)
    return url_error(text, "the scheme must be ws://, wss://, http:// or https://", problem, size);
  if (has_user(at))
    return url_error(text, "a user name or password does not belong in the address", problem, size);
  const char *host = find_host(at, &host_len, &rest);
  if (host_len == 0 || host_len >= sizeof url->host)
    return url_error(text, "the host name is missing or too long (put an IPv6 address in brackets)", problem,
                     size);
  url->port = url->tls ? 443 : 80;
  if (*rest == ':') {
    size_t len = strcspn(++rest, "/?#");
    url->port = read_port(rest, len);
    rest += len;
  }
  if (url->port < 0)
    return url_error(text, "the port must be a number from 1 to 65535", problem, size);
  size_t path_len = strcspn(rest, "#");
  if ((*rest != '\0' && *rest != '/' && *rest != '?' && *rest != '#') ||
      path_len + (url->http ? sizeof "/mcp" : 2) > sizeof url->path)
    return url_error(text, "invalid or too long path after the host", problem, size);
  if (!set_host(host, host_len, url))
    return url_error(text, "missing zone after the % of the address", problem, size);
  snprintf(url->path, sizeof url->path, "%s%.*s", default_path(url, *rest), (int)path_len, rest);
  bool is_ipv6 = strchr(url->host, ':') != NULL;
  snprintf(url->authority, sizeof url->authority, "%s%s%s:%d", is_ipv6 ? "[" : "", url->host,
           is_ipv6 ? "]" : "", url->port);
  return 0;
}

/* ---- lists of URLs --------------------------------------------------------------------------------- */

static bool begins_url(const char *text) {
  return find_scheme(text + strspn(text, " \t")) != NULL;
}

/* Length of the first URL in a list. */
static size_t first_url_len(const char *list) {
  size_t host = strcspn(list, ",/?#"); /* end of the host, or of the scheme */
  if (host > 0 && strncmp(list + host - 1, "://", 3) == 0)
    host += 2 + strcspn(list + host + 2, ",/?#");
  size_t at = host;
  while (list[at] != '\0' && (list[at] != ',' || (at > host && !begins_url(list + at + 1))))
    at++;
  return at;
}

static int parse_next(const char *at, size_t len, mcp__url_t *url, char *problem, size_t size) {
  char text[MCP__URL_AUTHORITY_SIZE + 2 * MCP__URL_PATH_SIZE];
  snprintf(text, sizeof text, "%.*s", (int)(len < sizeof text ? len : sizeof text - 1), at);
  return mcp__url_parse(text, url, problem, size);
}

int mcp__urls_parse(const char *list, mcp__url_t **urls, unsigned *count, char *problem, size_t size) {
  mcp__url_t *all = mcp__calloc(MCP__URL_MAX_COUNT * sizeof *all);
  int status = all != NULL ? 0 : UV_ENOMEM;
  *count = 0;
  while (status == 0) {
    size_t len = first_url_len(list), end = len;
    while (list[len] == ',' && end > 0 && strchr(" \t", list[end - 1]) != NULL)
      end--;
    if (*count == MCP__URL_MAX_COUNT) {
      snprintf(problem, size, "more than %d addresses", MCP__URL_MAX_COUNT);
      status = MCP_EURL;
    } else {
      status = parse_next(list, end, &all[(*count)++], problem, size);
    }
    if (list[len] == '\0')
      break;
    list += len + 1;
    list += strspn(list, " \t");
  }
  if (status != 0) {
    mcp__free(all);
    all = NULL;
  }
  *urls = all;
  return status;
}
