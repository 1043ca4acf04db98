/* print.c: escaping, wrapping and JSON for a terminal.
 *
 * A peer's text is untrusted: the library's mcp_printable_next() escapes what a terminal must not receive.
 * All such output uses glyph_next(), which gives the text and the width of the next character; measuring,
 * cutting and writing are therefore consistent.
 *
 * Write errors stay in the FILE; main checks them once.
 */
#define _GNU_SOURCE /* wcwidth() */
#include <iccm_service.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <iccm_network.h>
#include "check_alloc.h"
#include "print.h"

enum { MIN_TEXT_COLUMNS = 20 };

static const char ellipsis[] = "…";

typedef struct glyph {
  char bytes[MCP_PRINTABLE_SIZE];
  size_t len;
  size_t columns;
} glyph_t;

/* The code point of a character in valid UTF-8. */
static uint32_t code_of(const char *shown) {
  unsigned char lead = (unsigned char)*shown;
  uint32_t code = lead < 0x80 ? lead : lead < 0xe0 ? lead & 0x1f : lead < 0xf0 ? lead & 0x0f : lead & 0x07;
  while (*++shown != '\0')
    code = code << 6 | ((unsigned char)*shown & 0x3f);
  return code;
}

/* Reads one character of the text and returns its length in bytes. */
static size_t glyph_next(glyph_t *glyph, const char *text, size_t len) {
  size_t used = mcp_printable_next(text, len, glyph->bytes);
  glyph->len = strlen(glyph->bytes);
  bool stays = glyph->len == used && memcmp(glyph->bytes, text, used) == 0;
  int columns = stays && used > 1 ? wcwidth((wchar_t)code_of(glyph->bytes)) : (int)glyph->len;
  glyph->columns = columns < 0 ? 1 : (size_t)columns;
  return used;
}

size_t print_columns(const char *text, size_t len) {
  glyph_t glyph;
  size_t columns = 0;
  for (size_t at = 0; at < len; columns += glyph.columns)
    at += glyph_next(&glyph, text + at, len - at);
  return columns;
}

size_t print_line(const print_t *print, const char *text, size_t len, size_t max) {
  glyph_t glyph;
  bool cut = max > 0 && print_columns(text, len) > max;
  size_t room = cut ? max - 1 : SIZE_MAX, columns = 0;
  for (size_t at = 0; at < len; columns += glyph.columns) {
    at += glyph_next(&glyph, text + at, len - at);
    if (glyph.columns > room - columns)
      break;
    fwrite(glyph.bytes, 1, glyph.len, print->file);
  }
  if (!cut)
    return columns;
  fputs(ellipsis, print->file);
  return columns + 1;
}

yyjson_mut_val *print_safe(yyjson_mut_doc *doc, const char *text, size_t len) {
  char *shown = NULL;
  size_t shown_len;
  print_t print = {.file = check_alloc(open_memstream(&shown, &shown_len))};
  print_line(&print, text, len, 0);
  fclose(print.file);
  yyjson_mut_val *value = check_alloc(yyjson_mut_strncpy(doc, check_alloc(shown), shown_len));
  free(shown);
  return value;
}

void print_text(const print_t *print, const char *text, size_t len) {
  glyph_t glyph;
  for (size_t at = 0; at < len;) {
    size_t used = glyph_next(&glyph, text + at, len - at);
    bool stays = text[at] == '\n' || text[at] == '\t';
    fwrite(stays ? text + at : glyph.bytes, 1, stays ? 1 : glyph.len, print->file);
    at += used;
  }
}

void print_pad(const print_t *print, size_t columns) {
  fprintf(print->file, "%*s", (int)columns, "");
}

/* One line of the text, without its newline. */
static void wrap_line(const print_t *print, size_t column, size_t indent, const char *line, size_t len) {
  size_t width = print->width > indent + MIN_TEXT_COLUMNS ? print->width : indent + MIN_TEXT_COLUMNS;
  bool first = true;
  while (len > 0) {
    size_t blanks = 0, word = 0;
    while (blanks < len && line[blanks] == ' ')
      blanks++;
    while (blanks + word < len && line[blanks + word] != ' ')
      word++;
    size_t columns = print_columns(line + blanks, word);
    if (!first && print->width > 0 && column + blanks + columns > width) {
      fputc('\n', print->file);
      print_pad(print, indent);
      column = indent;
    } else {
      print_pad(print, blanks);
      column += blanks;
    }
    column += print_line(print, line + blanks, word, 0);
    line += blanks + word;
    len -= blanks + word;
    first = false;
  }
  fputc('\n', print->file);
}

void print_wrapped(const print_t *print, size_t column, size_t indent, const char *text) {
  for (;;) {
    size_t len = strcspn(text, "\n");
    wrap_line(print, column, indent, text, len);
    text += len;
    if (*text == '\0' || *++text == '\0')
      return;
    print_pad(print, indent);
    column = indent;
  }
}

void print_bold(const print_t *print) {
  if (print->colour)
    fputs("\033[1m", print->file);
}

void print_plain(const print_t *print) {
  if (print->colour)
    fputs("\033[0m", print->file);
}

void print_json(const print_t *print, yyjson_val *value, bool indented) {
  size_t len = 4; /* of "null" */
  yyjson_write_flag flags = indented ? YYJSON_WRITE_PRETTY_TWO_SPACES : 0;
  char *text = check_alloc(value != NULL ? yyjson_val_write(value, flags, &len) : strdup("null"));
  print_text(print, text, len); /* control characters remain only inside strings, where \u is valid JSON */
  fputc('\n', print->file);
  free(text);
}
