/* sqlite_conn.h: a connection to the SQLite file, used by one thread at a time. */
#ifndef STORES_SQLITE_CONN_H
#define STORES_SQLITE_CONN_H

#include "ids.h"
#include "stores.h"

#include <sqlite3.h>
#include <sys/stat.h>

/* The schema and statements of a program; borrowed as long as its connections. */
typedef struct sqlite_spec {
  const char *name;         /* "Dewey": the program, for error messages */
  int32_t application_id;   /* not 0; identifies the program in the file's header */
  const char *const *steps; /* migrations, see sqlite_migrate.h */
  int step_count;
  /* Statements with a fixed text, prepared at first use and kept. */
  const char *const *statements;
  int statement_count; /* of these, plus slots of sqlite_conn_prepare */
  /* Adds SQL functions and returns an SQLite result code. May be NULL. */
  int (*extend)(sqlite3 *db, void *conn);
} sqlite_spec_t;

/* Statements of every connection. */
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
  /* The current operation ends at deadline_ms (monotonic; 0: none) or when cancelled; interrupt_code is
   * then STORE_TIMEOUT or STORE_CANCELLED. */
  int64_t deadline_ms;
  cancel_token_t cancel;
  int interrupt_code;
  int64_t busy_until_ms; /* end of the wait for another process's lock */
  int failure;           /* extended result code of the last failure */
  /* A writer's file and journal as they were when it was opened; zero for readers. */
  struct stat files[SQLITE_CONN_FILES];
  const sqlite_spec_t *spec; /* borrowed */
  sqlite3_stmt *transaction[SQLITE_CONN_STATEMENTS];
  sqlite3_stmt *prepared[]; /* statements of the spec */
} sqlite_conn_t;

/* Opens a connection; a writer migrates the schema. Returns NULL with error set on failure. */
sqlite_conn_t *sqlite_conn_open(const char *path, const sqlite_spec_t *spec, bool write,
                                store_error_t *error);
void sqlite_conn_close(sqlite_conn_t *conn); /* conn may be NULL */

/* True if the current operation has passed its deadline or was cancelled. */
bool sqlite_conn_interrupted(sqlite_conn_t *conn);

/* Returns a prepared statement of the spec. On NULL call sqlite_conn_fail. */
sqlite3_stmt *sqlite_conn_statement(sqlite_conn_t *conn, int which);
/* The same for a slot after the fixed statements, whose SQL is composed once at run time. */
sqlite3_stmt *sqlite_conn_prepare(sqlite_conn_t *conn, sqlite3_stmt **slot, const char *sql);

/* Returns an SQLite result code. */
int sqlite_conn_run(sqlite_conn_t *conn, enum sqlite_conn_statement_id which);

/* Rewrites a page of the file without changing it. Returns an SQLite result code. */
int sqlite_conn_test_write(sqlite_conn_t *conn);

/* Tests that so many bytes can be written beside the file. Returns STORE_OK or STORE_FAILED. */
int sqlite_conn_test_space(sqlite_conn_t *conn, size_t bytes, store_error_t *error);

/* Runs a statement whose parameters are bound, passes its rows to cb and resets it. what names the
 * operation for the log, such as "reading". statement NULL: preparing it has failed. */
/* What to do after a row: continue; stop; the file is damaged. */
enum sqlite_row { SQLITE_ROW_CONTINUE, SQLITE_ROW_STOP, SQLITE_ROW_DAMAGED };
typedef enum sqlite_row (*sqlite_row_cb)(sqlite3_stmt *statement, void *arg);
int sqlite_conn_exec(sqlite_conn_t *conn, sqlite3_stmt *statement, sqlite_row_cb cb, void *arg,
                     const char *what, store_error_t *error);

/* sqlite_conn_exec without rows. */
int sqlite_conn_update(sqlite_conn_t *conn, sqlite3_stmt *statement, const char *what, store_error_t *error);

/* Resets a statement and clears its bindings; statement may be NULL. */
void sqlite_conn_reset(sqlite3_stmt *statement);

/* Describes the last failure in error and rolls back an open transaction. Returns a store_code. */
int sqlite_conn_fail(sqlite_conn_t *conn, const char *what, store_error_t *error);

void sqlite_bind_id(sqlite3_stmt *statement, int index, const char *id);
bool sqlite_column_id(sqlite3_stmt *statement, int column, char id[MCP_UUID_SIZE]); /* false: not an id */

/* A missing text is NULL in SQL; both functions borrow. */
void sqlite_bind_text(sqlite3_stmt *statement, int index, mcp_text_t text);
mcp_text_t sqlite_column_text(sqlite3_stmt *statement, int column);

#endif
