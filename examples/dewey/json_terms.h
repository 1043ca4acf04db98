/* json_terms.h: the terms of a JSON value for a text index. */
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

/* Replaces the terms of a value that has more than JSON_TERMS_MAX. */
#define JSON_TERMS_TOO_MANY "dmore"

/* Writes a term for each member or item that is neither object nor array: a hash of its value and the keys
 * above it. A value that contains another one (json_contains.h) has all its terms, or JSON_TERMS_TOO_MANY.
 * Returns false if there are too many. out is NUL-terminated. */
bool json_terms(yyjson_val *value, char out[JSON_TERMS_SIZE]);

#endif
