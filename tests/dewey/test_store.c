/* test_store.c: log lines in the store, one process: store, query, clear, count. */
#include "store_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define end_store end_of_test

TestSuite(store, .init = make_store, .fini = remove_directory);

/* Asserts that the filter finds these entries, in this order. */
#define ASSERT_FINDS(filter, numbers)                                                                        \
  do {                                                                                                       \
    find_all(filter);                                                                                        \
    cr_assert_str_eq(found_numbers(), numbers);                                                              \
  } while (0)

/* ---- Storing ---- */

CASE(store, the_same_id_and_time_is_stored_once) {
  cr_assert_eq(store_many(0, 100), 100);
  cr_assert_eq(store_many(50, 100), 50);
  cr_assert_eq(store_many(0, 150), 0);
  cr_assert_eq(find_all(everything()), 150);
}

CASE(store, a_duplicate_within_one_batch_is_stored_once) {
  log_entry_t twice[2] = {entry(1), entry(1)};
  size_t inserted;
  cr_assert_eq(test_store->batch(test_store, twice, 2, &inserted, &test_error), STORE_OK);
  cr_assert_eq(inserted, 1);
}

CASE(store, the_same_id_at_another_time_is_another_line) {
  log_entry_t one = entry(1);
  store_one(one);
  one.created_at++;
  store_one(one);
  cr_assert_eq(find_all(everything()), 2);
}

static bool same_json(mcp_text_t a, mcp_text_t b) {
  yyjson_doc *docs[] = {a.ptr != NULL ? yyjson_read(a.ptr, a.len, 0) : NULL,
                        b.ptr != NULL ? yyjson_read(b.ptr, b.len, 0) : NULL};
  bool same = docs[0] == NULL || docs[1] == NULL
                  ? a.ptr == b.ptr
                  : yyjson_equals(yyjson_doc_get_root(docs[0]), yyjson_doc_get_root(docs[1]));
  yyjson_doc_free(docs[0]);
  yyjson_doc_free(docs[1]);
  return same;
}

static bool compare_row(const log_entry_t *row, void *arg) {
  const log_entry_t *wanted = arg;
  cr_expect_str_eq(row->id, wanted->id);
  cr_expect_eq(row->created_at, wanted->created_at);
  cr_expect_eq(row->level, wanted->level);
  const mcp_text_t got[] = {row->component, row->message, row->trace_id};
  const mcp_text_t want[] = {wanted->component, wanted->message, wanted->trace_id};
  cr_expect(same_json(row->data, wanted->data));
  for (int i = 0; i < 3; i++) {
    cr_expect_eq(got[i].ptr == NULL, want[i].ptr == NULL, "text %d", i);
    cr_expect_eq(got[i].len, want[i].len, "text %d", i);
    cr_expect(want[i].ptr == NULL || memcmp(got[i].ptr, want[i].ptr, want[i].len) == 0, "text %d", i);
  }
  return true;
}

static void assert_comes_back(log_entry_t one) {
  store_one(one);
  log_filter_t filter = everything();
  filter.start_us = filter.end_us = one.created_at;
  cr_assert_eq(test_store->query(test_store, &filter, never, compare_row, &one, &test_error), STORE_OK);
  cr_assert_eq(find_all(filter), 1);
}

CASE(store, a_row_comes_back_as_it_was) {
  log_entry_t one = entry(1);
  strcpy(one.id, "01234567-89ab-7def-8123-456789abcdef");
  one.trace_id = text("trace \xc3\xbc");
  one.data = text("{\"a\":[1,{\"b\":null}]}");
  one.message = text("two\nlines, \"quoted\" \\ \xf0\x9f\x93\x9c");
  assert_comes_back(one);
}

CASE(store, missing_and_empty_texts_differ) {
  log_entry_t one = entry(1);
  assert_comes_back(one);
  one = entry(2);
  one.trace_id = one.component = one.message = text("");
  assert_comes_back(one);
}

CASE(store, times_before_1970_and_far_ahead_are_kept) {
  log_entry_t one = entry(1);
  one.created_at = -1;
  assert_comes_back(one);
  one.created_at = 253402300799999999; /* the end of 9999 */
  assert_comes_back(one);
}

