/* store.h: what Dewey asks of a database, in plain C.
 *
 * A store is a table of functions; the rest of Dewey knows no database. What they have in common with the
 * functions of any store, and answer, stands in stores.h. STORE_CONFLICT: the turn number is in use, or there
 * is none left. */
#ifndef DEWEY_STORE_H
#define DEWEY_STORE_H

#include "stores.h"

#include <iccm_service.h>

/* One line of the log: as it is stored, and as it is read. */
typedef struct log_entry {
  char id[MCP_UUID_SIZE];
  int64_t created_at; /* microseconds since 1970 */
  int level;          /* MCP_LOG_... */
  mcp_text_t component;
  mcp_text_t message;
  mcp_text_t trace_id;    /* may be missing */
  mcp_text_t data;        /* JSON; may be missing */
  bool reuse_stored_time; /* where it is to be stored: a line of this id that is stored has the time to be
                             used */
} log_entry_t;

typedef struct log_filter {
  mcp_text_t trace_id;
  mcp_text_t component;
  mcp_text_t search; /* words that must all occur in the message; any characters are fine */
  mcp_text_t data;   /* a JSON object that the row's data must contain */
  int min_level;
  int64_t start_us, end_us; /* both included */
  bool after;               /* only rows that come after this one: */
  int64_t after_us;
  char after_id[MCP_UUID_SIZE];
  int limit; /* at most 1001 */
} log_filter_t;

/* A place in the order in which lines arrive, as a text of the store's own. */
enum { STORE_ARRIVAL_MARK_SIZE = 16 * 1024 };

typedef struct log_clear {
  int64_t before_us; /* not included */
  mcp_text_t component;
  int level; /* this one alone; -1: all */
} log_clear_t;

typedef struct log_stats {
  int64_t total;
  int64_t by_level[MCP_LOG_ERROR + 1];
  int64_t oldest_us, newest_us; /* only where total is not 0 */
  int64_t bytes;                /* of the whole database */
} log_stats_t;

enum message_role { STORE_ROLE_USER, STORE_ROLE_ASSISTANT, STORE_ROLE_SYSTEM, STORE_ROLE_TOOL, STORE_ROLES };

enum { STORE_TURN_MAX = INT32_MAX }; /* turns count from 1 */

typedef struct conversation {
  char id[MCP_UUID_SIZE];
  mcp_text_t session_id; /* may be missing */
  mcp_text_t metadata;   /* JSON; may be missing */
  int64_t created_at, updated_at;
  int64_t messages; /* how many it has; only where it is read */
} conversation_t;

/* A message of a conversation. */
typedef struct message {
  char id[MCP_UUID_SIZE];
  int64_t turn; /* 0, where it is to be stored: the one after the last */
  int role;     /* enum message_role */
  mcp_text_t content;
  mcp_text_t metadata; /* JSON; may be missing */
  int64_t created_at;
} message_t;

typedef struct conversation_page {
  mcp_text_t session_id; /* of this session alone; missing: all */
  bool by_updated;       /* newest update first, else newest first */
  int64_t limit, offset;
} conversation_page_t;

typedef struct message_search {
  mcp_text_t words;         /* that must all occur in the content; any characters are fine */
  mcp_text_t session_id;    /* in this session alone; missing: in all */
  int64_t start_us, end_us; /* both included */
  int64_t limit, offset;
} message_search_t;

/* A message that was found, and of its conversation id, session_id and metadata. */
typedef struct found_message {
  message_t message;
  conversation_t conversation;
  double rank; /* the higher, the better it fits */
} found_message_t;

/* What a session may begin with. */
typedef struct startup_context {
  char id[MCP_UUID_SIZE];
  mcp_text_t name, content; /* content missing: it was not asked for */
  bool is_active;
  int64_t created_at, updated_at;
} startup_context_t;

/* Gets one row, borrowed until it returns; false: no more rows are wanted. */
typedef bool (*store_row_cb)(const log_entry_t *row, void *arg);
/* Gets a component and a number of its rows; may be called several times in a row for the same component. */
typedef void (*store_count_cb)(mcp_text_t component, int64_t count, void *arg);

/* Gives the next message to be stored, borrowed until it is asked again: 1; 0: there is none; -1: store none
 * of them. */
typedef int (*store_source_cb)(message_t *message, void *arg);
/* Get one row each, borrowed until they return; false: no more rows are wanted. */
typedef bool (*store_conversation_cb)(const conversation_t *row, void *arg);
typedef bool (*store_message_cb)(const message_t *row, void *arg);

typedef bool (*store_found_cb)(const found_message_t *row, void *arg);
typedef bool (*store_context_cb)(const startup_context_t *row, void *arg);

