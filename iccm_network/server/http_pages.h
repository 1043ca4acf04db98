/* http_pages.h: the HTTP pages of a server: which there are, and what each answers. Knows no connection. */
#ifndef MCP_HTTP_PAGES_H
#define MCP_HTTP_PAGES_H

#include "server/readiness.h"
#include "transport/upgrade.h"

/* What the pages tell of. */
typedef struct mcp__http_site {
  const char *name, *version;
  mcp__readiness_t *readiness;
  const bool *stopping;
  int (*write_metrics)(mcp__buf_t *out, void *arg); /* 0, MCP_ETOOBIG, UV_ENOMEM */
  void *arg;
} mcp__http_site_t;

typedef struct mcp__http_request {
  const mcp__head_t *head;
  bool authorized; /* it has the token, or none is required */
  bool tls;
} mcp__http_request_t;

typedef struct mcp__http_response {
  int status;
  const char *type;
  mcp__buf_t body; /* the caller's to deinit */
} mcp__http_response_t;

/* Answers a complete GET or HEAD. false: this page is for trusted requests alone; nothing was written. */
bool mcp__pages_answer(const mcp__http_site_t *site, const mcp__http_request_t *request,
                       mcp__http_response_t *response);

#endif