CASE(store, a_large_message_is_stored_whole_and_indexed_at_its_beginning) {
  enum { LEN = 250 * 1024 };
  char *message = malloc(LEN);
  memset(message, ' ', LEN);
  memcpy(message, "beginning", 9);
  memcpy(message + 65536 - 6, "inside", 6);
  memcpy(message + LEN - 7, "outside", 7);
  log_entry_t one = entry(1);
  one.message = (mcp_text_t){message, LEN};
  assert_comes_back(one);
  log_filter_t filter = everything();
  filter.search = text("beginning inside");
  cr_expect_eq(find_all(filter), 1);
  filter.search = text("outside");
  cr_expect_eq(find_all(filter), 0);
  const log_clear_t all = {.before_us = INT64_MAX, .level = -1};
  uint64_t deleted;
  cr_expect_eq(test_store->clear(test_store, &all, never, &deleted, &test_error), STORE_OK);
  filter.search = text("beginning");
  cr_expect_eq(find_all(filter), 0);
  free(message);
}

/* ---- Finding ---- */

CASE(store, rows_come_newest_first_and_by_id_at_the_same_time) {
  const int order[] = {4, 1, 5, 3, 2};
  for (int i = 0; i < 5; i++) {
    log_entry_t one = entry(order[i]);
    one.created_at = order[i] >= 4 ? time_of(1) : time_of(order[i]);
    store_one(one);
  }
  ASSERT_FINDS(everything(), "3 2 5 4 1");
}

CASE(store, a_filter_without_matches_finds_nothing) {
  store_many(0, 10);
  log_filter_t filter = everything();
  filter.component = text("beta");
  cr_assert_eq(find_all(filter), 0);
}

CASE(store, component_trace_and_time_filter) {
  for (int i = 0; i < 8; i++) {
    log_entry_t one = entry(i);
    one.component = text(i % 2 ? "alpha" : "beta");
    one.trace_id = i < 4 ? text("t1") : i < 6 ? text("t2") : (mcp_text_t){NULL, 0};
    store_one(one);
  }
  log_filter_t filter = everything();
  filter.component = text("beta");
  ASSERT_FINDS(filter, "6 4 2 0");
  filter.trace_id = text("t1");
  ASSERT_FINDS(filter, "2 0");
  filter.component = (mcp_text_t){NULL, 0};
  ASSERT_FINDS(filter, "3 2 1 0");
  filter = everything();
  filter.start_us = time_of(3);
  ASSERT_FINDS(filter, "7 6 5 4 3");
  filter.end_us = time_of(5);
  ASSERT_FINDS(filter, "5 4 3");
  filter.start_us = time_of(6);
  ASSERT_FINDS(filter, "");
}

CASE(store, the_level_is_a_minimum) {
  for (int i = 0; i < 10; i++) {
    log_entry_t one = entry(i);
    one.level = i % 5;
    one.component = text(i < 5 ? "alpha" : "beta");
    store_one(one);
  }
  log_filter_t filter = everything();
  const char *const expected[] = {"9 8 7 6 5 4 3 2 1 0", "9 8 7 6 4 3 2 1", "9 8 7 4 3 2", "9 8 4 3", "9 4"};
  const char *const of_alpha[] = {"4 3 2 1 0", "4 3 2 1", "4 3 2", "4 3", "4"};
  for (filter.min_level = MCP_LOG_TRACE; filter.min_level <= MCP_LOG_ERROR; filter.min_level++) {
    filter.component = (mcp_text_t){NULL, 0};
    ASSERT_FINDS(filter, expected[filter.min_level]);
    filter.component = text("alpha");
    ASSERT_FINDS(filter, of_alpha[filter.min_level]);
  }
}

static void store_messages(const char *const *messages, int count) {
  for (int i = 0; i < count; i++) {
    log_entry_t one = entry(i);
    one.message = text(messages[i]);
    one.level = i % 2 ? MCP_LOG_INFO : MCP_LOG_ERROR;
    store_one(one);
  }
}

