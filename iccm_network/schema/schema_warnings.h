/* schema_warnings.h: names in a schema that look like a keyword which was not spelt right. */
#ifndef MCP_SCHEMA_WARNINGS_H
#define MCP_SCHEMA_WARNINGS_H

#include "schema/schema_error.h"

enum { MCP__SCHEMA_MAX_WARNINGS = 16 };

typedef struct mcp__schema_warnings {
  const char *texts[MCP__SCHEMA_MAX_WARNINGS]; /* in the schema's arena */
  size_t count;
} mcp__schema_warnings_t;

struct mcp__compiler;

/* Notes the members of a schema, an object, whose names are near to a keyword's and none themselves. 0 or
 * -ENOMEM. */
int mcp__schema_warn_misspelled(struct mcp__compiler *compiler, yyjson_val *schema,
                                const mcp__location_t *at);

#endif
