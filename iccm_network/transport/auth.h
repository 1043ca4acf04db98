/* auth.h: the bearer token that a server requires and a client sends (RFC 6750). Tokens never appear in logs,
 * errors or responses. */
#ifndef MCP_AUTH_H
#define MCP_AUTH_H

#include "transport/tokens.h"
#include "transport/upgrade.h"

/* The tokens of a server. A zeroed one requires none. */
typedef struct mcp__auth {
  mcp__token_t *token;  /* of an administrator; NULL: none */
  char *file;           /* with more tokens; NULL: none */
  mcp__tokens_t tokens; /* of the file */
} mcp__auth_t;

/* Sets *token to ICCM_AUTH_TOKEN, borrowed, or to NULL, and returns 0. Returns MCP_EENV and sets
 * mcp_last_error() if the value is invalid. */
int mcp__token_from_environment(const char **token);

void mcp__token_free(char *token); /* wipes it first; token may be NULL */

/* token NULL: none. Returns 0; UV_EINVAL: invalid token; UV_ENOMEM. */
int mcp__auth_set_token(mcp__auth_t *auth, const char *token);
/* file NULL: none. Returns the codes of mcp__tokens_read(); on failure nothing changes. */
int mcp__auth_set_file(mcp__auth_t *auth, const char *file);
/* Reads the file again, if there is one. Codes as above. */
int mcp__auth_reload(mcp__auth_t *auth);
void mcp__auth_wipe(mcp__auth_t *auth);

static inline bool mcp__auth_is_required(const mcp__auth_t *auth) {
  return auth->token != NULL || auth->file != NULL;
}

/* Returns NULL if the request carries a token, which *token gets, not held, or if none is required: *token is
 * then NULL. token may be NULL. Otherwise returns the text for a 401 response. */
const char *mcp__auth_problem(const mcp__auth_t *auth, const mcp__head_t *head, mcp__token_t **token);

#endif