CASE(store, search_finds_rows_with_all_words) {
  const char *const messages[] = {"Connection to Redis lost", "connection REDIS back", "redis", "nothing",
                                  "call of dewey_store_logs_batch from 10.0.0.7"};
  store_messages(messages, 5);
  log_filter_t filter = everything();
  filter.search = text("redis");
  ASSERT_FINDS(filter, "2 1 0");
  filter.search = text("redis connection");
  ASSERT_FINDS(filter, "1 0");
  filter.search = text("10.0.0.7 dewey_store");
  ASSERT_FINDS(filter, "4");
  filter.search = text("0.10.0.7");
  ASSERT_FINDS(filter, "");
  filter.search = text("redis");
  filter.min_level = MCP_LOG_ERROR;
  ASSERT_FINDS(filter, "2 0");
  filter.limit = 1;
  ASSERT_FINDS(filter, "2");
}

CASE(store, nothing_that_is_typed_is_an_operator_of_the_search) {
  const char *const messages[] = {"one AND two", "say \"hello\" to * and ^", "NEAR miss"};
  store_messages(messages, 3);
  const char *const typed[][2] = {{"\"", ""},
                                  {"\"hello", "1"},
                                  {"AND", "1 0"},
                                  {"AND one", "0"},
                                  {"one OR zero", ""},
                                  {"NOT", ""},
                                  {"NEAR(one two)", ""},
                                  {"hel*", ""},
                                  {"message:one", ""},
                                  {"^one", "0"},
                                  {"(one", "0"},
                                  {"one)", "0"},
                                  {"{one}", "0"},
                                  {"- + -", ""},
                                  {"one - two", "0"},
                                  {"near", "2"},
                                  {"'; DROP TABLE logs; --", ""},
                                  {"\"\"\"\" \"", ""},
                                  {"one\ttwo\n", "0"}};
  for (size_t i = 0; i < sizeof typed / sizeof *typed; i++) {
    log_filter_t filter = everything();
    filter.search = text(typed[i][0]);
    find_all(filter);
    cr_expect_str_eq(found_numbers(), typed[i][1], "%s: %s", typed[i][0], found_numbers());
  }
}

CASE(store, a_search_for_blanks_finds_nothing_and_many_words_are_fine) {
  store_many(0, 3);
  log_filter_t filter = everything();
  filter.search = text(" \t ");
  ASSERT_FINDS(filter, "");
  filter.search = (mcp_text_t){"\0message\0", 9};
  ASSERT_FINDS(filter, "2 1 0");
  char words[1025];
  for (int i = 0; i < 1024; i++)
    words[i] = i % 2 ? ' ' : 'a';
  words[1024] = '\0';
  filter.search = text(words);
  ASSERT_FINDS(filter, "");
}

/* More matches than are sorted: candidates are checked in rounds. */
CASE(store, search_and_data_go_through_many_rows) {
  enum { BATCH = 1000, BATCHES = 60 };
  for (int i = 0; i < BATCHES; i++)
    store_many(i * BATCH, BATCH);
  log_entry_t one = entry(70000);
  one.created_at = time_of(-1);
  one.message = text("message of old");
  one.data = text("{\"k\":1}");
  store_one(one);
  log_filter_t filter = everything();
  filter.search = text("message");
  cr_assert_eq(find_all(filter), 1001);
  cr_assert_eq(test_found.created_at[0], time_of(BATCH * BATCHES - 1));
  for (int i = 1; i < 1001; i++)
    cr_assert_eq(test_found.created_at[i], test_found.created_at[i - 1] - 1000000);
  filter.start_us = filter.end_us = time_of(-1);
  ASSERT_FINDS(filter, "70000");
  filter = everything();
  filter.data = text("{\"k\":1}");
  ASSERT_FINDS(filter, "70000");
  filter.component = text("alpha");
  ASSERT_FINDS(filter, "70000");
  filter.search = text("message");
  ASSERT_FINDS(filter, "70000");
}

