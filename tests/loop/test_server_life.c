/* test_server_life.c: the life of a server: created, started, stopped, restarted; which hosts may connect;
 * and its HTTP pages. */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static mcp_server_t *server;

/* ---- stop -----------------------------------------------------------------------------------------------
 */

Test(server_life, a_stop_waits_for_calls_and_closes_with_1012) {
  fixture_setup();
  server = test_server_start();
  raw_client_t *idle = raw_client_open(mcp_server_port(server)),
               *busy = raw_client_open(mcp_server_port(server));
  raw_client_call(busy, 1, "hold", "{}");
  RUN_UNTIL(test_server.held_count == 1);
  cr_assert_eq(mcp_server_stop(server, test_server_on_stopped, NULL), 0);
  cr_assert_eq(mcp_server_stop(server, test_server_on_stopped, NULL), MCP_ESTATE);
  RUN_UNTIL(idle->ended);
  cr_assert_eq(idle->close_code, 1012);
  raw_client_t *late = raw_client_connect(mcp_server_port(server));
  RUN_UNTIL(late->connected || late->ended);
  cr_assert(!late->connected);
  cr_assert(!busy->ended && !test_server.stopped);
  cr_assert_eq(test_server_end_held(0), 0);
  RUN_UNTIL(test_server.stopped);
  cr_assert(raw_client_response_has(busy, 1, "held"));
  cr_assert_eq(busy->close_code, 1012);
  cr_assert_eq(mcp_server_stop(server, test_server_on_stopped, NULL), MCP_ESTATE);
  mcp_server_free(server);
  fixture_teardown();
}

Test(server_life, a_stop_ends_calls_after_its_timeout) {
  fixture_setup();
  server = test_server_new();
  mcp_server_set_shutdown_timeout_ms(server, 100);
  mcp_server_start(server, &fixture_loop);
  raw_client_t *peer = raw_client_open(mcp_server_port(server));
  raw_client_call(peer, 1, "hold", "{}");
  raw_client_call(peer, 2, "hold", "{}");
  RUN_UNTIL(test_server.held_count == 2);
  test_server_stop(server); /* although no handler ends them */
  cr_assert(raw_client_response_has(peer, 1, "-32603"));
  cr_assert(raw_client_response_has(peer, 2, "-32603"));
  cr_assert_eq(peer->close_code, 1012);
  cr_assert_eq(test_server.cancels, 2);
  cr_assert_eq(test_server_end_held(0), MCP_ESTATE);
  cr_assert_eq(test_server_end_held(1), MCP_ESTATE);
  fixture_teardown();
}

/* Requests that had arrived before the stop, and were not read yet, and others that come while one is waited
 * for. */
Test(server_life, a_stop_answers_what_arrives) {
  enum { CALLS = 10 };
  fixture_setup();
  server = test_server_new();
  mcp_server_set_shutdown_timeout_ms(server, LONG_TIMEOUT_MS);
  mcp_server_start(server, &fixture_loop);
  raw_client_t *busy = raw_client_open(mcp_server_port(server)),
               *idle = raw_client_open(mcp_server_port(server));
  raw_client_call(busy, 100, "hold", "{}");
  RUN_UNTIL(test_server.held_count == 1);
  raw_client_sync(idle);
  test_server.stopped = false;
  for (int id = 0; id < CALLS; id++)
    raw_client_call(idle, id, "now", "{}"); /* the loop does not turn before the stop */
  cr_assert_eq(mcp_server_stop(server, test_server_on_stopped, NULL), 0);
  RUN_UNTIL(idle->ended);
  for (int id = 0; id < CALLS; id++)
    cr_assert(raw_client_response_has(idle, id, "the server is stopping"));
  cr_assert_eq(idle->close_code, 1012);
  raw_client_call(busy, 101, "now", "{}");
  RUN_UNTIL(raw_client_count_responses(busy, 101) == 1);
  cr_assert(raw_client_response_has(busy, 101, "the server is stopping, retry later"));
  cr_assert(raw_client_response_has(busy, 101, "\"retry\":true"));
  raw_client_sync(busy); /* what is no call is served as ever */
  test_server_end_held(0);
  RUN_UNTIL(test_server.stopped);
  cr_assert(raw_client_response_has(busy, 100, "held"));
  cr_assert_eq(busy->close_code, 1012);
  mcp_server_free(server);
  fixture_teardown();
}

