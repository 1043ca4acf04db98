/* test_jsonrpc.c: a table of messages with kind, code and id; limits from both sides; messages cut and
 * changed at each byte; what is written, read again. */
#include "mcp/jsonrpc.h"
#include "leaks.h"
#include "out_of_memory.h"

#include <stdio.h>
#include <string.h>
#include <uv.h>

enum { MEMORY = 1 << 20, VALUES = 1000 };

typedef struct parsed {
  char *text; /* exactly sized, so that ASan detects reads beyond the padding */
  mcp__arena_t arena;
  mcp__message_t message;
} parsed_t;

static void parse(parsed_t *parsed, const char *text, size_t len, size_t max_values, size_t max_memory) {
  parsed->text = calloc(1, len + MCP__JSON_PADDING);
  memcpy(parsed->text, text, len);
  mcp__arena_init(&parsed->arena, max_memory);
  mcp__jsonrpc_parse(parsed->text, len, max_values, &parsed->arena, &parsed->message);
}

static void parsed_deinit(parsed_t *parsed) {
  mcp__arena_deinit(&parsed->arena);
  free(parsed->text);
}

#define SYNTAX "not valid JSON"
#define ID "id must be a string or a number"
#define VERSION "jsonrpc must be \"2.0\""
#define METHOD "method must be a string"
#define PARAMS "params must be an object"
#define TWICE "the message has a duplicate member"
#define BATCH "batches are not supported: send one object"
#define OBJECT "a message must be an object"
#define DEEP "nested deeper than 64 levels"
#define MANY "too many values in one message"
#define TOO_LARGE "the message exceeds the memory limit for one message"

#define J "\"jsonrpc\":\"2.0\""
#define CALL(id) "{" J ",\"id\":" id ",\"method\":\"m\"}"

typedef struct row {
  const char *text;
  size_t len;
  mcp__kind_t kind;
  const char *id;      /* JSON text */
  const char *problem; /* NULL: fine */
  int code;
} row_t;

#define REQUEST(text, id)                                                                                    \
  { text, sizeof(text) - 1, MCP__REQUEST, id, NULL, 0 }
#define NOTICE(text)                                                                                         \
  { text, sizeof(text) - 1, MCP__NOTIFICATION, "null", NULL, 0 }
#define RESPONSE(text, id)                                                                                   \
  { text, sizeof(text) - 1, MCP__RESPONSE, id, NULL, 0 }
#define INVALID(text, id, problem)                                                                           \
  { text, sizeof(text) - 1, MCP__INVALID, id, problem, MCP_INVALID_REQUEST }
#define NO_JSON(text)                                                                                        \
  { text, sizeof(text) - 1, MCP__INVALID, "null", SYNTAX, MCP_PARSE_ERROR }

static void check_row(const row_t *row) {
  parsed_t parsed;
  parse(&parsed, row->text, row->len, VALUES, MEMORY);
  const mcp__message_t *message = &parsed.message;
  cr_expect_eq(message->kind, row->kind, "%s: kind %d", row->text, message->kind);
  cr_expect_eq(message->id_len, strlen(row->id), "%s: id %.*s", row->text, (int)message->id_len, message->id);
  cr_expect(strncmp(message->id, row->id, message->id_len) == 0, "%s: id %.*s", row->text,
            (int)message->id_len, message->id);
  cr_expect_eq(message->id_value == NULL, strcmp(row->id, "null") == 0, "%s", row->text);
  cr_expect_eq(message->code, row->code, "%s: code %d", row->text, message->code);
  cr_expect_str_eq(message->problem != NULL ? message->problem : "", row->problem != NULL ? row->problem : "",
                   "%s: %s", row->text, message->problem);
  bool has_method = row->kind == MCP__REQUEST || row->kind == MCP__NOTIFICATION;
  cr_expect_eq(yyjson_is_str(message->method), has_method, "%s", row->text);
  parsed_deinit(&parsed);
}

static void check_rows(const row_t *rows, size_t count) {
  for (size_t i = 0; i < count; i++)
    check_row(&rows[i]);
  expect_no_leak();
}

#define CHECK_ROWS(rows) check_rows(rows, sizeof(rows) / sizeof(rows)[0])

