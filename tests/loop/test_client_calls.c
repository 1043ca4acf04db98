/* test_client_calls.c: calls of a client: responses that are valid, late, invalid or too large;
 * notifications and trace ids. */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void call(mcp_client_t *client, const char *tool, const char *args, uint64_t timeout_ms,
                 call_record_t *record) {
  cr_assert_eq(mcp_client_call(client, tool, args != NULL ? parse_args(args) : NULL, WITHIN(timeout_ms),
                               record_result, record),
               0);
  cr_assert_eq(record->fired, 0, "called back from inside of the call");
}

/* ---- a real server
 * ----------------------------------------------------------------------------------------- */

Test(client_calls, answers_and_failures_of_a_real_server) {
  fixture_setup();
  mcp_server_t *server = test_server_start();
  mcp_client_t *client = client_new_to(mcp_server_port(server));
  call_record_t now = {0}, none = {0}, fail = {0}, code = {0}, missing = {0}, block = {0}, list = {0};
  call(client, "now", "{\"a\":1}", 0, &now);
  call(client, "now", NULL, 0, &none);
  call(client, "fail", "{\"how\":\"it\"}", 0, &fail);
  call(client, "fail", "{\"how\":\"code\"}", 0, &code);
  call(client, "missing", NULL, 0, &missing);
  call(client, "block", "{\"b\":2}", 0, &block);
  cr_assert_eq(mcp_client_request(client, "tools/list", NULL, NULL, record_result, &list), 0);
  RUN_UNTIL(now.fired && none.fired && fail.fired && code.fired && missing.fired && block.fired &&
            list.fired);
  cr_assert_eq(now.status, 0);
  cr_assert_str_eq(now.text, "{\"a\":1}");
  cr_assert_str_eq(none.text, "{}");
  cr_assert_eq(fail.status, MCP_TOOL_ERROR);
  cr_assert_str_eq(fail.message, "cannot do it");
  cr_assert_eq(code.status, -32042);
  cr_assert_eq(missing.status, MCP_METHOD_NOT_FOUND);
  cr_assert_str_eq(block.text, "{\"b\":2}");
  cr_assert_eq(list.status, 0);
  client_close_and_free(client);
  test_server_stop(server);
  cr_assert_eq(now.fired + none.fired + fail.fired + code.fired + missing.fired + block.fired + list.fired,
               7);
  fixture_teardown();
}

Test(client_calls, answers_in_any_order) {
  fixture_setup();
  mcp_server_t *server = test_server_start();
  mcp_client_t *client = client_new_to(mcp_server_port(server));
  enum { CALLS = 50 };
  call_record_t records[CALLS] = {0};
  for (int i = 0; i < CALLS; i++)
    call(client, "hold", NULL, 0, &records[i]);
  RUN_UNTIL(test_server.held_count == CALLS);
  for (size_t i = CALLS; i-- > 0;) {
    test_server_end_held(i);
    RUN_UNTIL(records[i].fired == 1);
    char text[32];
    snprintf(text, sizeof text, "{\"held\":%zu}", i);
    cr_assert_str_eq(records[i].text, text);
  }
  client_close_and_free(client);
  test_server_stop(server);
  fixture_teardown();
}

enum { MANY = 10000, TOGETHER = 500 };
typedef struct many {
  unsigned made, ended, wrong;
  unsigned char fired[MANY];
} many_t;

static many_t many;

static void make_one(mcp_client_t *client);

static void on_one(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  size_t index = (size_t)(uintptr_t)arg;
  many.fired[index]++;
  many.ended++;
  many.wrong += result->status != 0;
  make_one(client);
}

static void make_one(mcp_client_t *client) {
  if (many.made == MANY)
    return;
  size_t index = many.made++;
  char args[32];
  snprintf(args, sizeof args, "{\"ms\":%d}", rand() % 20);
  const char *tool = index % 4 == 0 ? "block" : index % 4 == 1 ? "now" : "delay";
  cr_assert_eq(mcp_client_call(client, tool, parse_args(args), WITHIN(LONG_TIMEOUT_MS), on_one,
                               (void *)(uintptr_t)index),
               0);
}

