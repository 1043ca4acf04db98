/* test_entries.c: entries of files, however these are written and read, and what is wrong with them. */
#define _GNU_SOURCE /* memfd_create */
#include "entries.h"
#include "leaks.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

TestSuite(entries, .timeout = 60);

static char given[512];

/* Gives all entries of the descriptor, as "{...}{...}" and behind them "!reason". */
static const char *give_all(int file) {
  entries_t entries;
  yyjson_val *entry;
  given[0] = '\0';
  entries_init(&entries, file);
  while ((entry = entries_next(&entries)) != NULL) {
    char *json = yyjson_val_write(entry, 0, NULL);
    strncat(given, json, sizeof given - strlen(given) - 1);
    free(json);
  }
  cr_expect_null(entries_next(&entries), "the end stays the end");
  if (entries.error[0] != '\0') {
    strncat(given, "!", sizeof given - strlen(given) - 1);
    strncat(given, entries.error, sizeof given - strlen(given) - 1);
  }
  entries_deinit(&entries);
  return given;
}

static int file_of(const char *bytes, size_t len) {
  int file = memfd_create("entries", MFD_CLOEXEC);
  cr_assert_eq(write(file, bytes, len), (ssize_t)len);
  lseek(file, 0, SEEK_SET);
  return file;
}

/* Writes a byte at a time, so that each read ends somewhere else. */
typedef struct trickle {
  const char *bytes;
  size_t len;
  int to;
} trickle_t;

static void *write_slowly(void *arg) {
  trickle_t *trickle = arg;
  for (size_t i = 0; i < trickle->len; i++) {
    if (write(trickle->to, trickle->bytes + i, 1) != 1)
      break;
    sched_yield();
  }
  close(trickle->to);
  return NULL;
}

static const char *give_slowly(const char *bytes, size_t len) {
  int ends[2];
  pthread_t thread;
  cr_assert_eq(pipe(ends), 0);
  trickle_t trickle = {bytes, len, ends[1]};
  cr_assert_eq(pthread_create(&thread, NULL, write_slowly, &trickle), 0);
  give_all(dup(ends[0]));
  char rest[64];
  while (read(ends[0], rest, sizeof rest) > 0)
    ;
  pthread_join(thread, NULL);
  close(ends[0]);
  return given;
}

