/* pq_conn.h: one connection to PostgreSQL, used by one thread at a time. Connecting and every statement
 * take a bounded time. */
#ifndef STORES_PQ_CONN_H
#define STORES_PQ_CONN_H

#include "pq_params.h"
#include "stores.h"

#include <libpq-fe.h>

enum { PQ_STATEMENTS_MAX = 64 };

/* The statements of a program; borrowed as long as its connections. */
typedef struct pq_spec {
  const char *name;              /* for the server's list of sessions */
  const char *const *statements; /* prepared at first use on a connection */
  int statement_count;           /* at most PQ_STATEMENTS_MAX */
} pq_spec_t;

typedef struct pq_conn {
  const pq_spec_t *spec;
  PGconn *pg; /* NULL: not connected */
  int host;   /* index of the host to try first */
  int64_t statement_timeout_ms;
  bool prepared[PQ_STATEMENTS_MAX];
  /* The current operation ends at deadline_ms (monotonic; 0: none) or when cancelled. */
  int64_t deadline_ms;
  cancel_token_t cancel;
  char sqlstate[6]; /* SQLSTATE of the last failure, or "" */
  /* Set by statements, cleared by the user of the connection, read by pq_confirm(): */
  bool wrote;              /* a statement has changed rows */
  bool standby_wait_ended; /* the wait for a standby was ended early */
} pq_conn_t;

/* Connects if there is no connection or the server has closed it while idle. conn needs its spec; all
 * other members start as 0. Of several hosts it uses the first that accepts writes, beginning with the
 * previous one unless that has timed out. Blocks for some seconds for each host, plus the time of the name
 * lookup. After a failure conn is not connected. */
int pq_connect(pq_conn_t *conn, const pq_conninfo_t *conninfo, store_error_t *error);
void pq_disconnect(pq_conn_t *conn);

/* Receives each row in row 0 of result, valid until it returns. */
/* What to do after a row: continue; stop; the row is invalid. */
enum pq_row { PQ_ROW_CONTINUE, PQ_ROW_STOP, PQ_ROW_DAMAGED };
typedef enum pq_row (*pq_row_cb)(const PGresult *result, void *arg);

/* Runs a statement and passes its rows to cb, which may be NULL. what names the operation for the log,
 * such as "storing". *changed, which may be NULL, is the number of rows changed or found. After a failure
 * no transaction is open: it was rolled back, or the connection was closed. */
int pq_exec(pq_conn_t *conn, int which, const pq_params_t *params, pq_row_cb cb, void *arg, int64_t *changed,
            const char *what, store_error_t *error);

/* pq_exec without rows and count. */
int pq_update(pq_conn_t *conn, int which, const pq_params_t *params, const char *what, store_error_t *error);

/* pq_exec for SQL that is not prepared. */
int pq_exec_sql(pq_conn_t *conn, const char *sql, const pq_params_t *params, pq_row_cb cb, void *arg,
                int64_t *changed, const char *what, store_error_t *error);

/* Runs SQL that returns one integer. */
int pq_query_int(pq_conn_t *conn, const char *sql, int64_t *number, const char *what, store_error_t *error);

/* Runs one or more SQL commands without parameters and rows. */
int pq_command(pq_conn_t *conn, const char *sql, const char *what, store_error_t *error);

/* Waits until a standby, if the server waits for one, has everything that was found or changed in
 * transactions committed since wrote and standby_wait_ended were cleared. A commit waits for all earlier
 * commits, but one that changes nothing does not wait; in that case, and if a wait was ended early, this
 * commits a small WAL record. Never returns STORE_BUSY, which would mean that nothing was changed. */
int pq_confirm(pq_conn_t *conn, store_error_t *error);

/* Rolls back with code and a reason of the caller. Returns code. */
int pq_roll_back(pq_conn_t *conn, int code, const char *reason, store_error_t *error);

/* The same for lack of memory. Returns STORE_FAILED. */
int pq_no_memory(pq_conn_t *conn, store_error_t *error);

/* The values of a row, in binary form; columns count from 0. */
mcp_text_t pq_text(const PGresult *result, int column); /* ptr NULL: null */
mcp_text_t pq_json(const PGresult *result, int column);
int64_t pq_int(const PGresult *result, int column); /* bigint or integer */
double pq_double(const PGresult *result, int column);
bool pq_bool(const PGresult *result, int column);
int64_t pq_time(const PGresult *result, int column); /* timestamptz, in microseconds since 1970 */
bool pq_id(const PGresult *result, int column, char id[MCP_UUID_SIZE]); /* false: not an id */

/* Stores the single integer of a row in the int64_t at arg. */
enum pq_row pq_read_int(const PGresult *result, void *arg);

#endif