Test(server_life, a_stop_is_not_held_up_by_peers) {
  fixture_setup();
  server = test_server_new();
  mcp_server_set_shutdown_timeout_ms(server, 100);
  mcp_server_start(server, &fixture_loop);
  int port = mcp_server_port(server);
  raw_client_t *deaf = raw_client_open(port), *mute = raw_client_connect(port), *half = raw_client_open(port);
  RUN_UNTIL(mute->connected);
  raw_client_set_reading(deaf, false); /* never sees the close */
  for (int id = 0; id < 50; id++)
    raw_client_call(deaf, id, "big", "{\"bytes\":1000000}");
  raw_client_send(half, "\x81\xfe", 2); /* a frame begun */
  fixture_run_ms(50);
  test_server.stopped = false;
  fixture_freeze_clock();
  cr_assert_eq(mcp_server_stop(server, test_server_on_stopped, NULL), 0);
  fixture_advance_ms(
      3000); /* the calls' timeout, the second after a close, and how exactly limits are kept */
  fixture_unfreeze_clock();
  RUN_UNTIL(test_server.stopped);
  mcp_server_free(server);
  fixture_teardown();
}

Test(server_life, a_stop_without_a_callback) {
  fixture_setup();
  server = test_server_start();
  cr_assert_eq(mcp_server_stop(server, NULL, NULL), 0);
  RUN_UNTIL(fixture_logged("Server stopped"));
  cr_assert_eq(mcp_server_stop(server, NULL, NULL), MCP_ESTATE);
  mcp_server_free(server);
  fixture_teardown();
}

Test(server_life, stopped_before_the_loop_turned) {
  fixture_setup();
  server = test_server_start();
  raw_client_t *early = raw_client_connect(mcp_server_port(server));
  test_server_stop(server);
  RUN_UNTIL(early->ended);
  fixture_teardown();
}

static unsigned starts;

static void start_in_callback(mcp_server_t *stopped, void *arg) {
  (void)arg;
  starts++;
  cr_assert_eq(mcp_server_start(stopped, &fixture_loop), 0);
}

Test(server_life, started_again_in_the_stop_callback) {
  fixture_setup();
  server = test_server_start();
  for (unsigned round = 1; round <= 3; round++) {
    raw_client_t *peer = raw_client_open(mcp_server_port(server));
    raw_client_call(peer, 1, "block", "{}");
    RUN_UNTIL(peer->count == 1);
    cr_assert_eq(mcp_server_stop(server, start_in_callback, NULL), 0);
    RUN_UNTIL(starts == round);
  }
  test_server_stop(server);
  fixture_teardown();
}

/* ---- timers ---- */

static unsigned fired[2];

static void on_stopped(mcp_server_t *of, void *arg) {
  (void)of;
  *(bool *)arg = true;
}

static void on_timer(mcp_server_t *of, void *arg) {
  cr_assert_eq(of, server);
  ++*(unsigned *)arg;
}

Test(server_life, timers_run_from_each_start_to_its_stop) {
  fixture_setup();
  fixture_freeze_clock();
  server = test_server_new();
  cr_assert_eq(mcp_server_add_timer(server, 0, on_timer, &fired[0]), UV_EINVAL);
  cr_assert_eq(mcp_server_add_timer(server, 1000, on_timer, &fired[0]), 0);
  cr_assert_eq(mcp_server_add_timer(server, 3000, on_timer, &fired[1]), 0);
  for (unsigned round = 1; round <= 2; round++) {
    cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
    cr_assert_eq(mcp_server_add_timer(server, 1, on_timer, &fired[0]), MCP_ESTATE);
    for (int second = 0; second < 3; second++)
      fixture_advance_ms(1000);
    cr_assert_eq(fired[0], 3 * round);
    cr_assert_eq(fired[1], round);
    bool stopped = false;
    mcp_server_stop(server, on_stopped, &stopped);
    RUN_UNTIL(stopped);
  }
  for (int i = 2; i < 64; i++)
    cr_assert_eq(mcp_server_add_timer(server, 1000, on_timer, &fired[0]), 0);
  cr_assert_eq(mcp_server_add_timer(server, 1000, on_timer, &fired[0]), MCP_ELIMIT);
  mcp_server_free(server);
  fixture_teardown();
}

static void free_in_callback(mcp_server_t *stopped, void *arg) {
  mcp_server_free(stopped);
  *(bool *)arg = true;
}

Test(server_life, freed_in_the_stop_callback) {
  fixture_setup();
  server = test_server_start();
  raw_client_t *peer = raw_client_open(mcp_server_port(server));
  raw_client_call(peer, 1, "block", "{}"); /* with a pool */
  RUN_UNTIL(peer->count == 1);
  bool freed = false;
  mcp_server_stop(server, free_in_callback, &freed);
  RUN_UNTIL(freed);
  fixture_teardown();
}

Test(server_life, freeing_a_running_server_is_refused) {
  fixture_setup();
  server = test_server_start();
  mcp_server_free(server);
  raw_client_sync(raw_client_open(mcp_server_port(server)));
  test_server_stop(server);
  mcp_server_free(NULL);
  fixture_teardown();
}

static void stop_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  bool after = yyjson_get_bool(yyjson_obj_get(args, "after"));
  bool *freed = arg;
  if (after)
    mcp_call_reply_text(call, "1", 1);
  cr_assert_eq(mcp_server_stop(server, free_in_callback, freed), 0);
  if (!after)
    mcp_call_reply_text(call, "1", 1);
}

