/* db.h: a database, SQLite or PostgreSQL, for a store whose SQL both of them understand.
 *
 * All work is done in transactions: db_begin, any number of db_exec, db_end. Functions block, for a bounded
 * time; a db_t may be used by several threads at once, a db_conn_t and its rows by the thread that began it.
 *
 * SQL: parameters are $1, $2, … in any order, each as often as it is wanted. Column types: uuid, text,
 * bigint, boolean, double precision, timestamptz. SQLite keeps ids as 16 bytes and times as microseconds
 * since 1970, so both compare and sort as PostgreSQL's do. Where the two differ: primary keys need NOT NULL;
 * texts sort alike with COLLATE "C" alone, and nulls with NULLS LAST; LIKE heeds case on PostgreSQL alone; a
 * sum of bigint is to be cast to bigint; min and max of two values have other names. Foreign keys hold on
 * both. */
#ifndef STORES_DB_H
#define STORES_DB_H

#include "stores.h"

#include <iccm_service.h>

typedef struct db db_t;
typedef struct db_conn db_conn_t; /* one connection, in a transaction */

/* What a program stores and asks; all borrowed for as long as the db_t. */
typedef struct db_spec {
  const char *name;          /* "Horace", for the log and the database's list of sessions */
  const char *version_table; /* "horace_schema": where PostgreSQL keeps the version */
  int32_t application_id;    /* not 0: marks SQLite's file, which keeps the version itself (user_version) */
  int64_t lock;              /* PostgreSQL: advisory lock of whoever prepares the tables */
  /* The first makes the tables of version 1, each other those of the version after. SQL of any number of
   * commands, run in one transaction with all others that are due. Never changed once it was released. */
  const char *const *migrations;
  int migration_count;
  /* Fixed texts of one command each, prepared at their first use and kept. NULL: the statement does nothing.
   */
  const char *const *statements;
  int statement_count;
} db_spec_t;

/* A store that also uses its database directly opens the connections itself and makes a db_t on them:
 * db_on_sqlite (db_sqlite.h), db_on_pq (db_pq.h). */

/* Opens the SQLite file at path, which is made where there is none, and brings its tables up to date. NULL:
 * error says why; a file of a newer version or of another program is left as it is. */
db_t *db_open_sqlite(const char *path, const db_spec_t *spec, store_error_t *error);

/* A PostgreSQL database, which need not be there yet: until a db_check has succeeded, db_begin fails. What
 * place points to is borrowed as long as the db_t. NULL: no memory. */
db_t *db_open_pq(const pq_conninfo_t *conninfo, const db_spec_t *spec, store_error_t *error);

/* No connection may be in use. NULL is fine. */
void db_close(db_t *db);

/* Writes a little and reads a little: STORE_OK where both work, and where there is room for so many bytes
 * more. On PostgreSQL it makes the tables, or brings
 * them up to date, first: that may take a while, and ends early when stop says so. */
int db_check(db_t *db, size_t free_bytes, cancel_token_t cancel, store_error_t *error);

/* ---- Transactions ---- */

/* DB_READ sees one state throughout and cannot change anything; it ends with STORE_TIMEOUT after
 * STORE_QUERY_TIMEOUT_MS. DB_WRITE: on SQLite there is one at a time; on PostgreSQL some run side by side,
 * and each statement sees what was committed before it (READ COMMITTED): to rely on a row until the end,
 * change it first. DB_READ_ONCE: as DB_READ, for a single statement, which must not change anything.
 * PostgreSQL needs one round trip for it instead of three. */
enum db_mode { DB_READ, DB_READ_ONCE, DB_WRITE };

/* A connection with its transaction begun, for db_end. NULL: *code and error say why: STORE_BUSY: all were in
 * use for seconds; STORE_FAILED: the database is away, or has not been prepared yet; STORE_CANCELLED. stop is
 * asked until db_end; after that no statement runs, but what is committing is committed. */
db_conn_t *db_begin(db_t *db, enum db_mode mode, cancel_token_t cancel, int *code, store_error_t *error);

/* Commits where code is STORE_OK and no statement has failed, else rolls back, and gives the connection back.
 * Answers code, or the first failure of a statement, or why it could not be committed. STORE_FAILED of a
 * commit may mean that the database was lost before it could say what became of it, or that no standby has
 * confirmed it: who needs to know has to look. error is left alone unless the commit itself fails. */
