/* schema.h: JSON Schema (2020-12) checks of a tool's arguments and results; pure.
 *
 * Served are the keywords of 2020-12 that assert or apply; $recursiveRef of 2019-09; the draft-07 spellings
 * definitions, items as an array with additionalItems, dependencies and "$id": "#name"; the exclusive bounds
 * of draft-04 (booleans); nullable of OpenAPI 3.0. All of them are served whatever $schema says, but a
 * $schema of draft-07 and older makes keywords beside $ref say nothing; without $schema a schema is one of
 * 2020-12, and a $schema that is not known is refused. Other keywords, format too, are not checked. $ref
 * leads to places in the same schema, by its resources' URIs. Patterns are those of ECMA-262 (schema_ecma.h).
 *
 * One rule is the project's own: null for a property that is not required counts as not given, at every level
 * and for every keyword. What counts is the `required` of the first schema that judges the object, with what
 * that one applies always (allOf, $ref). A `required` elsewhere (in anyOf, oneOf, not, if, then, else,
 * dependentSchemas) makes null count only where the same schema has the name among its `properties` as well:
 * it then says itself whether null will do. patternProperties judge null, too, unless a schema for the object
 * has the name among its `properties`. Within enum, const and uniqueItems values are compared as they stand.
 */
#ifndef MCP_SCHEMA_H
#define MCP_SCHEMA_H

#include "base/mem.h"

enum {
  MCP__SCHEMA_MAX_DEPTH = 128,      /* nested JSON values of a schema */
  MCP__SCHEMA_MAX_REQUIRED = 256,   /* names in one "required" */
  MCP__SCHEMA_MAX_STEPS = 1000000,  /* of a check, and … */
  MCP__SCHEMA_STEPS_PER_VALUE = 32, /* … for each JSON value in what is checked */
  MCP__SCHEMA_MAX_NESTED_CHECKS =
      512, /* schemas that are being applied at the same time: $ref may lead in circles */
  MCP__SCHEMA_MAX_UNIQUE = 65536, /* items that uniqueItems compares */
  MCP__SCHEMA_PATTERN_KIB = 4096  /* memory of one match, in KiB */
};

typedef struct mcp__schema mcp__schema_t;

/* Compiles a schema, an object or a boolean, which is copied. 0, UV_ENOMEM, or UV_EINVAL: then problem (cut
 * to problem_size with its NUL, which may be 0) says where in the schema, as a JSON Pointer, and what is
 * wrong. */
int mcp__schema_new(yyjson_val *schema, mcp__schema_t **out, char *error, size_t problem_size);

/* Whether value fulfils the schema; true: numbers of up to 64 bits to which a type without "number" applies
 * have become integers, however they were written (3.0, 1e1). False: problem names the first place that does
 * not, as a JSON Pointer with "/" for the root, and what is expected there; or it says "given up" and why: a
 * check beyond its limits has no verdict, and counts as false. Value is as yyjson reads it, also with
 * YYJSON_READ_BIGNUM_AS_RAW. Any thread. Nothing is allocated but for uniqueItems on more than 16 items and
 * for patterns that backtrack far: that is given back before it returns. */
bool mcp__schema_check(const mcp__schema_t *schema, yyjson_val *value, char *error, size_t problem_size);

/* What is suspicious in the schema though it is valid: names that are no keyword but differ from one by a
 * slip. Of them the index-th: its place as a JSON Pointer and which keyword is near, of at most 16; NULL:
 * there are no more. Lives as long as the schema. */
const char *mcp__schema_warning(const mcp__schema_t *schema, size_t index);

/* Whether the schema itself has the name among its properties. */
bool mcp__schema_has_property(const mcp__schema_t *schema, const char *name, size_t len);

void mcp__schema_free(mcp__schema_t *schema); /* NULL is fine */

#endif