Test(client_calls, ten_thousand_calls_with_random_delays) {
  fixture_setup();
  mcp_server_t *server = test_server_start();
  mcp_client_t *client = client_new_to(mcp_server_port(server));
  srand(1);
  for (int i = 0; i < TOGETHER; i++)
    make_one(client);
  RUN_UNTIL(many.ended == MANY);
  cr_assert_eq(many.wrong, 0);
  for (int i = 0; i < MANY; i++)
    cr_assert_eq(many.fired[i], 1);
  client_close_and_free(client);
  test_server_stop(server);
  fixture_teardown();
}

Test(client_calls, times_out_while_the_server_is_silent) {
  fixture_setup();
  mcp_server_t *server = test_server_start();
  mcp_client_t *client = client_new_to(mcp_server_port(server));
  call_record_t first = {0}, second = {0};
  fixture_freeze_clock();
  call(client, "hold", NULL, 100, &first);
  RUN_UNTIL(test_server.held_count == 1);
  fixture_advance_ms(100);
  RUN_UNTIL(first.fired);
  cr_assert_eq(first.status, MCP_ETIMEOUT);
  cr_assert_not_null(strstr(first.message, "100 ms"), "%s", first.message);
  test_server_end_held(0); /* the response arrives late and is dropped */
  call(client, "now", NULL, 0, &second);
  RUN_UNTIL(second.fired);
  cr_assert_eq(second.status, 0);
  cr_assert_eq(first.fired, 1);
  client_close_and_free(client);
  test_server_stop(server);
  fixture_teardown();
}

Test(client_calls, shorter_time_outs_fire_first) {
  fixture_setup();
  mcp_server_t *server = test_server_start();
  mcp_client_t *client = client_new_to(mcp_server_port(server));
  call_record_t records[6] = {0};
  static const uint64_t times[6] = {300, 100, 500, 200, 400, 30000};
  fixture_freeze_clock();
  for (int i = 0; i < 6; i++)
    call(client, "hold", NULL, times[i], &records[i]);
  RUN_UNTIL(test_server.held_count == 6);
  fixture_advance_ms(500);
  RUN_UNTIL(records[2].fired);
  static const int order[5] = {1, 3, 0, 4, 2};
  for (unsigned i = 0; i < 5; i++)
    cr_assert_eq(records[order[i]].order, i + 1);
  cr_assert_eq(records[5].fired, 0);
  client_close_and_free(client);
  cr_assert_eq(records[5].status, MCP_ECLOSED);
  for (size_t i = 0; i < 6; i++)
    test_server_end_held(i);
  test_server_stop(server);
  fixture_teardown();
}

/* A loop that has not turned for a while has an old idea of the time; a call must not pay for that. */
Test(client_calls, a_time_out_begins_with_the_call) {
  fixture_setup();
  mcp_server_t *server = test_server_start();
  mcp_client_t *client = client_new_to(mcp_server_port(server));
  fixture_freeze_clock();
  fixture_jump_ms(600); /* the application is busy */
  call_record_t record = {0};
  call(client, "now", NULL, 500, &record);
  RUN_UNTIL(record.fired);
  cr_assert_eq(record.status, 0, "%s", record.message);
  client_close_and_free(client);
  test_server_stop(server);
  fixture_teardown();
}

static unsigned chained;

static void chain(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  cr_assert_eq(result->status, 0);
  if (++chained < 100)
    cr_assert_eq(mcp_client_call(client, "now", NULL, NULL, chain, arg), 0);
}

Test(client_calls, calls_made_in_callbacks) {
  fixture_setup();
  mcp_server_t *server = test_server_start();
  mcp_client_t *client = client_new_to(mcp_server_port(server));
  cr_assert_eq(mcp_client_call(client, "now", NULL, NULL, chain, NULL), 0);
  RUN_UNTIL(chained == 100);
  client_close_and_free(client);
  test_server_stop(server);
  fixture_teardown();
}

