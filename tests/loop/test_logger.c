/* test_logger.c: the log lines that a server sends to Godot, and when. Godot is a fake server that the test
 * controls. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* RTLD_NEXT */
#endif
#include "fixture.h"

#include <dlfcn.h>
#include <iccm_service.h>
#include <netdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a stand-in for Godot --------------------------------------------------------------------------- */

enum { LINES_MAX = 40000, LINKS_MAX = 200 };

typedef struct line {
  const char *component, *level, *message, *trace_id, *id, *created_at; /* NULL: not given */
  char *data;
  int64_t created_us;
  bool taken; /* answered with success */
} line_t;

static struct {
  fake_server_t *fake;
  char url[64];
  enum { TAKES, REFUSES, SILENT, MUTE, AWAY } mood; /* MUTE: not even a hello is answered */
  int code;                                         /* with which it refuses */
  const char *victim;                               /* the one message that it refuses; NULL: each */
  char *hello;                                      /* the params of the last initialize */
  size_t hellos;
  line_t lines[LINES_MAX];
  yyjson_doc *docs[LINES_MAX];
  size_t count;
  struct {
    raw_client_t *peer;
    size_t seen, unanswered, most;
  } links[LINKS_MAX];
} godot;

static line_t *keep_line(yyjson_doc *doc) {
  yyjson_val *args = yyjson_ptr_get(yyjson_doc_get_root(doc), "/params/arguments");
  cr_assert_lt(godot.count, LINES_MAX);
  godot.docs[godot.count] = doc;
  line_t *line = &godot.lines[godot.count++];
  line->component = yyjson_get_str(yyjson_obj_get(args, "component"));
  line->level = yyjson_get_str(yyjson_obj_get(args, "level"));
  line->message = yyjson_get_str(yyjson_obj_get(args, "message"));
  line->trace_id = yyjson_get_str(yyjson_obj_get(args, "trace_id"));
  line->id = yyjson_get_str(yyjson_obj_get(args, "id"));
  line->created_at = yyjson_get_str(yyjson_obj_get(args, "created_at"));
  line->data = yyjson_val_write(yyjson_obj_get(args, "data"), 0, NULL);
  cr_assert(line->component != NULL && line->level != NULL && line->message != NULL && line->id != NULL);
  cr_assert_eq(mcp_time_parse(line->created_at, strlen(line->created_at), &line->created_us), 0);
  return line;
}

static void answer_line(raw_client_t *peer, size_t link, int id, line_t *line) {
  bool refused = godot.mood == REFUSES && (godot.victim == NULL || strcmp(line->message, godot.victim) == 0);
  if (++godot.links[link].unanswered > godot.links[link].most)
    godot.links[link].most = godot.links[link].unanswered;
  if (godot.mood == SILENT)
    return;
  godot.links[link].unanswered--;
  if (refused) {
    raw_client_send_text(peer, "{\"jsonrpc\":\"2.0\",\"id\":%d,\"error\":{\"code\":%d,\"message\":\"no\"}}",
                         id, godot.code);
    return;
  }
  line->taken = true;
  raw_client_send_text(peer, "{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{\"content\":[]}}", id);
}

static void take_message(raw_client_t *peer, size_t link, const char *text) {
  yyjson_doc *doc = yyjson_read(text, strlen(text), 0);
  cr_assert_not_null(doc, "%s", text);
  yyjson_val *root = yyjson_doc_get_root(doc);
  const char *method = yyjson_get_str(yyjson_obj_get(root, "method"));
  int id = yyjson_get_int(yyjson_obj_get(root, "id"));
  if (strcmp(method, "tools/call") == 0) {
    cr_assert(yyjson_equals_str(yyjson_ptr_get(root, "/params/name"), "logger_log"));
    answer_line(peer, link, id, keep_line(doc));
    return;
  }
  if (strcmp(method, "initialize") == 0) {
    free(godot.hello);
    godot.hello = yyjson_val_write(yyjson_obj_get(root, "params"), 0, NULL);
    godot.hellos++;
    if (godot.mood != MUTE)
      raw_client_send_text(
          peer, "{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{\"protocolVersion\":\"2024-11-05\"}}", id);
  }
  yyjson_doc_free(doc);
}

static void script_godot(raw_client_t *peer) {
  size_t link = 0;
  while (godot.links[link].peer != NULL && godot.links[link].peer != peer)
    link++;
  cr_assert_lt(link, LINKS_MAX);
  godot.links[link].peer = peer;
  if (godot.mood == AWAY) {
    raw_client_close(peer);
    return;
  }
  if (peer->head != NULL && strncmp(peer->head, "GET", 3) == 0) {
    raw_client_accept_upgrade(peer);
    memcpy(peer->head, "---", 3); /* answered */
  }
  while (godot.links[link].seen < peer->count)
    take_message(peer, link, peer->messages[godot.links[link].seen++]);
}

static void open_godot(void) {
  fixture_setup();
  godot.fake = fake_server_open(script_godot, NULL);
  snprintf(godot.url, sizeof godot.url, "ws://127.0.0.1:%d", godot.fake->port);
}

static void close_scene(void) {
  for (size_t i = 0; i < godot.count; i++) {
    free(godot.lines[i].data);
    yyjson_doc_free(godot.docs[i]);
  }
  free(godot.hello);
  fixture_teardown();
}

static line_t *line_from(size_t begin, const char *message) {
  for (size_t i = begin; i < godot.count; i++)
    if (strcmp(godot.lines[i].message, message) == 0)
      return &godot.lines[i];
  return NULL;
}

static line_t *line_of(const char *message) {
  return line_from(0, message);
}

static size_t lines_of(const char *message) {
  size_t count = 0;
  for (size_t i = 0; i < godot.count; i++)
    count += strcmp(godot.lines[i].message, message) == 0;
  return count;
}

static size_t taken(void) {
  size_t count = 0;
  for (size_t i = 0; i < godot.count; i++)
    count += godot.lines[i].taken;
  return count;
}

/* What was logged before has come, where it was to come: lines of one thread are sent in order. */
static void settle(void) {
  static int number;
  char mark[32];
  snprintf(mark, sizeof mark, "mark %d", number++);
  mcp_log(MCP_LOG_ERROR, "test-server", "%s", mark);
  RUN_UNTIL(line_of(mark) != NULL);
}

static void say(const char *notification) { /* waits until it was received: a pong follows it */
  raw_client_t *peer = godot.fake->last;
  size_t pongs = peer->pongs;
  raw_client_send_text(
      peer, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/iccm/log_level\",\"params\":%s}", notification);
  raw_client_send_frame(peer, 9, "", 0);
  RUN_UNTIL(peer->pongs > pongs);
}

/* ---- a server that logs ------------------------------------------------------------------------------ */

static void now_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)arg;
  mcp_call_reply(call, yyjson_val_mut_copy(mcp_call_doc(call), args));
}

static void fail_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)args;
  (void)arg;
  mcp_call_tool_error(call, "cannot do it");
}

