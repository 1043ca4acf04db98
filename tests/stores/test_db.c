/* test_db.c: the interface of db.h on either database: values, transactions, failures, versions. */
#include "databases.h"
#include "db_test.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

TestSuite(db, .init = make_db, .fini = remove_location);
TestSuite(versions, .init = make_location, .fini = remove_location);

/* ---- Values ---- */

typedef struct thing {
  int rows;
  char id[MCP_UUID_SIZE], name[64];
  bool is_null[5], flag;
  int64_t size, at;
  double ratio;
} thing_t;

static bool on_thing(const db_row_t *row, void *arg) {
  thing_t *thing = arg;
  mcp_text_t name = db_text(row, 1);
  thing->rows++;
  cr_expect(db_id(row, 0, thing->id));
  snprintf(thing->name, sizeof thing->name, "%.*s", (int)name.len, name.ptr != NULL ? name.ptr : "");
  cr_expect_eq(name.ptr == NULL, db_is_null(row, 1));
  for (int i = 0; i < 5; i++)
    thing->is_null[i] = db_is_null(row, i);
  thing->size = db_int(row, 2);
  thing->flag = db_bool(row, 3);
  thing->at = db_time(row, 4);
  thing->ratio = db_double(row, 5);
  return true;
}

static thing_t fetch(int n) {
  thing_t thing = {.rows = 0};
  db_params_t params = {.count = 0};
  db_conn_t *conn = begin(DB_READ);
  db_add_id(&params, id_of(n));
  int code = db_exec(conn, FETCH, &params, on_thing, &thing, NULL, "fetching", &test_error);
  cr_assert_eq(db_end(conn, code, &test_error), STORE_OK, "%s", test_error.text);
  return thing;
}

static void store_values(int n, const char *name, int64_t size, bool flag, int64_t at) {
  db_params_t params = {.count = 0};
  db_conn_t *conn = begin(DB_WRITE);
  db_add_id(&params, id_of(n));
  db_add_text(&params, text(name));
  db_add_int(&params, size);
  db_add_bool(&params, flag);
  db_add_time(&params, at);
  int64_t changed = 0;
  int code = db_exec(conn, ADD, &params, NULL, NULL, &changed, "adding", &test_error);
  cr_assert_eq(db_end(conn, code, &test_error), STORE_OK, "%s", test_error.text);
  cr_expect_eq(changed, 1);
}

static void assert_come_back(const char *name, int64_t size, bool flag, int64_t at) {
  static int n;
  store_values(++n, name, size, flag, at);
  thing_t thing = fetch(n);
  cr_expect_eq(thing.rows, 1);
  cr_expect_str_eq(thing.id, id_of(n));
  cr_expect_str_eq(thing.name, name);
  cr_expect_eq(thing.size, size);
  cr_expect_eq(thing.flag, flag);
  cr_expect_eq(thing.at, at);
  cr_expect_eq(thing.ratio, 0.25);
  for (int i = 0; i < 5; i++)
    cr_expect_not(thing.is_null[i]);
}

Test(db, values_come_back_as_they_were) {
  assert_come_back("one", 1, true, 1763700000123456);
  assert_come_back("", 0, false, 0);
  assert_come_back("Übergröße \xF0\x9F\x90\x98 '\"\\", INT64_MAX, true, -1);
  assert_come_back("%s $1 ?", INT64_MIN, false, 4102444800000000);
  assert_come_back("before all", -1, true, INT64_MIN);
  assert_come_back("after all", 1 << 30, true, INT64_MAX);
  end_of_test();
}

Test(db, nulls_come_back_as_nulls) {
  db_params_t params = {.count = 0};
  db_conn_t *conn = begin(DB_WRITE);
  db_add_id(&params, id_of(1));
  db_add_text(&params, text(NULL));
  db_add_null(&params, DB_INT);
  db_add_null(&params, DB_BOOL);
  db_add_null(&params, DB_TIME);
  int code = db_exec(conn, ADD, &params, NULL, NULL, NULL, "adding", &test_error);
  cr_assert_eq(db_end(conn, code, &test_error), STORE_OK, "%s", test_error.text);
  thing_t thing = fetch(1);
  for (int i = 1; i < 5; i++)
    cr_expect(thing.is_null[i], "column %d", i);
  cr_expect(thing.size == 0 && !thing.flag && thing.at == 0);
  end_of_test();
}

