/* sqlite_schema.h: the tables of Dewey's SQLite file, and their versions. */
#ifndef DEWEY_SQLITE_SCHEMA_H
#define DEWEY_SQLITE_SCHEMA_H

#include <sqlite3.h>
#include <stdbool.h>

enum { SCHEMA_APPLICATION_ID = 0x44657779 /* "Dewy", in the file's header */ };

/* Makes the tables in an empty file, or brings those of an older Dewey up to date without touching what they
 * hold. Inside of a write transaction, so that only one program does it. SQLITE_OK; SQLITE_ERROR with
 * *refused set (never freed) where the file is not ours or is newer; else SQLite's code. */
int schema_make(sqlite3 *db, const char **refused);

#endif
