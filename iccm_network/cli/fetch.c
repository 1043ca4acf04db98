/* fetch.c: see fetch.h.
 *
 * Happy path: resolve the name, connect to the first address that accepts, TLS, send the request, read until
 * the server closes. Failure: if an address does not accept within CONNECT_MS, the next one is tried; later
 * steps are not repeated.
 */
#include "fetch.h"

#include <iccm_service.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "transport/auth.h"
#include "base/mem.h"
#include "check_alloc.h"
#include "raw_conn.h"

enum { MAX_ADDRESSES = 8, CONNECT_MS = 5000 };

MCP_PRINTF(3, 4) static bool fail(fetch_result_t *fetched, int status, const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(fetched->error, sizeof fetched->error, format, args);
  va_end(args);
  fetched->status = status;
  return false;
}

static raw_conn_t *connect_to(net_t *net, const mcp__url_t *url, fetch_result_t *fetched) {
  struct sockaddr_storage addresses[MAX_ADDRESSES];
  int status;
  size_t count =
      net_resolve(net, url->address, url->port, addresses, MAX_ADDRESSES, net_left_ms(net), &status);
  if (count == 0) {
    fail(fetched, status == UV_ETIMEDOUT ? MCP_ETIMEOUT : MCP_ERESOLVE, "%s: %s", url->host,
         uv_strerror(status));
    return NULL;
  }
  for (size_t i = 0; i < count; i++) {
    raw_conn_t *conn = raw_conn_connect(net, (const struct sockaddr *)&addresses[i], NULL);
    if (raw_conn_wait_connected(conn, CONNECT_MS))
      return conn;
    fail(fetched, conn->status == UV_ETIMEDOUT ? MCP_ETIMEOUT : MCP_ECONNECT, "%s: %s", conn->name,
         uv_strerror(conn->status));
  }
  return NULL;
}

static bool start_tls(raw_conn_t *conn, const mcp__url_t *url, const options_t *options,
                      fetch_result_t *fetched) {
  char error[512];
  mcp__tls_context_t *context;
  if (!url->tls)
    return true;
  if (mcp__tls_client(mcp_env_text("ICCM_TLS_CA", NULL), &context, error, sizeof error) != 0)
    return fail(fetched, MCP_EENV, "%s", error);
  raw_conn_start_tls(conn, context, url->host, !options->insecure);
  mcp__tls_release(context); /* the connection holds it */
  if (!net_wait(conn->net, raw_conn_tls_done, conn, UINT64_MAX))
    return fail(fetched, MCP_ETIMEOUT, "no response to the TLS handshake");
  if (conn->state == RAW_CONN_OPEN)
    return true;
  return fail(fetched, MCP_ETLS, "%s",
              conn->status == MCP_ETLS ? conn->tls->problem : uv_strerror(conn->status));
}

static bool has_ended(void *arg) {
  const raw_conn_t *conn = arg;
  return conn->state == RAW_CONN_ENDED;
}

/* Validates the response. */
static bool check_response(const raw_conn_t *conn, const char *path, fetch_result_t *fetched) {
  mcp__head_t head;
  if (conn->status == UV_EMSGSIZE)
    return fail(fetched, MCP_ETOOBIG, "the response is larger than %d MiB", FETCH_MAX_BYTES >> 20);
  if (mcp__head_init(&head, false) != 0) /* UNTESTED: needs memory to run out */
    return fail(fetched, UV_ENOMEM, "%s", uv_strerror(UV_ENOMEM));
  mcp__head_state_t state =
      mcp__head_feed(&head, fetched->response.data, fetched->response.len, &fetched->body_offset);
  int http = head.status;
  mcp__head_deinit(&head);
  if (state == MCP__HEAD_MORE)
    return fail(fetched, MCP_EDISCONNECTED, "the server closed the connection before it responded");
  if (state == MCP__HEAD_BAD)
    return fail(fetched, MCP_EPROTOCOL, "the response is not HTTP");
  fetched->http_status = http;
  if (http == 401 || http == 403)
    return fail(fetched, MCP_EREFUSED, "the server responded with HTTP %d", http);
  if (http != 200)
    return fail(fetched, MCP_EPROTOCOL, "the server responded with HTTP %d to GET %s", http, path);
  if (conn->status != UV_EOF)
    return fail(fetched, MCP_EDISCONNECTED, "the connection was lost: %s", uv_strerror(conn->status));
  return true;
}

