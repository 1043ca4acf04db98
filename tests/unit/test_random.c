/* test_random.c: random bytes differ from call to call, thread to thread, and process to process. */
#include "base/random.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIZE = 16, MANY = 1000 };

static bool no_randomness;
static int draws;

/* Stands in front of libc's. */
ssize_t getrandom(void *to, size_t size, unsigned flags) {
  draws++;
  if (no_randomness) {
    errno = ENOSYS;
    return -1;
  }
  return syscall(SYS_getrandom, to, size, flags);
}

static int compare(const void *a, const void *b) {
  return memcmp(a, b, SIZE);
}

static void expect_all_different(unsigned char (*values)[SIZE], size_t count) {
  qsort(values, count, SIZE, compare);
  for (size_t i = 1; i < count; i++)
    cr_assert_neq(memcmp(values[i - 1], values[i], SIZE), 0);
}

static void fill(unsigned char (*values)[SIZE], size_t count) {
  for (size_t i = 0; i < count; i++)
    cr_assert(mcp__random_bytes(values[i], SIZE));
}

Test(random, bytes_are_drawn_in_blocks_and_never_used_twice) {
  static unsigned char values[MANY][SIZE];
  fill(values, MANY);
  cr_expect_leq(draws, MANY * SIZE / MCP__RANDOM_MAX + 1);
  expect_all_different(values, MANY);
}

Test(random, any_length) {
  unsigned char bytes[MCP__RANDOM_MAX + 1] = {0};
  for (size_t len = 0; len <= MCP__RANDOM_MAX; len++) {
    bytes[len] = 7;
    cr_assert(mcp__random_bytes(bytes, len));
    cr_assert_eq(bytes[len], 7, "%zu", len);
  }
}

static void *fill_in_thread(void *values) {
  fill(values, MANY);
  return NULL;
}

Test(random, threads) {
  static unsigned char values[4 * MANY][SIZE];
  pthread_t threads[4];
  for (int i = 0; i < 4; i++)
    cr_assert_eq(pthread_create(&threads[i], NULL, fill_in_thread, values[i * MANY]), 0);
  for (int i = 0; i < 4; i++)
    pthread_join(threads[i], NULL);
  expect_all_different(values, 4 * MANY);
}

Test(random, processes) {
  unsigned char values[3][SIZE];
  int ends[2];
  cr_assert(mcp__random_bytes(values[0], 1)); /* a block is drawn before the forks */
  cr_assert_eq(pipe(ends), 0);
  for (int i = 0; i < 2; i++) {
    pid_t child = fork();
    if (child == 0) {
      bool fine = mcp__random_bytes(values[i], SIZE) && write(ends[1], values[i], SIZE) == SIZE;
      _exit(fine ? 0 : 1);
    }
    int status;
    cr_assert(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    cr_assert_eq(read(ends[0], values[i], SIZE), SIZE);
  }
  fill(values + 2, 1);
  expect_all_different(values, 3);
}

Test(random, none) {
  unsigned char bytes[SIZE];
  no_randomness = true;
  cr_expect_not(mcp__random_bytes(bytes, SIZE));
  no_randomness = false;
  cr_expect(mcp__random_bytes(bytes, SIZE));
}