#define HUSH "{\"deep\":[{\"accessToken\":\"hush\",\"n\":1}],\"password\":{\"a\":\"hush\"}}"

static void say_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)args;
  yyjson_doc *hush = yyjson_read(HUSH, strlen(HUSH), 0);
  mcp_call_log(call, MCP_LOG_INFO, yyjson_val_mut_copy(mcp_call_doc(call), yyjson_doc_get_root(hush)),
               "%s of the call", (const char *)arg);
  mcp_call_log(call, MCP_LOG_DEBUG, NULL, "%s without data", (const char *)arg);
  mcp_log(MCP_LOG_INFO, "elsewhere", "%s by the way", (const char *)arg);
  yyjson_doc_free(hush);
  mcp_call_reply_text(call, "1", 1);
  mcp_log(MCP_LOG_INFO, "elsewhere", "%s after the end", (const char *)arg);
}

static mcp_call_t *kept;

static void keep_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)args;
  (void)arg;
  kept = call;
}

static char names[4][16] = {"say", "pool", "traffic", "poolish traffic"};

static const mcp_tool_t tools[] = {
    {"now", "", NULL, now_tool, NULL, 0},
    {"fail", "", "{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"integer\"}}}", fail_tool, NULL, 0},
    {"say", "", NULL, say_tool, names[0], 0},
    {"say_pool", "", NULL, say_tool, names[1], MCP_TOOL_BLOCKING},
    {"traffic", "", NULL, say_tool, names[2], MCP_TOOL_LOG_TRAFFIC},
    {"traffic_pool", "", NULL, say_tool, names[3], MCP_TOOL_LOG_TRAFFIC | MCP_TOOL_BLOCKING},
    {"bad_traffic", "", "{\"type\":\"object\",\"required\":[\"x\"]}", fail_tool, NULL, MCP_TOOL_LOG_TRAFFIC},
    {"keep", "", NULL, keep_tool, NULL, 0},
    MCP_TOOL_END,
};

static mcp_server_t *start_named(const char *name) {
  mcp_server_t *server = mcp_server_new(name, "1.2.3", 0, tools);
  cr_assert_not_null(server, "%s", mcp_last_error());
  cr_assert_eq(mcp_server_set_log_url(server, godot.url), 0);
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  cr_assert_eq(mcp_server_set_log_url(server, NULL), MCP_ESTATE);
  return server;
}

static mcp_server_t *start(void) {
  open_godot();
  return start_named("test-server");
}

static raw_client_t *raw_client_to(mcp_server_t *server) {
  return raw_client_open(mcp_server_port(server));
}

static const char *member(const line_t *line,
                          const char *name) { /* of data, as JSON text; "" where it has none */
  static char texts[8][4096];
  static unsigned next;
  char *text = texts[next++ % 8];
  yyjson_doc *doc = line->data != NULL ? yyjson_read(line->data, strlen(line->data), 0) : NULL;
  char *json = yyjson_val_write(yyjson_obj_get(yyjson_doc_get_root(doc), name), 0, NULL);
  snprintf(text, sizeof texts[0], "%s", json != NULL ? json : "");
  free(json);
  yyjson_doc_free(doc);
  return text;
}

static void expect_id(const line_t *line) {
  int64_t us;
  cr_expect_eq(mcp_uuid_time_us(line->id, &us), 0, "%s", line->id);
}

/* ---- what is shipped ---------------------------------------------------------------------------------- */

Test(logger, it_says_whose_lines_these_are) {
  open_godot();
  mcp_server_t *server = start_named("a \"test-server\"");
  RUN_UNTIL(line_of("Server running") != NULL);
  cr_expect_not_null(strstr(godot.hello, "\"iccm/log_level\":{\"component\":\"a \\\"test-server\\\"\"}"),
                     "%s", godot.hello);
  cr_expect_not_null(
      strstr(godot.hello, "\"clientInfo\":{\"name\":\"a \\\"test-server\\\"\",\"version\":\"1.2.3\"}"), "%s",
      godot.hello);
  cr_expect_str_eq(line_of("Server running")->component, "a \"test-server\"");
  char port[16];
  snprintf(port, sizeof port, "%d", mcp_server_port(server));
  cr_expect_str_eq(member(line_of("Server running"), "port"), port);
  test_server_stop(server);
  close_scene();
}

Test(logger, a_call_from_its_request_to_its_end) {
  mcp_server_t *server = start();
  int64_t before_us = mcp_time_now_us();
  raw_client_t *peer = raw_client_to(server);
  raw_client_send_text(
      peer,
      "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/call\",\"params\":{\"name\":\"now\",\"arguments\":{"
      "\"a\":[{\"api-key\":\"hush\"}],\"secret\":\"hush\"},\"_meta\":{\"trace_id\":\"t-1\",\"span_id\":"
      "\"up\"}}}");
  RUN_UNTIL(raw_client_count_responses(peer, 7) == 1);
  settle();
  static const struct {
    const char *message, *level;
  } wanted[] = {{"Client connected", "DEBUG"},
                {"MCP request received", "TRACE"},
                {"Tool call started", "TRACE"},
                {"Tool call completed", "TRACE"}};
  for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
    const line_t *line = line_of(wanted[i].message);
    cr_assert_not_null(line, "%s", wanted[i].message);
    cr_expect_eq(lines_of(wanted[i].message), 1);
    cr_expect_str_eq(line->level, wanted[i].level);
    cr_expect_str_eq(line->component, "test-server");
    cr_expect(line->created_us >= before_us && line->created_us <= mcp_time_now_us());
    cr_expect(i == 0 ? line->trace_id == NULL : strcmp(line->trace_id, "t-1") == 0);
    cr_expect_null(strstr(line->data, "hush"), "%s", line->data);
    expect_id(line);
  }
  cr_expect_str_eq(member(line_of("MCP request received"), "method"), "\"tools/call\"");
  cr_expect_str_eq(member(line_of("MCP request received"), "id"), "7");
  const line_t *started = line_of("Tool call started"), *ended = line_of("Tool call completed");
  cr_expect_str_eq(member(started, "tool_name"), "\"now\"");
  cr_expect_str_eq(member(started, "arguments"),
                   "{\"a\":[{\"api-key\":\"[REDACTED]\"}],\"secret\":\"[REDACTED]\"}");
  cr_expect_str_eq(member(started, "parent_span_id"), "\"up\"");
  cr_expect_eq(strlen(member(started, "span_id")), 18);
  cr_expect_str_eq(member(ended, "span_id"), member(started, "span_id"));
  cr_expect_str_eq(member(ended, "success"), "true");
  cr_expect_str_neq(member(ended, "duration_ms"), "");
  cr_expect(!fixture_logged("hush") && fixture_logged("[REDACTED]"));
  raw_client_close(peer);
  RUN_UNTIL(line_of("Client disconnected") != NULL);
  cr_expect_str_eq(member(line_of("Client disconnected"), "requests"), "1");
  test_server_stop(server);
  close_scene();
}

