/* test_limits.c: limits with long time-outs, many peers or much memory, tested from both sides: just below
 * is served, just above gets the documented response. Another client is served at the same time. Other limits
 * are tested with their modules; docs/reliability.md has the list. */
#include "fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MIB = 1 << 20 };

static mcp_server_t *server;
static raw_client_t *peer, *bystander;

static int port(void) {
  return mcp_server_port(server);
}

static void open_all(void) {
  fixture_setup();
  server = test_server_start();
  peer = raw_client_open(port());
  bystander = raw_client_open(port());
  fixture_freeze_clock();
}

static void close_all(void) {
  raw_client_sync(bystander);
  test_server_stop(server);
  fixture_teardown();
}

static void pass_s(uint64_t s) {
  for (; s > 0; s--) {
    fixture_advance_ms(1000);
    raw_client_sync(bystander);
  }
}

/* ---- connections ------------------------------------------------------------------------------- */

static int connect_plain(void) {
  struct sockaddr_in address;
  uv_ip4_addr("127.0.0.1", port(), &address);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
  return fd;
}

static bool is_told(int fd, const char *words) {
  char text[1024] = "";
  ssize_t len = -1;
  RUN_UNTIL((len = recv(fd, text, sizeof text - 1, MSG_DONTWAIT)) >= 0 || errno != EAGAIN);
  return len > 0 && strstr(text, words) != NULL;
}

/* They connect in the kernel before the loop turns, which takes them all at the same time of its clock; some
 * versions of libuv take one a turn. */
static void fill_handshakes(int *mute, size_t count) {
  enum { MOST = 128 };
  size_t before = fixture_handle_count();
  for (size_t i = 0; i < count; i++)
    mute[i] = connect_plain();
  RUN_UNTIL(fixture_handle_count() >= before + (count < MOST ? count : MOST));
  raw_client_sync(bystander);
}

static void close_plain(const int *fds, size_t count) {
  for (size_t i = 0; i < count; i++)
    close(fds[i]);
}

Test(limits, no_more_than_128_in_handshake) {
  enum { MOST = 128 };
  int mute[MOST + 1];
  open_all();
  fill_handshakes(mute, MOST + 1);
  cr_expect(is_told(mute[MOST], "HTTP/1.1 503 "));
  size_t handles = fixture_handle_count();
  close(mute[0]);
  RUN_UNTIL(fixture_handle_count() < handles);
  raw_client_sync(raw_client_open(port()));
  close_plain(mute + 1, MOST);
  close_all();
}

/* A silent peer blocks no other: its place is given to the next peer after half a second. */
Test(limits, mute_peers_make_room_in_handshake) {
  enum { MOST = 128 };
  int mute[MOST];
  open_all();
  fill_handshakes(mute, MOST);
  fixture_advance_ms(600);
  raw_client_t *later[3];
  for (int i = 0; i < 3; i++) { /* each takes the place of one */
    later[i] = raw_client_connect(port());
    RUN_UNTIL(later[i]->connected);
    cr_expect(is_told(mute[i], "HTTP/1.1 408 "));
  }
  for (int i = 0; i < 3; i++) {
    raw_client_upgrade(later[i]);
    RUN_UNTIL(later[i]->head != NULL);
    raw_client_sync(later[i]);
  }
  close_plain(mute, MOST);
  close_all();
}

Test(limits, a_handshake_has_5_s) {
  open_all();
  raw_client_t *slow = raw_client_connect(port()), *slower = raw_client_connect(port());
  RUN_UNTIL(slow->connected && slower->connected);
  fixture_advance_ms(4900);
  raw_client_upgrade(slow);
  RUN_UNTIL(slow->head != NULL);
  cr_expect_not_null(strstr(slow->head, " 101 "), "%s", slow->head);
  fixture_advance_ms(1000);
  RUN_UNTIL(slower->ended);
  cr_assert_not_null(slower->head);
  cr_expect_not_null(strstr(slower->head, " 408 "), "%s", slower->head);
  close_all();
}

