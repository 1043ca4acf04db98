/* sqlite_conn.h: connections to the SQLite file, each used by one thread at a time. */
#ifndef STORES_SQLITE_CONN_H
#define STORES_SQLITE_CONN_H

#include "ids.h"
#include "stores.h"

#include <sqlite3.h>
#include <sys/stat.h>

/* What a program wants of its connections; all borrowed for as long as they are open. */
typedef struct sqlite_spec {
  const char *name;         /* "Dewey": whose file it is */
  int32_t application_id;   /* the mark of that in the file's header; not 0 */
  const char *const *steps; /* the schema, see sqlite_migrate.h */
  int step_count;
  /* Statements with a fixed text, prepared at their first use and kept. */
  const char *const *statements;
  int statement_count;                    /* of statements: of these, then of sqlite_conn_prepare's */
  int (*extend)(sqlite3 *db, void *conn); /* adds functions: SQLite's code; NULL: there are none */
} sqlite_spec_t;

/* Those that every program has. */
enum sqlite_conn_statement_id {
  SQLITE_CONN_BEGIN_WRITE,
  SQLITE_CONN_BEGIN_READ,
  SQLITE_CONN_COMMIT,
  SQLITE_CONN_ROLLBACK,
  SQLITE_CONN_STATEMENTS
};

enum { SQLITE_CONN_FILES = 2 };

typedef struct sqlite_conn {
  sqlite3 *db;
  /* The work in hand ends when deadline_ms (monotonic; 0: none) has passed or stop, if any, says so; why is
   * then kept in ended. */
  int64_t deadline_ms;
  cancel_token_t cancel;
  int interrupt_code;
  int64_t busy_until_ms; /* while another process holds the lock */
  int failure;           /* SQLite's extended code of the failure just met */
  /* The file and its journal, as they were found when this writer was opened; of others nothing. */
  struct stat files[SQLITE_CONN_FILES];
  const sqlite_spec_t *spec; /* borrowed */
  sqlite3_stmt *transaction[SQLITE_CONN_STATEMENTS];
  sqlite3_stmt *prepared[]; /* the plan's */
} sqlite_conn_t;

/* Opens a connection; write: makes the schema where the file has none. NULL: error says why. */
sqlite_conn_t *sqlite_conn_open(const char *path, const sqlite_spec_t *spec, bool write,
                                store_error_t *error);
void sqlite_conn_close(sqlite_conn_t *conn); /* NULL is fine */

/* Whether the work in hand has to end now. */
bool sqlite_conn_interrupted(sqlite_conn_t *conn);

/* The plan's statement, prepared; NULL: sqlite_conn_fail says why. */
sqlite3_stmt *sqlite_conn_statement(sqlite_conn_t *conn, int which);
/* The same for a place behind the fixed ones; sql, made at run time, is what it stays. */
sqlite3_stmt *sqlite_conn_prepare(sqlite_conn_t *conn, sqlite3_stmt **slot, const char *sql);

/* SQLITE_OK, or SQLite's code. */
int sqlite_conn_run(sqlite_conn_t *conn, enum sqlite_conn_statement_id which);

/* Writes a page of the file, which says what it said before: SQLITE_OK, or SQLite's code. */
int sqlite_conn_test_write(sqlite_conn_t *conn);

/* Whether so many bytes can be written beside the file: STORE_OK or STORE_FAILED. */
int sqlite_conn_test_space(sqlite_conn_t *conn, size_t bytes, store_error_t *error);

/* Runs a statement whose parameters are bound, gives each of its rows to cb, and ends its use; what:
 * "reading". statement NULL: it could not be prepared. */
enum sqlite_row {
  SQLITE_ROW_CONTINUE,
  SQLITE_ROW_STOP,
  SQLITE_ROW_DAMAGED
}; /* go on; enough; the file cannot be relied upon */
typedef enum sqlite_row (*sqlite_row_cb)(sqlite3_stmt *statement, void *arg);
int sqlite_conn_exec(sqlite_conn_t *conn, sqlite3_stmt *statement, sqlite_row_cb cb, void *arg,
                     const char *what, store_error_t *error);

/* The same for one that has no rows. */
int sqlite_conn_update(sqlite_conn_t *conn, sqlite3_stmt *statement, const char *what, store_error_t *error);

/* Ends a statement's use; NULL is fine. */
void sqlite_conn_reset(sqlite3_stmt *statement);

/* Describes the failure that just happened and rolls back what is open: a store_code. */
int sqlite_conn_fail(sqlite_conn_t *conn, const char *what, store_error_t *error);

void sqlite_bind_id(sqlite3_stmt *statement, int index, const char *id);
bool sqlite_column_id(sqlite3_stmt *statement, int column, char id[MCP_UUID_SIZE]); /* false: it is none */

/* Text that is not given is NULL in SQL; both borrow. */
void sqlite_bind_text(sqlite3_stmt *statement, int index, mcp_text_t text);
mcp_text_t sqlite_column_text(sqlite3_stmt *statement, int column);

#endif