CASE(store, data_finds_rows_that_contain_it) {
  const char *const data[] = {"{\"a\":1,\"b\":{\"c\":[1,2,{\"d\":true}]}}",
                              "{\"a\":1.0}",
                              "{\"a\":\"1\"}",
                              "[{\"a\":1}]",
                              NULL,
                              "{}",
                              "{\"a\":null,\"b\":{}}",
                              "{\"a\":-0.0,\"c\":{\"a\":7}}"};
  for (int i = 0; i < 8; i++) {
    log_entry_t one = entry(i);
    one.data = data[i] != NULL ? text(data[i]) : (mcp_text_t){NULL, 0};
    store_one(one);
  }
  const char *const wanted[][2] = {{"{}", "7 6 5 2 1 0"},
                                   {"{\"a\":1}", "1 0"},
                                   {"{\"b\":{}}", "6 0"},
                                   {"{\"b\":{\"c\":[2]}}", "0"},
                                   {"{\"b\":{\"c\":[{\"d\":true},1,1]}}", "0"},
                                   {"{\"b\":{\"c\":[3]}}", ""},
                                   {"{\"a\":null}", "6"},
                                   {"{\"a\":\"1\"}", "2"},
                                   {"{\"a\":0}", "7"},
                                   {"{\"a\":7}", ""},
                                   {"{\"c\":{\"a\":7.0}}", "7"}};
  for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
    log_filter_t filter = everything();
    filter.data = text(wanted[i][0]);
    find_all(filter);
    cr_expect_str_eq(found_numbers(), wanted[i][1], "%s: %s", wanted[i][0], found_numbers());
    filter.component = text("alpha");
    find_all(filter);
    cr_expect_str_eq(found_numbers(), wanted[i][1], "%s of alpha: %s", wanted[i][0], found_numbers());
  }
}

/* More rows than are taken from an index at once. */
CASE(store, data_with_many_values_is_found_by_each) {
  enum { VALUES = 1000 };
  char json[VALUES * 20] = "{", wanted[32];
  for (int i = 0; i < VALUES; i++)
    sprintf(json + strlen(json), "%s\"k%d\":%d", i > 0 ? "," : "", i, i);
  strcat(json, "}");
  log_entry_t one = entry(1);
  one.data = text(json);
  store_one(one);
  store_many(2, 10);
  log_filter_t filter = everything();
  for (int i = 0; i < VALUES; i += 111) {
    sprintf(wanted, "{\"k%d\":%d}", i, i);
    filter.data = text(wanted);
    ASSERT_FINDS(filter, "1");
    filter.search = text("message");
    ASSERT_FINDS(filter, "1");
    filter.search = (mcp_text_t){NULL, 0};
    sprintf(wanted, "{\"k%d\":%d}", i, i + 1);
    filter.data = text(wanted);
    ASSERT_FINDS(filter, "");
  }
  filter.data = text(json);
  ASSERT_FINDS(filter, "1");
}

/* A frequent word in a search with few candidates. */
CASE(store, a_frequent_word_is_found_among_sparse_rows) {
  for (int i = 0; i < 60; i++)
    store_many(i * 1000, 1000);
  for (int i = 0; i < 400; i++) {
    log_entry_t one = entry(100000 + i);
    one.created_at = time_of(i * 150);
    one.level = MCP_LOG_ERROR;
    one.message = text(i % 2 ? "message of an error" : "nothing");
    store_one(one);
  }
  log_filter_t filter = everything();
  filter.min_level = MCP_LOG_ERROR;
  filter.search = text("message");
  cr_assert_eq(find_all(filter), 200);
  filter.data = text("{\"k\":1}");
  cr_assert_eq(find_all(filter), 0);
}

CASE(store, all_combinations_of_filters_work) {
  log_entry_t one = entry(1);
  one.trace_id = text("t");
  one.level = MCP_LOG_ERROR;
  one.data = text("{\"k\":1}");
  store_one(one);
  for (int mask = 0; mask < 16 * 5; mask++) {
    log_filter_t filter = everything();
    const mcp_text_t none = {NULL, 0};
    filter.component = mask & 1 ? text("alpha") : none;
    filter.trace_id = mask & 2 ? text("t") : none;
    filter.search = mask & 4 ? text("message") : none;
    filter.data = mask & 8 ? text("{\"k\":1}") : none;
    filter.min_level = mask / 16;
    cr_expect_eq(find_all(filter), 1, "mask %d", mask);
    filter.trace_id = mask & 2 ? text("u") : none;
    cr_expect_eq(find_all(filter), mask & 2 ? 0 : 1, "mask %d, another trace", mask);
  }
}

