/* json_contains.c: see json_contains.h. Recursion is as deep as wanted, which the library limits to 64
 * levels. */
#include "json_contains.h"

#include <stdlib.h>

static bool object_contains(yyjson_val *value, yyjson_val *wanted) {
  size_t index, count;
  yyjson_val *key, *item;
  yyjson_obj_foreach(wanted, index, count, key, item) {
    yyjson_val *found = yyjson_obj_getn(value, yyjson_get_str(key), yyjson_get_len(key));
    if (found == NULL || !json_contains(found, item))
      return false;
  }
  return true;
}

static bool some_item_contains(yyjson_val *array, yyjson_val *wanted) {
  size_t index, count;
  yyjson_val *item;
  yyjson_arr_foreach(array, index, count, item) {
    if (json_contains(item, wanted))
      return true;
  }
  return false;
}

static bool array_contains(yyjson_val *value, yyjson_val *wanted) {
  size_t index, count;
  yyjson_val *item;
  yyjson_arr_foreach(wanted, index, count, item) {
    if (!some_item_contains(value, item))
      return false;
  }
  return true;
}

bool json_is_number(yyjson_val *value) {
  return yyjson_is_num(value) || yyjson_is_raw(value);
}

double json_number(yyjson_val *value) {
  return yyjson_is_raw(value) ? strtod(yyjson_get_raw(value), NULL) : yyjson_get_num(value);
}

/* Two raw numbers are equal if their digits are: as doubles both may be infinite. */
static bool same_number(yyjson_val *value, yyjson_val *wanted) {
  if (yyjson_get_type(value) == yyjson_get_type(wanted) && !yyjson_is_real(value) && !yyjson_is_real(wanted))
    return yyjson_equals(value, wanted);
  return json_number(value) == json_number(wanted);
}

bool json_contains(yyjson_val *value, yyjson_val *wanted) {
  if (json_is_number(value) && json_is_number(wanted))
    return same_number(value, wanted);
  if (yyjson_get_type(value) != yyjson_get_type(wanted))
    return false;
  if (yyjson_is_obj(wanted))
    return object_contains(value, wanted);
  if (yyjson_is_arr(wanted))
    return array_contains(value, wanted);
  return yyjson_equals(value, wanted);
}
