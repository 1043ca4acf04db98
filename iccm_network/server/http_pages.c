/* http_pages.c: the table of routes and their handlers. Without memory for its body, a response becomes a 500
 * with a constant body. */
#include "server/http_pages.h"

#include "transport/http_response.h"

#include <string.h>

enum { MAX_READY = 64 << 10, MAX_METRICS = 16 << 20, MAX_PLAIN = 1024 };

typedef void (*handler_t)(const mcp__http_site_t *site, const mcp__http_request_t *request,
                          mcp__http_response_t *response);

static void plain(mcp__http_response_t *response, int status, const char *text) {
  response->status = status;
  response->type = MCP__HTTP_PLAIN_TEXT;
  mcp__buf_init(&response->body, MAX_PLAIN, NULL);
  mcp__buf_puts(&response->body, text);
}

static void healthz(const mcp__http_site_t *site, const mcp__http_request_t *request,
                    mcp__http_response_t *response) {
  (void)site;
  (void)request;
  plain(response, 200, "alive\n");
}

/* Health checks need no token, but the reasons are shown only to authorized requests. */
static void readyz(const mcp__http_site_t *site, const mcp__http_request_t *request,
                   mcp__http_response_t *response) {
  mcp__buf_t *text = &response->body;
  response->type = MCP__HTTP_PLAIN_TEXT;
  mcp__buf_init(text, MAX_READY, NULL);
  mcp__buf_puts(text, *site->stopping ? "the server is stopping\n" : "");
  bool ready = mcp__readiness_write(site->readiness, text) && !*site->stopping;
  response->status = ready ? 200 : 503;
  if (ready || request->authorized) {
    mcp__buf_puts(text, ready ? "ready\n" : "");
    return;
  }
  mcp__buf_deinit(text);
  plain(response, 503, "not ready; send the token to see the cause\n");
}

static void metrics(const mcp__http_site_t *site, const mcp__http_request_t *request,
                    mcp__http_response_t *response) {
  (void)request;
  response->status = 200;
  response->type = "text/plain; version=0.0.4; charset=utf-8";
  mcp__buf_init(&response->body, MAX_METRICS, NULL);
  int status = site->write_metrics(&response->body, site->arg);
  if (status == 0)
    return;
  mcp_log(MCP_LOG_ERROR, site->name, "/metrics: %s", mcp_strerror(status));
  mcp__buf_deinit(&response->body);
  plain(response, 500, "the metrics are larger than 16 MiB, or memory is exhausted\n");
}

static void describe(const mcp__http_site_t *site, const mcp__http_request_t *request,
                     mcp__http_response_t *response, int status) {
  const char *s = request->tls ? "s" : "";
  plain(response, status, "");
  mcp__buf_printf(&response->body,
                  "%.100s %.100s: an MCP server, JSON-RPC 2.0 over WebSocket and streamable HTTP.\n"
                  "Connect with ws%s:// instead of http%s://, or POST messages to /mcp. See also GET "
                  "/healthz, /readyz and "
                  "/metrics.\n",
                  site->name, site->version, s, s);
}

static void root(const mcp__http_site_t *site, const mcp__http_request_t *request,
                 mcp__http_response_t *response) {
  describe(site, request, response, 200);
}

static void not_found(const mcp__http_site_t *site, const mcp__http_request_t *request,
                      mcp__http_response_t *response) {
  describe(site, request, response, 404);
}

/* GET includes HEAD. OPTIONS is answered before, for all paths. */
static const struct route {
  llhttp_method_t method;
  const char *path; /* NULL: any other path */
  bool is_public;   /* requires no token */
  handler_t handler;
} routes[] = {
    {HTTP_GET, "/healthz", true, healthz},  {HTTP_GET, "/readyz", true, readyz},
    {HTTP_GET, "/metrics", false, metrics}, {HTTP_GET, "/", false, root},
    {HTTP_GET, NULL, false, not_found},
};

bool mcp__pages_own(const mcp__head_t *head) {
  for (const struct route *route = routes; route->path != NULL; route++)
    if (strcmp(route->path, "/") != 0 && mcp__head_path_is(head, route->path))
      return true;
  return false;
}

bool mcp__pages_respond(const mcp__http_site_t *site, const mcp__http_request_t *request,
                        mcp__http_response_t *response) {
  const struct route *route = routes;
  while (route->path != NULL && !mcp__head_path_is(request->head, route->path))
    route++;
  if (!route->is_public && !request->authorized)
    return false;
  route->handler(site, request, response);
  return true;
}
