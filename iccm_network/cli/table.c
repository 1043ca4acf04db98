/* table.c: an array of flat objects as a table.
 *
 * Columns are ordered by their first occurrence in the rows. On a terminal, columns without any value are
 * hidden. If a row is too wide, UUIDs are cut to their end (the beginnings of UUIDs made at the same time are
 * equal), then the widest columns are cut, then the last columns are hidden; the names of hidden columns are
 * printed below the table. If the output is not a terminal, nothing is cut or padded: cells are separated by
 * tabs, and tabs in cells are escaped. A cell that is an array or object of plain values is shown as JSON.
 * For deeper values, or more than MAX_COLUMNS columns, print_table() returns false, and the caller prints
 * JSON.
 */
#include <stdlib.h>
#include <string.h>
#include "check_alloc.h"
#include "print.h"
#include "table.h"

enum { MAX_COLUMNS = 64, GAP = 2, MIN_COLUMN_WIDTH = 4, UUID_WIDTH = 36, SHORT_UUID_WIDTH = 8 };

typedef struct column {
  const char *name; /* borrowed from the rows */
  size_t name_len;
  size_t width;
  bool numbers, texts; /* types of its cells; a column of numbers is aligned to the right */
  bool non_uuids;      /* has a cell that is not a UUID */
  bool show_end;       /* show only the end of each UUID */
} column_t;

typedef struct table {
  column_t columns[MAX_COLUMNS];
  size_t count;
  size_t shown; /* number of printed columns */
} table_t;

/* text is borrowed from the value, or equal to owned, which the caller frees. */
typedef struct cell {
  const char *text;
  size_t len;
  char *owned;
} cell_t;

static cell_t cell_of(yyjson_val *value) {
  cell_t cell = {"", 0, NULL};
  if (yyjson_is_str(value)) {
    cell.text = yyjson_get_str(value);
    cell.len = yyjson_get_len(value);
  } else if (yyjson_is_null(value)) {
    cell.text = "-";
    cell.len = 1;
  } else if (value != NULL) {
    cell.text = cell.owned = check_alloc(yyjson_val_write(value, 0, &cell.len));
  }
  return cell;
}

static bool is_plain(yyjson_val *value) {
  size_t i, max;
  yyjson_val *key, *item;
  if (yyjson_is_arr(value)) {
    yyjson_arr_foreach(value, i, max, item) {
      if (yyjson_is_ctn(item))
        return false;
    }
  } else if (yyjson_is_obj(value)) {
    yyjson_obj_foreach(value, i, max, key, item) {
      if (yyjson_is_ctn(item))
        return false;
    }
  }
  return true;
}

static column_t *column_of(table_t *table, yyjson_val *key) {
  for (size_t i = 0; i < table->count; i++) {
    if (yyjson_equals_strn(key, table->columns[i].name, table->columns[i].name_len))
      return &table->columns[i];
  }
  if (table->count == MAX_COLUMNS)
    return NULL;
  column_t *column = &table->columns[table->count++];
  column->name = yyjson_get_str(key);
  column->name_len = yyjson_get_len(key);
  column->width = print_columns(column->name, column->name_len);
  column->numbers = column->texts = column->non_uuids = column->show_end = false;
  return column;
}

static bool is_uuid(const cell_t *cell) {
  return cell->len == UUID_WIDTH && cell->text[8] == '-' && cell->text[13] == '-' && cell->text[18] == '-' &&
         cell->text[23] == '-' && strspn(cell->text, "0123456789abcdefABCDEF-") >= UUID_WIDTH;
}

static bool add_row(table_t *table, yyjson_val *row) {
  size_t i, max;
  yyjson_val *key, *value;
  yyjson_obj_foreach(row, i, max, key, value) {
    column_t *column = is_plain(value) ? column_of(table, key) : NULL;
    if (column == NULL)
      return false;
    cell_t cell = cell_of(value);
    size_t width = print_columns(cell.text, cell.len);
    if (width > column->width)
      column->width = width;
    column->numbers = column->numbers || yyjson_is_num(value);
    column->texts = column->texts || !(yyjson_is_num(value) || yyjson_is_null(value));
    column->non_uuids = column->non_uuids || !(is_uuid(&cell) || yyjson_is_null(value));
    free(cell.owned);
  }
  return true;
}

/* The width of a row if its columns are cut to limit. */
static size_t row_width(const table_t *table, size_t limit) {
  size_t width = table->shown > 0 ? (table->shown - 1) * GAP : 0;
  for (size_t i = 0; i < table->shown; i++)
    width += table->columns[i].width < limit ? table->columns[i].width : limit;
  return width;
}