static void stop_from_handler(const char *args, uint64_t shutdown_timeout_ms, bool answered) {
  bool freed = false;
  fixture_setup();
  const mcp_tool_t tools[] = {{"stop", "", NULL, stop_tool, &freed, 0}, MCP_TOOL_END};
  server = mcp_server_new("stop", "1", 0, tools);
  mcp_server_set_shutdown_timeout_ms(server, shutdown_timeout_ms);
  mcp_server_start(server, &fixture_loop);
  raw_client_t *peer = raw_client_open(mcp_server_port(server));
  for (int id = 1; id <= 3; id++) /* the others come in the same piece of input */
    raw_client_call(peer, id, id == 1 ? "stop" : "missing", args);
  RUN_UNTIL(freed);
  cr_assert(raw_client_response_has(peer, 1, answered ? "\"result\"" : "-32603"));
  cr_assert_eq(peer->close_code, 1012);
  fixture_teardown();
}

Test(server_life, stopped_from_inside_a_handler) {
  stop_from_handler("{}", 3000, true);
}
Test(server_life, stopped_from_inside_a_handler_after_its_answer) {
  stop_from_handler("{\"after\":true}", 3000, true);
}
Test(server_life, stopped_from_inside_a_handler_without_patience) {
  stop_from_handler("{}", 0, false);
}

static void stop_and_end(mcp_call_t *call, void *arg) {
  mcp_server_stop(server, free_in_callback, arg);
  mcp_call_tool_error(call, "gone");
}

static void stop_from_on_cancel(uint64_t shutdown_timeout_ms, uint64_t call_timeout_ms, bool leave) {
  bool freed = false;
  fixture_setup();
  server = test_server_new();
  mcp_server_set_shutdown_timeout_ms(server, shutdown_timeout_ms);
  mcp_server_set_call_timeout_ms(server, call_timeout_ms);
  mcp_server_start(server, &fixture_loop);
  raw_client_t *peer = raw_client_open(mcp_server_port(server));
  for (int id = 1; id <= 3; id++)
    raw_client_call(peer, id, "hold", "{}");
  RUN_UNTIL(test_server.held_count == 3);
  for (int i = 0; i < 3; i++)
    mcp_call_on_cancel(test_server.held[i], stop_and_end, &freed);
  if (leave)
    raw_client_reset(peer);
  RUN_UNTIL(freed);
  fixture_teardown();
}

Test(server_life, stopped_from_on_cancel) {
  stop_from_on_cancel(3000, 300000, true);
}
Test(server_life, stopped_from_on_cancel_without_patience) {
  stop_from_on_cancel(0, 300000, true);
}
Test(server_life, stopped_from_on_cancel_of_a_timeout) {
  stop_from_on_cancel(3000, 20, false);
}
Test(server_life, stopped_from_on_cancel_of_a_timeout_without_patience) {
  stop_from_on_cancel(0, 20, false);
}

Test(server_life, stopped_from_a_late_on_cancel) {
  bool freed = false;
  fixture_setup();
  server = test_server_new();
  mcp_server_set_shutdown_timeout_ms(server, 0);
  mcp_server_start(server, &fixture_loop);
  size_t handles = fixture_handle_count();
  raw_client_t *peer = raw_client_open(mcp_server_port(server));
  for (int id = 0; id < 3; id++)
    raw_client_call(peer, id, "hold", "{}");
  RUN_UNTIL(test_server.held_count == 3);
  raw_client_reset(peer);
  RUN_UNTIL(test_server.cancels == 3);
  RUN_UNTIL(fixture_handle_count() == handles); /* the connection is gone altogether */
  mcp_call_on_cancel(test_server.held[0], stop_and_end, &freed);
  RUN_UNTIL(freed);
  cr_assert_eq(test_server_end_held(1), MCP_ESTATE);
  cr_assert_eq(test_server_end_held(2), MCP_ESTATE);
  fixture_teardown();
}

/* ---- start ------------------------------------------------------------------------------------------------
 */

Test(server_life, started_again_on_the_same_loop) {
  fixture_setup();
  server = test_server_start();
  int port = mcp_server_port(server);
  for (int round = 0; round < 3; round++) {
    raw_client_t *peer = raw_client_open(port);
    raw_client_call(peer, 1, "block", "{}");
    raw_client_call(peer, 2, "now", "{}");
    RUN_UNTIL(peer->count == 2);
    test_server.stopped = false;
    cr_assert_eq(mcp_server_start(server, &fixture_loop), MCP_ESTATE);
    cr_assert_eq(mcp_server_stop(server, test_server_on_stopped, NULL), 0);
    cr_assert_eq(mcp_server_start(server, &fixture_loop), MCP_ESTATE);
    RUN_UNTIL(test_server.stopped);
    cr_assert_eq(peer->close_code, 1012);
    cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
    cr_assert_eq(mcp_server_port(server), port);
  }
  test_server_stop(server);
  fixture_teardown();
}

