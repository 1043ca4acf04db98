/* pq_words.h: words (words.h) in PostgreSQL: their SQL function, their indexes, and searches for them. */
#ifndef DEWEY_PQ_WORDS_H
#define DEWEY_PQ_WORDS_H

#include "store_pq.h"

/* Migrates the tables to version 3, in the open transaction. If there are rows, their indexes are created
 * later by pq_index; until then searches use the indexes of version 2. */
int pq_words_make(pq_conn_t *conn, store_error_t *error);

/* The parameters of a search; all are null without a search. */
typedef struct pq_search {
  bool old;         /* use the statements of version 2 */
  mcp_text_t words; /* a tsquery; old: the text with NUL replaced */
  /* LIKE patterns, separated by line feeds; missing: the words suffice. */
  mcp_text_t phrases;
  mcp_text_t pieces; /* as from words_of_search */
  char *copies[3];   /* owned copies of the three */
} pq_search_t;

/* Reads the text of a search; conn tells whether the new indexes exist. Call pq_search_deinit whatever the
 * result. */
int pq_search_init(pq_search_t *search, pq_store_t *store, pq_conn_t *conn, mcp_text_t wanted,
                   store_error_t *error);
void pq_search_deinit(pq_search_t *search);

/* The store's read_words_cb. The texts are words, phrases and pieces. */
int pq_read_words(store_db_t *self, db_conn_t *conn, mcp_text_t wanted, word_search_t *search,
                  store_error_t *error);

#endif
