/* store_test.h: a store in a directory of its own, for the tests of this directory. */
#ifndef STORE_TEST_H
#define STORE_TEST_H

#include "leaks.h"
#include "store.h"

#include <criterion/criterion.h>

enum { FOUND_MAX = 6000 };

/* Rows as they were answered, with copies of what the tests look at. */
typedef struct found {
  int count;
  int64_t created_at[FOUND_MAX];
  char ids[FOUND_MAX][MCP_UUID_SIZE];
  int enough; /* end after so many; 0: take all */
} found_t;

extern char test_directory[]; /* of this test */
extern char test_path[];      /* of its database */
extern store_t *test_store;   /* opened by setup */
extern found_t test_found;    /* what find_all() found */
extern store_error_t test_error;
extern const cancel_token_t never;

/* A test that fails when it leaks: Criterion lets an assertion in .fini pass, so end_... of the suite is
 * called from inside of the test. */
#define CASE(suite, name)                                                                                    \
  static void suite##_##name##_case(void);                                                                   \
  Test(suite, name) {                                                                                        \
    suite##_##name##_case();                                                                                 \
    end_##suite();                                                                                           \
  }                                                                                                          \
  static void suite##_##name##_case(void)

/* .init: a directory, with a place for a store or a fresh store or without one; .fini: removes it. */
void make_store(void);
void make_place(void);
void make_directory(void);
void remove_directory(void);

/* The end of a test that was given these: closes the store and looks for leaks. */
void end_of_test(void);

/* Opens the store, again, or one more. NULL: test_error says why. */
void open_store(void);
void reopen(void);
store_t *new_store(void);

mcp_text_t text(const char *words);

/* Entry number n: its own id, a time that many seconds after the first one's, INFO of "alpha", "message n".
 */
log_entry_t entry(int n);
int64_t time_of(int n);

void store_one(log_entry_t one);

/* Stores entries from first on; their number that was new. */
size_t store_many(int first, int count);

/* Everything that the filter finds, into test_found; the number. */
int find_all(log_filter_t filter);

/* A filter that lets everything through. */
log_filter_t everything(void);

/* Numbers of entries among test_found, in its order, as "3 2 1". */
const char *found_numbers(void);

#endif
