/* words.h: what a word of a text is, for the text indexes of both stores.
 *
 * The plain text of a text is its words, each behind one blank, and a blank at the end: "Error: café" gives
 * " error cafe ". It is made so, of the first max characters:
 *
 * 1. Accents (WORDS_ACCENTS of words_ranges.inc) are left out. In a text of more than 255 characters a blank
 *    follows each 64 side by side of blocks with other marks (WORDS_MARKED): sorting many takes long.
 * 2. Unicode's NFKD; accents that came of it are left out; small letters for capital ones, each by itself
 *    (no locale), and σ for ς; Unicode's NFC. Of that, 260,000 characters: what a tsvector can hold.
 * 3. WORDS_SEPARATORS part words. Each character of WORDS_SINGLES, those of scripts that have no blanks
 *    between words, is a word. All else are letters, of which a word has 255 at most: a longer one is cut.
 *
 * dewey_words() in PostgreSQL (pq_words.c) is the same in SQL. */
#ifndef DEWEY_WORDS_H
#define DEWEY_WORDS_H

#include "stores.h"

/* The characters of a text that are looked at. */
#define WORDS_LINE_MAX_CHARS 65536
#define WORDS_MESSAGE_MAX_CHARS 130000

/* The plain text of the first max characters, to be freed; *len does not count the NUL behind it. Bytes that
 * are no UTF-8 part words, as NUL does. NULL: no memory. */
char *words_plain(mcp_text_t given, size_t max, size_t *len);

/* Text that is searched for, between white space, each piece as its plain text, with a line feed between two
 * of them: "Café x-y ->" gives " cafe \n x y ". Found is what has all pieces, the words of each side by side;
 * "" finds nothing. To be freed. NULL: no memory. */
char *words_of_search(mcp_text_t search);

#endif