Test(logger, errors) {
  mcp_server_t *server = start();
  raw_client_t *peer = raw_client_to(server);
  raw_client_call(peer, 1, "fail", "{}");
  RUN_UNTIL(raw_client_count_responses(peer, 1) == 1);
  settle();
  size_t begin = godot.count;
  const line_t *line = line_of("Tool error");
  cr_assert_not_null(line);
  cr_expect_str_eq(line->level, "ERROR");
  cr_expect_str_eq(member(line, "error"), "\"cannot do it\"");
  cr_expect_str_eq(member(line, "code"), "-32000");
  cr_expect_null(line_of("Tool call completed"));
  raw_client_send_text(peer, "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"fail\",\"params\":{\"n\":\"x\","
                             "\"_meta\":{\"trace_id\":\"t-2\"}}}"); /* does not fit its schema */
  RUN_UNTIL(raw_client_count_responses(peer, 2) == 1);
  settle();
  line = line_from(begin, "Tool error");
  cr_assert_not_null(line);
  cr_expect_str_eq(line->level, "WARN"); /* its caller's mistake */
  cr_expect_str_eq(member(line, "code"), "-32602");
  cr_expect_str_eq(member(line, "tool_name"), "\"fail\"");
  cr_expect(line->trace_id != NULL && strcmp(line->trace_id, "t-2") == 0);
  test_server_stop(server);
  close_scene();
}

static void expect_said(const char *who, const char *trace_id) {
  char message[64];
  snprintf(message, sizeof message, "%s of the call", who);
  const line_t *line = line_of(message);
  cr_assert_not_null(line, "%s", message);
  cr_expect(line->trace_id != NULL && strcmp(line->trace_id, trace_id) == 0);
  cr_expect_str_eq(member(line, "deep"), "[{\"accessToken\":\"[REDACTED]\",\"n\":1}]");
  cr_expect_str_eq(member(line, "password"), "\"[REDACTED]\"");
  cr_expect_eq(strlen(member(line, "span_id")), 18);
  snprintf(message, sizeof message, "%s without data", who);
  cr_assert_not_null(line_of(message));
  cr_expect_str_eq(line_of(message)->level, "DEBUG");
  cr_expect_str_eq(member(line_of(message), "span_id"), member(line, "span_id"));
  snprintf(message, sizeof message, "%s by the way", who);
  cr_assert_not_null(line_of(message));
  cr_expect_str_eq(member(line_of(message), "part"), "\"elsewhere\"");
  cr_expect(line_of(message)->trace_id != NULL && strcmp(line_of(message)->trace_id, trace_id) == 0);
  cr_expect_str_eq(member(line_of(message), "span_id"), member(line, "span_id"));
  snprintf(message, sizeof message, "%s after the end", who);
  cr_expect(line_of(message) == NULL || line_of(message)->trace_id == NULL || strcmp(who, "pool") == 0);
  cr_expect_str_eq(line_of(message)->component, "test-server");
}

Test(logger, what_handlers_say) {
  mcp_server_t *server = start();
  raw_client_t *peer = raw_client_to(server);
  raw_client_send_text(
      peer, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"say\",\"params\":{\"_meta\":{\"trace_id\":\"a\"}}}");
  raw_client_send_text(
      peer,
      "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"say_pool\",\"params\":{\"_meta\":{\"trace_id\":\"b\"}}}");
  RUN_UNTIL(raw_client_count_responses(peer, 1) == 1 && raw_client_count_responses(peer, 2) == 1);
  settle();
  expect_said("say", "a");
  expect_said("pool", "b");
  cr_expect(!fixture_logged("hush"));
  test_server_stop(server);
  close_scene();
}

/* A connection's own lines are shipped from its first call on that is not log traffic, the first with its own
 * time. */
Test(logger, who_only_looks_is_not_shipped) {
  mcp_server_t *server = start();
  raw_client_t *looker = raw_client_to(server), *caller = raw_client_to(server);
  raw_client_t *both[] = {looker, caller};
  for (int i = 0; i < 2; i++) {
    raw_client_send_text(both[i], "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{}}");
    raw_client_send_text(both[i], "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"tools/list\"}");
    raw_client_call(both[i], 3, "traffic", "{}");
    raw_client_call(both[i], 4, "traffic_pool", "{}");
    raw_client_call(both[i], 5, "bad_traffic", "{}");
    raw_client_call(both[i], 6, "unknown", "{}");
    RUN_UNTIL(raw_client_count_responses(both[i], 4) == 1 && raw_client_count_responses(both[i], 6) == 1);
  }
  settle();
  for (size_t i = 0; i < godot.count; i++)
    cr_expect(strcmp(godot.lines[i].message, "Server running") == 0 ||
                  strncmp(godot.lines[i].message, "mark", 4) == 0,
              "%s %s", godot.lines[i].message, godot.lines[i].data);
  cr_expect(fixture_logged("Client connected") && fixture_logged("traffic of the call"));
  cr_expect(fixture_logged("poolish traffic by the way") && !fixture_logged("hush"));
  int64_t quiet_until_us = godot.lines[godot.count - 1].created_us;
  raw_client_call(caller, 7, "now", "{}");
  RUN_UNTIL(raw_client_count_responses(caller, 7) == 1);
  raw_client_close(looker);
  raw_client_close(caller);
  RUN_UNTIL(line_of("Client disconnected") != NULL);
  settle();
  cr_assert_eq(lines_of("Client connected"), 1);
  cr_expect_lt(line_of("Client connected")->created_us, quiet_until_us);
  cr_expect_eq(lines_of("Client disconnected"), 1);
  cr_expect_eq(lines_of("Tool call completed"), 1);
  cr_expect_eq(lines_of("MCP request received"), 1);
  test_server_stop(server);
  close_scene();
}

/* A pool thread that has served log traffic logs other calls again. */
Test(logger, after_log_traffic_a_thread_is_heard_again) {
  mcp_server_t *server = start();
  raw_client_t *peer = raw_client_to(server);
  for (int i = 0; i < 32; i++)
    raw_client_call(peer, i, i % 2 == 0 ? "traffic_pool" : "say_pool", "{}");
  RUN_UNTIL(peer->count == 32);
  raw_client_call(peer, 100, "traffic", "{}");
  raw_client_call(peer, 101, "say", "{}");
  RUN_UNTIL(peer->count == 34);
  settle();
  cr_expect_eq(lines_of("pool by the way"), 16);
  cr_expect_eq(lines_of("pool of the call"), 16);
  cr_expect_eq(lines_of("say by the way"), 1);
  cr_expect_eq(lines_of("poolish traffic by the way") + lines_of("traffic by the way"), 0);
  test_server_stop(server);
  close_scene();
}