Test(client_calls, refused_before_they_are_made) {
  fixture_setup();
  mcp_server_t *server = test_server_start();
  mcp_client_t *client = client_new_to(mcp_server_port(server));
  cr_assert_eq(mcp_client_set_max_message_bytes(client, 1023), UV_EINVAL);
  cr_assert_eq(mcp_client_set_max_message_bytes(client, 4096), 0);
  call_record_t record = {0};
  char big[4200];
  memset(big, 'x', sizeof big);
  yyjson_mut_doc *args = yyjson_mut_doc_new(NULL);
  yyjson_mut_doc_set_root(args, yyjson_mut_obj(args));
  yyjson_mut_obj_add_strn(args, yyjson_mut_doc_get_root(args), "text", big, sizeof big);
  cr_assert_eq(mcp_client_call(client, "now", args, NULL, record_result, &record), MCP_ETOOBIG);
  args = yyjson_mut_doc_new(NULL);
  yyjson_mut_doc_set_root(args, yyjson_mut_obj(args));
  yyjson_mut_obj_add_str(args, yyjson_mut_doc_get_root(args), "text", "\xff");
  cr_assert_eq(mcp_client_call(client, "now", args, NULL, record_result, &record), MCP_EENCODE);
  cr_assert_eq(mcp_client_set_max_message_bytes(client, 4096), MCP_ESTATE);
  cr_assert_eq(mcp_client_set_fail_fast(client, true), MCP_ESTATE);
  fixture_run_ms(50);
  client_close_and_free(client);
  test_server_stop(server);
  cr_assert_eq(record.fired, 0);
  fixture_teardown();
}

Test(client_calls, a_tool_name_of_any_text) {
  fixture_setup();
  mcp_server_t *server = test_server_start();
  mcp_client_t *client = client_new_to(mcp_server_port(server));
  call_record_t quoted = {0}, broken = {0};
  call(client, "a\"b\\c\n", NULL, 0, &quoted);
  int status = mcp_client_call(client, "\xff", NULL, WITHIN(LONG_TIMEOUT_MS), record_result, &broken);
  RUN_UNTIL(quoted.fired);
  cr_assert_eq(quoted.status, MCP_METHOD_NOT_FOUND);
  cr_assert_neq(status, 0,
                "invalid UTF-8 was sent: the server closes with 1007, and every other call is lost");
  client_close_and_free(client);
  test_server_stop(server);
  fixture_teardown();
}

/* ---- peers that answer wrongly
 * -------------------------------------------------------------------------------- */

static const char *answer_format; /* with one %d for the id */

static void script_answer(raw_client_t *peer) {
  if (!script_handshake(peer))
    return;
  char text[1024];
  const char *at = strstr(answer_format, "%d");
  int id = message_id(peer->messages[peer->count - 1]);
  snprintf(text, sizeof text, "%.*s%d%s", at != NULL ? (int)(at - answer_format) : 0, answer_format, id,
           at != NULL ? at + 2 : answer_format);
  raw_client_send_frame(peer, 1, text, strlen(text));
}

static call_record_t answered_by(const char *format) {
  call_record_t record = {0};
  answer_format = format;
  fake_server_t *fake = fake_server_open(script_answer, NULL);
  mcp_client_t *client = client_new_to(fake->port);
  call(client, "x", NULL, LONG_TIMEOUT_MS, &record);
  RUN_UNTIL(record.fired);
  client_close_and_free(client);
  cr_assert_eq(record.fired, 1);
  return record;
}

/* The peer has sent its only message, and a ping behind it is answered: then the call's time passes. */
static void expect_dropped(fake_server_t *fake, const char *what) {
  call_record_t record = {0};
  mcp_client_t *client = client_new_to(fake->port);
  call(client, "x", NULL, 300, &record);
  RUN_UNTIL(fake->last != NULL && fake->last->count == 3); /* initialize, initialized, the call */
  fake->last->on_input = NULL;
  raw_client_sync(fake->last);
  cr_assert_eq(record.fired, 0, "%s", what);
  fixture_advance_ms(300);
  RUN_UNTIL(record.fired);
  cr_assert_eq(record.status, MCP_ETIMEOUT, "%s", what);
  client_close_and_free(client);
}

