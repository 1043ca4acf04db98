/* print.h: text and JSON from a peer, made safe and readable for a terminal. */
#ifndef ICCM_CLI_PRINT_H
#define ICCM_CLI_PRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <yyjson.h>

typedef struct print {
  FILE *file;   /* borrowed */
  size_t width; /* columns of the terminal; 0: lines are neither wrapped nor cut */
  bool colour;
} print_t;

/* The columns that one line of text takes on a terminal, escapes included. */
size_t print_columns(const char *text, size_t len);

/* One line: control characters, newlines too, are shown as escapes. Cut to max columns, the last of them
 * then being an ellipsis; 0: never cut. Returns the columns used. */
size_t print_line(const print_t *print, const char *text, size_t len, size_t max);

/* That line as a value of doc, for JSON: text that may be cut inside a character, or be none at all. */
yyjson_mut_val *print_safe(yyjson_mut_doc *doc, const char *text, size_t len);

/* The same for several lines, uncut: newlines and tabs stay. */
void print_text(const print_t *print, const char *text, size_t len);

/* Spaces. */
void print_pad(const print_t *print, size_t columns);

/* Words, wrapped to the width. The cursor stands at column; further lines start at indent. Ends the line. */
void print_wrapped(const print_t *print, size_t column, size_t indent, const char *text);

/* Between these text is bold, where there are colours. */
void print_bold(const print_t *print);
void print_plain(const print_t *print);

/* A value as JSON and a newline, on one line or indented; NULL: null. The escapes are JSON's: it stays valid.
 */
void print_json(const print_t *print, yyjson_val *value, bool indented);

#endif
