/* database.c: see database.h. */
#include "database.h"

#include <ctype.h>
#include <stdio.h>

/* COMPONENT_DB_... */
typedef struct variable {
  char name[64];
} variable_t;

static variable_t variable(const char *component, const char *what) {
  variable_t made;
  snprintf(made.name, sizeof made.name, "%s_DB_%s", component, what);
  return made;
}

static const char *text_of(const char *component, const char *what, const char *fallback) {
  return mcp_env_text(variable(component, what).name, fallback);
}

/* COMPONENT_DB_PATH, or component.db in the directory. */
static bool find_file(database_t *database, const char *component, const char *directory) {
  char file[sizeof database->name + sizeof ".db"];
  variable_t path = variable(component, "PATH");
  snprintf(file, sizeof file, "%s.db", database->name);
  if (directory == NULL)
    return mcp_env_data_path(path.name, file, database->path, sizeof database->path) == 0;
  const char *given = mcp_env_text(path.name, NULL);
  int len = given != NULL ? snprintf(database->path, sizeof database->path, "%s", given)
                          : snprintf(database->path, sizeof database->path, "%s/%s", directory, file);
  if (len < (int)sizeof database->path)
    return true;
  mcp_log(MCP_LOG_ERROR, database->name, "%s: longer than %zu bytes", path.name, sizeof database->path - 1);
  return false;
}

bool database_read(database_t *database, const char *component, const char *directory) {
  int64_t port;
  pq_place_t *place = &database->postgresql;
  *database = (database_t){.postgresql = {.host = text_of(component, "HOST", NULL)}};
  for (size_t i = 0; i < sizeof database->name - 1 && component[i] != '\0'; i++)
    database->name[i] = (char)tolower((unsigned char)component[i]);
  if (place->host == NULL)
    return find_file(database, component, directory);
  if (mcp_env_int(variable(component, "PORT").name, 5432, 1, 65535, &port) != 0)
    return false;
  place->port = text_of(component, "PORT", "5432");
  place->name = text_of(component, "NAME", database->name);
  place->user = text_of(component, "USER", database->name);
  place->password = text_of(component, "PASSWORD", NULL);
  return true;
}
