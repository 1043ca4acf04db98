/* auth.c: the token of a request.
 *
 * Happy path: the upgrade carries the token as Authorization: Bearer. Browsers, which cannot set that header,
 * send it as a subprotocol. The token is hashed, and digests are compared in constant time, so the duration
 * depends only on the input. Failure: a token that cannot be hashed is rejected. */
#include "transport/auth.h"

#include "base/error.h"
#include "iccm_service.h"
#include "base/mem.h"
#include "base/settings.h"

#include <openssl/crypto.h>
#include <string.h>
#include <strings.h>
#include <uv.h>

static const char scheme[] = "Bearer ", subprotocol[] = "mcp.auth.";

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

/* ---- settings -------------------------------------------------------------------------------------- */

int mcp__auth_set_token(mcp__auth_t *auth, const char *token) {
  mcp__token_t *new = NULL;
  int status = token != NULL ? mcp__token_new("ICCM_AUTH_TOKEN", MCP__ROLE_ADMIN, token, &new) : 0;
  if (status != 0)
    return status;
  mcp__token_release(auth->token);
  auth->token = new;
  return 0;
}

static int read_file(mcp__auth_t *auth, const char *file) {
  mcp__tokens_t *new = mcp__calloc(sizeof *new);
  int status = new == NULL ? UV_ENOMEM : file != NULL ? mcp__tokens_read(new, file) : 0;
  if (status == 0)
    mcp__tokens_replace(&auth->tokens, new);
  mcp__free(new);
  return status;
}

int mcp__auth_set_file(mcp__auth_t *auth, const char *file) {
  char *copy = file != NULL ? mcp__strdup(file) : NULL;
  int status = file != NULL && copy == NULL ? UV_ENOMEM : read_file(auth, file);
  if (status != 0) {
    mcp__free(copy);
    return status;
  }
  mcp__free(auth->file);
  auth->file = copy;
  return 0;
}

int mcp__auth_reload(mcp__auth_t *auth) {
  return auth->file != NULL ? read_file(auth, auth->file) : 0;
}

void mcp__auth_wipe(mcp__auth_t *auth) {
  mcp__token_release(auth->token);
  mcp__tokens_deinit(&auth->tokens);
  mcp__free(auth->file);
  *auth = (mcp__auth_t){0};
}

/* ---- requests -------------------------------------------------------------------------------------- */

static mcp__token_t *find(const mcp__auth_t *auth, const char *text, size_t len) {
  unsigned char digest[MCP__TOKEN_DIGEST_SIZE];
  int64_t now_us = mcp_time_now_us();
  if (!mcp__token_digest(text, len, digest))
    return NULL;
  mcp__token_t *found = mcp__tokens_find(&auth->tokens, digest, now_us);
  bool is_own = auth->token != NULL && mcp__token_matches(auth->token, digest, now_us);
  return is_own ? auth->token : found;
}

/* RFC 9110 section 11.4: the scheme is case-insensitive. */
static mcp__token_t *in_header(const mcp__auth_t *auth, const char *value) {
  if (strncasecmp(value, scheme, sizeof scheme - 1) != 0)
    return NULL;
  const char *token = value + sizeof scheme - 1;
  token += strspn(token, " ");
  return find(auth, token, strlen(token));
}

static mcp__token_t *in_subprotocols(const mcp__auth_t *auth, const char *list) {
  mcp__token_t *found = NULL;
  for (; found == NULL && *list != '\0'; list += strcspn(list, ",")) {
    list += strspn(list, " \t,");
    size_t len = strcspn(list, " \t,");
    if (len > sizeof subprotocol - 1 && strncmp(list, subprotocol, sizeof subprotocol - 1) == 0)
      found = find(auth, list + sizeof subprotocol - 1, len - (sizeof subprotocol - 1));
  }
  return found;
}

static mcp__token_t *token_of(const mcp__auth_t *auth, const char *header, const char *protocols,
                              const mcp__head_t *head) {
  mcp__token_t *token = NULL;
  if (header != NULL && head->occurrences[MCP__H_AUTHORIZATION] == 1)
    token = in_header(auth, header);
  return token == NULL && protocols != NULL ? in_subprotocols(auth, protocols) : token;
}

const char *mcp__auth_problem(const mcp__auth_t *auth, const mcp__head_t *head, mcp__token_t **token) {
  const char *header = mcp__head_value(head, MCP__H_AUTHORIZATION);
  const char *protocols = mcp__head_value(head, MCP__H_PROTOCOL);
  mcp__token_t *found = mcp__auth_is_required(auth) ? token_of(auth, header, protocols, head) : NULL;
  if (token != NULL)
    *token = found;
  if (found != NULL || !mcp__auth_is_required(auth))
    return NULL;
  if (header != NULL || (protocols != NULL && strstr(protocols, subprotocol) != NULL))
    return "invalid token for this server: it is unknown, or its end has passed\n";
  return "this server requires a token: send Authorization: Bearer <token>, or the subprotocol "
         "mcp.auth.<token>\n";
}