static const mcp_tool_t blocking[] = {
    {"b", "", NULL, stop_tool, NULL, MCP_TOOL_BLOCKING},
    MCP_TOOL_END,
};

Test(server_life, a_port_in_use) {
  fixture_setup();
  server = test_server_start();
  mcp_server_t *second = mcp_server_new("second", "1", mcp_server_port(server), blocking);
  cr_assert_eq(mcp_server_start(second, &fixture_loop), UV_EADDRINUSE);
  cr_assert_eq(mcp_server_stop(second, NULL, NULL), MCP_ESTATE);
  test_server_stop(server);
  cr_assert_eq(mcp_server_start(second, &fixture_loop), 0); /* free now */
  test_server_stop(second);
  fixture_teardown();
}

Test(server_life, a_port_in_use_and_freed_at_once) {
  fixture_setup();
  fake_server_t *fake = fake_server_open(NULL, NULL); /* 127.0.0.1 alone is taken */
  mcp_server_t *second = mcp_server_new("second", "1", fake->port, blocking);
  cr_assert_eq(mcp_server_start(second, &fixture_loop), UV_EADDRINUSE);
  mcp_server_free(second); /* its listeners are still closing */
  fixture_teardown();
}

Test(server_life, run_says_why_it_cannot_start) {
  fixture_setup();
  server = test_server_start();
  mcp_server_t *second = mcp_server_new("second", "1", mcp_server_port(server), blocking);
  cr_assert_eq(mcp_server_run(second), UV_EADDRINUSE);
  cr_expect(fixture_logged("cannot listen on port"));
  mcp_server_free(second);
  test_server_stop(server);
  fixture_teardown();
}

Test(server_life, run_says_that_there_is_no_descriptor_for_its_loop) {
  struct rlimit limit, none;
  fixture_setup();
  server = test_server_start();
  mcp_server_t *second = mcp_server_new("second", "1", 0, blocking);
  cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
  none = (struct rlimit){3, limit.rlim_max};
  cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
  cr_expect_eq(mcp_server_run(second), UV_EMFILE);
  cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
  cr_expect(fixture_logged("cannot run: too many open files"));
  mcp_server_free(second);
  test_server_stop(server);
  fixture_teardown();
}

Test(server_life, port_0_is_the_same_on_ipv4_and_ipv6) {
  fixture_setup();
  server = test_server_start();
  cr_assert_gt(mcp_server_port(server), 0);
  raw_client_t *four = raw_client_connect(mcp_server_port(server)),
               *six = raw_client_connect6(mcp_server_port(server));
  RUN_UNTIL((four->connected || four->ended) && (six->connected || six->ended));
  cr_assert(four->connected);
  if (six->status == UV_EADDRNOTAVAIL || six->status == UV_EAFNOSUPPORT)
    printf("NOT RUN: ::1, since there is no IPv6 here\n");
  else
    cr_assert(six->connected, "%s", uv_strerror(six->status));
  test_server_stop(server);
  fixture_teardown();
}

static void say_who(mcp_call_t *call, yyjson_val *args, void *arg) {
  yyjson_mut_doc *doc = mcp_call_doc(call);
  yyjson_mut_val *answer = yyjson_mut_obj(doc);
  (void)args;
  yyjson_mut_obj_add_str(doc, answer, "name", arg);
  mcp_call_reply(call, answer);
}

Test(server_life, two_servers_in_one_loop) {
  fixture_setup();
  server = test_server_start();
  mcp_server_t *second = test_server_start();
  cr_assert_neq(mcp_server_port(server), mcp_server_port(second));
  raw_client_sync(raw_client_open(mcp_server_port(server)));
  test_server_stop(server);
  raw_client_sync(raw_client_open(mcp_server_port(second)));
  test_server_stop(second);
  fixture_teardown();
}

/* A server whose tool "who" answers its name. */
static mcp_server_t *named(const char *name, int port) {
  const mcp_tool_t tools[] = {{"who", "", NULL, say_who, (void *)(uintptr_t)name, 0}, MCP_TOOL_END};
  return mcp_server_new(name, "1", port, tools);
}

static mcp_server_t *sharing(const char *name, int port, bool share) {
  mcp_server_t *made = named(name, port);
  cr_assert_eq(mcp_server_set_reuseport(made, share), 0);
  return made;
}

