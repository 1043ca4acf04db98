/* print.h: prints text and JSON from a peer, escaped for a terminal. */
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

/* Prints one line: control characters, including newlines, become escapes. max: text beyond so many columns
 * is cut, and the last column shows an ellipsis; 0: no limit. Returns the columns used. */
size_t print_line(const print_t *print, const char *text, size_t len, size_t max);

/* The escaped line as a string value of doc, so that JSON stays valid for text that is not UTF-8. */
yyjson_mut_val *print_safe(yyjson_mut_doc *doc, const char *text, size_t len);

/* Prints several lines without a limit: newlines and tabs are not escaped. */
void print_text(const print_t *print, const char *text, size_t len);

/* Prints spaces. */
void print_pad(const print_t *print, size_t columns);

/* Prints text, wrapped at blanks to the width, and a newline. column: the current column of the cursor;
 * indent: of further lines. */
void print_wrapped(const print_t *print, size_t column, size_t indent, const char *text);

/* Start and end bold text, if colours are enabled. */
void print_bold(const print_t *print);
void print_plain(const print_t *print);

/* Prints a value as JSON, on one line or indented, and a newline; NULL: null. The output is valid JSON:
 * control characters are escaped by JSON's rules. */
void print_json(const print_t *print, yyjson_val *value, bool indented);

#endif
