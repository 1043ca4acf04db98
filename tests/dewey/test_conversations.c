/* test_conversations.c: conversations in the store alone: begun, continued, read, listed, deleted. */
#include "store_test.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define end_conversations end_of_test

TestSuite(conversations, .init = make_store, .fini = remove_directory, .timeout = 60);

/* ---- Conversations by number ---- */

static void id_of(int n, char id[MCP_UUID_SIZE]) {
  snprintf(id, MCP_UUID_SIZE, "00000000-0000-4000-9000-%012d", n);
}

static int begin_in(int n, const char *session) {
  conversation_t conversation = {.created_at = time_of(n), .updated_at = time_of(n)};
  id_of(n, conversation.id);
  if (session != NULL)
    conversation.session_id = text(session);
  return test_store->add(test_store, &conversation, true, NULL, NULL, NULL, &test_error);
}

/* Messages that a source gives; the turn of each as wanted. */
typedef struct source {
  int first, count, given;
  int64_t turn; /* of all of them; 0: the next */
  int fail_at;  /* says -1 at this one; 0: never */
} source_t;

static int next_message(message_t *message, void *arg) {
  static _Thread_local char words[32];
  source_t *source = arg;
  if (source->fail_at != 0 && source->given == source->fail_at)
    return -1;
  if (source->given == source->count)
    return 0;
  int n = source->first + source->given++;
  snprintf(words, sizeof words, "message %d", n);
  *message = (message_t){
      .turn = source->turn, .role = n % MESSAGE_ROLES, .content = text(words), .created_at = time_of(n)};
  snprintf(message->id, sizeof message->id, "00000000-0000-4000-a000-%012d", n);
  return 1;
}

static int add_to(int n, source_t source, int64_t *turn) {
  conversation_t conversation = {.updated_at = time_of(1000 + n)};
  id_of(n, conversation.id);
  return test_store->add(test_store, &conversation, false, next_message, &source, turn, &test_error);
}

/* What was read: "turn:content ...". */
static char read_text[1024];
static conversation_t read_conversation;

static bool on_conversation(const conversation_t *row, void *arg) {
  read_conversation = *row;
  return arg == NULL;
}

static bool on_message(const message_t *row, void *arg) {
  size_t used = strlen(read_text);
  (void)arg;
  snprintf(read_text + used, sizeof read_text - used, "%s%lld:%.*s", used > 0 ? " " : "",
           (long long)row->turn, (int)row->content.len, row->content.ptr);
  return true;
}

static int read_back(int n) {
  char id[MCP_UUID_SIZE];
  id_of(n, id);
  read_text[0] = '\0';
  return test_store->get(test_store, id, never, on_conversation, on_message, NULL, &test_error);
}

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
  cr_assert_eq(add_to(1, (source_t){.first = 1, .count = 1, .turn = TURN_MAX}, NULL), STORE_OK);
  cr_expect_eq(add_to(1, (source_t){.first = 2, .count = 1, .turn = TURN_MAX}, NULL), STORE_TAKEN);
  cr_expect_eq(add_to(1, (source_t){.first = 2, .count = 1}, NULL), STORE_TAKEN);
  cr_expect_eq(add_to(1, (source_t){.first = 2, .count = 1, .turn = 1}, NULL), STORE_OK);
}

CASE(conversations, all_messages_are_stored_or_none) {
  cr_assert_eq(begin_in(1, NULL), STORE_OK);
  cr_expect_eq(add_to(1, (source_t){.first = 1, .count = 9, .fail_at = 5}, NULL), STORE_STOPPED);
  cr_expect_eq(add_to(1, (source_t){.first = 1, .count = 2, .turn = 3}, NULL), STORE_TAKEN);
  cr_assert_eq(read_back(1), STORE_OK);
  cr_expect_str_eq(read_text, "");
  cr_expect_eq(read_conversation.updated_at, time_of(1));
  conversation_t other = {.created_at = 1, .updated_at = 1};
  source_t source = {.first = 1, .count = 9, .fail_at = 5};
  id_of(2, other.id);
  cr_expect_eq(test_store->add(test_store, &other, true, next_message, &source, NULL, &test_error),
               STORE_STOPPED);
  cr_expect_eq(read_back(2), STORE_NONE);
}

