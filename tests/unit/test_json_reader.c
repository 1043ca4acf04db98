/* test_json_reader.c: entries in every layout and with every size of reads, and the errors of invalid ones.
 */
#define _GNU_SOURCE /* memfd_create */
#include "iccm_network.h"
#include "iccm_service.h"
#include "leaks.h"
#include "out_of_memory.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MIB = 1024 * 1024 };

#define NO_OBJECT "is not an object; expected a JSON array of objects or one object per line"

static char given[512];

static void add(const char *text, size_t len) {
  size_t at = strlen(given);
  snprintf(given + at, sizeof given - at, "%.*s", (int)len, text);
}

/* Returns all entries of the descriptor as "{...}{...}", followed by "!error". */
static const char *read_all(int file) {
  mcp_json_reader_t *reader = mcp_json_reader_new(file);
  const char *text, *problem;
  size_t len;
  given[0] = '\0';
  for (yyjson_val *entry; (entry = mcp_json_reader_next(reader, &text, &len)) != NULL;) {
    char *json = yyjson_val_write(entry, 0, NULL);
    yyjson_doc *again = yyjson_read(text, len, YYJSON_READ_BIGNUM_AS_RAW);
    cr_expect(yyjson_equals(entry, yyjson_doc_get_root(again)), "the text is the entry");
    cr_expect_null(mcp_json_reader_error(reader));
    add(json, strlen(json));
    yyjson_doc_free(again);
    free(json);
  }
  cr_expect_null(mcp_json_reader_next(reader, NULL, NULL), "the end stays the end");
  problem = mcp_json_reader_error(reader);
  if (problem != NULL) {
    add("!", 1);
    add(problem, strlen(problem));
  }
  mcp_json_reader_free(reader);
  return given;
}

static int file_of(const char *bytes, size_t len) {
  int file = memfd_create("entries", MFD_CLOEXEC);
  cr_assert_eq(write(file, bytes, len), (ssize_t)len);
  lseek(file, 0, SEEK_SET);
  return file;
}

/* Writes one byte at a time, so that reads end at every position. */
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
  read_all(dup(ends[0]));
  char rest[64];
  while (read(ends[0], rest, sizeof rest) > 0)
    ;
  pthread_join(thread, NULL);
  close(ends[0]);
  return given;
}

Test(json_reader, of_every_shape) {
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
      {"x", "!entry 1, line 1, " NO_OBJECT},
      {"[", "!entry 1, line 1, " NO_OBJECT},
      {"[1]", "!entry 1, line 1, " NO_OBJECT},
      {"\n\nrole,content\n", "!entry 1, line 3, " NO_OBJECT},
      {"[{},[]]", "{}!entry 2, line 1, " NO_OBJECT},
      {"[{}", "{}!entry 2, line 1, is missing: expected a comma or the end of the array"},
      {"[{}{}]", "{}!entry 2, line 1, does not follow a comma"},
      {"[{},]", "{}!entry 2, line 1, " NO_OBJECT},
      {"[{}] {}", "{}!entry 2, line 1, follows the end of the array"},
      {"[] x", "!entry 1, line 1, follows the end of the array"},
      {"{}\n{\"a\":", "{}!entry 2, line 2, is incomplete"},
      {"{}\n{\"a\":\"", "{}!entry 2, line 2, is incomplete"},
      {"{}\n7", "{}!entry 2, line 2, " NO_OBJECT},
      {"{}\n{a}",
       "{}!entry 2, line 2, is not valid JSON: unexpected character, expected a string for object key"},
      {"[{\"a\":\n1},\n{\n\n\"b\":x}]",
       "{\"a\":1}!entry 2, line 5, is not valid JSON: unexpected character, expected a valid JSON value"},
      {"{]", "!entry 1, line 1, is not valid JSON: unexpected character, expected a string for object key"},
      {"{\"a\":\"\xff\"}", "!entry 1, line 1, is not valid JSON: invalid UTF-8 encoding in string"},
      {"{\"a\":\"\\ud8\"}", "!entry 1, line 1, is not valid JSON: invalid escaped sequence in string"},
      {"\xef\xbb\xbf{}", "{}"},
      {"\xef\xbb\xbf[{\"a\":1},{}]", "{\"a\":1}{}"},
      {"\xef\xbb\xbf", ""},
      {"\xef\xbb{}", "!entry 1, line 1, " NO_OBJECT},
      {"\xef\xbb\xbf\xef\xbb\xbf{}", "!entry 1, line 1, " NO_OBJECT},
      {"{}\xef\xbb\xbf{}", "{}!entry 2, line 1, " NO_OBJECT},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    size_t len = strlen(cases[i][0]);
    cr_expect_str_eq(read_all(file_of(cases[i][0], len)), cases[i][1], "%s: %s", cases[i][0], given);
    cr_expect_str_eq(give_slowly(cases[i][0], len), cases[i][1], "slowly %s: %s", cases[i][0], given);
  }
  cr_expect_str_eq(read_all(file_of("{}\0{}", 5)), "{}!entry 2, line 1, " NO_OBJECT);
  cr_expect_str_eq(read_all(open("/", 0)), "!entry 1, line 1, cannot be read");
  expect_no_leak();
}