/* The refusal reaches a peer that is still sending. */
Test(limits, a_head_far_above_the_limit_is_told_so) {
  enum { LEN = 4 * MIB };
  open_all();
  char *head = malloc(LEN);
  memset(head, 'x', LEN);
  memcpy(head, "GET / HTTP/1.1\r\nX: ", 19);
  raw_client_t *client = raw_client_connect(port());
  RUN_UNTIL(client->connected);
  raw_client_send(client, head, LEN);
  free(head);
  RUN_UNTIL(client->ended);
  cr_assert_not_null(client->head, "%s", uv_strerror(client->status));
  cr_expect_not_null(strstr(client->head, " 431 "), "%s", client->head);
  close_all();
}

static ssize_t receive_all(int fd) { /* what recv() said last */
  char text[4096];
  ssize_t len = 1;
  RUN_UNTIL((len = recv(fd, text, sizeof text, MSG_DONTWAIT)) == 0 || (len < 0 && errno != EAGAIN));
  return len;
}

Test(limits, input_is_discarded_for_a_second_behind_the_last_word) {
  static const char get[] = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  open_all();
  int fd = connect_plain();
  cr_assert_eq(send(fd, get, sizeof get - 1, 0), (ssize_t)sizeof get - 1);
  cr_expect_eq(receive_all(fd), 0, "an end of file");
  fixture_advance_ms(500);
  for (int i = 0; i < 3; i++) {
    cr_expect_eq(send(fd, get, sizeof get - 1, MSG_NOSIGNAL), (ssize_t)sizeof get - 1);
    fixture_iterate_once();
  }
  cr_expect_eq(receive_all(fd), 0, "still open");
  fixture_advance_ms(1000);
  RUN_UNTIL(send(fd, get, 1, MSG_NOSIGNAL) < 0); /* unread data causes a reset */
  close(fd);
  close_all();
}

/* ---- messages ---------------------------------------------------------------------------------- */

static const unsigned char mebibyte[] = {0x81, 0x80 | 127, 0, 0, 0, 0, 0,
                                         0x10, 0,          0, 0, 0, 0, 0}; /* one frame */

static void send_blanks(raw_client_t *client, size_t len) { /* of a frame with a mask of zeros */
  char *text = malloc(len);
  memset(text, ' ', len);
  raw_client_send(client, text, len);
  free(text);
}

static void send_ping_of(size_t bytes) { /* written by hand, as its text is mostly blanks */
  static const char ping[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}";
  unsigned char head[sizeof mebibyte] = {0x81, 0x80 | 127};
  for (int i = 0; i < 8; i++)
    head[2 + i] = (unsigned char)((uint64_t)bytes >> 8 * (7 - i));
  raw_client_send(peer, head, sizeof head);
  raw_client_send(peer, ping, sizeof ping - 1);
  send_blanks(peer, bytes - (sizeof ping - 1));
}

Test(limits, a_message_has_16_mib) {
  open_all();
  send_ping_of(16 * MIB);
  raw_client_sync(bystander);
  RUN_UNTIL(peer->count == 1);
  cr_expect(raw_client_response_has(peer, 1, "result"));
  send_ping_of(16 * MIB + 1);
  RUN_UNTIL(peer->ended);
  cr_expect_eq(peer->close_code, 1009);
  close_all();
}

/* Behind a ping, whose answer tells that it has come. */
static void begin_message(raw_client_t *client, const void *head, size_t len) {
  unsigned char text[32] = {0x89, 0x80};
  memcpy(text + 6, head, len);
  raw_client_send(client, text, 6 + len);
  RUN_UNTIL(client->pongs == 1);
}

Test(limits, a_message_that_is_not_continued_has_30_s) {
  open_all();
  begin_message(peer, mebibyte, sizeof mebibyte);
  raw_client_set_reading(peer, false); /* else a pong would stand inside of the frame */
  pass_s(29);
  cr_expect(!fixture_logged("\"code\":1002"));
  pass_s(2);
  raw_client_set_reading(peer, true);
  RUN_UNTIL(peer->ended);
  cr_expect_eq(peer->close_code, 1002);
  close_all();
}

