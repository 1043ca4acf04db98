/* auth.c: one token for all clients, from ICCM_AUTH_TOKEN or a setter.
 *
 * Happy path: the upgrade carries the token as Authorization: Bearer. Browsers, which cannot set that header,
 * send it as a subprotocol. Both tokens are hashed and the digests are compared in constant time, so the
 * duration depends only on the input. Failure: a token that cannot be hashed is rejected. */
#include "transport/auth.h"

#include "base/error.h"
#include "iccm_network.h"
#include "base/mem.h"
#include "base/settings.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>
#include <strings.h>
#include <uv.h>

static const char scheme[] = "Bearer ", subprotocol[] = "mcp.auth.";

bool mcp__token_valid(const char *token) {
  size_t len = strlen(token);
  size_t body = strspn(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/");
  return body > 0 && len <= MCP__AUTH_TOKEN_MAX && body + strspn(token + body, "=") == len;
}

int mcp__token_from_environment(const char **token) {
  *token = mcp__setting("ICCM_AUTH_TOKEN");
  if (*token == NULL || mcp__token_valid(*token))
    return 0;
  mcp__set_last_error(
      "invalid ICCM_AUTH_TOKEN: expected 1 to 512 characters of A-Z a-z 0-9 - . _ ~ + / with = at the end");
  return MCP_EENV;
}

void mcp__token_free(char *token) {
  if (token != NULL)
    OPENSSL_cleanse(token, strlen(token));
  mcp__free(token);
}

static bool digest_of(const char *text, size_t len, unsigned char digest[MCP__AUTH_DIGEST_SIZE]) {
  return EVP_Digest(text, len, digest, NULL, EVP_sha256(), NULL) == 1;
}

int mcp__auth_set(mcp__auth_t *auth, const char *token) {
  mcp__auth_t new = {.required = token != NULL};
  if (token != NULL && !mcp__token_valid(token))
    return UV_EINVAL;
  if (token != NULL && !digest_of(token, strlen(token), new.digest))
    return UV_ENOMEM;
  *auth = new;
  return 0;
}

void mcp__auth_wipe(mcp__auth_t *auth) {
  OPENSSL_cleanse(auth, sizeof *auth);
}

static bool is_token(const mcp__auth_t *auth, const char *text, size_t len) {
  unsigned char digest[MCP__AUTH_DIGEST_SIZE];
  return digest_of(text, len, digest) && CRYPTO_memcmp(digest, auth->digest, sizeof digest) == 0;
}

/* RFC 9110 section 11.4: the scheme is case-insensitive. */
static bool in_header(const mcp__auth_t *auth, const char *value) {
  if (strncasecmp(value, scheme, sizeof scheme - 1) != 0)
    return false;
  const char *token = value + sizeof scheme - 1;
  token += strspn(token, " ");
  return is_token(auth, token, strlen(token));
}

static bool in_subprotocols(const mcp__auth_t *auth, const char *list) {
  for (; *list != '\0'; list += strcspn(list, ",")) {
    list += strspn(list, " \t,");
    size_t len = strcspn(list, " \t,");
    if (len > sizeof subprotocol - 1 && strncmp(list, subprotocol, sizeof subprotocol - 1) == 0 &&
        is_token(auth, list + sizeof subprotocol - 1, len - (sizeof subprotocol - 1)))
      return true;
  }
  return false;
}

const char *mcp__auth_problem(const mcp__auth_t *auth, const mcp__head_t *head) {
  const char *header = mcp__head_value(head, MCP__H_AUTHORIZATION);
  const char *protocols = mcp__head_value(head, MCP__H_PROTOCOL);
  if (!auth->required ||
      (header != NULL && head->occurrences[MCP__H_AUTHORIZATION] == 1 && in_header(auth, header)) ||
      (protocols != NULL && in_subprotocols(auth, protocols)))
    return NULL;
  if (header != NULL || (protocols != NULL && strstr(protocols, subprotocol) != NULL))
    return "invalid token for this server\n";
  return "this server requires a token: send Authorization: Bearer <token>, or the subprotocol "
         "mcp.auth.<token>\n";
}
