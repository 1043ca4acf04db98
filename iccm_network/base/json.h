/* json.h: the only reader of JSON text, with its limits; pure. */
#ifndef MCP_JSON_H
#define MCP_JSON_H

#include "base/mem.h"

enum {
  MCP__JSON_PADDING = 4, /* zero bytes required after a text that is read in place */
  MCP__JSON_MAX_DEPTH = 64,
  MCP__JSON_MAX_VALUES = 12500 * 1000, /* the largest message may have as many */
  MCP__JSON_MAX_DIGITS = 1100          /* of a number in arguments and schemas; a double has at most 1,077 */
};

/* Why a text could not be read. */
typedef struct mcp__json_error {
  int status;          /* UV_ENOMEM, or MCP_PARSE_ERROR */
  const char *message; /* static text; "out of memory" for UV_ENOMEM */
  const char *detail;  /* yyjson's description if the text is not JSON; else NULL */
  size_t at;           /* the byte offset of the error, from 0 */
} mcp__json_error_t;

/* Parses text into a document in the allocator's memory. A byte order mark at the beginning is skipped; lone
 * surrogates become U+FFFD. Integers beyond 64 bits and numbers beyond a double keep their digits as yyjson
 * raw values. NULL: see error. */
yyjson_doc *mcp__json_read(const char *text, size_t len, const yyjson_alc *alc, mcp__json_error_t *error);

/* The same in place: text is modified, belongs to the document from then on, and needs MCP__JSON_PADDING zero
 * bytes after len. The caller checks the number of values. */
yyjson_doc *mcp__json_read_in_place(char *text, size_t len, const yyjson_alc *alc, mcp__json_error_t *error);

/* Makes it the text of mcp_last_error(). */
void mcp__json_set_last_error(const mcp__json_error_t *error);

/* The number of digits of the first number in value that has more than MCP__JSON_MAX_DIGITS; 0: there is
 * none. */
size_t mcp__json_long_number(yyjson_val *value);

/* Replaces line breaks between the tokens of a JSON text with blanks. Inside of strings there are none. */
void mcp__json_join_lines(char *text, size_t len);

#endif