/* Opens connections, over IPv6 where that is wanted and there, until both have answered. */
static void both_answer(int port, raw_client_t *(*connect_by)(int port)) {
  bool one = false, two = false;
  for (int i = 0; i < 1000 && !(one && two); i++) {
    raw_client_t *peer = connect_by(port);
    RUN_UNTIL(peer->connected || peer->ended);
    if (peer->ended) {
      printf("NOT RUN: ::1, since there is no IPv6 here\n");
      return;
    }
    raw_client_upgrade(peer);
    RUN_UNTIL(peer->head != NULL);
    raw_client_call(peer, 1, "who", "{}");
    RUN_UNTIL(peer->count == 1);
    one |= raw_client_response_has(peer, 1, "one");
    two |= raw_client_response_has(peer, 1, "two");
    raw_client_close(peer);
  }
  cr_assert(one && two);
}

static void play_sharing(mcp_server_t *one, mcp_server_t *two) {
  cr_assert_eq(mcp_server_start(one, &fixture_loop), 0);
  cr_assert_eq(mcp_server_start(two, &fixture_loop), 0);
  both_answer(mcp_server_port(one), raw_client_connect);
  both_answer(mcp_server_port(one), raw_client_connect6);
  int port = mcp_server_port(one);
  test_server_stop(one);
  for (int i = 0; i < 20; i++) { /* all of them come to the one that is left */
    raw_client_t *peer = raw_client_open(port);
    raw_client_call(peer, 1, "who", "{}");
    RUN_UNTIL(raw_client_response_has(peer, 1, "two"));
    raw_client_close(peer);
  }
  test_server_stop(two);
}

Test(server_life, two_servers_on_one_port) {
  fixture_setup();
  int port = unused_port();
  play_sharing(sharing("one", port, true), sharing("two", port, true));
  fixture_teardown();
}

Test(server_life, two_servers_on_one_port_by_the_environment) {
  fixture_setup();
  int port = unused_port();
  setenv("ICCM_REUSEPORT", "1", 1);
  play_sharing(named("one", port), named("two", port));
  server = sharing("alone", port, false); /* the setter wins */
  mcp_server_t *second = named("second", port);
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  cr_assert_eq(mcp_server_start(second, &fixture_loop), UV_EADDRINUSE);
  mcp_server_free(second);
  test_server_stop(server);
  fixture_teardown();
}

Test(server_life, a_port_is_shared_by_both_or_not_at_all) {
  fixture_setup();
  int port = unused_port();
  char words[64];
  snprintf(words, sizeof words, "cannot listen on port %d: address already in use", port);
  for (int which = 0; which < 3; which++) {
    server = sharing("one", port, which == 1);
    mcp_server_t *second = sharing("second", port, which == 2);
    cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
    cr_assert_eq(mcp_server_start(second, &fixture_loop), UV_EADDRINUSE);
    cr_assert(fixture_logged(words));
    mcp_server_free(second);
    test_server_stop(server);
  }
  fixture_teardown();
}

Test(server_life, port_0_is_shared_with_nobody) {
  fixture_setup();
  mcp_server_t *servers[20];
  for (int i = 0; i < 20; i++) {
    servers[i] = sharing("one", 0, true);
    cr_assert_eq(mcp_server_start(servers[i], &fixture_loop), 0);
    for (int k = 0; k < i; k++)
      cr_assert_neq(mcp_server_port(servers[i]), mcp_server_port(servers[k]));
  }
  mcp_server_t *guest = sharing("guest", mcp_server_port(servers[0]), true);
  cr_assert_eq(mcp_server_start(guest, &fixture_loop), UV_EADDRINUSE);
  mcp_server_free(guest);
  for (int i = 0; i < 20; i++)
    test_server_stop(servers[i]);
  fixture_teardown();
}

/* ---- who may come in
 * ---------------------------------------------------------------------------------------- */

Test(server_life, beyond_max_connections_is_503_until_one_leaves) {
  fixture_setup();
  server = test_server_new();
  mcp_server_set_max_connections(server, 2);
  mcp_server_start(server, &fixture_loop);
  int port = mcp_server_port(server);
  raw_client_t *first = raw_client_open(port);
  raw_client_open(port);
  for (int i = 0; i < 300; i++) { /* more than may be in handshake, too */
    raw_client_t *third = raw_client_connect(port);
    RUN_UNTIL(third->connected);
    raw_client_upgrade(third);
    RUN_UNTIL(third->ended);
    cr_assert_not_null(third->head);
    cr_assert_not_null(strstr(third->head, " 503 "), "%s", third->head);
    cr_assert_not_null(strstr(third->head, "Retry-After"), "%s", third->head);
  }
  raw_client_sync(first);
  size_t handles = fixture_handle_count();
  raw_client_close(first);
  RUN_UNTIL(fixture_handle_count() == handles - 2); /* its own, and the server's */
  raw_client_sync(raw_client_open(port));
  test_server_stop(server);
  fixture_teardown();
}

