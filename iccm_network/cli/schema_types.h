/* schema_types.h: the JSON types that a schema allows. */
#ifndef ICCM_CLI_SCHEMA_TYPES_H
#define ICCM_CLI_SCHEMA_TYPES_H

#include <stdbool.h>
#include <yyjson.h>

enum {
  SCHEMA_TYPE_STRING = 1,
  SCHEMA_TYPE_INTEGER = 2,
  SCHEMA_TYPE_FRACTION = 4, /* a number that is not an integer */
  SCHEMA_TYPE_BOOLEAN = 8,
  SCHEMA_TYPE_NULL = 16,
  SCHEMA_TYPE_ARRAY = 32,
  SCHEMA_TYPE_OBJECT = 64,
  SCHEMA_TYPES_ALL = 127
};

/* The types that schema, a part of root, allows by type, enum, const, anyOf, oneOf, allOf and $ref within
 * root. SCHEMA_TYPES_ALL if the schema does not restrict them, is contradictory, or exceeds the limits. */
unsigned schema_types(yyjson_val *root, yyjson_val *schema);

/* The type of a value. */
unsigned schema_type_of(yyjson_val *value);

#endif
