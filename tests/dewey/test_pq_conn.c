/* test_pq_conn.c: one connection to PostgreSQL: statements end in time, with the right code. */
#include "databases.h"
#include "monotonic.h"
#include "pq_conn.h"
#include "store_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>
#include <wait_limit.h>

static const char sleeps[] = "SELECT count(*) FROM pg_sleep(20)";
static const char streams[] = "SELECT n::bigint FROM generate_series(1, 1000000000) AS n";
static const pq_spec_t spec = {.name = "test"};
static pq_conn_t conn = {.spec = &spec};
static int64_t number;

static void connect_to(void) {
  cr_assert_eq(pq_connect(&conn, postgresql_conninfo(), &test_error), STORE_OK, "%s", test_error.text);
}

TestSuite(pq_conn, .init = connect_to);

static int ask(const char *sql) {
  return pq_query_int(&conn, sql, &number, "asking", &test_error);
}

Test(pq_conn, what_the_server_ends_is_a_slow_query_or_a_busy_store) {
  cr_assert_eq(pq_command(&conn, "SET statement_timeout = 100", "setting", &test_error), STORE_OK);
  cr_expect_eq(ask(sleeps), STORE_BUSY);
  conn.deadline_ms = monotonic_ms() + (int64_t)wait_limit_ms();
  cr_expect_eq(ask(sleeps), STORE_TIMEOUT);
  cr_expect_eq(ask("SELECT 7::bigint"), STORE_OK);
  cr_expect_eq(number, 7);
  pq_disconnect(&conn);
}

Test(pq_conn, a_query_ends_at_its_deadline_also_while_rows_come) {
  conn.deadline_ms = monotonic_ms() + 300;
  cr_expect_eq(ask(streams), STORE_TIMEOUT);
  cr_expect_null(conn.pg);
}

Test(pq_conn, of_several_hosts_the_first_that_answers_is_used_and_kept) {
  char ports[64];
  pq_conninfo_t several = *postgresql_conninfo();
  snprintf(ports, sizeof ports, "1,%s,1", several.port);
  several.host = "127.0.0.1,127.0.0.1,127.0.0.1";
  several.port = ports;
  pq_disconnect(&conn);
  cr_assert_eq(pq_connect(&conn, &several, &test_error), STORE_OK, "%s", test_error.text);
  cr_expect_eq(conn.host, 1);
  cr_expect_eq(ask("SELECT 7::bigint"), STORE_OK);
  pq_disconnect(&conn);
  several.port = "1";
  cr_expect_eq(pq_connect(&conn, &several, &test_error), STORE_FAILED);
  cr_expect_str_eq(test_error.brief, "the database cannot be reached");
}

Test(pq_conn, a_statement_that_stores_has_the_time_of_its_place) {
  pq_conninfo_t hasty = *postgresql_conninfo();
  hasty.statement_timeout_ms = 100;
  pq_disconnect(&conn);
  cr_assert_eq(pq_connect(&conn, &hasty, &test_error), STORE_OK, "%s", test_error.text);
  cr_expect_eq(ask(sleeps), STORE_FAILED);
  cr_expect_str_eq(test_error.brief, "the database does not answer");
  cr_expect_null(conn.pg);
}

static bool at_once(void *arg) {
  (void)arg;
  return true;
}

Test(pq_conn, a_query_ends_when_told_also_while_rows_come) {
  conn.cancel = (cancel_token_t){at_once, NULL};
  cr_expect_eq(ask(streams), STORE_CANCELLED);
  cr_expect_null(conn.pg);
}

/* ---- One that takes connections and says nothing ---- */

static int listen_only(int *port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  int file = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  cr_assert_eq(bind(file, (struct sockaddr *)&address, size), 0);
  cr_assert_eq(listen(file, 16), 0);
  cr_assert_eq(getsockname(file, (struct sockaddr *)&address, &size), 0);
  *port = ntohs(address.sin_port);
  return file;
}

static bool after_some(void *arg) {
  int *times = arg;
  return --*times <= 0;
}

Test(pq_conn, a_server_that_says_nothing_is_called_that_and_left_when_told) {
  char ports[32];
  int port, times = 3, file = listen_only(&port);
  pq_conninfo_t silent = *postgresql_conninfo();
  snprintf(ports, sizeof ports, "1,%d", port);
  silent.host = "127.0.0.1,127.0.0.1";
  silent.port = ports;
  pq_disconnect(&conn);
  cr_expect_eq(pq_connect(&conn, &silent, &test_error), STORE_FAILED);
  cr_expect_str_eq(test_error.text,
                   "connecting to the database: 08000: no answer from 127.0.0.1 within 2.5 s");
  conn.cancel = (cancel_token_t){after_some, &times};
  cr_expect_eq(pq_connect(&conn, &silent, &test_error), STORE_CANCELLED);
  cr_expect_null(conn.pg);
  close(file);
}
