/* database.c: see database.h. */
#include "database.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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

/* The path, to be freed. NULL: logged why. */
static char *find_file(const database_t *database, const char *component, const char *directory_variable,
                       const char *directory_fallback) {
  const char *given = text_of(component, "PATH", NULL);
  if (given != NULL)
    return strdup(given);
  const char *directory = mcp_env_text(directory_variable, directory_fallback);
  if (mkdir(directory, 0750) != 0 && errno != EEXIST) {
    mcp_log(MCP_LOG_ERROR, database->name, "%s: the directory \"%s\" cannot be made: %s", directory_variable,
            directory, strerror(errno));
    return NULL;
  }
  size_t size = strlen(directory) + sizeof database->name + sizeof "/.db";
  char *path = malloc(size);
  if (path != NULL)
    snprintf(path, size, "%s/%s.db", directory, database->name);
  return path;
}

bool database_read(database_t *database, const char *component, const char *directory_variable,
                   const char *directory_fallback) {
  int64_t port;
  pq_place_t *place = &database->postgresql;
  *database = (database_t){.postgresql = {.host = text_of(component, "HOST", NULL)}};
  for (size_t i = 0; component[i] != '\0' && i < sizeof database->name - 1; i++)
    database->name[i] = (char)tolower((unsigned char)component[i]);
  if (place->host == NULL) {
    database->path = find_file(database, component, directory_variable, directory_fallback);
    return database->path != NULL;
  }
  if (mcp_env_int(variable(component, "PORT").name, 5432, 1, 65535, &port) != 0)
    return false;
  place->port = text_of(component, "PORT", "5432");
  place->name = text_of(component, "NAME", database->name);
  place->user = text_of(component, "USER", database->name);
  place->password = text_of(component, "PASSWORD", NULL);
  return true;
}

void database_deinit(database_t *database) {
  free(database->path);
}
