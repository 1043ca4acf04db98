/* sqlite_plan.h: all that Dewey asks of SQLite, as SQL. */
#ifndef DEWEY_SQLITE_PLAN_H
#define DEWEY_SQLITE_PLAN_H

#include "sqlite_pools.h"
#include "store.h"

/* Statements with a fixed text. ..._BOTH: while the older text index holds some of the rows (sqlite_words.h).
 */
enum statement {
  SQL_INSERT,
  SQL_LAST,
  SQL_TIME_OF,
  SQL_ARRIVED,
  SQL_ARRIVED_BOTH,
  SQL_INDEX,
  SQL_FETCH,
  SQL_MATCHES,
  SQL_MATCHES_BOTH,
  SQL_TAKE_OUT,
  SQL_TAKE_OUT_OF_COMPONENT,
  SQL_CLEAR,
  SQL_CLEAR_COMPONENT,
  SQL_TO_CLEAR,
  SQL_TO_CLEAR_COMPONENT,
  SQL_COUNTS,
  SQL_RANGE,
  SQL_BYTES,
  SQL_KEEP_HIGHEST,
  SQL_RETENTION_AT,
  SQL_RETENTION_BEGIN,
  SQL_CONVERSATION_INSERT,
  SQL_CONVERSATION_FIND,
  SQL_CONVERSATION_FETCH,
  SQL_CONVERSATION_TOUCH,
  SQL_CONVERSATION_DELETE,
  SQL_MESSAGE_LAST_TURN,
  SQL_MESSAGE_INSERT,
  SQL_MESSAGE_INDEX,
  SQL_MESSAGES_FETCH,
  SQL_MESSAGES_TAKE_OUT,
  SQL_MESSAGES_DELETE,
  SQL_LIST_BY_CREATED,
  SQL_LIST_BY_UPDATED,
  SQL_LIST_SESSION_BY_CREATED,
  SQL_LIST_SESSION_BY_UPDATED,
  SQL_LIST_COUNT,
  SQL_LIST_SESSION_COUNT,
  SQL_SEARCH,
  SQL_SEARCH_BOTH,
  SQL_SEARCH_COUNT,
  SQL_SEARCH_COUNT_BOTH,
  SQL_CONTEXT_DEACTIVATE,
  SQL_CONTEXT_SET,
  SQL_CONTEXT_FETCH,
  SQL_CONTEXT_ACTIVE,
  SQL_CONTEXT_LIST,
  SQL_CONTEXT_DELETE,
  SQL_WORDS_STATE,
  SQL_LINES_INDEX,
  SQL_LINES_MOVED,
  SQL_MESSAGES_INDEX,
  SQL_MESSAGES_MOVED,
  SQL_MESSAGES_LEFT,
  SQL_STATEMENTS,
  SQL_PICKS = SQL_STATEMENTS /* the first of PICK_SHAPES */
};

enum {
  PICK_SHAPES = 320 /* statements that pick rows: one for each combination of filters (sqlite_query.c) */
};

extern const conn_plan_t sqlite_plan;

/* The store on SQLite. */
typedef struct sqlite_store {
  store_t store; /* first: it is what others see */
  sqlite_pools_t pools;
} sqlite_store_t;

/* Leaves the writer to others for as long as it was used: a connection given back and taken again at once
 * would never reach those who wait for it. */
void sqlite_give_way(int64_t used_ms);

#endif