/* A byte now and then buys no time, and neither do pings between fragments. */
Test(limits, a_message_that_drips_is_not_waited_for) {
  open_all();
  raw_client_t *fragments = raw_client_open(port());
  begin_message(peer, mebibyte, sizeof mebibyte);
  raw_client_set_reading(peer, false);
  begin_message(fragments, "\x01\x81\0\0\0\0x", 7);
  for (size_t i = 0; i < 6; i++) {
    pass_s(5);
    cr_expect(!fixture_logged("\"code\":1002"));
    send_blanks(peer, 5000);
    raw_client_send_frame(fragments, 9, "", 0);
    RUN_UNTIL(fragments->pongs == i + 2);
  }
  pass_s(2);
  raw_client_set_reading(peer, true);
  RUN_UNTIL(peer->ended && fragments->ended);
  cr_expect_eq(peer->close_code, 1002);
  cr_expect_eq(fragments->close_code, 1002);
  close_all();
}

Test(limits, a_message_of_32_kib_in_30_s_is_waited_for) {
  enum { PART = 17 << 10, PARTS = 16 };
  static const unsigned char head[] = {1, 0x80 | 126, PART >> 8, PART & 0xff, 0, 0, 0, 0};
  unsigned char next[sizeof head];
  open_all();
  memcpy(next, head, sizeof head);
  for (size_t i = 0; i < PARTS; i++) {
    raw_client_send(peer, next, sizeof next);
    send_blanks(peer, PART);
    raw_client_send_frame(peer, 9, "", 0);
    RUN_UNTIL(peer->pongs == i + 1);
    pass_s(14);
    next[0] = 0; /* continues */
  }
  raw_client_send_frame(peer, 0, "", 0);
  RUN_UNTIL(peer->count == 1);
  cr_expect_not_null(strstr(peer->messages[0], "-32700"));
  close_all();
}

/* A look at it every half second finds each time a message that is not complete, but never the same one. */
Test(limits, messages_that_follow_each_other_are_no_slow_one) {
  static const unsigned char halves[] = {'l', 'l', 0x81, 0x84, 0, 0, 0, 0, 'n', 'u'};
  open_all();
  raw_client_send(peer, halves + 2, sizeof halves - 2);
  for (size_t i = 0; i < 90; i++) {
    fixture_advance_ms(500);
    raw_client_send(peer, halves, sizeof halves);
    RUN_UNTIL(peer->count == i + 1);
  }
  raw_client_sync(bystander);
  close_all();
}

/* Large messages must arrive faster: in 30 s a sixteenth of the memory. */
Test(limits, a_message_of_mebibytes_that_drips_is_not_waited_for) {
  enum { HELD = 4 * MIB, ENOUGH = HELD / 16 + MIB / 8, TOO_LITTLE = HELD / 32 };
  unsigned char head[sizeof mebibyte];
  open_all();
  memcpy(head, mebibyte, sizeof head);
  head[7] = 0x80; /* 8 MiB */
  raw_client_t *quick = raw_client_open(port());
  begin_message(peer, head, sizeof head);
  begin_message(quick, head, sizeof head);
  raw_client_set_reading(peer, false);
  raw_client_set_reading(quick, false);
  send_blanks(peer, HELD);
  send_blanks(quick, HELD);
  fixture_run_ms(50);
  for (int i = 0; i < 4; i++) {
    pass_s(10);
    send_blanks(peer, TOO_LITTLE / 4);
    send_blanks(quick, ENOUGH);
  }
  raw_client_set_reading(peer, true);
  RUN_UNTIL(peer->ended);
  cr_expect_eq(peer->close_code, 1002);
  raw_client_set_reading(quick, true);
  fixture_run_ms(20);
  cr_expect_not(quick->ended);
  close_all();
}

/* ---- memory of all together ------------------------------------------------------------------------ */

enum { LARGE = 15 * MIB, ALL_MEMORY = 80 * MIB }; /* 80 MiB: five times the limit for messages */

static void open_with_little_memory(void) {
  fixture_setup();
  server = test_server_new();
  cr_assert_eq(mcp_server_set_max_memory_bytes(server, MIB), 0);
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  peer = raw_client_open(port());
  bystander = raw_client_open(port());
}

