/* tools_view.c: the result of tools/list as text.
 *
 *     echo
 *       Returns its arguments unchanged.
 *         text   string, required  The text to return.
 *         times  integer           Number of repetitions (one of 1, 2, 3).
 *
 * A tool's definition comes from a peer: members of an unexpected type are omitted.
 */
#include <stdlib.h>
#include <string.h>
#include "check_alloc.h"
#include "print.h"
#include "tools_view.h"

enum { TOOL_INDENT = 2, ARGUMENT_INDENT = 4, NARROW_INDENT = 6, GAP = 2, NAME_COLUMNS = 28, KIND_SIZE = 48 };
/* Minimum width of descriptions beside name and kind; with less they get their own lines. */
enum { MEANING_COLUMNS = 24 };

static bool is_required(yyjson_val *schema, yyjson_val *name) {
  size_t i, max;
  yyjson_val *item;
  yyjson_arr_foreach(yyjson_obj_get(schema, "required"), i, max, item) {
    if (yyjson_equals(item, name))
      return true;
  }
  return false;
}

/* "string, required"; "string|null"; "any" if the schema defines no type. */
static void describe_kind(yyjson_val *property, bool required, char kind[KIND_SIZE]) {
  yyjson_val *type = yyjson_obj_get(property, "type"), *item;
  size_t i, max, at = 0;
  kind[0] = '\0';
  yyjson_arr_foreach(type, i, max, item) {
    if (yyjson_is_str(item) && at < KIND_SIZE)
      at += (size_t)snprintf(kind + at, KIND_SIZE - at, "%s%s", at > 0 ? "|" : "", yyjson_get_str(item));
  }
  if (at == 0)
    at = (size_t)snprintf(kind, KIND_SIZE, "%s", yyjson_is_str(type) ? yyjson_get_str(type) : "any");
  if (required && at < KIND_SIZE)
    snprintf(kind + at, KIND_SIZE - at, ", required");
}

/* The description and the allowed values. Owned by the caller. */
static char *describe_meaning(yyjson_val *property) {
  char *text = NULL;
  size_t len, i, max;
  yyjson_val *item, *values = yyjson_obj_get(property, "enum");
  FILE *file = check_alloc(open_memstream(&text, &len));
  const char *description = yyjson_get_str(yyjson_obj_get(property, "description"));
  fputs(description != NULL ? description : "", file);
  yyjson_arr_foreach(values, i, max, item) {
    char *json = check_alloc(yyjson_val_write(item, 0, NULL));
    fputs(i > 0 ? ", " : description != NULL && *description != '\0' ? " (one of " : "(one of ", file);
    fputs(yyjson_is_str(item) ? yyjson_get_str(item) : json, file);
    free(json);
  }
  fputs(yyjson_arr_size(values) > 0 ? ")" : "", file);
  fclose(file);
  return check_alloc(text);
}

/* The column widths in the list of one tool's arguments. */
typedef struct layout {
  size_t name, kind;
} layout_t;

static size_t print_padded(const print_t *print, const char *text, size_t len, size_t columns) {
  size_t used = print_line(print, text, len, 0);
  size_t pad = (used < columns ? columns - used : 0) + GAP;
  print_pad(print, pad);
  return used + pad;
}

static void print_argument(const print_t *print, yyjson_val *name, yyjson_val *property, bool required,
                           layout_t layout) {
  char kind[KIND_SIZE], *meaning = describe_meaning(property);
  size_t indent = ARGUMENT_INDENT + layout.name + GAP + layout.kind + GAP, column = ARGUMENT_INDENT;
  describe_kind(property, required, kind);
  print_pad(print, ARGUMENT_INDENT);
  column += print_padded(print, yyjson_get_str(name), yyjson_get_len(name), layout.name);
  if (meaning[0] != '\0' && (print->width == 0 || indent + MEANING_COLUMNS <= print->width)) {
    column += print_padded(print, kind, strlen(kind), layout.kind);
    print_wrapped(print, column, indent, meaning);
  } else {
    print_line(print, kind, strlen(kind), 0);
    fputc('\n', print->file);
    if (meaning[0] != '\0') {
      print_pad(print, NARROW_INDENT);
      print_wrapped(print, NARROW_INDENT, NARROW_INDENT, meaning);
    }
  }
  free(meaning);
}

static void print_arguments(const print_t *print, yyjson_val *schema) {
  yyjson_val *properties = yyjson_obj_get(schema, "properties"), *name, *property;
  size_t i, max;
  layout_t layout = {0, 0};
  char kind[KIND_SIZE];
  if (!yyjson_is_obj(properties))
    return;
  yyjson_obj_foreach(properties, i, max, name, property) {
    describe_kind(property, is_required(schema, name), kind);
    size_t name_used = print_columns(yyjson_get_str(name), yyjson_get_len(name));
    size_t kind_used = print_columns(kind, strlen(kind));
    layout.name = name_used > layout.name ? name_used : layout.name;
    layout.kind = kind_used > layout.kind ? kind_used : layout.kind;
  }
  if (layout.name > NAME_COLUMNS)
    layout.name = NAME_COLUMNS;
  yyjson_obj_foreach(properties, i, max, name, property) {
    print_argument(print, name, property, is_required(schema, name), layout);
  }
}

void print_tools(const print_t *print, yyjson_val *tools) {
  size_t i, max;
  yyjson_val *tool;
  yyjson_arr_foreach(tools, i, max, tool) {
    yyjson_val *name = yyjson_obj_get(tool, "name");
    const char *description = yyjson_get_str(yyjson_obj_get(tool, "description"));
    if (i > 0)
      fputc('\n', print->file);
    print_bold(print);
    if (yyjson_is_str(name))
      print_line(print, yyjson_get_str(name), yyjson_get_len(name), 0);
    print_plain(print);
    fputc('\n', print->file);
    if (description != NULL && *description != '\0') {
      print_pad(print, TOOL_INDENT);
      print_wrapped(print, TOOL_INDENT, TOOL_INDENT, description);
    }
    print_arguments(print, yyjson_obj_get(tool, "inputSchema"));
  }
}
