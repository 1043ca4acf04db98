/* origins.h: which pages of browsers may ask a server: told by Origin, and by Host where a name may have been
 * bound anew to this machine (DNS rebinding); pure. */
#ifndef MCP_ORIGINS_H
#define MCP_ORIGINS_H

#include "transport/upgrade.h"

/* What a server admits beyond its own pages: entries parted by commas, "*" for any; NULL: none. */
typedef struct mcp__origins {
  char *origins; /* scheme://host:port each */
  char *hosts;   /* names each */
} mcp__origins_t;

/* For a request without a valid token: NULL, or why it is refused with 403. wish is its
 * mcp__head_request_kind(). */
const char *mcp__origins_problem(const mcp__origins_t *allowed, const mcp__head_t *head,
                                 mcp__http_request_kind_t kind, bool tls);

/* The next entry of a list, without blanks around it; NULL: there is no more. */
const char *mcp__origins_next(const char **list, size_t *len);
/* Whether any request can have it. */
bool mcp__origins_valid_origin(const char *origin, size_t len);
bool mcp__origins_valid_host(const char *host, size_t len);

#endif
