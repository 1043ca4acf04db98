/* redact.h: what must not be seen in a log is taken out of JSON, addresses and settings; pure, but for the
 * names a program adds. */
#ifndef MCP_REDACT_H
#define MCP_REDACT_H

#include "base/buf.h"

/* Whether the value of a member of this name is a secret: its words, whatever their case and what joins them,
 * are or end in a name on the list: accessToken, API-Key, db_password. */
bool mcp__redact_is_secret_name(const char *key, size_t len);

#define MCP__REDACTED "[REDACTED]"

/* Puts MCP__REDACTED in the place of each secret, at any depth; what lies deeper than MCP__REDACT_DEPTH goes
 * as a whole: Godot refuses an entry of over 56 levels. */
enum { MCP__REDACT_DEPTH = 48 };
void mcp__redact(yyjson_mut_val *value);

/* Whether an @ begins the text, encoded or not: what stands in front of it in an address may be a password.
 */
bool mcp__redact_is_at_sign(const char *text);

/* Appends JSON text with the secrets taken out: 0, UV_ENOMEM, MCP_ETOOBIG, or UV_EINVAL where it is no JSON.
 */
int mcp__redact_text(mcp__buf_t *out, const char *json, size_t len);

#endif
