/* test_server_roles.c: tokens of a file: what each role may call, over WebSocket and HTTP, and what happens
 * to connections and sessions when the file changes or a token ends. */
#define _GNU_SOURCE /* memmem */
#include "fixture.h"

#include <iccm_service.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TYPE "Content-Type: application/json\r\n"
/* Lines without their end; the tokens are "read", "write" and "admin". */
#define READ "3316348dbadfb7b11c7c2ea235949419e23f9fa898ad2c198f999617912a9925"
#define WRITE "10fd874b68dad080ed706762c8e163dabb20514bddae38fb159c56f714a3b143"
#define ADMIN "8c6976e5b5410415bde908bd4dee15dfb167a9c873fc4bb8a81f6f2ab448a918"
#define LINE(name, role, end, digest) name " " role " " end " sha256:" digest "\n"
#define ALL                                                                                                  \
  LINE("rita", "read", "never", READ)                                                                        \
  LINE("walt", "write", "never", WRITE) LINE("ada", "admin", "never", ADMIN)

static const char *const roles[] = {"read", "write", "admin"};
static char path[] = "/tmp/tokens-XXXXXX";
static mcp_server_t *server;

static void who(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)args, (void)arg;
  mcp_call_reply(call, yyjson_mut_str(mcp_call_doc(call), mcp_call_caller(call)));
}

static const mcp_tool_t tools[] = {
    {"look", .handler = who, .annotations = "{\"readOnlyHint\": true}"},
    {"change", .handler = who, .annotations = "{\"readOnlyHint\": false}"},
    {"plain", .handler = who},
    {"rule", .handler = who, .flags = MCP_TOOL_ADMIN},
    {"inspect", .handler = who, .flags = MCP_TOOL_ADMIN, .annotations = "{\"readOnlyHint\": true}"},
    {"hold", .handler = test_server_gate_tool, .flags = MCP_TOOL_BLOCKING},
    MCP_TOOL_END};
static const struct {
  const char *name;
  int role; /* the lowest that may call it: index into roles */
} needs[] = {{"look", 0}, {"change", 1}, {"plain", 1}, {"rule", 2}, {"inspect", 2}};

static void write_tokens(const char *lines) {
  FILE *file = fopen(path, "w");
  cr_assert_not_null(file);
  fputs(lines, file);
  cr_assert_eq(fclose(file), 0);
}

static void start(const char *lines) {
  fixture_setup();
  cr_assert_geq(mkstemp(path), 0);
  write_tokens(lines);
  server = mcp_server_new("test-server", "1", 0, tools);
  cr_assert_eq(mcp_server_set_tokens_file(server, path), 0, "%s", mcp_last_error());
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
}

static void end(void) {
  test_server_stop(server);
  cr_expect(!fixture_logged(READ), "not even a digest is logged");
  fixture_teardown();
  unlink(path);
}

/* ---- WebSocket ------------------------------------------------------------------------------------- */

static raw_client_t *open_with(const char *token) {
  raw_client_t *peer = raw_client_connect(mcp_server_port(server));
  char request[400];
  RUN_UNTIL(peer->connected);
  snprintf(request, sizeof request,
           "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: "
           "13\r\n"
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer %s\r\n\r\n",
           token);
  raw_client_puts(peer, request);
  RUN_UNTIL(peer->head != NULL || peer->ended);
  return peer;
}

static bool is_open(const raw_client_t *peer) {
  return peer->head != NULL && strstr(peer->head, " 101 ") != NULL && !peer->ended;
}

static void call(raw_client_t *peer, int id, const char *tool) {
  raw_client_call(peer, id, tool, "{}");
  RUN_UNTIL(raw_client_response(peer, id) != NULL);
}

Test(server_roles, what_each_may_call) {
  start(ALL);
  static const char *const names[] = {"rita", "walt", "ada"};
  for (int role = 0; role < 3; role++) {
    raw_client_t *peer = open_with(roles[role]);
    cr_assert(is_open(peer), "%s", roles[role]);
    for (int i = 0; i < (int)(sizeof needs / sizeof *needs); i++) {
      char refusal[200];
      call(peer, i + 1, needs[i].name);
      snprintf(refusal, sizeof refusal, "%s needs the role %s: the token \\\"%s\\\" has the role %s",
               needs[i].name, roles[needs[i].role], names[role], roles[role]);
      const char *wanted = role >= needs[i].role ? names[role] : refusal;
      cr_expect(raw_client_response_has(peer, i + 1, wanted), "%s", raw_client_response(peer, i + 1));
      cr_expect(role >= needs[i].role || raw_client_response_has(peer, i + 1, "\"code\":-32000"), "%s",
                raw_client_response(peer, i + 1));
    }
  }
  end();
}

