/* schema_notice.h: names in a schema that look like a keyword which was not spelt right. */
#ifndef MCP_SCHEMA_NOTICE_H
#define MCP_SCHEMA_NOTICE_H

#include "schema/schema_problem.h"

enum { MCP__SCHEMA_MAX_NOTICES = 16 };

typedef struct mcp__notices {
  const char *texts[MCP__SCHEMA_MAX_NOTICES]; /* in the schema's arena */
  size_t count;
} mcp__notices_t;

struct mcp__compiler;

/* Notes the members of a schema, an object, whose names are near to a keyword's and none themselves. 0 or
 * -ENOMEM. */
int mcp__notice_keywords(struct mcp__compiler *compiler, yyjson_val *schema, const mcp__place_t *at);

#endif
