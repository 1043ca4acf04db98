/* test_logs.c: validation of entries, rows as JSON, cursors, and JSON containment. */
#include "store_test.h"
#include "json_contains.h"
#include "logs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NOW_S = 1763700000 };

static log_batch_t batch;
static const char *reason;

static void begin(void) {
  cr_assert(log_batch_init(&batch, 16));
}

static void end_logs(void) {
  log_batch_deinit(&batch);
  expect_no_leak();
}

TestSuite(logs, .init = begin);

/* Validates an entry given as JSON. The document is kept until the next call, since the entry points into
 * it. */
static int validate(const char *json, size_t len) {
  static yyjson_doc *doc;
  yyjson_doc_free(doc);
  doc = yyjson_read(json, len, 0);
  return doc != NULL ? log_batch_add(&batch, yyjson_doc_get_root(doc), NOW_S * INT64_C(1000000), &reason)
                     : -1;
}

/* An entry with component, level, message and further members. */
static int judge_with(const char *more) {
  char json[1024];
  int len = snprintf(json, sizeof json, "{\"component\":\"c\",\"level\":\"INFO\",\"message\":\"m\"%s}", more);
  return validate(json, (size_t)len);
}

static log_entry_t *last_entry(void) {
  return &batch.entries[batch.count - 1];
}

static void assert_text(mcp_text_t got, const char *wanted) {
  if (wanted == NULL)
    cr_assert_null(got.ptr);
  else
    cr_assert(got.len == strlen(wanted) && memcmp(got.ptr, wanted, got.len) == 0, "%.*s instead of %s",
              (int)got.len, got.ptr, wanted);
}

/* ---- Judging ---- */

CASE(logs, three_members_are_enough) {
  cr_assert_eq(judge_with(""), LOG_ACCEPTED);
  assert_text(last_entry()->component, "c");
  assert_text(last_entry()->message, "m");
  assert_text(last_entry()->trace_id, NULL);
  assert_text(last_entry()->data, NULL);
  cr_assert_eq(last_entry()->level, MCP_LOG_INFO);
  char uuid[MCP_UUID_SIZE];
  cr_assert_eq(mcp_uuid_parse(last_entry()->id, strlen(last_entry()->id), uuid), 0, "it has got an id");
}

CASE(logs, nulls_count_as_not_given) {
  cr_assert_eq(judge_with(",\"trace_id\":null,\"data\":null,\"id\":null,\"created_at\":null"), LOG_ACCEPTED);
  assert_text(last_entry()->trace_id, NULL);
  assert_text(last_entry()->data, NULL);
}

CASE(logs, what_cannot_be_mended_is_refused_with_its_reason) {
  const char *const rejected[][2] = {
      {"{}", "component"},
      {"{\"component\":1,\"level\":\"INFO\",\"message\":\"m\"}", "component"},
      {"{\"component\":null,\"level\":\"INFO\",\"message\":\"m\"}", "component"},
      {"{\"component\":\"c\",\"level\":\"INFO\"}", "message"},
      {"{\"component\":\"c\",\"level\":\"INFO\",\"message\":{}}", "message"},
      {"{\"component\":\"c\",\"message\":\"m\"}", "level"},
      {"{\"component\":\"c\",\"level\":\"FATAL\",\"message\":\"m\"}", "level"},
      {"{\"component\":\"c\",\"level\":\"INFO\\u0000\",\"message\":\"m\"}", "level"},
      {"{\"component\":\"c\",\"level\":20,\"message\":\"m\"}", "level"},
      {"{\"component\":\"c\",\"level\":\"INFO\",\"message\":\"m\",\"trace_id\":1}", "trace_id"},
      {"{\"component\":\"c\",\"level\":\"INFO\",\"message\":\"m\",\"id\":\"x\"}", "id"},
      {"{\"component\":\"c\",\"level\":\"INFO\",\"message\":\"m\",\"id\":7}", "id"},
      {"[]", "component"},
      {"7", "component"}};
  for (size_t i = 0; i < sizeof rejected / sizeof *rejected; i++) {
    cr_expect_eq(validate(rejected[i][0], strlen(rejected[i][0])), LOG_REJECTED, "%s", rejected[i][0]);
    cr_expect_not_null(strstr(reason, rejected[i][1]), "%s: %s", rejected[i][0], reason);
  }
  cr_assert_eq(batch.count, 0);
}