Test(server_roles, a_refusal_has_the_form_of_a_tool_s_own_error) {
  start(ALL);
  raw_client_t *peer = open_with("read");
  raw_client_send_text(peer,
                       "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{"
                       "\"protocolVersion\":\"2025-03-26\",\"capabilities\":{},\"clientInfo\":{\"name\":"
                       "\"a\",\"version\":\"1\"}}}");
  call(peer, 2, "rule");
  cr_expect(raw_client_response_has(peer, 2, "\"isError\":true"), "%s", raw_client_response(peer, 2));
  raw_client_send_text(peer, "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"rule\",\"params\":{}}");
  RUN_UNTIL(raw_client_response(peer, 3) != NULL);
  cr_expect(raw_client_response_has(peer, 3, "\"code\":-32000"), "direct: %s", raw_client_response(peer, 3));
  cr_expect(fixture_logged("rule needs the role admin"));
  end();
}

Test(server_roles, the_token_of_the_setting_is_an_administrator_s) {
  start(ALL);
  test_server_stop(server);
  server = mcp_server_new("test-server", "1", 0, tools);
  cr_assert_eq(mcp_server_set_tokens_file(server, path), 0);
  cr_assert_eq(mcp_server_set_auth_token(server, "own"), 0);
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  raw_client_t *peer = open_with("own");
  call(peer, 1, "rule");
  cr_expect(raw_client_response_has(peer, 1, "ICCM_AUTH_TOKEN"), "%s", raw_client_response(peer, 1));
  peer = open_with("walt");
  cr_expect_not_null(strstr(peer->head, " 401 "), "a name is no token: %s", peer->head);
  end();
}

Test(server_roles, without_tokens_everybody_may_call_all) {
  fixture_setup();
  server = mcp_server_new("test-server", "1", 0, tools);
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  raw_client_t *peer = raw_client_open(mcp_server_port(server));
  call(peer, 1, "rule");
  cr_expect(raw_client_response_has(peer, 1, "127.0.0.1:"), "%s", raw_client_response(peer, 1));
  test_server_stop(server);
  fixture_teardown();
}

/* ---- HTTP ------------------------------------------------------------------------------------------ */

/* Head and body of the response to one request on a connection of its own. */
static const char *post(const char *token, const char *headers, const char *body) {
  static char text[8192];
  raw_client_t *peer = raw_client_connect(mcp_server_port(server));
  RUN_UNTIL(peer->connected);
  snprintf(text, sizeof text,
           "POST /mcp HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAccept: application/json, "
           "text/event-stream\r\n" TYPE "Authorization: Bearer %s\r\n%sContent-Length: %zu\r\n\r\n%s",
           token, headers, strlen(body), body);
  raw_client_puts(peer, text);
  RUN_UNTIL(peer->ended);
  cr_assert_not_null(peer->head, "no answer to %s", body);
  snprintf(text, sizeof text, "%s%.*s", peer->head, (int)peer->in_len, peer->in != NULL ? peer->in : "");
  return text;
}

static const char *post_call(const char *token, const char *headers, const char *tool) {
  char body[200];
  snprintf(body, sizeof body,
           "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/"
           "call\",\"params\":{\"name\":\"%s\",\"arguments\":{}}}",
           tool);
  return post(token, headers, body);
}

Test(server_roles, over_http) {
  start(ALL);
  cr_expect_not_null(strstr(post_call("read", "", "look"), "rita"));
  cr_expect_not_null(strstr(post_call("read", "", "change"), "needs the role write"));
  cr_expect_not_null(strstr(post_call("write", "", "change"), "walt"));
  cr_expect_not_null(strstr(post_call("write", "", "rule"), "needs the role admin"));
  cr_expect_not_null(strstr(post_call("admin", "", "rule"), "ada"));
  cr_expect_not_null(strstr(post_call("nobody", "", "look"), " 401 "));
  end();
}

static void open_session(const char *token, char header[80]) {
  const char *answer = post(token, "",
                            "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\",\"params\":{"
                            "\"protocolVersion\":\"2025-11-25\",\"capabilities\":{},\"clientInfo\":{"
                            "\"name\":\"a\",\"version\":\"1\"}}}");
  const char *id = strcasestr(answer, "Mcp-Session-Id:");
  cr_assert_not_null(id, "%s", answer);
  snprintf(header, 80, "%.*s\r\n", (int)strcspn(id, "\r"), id);
}

Test(server_roles, a_session_belongs_to_the_token_that_opened_it) {
  start(ALL);
  char session[80];
  open_session("read", session);
  cr_expect_not_null(strstr(post_call("read", session, "look"), "rita"));
  cr_expect_not_null(strstr(post_call("admin", session, "look"), " 404 "),
                     "another's session does not exist");
  write_tokens(LINE("ada", "admin", "never", ADMIN));
  cr_expect_eq(mcp_server_reload(server), 0);
  write_tokens(ALL);
  cr_expect_eq(mcp_server_reload(server), 0);
  cr_expect_not_null(strstr(post_call("read", session, "look"), " 404 "), "it has ended with its token");
  end();
}

/* ---- changes --------------------------------------------------------------------------------------- */

