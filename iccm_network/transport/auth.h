/* auth.h: the token that a server asks for and a client sends (RFC 6750). The text of a token is in no log,
 * no error and no answer. */
#ifndef MCP_AUTH_H
#define MCP_AUTH_H

#include "transport/upgrade.h"

enum {
  MCP__AUTH_TOKEN_MAX = 512, /* bytes; with what stands in front of it, it fits a header that is looked at */
  MCP__AUTH_DIGEST_SIZE = 32
};

/* A server's: of the token the digest alone is kept. A zeroed one asks for none. */
typedef struct mcp__auth {
  bool required;
  unsigned char digest[MCP__AUTH_DIGEST_SIZE];
} mcp__auth_t;

/* Whether a text can be a token: 1 to 512 of A-Z a-z 0-9 - . _ ~ + / and = at its end (RFC 6750 section 2.1).
 */
bool mcp__token_valid(const char *token);

/* ICCM_AUTH_TOKEN, borrowed, or NULL: 0; or MCP_EENV and mcp_last_error() where it is not valid. */
int mcp__token_from_environment(const char **token);

void mcp__token_free(char *token); /* wiped first; NULL is fine */

/* NULL: none is asked for. 0; UV_EINVAL: not valid; UV_ENOMEM. */
int mcp__auth_set(mcp__auth_t *auth, const char *token);
void mcp__auth_wipe(mcp__auth_t *auth);

/* NULL: the request has the token, or none is asked for. Else what to answer with 401. */
const char *mcp__auth_problem(const mcp__auth_t *auth, const mcp__head_t *head);

#endif
