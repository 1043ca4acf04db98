/* auth.h: the bearer token that a server requires and a client sends (RFC 6750). The token never appears in
 * logs, errors or responses. */
#ifndef MCP_AUTH_H
#define MCP_AUTH_H

#include "transport/upgrade.h"

enum {
  MCP__AUTH_TOKEN_MAX = 512, /* bytes; with "Bearer " it fits MCP__HEAD_MAX_VALUE */
  MCP__AUTH_DIGEST_SIZE = 32
};

/* A server's token: only its digest is kept. A zeroed one requires no token. */
typedef struct mcp__auth {
  bool required;
  unsigned char digest[MCP__AUTH_DIGEST_SIZE];
} mcp__auth_t;

/* Whether text has the form of a token: 1 to 512 of A-Z a-z 0-9 - . _ ~ + / and = at its end (RFC 6750
 * section 2.1). */
bool mcp__token_valid(const char *token);

/* Sets *token to ICCM_AUTH_TOKEN, borrowed, or to NULL, and returns 0. Returns MCP_EENV and sets
 * mcp_last_error() if the value is invalid. */
int mcp__token_from_environment(const char **token);

void mcp__token_free(char *token); /* wipes it first; token may be NULL */

/* token NULL: none is required. Returns 0; UV_EINVAL: invalid token; UV_ENOMEM. */
int mcp__auth_set(mcp__auth_t *auth, const char *token);
void mcp__auth_wipe(mcp__auth_t *auth);

/* Returns NULL if the request carries the token or none is required; else the text for a 401 response. */
const char *mcp__auth_problem(const mcp__auth_t *auth, const mcp__head_t *head);

#endif
