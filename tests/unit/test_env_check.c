/* test_env_check.c: which names of variables count as misspelled. mcp_log is defined here. */
#include "iccm_network.h"
#include "iccm_service.h"

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char logged[4096];

void mcp_log(int level, const char *part, const char *format, ...) {
  size_t len = strlen(logged);
  va_list args;
  va_start(args, format);
  vsnprintf(logged + len, sizeof logged - len, format, args);
  va_end(args);
  strcat(logged, "\n");
  cr_expect_str_eq(part, "env");
  cr_expect_eq(level, MCP_LOG_WARN);
}

/* Each test runs in its own process, since the check runs once per process. */
static void check(const char *const *names, size_t count) {
  clearenv();
  for (size_t i = 0; i < count; i++)
    cr_assert_eq(setenv(names[i], "s3cret", 1), 0);
  mcp_env_check();
}

Test(env_check, that_are_misspelt_are_warned_of) {
  static const char *const pairs[][2] = {{"MAX_QUEU_SIZE", "MAX_QUEUE_SIZE"},
                                         {"ICCM_AUTH_TOKN", "ICCM_AUTH_TOKEN"},
                                         {"DEWEY_DB_HOSTT", "DEWEY_DB_HOST"},
                                         {"GODOT_BATCHS_IN_FLIGHT", "GODOT_BATCHES_IN_FLIGHT"},
                                         {"HORACE_STORAGE", "HORACE_STORAGE_PATH"},
                                         {"LOG_LEVLE", "LOG_LEVEL"},
                                         {"MCP_PROT", "MCP_PORT"},
                                         {"DEWEYMCP_URL", "DEWEY_MCP_URL"},
                                         {"GODOT_IMPORT_PATH", "GODOT_IMPORT_PATHS"}};
  enum { COUNT = sizeof pairs / sizeof *pairs };
  const char *names[COUNT];
  for (size_t i = 0; i < COUNT; i++)
    names[i] = pairs[i][0];
  check(names, COUNT);
  for (size_t i = 0; i < COUNT; i++) {
    char line[256];
    snprintf(line, sizeof line, "%s is not a known environment variable; did you mean %s?\n", pairs[i][0],
             pairs[i][1]);
    cr_expect_not_null(strstr(logged, line), "%s in: %s", line, logged);
  }
  cr_expect_null(strstr(logged, "s3cret"));
}

Test(env_check, of_this_system_and_of_others_are_not) {
  static const char *const names[] = {
      "MCP_PORT", "DEWEY_MCP_PORT", "DEWEY_DB_PASSWORD", "HORACE_DB_TIMEOUT", "ICCM_DATA", "GODOT_URL",
      "LOG_LEVEL",
      /* others' */
      "LOGLEVEL", "LOG_FORMAT", "LOG_FILE", "LOG_DIR", "GODOT_BIN", "GODOT_HOME", "GODOT4", "GODOT_USER",
      "MCP_HOST", "MCP_TIMEOUT", "REDIS_URL", "REDIS_PASSWORD", "REDIS_DB", "BATCH", "RETRY_DELAY",
      "MAX_RETRIES", "PATH", "HOME", "PGHOST", "PGPASSFILE", "DB_HOST", "HORACE", "DEWEY", "TOKEN",
      "AUTH_TOKEN",
      /* set by an orchestrator for services with these names */
      "DEWEY_SERVICE_HOST", "DEWEY_SERVICE_PORT", "DEWEY_PORT", "DEWEY_PORT_9020_TCP",
      "DEWEY_PORT_9020_TCP_ADDR", "HORACE_SERVICE_PORT_WS", "ICCM_GODOT_SERVICE_HOST", "DEWEY_ENV_LOG_LEVEL"};
  check(names, sizeof names / sizeof *names);
  cr_expect_str_eq(logged, "");
}

Test(env_check, are_checked_once) {
  static const char *const names[] = {"ICCM_NOTHING"};
  check(names, 1);
  mcp_env_check();
  cr_expect_str_eq(logged, "ICCM_NOTHING is not a known environment variable; did you mean ICCM_DATA?\n");
}
