/* tokens.h: the tokens that a server accepts, each with a name, a role and an end. Only digests are kept. */
#ifndef MCP_TOKENS_H
#define MCP_TOKENS_H

#include "mcp/role.h"

#include <stddef.h>
#include <stdint.h>

enum {
  MCP__TOKEN_MAX = 512, /* bytes; with "Bearer " it fits MCP__HEAD_MAX_VALUE */
  MCP__TOKEN_DIGEST_SIZE = 32,
  MCP__TOKEN_NAME_SIZE = 65,       /* with the NUL */
  MCP__TOKENS_MAX = 1000,          /* of a file */
  MCP__TOKENS_FILE_BYTES = 1 << 18 /* limit for the size of a file */
};

/* One token, shared by the set and by what it has admitted. */
typedef struct mcp__token {
  char name[MCP__TOKEN_NAME_SIZE];
  mcp__role_t role;
  int64_t end_us; /* since the epoch; from then on it admits nobody. INT64_MIN: it was removed */
  unsigned char digest[MCP__TOKEN_DIGEST_SIZE];
  unsigned holders;
} mcp__token_t;

/* The tokens of a file. */
typedef struct mcp__tokens {
  mcp__token_t *entries[MCP__TOKENS_MAX];
  unsigned count;
} mcp__tokens_t;

/* Whether text has the form of a token: 1 to 512 of A-Z a-z 0-9 - . _ ~ + / and = at its end (RFC 6750
 * section 2.1). */
bool mcp__token_valid(const char *token);

/* Returns false if memory is exhausted. */
bool mcp__token_digest(const char *text, size_t len, unsigned char digest[MCP__TOKEN_DIGEST_SIZE]);

/* Creates a token without an end, with one holder. Returns 0; UV_EINVAL: text is not a token; UV_ENOMEM. */
int mcp__token_new(const char *name, mcp__role_t role, const char *text, mcp__token_t **token);
mcp__token_t *mcp__token_hold(mcp__token_t *token); /* NULL is fine */
void mcp__token_release(mcp__token_t *token);       /* NULL is fine */

bool mcp__token_has_ended(const mcp__token_t *token, int64_t now_us);
/* Whether it has this role or a higher one, and was not removed. */
bool mcp__token_has_role(const mcp__token_t *token, mcp__role_t role);

/* Whether it has this digest and has not ended. Takes the same time for each digest. */
bool mcp__token_matches(const mcp__token_t *token, const unsigned char *digest, int64_t now_us);

/* Adds the tokens of a file to an empty set: one on each line, "NAME ROLE END sha256:HEX", END a time or
 * "never"; empty lines and lines that begin with # are skipped. Returns 0, UV_ENOMEM, or UV_EINVAL with the
 * cause in mcp_last_error(), which names the file and the line. */
int mcp__tokens_read(mcp__tokens_t *tokens, const char *path);
/* The same with the text of the file, which ends with NUL and is changed. */
int mcp__tokens_parse(mcp__tokens_t *tokens, const char *path, char *text, size_t len);

/* Returns the token that matches, or NULL. Takes the same time for each digest. */
mcp__token_t *mcp__tokens_find(const mcp__tokens_t *tokens, const unsigned char *digest, int64_t now_us);

/* Replaces the set by another one, which becomes empty. A token that both have stays the same object and
 * gets the new name, role and end; one that only the old set has is ended. */
void mcp__tokens_replace(mcp__tokens_t *tokens, mcp__tokens_t *by);

void mcp__tokens_deinit(mcp__tokens_t *tokens);

#endif