/* Numbers are returned as received: an id belongs to the peer. */
Test(jsonrpc, ids) {
  static const row_t rows[] = {
      REQUEST(CALL("0"), "0"),
      REQUEST(CALL("1"), "1"),
      REQUEST(CALL("-1"), "-1"),
      REQUEST(CALL("-0"), "-0"),
      REQUEST(CALL("0.0"), "0.0"),
      REQUEST(CALL("-0.0"), "-0.0"),
      REQUEST(CALL("1.5"), "1.5"),
      REQUEST(CALL("1.50"), "1.50"),
      REQUEST(CALL("1e2"), "1e2"),
      REQUEST(CALL("1E+2"), "1E+2"),
      REQUEST(CALL("100e-2"), "100e-2"),
      REQUEST(CALL("1e400"), "1e400"),
      REQUEST(CALL("-1e400"), "-1e400"),
      REQUEST(CALL("0.1000000000000000055511151231257827"), "0.1000000000000000055511151231257827"),
      REQUEST(CALL("9007199254740993"), "9007199254740993"),
      REQUEST(CALL("9223372036854775807"), "9223372036854775807"),
      REQUEST(CALL("-9223372036854775808"), "-9223372036854775808"),
      REQUEST(CALL("-9223372036854775809"), "-9223372036854775809"),
      REQUEST(CALL("18446744073709551615"), "18446744073709551615"),
      REQUEST(CALL("18446744073709551616"), "18446744073709551616"),
      REQUEST(CALL("123456789012345678901234567890"), "123456789012345678901234567890"),
      REQUEST("{" J ",\"method\":\"m\",\"id\":7}", "7"),
      REQUEST("{" J ",\"method\":\"m\",\"id\":123456789012345678901234567890}",
              "123456789012345678901234567890"),
      REQUEST("{" J ",\"method\":\"m\",\"id\":1e400,\"params\":{\"a\":1e400}}", "1e400"),
      REQUEST("{" J ",\"method\":\"m\",\"id\" \t\r\n:\t\r\n 1e2 \n}", "1e2"),
      REQUEST("{\"id\":1e2\t," J ",\"method\":\"m\"}", "1e2"),
      REQUEST("{\"id\":1e2\n," J ",\"method\":\"m\"}", "1e2"),
      REQUEST("{\"id\":1e2\r," J ",\"method\":\"m\"}", "1e2"),
      REQUEST(CALL("\"\""), "\"\""),
      REQUEST(CALL("\"a\""), "\"a\""),
      REQUEST(CALL("\"1\""), "\"1\""),
      REQUEST(CALL("\"null\""), "\"null\""),
      REQUEST(CALL("\" a \""), "\" a \""),
      REQUEST(CALL("\"a\\\"b\""), "\"a\\\"b\""),
      REQUEST(CALL("\"a\\\\b\""), "\"a\\\\b\""),
      REQUEST(CALL("\"a\\nb\""), "\"a\\nb\""),
      REQUEST(CALL("\"a\\u0000b\""), "\"a\\u0000b\""),
      REQUEST(CALL("\"\\u0041\""), "\"A\""), /* the same string */
      REQUEST(CALL("\"a\\/b\""), "\"a/b\""),
      REQUEST(CALL("\"\\u00e4\""), "\"\xc3\xa4\""),
      REQUEST(CALL("\"\\ud83d\\ude00\""), "\"\xf0\x9f\x98\x80\""),
      REQUEST(CALL("\"\\ud83d\""), "\"\xef\xbf\xbd\""),
      REQUEST(CALL("\"\xc3\xa4\xe2\x82\xac\""), "\"\xc3\xa4\xe2\x82\xac\""),
      REQUEST(CALL("\"},\\\"id\\\":2\""), "\"},\\\"id\\\":2\""),
      REQUEST("{" J ",\"i\\u0064\":7,\"method\":\"m\"}", "7"),
      REQUEST("{" J ",\"\\u0069d\":7,\"method\":\"m\"}", "7"),
      REQUEST("{" J ",\"\\u0069\\u0064\":7,\"method\":\"m\"}", "7"),
      REQUEST("{" J ",\"\\u0069\\u0064\":9007199254740993,\"method\":\"m\"}", "9007199254740993"),
      REQUEST("{" J ",\"i\\u0064\":123456789012345678901234567890,\"method\":\"m\"}",
              "123456789012345678901234567890"),
      REQUEST("{" J ",\"i\\u0064\":\"a\",\"method\":\"m\"}", "\"a\""),
      REQUEST("{" J ",\"\\u0069\\u0064\" : 1.5 ,\"method\":\"m\"}", "1.5"),
      REQUEST("{" J ",\"id2\":1,\"id\":7,\"ID\":3,\"method\":\"m\"}", "7"),
      REQUEST("{" J ",\"id\":7,\"id\\u0000\":1,\"method\":\"m\"}", "7"),
      INVALID(CALL("null"), "null", ID),
      INVALID(CALL("true"), "null", ID),
      INVALID(CALL("false"), "null", ID),
      INVALID(CALL("{}"), "null", ID),
      INVALID(CALL("[]"), "null", ID),
      INVALID(CALL("[1]"), "null", ID),
      INVALID(CALL("{\"id\":1}"), "null", ID),
  };
  CHECK_ROWS(rows);
}