static void log_data(const char *json, const char *trace_id, const char *message) {
  yyjson_mut_doc *doc = parse_args(json);
  mcp_log_data(MCP_LOG_INFO, "test-server", trace_id, yyjson_mut_doc_get_root(doc), "%s", message);
  yyjson_mut_doc_free(doc);
}

Test(logger, data_of_all_kinds) {
  char trace[130], *large = malloc(200000), *deep = malloc(500);
  memset(trace, 't', sizeof trace);
  trace[129] = '\0';
  snprintf(large, 200000, "{\"password\":\"hush\",\"x\":\"%0*d\"}", 140000, 0);
  *deep = '\0';
  for (int i = 0; i < 60; i++)
    strcat(deep, "[");
  for (int i = 0; i < 60; i++)
    strcat(deep, "]");
  mcp_server_t *server = start();
  log_data("[1,{\"token\":\"hush\"}]", NULL, "array");
  log_data("5", trace + 1, "number");
  log_data("{}", trace, "empty");
  log_data("{\"part\":1,\"span_id\":2}", "", "members");
  mcp_log_data(MCP_LOG_INFO, "test-server", NULL, NULL, "none");
  log_data(large, NULL, "large");
  log_data(deep, NULL, "deep");
  mcp_log(MCP_LOG_INFO, "test-server", "%s", "");
  mcp_log(MCP_LOG_INFO, "test-server", "\xff not \xc3\xa4 text\n\x01");
  mcp_log(MCP_LOG_INFO, "test-server", "%09000d", 0);
  mcp_log(99, "test-server", "no level");
  mcp_log(-1, "test-server", "no level");
  settle();
  cr_expect_str_eq(line_of("array")->data, "{\"value\":[1,{\"token\":\"[REDACTED]\"}]}");
  cr_expect_str_eq(line_of("number")->data, "{\"value\":5}");
  cr_expect_str_eq(line_of("number")->trace_id, trace + 1);
  cr_expect_null(line_of("empty")->data);
  cr_expect_null(line_of("empty")->trace_id, "more than 128 bytes is none");
  cr_expect_null(line_of("members")->trace_id);
  cr_expect_str_eq(line_of("members")->data, "{\"part\":1,\"span_id\":2}");
  cr_expect_null(line_of("none")->data);
  cr_expect_str_eq(member(line_of("large"), "data_bytes"), "140026");
  cr_expect_not_null(
      strstr(line_of("deep")->data, "[REDACTED]")); /* Godot takes 56 levels, of the whole entry */
  cr_expect_not_null(line_of(""));
  cr_expect_not_null(line_of("? not ?? text\n\x01"));
  cr_expect_null(line_of("no level"));
  cr_expect_eq(strlen(godot.lines[godot.count - 2].message), 8191);
  cr_expect(!fixture_logged("hush"));
  test_server_stop(server);
  free(large);
  free(deep);
  close_scene();
}

/* ---- levels ------------------------------------------------------------------------------------------- */

static void expect_shipped_from(int lowest) {
  size_t begin = godot.count;
  for (int level = MCP_LOG_TRACE; level <= MCP_LOG_ERROR; level++)
    mcp_log(level, "test-server", "at %d", level);
  settle();
  for (int level = MCP_LOG_TRACE; level <= MCP_LOG_ERROR; level++) {
    char message[16];
    snprintf(message, sizeof message, "at %d", level);
    cr_expect_eq(line_from(begin, message) != NULL, level >= lowest, "%s, from %d", message, lowest);
  }
}

static size_t shown;

static void count_shown(int level, const char *part, const char *text, void *arg) {
  (void)level;
  (void)part;
  (void)text;
  (void)arg;
  shown++;
}

Test(logger, godot_says_from_which_level_on) {
  open_godot();
  mcp_set_log_handler(count_shown, MCP_LOG_INFO, NULL);
  mcp_server_t *server = start_named("test-server");
  RUN_UNTIL(line_of("Server running") != NULL);
  expect_shipped_from(MCP_LOG_INFO);
  say("{\"component\":\"test-server\",\"level\":\"ERROR\"}");
  expect_shipped_from(MCP_LOG_ERROR);
  say("{\"component\":\"test-server\",\"level\":\"TRACE\"}");
  size_t before = shown;
  expect_shipped_from(MCP_LOG_TRACE);
  cr_expect_eq(shown - before, 4, "what Godot asks for does not change what is shown");
  say("{\"component\":\"other\",\"level\":\"ERROR\"}");
  expect_shipped_from(MCP_LOG_TRACE);
  say("{\"component\":\"test-server\",\"level\":\"warn\"}");
  expect_shipped_from(MCP_LOG_WARN);
  say("{\"level\":null}");
  expect_shipped_from(MCP_LOG_INFO);
  say("{\"level\":\"DEBUG\"}");
  expect_shipped_from(MCP_LOG_DEBUG);
  say("[]");
  expect_shipped_from(MCP_LOG_INFO);
  test_server_stop(server);
  close_scene();
}

/* ---- a Godot that does not do its part ---------------------------------------------------------------- */

Test(logger, a_line_that_cannot_be_taken_now_comes_again_with_its_id) {
  mcp_server_t *server = start();
  settle();
  godot.mood = REFUSES;
  godot.code = MCP_TOOL_ERROR;
  godot.victim = "again";
  mcp_log(MCP_LOG_INFO, "test-server", "again");
  mcp_log(MCP_LOG_INFO, "test-server", "another");
  RUN_UNTIL(lines_of("again") == 2);
  godot.mood = TAKES;
  RUN_UNTIL(lines_of("again") == 3 && line_of("another") != NULL);
  settle();
  cr_expect_eq(lines_of("again"), 3);
  cr_expect_eq(lines_of("another"), 1);
  const line_t *first = line_of("again");
  for (size_t i = 0; i < godot.count; i++)
    cr_expect_eq(strcmp(godot.lines[i].id, first->id) == 0, strcmp(godot.lines[i].message, "again") == 0);
  test_server_stop(server);
  close_scene();
}

static unsigned long reported(bool taken_ones) { /* how many drops all reports together name */
  unsigned long sum = 0;
  for (size_t i = 0; i < godot.count; i++) {
    char *behind;
    unsigned long number = strtoul(godot.lines[i].message, &behind, 10);
    if (behind == godot.lines[i].message || strncmp(behind, " log lines dropped since ", 25) != 0)
      continue;
    cr_expect_str_eq(godot.lines[i].level, "WARN");
    sum += !taken_ones || godot.lines[i].taken ? number : 0;
  }
  return sum;
}

Test(logger, a_line_that_is_refused_is_counted_and_told) {
  mcp_server_t *server = start();
  settle();
  godot.mood = REFUSES;
  godot.code = MCP_INVALID_PARAMS;
  godot.victim = "bad";
  mcp_log(MCP_LOG_INFO, "test-server", "bad");
  mcp_log(MCP_LOG_INFO, "test-server", "good");
  mcp_log(MCP_LOG_INFO, "test-server", "bad");
  RUN_UNTIL(reported(true) == 2);
  settle();
  cr_expect_eq(lines_of("bad"), 2);
  cr_expect_eq(lines_of("good"), 1);
  cr_expect_eq(reported(true), 2);
  cr_expect(fixture_logged("Godot rejected a log line, which is lost"));
  test_server_stop(server);
  close_scene();
}

