/* logline.c: see logline.h. Any row gives exactly one line: members of an unexpected type count as missing.
 */
#include "logline.h"

#include <stdlib.h>
#include <string.h>
#include "check_alloc.h"
#include "print.h"

enum { TIME_COLUMNS = 23, LEVEL_COLUMNS = 5 };

const char *logline_string(yyjson_val *row, const char *name) {
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
  char *text = check_alloc(yyjson_val_write(data, 0, &len));
  fputs("  ", print->file);
  print_line(print, text, len, 0);
  free(text);
}

void logline_print(const print_t *print, yyjson_val *row) {
  const char *level = logline_string(row, "level"), *trace = logline_string(row, "trace_id");
  yyjson_val *message = yyjson_obj_get(row, "message"), *component = yyjson_obj_get(row, "component");
  logline_time(print, logline_string(row, "created_at"));
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
  logline_colour(print, "TRACE"); /* the rest is less important */
  if (*trace != '\0') {
    fputs("  trace ", print->file);
    print_line(print, trace, strlen(trace), 0);
  }
  print_data(print, yyjson_obj_get(row, "data"));
  print_plain(print);
  fputc('\n', print->file);
}

/* Checks for the members that every log row has. */
static bool is_logline(yyjson_val *row) {
  static const char *const members[] = {"level", "component", "message", "created_at"};
  for (size_t i = 0; i < sizeof members / sizeof *members; i++)
    if (!yyjson_is_str(yyjson_obj_get(row, members[i])))
      return false;
  return true;
}

bool logline_print_all(const print_t *print, yyjson_val *rows) {
  size_t i, max;
  yyjson_val *row;
  yyjson_arr_foreach(rows, i, max, row) {
    if (!is_logline(row))
      return false;
  }
  if (yyjson_arr_size(rows) == 0)
    return false;
  const char *first = logline_string(yyjson_arr_get_first(rows), "created_at"),
             *last = logline_string(yyjson_arr_get_last(rows), "created_at");
  bool newest_first = strcmp(first, last) > 0;
  yyjson_val **ordered = check_alloc(malloc(max * sizeof *ordered)); /* yyjson iterates only forwards */
  yyjson_arr_foreach(rows, i, max, row) ordered[newest_first ? max - 1 - i : i] = row;
  for (i = 0; i < max; i++)
    logline_print(print, ordered[i]);
  free(ordered);
  return true;
}