Test(server_roles, a_file_that_changes) {
  start(ALL);
  raw_client_t *reader = open_with("read"), *writer = open_with("write");
  call(writer, 1, "change");
  write_tokens(LINE("rita", "read", "never", READ) LINE("walter", "read", "never", WRITE));
  cr_expect_eq(mcp_server_reload(server), 0);
  call(writer, 2, "change");
  cr_expect(raw_client_response_has(writer, 2, "the token \\\"walter\\\" has the role read"), "%s",
            raw_client_response(writer, 2));
  write_tokens(LINE("rita", "read", "never", READ) LINE("new", "write", "never", ADMIN));
  cr_expect_eq(mcp_server_reload(server), 0);
  RUN_UNTIL(writer->ended);
  cr_expect_eq(writer->close_code, 1008);
  cr_expect_str_eq(writer->close_reason, "the token has ended");
  cr_expect(is_open(reader));
  call(reader, 1, "look");
  cr_expect(is_open(open_with("admin")), "a new token needs no restart");
  cr_expect(!is_open(open_with("write")));
  end();
}

Test(server_roles, a_file_that_cannot_be_read) {
  start(ALL);
  raw_client_t *peer = open_with("write");
  write_tokens(LINE("rita", "reads", "never", READ));
  cr_expect_eq(mcp_server_reload(server), MCP_EINVAL);
  cr_expect(fixture_logged("cannot reload the tokens, keeping the old ones: "));
  cr_expect(fixture_logged("line 1: a role is read, write or admin"));
  unlink(path);
  cr_expect_eq(mcp_server_reload(server), MCP_EINVAL);
  cr_expect(fixture_logged("no such file or directory"));
  call(peer, 1, "change");
  cr_expect(raw_client_response_has(peer, 1, "walt"));
  cr_expect(is_open(open_with("read")), "the old file stays in force");
  end();
}

Test(server_roles, a_file_without_tokens_admits_nobody) {
  start("# nobody\n");
  cr_expect_not_null(strstr(open_with("read")->head, " 401 "));
  end();
}

/* A token that ends within a second: its call runs, its connection and stream are closed when it ends. */
Test(server_roles, a_token_that_ends) {
  char lines[300], until[MCP_TIME_SIZE];
  mcp_time_format(mcp_time_now_us() + 2000000, until);
  snprintf(lines, sizeof lines, "soon write %s sha256:" WRITE "\n" LINE("rita", "read", "never", READ),
           until);
  start(lines);
  raw_client_t *peer = open_with("write"), *other = open_with("read");
  if (!is_open(peer)) /* a slow machine: it has ended already */
    cr_expect_not_null(strstr(peer->head, " 401 "));
  RUN_UNTIL(peer->ended);
  cr_expect_not_null(strstr(open_with("write")->head, " 401 "));
  cr_expect(is_open(other));
  end();
}

Test(server_roles, a_call_goes_on_when_its_token_is_removed) { /* it was admitted; its caller is gone */
  start(ALL);
  raw_client_t *peer = open_with("write");
  raw_client_call(peer, 1, "hold", "{}");
  RUN_UNTIL(test_server_at_gate() == 1);
  write_tokens(LINE("rita", "read", "never", READ));
  cr_expect_eq(mcp_server_reload(server), 0);
  RUN_UNTIL(peer->ended);
  test_server_set_gate(true);
  RUN_UNTIL(test_server_gate_done() == 1);
  end();
}

/* ---- settings -------------------------------------------------------------------------------------- */

Test(server_roles, settings) {
  start(ALL);
  cr_expect_eq(mcp_server_set_tokens_file(server, path), MCP_ESTATE);
  test_server_stop(server);
  server = mcp_server_new("test-server", "1", 0, tools);
  cr_expect_eq(mcp_server_set_tokens_file(server, "/no/such/file"), MCP_EINVAL);
  cr_expect_not_null(strstr(mcp_last_error(), "/no/such/file: no such file"), "%s", mcp_last_error());
  cr_expect_eq(mcp_server_reload(server), 0, "there is nothing to reload");
  cr_expect_eq(mcp_server_set_tokens_file(server, path), 0);
  cr_expect_eq(mcp_server_set_tokens_file(server, NULL), 0);
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  cr_expect(is_open(open_with("whatever")), "none is required any more");
  end();
}

Test(server_roles, environment) {
  start(ALL);
  test_server_stop(server);
  setenv("ICCM_TOKENS", path, 1);
  server = mcp_server_new("test-server", "1", 0, tools);
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  cr_expect_not_null(strstr(open_with("nobody")->head, " 401 "));
  cr_expect(is_open(open_with("read")));
  test_server_stop(server);
  setenv("ICCM_TOKENS", "/no/such/file", 1);
  server = mcp_server_new("test-server", "1", 0, tools);
  cr_expect_null(server);
  cr_expect_not_null(strstr(mcp_last_error(), "invalid ICCM_TOKENS: /no/such/file: no such file"), "%s",
                     mcp_last_error());
  unsetenv("ICCM_TOKENS");
  fixture_teardown();
  unlink(path);
}
