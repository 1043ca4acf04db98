/* db_test.h: a database of its own for each test of this directory, see databases.h. */
#ifndef DB_TEST_H
#define DB_TEST_H

#include "db.h"

#include <criterion/criterion.h>

/* Things of all types. Version 2 knows their parents. */
enum {
  ADD,        /* id, name, size, flag, at */
  FETCH,      /* by id: all that ADD takes, and ratio */
  SET_PARENT, /* parent, id */
  COUNT,
  GROW,  /* id: its size by one */
  NAMES, /* of a name, or null: all; by name */
  /* For SQLite and for PostgreSQL: a parent, then many rows of what ADD takes; a name in use is passed over.
   */
  ADD_ROWS,
  ADD_ROWS_PQ,
  NOTHING, /* no text */
  STATEMENTS
};
extern const db_spec_t test_spec;

extern db_t *test_db;
extern store_error_t test_error;
extern const cancel_token_t never;

/* .init: a place with or without an open database; .fini: removes it. */
void make_place(void);
void make_db(void);
void remove_place(void);

/* Closes the database and looks for leaks: the last call of a test. */
void end_of_test(void);

/* Opened; on PostgreSQL not prepared yet. */
db_t *open_unchecked(const db_spec_t *spec);

/* Opened and checked. NULL: test_error says why. */
db_t *open_with(const db_spec_t *spec);

/* Runs SQL as another program would, in the test's place. */
void run_aside(const char *sql);

mcp_text_t text(const char *words); /* NULL: missing */
const char *id_of(int n);           /* in one of some places, in turn */

/* A transaction that has begun. */
db_conn_t *begin(enum db_mode mode);

/* Thing number n with a name, or without one. */
int add(db_conn_t *conn, int n, const char *name);
void store(int n, const char *name);

/* How many things there are. */
int64_t count(void);

#endif
