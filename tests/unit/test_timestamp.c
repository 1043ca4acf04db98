/* test_timestamp.c: both directions against known points in time, each form that services write, what is
 * refused, and all days of 9,999 years there and back. */
#include "iccm_network.h"
#include "iccm_service.h"
#include "leaks.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define S INT64_C(1000000)
#define FIRST (INT64_C(-62135596800) * S)
#define LAST (INT64_C(253402300800) * S - 1)
#define REFUSED INT64_MIN

/* 2026-11-21T07:24:07Z */
#define T (INT64_C(1795245847) * S)

typedef struct row {
  const char *text;
  int64_t us;
} row_t;

static void check_rows(const row_t *rows, size_t count) {
  for (size_t i = 0; i < count; i++) {
    size_t len = strlen(rows[i].text);
    char *text = malloc(len); /* no NUL behind it */
    memcpy(text, rows[i].text, len);
    int64_t us = REFUSED;
    cr_expect_eq(mcp_time_parse(text, len, &us), rows[i].us != REFUSED ? 0 : -EINVAL, "%s", rows[i].text);
    cr_expect_eq(us, rows[i].us, "%s: %lld", rows[i].text, (long long)us);
    free(text);
  }
  expect_no_leak();
}

#define CHECK_ROWS(rows) check_rows(rows, sizeof(rows) / sizeof(rows)[0])

Test(timestamp, accepted) {
  static const row_t rows[] = {
      {"2026-11-21T07:24:07Z", T},
      {"2026-11-21T07:24:07", T},
      {"2026-11-21 07:24:07", T},
      {"2026-11-21 07:24:07Z", T},
      {"2026-11-21T07:24:07.5Z", T + 500000},
      {"2026-11-21T07:24:07.123Z", T + 123000},
      {"2026-11-21T07:24:07.123456Z", T + 123456},
      {"2026-11-21T07:24:07.123456789Z", T + 123456},
      {"2026-11-21T07:24:07.9999999999999999999999999999999999999999Z", T + 999999},
      {"2026-11-21T07:24:07.000001", T + 1},
      {"2026-11-21T07:24:07.0000009", T},
      {"2026-11-21 07:24:07,123", T + 123000},
      {"2026-11-21T07:24:07.123456+00:00", T + 123456},
      {"2026-11-21T07:24:07-00:00", T},
      {"2026-11-21T09:24:07+02:00", T},
      {"2026-11-21T09:24:07+0200", T},
      {"2026-11-21T09:24:07+02", T},
      {"2026-11-21 07:24:07.25+00", T + 250000},
      {"2026-11-21T12:54:07.5+05:30", T + 500000},
      {"2026-11-20T23:24:07-08:00", T},
      {"2026-11-21T03:54:07-0330", T},
      {"2026-11-22T07:23:07+23:59", T},
      {"2026-11-21", T - (7 * 3600 + 24 * 60 + 7) * S},
      {"2026-11-21T07:24Z", T - 7 * S},
      {"2026-11-21T07:24", T - 7 * S},
      {"2026-11-21 08:24+01:00", T - 7 * S},
      {"2026-11-21t07:24:07z", T},
      {"2026-11-21t07:24:07.5+00", T + 500000},
      {"2026-11-20T24:00:00.000Z", T - (7 * 3600 + 24 * 60 + 7) * S},
      {"2026-11-20T24:00", T - (7 * 3600 + 24 * 60 + 7) * S},
      {"2016-12-31T23:59:60Z", INT64_C(1483228800) * S}, /* leap seconds */
      {"2016-12-31T23:59:60.9Z", INT64_C(1483228800) * S},
      {"2017-01-01T00:59:60+01:00", INT64_C(1483228800) * S},
      {"1970-01-01", 0},
      {"1970-01-01T00:00:00Z", 0},
      {"1969-12-31T23:59:59.999999Z", -1},
      {"1969-12-31T23:59:59Z", -S},
      {"2000-02-29T12:00:00Z", INT64_C(951825600) * S},
      {"2024-02-29", INT64_C(1709164800) * S},
      {"1900-03-01", INT64_C(-2203891200) * S},
      {"2038-01-19T03:14:08Z", INT64_C(2147483648) * S},
      {"0001-01-01", FIRST},
      {"0001-01-01T01:00:00+01:00", FIRST},
      {"9999-12-31T23:59:59.999999Z", LAST},
      {"9999-12-31T22:59:59.999999-01:00", LAST},
  };
  CHECK_ROWS(rows);
}

