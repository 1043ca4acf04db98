/* http_pages.h: the HTTP pages of a server and their responses; independent of connections. */
#ifndef MCP_HTTP_PAGES_H
#define MCP_HTTP_PAGES_H

#include "server/readiness.h"
#include "transport/upgrade.h"

/* Data shown by the pages. */
typedef struct mcp__http_site {
  const char *name, *version;
  mcp__readiness_t *readiness;
  const bool *stopping;
  int (*write_metrics)(mcp__buf_t *out, void *arg); /* 0, MCP_ETOOBIG, UV_ENOMEM */
  void *arg;
} mcp__http_site_t;

typedef struct mcp__http_request {
  const mcp__head_t *head;
  bool authorized; /* it carries the token, or none is required */
  bool tls;
} mcp__http_request_t;

typedef struct mcp__http_response {
  int status;
  const char *type;
  mcp__buf_t body; /* the caller calls deinit */
} mcp__http_response_t;

/* Whether the path is one that a page has, so that MCP has it not: /healthz, /readyz, /metrics. */
bool mcp__pages_own(const mcp__head_t *head);

/* Responds to a complete GET or HEAD. Returns false, without a response, if the page requires an authorized
 * request. */
bool mcp__pages_respond(const mcp__http_site_t *site, const mcp__http_request_t *request,
                        mcp__http_response_t *response);

#endif
