/* sqlite_schema.h: the migrations of Dewey's SQLite file (sqlite_migrate.h). */
#ifndef DEWEY_SQLITE_SCHEMA_H
#define DEWEY_SQLITE_SCHEMA_H

enum { SQLITE_STEPS = 5 };

extern const char *const sqlite_steps[SQLITE_STEPS];

#endif