CASE(store, the_reader_may_have_enough) {
  store_many(0, 10);
  test_found.enough = 3;
  ASSERT_FINDS(everything(), "9 8 7");
}

/* ---- Pages ---- */

/* Reads all entries below 1000000 in pages while others arrive, and asserts that each is returned once. */
static void assert_pages(log_filter_t filter, int total) {
  static bool seen[5000];
  int pages = 0, rows = 0;
  filter.limit = 37;
  do {
    int count = find_all(filter);
    for (int i = 0; i < count; i++) {
      int number = atoi(test_found.ids[i] + 24);
      cr_assert(number < 1000000 && !seen[number], "%d twice, or too new", number);
      seen[number] = true;
    }
    rows += count;
    if (count < filter.limit)
      break;
    filter.after = true;
    filter.after_us = test_found.created_at[count - 1];
    strcpy(filter.after_id, test_found.ids[count - 1]);
    store_many(1000000 + pages++ * 10, 10);
  } while (true);
  cr_assert_eq(rows, total);
}

CASE(store, pages_read_each_row_once_while_new_ones_arrive) {
  store_many(0, 1000);
  assert_pages(everything(), 1000);
}

CASE(store, pages_read_each_row_once_when_all_have_the_same_time) {
  for (int i = 0; i < 300; i++) {
    log_entry_t one = entry(i);
    one.created_at = time_of(0);
    one.level = i % 5;
    store_one(one);
  }
  log_filter_t filter = everything();
  filter.end_us = time_of(1);
  filter.component = text("alpha");
  assert_pages(filter, 300);
}

CASE(store, a_page_never_goes_behind_the_end_time) {
  store_many(0, 10);
  log_filter_t filter = everything();
  filter.after = true;
  filter.after_us = time_of(8);
  strcpy(filter.after_id, entry(8).id);
  filter.end_us = time_of(4);
  ASSERT_FINDS(filter, "4 3 2 1 0");
}

/* ---- Clearing ---- */

static uint64_t clear(log_clear_t what) {
  uint64_t deleted;
  int code = test_store->clear(test_store, &what, never, &deleted, &test_error);
  cr_assert_eq(code, STORE_OK, "%s", test_error.text);
  return deleted;
}

static uint64_t count(log_clear_t what) {
  uint64_t counted;
  int code = test_store->count(test_store, &what, never, &counted, &test_error);
  cr_assert_eq(code, STORE_OK, "%s", test_error.text);
  return counted;
}

static void store_for_clearing(void) {
  for (int i = 0; i < 10; i++) {
    log_entry_t one = entry(i);
    one.component = text(i % 2 ? "alpha" : "beta");
    one.level = i % 5;
    store_one(one);
  }
}

CASE(store, clear_by_time_spares_the_time_itself) {
  store_for_clearing();
  cr_assert_eq(clear((log_clear_t){.before_us = time_of(3), .level = -1}), 3);
  ASSERT_FINDS(everything(), "9 8 7 6 5 4 3");
}

CASE(store, clear_by_component) {
  store_for_clearing();
  cr_assert_eq(clear((log_clear_t){.before_us = time_of(6), .level = -1, .component = text("beta")}), 3);
  ASSERT_FINDS(everything(), "9 8 7 6 5 3 1");
}

CASE(store, clear_by_level_takes_this_level_alone) {
  store_for_clearing();
  cr_assert_eq(clear((log_clear_t){.before_us = INT64_MAX, .level = MCP_LOG_INFO}), 2);
  ASSERT_FINDS(everything(), "9 8 6 5 4 3 1 0");
}

CASE(store, clear_by_component_and_level) {
  store_for_clearing();
  cr_assert_eq(
      clear((log_clear_t){.before_us = INT64_MAX, .level = MCP_LOG_INFO, .component = text("alpha")}), 1);
  ASSERT_FINDS(everything(), "9 8 6 5 4 3 2 1 0");
}