Test(client_calls, shapes_of_answers) {
  fixture_setup();
#define ANSWER(rest) "{\"jsonrpc\":\"2.0\",\"id\":%d," rest "}"
  call_record_t record = answered_by(
      ANSWER("\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"not JSON\"}],\"isError\":true}"));
  cr_assert(record.status == 0 && record.is_error);
  cr_assert_str_eq(record.message, "not JSON");
  record = answered_by(ANSWER("\"result\":{\"content\":[],\"isError\":true}"));
  cr_assert(record.status == 0 && record.is_error);
  record =
      answered_by(ANSWER("\"result\":{\"content\":[{\"type\":\"text\",\"text\":5},{\"type\":\"image\"},7]}"));
  cr_assert_eq(record.status, 0);
  record = answered_by(ANSWER("\"error\":{\"code\":-32603,\"message\":\"broken\",\"data\":[1]}"));
  cr_assert_eq(record.status, MCP_INTERNAL_ERROR);
  cr_assert_str_eq(record.message, "broken");
  record = answered_by(ANSWER("\"error\":{\"code\":0}"));
  cr_assert_eq(record.status, MCP_TOOL_ERROR); /* never 0: it is an error */
  record = answered_by(ANSWER("\"error\":{\"code\":\"x\",\"message\":5}"));
  cr_assert_eq(record.status, MCP_TOOL_ERROR);
  record = answered_by(ANSWER("\"error\":\"words\""));
  cr_assert_eq(record.status, MCP_TOOL_ERROR);
  record = answered_by(ANSWER("\"error\":null,\"result\":{}"));
  cr_assert_eq(record.status, 0);
  fixture_teardown();
}

Test(client_calls, answers_that_nobody_waits_for_any_more_are_dropped) {
  fixture_setup();
  static const char *const strange[] = {
      "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{},\"x\":%d}", /* initialize's */
      "{\"jsonrpc\":\"2.0\",\"id\":2.0,\"error\":{},\"x\":%d}"};
  fixture_freeze_clock();
  for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) {
    answer_format = strange[i];
    expect_dropped(fake_server_open(script_answer, NULL), strange[i]);
  }
  fixture_teardown();
}

static void script_pieces(raw_client_t *peer) {
  if (!script_handshake(peer))
    return;
  static const unsigned char ping_and_empty[4] = {0x89, 0, 0x00, 0};
  char text[256];
  int len = snprintf(
      text, sizeof text,
      "{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"\xc3\xa4\"}]}}",
      message_id(peer->messages[peer->count - 1]));
  unsigned char bytes[8];
  for (int i = 0; i < len; i++) { /* a frame each, with pings and empty ones between */
    unsigned char first[2] = {i == 0 ? 0x01 : i == len - 1 ? 0x80 : 0x00, 1};
    memcpy(bytes, first, 2);
    bytes[2] = (unsigned char)text[i];
    size_t at = 3;
    if (i % 10 == 0 && i < len - 1) {
      memcpy(bytes + at, ping_and_empty, 4);
      at += 4;
    }
    for (size_t each = 0; each < at; each++)
      raw_client_send(peer, bytes + each, 1);
  }
}

Test(client_calls, an_answer_in_the_smallest_pieces) {
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_pieces, NULL);
  mcp_client_t *client = client_new_to(fake->port);
  call_record_t record = {0};
  call(client, "x", NULL, LONG_TIMEOUT_MS, &record);
  RUN_UNTIL(record.fired);
  cr_assert_eq(record.status, 0, "%s", record.message);
  cr_assert_str_eq(record.text, "\xc3\xa4");
  client_close_and_free(client);
  cr_assert_geq(fake->last->pongs, 1u);
  fixture_teardown();
}

static void script_twice(raw_client_t *peer) {
  if (!script_handshake(peer))
    return;
  int id = message_id(peer->messages[peer->count - 1]);
  for (int i = 0; i < 3; i++)
    raw_client_send_text(
        peer,
        "{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"%d\"}]}}", id,
        i);
}

Test(client_calls, the_first_of_several_answers_counts) {
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_twice, NULL);
  mcp_client_t *client = client_new_to(fake->port);
  for (int round = 0; round < 3; round++) {
    call_record_t record = {0};
    call(client, "x", NULL, 0, &record);
    RUN_UNTIL(record.fired);
    fixture_run_ms(20);
    cr_assert_eq(record.fired, 1);
    cr_assert_str_eq(record.text, "0");
  }
  client_close_and_free(client);
  fixture_teardown();
}

Test(client_calls, requests_of_the_server) {
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_upgrade, NULL);
  mcp_client_t *client = client_new_to(fake->port);
  cr_assert_eq(mcp_client_connect(client), 0);
  RUN_UNTIL(fake->last != NULL && fake->last->count >= 2); /* initialize, initialized */
  fake->last->on_input = NULL;
  raw_client_send_text(fake->last, "{\"jsonrpc\":\"2.0\",\"id\":\"p\",\"method\":\"ping\"}");
  raw_client_send_text(fake->last, "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"roots/list\"}");
  raw_client_send_text(fake->last,
                       "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{}}");
  raw_client_send_frame(fake->last, 9, "hi", 2);
  RUN_UNTIL(fake->last->count >= 4 && fake->last->pongs == 1);
  cr_assert_not_null(strstr(fake->last->messages[2], "\"id\":\"p\",\"result\":{}"), "%s",
                     fake->last->messages[2]);
  cr_assert_not_null(strstr(fake->last->messages[3], "-32601"), "%s", fake->last->messages[3]);
  client_close_and_free(client);
  cr_assert_eq(fake->last->count, 4);
  cr_assert_eq(fake->last->close_code, 1000);
  fixture_teardown();
}

