/* pq_words.h: words (words.h) in PostgreSQL: their function, their indexes, and what searches say of them. */
#ifndef DEWEY_PQ_WORDS_H
#define DEWEY_PQ_WORDS_H

#include "store_pq.h"

/* Version 3 of the tables, in the transaction that is open. Where lines or messages are stored, indexes are
 * made later, by pq_words_index, and until then searches find words as version 2 does. */
int pq_words_make(pq_conn_t *conn, store_error_t *error);

/* What the statements want of a search; all of it is null where nothing is searched for. */
typedef struct pq_search {
  bool old;           /* the statements of version 2 are to be used */
  mcp_text_t words;   /* a tsquery; old: the text as it is, without NUL */
  mcp_text_t phrases; /* patterns of LIKE, with a line feed between two; missing: the words are enough */
  mcp_text_t pieces;  /* as words_of_search gives them */
  char *copies[3];    /* of these, to be freed */
} pq_search_t;

/* Reads what a caller searches for; conn answers whether the indexes are made. Whatever the code is,
 * pq_search_deinit has to follow. */
int pq_search_init(pq_search_t *search, pq_store_t *store, pq_conn_t *conn, mcp_text_t wanted,
                   store_error_t *error);
void pq_search_deinit(pq_search_t *search);

/* The store's read_words_cb. The texts are words, phrases and pieces. */
int pq_read_words(store_db_t *self, db_conn_t *conn, mcp_text_t wanted, word_search_t *search,
                  store_error_t *error);

#endif