CASE(store, clear_takes_the_words_out_of_the_index_too) {
  store_many(0, 1500);
  cr_assert_eq(clear((log_clear_t){.before_us = time_of(1200), .level = -1}), 1200);
  log_filter_t filter = everything();
  filter.search = text("message");
  cr_assert_eq(find_all(filter), 300);
  filter.search = text("7");
  cr_assert_eq(find_all(filter), 0);
  store_many(0, 10);
  cr_assert_eq(find_all(filter), 1);
}

CASE(store, what_would_be_cleared_is_counted) {
  for (int mask = 0; mask < 8; mask++) {
    store_for_clearing();
    log_clear_t what = {.before_us = mask & 1 ? time_of(6) : INT64_MAX,
                        .level = mask & 2 ? MCP_LOG_INFO : -1};
    what.component = mask & 4 ? text("beta") : (mcp_text_t){NULL, 0};
    uint64_t counted = count(what);
    cr_expect_eq(find_all(everything()), 10, "mask %d", mask);
    cr_expect_eq(clear(what), counted, "mask %d", mask);
    cr_expect_gt(counted, 0, "mask %d", mask);
    cr_expect_eq(count(what), 0, "mask %d", mask);
    clear((log_clear_t){.before_us = INT64_MAX, .level = -1});
  }
}

static bool after_two_steps(void *arg) {
  int *execution = arg;
  return ++*execution > 2;
}

CASE(store, clear_ends_between_its_steps_when_told) {
  store_many(0, 3000);
  int execution = 0;
  const log_clear_t all = {.before_us = INT64_MAX, .level = MCP_LOG_INFO};
  uint64_t deleted;
  int code = test_store->clear(test_store, &all, (cancel_token_t){after_two_steps, &execution}, &deleted,
                               &test_error);
  cr_assert_eq(code, STORE_CANCELLED);
  cr_assert_gt(deleted, 0);
  cr_assert_lt(deleted, 3000);
}

/* ---- Statistics ---- */

static void on_count(mcp_text_t component, int64_t count, void *arg) {
  int64_t *counts = arg;
  counts[component.ptr[0] - 'a'] += count;
}

CASE(store, stats_count_everything) {
  store_for_clearing();
  log_stats_t stats;
  int64_t counts[2] = {0, 0};
  cr_assert_eq(test_store->stats(test_store, &stats, never, on_count, counts, &test_error), STORE_OK);
  cr_expect_eq(stats.total, 10);
  cr_expect_eq(counts[0], 5);
  cr_expect_eq(counts[1], 5);
  for (int level = 0; level < 5; level++)
    cr_expect_eq(stats.by_level[level], 2);
  cr_expect_eq(stats.oldest_us, time_of(0));
  cr_expect_eq(stats.newest_us, time_of(9));
  cr_expect_gt(stats.bytes, 4096);
}

CASE(store, stats_of_nothing) {
  log_stats_t stats;
  int64_t counts[2] = {0, 0};
  cr_assert_eq(test_store->stats(test_store, &stats, never, on_count, counts, &test_error), STORE_OK);
  cr_expect_eq(stats.total, 0);
}

/* ---- Trouble ---- */

static bool at_once(void *arg) {
  (void)arg;
  return true;
}

static bool on_any_row(const log_entry_t *row, void *arg) {
  (void)row;
  (void)arg;
  return true;
}

CASE(store, a_long_query_ends_when_told) {
  for (int i = 0; i < 20; i++)
    store_many(i * 1000, 1000);
  log_filter_t filter = everything();
  filter.data = text("{\"nobody\":\"has this\"}");
  log_entry_t one = entry(30000);
  one.data = text("{}");
  store_one(one);
  int code =
      test_store->query(test_store, &filter, (cancel_token_t){at_once, NULL}, on_any_row, NULL, &test_error);
  cr_assert_eq(code, STORE_CANCELLED);
  cr_assert_eq(find_all(everything()), 1001, "the connection works again");
}

/* ---- Opening ---- */

CASE(store, what_was_stored_is_there_after_opening_again) {
  store_many(0, 10);
  reopen();
  cr_assert_eq(find_all(everything()), 10);
  cr_assert_eq(store_many(0, 10), 0);
}
