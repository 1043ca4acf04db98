/* test_uuid.c: form, order and uniqueness of new ids, also without randomness; parsing; name-based ids
 * against published values. */
#include "iccm_network.h"
#include "iccm_service.h"
#include "leaks.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static bool no_randomness;

/* Stands in front of libc's. */
ssize_t getrandom(void *to, size_t size, unsigned flags) {
  if (no_randomness) {
    errno = ENOSYS;
    return -1;
  }
  return syscall(SYS_getrandom, to, size, flags);
}

static void expect_version(const char *uuid, char version) {
  char copy[MCP_UUID_SIZE];
  cr_assert_eq(strlen(uuid), MCP_UUID_SIZE - 1, "%s", uuid);
  cr_assert_eq(mcp_uuid_parse(uuid, strlen(uuid), copy), 0, "%s", uuid);
  cr_assert_str_eq(copy, uuid, "lower case already");
  cr_assert_eq(uuid[14], version, "%s", uuid);
  cr_assert_not_null(strchr("89ab", uuid[19]), "%s", uuid);
}

static void expect_rising(int count) {
  char last[MCP_UUID_SIZE] = "", uuid[MCP_UUID_SIZE];
  for (int i = 0; i < count; i++) {
    mcp_uuid_new(uuid);
    expect_version(uuid, '7');
    cr_assert_lt(strcmp(last, uuid), 0, "%s after %s", uuid, last);
    memcpy(last, uuid, sizeof last);
  }
}

Test(uuid, new_ones_rise) {
  expect_rising(50000);
}

Test(uuid, new_ones_rise_without_randomness_too) {
  no_randomness = true;
  expect_rising(5000);
}

Test(uuid, random_part_differs) {
  char a[MCP_UUID_SIZE], b[MCP_UUID_SIZE];
  for (int round = 0; round < 2; round++) {
    no_randomness = round == 1;
    mcp_uuid_new(a);
    mcp_uuid_new(b);
    cr_assert_str_neq(a + 19, b + 19);
  }
}

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

Test(uuid, holds_its_time) {
  char uuid[MCP_UUID_SIZE];
  int64_t before = now_ms(), us = 0;
  mcp_uuid_new(uuid);
  int64_t after = now_ms();
  cr_assert_eq(mcp_uuid_time_us(uuid, &us), 0);
  cr_assert_eq(us % 1000, 0);
  cr_assert(us / 1000 >= before && us / 1000 <= after, "%s: %lld us", uuid, (long long)us);
}

enum { THREADS = 4, EACH = 20000 };

static char made[THREADS][EACH][MCP_UUID_SIZE];

static void *make(void *arg) {
  char(*uuids)[MCP_UUID_SIZE] = arg;
  for (int i = 0; i < EACH; i++)
    mcp_uuid_new(uuids[i]);
  return NULL;
}

static int compare(const void *a, const void *b) {
  return strcmp(a, b);
}

Test(uuid, threads_share_one_order) {
  pthread_t threads[THREADS];
  for (int i = 0; i < THREADS; i++)
    cr_assert_eq(pthread_create(&threads[i], NULL, make, made[i]), 0);
  for (int i = 0; i < THREADS; i++)
    cr_assert_eq(pthread_join(threads[i], NULL), 0);
  for (int i = 0; i < THREADS; i++)
    for (int j = 1; j < EACH; j++)
      cr_assert_lt(strcmp(made[i][j - 1], made[i][j]), 0);
  char(*all)[MCP_UUID_SIZE] = made[0];
  qsort(all, (size_t)THREADS * EACH, MCP_UUID_SIZE, compare);
  for (int i = 1; i < THREADS * EACH; i++) /* even without the random part: time, version and fraction */
    cr_assert_neq(memcmp(all[i - 1], all[i], 18), 0, "%s and %s", all[i - 1], all[i]);
  expect_no_leak();
}

