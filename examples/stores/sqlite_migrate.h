/* sqlite_migrate.h: brings the tables of a SQLite file up to date.
 *
 * Each step brings the schema from one version to the next; a new file takes all of them. Steps are never
 * changed once they were released: what is to be different is a step more. */
#ifndef STORES_SQLITE_MIGRATE_H
#define STORES_SQLITE_MIGRATE_H

#include "sqlite_conn.h"

/* Makes the tables in an empty file, or brings older ones up to date without touching what they hold. Inside
 * of a write transaction, so that only one program does it. SQLITE_OK; SQLITE_ERROR with refused set where
 * the file is somebody else's or newer; else SQLite's code. */
int sqlite_migrate(sqlite3 *db, const sqlite_spec_t *spec, char *refused, size_t size);

#endif
