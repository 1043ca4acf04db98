/* schema_uri.h: references to URIs, as $id and $ref have them (RFC 3986 section 5). */
#ifndef MCP_SCHEMA_URI_H
#define MCP_SCHEMA_URI_H

#include "base/arena.h"

/* Resolves a reference against a base URI, which may be empty: then a relative reference stays as it is, but
 * for its dots. *out is the result without its fragment, in the arena; *fragment is the text behind "#" in
 * the reference, or the empty string. 0 or -ENOMEM. */
int mcp__uri_resolve(mcp__arena_t *arena, const char *base, const char *reference, const char **out,
                     const char **fragment);

#endif
