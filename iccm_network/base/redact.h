/* redact.h: removes secrets from JSON, URLs and settings before they are logged; pure, apart from the names
 * that a program adds. */
#ifndef MCP_REDACT_H
#define MCP_REDACT_H

#include "base/buf.h"

/* Whether a member with this name holds a secret. Case and separators are ignored; the name matches if it
 * ends in a name of the list: accessToken, API-Key, db_password. */
bool mcp__redact_is_secret_name(const char *key, size_t len);

#define MCP__REDACTED "[REDACTED]"

/* Replaces each secret by MCP__REDACTED, at any depth. A container deeper than MCP__REDACT_DEPTH is replaced
 * as a whole: Godot rejects entries of more than 56 levels. */
enum { MCP__REDACT_DEPTH = 48 };
void mcp__redact(yyjson_mut_val *value);

/* Whether text begins with @, plain or percent-encoded. In a URL the text before it may be a password. */
bool mcp__redact_is_at_sign(const char *text);

/* Appends JSON text with the secrets redacted: 0, UV_ENOMEM, MCP_ETOOBIG, or UV_EINVAL if it is not JSON. */
int mcp__redact_text(mcp__buf_t *out, const char *json, size_t len);

#endif
