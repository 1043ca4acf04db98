/* database.h: the database settings of a service, from the environment. */
#ifndef STORES_DATABASE_H
#define STORES_DATABASE_H

#include "stores.h"

#include <iccm_service.h>

typedef struct database {
  /* Points into the environment and into this struct. host NULL: SQLite is used. */
  pq_conninfo_t postgresql;
  char path[4096]; /* of the SQLite file */
  char name[32];   /* of the component; default name of database and user */
} database_t;

/* Reads COMPONENT_DB_HOST. If it is set, reads COMPONENT_DB_PORT, _NAME, _USER, _PASSWORD and _TIMEOUT,
 * else COMPONENT_DB_PATH. The default path is component.db (in lower case) in directory; directory NULL is
 * the data directory, which is created if it is missing. Returns false after logging the error. The struct
 * points into itself: do not move it afterwards. */
bool database_from_env(database_t *database, const char *component, const char *directory);
/* Writes the hosts or the path without secrets, for the log. Returns shown. */
const char *database_redacted(const database_t *database, char shown[MCP_SHOWN_SIZE]);

#endif
