/* sqlite_conn.h: connections to the SQLite file, each used by one thread at a time. */
#ifndef STORES_SQLITE_CONN_H
#define STORES_SQLITE_CONN_H

#include "ids.h"
#include "stores.h"

#include <sqlite3.h>
#include <sys/stat.h>

/* What a program wants of its connections; all borrowed for as long as they are open. */
typedef struct conn_plan {
  const char *name;         /* "Dewey": whose file it is */
  int32_t application_id;   /* the mark of that in the file's header; not 0 */
  const char *const *steps; /* the schema, see sqlite_migrate.h */
  int step_count;
  /* Statements with a fixed text, prepared at their first use and kept. */
  const char *const *statements;
  int place_count;                        /* of statements: of these, then of conn_prepare's */
  int (*extend)(sqlite3 *db, void *conn); /* adds functions: SQLite's code; NULL: there are none */
} conn_plan_t;

/* Those that every program has. */
enum conn_statement { CONN_BEGIN_WRITE, CONN_BEGIN_READ, CONN_COMMIT, CONN_ROLLBACK, CONN_STATEMENTS };

enum { CONN_FILES = 2 };

typedef struct conn {
  sqlite3 *db;
  /* The work in hand ends when deadline_ms (monotonic; 0: none) has passed or stop, if any, says so; why is
   * then kept in ended. */
  int64_t deadline_ms;
  store_stop_t stop;
  int ended;
  int64_t busy_until_ms; /* while another process holds the lock */
  int failure;           /* SQLite's extended code of the failure just met */
  /* The file and its journal, as they were found when this writer was opened; of others nothing. */
  struct stat files[CONN_FILES];
  const conn_plan_t *plan; /* borrowed */
  sqlite3_stmt *own[CONN_STATEMENTS];
  sqlite3_stmt *places[]; /* the plan's */
} conn_t;

/* Opens a connection; write: makes the schema where the file has none. NULL: error says why. */
conn_t *conn_open(const char *path, const conn_plan_t *plan, bool write, store_error_t *error);
void conn_close(conn_t *conn); /* NULL is fine */

/* Whether the work in hand has to end now. */
bool conn_must_end(conn_t *conn);

/* The plan's statement, prepared; NULL: conn_failed says why. */
sqlite3_stmt *conn_fixed(conn_t *conn, int which);
/* The same for a place behind the fixed ones; sql, made at run time, is what it stays. */
sqlite3_stmt *conn_prepare(conn_t *conn, sqlite3_stmt **place, const char *sql);

/* SQLITE_OK, or SQLite's code. */
int conn_run(conn_t *conn, enum conn_statement which);

/* Writes a page of the file, which says what it said before: SQLITE_OK, or SQLite's code. */
int conn_touch(conn_t *conn);

/* Whether so many bytes can be written beside the file: STORE_OK or STORE_FAILED. */
int conn_find_room(conn_t *conn, size_t bytes, store_error_t *error);

/* Runs a statement whose parameters are bound, gives each of its rows to cb, and ends its use; what:
 * "reading". statement NULL: it could not be prepared. */
enum row { ROW_TAKEN, ROW_LAST, ROW_DAMAGED }; /* go on; enough; the file cannot be relied upon */
typedef enum row (*conn_row_cb)(sqlite3_stmt *statement, void *arg);
int conn_each(conn_t *conn, sqlite3_stmt *statement, conn_row_cb cb, void *arg, const char *what,
              store_error_t *error);

/* The same for one that has no rows. */
int conn_change(conn_t *conn, sqlite3_stmt *statement, const char *what, store_error_t *error);

/* Ends a statement's use; NULL is fine. */
void conn_done(sqlite3_stmt *statement);

/* Describes the failure that just happened and rolls back what is open: a store_code. */
int conn_failed(conn_t *conn, const char *what, store_error_t *error);

void bind_id(sqlite3_stmt *statement, int place, const char *id);
bool column_id(sqlite3_stmt *statement, int column, char id[MCP_UUID_SIZE]); /* false: it is none */

/* Text that is not given is NULL in SQL; both borrow. */
void bind_text(sqlite3_stmt *statement, int place, mcp_text_t text);
mcp_text_t column_text(sqlite3_stmt *statement, int column);

#endif
