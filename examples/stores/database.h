/* database.h: which database a service uses, from the environment. */
#ifndef STORES_DATABASE_H
#define STORES_DATABASE_H

#include "stores.h"

typedef struct database {
  char *path;            /* of SQLite's file, owned; NULL: PostgreSQL */
  pq_place_t postgresql; /* borrowed from the environment and from us; host NULL: SQLite */
  char name[32];         /* the component's, which is what database and user are named after */
} database_t;

/* Reads COMPONENT_DB_HOST, and where that is set COMPONENT_DB_PORT, _NAME, _USER and _PASSWORD, else
 * COMPONENT_DB_PATH. That is component.db, in lower case, in the directory that directory_variable names,
 * unless it is set; the directory is made where it is missing. False: it has been logged why not. The
 * database_t may not be moved afterwards. */
bool database_read(database_t *database, const char *component, const char *directory_variable,
                   const char *directory_fallback);
void database_deinit(database_t *database);

#endif