/* url_given: send the token. A default address gets the token only if it is loopback. */
static bool send_request(raw_conn_t *conn, const mcp__url_t *url, bool url_given, const char *path,
                         fetch_result_t *fetched) {
  char request[2048];
  const char *token = NULL;
  if (mcp__token_from_environment(&token) != 0)
    return fail(fetched, MCP_EENV, "%s", mcp_last_error());
  if (!url_given && !mcp__peer_is_loopback((const struct sockaddr *)&conn->address))
    token = NULL;
  int len =
      snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s%s%s\r\n",
               path, url->authority, token != NULL ? "Authorization: Bearer " : "",
               token != NULL ? token : "", token != NULL ? "\r\n" : "");
  conn->received = &fetched->response;
  raw_conn_send_raw(conn, request, (size_t)len);
  if (!net_wait(conn->net, has_ended, conn, UINT64_MAX))
    return fail(fetched, MCP_ETIMEOUT, "no response to GET %s", path);
  return check_response(conn, path, fetched);
}

/* Connects to the first URL that accepts, and sets *url to it; NULL: none. Of Godot's default URLs the second
 * is tried only if the name in the first cannot be resolved, as in the library's client. */
static raw_conn_t *connect_to_any(const mcp__url_t *urls, unsigned count, bool url_given,
                                  const mcp__url_t **url, fetch_result_t *fetched) {
  raw_conn_t *conn = NULL;
  for (unsigned i = 0; i < count && conn == NULL; i++) {
    *url = &urls[i];
    conn = connect_to(fetched->net, *url, fetched);
    if (conn == NULL && !url_given && fetched->status != MCP_ERESOLVE)
      break;
  }
  fetched->stage = conn != NULL ? MCP_STAGE_OPEN : MCP_STAGE_CONNECTING;
  return conn;
}

static bool fetch_from(const options_t *options, const mcp__url_t *urls, unsigned count, bool url_given,
                       const char *path, fetch_result_t *fetched) {
  const mcp__url_t *url;
  fetched->net = check_alloc(calloc(1, sizeof *fetched->net));
  int status = net_init(fetched->net, options->timeout_ms);
  if (status != 0) { /* UNTESTED: needs a process without descriptors */
    free(fetched->net);
    fetched->net = NULL;
    return fail(fetched, MCP_EENV, "cannot create an event loop: %s", uv_strerror(status));
  }
  raw_conn_t *conn = connect_to_any(urls, count, url_given, &url, fetched);
  if (conn == NULL || !start_tls(conn, url, options, fetched))
    return false;
  fetched->status = 0; /* clears the error of a URL that did not accept */
  return send_request(conn, url, url_given, path, fetched);
}

bool fetch(const options_t *options, const char *path, fetch_result_t *fetched) {
  mcp__url_t *urls;
  unsigned count;
  const char *given = options->url != NULL ? options->url : mcp_env_text("GODOT_URL", NULL);
  *fetched = (fetch_result_t){.status = 0};
  mcp__buf_init(&fetched->response, FETCH_MAX_BYTES, NULL);
  fetched->status = mcp__urls_parse(given != NULL ? given : MCP__URL_GODOT_DEFAULTS, &urls, &count,
                                    fetched->error, sizeof fetched->error);
  bool ok = fetched->status == 0 && fetch_from(options, urls, count, given != NULL, path, fetched);
  mcp__free(urls);
  return ok;
}

void fetch_free(fetch_result_t *fetched, int exit_code) {
  if (fetched->net != NULL)
    net_deinit(fetched->net, exit_code);
  free(fetched->net);
  mcp__buf_deinit(&fetched->response);
}
