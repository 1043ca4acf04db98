/* doctor_messages.c: see doctor_messages.h. */
#include "doctor_messages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "check_alloc.h"

enum { LARGE_BYTES = 3 << 19 /* 1.5 MiB: above the 1 MiB that is the default of several servers */ };

const char *doctor_text_of(yyjson_val *object, const char *name) {
  const char *text = yyjson_get_str(yyjson_obj_get(object, name));
  return text != NULL ? text : "";
}

void doctor_describe_tools(yyjson_val *tools, char *text, size_t size) {
  size_t i, max, at = 0;
  yyjson_val *tool;
  yyjson_arr_foreach(tools, i, max, tool) {
    if (i == 4 || at >= size)
      break;
    at +=
        (size_t)snprintf(text + at, size - at, "%s%.50s", i > 0 ? ", " : ": ", doctor_text_of(tool, "name"));
  }
  if (at < size)
    snprintf(text + at, size - at, "%s", yyjson_arr_size(tools) > 4 ? ", …" : "");
}

char *doctor_large_call(void) {
  static const char head[] = "{\"name\":\"iccm_doctor_no_such_tool\",\"arguments\":{\"text\":\"",
                    tail[] = "\"}}";
  char *text = check_alloc(malloc(sizeof head + LARGE_BYTES + sizeof tail));
  memcpy(text, head, sizeof head - 1);
  memset(text + sizeof head - 1, 'x', LARGE_BYTES);
  memcpy(text + sizeof head - 1 + LARGE_BYTES, tail, sizeof tail);
  return text;
}