Test(server_life, a_peer_that_asks_for_nothing_is_sent_away) {
  fixture_setup();
  server = test_server_start();
  raw_client_t *mute = raw_client_connect(mcp_server_port(server)),
               *slow = raw_client_connect(mcp_server_port(server));
  RUN_UNTIL(mute->connected && slow->connected);
  fixture_freeze_clock();
  uint64_t began = fixture_clock_ms();
  while (!slow->ended) { /* a byte now and then buys no time */
    raw_client_send(slow, "G", fixture_clock_ms() == began);
    fixture_advance_ms(100);
  }
  RUN_UNTIL(mute->ended);
  cr_assert(fixture_clock_ms() - began > 4900 && fixture_clock_ms() - began < 7000);
  cr_assert_not_null(mute->head);
  cr_assert_not_null(strstr(mute->head, " 408 "), "%s", mute->head);
  test_server_stop(server);
  fixture_teardown();
}

Test(server_life, many_connections_come_and_go) {
  fixture_setup();
  server = test_server_start();
  for (int round = 0; round < 10; round++) {
    raw_client_t *peers[100];
    for (int i = 0; i < 100; i++)
      peers[i] = raw_client_open(mcp_server_port(server));
    for (int i = 0; i < 100; i++) {
      raw_client_call(peers[i], 1, "now", "{}");
      if (i % 2 == 0)
        raw_client_reset(peers[i]);
    }
    for (int i = 1; i < 100; i += 2) {
      raw_client_sync(peers[i]);
      raw_client_close(peers[i]);
    }
  }
  raw_client_sync(raw_client_open(mcp_server_port(server)));
  test_server_stop(server);
  fixture_teardown();
}

