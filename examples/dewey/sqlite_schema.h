/* sqlite_schema.h: the tables of Dewey's SQLite file, step by step (sqlite_migrate.h). */
#ifndef DEWEY_SQLITE_SCHEMA_H
#define DEWEY_SQLITE_SCHEMA_H

enum { SQLITE_STEPS = 5 };

extern const char *const sqlite_steps[SQLITE_STEPS];

#endif
