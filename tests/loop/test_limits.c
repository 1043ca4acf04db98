/* test_limits.c: limits that nobody waits for in earnest, and those that need many peers or much memory; from
 * both sides: just below is served, just above gets the answer named for it. Another client is served all the
 * while. What is not here stands with its module; docs/reliability.md says where. */
#include "scene.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MIB = 1 << 20 };

static mcp_server_t *server;
static wire_t *peer, *bystander;

static int port(void) {
  return mcp_server_port(server);
}

static void open_all(void) {
  scene_open();
  server = stage_start();
  peer = wire_open(port());
  bystander = wire_open(port());
  scene_hold_clock();
}

static void close_all(void) {
  wire_settle(bystander);
  stage_stop(server);
  scene_close();
}

static void pass_s(uint64_t s) {
  for (; s > 0; s--) {
    scene_pass_ms(1000);
    wire_settle(bystander);
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
  size_t before = scene_handles();
  for (size_t i = 0; i < count; i++)
    mute[i] = connect_plain();
  RUN_UNTIL(scene_handles() >= before + (count < MOST ? count : MOST));
  wire_settle(bystander);
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
  size_t handles = scene_handles();
  close(mute[0]);
  RUN_UNTIL(scene_handles() < handles);
  wire_settle(wire_open(port()));
  close_plain(mute + 1, MOST);
  close_all();
}

/* Who says nothing keeps nobody out: a place that was had for half a second goes to whoever comes next. */
Test(limits, mute_peers_make_room_in_handshake) {
  enum { MOST = 128 };
  int mute[MOST];
  open_all();
  fill_handshakes(mute, MOST);
  scene_pass_ms(600);
  wire_t *later[3];
  for (int i = 0; i < 3; i++) { /* each takes the place of one */
    later[i] = wire_connect(port());
    RUN_UNTIL(later[i]->connected);
    cr_expect(is_told(mute[i], "HTTP/1.1 408 "));
  }
  for (int i = 0; i < 3; i++) {
    wire_upgrade(later[i]);
    RUN_UNTIL(later[i]->head != NULL);
    wire_settle(later[i]);
  }
  close_plain(mute, MOST);
  close_all();
}

Test(limits, a_handshake_has_5_s) {
  open_all();
  wire_t *slow = wire_connect(port()), *slower = wire_connect(port());
  RUN_UNTIL(slow->connected && slower->connected);
  scene_pass_ms(4900);
  wire_upgrade(slow);
  RUN_UNTIL(slow->head != NULL);
  cr_expect_not_null(strstr(slow->head, " 101 "), "%s", slow->head);
  scene_pass_ms(1000);
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
  wire_t *wire = wire_connect(port());
  RUN_UNTIL(wire->connected);
  wire_send(wire, head, LEN);
  free(head);
  RUN_UNTIL(wire->ended);
  cr_assert_not_null(wire->head, "%s", uv_strerror(wire->status));
  cr_expect_not_null(strstr(wire->head, " 431 "), "%s", wire->head);
  close_all();
}

static ssize_t receive_all(int fd) { /* what recv() said last */
  char text[4096];
  ssize_t len = 1;
  RUN_UNTIL((len = recv(fd, text, sizeof text, MSG_DONTWAIT)) == 0 || (len < 0 && errno != EAGAIN));
  return len;
}

Test(limits, input_is_discarded_for_a_second_behind_the_last_word) {
  static const char get[] = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
  open_all();
  int fd = connect_plain();
  cr_assert_eq(send(fd, get, sizeof get - 1, 0), (ssize_t)sizeof get - 1);
  cr_expect_eq(receive_all(fd), 0, "an end of file");
  scene_pass_ms(500);
  for (int i = 0; i < 3; i++) {
    cr_expect_eq(send(fd, get, sizeof get - 1, MSG_NOSIGNAL), (ssize_t)sizeof get - 1);
    scene_turn_once();
  }
  cr_expect_eq(receive_all(fd), 0, "still open");
  scene_pass_ms(1000);
  RUN_UNTIL(send(fd, get, 1, MSG_NOSIGNAL) < 0); /* what nobody takes is answered by a reset */
  close(fd);
  close_all();
}

/* ---- messages ---------------------------------------------------------------------------------- */

static const unsigned char mebibyte[] = {0x81, 0x80 | 127, 0, 0, 0, 0, 0,
                                         0x10, 0,          0, 0, 0, 0, 0}; /* one frame */

static void send_blanks(wire_t *wire, size_t len) { /* of a frame with a mask of zeros */
  char *text = malloc(len);
  memset(text, ' ', len);
  wire_send(wire, text, len);
  free(text);
}

static void send_ping_of(size_t bytes) { /* written by hand, as its text is mostly blanks */
  static const char ping[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}";
  unsigned char head[sizeof mebibyte] = {0x81, 0x80 | 127};
  for (int i = 0; i < 8; i++)
    head[2 + i] = (unsigned char)((uint64_t)bytes >> 8 * (7 - i));
  wire_send(peer, head, sizeof head);
  wire_send(peer, ping, sizeof ping - 1);
  send_blanks(peer, bytes - (sizeof ping - 1));
}

Test(limits, a_message_has_16_mib) {
  open_all();
  send_ping_of(16 * MIB);
  wire_settle(bystander);
  RUN_UNTIL(peer->count == 1);
  cr_expect(wire_says(peer, 1, "result"));
  send_ping_of(16 * MIB + 1);
  RUN_UNTIL(peer->ended);
  cr_expect_eq(peer->close_code, 1009);
  close_all();
}

/* Behind a ping, whose answer tells that it has come. */
static void begin_message(wire_t *wire, const void *head, size_t len) {
  unsigned char text[32] = {0x89, 0x80};
  memcpy(text + 6, head, len);
  wire_send(wire, text, 6 + len);
  RUN_UNTIL(wire->pongs == 1);
}

Test(limits, a_message_that_is_not_continued_has_30_s) {
  open_all();
  begin_message(peer, mebibyte, sizeof mebibyte);
  wire_read(peer, false); /* else a pong would stand inside of the frame */
  pass_s(29);
  cr_expect(!scene_logged("\"code\":1002"));
  pass_s(2);
  wire_read(peer, true);
  RUN_UNTIL(peer->ended);
  cr_expect_eq(peer->close_code, 1002);
  close_all();
}

/* A byte now and then buys no time, and neither do pings between fragments. */
Test(limits, a_message_that_drips_is_not_waited_for) {
  open_all();
  wire_t *fragments = wire_open(port());
  begin_message(peer, mebibyte, sizeof mebibyte);
  wire_read(peer, false);
  begin_message(fragments, "\x01\x81\0\0\0\0x", 7);
  for (size_t i = 0; i < 6; i++) {
    pass_s(5);
    cr_expect(!scene_logged("\"code\":1002"));
    send_blanks(peer, 5000);
    wire_frame(fragments, 9, "", 0);
    RUN_UNTIL(fragments->pongs == i + 2);
  }
  pass_s(2);
  wire_read(peer, true);
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
    wire_send(peer, next, sizeof next);
    send_blanks(peer, PART);
    wire_frame(peer, 9, "", 0);
    RUN_UNTIL(peer->pongs == i + 1);
    pass_s(14);
    next[0] = 0; /* continues */
  }
  wire_frame(peer, 0, "", 0);
  RUN_UNTIL(peer->count == 1);
  cr_expect_not_null(strstr(peer->messages[0], "-32700"));
  close_all();
}