Test(logger, a_line_that_breaks_godot_does_not_hold_up_the_others) {
  mcp_server_t *server = start();
  settle();
  godot.mood = REFUSES;
  godot.code = MCP_INTERNAL_ERROR;
  godot.victim = "bad";
  mcp_log(MCP_LOG_INFO, "test-server", "bad");
  mcp_log(MCP_LOG_INFO, "test-server", "good");
  RUN_UNTIL(reported(true) == 1);
  cr_expect_eq(lines_of("bad"), 3);
  cr_expect_eq(lines_of("good"), 1);
  test_server_stop(server);
  close_scene();
}

Test(logger, who_refuses_everything_is_not_asked_for_ever) {
  mcp_server_t *server = start();
  settle();
  size_t begin = godot.count;
  godot.mood = REFUSES;
  godot.code = MCP_METHOD_NOT_FOUND;
  for (int i = 0; i < 100; i++)
    mcp_log(MCP_LOG_INFO, "test-server", "line %d", i);
  RUN_UNTIL(line_of("line 99") != NULL);
  RUN_UNTIL(reported(false) >= 100);
  fixture_run_ms(300); /* six turns of the logger, in which nothing more comes */
  size_t settled = godot.count;
  cr_expect_leq(settled - begin, 200);
  fixture_run_ms(300);
  cr_expect_eq(godot.count, settled);
  godot.mood = TAKES;
  settle();
  test_server_stop(server);
  close_scene();
}

static size_t most_unanswered(void) {
  size_t most = 0;
  for (size_t i = 0; i < LINKS_MAX; i++)
    most = godot.links[i].most > most ? godot.links[i].most : most;
  return most;
}

static void log_numbers(int from, int to) {
  for (int i = from; i < to; i++)
    mcp_log(MCP_LOG_INFO, "test-server", "line %d", i);
}

static size_t times_taken(int number) {
  size_t times = 0;
  char message[32];
  snprintf(message, sizeof message, "line %d", number);
  for (size_t i = 0; i < godot.count; i++)
    times += godot.lines[i].taken && strcmp(godot.lines[i].message, message) == 0;
  return times;
}

/* In each piece of silence there are 64 on their way; these come again over the next connection, by the same
 * ids. */
Test(logger, lines_on_their_way_when_the_connection_goes) {
  mcp_server_t *server = start();
  settle();
  size_t begin = godot.count;
  godot.mood = SILENT;
  log_numbers(0, 300);
  RUN_UNTIL(godot.count == begin + 64);
  fixture_run_ms(150);
  cr_expect_eq(godot.count, begin + 64);
  raw_client_reset(godot.fake->last);
  RUN_UNTIL(godot.count >= begin + 128); /* no less unanswered */
  godot.mood = TAKES;
  raw_client_close(godot.fake->last);
  RUN_UNTIL(times_taken(299) == 1);
  for (int i = 0; i < 300; i++)
    cr_assert_eq(times_taken(i), 1, "%d", i);
  for (size_t i = 0; i < 64; i++) {
    const line_t *first = &godot.lines[begin + i];
    size_t times = 0;
    for (size_t j = begin; j < godot.count; j++) {
      bool same = strcmp(godot.lines[j].id, first->id) == 0;
      cr_assert(!same || strcmp(godot.lines[j].message, first->message) == 0);
      times += same;
    }
    cr_assert_eq(times, 3, "%s", first->message);
  }
  cr_expect_eq(most_unanswered(), 64);
  test_server_stop(server);
  close_scene();
}

Test(logger, more_than_it_can_keep_while_godot_is_away) {
  open_godot();
  godot.mood = AWAY;
  mcp_server_t *server = start_named("test-server");
  RUN_UNTIL(godot.fake->accepted > 0);
  log_numbers(0, 10499); /* and "Server running" */
  godot.mood = TAKES;
  RUN_UNTIL(godot.count > 10000 && line_of("line 10498") != NULL);
  settle();
  cr_expect_eq(reported(true), 500);
  cr_expect_null(line_of("Server running"));
  cr_expect_null(line_of("line 498"));
  cr_expect_not_null(line_of("line 499"));
  cr_expect_eq(godot.count, 10002); /* the report, and the mark */
  cr_expect_eq(most_unanswered() <= 64, true);
  test_server_stop(server);
  close_scene();
}

/* A second for name, connection, upgrade and hello together; then it tries again. */
Test(logger, a_hello_that_is_not_answered) {
  open_godot();
  godot.mood = MUTE;
  uint64_t began = fixture_clock_ms();
  mcp_server_t *server = start_named("test-server");
  RUN_UNTIL(godot.hellos == 1);
  raw_client_t *first = godot.fake->last;
  mcp_client_t *patient = client_new_to(godot.fake->port); /* with a client's five seconds */
  call_record_t record = {0};
  mcp_client_set_fail_fast(patient, true);
  cr_assert_eq(mcp_client_call(patient, "now", NULL, WITHIN(LONG_TIMEOUT_MS), record_result, &record), 0);
  RUN_UNTIL(first->ended);
  cr_expect_geq(fixture_clock_ms() - began, 900);
  cr_expect_eq(record.fired, 0, "log shipping waited as long as any client");
  client_close_and_free(patient);
  godot.mood = TAKES;
  RUN_UNTIL(line_of("Server running") != NULL);
  test_server_stop(server);
  close_scene();
}

/* ---- stopping ----------------------------------------------------------------------------------------- */

static mcp_server_t *start_patient(void) { /* what waits for the limit of a stop waits for an hour */
  mcp_server_t *server = mcp_server_new("test-server", "1.2.3", 0, tools);
  cr_assert_eq(mcp_server_set_log_url(server, godot.url), 0);
  cr_assert_eq(mcp_server_set_shutdown_timeout_ms(server, LONG_TIMEOUT_MS), 0);
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  return server;
}

Test(logger, what_is_left_is_shipped_at_the_stop) {
  open_godot();
  mcp_server_t *server = start_patient();
  settle();
  log_numbers(0, 1000);
  test_server_stop(server);
  cr_expect_not_null(line_of("Server stopping"));
  cr_expect_not_null(line_of("Server stopped"));
  for (int i = 0; i < 1000; i++)
    cr_assert_eq(times_taken(i), 1, "%d", i);
  close_scene();
}

Test(logger, a_stop_does_not_wait_for_a_godot_that_is_not_there) {
  open_godot();
  snprintf(godot.url, sizeof godot.url, "ws://127.0.0.1:%d", unused_port());
  mcp_server_t *server = start_patient();
  log_numbers(0, 1000);
  test_server_stop(server);
  close_scene();
}

