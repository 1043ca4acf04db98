/* sqlite_plan.h: all that Dewey asks of SQLite, as SQL. */
#ifndef DEWEY_SQLITE_PLAN_H
#define DEWEY_SQLITE_PLAN_H

#include "sqlite_pools.h"
#include "store_db.h"

/* Statements with a fixed text. ..._BOTH: while the older text index holds some of the rows (sqlite_words.h).
 */
enum statement {
  SQL_INSERT = SQL_SHARED, /* after those of store_db.h */
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
  SQL_SEARCH,
  SQL_SEARCH_BOTH,
  SQL_SEARCH_COUNT,
  SQL_SEARCH_COUNT_BOTH,
  SQL_WORDS_STATE,
  SQL_LINES_INDEX,
  SQL_LINES_MOVED,
  SQL_MESSAGES_INDEX,
  SQL_MESSAGES_MOVED,
  SQL_STATEMENTS,
  SQL_PICKS = SQL_STATEMENTS /* the first of PICK_SHAPES */
};

enum {
  PICK_SHAPES = 320 /* statements that pick rows: one for each combination of filters (sqlite_query.c) */
};

extern const conn_plan_t sqlite_plan;

/* The store on SQLite. */
typedef struct sqlite_store {
  store_db_t base; /* first: it is what others see */
  sqlite_pools_t pools;
} sqlite_store_t;

/* Leaves the writer to others for as long as it was used: a connection given back and taken again at once
 * would never reach those who wait for it. */
void sqlite_give_way(int64_t used_ms);

#endif
