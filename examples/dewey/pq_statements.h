/* pq_statements.h: all that Dewey asks of PostgreSQL, as SQL. Parameters and rows are in the binary form. */
#ifndef DEWEY_PQ_STATEMENTS_H
#define DEWEY_PQ_STATEMENTS_H

#include "pq_conn.h"

/* Statements with a fixed text, prepared at their first use on a connection. */
enum pq_statement {
  PQ_LOGS_INSERT,
  PQ_LOGS_INSERT_CAREFULLY,
  PQ_LOGS_INSERT_SEEKING,
  PQ_LOGS_QUERY,
  PQ_LOGS_QUERY_OLD, /* by the words of version 2 */
  PQ_LOGS_ARRIVED,
  PQ_LOGS_ARRIVED_OLD, /* by the words of version 2 */
  PQ_LOGS_CLEAR,
  PQ_LOGS_TO_CLEAR,
  PQ_LOGS_COUNTS,
  PQ_LOGS_RANGE,
  PQ_DAY_DROP,
  PQ_RETENTION_AT,
  PQ_RETENTION_BEGIN,
  PQ_CONVERSATION_INSERT,
  PQ_CONVERSATION_LOCK,
  PQ_CONVERSATION_FETCH,
  PQ_CONVERSATION_TOUCH,
  PQ_CONVERSATION_DELETE,
  PQ_MESSAGES_LAST_TURN,
  PQ_MESSAGES_INSERT,
  PQ_MESSAGES_FETCH,
  PQ_MESSAGES_DELETE,
  PQ_LIST_BY_CREATED,
  PQ_LIST_BY_UPDATED,
  PQ_LIST_COUNT,
  PQ_SEARCH,
  PQ_SEARCH_OLD, /* by the words of version 2 */
  PQ_SEARCH_COUNT,
  PQ_SEARCH_COUNT_OLD, /* by the words of version 2 */
  PQ_CONTEXT_DEACTIVATE,
  PQ_CONTEXT_SET,
  PQ_CONTEXT_FETCH,
  PQ_CONTEXT_LIST,
  PQ_CONTEXT_DELETE,
  PQ_CHECK_WRITING,
  PQ_CHECK_READING,
  PQ_STATEMENTS
};

extern const pq_plan_t pq_plan;

#endif
