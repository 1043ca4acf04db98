/* db.h: one interface to SQLite and PostgreSQL, for stores whose SQL both databases understand.
 *
 * All work is done in transactions: db_begin, any number of db_exec, db_end. The functions block for a
 * bounded time. Several threads may share a db_t; a db_conn_t and its rows belong to the thread that began
 * the transaction.
 *
 * SQL: parameters are $1, $2, … in any order and any number of times. Column types: uuid, text, bigint,
 * boolean, double precision, timestamptz. SQLite stores ids as 16 bytes and times as microseconds since
 * 1970, so both compare and sort as in PostgreSQL. For the same results on both databases: declare primary
 * keys NOT NULL; sort texts with COLLATE "C" and nulls with NULLS LAST; do not rely on LIKE, which is
 * case-sensitive on PostgreSQL only; cast a sum of bigint to bigint; avoid min and max of two values,
 * whose names differ. Foreign keys are enforced on both. */
#ifndef STORES_DB_H
#define STORES_DB_H

#include "stores.h"

#include <iccm_service.h>

typedef struct db db_t;
typedef struct db_conn db_conn_t; /* a connection in a transaction */

/* The schema and the statements of a program. All pointers are borrowed until db_close. */
typedef struct db_spec {
  const char *name;          /* "Horace": for the log and for PostgreSQL's list of sessions */
  const char *version_table; /* "horace_schema": the table that holds the version on PostgreSQL */
  /* Not 0. Identifies the SQLite file, whose header also holds the version (user_version). */
  int32_t application_id;
  int64_t lock; /* PostgreSQL's advisory lock while the tables are migrated */
  /* migrations[0] creates the tables of version 1; each later one brings them to the next version. Each is
   * SQL of one or more commands; all that are due run in one transaction. Never change a migration that
   * was released. */
  const char *const *migrations;
  int migration_count;
  /* One command each, prepared at first use and kept. NULL: running the statement does nothing. */
  const char *const *statements;
  int statement_count;
} db_spec_t;

/* A store that also uses its database directly opens the connections itself and creates a db_t on them:
 * db_on_sqlite (db_sqlite.h), db_on_pq (db_pq.h). */

/* Opens the SQLite file at path, creates it if it is missing, and migrates its tables. Returns NULL with
 * error set on failure; a file of a newer version or of another program is not changed. */
db_t *db_open_sqlite(const char *path, const db_spec_t *spec, store_error_t *error);

/* Creates a db_t on PostgreSQL without connecting: until a db_check has succeeded, db_begin fails. Strings
 * of conninfo are borrowed until db_close. Returns NULL if out of memory. */
db_t *db_open_pq(const pq_conninfo_t *conninfo, const db_spec_t *spec, store_error_t *error);

/* No connection may be in use. db may be NULL. */
void db_close(db_t *db);

/* Checks that the database can be read and written and that free_bytes can be written. On PostgreSQL it
 * migrates the tables first, which may take a while and ends early when cancelled. */
int db_check(db_t *db, size_t free_bytes, cancel_token_t cancel, store_error_t *error);

/* ---- Transactions ---- */

/* DB_READ sees one snapshot and cannot change anything; it fails with STORE_TIMEOUT after
 * STORE_QUERY_TIMEOUT_MS.
 * DB_READ_ONCE is DB_READ for a single statement, which must not change anything. On PostgreSQL it takes
 * one round trip instead of three.
 * DB_WRITE: SQLite runs one at a time. PostgreSQL runs several concurrently at READ COMMITTED: to rely on
 * a row until the end, update it first. */
enum db_mode { DB_READ, DB_READ_ONCE, DB_WRITE };

/* Begins a transaction; end it with db_end. Returns NULL with *code and error set: STORE_BUSY (all
 * connections stayed in use), STORE_FAILED (database unavailable or not prepared yet) or STORE_CANCELLED.
 * cancel is polled until db_end; once it is set no further statement runs, but a commit in progress
 * completes. */
db_conn_t *db_begin(db_t *db, enum db_mode mode, cancel_token_t cancel, int *code, store_error_t *error);

/* Commits if code is STORE_OK and no statement has failed, else rolls back; then releases the connection.
 * Returns the first failure of a statement, else code, else the result of the commit. STORE_FAILED of a
 * commit may also mean that the connection was lost before the result arrived or that no standby has
 * confirmed: read the data again to find out. error is written only if the commit itself fails. */
int db_end(db_conn_t *conn, int code, store_error_t *error);

