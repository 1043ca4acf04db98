/* databases.h: which database a suite runs on. With DEWEY_DB_HOST it is the PostgreSQL that
 * tests/lib/postgresql.py started, with a schema for each test; else SQLite. */
#ifndef DATABASES_H
#define DATABASES_H

#include "stores.h"

bool on_postgresql(void);
const pq_conninfo_t *postgresql_conninfo(void);

/* Runs SQL in a session of its own; the test fails where that does. */
void run_on_postgresql(const char *sql);

/* Makes a schema of this process, in which all that it does from here on is done. */
void make_schema(void);

#endif
