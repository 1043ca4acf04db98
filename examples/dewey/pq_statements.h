/* pq_statements.h: Dewey's SQL statements for PostgreSQL. Parameters and rows are in binary form. */
#ifndef DEWEY_PQ_STATEMENTS_H
#define DEWEY_PQ_STATEMENTS_H

#include "pq_conn.h"
#include "store_db.h"

/* Statements with a fixed text, prepared at first use on a connection. */
enum pq_statement {
  PQ_LOGS_INSERT = SQL_SHARED, /* after those of store_db.h */
  PQ_LOGS_INSERT_JSON_AS_TEXT,
  PQ_LOGS_INSERT_REUSING_TIME,
  PQ_LOGS_QUERY,
  PQ_LOGS_QUERY_OLD, /* by the word indexes of version 2 */
  PQ_LOGS_ARRIVED,
  PQ_LOGS_ARRIVED_OLD, /* by the word indexes of version 2 */
  PQ_LOGS_CLEAR,
  PQ_LOGS_CLEAR_COUNT,
  PQ_LOGS_COUNTS,
  PQ_LOGS_RANGE,
  PQ_DAY_DROP,
  PQ_RETENTION_AT,
  PQ_RETENTION_BEGIN,
  PQ_SEARCH,
  PQ_SEARCH_OLD, /* by the word indexes of version 2 */
  PQ_SEARCH_COUNT,
  PQ_SEARCH_COUNT_OLD, /* by the word indexes of version 2 */
  PQ_CHECK_WRITING,
  PQ_CHECK_READING,
  PQ_STATEMENTS
};

extern const pq_spec_t pq_spec;

#endif
