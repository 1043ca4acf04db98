/* json_words.h: what a JSON value holds, as words for a text index. */
#ifndef DEWEY_JSON_WORDS_H
#define DEWEY_JSON_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <yyjson.h>

enum {
  JSON_WORDS_MAX = 200,
  JSON_WORD_BYTES = 12, /* a blank, 'd' and ten digits */
  JSON_WORDS_BYTES = (JSON_WORDS_MAX + 1) * JSON_WORD_BYTES + 1
};

/* Stands for all words of a value that holds more than JSON_WORDS_MAX. */
#define JSON_WORDS_MORE "dmore"

/* Writes a word for each member or item that is neither object nor array: a hash of the keys on the way to it
 * and of itself. Whatever contains a value (json_contains.h) has all words of it, unless it has
 * JSON_WORDS_MORE. False: there are too many words. out is NUL-terminated. */
bool json_words(yyjson_val *value, char out[JSON_WORDS_BYTES]);

#endif
