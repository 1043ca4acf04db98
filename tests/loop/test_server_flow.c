/* test_server_flow.c: fast senders, slow readers, and message sizes. Nothing is lost, and the memory of the
 * server is bounded. */
#include "fixture.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { IN_FLIGHT = 64 };

static mcp_server_t *server;
static raw_client_t *peer;

static void open_with(size_t max_message) {
  fixture_setup();
  server = test_server_new();
  if (max_message > 0)
    cr_assert_eq(mcp_server_set_max_message_bytes(server, max_message), 0);
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  peer = raw_client_open(mcp_server_port(server));
}

static void close_all(void) {
  test_server_stop(server);
  fixture_teardown();
}

Test(server_flow, no_more_than_64_calls_are_in_flight) {
  open_with(0);
  for (int id = 0; id < 1000; id++)
    raw_client_call(peer, id, "hold", "{}");
  RUN_UNTIL(test_server.held_count == IN_FLIGHT);
  fixture_run_ms(100);
  cr_assert_eq(test_server.held_count, IN_FLIGHT);
  for (size_t i = 0; i < 1000; i++) {
    RUN_UNTIL(test_server.held_count > i);
    cr_assert_leq(test_server.held_count, i + IN_FLIGHT);
    cr_assert_eq(test_server_end_held(i), 0);
  }
  RUN_UNTIL(peer->count == 1000);
  raw_client_sync(peer);
  for (int id = 0; id < 1000; id++)
    cr_assert_eq(raw_client_count_responses(peer, id), 1, "id %d", id);
  close_all();
}

static void give_up(int id) {
  raw_client_send_text(
      peer, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":%d}}", id);
}

/* Those that have begun stay in flight until they are ended; the others never begin. */
Test(server_flow, cancellations_are_heard_beyond_64_calls) {
  enum { CALLS = 1000 };
  open_with(0);
  for (int id = 0; id < CALLS; id++)
    raw_client_call(peer, id, "hold", "{}");
  for (int id = CALLS - 1; id >= 0; id--) /* the newest first: most have not begun */
    if (id % 10 != 9)
      give_up(id);
  raw_client_sync(peer);
  cr_assert_eq(test_server.held_count, IN_FLIGHT);
  for (size_t i = 0; i < IN_FLIGHT; i++)
    cr_assert_eq(test_server_end_held(i), i % 10 == 9 ? 0 : MCP_ESTATE);
  RUN_UNTIL(test_server.held_count == IN_FLIGHT + IN_FLIGHT); /* of those that were not given up */
  while (test_server.held_count < CALLS / 10 + IN_FLIGHT - IN_FLIGHT / 10) {
    test_server_end_held(test_server.held_count - IN_FLIGHT);
    fixture_iterate_once();
  }
  for (size_t i = 0; i < test_server.held_count; i++)
    if (test_server.held[i] != NULL)
      test_server_end_held(i);
  RUN_UNTIL(peer->count == 1 + CALLS / 10); /* the first is that of settling */
  raw_client_sync(peer);
  for (int id = 0; id < CALLS; id++)
    cr_assert_eq(raw_client_count_responses(peer, id), id % 10 == 9, "id %d", id);
  close_all();
}

Test(server_flow, calls_that_wait_are_cancelled_by_the_value_of_their_id) {
  open_with(0);
  for (int id = 1; id <= IN_FLIGHT; id++)
    raw_client_call(peer, id, "hold", "{}");
  raw_client_call(peer, 100, "now", "{}");
  raw_client_send_text(
      peer, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":1.00e2}}");
  raw_client_sync(peer);
  for (size_t i = 0; i < IN_FLIGHT; i++)
    cr_assert_eq(test_server_end_held(i), 0);
  raw_client_sync(peer);
  cr_assert_eq(raw_client_count_responses(peer, 100), 0);
  close_all();
}

Test(server_flow, a_call_given_up_at_once_stays_in_flight_until_it_is_ended) {
  open_with(0);
  for (int id = 0; id < 2 * IN_FLIGHT; id++) {
    raw_client_call(peer, id, "hold", "{}");
    give_up(id);
  }
  raw_client_sync(peer);
  cr_assert_eq(test_server.held_count, IN_FLIGHT);
  for (size_t i = 0; i < IN_FLIGHT; i++)
    cr_assert_eq(test_server_end_held(i), MCP_ESTATE);
  raw_client_call(peer, 1000, "now", "{}");
  RUN_UNTIL(peer->count == 1);
  raw_client_sync(peer);
  cr_assert_eq(raw_client_count_responses(peer, 1000), 1);
  cr_assert_eq(test_server.held_count, IN_FLIGHT);
  close_all();
}

