/* pq_conn.h: one connection to PostgreSQL, used by one thread at a time: connecting, and running statements
 * so that none of it takes for ever. */
#ifndef STORES_PQ_CONN_H
#define STORES_PQ_CONN_H

#include "pq_params.h"
#include "stores.h"

#include <libpq-fe.h>

enum { PQ_STATEMENTS_MAX = 64 };

/* What a program wants of its connections; all borrowed for as long as they are used. */
typedef struct pq_spec {
  const char *name;              /* in the server's list of sessions */
  const char *const *statements; /* fixed texts, prepared at their first use on a connection */
  int statement_count;           /* PQ_STATEMENTS_MAX at most */
} pq_spec_t;

typedef struct pq_conn {
  const pq_spec_t *spec;
  PGconn *pg; /* NULL: not connected */
  int host;   /* of the place's hosts, the one to be tried first */
  int64_t statement_timeout_ms;
  bool prepared[PQ_STATEMENTS_MAX];
  /* The work in hand ends when deadline_ms (monotonic; 0: none) has passed or stop, if any, says so. */
  int64_t deadline_ms;
  cancel_token_t cancel;
  char sqlstate[6]; /* SQLSTATE of the failure just met, or "" */
  /* Of the statements since a user of the connection set both to false, see pq_confirm(): */
  bool wrote;              /* one of them has changed rows */
  bool standby_wait_ended; /* the wait of one for a standby was ended by somebody */
} pq_conn_t;

/* With the plan, and all else 0, a connection is ready for this. Connects where there is no connection, or it
 * was ended from the other side while nobody used it. Of several hosts the first one that takes changes is
 * used, beginning with that of before unless it was silent. After a failure conn is not connected. Blocks for
 * some seconds for each host, but for the look-up of its name, which is the resolver's affair. */
int pq_connect(pq_conn_t *conn, const pq_conninfo_t *conninfo, store_error_t *error);
void pq_disconnect(pq_conn_t *conn);

/* Gets each row, borrowed until it returns: its values stand in row 0 of result. */
enum pq_row {
  PQ_ROW_CONTINUE,
  PQ_ROW_STOP,
  PQ_ROW_DAMAGED
}; /* go on; no more are wanted; that is no row of ours */
typedef enum pq_row (*pq_row_cb)(const PGresult *result, void *arg);

/* Runs a statement and gives its rows to cb, which may be NULL. What: "storing", for the log. *changed, which
 * may be NULL, says how many rows it changed or found. After a failure nothing is left open: the transaction,
 * if there is one, has been rolled back or the connection given up. */
int pq_exec(pq_conn_t *conn, int which, const pq_params_t *params, pq_row_cb cb, void *arg, int64_t *changed,
            const char *what, store_error_t *error);

/* The same without rows and number. */
int pq_update(pq_conn_t *conn, int which, const pq_params_t *params, const char *what, store_error_t *error);

/* The same for SQL that is not kept prepared. */
int pq_exec_sql(pq_conn_t *conn, const char *sql, const pq_params_t *params, pq_row_cb cb, void *arg,
                int64_t *changed, const char *what, store_error_t *error);

/* Runs a fixed SQL text that answers one number. */
int pq_query_int(pq_conn_t *conn, const char *sql, int64_t *number, const char *what, store_error_t *error);

/* Runs SQL without parameters and rows: one command, or several. */
int pq_command(pq_conn_t *conn, const char *sql, const char *what, store_error_t *error);

/* Makes sure that a standby, where the server waits for one, has what was found or changed in the committed
 * transactions since wrote and unsure were set to false. A commit waits for all that were before it, whoever
 * made them, but one that changes nothing does not wait: then, and where a wait was ended, this commits once
 * more. Never STORE_BUSY, which would say that nothing has been changed. */
int pq_confirm(pq_conn_t *conn, store_error_t *error);

/* Ends a transaction that came to nothing, for a reason that is not PostgreSQL's; code. */
int pq_roll_back(pq_conn_t *conn, int code, const char *reason, store_error_t *error);

/* The same where memory is wanting: STORE_FAILED. */
int pq_no_memory(pq_conn_t *conn, store_error_t *error);

/* The values of a row, which are in the binary form; columns are counted from 0. */
mcp_text_t pq_text(const PGresult *result, int column); /* ptr NULL: it is null */
mcp_text_t pq_json(const PGresult *result, int column);
int64_t pq_int(const PGresult *result, int column); /* bigint or integer */
double pq_double(const PGresult *result, int column);
bool pq_bool(const PGresult *result, int column);
int64_t pq_time(const PGresult *result, int column); /* timestamptz, in microseconds since 1970 */
bool pq_id(const PGresult *result, int column, char id[MCP_UUID_SIZE]); /* false: it is none */

/* Takes the one number of a row; arg is an int64_t *. */
enum pq_row pq_read_int(const PGresult *result, void *arg);

#endif
