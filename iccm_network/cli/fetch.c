/* fetch.c: see fetch.h.
 *
 * Happy path: look up, connect to the first address that accepts, TLS, ask, read until the server closes.
 * Failure: an address that does not accept within CONNECT_MS leaves the turn to the next; behind that nothing
 * is tried twice.
 */
#include "fetch.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "transport/auth.h"
#include "base/mem.h"
#include "raw_conn.h"

enum { MAX_ADDRESSES = 8, CONNECT_MS = 5000 };

MCP_PRINTF(3, 4) static bool fail(fetched_t *fetched, int status, const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(fetched->problem, sizeof fetched->problem, format, args);
  va_end(args);
  fetched->status = status;
  return false;
}

static wire_t *reach(net_t *net, const mcp__url_t *url, fetched_t *fetched) {
  struct sockaddr_storage addresses[MAX_ADDRESSES];
  int status;
  size_t count =
      net_look_up(net, url->address, url->port, addresses, MAX_ADDRESSES, net_left_ms(net), &status);
  if (count == 0) {
    fail(fetched, status == UV_ETIMEDOUT ? MCP_ETIMEOUT : MCP_ERESOLVE, "%s: %s", url->host,
         uv_strerror(status));
    return NULL;
  }
  for (size_t i = 0; i < count; i++) {
    wire_t *wire = wire_connect(net, (const struct sockaddr *)&addresses[i], NULL);
    if (wire_wait_connected(wire, CONNECT_MS))
      return wire;
    fail(fetched, wire->status == UV_ETIMEDOUT ? MCP_ETIMEOUT : MCP_ECONNECT, "%s: %s", wire->name,
         uv_strerror(wire->status));
  }
  return NULL;
}

static bool secure(wire_t *wire, const mcp__url_t *url, const options_t *options, fetched_t *fetched) {
  char problem[512];
  mcp__tls_context_t *context;
  if (!url->tls)
    return true;
  if (mcp__tls_client(mcp_env_text("ICCM_TLS_CA", NULL), &context, problem, sizeof problem) != 0)
    return fail(fetched, MCP_EENV, "%s", problem);
  wire_start_tls(wire, context, url->host, !options->insecure);
  mcp__tls_release(context); /* the connection holds it */
  if (!net_wait(wire->net, wire_is_secured, wire, UINT64_MAX))
    return fail(fetched, MCP_ETIMEOUT, "no answer in TLS");
  if (wire->state == WIRE_OPEN)
    return true;
  return fail(fetched, MCP_ETLS, "%s",
              wire->status == MCP_ETLS ? wire->tls->problem : uv_strerror(wire->status));
}

static bool has_ended(void *arg) {
  const wire_t *wire = arg;
  return wire->state == WIRE_ENDED;
}

/* Says what the answer is worth. */
static bool judge(const wire_t *wire, const char *path, fetched_t *fetched) {
  mcp__head_t head;
  if (wire->status == UV_EMSGSIZE)
    return fail(fetched, MCP_ETOOBIG, "the answer is larger than %d MiB", FETCH_MAX_BYTES >> 20);
  if (mcp__head_init(&head, false) != 0) /* UNTESTED: needs memory to run out */
    return fail(fetched, UV_ENOMEM, "%s", uv_strerror(UV_ENOMEM));
  mcp__head_state_t state = mcp__head_feed(&head, fetched->answer.data, fetched->answer.len, &fetched->body);
  int http = head.status;
  mcp__head_deinit(&head);
  if (state == MCP__HEAD_MORE)
    return fail(fetched, MCP_ELOST, "the server closed before it had answered");
  if (state == MCP__HEAD_BAD)
    return fail(fetched, MCP_EPROTOCOL, "what came is no HTTP");
  fetched->http = http;
  if (http == 401 || http == 403)
    return fail(fetched, MCP_EREFUSED, "the server answered %d", http);
  if (http != 200)
    return fail(fetched, MCP_EPROTOCOL, "the server answered HTTP %d to GET %s", http, path);
  if (wire->status != UV_EOF)
    return fail(fetched, MCP_ELOST, "the connection was lost: %s", uv_strerror(wire->status));
  return true;
}

/* trusted: the address was given, and gets the token; where it is a default that is for this machine alone.
 */
static bool ask(wire_t *wire, const mcp__url_t *url, bool trusted, const char *path, fetched_t *fetched) {
  char request[2048];
  const char *token = NULL;
  if (mcp__token_of_environment(&token) != 0)
    return fail(fetched, MCP_EENV, "%s", mcp_last_error());
  if (!trusted && !mcp__peer_is_loopback((const struct sockaddr *)&wire->address))
    token = NULL;
  int len =
      snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s%s%s\r\n",
               path, url->authority, token != NULL ? "Authorization: Bearer " : "",
               token != NULL ? token : "", token != NULL ? "\r\n" : "");
  wire->whole = &fetched->answer;
  wire_send_raw(wire, request, (size_t)len);
  if (!net_wait(wire->net, has_ended, wire, UINT64_MAX))
    return fail(fetched, MCP_ETIMEOUT, "no answer to GET %s", path);
  return judge(wire, path, fetched);
}

/* The first of the places that accepts, whose address goes to *url; NULL: none. Of Godot's default ones the
 * second is tried where the name of the first is unknown, as clients do. */
static wire_t *reach_any(const mcp__url_t *urls, unsigned count, bool trusted, const mcp__url_t **url,
                         fetched_t *fetched) {
  wire_t *wire = NULL;
  for (unsigned i = 0; i < count && wire == NULL; i++) {
    *url = &urls[i];
    wire = reach(fetched->net, *url, fetched);
    if (wire == NULL && !trusted && fetched->status != MCP_ERESOLVE)
      break;
  }
  fetched->reached = wire != NULL ? MCP_STAGE_OPEN : MCP_STAGE_CONNECTING;
  return wire;
}

static bool fetch_from(const options_t *options, const mcp__url_t *urls, unsigned count, bool trusted,
                       const char *path, fetched_t *fetched) {
  const mcp__url_t *url;
  fetched->net = checked(calloc(1, sizeof *fetched->net));
  int status = net_init(fetched->net, options->timeout_ms);
  if (status != 0) { /* UNTESTED: needs a process without descriptors */
    free(fetched->net);
    fetched->net = NULL;
    return fail(fetched, MCP_EENV, "no event loop: %s", uv_strerror(status));
  }
  wire_t *wire = reach_any(urls, count, trusted, &url, fetched);
  if (wire == NULL || !secure(wire, url, options, fetched))
    return false;
  fetched->status = 0; /* of a place that did not accept */
  return ask(wire, url, trusted, path, fetched);
}

bool fetch(const options_t *options, const char *path, fetched_t *fetched) {
  mcp__url_t *urls;
  unsigned count;
  const char *given = options->url != NULL ? options->url : mcp_env_text("GODOT_URL", NULL);
  *fetched = (fetched_t){.status = 0};
  mcp__buf_init(&fetched->answer, FETCH_MAX_BYTES, NULL);
  fetched->status = mcp__urls_parse(given != NULL ? given : MCP__GODOT_PLACES, &urls, &count,
                                    fetched->problem, sizeof fetched->problem);
  bool ok = fetched->status == 0 && fetch_from(options, urls, count, given != NULL, path, fetched);
  mcp__free(urls);
  return ok;
}

void fetch_end(fetched_t *fetched, int exit_code) {
  if (fetched->net != NULL)
    net_deinit(fetched->net, exit_code);
  free(fetched->net);
  mcp__buf_deinit(&fetched->answer);
}
