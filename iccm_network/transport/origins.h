/* origins.h: checks which browser pages may send requests: by Origin, and by Host against DNS rebinding;
 * pure. */
#ifndef MCP_ORIGINS_H
#define MCP_ORIGINS_H

#include "transport/upgrade.h"

/* Origins and hosts that are allowed in addition to the server's own: comma-separated lists, "*" for any;
 * NULL: none. */
typedef struct mcp__origins {
  char *origins; /* each scheme://host:port */
  char *hosts;   /* each a host name */
} mcp__origins_t;

/* Checks a request without a valid token. Returns NULL if it is allowed, else the text for a 403 response.
 * kind is the request's mcp__head_request_kind(). */
const char *mcp__origins_problem(const mcp__origins_t *allowed, const mcp__head_t *head,
                                 mcp__http_request_kind_t kind, bool tls);

/* Returns the next entry of a list without surrounding blanks; NULL at the end. */
const char *mcp__origins_next(const char **list, size_t *len);
/* Whether an entry can match any request. */
bool mcp__origins_valid_origin(const char *origin, size_t len);
bool mcp__origins_valid_host(const char *host, size_t len);

#endif
