/* test_redact.c: which names are names of secrets, redaction of JSON, and names added by a program. */
#include "base/redact.h"
#include "leaks.h"
#include "out_of_memory.h"

#include <iccm_service.h>
#include <string.h>
#include <uv.h>

static bool is_secret(const char *name) {
  return mcp__redact_is_secret_name(name, strlen(name));
}

Test(redact, names_of_secrets) {
  static const char *const names[] = {"password",      "PASSWORD",
                                      "PassWord",      "db_password",
                                      "dbPassword",    "DB-PASSWORD",
                                      "pass_word",     "token",
                                      "accessToken",   "access_token",
                                      "refresh.token", "x token",
                                      "api_key",       "apikey",
                                      "API-Key",       "apiKey",
                                      "my_api_key",    "api__key_",
                                      "secret",        "Secret",
                                      "clientSecret",  "client secret",
                                      "authorization", "Proxy-Authorization",
                                      "_password__",   "\xe4\xbd\xa0password"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    cr_expect(is_secret(names[i]), "%s", names[i]);
}

Test(redact, other_names) {
  static const char *const names[] = {
      "",       "_",         "-",     "tokens_used",   "tokens",    "broken",   "max_tokens", "key",   "api",
      "keyapi", "passwords", "pass",  "password_hint", "secretary", "author",   "authorized", "taken", "toke",
      "oken",   "word",      "ecret", "token\xc3\xa4", "message",   "tool_name"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    cr_expect(!is_secret(names[i]), "%s", names[i]);
}

Test(redact, names_of_any_length) {
  char name[1000];
  for (size_t len = 8; len < sizeof name; len++) {
    memset(name, len % 2 == 0 ? 'x' : '_', len - 8);
    memcpy(name + len - 8, "Pass-wor", 8);
    cr_assert(!mcp__redact_is_secret_name(name, len), "%zu", len);
    cr_assert(mcp__redact_is_secret_name("password", 8));
    memcpy(name + len - 8, "password", 8);
    cr_assert(mcp__redact_is_secret_name(name, len), "%zu", len);
    memset(name + 8, '_', len - 8); /* separators do not count towards the limit */
    memcpy(name, "password", 8);
    cr_assert(mcp__redact_is_secret_name(name, len), "%zu", len);
  }
  cr_assert(mcp__redact_is_secret_name("a\0password", 10)); /* NUL is a separator, like a blank */
}

/* ---- addresses and settings ---------------------------------------------------------------------------- */

Test(redact, settings) {
  static const struct {
    const char *name, *value, *shown;
  } rows[] = {
      {NULL, "", ""},
      {NULL, "ws://host:9060/path", "ws://host:9060/path"},
      {NULL, "ws://a:1, wss://[::1]:2", "ws://a:1, wss://[::1]:2"},
      {NULL, "ws://a:1,ws://u:hush@b:2,ws://c:3", "ws://[REDACTED]@b:2,ws://c:3"},
      {NULL, "ws://u:hush%40b", "ws://[REDACTED]%40b"},
      {NULL, "ws://u:hush%252540b", "ws://[REDACTED]%252540b"},
      {NULL, "ws://u:hu@sh@b", "ws://[REDACTED]@b"},
      {NULL, "//u:hush@b", "[REDACTED]@b"},
      {NULL, "ws://b/?token=hush,ws://c?hush", "ws://b/?[REDACTED]"},
      {NULL, "ws://b/?q=hush@hush", "ws://[REDACTED]"},
      {NULL, "postgres://u:hush@b/db?password=hush", "postgres://[REDACTED]@b/db?[REDACTED]"},
      {NULL, "host=b password=hush user=u", "host=b password=[REDACTED]"},
      {NULL, "token=hush://b", "token=[REDACTED]"},
      {NULL, "http://*.example", "http://*.example"},
      {NULL, "/data/a@b/c?d#e", "/data/a@b/c?d#e"},
      {NULL, "./a@b", "./a@b"},
      {NULL, "/x?token=hush", "/x?token=[REDACTED]"},
      {NULL, "-----BEGIN PRIVATE KEY-----\nhush", "[REDACTED]"},
      {"LOG_LEVEL", "LOUD", "LOUD"},
      {"DB_PASSWORD", "hush", "[REDACTED]"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char shown[MCP_SHOWN_SIZE];
    cr_expect_eq(mcp_redact_setting(rows[i].name, rows[i].value, shown), shown);
    cr_expect_str_eq(shown, rows[i].shown, "%s: %s", rows[i].value, shown);
  }
}

Test(redact, settings_are_cut) {
  char value[400], shown[MCP_SHOWN_SIZE];
  memset(value, 'x', sizeof value);
  value[sizeof value - 1] = '\0';
  cr_expect_eq(strlen(mcp_redact_setting(NULL, value, shown)), MCP_SHOWN_SIZE - 1);
  memcpy(value + 300, "@", 1);
  cr_expect_eq(strncmp(mcp_redact_setting(NULL, value, shown), "[REDACTED]@x", 12), 0);
}

/* ---- JSON ------------------------------------------------------------------------------------------- */

static void expect_text(const char *json, const char *wanted) {
  mcp__buf_t out;
  mcp__buf_init(&out, 1 << 20, NULL);
  cr_expect_eq(mcp__redact_text(&out, json, strlen(json)), 0, "%s", json);
  cr_expect(out.len == strlen(wanted) && memcmp(out.data, wanted, out.len) == 0, "%s: %.*s", json,
            (int)out.len, out.data);
  mcp__buf_deinit(&out);
}

#define GONE "\"[REDACTED]\""

Test(redact, texts) {
  expect_text("{\"password\":\"x\"}", "{\"password\":" GONE "}");
  expect_text("{\"a\":1,\"Token\":2,\"b\":3}", "{\"a\":1,\"Token\":" GONE ",\"b\":3}");
  expect_text("{\"secret\":null,\"api_key\":true}", "{\"secret\":" GONE ",\"api_key\":" GONE "}");
  expect_text("{\"secret\":{\"a\":1},\"token\":[1,2]}", "{\"secret\":" GONE ",\"token\":" GONE "}");
  expect_text("{\"a\":{\"b\":[{\"c\":[[{\"accessToken\":\"x\",\"n\":1}]]}]}}",
              "{\"a\":{\"b\":[{\"c\":[[{\"accessToken\":" GONE ",\"n\":1}]]}]}}");
  expect_text("[{\"password\":1},{\"password\":2},[{\"password\":3}]]",
              "[{\"password\":" GONE "},{\"password\":" GONE "},[{\"password\":" GONE "}]]");
  expect_text("{\"password\":\"x\",\"password\":\"y\"}", "{\"password\":" GONE ",\"password\":" GONE "}");
  expect_text("{\"pass\\u0077ord\":\"x\"}", "{\"password\":" GONE "}");
  expect_text("{\"tokens_used\":5,\"broken\":true}", "{\"tokens_used\":5,\"broken\":true}");
  expect_text("{}", "{}");
  expect_text("[]", "[]");
  expect_text("\"password\"", "\"password\"");
  expect_text("{\"n\":123456789012345678901234567890,\"e\":1e999}",
              "{\"n\":123456789012345678901234567890,\"e\":1e999}");
  expect_no_leak();
}

Test(redact, text_that_is_no_json) {
  static const char *const texts[] = {"",     "{", "password", "{\"password\":\"x\"", "{\"a\":\"\xff\"}",
                                      "{} {}"};
  mcp__buf_t out;
  mcp__buf_init(&out, 1 << 20, NULL);
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    cr_expect_eq(mcp__redact_text(&out, texts[i], strlen(texts[i])), UV_EINVAL, "%s", texts[i]);
  cr_expect_eq(out.len, 0);
  mcp__buf_deinit(&out);
}

Test(redact, what_does_not_fit_is_not_begun) {
  mcp__buf_t out;
  mcp__buf_init(&out, 8, NULL);
  cr_expect_eq(mcp__redact_text(&out, "{\"a\":1}", 7), 0);
  cr_expect_eq(mcp__redact_text(&out, "{\"a\":1}", 7), MCP_ETOOBIG);
  cr_expect_eq(out.len, 7);
  mcp__buf_deinit(&out);
}

/* Nested {"a": around a secret. */
static char *nest(int levels) {
  char *text = malloc((size_t)levels * 6 + 32);
  *text = '\0';
  for (int i = 1; i < levels; i++)
    strcat(text, i % 2 == 0 ? "[" : "{\"a\":");
  strcat(text, "{\"secret\":\"hush\",\"seen\":1}");
  for (int i = levels - 1; i >= 1; i--)
    strcat(text, i % 2 == 0 ? "]" : "}");
  return text;
}

Test(redact, what_lies_too_deep_goes_unseen) {
  for (int levels = MCP__REDACT_DEPTH - 2; levels < MCP__REDACT_DEPTH + 100; levels++) {
    mcp__buf_t out;
    char *text = nest(levels);
    mcp__buf_init(&out, 1 << 20, NULL);
    cr_assert_eq(mcp__redact_text(&out, text, strlen(text)), 0);
    cr_assert_eq(mcp__buf_append(&out, "", 1), 0);
    cr_expect_null(strstr(out.data, "hush"), "%d", levels);
    cr_expect_eq(strstr(out.data, "seen") != NULL, levels <= MCP__REDACT_DEPTH, "%d", levels);
    cr_expect_not_null(strstr(out.data, GONE), "%d", levels);
    yyjson_doc *doc = yyjson_read(out.data, out.len - 1, 0);
    cr_expect_not_null(doc, "%s", out.data);
    yyjson_doc_free(doc);
    mcp__buf_deinit(&out);
    free(text);
  }
}

/* For programs that forward log entries of others. */
Test(redact, how_many_were_taken_out) {
  static const struct {
    const char *json;
    size_t count;
  } rows[] = {{"{}", 0},
              {"\"password\"", 0},
              {"{\"token\":1,\"a\":[{\"apiKey\":{\"secret\":1}}]}", 2},
              {"{\"token\":" GONE ",\"token\":\"x\"}", 1}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    yyjson_doc *doc = yyjson_read(rows[i].json, strlen(rows[i].json), 0);
    yyjson_mut_doc *copy = yyjson_doc_mut_copy(doc, NULL);
    cr_expect_eq(mcp_redact(yyjson_mut_doc_get_root(copy)), rows[i].count, "%s", rows[i].json);
    cr_expect_eq(mcp_redact(yyjson_mut_doc_get_root(copy)), 0, "%s", rows[i].json);
    yyjson_mut_doc_free(copy);
    yyjson_doc_free(doc);
  }
  cr_expect_eq(mcp_redact(NULL), 0);
  for (int levels = 64; levels <= 65; levels++) { /* deeper values are redacted as a whole */
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *value = yyjson_mut_arr(doc);
    for (int i = 1; i < levels; i++) {
      yyjson_mut_val *outer = yyjson_mut_arr(doc);
      yyjson_mut_arr_append(outer, value);
      value = outer;
    }
    cr_expect_eq(mcp_redact(value), (size_t)levels - 64, "%d", levels);
    yyjson_mut_doc_free(doc);
  }
}

Test(redact, memory_that_runs_out) {
  static const char text[] = "{\"a\":[{\"password\":\"hush\"}],\"b\":1}";
  mcp__buf_t out;
  int status = UV_ENOMEM;
  use_failing_allocator();
  for (long allowed = 0; status != 0; allowed++) {
    memory.allowed = allowed;
    mcp__buf_init(&out, 1 << 20, NULL);
    status = mcp__redact_text(&out, text, sizeof text - 1);
    cr_assert(status == 0 || out.len == 0, "after %ld", allowed); /* never a part of it, never unredacted */
    mcp__buf_deinit(&out);
    cr_assert_eq(memory.live, 0);
    cr_assert_lt(allowed, 100);
  }
}

/* ---- names that are added --------------------------------------------------------------------------- */

Test(redact, added_names) {
  cr_assert(!is_secret("pinCode"));
  cr_assert_eq(mcp_log_redact("PIN-code"), 0);
  cr_assert(is_secret("pinCode") && is_secret("my_pin_code") && is_secret("PINCODE"));
  cr_assert(!is_secret("pincodes"));
  expect_text("{\"my\":[{\"pin_code\":1234}]}", "{\"my\":[{\"pin_code\":" GONE "}]}");
}

Test(redact, names_that_cannot_be_added) {
  char name[65] = "";
  cr_expect_eq(mcp_log_redact(NULL), UV_EINVAL);
  cr_expect_eq(mcp_log_redact(""), UV_EINVAL);
  cr_expect_eq(mcp_log_redact("_-. "), UV_EINVAL);
  memset(name, 'n', 64);
  cr_expect_eq(mcp_log_redact(name), UV_EINVAL);
  name[63] = '\0';
  cr_expect_eq(mcp_log_redact(name), 0);
  cr_expect(is_secret(name));
  cr_expect(!is_secret(name + 1));
  cr_expect(!is_secret("n"));
}

Test(redact, as_many_names_as_there_is_room_for) {
  char name[16];
  for (int i = 0; i < 59; i++) {
    snprintf(name, sizeof name, "pin%dx", i);
    cr_assert_eq(mcp_log_redact(name), 0, "%d", i);
  }
  cr_expect_eq(mcp_log_redact("onemore"), MCP_ELIMIT);
  cr_expect(is_secret("pin0x") && is_secret("pin58x") && !is_secret("onemore") && is_secret("token"));
}