static bool on_parent(const db_row_t *row, void *arg) {
  char id[MCP_UUID_SIZE] = "something";
  cr_expect_not(db_id(row, 0, id));
  cr_expect_str_eq(id, "");
  ++*(int *)arg;
  return true;
}

Test(db, an_id_may_be_null_and_given_as_null) {
  int rows = 0;
  store(1, "one");
  db_params_t params = {.count = 0};
  db_conn_t *conn = begin(DB_WRITE);
  db_add_id(&params, NULL);
  db_add_id(&params, id_of(1));
  int code = db_exec(conn, SET_PARENT, &params, NULL, NULL, NULL, "changing", &test_error);
  if (code == STORE_OK)
    code = db_exec_sql(conn, "SELECT parent FROM things", NULL, on_parent, &rows, "reading", &test_error);
  cr_assert_eq(db_end(conn, code, &test_error), STORE_OK, "%s", test_error.text);
  cr_expect_eq(rows, 1);
  end_of_test();
}

typedef struct names {
  char text[128];
  int enough; /* stop after so many rows; 0: never */
} names_t;

static bool on_name(const db_row_t *row, void *arg) {
  names_t *names = arg;
  mcp_text_t name = db_text(row, 0);
  size_t used = strlen(names->text);
  snprintf(names->text + used, sizeof names->text - used, "%.*s ", (int)name.len, name.ptr);
  return --names->enough != 0;
}

static names_t read_names(const char *name, int enough) {
  names_t names = {.enough = enough};
  db_params_t params = {.count = 0};
  db_conn_t *conn = begin(DB_READ);
  db_add_text(&params, text(name));
  int code = db_exec(conn, NAMES, &params, on_name, &names, NULL, "listing", &test_error);
  cr_assert_eq(db_end(conn, code, &test_error), STORE_OK, "%s", test_error.text);
  return names;
}

Test(db, texts_sort_by_their_bytes_and_a_parameter_may_be_null) {
  const char *const given[] = {"b", "B", "ä", "a", "Z", "ab"};
  for (int i = 0; i < 6; i++)
    store(i, given[i]);
  cr_expect_str_eq(read_names(NULL, 0).text, "B Z a ab b ä ");
  cr_expect_str_eq(read_names("ab", 0).text, "ab ");
  cr_expect_str_eq(read_names(NULL, 0).text, "B Z a ab b ä ");
  end_of_test();
}

Test(db, no_more_rows_come_than_are_wanted) {
  for (int i = 0; i < 5; i++)
    store(i, (const char *[]){"a", "b", "c", "d", "e"}[i]);
  cr_expect_str_eq(read_names(NULL, 2).text, "a b ");
  cr_expect_str_eq(read_names(NULL, 0).text, "a b c d e ");
  end_of_test();
}

Test(db, sql_may_be_made_at_run_time_with_parameters_in_any_order) {
  names_t names = {.text = ""};
  db_params_t params = {.count = 0};
  for (int i = 0; i < 5; i++)
    store(i, (const char *[]){"a", "b", "c", "d", "e"}[i]);
  db_add_int(&params, 2); /* limit */
  db_add_id(&params, id_of(1));
  db_add_time(&params, 1763700000000003);
  db_conn_t *conn = begin(DB_READ);
  int code = db_exec_sql(
      conn, "SELECT name FROM things WHERE at <= $3 AND id >= $2 AND at <= $3 ORDER BY id LIMIT $1", &params,
      on_name, &names, "searching", &test_error);
  cr_assert_eq(db_end(conn, code, &test_error), STORE_OK, "%s", test_error.text);
  cr_expect_str_eq(names.text, "b c ");
  end_of_test();
}

static bool on_strange(const db_row_t *row, void *arg) {
  char id[MCP_UUID_SIZE];
  ++*(int *)arg;
  return !db_id(row, 0, id);
}

Test(db, a_row_that_holds_no_id_where_it_should_fails) {
  int rows = 0;
  store(1, "one");
  store(2, "two");
  db_conn_t *conn = begin(DB_READ);
  int code = db_exec_sql(conn, "SELECT name FROM things", NULL, on_strange, &rows, "reading", &test_error);
  cr_expect_eq(code, STORE_FAILED);
  cr_expect_str_eq(test_error.brief, "the database is damaged");
  cr_expect_eq(rows, 1);
  cr_expect_eq(db_end(conn, STORE_OK, &test_error), STORE_FAILED);
  cr_expect_eq(count(), 2);
  end_of_test();
}

