/* db_test.h: a fresh database for each test of this directory, see databases.h. */
#ifndef DB_TEST_H
#define DB_TEST_H

#include "db.h"

#include <criterion/criterion.h>

/* A table with columns of all types. Version 2 adds the parent. */
enum {
  ADD,        /* id, name, size, flag, at */
  FETCH,      /* by id: the parameters of ADD, and ratio */
  SET_PARENT, /* parent, id */
  COUNT,
  GROW,  /* id: increments its size */
  NAMES, /* with a name, or all for null; by name */
  /* For SQLite and for PostgreSQL: a parent, then rows with the parameters of ADD; existing names are
   * skipped. */
  ADD_ROWS,
  ADD_ROWS_PQ,
  NOTHING, /* NULL */
  STATEMENTS
};
extern const db_spec_t test_spec;

extern db_t *test_db;
extern store_error_t test_error;
extern const cancel_token_t never;

/* .init: a location without or with an open database; .fini: removes it. */
void make_location(void);
void make_db(void);
void remove_location(void);

/* Closes the database and looks for leaks; the last call of a test. */
void end_of_test(void);

/* Opens the database; on PostgreSQL the tables are not migrated yet. */
db_t *open_unchecked(const db_spec_t *spec);

/* Opens and checks the database. Returns NULL with test_error set on failure. */
db_t *open_with(const db_spec_t *spec);

/* Runs SQL on the test's database through a connection of another program. */
void run_as_other_program(const char *sql);

mcp_text_t text(const char *words); /* NULL: missing */
const char *id_of(int n);           /* valid until some further calls */

/* Begins a transaction. */
db_conn_t *begin(enum db_mode mode);

/* Adds row number n with a name, or without one. */
int add(db_conn_t *conn, int n, const char *name);
void store(int n, const char *name);

/* Counts the rows. */
int64_t count(void);

#endif