/* A look at it every half second finds each time a message that is not complete, but never the same one. */
Test(limits, messages_that_follow_each_other_are_no_slow_one) {
  static const unsigned char halves[] = {'l', 'l', 0x81, 0x84, 0, 0, 0, 0, 'n', 'u'};
  open_all();
  wire_send(peer, halves + 2, sizeof halves - 2);
  for (size_t i = 0; i < 90; i++) {
    scene_pass_ms(500);
    wire_send(peer, halves, sizeof halves);
    RUN_UNTIL(peer->count == i + 1);
  }
  wire_settle(bystander);
  close_all();
}

/* What is large has to come faster: in 30 s a sixteenth of what there is. */
Test(limits, a_message_of_mebibytes_that_drips_is_not_waited_for) {
  enum { HELD = 4 * MIB, ENOUGH = HELD / 16 + MIB / 8, TOO_LITTLE = HELD / 32 };
  unsigned char head[sizeof mebibyte];
  open_all();
  memcpy(head, mebibyte, sizeof head);
  head[7] = 0x80; /* 8 MiB */
  wire_t *quick = wire_open(port());
  begin_message(peer, head, sizeof head);
  begin_message(quick, head, sizeof head);
  wire_read(peer, false);
  wire_read(quick, false);
  send_blanks(peer, HELD);
  send_blanks(quick, HELD);
  scene_run_ms(50);
  for (int i = 0; i < 4; i++) {
    pass_s(10);
    send_blanks(peer, TOO_LITTLE / 4);
    send_blanks(quick, ENOUGH);
  }
  wire_read(peer, true);
  RUN_UNTIL(peer->ended);
  cr_expect_eq(peer->close_code, 1002);
  wire_read(quick, true);
  scene_run_ms(20);
  cr_expect_not(quick->ended);
  close_all();
}