Test(logger, a_stop_does_not_wait_for_one_that_never_says_hello) {
  fixture_setup();
  fake_server_t *fake = fake_server_open(script_silent, NULL);
  snprintf(godot.url, sizeof godot.url, "ws://127.0.0.1:%d", fake->port);
  mcp_server_t *server = start_patient();
  RUN_UNTIL(fake->accepted > 0);
  raw_client_t *peer = raw_client_to(server);
  raw_client_call(peer, 1, "now", "{}");
  RUN_UNTIL(raw_client_count_responses(peer, 1) == 1);
  test_server_stop(server);
  close_scene();
}

Test(logger, a_stop_waits_a_second_for_one_that_does_not_answer) {
  mcp_server_t *server = start();
  settle();
  godot.mood = SILENT;
  log_numbers(0, 1000);
  raw_client_t *peer = raw_client_to(server);
  raw_client_call(peer, 1, "now", "{}");
  RUN_UNTIL(raw_client_count_responses(peer, 1) == 1);
  raw_client_close(peer);
  uint64_t began = fixture_clock_ms();
  test_server_stop(server);
  cr_expect_geq(fixture_clock_ms() - began, 900);
  close_scene();
}

static void answer_oldest(void) { /* of those that were met with silence */
  static size_t next;
  while (godot.lines[next].taken)
    next++;
  yyjson_val *id = yyjson_obj_get(yyjson_doc_get_root(godot.docs[next]), "id");
  godot.lines[next].taken = true;
  raw_client_send_text(godot.fake->last, "{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{\"content\":[]}}",
                       yyjson_get_int(id));
}

/* A second of silence would end it; 2.4 s in which lines are taken do not. */
Test(logger, a_stop_waits_for_one_that_takes_lines_slowly) {
  enum { LINES = 80, SLOW = 6 };
  mcp_server_t *server = start();
  settle();
  godot.mood = SILENT;
  size_t begin = godot.count;
  log_numbers(0, LINES);
  RUN_UNTIL(godot.count == begin + 64);
  test_server.stopped = false;
  fixture_freeze_clock();
  cr_assert_eq(mcp_server_stop(server, test_server_on_stopped, NULL), 0);
  while (!fixture_logged("Server stopped"))
    fixture_advance_ms(1);
  for (size_t i = 0; i < SLOW; i++) {
    fixture_jump_ms(400);
    answer_oldest();
    RUN_UNTIL(godot.count == begin + 64 + i + 1); /* it has received the response, and sends the next one */
  }
  godot.mood = TAKES;
  for (int i = 0; i < 64; i++)
    answer_oldest();
  RUN_UNTIL(times_taken(LINES - 1) == 1);
  fixture_unfreeze_clock();
  RUN_UNTIL(test_server.stopped);
  mcp_server_free(server);
  for (int i = 0; i < LINES; i++)
    cr_assert_eq(times_taken(i), 1, "%d", i);
  close_scene();
}

Test(logger, stopped_while_it_connects_and_started_again) {
  open_godot();
  mcp_server_t *server = mcp_server_new("test-server", "1", 0, tools);
  cr_assert_eq(mcp_server_set_log_url(server, godot.url), 0);
  for (int i = 0; i < 20; i++) {
    cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
    for (int turns = 0; turns < i; turns++)
      fixture_iterate_once();
    mcp_log(MCP_LOG_INFO, "test-server", "round %d", i);
    test_server.stopped = false;
    cr_assert_eq(mcp_server_stop(server, test_server_on_stopped, NULL), 0);
    RUN_UNTIL(test_server.stopped);
    mcp_log(MCP_LOG_INFO, "test-server", "nobody ships this");
  }
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  settle();
  cr_expect_null(line_of("nobody ships this"));
  test_server_stop(server);
  close_scene();
}

/* ---- threads, and servers ----------------------------------------------------------------------------- */

enum { THREADS = 4, EACH = 1000 };

static void log_from_thread(void *arg) {
  for (int i = 0; i < EACH; i++)
    mcp_log(i % 5, "test-server", "line %d", *(int *)arg * EACH + i);
}

Test(logger, lines_of_many_threads) {
  uv_thread_t threads[THREADS];
  int numbers[THREADS];
  mcp_server_t *server = start();
  settle();
  for (int i = 0; i < THREADS; i++) {
    numbers[i] = i;
    cr_assert_eq(uv_thread_create(&threads[i], log_from_thread, &numbers[i]), 0);
  }
  for (int i = 0; i < THREADS; i++)
    uv_thread_join(&threads[i]);
  settle();
  RUN_UNTIL(taken() == godot.count && godot.count >= THREADS * EACH);
  static unsigned times[THREADS * EACH];
  for (size_t i = 0; i < godot.count; i++)
    if (strncmp(godot.lines[i].message, "line ", 5) == 0)
      times[atoi(godot.lines[i].message + 5)]++;
  for (size_t i = 0; i < THREADS * EACH; i++)
    cr_assert_eq(times[i], 1, "%zu", i);
  test_server_stop(server);
  close_scene();
}

Test(logger, two_servers_of_one_process) {
  open_godot();
  mcp_server_t *first = start_named("first"), *second = start_named("second");
  raw_client_t *peer = raw_client_to(second);
  raw_client_call(peer, 1, "say", "{}");
  RUN_UNTIL(raw_client_count_responses(peer, 1) == 1);
  mcp_log(MCP_LOG_INFO, "first", "of the first");
  mcp_log(MCP_LOG_INFO, "second", "of the second");
  mcp_log(MCP_LOG_INFO, "neither", "of neither");
  RUN_UNTIL(line_of("of the first") != NULL && line_of("of the second") != NULL &&
            line_of("of neither") != NULL);
  cr_expect_str_eq(line_of("of the first")->component, "first");
  cr_expect_str_eq(line_of("of the second")->component, "second");
  cr_expect_str_eq(line_of("of neither")->component, "first");
  cr_expect_str_eq(line_of("say of the call")->component, "second");
  cr_expect_str_eq(line_of("Client connected")->component, "second");
  cr_expect_eq(lines_of("Server running"), 2);
  cr_expect_eq(godot.hellos, 2);
  test_server_stop(first);
  mcp_log(MCP_LOG_INFO, "neither", "of neither then");
  RUN_UNTIL(line_of("of neither then") != NULL);
  cr_expect_str_eq(line_of("of neither then")->component, "second");
  test_server_stop(second);
  close_scene();
}

static mcp_client_t *onward;

static void on_onward(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  (void)client;
  cr_assert_eq(result->status, 0);
  mcp_call_reply_text(arg, "1", 1);
}

static void relay_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)args;
  (void)arg;
  cr_assert_eq(mcp_client_call(onward, "now", NULL, &(mcp_call_options_t){.parent = call}, on_onward, call),
               0);
}

