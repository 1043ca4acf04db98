/* relative_time, dedup and logline, the modules behind `iccm logs`. */
#include <locale.h>
#include "relative_time.h"
#include "cli_test.h"
#include "logline.h"
#include "dedup.h"

Test(relative_time, parse) {
  static const struct {
    const char *text;
    int64_t seconds; /* -1: refused */
  } cases[] = {{"0s", 0},      {"30s", 30},          {"15m", 900},        {"2h", 7200},      {"3d", 259200},
               {"1w", 604800}, {"1000w", 604800000}, {"1001w", -1},       {"", -1},          {"m", -1},
               {"15", -1},     {"15 m", -1},         {"-1m", -1},         {"+1m", -1},       {"1.5h", -1},
               {"15min", -1},  {"15M", -1},          {"9999999999s", -1}, {"2026-11-21", -1}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int64_t us = -7;
    bool read = relative_time_parse(cases[i].text, &us);
    cr_expect_eq(read, cases[i].seconds >= 0, "%s", cases[i].text);
    cr_expect_eq(us, read ? cases[i].seconds * 1000000 : -7, "%s", cases[i].text);
  }
}

Test(dedup, each_id_is_new_once) {
  enum { IDS = 5000 }; /* more than the initial size */
  dedup_t dedup = {.lines = NULL};
  char id[DEDUP_ID_SIZE];
  for (int round = 0; round < 2; round++)
    for (int i = 0; i < IDS; i++) {
      snprintf(id, sizeof id, "018f0000-0000-7000-8000-%012d", i);
      cr_assert_eq(dedup_add(&dedup, id, i), round == 0, "%s in round %d", id, round);
    }
  cr_expect_eq(dedup.count, IDS);
  dedup_forget(&dedup, IDS - 10);
  cr_expect_eq(dedup.count, 10);
  cr_expect_lt(dedup.size, IDS);
  snprintf(id, sizeof id, "018f0000-0000-7000-8000-%012d", IDS - 10);
  cr_expect_not(dedup_add(&dedup, id, 0));
  snprintf(id, sizeof id, "018f0000-0000-7000-8000-%012d", IDS - 11);
  cr_expect(dedup_add(&dedup, id, 0));
  dedup_deinit(&dedup);
  assert_no_leaks();
}

Test(dedup, what_is_no_id_is_always_new) {
  dedup_t dedup = {.lines = NULL};
  const char *ids[] = {"", "a text that is longer than any id of a line may be"};
  for (size_t i = 0; i < 4; i++)
    cr_expect(dedup_add(&dedup, ids[i % 2], 0));
  cr_expect_eq(dedup.count, 0);
  dedup_forget(&dedup, 0);
  dedup_deinit(&dedup);
  assert_no_leaks();
}

static const struct {
  const char *row, *shown;
} rows[] = {
    {"{\"id\":\"x\",\"component\":\"horace\",\"level\":\"INFO\",\"message\":\"größe\",\"trace_id\":null,"
     "\"data\":null,"
     "\"created_at\":\"2026-11-21T07:24:07.123456Z\",\"age\":1.5}",
     "2026-11-21 07:24:07.123 INFO  horace: größe\n"},
    {"{\"component\":\"a\",\"level\":\"ERROR\",\"message\":\"m\",\"trace_id\":\"t\",\"data\":{\"n\":1},"
     "\"created_at\":\"2026-11-21T07:24:07Z\"}",
     "2026-11-21 07:24:07Z ERROR a: m  trace t  {\"n\":1}\n"},
    {"{\"component\":\"\\u001b[1m\",\"level\":\"\\u001b\",\"message\":\"a\\nb\",\"trace_id\":\"\\u009b\","
     "\"data\":{\"k\":\"\\u202e\"},\"created_at\":\"\\u0007\"}",
     "\\u0007 \\u001b \\u001b[1m: a\\nb  trace \\u009b  {\"k\":\"\\u202e\"}\n"},
    {"{\"component\":1,\"level\":[],\"message\":{},\"trace_id\":2,\"created_at\":3}", "       : \n"},
    {"7", "       : \n"},
};

Test(logline, rows) {
  setlocale(LC_CTYPE, "C.UTF-8");
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    capture_t captured;
    yyjson_doc *doc = json(rows[i].row);
    capture_begin(&captured, 0);
    logline_print(&captured.print, yyjson_doc_get_root(doc));
    capture_end(&captured, rows[i].shown);
    yyjson_doc_free(doc);
  }
  assert_no_leaks();
}

Test(logline, colours_by_level) {
  static const char *const levels[] = {"ERROR", "WARN", "INFO", "DEBUG", "TRACE", "?"};
  static const char *const colours[] = {"\033[31m", "\033[33m", "\033[32m", "\033[36m", "\033[2m", ""};
  for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
    capture_t captured;
    capture_begin(&captured, 0);
    captured.print.colour = true;
    logline_colour(&captured.print, levels[i]);
    capture_end(&captured, colours[i]);
  }
  assert_no_leaks();
}