Test(timestamp, refused) {
  static const row_t rows[] = {
      {"", REFUSED},
      {"now", REFUSED},
      {"%f", REFUSED},
      {"2026-11-21T07:24:07.%fZ", REFUSED},
      {"2026-11-21T07:24:07.%f", REFUSED},
      {"%Y-%m-%dT%H:%M:%S.%fZ", REFUSED},
      {"1795245847", REFUSED},
      {"1795245847.5", REFUSED},
      {"20261121T072407Z", REFUSED},
      {"2026-11-21T", REFUSED},
      {"2026-11-21 ", REFUSED},
      {"2026-11-21Z", REFUSED},
      {"2026-11-21+02:00", REFUSED},
      {"2026-11-21T07", REFUSED},
      {"2026-11-21T07:24:", REFUSED},
      {"2026-11-21T07:24:0", REFUSED},
      {"2026-11-21T07:24:7Z", REFUSED},
      {"2026-11-21T7:24:07Z", REFUSED},
      {"2026-11-21T07:24:07.", REFUSED},
      {"2026-11-21T07:24:07.Z", REFUSED},
      {"2026-11-21T07:24:07.1.2Z", REFUSED},
      {"2026-11-21T07:24:07.-1Z", REFUSED},
      {"2026-11-21_07:24:07Z", REFUSED},
      {"2026-11-21  07:24:07Z", REFUSED},
      {"2026-11-21T07:24:07 Z", REFUSED},
      {"2026-11-21T07:24:07 +02:00", REFUSED},
      {"2026-11-21T07:24:07ZZ", REFUSED},
      {"2026-11-21T07:24:07Z\n", REFUSED},
      {" 2026-11-21T07:24:07Z", REFUSED},
      {"2026-11-21T07:24:07+", REFUSED},
      {"2026-11-21T07:24:07+2", REFUSED},
      {"2026-11-21T07:24:07+020", REFUSED},
      {"2026-11-21T07:24:07+02:", REFUSED},
      {"2026-11-21T07:24:07+02:0", REFUSED},
      {"2026-11-21T07:24:07+02:000", REFUSED},
      {"2026-11-21T07:24:07+24:00", REFUSED},
      {"2026-11-21T07:24:07+02:60", REFUSED},
      {"2026-11-21T07:24:07+-2:00", REFUSED},
      {"2026-11-21T07:24:07-+2:00", REFUSED},
      {"2026-11-21T07:24:07+02:00Z", REFUSED},
      {"2026-11-21T07:24:07 UTC", REFUSED},
      {"2026-11-21T24:00:01Z", REFUSED},
      {"2026-11-21T24:01", REFUSED},
      {"2026-11-21T24:00:00.1", REFUSED},
      {"2026-11-21T25:00:00Z", REFUSED},
      {"2026-11-21T07:24.5Z", REFUSED},
      {"2026-11-21T07:2Z", REFUSED},
      {"2026-11-21T07:24:60.", REFUSED},
      {"9999-12-31T24:00Z", REFUSED},
      {"2026-11-21T07:60:00Z", REFUSED},
      {"2026-11-21T07:24:61Z", REFUSED},
      {"2026-00-21", REFUSED},
      {"2026-13-21", REFUSED},
      {"2026-11-00", REFUSED},
      {"2026-11-31", REFUSED},
      {"2026-12-32", REFUSED},
      {"2026-02-29", REFUSED},
      {"1900-02-29", REFUSED},
      {"2024-02-30", REFUSED},
      {"2026-1-21", REFUSED},
      {"2026-11-1", REFUSED},
      {"2026/11/21", REFUSED},
      {"26-11-21", REFUSED},
      {"02026-11-21", REFUSED},
      {"-2026-11-21", REFUSED},
      {"+2026-11-21", REFUSED},
      {"0000-01-01", REFUSED},
      {"10000-01-01", REFUSED},
      {"0001-01-01T00:00:00+00:01", REFUSED},
      {"9999-12-31T23:59:59-00:01", REFUSED},
      {"2026-W47-6", REFUSED},
      {"2026-325", REFUSED},
      {"2026-11-2\xd9\xa1", REFUSED}, /* a digit, but not of ASCII */
  };
  CHECK_ROWS(rows);
}