int db_end(db_conn_t *conn, int code, store_error_t *error);

/* Makes sure that what was read before stays true: where PostgreSQL waits for a standby, that has it, too.
 * For answers that rest on what was found, where a transaction that writes would have waited itself. */
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

/* The parameters of a statement, in their order, empty at first: {.count = 0}. A place has one type, also
 * where it is null, whenever the statement runs. Texts and ids are borrowed until then. More than
 * DB_PARAMS_MAX: the statement fails. */
typedef struct db_params {
  int count;
  db_param_t values[DB_PARAMS_MAX];
} db_params_t;

void db_add_text(db_params_t *params, mcp_text_t text); /* missing: null. UTF-8 without NUL, see text_nul.h */
void db_add_int(db_params_t *params, int64_t value);
void db_add_bool(db_params_t *params, bool value);
void db_add_time(db_params_t *params,
                 int64_t us); /* since 1970; INT64_MIN and INT64_MAX: before, after all */
void db_add_id(db_params_t *params, const char *id); /* as mcp_uuid_parse gives it; NULL: null */
void db_add_null(db_params_t *params, enum db_type type);

/* One row of an answer, with what was read of it borrowed until the callback returns. Columns count from 0;
 * each is to be read as what it is. */
typedef struct db_row db_row_t;

bool db_is_null(const db_row_t *row, int column);
mcp_text_t db_text(const db_row_t *row, int column); /* ptr NULL: null */
int64_t db_int(const db_row_t *row, int column);     /* this and the next: 0, false where it is null */
bool db_bool(const db_row_t *row, int column);
double db_double(const db_row_t *row, int column);
int64_t db_time(const db_row_t *row, int column);
/* False, and id is "": it is null. Where it is no id the statement fails after this row (STORE_FAILED). */
bool db_id(const db_row_t *row, int column, char id[MCP_UUID_SIZE]);
/* Fails the statement after this row (STORE_FAILED): the row is damaged. Returns false. */
bool db_reject_row(const db_row_t *row);

/* Gets each row; false: no more are wanted. May not use the connection. */
typedef bool (*db_row_cb)(const db_row_t *row, void *arg);
/* One that takes the one number of an answer; arg is an int64_t *. */
bool db_read_int(const db_row_t *row, void *arg);

/* Runs a statement of the plan and gives its rows to cb. params NULL: none; cb NULL: rows are passed over;
 * *changed, which may be NULL: how many rows were inserted, updated or deleted. what: "storing", for the log.
 * STORE_CONFLICT: a unique key is in use; STORE_BUSY: locks, or too many at work; STORE_TIMEOUT,
 * STORE_CANCELLED, STORE_FAILED. After a failure the transaction is lost: whatever else is asked of it
 * answers the same code, and db_end ends it. */
int db_exec(db_conn_t *conn, int statement, const db_params_t *params, db_row_cb cb, void *arg,
            int64_t *changed, const char *what, store_error_t *error);

/* Adds the values of the next row to the parameters that all rows share, and returns 1. 0: no more rows. A
 * negative store_code fails the statement with that code; the source writes the reason into error. Every row
 * has the same number of values, at most DB_COLUMNS_MAX, of the same types; they are borrowed until the next
 * call. May not use the connection. */
enum { DB_COLUMNS_MAX = 8 };
typedef int (*db_source_cb)(db_params_t *row, void *arg);

/* Runs a statement that stores rows, for all rows of a source. shared: the first parameters, the same for all
 * rows. SQLite runs it for each row, with its values as parameters: (SELECT $2 AS id, …). PostgreSQL runs it
 * for several hundred rows at a time, with an array for each column: unnest($2::uuid[], …). *changed, which
 * may be NULL: how many rows were stored. Failures as db_exec. */
int db_exec_rows(db_conn_t *conn, int statement, const db_params_t *shared, db_source_cb source, void *arg,
                 int64_t *changed, const char *what, store_error_t *error);

/* The same as db_exec for SQL that is put together of fixed pieces at run time; it is not kept. */
int db_exec_sql(db_conn_t *conn, const char *sql, const db_params_t *params, db_row_cb cb, void *arg,
                const char *what, store_error_t *error);

#endif