CASE(logs, levels_come_in_upper_and_lower_case) {
  const char *const names[] = {"TRACE", "debug", "INFO", "warn", "ERROR"};
  for (int level = 0; level < 5; level++) {
    char json[128];
    int len =
        snprintf(json, sizeof json, "{\"component\":\"c\",\"level\":\"%s\",\"message\":\"m\"}", names[level]);
    cr_assert_eq(validate(json, (size_t)len), LOG_ACCEPTED);
    cr_assert_eq(last_entry()->level, level);
  }
}

CASE(logs, a_trace_id_may_have_128_bytes) {
  char more[256];
  snprintf(more, sizeof more, ",\"trace_id\":\"%0128d\"", 7);
  cr_expect_eq(judge_with(more), LOG_ACCEPTED);
  cr_expect_eq(last_entry()->trace_id.len, 128);
  snprintf(more, sizeof more, ",\"trace_id\":\"%0129d\"", 7);
  cr_expect_eq(judge_with(more), LOG_REJECTED);
}

CASE(logs, times_are_read_and_else_come_from_the_id_or_the_receipt) {
  cr_assert_eq(judge_with(",\"created_at\":\"2025-11-21T04:40:01.5Z\""), LOG_ACCEPTED);
  cr_expect_eq(last_entry()->created_at, NOW_S * INT64_C(1000000) + 1500000);
  cr_assert_eq(judge_with(",\"id\":\"01932C07-5F21-7ABC-8DEF-0123456789AB\""), LOG_ACCEPTED);
  cr_expect_eq(last_entry()->created_at, INT64_C(0x01932c075f21) * 1000);
  cr_expect_str_eq(last_entry()->id, "01932c07-5f21-7abc-8def-0123456789ab");
  cr_assert_eq(judge_with(",\"id\":\"01932c07-5f21-4abc-8def-0123456789ab\""), LOG_ACCEPTED);
  cr_expect_eq(last_entry()->created_at, NOW_S * INT64_C(1000000));
}

/* V7: 2025-11-21T04:39:00Z, a minute before the receipt. */
#define V4 "01932c07-5f21-4abc-8def-0123456789ab"
#define V7 "019aa4b5-5aa0-7abc-8def-0123456789ab"
#define V7_AHEAD "ffffffff-ffff-7abc-8def-0123456789ab"

CASE(logs, a_time_more_than_a_day_ahead_is_replaced) {
  const struct {
    const char *id, *created_at;
    int64_t after_receipt_s; /* expected */
    bool kept, reuse_stored_time;
  } cases[] = {{V4, "2025-11-22T04:40:00Z", 86400, false, true},
               {V4, "2025-11-22T04:40:00.000001Z", 0, true, true},
               {V4, "9999-12-31T23:59:59Z", 0, true, true},
               {V7, "9999-12-31T23:59:59Z", -60, true, true},
               {V7_AHEAD, "9999-12-31T23:59:59Z", 0, true, true},
               {V4, "2025-11-21T05:40:00Z", 3600, false, false},
               {V4, "2025-11-21T05:40:00.000001Z", 3600, false, true},
               {V7, "2025-11-21T04:40:07Z", 7, false, false},
               {V7, "unreadable", -60, true, false},
               {V4, "unreadable", 0, true, true}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char more[256], data[128];
    snprintf(more, sizeof more, ",\"id\":\"%s\",\"created_at\":\"%s\"", cases[i].id, cases[i].created_at);
    snprintf(data, sizeof data, "{\"original_created_at\":\"%s\"}", cases[i].created_at);
    cr_assert_eq(judge_with(more), LOG_ACCEPTED);
    cr_expect_eq(last_entry()->created_at / 1000000, NOW_S + cases[i].after_receipt_s, "%s", more);
    cr_expect_eq(last_entry()->reuse_stored_time, cases[i].reuse_stored_time, "%s", more);
    assert_text(last_entry()->data, cases[i].kept ? data : NULL);
  }
}

CASE(logs, the_time_of_a_stored_line_is_sought_for_an_id_without_a_time_alone) {
  cr_assert_eq(judge_with(",\"id\":\"" V4 "\""), LOG_ACCEPTED);
  cr_expect(last_entry()->reuse_stored_time);
  cr_assert_eq(judge_with(",\"id\":\"" V7 "\""), LOG_ACCEPTED);
  cr_expect_not(last_entry()->reuse_stored_time);
  cr_assert_eq(judge_with(",\"id\":\"" V7_AHEAD "\""), LOG_ACCEPTED);
  cr_expect(last_entry()->reuse_stored_time);
  cr_expect_eq(last_entry()->created_at, NOW_S * INT64_C(1000000));
  cr_assert_eq(judge_with(",\"created_at\":\"9999-12-31T23:59:59Z\""), LOG_ACCEPTED);
  cr_expect_not(last_entry()->reuse_stored_time, "the id is new");
}