static size_t taken; /* of the messages of the old peer */

static void script_old(
    raw_client_t *peer) { /* knows no initialize, and greets unasked with the same bytes as its 101 */
  if (peer->head != NULL && strncmp(peer->head, "GET", 3) == 0) {
    raw_client_accept_upgrade(peer);
    raw_client_send_text(peer, "{\"jsonrpc\":\"2.0\",\"method\":\"hello\"}");
    raw_client_send_text(peer, "welcome");
    memcpy(peer->head, "---", 3);
  }
  for (; taken < peer->count; taken++) {
    const char *message = peer->messages[taken];
    bool call = strstr(message, "tools/call") != NULL;
    if (message_id(message) >= 0)
      raw_client_send_text(peer, "{\"jsonrpc\":\"2.0\",\"id\":%d,%s}", message_id(message),
                           call ? "\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"5\"}]}"
                                : "\"error\":{\"code\":-32601}");
  }
}

Test(client_calls, an_old_peer_that_knows_no_initialize) {
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_old, NULL);
  mcp_client_t *client = client_new_to(fake->port);
  call_record_t record = {0};
  call(client, "x", NULL, LONG_TIMEOUT_MS, &record);
  RUN_UNTIL(record.fired);
  cr_assert_eq(record.status, 0, "%s", record.message);
  cr_assert_str_eq(record.text, "5");
  client_close_and_free(client);
  fixture_teardown();
}

static const char *deep_text(void) {
  static char text[512];
  char *at = text + sprintf(text, "\"result\":");
  memset(at, '[', 100);
  memset(at + 100, ']', 100);
  return text;
}

static void script_deep(raw_client_t *peer) {
  if (script_handshake(peer))
    raw_client_send_text(peer, "{\"jsonrpc\":\"2.0\",\"id\":%d,%s}",
                         message_id(peer->messages[peer->count - 1]), deep_text());
}

/* Whose answer it is stays unknown; its caller need not wait for the deadline to learn that. */
static void expect_unreadable(void (*script)(raw_client_t *peer), const char *words) {
  fake_server_t *fake = fake_server_open(script, NULL);
  mcp_client_t *client = client_new_to(fake->port);
  call_record_t record = {0}, other = {0};
  call(client, "x", NULL, 60000, &record);
  call(client, "y", NULL, 60000, &other);
  RUN_UNTIL(record.fired && other.fired);
  cr_assert_eq(record.status, MCP_EPROTOCOL);
  cr_assert_eq(other.status, MCP_EPROTOCOL);
  cr_assert_not_null(strstr(record.message, words), "%s", record.message);
  client_close_and_free(client);
}

static void script_unreadable(raw_client_t *peer) {
  if (script_handshake(peer))
    raw_client_send_text(peer, "%s", answer_format);
}

Test(client_calls, an_answer_that_cannot_be_read_fails_what_was_sent_at_once) {
  static const char *const texts[] = {"{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"mean\":NaN}}",
                                      "{'jsonrpc': '2.0', 'id': 2, 'result': {}}",
                                      "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{", "<html>", ""};
  fixture_setup();
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    answer_format = texts[i];
    expect_unreadable(script_unreadable, "not valid JSON");
  }
  answer_format = "{\"jsonrpc\":\"2.0\",\"id\":2,\"id\":2,\"result\":{}}";
  expect_unreadable(script_unreadable, "duplicate member");
  expect_unreadable(script_deep, "nested deeper than 64 levels");
  cr_assert(fixture_logged("received an invalid message"));
  fixture_teardown();
}

/* The answers of a peer: to initialize, to notifications, and to calls, whose id stands for %d. */
static struct { const char *hello, *notice, *call; /* NULL: none */ } says;

