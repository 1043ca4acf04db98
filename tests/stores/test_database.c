/* test_database.c: the settings of the database from the environment. */
#include "database.h"
#include "leaks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[64], conninfo[96];

static void make_directory(void) {
  const char *const names[] = {"SHELF_DB_HOST", "SHELF_DB_PORT",     "SHELF_DB_NAME",    "SHELF_DB_USER",
                               "SHELF_DB_PATH", "SHELF_DB_PASSWORD", "SHELF_DB_TIMEOUT", "ICCM_DATA"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    unsetenv(names[i]);
  snprintf(directory, sizeof directory, "%s/database-XXXXXX", P_tmpdir);
  cr_assert_not_null(mkdtemp(directory));
  snprintf(conninfo, sizeof conninfo, "%s/data", directory);
  setenv("ICCM_DATA", conninfo, 1);
}

static void remove_directory(void) {
  rmdir(conninfo);
  rmdir(directory);
}

TestSuite(database, .init = make_directory, .fini = remove_directory);

static database_t database;

static bool read_it(void) {
  return database_from_env(&database, "SHELF", NULL);
}

Test(database, a_file_in_the_data_directory_which_is_made) {
  char expected[128];
  struct stat made;
  cr_assert(read_it());
  snprintf(expected, sizeof expected, "%s/shelf.db", conninfo);
  cr_expect_str_eq(database.path, expected);
  cr_expect_null(database.postgresql.host);
  cr_assert_eq(stat(conninfo, &made), 0);
  cr_expect_eq(made.st_mode & 07777, 0750);
  expect_no_leak();
}

Test(database, a_file_in_the_directory_that_is_given) {
  cr_assert(database_from_env(&database, "SHELF", "/some"));
  cr_expect_str_eq(database.path, "/some/shelf.db");
  cr_expect_eq(access(conninfo, F_OK), -1, "nothing is made");
  expect_no_leak();
}

Test(database, the_file_that_is_named) {
  setenv("SHELF_DB_PATH", "/some/where", 1);
  cr_assert(read_it());
  cr_expect_str_eq(database.path, "/some/where");
  cr_expect_eq(access(conninfo, F_OK), -1, "nothing is made");
  expect_no_leak();
}

Test(database, no_file_where_the_directory_cannot_be_made) {
  char below[128];
  snprintf(below, sizeof below, "%s/is/missing", directory);
  setenv("ICCM_DATA", below, 1);
  cr_expect_not(read_it());
  expect_no_leak();
}

Test(database, postgresql_with_what_is_usual) {
  setenv("SHELF_DB_HOST", "shelves", 1);
  setenv("SHELF_DB_PATH", "/some/where", 1);
  cr_assert(read_it());
  const pq_conninfo_t *found = &database.postgresql;
  cr_expect_str_eq(found->host, "shelves");
  cr_expect_str_eq(found->port, "5432");
  cr_expect_str_eq(found->name, "shelf");
  cr_expect_str_eq(found->user, "shelf");
  cr_expect_null(found->password);
  cr_expect_eq(found->statement_timeout_ms, 30 * 1000);
  expect_no_leak();
}

Test(database, postgresql_as_it_is_described) {
  setenv("SHELF_DB_HOST", "shelves", 1);
  setenv("SHELF_DB_PORT", "5433", 1);
  setenv("SHELF_DB_NAME", "books", 1);
  setenv("SHELF_DB_USER", "reader", 1);
  setenv("SHELF_DB_PASSWORD", "quiet", 1);
  setenv("SHELF_DB_TIMEOUT", "7", 1);
  cr_assert(read_it());
  const pq_conninfo_t *found = &database.postgresql;
  cr_expect(strcmp(found->port, "5433") == 0 && strcmp(found->name, "books") == 0);
  cr_expect(strcmp(found->user, "reader") == 0 && strcmp(found->password, "quiet") == 0);
  cr_expect_eq(found->statement_timeout_ms, 7 * 1000);
  expect_no_leak();
}

static int lines_logged;
static char last_line[512];

static void on_line(int level, const char *part, const char *text, void *arg) {
  (void)level, (void)part, (void)arg;
  lines_logged++;
  snprintf(last_line, sizeof last_line, "%s", text);
}

/* True if these hosts and ports are accepted; if not, one log line has named the variable. */
static bool takes(const char *hosts, const char *ports, const char *variable) {
  setenv("SHELF_DB_HOST", hosts, 1);
  setenv("SHELF_DB_PORT", ports, 1);
  lines_logged = 0;
  mcp_set_log_handler(on_line, MCP_LOG_TRACE, NULL);
  bool taken = read_it();
  mcp_set_log_handler(NULL, MCP_LOG_INFO, NULL);
  cr_expect_eq(lines_logged, taken ? 0 : 1);
  cr_expect(taken || strncmp(last_line, variable, strlen(variable)) == 0, "%s", last_line);
  return taken;
}

Test(database, one_port_or_as_many_as_hosts) {
  static const char *const ports[] = {"1", "65535", "5432,5433,5434"};
  static const char *const wrong[] = {
      "0",       "70000", "655360",          "-1",     "5432,",        ",5432",   "5432,5433",  "a,b,c",
      "1,2,3,4", ",",     "5432, 5433,5434", "1,2,+3", "1,2,99999999", "1,2,0x3", "5432;1;5433"};
  for (size_t i = 0; i < sizeof ports / sizeof ports[0]; i++)
    cr_expect(takes("north,south,/run/east", ports[i], ""), "%s", ports[i]);
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
    cr_expect_not(takes("north,south,/run/east", wrong[i], "SHELF_DB_PORT is "), "%s", wrong[i]);
  cr_expect(takes("north", "5432", ""));
  cr_expect_not(takes("north", "5432,5433", "SHELF_DB_PORT is "));
  expect_no_leak();
}

Test(database, up_to_8_hosts_none_of_them_empty_or_too_long) {
  static const char *const wrong[] = {
      ",",     "a,",    ",a",  "a,,b", "a, b",  "a ,b", " a", "1,2,3,4,5,6,7,8,9", "postgres://u:p@h",
      "u:p@h", "u%40h", "h/d", "h?x",  "host=h"};
  char host[PQ_HOST_SIZE + 1];
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
    cr_expect_not(takes(wrong[i], "5432", "SHELF_DB_HOST is "), "%s", wrong[i]);
  cr_expect(takes("1,2,3,4,5,6,7,8", "1,2,3,4,5,6,7,8", ""));
  cr_expect(takes("fe80::1%eth0,/run/a@b,@abstract,a_b.c-d", "5432", ""));
  memset(host, 'h', sizeof host);
  host[PQ_HOST_SIZE] = '\0';
  cr_expect_not(takes(host, "5432", "SHELF_DB_HOST is "));
  cr_expect(takes(host + 1, "5432", ""));
  expect_no_leak();
}

Test(database, a_time_from_a_second_to_an_hour) {
  static const char *const wrong[] = {"0", "3601", "1.5", "soon"};
  setenv("SHELF_DB_HOST", "shelves", 1);
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    setenv("SHELF_DB_TIMEOUT", wrong[i], 1);
    cr_expect_not(read_it(), "%s", wrong[i]);
  }
  setenv("SHELF_DB_TIMEOUT", "3600", 1);
  cr_expect(read_it());
  expect_no_leak();
}