Test(entries, of_every_shape) {
  static const char *const cases[][2] = {
      {"", ""},
      {" \n", ""},
      {"[]", ""},
      {" [ ] \n", ""},
      {"[{}]", "{}"},
      {" [ {\"a\":1} , {\"b\":[{}]}\n]\n", "{\"a\":1}{\"b\":[{}]}"},
      {"{\"a\":1}\n{\"b\":2}\n", "{\"a\":1}{\"b\":2}"},
      {"{\"a\":1}\r\n\r\n{\"b\":2}", "{\"a\":1}{\"b\":2}"},
      {"{\"a\":\n1}{\"b\":2}", "{\"a\":1}{\"b\":2}"},
      {"{\"a\":\"}]{[\\\"\\\\\"}", "{\"a\":\"}]{[\\\"\\\\\"}"},
      {"{\"a\":\"\\u0000\\ud83d\\ud83d\\ude00\\udE00\"}",
       "{\"a\":\"\xef\xbf\xbd\xef\xbf\xbd\xf0\x9f\x98\x80\xef\xbf\xbd\"}"},
      {"{\"a\":\"\\\\ud83d\\\\u0000\"}", "{\"a\":\"\\\\ud83d\\\\u0000\"}"},
      {"{\"a\":123456789012345678901234567890}", "{\"a\":123456789012345678901234567890}"},
      {"x", "!entry 1 is not an object"},
      {"[", "!entry 1 is not an object"},
      {"[1]", "!entry 1 is not an object"},
      {"[{},[]]", "{}!entry 2 is not an object"},
      {"[{}", "{}!entry 2 is missing, or the end of the array"},
      {"[{}{}]", "{}!entry 2 is not parted by a comma"},
      {"[{},]", "{}!entry 2 is not an object"},
      {"[{}] {}", "{}!entry 2 stands behind the end of the array"},
      {"[] x", "!entry 1 stands behind the end of the array"},
      {"{}\n{\"a\":", "{}!entry 2 does not end"},
      {"{}\n{\"a\":\"", "{}!entry 2 does not end"},
      {"{}\n7", "{}!entry 2 is not an object"},
      {"{}\n{a}", "{}!entry 2 is no valid JSON"},
      {"{]", "!entry 1 is no valid JSON"},
      {"{\"a\":\"\xff\"}", "!entry 1 is no valid JSON"},
      {"{\"a\":\"\\ud8\"}", "!entry 1 is no valid JSON"},
      {"\xef\xbb\xbf{}", "!entry 1 is not an object"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    size_t len = strlen(cases[i][0]);
    cr_expect_str_eq(give_all(file_of(cases[i][0], len)), cases[i][1], "%s: %s", cases[i][0], given);
    cr_expect_str_eq(give_slowly(cases[i][0], len), cases[i][1], "slowly %s: %s", cases[i][0], given);
  }
  cr_expect_str_eq(give_all(file_of("{}\0{}", 5)), "{}!entry 2 is not an object");
  cr_expect_str_eq(give_all(open("/", 0)), "!entry 1 cannot be read");
  expect_no_leak();
}

Test(entries, as_deep_as_is_said) {
  for (int depth = ENTRY_MAX_DEPTH; depth <= ENTRY_MAX_DEPTH + 1; depth++) {
    char text[512] = "{\"a\":";
    memset(text + 5, '[', (size_t)depth - 1);
    memset(text + 4 + depth, ']', (size_t)depth - 1);
    text[3 + 2 * depth] = '}';
    give_all(file_of(text, strlen(text)));
    bool refused = strstr(given, "!entry 1 is nested too deeply") != NULL;
    cr_expect_eq(refused, depth > ENTRY_MAX_DEPTH, "%d: %s", depth, given);
  }
  expect_no_leak();
}

/* A file of len bytes: an entry with a text, and blanks behind it. */
static int file_with(size_t entry, size_t len) {
  int file = memfd_create("entries", MFD_CLOEXEC);
  char *bytes = malloc(len);
  memset(bytes, 'x', entry);
  memcpy(bytes, "{\"a\":\"", 6);
  memcpy(bytes + entry - 2, "\"}", 2);
  memset(bytes + entry, ' ', len - entry);
  cr_assert_eq(write(file, bytes, len), (ssize_t)len);
  lseek(file, 0, SEEK_SET);
  free(bytes);
  return file;
}

Test(entries, as_large_as_is_said) {
  cr_expect_null(strchr(give_all(file_with(ENTRY_MAX_BYTES, ENTRY_MAX_BYTES)), '!'));
  give_all(file_with(ENTRY_MAX_BYTES + 1, ENTRY_MAX_BYTES + 1));
  cr_expect_str_eq(given, "!entry 1 is larger than 16 MiB");
  cr_expect_null(strchr(give_all(file_with(20, ENTRIES_MAX_BYTES)), '!'));
  cr_expect_str_eq(strchr(give_all(file_with(20, ENTRIES_MAX_BYTES + 1)), '!'),
                   "!the file is larger than 200 MiB");
  expect_no_leak();
}

Test(entries, as_many_as_is_said) {
  char *many = malloc(2 * (ENTRIES_MAX + 1));
  for (size_t i = 0; i <= ENTRIES_MAX; i++)
    memcpy(many + 2 * i, "{}", 2);
  for (size_t extra = 0; extra <= 1; extra++) {
    entries_t entries;
    entries_init(&entries, file_of(many, 2 * (ENTRIES_MAX + extra)));
    size_t count = 0;
    while (entries_next(&entries) != NULL)
      count++;
    cr_expect_eq(count, ENTRIES_MAX);
    cr_expect_str_eq(entries.error, extra ? "entry 1000001 is one too many: 1,000,000 are taken" : "");
    entries_deinit(&entries);
  }
  free(many);
  expect_no_leak();
}
