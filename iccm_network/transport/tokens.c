/* tokens.c: tokens of a file or a setting.
 *
 * Happy path: a token is added in clear or as a digest; a presented token is hashed and its digest is
 * compared with all others in constant time. What it admits holds the entry, so that a later file can change
 * or end it. Failure: a file with one invalid line adds nothing. */
#include "transport/tokens.h"

#include "base/error.h"
#include "base/mem.h"
#include "iccm_service.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

static const char digest_prefix[] = "sha256:";

enum { DIGEST_TEXT_LEN = sizeof digest_prefix - 1 + 2 * MCP__TOKEN_DIGEST_SIZE };

bool mcp__token_valid(const char *token) {
  size_t len = strlen(token);
  size_t body = strspn(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/");
  return body > 0 && len <= MCP__TOKEN_MAX && body + strspn(token + body, "=") == len;
}

bool mcp__token_digest(const char *text, size_t len, unsigned char digest[MCP__TOKEN_DIGEST_SIZE]) {
  return EVP_Digest(text, len, digest, NULL, EVP_sha256(), NULL) == 1;
}

/* ---- one token ------------------------------------------------------------------------------------- */

static int copy_of(const mcp__token_t *token, mcp__token_t **copy) {
  *copy = mcp__malloc(sizeof **copy);
  if (*copy == NULL)
    return UV_ENOMEM;
  **copy = *token;
  (*copy)->holders = 1;
  return 0;
}

int mcp__token_new(const char *name, mcp__role_t role, const char *text, mcp__token_t **token) {
  mcp__token_t new = {.role = role, .end_us = INT64_MAX};
  if (!mcp__token_valid(text))
    return UV_EINVAL;
  snprintf(new.name, sizeof new.name, "%s", name);
  return mcp__token_digest(text, strlen(text), new.digest) ? copy_of(&new, token) : UV_ENOMEM;
}

mcp__token_t *mcp__token_hold(mcp__token_t *token) {
  if (token != NULL)
    token->holders++;
  return token;
}

void mcp__token_release(mcp__token_t *token) {
  if (token == NULL || --token->holders > 0)
    return;
  OPENSSL_cleanse(token, sizeof *token);
  mcp__free(token);
}

bool mcp__token_has_ended(const mcp__token_t *token, int64_t now_us) {
  return token->end_us <= now_us;
}

bool mcp__token_has_role(const mcp__token_t *token, mcp__role_t role) {
  return token->role >= role && token->end_us != INT64_MIN;
}

static bool has_digest(const mcp__token_t *token, const unsigned char *digest) {
  return CRYPTO_memcmp(token->digest, digest, MCP__TOKEN_DIGEST_SIZE) == 0;
}

bool mcp__token_matches(const mcp__token_t *token, const unsigned char *digest, int64_t now_us) {
  return has_digest(token, digest) && !mcp__token_has_ended(token, now_us);
}

/* ---- the set --------------------------------------------------------------------------------------- */

static mcp__token_t *with_digest(const mcp__tokens_t *tokens, const unsigned char *digest) {
  mcp__token_t *found = NULL;
  for (unsigned i = 0; i < tokens->count; i++)
    if (has_digest(tokens->entries[i], digest))
      found = tokens->entries[i];
  return found;
}

mcp__token_t *mcp__tokens_find(const mcp__tokens_t *tokens, const unsigned char *digest, int64_t now_us) {
  mcp__token_t *found = with_digest(tokens, digest);
  return found != NULL && !mcp__token_has_ended(found, now_us) ? found : NULL;
}

static void take_over(mcp__token_t *kept, const mcp__token_t *new) {
  memcpy(kept->name, new->name, sizeof kept->name);
  kept->role = new->role;
  kept->end_us = new->end_us;
}

void mcp__tokens_replace(mcp__tokens_t *tokens, mcp__tokens_t *by) {
  for (unsigned i = 0; i < tokens->count; i++)
    tokens->entries[i]->end_us = INT64_MIN;
  for (unsigned i = 0; i < by->count; i++) {
    mcp__token_t *kept = with_digest(tokens, by->entries[i]->digest);
    if (kept == NULL)
      continue;
    take_over(kept, by->entries[i]);
    mcp__token_release(by->entries[i]);
    by->entries[i] = mcp__token_hold(kept);
  }
  mcp__tokens_deinit(tokens);
  *tokens = *by;
  *by = (mcp__tokens_t){0};
}

void mcp__tokens_deinit(mcp__tokens_t *tokens) {
  for (unsigned i = 0; i < tokens->count; i++)
    mcp__token_release(tokens->entries[i]);
  tokens->count = 0;
}

/* ---- the file -------------------------------------------------------------------------------------- */

static bool parse_name(const char *text, mcp__token_t *token) {
  size_t len = strlen(text);
  if (len >= sizeof token->name ||
      strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._@") != len)
    return false;
  memcpy(token->name, text, len + 1);
  return true;
}

/* A date alone includes its day. */
static bool parse_end(const char *text, mcp__token_t *token) {
  token->end_us = INT64_MAX;
  return strcmp(text, "never") == 0 || mcp_time_parse_end(text, strlen(text), &token->end_us) == 0;
}

static bool parse_digest(const char *text, mcp__token_t *token) {
  if (strlen(text) != DIGEST_TEXT_LEN || strncmp(text, digest_prefix, sizeof digest_prefix - 1) != 0)
    return false;
  text += sizeof digest_prefix - 1;
  if (strspn(text, "0123456789abcdefABCDEF") != (size_t)2 * MCP__TOKEN_DIGEST_SIZE)
    return false;
  for (unsigned i = 0; i < MCP__TOKEN_DIGEST_SIZE; i++)
    sscanf(text + (size_t)2 * i, "%2hhx", &token->digest[i]);
  return true;
}

/* Returns NULL, or what is wrong with the line, whose words it separates. */
static const char *parse_line(char *line, mcp__token_t *token) {
  static const char space[] = " \t\r";
  char *rest, *name = strtok_r(line, space, &rest), *role = strtok_r(NULL, space, &rest),
              *end = strtok_r(NULL, space, &rest), *digest = strtok_r(NULL, space, &rest);
  *token = (mcp__token_t){0};
  if (digest == NULL || strtok_r(NULL, space, &rest) != NULL)
    return "expected NAME ROLE END sha256:HEX";
  if (!parse_name(name, token))
    return "a name has 1 to 64 of A-Z a-z 0-9 - . _ @";
  if (!mcp__role_parse(role, &token->role))
    return "a role is read, write or admin";
  if (!parse_end(end, token))
    return "an end is never, or " MCP_TIME_FORM;
  if (!parse_digest(digest, token))
    return "a digest is sha256: and 64 hexadecimal digits, the SHA-256 of the token";
  return NULL;
}

/* Adds the token of one line. Returns 0, UV_ENOMEM, or UV_EINVAL with *problem. */
static int add_line(mcp__tokens_t *tokens, char *line, const char **problem) {
  mcp__token_t token;
  line += strspn(line, " \t\r");
  if (*line == '\0' || *line == '#')
    return 0;
  *problem = parse_line(line, &token);
  if (*problem == NULL && with_digest(tokens, token.digest) != NULL)
    *problem = "this token is there already";
  if (*problem == NULL && tokens->count >= MCP__TOKENS_MAX)
    *problem = "at most 1000 tokens";
  if (*problem != NULL)
    return UV_EINVAL;
  int status = copy_of(&token, &tokens->entries[tokens->count]);
  if (status == 0)
    tokens->count++;
  return status;
}

static int invalid_file(const char *path, const char *problem) {
  mcp__set_last_error("%s: %s", path, problem);
  return UV_EINVAL;
}

static int add_lines(mcp__tokens_t *tokens, const char *path, char *text) {
  unsigned number = 0;
  for (char *line = text; line != NULL;) {
    char *end = strchr(line, '\n');
    const char *problem = NULL;
    if (end != NULL)
      *end++ = '\0';
    number++;
    int status = add_line(tokens, line, &problem);
    if (status == UV_EINVAL)
      mcp__set_last_error("%s, line %u: %s", path, number, problem);
    if (status != 0)
      return status;
    line = end;
  }
  return 0;
}

int mcp__tokens_parse(mcp__tokens_t *tokens, const char *path, char *text, size_t len) {
  int status = len > MCP__TOKENS_FILE_BYTES      ? invalid_file(path, "larger than 256 KiB")
               : memchr(text, '\0', len) != NULL ? invalid_file(path, "not a text file")
                                                 : add_lines(tokens, path, text);
  if (status != 0)
    mcp__tokens_deinit(tokens);
  return status;
}

/* Reads the whole file into text, which has room for the limit and two bytes. Others who could write the file
 * could admit themselves. */
static int read_text(int fd, const char *path, char *text, size_t *len) {
  struct stat info;
  ssize_t count = 0;
  *len = 0;
  if (fstat(fd, &info) != 0)
    return invalid_file(path, mcp_strerror(-errno));
  if (!S_ISREG(info.st_mode))
    return invalid_file(path, "not a regular file");
  if ((info.st_mode & S_IWOTH) != 0)
    return invalid_file(path, "everybody can write this file: use chmod o-w");
  do {
    count = read(fd, text + *len, MCP__TOKENS_FILE_BYTES + 1 - *len);
    *len += count > 0 ? (size_t)count : 0;
  } while ((count > 0 && *len <= MCP__TOKENS_FILE_BYTES) || (count < 0 && errno == EINTR));
  if (count < 0)
    return invalid_file(path, mcp_strerror(-errno));
  text[*len] = '\0';
  return 0;
}

int mcp__tokens_read(mcp__tokens_t *tokens, const char *path) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0)
    return invalid_file(path, mcp_strerror(-errno));
  char *text = mcp__malloc(MCP__TOKENS_FILE_BYTES + 2);
  size_t len;
  int status = text != NULL ? read_text(fd, path, text, &len) : UV_ENOMEM;
  close(fd);
  if (status == 0)
    status = mcp__tokens_parse(tokens, path, text, len);
  mcp__free(text);
  return status;
}
