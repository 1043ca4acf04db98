/* test_env.c: what is read, and the line that names what is not. mcp_log is the test's own. */
#include "iccm_network.h"
#include "iccm_service.h"

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
  int lines, level;
  char text[512];
} logged;
static char all_logged[4096];

void mcp_log(int level, const char *part, const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(logged.text, sizeof logged.text, format, args);
  va_end(args);
  cr_expect_str_eq(part, "env");
  strncat(all_logged, logged.text, sizeof all_logged - strlen(all_logged) - 1);
  logged.level = level;
  logged.lines++;
}

static void set(const char *value) {
  logged.lines = 0;
  logged.text[0] = '\0';
  cr_assert_eq(value != NULL ? setenv("MCP_PORT", value, 1) : unsetenv("MCP_PORT"), 0);
}

static void expect_logged(const char *line) {
  cr_expect_eq(logged.lines, line != NULL ? 1 : 0, "%s", logged.text);
  cr_expect_str_eq(logged.text, line != NULL ? line : "", "%s", logged.text);
  cr_expect(line == NULL || logged.level == MCP_LOG_ERROR);
}

#define PORT " expected a whole number from 0 to 65535"

Test(env, whole_numbers) {
  static const struct {
    const char *value;
    int64_t number;
    const char *line; /* NULL: read */
  } rows[] = {
      {NULL, 9060, NULL},
      {"", 9060, NULL},
      {"0", 0, NULL},
      {"8080", 8080, NULL},
      {"65535", 65535, NULL},
      {"-0", 0, NULL},
      {"007", 7, NULL},
      {"abc", 0, "MCP_PORT is \"abc\":" PORT},
      {"65536", 0, "MCP_PORT is \"65536\":" PORT},
      {"-1", 0, "MCP_PORT is \"-1\":" PORT},
      {"-", 0, "MCP_PORT is \"-\":" PORT},
      {"--1", 0, "MCP_PORT is \"--1\":" PORT},
      {"+1", 0, "MCP_PORT is \"+1\":" PORT},
      {" 1", 0, "MCP_PORT is \" 1\":" PORT},
      {"1 ", 0, "MCP_PORT is \"1 \":" PORT},
      {"1.0", 0, "MCP_PORT is \"1.0\":" PORT},
      {"1e3", 0, "MCP_PORT is \"1e3\":" PORT},
      {"0x10", 0, "MCP_PORT is \"0x10\":" PORT},
      {"80a", 0, "MCP_PORT is \"80a\":" PORT},
      {" ", 0, "MCP_PORT is \" \":" PORT},
      {"99999999999999999999", 0, "MCP_PORT is \"99999999999999999999\":" PORT},
      {"1\nforged", 0, "MCP_PORT is \"1?forged\":" PORT},
      {"\xff\xc3\xa4", 0, "MCP_PORT is \"???\":" PORT},
      {"0000000000000000000000000000000000000000000000000000000000000000x", 0,
       "MCP_PORT is \"0000000000000000000000000000000000000000000000000000000000000000\":" PORT},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    int64_t number = -77;
    set(rows[i].value);
    cr_expect_eq(mcp_env_int("MCP_PORT", 9060, 0, 65535, &number), rows[i].line != NULL ? MCP_EENV : 0);
    cr_expect_eq(number, rows[i].line != NULL ? -77 : rows[i].number, "%s", rows[i].value);
    expect_logged(rows[i].line);
  }
}

Test(env, numbers_of_64_bits) {
  static const struct {
    const char *value;
    int64_t number;
    int status;
  } rows[] = {{"9223372036854775807", INT64_MAX, 0},
              {"-9223372036854775808", INT64_MIN, 0},
              {"9223372036854775808", 5, MCP_EENV},
              {"-9223372036854775809", 5, MCP_EENV}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    int64_t number = 5;
    set(rows[i].value);
    cr_expect_eq(mcp_env_int("MCP_PORT", 0, INT64_MIN, INT64_MAX, &number), rows[i].status);
    cr_expect_eq(number, rows[i].number, "%s", rows[i].value);
  }
  expect_logged("MCP_PORT is \"-9223372036854775809\": expected a whole number from -9223372036854775808 to "
                "9223372036854775807");
}

Test(env, fallback_need_not_lie_between) { /* -1 may mean: not set */
  int64_t number = 0;
  set(NULL);
  cr_expect_eq(mcp_env_int("MCP_PORT", -1, 0, 10, &number), 0);
  cr_expect_eq(number, -1);
}

Test(env, booleans) {
  static const struct {
    const char *value;
    int expected; /* -1: refused */
  } rows[] = {{"0", 0},  {"1", 1},   {"true", 1}, {"false", 0},  {"yes", 1},  {"no", 0},
              {"on", 1}, {"off", 0}, {"True", 1}, {"FALSE", 0},  {"Yes", 1},  {"NO", 0},
              {"2", -1}, {"-1", -1}, {"01", -1},  {"truee", -1}, {"tru", -1}, {"t", -1},
              {"y", -1}, {" 1", -1}, {"1 ", -1},  {"none", -1}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    bool fallback = rows[i].expected == 0, flag = fallback;
    set(rows[i].value);
    cr_expect_eq(mcp_env_bool("MCP_PORT", fallback, &flag), rows[i].expected < 0 ? MCP_EENV : 0, "%s",
                 rows[i].value);
    cr_expect_eq(flag, rows[i].expected < 0 ? fallback : rows[i].expected == 1, "%s", rows[i].value);
    cr_expect_eq(logged.lines, rows[i].expected < 0);
  }
  bool flag = false;
  set("maybe");
  cr_expect_eq(mcp_env_bool("MCP_PORT", true, &flag), MCP_EENV);
  expect_logged("MCP_PORT is \"maybe\": expected 1, true, yes, on, 0, false, no or off");
  cr_expect_eq(flag, false, "left alone");
  for (int fallback = 0; fallback < 2; fallback++) {
    set(fallback == 0 ? "" : NULL);
    cr_expect_eq(mcp_env_bool("MCP_PORT", fallback == 1, &flag), 0);
    cr_expect_eq(flag, fallback == 1);
    expect_logged(NULL);
  }
}

