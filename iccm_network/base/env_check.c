/* env_check.c: warns about misspelled environment variables.
 *
 * A misspelled variable is a setting without effect that nothing else reports. Other programs share the
 * environment, with names of queues, logs and databases: a name counts as misspelled if it is very close to a
 * known name, or if it has a prefix that only this system uses. Orchestrators set variables named after
 * services: DEWEY_SERVICE_HOST, DEWEY_PORT_9020_TCP. Values are never logged. */
#include "iccm_service.h"

#include "base/edit_distance.h"
#include "base/settings.h"

#include <stdatomic.h>
#include <string.h>

enum { NAME_MAX_BYTES = 64, MAX_DISTANCE = 2, SHORT_NAME_BYTES = 10 };

extern char **environ;

/* The variables of all programs of this system (docs/operations.md): a program may run with the variables of
 * another. */
static const char *const known_variables[] = {"BATCH_SIZE",
                                              "BATCH_TIMEOUT_MS",
                                              "DEWEY_CONNECT_TIMEOUT",
                                              "DEWEY_DB_HOST",
                                              "DEWEY_DB_NAME",
                                              "DEWEY_DB_PASSWORD",
                                              "DEWEY_DB_PATH",
                                              "DEWEY_DB_PORT",
                                              "DEWEY_DB_TIMEOUT",
                                              "DEWEY_DB_USER",
                                              "DEWEY_IMPORT_PATHS",
                                              "DEWEY_MCP_PORT",
                                              "DEWEY_MCP_URL",
                                              "GODOT_BATCHES_IN_FLIGHT",
                                              "GODOT_IMPORT_PATHS",
                                              "GODOT_QUEUE_MAX_BYTES",
                                              "GODOT_SPOOL_DIR",
                                              "GODOT_SPOOL_MAX_BYTES",
                                              "GODOT_URL",
                                              "GODOT_WORKER_NAME",
                                              "HORACE_DB_HOST",
                                              "HORACE_DB_NAME",
                                              "HORACE_DB_PASSWORD",
                                              "HORACE_DB_PATH",
                                              "HORACE_DB_PORT",
                                              "HORACE_DB_TIMEOUT",
                                              "HORACE_DB_USER",
                                              "HORACE_MCP_PORT",
                                              "HORACE_STORAGE_PATH",
                                              "HORACE_VERSION_COUNT",
                                              "ICCM_ALLOWED_HOSTS",
                                              "ICCM_ALLOWED_ORIGINS",
                                              "ICCM_ALLOW_PUBLIC",
                                              "ICCM_AUTH_TOKEN",
                                              "ICCM_DATA",
                                              "ICCM_MAX_CONNECTIONS",
                                              "ICCM_MAX_CONNECTS_PER_SECOND",
                                              "ICCM_MAX_MEMORY_BYTES",
                                              "ICCM_MAX_MESSAGES_PER_SECOND",
                                              "ICCM_MAX_MESSAGE_BYTES",
                                              "ICCM_REUSEPORT",
                                              "ICCM_TLS_CA",
                                              "ICCM_TLS_CERT",
                                              "ICCM_TLS_KEY",
                                              "ICCM_TOKENS",
                                              "ICCM_TRANSPORT",
                                              "LOGGING_ENABLED",
                                              "LOG_LEVEL",
                                              "LOG_QUEUE_NAME",
                                              "LOG_RETENTION_DAYS",
                                              "MAX_QUEUE_SIZE",
                                              "MCP_PORT",
                                              "REDIS_HOST",
                                              "REDIS_PORT",
                                              "RETRY_INITIAL_DELAY",
                                              "RETRY_MAX_ATTEMPTS",
                                              "RETRY_MAX_DELAY"};
static const char *const own_prefixes[] = {"ICCM_", "DEWEY_", "HORACE_"};

static size_t count_underscores(const char *name, size_t len) {
  size_t count = 0;
  for (size_t i = 0; i < len; i++)
    count += name[i] == '_';
  return count;
}

/* A short known name plus one letter may belong to another program: LOGLEVEL is not a misspelled LOG_LEVEL.
 */
static bool is_misspelt(const char *name, size_t len, const char *nearest, size_t distance) {
  size_t nearest_len = strlen(nearest);
  return distance <= MAX_DISTANCE &&
         (nearest_len > SHORT_NAME_BYTES ||
          count_underscores(name, len) == count_underscores(nearest, nearest_len));
}

static bool is_set_by_orchestrator(const char *name) {
  const char *port = strstr(name, "_PORT");
  return strstr(name, "_SERVICE_") != NULL || strstr(name, "_ENV_") != NULL ||
         (port != NULL && (port[5] == '\0' || port[5] == '_'));
}

static bool has_own_prefix(const char *name) {
  for (size_t i = 0; i < sizeof own_prefixes / sizeof *own_prefixes; i++)
    if (strncmp(name, own_prefixes[i], strlen(own_prefixes[i])) == 0)
      return !is_set_by_orchestrator(name);
  return false;
}

static void check_name(const char *name, size_t len) {
  const char *nearest = NULL;
  size_t least = SIZE_MAX;
  for (size_t i = 0; i < sizeof known_variables / sizeof *known_variables; i++) {
    size_t distance = mcp__edit_distance_indel(name, len, known_variables[i], strlen(known_variables[i]));
    if (distance < least) {
      nearest = known_variables[i];
      least = distance;
    }
  }
  if (least > 0 && (has_own_prefix(name) || is_misspelt(name, len, nearest, least)))
    mcp_log(MCP_LOG_WARN, "env", "%s is not a known environment variable; did you mean %s?", name, nearest);
}

void mcp_env_check(void) {
  static atomic_flag checked = ATOMIC_FLAG_INIT;
  if (!mcp__settings_enabled() || atomic_flag_test_and_set(&checked))
    return;
  for (char **variable = environ; variable != NULL && *variable != NULL; variable++) {
    char name[NAME_MAX_BYTES + 1] = "";
    size_t len = strcspn(*variable, "=");
    if (len > NAME_MAX_BYTES)
      continue;
    memcpy(name, *variable, len);
    check_name(name, len);
  }
}