Test(db, too_many_parameters_are_refused) {
  db_params_t params = {.count = 0};
  for (int i = 0; i <= DB_PARAMS_MAX; i++)
    db_add_int(&params, i);
  db_conn_t *conn = begin(DB_READ);
  cr_expect_eq(db_exec(conn, COUNT, &params, NULL, NULL, NULL, "counting", &test_error), STORE_INVALID);
  cr_expect_eq(db_end(conn, STORE_OK, &test_error), STORE_INVALID);
  end_of_test();
}

static bool refuse(const db_row_t *row, void *arg) {
  ++*(int *)arg;
  return db_reject_row(row);
}

Test(db, a_row_that_cannot_have_been_stored_fails) {
  int rows = 0;
  store(1, "one");
  store(2, "two");
  db_conn_t *conn = begin(DB_READ);
  cr_expect_eq(db_exec(conn, COUNT, NULL, refuse, &rows, NULL, "counting", &test_error), STORE_FAILED);
  cr_expect_str_eq(test_error.brief, "the database is damaged");
  cr_expect_eq(rows, 1);
  cr_expect_eq(db_end(conn, STORE_OK, &test_error), STORE_FAILED);
  end_of_test();
}

Test(db, a_statement_without_a_text_does_nothing) {
  int64_t changed = -1;
  db_conn_t *conn = begin(DB_WRITE);
  cr_expect_eq(add(conn, 1, "one"), STORE_OK);
  cr_expect_eq(db_exec(conn, NOTHING, NULL, NULL, NULL, &changed, "doing nothing", &test_error), STORE_OK);
  cr_expect_eq(changed, 0);
  cr_expect_eq(db_end(conn, STORE_OK, &test_error), STORE_OK);
  cr_expect_eq(count(), 1);
  end_of_test();
}

/* ---- Many rows ---- */

/* Adds rows from first on, named by their numbers, the second one without name and size. */
typedef struct things {
  int first, left;
  int code;      /* where there is none left */
  int columns;   /* more than a row has */
  char name[64]; /* of the last row */
} things_t;

static int next_thing(db_params_t *row, void *arg) {
  things_t *things = arg;
  int n = things->first++;
  if (things->left-- == 0)
    return -things->code;
  snprintf(things->name, sizeof things->name, "%d", n);
  db_add_id(row, id_of(n));
  db_add_text(row, text(n == 2 ? NULL : things->name));
  if (n == 2)
    db_add_null(row, DB_INT);
  else
    db_add_int(row, n);
  db_add_bool(row, n % 2 == 1);
  db_add_time(row, 1763700000000000 + n);
  for (int i = 0; i < things->columns; i++)
    db_add_int(row, i);
  return 1;
}

static int add_things(db_conn_t *conn, things_t things, int64_t *changed) {
  db_params_t shared = {.count = 0};
  db_add_id(&shared, NULL);
  return db_exec_rows(conn, on_postgresql() ? ADD_ROWS_PQ : ADD_ROWS, &shared, next_thing, &things, changed,
                      "adding", &test_error);
}

Test(db, many_rows_are_stored_by_one_call) {
  enum { MANY = 1234 };
  int64_t changed = -1;
  db_conn_t *conn = begin(DB_WRITE);
  cr_expect_eq(add_things(conn, (things_t){.first = 1, .left = 0}, &changed), STORE_OK);
  cr_expect_eq(changed, 0);
  cr_expect_eq(add_things(conn, (things_t){.first = 1, .left = MANY}, &changed), STORE_OK, "%s",
               test_error.text);
  cr_expect_eq(changed, MANY);
  cr_expect_eq(db_end(conn, STORE_OK, &test_error), STORE_OK, "%s", test_error.text);
  cr_expect_eq(count(), MANY);
  thing_t last = fetch(MANY), second = fetch(2);
  cr_expect_str_eq(last.name, "1234");
  cr_expect(last.size == MANY && !last.flag && last.at == 1763700000000000 + MANY);
  cr_expect(second.is_null[1] && second.is_null[2] && !second.is_null[3]);
  end_of_test();
}

Test(db, of_many_rows_those_are_counted_that_are_new) {
  int64_t changed = -1;
  store(100001, "3");
  db_conn_t *conn = begin(DB_WRITE);
  cr_expect_eq(add_things(conn, (things_t){.first = 1, .left = 5}, &changed), STORE_OK, "%s",
               test_error.text);
  cr_expect_eq(changed, 4);
  cr_expect_eq(db_end(conn, STORE_OK, &test_error), STORE_OK);
  end_of_test();
}

