/* sqlite_migrate.h: migrates the tables of an SQLite file.
 *
 * Each step brings the schema from one version to the next; a new file takes all of them. Never change a
 * step that was released; add another one. */
#ifndef STORES_SQLITE_MIGRATE_H
#define STORES_SQLITE_MIGRATE_H

#include "sqlite_conn.h"

/* Creates the tables in an empty file, or migrates older ones and keeps their rows. Call it inside a write
 * transaction, so that one program at a time does it. Returns SQLITE_OK; SQLITE_ERROR with refused set if
 * the file belongs to another program or is newer; else an SQLite result code. */
int sqlite_migrate(sqlite3 *db, const sqlite_spec_t *spec, char *refused, size_t size);

#endif