Test(jsonrpc, requests_and_notifications) {
  static const row_t rows[] = {
      NOTICE("{" J ",\"method\":\"m\"}"),
      NOTICE("{\"method\":\"m\"," J "}"),
      NOTICE("{" J ",\"method\":\"\"}"),
      NOTICE("{" J ",\"method\":\"m\",\"params\":{}}"),
      NOTICE("{" J ",\"method\":\"m\",\"params\":[]}"),
      NOTICE("{" J ",\"method\":\"m\",\"params\":null}"),
      NOTICE("{" J ",\"method\":\"m\",\"more\":[1,{\"id\":2,\"method\":3}]}"),
      NOTICE("{" J ",\"\":1,\"method\":\"m\"}"),
      NOTICE("{" J ",\"other\":1,\"other\":2,\"method\":\"m\"}"),
      NOTICE("{" J ",\"method\":\"m\",\"params\":{\"a\":1,\"a\":2}}"),
      NOTICE(" \t\r\n{" J ",\"method\":\"m\"} \t\r\n"),
      NOTICE("{\"jsonrpc\":\"\\u0032.0\",\"method\":\"m\"}"),
      NOTICE("{\"\\u006asonrpc\":\"2.0\",\"m\\u0065thod\":\"m\"}"),
      NOTICE("{" J ",\"method\":\"a\\u0000b\"}"),
      NOTICE("{" J ",\"method\":\"\\u0000\"}"),
      NOTICE("{" J ",\"method\":\"m\",\"id\\u0000\":1}"),
      NOTICE("{" J ",\"method\":\"\xf0\x9f\x98\x80\"}"),
      NOTICE("{" J ",\"method\":\"m\",\"Id\":1}"),
      NOTICE("{" J ",\"method\":\"m\",\"result\":1}"),
      REQUEST("{" J ",\"id\":3,\"method\":\"m\",\"error\":1}", "3"),
      REQUEST("{" J ",\"id\":3,\"method\":\"m\",\"params\":{\"id\":4}}", "3"),
      REQUEST("{" J ",\"params\":{\"id\":4},\"id\":3,\"method\":\"m\"}", "3"),
      REQUEST("{" J ",\"params\":[{\"id\":4}],\"id\":3,\"method\":\"m\"}", "3"),
      INVALID("{}", "null", VERSION),
      INVALID("{" J "}", "null", METHOD),
      INVALID("{" J ",\"id\":1}", "1", METHOD),
      INVALID("{\"id\":1}", "1", VERSION),
      INVALID("{\"id\":123456789012345678901234567890}", "123456789012345678901234567890", VERSION),
      INVALID("{\"id\":1,\"method\":\"m\"}", "1", VERSION),
      INVALID("{\"method\":\"m\"}", "null", VERSION),
      INVALID("{\"jsonrpc\":\"1.0\",\"id\":\"a\",\"method\":\"m\"}", "\"a\"", VERSION),
      INVALID("{\"jsonrpc\":\"2\",\"id\":1,\"method\":\"m\"}", "1", VERSION),
      INVALID("{\"jsonrpc\":\"2.0.0\",\"id\":1,\"method\":\"m\"}", "1", VERSION),
      INVALID("{\"jsonrpc\":\"2.0\\u0000\",\"id\":1,\"method\":\"m\"}", "1", VERSION),
      INVALID("{\"jsonrpc\":\"\",\"id\":1,\"method\":\"m\"}", "1", VERSION),
      INVALID("{\"jsonrpc\":2.0,\"id\":1,\"method\":\"m\"}", "1", VERSION),
      INVALID("{\"jsonrpc\":2,\"id\":1,\"method\":\"m\"}", "1", VERSION),
      INVALID("{\"jsonrpc\":null,\"id\":1,\"method\":\"m\"}", "1", VERSION),
      INVALID("{\"jsonrpc\":[\"2.0\"],\"id\":1,\"method\":\"m\"}", "1", VERSION),
      INVALID("{\"JSONRPC\":\"2.0\",\"id\":1,\"method\":\"m\"}", "1", VERSION),
      INVALID("{" J ",\"id\":1,\"method\":1}", "1", METHOD),
      INVALID("{" J ",\"id\":1,\"method\":null}", "1", METHOD),
      INVALID("{" J ",\"id\":1,\"method\":[\"m\"]}", "1", METHOD),
      INVALID("{" J ",\"id\":1,\"method\":{}}", "1", METHOD),
      INVALID("{" J ",\"id\":1,\"method\":true}", "1", METHOD),
      INVALID("{" J ",\"id\":1,\"method\":123456789012345678901234567890}", "1", METHOD),
      INVALID("{" J ",\"id\":1,\"Method\":\"m\"}", "1", METHOD),
      INVALID("{" J ",\"id\":1,\"method\":\"m\",\"params\":1}", "1", PARAMS),
      INVALID("{" J ",\"id\":1,\"method\":\"m\",\"params\":\"{}\"}", "1", PARAMS),
      INVALID("{" J ",\"id\":1,\"method\":\"m\",\"params\":true}", "1", PARAMS),
      INVALID("{" J ",\"id\":1,\"method\":\"m\",\"params\":123456789012345678901234567890}", "1", PARAMS),
      INVALID("{" J "," J ",\"id\":1,\"method\":\"m\"}", "1", TWICE),
      INVALID("{" J ",\"id\":1,\"method\":\"m\",\"method\":\"m\"}", "1", TWICE),
      INVALID("{" J ",\"id\":1,\"method\":\"m\",\"params\":{},\"params\":{}}", "1", TWICE),
      INVALID("{" J ",\"id\":1,\"method\":\"m\",\"params\":null,\"params\":{}}", "1", TWICE),
      INVALID("{" J ",\"id\":1,\"id\":1,\"method\":\"m\"}", "1", TWICE),
      INVALID("{" J ",\"i\\u0064\":1,\"id\":1,\"method\":\"m\"}", "1", TWICE),
      INVALID("{" J ",\"id\":1,\"id\":null,\"method\":\"m\"}", "null", TWICE),
      INVALID("{" J ",\"id\":1,\"result\":1,\"result\":1}", "1", TWICE),
      INVALID("{" J ",\"id\":1,\"error\":1,\"error\":1}", "1", TWICE),
  };
  CHECK_ROWS(rows);
}

