/* schema_uri.h: resolves URI references, as in $id and $ref (RFC 3986 section 5). */
#ifndef MCP_SCHEMA_URI_H
#define MCP_SCHEMA_URI_H

#include "base/arena.h"

/* Resolves a reference against a base URI, which may be empty: then a relative reference is unchanged except
 * for its dot segments. *out is the result without its fragment, in the arena; *fragment is the text after
 * "#" in the reference, or "". 0 or -ENOMEM. */
int mcp__uri_resolve(mcp__arena_t *arena, const char *base, const char *reference, const char **out,
                     const char **fragment);

#endif