CASE(conversations, what_is_not_there_is_none) {
  char id[MCP_UUID_SIZE];
  int64_t messages;
  id_of(1, id);
  cr_expect_eq(add_to(1, (source_t){.count = 1}, NULL), STORE_NONE);
  cr_expect_eq(read_back(1), STORE_NONE);
  cr_expect_eq(test_store->remove(test_store, id, &messages, &test_error), STORE_NONE);
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
  cr_expect_eq(read_back(2), STORE_NONE);
  cr_expect_str_eq(list((conversation_page_t){.limit = 9}), "1(1)");
  reopen();
  cr_assert_eq(read_back(1), STORE_OK);
  cr_expect_str_eq(read_text, "1:message 10");
}

/* ---- Damage ---- */

static bool on_any_found(const found_message_t *row, void *arg) {
  (void)row, (void)arg;
  return true;
}

static bool on_any_context(const startup_context_t *row, void *arg) {
  (void)row, (void)arg;
  return true;
}

static startup_context_t context_of(int n) {
  startup_context_t context = {.name = text("name"), .content = text("content"), .is_active = true};
  id_of(n, context.id);
  return context;
}

/* Whatever is asked of a damaged file is answered, by an error or by what is left. */
static void ask_everything(void) {
  const message_search_t search = {.words = text("message"), .end_us = INT64_MAX, .limit = 100};
  const startup_context_t context = context_of(2);
  int64_t total;
  char id[MCP_UUID_SIZE];
  for (int n = 1; n <= 3; n++) {
    read_back(n);
    add_to(n, (source_t){.first = 5000 + n * 10, .count = 5}, NULL);
  }
  for (int i = 0; i < 4; i++) {
    const conversation_page_t page = {
        .limit = 100, .by_updated = i % 2, .session_id = i < 2 ? text("s") : (text_t){NULL, 0}};
    listed[0] = '\0';
    test_store->list(test_store, &page, never, on_listed, NULL, &total, &test_error);
  }
  test_store->search(test_store, &search, never, on_any_found, NULL, &total, &test_error);
  test_store->list_contexts(test_store, true, never, on_any_context, NULL, &test_error);
  test_store->get_context(test_store, (text_t){NULL, 0}, on_any_context, NULL, &test_error);
  test_store->set_context(test_store, &context, on_any_context, NULL, &test_error);
  test_store->remove_context(test_store, context.name, &test_error);
  id_of(1, id);
  test_store->remove(test_store, id, &total, &test_error);
}

/* A database with some of everything, with a page of it overwritten. */
static void make_damaged(long place) {
  const startup_context_t context = context_of(1);
  test_store = store_sqlite_open(test_path, &test_error);
  for (int n = 1; n <= 3; n++) {
    cr_assert_eq(begin_in(n, "s"), STORE_OK);
    cr_assert_eq(add_to(n, (source_t){.first = n * 1000, .count = 100}, NULL), STORE_OK);
  }
  cr_assert_eq(test_store->set_context(test_store, &context, on_any_context, NULL, &test_error), STORE_OK);
  test_store->close(test_store);
  FILE *file = fopen(test_path, "r+b");
  fseek(file, place, SEEK_SET);
  for (int i = 0; i < 4096; i++)
    fputc(0xa5, file);
  fclose(file);
}

CASE(conversations, a_damaged_database_gives_errors) {
  test_store->close(test_store);
  for (long place = 4096; place <= 40 * 4096; place += 4096) {
    unlink(test_path);
    make_damaged(place);
    test_store = store_sqlite_open(test_path, &test_error);
    if (test_store == NULL)
      continue;
    ask_everything();
    test_store->close(test_store);
  }
  test_store = NULL;
}
