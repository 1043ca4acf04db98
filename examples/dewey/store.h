/* store.h: the interface between Dewey and its database.
 *
 * A store is a table of functions; the rest of Dewey does not depend on the database. stores.h describes
 * their common rules and results. STORE_CONFLICT: the turn number is in use, or none is left. */
#ifndef DEWEY_STORE_H
#define DEWEY_STORE_H

#include "stores.h"

#include <iccm_service.h>

/* A log line, to be stored or read. */
typedef struct log_entry {
  char id[MCP_UUID_SIZE];
  int64_t created_at; /* microseconds since 1970 */
  int level;          /* MCP_LOG_... */
  mcp_text_t component;
  mcp_text_t message;
  mcp_text_t trace_id; /* may be missing */
  mcp_text_t data;     /* JSON; may be missing */
  /* When stored: if a line with this id exists, use its time. */
  bool reuse_stored_time;
} log_entry_t;

typedef struct log_filter {
  mcp_text_t trace_id;
  mcp_text_t component;
  /* Words that must all occur in the message; any characters are allowed. */
  mcp_text_t search;
  mcp_text_t data; /* a JSON object that the row's data must contain */
  int min_level;
  int64_t start_us, end_us; /* inclusive */
  bool after;               /* only rows after the position below */
  int64_t after_us;
  char after_id[MCP_UUID_SIZE];
  int limit; /* at most 1001 */
} log_filter_t;

/* A position in the order of arrival, as an opaque text of the store. */
enum { STORE_ARRIVAL_MARK_SIZE = 16 * 1024 };

typedef struct log_clear {
  int64_t before_us; /* exclusive */
  mcp_text_t component;
  int level; /* this level only; -1: all */
} log_clear_t;

typedef struct log_stats {
  int64_t total;
  int64_t by_level[MCP_LOG_ERROR + 1];
  int64_t oldest_us, newest_us; /* only if total is not 0 */
  int64_t bytes;                /* of the whole database */
} log_stats_t;

enum message_role { STORE_ROLE_USER, STORE_ROLE_ASSISTANT, STORE_ROLE_SYSTEM, STORE_ROLE_TOOL, STORE_ROLES };

enum { STORE_TURN_MAX = INT32_MAX }; /* turns count from 1 */

typedef struct conversation {
  char id[MCP_UUID_SIZE];
  mcp_text_t session_id; /* may be missing */
  mcp_text_t metadata;   /* JSON; may be missing */
  int64_t created_at, updated_at;
  int64_t messages; /* number of messages; when read only */
} conversation_t;

/* A message of a conversation. */
typedef struct message {
  char id[MCP_UUID_SIZE];
  int64_t turn; /* when stored, 0: next turn */
  int role;     /* enum message_role */
  mcp_text_t content;
  mcp_text_t metadata; /* JSON; may be missing */
  int64_t created_at;
} message_t;

typedef struct conversation_page {
  mcp_text_t session_id; /* this session only; missing: all */
  bool by_updated;       /* sort by updated_at instead of created_at, newest first */
  int64_t limit, offset;
} conversation_page_t;

typedef struct message_search {
  mcp_text_t words;         /* must all occur in the content; any characters are allowed */
  mcp_text_t session_id;    /* this session only; missing: all */
  int64_t start_us, end_us; /* inclusive */
  int64_t limit, offset;
} message_search_t;

/* A message found, with the id, session_id and metadata of its conversation. */
typedef struct found_message {
  message_t message;
  conversation_t conversation;
  double rank; /* higher is better */
} found_message_t;

/* A text that a session may begin with. */
typedef struct startup_context {
  char id[MCP_UUID_SIZE];
  mcp_text_t name, content; /* content is missing if not requested */
  bool is_active;
  int64_t created_at, updated_at;
} startup_context_t;

/* Receives a row, valid until it returns; returns false to stop. */
typedef bool (*store_row_cb)(const log_entry_t *row, void *arg);
/* Receives a component and a number of its rows; may be called several times in a row for one component. */
typedef void (*store_count_cb)(mcp_text_t component, int64_t count, void *arg);

/* Returns 1 with the next message to store, borrowed until the next call; 0 at the end; -1 to store none
 * of them. */
typedef int (*store_source_cb)(message_t *message, void *arg);
/* Receive a row, valid until they return; return false to stop. */
typedef bool (*store_conversation_cb)(const conversation_t *row, void *arg);
typedef bool (*store_message_cb)(const message_t *row, void *arg);

typedef bool (*store_found_cb)(const found_message_t *row, void *arg);
typedef bool (*store_context_cb)(const startup_context_t *row, void *arg);