static bool has_values(const column_t *column) {
  return column->numbers || column->texts;
}

/* Moves columns without any value to the end and hides them, unless all are empty. */
static void hide_empty_columns(table_t *table) {
  column_t ordered[MAX_COLUMNS];
  size_t count = 0;
  for (size_t i = 0; i < table->count; i++)
    if (has_values(&table->columns[i]))
      ordered[count++] = table->columns[i];
  if (count == 0)
    return;
  table->shown = count;
  for (size_t i = 0; i < table->count; i++)
    if (!has_values(&table->columns[i]))
      ordered[count++] = table->columns[i];
  memcpy(table->columns, ordered, count * sizeof *ordered);
}

static void shorten_uuids(table_t *table) {
  for (size_t i = 0; i < table->shown; i++) {
    column_t *column = &table->columns[i];
    column->show_end = column->texts && !column->non_uuids && column->width == UUID_WIDTH;
    if (column->show_end)
      column->width = SHORT_UUID_WIDTH;
  }
}

static void fit(table_t *table, size_t width) {
  hide_empty_columns(table);
  if (row_width(table, width) > width)
    shorten_uuids(table);
  while (table->shown > 1 && row_width(table, MIN_COLUMN_WIDTH) > width)
    table->shown--;
  size_t limit = width;
  while (limit > MIN_COLUMN_WIDTH && row_width(table, limit) > width)
    limit--;
  size_t spare = row_width(table, limit) < width ? width - row_width(table, limit) : 0;
  for (size_t i = 0; i < table->shown; i++) {
    column_t *column = &table->columns[i];
    if (column->width <= limit)
      continue;
    size_t more = column->width - limit < spare ? column->width - limit : spare;
    column->width = limit + more;
    spare -= more;
  }
}

static void print_cell(const print_t *print, const column_t *column, bool last, const char *text,
                       size_t len) {
  if (print->width == 0) {
    print_line(print, text, len, 0);
    fputs(last ? "" : "\t", print->file);
    return;
  }
  if (column->show_end && len == UUID_WIDTH) {
    fputs("…", print->file);
    print_line(print, text + len - column->width + 1, column->width - 1, 0);
    print_pad(print, last ? 0 : GAP);
    return;
  }
  size_t width = print_columns(text, len);
  bool right = column->numbers && !column->texts;
  if (right)
    print_pad(print, width < column->width ? column->width - width : 0);
  size_t used = print_line(print, text, len, column->width);
  if (!last)
    print_pad(print, GAP + (!right && used < column->width ? column->width - used : 0));
}

static void print_names(const print_t *print, const table_t *table) {
  print_bold(print);
  for (size_t i = 0; i < table->shown; i++) {
    const column_t *column = &table->columns[i];
    print_cell(print, column, i + 1 == table->shown, column->name, column->name_len);
  }
  print_plain(print);
  fputc('\n', print->file);
}

static void print_row(const print_t *print, const table_t *table, yyjson_val *row) {
  for (size_t i = 0; i < table->shown; i++) {
    const column_t *column = &table->columns[i];
    cell_t cell = cell_of(yyjson_obj_getn(row, column->name, column->name_len));
    print_cell(print, column, i + 1 == table->shown, cell.text, cell.len);
    free(cell.owned);
  }
  fputc('\n', print->file);
}

static void print_hidden_columns(const print_t *print, const table_t *table) {
  if (table->shown == table->count)
    return;
  fputs("(not shown:", print->file);
  for (size_t i = table->shown; i < table->count; i++) {
    fputs(i == table->shown ? " " : ", ", print->file);
    print_line(print, table->columns[i].name, table->columns[i].name_len, 0);
  }
  fputs("; --json shows all)\n", print->file);
}

bool print_table(const print_t *print, yyjson_val *rows) {
  table_t table = {.count = 0};
  size_t i, max;
  yyjson_val *row;
  yyjson_arr_foreach(rows, i, max, row) {
    if (!yyjson_is_obj(row) || !add_row(&table, row))
      return false;
  }
  if (table.count == 0)
    return false;
  table.shown = table.count;
  if (print->width > 0)
    fit(&table, print->width);
  print_names(print, &table);
  yyjson_arr_foreach(rows, i, max, row) {
    print_row(print, &table, row);
  }
  print_hidden_columns(print, &table);
  return true;
}