static void assert_rows_fail(things_t things, int code) {
  int64_t changed = -1;
  db_conn_t *conn = begin(DB_WRITE);
  cr_expect_eq(add_things(conn, things, &changed), code);
  cr_expect_eq(changed, -1);
  cr_expect_eq(add(conn, 100002, "another"), code);
  cr_expect_eq(db_end(conn, STORE_OK, &test_error), code);
  cr_expect_eq(count(), 1);
}

Test(db, many_rows_are_stored_all_or_none) {
  store(700, "seven hundred");
  assert_rows_fail((things_t){.first = 1, .left = 1234}, STORE_CONFLICT);
  assert_rows_fail((things_t){.first = 1, .left = 600, .code = STORE_CANCELLED}, STORE_CANCELLED);
  assert_rows_fail((things_t){.first = 1, .left = 0, .code = STORE_NOT_FOUND}, STORE_NOT_FOUND);
  assert_rows_fail((things_t){.first = 1, .left = 1, .columns = DB_COLUMNS_MAX - 4}, STORE_INVALID);
  end_of_test();
}

/* ---- Transactions ---- */

Test(db, a_transaction_happens_as_a_whole_or_not_at_all) {
  db_conn_t *conn = begin(DB_WRITE);
  cr_assert_eq(add(conn, 1, "one"), STORE_OK);
  cr_assert_eq(add(conn, 2, "two"), STORE_OK);
  cr_expect_eq(db_end(conn, STORE_NOT_FOUND, &test_error), STORE_NOT_FOUND);
  cr_expect_eq(count(), 0);
  conn = begin(DB_WRITE);
  cr_assert_eq(add(conn, 1, "one"), STORE_OK);
  cr_assert_eq(add(conn, 2, "two"), STORE_OK);
  cr_expect_eq(db_end(conn, STORE_OK, &test_error), STORE_OK);
  cr_expect_eq(count(), 2);
  end_of_test();
}

static void assert_is_taken(int n, const char *name) {
  db_conn_t *conn = begin(DB_WRITE);
  cr_assert_eq(add(conn, 7, "seven"), STORE_OK);
  cr_expect_eq(add(conn, n, name), STORE_CONFLICT);
  cr_expect_eq(add(conn, 8, "eight"), STORE_CONFLICT, "what comes after it is not done on its own");
  cr_expect_eq(db_end(conn, STORE_OK, &test_error), STORE_CONFLICT);
  cr_expect_eq(count(), 1);
}

Test(db, a_unique_key_in_use_is_taken) {
  store(1, "one");
  assert_is_taken(1, "another");
  assert_is_taken(2, "one");
  store(2, "two");
  store(7, "seven");
  end_of_test();
}

Test(db, a_reference_to_nothing_is_refused) {
  store(1, "one");
  db_params_t params = {.count = 0};
  db_add_id(&params, id_of(99));
  db_add_id(&params, id_of(1));
  db_conn_t *conn = begin(DB_WRITE);
  int code = db_exec(conn, SET_PARENT, &params, NULL, NULL, NULL, "changing", &test_error);
  cr_expect_eq(code, STORE_FAILED);
  cr_expect_not_null(test_error.brief);
  cr_expect_eq(db_end(conn, code, &test_error), STORE_FAILED);
  end_of_test();
}

static bool on_number(const db_row_t *row, void *arg) {
  *(int64_t *)arg = db_int(row, 0);
  return true;
}

Test(db, reading_sees_one_state_and_cannot_change_it) {
  int64_t found = -1;
  store(1, "one");
  db_conn_t *conn = begin(DB_READ);
  for (int i = 2; i < 5; i++) {
    cr_expect_eq(db_exec(conn, COUNT, NULL, on_number, &found, NULL, "counting", &test_error), STORE_OK);
    cr_expect_eq(found, 1);
    store(i, NULL);
  }
  cr_expect_eq(add(conn, 9, "nine"), STORE_FAILED);
  cr_expect_eq(db_end(conn, STORE_OK, &test_error), STORE_FAILED);
  cr_expect_eq(count(), 4);
  end_of_test();
}