Test(timestamp, end_of_a_range) {
  const int64_t midnight = T - (7 * 3600 + 24 * 60 + 7) * S;
  static const char *const refused[] = {"",          "2026-11-2", "2026-11-31", "2026-11-21Z", "2026-11-21 ",
                                        "9999-12-32"};
  const row_t rows[] = {{"2026-11-21", midnight + 86400 * S - 1},   {"2026-11-21T00:00", midnight},
                        {"2026-11-21T24:00", midnight + 86400 * S}, {"2026-11-21T07:24:07Z", T},
                        {"0001-01-01", FIRST + 86400 * S - 1},      {"9999-12-31", LAST}};
  int64_t us;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    cr_expect_eq(mcp_time_parse_end(rows[i].text, strlen(rows[i].text), &us), 0, "%s", rows[i].text);
    cr_expect_eq(us, rows[i].us, "%s: %lld", rows[i].text, (long long)us);
  }
  us = REFUSED;
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
    cr_expect_eq(mcp_time_parse_end(refused[i], strlen(refused[i]), &us), -EINVAL, "%s", refused[i]);
  cr_expect_eq(us, REFUSED);
}

Test(timestamp, every_beginning_of_a_text) { /* none is read beyond its end */
  static const char whole[] = "2026-11-21T07:24:07.1+02:00";
  size_t fine = 0;
  for (size_t len = 0; len < sizeof whole; len++) {
    char *text = malloc(len);
    memcpy(text, whole, len);
    int64_t us;
    fine += mcp_time_parse(text, len, &us) == 0;
    free(text);
  }
  cr_assert_eq(fine, 6, "%zu", fine); /* date, minutes, seconds, fraction, +02, +02:00; not with the NUL */
}

Test(timestamp, format) {
  static const row_t rows[] = {
      {"2026-11-21T07:24:07.123456Z", T + 123456},
      {"2026-11-21T07:24:07.000000Z", T},
      {"1970-01-01T00:00:00.000000Z", 0},
      {"1969-12-31T23:59:59.999999Z", -1},
      {"2000-02-29T00:00:00.000000Z", INT64_C(951782400) * S},
      {"2000-03-01T00:00:00.000000Z", INT64_C(951868800) * S},
      {"1900-02-28T23:59:59.000000Z", INT64_C(-2203891201) * S},
      {"0001-01-01T00:00:00.000000Z", FIRST},
      {"9999-12-31T23:59:59.999999Z", LAST},
      {"0001-01-01T00:00:00.000000Z", FIRST - 1},
      {"0001-01-01T00:00:00.000000Z", INT64_MIN},
      {"9999-12-31T23:59:59.999999Z", LAST + 1},
      {"9999-12-31T23:59:59.999999Z", INT64_MAX},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    char text[MCP_TIME_SIZE];
    mcp_time_format(rows[i].us, text);
    cr_expect_str_eq(text, rows[i].text, "%lld: %s", (long long)rows[i].us, text);
  }
}

/* Against the calendar counted up day by day. */
Test(timestamp, every_day_there_and_back) {
  static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  int64_t day_us = 86400 * S, us = FIRST + 86399 * S + 999999;
  for (int year = 1; year <= 9999; year++) {
    int leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    for (int month = 1; month <= 12; month++) {
      for (int day = 1; day <= lengths[month - 1] + (month == 2 && leap); day++, us += day_us) {
        char expected[64], text[MCP_TIME_SIZE];
        int64_t read = 0;
        snprintf(expected, sizeof expected, "%04d-%02d-%02dT23:59:59.999999Z", year, month, day);
        mcp_time_format(us, text);
        cr_assert_eq(memcmp(text, expected, sizeof text), 0, "%s, not %s", text, expected);
        cr_assert(mcp_time_parse(text, strlen(text), &read) == 0 && read == us, "%s", text);
      }
    }
  }
  cr_assert_eq(us - day_us, LAST);
}

Test(timestamp, time_zone_and_locale_play_no_part) {
  setenv("TZ", "America/St_Johns", 1);
  tzset();
  setlocale(LC_ALL, "");
  char text[MCP_TIME_SIZE];
  int64_t us;
  mcp_time_format(T, text);
  cr_assert_str_eq(text, "2026-11-21T07:24:07.000000Z");
  cr_assert_eq(mcp_time_parse("2026-11-21 07:24:07", 19, &us), 0);
  cr_assert_eq(us, T);
}

Test(timestamp, now) {
  struct timespec before, after;
  clock_gettime(CLOCK_REALTIME, &before);
  int64_t now = mcp_time_now_us();
  clock_gettime(CLOCK_REALTIME, &after);
  cr_assert_geq(now, before.tv_sec * S + before.tv_nsec / 1000);
  cr_assert_leq(now, after.tv_sec * S + after.tv_nsec / 1000);
}
