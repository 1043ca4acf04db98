/* sqlite_conn.h: connections to the SQLite file, each used by one thread at a time. */
#ifndef DEWEY_SQLITE_CONN_H
#define DEWEY_SQLITE_CONN_H

#include "ids.h"
#include "store.h"

#include <sqlite3.h>

/* Statements with a fixed text, prepared at their first use and kept. */
enum statement {
  SQL_BEGIN_WRITE,
  SQL_BEGIN_READ,
  SQL_COMMIT,
  SQL_ROLLBACK,
  SQL_INSERT,
  SQL_LAST,
  SQL_INDEX,
  SQL_FETCH,
  SQL_MATCHES,
  SQL_TAKE_OUT,
  SQL_TAKE_OUT_OF_COMPONENT,
  SQL_CLEAR,
  SQL_CLEAR_COMPONENT,
  SQL_COUNTS,
  SQL_RANGE,
  SQL_BYTES,
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
  SQL_SEARCH_COUNT,
  SQL_CONTEXT_DEACTIVATE,
  SQL_CONTEXT_SET,
  SQL_CONTEXT_FETCH,
  SQL_CONTEXT_ACTIVE,
  SQL_CONTEXT_LIST,
  SQL_CONTEXT_DELETE,
  SQL_STATEMENTS
};

enum {
  PICK_SHAPES = 160 /* statements that pick rows: one for each combination of filters (sqlite_query.c) */
};

typedef struct conn {
  sqlite3 *db;
  sqlite3_stmt *fixed[SQL_STATEMENTS];
  sqlite3_stmt *picks[PICK_SHAPES];
  /* The work in hand ends when deadline_ms (monotonic; 0: none) has passed or stop, if any, says so; why is
   * then kept in ended. */
  int64_t deadline_ms;
  store_stop_t stop;
  int ended;
} conn_t;

/* Opens a connection; write: makes the schema where the file has none. NULL: error says why. */
conn_t *conn_open(const char *path, bool write, store_error_t *error);
void conn_close(conn_t *conn); /* NULL is fine */

/* Whether the work in hand has to end now. */
bool conn_must_end(conn_t *conn);

/* The statement, prepared; NULL: conn_failed says why. */
sqlite3_stmt *conn_fixed(conn_t *conn, enum statement which);
sqlite3_stmt *conn_prepare(conn_t *conn, sqlite3_stmt **place, const char *sql);

/* Runs a fixed statement without parameters and rows: SQLITE_OK, or SQLite's code. */
int conn_run(conn_t *conn, enum statement which);

/* Writes a page of the file, which says what it said before: SQLITE_OK, or SQLite's code. */
int conn_touch(conn_t *conn);

/* Runs a statement whose parameters are bound, gives each of its rows to cb, and ends its use; what:
 * "reading". statement NULL: it could not be prepared. */
enum row { ROW_TAKEN, ROW_LAST, ROW_DAMAGED }; /* go on; enough; the file cannot be relied upon */
typedef enum row (*conn_row_cb)(sqlite3_stmt *statement, void *arg);
int conn_each(conn_t *conn, sqlite3_stmt *statement, conn_row_cb cb, void *arg, const char *what,
              store_error_t *error);

/* The same for one that has no rows. */
int conn_change(conn_t *conn, sqlite3_stmt *statement, const char *what, store_error_t *error);

/* Ends a transaction that came to nothing, for a reason that is not SQLite's; code. */
int conn_roll_back(conn_t *conn, int code, const char *reason, store_error_t *error);

/* Ends a statement's use; NULL is fine. */
void conn_done(sqlite3_stmt *statement);

/* Describes the failure that just happened and rolls back what is open: a store_code. */
int conn_failed(conn_t *conn, const char *what, store_error_t *error);

void bind_id(sqlite3_stmt *statement, int place, const char *id);
bool column_id(sqlite3_stmt *statement, int column, char id[MCP_UUID_SIZE]); /* false: it is none */

/* Text that is not given is NULL in SQL; both borrow. */
void bind_text(sqlite3_stmt *statement, int place, text_t text);
text_t column_text(sqlite3_stmt *statement, int column);

#endif
