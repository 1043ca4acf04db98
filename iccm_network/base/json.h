/* json.h: the one reader of JSON text, with its limits; pure. */
#ifndef MCP_JSON_H
#define MCP_JSON_H

#include "base/mem.h"

enum {
  MCP__JSON_PADDING = 4, /* zero bytes behind a text that is read in place */
  MCP__JSON_MAX_DEPTH = 64,
  MCP__JSON_MAX_VALUES = 12500 * 1000, /* as many as the largest message may hold */
  MCP__JSON_MAX_DIGITS = 1100 /* of a number in arguments and schemas; a double needs at most 1,077 */
};

/* Why a text was not read. */
typedef struct mcp__json_error {
  int status;          /* UV_ENOMEM, or MCP_PARSE_ERROR */
  const char *message; /* what is wrong, never freed; of UV_ENOMEM "out of memory" */
  const char *detail;  /* more of it, where the text is no JSON; else NULL */
  size_t at;           /* the byte where that was found, from 0 */
} mcp__json_error_t;

/* The text's document in the allocator's memory. A byte order mark in front of it is passed over, halves of
 * surrogate pairs are U+FFFD. Integers beyond 64 bits and numbers beyond a double keep
 * their digits: yyjson calls them raw. NULL: error says why. */
yyjson_doc *mcp__json_read(const char *text, size_t len, const yyjson_alc *alc, mcp__json_error_t *error);

/* The same, but the text is changed, belongs to the document from then on, and has MCP__JSON_PADDING zero
 * bytes behind its len. The number of values is the caller's to judge. */
yyjson_doc *mcp__json_read_in_place(char *text, size_t len, const yyjson_alc *alc, mcp__json_error_t *error);

/* The digits of a number in value, or in what it holds, that has more than MCP__JSON_MAX_DIGITS; 0: there is
 * none. */
size_t mcp__json_long_number(yyjson_val *value);

#endif
