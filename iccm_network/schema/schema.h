/* schema.h: validates a tool's arguments and results against JSON Schema (2020-12); pure.
 *
 * Supported are the assertions and applicators of 2020-12; $recursiveRef of 2019-09; the draft-07 forms
 * definitions, items as an array with additionalItems, dependencies and "$id": "#name"; the boolean exclusive
 * bounds of draft-04; nullable of OpenAPI 3.0. All of them are supported with every $schema, except that
 * draft-07 and older ignore keywords beside $ref. Without $schema a schema is 2020-12; an unknown $schema is
 * an error. Other keywords, such as format, are not checked. $ref refers to places in the same schema, also
 * by the URIs of its resources. Patterns are those of ECMA-262 (schema_ecma.h).
 *
 * One rule is specific to this project: null for a property that is not required counts as not given, at
 * every level and for every keyword. "Required" means the `required` of the first schema applied to the
 * object, and of schemas that it always applies (allOf, $ref). A `required` elsewhere (in anyOf, oneOf, not,
 * if, then, else, dependentSchemas) makes null count as given only if the same schema also has the name in
 * its `properties`, and so defines itself whether null is valid. patternProperties apply to null too, unless
 * a schema for the object has the name in its `properties`. Within enum, const and uniqueItems values are
 * compared unchanged. */
#ifndef MCP_SCHEMA_H
#define MCP_SCHEMA_H

#include "base/mem.h"

enum {
  MCP__SCHEMA_MAX_DEPTH = 128,      /* nesting of JSON values in a schema */
  MCP__SCHEMA_MAX_REQUIRED = 256,   /* names in one "required" */
  MCP__SCHEMA_MAX_STEPS = 1000000,  /* steps of a check, … */
  MCP__SCHEMA_STEPS_PER_VALUE = 32, /* … plus these for each JSON value that is checked */
  /* nested applications of schemas in a check: $ref may be recursive */
  MCP__SCHEMA_MAX_NESTED_CHECKS = 512,
  MCP__SCHEMA_MAX_UNIQUE = 65536, /* items that uniqueItems compares */
  MCP__SCHEMA_PATTERN_KIB = 4096  /* memory of one match, in KiB */
};

typedef struct mcp__schema mcp__schema_t;

/* Compiles a schema, an object or a boolean, which is copied. 0, UV_ENOMEM, or UV_EINVAL: then error (cut to
 * error_size with its NUL, which may be 0) is the JSON Pointer of the error in the schema and a description.
 */
int mcp__schema_new(yyjson_val *schema, mcp__schema_t **out, char *error, size_t problem_size);

/* Whether value is valid. If true, numbers of up to 64 bits to which a type without "number" applies were
 * converted to integers, however they were written (3.0, 1e1). If false, error is the JSON Pointer of the
 * first error, with "/" for the root, and a description; or "gave up" and the reason: a check that exceeds
 * its limits has no verdict and counts as false. Value is as yyjson reads it, also with
 * YYJSON_READ_BIGNUM_AS_RAW. Any thread. Memory is only allocated for uniqueItems on more than 16 items and
 * for patterns that backtrack far, and is freed before it returns. */
bool mcp__schema_check(const mcp__schema_t *schema, yyjson_val *value, char *error, size_t problem_size);

/* The index-th warning about a valid schema, of at most 16: the JSON Pointer of a name that looks like a
 * misspelled keyword, and that keyword. NULL: there are no more. It lives as long as the schema. */
const char *mcp__schema_warning(const mcp__schema_t *schema, size_t index);

/* Whether the schema itself has the name in its properties. */
bool mcp__schema_has_property(const mcp__schema_t *schema, const char *name, size_t len);

void mcp__schema_free(mcp__schema_t *schema); /* NULL is fine */

#endif
