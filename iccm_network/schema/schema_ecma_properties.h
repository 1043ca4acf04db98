/* schema_ecma_properties.h: Unicode properties by ECMA-262's names. */
#ifndef MCP_SCHEMA_ECMA_PROPERTIES_H
#define MCP_SCHEMA_ECMA_PROPERTIES_H

#include <stdbool.h>
#include <stddef.h>

enum { MCP__ECMA_PROPERTY_BYTES = 64 };

/* Writes what stands between the braces of \p{…} (inverted: \P{…}) as an escape for PCRE2. False: ECMA-262 or
 * PCRE2 has no such property; of scripts, whose names are only looked at by their form, PCRE2 finds that
 * out. */
bool mcp__ecma_property(const char *text, size_t len, bool inverted, char out[MCP__ECMA_PROPERTY_BYTES]);

#endif