static void limit_descriptors(rlim_t most) {
  struct rlimit limit = {most, most};
  cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

Test(server_life, few_descriptors_lower_the_connections) {
  fixture_setup();
  limit_descriptors(256);
  server = test_server_start();
  cr_assert(fixture_logged("descriptors are allowed"));
  for (int i = 0; i < 256 - 128 - 64; i++)
    raw_client_open(mcp_server_port(server));
  raw_client_t *more = raw_client_connect(mcp_server_port(server));
  RUN_UNTIL(more->ended);
  cr_assert_not_null(strstr(more->head, " 503 "), "%s", more->head);
  test_server_stop(server);
  fixture_teardown();
}

static void wait_until_it_listens(void) {
  for (bool there = false; !there;) {
    raw_client_t *peer = raw_client_connect(mcp_server_port(server));
    RUN_UNTIL(peer->connected || peer->ended);
    there = peer->connected;
    raw_client_close(peer);
    fixture_run_ms(50);
  }
}

/* Peers connect in the kernel before the loop turns, which then has no descriptor for them: neither of its
 * own nor, where another thread was quicker, the one that libuv keeps in reserve, without which some versions
 * of it ask the kernel again and again: those make the server close its listeners for a moment. */
static void play_without_descriptors(bool reserve_taken) {
  enum { PEERS = 20 };
  int sockets[PEERS];
  fixture_setup();
  server = test_server_start();
  raw_client_t *old = raw_client_open(mcp_server_port(server));
  struct sockaddr_in address;
  uv_ip4_addr("127.0.0.1", mcp_server_port(server), &address);
  for (int i = 0; i < PEERS; i++) {
    sockets[i] = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(connect(sockets[i], (struct sockaddr *)&address, sizeof address), 0);
  }
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  rlim_t before = limit.rlim_cur;
  limit.rlim_cur = (rlim_t)sockets[PEERS - 1] + 1;
  setrlimit(RLIMIT_NOFILE, &limit);
  if (reserve_taken)
    fixture_loop.emfile_fd = -1;
  raw_client_sync(old);
  fixture_run_ms(200);
  raw_client_sync(old);
  limit.rlim_cur = before;
  setrlimit(RLIMIT_NOFILE, &limit);
  for (int i = 0; i < PEERS; i++)
    close(sockets[i]);
  wait_until_it_listens();
  raw_client_sync(raw_client_open(mcp_server_port(server)));
  test_server_stop(server);
  fixture_teardown();
}

Test(server_life, no_descriptors_left) {
  play_without_descriptors(false);
}

Test(server_life, no_descriptors_left_at_all) {
  play_without_descriptors(true);
}

static const char *get(const char *request) {
  raw_client_t *peer = raw_client_connect(mcp_server_port(server));
  RUN_UNTIL(peer->connected);
  raw_client_puts(peer, request);
  RUN_UNTIL(peer->ended);
  cr_assert_not_null(peer->head, "no answer to %s", request);
  static char text[4096];
  snprintf(text, sizeof text, "%s%s", peer->head, peer->in != NULL ? peer->in : "");
  return text;
}

Test(server_life, needs_and_readyz) {
  fixture_setup();
  server = test_server_start();
  static const char readyz[] = "GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  cr_assert_not_null(strstr(get(readyz), " 200 "));
  mcp_server_set_dependency(server, "database", "it sleeps");
  mcp_server_set_dependency(server, "queue", "it is full");
  const char *text = get(readyz);
  cr_assert_not_null(strstr(text, " 503 "), "%s", text);
  cr_assert_not_null(strstr(text, "database: it sleeps"), "%s", text);
  cr_assert_not_null(strstr(text, "queue: it is full"), "%s", text);
  mcp_server_set_dependency(server, "database", NULL);
  cr_assert_null(strstr(get(readyz), "database"));
  mcp_server_set_dependency(server, "queue", NULL);
  cr_assert_not_null(strstr(get(readyz), " 200 "));
  cr_assert_not_null(strstr(get("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), " 200 "));
  cr_assert_not_null(
      strstr(get("GET /any HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), "test-server 1.2.3"));
  cr_assert_not_null(strstr(get("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), " 4"));
  cr_assert_not_null(strstr(get("junk\r\n\r\n"), " 400 "));
  test_server_stop(server);
  fixture_teardown();
}

enum { TELLERS = 4, TELLINGS = 500 };

static void tell(void *arg) {
  static const char *const names[TELLERS] = {"a", "b", "c", "d"};
  const char *own = names[*(const int *)arg];
  for (int i = 0; i < TELLINGS; i++) {
    cr_assert_eq(mcp_server_set_dependency(server, own, i % 3 == 0 ? NULL : own), 0);
    cr_assert_eq(mcp_server_set_dependency(server, "shared", i % 2 == 0 ? NULL : own), 0);
  }
  mcp_server_set_dependency(server, own, *own == 'c' ? "is unavailable" : NULL);
  mcp_server_set_dependency(server, "shared", NULL);
}

Test(server_life, needs_from_any_thread) {
  fixture_setup();
  server = test_server_start();
  uv_thread_t threads[TELLERS];
  int numbers[TELLERS];
  for (int i = 0; i < TELLERS; i++) {
    numbers[i] = i;
    cr_assert_eq(uv_thread_create(&threads[i], tell, &numbers[i]), 0);
  }
  static const char readyz[] = "GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  for (int i = 0; i < 20; i++)
    get(readyz); /* meanwhile */
  for (int i = 0; i < TELLERS; i++)
    uv_thread_join(&threads[i]);
  const char *text = get(readyz);
  cr_assert_not_null(strstr(text, " 503 "), "%s", text);
  cr_assert_not_null(strstr(text, "\r\n\r\nc: is unavailable\n"), "%s", text);
  cr_assert_null(strstr(text, "shared"), "%s", text);
  cr_assert(fixture_logged("c: c"));
  mcp_server_set_dependency(server, "c", NULL);
  cr_assert_not_null(strstr(get(readyz), " 200 "));
  cr_assert(fixture_logged("c: available"));
  test_server_stop(server);
  fixture_teardown();
}

Test(server_life, origins) {
  fixture_setup();
  server = test_server_new();
  mcp_server_set_allowed_origins(server, "http://fine, http://good");
  mcp_server_start(server, &fixture_loop);
#define UPGRADE_FROM(origin)                                                                                 \
  "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"  \
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: " origin "\r\n\r\n"
  cr_assert_not_null(strstr(get(UPGRADE_FROM("http://evil")), " 403 "));
  cr_assert_not_null(strstr(get(UPGRADE_FROM("null")), " 403 "));
  raw_client_t *peer = raw_client_connect(mcp_server_port(server));
  RUN_UNTIL(peer->connected);
  raw_client_puts(peer, UPGRADE_FROM("http://good"));
  RUN_UNTIL(peer->head != NULL);
  cr_assert_not_null(strstr(peer->head, " 101 "));
  test_server_stop(server);
  fixture_teardown();
}

/* ---- what is refused when a server is made
 * ------------------------------------------------------------------ */

static void refused(const char *name, const char *value) {
  setenv(name, value, 1);
  cr_assert_null(mcp_server_new("x", "1", 0, blocking), "%s=%s", name, value);
  cr_assert(strstr(mcp_last_error(), "environment") != NULL || strstr(mcp_last_error(), name) != NULL, "%s",
            mcp_last_error());
  cr_assert(fixture_logged(name), "%s", name);
  unsetenv(name);
}

Test(server_life, environment_that_cannot_be_read) {
  fixture_setup();
  refused("ICCM_MAX_MESSAGE_BYTES", "abc");
  refused("ICCM_MAX_MESSAGE_BYTES", "-1");
  refused("ICCM_MAX_MEMORY_BYTES", "1048575");
  refused("ICCM_MAX_CONNECTIONS", "0");
  refused("ICCM_MAX_CONNECTIONS", "12x");
  refused("ICCM_MAX_CONNECTS_PER_SECOND", "-1");
  refused("ICCM_MAX_CONNECTS_PER_SECOND", "1000001");
  refused("ICCM_MAX_MESSAGES_PER_SECOND", "many");
  refused("ICCM_ALLOW_PUBLIC", "maybe");
  refused("ICCM_REUSEPORT", "2");
  refused("ICCM_TRANSPORT", "http");
  refused("LOG_LEVEL", "loud");
  refused("LOGGING_ENABLED", "maybe");
  refused("GODOT_URL", "ftp://godot");
  refused("ICCM_AUTH_TOKEN", "hush hush");
  cr_assert(strstr(mcp_last_error(), "hush") == NULL && !fixture_logged("hush"));
  refused("ICCM_TLS_CERT", "file"); /* not supported: never pretend */
  server = test_server_new();
  mcp_server_free(server);
  fixture_teardown();
}

Test(server_life, environment_that_is_ignored) {
  static const char *const names[] = {"ICCM_MAX_MESSAGE_BYTES",
                                      "ICCM_MAX_MEMORY_BYTES",
                                      "ICCM_MAX_CONNECTIONS",
                                      "ICCM_MAX_CONNECTS_PER_SECOND",
                                      "ICCM_MAX_MESSAGES_PER_SECOND",
                                      "ICCM_ALLOW_PUBLIC",
                                      "ICCM_REUSEPORT",
                                      "ICCM_TRANSPORT",
                                      "LOG_LEVEL",
                                      "LOGGING_ENABLED",
                                      "GODOT_URL",
                                      "ICCM_AUTH_TOKEN",
                                      "ICCM_TLS_CERT",
                                      "ICCM_TLS_KEY",
                                      "ICCM_TLS_CA",
                                      "ICCM_DATAA"};
  fixture_setup();
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    setenv(names[i], "/no such thing", 1);
  mcp_ignore_environment();
  server = test_server_start();
  raw_client_t *peer = raw_client_open(mcp_server_port(server)); /* without a token */
  raw_client_call(peer, 1, "now", "{}");
  RUN_UNTIL(raw_client_count_responses(peer, 1) == 1);
  mcp_client_t *client = client_new_to(mcp_server_port(server));
  client_close_and_free(client);
  client = mcp_client_new(&fixture_loop, "wss://localhost:1"); /* which would read ICCM_TLS_CA */
  cr_assert_not_null(client, "%s", mcp_last_error());
  mcp_client_free(client);
  client = mcp_client_new_godot(&fixture_loop);
  cr_assert_not_null(client, "%s", mcp_last_error());
  mcp_client_free(client);
  test_server_stop(server);
  cr_expect_not(fixture_logged("no such thing") || fixture_logged("ICCM_"), "%s", fixture_log());
  fixture_teardown();
}

Test(server_life, environment_that_is_used_and_setters_that_win) {
  fixture_setup();
  setenv("ICCM_MAX_CONNECTIONS", "1", 1);
  server = test_server_start();
  raw_client_open(mcp_server_port(server));
  cr_assert_not_null(strstr(get("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), " 503 "));
  test_server_stop(server);
  server = test_server_new();
  mcp_server_set_max_connections(server, 2);
  mcp_server_start(server, &fixture_loop);
  raw_client_open(mcp_server_port(server));
  cr_assert_not_null(strstr(get("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), " 200 "));
  test_server_stop(server);
  fixture_teardown();
}

static void bad_tool(const char *name, const char *schema, mcp_tool_cb handler) {
  const mcp_tool_t tools[] = {{name, "", schema, handler, NULL, 0}, MCP_TOOL_END};
  cr_assert_null(mcp_server_new("x", "1", 0, tools), "%s %s", name, schema);
  cr_assert_neq(strlen(mcp_last_error()), 0u);
}

Test(server_life, bad_names_ports_and_tools) {
  fixture_setup();
  cr_assert_null(mcp_server_new(NULL, "1", 0, blocking));
  cr_assert_null(mcp_server_new("", "1", 0, blocking));
  char name[258] = "";
  memset(name, 'x', 257);
  cr_assert_null(mcp_server_new(name, "1", 0, blocking));
  name[256] = '\0';
  mcp_server_t *longest = mcp_server_new(name, "1", 0, blocking);
  cr_assert_not_null(longest);
  mcp_server_free(longest);
  cr_assert_null(mcp_server_new("x", NULL, 0, blocking));
  cr_assert_null(mcp_server_new("x", "1", -1, blocking));
  cr_assert_null(mcp_server_new("x", "1", 65536, blocking));
  cr_assert_null(mcp_server_new("x", "1", 0, NULL));
  bad_tool("", NULL, stop_tool);
  bad_tool("white space", NULL, stop_tool);
  bad_tool("x", "{", stop_tool);
  bad_tool("x", "[]", stop_tool);
  bad_tool("x", "{\"type\":\"string\"}", stop_tool);
  bad_tool("x", NULL, NULL);
  const mcp_tool_t twins[] = {
      {"x", "", NULL, stop_tool, NULL, 0}, {"x", "", NULL, stop_tool, NULL, 0}, MCP_TOOL_END};
  cr_assert_null(mcp_server_new("x", "1", 0, twins));
  fixture_teardown();
}