static void script_says(raw_client_t *peer) {
  if (peer->head != NULL && strncmp(peer->head, "GET", 3) == 0) {
    raw_client_accept_upgrade(peer);
    memcpy(peer->head, "---", 3);
    taken = 0;
  }
  for (; taken < peer->count; taken++) {
    const char *message = peer->messages[taken];
    const char *text = strstr(message, "\"initialize\"") != NULL ? says.hello
                       : message_id(message) < 0                 ? says.notice
                                                                 : says.call;
    if (text != NULL)
      raw_client_send_text(peer, text, message_id(message));
  }
}

#define A(rest) "{\"jsonrpc\":\"2.0\"," rest "}"
#define HELLO A("\"id\":%d,\"result\":{\"protocolVersion\":\"2024-11-05\"}")
#define FIVE "\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"5\"}]}"
#define NO_METHOD "\"error\":{\"code\":-32601,\"message\":\"no such method\"}"

/* No time passes: what ends does so at once. */
static call_record_t call_one(const char *hello, const char *notice, const char *answer) {
  call_record_t record = {0};
  says.hello = hello;
  says.notice = notice;
  says.call = answer;
  fake_server_t *fake = fake_server_open(script_says, NULL);
  mcp_client_t *client = client_new_to(fake->port);
  mcp_client_set_fail_fast(client, true);
  fixture_freeze_clock();
  call(client, "x", NULL, LONG_TIMEOUT_MS, &record);
  fixture_advance_ms(5);
  RUN_UNTIL(record.fired);
  fixture_unfreeze_clock();
  client_close_and_free(client);
  fake_server_close(fake);
  return record;
}

static void expect_fails(const char *hello, const char *answer, const char *words) {
  call_record_t record = call_one(hello, NULL, answer);
  cr_expect_eq(record.status, MCP_EPROTOCOL, "%s: %d %s", answer, record.status, record.message);
  cr_expect_not_null(strstr(record.message, words), "%s: %s", answer, record.message);
}

static void expect_five(const char *notice, const char *answer) {
  call_record_t record = call_one(HELLO, notice, answer);
  cr_expect_eq(record.status, 0, "%s: %d %s", answer, record.status, record.message);
  cr_expect_str_eq(record.text, "5", "%s", answer);
}

Test(client_calls, answers_that_are_none_end_the_call_at_once) {
  static const struct {
    const char *answer, *words;
  } rows[] = {
      {A("\"id\":%d,\"result\":{\"mean\":NaN}"), "not valid JSON at byte 42: "},
      {A("\"id\":%d,\"result\":{\"mean\":-Infinity}"), ": Infinity}}"},
      {A("\"id\":%d"), "neither a result nor an error"},
      {A("\"id\":%d,\"error\":null"), "neither a result nor an error"},
      {A("\"id\":%d," FIVE ",\"error\":{\"code\":-1,\"message\":\"two\"}"),
       "both a result and an error: {\"code\":-1,\"message\":\"two\"}"},
      {A("\"id\":%d,\"result\":5"), "the result of tools/call is not an object: 5"},
      {A("\"id\":%d,\"result\":\"done\""), "not an object: \"done\""},
      {A("\"id\":%d,\"result\":[1]"), "not an object: [1]"},
      {A("\"id\":%d,\"result\":null"), "not an object: null"},
      {"[" A("\"id\":%d," FIVE) "]", "neither a request nor a response: [{\"jsonrpc\":"},
      {"[]", "neither a request nor a response: []"},
      {"\"done\"", "neither a request nor a response: \"done\""},
      {"{\"status\":\"ok\"}", "neither a request nor a response: {\"status\":\"ok\"}"},
      {A("\"id\":null," FIVE), "a response without a request id"},
      {A(FIVE), "a response without a request id"},
      {A("\"id\":null,\"error\":{\"code\":-32700,\"message\":\"what?\"}"), "-32700, \"what?\""},
      {A("\"id\":null,\"error\":{\"code\":-32600,\"message\":\"what?\"}"), "-32600, \"what?\""},
      {A("\"error\":{\"code\":-32700,\"message\":\"what?\"}"), "-32700, \"what?\""},
      {A("\"id\":999," FIVE), "an unknown id: 999"},
      {A("\"id\":\"%d\"," FIVE), "an unknown id: \"1\""},
      {A("\"id\":%d.5," FIVE), "an unknown id: 1.5"},
      {A("\"id\":-%d," FIVE), "an unknown id: -1"},
      {"\n<html>\x1b[2J", "<html>\\u001b[2J"},
  };
  fixture_setup();
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    expect_fails(HELLO, rows[i].answer, rows[i].words);
  fixture_teardown();
}