static double memory_held(void) {
  static const char name[] = "\niccm_memory_bytes ";
  raw_client_t *client = raw_client_connect(port());
  RUN_UNTIL(client->connected);
  raw_client_puts(client, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  RUN_UNTIL(client->ended);
  char *page = calloc(1, client->in_len + 1);
  memcpy(page, client->in, client->in_len);
  const char *sample = strstr(page, name);
  cr_assert_not_null(sample, "%s", page);
  double bytes = strtod(sample + sizeof name - 1, NULL);
  free(page);
  return bytes;
}

/* Nearly all of a message of 16 MiB, so that its memory stays taken. */
static raw_client_t *begin_large(void) {
  unsigned char head[sizeof mebibyte];
  raw_client_t *client = raw_client_open(port());
  memcpy(head, mebibyte, sizeof head);
  head[6] = 1; /* 16 MiB */
  head[7] = 0;
  raw_client_send(client, head, sizeof head);
  for (int part = 0; part < LARGE / MIB; part++) {
    send_blanks(client, MIB);
    RUN_UNTIL(client->ended || uv_stream_get_write_queue_size((uv_stream_t *)&client->tcp) == 0 || part > 8);
  }
  raw_client_sync(bystander);
  return client;
}

static void call_large(raw_client_t *client, int id, size_t bytes) {
  char *args = malloc(bytes + 16);
  size_t len = (size_t)sprintf(args, "{\"text\":\"");
  memset(args + len, 'x', bytes);
  strcpy(args + len + bytes, "\"}");
  raw_client_call(client, id, "hold", args);
  free(args);
}

/* The connection that holds most is closed as "busy" in favour of one that needs less. */
Test(limits, messages_that_are_not_ended_keep_nobody_out) {
  enum { PEERS = 8 };
  raw_client_t *large[PEERS];
  size_t closed = 0;
  open_with_little_memory();
  for (int i = 0; i < PEERS; i++)
    large[i] = begin_large();
  cr_expect_leq(memory_held(), (double)ALL_MEMORY);
  call_large(bystander, 1, 6 * MIB);
  RUN_UNTIL(test_server.held_count == 1);
  for (int i = 0; i < PEERS; i++) {
    if (large[i]->ended) {
      cr_expect_eq(large[i]->close_code, 1013, "%d", large[i]->close_code);
      cr_expect_not_null(strstr(large[i]->close_reason, "busy"), "%s", large[i]->close_reason);
      closed++;
    }
  }
  cr_expect_geq(closed, 1);
  cr_expect_lt(closed, PEERS);
  cr_expect_leq(memory_held(), (double)ALL_MEMORY);
  test_server_end_held(0);
  close_all();
}

static void fill_with_calls(raw_client_t *clients[], int count) {
  for (int i = 0; i < count; i++) {
    clients[i] = raw_client_open(port());
    call_large(clients[i], 1, LARGE);
  }
  RUN_UNTIL(test_server.held_count == (size_t)count);
}

/* Calls in flight keep their memory: a message waits for their end, for 30 s. */
Test(limits, a_message_waits_for_memory_for_30_s) {
  enum { CALLS = 5 };
  raw_client_t *clients[CALLS];
  open_with_little_memory();
  fill_with_calls(clients, CALLS);
  call_large(peer, 1, LARGE);
  pass_s(25);
  cr_expect_not(peer->ended);
  cr_expect_eq(test_server.held_count, CALLS);
  test_server_end_held(0);
  RUN_UNTIL(test_server.held_count == CALLS + 1);
  for (size_t i = 1; i < CALLS + 1; i++)
    test_server_end_held(i);
  RUN_UNTIL(peer->count == 1);
  close_all();
}

Test(limits, a_message_that_finds_no_memory_for_30_s_is_told_so) {
  enum { CALLS = 5 };
  raw_client_t *clients[CALLS];
  open_with_little_memory();
  fill_with_calls(clients, CALLS);
  call_large(peer, 1, LARGE);
  pass_s(28);
  cr_expect_not(peer->ended);
  pass_s(4);
  RUN_UNTIL(peer->ended);
  cr_expect_eq(peer->close_code, 1013);
  cr_expect_not_null(strstr(peer->close_reason, "busy"), "%s", peer->close_reason);
  for (size_t i = 0; i < test_server.held_count; i++)
    test_server_end_held(i);
  close_all();
}

/* A quarter of all memory is shared without a look at who holds it; beyond that, who has more than his share
 * is not read from until calls of his have ended. */
Test(limits, calls_beyond_a_share_of_memory_are_not_read) {
  open_with_little_memory();
  for (int id = 0; id < 5; id++)
    call_large(peer, id, 6 * MIB);
  RUN_UNTIL(test_server.held_count == 3); /* of 7 to 8 MiB each */
  fixture_run_ms(50);
  cr_expect_eq(test_server.held_count, 3);
  raw_client_call(bystander, 1, "now", "{}");
  RUN_UNTIL(bystander->count == 1);
  for (size_t i = 0; i < 5; i++) {
    RUN_UNTIL(test_server.held_count > i);
    test_server_end_held(i);
  }
  RUN_UNTIL(peer->count == 5);
  close_all();
}

/* Answers that are not taken count, too. */
Test(limits, answers_that_wait_are_bounded_together) {
  enum { PEERS = 8, EACH = 24 * MIB };
  raw_client_t *clients[PEERS];
  size_t gone = 0;
  open_with_little_memory();
  for (int i = 0; i < PEERS; i++) {
    clients[i] = raw_client_open(port());
    raw_client_set_reading(clients[i], false);
    raw_client_call(clients[i], 1, "big", "{\"bytes\":25165824}");
    raw_client_sync(bystander);
  }
  fixture_advance_ms(1000); /* it is looked at */
  cr_expect_leq(memory_held(), (double)ALL_MEMORY);
  for (int i = 0; i < PEERS; i++)
    raw_client_set_reading(clients[i], true);
  for (int i = 0; i < PEERS; i++) {
    RUN_UNTIL(clients[i]->ended || clients[i]->count == 1);
    gone += clients[i]->ended;
  }
  cr_expect_geq(gone, 1);
  cr_expect_lt(gone, PEERS);
  raw_client_sync(bystander);
  close_all();
}

/* All of it at once, by many peers: the memory stays within its bound, except for a small message of each
 * connection. */
Test(limits, whatever_peers_do_memory_stays_within_its_bound) {
  enum { PEERS = 60, EACH = 1 * MIB };
  raw_client_t *clients[PEERS];
  double most = 0;
  char *dense = malloc(2 * EACH + 32), *at = dense + sprintf(dense, "{\"list\":[0");
  for (int i = 0; i < EACH / 4; i++)
    at += sprintf(at, ",[]");
  strcpy(at, "]}");
  open_with_little_memory();
  for (int i = 0; i < PEERS; i++) {
    clients[i] = raw_client_open(port());
    if (i % 3 == 0) {
      raw_client_set_reading(clients[i], false);
      raw_client_call(clients[i], 1, "big", "{\"bytes\":4000000}");
    } else if (i % 3 == 1) {
      raw_client_call(clients[i], 1, "hold", dense);
      raw_client_call(clients[i], 2, "hold", dense);
    } else {
      raw_client_send(clients[i], mebibyte, sizeof mebibyte);
      send_blanks(clients[i], MIB - 1);
    }
    raw_client_sync(bystander);
    most = memory_held() > most ? memory_held() : most;
  }
  fixture_advance_ms(1000);
  most = memory_held() > most ? memory_held() : most;
  cr_expect_leq(most, (double)ALL_MEMORY + PEERS * 65536.0, "%.0f", most);
  cr_expect_geq(most, ALL_MEMORY / 4.0, "%.0f", most);
  raw_client_sync(bystander);
  for (size_t i = 0; i < test_server.held_count; i++)
    test_server_end_held(i);
  free(dense);
  close_all();
}

/* Memory of large responses is kept for the next ones, but not of all, and not of idle connections. */
Test(limits, memory_of_large_responses_is_kept_for_a_second) {
  enum { PEERS = 3, KEPT_MAX = 64 * MIB };
  open_all();
  for (int i = 0; i < PEERS; i++) {
    raw_client_t *reader = raw_client_open(port());
    raw_client_call(reader, 1, "big", "{\"bytes\":20000000}"); /* in a buffer of 32 MiB */
    RUN_UNTIL(raw_client_count_responses(reader, 1) == 1);
  }
  raw_client_sync(bystander);
  double kept = memory_held();
  cr_expect_geq(kept, 20.0 * MIB, "%.0f", kept);
  cr_expect_leq(kept, KEPT_MAX + 1.0 * MIB, "%.0f", kept);
  pass_s(2);
  cr_expect_leq(memory_held(), 1.0 * MIB, "%.0f", memory_held());
  close_all();
}

/* ---- peers that do not answer ------------------------------------------------------------------ */

Test(limits, an_idle_peer_is_asked_after_20_s_and_has_20_s) {
  open_all();
  raw_client_t *mute = raw_client_open(port());
  pass_s(19);
  cr_expect_eq(peer->pings, 0);
  raw_client_set_reading(mute, false);
  pass_s(2);
  RUN_UNTIL(peer->pings == 1);
  raw_client_sync(peer); /* the answer has come, too */
  pass_s(18);
  cr_expect(!fixture_logged("does not answer pings"));
  pass_s(3);
  RUN_UNTIL(fixture_logged("does not answer pings"));
  cr_expect(!peer->ended);
  close_all();
}

Test(limits, answers_that_are_not_taken_for_30_s_end_it) {
  open_all();
  raw_client_set_reading(peer, false);
  raw_client_call(peer, 1, "big", "{\"bytes\":20000000}");
  fixture_run_ms(1000); /* the kernel takes what it takes */
  pass_s(28);
  cr_expect(!fixture_logged("answers are not being read"));
  for (int s = 0; s < 30 && !fixture_logged("answers are not being read"); s++) /* it may have taken more */
    pass_s(1);
  cr_expect(fixture_logged("answers are not being read"));
  raw_client_set_reading(peer, true);
  RUN_UNTIL(peer->ended);
  close_all();
}

static void answer_held(size_t calls, size_t bytes) {
  char *json = malloc(bytes);
  memset(json, 'x', bytes);
  json[0] = json[bytes - 1] = '"';
  raw_client_set_reading(peer, false);
  for (size_t i = 0; i < calls; i++)
    raw_client_call(peer, (int)i, "hold", "{}");
  RUN_UNTIL(test_server.held_count == calls);
  for (size_t i = 0; i < calls; i++)
    cr_assert_eq(mcp_call_reply_text(test_server.held[i], json, bytes), 0);
  free(json);
  fixture_advance_ms(500); /* it is looked at */
  raw_client_sync(bystander);
}

Test(limits, below_32_mib_of_answers_wait) {
  open_all();
  answer_held(60, MIB / 2);
  raw_client_set_reading(peer, true);
  RUN_UNTIL(peer->count == 60);
  raw_client_sync(peer);
  close_all();
}

Test(limits, above_32_mib_of_answers_end_it) { /* some of it is in the kernel */
  open_all();
  answer_held(60, MIB);
  cr_expect(fixture_logged("answers are not being read"));
  raw_client_set_reading(peer, true);
  RUN_UNTIL(peer->ended);
  cr_expect_eq(peer->close_code, 1008);
  close_all();
}

Test(limits, a_single_answer_may_be_larger) {
  open_all();
  answer_held(1, 48 * MIB);
  raw_client_set_reading(peer, true);
  RUN_UNTIL(peer->count == 1);
  raw_client_sync(peer);
  close_all();
}

/* ---- deadlines --------------------------------------------------------------------------------- */

Test(limits, a_call_is_served_for_5_min) {
  open_all();
  raw_client_call(peer, 1, "hold", "{}");
  RUN_UNTIL(test_server.held_count == 1);
  pass_s(299);
  cr_expect_eq(peer->count, 0);
  pass_s(2);
  RUN_UNTIL(peer->count == 1);
  cr_expect(raw_client_response_has(peer, 1, "-32603") && raw_client_response_has(peer, 1, "timed out"));
  cr_expect_eq(test_server_end_held(0), MCP_ESTATE);
  close_all();
}

/* Includes cancelled calls: their handlers still have to end them. */
Test(limits, a_server_has_no_more_than_65536_calls) {
  enum { MOST = 65536, EACH = 64 };
  open_all();
  for (size_t calls = EACH; calls <= MOST; calls += EACH) {
    raw_client_t *client = raw_client_open(port());
    uv_tcp_nodelay(&client->tcp, 1); /* else the kernel waits with each burst */
    for (int id = 0; id < EACH; id++)
      raw_client_call(client, id, "hold", "{}");
    RUN_UNTIL(test_server.held_count == calls);
    raw_client_close(client);
  }
  raw_client_call(bystander, 1, "now", "{}");
  RUN_UNTIL(raw_client_count_responses(bystander, 1) == 1);
  cr_expect(raw_client_response_has(bystander, 1, "busy, retry later"));
  test_server_end_held(0);
  raw_client_call(bystander, 2, "now", "{}");
  RUN_UNTIL(raw_client_count_responses(bystander, 2) == 1);
  cr_expect(raw_client_response_has(bystander, 2, "result"));
  for (size_t i = 1; i < MOST; i++)
    test_server_end_held(i);
  close_all();
}

Test(limits, a_stop_waits_for_3_s) {
  open_all();
  raw_client_call(peer, 1, "hold", "{}");
  RUN_UNTIL(test_server.held_count == 1);
  raw_client_sync(bystander);
  cr_assert_eq(mcp_server_stop(server, test_server_on_stopped, NULL), 0);
  fixture_advance_ms(2500);
  cr_expect_eq(peer->count, 0);
  fixture_advance_ms(1000);
  RUN_UNTIL(peer->ended);
  cr_expect(raw_client_response_has(peer, 1, "the server is stopping"));
  cr_expect_eq(peer->close_code, 1012);
  test_server_end_held(0);
  RUN_UNTIL(test_server.stopped);
  mcp_server_free(server);
  fixture_teardown();
}

/* ---- clients ----------------------------------------------------------------------------------- */

static call_record_t record;

static void on_notification(mcp_client_t *client, const char *method, yyjson_val *params, void *arg) {
  (void)client;
  (void)method;
  (void)params;
  *(bool *)arg = true;
}

static mcp_client_t *call_into(fake_server_t *fake, uint64_t timeout_ms) {
  mcp_client_t *client = client_new_to(fake->port);
  cr_assert_eq(mcp_client_call(client, "x", NULL, WITHIN(timeout_ms), record_result, &record), 0);
  RUN_UNTIL(fake->last != NULL && fake->last->count == 3); /* initialize, initialized, the call */
  return client;
}

Test(limits, a_clients_call_has_30_s) {
  fixture_setup();
  mcp_client_t *client = call_into(fake_server_open(script_upgrade, NULL), 0);
  fixture_advance_ms(29000);
  cr_expect_eq(record.fired, 0);
  fixture_advance_ms(1500);
  RUN_UNTIL(record.fired);
  cr_expect_eq(record.status, MCP_ETIMEOUT);
  client_close_and_free(client);
  fixture_teardown();
}

Test(limits, a_client_asks_after_20_s_and_waits_20_s) {
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_upgrade, NULL);
  bool received = false;
  mcp_client_t *client = call_into(fake, 300000);
  mcp_client_on_notification(client, on_notification, &received);
  fixture_advance_ms(19000);
  cr_expect_eq(fake->last->pings, 0);
  fixture_advance_ms(2000);
  RUN_UNTIL(fake->last->pings == 1);
  raw_client_send_text(fake->last, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/after_the_pong\"}");
  RUN_UNTIL(received);
  raw_client_set_reading(fake->last, false);
  fixture_advance_ms(38000);
  cr_expect_eq(record.fired, 0);
  fixture_advance_ms(3000);
  RUN_UNTIL(record.fired);
  cr_expect_eq(record.status, MCP_EDISCONNECTED);
  cr_expect_not_null(strstr(record.message, "pings"), "%s", record.message);
  client_close_and_free(client);
  fixture_teardown();
}

static rlim_t allow_descriptors(rlim_t most) { /* answers how many were */
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  rlim_t before = limit.rlim_cur;
  limit.rlim_cur = most;
  cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
  return before;
}

Test(limits, a_client_without_descriptors_is_told_and_comes_back) {
  open_all();
  fixture_unfreeze_clock(); /* it tries again by itself */
  mcp_client_t *client = client_new_to(port());
  mcp_client_set_fail_fast(client, true);
  rlim_t before = allow_descriptors(3);
  cr_assert_eq(mcp_client_call(client, "now", NULL, WITHIN(LONG_TIMEOUT_MS), record_result, &record), 0);
  RUN_UNTIL(record.fired);
  cr_expect_eq(record.status, MCP_ECONNECT, "%d %s", record.status, record.message);
  raw_client_sync(bystander);
  allow_descriptors(before);
  for (record.status = -1; record.status != 0;) {
    record.fired = 0;
    cr_assert_eq(mcp_client_call(client, "now", NULL, WITHIN(LONG_TIMEOUT_MS), record_result, &record), 0);
    RUN_UNTIL(record.fired);
  }
  client_close_and_free(client);
  close_all();
}