static void send_large_call(int id, size_t bytes) {
  char *args = malloc(bytes + 20);
  size_t len = (size_t)sprintf(args, "{\"text\":\"");
  memset(args + len, 'x', bytes);
  strcpy(args + len + bytes, "\"}");
  raw_client_call(peer, id, "hold", args);
  free(args);
}

/* What waits is bounded: by its text or its number; then a ping is not read. */
static bool is_read_from(void) {
  size_t pongs = peer->pongs;
  raw_client_send_frame(peer, 9, "", 0);
  fixture_run_ms(100);
  return peer->pongs > pongs;
}

Test(server_flow, no_more_than_4_mib_of_calls_wait) {
  enum { EACH = 500 << 10, FIT = (4 << 20) / EACH };
  open_with(0);
  for (int id = 0; id < IN_FLIGHT; id++)
    raw_client_call(peer, id, "hold", "{}");
  for (int id = 0; id < FIT; id++)
    send_large_call(IN_FLIGHT + id, EACH);
  raw_client_sync(peer);
  send_large_call(IN_FLIGHT + FIT, EACH);
  cr_expect_not(is_read_from());
  for (size_t i = 0; i < IN_FLIGHT + FIT + 1; i++) {
    RUN_UNTIL(test_server.held_count > i);
    cr_assert_eq(test_server_end_held(i), 0);
  }
  RUN_UNTIL(peer->count == 1 + IN_FLIGHT + FIT + 1);
  raw_client_sync(peer);
  close_all();
}

Test(server_flow, no_more_than_16384_calls_wait) {
  enum { MOST = 16384, ALL = IN_FLIGHT + MOST };
  open_with(0);
  for (int id = 0; id < ALL - 1; id++)
    raw_client_call(peer, id, "hold", "{}");
  raw_client_sync(peer);
  raw_client_call(peer, ALL - 1, "hold", "{}");
  cr_expect_not(is_read_from());
  for (size_t i = 0; i < ALL; i++) {
    RUN_UNTIL(test_server.held_count > i);
    cr_assert_eq(test_server_end_held(i), 0);
  }
  RUN_UNTIL(peer->count == 1 + ALL);
  raw_client_sync(peer);
  close_all();
}

/* Calls without an id are served even if their peer disconnects directly after them. */
Test(server_flow, notifications_beyond_64_calls_are_all_served) {
  enum { CALLS = 300 };
  open_with(0);
  for (int i = 0; i < CALLS; i++)
    raw_client_send_text(peer,
                         "{\"jsonrpc\":\"2.0\",\"method\":\"tools/call\",\"params\":{\"name\":\"hold\"}}");
  raw_client_send_frame(peer, 8, "\x03\xe8", 2);
  for (size_t i = 0; i < CALLS; i++) {
    RUN_UNTIL(test_server.held_count > i);
    test_server_end_held(i);
  }
  RUN_UNTIL(peer->ended);
  cr_assert_eq(peer->count, 0);
  close_all();
}

/* Its first call ends only after others with its id have come: one of them is served, then the next. */
Test(server_flow, an_id_that_waits_twice_is_judged_when_its_turn_comes) {
  open_with(0);
  for (int id = 0; id < IN_FLIGHT; id++)
    raw_client_call(peer, id, "hold", "{}");
  for (int i = 0; i < 2; i++)
    raw_client_call(peer, 1000, "hold", "{}");
  RUN_UNTIL(test_server.held_count == IN_FLIGHT);
  test_server_end_held(0);
  test_server_end_held(1);
  RUN_UNTIL(peer->count == 3);
  cr_assert(raw_client_response_has(peer, 1000, "-32600"));
  for (size_t i = 2; i < IN_FLIGHT + 1; i++)
    test_server_end_held(i);
  RUN_UNTIL(peer->count == IN_FLIGHT + 2);
  close_all();
}