Test(client_calls, answers_to_initialize_that_cannot_be_read_end_the_attempt_at_once) {
  fixture_setup();
  expect_fails(A("\"id\":%d,\"result\":{\"x\":NaN}"), NULL, "not valid JSON");
  expect_fails("[" HELLO "]", NULL, "neither a request nor a response");
  expect_fails(A("\"id\":77,\"result\":{}"), NULL, "an unknown id: 77");
  fixture_teardown();
}

Test(client_calls, answers_are_matched_by_the_value_of_their_id) {
  fixture_setup();
  expect_five(NULL, A("\"id\":%d.0," FIVE));
  expect_five(NULL, A("\"id\":%de0," FIVE));
  expect_five(NULL, A("\"id\":%d0e-1," FIVE));
  expect_five(NULL, "\xef\xbb\xbf" A("\"id\":%d," FIVE));
  fixture_teardown();
}

Test(client_calls, null_beside_a_result_or_an_error_is_not_given) {
  fixture_setup();
  expect_five(NULL, A("\"id\":%d,\"error\":null," FIVE));
  call_record_t record = call_one(HELLO, NULL, A("\"id\":%d,\"result\":null," NO_METHOD));
  cr_expect_eq(record.status, MCP_METHOD_NOT_FOUND);
  cr_expect_str_eq(record.message, "no such method");
  record = call_one(HELLO, NULL, A("\"id\":%d,\"error\":\"broken\""));
  cr_expect_eq(record.status, MCP_TOOL_ERROR);
  cr_expect_str_eq(record.message, "broken");
  fixture_teardown();
}

/* As components of this family in Node and Python do. */
Test(client_calls, errors_to_notifications_end_no_call) {
  fixture_setup();
  expect_five(A(NO_METHOD), A("\"id\":%d," FIVE));
  expect_five(A("\"id\":null," NO_METHOD), A("\"id\":%d," FIVE));
  expect_five(A("\"error\":{\"code\":-32603,\"message\":\"x\"}"), A("\"id\":%d," FIVE));
  fixture_teardown();
}

/* ---- junk and sizes
 * ------------------------------------------------------------------------------------------- */

static const char *junk;
static size_t junk_len;

static void script_junk(raw_client_t *peer) {
  if (script_handshake(peer))
    raw_client_send(peer, junk, junk_len);
}

static int status_of_junk(const char *bytes, size_t len, size_t max_message) {
  call_record_t record = {0};
  junk = bytes;
  junk_len = len;
  fake_server_t *fake = fake_server_open(script_junk, NULL);
  mcp_client_t *client = client_new_to(fake->port);
  cr_assert_eq(mcp_client_set_max_message_bytes(client, max_message), 0);
  call(client, "x", NULL, LONG_TIMEOUT_MS, &record);
  RUN_UNTIL(record.fired);
  client_close_and_free(client);
  return record.status;
}

Test(client_calls, frames_that_break_rules) {
  fixture_setup();
  cr_assert_eq(status_of_junk("\xf1\x02{}", 4, 1024), MCP_EPROTOCOL); /* RSV bits */
  cr_assert_eq(status_of_junk("\x83\x00", 2, 1024), MCP_EPROTOCOL);   /* opcode 3 */
  cr_assert_eq(status_of_junk("\x80\x00", 2, 1024), MCP_EPROTOCOL); /* a continuation without a first frame */
  cr_assert_eq(status_of_junk("\x81\x82\0\0\0\0{}", 8, 1024), MCP_EPROTOCOL); /* masked */
  cr_assert_eq(status_of_junk("\x81\x02\xff\xff", 4, 1024), MCP_EPROTOCOL);   /* not UTF-8 */
  cr_assert_eq(status_of_junk("\x82\x02{}", 4, 1024), MCP_EPROTOCOL);         /* binary */
  cr_assert_eq(status_of_junk("\x89\x7e\x00\x7e", 4, 1024), MCP_EPROTOCOL);   /* a ping of 126 bytes */
  cr_assert_eq(status_of_junk("\x88\x01\x03", 3, 1024), MCP_EPROTOCOL);       /* half a code */
  cr_assert_eq(status_of_junk("HTTP/1.1 500\r\n\r\n", 16, 1024), MCP_EPROTOCOL);
  fixture_teardown();
}

