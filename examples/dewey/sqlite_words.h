/* sqlite_words.h: searches as FTS5 reads them, and the text indexes of older versions, whose rows get into
 * those of words (words.h) while others store and search.
 *
 * Rows are moved from the newest on: words_state says up to which number they stand in the older index, and
 * all others in the new one. What is deleted stays in the older index, which nothing comes of: its number
 * is not used again as long as it is among those. */
#ifndef DEWEY_SQLITE_WORDS_H
#define DEWEY_SQLITE_WORDS_H

#include "sqlite_statements.h"

/* The search for FTS5, to be freed: each piece becomes a phrase, in quotes, so that nothing that is typed is
 * an operator of its language; "": nothing is searched for. NULL: no memory. */
char *sqlite_match_expression(mcp_text_t search);

/* The same for the older indexes, which part words by themselves. */
char *sqlite_match_expression_old(mcp_text_t search);

/* The store's read_words_cb. Text 0 is for the new index, text 1 for the older one. */
int sqlite_read_words(store_db_t *self, db_conn_t *conn, mcp_text_t wanted, word_search_t *search,
                      store_error_t *error);

/* The numbers up to which rows stand in the older indexes, in the transaction that is open; 0: none does. */
typedef struct sqlite_words_state {
  int64_t old_lines, old_messages;
} sqlite_words_state_t;
int sqlite_read_words_state(sqlite_conn_t *conn, sqlite_words_state_t *state, store_error_t *error);

/* As store_t.index. */
int sqlite_index(store_t *store, cancel_token_t cancel, store_error_t *error);

#endif