Test(server_flow, calls_that_wait_when_the_server_stops_are_told_so) {
  enum { CALLS = 200 };
  open_with(0);
  for (int id = 0; id < CALLS; id++)
    raw_client_call(peer, id, "hold", "{}");
  RUN_UNTIL(test_server.held_count == IN_FLIGHT);
  raw_client_sync(peer);
  cr_assert_eq(mcp_server_stop(server, test_server_on_stopped, NULL), 0);
  RUN_UNTIL(peer->count == 1 + CALLS - IN_FLIGHT);
  cr_assert_eq(test_server.held_count, IN_FLIGHT);
  for (size_t i = 0; i < IN_FLIGHT; i++)
    cr_assert_eq(test_server_end_held(i), 0);
  RUN_UNTIL(peer->ended && test_server.stopped);
  cr_assert_eq(peer->close_code, 1012);
  mcp_server_free(server);
  for (int id = 0; id < CALLS; id++)
    cr_assert(
        raw_client_response_has(peer, id, id < IN_FLIGHT ? "held" : "the server is stopping, retry later"),
        "id %d", id);
  fixture_teardown();
}

Test(server_flow, a_peer_leaves_while_its_calls_wait) {
  open_with(0);
  for (int id = 0; id < 200; id++)
    raw_client_call(peer, id, "hold", "{}");
  RUN_UNTIL(test_server.held_count == IN_FLIGHT);
  raw_client_sync(peer);
  raw_client_close(peer);
  RUN_UNTIL(fixture_logged("Client disconnected"));
  for (size_t i = 0; i < IN_FLIGHT; i++)
    cr_assert_eq(test_server_end_held(i), MCP_ESTATE);
  fixture_run_ms(50);
  cr_assert_eq(test_server.held_count, IN_FLIGHT);
  close_all();
}

Test(server_flow, a_thousand_calls_at_once_of_every_kind) {
  open_with(0);
  static const char *const tools[] = {"now", "block", "delay", "forget", "missing"};
  for (int id = 0; id < 1000; id++)
    raw_client_call(peer, id, tools[id % 5], "{\"ms\":3}");
  RUN_UNTIL(peer->count == 1000);
  raw_client_sync(peer);
  for (int id = 0; id < 1000; id++)
    cr_assert_eq(raw_client_count_responses(peer, id), 1, "id %d", id);
  close_all();
}

/* Calls that go without an answer have to wake a paused connection, too. */
Test(server_flow, a_pause_ends_when_the_last_calls_were_silent) {
  open_with(0);
  for (int i = 0; i < IN_FLIGHT; i++)
    raw_client_send_text(peer,
                         "{\"jsonrpc\":\"2.0\",\"method\":\"tools/call\",\"params\":{\"name\":\"hold\"}}");
  raw_client_call(peer, 1, "now", "{}");
  RUN_UNTIL(test_server.held_count == IN_FLIGHT);
  fixture_run_ms(50);
  cr_assert_eq(peer->count, 0);
  test_server_end_held(0);
  RUN_UNTIL(peer->count == 1);
  for (size_t i = 1; i < IN_FLIGHT; i++)
    test_server_end_held(i);
  close_all();
}

Test(server_flow, a_pause_ends_when_calls_time_out) {
  fixture_setup();
  server = test_server_new();
  mcp_server_set_call_timeout_ms(server, 20);
  mcp_server_start(server, &fixture_loop);
  peer = raw_client_open(mcp_server_port(server));
  for (int id = 0; id < 3 * IN_FLIGHT; id++)
    raw_client_call(peer, id, "hold", "{}");
  RUN_UNTIL(peer->count == 3 * IN_FLIGHT);
  for (size_t i = 0; i < test_server.held_count; i++)
    cr_assert_eq(test_server_end_held(i), MCP_ESTATE);
  raw_client_sync(peer);
  cr_assert_eq(peer->count, 3 * IN_FLIGHT + 1);
  close_all();
}

Test(server_flow, a_slow_reader_gets_everything_and_costs_little) {
  open_with(0);
  enum { CALLS = 400, BYTES = 200000 };
  raw_client_set_reading(peer, false);
  for (int id = 0; id < CALLS; id++) {
    raw_client_call(peer, id, "big", "{\"bytes\":200000}");
    raw_client_call(peer, CALLS + id, "now", "{}");
  }
  fixture_run_ms(300);
  cr_assert_lt(test_server.now_count, CALLS / 4,
               "%zu calls were served although their responses are not read", test_server.now_count);
  while (peer->count < 2 * CALLS) { /* in gulps */
    size_t before = peer->count;
    raw_client_set_reading(peer, true);
    RUN_UNTIL(peer->count > before);
    raw_client_set_reading(peer, false);
  }
  raw_client_set_reading(peer, true);
  raw_client_sync(peer);
  for (int id = 0; id < CALLS; id++) {
    cr_assert_eq(raw_client_count_responses(peer, id), 1);
    cr_assert_gt(strlen(raw_client_response(peer, id)), (size_t)BYTES);
    cr_assert_eq(raw_client_count_responses(peer, CALLS + id), 1);
  }
  close_all();
}