Test(logger, spans_of_a_call_and_of_those_made_for_it) {
  open_godot();
  mcp_server_t *outer = start_named("outer"), *inner = start_named("inner");
  const mcp_tool_t relay = {.name = "relay", .handler = relay_tool};
  cr_assert_eq(mcp_server_add_tool(outer, &relay), 0);
  onward = client_new_to(mcp_server_port(inner));
  raw_client_t *peer = raw_client_to(outer);
  raw_client_send_text(
      peer,
      "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"relay\",\"params\":{\"_meta\":{\"trace_id\":\"t\"}}}");
  RUN_UNTIL(raw_client_count_responses(peer, 1) == 1 && lines_of("Tool call completed") == 2);
  const line_t *lines[2] = {NULL, NULL}; /* outer's, inner's */
  for (size_t i = 0; i < godot.count; i++)
    if (strcmp(godot.lines[i].message, "Tool call completed") == 0)
      lines[strcmp(godot.lines[i].component, "inner") == 0] = &godot.lines[i];
  cr_assert(lines[0] != NULL && lines[1] != NULL);
  cr_expect_str_eq(lines[0]->trace_id, "t");
  cr_expect_str_eq(lines[1]->trace_id, "t");
  cr_expect_str_eq(member(lines[0], "parent_span_id"), "");
  cr_expect_str_eq(member(lines[1], "parent_span_id"), member(lines[0], "span_id"));
  cr_expect_str_neq(member(lines[1], "span_id"), member(lines[0], "span_id"));
  client_close_and_free(onward);
  test_server_stop(outer);
  test_server_stop(inner);
  close_scene();
}

/* A call that continues after its server has stopped may log until it ends. */
Test(logger, a_call_that_outlives_its_server) {
  open_godot();
  mcp_server_t *server = mcp_server_new("test-server", "1", 0, tools);
  mcp_server_set_log_url(server, godot.url);
  mcp_server_set_shutdown_timeout_ms(server, 0);
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  raw_client_t *peer = raw_client_to(server);
  raw_client_call(peer, 1, "keep", "{}");
  RUN_UNTIL(kept != NULL);
  settle();
  test_server_stop(server);
  cr_expect_not_null(line_of("Tool error"));
  mcp_call_log(kept, MCP_LOG_INFO, NULL, "still here");
  cr_expect(fixture_logged("still here"));
  mcp_call_reply_text(kept, "1", 1);
  close_scene();
}

/* ---- the notice, as a server gives it -------------------------------------------------------------------
 */

static unsigned notices;

static yyjson_mut_doc *on_notice(mcp_server_t *server, yyjson_val *initialize, void *arg) {
  (void)server;
  (void)arg;
  cr_assert(yyjson_is_obj(yyjson_obj_get(initialize, "capabilities")));
  notices++;
  return parse_args("{\"level\":\"WARN\"}");
}

enum { ASK_BYTES = 16384 };

/* A frame with an initialize that asks for news, masked with zeros; its length. */
static size_t ask(char *frame, int id, int padding) {
  int len = snprintf(frame + 8, ASK_BYTES - 8,
                     "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"initialize\",\"params\":{\"capabilities\":{"
                     "\"experimental\":{\"x/news\":{\"pad\":\"%0*d\"}}}}}",
                     id, padding, 0);
  memcpy(frame, "\x81\xfe\0\0\0\0\0\0", 8);
  frame[2] = (char)(len >> 8);
  frame[3] = (char)len;
  return (size_t)len + 8;
}

static void ask_for_news(raw_client_t *peer, int id) {
  char frame[ASK_BYTES];
  raw_client_send(peer, frame, ask(frame, id, 50));
}

#define NEWS "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/x/news\",\"params\":{\"level\":\"WARN\"}}"

static size_t news(const raw_client_t *peer) {
  size_t count = 0;
  for (size_t i = 0; i < peer->count; i++)
    count += strcmp(peer->messages[i], NEWS) == 0;
  return count;
}

Test(logger, the_notice_goes_to_those_who_asked) {
  fixture_setup();
  mcp_server_t *server = test_server_new();
  mcp_server_set_log_url(server, NULL);
  cr_assert_eq(mcp_server_set_experimental_capability(server, "", on_notice, NULL), UV_EINVAL);
  cr_assert_eq(mcp_server_set_experimental_capability(server, "x/news", on_notice, NULL), 0);
  cr_assert_eq(mcp_server_set_experimental_capability(server, "y", on_notice, NULL), MCP_ESTATE);
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  raw_client_t *asks = raw_client_to(server), *does_not = raw_client_to(server);
  raw_client_send_text(does_not, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{}}");
  ask_for_news(asks, 1);
  RUN_UNTIL(news(asks) == 1);
  cr_expect_eq(raw_client_count_responses(asks, 1), 1);
  cr_expect_str_eq(asks->messages[1], NEWS, "behind the answer");
  mcp_server_notify(server);
  mcp_server_notify(server);
  RUN_UNTIL(news(asks) == 2);
  raw_client_sync(asks);
  raw_client_sync(does_not);
  cr_expect_eq(news(asks), 2);
  cr_expect_eq(news(does_not), 0);
  test_server_stop(server);
  close_scene();
}

/* An initialize that is too large to be kept takes the place of one that was. */
Test(logger, the_notice_after_an_initialize_that_is_too_large) {
  fixture_setup();
  mcp_server_t *server = test_server_new();
  mcp_server_set_log_url(server, NULL);
  cr_assert_eq(mcp_server_set_experimental_capability(server, "x/news", on_notice, NULL), 0);
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  raw_client_t *peer = raw_client_to(server);
  char frames[2 * ASK_BYTES];
  size_t len = ask(frames, 1, 50);
  len += ask(frames + len, 2, 8000); /* both in one piece */
  raw_client_send(peer, frames, len);
  RUN_UNTIL(raw_client_count_responses(peer, 1) == 1 && raw_client_count_responses(peer, 2) == 1);
  mcp_server_notify(server);
  raw_client_sync(peer);
  cr_expect_eq(news(peer), notices);
  cr_expect_leq(notices, 1);
  test_server_stop(server);
  close_scene();
}

/* ---- a resolver that does not answer ------------------------------------------------------------------ */

static atomic_uint look_ups;
static uv_sem_t resolver;
static struct { /* where port 9060 of localhost is, 0: as it is; and of godot-mcp, 0: that name is not known
                 */
  atomic_int port, name_port;
} usual;

/* Instead of libc's, also for libuv. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **list) {
  union {
    void *symbol;
    int (*call)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
  } real = {dlsym(RTLD_NEXT, "getaddrinfo")};
  char port[8];
  if (node != NULL && atomic_load(&usual.port) != 0 && strcmp(service, "9060") == 0) {
    int number = strcmp(node, "godot-mcp") == 0 ? atomic_load(&usual.name_port) : atomic_load(&usual.port);
    snprintf(port, sizeof port, "%d", number);
    return number != 0 ? real.call("127.0.0.1", port, hints, list) : EAI_NONAME;
  }
  if (node == NULL || strcmp(node, "slow.test") != 0)
    return real.call(node, service, hints, list);
  atomic_fetch_add(&look_ups, 1);
  uv_sem_wait(&resolver);
  return EAI_AGAIN;
}

/* It is asked once, however often connecting is tried: else its threads would all be taken, and the component
 * could look up no name itself. */
