/* schema_types.c: see schema_types.h.
 *
 * A schema allows the types that all of its keywords allow. Schemas come from a peer: MAX_DEPTH ends a
 * recursive $ref, MAX_VISITED limits the number of visited schemas; a schema that is not visited allows all
 * types.
 */
#include "schema_types.h"

#include <string.h>

#define TWO_TO_53 9007199254740992.0 /* doubles of at least this magnitude have no fraction */

enum { MAX_DEPTH = 16, MAX_VISITED = 10000 };

typedef struct schema_walk {
  yyjson_val *root;
  int depth, left;
} schema_walk_t;

static unsigned types_of(schema_walk_t *walk, yyjson_val *schema);

static unsigned types_of_name(yyjson_val *name) {
  static const struct {
    const char *name;
    unsigned types;
  } names[] = {{"string", SCHEMA_TYPE_STRING},
               {"integer", SCHEMA_TYPE_INTEGER},
               {"number", SCHEMA_TYPE_INTEGER | SCHEMA_TYPE_FRACTION},
               {"boolean", SCHEMA_TYPE_BOOLEAN},
               {"null", SCHEMA_TYPE_NULL},
               {"array", SCHEMA_TYPE_ARRAY},
               {"object", SCHEMA_TYPE_OBJECT}};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (yyjson_equals_str(name, names[i].name))
      return names[i].types;
  return 0;
}

/* Only digits after an optional minus: numbers beyond 64 bits are kept as text. */
static bool is_whole(yyjson_val *raw) {
  const char *text = yyjson_get_raw(raw);
  size_t sign = *text == '-';
  return sign + strspn(text + sign, "0123456789") == yyjson_get_len(raw);
}

static bool is_integral(double number) {
  return number >= TWO_TO_53 || number <= -TWO_TO_53 || (double)(int64_t)number == number;
}

unsigned schema_type_of(yyjson_val *value) {
  switch (yyjson_get_type(value)) {
  case YYJSON_TYPE_STR:
    return SCHEMA_TYPE_STRING;
  case YYJSON_TYPE_NUM:
    return !yyjson_is_real(value) || is_integral(yyjson_get_real(value)) ? SCHEMA_TYPE_INTEGER
                                                                         : SCHEMA_TYPE_FRACTION;
  case YYJSON_TYPE_RAW:
    return is_whole(value) ? SCHEMA_TYPE_INTEGER : SCHEMA_TYPE_FRACTION;
  case YYJSON_TYPE_BOOL:
    return SCHEMA_TYPE_BOOLEAN;
  case YYJSON_TYPE_NULL:
    return SCHEMA_TYPE_NULL;
  case YYJSON_TYPE_ARR:
    return SCHEMA_TYPE_ARRAY;
  case YYJSON_TYPE_OBJ:
    return SCHEMA_TYPE_OBJECT;
  default:
    return 0;
  }
}

static unsigned by_type(yyjson_val *type) {
  size_t i, max;
  yyjson_val *name;
  unsigned types = types_of_name(type);
  yyjson_arr_foreach(type, i, max, name) types |= types_of_name(name);
  return types != 0 ? types : SCHEMA_TYPES_ALL;
}

static unsigned by_values(yyjson_val *schema) {
  size_t i, max;
  yyjson_val *value, *values = yyjson_obj_get(schema, "enum"), *only = yyjson_obj_get(schema, "const");
  unsigned types = only != NULL ? schema_type_of(only) : 0;
  yyjson_arr_foreach(values, i, max, value) types |= schema_type_of(value);
  return types != 0 ? types : SCHEMA_TYPES_ALL;
}

/* The union of the types that the schemas allow. */
static unsigned by_any(schema_walk_t *walk, yyjson_val *schemas) {
  size_t i, max;
  yyjson_val *schema;
  unsigned types = yyjson_arr_size(schemas) > 0 ? 0 : SCHEMA_TYPES_ALL;
  yyjson_arr_foreach(schemas, i, max, schema) types |= types_of(walk, schema);
  return types;
}

static unsigned by_all(schema_walk_t *walk, yyjson_val *schemas) {
  size_t i, max;
  yyjson_val *schema;
  unsigned types = SCHEMA_TYPES_ALL;
  yyjson_arr_foreach(schemas, i, max, schema) types &= types_of(walk, schema);
  return types;
}

static unsigned by_ref(schema_walk_t *walk, yyjson_val *ref) {
  const char *pointer = yyjson_get_str(ref);
  if (pointer == NULL || *pointer != '#')
    return SCHEMA_TYPES_ALL;
  yyjson_val *schema = yyjson_ptr_getn(walk->root, pointer + 1, yyjson_get_len(ref) - 1);
  return schema != NULL ? types_of(walk, schema) : SCHEMA_TYPES_ALL;
}

static unsigned types_of(schema_walk_t *walk, yyjson_val *schema) {
  if (!yyjson_is_obj(schema) || walk->depth == MAX_DEPTH || walk->left == 0)
    return SCHEMA_TYPES_ALL;
  walk->depth++;
  walk->left--;
  unsigned types =
      by_type(yyjson_obj_get(schema, "type")) & by_values(schema) &
      by_any(walk, yyjson_obj_get(schema, "anyOf")) & by_any(walk, yyjson_obj_get(schema, "oneOf")) &
      by_all(walk, yyjson_obj_get(schema, "allOf")) & by_ref(walk, yyjson_obj_get(schema, "$ref"));
  walk->depth--;
  return types;
}

unsigned schema_types(yyjson_val *root, yyjson_val *schema) {
  schema_walk_t walk = {root, 0, MAX_VISITED};
  unsigned types = types_of(&walk, schema);
  return types != 0 ? types : SCHEMA_TYPES_ALL;
}