typedef struct store store_t;
struct store {
  /* Stores all entries in one transaction; an (id, created_at) that exists is skipped. *inserted is the
   * number of new ones. STORE_OK means durable; with any other code nothing was stored. */
  int (*batch)(store_t *store, const log_entry_t *entries, size_t count, size_t *inserted,
               store_error_t *error);
  /* Passes the rows that match the filter to cb, newest first by (created_at, id). */
  int (*query)(store_t *store, const log_filter_t *filter, cancel_token_t cancel, store_row_cb cb, void *arg,
               store_error_t *error);
  /* Passes the matching rows that have arrived since mark to cb, in order of arrival, each exactly once,
   * even if the transactions that stored them commit in another order. next is the mark after the last row
   * that cb accepted; a row for which cb returns false is not accepted. An empty mark means from now on.
   * STORE_NOT_FOUND: mark is invalid. */
  int (*arrived)(store_t *store, const log_filter_t *filter, mcp_text_t mark, cancel_token_t cancel,
                 store_row_cb cb, void *arg, char next[STORE_ARRIVAL_MARK_SIZE], store_error_t *error);
  /* Deletes in several small transactions, so that others are not blocked; *deleted is also set if it ends
   * early. */
  int (*clear)(store_t *store, const log_clear_t *what, cancel_token_t cancel, uint64_t *deleted,
               store_error_t *error);
  /* Counts the rows that clear would delete. */
  int (*count)(store_t *store, const log_clear_t *what, cancel_token_t cancel, uint64_t *count,
               store_error_t *error);
  /* Passes the components to cb in order. */
  int (*stats)(store_t *store, log_stats_t *stats, cancel_token_t cancel, store_count_cb cb, void *arg,
               store_error_t *error);
  /* Creates a conversation, or with begin false continues the one with this id (of the others only
   * updated_at is used), and stores the messages of source, which may be NULL, all in one transaction.
   * *last_turn, which may be NULL, is the turn of the last message. STORE_NOT_FOUND; STORE_CONFLICT;
   * STORE_CANCELLED if source returned -1. */
  int (*add)(store_t *store, const conversation_t *conversation, bool begin, store_source_cb source,
             void *arg, int64_t *last_turn, store_error_t *error);
  /* Passes a conversation, then its messages by turn. STORE_NOT_FOUND. */
  int (*get)(store_t *store, const char *id, cancel_token_t cancel, store_conversation_cb on_conversation,
             store_message_cb on_message, void *arg, store_error_t *error);
  /* Passes a page of conversations; *total counts all pages. */
  int (*list)(store_t *store, const conversation_page_t *page, cancel_token_t cancel,
              store_conversation_cb cb, void *arg, int64_t *total, store_error_t *error);
  /* Deletes a conversation and its messages, whose number is *messages. STORE_NOT_FOUND. */
  int (*remove)(store_t *store, const char *id, int64_t *messages, store_error_t *error);
  /* Passes a page of the messages found, the best first; *total counts all pages. */
  int (*search)(store_t *store, const message_search_t *search, cancel_token_t cancel, store_found_cb cb,
                void *arg, int64_t *total, store_error_t *error);
  /* Creates a startup context or updates the one with this name, which keeps its id and created_at; an
   * active one deactivates all others. Passes the result to cb. */
  int (*set_context)(store_t *store, const startup_context_t *context, store_context_cb cb, void *arg,
                     store_error_t *error);
  /* Passes the context with this name; without a name the active one. STORE_NOT_FOUND. */
  int (*get_context)(store_t *store, mcp_text_t name, store_context_cb cb, void *arg, store_error_t *error);
  /* Passes all contexts by name. */
  int (*list_contexts)(store_t *store, bool with_content, cancel_token_t cancel, store_context_cb cb,
                       void *arg, store_error_t *error);
  int (*remove_context)(store_t *store, mcp_text_t name, store_error_t *error); /* STORE_NOT_FOUND */
  /* Checks that the store can be read and written. It also prepares a new store, which may take a while;
   * until then the other functions fail. */
  int (*check)(store_t *store, size_t free_bytes, cancel_token_t cancel, store_error_t *error);
  /* Reads the time of the last begin_retention of any program; INT64_MIN: none. */
  int (*last_retention)(store_t *store, int64_t *at_us, cancel_token_t cancel, store_error_t *error);
  /* Stores the time of a retention. */
  int (*begin_retention)(store_t *store, int64_t at_us, cancel_token_t cancel, store_error_t *error);
  /* Prepares the store for the days around now_us, which may take a while. */
  int (*maintain)(store_t *store, int64_t now_us, cancel_token_t cancel, store_error_t *error);
  /* Rebuilds the text indexes of an older version while the store is in use; may take hours. STORE_BUSY:
   * another program does it, or it cannot continue now. */
  int (*index)(store_t *store, cancel_token_t cancel, store_error_t *error);
  /* True if the data came from an older installation; known after a check. */
  bool (*is_taken_over)(store_t *store);
  /* No other function may be running. */
  void (*close)(store_t *store);
};

/* Opens the SQLite database at path and creates it if it is missing. Returns NULL with error set on
 * failure. */
store_t *store_sqlite_open(const char *path, store_error_t *error);

/* Opens a store on PostgreSQL without connecting. conninfo must outlive it. Returns NULL if out of memory. */
store_t *store_pq_open(const pq_conninfo_t *conninfo, store_error_t *error);

#endif
