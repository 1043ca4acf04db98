/* test_damage.c: conversations in a damaged SQLite file. */
#include "conversations_test.h"

#include <stdio.h>
#include <unistd.h>

#define end_damage end_of_test

TestSuite(damage, .init = make_store, .fini = remove_directory);

static bool on_any_conversation(const conversation_t *row, void *arg) {
  (void)row, (void)arg;
  return true;
}

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

/* Every operation on a damaged file ends with an error or with valid data. */
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
        .limit = 100, .by_updated = i % 2, .session_id = i < 2 ? text("s") : (mcp_text_t){NULL, 0}};
    test_store->list(test_store, &page, never, on_any_conversation, NULL, &total, &test_error);
  }
  test_store->search(test_store, &search, never, on_any_found, NULL, &total, &test_error);
  test_store->list_contexts(test_store, true, never, on_any_context, NULL, &test_error);
  test_store->get_context(test_store, (mcp_text_t){NULL, 0}, on_any_context, NULL, &test_error);
  test_store->set_context(test_store, &context, on_any_context, NULL, &test_error);
  test_store->remove_context(test_store, context.name, &test_error);
  id_of(1, id);
  test_store->remove(test_store, id, &total, &test_error);
}

/* A database with rows in all tables, with one page overwritten. */
static void make_damaged(long conninfo) {
  const startup_context_t context = context_of(1);
  test_store = store_sqlite_open(test_path, &test_error);
  for (int n = 1; n <= 3; n++) {
    cr_assert_eq(begin_in(n, "s"), STORE_OK);
    cr_assert_eq(add_to(n, (source_t){.first = n * 1000, .count = 100}, NULL), STORE_OK);
  }
  cr_assert_eq(test_store->set_context(test_store, &context, on_any_context, NULL, &test_error), STORE_OK);
  test_store->close(test_store);
  FILE *file = fopen(test_path, "r+b");
  fseek(file, conninfo, SEEK_SET);
  for (int i = 0; i < 4096; i++)
    fputc(0xa5, file);
  fclose(file);
}

CASE(damage, a_damaged_database_gives_errors) {
  test_store->close(test_store);
  for (long conninfo = 4096; conninfo <= 40 * 4096; conninfo += 4096) {
    unlink(test_path);
    make_damaged(conninfo);
    test_store = store_sqlite_open(test_path, &test_error);
    if (test_store == NULL)
      continue;
    ask_everything();
    test_store->close(test_store);
  }
  test_store = NULL;
}
