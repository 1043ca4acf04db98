/* test_database.c: which database the environment names. */
#include "database.h"
#include "leaks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[64], place[96];

static void make_directory(void) {
  const char *const names[] = {"SHELF_DB_HOST", "SHELF_DB_PORT",     "SHELF_DB_NAME", "SHELF_DB_USER",
                               "SHELF_DB_PATH", "SHELF_DB_PASSWORD", "ICCM_DATA"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    unsetenv(names[i]);
  snprintf(directory, sizeof directory, "%s/database-XXXXXX", P_tmpdir);
  cr_assert_not_null(mkdtemp(directory));
  snprintf(place, sizeof place, "%s/data", directory);
  setenv("ICCM_DATA", place, 1);
}

static void remove_directory(void) {
  rmdir(place);
  rmdir(directory);
}

TestSuite(database, .init = make_directory, .fini = remove_directory);

static database_t database;

static bool read_it(void) {
  return database_read(&database, "SHELF", NULL);
}

Test(database, a_file_in_the_data_directory_which_is_made) {
  char expected[128];
  struct stat made;
  cr_assert(read_it());
  snprintf(expected, sizeof expected, "%s/shelf.db", place);
  cr_expect_str_eq(database.path, expected);
  cr_expect_null(database.postgresql.host);
  cr_assert_eq(stat(place, &made), 0);
  cr_expect_eq(made.st_mode & 07777, 0750);
  expect_no_leak();
}

Test(database, a_file_in_the_directory_that_is_given) {
  cr_assert(database_read(&database, "SHELF", "/some"));
  cr_expect_str_eq(database.path, "/some/shelf.db");
  cr_expect_eq(access(place, F_OK), -1, "nothing is made");
  expect_no_leak();
}

Test(database, the_file_that_is_named) {
  setenv("SHELF_DB_PATH", "/some/where", 1);
  cr_assert(read_it());
  cr_expect_str_eq(database.path, "/some/where");
  cr_expect_eq(access(place, F_OK), -1, "nothing is made");
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
  const pq_place_t *found = &database.postgresql;
  cr_expect_str_eq(found->host, "shelves");
  cr_expect_str_eq(found->port, "5432");
  cr_expect_str_eq(found->name, "shelf");
  cr_expect_str_eq(found->user, "shelf");
  cr_expect_null(found->password);
  expect_no_leak();
}

Test(database, postgresql_as_it_is_described) {
  setenv("SHELF_DB_HOST", "shelves", 1);
  setenv("SHELF_DB_PORT", "5433", 1);
  setenv("SHELF_DB_NAME", "books", 1);
  setenv("SHELF_DB_USER", "reader", 1);
  setenv("SHELF_DB_PASSWORD", "quiet", 1);
  cr_assert(read_it());
  const pq_place_t *found = &database.postgresql;
  cr_expect(strcmp(found->port, "5433") == 0 && strcmp(found->name, "books") == 0);
  cr_expect(strcmp(found->user, "reader") == 0 && strcmp(found->password, "quiet") == 0);
  expect_no_leak();
}

Test(database, no_port_that_is_none) {
  setenv("SHELF_DB_HOST", "shelves", 1);
  setenv("SHELF_DB_PORT", "70000", 1);
  cr_expect_not(read_it());
  expect_no_leak();
}
