/* args.c: reads the arguments of a call by name and type, after they were validated. */
#include "iccm_network.h"

#include <float.h>
#include <string.h>

const char *mcp_arg_text(yyjson_val *args, const char *name, const char *fallback, size_t *len) {
  yyjson_val *value = yyjson_obj_get(args, name);
  const char *text = yyjson_is_str(value) ? yyjson_get_str(value) : fallback;
  if (len != NULL)
    *len = yyjson_is_str(value) ? yyjson_get_len(value) : fallback != NULL ? strlen(fallback) : 0;
  return text;
}

/* A number beyond 64 bits and beyond a double, as received. */
static bool is_negative(yyjson_val *raw) {
  return yyjson_get_raw(raw)[0] == '-';
}

static int64_t nearest(double number) { /* 2^63 is a double, INT64_MAX is not */
  if (number >= -(double)INT64_MIN)
    return INT64_MAX;
  return number < (double)INT64_MIN ? INT64_MIN : (int64_t)number;
}

static bool is_whole(double number) { /* every double beyond 2^53 is whole */
  int64_t near = nearest(number);
  return near == INT64_MAX || near == INT64_MIN || (double)near == number;
}

int64_t mcp_arg_int(yyjson_val *args, const char *name, int64_t fallback) {
  yyjson_val *value = yyjson_obj_get(args, name);
  if (yyjson_is_uint(value))
    return yyjson_get_uint(value) > INT64_MAX ? INT64_MAX : (int64_t)yyjson_get_uint(value);
  if (yyjson_is_sint(value))
    return yyjson_get_sint(value);
  if (yyjson_is_raw(value))
    return is_negative(value) ? INT64_MIN : INT64_MAX;
  return yyjson_is_real(value) && is_whole(yyjson_get_real(value)) ? nearest(yyjson_get_real(value))
                                                                   : fallback;
}

static double number_of_raw(yyjson_val *raw) {
  yyjson_val number;
  if (yyjson_read_number(yyjson_get_raw(raw), &number, YYJSON_READ_NOFLAG, NULL, NULL) != NULL)
    return yyjson_get_num(&number);
  return is_negative(raw) ? -DBL_MAX : DBL_MAX;
}

double mcp_arg_number(yyjson_val *args, const char *name, double fallback) {
  yyjson_val *value = yyjson_obj_get(args, name);
  if (yyjson_is_raw(value))
    return number_of_raw(value);
  return yyjson_is_num(value) ? yyjson_get_num(value) : fallback;
}

bool mcp_arg_bool(yyjson_val *args, const char *name, bool fallback) {
  yyjson_val *value = yyjson_obj_get(args, name);
  return yyjson_is_bool(value) ? yyjson_get_bool(value) : fallback;
}