Test(logger, a_look_up_that_hangs_is_not_begun_again) {
  fixture_setup();
  uv_sem_init(&resolver, 0);
  mcp_server_t *server = test_server_new();
  cr_assert_eq(mcp_server_set_log_url(server, "ws://slow.test:1"), 0);
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  RUN_UNTIL(atomic_load(&look_ups) == 1);
  fixture_run_ms(3500); /* attempts end after a second; the next one follows within a few tenths */
  cr_assert_eq(atomic_load(&look_ups), 1);
  test_server_stop(server);          /* while the look-up still hangs */
  for (unsigned i = 0; i < 100; i++) /* for the one that is under way */
    uv_sem_post(&resolver);
  fixture_teardown();
}

/* ---- where Godot is ----------------------------------------------------------------------------------- */

static bool head_has(const char *words) {
  const raw_client_t *peer = godot.fake->last;
  return peer != NULL && peer->head != NULL && strstr(peer->head, words) != NULL;
}

/* Without GODOT_URL: by name if it resolves, which is tried each time. The default name gets no token, the
 * loopback address does. */
Test(logger, godot_where_it_is_unless_set) {
  open_godot();
  unsetenv("GODOT_URL");
  setenv("ICCM_AUTH_TOKEN", "hunter-2", 1);
  atomic_store(&usual.port, godot.fake->port);
  mcp_server_t *server = mcp_server_new("test-server", "1.2.3", 0, tools);
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  settle();
  cr_expect(head_has("Host: localhost:9060\r\n"), "%s", godot.fake->last->head);
  cr_expect(head_has("Authorization: Bearer hunter-2\r\n"), "%s", godot.fake->last->head);
  atomic_store(&usual.name_port, godot.fake->port);
  raw_client_close(godot.fake->last);
  settle();
  cr_expect(head_has("Host: godot-mcp:9060\r\n"), "%s", godot.fake->last->head);
  cr_expect_not(head_has("hunter"), "%s", godot.fake->last->head);
  test_server_stop(server);
  close_scene();
}

static void keep_status(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  (void)client;
  *(int *)arg = result->status;
  cr_expect_not_null(strstr(result->message, "godot-mcp:9060"), "%s", result->message);
}

static void tell_closed(mcp_client_t *client, void *arg) {
  (void)client;
  *(int *)arg = MCP_ECLOSED;
}

/* If the name of Godot resolves but it is unavailable, lines wait: a Godot on this machine is another one. */
Test(logger, godot_that_is_named_and_away) {
  int status = 0;
  open_godot();
  unsetenv("GODOT_URL");
  atomic_store(&usual.port, godot.fake->port);
  atomic_store(&usual.name_port, unused_port());
  mcp_client_t *client = mcp_client_new_godot(&fixture_loop);
  cr_assert_eq(mcp_client_set_fail_fast(client, true), 0);
  cr_assert_eq(mcp_client_call(client, "logger_query", NULL, NULL, keep_status, &status), 0);
  RUN_UNTIL(status != 0);
  cr_expect_eq(status, MCP_ECONNECT);
  cr_expect_eq(godot.fake->accepted, 0);
  status = 0;
  cr_assert_eq(mcp_client_close(client, tell_closed, &status), 0);
  RUN_UNTIL(status == MCP_ECLOSED);
  mcp_client_free(client);
  close_scene();
}

/* Where the environment is ignored lines are shipped to an address that was set, and nowhere else. */
Test(logger, godot_where_the_environment_is_ignored) {
  open_godot();
  setenv("GODOT_URL", godot.url, 1);
  mcp_ignore_environment();
  mcp_server_t *server = mcp_server_new("test-server", "1.2.3", 0, tools);
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  mcp_log(MCP_LOG_ERROR, "test-server", "kept here");
  test_server_stop(server); /* which ships what is left */
  cr_expect_eq(godot.fake->accepted, 0);
  server = start_named("test-server");
  settle();
  cr_expect_null(line_of("kept here"));
  test_server_stop(server);
  close_scene();
}

/* What was set gets the token, by that very name, too. */
Test(logger, a_name_that_was_set_gets_the_token) {
  open_godot();
  setenv("GODOT_URL", "ws://godot-mcp:9060", 1);
  setenv("ICCM_AUTH_TOKEN", "hunter-2", 1);
  atomic_store(&usual.port, godot.fake->port);
  atomic_store(&usual.name_port, godot.fake->port);
  mcp_server_t *server = mcp_server_new("test-server", "1.2.3", 0, tools);
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  settle();
  cr_expect(head_has("Authorization: Bearer hunter-2\r\n"), "%s", godot.fake->last->head);
  test_server_stop(server);
  close_scene();
}

/* One after the other; what the first has taken without an answer is the same line to the second. */
Test(logger, several_addresses) {
  char list[128];
  open_godot();
  fake_server_t *first = godot.fake;
  godot.fake = fake_server_open(script_godot, NULL);
  snprintf(list, sizeof list, "ws://127.0.0.1:%d, 127.0.0.1:%d,ws://127.0.0.1:%d", unused_port(), first->port,
           godot.fake->port);
  mcp_server_t *server = mcp_server_new("test-server", "1.2.3", 0, tools);
  cr_assert_eq(mcp_server_set_log_url(server, list), 0);
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  settle();
  cr_expect_eq(godot.fake->accepted, 0);
  godot.mood = SILENT;
  mcp_log(MCP_LOG_INFO, "test-server", "once");
  RUN_UNTIL(lines_of("once") == 1);
  raw_client_t *peer = first->last;
  fake_server_close(first);
  godot.mood = TAKES;
  raw_client_reset(peer);
  RUN_UNTIL(lines_of("once") == 2);
  cr_expect_eq(godot.fake->accepted, 1);
  const line_t *before = line_of("once"), *after = line_from((size_t)(before - godot.lines) + 1, "once");
  cr_expect_str_eq(after->id, before->id);
  cr_expect_str_eq(after->created_at, before->created_at);
  test_server_stop(server);
  close_scene();
}

/* A place that is silent takes its share of the time, and no more. */
Test(logger, an_address_that_says_nothing) {
  char list[128];
  open_godot();
  fake_server_t *silent = fake_server_open(NULL, NULL);
  snprintf(list, sizeof list, "ws://127.0.0.1:%d,ws://127.0.0.1:%d", silent->port, godot.fake->port);
  mcp_server_t *server = mcp_server_new("test-server", "1.2.3", 0, tools);
  cr_assert_eq(mcp_server_set_log_url(server, list), 0);
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  settle();
  cr_expect_eq(silent->accepted, 1); /* within the first attempt */
  test_server_stop(server);
  close_scene();
}