CASE(logs, a_time_that_cannot_be_read_is_kept_in_data) {
  const char *const kept[][2] = {
      {",\"created_at\":\"2025-11-21T04:40:01.%fZ\"",
       "{\"original_created_at\":\"2025-11-21T04:40:01.%fZ\"}"},
      {",\"created_at\":17,\"data\":{\"a\":1}", "{\"a\":1,\"original_created_at\":17}"},
      {",\"created_at\":\"\",\"data\":[1]", "{\"data\":[1],\"original_created_at\":\"\"}"},
      {",\"created_at\":\"x\",\"data\":{\"original_created_at\":\"y\"}",
       "{\"data\":{\"original_created_at\":\"y\"},\"original_created_at\":\"x\"}"}};
  for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
    cr_assert_eq(judge_with(kept[i][0]), LOG_ACCEPTED);
    assert_text(last_entry()->data, kept[i][1]);
    cr_assert_eq(last_entry()->created_at, NOW_S * INT64_C(1000000));
  }
}

CASE(logs, data_stays_the_json_it_was) {
  const char *const data[] = {"{\"a\":[1,2.5,-3,true,null,\"x\"]}", "[]", "\"text\"", "18446744073709551615",
                              "false"};
  for (size_t i = 0; i < sizeof data / sizeof *data; i++) {
    char more[128];
    snprintf(more, sizeof more, ",\"data\":%s", data[i]);
    cr_assert_eq(judge_with(more), LOG_ACCEPTED);
    assert_text(last_entry()->data, data[i]);
  }
}

CASE(logs, nul_becomes_the_replacement_character) {
  static const char json[] =
      "{\"component\":\"\\u0000c\",\"level\":\"INFO\",\"message\":\"a\\u0000\\u0000b\","
      "\"trace_id\":\"t\\u0000\",\"data\":{\"k\\u0000\":\"\\\\u0000\\\\\\u0000\\u0000\"}}";
  cr_assert_eq(validate(json, sizeof json - 1), LOG_ACCEPTED);
  assert_text(last_entry()->component, "\xEF\xBF\xBD"
                                       "c");
  assert_text(last_entry()->message, "a\xEF\xBF\xBD\xEF\xBF\xBD"
                                     "b");
  assert_text(last_entry()->trace_id, "t\xEF\xBF\xBD");
  assert_text(last_entry()->data, "{\"k\xEF\xBF\xBD\":\"\\\\u0000\\\\\xEF\xBF\xBD\xEF\xBF\xBD\"}");
}

CASE(logs, a_line_may_have_256_kib) {
  enum { LIMIT = 256 * 1024, HEAD = 51 };
  char *json = malloc(LIMIT + 100);
  for (int extra = 0; extra < 2; extra++) {
    int message = LIMIT - 1 + extra; /* the component is one byte */
    int head = sprintf(json, "{\"component\":\"c\",\"level\":\"INFO\",\"message\":\"");
    memset(json + head, 'x', (size_t)message);
    memcpy(json + head + message, "\"}", 2);
    cr_expect_eq(validate(json, (size_t)head + (size_t)message + 2), extra ? LOG_REJECTED : LOG_ACCEPTED);
  }
  cr_expect_eq(batch.bytes, LIMIT);
  free(json);
}

/* ---- Writing ---- */

static char *row_json(const log_entry_t *row, int64_t now_us) {
  yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
  char *json = yyjson_mut_val_write(log_row_json(doc, row, now_us), YYJSON_WRITE_NOFLAG, NULL);
  yyjson_mut_doc_free(doc);
  cr_assert_not_null(json);
  return json;
}

CASE(logs, a_row_is_written_with_its_age) {
  log_entry_t row = entry(1);
  row.trace_id = text("t");
  row.data = text("{\"a\":[1]}");
  char *json = row_json(&row, row.created_at + 2500000);
  cr_assert_str_eq(
      json, "{\"id\":\"00000000-0000-4000-8000-000000000001\",\"trace_id\":\"t\",\"component\":\"alpha\","
            "\"level\":\"INFO\",\"message\":\"message 1\",\"data\":{\"a\":[1]},"
            "\"created_at\":\"2025-11-21T04:40:01.000000Z\",\"age\":2.5}");
  free(json);
  row.trace_id = row.data = (mcp_text_t){NULL, 0};
  json = row_json(&row, row.created_at);
  cr_assert_not_null(strstr(json, "\"trace_id\":null,"));
  cr_assert_not_null(strstr(json, "\"data\":null,"));
  free(json);
}

