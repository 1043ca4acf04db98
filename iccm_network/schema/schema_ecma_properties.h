/* schema_ecma_properties.h: Unicode properties by their ECMA-262 names. */
#ifndef MCP_SCHEMA_ECMA_PROPERTIES_H
#define MCP_SCHEMA_ECMA_PROPERTIES_H

#include <stdbool.h>
#include <stddef.h>

enum { MCP__ECMA_PROPERTY_BYTES = 64 };

/* Translates the text between the braces of \p{…} (inverted: \P{…}) to an escape for PCRE2. False: ECMA-262
 * or PCRE2 has no such property. Names of scripts are only checked for their form; PCRE2 rejects unknown
 * ones. */
bool mcp__ecma_property(const char *text, size_t len, bool inverted, char out[MCP__ECMA_PROPERTY_BYTES]);

#endif
