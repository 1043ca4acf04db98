/* print_value.c: see print_value.h. */
#include "print_value.h"

#include "print.h"
#include "table.h"

void print_value(const print_t *print, yyjson_val *value) {
  if (yyjson_is_str(value)) {
    const char *text = yyjson_get_str(value);
    size_t len = yyjson_get_len(value);
    print_text(print, text, len);
    if (len == 0 || text[len - 1] != '\n')
      fputc('\n', print->file);
  } else if (!print_table(print, value)) {
    print_json(print, value, true);
  }
}
