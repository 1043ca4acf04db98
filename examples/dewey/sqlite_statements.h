/* sqlite_statements.h: Dewey's SQL statements for SQLite. */
#ifndef DEWEY_SQLITE_STATEMENTS_H
#define DEWEY_SQLITE_STATEMENTS_H

#include "sqlite_pools.h"
#include "store_db.h"

/* Statements with a fixed text. ..._BOTH: while the older text index still holds rows (sqlite_words.h). */
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
  SQL_UNINDEX,
  SQL_UNINDEX_COMPONENT,
  SQL_CLEAR,
  SQL_CLEAR_COMPONENT,
  SQL_CLEAR_COUNT,
  SQL_CLEAR_COUNT_COMPONENT,
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
  SQL_PICKS = SQL_STATEMENTS /* the first of SQLITE_PICK_SHAPES */
};

enum {
  SQLITE_PICK_SHAPES = 320 /* picks of rows: one for each combination of filters (sqlite_query.c) */
};

extern const sqlite_spec_t sqlite_spec;

/* The store on SQLite. */
typedef struct sqlite_store {
  store_db_t base; /* must be first */
  sqlite_pools_t pools;
} sqlite_store_t;

/* Sleeps as long as the writer was used: a connection that is released and taken again at once would
 * starve waiting threads. */
void sqlite_yield_writer(int64_t used_ms);

#endif
