/* schema_ecma.h: regular expressions of ECMA-262, written anew for PCRE2. */
#ifndef MCP_SCHEMA_ECMA_H
#define MCP_SCHEMA_ECMA_H

#include "base/buf.h"

/* Reads an expression as ECMA-262 (2024) does with the flag u, and appends one to out that PCRE2 understands
 * in the same way with PCRE2_UTF, PCRE2_DOLLAR_ENDONLY, PCRE2_ALLOW_EMPTY_CLASS and
 * PCRE2_MATCH_UNSET_BACKREF. Beyond the flag u, what is harmless is taken as it is without the flag: a
 * backslash before any punctuation, and "{", "}" or "]" alone. 0, UV_ENOMEM, or UV_EINVAL: then *words say
 * what is wrong, at the byte *offset. The expression is valid UTF-8. */
int mcp__ecma_translate(const char *text, size_t len, mcp__buf_t *out, const char **words, size_t *offset);

#endif
