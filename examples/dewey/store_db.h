/* store_db.h: conversations and startup contexts, written once on db.h for both of Dewey's stores. Each
 * store's spec contains the statements (store_sql.inc); each store reads searches for words in its own
 * way. */
#ifndef DEWEY_STORE_DB_H
#define DEWEY_STORE_DB_H

#include "db.h"
#include "store.h"

/* The first statements of both specs. A statement that a database does not need is NULL there. */
enum shared_statement {
  SQL_CONVERSATION_INSERT,
  SQL_CONVERSATION_LOCK,
  SQL_CONVERSATION_TOUCH,
  SQL_CONVERSATION_FETCH,
  SQL_CONVERSATION_DELETE,
  SQL_MESSAGES_LAST_TURN,
  SQL_MESSAGES_INSERT,
  SQL_MESSAGES_ADD_WORDS, /* SQLite only: indexes the newest $1 messages */
  SQL_MESSAGES_FETCH,
  SQL_MESSAGES_REMOVE_WORDS, /* SQLite only */
  SQL_MESSAGES_DELETE,
  SQL_MESSAGES_LEFT, /* SQLite only: after a deletion */
  SQL_LIST_BY_CREATED,
  SQL_LIST_BY_UPDATED,
  SQL_LIST_SESSION_BY_CREATED,
  SQL_LIST_SESSION_BY_UPDATED,
  SQL_LIST_COUNT,
  SQL_LIST_SESSION_COUNT,
  SQL_CONTEXTS_LOCK, /* PostgreSQL only */
  SQL_CONTEXT_DEACTIVATE,
  SQL_CONTEXT_SET,
  SQL_CONTEXT_FETCH,
  SQL_CONTEXT_ACTIVE,
  SQL_CONTEXT_LIST,
  SQL_CONTEXT_DELETE,
  SQL_SHARED
};

/* A search for words in messages. */
enum { STORE_DB_WORD_TEXTS = 3 };
typedef struct word_search {
  /* Statements with $1, $2 times, $3 session, $4 limit, $5 offset, $6 to $8 texts. */
  int count, find;
  mcp_text_t texts[STORE_DB_WORD_TEXTS]; /* in the form of the store's statements; missing: null */
  char *owned[STORE_DB_WORD_TEXTS];      /* to be freed */
} word_search_t;

typedef struct store_db store_db_t;
/* Reads the words of a search, in its transaction. The caller frees owned, also after a failure. */
typedef int (*read_words_cb)(store_db_t *self, db_conn_t *conn, mcp_text_t wanted, word_search_t *search,
                             store_error_t *error);

struct store_db {
  store_t store; /* must be first */
  db_t *db;      /* on the store's connections */
  read_words_cb read_words;
};

/* Sets the store's functions for conversations and contexts. */
void store_db_init(store_db_t *self, db_t *db, read_words_cb read_words);

/* db_end for DB_WRITE that also waits for a standby with STORE_NOT_FOUND and STORE_CONFLICT, so that the
 * changes these results rest on cannot be lost. */
int store_db_end(store_t *store, db_conn_t *conn, int code, store_error_t *error);

/* Writes the reason to error. Returns code. */
int store_db_refuse(int code, const char *reason, store_error_t *error);

int conversation_add(store_t *store, const conversation_t *conversation, bool begin, store_source_cb source,
                     void *arg, int64_t *last_turn, store_error_t *error);
int conversation_get(store_t *store, const char *id, cancel_token_t cancel, store_conversation_cb cb,
                     store_message_cb message_cb, void *arg, store_error_t *error);
int conversation_list(store_t *store, const conversation_page_t *page, cancel_token_t cancel,
                      store_conversation_cb cb, void *arg, int64_t *total, store_error_t *error);
int conversation_remove(store_t *store, const char *id, int64_t *messages, store_error_t *error);
int conversation_search(store_t *store, const message_search_t *wanted, cancel_token_t cancel,
                        store_found_cb cb, void *arg, int64_t *total, store_error_t *error);

int context_set(store_t *store, const startup_context_t *context, store_context_cb cb, void *arg,
                store_error_t *error);
int context_get(store_t *store, mcp_text_t name, store_context_cb cb, void *arg, store_error_t *error);
int context_list(store_t *store, bool with_content, cancel_token_t cancel, store_context_cb cb, void *arg,
                 store_error_t *error);
int context_remove(store_t *store, mcp_text_t name, store_error_t *error);

#endif
