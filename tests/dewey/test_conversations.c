/* test_conversations.c: conversations in the store: begin, continue, read, list, delete. */
#include "conversations_test.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define end_conversations end_of_test

TestSuite(conversations, .init = make_store, .fini = remove_directory);

static char listed[256];
static int64_t listed_total;

static bool on_listed(const conversation_t *row, void *arg) {
  size_t used = strlen(listed);
  (void)arg;
  snprintf(listed + used, sizeof listed - used, "%s%d(%lld)", used > 0 ? " " : "", atoi(row->id + 24),
           (long long)row->messages);
  return true;
}

static const char *list(conversation_page_t page) {
  listed[0] = '\0';
  int code = test_store->list(test_store, &page, never, on_listed, NULL, &listed_total, &test_error);
  cr_assert_eq(code, STORE_OK, "%s", test_error.text);
  return listed;
}

/* ---- Storing ---- */

CASE(conversations, turns_count_on_from_the_last) {
  int64_t turn = 0;
  cr_assert_eq(begin_in(1, NULL), STORE_OK);
  cr_assert_eq(add_to(1, (source_t){.first = 1, .count = 2}, &turn), STORE_OK);
  cr_expect_eq(turn, 2);
  cr_assert_eq(add_to(1, (source_t){.first = 3, .count = 1, .turn = 7}, &turn), STORE_OK);
  cr_assert_eq(add_to(1, (source_t){.first = 4, .count = 1, .turn = 5}, &turn), STORE_OK);
  cr_assert_eq(add_to(1, (source_t){.first = 5, .count = 1}, &turn), STORE_OK);
  cr_expect_eq(turn, 8);
  cr_assert_eq(read_back(1), STORE_OK);
  cr_expect_str_eq(read_text, "1:message 1 2:message 2 5:message 4 7:message 3 8:message 5");
  cr_expect_eq(read_conversation.updated_at, time_of(1001));
  cr_expect_eq(read_conversation.created_at, time_of(1));
}

CASE(conversations, a_turn_is_taken_once_and_turns_end) {
  cr_assert_eq(begin_in(1, NULL), STORE_OK);
  cr_assert_eq(add_to(1, (source_t){.first = 1, .count = 1, .turn = STORE_TURN_MAX}, NULL), STORE_OK);
  cr_expect_eq(add_to(1, (source_t){.first = 2, .count = 1, .turn = STORE_TURN_MAX}, NULL), STORE_CONFLICT);
  cr_expect_eq(add_to(1, (source_t){.first = 2, .count = 1}, NULL), STORE_CONFLICT);
  cr_expect_eq(add_to(1, (source_t){.first = 2, .count = 1, .turn = 1}, NULL), STORE_OK);
}

CASE(conversations, all_messages_are_stored_or_none) {
  cr_assert_eq(begin_in(1, NULL), STORE_OK);
  cr_expect_eq(add_to(1, (source_t){.first = 1, .count = 9, .fail_at = 5}, NULL), STORE_CANCELLED);
  cr_expect_eq(add_to(1, (source_t){.first = 1, .count = 2, .turn = 3}, NULL), STORE_CONFLICT);
  cr_assert_eq(read_back(1), STORE_OK);
  cr_expect_str_eq(read_text, "");
  cr_expect_eq(read_conversation.updated_at, time_of(1));
  conversation_t other = {.created_at = 1, .updated_at = 1};
  source_t source = {.first = 1, .count = 9, .fail_at = 5};
  id_of(2, other.id);
  cr_expect_eq(test_store->add(test_store, &other, true, next_message, &source, NULL, &test_error),
               STORE_CANCELLED);
  cr_expect_eq(read_back(2), STORE_NOT_FOUND);
}

CASE(conversations, what_is_not_there_is_none) {
  char id[MCP_UUID_SIZE];
  int64_t messages;
  id_of(1, id);
  cr_expect_eq(add_to(1, (source_t){.count = 1}, NULL), STORE_NOT_FOUND);
  cr_expect_eq(read_back(1), STORE_NOT_FOUND);
  cr_expect_eq(test_store->remove(test_store, id, &messages, &test_error), STORE_NOT_FOUND);
  cr_expect_eq(begin_in(1, NULL), STORE_OK, "nothing was left open");
}

static void *add_on_thread(void *arg) {
  source_t source = {.first = *(int *)arg, .count = 25};
  conversation_t conversation = {.updated_at = 1};
  store_error_t error;
  id_of(1, conversation.id);
  return test_store->add(test_store, &conversation, false, next_message, &source, NULL, &error) == STORE_OK
             ? arg
             : NULL;
}

CASE(conversations, threads_never_get_the_same_turn) {
  enum { THREADS = 8 };
  pthread_t threads[THREADS];
  int firsts[THREADS];
  cr_assert_eq(begin_in(1, NULL), STORE_OK);
  for (int i = 0; i < THREADS; i++) {
    firsts[i] = 1 + i * 100;
    cr_assert_eq(pthread_create(&threads[i], NULL, add_on_thread, &firsts[i]), 0);
  }
  for (int i = 0; i < THREADS; i++) {
    void *result;
    pthread_join(threads[i], &result);
    cr_expect_not_null(result);
  }
  list((conversation_page_t){.limit = 1});
  cr_expect_str_eq(listed, "1(200)");
}

/* ---- Listing and deleting ---- */

CASE(conversations, pages_are_in_order_and_know_their_total) {
  for (int n = 1; n <= 5; n++)
    cr_assert_eq(begin_in(n, n % 2 ? "odd" : NULL), STORE_OK);
  cr_assert_eq(add_to(2, (source_t){.first = 1, .count = 3}, NULL), STORE_OK);
  cr_expect_str_eq(list((conversation_page_t){.limit = 9}), "5(0) 4(0) 3(0) 2(3) 1(0)");
  cr_expect_str_eq(list((conversation_page_t){.limit = 9, .by_updated = true}), "2(3) 5(0) 4(0) 3(0) 1(0)");
  cr_expect_str_eq(list((conversation_page_t){.limit = 2, .offset = 1}), "4(0) 3(0)");
  cr_expect_eq(listed_total, 5);
  cr_expect_str_eq(list((conversation_page_t){.limit = 2, .session_id = text("odd")}), "5(0) 3(0)");
  cr_expect_eq(listed_total, 3);
  cr_expect_str_eq(list((conversation_page_t){.limit = 9, .session_id = text("odd"), .by_updated = true}),
                   "5(0) 3(0) 1(0)");
  cr_expect_str_eq(list((conversation_page_t){.limit = 9, .session_id = text("none")}), "");
  cr_expect_str_eq(list((conversation_page_t){.limit = 9, .offset = 5}), "");
  cr_expect_eq(listed_total, 5);
}

CASE(conversations, a_deleted_one_takes_its_messages_alone) {
  char id[MCP_UUID_SIZE];
  int64_t messages = 0;
  for (int n = 1; n <= 2; n++) {
    cr_assert_eq(begin_in(n, NULL), STORE_OK);
    cr_assert_eq(add_to(n, (source_t){.first = n * 10, .count = n}, NULL), STORE_OK);
  }
  id_of(2, id);
  cr_assert_eq(test_store->remove(test_store, id, &messages, &test_error), STORE_OK, "%s", test_error.text);
  cr_expect_eq(messages, 2);
  cr_expect_eq(read_back(2), STORE_NOT_FOUND);
  cr_expect_str_eq(list((conversation_page_t){.limit = 9}), "1(1)");
  reopen();
  cr_assert_eq(read_back(1), STORE_OK);
  cr_expect_str_eq(read_text, "1:message 10");
}