Test(jsonrpc, responses) {
  static const row_t rows[] = {
      RESPONSE("{" J ",\"id\":1,\"result\":{}}", "1"),
      RESPONSE("{" J ",\"id\":1,\"result\":null}", "1"),
      RESPONSE("{" J ",\"id\":\"a\",\"result\":[]}", "\"a\""),
      RESPONSE("{" J ",\"id\":1,\"error\":{\"code\":-32000,\"message\":\"x\"}}", "1"),
      RESPONSE("{" J ",\"id\":null,\"error\":{\"code\":-32700,\"message\":\"x\"}}", "null"),
      RESPONSE("{" J ",\"error\":{}}", "null"),
      RESPONSE("{" J ",\"result\":{}}", "null"),
      RESPONSE("{" J ",\"id\":[],\"result\":{}}", "null"),
      RESPONSE("{\"id\":1,\"result\":{}}", "1"), /* accepted from peers that omit jsonrpc */
      RESPONSE("{" J ",\"id\":1,\"result\":1,\"error\":null}", "1"),
  };
  CHECK_ROWS(rows);
}

Test(jsonrpc, no_json_or_no_object) {
  static const row_t rows[] = {
      NO_JSON(""),
      NO_JSON(" "),
      NO_JSON("\n\r\t"),
      NO_JSON("{"),
      NO_JSON("}"),
      NO_JSON("["),
      NO_JSON("nul"),
      NO_JSON("nulll"),
      NO_JSON("NaN"),
      NO_JSON("Infinity"),
      NO_JSON("\""),
      NO_JSON("'a'"),
      NO_JSON("01"),
      NO_JSON("+1"),
      NO_JSON("1."),
      NO_JSON(".5"),
      NO_JSON("0x1"),
      NO_JSON("1 2"),
      NO_JSON("hello"),
      NO_JSON("GET / HTTP/1.1"),
      NO_JSON("{\"a\":1,}"),
      NO_JSON("[1,]"),
      NO_JSON("{\"a\"}"),
      NO_JSON("{\"a\" 1}"),
      NO_JSON("{a:1}"),
      NO_JSON("{1:1}"),
      NO_JSON("{\"a\":1 \"b\":2}"),
      NO_JSON("{\"a\":01}"),
      NO_JSON("{} {}"),
      NO_JSON("{}x"),
      NO_JSON("{}}"),
      NO_JSON("{},"),
      NO_JSON("{}\0"),
      NO_JSON("\0{}"),
      NO_JSON("{\0}"),
      NO_JSON("{\"a\0\":1}"),
      NO_JSON("{\"a\":\"\n\"}"),
      NO_JSON("{\"a\":\"\x1f\"}"),
      NO_JSON("{\"a\":\"\\x\"}"),
      NO_JSON("{\"a\":\"\\u12g4\"}"),
      NO_JSON("{\"a\":\"\\ud80\"}"),
      NO_JSON("{\"a\":\"\\ud800\\"),
      NO_JSON("{\"a\":\"\\ud800\\udc0"),
      NO_JSON("{\"a\":\"\x80\"}"),
      NO_JSON("{\"a\":\"\xc0\xaf\"}"),
      NO_JSON("{\"a\":\"\xed\xa0\x80\"}"),
      NO_JSON("{\"a\":\"\xf4\x90\x80\x80\"}"),
      NO_JSON("{\"a\":\"\xe2\x82\"}"),
      NO_JSON("{\"\xff\":1}"),
      INVALID("\xef\xbb\xbf{}", "null", VERSION),
      NO_JSON("\xef\xbb\xbf\xef\xbb\xbf{}"),
      NO_JSON("\xff\xfe{\0}\0"),
      NO_JSON("/* a */ {}"),
      NO_JSON("{} // a"),
      INVALID("null", "null", OBJECT),
      INVALID("true", "null", OBJECT),
      INVALID("0", "null", OBJECT),
      INVALID("-1.5e3", "null", OBJECT),
      INVALID("123456789012345678901234567890", "null", OBJECT),
      INVALID("1e400", "null", OBJECT),
      INVALID("\"\"", "null", OBJECT),
      INVALID("\"{}\"", "null", OBJECT),
      INVALID("[]", "null", BATCH),
      INVALID("[1]", "null", BATCH),
      INVALID(" [ ] ", "null", BATCH),
      INVALID("[" CALL("1") "]", "null", BATCH),
      INVALID("[" CALL("1") "," CALL("2") "]", "null", BATCH),
  };
  CHECK_ROWS(rows);
}

