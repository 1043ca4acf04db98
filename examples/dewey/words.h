/* words.h: splits texts into words, for the text indexes of both stores.
 *
 * The plain text of a text is its words, each after one blank, and a final blank: "Error: café" becomes
 * " error cafe ". It is made of the first max characters:
 *
 * 1. Accents (WORDS_ACCENTS of words_ranges.inc) are removed. In a text of more than 255 characters a
 *    blank is inserted after every 64 consecutive characters of blocks with other marks (WORDS_MARKED),
 *    because sorting many marks is slow.
 * 2. Normalise to NFKD; remove the accents that this has separated; convert each character to lower case
 *    (without a locale) and ς to σ; normalise to NFC. 260,000 characters are kept, the limit of a tsvector.
 * 3. WORDS_SEPARATORS separate words. Each character of WORDS_SINGLES (scripts without blanks between
 *    words) is a word. All others are letters; a word longer than 255 letters is split.
 *
 * dewey_words() in PostgreSQL (pq_words.c) does the same in SQL. */
#ifndef DEWEY_WORDS_H
#define DEWEY_WORDS_H

#include "stores.h"

/* The number of characters that are indexed. */
#define WORDS_LINE_MAX_CHARS 65536
#define WORDS_MESSAGE_MAX_CHARS 130000

/* Returns the plain text of the first max characters, to be freed; *len excludes the final NUL. Invalid
 * UTF-8 and NUL separate words. NULL: out of memory. */
char *words_plain(mcp_text_t given, size_t max, size_t *len);

/* Splits a search at white space and returns the plain texts of the pieces, separated by line feeds, to be
 * freed: "Café x-y ->" becomes " cafe \n x y ". A text matches if it has all pieces, with the words of each
 * piece in sequence; "" matches nothing. NULL: out of memory. */
char *words_of_search(mcp_text_t search);

#endif
