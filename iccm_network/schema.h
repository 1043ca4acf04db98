/* schema.h: JSON Schema (2020-12) checks of a tool's arguments; pure.
 *
 * Served: type, enum, minimum, maximum, items, minItems, maxItems, properties, required,
 * additionalProperties. Other keywords are passed over. One rule is the project's own: null for a property
 * that is not required counts as not given, at every level. */
#ifndef MCP_SCHEMA_H
#define MCP_SCHEMA_H

#include "mem.h"

enum {
  MCP__SCHEMA_MAX_DEPTH = 128,   /* nested JSON values of a schema */
  MCP__SCHEMA_MAX_REQUIRED = 256 /* names in one "required" */
};

typedef struct mcp__schema mcp__schema_t;

/* Compiles a schema, an object or a boolean, which is copied. 0, UV_ENOMEM, or UV_EINVAL: then problem (cut
 * to problem_size with its NUL, which may be 0) says where in the schema, as a JSON Pointer, and what is
 * wrong. */
int mcp__schema_new(yyjson_val *schema, mcp__schema_t **out, char *problem, size_t problem_size);

/* Whether value fulfils the schema; false: problem names the first place that does not, as a JSON Pointer
 * with "/" for the root, and what is expected there. Value is as yyjson reads it, also with
 * YYJSON_READ_BIGNUM_AS_RAW. Allocates nothing; recursion is bounded by the schema's depth. Any thread. */
bool mcp__schema_check(const mcp__schema_t *schema, yyjson_val *value, char *problem, size_t problem_size);

void mcp__schema_free(mcp__schema_t *schema); /* NULL is fine */

#endif