static void append(char *text, const char *what, int times) {
  for (int i = 0; i < times; i++)
    strcat(text, what);
}

/* The message object is the first level. */
/* How a string in the parameters is read. */
static void expect_param(const char *json, const char *wanted, size_t len) {
  char text[256];
  parsed_t parsed;
  snprintf(text, sizeof text, "{" J ",\"id\":1,\"method\":\"m\",\"params\":[\"%s\"]}", json);
  parse(&parsed, text, strlen(text), VALUES, MEMORY);
  yyjson_val *value = yyjson_arr_get_first(parsed.message.params);
  cr_assert_not_null(value, "%s: %s", json, parsed.message.problem);
  cr_expect(yyjson_equals_strn(value, wanted, len), "%s: %s", json, yyjson_get_str(value));
  parsed_deinit(&parsed);
}

#define FFFD "\xef\xbf\xbd"

Test(jsonrpc, halves_of_surrogate_pairs_become_one_character) {
  static const char *const rows[][2] = {
      {"\\ud800", FFFD},
      {"\\udfff", FFFD},
      {"a\\uD83Db", "a" FFFD "b"},
      {"\\ud800\\u0041", FFFD "A"},
      {"\\ude00\\ud83d", FFFD FFFD},
      {"\\ud83d\\ud83d\\ude00", FFFD "\xf0\x9f\x98\x80"},
      {"\\ud83d\\uDE00", "\xf0\x9f\x98\x80"},
      {"\\ud83d\\n", FFFD "\n"},
      {"\\ud83d\\\\ude00", FFFD "\\ude00"},
      {"\\\\ud83d", "\\ud83d"},
      {"\\\\\\ud83d", "\\" FFFD},
      {"\\ud7ff\\ue000", "\xed\x9f\xbf\xee\x80\x80"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    expect_param(rows[i][0], rows[i][1], strlen(rows[i][1]));
  expect_param("a\\u0000b", "a\0b", 3); /* an ordinary character */
}

Test(jsonrpc, depth) {
  static const struct {
    const char *open, *close;
  } kinds[] = {{"[", "]"}, {"{\"a\":", "}"}, {"[1,{\"b\":2,\"a\":", ",\"c\":[]}]"}};
  for (size_t kind = 0; kind < 3; kind++)
    for (int pairs = 1; pairs < 70; pairs++) {
      char text[3000] = "{" J ",\"id\":5,\"method\":\"m\",\"params\":[";
      int depth = 2 + pairs * (kind == 2 ? 2 : 1);
      append(text, kinds[kind].open, pairs);
      append(text, "1", 1);
      append(text, kinds[kind].close, pairs);
      append(text, "]}", 1);
      if (kind == 2) /* the innermost "c":[] is one level deeper */
        depth++;
      bool deep = depth > MCP__JSON_MAX_DEPTH;
      row_t row = {text,
                   strlen(text),
                   deep ? MCP__INVALID : MCP__REQUEST,
                   deep ? "null" : "5",
                   deep ? DEEP : NULL,
                   deep ? MCP_PARSE_ERROR : 0};
      check_row(&row);
    }
  expect_no_leak();
}

Test(jsonrpc, depth_without_an_envelope) {
  for (int depth = 63; depth < 67; depth++) {
    char text[200] = "";
    append(text, "[", depth);
    append(text, "]", depth);
    bool deep = depth > MCP__JSON_MAX_DEPTH;
    row_t row = {text,   strlen(text),        MCP__INVALID,
                 "null", deep ? DEEP : BATCH, deep ? MCP_PARSE_ERROR : MCP_INVALID_REQUEST};
    check_row(&row);
  }
  static char wide[5000] = "{" J ",\"id\":5,\"method\":\"m\",\"params\":[0";
  append(wide, ",[[[]]],{}", 300); /* many but not deep */
  append(wide, "]}", 1);
  parsed_t parsed;
  parse(&parsed, wide, strlen(wide), 100000, MEMORY);
  cr_expect_eq(parsed.message.kind, MCP__REQUEST, "%s", parsed.message.problem);
  parsed_deinit(&parsed);
  expect_no_leak();
}

Test(jsonrpc, number_of_values) {
  static const char text[] =
      "{" J ",\"id\":5,\"method\":\"m\",\"params\":[1,2,{\"a\":null}]}"; /* keys are values, too */
  for (size_t max = 0; max < 20; max++) {
    parsed_t parsed;
    parse(&parsed, text, sizeof text - 1, max, MEMORY);
    bool fine = max >= 14;
    cr_expect_eq(parsed.message.kind, fine ? MCP__REQUEST : MCP__INVALID, "at most %zu", max);
    cr_expect(fine ||
              (parsed.message.code == MCP_INVALID_REQUEST && strcmp(parsed.message.problem, MANY) == 0));
    cr_expect(strncmp(parsed.message.id, "5", parsed.message.id_len) == 0);
    parsed_deinit(&parsed);
  }
  expect_no_leak();
}

Test(jsonrpc, memory_bound) {
  static char text[20000] = "{" J ",\"id\":\"five\",\"method\":\"m\",\"params\":[0";
  append(text, ",1", 5000);
  append(text, "]}", 1);
  bool was_fine = false;
  for (size_t max = 0; max < 1 << 20; max += 1000) {
    parsed_t parsed;
    parse(&parsed, text, strlen(text), 100000, max);
    bool fine = parsed.message.kind == MCP__REQUEST;
    cr_expect(fine || (parsed.message.kind == MCP__INVALID && parsed.message.code == MCP_INVALID_REQUEST &&
                       strcmp(parsed.message.problem, TOO_LARGE) == 0),
              "at most %zu: %s", max, parsed.message.problem);
    cr_expect(fine || !was_fine, "more memory never hurts");
    was_fine = fine;
    parsed_deinit(&parsed);
  }
  cr_expect(was_fine);
  expect_no_leak();
}

Test(jsonrpc, memory_that_runs_out) {
  static char texts[3][9000] = {CALL("1"), CALL("\"a\"")};
  strcpy(texts[2], "{" J ",\"method\":\"m\",\"id\":\"");
  append(texts[2], "i", 8000); /* rewritten, it needs its own chunk */
  append(texts[2], "\"}", 1);
  use_failing_allocator();
  for (size_t i = 0; i < 3; i++)
    for (int once = 0; once < 2; once++) {
      bool fine = false;
      memory.once = once == 1;
      for (long allocations = 0; !fine; allocations++) {
        cr_assert_lt(allocations, 20);
        parsed_t parsed;
        memory.allowed = allocations;
        parse(&parsed, texts[i], strlen(texts[i]), VALUES, MEMORY);
        fine = parsed.message.kind == MCP__REQUEST;
        cr_expect(!fine || parsed.message.id_value != NULL);
        cr_expect(fine ||
                  (parsed.message.kind == MCP__INVALID && parsed.message.code == MCP_INVALID_REQUEST));
        cr_expect_str_eq(fine ? TOO_LARGE : parsed.message.problem, TOO_LARGE, "%zu: %s", i,
                         parsed.message.problem);
        parsed_deinit(&parsed);
        cr_assert_eq(memory.live, 0);
      }
    }
  expect_no_leak();
}

/* For any input the id is JSON text of a string, a number or null, since it is copied into the response. */
static void expect_usable(const char *text, size_t len) {
  parsed_t parsed;
  parse(&parsed, text, len, VALUES, MEMORY);
  const mcp__message_t *message = &parsed.message;
  yyjson_doc *id = yyjson_read(message->id, message->id_len, YYJSON_READ_BIGNUM_AS_RAW);
  yyjson_val *root = yyjson_doc_get_root(id);
  cr_assert(yyjson_is_str(root) || yyjson_is_num(root) || yyjson_is_raw(root) || yyjson_is_null(root),
            "%.*s: id %.*s", (int)len, text, (int)message->id_len, message->id);
  cr_assert_eq(message->kind == MCP__INVALID, message->problem != NULL);
  cr_assert_eq(message->kind == MCP__INVALID, message->code != 0);
  yyjson_doc_free(id);
  parsed_deinit(&parsed);
}

static const char *const whole[] = {
    "{" J ",\"id\":9007199254740993,\"method\":\"tools/"
    "call\",\"params\":{\"name\":\"a\",\"arguments\":{\"b\":[1,2.5]}}}",
    "{\"i\\u0064\":-1.5e3," J ",\"method\":\"\xc3\xa4\\n\"}",
    "{\"id\":\"a\\\"\\u00e4\",\"result\":{\"x\":null}," J "}",
    "{\"id\":123456789012345678901234567890," J ",\"error\":{\"code\":-1}}",
};

Test(jsonrpc, cut_at_each_byte) {
  for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
    for (size_t len = 0; len < strlen(whole[i]); len++) {
      parsed_t parsed;
      parse(&parsed, whole[i], len, VALUES, MEMORY);
      cr_expect_eq(parsed.message.code, MCP_PARSE_ERROR, "%.*s", (int)len, whole[i]);
      parsed_deinit(&parsed);
    }
  expect_no_leak();
}

Test(jsonrpc, changed_at_each_byte) {
  static const char others[] = "\0\1 \t\n\"\\{}[]:,0-1e.nu/\x7f\x80\xc3\xff";
  for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
    for (size_t at = 0; at < strlen(whole[i]); at++)
      for (size_t other = 0; other < sizeof others - 1; other++) {
        char text[300];
        size_t len = strlen(whole[i]);
        memcpy(text, whole[i], len);
        text[at] = others[other];
        expect_usable(text, len);
        memmove(text + at, text + at + 1, len - at - 1); /* byte removed */
        expect_usable(text, len - 1);
      }
  expect_no_leak();
}

static yyjson_doc *read_again(const mcp__buf_t *buf) {
  yyjson_doc *doc = yyjson_read(buf->data, buf->len, YYJSON_READ_NUMBER_AS_RAW);
  cr_assert_not_null(doc, "%.*s", (int)buf->len, buf->data);
  cr_assert(yyjson_equals_str(yyjson_obj_get(yyjson_doc_get_root(doc), "jsonrpc"), "2.0"));
  return doc;
}

static void expect_text(const mcp__buf_t *buf, const char *text) {
  cr_expect_eq(buf->len, strlen(text), "%.*s", (int)buf->len, buf->data);
  cr_expect_eq(memcmp(buf->data, text, buf->len), 0, "%.*s", (int)buf->len, buf->data);
  yyjson_doc_free(read_again(buf));
}

Test(jsonrpc, writes) {
  mcp__buf_t buf;
  mcp__buf_init(&buf, 100000, NULL);
  cr_assert_eq(mcp__jsonrpc_begin_result(&buf, "\"a\"", 3), 0);
  cr_assert_eq(mcp__buf_puts(&buf, "[1]}"), 0);
  expect_text(&buf, "{" J ",\"id\":\"a\",\"result\":[1]}");
  buf.len = 0;
  cr_assert_eq(mcp__jsonrpc_error(&buf, "-0xyz", 2, MCP_PARSE_ERROR, "a \"b\"\n", NULL, 0), 0);
  expect_text(&buf, "{" J ",\"id\":-0,\"error\":{\"code\":-32700,\"message\":\"a \\\"b\\\"\\n\"}}");
  buf.len = 0;
  cr_assert_eq(mcp__jsonrpc_error(&buf, "null", 4, -32099, "", "{\"x\":1}z", 7), 0);
  expect_text(&buf, "{" J ",\"id\":null,\"error\":{\"code\":-32099,\"message\":\"\",\"data\":{\"x\":1}}}");
  buf.len = 0;
  cr_assert_eq(mcp__jsonrpc_request(&buf, 0, "notifications/initialized", NULL, 0), 0);
  expect_text(&buf, "{" J ",\"method\":\"notifications/initialized\"}");
  buf.len = 0;
  cr_assert_eq(mcp__jsonrpc_request(&buf, UINT64_MAX, "a\"b", "{}z", 2), 0);
  expect_text(&buf, "{" J ",\"id\":18446744073709551615,\"method\":\"a\\\"b\",\"params\":{}}");
  mcp__buf_deinit(&buf);
  expect_no_leak();
}

Test(jsonrpc, reads_what_it_writes) {
  static const char *const texts[] = {"", "plain", "\"\\/\b\f\n\r\t\x01\x7f",
                                      "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"};
  static const uint64_t ids[] = {1, 9007199254740993, UINT64_MAX};
  for (size_t i = 0; i < 4; i++)
    for (size_t j = 0; j < 3; j++) {
      mcp__buf_t buf;
      parsed_t parsed;
      char id[24];
      mcp__buf_init(&buf, 100000, NULL);
      snprintf(id, sizeof id, "%llu", (unsigned long long)ids[j]);
      cr_assert_eq(mcp__jsonrpc_request(&buf, ids[j], texts[i], "{\"a\":[]}", 8), 0);
      parse(&parsed, buf.data, buf.len, VALUES, MEMORY);
      cr_expect_eq(parsed.message.kind, MCP__REQUEST);
      cr_expect(yyjson_equals_str(parsed.message.method, texts[i]));
      cr_expect(yyjson_is_arr(yyjson_obj_get(parsed.message.params, "a")));
      cr_expect(parsed.message.id_len == strlen(id) && memcmp(parsed.message.id, id, strlen(id)) == 0);
      parsed_deinit(&parsed);
      mcp__buf_clear(&buf, SIZE_MAX);
      cr_assert_eq(mcp__jsonrpc_error(&buf, id, strlen(id), -32000, texts[i], "null", 4), 0);
      parse(&parsed, buf.data, buf.len, VALUES, MEMORY);
      cr_expect_eq(parsed.message.kind, MCP__RESPONSE);
      cr_expect(yyjson_equals_str(yyjson_obj_get(parsed.message.error, "message"), texts[i]));
      cr_expect(yyjson_is_null(yyjson_obj_get(parsed.message.error, "data")));
      parsed_deinit(&parsed);
      mcp__buf_deinit(&buf);
    }
  expect_no_leak();
}

Test(jsonrpc, writers_say_when_there_is_no_room) {
  for (size_t max = 0; max < 200; max++) {
    mcp__buf_t buf;
    mcp__buf_init(&buf, max, NULL);
    int status = mcp__jsonrpc_error(&buf, "1", 1, -32000, "words", "[1,2]", 5);
    cr_expect(status == 0 || status == MCP_ETOOBIG);
    cr_expect_leq(buf.len, max);
    if (status == 0)
      yyjson_doc_free(read_again(&buf));
    mcp__buf_clear(&buf, SIZE_MAX);
    status = mcp__jsonrpc_request(&buf, 7, "method", "{}", 2);
    cr_expect(status == 0 || status == MCP_ETOOBIG);
    if (status == 0)
      yyjson_doc_free(read_again(&buf));
    mcp__buf_clear(&buf, SIZE_MAX);
    status = mcp__jsonrpc_begin_result(&buf, "7", 1);
    cr_expect_eq(status, max < 33 ? MCP_ETOOBIG : 0, "%zu", max);
    mcp__buf_deinit(&buf);
  }
  expect_no_leak();
}