/* Waits until a standby, if PostgreSQL waits for one, has what was read before, so that it cannot be lost.
 * For responses that rest on data found, where a write transaction would have waited itself. */
int db_confirm(db_t *db, cancel_token_t cancel, store_error_t *error);

/* ---- Statements ---- */

enum { DB_PARAMS_MAX = 32 };
enum db_type { DB_TEXT, DB_INT, DB_BOOL, DB_TIME, DB_ID };

typedef struct db_param {
  enum db_type type;
  bool is_null;
  mcp_text_t text;
  int64_t number;
  const char *id;
} db_param_t;

/* The parameters of a statement, in order; start with {.count = 0}. A parameter has the same type, null or
 * not, each time the statement runs. Texts and ids are borrowed until then. With more than DB_PARAMS_MAX
 * the statement fails. */
typedef struct db_params {
  int count;
  db_param_t values[DB_PARAMS_MAX];
} db_params_t;

/* A missing text is null. Texts are UTF-8 without NUL (text_nul.h). */
void db_add_text(db_params_t *params, mcp_text_t text);
void db_add_int(db_params_t *params, int64_t value);
void db_add_bool(db_params_t *params, bool value);
/* Microseconds since 1970; INT64_MIN and INT64_MAX are before and after all times. */
void db_add_time(db_params_t *params, int64_t us);
/* In the form of mcp_uuid_parse; NULL is null. */
void db_add_id(db_params_t *params, const char *id);
void db_add_null(db_params_t *params, enum db_type type);

/* One row of a result, valid until the callback returns, as are the texts read from it. Columns count from
 * 0; read each with the function of its type. */
typedef struct db_row db_row_t;

bool db_is_null(const db_row_t *row, int column);
/* ptr is NULL for null. */
mcp_text_t db_text(const db_row_t *row, int column);
/* db_int and db_bool return 0 and false for null. */
int64_t db_int(const db_row_t *row, int column);
bool db_bool(const db_row_t *row, int column);
double db_double(const db_row_t *row, int column);
int64_t db_time(const db_row_t *row, int column);
/* Returns false for null, with id "". If the column holds no id, the statement fails after this row
 * (STORE_FAILED). */
bool db_id(const db_row_t *row, int column, char id[MCP_UUID_SIZE]);
/* Reports a damaged row: the statement fails after it (STORE_FAILED). Returns false. */
bool db_reject_row(const db_row_t *row);

/* Receives each row; returns false to stop. Must not use the connection. */
typedef bool (*db_row_cb)(const db_row_t *row, void *arg);
/* Stores the single integer of a result in the int64_t at arg. */
bool db_read_int(const db_row_t *row, void *arg);

/* Runs a statement of the spec and passes its rows to cb. params and cb may be NULL. *changed, which may
 * be NULL, is the number of rows inserted, updated or deleted. what names the operation for the log, such
 * as "storing". Returns STORE_CONFLICT (unique key in use), STORE_BUSY (locks, or too much work),
 * STORE_TIMEOUT, STORE_CANCELLED or STORE_FAILED. After a failure every further statement of the
 * transaction returns the same code; end it with db_end. */
int db_exec(db_conn_t *conn, int statement, const db_params_t *params, db_row_cb cb, void *arg,
            int64_t *changed, const char *what, store_error_t *error);

/* Appends the values of the next row to the shared parameters and returns 1. Returns 0 after the last row.
 * A negative store_code fails the statement with that code; the source writes the reason to error. Every
 * row has the same number of values, at most DB_COLUMNS_MAX, with the same types; they are borrowed until
 * the next call. Must not use the connection. */
enum { DB_COLUMNS_MAX = 8 };
typedef int (*db_source_cb)(db_params_t *row, void *arg);

/* Runs a statement that stores rows, once for all rows of a source. shared holds the first parameters,
 * which are the same for all rows. SQLite runs the statement for each row, with its values as parameters:
 * (SELECT $2 AS id, …). PostgreSQL runs it for several hundred rows at a time, with an array for each
 * column: unnest($2::uuid[], …). *changed, which may be NULL, is the number of rows stored. Fails like
 * db_exec. */
int db_exec_rows(db_conn_t *conn, int statement, const db_params_t *shared, db_source_cb source, void *arg,
                 int64_t *changed, const char *what, store_error_t *error);

/* Like db_exec, for SQL composed of fixed pieces at run time; the statement is not kept. */
int db_exec_sql(db_conn_t *conn, const char *sql, const db_params_t *params, db_row_cb cb, void *arg,
                const char *what, store_error_t *error);

#endif