typedef struct store store_t;
struct store {
  /* Stores all entries in one transaction, each (id, created_at) once ever; *inserted counts the new ones.
   * With STORE_OK they are on the disk, with anything else none of them is. */
  int (*batch)(store_t *store, const log_entry_t *entries, size_t count, size_t *inserted,
               store_error_t *error);
  /* Gives the rows that fulfil the filter to cb, newest first by (created_at, id). */
  int (*query)(store_t *store, const log_filter_t *filter, cancel_token_t cancel, store_row_cb cb, void *arg,
               store_error_t *error);
  /* Gives the rows that have arrived since mark and fulfil the filter to cb, the first to arrive first, each
   * once, in whatever order what stored them has ended; next is the mark behind the last one that cb has
   * taken: where cb says false, the row is not taken. An empty mark: from now on. STORE_NOT_FOUND: mark is
   * none.
   */
  int (*arrived)(store_t *store, const log_filter_t *filter, mcp_text_t mark, cancel_token_t cancel,
                 store_row_cb cb, void *arg, char next[STORE_ARRIVAL_MARK_SIZE], store_error_t *error);
  /* Deletes in steps of their own transactions, between which others get their turn; *deleted counts what is
   * gone, also when it ends early. */
  int (*clear)(store_t *store, const log_clear_t *what, cancel_token_t cancel, uint64_t *deleted,
               store_error_t *error);
  /* Counts what clear would delete. */
  int (*count)(store_t *store, const log_clear_t *what, cancel_token_t cancel, uint64_t *count,
               store_error_t *error);
  /* Components come in their order. */
  int (*stats)(store_t *store, log_stats_t *stats, cancel_token_t cancel, store_count_cb cb, void *arg,
               store_error_t *error);
  /* Begins the conversation, or continues the one of this id (begin false; updated_at is all else that is
   * used of it), with the messages that the source gives (NULL: none), all of it in one transaction that the
   * source is asked in. *last_turn, which may be NULL, is that of the last one. STORE_NOT_FOUND,
   * STORE_CONFLICT; STORE_CANCELLED: the source said -1. */
  int (*add)(store_t *store, const conversation_t *conversation, bool begin, store_source_cb source,
             void *arg, int64_t *last_turn, store_error_t *error);
  /* Gives a conversation, then its messages by turn. STORE_NOT_FOUND. */
  int (*get)(store_t *store, const char *id, cancel_token_t cancel, store_conversation_cb on_conversation,
             store_message_cb on_message, void *arg, store_error_t *error);
  /* Gives a page of conversations; *total is how many there are on all pages. */
  int (*list)(store_t *store, const conversation_page_t *page, cancel_token_t cancel,
              store_conversation_cb cb, void *arg, int64_t *total, store_error_t *error);
  /* Deletes a conversation with its messages, whose number goes to *messages. STORE_NOT_FOUND. */
  int (*remove)(store_t *store, const char *id, int64_t *messages, store_error_t *error);
  /* Gives a page of the messages found, the best first; *total is how many there are on all pages. */
  int (*search)(store_t *store, const message_search_t *search, cancel_token_t cancel, store_found_cb cb,
                void *arg, int64_t *total, store_error_t *error);
  /* Makes a startup context, or changes the one of that name, which keeps its id and created_at; one that is
   * active makes all others inactive. Gives it to cb as it is then. */
  int (*set_context)(store_t *store, const startup_context_t *context, store_context_cb cb, void *arg,
                     store_error_t *error);
  /* Gives the context of this name; name missing: the active one. STORE_NOT_FOUND. */
  int (*get_context)(store_t *store, mcp_text_t name, store_context_cb cb, void *arg, store_error_t *error);
  /* Gives all of them by name. */
  int (*list_contexts)(store_t *store, bool with_content, cancel_token_t cancel, store_context_cb cb,
                       void *arg, store_error_t *error);
  int (*remove_context)(store_t *store, mcp_text_t name, store_error_t *error); /* STORE_NOT_FOUND */
  /* Writes a little and reads a little: STORE_OK where both work. A store that needs preparing is prepared
   * by this, which may take a while; until then the other functions fail. */
  int (*check)(store_t *store, size_t free_bytes, cancel_token_t cancel, store_error_t *error);
  /* The clock at the last begin_retention, by whatever program; INT64_MIN: none. */
  int (*last_retention)(store_t *store, int64_t *at_us, cancel_token_t cancel, store_error_t *error);
  /* Keeps the time at which what is too old is removed. */
  int (*begin_retention)(store_t *store, int64_t at_us, cancel_token_t cancel, store_error_t *error);
  /* Prepares the store for the days around now_us, which may take a while. */
  int (*maintain)(store_t *store, int64_t now_us, cancel_token_t cancel, store_error_t *error);
  /* Makes the text indexes of what an older version has stored, while others store and search; may take
   * hours. STORE_BUSY: another program is at it, or something is in the way just now. */
  int (*index)(store_t *store, cancel_token_t cancel, store_error_t *error);
  /* Whether what is stored came from an older installation; known after a check. */
  bool (*is_taken_over)(store_t *store);
  /* No other function may be running. */
  void (*close)(store_t *store);
};

/* Opens the SQLite database at path, which is made where there is none. NULL: error says why. */
store_t *store_sqlite_open(const char *path, store_error_t *error);

/* A store on PostgreSQL, which need not be there yet: it is connected to when there is work. Place must
 * outlive it. NULL: no memory. */
store_t *store_pq_open(const pq_conninfo_t *conninfo, store_error_t *error);

#endif
