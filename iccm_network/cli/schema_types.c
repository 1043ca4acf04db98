/* schema_types.c: see schema_types.h.
 *
 * Each keyword allows some types; the schema allows those that all of its keywords allow. Schemas come from a
 * peer: MAX_DEPTH ends a $ref that leads back to itself, MAX_LOOKS one that leads to too many others; what is
 * not looked at counts as allowing everything.
 */
#include "schema_types.h"

#include <string.h>

#define TWO_TO_53 9007199254740992.0 /* from there on doubles have no fraction */

enum { MAX_DEPTH = 16, MAX_LOOKS = 10000 };

typedef struct look {
  yyjson_val *root;
  int depth, left;
} look_t;

static unsigned types_of(look_t *look, yyjson_val *schema);

static unsigned named(yyjson_val *name) {
  static const struct {
    const char *name;
    unsigned types;
  } names[] = {{"string", TYPE_STRING},   {"integer", TYPE_INTEGER}, {"number", TYPE_INTEGER | TYPE_FRACTION},
               {"boolean", TYPE_BOOLEAN}, {"null", TYPE_NULL},       {"array", TYPE_ARRAY},
               {"object", TYPE_OBJECT}};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (yyjson_equals_str(name, names[i].name))
      return names[i].types;
  return 0;
}

/* Digits alone, behind a minus or not: numbers beyond 64 bits are kept as text. */
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
    return TYPE_STRING;
  case YYJSON_TYPE_NUM:
    return !yyjson_is_real(value) || is_integral(yyjson_get_real(value)) ? TYPE_INTEGER : TYPE_FRACTION;
  case YYJSON_TYPE_RAW:
    return is_whole(value) ? TYPE_INTEGER : TYPE_FRACTION;
  case YYJSON_TYPE_BOOL:
    return TYPE_BOOLEAN;
  case YYJSON_TYPE_NULL:
    return TYPE_NULL;
  case YYJSON_TYPE_ARR:
    return TYPE_ARRAY;
  case YYJSON_TYPE_OBJ:
    return TYPE_OBJECT;
  default:
    return 0;
  }
}

static unsigned by_type(yyjson_val *type) {
  size_t i, max;
  yyjson_val *name;
  unsigned types = named(type);
  yyjson_arr_foreach(type, i, max, name) types |= named(name);
  return types != 0 ? types : TYPES_ALL;
}

static unsigned by_values(yyjson_val *schema) {
  size_t i, max;
  yyjson_val *value, *values = yyjson_obj_get(schema, "enum"), *only = yyjson_obj_get(schema, "const");
  unsigned types = only != NULL ? schema_type_of(only) : 0;
  yyjson_arr_foreach(values, i, max, value) types |= schema_type_of(value);
  return types != 0 ? types : TYPES_ALL;
}

/* What one of the schemas allows. */
static unsigned by_any(look_t *look, yyjson_val *schemas) {
  size_t i, max;
  yyjson_val *schema;
  unsigned types = yyjson_arr_size(schemas) > 0 ? 0 : TYPES_ALL;
  yyjson_arr_foreach(schemas, i, max, schema) types |= types_of(look, schema);
  return types;
}

static unsigned by_all(look_t *look, yyjson_val *schemas) {
  size_t i, max;
  yyjson_val *schema;
  unsigned types = TYPES_ALL;
  yyjson_arr_foreach(schemas, i, max, schema) types &= types_of(look, schema);
  return types;
}

static unsigned by_ref(look_t *look, yyjson_val *ref) {
  const char *pointer = yyjson_get_str(ref);
  if (pointer == NULL || *pointer != '#')
    return TYPES_ALL;
  yyjson_val *schema = yyjson_ptr_getn(look->root, pointer + 1, yyjson_get_len(ref) - 1);
  return schema != NULL ? types_of(look, schema) : TYPES_ALL;
}

static unsigned types_of(look_t *look, yyjson_val *schema) {
  if (!yyjson_is_obj(schema) || look->depth == MAX_DEPTH || look->left == 0)
    return TYPES_ALL;
  look->depth++;
  look->left--;
  unsigned types =
      by_type(yyjson_obj_get(schema, "type")) & by_values(schema) &
      by_any(look, yyjson_obj_get(schema, "anyOf")) & by_any(look, yyjson_obj_get(schema, "oneOf")) &
      by_all(look, yyjson_obj_get(schema, "allOf")) & by_ref(look, yyjson_obj_get(schema, "$ref"));
  look->depth--;
  return types;
}

unsigned schema_types(yyjson_val *root, yyjson_val *schema) {
  look_t look = {root, 0, MAX_LOOKS};
  unsigned types = types_of(&look, schema);
  return types != 0 ? types : TYPES_ALL;
}