Test(uuid, parse) {
  static const struct {
    const char *text, *uuid; /* NULL: refused */
  } rows[] = {
      {"017f22e2-79b0-7cc3-98c4-dc0c0c07398f", "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"},
      {"017F22E2-79B0-7CC3-98C4-DC0C0C07398F", "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"},
      {"C232AB00-9414-11EC-b3c8-9f6bdeced846", "c232ab00-9414-11ec-b3c8-9f6bdeced846"},
      {"00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000000"},
      {"FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", "ffffffff-ffff-ffff-ffff-ffffffffffff"},
      {"", NULL},
      {"017f22e2-79b0-7cc3-98c4-dc0c0c07398", NULL},
      {"017f22e2-79b0-7cc3-98c4-dc0c0c07398ff", NULL},
      {"017f22e279b07cc398c4dc0c0c07398f", NULL},
      {"{17f22e2-79b0-7cc3-98c4-dc0c0c07398}", NULL},
      {"017f22e2-79b0-7cc3-98c4-dc0c0c07398g", NULL},
      {"017f22e2-79b0-7cc3-98c4-dc0c0c07398 ", NULL},
      {" 17f22e2-79b0-7cc3-98c4-dc0c0c07398f", NULL},
      {"017f22e2_79b0_7cc3_98c4_dc0c0c07398f", NULL},
      {"017f22e-279b0-7cc3-98c4-dc0c0c07398f", NULL},
      {"017f22e2-79b0-7cc3-98c4-dc0c0c0739-f", NULL},
      {"------------------------------------", NULL},
      {"017f22e2079b007cc3098c40dc0c0c07398f", NULL},
      {"017f22e2-79b0-7cc3-98c4-dc0c0c0739\xc3\xa4", NULL},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    char uuid[MCP_UUID_SIZE] = "left alone";
    size_t len = strlen(rows[i].text);
    char *text = malloc(len); /* no NUL behind it */
    memcpy(text, rows[i].text, len);
    cr_expect_eq(mcp_uuid_parse(text, len, uuid), rows[i].uuid != NULL ? 0 : -EINVAL, "%s", rows[i].text);
    cr_expect_str_eq(uuid, rows[i].uuid != NULL ? rows[i].uuid : "left alone", "%s", rows[i].text);
    free(text);
  }
  char in_place[] = "017F22E2-79B0-7CC3-98C4-DC0C0C07398F";
  cr_expect_eq(mcp_uuid_parse(in_place, 36, in_place), 0);
  cr_expect_str_eq(in_place, "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
  cr_expect_eq(mcp_uuid_parse("017f22e2-79b0-7cc3-98c4-dc0c0c07398\0", 36, in_place), -EINVAL);
  expect_no_leak();
}

Test(uuid, time_inside) {
  static const struct {
    const char *uuid;
    int64_t us; /* -1: refused */
  } rows[] = {
      {"017f22e2-79b0-7cc3-98c4-dc0c0c07398f", INT64_C(1645557742000000)}, /* RFC 9562 appendix A.6 */
      {"017F22E2-79B0-7FFF-BFFF-FFFFFFFFFFFF", INT64_C(1645557742000000)},
      {"00000000-0000-7000-8000-000000000000", 0},
      {"ffffffff-ffff-7000-8000-000000000000", INT64_C(281474976710655000)},
      {"919108f7-52d1-4320-9bac-f847db4148a8", -1}, /* version 4 */
      {"1ec9414c-232a-6b00-b3c8-9f6bdeced846", -1}, /* version 6 */
      {"017f22e2-79b0-7cc3-c8c4-dc0c0c07398f", -1}, /* another variant */
      {"017f22e2-79b0-7cc3-08c4-dc0c0c07398f", -1},
      {"017f22e2-79b0-7cc3-98c4-dc0c0c07398", -1},
      {"017f22e2-79b0-7cc3-98c4-dc0c0c07398f0", -1},
      {"", -1},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    int64_t us = -1;
    cr_expect_eq(mcp_uuid_time_us(rows[i].uuid, &us), rows[i].us >= 0 ? 0 : -EINVAL, "%s", rows[i].uuid);
    cr_expect_eq(us, rows[i].us, "%s: %lld", rows[i].uuid, (long long)us);
  }
}

Test(uuid, of_name) {
  static const char dns[] = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";
  char uuid[MCP_UUID_SIZE] = "left alone", other[MCP_UUID_SIZE];
  cr_expect_eq(mcp_uuid_v5("not a uuid", "a", 1, uuid), -EINVAL);
  cr_expect_str_eq(uuid, "left alone");
  cr_assert_eq(mcp_uuid_v5(dns, "www.example.com", 15, uuid), 0);
  cr_expect_str_eq(uuid, "2ed6657d-e927-568b-95e1-2665a8aea6a2"); /* RFC 9562 appendix A.4 */
  cr_assert_eq(mcp_uuid_v5("6BA7B810-9DAD-11D1-80B4-00C04FD430C8", "www.example.com", 15, other), 0);
  cr_expect_str_eq(other, uuid);
  cr_assert_eq(mcp_uuid_v5(dns, "python.org", 10, uuid), 0);
  cr_expect_str_eq(uuid, "886313e1-3b8a-5372-9b90-0c9aee199e5d");
  cr_assert_eq(mcp_uuid_v5(dns, "", 0, uuid), 0);
  expect_version(uuid, '5');
  cr_assert_eq(mcp_uuid_v5(dns, "\0", 1, other), 0);
  cr_expect_str_neq(other, uuid);
  expect_no_leak();
}