/* log_row_wire_bytes is an upper limit, also for texts that JSON makes longer. */
CASE(logs, a_row_never_takes_more_than_was_said) {
  const char *const texts[] = {
      "", "plain", "\"\"\"\\\\", "\n\r\t\b\f", "\x01\x02\x1f\x7f", "\xc3\xbc\xf0\x9f\x93\x9c"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    log_entry_t row = entry(1);
    row.component = row.message = row.trace_id = text(texts[i]);
    row.data = text("{\"k\":\"\\\"\\u0001\\n\"}");
    char *once = row_json(&row, INT64_MAX / 2);
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    char *twice = yyjson_mut_val_write(yyjson_mut_str(doc, once), YYJSON_WRITE_NOFLAG, NULL);
    cr_expect_leq(strlen(twice), log_row_wire_bytes(&row), "%s", twice);
    free(once);
    free(twice);
    yyjson_mut_doc_free(doc);
  }
}

/* ---- Cursors ---- */

CASE(logs, a_cursor_is_read_as_it_was_written) {
  const int64_t times[] = {0, -1, INT64_MAX, INT64_MIN, 1763700000123456};
  for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
    log_entry_t row = entry(7);
    char cursor[LOG_CURSOR_SIZE], id[MCP_UUID_SIZE];
    int64_t created_at;
    row.created_at = times[i];
    log_cursor_format(&row, cursor);
    cr_expect(log_cursor_parse(text(cursor), &created_at, id), "%s", cursor);
    cr_expect_eq(created_at, times[i]);
    cr_expect_str_eq(id, row.id);
  }
}

CASE(logs, nothing_else_is_a_cursor) {
  const char *const wrong[] = {"x",
                               "1",
                               "1_",
                               "_00000000-0000-4000-8000-000000000001",
                               " 1_00000000-0000-4000-8000-000000000001",
                               "01_00000000-0000-4000-8000-000000000001",
                               "1_00000000-0000-4000-8000-00000000000",
                               "1_00000000-0000-4000-8000-0000000000011",
                               "99999999999999999999_00000000-0000-4000-8000-000000000001",
                               "1_00000000-0000-4000-8000-00000000000A"};
  int64_t created_at;
  char id[MCP_UUID_SIZE];
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    cr_expect_not(log_cursor_parse(text(wrong[i]), &created_at, id), "%s", wrong[i]);
  cr_expect_not(
      log_cursor_parse((mcp_text_t){"1_00000000-0000-4000-8000-000000000001\0", 39}, &created_at, id));
}

/* ---- Containing ---- */

CASE(logs, what_json_contains) {
  const struct {
    const char *value, *wanted;
    bool contained;
  } cases[] = {{"1", "1", true},
               {"1", "1.0", true},
               {"-1", "1", false},
               {"18446744073709551615", "-1", false},
               {"true", "false", false},
               {"null", "null", true},
               {"null", "{}", false},
               {"\"a\"", "\"a\"", true},
               {"\"a\"", "\"b\"", false},
               {"[]", "{}", false},
               {"[1,[2,3]]", "[[3]]", true},
               {"[1,[2,3]]", "[3]", false},
               {"[1]", "[1,1]", true},
               {"{\"a\":{\"b\":1,\"c\":2}}", "{\"a\":{\"c\":2}}", true},
               {"{\"a\":{\"b\":1,\"c\":2}}", "{\"c\":2}", false},
               {"[{\"a\":1},{\"b\":2}]", "[{\"a\":1,\"b\":2}]", false}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    yyjson_doc *value = yyjson_read(cases[i].value, strlen(cases[i].value), 0);
    yyjson_doc *wanted = yyjson_read(cases[i].wanted, strlen(cases[i].wanted), 0);
    cr_expect_eq(json_contains(yyjson_doc_get_root(value), yyjson_doc_get_root(wanted)), cases[i].contained,
                 "%s and %s", cases[i].value, cases[i].wanted);
    yyjson_doc_free(value);
    yyjson_doc_free(wanted);
  }
}