Test(db, reading_once_sees_what_is_committed_and_leaves_nothing_open) {
  int64_t found = -1;
  store(1, "one");
  db_conn_t *writing = begin(DB_WRITE);
  cr_assert_eq(add(writing, 2, "two"), STORE_OK);
  for (int i = 0; i < 5; i++) { /* on each of the readers */
    db_conn_t *conn = begin(DB_READ_ONCE);
    int code = db_exec(conn, COUNT, NULL, on_number, &found, NULL, "counting", &test_error);
    cr_expect_eq(db_end(conn, code, &test_error), STORE_OK, "%s", test_error.text);
    cr_expect_eq(found, 1);
    conn = begin(DB_READ_ONCE);
    code = db_exec_sql(conn, "SELECT nothing FROM nowhere", NULL, NULL, NULL, "reading", &test_error);
    cr_expect_eq(db_end(conn, code, &test_error), STORE_FAILED);
  }
  cr_expect_eq(db_end(writing, STORE_OK, &test_error), STORE_OK, "%s", test_error.text);
  cr_expect_eq(count(), 2);
  end_of_test();
}

/* The number of polls until the token cancels; below 0: it never does. */
static bool stop_after(void *arg) {
  int *times = arg;
  return *times >= 0 && (*times)-- == 0;
}

static int ask_for_ever(db_conn_t *conn) {
  return db_exec_sql(conn,
                     "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < "
                     "2000000000) SELECT count(*) FROM numbers",
                     NULL, NULL, NULL, "counting", &test_error);
}

/* Cancels during a statement, or before it. */
static void assert_stops(enum db_mode mode, int times) {
  int code, left = -1;
  db_conn_t *conn = db_begin(test_db, mode, (cancel_token_t){stop_after, &left}, &code, &test_error);
  cr_assert_not_null(conn, "%s", test_error.text);
  left = times;
  cr_expect_eq(ask_for_ever(conn), STORE_CANCELLED);
  cr_expect_eq(db_end(conn, STORE_OK, &test_error), STORE_CANCELLED);
}

Test(db, work_ends_when_nobody_waits_for_it) {
  for (int times = 0; times < 4; times++) {
    assert_stops(DB_READ, times);
    assert_stops(DB_WRITE, times);
  }
  store(1, "one");
  cr_expect_eq(count(), 1);
  end_of_test();
}

Test(db, what_is_committing_is_committed) {
  int code, left = -1;
  db_conn_t *conn = db_begin(test_db, DB_WRITE, (cancel_token_t){stop_after, &left}, &code, &test_error);
  cr_assert_eq(add(conn, 1, "one"), STORE_OK);
  left = 0;
  cr_expect_eq(db_end(conn, STORE_OK, &test_error), STORE_OK, "%s", test_error.text);
  cr_expect_eq(count(), 1);
  end_of_test();
}

/* ---- Several at once ---- */

enum { THREADS = 6, TIMES = 30 };

static void *grow(void *arg) {
  store_error_t error;
  for (int i = 0; i < TIMES; i++) {
    int code;
    char id[MCP_UUID_SIZE] = "00000000-0000-4000-8000-000000000001";
    db_params_t params = {.count = 0};
    db_add_id(&params, id);
    db_conn_t *conn = db_begin(test_db, DB_WRITE, never, &code, &error);
    if (conn == NULL ||
        db_end(conn, db_exec(conn, GROW, &params, NULL, NULL, NULL, "growing", &error), &error) != STORE_OK)
      return NULL;
  }
  return arg;
}

Test(db, threads_write_side_by_side) {
  pthread_t threads[THREADS];
  store(1, "one");
  for (int i = 0; i < THREADS; i++)
    cr_assert_eq(pthread_create(&threads[i], NULL, grow, &test_db), 0);
  for (int i = 0; i < THREADS; i++) {
    void *result;
    pthread_join(threads[i], &result);
    cr_expect_not_null(result);
  }
  cr_expect_eq(fetch(1).size, 1 + THREADS * TIMES);
  end_of_test();
}

Test(db, a_wait_for_a_connection_ends_when_nobody_waits_for_it) {
  enum { WRITERS_MAX = 4 };
  int code, left = 2, writers = on_postgresql() ? WRITERS_MAX : 1;
  const cancel_token_t cancel = {stop_after, &left};
  db_conn_t *conns[WRITERS_MAX];
  for (int i = 0; i < writers; i++)
    conns[i] = begin(DB_WRITE);
  cr_expect_null(db_begin(test_db, DB_WRITE, cancel, &code, &test_error));
  cr_expect_eq(code, STORE_CANCELLED);
  left = 2;
  cr_expect_eq(db_check(test_db, 0, cancel, &test_error), STORE_CANCELLED);
  for (int i = 0; i < writers; i++)
    cr_expect_eq(db_end(conns[i], STORE_OK, &test_error), STORE_OK);
  store(1, "one");
  end_of_test();
}

