/* sqlite_words.h: search expressions for FTS5, and moving the text indexes of older versions to those of
 * words (words.h) while the store is in use.
 *
 * Rows are moved from the newest to the oldest. words_state holds the highest row number that is still in
 * the older index; rows above it are in the new one. A deleted row may stay in the older index without
 * effect: its number is not used again while the older index is searched up to it. */
#ifndef DEWEY_SQLITE_WORDS_H
#define DEWEY_SQLITE_WORDS_H

#include "sqlite_statements.h"

/* Returns the MATCH expression for a search, to be freed: each piece becomes a quoted phrase, so that no
 * input acts as an operator of FTS5. "" for an empty search; NULL if out of memory. */
char *sqlite_match_expression(mcp_text_t search);

/* The same for the older indexes, which split words themselves. */
char *sqlite_match_expression_old(mcp_text_t search);

/* The store's read_words_cb. Text 0 is for the new index, text 1 for the older one. */
int sqlite_read_words(store_db_t *self, db_conn_t *conn, mcp_text_t wanted, word_search_t *search,
                      store_error_t *error);

/* The highest row numbers in the older indexes, read in the open transaction; 0: none. */
typedef struct sqlite_words_state {
  int64_t old_lines, old_messages;
} sqlite_words_state_t;
int sqlite_read_words_state(sqlite_conn_t *conn, sqlite_words_state_t *state, store_error_t *error);

/* As store_t.index. */
int sqlite_index(store_t *store, cancel_token_t cancel, store_error_t *error);

#endif
