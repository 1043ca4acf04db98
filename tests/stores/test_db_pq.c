/* test_db_pq.c: db.h while PostgreSQL is unavailable and available again. */
#include "db_test.h"

#include <stdio.h>
#include <string.h>

TestSuite(db_pq, .init = make_location, .fini = remove_location);

static bool on_number(const db_row_t *row, void *arg) {
  *(int64_t *)arg = db_int(row, 0);
  return true;
}

/* Closes the connection from the server's side, as a killed server does. */
static void end_session(db_conn_t *conn) {
  int64_t pid = 0;
  char sql[64];
  cr_assert_eq(db_exec_sql(conn, "SELECT pg_backend_pid()", NULL, on_number, &pid, "asking", &test_error),
               STORE_OK);
  snprintf(sql, sizeof sql, "SELECT pg_terminate_backend(%d, 10000)", (int)pid);
  run_as_other_program(sql);
}

Test(db_pq, nothing_works_before_it_was_prepared) {
  int code = STORE_OK;
  test_db = open_unchecked(&test_spec);
  cr_assert_null(db_begin(test_db, DB_READ, never, &code, &test_error));
  cr_expect_eq(code, STORE_FAILED);
  cr_expect_str_eq(test_error.brief, "the database has not been prepared yet");
  cr_assert_eq(db_check(test_db, 0, never, &test_error), STORE_OK, "%s", test_error.text);
  cr_expect_eq(count(), 0);
  end_of_test();
}

Test(db_pq, a_lost_connection_loses_its_transaction_and_no_other) {
  test_db = open_with(&test_spec);
  store(1, "one");
  db_conn_t *conn = begin(DB_WRITE);
  cr_assert_eq(add(conn, 2, "two"), STORE_OK);
  end_session(conn);
  cr_expect_eq(add(conn, 3, "three"), STORE_FAILED);
  cr_expect_not_null(test_error.brief);
  cr_expect_eq(db_end(conn, STORE_OK, &test_error), STORE_FAILED);
  cr_expect_eq(count(), 1);
  store(2, "two");
  end_of_test();
}

Test(db_pq, a_connection_lost_before_the_commit_fails_it) {
  test_db = open_with(&test_spec);
  db_conn_t *conn = begin(DB_WRITE);
  cr_assert_eq(add(conn, 1, "one"), STORE_OK);
  end_session(conn);
  test_error.brief = NULL;
  cr_expect_eq(db_end(conn, STORE_OK, &test_error), STORE_FAILED);
  cr_expect_not_null(test_error.brief);
  cr_expect_eq(count(), 0);
  end_of_test();
}

/* Returns the current position in the WAL. */
static int64_t written(void) {
  int64_t at = 0;
  db_conn_t *conn = begin(DB_READ);
  cr_assert_eq(db_exec_sql(conn, "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint", NULL, on_number, &at,
                           "asking", &test_error),
               STORE_OK);
  cr_assert_eq(db_end(conn, STORE_OK, &test_error), STORE_OK);
  return at;
}

/* A commit without a change does not wait for a standby. */
Test(db_pq, what_was_found_is_confirmed_by_a_commit_that_writes) {
  test_db = open_with(&test_spec);
  int64_t before = written();
  cr_assert_eq(db_confirm(test_db, never, &test_error), STORE_OK, "%s", test_error.text);
  int64_t confirmed = written();
  cr_expect_gt(confirmed, before);
  db_conn_t *conn = begin(DB_WRITE);
  cr_assert_eq(db_end(conn, STORE_OK, &test_error), STORE_OK);
  cr_expect_gt(written(), confirmed);
  end_of_test();
}

Test(db_pq, a_server_that_is_not_there_fails_the_check) {
  const pq_conninfo_t nowhere = {.host = "127.0.0.1", .port = "1", .name = "none", .user = "none"};
  test_db = db_open_pq(&nowhere, &test_spec, &test_error);
  cr_assert_not_null(test_db);
  cr_expect_eq(db_check(test_db, 0, never, &test_error), STORE_FAILED);
  cr_expect_str_eq(test_error.brief, "the database cannot be reached");
  end_of_test();
}
