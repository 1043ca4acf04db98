/* logline.c: see logline.h. Whatever a row holds, one line comes of it: members of another type count as
 * none. */
#include "logline.h"

#include <stdlib.h>
#include <string.h>

enum { TIME_COLUMNS = 23, LEVEL_COLUMNS = 5 };

const char *logline_text(yyjson_val *row, const char *name) {
  const char *text = yyjson_get_str(yyjson_obj_get(row, name));
  return text != NULL ? text : "";
}

void logline_colour(const print_t *print, const char *level) {
  static const struct {
    const char *level, *colour;
  } colours[] = {{"ERROR", "31"}, {"WARN", "33"}, {"INFO", "32"}, {"DEBUG", "36"}, {"TRACE", "2"}};
  for (size_t i = 0; print->colour && i < sizeof colours / sizeof *colours; i++)
    if (strcmp(colours[i].level, level) == 0)
      fprintf(print->file, "\033[%sm", colours[i].colour);
}

void logline_time(const print_t *print, const char *time) {
  char text[TIME_COLUMNS + 1];
  snprintf(text, sizeof text, "%s", time);
  if (strlen(text) > 10 && text[10] == 'T')
    text[10] = ' ';
  print_line(print, text, strlen(text), 0);
}

static void print_data(const print_t *print, yyjson_val *data) {
  if (data == NULL || yyjson_is_null(data))
    return;
  size_t len;
  char *text = checked(yyjson_val_write(data, 0, &len));
  fputs("  ", print->file);
  print_line(print, text, len, 0);
  free(text);
}

void logline_print(const print_t *print, yyjson_val *row) {
  const char *level = logline_text(row, "level"), *trace = logline_text(row, "trace_id");
  yyjson_val *message = yyjson_obj_get(row, "message"), *component = yyjson_obj_get(row, "component");
  logline_time(print, logline_text(row, "created_at"));
  fputc(' ', print->file);
  logline_colour(print, level);
  size_t used = print_line(print, level, strlen(level), 0);
  print_plain(print);
  print_pad(print, used < LEVEL_COLUMNS ? LEVEL_COLUMNS - used + 1 : 1);
  print_bold(print);
  print_line(print, yyjson_get_str(component), yyjson_get_len(component), 0);
  print_plain(print);
  fputs(": ", print->file);
  print_line(print, yyjson_get_str(message), yyjson_get_len(message), 0);
  logline_colour(print, "TRACE"); /* what follows is of less weight */
  if (*trace != '\0') {
    fputs("  trace ", print->file);
    print_line(print, trace, strlen(trace), 0);
  }
  print_data(print, yyjson_obj_get(row, "data"));
  print_plain(print);
  fputc('\n', print->file);
}
