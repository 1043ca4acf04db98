/* schema_ecma.h: translates ECMA-262 regular expressions to PCRE2. */
#ifndef MCP_SCHEMA_ECMA_H
#define MCP_SCHEMA_ECMA_H

#include "base/buf.h"

/* Reads an expression as ECMA-262 (2024) does with the flag u, and appends an equivalent one for PCRE2 with
 * PCRE2_UTF, PCRE2_DOLLAR_ENDONLY, PCRE2_ALLOW_EMPTY_CLASS and PCRE2_MATCH_UNSET_BACKREF. Some forms that are
 * only valid without the flag u are accepted: a backslash before any punctuation, and "{", "}" or "]" alone.
 * 0, UV_ENOMEM, or UV_EINVAL: then *words is the error and *offset its byte offset. The expression must be
 * valid UTF-8. */
int mcp__ecma_translate(const char *text, size_t len, mcp__buf_t *out, const char **words, size_t *offset);

#endif
