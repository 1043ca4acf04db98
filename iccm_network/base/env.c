/* env.c: reads a component's settings from the environment.
 *
 * An empty variable counts as unset and gives the fallback. An invalid value is logged with the allowed
 * values, and MCP_EENV is returned: a program that continued with a guess could listen on the wrong port or
 * lose the limit of its data. */
#include "iccm_service.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { SHOWN_BYTES = 64 /* of a value in a log line */ };

const char *mcp_env_text(const char *name, const char *fallback) {
  const char *value = getenv(name);
  return value != NULL && *value != '\0' ? value : fallback;
}

/* The value for a log line: secrets redacted, bytes that are not printable ASCII as '?'. */
static const char *printable_value(const char *name, const char *value, char shown[MCP_SHOWN_SIZE]) {
  mcp_redact_setting(name, value, shown);
  shown[SHOWN_BYTES] = '\0';
  for (char *at = shown; *at != '\0'; at++)
    if (*at < ' ' || *at > '~')
      *at = '?';
  return shown;
}

/* Accepts decimal digits with an optional leading minus only. */
static bool parse_integer(const char *value, int64_t *out) {
  const char *digit = *value == '-' ? value + 1 : value;
  if (*digit < '0' || *digit > '9') /* strtoll would accept leading blanks and a plus */
    return false;
  char *end;
  errno = 0;
  long long number = strtoll(value, &end, 10);
  if (errno != 0 || *end != '\0')
    return false;
  *out = number;
  return true;
}

int mcp_env_int(const char *name, int64_t fallback, int64_t min, int64_t max, int64_t *out) {
  const char *value = mcp_env_text(name, NULL);
  int64_t number = fallback;
  if (value != NULL && (!parse_integer(value, &number) || number < min || number > max)) {
    char shown[MCP_SHOWN_SIZE];
    mcp_log(MCP_LOG_ERROR, "env", "%s is \"%s\": expected a whole number from %" PRId64 " to %" PRId64, name,
            printable_value(name, value, shown), min, max);
    return MCP_EENV;
  }
  *out = number;
  return 0;
}

int mcp_env_bool(const char *name, bool fallback, bool *out) {
  /* Words at odd indices are true. */
  static const char *const words[] = {"0", "1", "false", "true", "no", "yes", "off", "on"};
  const char *value = mcp_env_text(name, NULL);
  if (value == NULL) {
    *out = fallback;
    return 0;
  }
  for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
    if (strcasecmp(value, words[i]) == 0) {
      *out = i % 2 == 1;
      return 0;
    }
  }
  char shown[MCP_SHOWN_SIZE];
  mcp_log(MCP_LOG_ERROR, "env", "%s is \"%s\": expected 1, true, yes, on, 0, false, no or off", name,
          printable_value(name, value, shown));
  return MCP_EENV;
}

/* All are absolute paths separated by single colons. */
static bool are_absolute_directories(const char *value) {
  while (*value == '/') {
    value += strcspn(value, ":");
    if (*value == '\0')
      return true;
    value++;
  }
  return false;
}

int mcp_env_directories(const char *name, const char **out) {
  const char *value = mcp_env_text(name, "");
  if (*value != '\0' && !are_absolute_directories(value)) {
    char shown[MCP_SHOWN_SIZE];
    mcp_log(MCP_LOG_ERROR, "env", "%s is \"%s\": expected absolute directories separated by colons", name,
            printable_value(name, value, shown));
    return MCP_EENV;
  }
  *out = value;
  return 0;
}

int mcp_env_data_path(const char *name, const char *file, char *path, size_t size) {
  const char *given = mcp_env_text(name, NULL), *directory = mcp_env_text("ICCM_DATA", "./data");
  size_t len = given != NULL ? strlen(given) : strlen(directory) + 1 + strlen(file);
  char shown[MCP_SHOWN_SIZE];
  if (len >= size) {
    mcp_log(MCP_LOG_ERROR, "env", "%s is \"%s\": expected a path of less than %zu bytes",
            given != NULL ? name : "ICCM_DATA",
            printable_value(name, given != NULL ? given : directory, shown), size);
    return MCP_EENV;
  }
  if (given == NULL && mkdir(directory, 0750) != 0 && errno != EEXIST) {
    mcp_log(MCP_LOG_ERROR, "env", "ICCM_DATA is \"%s\": cannot create this directory: %s",
            printable_value(name, directory, shown), strerror(errno));
    return MCP_EENV;
  }
  if (given != NULL)
    snprintf(path, size, "%s", given);
  else
    snprintf(path, size, "%s/%s", directory, file);
  return 0;
}
