/* database.h: which database a service uses, from the environment. */
#ifndef STORES_DATABASE_H
#define STORES_DATABASE_H

#include "stores.h"

#include <iccm_service.h>

typedef struct database {
  pq_conninfo_t postgresql; /* borrowed from the environment and from us; host NULL: SQLite */
  char path[4096];          /* of SQLite's file */
  char name[32];            /* the component's, which is what database and user are named after */
} database_t;

/* Reads COMPONENT_DB_HOST, and where that is set COMPONENT_DB_PORT, _NAME, _USER, _PASSWORD and _TIMEOUT,
 * else COMPONENT_DB_PATH. That is component.db, in lower case, in directory unless it is set; NULL: the data
 * directory, which is made where it is missing. False: it has been logged why not. The database_t may not be
 * moved afterwards. */
bool database_from_env(database_t *database, const char *component, const char *directory);
/* What is read from or written to, as it may be logged: the hosts or the file. Returns shown. */
const char *database_redacted(const database_t *database, char shown[MCP_SHOWN_SIZE]);

#endif
