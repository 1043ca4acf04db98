/* database.c: see database.h. */
#include "database.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { TIMEOUT_S = 30, TIMEOUT_MAX_S = 3600 };

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

/* ---- Hosts and ports ---- */

typedef bool (*is_item_cb)(const char *item, size_t len);

/* Returns the number of items of a comma-separated list, or 0 if one is invalid. */
static int count_items(const char *list, is_item_cb is_item) {
  for (int count = 1;; count++) {
    size_t len = strcspn(list, ",");
    if (!is_item(list, len))
      return 0;
    if (list[len] == '\0')
      return count;
    list += len + 1;
  }
}

/* A name, an address, the directory of a socket, or an abstract socket that begins with @. URLs with
 * scheme, user or password are refused: libpq would take the whole text as a name and log it. */
static bool is_host(const char *item, size_t len) {
  if (len == 0 || len >= PQ_HOST_SIZE || item[0] == ' ' || item[len - 1] == ' ')
    return false;
  size_t zone = strspn(item, "0123456789abcdefABCDEF:.");
  return item[0] == '/' || item[0] == '@' || strcspn(item, "@/?#= %") >= len ||
         (zone < len && item[zone] == '%' && strcspn(item, "@/?#= ") >= len);
}

static bool is_port(const char *item, size_t len) {
  int number = 0;
  for (size_t i = 0; i < len; i++) {
    if (item[i] < '0' || item[i] > '9' || i == 5)
      return false;
    number = number * 10 + (item[i] - '0');
  }
  return number >= 1 && number <= 65535;
}

/* One port for all hosts, or one for each. */
static bool read_hosts(const pq_conninfo_t *conninfo, const char *component) {
  int hosts = count_items(conninfo->host, is_host), ports = count_items(conninfo->port, is_port);
  variable_t host = variable(component, "HOST"), port = variable(component, "PORT");
  char shown[MCP_SHOWN_SIZE];
  if (hosts == 0 || hosts > PQ_HOSTS_MAX)
    mcp_log(MCP_LOG_ERROR, "env",
            "%s is \"%s\": a host is needed, or up to %d separated by commas without blanks", host.name,
            mcp_redact_setting(host.name, conninfo->host, shown), PQ_HOSTS_MAX);
  else if (ports == 0 || (ports > 1 && ports != hosts))
    mcp_log(MCP_LOG_ERROR, "env",
            "%s is \"%s\": a whole number from 1 to 65535 is needed, or as many as %s has hosts", port.name,
            mcp_redact_setting(port.name, conninfo->port, shown), host.name);
  else
    return true;
  return false;
}

static bool check_name(const char *variable, const char *name) {
  char shown[MCP_SHOWN_SIZE];
  if (strstr(name, "://") == NULL)
    return true;
  mcp_log(MCP_LOG_ERROR, "env", "%s is \"%s\": the name of a database is needed, without an address",
          variable, mcp_redact_setting(variable, name, shown));
  return false;
}

const char *database_redacted(const database_t *database, char shown[MCP_SHOWN_SIZE]) {
  const char *host = database->postgresql.host;
  return mcp_redact_setting(NULL, host != NULL ? host : database->path, shown);
}

bool database_from_env(database_t *database, const char *component, const char *directory) {
  int64_t timeout_s;
  pq_conninfo_t *conninfo = &database->postgresql;
  *database = (database_t){.postgresql = {.host = text_of(component, "HOST", NULL)}};
  for (size_t i = 0; i < sizeof database->name - 1 && component[i] != '\0'; i++)
    database->name[i] = (char)tolower((unsigned char)component[i]);
  if (conninfo->host == NULL)
    return find_file(database, component, directory);
  conninfo->port = text_of(component, "PORT", "5432");
  if (!read_hosts(conninfo, component) ||
      mcp_env_int(variable(component, "TIMEOUT").name, TIMEOUT_S, 1, TIMEOUT_MAX_S, &timeout_s) != 0)
    return false;
  conninfo->statement_timeout_ms = timeout_s * 1000;
  conninfo->name = text_of(component, "NAME", database->name);
  if (!check_name(variable(component, "NAME").name, conninfo->name))
    return false;
  conninfo->user = text_of(component, "USER", database->name);
  conninfo->password = text_of(component, "PASSWORD", NULL);
  return true;
}