Test(json_reader, as_deep_as_is_said) {
  for (int depth = 56; depth <= 57; depth++) {
    char text[512] = "{\"a\":";
    memset(text + 5, '[', (size_t)depth - 1);
    memset(text + 4 + depth, ']', (size_t)depth - 1);
    text[3 + 2 * depth] = '}';
    read_all(file_of(text, strlen(text)));
    bool refused = strstr(given, "!entry 1, line 1, is nested too deeply") != NULL;
    cr_expect_eq(refused, depth > 56, "%d: %s", depth, given);
  }
  expect_no_leak();
}

/* A file of len bytes: an entry with a text, followed by blanks. */
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

Test(json_reader, as_large_as_is_said) {
  cr_expect_null(strchr(read_all(file_with(16 * MIB, 16 * MIB)), '!'));
  read_all(file_with(16 * MIB + 1, 16 * MIB + 1));
  cr_expect_str_eq(given, "!entry 1, line 1, is larger than 16 MiB");
  cr_expect_null(strchr(read_all(file_with(20, 200 * MIB)), '!'));
  cr_expect_str_eq(strchr(read_all(file_with(20, 200 * MIB + 1)), '!'), "!the file is larger than 200 MiB");
  expect_no_leak();
}

Test(json_reader, as_many_as_is_said) {
  enum { MAX = 1000 * 1000 };
  char *many = malloc(2 * (MAX + 1));
  for (size_t i = 0; i <= MAX; i++)
    memcpy(many + 2 * i, "{}", 2);
  for (size_t extra = 0; extra <= 1; extra++) {
    mcp_json_reader_t *reader = mcp_json_reader_new(file_of(many, 2 * (MAX + extra)));
    size_t count = 0;
    while (mcp_json_reader_next(reader, NULL, NULL) != NULL)
      count++;
    cr_expect_eq(count, MAX);
    const char *problem = mcp_json_reader_error(reader);
    cr_expect_eq(problem != NULL, extra == 1);
    cr_expect(problem == NULL || strstr(problem, "exceeds the limit of 1,000,000 entries") != NULL);
    mcp_json_reader_free(reader);
  }
  free(many);
  mcp_json_reader_free(NULL);
  expect_no_leak();
}

Test(json_reader, of_a_file_that_changes_while_it_is_read) {
  static const char first[] = "{\"a\":1}\n", second[] = "{\"a\":2}\n";
  int file = file_of(first, strlen(first)), same = dup(file);
  mcp_json_reader_t *reader = mcp_json_reader_new(file);
  cr_expect_not_null(mcp_json_reader_next(reader, NULL, NULL));
  cr_assert_eq(pwrite(same, second, strlen(second), (off_t)strlen(first)), (ssize_t)strlen(second));
  cr_expect_not_null(mcp_json_reader_next(reader, NULL, NULL), "what was added meanwhile");
  cr_assert_eq(ftruncate(same, 0), 0);
  cr_expect_null(mcp_json_reader_next(reader, NULL, NULL));
  cr_expect_null(mcp_json_reader_error(reader));
  mcp_json_reader_free(reader);
  close(same);
  expect_no_leak();
}

Test(json_reader, memory_that_runs_out_is_a_problem) {
  use_failing_allocator();
  memory.allowed = 0;
  cr_expect_null(mcp_json_reader_new(dup(0)), "and the descriptor is closed");
  for (int allowed = 1; allowed < 3; allowed++) {
    memory.allowed = allowed;
    mcp_json_reader_t *reader = mcp_json_reader_new(file_of("{}", 2));
    cr_expect_null(mcp_json_reader_next(reader, NULL, NULL));
    cr_expect_str_eq(mcp_json_reader_error(reader), "entry 1, line 1, cannot be read: out of memory");
    mcp_json_reader_free(reader);
  }
  cr_expect_eq(memory.live, 0);
}