/* ---- memory of all together ------------------------------------------------------------------------ */

enum { LARGE = 15 * MIB, ALL_MEMORY = 80 * MIB }; /* 80 MiB: five times the limit for messages */

static void open_with_little_memory(void) {
  scene_open();
  server = stage_server();
  cr_assert_eq(mcp_server_set_max_memory_bytes(server, MIB), 0);
  cr_assert_eq(mcp_server_start(server, &scene_loop), 0);
  peer = wire_open(port());
  bystander = wire_open(port());
}

static double memory_held(void) {
  static const char name[] = "\niccm_memory_bytes ";
  wire_t *wire = wire_connect(port());
  RUN_UNTIL(wire->connected);
  wire_puts(wire, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
  RUN_UNTIL(wire->ended);
  char *page = calloc(1, wire->in_len + 1);
  memcpy(page, wire->in, wire->in_len);
  const char *sample = strstr(page, name);
  cr_assert_not_null(sample, "%s", page);
  double bytes = strtod(sample + sizeof name - 1, NULL);
  free(page);
  return bytes;
}

/* Nearly all of a message of 16 MiB, so that its memory stays taken. */
static wire_t *begin_large(void) {
  unsigned char head[sizeof mebibyte];
  wire_t *wire = wire_open(port());
  memcpy(head, mebibyte, sizeof head);
  head[6] = 1; /* 16 MiB */
  head[7] = 0;
  wire_send(wire, head, sizeof head);
  for (int part = 0; part < LARGE / MIB; part++) {
    send_blanks(wire, MIB);
    RUN_UNTIL(wire->ended || uv_stream_get_write_queue_size((uv_stream_t *)&wire->tcp) == 0 || part > 8);
  }
  wire_settle(bystander);
  return wire;
}

static void call_large(wire_t *wire, int id, size_t bytes) {
  char *args = malloc(bytes + 16);
  size_t len = (size_t)sprintf(args, "{\"text\":\"");
  memset(args + len, 'x', bytes);
  strcpy(args + len + bytes, "\"}");
  wire_call(wire, id, "hold", args);
  free(args);
}

/* Who holds most gives way to who needs less, and is told that the server is busy. */
Test(limits, messages_that_are_not_ended_keep_nobody_out) {
  enum { PEERS = 8 };
  wire_t *large[PEERS];
  size_t closed = 0;
  open_with_little_memory();
  for (int i = 0; i < PEERS; i++)
    large[i] = begin_large();
  cr_expect_leq(memory_held(), (double)ALL_MEMORY);
  call_large(bystander, 1, 6 * MIB);
  RUN_UNTIL(stage.held_count == 1);
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
  stage_end_held(0);
  close_all();
}

static void fill_with_calls(wire_t *wires[], int count) {
  for (int i = 0; i < count; i++) {
    wires[i] = wire_open(port());
    call_large(wires[i], 1, LARGE);
  }
  RUN_UNTIL(stage.held_count == (size_t)count);
}

/* Calls in flight keep their memory: a message waits for their end, for 30 s. */
Test(limits, a_message_waits_for_memory_for_30_s) {
  enum { CALLS = 5 };
  wire_t *wires[CALLS];
  open_with_little_memory();
  fill_with_calls(wires, CALLS);
  call_large(peer, 1, LARGE);
  pass_s(25);
  cr_expect_not(peer->ended);
  cr_expect_eq(stage.held_count, CALLS);
  stage_end_held(0);
  RUN_UNTIL(stage.held_count == CALLS + 1);
  for (size_t i = 1; i < CALLS + 1; i++)
    stage_end_held(i);
  RUN_UNTIL(peer->count == 1);
  close_all();
}

Test(limits, a_message_that_finds_no_memory_for_30_s_is_told_so) {
  enum { CALLS = 5 };
  wire_t *wires[CALLS];
  open_with_little_memory();
  fill_with_calls(wires, CALLS);
  call_large(peer, 1, LARGE);
  pass_s(28);
  cr_expect_not(peer->ended);
  pass_s(4);
  RUN_UNTIL(peer->ended);
  cr_expect_eq(peer->close_code, 1013);
  cr_expect_not_null(strstr(peer->close_reason, "busy"), "%s", peer->close_reason);
  for (size_t i = 0; i < stage.held_count; i++)
    stage_end_held(i);
  close_all();
}

/* A quarter of all memory is shared without a look at who holds it; beyond that, who has more than his share
 * is not read from until calls of his have ended. */
Test(limits, calls_beyond_a_share_of_memory_are_not_read) {
  open_with_little_memory();
  for (int id = 0; id < 5; id++)
    call_large(peer, id, 6 * MIB);
  RUN_UNTIL(stage.held_count == 3); /* of 7 to 8 MiB each */
  scene_run_ms(50);
  cr_expect_eq(stage.held_count, 3);
  wire_call(bystander, 1, "now", "{}");
  RUN_UNTIL(bystander->count == 1);
  for (size_t i = 0; i < 5; i++) {
    RUN_UNTIL(stage.held_count > i);
    stage_end_held(i);
  }
  RUN_UNTIL(peer->count == 5);
  close_all();
}

/* Answers that are not taken count, too. */
Test(limits, answers_that_wait_are_bounded_together) {
  enum { PEERS = 8, EACH = 24 * MIB };
  wire_t *wires[PEERS];
  size_t gone = 0;
  open_with_little_memory();
  for (int i = 0; i < PEERS; i++) {
    wires[i] = wire_open(port());
    wire_read(wires[i], false);
    wire_call(wires[i], 1, "big", "{\"bytes\":25165824}");
    wire_settle(bystander);
  }
  scene_pass_ms(1000); /* it is looked at */
  cr_expect_leq(memory_held(), (double)ALL_MEMORY);
  for (int i = 0; i < PEERS; i++)
    wire_read(wires[i], true);
  for (int i = 0; i < PEERS; i++) {
    RUN_UNTIL(wires[i]->ended || wires[i]->count == 1);
    gone += wires[i]->ended;
  }
  cr_expect_geq(gone, 1);
  cr_expect_lt(gone, PEERS);
  wire_settle(bystander);
  close_all();
}

/* All of it at once, by many: what is held stays within its bound, but for a small message of each
 * connection. */
Test(limits, whatever_peers_do_memory_stays_within_its_bound) {
  enum { PEERS = 60, EACH = 1 * MIB };
  wire_t *wires[PEERS];
  double most = 0;
  char *dense = malloc(2 * EACH + 32), *at = dense + sprintf(dense, "{\"list\":[0");
  for (int i = 0; i < EACH / 4; i++)
    at += sprintf(at, ",[]");
  strcpy(at, "]}");
  open_with_little_memory();
  for (int i = 0; i < PEERS; i++) {
    wires[i] = wire_open(port());
    if (i % 3 == 0) {
      wire_read(wires[i], false);
      wire_call(wires[i], 1, "big", "{\"bytes\":4000000}");
    } else if (i % 3 == 1) {
      wire_call(wires[i], 1, "hold", dense);
      wire_call(wires[i], 2, "hold", dense);
    } else {
      wire_send(wires[i], mebibyte, sizeof mebibyte);
      send_blanks(wires[i], MIB - 1);
    }
    wire_settle(bystander);
    most = memory_held() > most ? memory_held() : most;
  }
  scene_pass_ms(1000);
  most = memory_held() > most ? memory_held() : most;
  cr_expect_leq(most, (double)ALL_MEMORY + PEERS * 65536.0, "%.0f", most);
  cr_expect_geq(most, ALL_MEMORY / 4.0, "%.0f", most);
  wire_settle(bystander);
  for (size_t i = 0; i < stage.held_count; i++)
    stage_end_held(i);
  free(dense);
  close_all();
}

/* ---- peers that do not answer ------------------------------------------------------------------ */

Test(limits, an_idle_peer_is_asked_after_20_s_and_has_20_s) {
  open_all();
  wire_t *mute = wire_open(port());
  pass_s(19);
  cr_expect_eq(peer->pings, 0);
  wire_read(mute, false);
  pass_s(2);
  RUN_UNTIL(peer->pings == 1);
  wire_settle(peer); /* the answer has come, too */
  pass_s(18);
  cr_expect(!scene_logged("does not answer pings"));
  pass_s(3);
  RUN_UNTIL(scene_logged("does not answer pings"));
  cr_expect(!peer->ended);
  close_all();
}

Test(limits, answers_that_are_not_taken_for_30_s_end_it) {
  open_all();
  wire_read(peer, false);
  wire_call(peer, 1, "big", "{\"bytes\":20000000}");
  scene_run_ms(1000); /* the kernel takes what it takes */
  pass_s(28);
  cr_expect(!scene_logged("answers are not being read"));
  for (int s = 0; s < 30 && !scene_logged("answers are not being read"); s++) /* it may have taken more */
    pass_s(1);
  cr_expect(scene_logged("answers are not being read"));
  wire_read(peer, true);
  RUN_UNTIL(peer->ended);
  close_all();
}

static void answer_held(size_t calls, size_t bytes) {
  char *json = malloc(bytes);
  memset(json, 'x', bytes);
  json[0] = json[bytes - 1] = '"';
  wire_read(peer, false);
  for (size_t i = 0; i < calls; i++)
    wire_call(peer, (int)i, "hold", "{}");
  RUN_UNTIL(stage.held_count == calls);
  for (size_t i = 0; i < calls; i++)
    cr_assert_eq(mcp_call_reply_text(stage.held[i], json, bytes), 0);
  free(json);
  scene_pass_ms(500); /* it is looked at */
  wire_settle(bystander);
}

Test(limits, below_32_mib_of_answers_wait) {
  open_all();
  answer_held(60, MIB / 2);
  wire_read(peer, true);
  RUN_UNTIL(peer->count == 60);
  wire_settle(peer);
  close_all();
}

Test(limits, above_32_mib_of_answers_end_it) { /* some of it is in the kernel */
  open_all();
  answer_held(60, MIB);
  cr_expect(scene_logged("answers are not being read"));
  wire_read(peer, true);
  RUN_UNTIL(peer->ended);
  cr_expect_eq(peer->close_code, 1008);
  close_all();
}

Test(limits, a_single_answer_may_be_larger) {
  open_all();
  answer_held(1, 48 * MIB);
  wire_read(peer, true);
  RUN_UNTIL(peer->count == 1);
  wire_settle(peer);
  close_all();
}

/* ---- deadlines --------------------------------------------------------------------------------- */

Test(limits, a_call_is_served_for_5_min) {
  open_all();
  wire_call(peer, 1, "hold", "{}");
  RUN_UNTIL(stage.held_count == 1);
  pass_s(299);
  cr_expect_eq(peer->count, 0);
  pass_s(2);
  RUN_UNTIL(peer->count == 1);
  cr_expect(wire_says(peer, 1, "-32603") && wire_says(peer, 1, "timed out"));
  cr_expect_eq(stage_end_held(0), MCP_ESTATE);
  close_all();
}

/* Those included that nobody waits for any more: they are the handlers' to end. */
Test(limits, a_server_has_no_more_than_65536_calls) {
  enum { MOST = 65536, EACH = 64 };
  open_all();
  for (size_t calls = EACH; calls <= MOST; calls += EACH) {
    wire_t *wire = wire_open(port());
    uv_tcp_nodelay(&wire->tcp, 1); /* else the kernel waits with each burst */
    for (int id = 0; id < EACH; id++)
      wire_call(wire, id, "hold", "{}");
    RUN_UNTIL(stage.held_count == calls);
    wire_close(wire);
  }
  wire_call(bystander, 1, "now", "{}");
  RUN_UNTIL(wire_answers(bystander, 1) == 1);
  cr_expect(wire_says(bystander, 1, "busy, retry later"));
  stage_end_held(0);
  wire_call(bystander, 2, "now", "{}");
  RUN_UNTIL(wire_answers(bystander, 2) == 1);
  cr_expect(wire_says(bystander, 2, "result"));
  for (size_t i = 1; i < MOST; i++)
    stage_end_held(i);
  close_all();
}

Test(limits, a_stop_waits_for_3_s) {
  open_all();
  wire_call(peer, 1, "hold", "{}");
  RUN_UNTIL(stage.held_count == 1);
  wire_settle(bystander);
  cr_assert_eq(mcp_server_stop(server, stage_on_stopped, NULL), 0);
  scene_pass_ms(2500);
  cr_expect_eq(peer->count, 0);
  scene_pass_ms(1000);
  RUN_UNTIL(peer->ended);
  cr_expect(wire_says(peer, 1, "the server is stopping"));
  cr_expect_eq(peer->close_code, 1012);
  stage_end_held(0);
  RUN_UNTIL(stage.stopped);
  mcp_server_free(server);
  scene_close();
}

/* ---- clients ----------------------------------------------------------------------------------- */

static outcome_t outcome;

static void on_notification(mcp_client_t *client, const char *method, yyjson_val *params, void *arg) {
  (void)client;
  (void)method;
  (void)params;
  *(bool *)arg = true;
}

static mcp_client_t *call_into(trap_t *trap, uint64_t timeout_ms) {
  mcp_client_t *client = client_to(trap->port);
  cr_assert_eq(mcp_client_call(client, "x", NULL, WITHIN(timeout_ms), outcome_cb, &outcome), 0);
  RUN_UNTIL(trap->last != NULL && trap->last->count == 3); /* initialize, initialized, the call */
  return client;
}

Test(limits, a_clients_call_has_30_s) {
  scene_open();
  mcp_client_t *client = call_into(trap_open(script_upgrade, NULL), 0);
  scene_pass_ms(29000);
  cr_expect_eq(outcome.fired, 0);
  scene_pass_ms(1500);
  RUN_UNTIL(outcome.fired);
  cr_expect_eq(outcome.status, MCP_ETIMEOUT);
  client_end(client);
  scene_close();
}

Test(limits, a_client_asks_after_20_s_and_waits_20_s) {
  scene_open();
  trap_t *trap = trap_open(script_upgrade, NULL);
  bool heard = false;
  mcp_client_t *client = call_into(trap, 300000);
  mcp_client_on_notification(client, on_notification, &heard);
  scene_pass_ms(19000);
  cr_expect_eq(trap->last->pings, 0);
  scene_pass_ms(2000);
  RUN_UNTIL(trap->last->pings == 1);
  wire_text(trap->last, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/after_the_pong\"}");
  RUN_UNTIL(heard);
  wire_read(trap->last, false);
  scene_pass_ms(38000);
  cr_expect_eq(outcome.fired, 0);
  scene_pass_ms(3000);
  RUN_UNTIL(outcome.fired);
  cr_expect_eq(outcome.status, MCP_EDISCONNECTED);
  cr_expect_not_null(strstr(outcome.message, "pings"), "%s", outcome.message);
  client_end(client);
  scene_close();
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
  scene_release_clock(); /* it tries again by itself */
  mcp_client_t *client = client_to(port());
  mcp_client_set_fail_fast(client, true);
  rlim_t before = allow_descriptors(3);
  cr_assert_eq(mcp_client_call(client, "now", NULL, WITHIN(PATIENT_MS), outcome_cb, &outcome), 0);
  RUN_UNTIL(outcome.fired);
  cr_expect_eq(outcome.status, MCP_ECONNECT, "%d %s", outcome.status, outcome.message);
  wire_settle(bystander);
  allow_descriptors(before);
  for (outcome.status = -1; outcome.status != 0;) {
    outcome.fired = 0;
    cr_assert_eq(mcp_client_call(client, "now", NULL, WITHIN(PATIENT_MS), outcome_cb, &outcome), 0);
    RUN_UNTIL(outcome.fired);
  }
  client_end(client);
  close_all();
}
