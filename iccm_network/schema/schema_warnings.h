/* schema_warnings.h: warns about names in a schema that look like misspelled keywords. */
#ifndef MCP_SCHEMA_WARNINGS_H
#define MCP_SCHEMA_WARNINGS_H

#include "schema/schema_error.h"

enum { MCP__SCHEMA_MAX_WARNINGS = 16 };

typedef struct mcp__schema_warnings {
  const char *texts[MCP__SCHEMA_MAX_WARNINGS]; /* in the schema's arena */
  size_t count;
} mcp__schema_warnings_t;

struct mcp__compiler;

/* Adds a warning for each member of a schema, an object, whose name is close to a keyword but is not one. 0
 * or -ENOMEM. */
int mcp__schema_warn_misspelled(struct mcp__compiler *compiler, yyjson_val *schema,
                                const mcp__location_t *at);

#endif