Test(server_flow, one_slow_reader_does_not_hold_up_others) {
  open_with(0);
  raw_client_t *other = raw_client_open(mcp_server_port(server));
  raw_client_set_reading(peer, false);
  for (int id = 0; id < 50; id++)
    raw_client_call(peer, id, "big", "{\"bytes\":1000000}");
  fixture_run_ms(50);
  raw_client_sync(other);
  raw_client_reset(peer);
  raw_client_sync(other);
  close_all();
}

/* ---- sizes
 * ------------------------------------------------------------------------------------------------- */

static void send_ping_of(size_t bytes) {
  static const char begin[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"";
  char *text = malloc(bytes);
  memset(text, ' ', bytes);
  memcpy(text, begin, sizeof begin - 1);
  text[bytes - 1] = '}';
  raw_client_send_frame(peer, 1, text, bytes);
  free(text);
}

Test(server_flow, a_message_at_the_limit_is_taken) {
  open_with(4096);
  send_ping_of(4096);
  RUN_UNTIL(raw_client_count_responses(peer, 1) == 1);
  close_all();
}

Test(server_flow, a_message_above_the_limit_closes_with_1009) {
  open_with(4096);
  send_ping_of(4097);
  RUN_UNTIL(peer->ended);
  cr_assert_eq(peer->count, 0);
  cr_assert_eq(peer->close_code, 1009);
  close_all();
}

Test(server_flow, fragments_above_the_limit_close_with_1009) {
  open_with(4096);
  char half[4096];
  memset(half, ' ', sizeof half);
  unsigned char head[8] = {0x01, 0x80 | 126, 0x0f, 0xff,
                           0,    0,          0,    0}; /* not final, 4,095 bytes, mask of zeros */
  raw_client_send(peer, head, sizeof head);
  raw_client_send(peer, half, 4095);
  head[0] = 0x80;
  head[2] = 0;
  head[3] = 126;
  raw_client_send(peer, head, sizeof head);
  raw_client_send(peer, half, 126);
  RUN_UNTIL(peer->ended);
  cr_assert_eq(peer->close_code, 1009);
  close_all();
}

Test(server_flow, a_claimed_length_costs_nothing) {
  open_with(0);
  struct rusage before, after;
  getrusage(RUSAGE_SELF, &before);
  unsigned char head[14] = {0x81, 0x80 | 127, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff};
  raw_client_t *peers[64];
  for (int i = 0; i < 64; i++) {
    peers[i] = raw_client_open(mcp_server_port(server));
    raw_client_send(peers[i], head, sizeof head);
  }
  raw_client_sync(peer);
  getrusage(RUSAGE_SELF, &after);
  cr_assert_lt(after.ru_maxrss - before.ru_maxrss, 64 * 1024, "%ld KiB", after.ru_maxrss - before.ru_maxrss);
  close_all();
}

Test(server_flow, an_answer_may_be_larger_than_the_limit_for_messages) {
  open_with(4096);
  raw_client_call(peer, 1, "big", "{\"bytes\":5000000}");
  RUN_UNTIL(raw_client_count_responses(peer, 1) == 1);
  cr_assert_gt(strlen(raw_client_response(peer, 1)), 5000000u);
  close_all();
}

Test(server_flow, settings_out_of_range) {
  fixture_setup();
  server = test_server_new();
  cr_assert_eq(mcp_server_set_max_message_bytes(server, 1023), UV_EINVAL);
  cr_assert_eq(mcp_server_set_max_message_bytes(server, 1024), 0);
  cr_assert_eq(mcp_server_set_max_message_bytes(server, 209715200), 0);
  cr_assert_eq(mcp_server_set_max_message_bytes(server, 209715201), UV_EINVAL);
  cr_assert_eq(mcp_server_set_max_memory_bytes(server, (1 << 20) - 1), UV_EINVAL);
  cr_assert_eq(mcp_server_set_max_memory_bytes(server, 1 << 20), 0);
  cr_assert_eq(mcp_server_set_max_memory_bytes(server, (size_t)1 << 40), 0);
  cr_assert_eq(mcp_server_set_max_memory_bytes(server, ((size_t)1 << 40) + 1), UV_EINVAL);
  cr_assert_eq(mcp_server_set_max_connections(server, 0), UV_EINVAL);
  cr_assert_eq(mcp_server_set_call_timeout_ms(server, 0), UV_EINVAL);
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  cr_assert_eq(mcp_server_set_max_message_bytes(server, 4096), MCP_ESTATE);
  cr_assert_eq(mcp_server_set_max_memory_bytes(server, 1 << 20), MCP_ESTATE);
  cr_assert_eq(mcp_server_set_max_connections(server, 5), MCP_ESTATE);
  cr_assert_eq(mcp_server_set_allow_public(server, true), MCP_ESTATE);
  cr_assert_eq(mcp_server_set_allowed_origins(server, "x"), MCP_ESTATE);
  cr_assert_eq(mcp_server_set_reuseport(server, true), MCP_ESTATE);
  cr_assert_eq(mcp_server_set_call_timeout_ms(server, 5), MCP_ESTATE);
  cr_assert_eq(mcp_server_set_shutdown_timeout_ms(server, 5), 0);
  close_all();
}

/* ---- peers that break rules, at each step
 * -------------------------------------------------------------------- */

static void breaks(int opcode, const void *data, size_t len, int code) {
  raw_client_t *client = raw_client_open(mcp_server_port(server));
  raw_client_send_frame(client, opcode, data, len);
  RUN_UNTIL(client->ended);
  cr_assert_eq(client->close_code, code, "opcode %d: %d", opcode, client->close_code);
}

Test(server_flow, broken_rules_are_named_in_the_close) {
  open_with(0);
  breaks(2, "{}", 2, 1003);
  breaks(1, "\"\xff\"", 3, 1007);
  breaks(3, "", 0, 1002);
  breaks(11, "", 0, 1002);
  breaks(8, "\x03\xe8", 2, 1000);
  breaks(8, "\x03\xed", 2, 1002); /* 1005 must not be sent */
  breaks(8, "\x03", 1, 1002);
  raw_client_t *unmasked = raw_client_open(mcp_server_port(server));
  unmasked->masks_frames = false;
  raw_client_send_text(unmasked, "{}");
  RUN_UNTIL(unmasked->ended);
  cr_assert_eq(unmasked->close_code, 1002);
  raw_client_sync(peer);
  close_all();
}

Test(server_flow, messages_that_are_none_are_answered) {
  open_with(0);
  static const struct {
    const char *text, *code;
  } cases[] = {{"{", "-32700"},
               {"", "-32700"},
               {"[]", "-32600"},
               {"1", "-32600"},
               {"null", "-32600"},
               {"{}", "-32600"},
               {"{\"id\":1}", "-32600"},
               {"\xef\xbb\xbf{}", "-32600"},
               {"\xef\xbb\xbf\xef\xbb\xbf{}", "-32700"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    raw_client_send_text(peer, "%s", cases[i].text);
    RUN_UNTIL(peer->count == i + 1);
    cr_assert_not_null(strstr(peer->messages[i], cases[i].code), "%s: %s", cases[i].text, peer->messages[i]);
  }
  raw_client_sync(peer);
  close_all();
}

Test(server_flow, a_byte_order_mark_in_front_of_a_message_is_passed_over) {
  open_with(0);
  raw_client_send_text(
      peer, "\xef\xbb\xbf{\"jsonrpc\":\"2.0\",\"id\":1e2,\"method\":\"now\",\"params\":{\"a\":\"\\ud83d\"}}");
  RUN_UNTIL(peer->count == 1);
  cr_assert_str_eq(peer->messages[0], "{\"jsonrpc\":\"2.0\",\"id\":1e2,\"result\":{\"a\":\"\xef\xbf\xbd\"}}");
  close_all();
}

Test(server_flow, peers_that_leave_at_each_byte) {
  open_with(0);
  static const char request[] =
      "GET / HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
      "\x81\xae\0\0\0\0{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}";
  for (size_t len = 0; len < sizeof request; len += 3) {
    raw_client_t *client = raw_client_connect(mcp_server_port(server));
    RUN_UNTIL(client->connected);
    raw_client_send(client, request, len);
    fixture_iterate_once();
    if (len % 2 == 0)
      raw_client_close(client);
    else
      raw_client_reset(client);
  }
  raw_client_sync(peer);
  close_all();
}

Test(server_flow, bytes_one_by_one) {
  open_with(0);
  static const char message[] = "\x81\xae\0\0\0\0{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}";
  for (size_t i = 0; i < sizeof message - 1; i++) {
    raw_client_send(peer, message + i, 1);
    fixture_iterate_once();
  }
  RUN_UNTIL(raw_client_count_responses(peer, 1) == 1);
  close_all();
}
