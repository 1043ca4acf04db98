/* store_test.h: a store in its own directory, for the tests of this directory. */
#ifndef STORE_TEST_H
#define STORE_TEST_H

#include "leaks.h"
#include "store.h"

#include <criterion/criterion.h>

enum { FOUND_MAX = 6000 };

/* The rows of a query, with copies of the members that tests compare. */
typedef struct found {
  int count;
  int64_t created_at[FOUND_MAX];
  char ids[FOUND_MAX][MCP_UUID_SIZE];
  int enough; /* stop after so many rows; 0: never */
} found_t;

extern char test_directory[]; /* of this test */
extern char test_path[];      /* of its database */
extern store_t *test_store;   /* opened by setup */
extern found_t test_found;    /* result of find_all() */
extern store_error_t test_error;
extern const cancel_token_t never;

/* A test that fails when it leaks: Criterion ignores a failed assertion in .fini, so the test itself calls
 * end_... of the suite. */
#define CASE(suite, name)                                                                                    \
  static void suite##_##name##_case(void);                                                                   \
  Test(suite, name) {                                                                                        \
    suite##_##name##_case();                                                                                 \
    end_##suite();                                                                                           \
  }                                                                                                          \
  static void suite##_##name##_case(void)

/* .init: a directory with a fresh store, with a location for one, or empty; .fini: removes it. */
void make_store(void);
void make_location(void);
void make_directory(void);
void remove_directory(void);

/* Ends a test with a store: closes it and looks for leaks. */
void end_of_test(void);

/* Open the store, open it again, open another one. new_store returns NULL with test_error set on failure. */
void open_store(void);
void reopen(void);
store_t *new_store(void);

mcp_text_t text(const char *words);

/* Entry number n: its own id, n seconds after the first one, INFO of "alpha", "message n". */
log_entry_t entry(int n);
int64_t time_of(int n);

void store_one(log_entry_t one);

/* Stores entries from first on. Returns the number of new ones. */
size_t store_many(int first, int count);

/* Runs a query into test_found. Returns the number of rows. */
int find_all(log_filter_t filter);

/* Returns a filter that matches every row. */
log_filter_t everything(void);

/* The numbers of the entries in test_found, in order, such as "3 2 1". */
const char *found_numbers(void);

#endif