Test(env, text) {
  set(NULL);
  cr_expect_str_eq(mcp_env_text("MCP_PORT", "fallback"), "fallback");
  cr_expect_null(mcp_env_text("MCP_PORT", NULL));
  set("");
  cr_expect_str_eq(mcp_env_text("MCP_PORT", "fallback"), "fallback");
  set(" as it is ");
  cr_expect_str_eq(mcp_env_text("MCP_PORT", "fallback"), " as it is ");
}

Test(env, directories) {
  static const char *const valid[] = {NULL, "", "/", "/a", "/a:/b", "/a b:/c/"};
  static const char *const wrong[] = {"a", ":", "/a:", ":/a", "/a::/b", "/a:b"};
  for (int i = 0; i < 6; i++) {
    const char *directories = NULL;
    char line[128];
    set(valid[i]);
    cr_expect_eq(mcp_env_directories("MCP_PORT", &directories), 0);
    cr_expect_str_eq(directories, valid[i] != NULL ? valid[i] : "");
    expect_logged(NULL);
    set(wrong[i]);
    directories = "untouched";
    cr_expect_eq(mcp_env_directories("MCP_PORT", &directories), MCP_EENV);
    cr_expect_str_eq(directories, "untouched");
    snprintf(line, sizeof line, "MCP_PORT is \"%s\": expected absolute directories separated by colons",
             wrong[i]);
    expect_logged(line);
  }
}

/* What is wrong in a secret is said without it. */
Test(env, secrets_are_not_shown) {
  static const char value[] = "Hunter2";
  int64_t number;
  bool flag;
  const char *directories;
  char path[4];
  setenv("DOOR_TOKEN", value, 1);
  cr_expect_eq(mcp_env_int("DOOR_TOKEN", 0, 0, 1, &number), MCP_EENV);
  cr_expect_eq(mcp_env_bool("DOOR_TOKEN", false, &flag), MCP_EENV);
  cr_expect_eq(mcp_env_directories("DOOR_TOKEN", &directories), MCP_EENV);
  cr_expect_eq(mcp_env_data_path("DOOR_TOKEN", "f", path, sizeof path), MCP_EENV);
  cr_expect_eq(logged.lines, 4);
  cr_expect_str_eq(logged.text, "DOOR_TOKEN is \"[REDACTED]\": expected a path of less than 4 bytes");
  cr_expect_null(strstr(all_logged, value), "%s", all_logged);
}

static struct { char root[32], path[64]; } place = {"/tmp/iccm-env-XXXXXX", "untouched"};

static void leave(void) {
  rmdir("data");
  rmdir("depot");
  rmdir(place.root);
}

static void enter(void) {
  cr_assert_not_null(mkdtemp(place.root));
  cr_assert_eq(chdir(place.root), 0);
  set(NULL);
  unsetenv("ICCM_DATA");
}

static int data_path(void) {
  return mcp_env_data_path("MCP_PORT", "depot.db", place.path, sizeof place.path);
}

TestSuite(env_data_path, .init = enter, .fini = leave);

Test(env_data_path, in_the_data_directory_which_is_made) {
  for (int again = 0; again < 2; again++) {
    cr_expect_eq(data_path(), 0);
    cr_expect_str_eq(place.path, "./data/depot.db");
    cr_expect_eq(access("data", W_OK), 0);
  }
  setenv("ICCM_DATA", "depot", 1);
  cr_expect_eq(data_path(), 0);
  cr_expect_str_eq(place.path, "depot/depot.db");
  cr_expect_eq(access("depot", W_OK), 0);
  expect_logged(NULL);
}

Test(env_data_path, given_and_nothing_is_made) {
  set("else/where.db");
  cr_expect_eq(data_path(), 0);
  cr_expect_str_eq(place.path, "else/where.db");
  cr_expect_neq(access("data", F_OK), 0);
}

Test(env_data_path, that_cannot_be_made) {
  setenv("ICCM_DATA", "/dev/null/data", 1);
  cr_expect_eq(data_path(), MCP_EENV);
  expect_logged("ICCM_DATA is \"/dev/null/data\": cannot create this directory: Not a directory");
  cr_expect_str_eq(place.path, "untouched");
}

Test(env_data_path, of_one_byte_too_many) {
  char value[65] = {0};
  memset(value, 'a', 63);
  set(value);
  cr_expect_eq(data_path(), 0);
  cr_expect_str_eq(place.path, value);
  value[63] = 'a';
  set(value);
  cr_expect_eq(data_path(), MCP_EENV);
  cr_expect_eq(logged.lines, 1);
  cr_expect_eq(strlen(place.path), 63);
  set(NULL);
  value[55] = '\0'; /* "/depot.db" fills the rest */
  setenv("ICCM_DATA", value, 1);
  cr_expect_eq(data_path(), MCP_EENV);
  cr_expect_eq(strncmp(logged.text, "ICCM_DATA is ", 13), 0);
}