Test(db, one_reader_too_many_is_told_so) {
  enum { READERS = 4 };
  int code;
  db_conn_t *conns[READERS];
  for (int i = 0; i < READERS; i++)
    conns[i] = begin(DB_READ);
  cr_expect_null(db_begin(test_db, DB_READ, never, &code, &test_error));
  cr_expect_eq(code, STORE_BUSY);
  store(1, "one");
  for (int i = 0; i < READERS; i++)
    cr_expect_eq(db_end(conns[i], STORE_OK, &test_error), STORE_OK);
  cr_expect_eq(count(), 1);
  end_of_test();
}

/* ---- Versions ---- */

static db_spec_t plan_of(int version) {
  db_spec_t spec = test_spec;
  spec.migration_count = version;
  return spec;
}

Test(versions, a_database_is_brought_up_to_date_and_loses_nothing) {
  db_spec_t old = plan_of(1);
  test_db = open_with(&old);
  cr_assert_not_null(test_db, "%s", test_error.text);
  store(1, "of old");
  db_close(test_db);
  for (int i = 0; i < 2; i++) { /* once is enough */
    test_db = open_with(&test_spec);
    cr_assert_not_null(test_db, "%s", test_error.text);
    cr_expect_str_eq(fetch(1).name, "of old");
    db_params_t params = {.count = 0};
    db_add_id(&params, id_of(1));
    db_add_id(&params, id_of(1));
    db_conn_t *conn = begin(DB_WRITE);
    int code = db_exec(conn, SET_PARENT, &params, NULL, NULL, NULL, "changing", &test_error);
    cr_expect_eq(db_end(conn, code, &test_error), STORE_OK, "%s", test_error.text);
    if (i == 0)
      db_close(test_db);
  }
  end_of_test();
}

Test(versions, a_newer_one_is_refused_and_left_alone) {
  db_spec_t old = plan_of(1);
  test_db = open_with(&test_spec);
  store(1, "one");
  db_close(test_db);
  cr_expect_null(open_with(&old));
  cr_expect_not_null(strstr(test_error.text, "the database was made by a newer version"), "%s",
                     test_error.text);
  test_db = open_with(&test_spec);
  cr_assert_not_null(test_db, "%s", test_error.text);
  cr_expect_eq(count(), 1);
  end_of_test();
}

Test(versions, another_programs_tables_are_refused_and_left_alone) {
  run_as_other_program("CREATE TABLE things(what text)");
  run_as_other_program("INSERT INTO things VALUES('still there')");
  cr_expect_null(open_with(&test_spec));
  cr_expect_neq(test_error.text[0], '\0');
  run_as_other_program("UPDATE things SET what = 'as it was' WHERE what = 'still there'");
  run_as_other_program("INSERT INTO things SELECT what FROM things WHERE what = 'as it was'");
  end_of_test();
}

static const char *const broken[] = {"CREATE TABLE things(id uuid NOT NULL PRIMARY KEY)",
                                     "CREATE TABLE more(id uuid NOT NULL PRIMARY KEY); this is no SQL"};

Test(versions, a_step_that_fails_changes_nothing) {
  db_spec_t spec = test_spec;
  spec.migrations = broken;
  cr_expect_null(open_with(&spec));
  test_db = open_with(&test_spec);
  cr_assert_not_null(test_db, "%s", test_error.text);
  end_of_test();
}

static void *open_on_thread(void *arg) {
  db_t **db = arg;
  store_error_t error;
  int code = db_check(*db, 0, never, &error);
  return code == STORE_OK ? arg : NULL;
}

Test(versions, several_may_prepare_it_at_once) {
  enum { DATABASES = 5 };
  pthread_t threads[DATABASES];
  db_t *dbs[DATABASES];
  for (int i = 0; i < DATABASES; i++) {
    dbs[i] = open_unchecked(&test_spec);
    cr_assert_eq(pthread_create(&threads[i], NULL, open_on_thread, &dbs[i]), 0);
  }
  for (int i = 0; i < DATABASES; i++) {
    void *result;
    pthread_join(threads[i], &result);
    cr_expect_not_null(result);
    db_close(dbs[i]);
  }
  test_db = open_with(&test_spec);
  store(1, "one");
  end_of_test();
}
