/* databases.h: the database of a suite. If DEWEY_DB_HOST is set, it is the PostgreSQL server that
 * tests/lib/postgresql.py started, with a schema per test; otherwise SQLite. */
#ifndef DATABASES_H
#define DATABASES_H

#include "stores.h"

bool on_postgresql(void);
const pq_conninfo_t *postgresql_conninfo(void);

/* Runs SQL in a new session; an error fails the test. */
void run_on_postgresql(const char *sql);

/* Creates a schema for this process; later sessions use it (PGOPTIONS). */
void make_schema(void);

#endif
