/* json_terms.h: what a JSON value holds, as words for a text index. */
#ifndef DEWEY_JSON_TERMS_H
#define DEWEY_JSON_TERMS_H

#include <stdbool.h>
#include <stddef.h>
#include <yyjson.h>

enum {
  JSON_TERMS_MAX = 200,
  JSON_TERM_BYTES = 12, /* a blank, 'd' and ten digits */
  JSON_TERMS_SIZE = (JSON_TERMS_MAX + 1) * JSON_TERM_BYTES + 1
};

/* Stands for all words of a value that holds more than JSON_TERMS_MAX. */
#define JSON_TERMS_TOO_MANY "dmore"

/* Writes a word for each member or item that is neither object nor array: a hash of the keys on the way to it
 * and of itself. Whatever contains a value (json_contains.h) has all words of it, unless it has
 * JSON_TERMS_TOO_MANY. False: there are too many words. out is NUL-terminated. */
bool json_terms(yyjson_val *value, char out[JSON_TERMS_SIZE]);

#endif