Test(client_calls, an_answer_above_the_limit) {
  fixture_setup();
  cr_assert_eq(status_of_junk("\x81\x7e\x04\x01", 4, 1024), MCP_ETOOBIG);
  cr_assert_eq(status_of_junk("\x81\x7f\0\0\0\xff\0\0\0\0", 10, 1024), MCP_ETOOBIG);
  mcp_server_t *server = test_server_start();
  mcp_client_t *client = client_new_to(mcp_server_port(server));
  mcp_client_set_max_message_bytes(client, 100000);
  call_record_t big = {0}, fits = {0};
  call(client, "big", "{\"bytes\":100000}", 0, &big);
  RUN_UNTIL(big.fired);
  cr_assert_eq(big.status, MCP_ETOOBIG);
  call(client, "big", "{\"bytes\":90000}", 0, &fits);
  RUN_UNTIL(fits.fired);
  cr_assert_eq(fits.status, 0);
  client_close_and_free(client);
  test_server_stop(server);
  fixture_teardown();
}

/* ---- notifications ---- */

typedef struct received {
  unsigned count;
  char method[64], params[128];
} received_t;

static void on_notification(mcp_client_t *client, const char *method, yyjson_val *params, void *arg) {
  received_t *received = arg;
  (void)client;
  received->count++;
  snprintf(received->method, sizeof received->method, "%s", method);
  char *text = params != NULL ? yyjson_val_write(params, 0, NULL) : NULL;
  snprintf(received->params, sizeof received->params, "%s", text != NULL ? text : "none");
  free(text);
}

Test(client_calls, hears_notifications) {
  received_t received = {0};
  call_record_t record = {0};
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_upgrade, NULL);
  mcp_client_t *client = client_new_to(fake->port);
  mcp_client_on_notification(client, on_notification, &received);
  call(client, "now", NULL, 0, &record);
  RUN_UNTIL(fake->last != NULL && fake->last->count == 3);
  raw_client_send_text(
      fake->last,
      "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/iccm/log_level\",\"params\":{\"level\":\"WARN\"}}");
  RUN_UNTIL(received.count == 1);
  cr_assert_str_eq(received.method, "notifications/iccm/log_level");
  cr_assert_str_eq(received.params, "{\"level\":\"WARN\"}");
  raw_client_send_text(fake->last, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}");
  RUN_UNTIL(received.count == 2);
  cr_assert_str_eq(received.params, "none");
  mcp_client_on_notification(client, NULL, NULL);
  raw_client_send_text(fake->last, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}");
  raw_client_sync(fake->last);
  cr_assert_eq(received.count, 2);
  cr_assert_eq(record.fired, 0, "a notification is no answer");
  client_close_and_free(client);
  fixture_teardown();
}

/* ---- traces ---- */

Test(client_calls, names_the_trace_of_its_calls) {
  call_record_t named = {0}, nameless = {0};
  char trace_id[130];
  fixture_setup();
  mcp_server_t *server = test_server_start();
  mcp_client_t *client = client_new_to(mcp_server_port(server));
  memset(trace_id, 't', sizeof trace_id);
  trace_id[129] = '\0';
  cr_assert_eq(mcp_client_set_trace_id(client, trace_id), UV_EINVAL);
  cr_assert_eq(mcp_client_set_trace_id(client, ""), UV_EINVAL);
  cr_assert_eq(mcp_client_set_trace_id(client, "\xff"), UV_EINVAL);
  trace_id[128] = '\0';
  cr_assert_eq(mcp_client_set_trace_id(client, trace_id), 0);
  call(client, "trace", NULL, 0, &named);
  cr_assert_eq(mcp_client_set_trace_id(client, NULL), 0);
  call(client, "trace", NULL, 0, &nameless);
  RUN_UNTIL(named.fired && nameless.fired);
  cr_assert_eq(strlen(named.text), 130);
  cr_assert_eq(strncmp(named.text + 1, trace_id, 128), 0);
  cr_assert_eq(nameless.status, MCP_INTERNAL_ERROR); /* the tool had nothing to write */
  client_close_and_free(client);
  test_server_stop(server);
  fixture_teardown();
}
