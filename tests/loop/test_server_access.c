/* test_server_access.c: who gets in with a token and without, what is open to everybody, and how much a peer
 * may ask for in a second. */
#include "scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN "open-sesame_123"
#define UPGRADE_WITH(headers)                                                                                \
  "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"  \
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" headers "\r\n"
#define GET_WITH(path, headers) "GET " path " HTTP/1.1\r\nHost: x\r\n" headers "\r\n"
#define BEARER "Authorization: Bearer " TOKEN "\r\n"
#define WRONG "Authorization: Bearer open-sesame_124\r\n"
#define OFFER(list) "Sec-WebSocket-Protocol: " list "\r\n"

static mcp_server_t *server;

static void start_with_token(const char *token) {
  server = stage_server();
  cr_assert_eq(mcp_server_set_auth_token(server, token), 0);
  cr_assert_eq(mcp_server_start(server, &scene_loop), 0);
}

/* Head and body of the answer; of an upgrade that succeeded the head alone. */
static const char *answer_to(const char *request) {
  static char text[8192];
  wire_t *wire = wire_connect(mcp_server_port(server));
  RUN_UNTIL(wire->connected);
  wire_puts(wire, request);
  RUN_UNTIL(wire->ended || (wire->head != NULL && strstr(wire->head, " 101 ") != NULL));
  cr_assert_not_null(wire->head, "no answer to %s", request);
  snprintf(text, sizeof text, "%s%.*s", wire->head, (int)wire->in_len, wire->in != NULL ? wire->in : "");
  return text;
}

static void expect_status(const char *request, const char *status) {
  const char *answer = answer_to(request);
  cr_expect_eq(strncmp(answer, "HTTP/1.1 ", 9), 0);
  cr_expect_eq(strncmp(answer + 9, status, 3), 0, "%s instead of %s for %s", answer, status, request);
  cr_expect_null(strstr(answer, "open-sesame"), "%s", answer);
}

/* ---- the token ------------------------------------------------------------------------------------------
 */

Test(server_access, with_the_token) {
  scene_open();
  start_with_token(TOKEN);
  expect_status(UPGRADE_WITH(BEARER), "101");
  expect_status(UPGRADE_WITH("authorization: bearer " TOKEN "\r\n"), "101");
  const char *answer = answer_to(UPGRADE_WITH(OFFER("mcp, mcp.auth." TOKEN)));
  cr_expect_not_null(strstr(answer, " 101 "), "%s", answer);
  cr_expect_not_null(strstr(answer, "Sec-WebSocket-Protocol: mcp\r\n"), "%s", answer);
  answer = answer_to(UPGRADE_WITH(OFFER("mcp.auth." TOKEN)));
  cr_expect_not_null(strstr(answer, " 101 "), "%s", answer);
  cr_expect_null(strstr(answer, "Sec-WebSocket-Protocol"), "%s", answer);
  stage_stop(server);
  cr_expect(!scene_logged("open-sesame"));
  scene_close();
}

Test(server_access, without_it_or_with_another) {
  scene_open();
  start_with_token(TOKEN);
  static const char *const requests[] = {
      UPGRADE_WITH(""),  UPGRADE_WITH(WRONG),         UPGRADE_WITH(OFFER("mcp, mcp.auth.open-sesame")),
      GET_WITH("/", ""), GET_WITH("/metrics", WRONG), GET_WITH("/healthz/", ""),
  };
  for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
    const char *answer = answer_to(requests[i]);
    cr_expect_not_null(strstr(answer, "HTTP/1.1 401 Unauthorized\r\n"), "%s", answer);
    cr_expect_not_null(strstr(answer, "\r\nWWW-Authenticate: Bearer realm=\"mcp\"\r\n"), "%s", answer);
    cr_expect_null(strstr(answer, "open-sesame"), "%s", answer);
    cr_expect_null(strstr(answer, "stage"), "its name: %s", answer);
  }
  cr_expect(scene_logged("refused 127.0.0.1:"));
  cr_expect(scene_logged("with 401: this server wants its token"));
  cr_expect(scene_logged("with 401: this is not the token"));
  const char *metrics = answer_to(GET_WITH("/metrics", BEARER));
  cr_expect_not_null(strstr(metrics, "iccm_refusals_total{reason=\"401\"} 6\n"), "%s", metrics);
  cr_expect_null(strstr(metrics, "open-sesame"));
  stage_stop(server);
  cr_expect(!scene_logged("open-sesame"));
  scene_close();
}

Test(server_access, pages_that_are_open) {
  scene_open();
  start_with_token(TOKEN);
  expect_status(GET_WITH("/healthz", ""), "200");
  expect_status(GET_WITH("/readyz", ""), "200");
  expect_status(GET_WITH("/metrics", BEARER), "200");
  mcp_server_set_dependency(server, "database", "10.1.2.3 is away");
  const char *answer = answer_to(GET_WITH("/readyz", WRONG));
  cr_expect_not_null(strstr(answer, " 503 "), "%s", answer);
  cr_expect_null(strstr(answer, "10.1.2.3"), "%s", answer);
  answer = answer_to(GET_WITH("/readyz", BEARER));
  cr_expect_not_null(strstr(answer, " 503 "), "%s", answer);
  cr_expect_not_null(strstr(answer, "database: 10.1.2.3 is away"), "%s", answer);
  stage_stop(server);
  scene_close();
}

Test(server_access, other_refusals_come_first) {
  scene_open();
  start_with_token(TOKEN);
  expect_status(UPGRADE_WITH("Origin: http://evil\r\n"), "403");
  expect_status(UPGRADE_WITH(WRONG "Origin: http://evil\r\n"), "403");
  expect_status("GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n", "403");
  expect_status(UPGRADE_WITH("Origin: http://x\r\n"), "401");
  expect_status("POST / HTTP/1.1\r\nHost: x\r\n" BEARER "\r\n", "405");
  expect_status("GET / HTTP/1.1\r\n" BEARER "\r\n", "400");
  stage_stop(server);
  scene_close();
}

/* ---- pages of browsers ----------------------------------------------------------------------------------
 */

Test(server_access, a_token_admits_any_page) { /* it has it from somebody who may come in */
  scene_open();
  start_with_token(TOKEN);
  expect_status(UPGRADE_WITH(BEARER "Origin: http://evil\r\n"), "101");
  expect_status(UPGRADE_WITH(OFFER("mcp, mcp.auth." TOKEN) "Origin: http://evil\r\n"), "101");
  expect_status("GET /metrics HTTP/1.1\r\nHost: evil.example\r\n" BEARER "\r\n", "200");
  stage_stop(server);
  start_with_token(NULL); /* where none is asked for, none admits anybody */
  expect_status(UPGRADE_WITH(BEARER "Origin: http://evil\r\n"), "403");
  stage_stop(server);
  scene_close();
}

#define GET_AT(host) "GET /metrics HTTP/1.1\r\nHost: " host "\r\n\r\n"

Test(server_access, a_page_of_its_own_and_one_whose_name_was_bound_anew) {
  scene_open();
  server = stage_start();
  expect_status(UPGRADE_WITH("Origin: http://x\r\n"), "101");
  expect_status(UPGRADE_WITH("Origin: http://x/\r\n"), "101");
  expect_status(UPGRADE_WITH("Origin: http://y\r\n"), "403");
  const char *answer = answer_to(GET_AT("evil.example"));
  cr_expect_not_null(strstr(answer, " 403 "), "%s", answer);
  cr_expect_not_null(strstr(answer, "ICCM_ALLOWED_HOSTS"), "%s", answer);
  cr_expect_null(strstr(answer, "iccm_"), "%s", answer);
  expect_status("GET /healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n", "200");
  expect_status("GET /readyz HTTP/1.1\r\nHost: evil.example\r\n\r\n", "200");
  expect_status(GET_AT("localhost:1"), "200");
  stage_stop(server);
  scene_close();
}

Test(server_access, hosts_from_environment_and_setter) {
  scene_open();
  setenv("ICCM_ALLOWED_HOSTS", "dewey.example, *.example", 1);
  server = stage_start();
  cr_expect(scene_logged("ICCM_ALLOWED_HOSTS: \"*.example\" is never sent: a host's name is needed"));
  expect_status(GET_AT("dewey.example:9020"), "200");
  expect_status(GET_AT("other.example"), "403");
  cr_expect_eq(mcp_server_set_allowed_hosts(server, "*"), MCP_ESTATE);
  stage_stop(server);
  server = stage_server();
  cr_expect_eq(mcp_server_set_allowed_hosts(server, "other.example"), 0);
  cr_assert_eq(mcp_server_start(server, &scene_loop), 0);
  expect_status(GET_AT("dewey.example"), "403");
  expect_status(GET_AT("other.example"), "200");
  stage_stop(server);
  server = stage_server();
  cr_expect_eq(mcp_server_set_allowed_hosts(server, NULL), 0);
  cr_expect_eq(mcp_server_set_allowed_origins(server, "localhost:3000,http://fine/"), 0);
  cr_assert_eq(mcp_server_start(server, &scene_loop), 0);
  cr_expect(scene_logged("ICCM_ALLOWED_ORIGINS: \"localhost:3000\" is never sent: scheme://host:port"));
  cr_expect(!scene_logged("\"http://fine/\" is never sent"));
  expect_status(GET_AT("dewey.example"), "403");
  expect_status(UPGRADE_WITH("Origin: http://fine\r\n"), "101");
  stage_stop(server);
  scene_close();
}

/* ---- pages of a server ----------------------------------------------------------------------------------
 */

static char *body_of(const char *answer) {
  return strstr(answer, "\r\n\r\n") + 4;
}

/* HEAD says what GET does, without the body. */
static void expect_head_of(const char *path) {
  char get[8192], request[256];
  snprintf(request, sizeof request, GET_WITH("%s", ""), path);
  snprintf(get, sizeof get, "%s", answer_to(request));
  cr_expect_gt(strlen(body_of(get)), 0, "%s", get);
  snprintf(request, sizeof request, "HEAD %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
  const char *head = answer_to(request);
  *body_of(get) = '\0';
  cr_expect_str_eq(head, get, "%s", path);
}

Test(server_access, head_is_get_without_the_body) {
  scene_open();
  server = stage_start();
  expect_head_of("/healthz");
  expect_head_of("/readyz");
  expect_head_of("/");
  expect_head_of("/any");
  mcp_server_set_dependency(server, "store", "is away");
  expect_head_of("/readyz");
  expect_status("HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "200");
  const char *answer = answer_to("HEAD /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n");
  cr_expect(strstr(answer, " 403 ") != NULL && *body_of(answer) == '\0', "%s", answer);
  stage_stop(server);
  start_with_token(TOKEN);
  answer = answer_to("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
  cr_expect(strstr(answer, " 401 ") != NULL && *body_of(answer) == '\0', "%s", answer);
  stage_stop(server);
  scene_close();
}

Test(server_access, options_are_told_to_everybody) { /* as monitors ask */
  static const char *const targets[] = {"/", "*", "/healthz", "/other"};
  scene_open();
  start_with_token(TOKEN);
  for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
    char request[128];
    snprintf(request, sizeof request, "OPTIONS %s HTTP/1.0\r\n\r\n", targets[i]);
    const char *answer = answer_to(request);
    cr_expect_not_null(strstr(answer, " 204 No Content\r\nAllow: GET, HEAD, OPTIONS\r\n"), "%s", answer);
    cr_expect_eq(*body_of(answer), '\0', "%s", answer);
  }
  expect_status("OPTIONS / HTTP/1.1\r\nHost: x\r\nOrigin: http://evil\r\n\r\n", "403");
  stage_stop(server);
  scene_close();
}

Test(server_access, pages_by_their_paths) {
  static const char *const own[] = {"/",
                                    "/?a=b",
                                    "/healthz?now",
                                    "/readyz",
                                    "/metrics",
                                    "http://x/readyz",
                                    "http://localhost:9060/metrics",
                                    "http://x",
                                    "http://x?a"};
  static const char *const others[] = {"/readyz/", "//readyz",   "/ready",    "/health",          "/healthz/",
                                       "/READYZ",  "/metrics/x", "/%72eadyz", "http://x//readyz", "*"};
  char home[8192];
  scene_open();
  server = stage_start();
  snprintf(home, sizeof home, "%s", body_of(answer_to(GET_WITH("/", ""))));
  cr_expect_not_null(strstr(home, "stage 1.2.3: an MCP server"), "%s", home);
  for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
    char request[128];
    snprintf(request, sizeof request, GET_WITH("%s", ""), own[i]);
    expect_status(request, "200");
  }
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    char request[128];
    snprintf(request, sizeof request, GET_WITH("%s", ""), others[i]);
    const char *answer = answer_to(request);
    cr_expect_not_null(strstr(answer, "HTTP/1.1 404 Not Found\r\n"), "%s: %s", others[i], answer);
    cr_expect_str_eq(body_of(answer), home, "%s", others[i]);
  }
  expect_status("GET http://x/any/path HTTP/1.1\r\nHost: y\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                "101");
  stage_stop(server);
  scene_close();
}

/* ---- who is refused costs little ------------------------------------------------------------------------
 */

/* How many refusals the log tells of; *lines: in how many lines. */
static size_t logged_refusals(size_t *lines) {
  size_t count = 0;
  *lines = 0;
  for (const char *at = scene_log(); (at = strstr(at, ": refused ")) != NULL; (*lines)++) {
    char *end;
    at += strlen(": refused ");
    unsigned long many = strtoul(at, &end, 10);
    count += strncmp(end, " peers ", 7) == 0 ? many : 1;
  }
  return count;
}

Test(server_access, refusals_have_a_line_a_second_for_each_reason) {
  enum { MANY = 40 };
  scene_open();
  start_with_token(TOKEN);
  scene_hold_clock();
  for (int i = 0; i < MANY; i++) {
    expect_status(UPGRADE_WITH(""), "401");
    expect_status(GET_WITH("/metrics", WRONG), "401");
    expect_status("junk\r\n\r\n", "400");
    expect_status("GET / HTTP/1.1\r\n\r\n", "400");
    expect_status("POST / HTTP/1.1\r\nHost: x\r\n\r\n", "405");
    expect_status(GET_WITH("/", "Origin: http://evil\r\n"), "403");
    expect_status("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", "403");
  }
  scene_pass_ms(1000);
  scene_pass_ms(1000);
  size_t lines;
  cr_expect_eq(logged_refusals(&lines), 7 * MANY);
  cr_expect_eq(lines, 14, "%zu lines: at once, and a second later", lines);
  const char *metrics = answer_to(GET_WITH("/metrics", BEARER));
  cr_expect_not_null(strstr(metrics, "iccm_refusals_total{reason=\"401\"} 80\n"), "%s", metrics);
  for (int i = 0; i < 3; i++)
    expect_status(UPGRADE_WITH(""), "401");
  stage_stop(server);
  cr_expect_eq(logged_refusals(&lines), 7 * MANY + 3, "what was counted is told at the end, too");
  cr_expect(scene_logged(" peers with 401, the last of them 127.0.0.1:"));
  scene_close();
}

/* They stay connected for as long as they can. */
static void linger(wire_t **wires, size_t count, const char *request) {
  for (size_t i = 0; i < count; i++) {
    wires[i] = wire_connect(mcp_server_port(server));
    RUN_UNTIL(wires[i]->connected);
    wire_puts(wires[i], request);
    RUN_UNTIL(wires[i]->head != NULL);
  }
}

Test(server_access, who_is_refused_keeps_no_place) {
  enum { MANY = 300 }; /* more than may be leaving at a time */
  static wire_t *refused[MANY];
  scene_open();
  server = stage_server();
  mcp_server_set_auth_token(server, TOKEN);
  mcp_server_set_max_connections(server, 2);
  cr_assert_eq(mcp_server_start(server, &scene_loop), 0);
  expect_status(UPGRADE_WITH(BEARER), "101"); /* and stays */
  for (size_t i = 0; i < MANY; i++)
    linger(&refused[i], 1, i % 2 == 0 ? UPGRADE_WITH("") : GET_WITH("/healthz", ""));
  for (size_t i = 0; i < MANY; i++)
    cr_expect_not_null(strstr(refused[i]->head, i % 2 == 0 ? " 401 " : " 200 "), "%s", refused[i]->head);
  expect_status(UPGRADE_WITH(BEARER), "101");
  expect_status(UPGRADE_WITH(BEARER), "503");
  cr_expect(scene_logged("with 503: too many connections, retry later"));
  stage_stop(server);
  scene_close();
}

Test(server_access, who_says_nothing_keeps_none_of_few_places) {
  scene_open();
  server = stage_server();
  mcp_server_set_max_connections(server, 2);
  cr_assert_eq(mcp_server_start(server, &scene_loop), 0);
  scene_hold_clock();
  wire_t *mute[2] = {wire_connect(mcp_server_port(server)), wire_connect(mcp_server_port(server))};
  RUN_UNTIL(mute[0]->connected && mute[1]->connected);
  expect_status(UPGRADE_WITH(""), "503");
  scene_pass_ms(600);
  expect_status(UPGRADE_WITH(""), "101");
  expect_status(UPGRADE_WITH(""), "101");
  RUN_UNTIL(mute[0]->ended && mute[1]->ended);
  cr_expect_not_null(strstr(mute[0]->head, " 408 "), "%s", mute[0]->head);
  scene_pass_ms(600);
  expect_status(UPGRADE_WITH(""), "503"); /* those who are in stay in */
  stage_stop(server);
  scene_close();
}

Test(server_access, who_is_refused_costs_nobody_a_place) {
  scene_open();
  server = stage_server();
  mcp_server_set_max_connections(server, 1);
  mcp_server_set_max_connects_per_second(server, 1);
  cr_assert_eq(mcp_server_start(server, &scene_loop), 0);
  scene_hold_clock();
  wire_t *slow = wire_connect(mcp_server_port(server));
  RUN_UNTIL(slow->connected);
  scene_pass_ms(600);
  expect_status(UPGRADE_WITH(""), "503"); /* for its rate */
  wire_upgrade(slow);
  RUN_UNTIL(slow->head != NULL);
  cr_expect_not_null(strstr(slow->head, " 101 "), "%s", slow->head);
  stage_stop(server);
  scene_close();
}

/* ---- settings -------------------------------------------------------------------------------------------
 */

Test(server_access, the_setter_wins_over_the_environment) {
  scene_open();
  setenv("ICCM_AUTH_TOKEN", TOKEN, 1);
  server = stage_start();
  expect_status(UPGRADE_WITH(""), "401");
  expect_status(UPGRADE_WITH(BEARER), "101");
  cr_expect_eq(mcp_server_set_auth_token(server, NULL), MCP_ESTATE);
  stage_stop(server);
  start_with_token("other");
  expect_status(UPGRADE_WITH(BEARER), "401");
  expect_status(UPGRADE_WITH("Authorization: Bearer other\r\n"), "101");
  stage_stop(server);
  start_with_token(NULL);
  expect_status(UPGRADE_WITH(""), "101");
  expect_status(UPGRADE_WITH(WRONG), "101");
  stage_stop(server);
  scene_close();
}

Test(server_access, tokens_that_are_none) {
  scene_open();
  server = stage_server();
  char longest[514];
  snprintf(longest, sizeof longest, "%0512d", 0);
  cr_expect_eq(mcp_server_set_auth_token(server, longest), 0);
  snprintf(longest, sizeof longest, "%0513d", 0);
  cr_expect_eq(mcp_server_set_auth_token(server, longest), UV_EINVAL);
  cr_expect_eq(mcp_server_set_auth_token(server, ""), UV_EINVAL);
  cr_expect_eq(mcp_server_set_auth_token(server, "two words"), UV_EINVAL);
  cr_expect_eq(mcp_server_set_auth_token(server, "line\r\nbreak"), UV_EINVAL);
  mcp_server_free(server);
  scene_close();
}

/* ---- clients --------------------------------------------------------------------------------------------
 */

static outcome_t call_with(mcp_client_t *client) {
  outcome_t outcome = {0};
  mcp_client_set_fail_fast(client, true);
  cr_assert_eq(mcp_client_call(client, "now", args_of("{\"a\":1}"), WITHIN(10000), outcome_cb, &outcome), 0);
  RUN_UNTIL(outcome.fired == 1);
  cr_expect_null(strstr(outcome.message, "open-sesame"), "%s", outcome.message);
  return outcome;
}

static void expect_refused(mcp_client_t *client) {
  outcome_t outcome = call_with(client);
  cr_expect_eq(outcome.status, MCP_EREFUSED);
  cr_expect_not_null(strstr(outcome.message, "401"), "%s", outcome.message);
  cr_expect_not_null(strstr(outcome.message, "ICCM_AUTH_TOKEN"), "%s", outcome.message);
  client_end(client);
}

Test(server_access, clients_with_the_token_and_without) {
  scene_open();
  start_with_token(TOKEN);
  int port = mcp_server_port(server);
  expect_refused(client_to(port));
  mcp_client_t *client = client_to(port);
  cr_expect_eq(mcp_client_set_auth_token(client, "two words"), UV_EINVAL);
  cr_expect_eq(mcp_client_set_auth_token(client, ""), UV_EINVAL);
  cr_expect_eq(mcp_client_set_auth_token(client, "open-sesame_124"), 0);
  expect_refused(client);
  client = client_to(port);
  cr_expect_eq(mcp_client_set_auth_token(client, "other"), 0);
  cr_expect_eq(mcp_client_set_auth_token(client, TOKEN), 0);
  cr_expect_eq(call_with(client).status, 0);
  cr_expect_eq(mcp_client_set_auth_token(client, NULL), MCP_ESTATE);
  client_end(client);
  stage_stop(server);
  cr_expect(!scene_logged("open-sesame"));
  scene_close();
}

Test(server_access, clients_and_the_environment) {
  scene_open();
  setenv("ICCM_AUTH_TOKEN", TOKEN, 1);
  server = stage_start();
  int port = mcp_server_port(server);
  mcp_client_t *client = client_to(port);
  unsetenv("ICCM_AUTH_TOKEN"); /* it was read when the client was made */
  cr_expect_eq(call_with(client).status, 0);
  client_end(client);
  setenv("ICCM_AUTH_TOKEN", TOKEN, 1);
  client = client_to(port);
  cr_expect_eq(mcp_client_set_auth_token(client, NULL), 0);
  expect_refused(client);
  setenv("ICCM_AUTH_TOKEN", "hush hush", 1);
  cr_expect_null(mcp_client_new(&scene_loop, "localhost"));
  cr_expect_not_null(strstr(mcp_last_error(), "ICCM_AUTH_TOKEN"));
  yyjson_doc *answer;
  mcp_sync_client_t *blocking = mcp_sync_client_new("localhost:1");
  cr_expect_eq(mcp_sync_client_call(blocking, "now", NULL, NULL, &answer), MCP_EENV);
  mcp_sync_client_free(blocking);
  cr_expect(scene_logged("ICCM_AUTH_TOKEN") && !scene_logged("hush"));
  stage_stop(server);
  scene_close();
}

/* ---- how much in a second -------------------------------------------------------------------------------
 */

enum { RATE = 5 };

/* Connects before the loop turns, which then accepts them all at the same time of its clock. */
static size_t count_refused(wire_t **wires, size_t count) {
  size_t refused = 0;
  for (size_t i = 0; i < count; i++)
    wires[i] = wire_connect(mcp_server_port(server));
  for (size_t i = 0; i < count; i++) {
    RUN_UNTIL(wires[i]->connected);
    wire_upgrade(wires[i]);
    RUN_UNTIL(wires[i]->head != NULL);
    bool busy = strstr(wires[i]->head, " 503 ") != NULL;
    cr_expect(busy || strstr(wires[i]->head, " 101 ") != NULL, "%s", wires[i]->head);
    cr_expect(!busy || strstr(wires[i]->head, "\r\nRetry-After: 1\r\n") != NULL, "%s", wires[i]->head);
    refused += busy;
  }
  return refused;
}

Test(server_access, connections_in_a_second) {
  wire_t *wires[RATE + 3];
  scene_open();
  server = stage_server();
  cr_assert_eq(mcp_server_set_max_connects_per_second(server, RATE), 0);
  cr_assert_eq(mcp_server_start(server, &scene_loop), 0);
  cr_expect_eq(count_refused(wires, RATE), 0);
  scene_hold_clock();
  scene_pass_ms(1010); /* a new second */
  cr_expect_eq(count_refused(wires, RATE + 3), 3);
  for (size_t i = 0; i < RATE + 3; i++)
    if (!wires[i]->ended && strstr(wires[i]->head, " 101 ") != NULL)
      wire_settle(wires[i]); /* those that are in are served */
  cr_expect(scene_logged("with 503: too many connections from this address in a second"));
  scene_pass_ms(1010);
  cr_expect_eq(count_refused(wires, RATE), 0, "the next second is another");
  scene_pass_ms(1010);
  const char *metrics = answer_to(GET_WITH("/metrics", ""));
  cr_expect_not_null(strstr(metrics, "iccm_refusals_total{reason=\"503\"} 3\n"), "%s", metrics);
  stage_stop(server);
  scene_close();
}

static void call_now(wire_t *wire, int first, int count) {
  for (int id = first; id < first + count; id++)
    wire_call(wire, id, "now", "{}");
}

Test(server_access, messages_in_a_second) {
  scene_open();
  setenv("ICCM_MAX_MESSAGES_PER_SECOND", "5", 1);
  server = stage_server();
  cr_assert_eq(mcp_server_start(server, &scene_loop), 0);
  int port = mcp_server_port(server);
  wire_t *clock = wire_open(port), *hasty = wire_open(port), *other = wire_open(port);
  call_now(clock, 1, RATE + 1);
  RUN_UNTIL(wire_answers(clock, RATE + 1) == 1); /* a second has begun this very moment */
  uint64_t began = uv_now(&scene_loop);
  call_now(hasty, 1, 3 * RATE + 1);
  RUN_UNTIL(wire_answers(hasty, RATE) == 1);
  call_now(other, 1, RATE);
  RUN_UNTIL(wire_answers(other, RATE) == 1);
  cr_expect_eq(hasty->count, RATE, "it is not read from, and another is");
  RUN_UNTIL(wire_answers(hasty, 3 * RATE + 1) == 1);
  uint64_t took = uv_now(&scene_loop) - began;
  cr_expect_gt(took, 2900, "%d ms", (int)took); /* three seconds have ended meanwhile */
  cr_expect_eq(hasty->count, 3 * RATE + 1);
  cr_expect(!hasty->ended);
  stage_stop(server);
  scene_close();
}

Test(server_access, a_stop_does_not_wait_for_the_second) {
  scene_open();
  server = stage_server();
  mcp_server_set_max_messages_per_second(server, 1);
  mcp_server_start(server, &scene_loop);
  wire_t *hasty = wire_open(mcp_server_port(server));
  call_now(hasty, 1, 10);
  RUN_UNTIL(hasty->count > 0);
  stage_stop(server);
  cr_expect_eq(hasty->close_code, 1012);
  cr_expect_lt(hasty->count, 10);
  scene_close();
}

Test(server_access, connections_in_a_second_from_the_environment) {
  wire_t *wires[RATE + 3];
  scene_open();
  setenv("ICCM_MAX_CONNECTS_PER_SECOND", "5", 1);
  server = stage_start();
  scene_hold_clock();
  cr_expect_eq(count_refused(wires, RATE + 3), 3);
  stage_stop(server);
  server = stage_server();
  cr_expect_eq(mcp_server_set_max_connects_per_second(server, 0), 0); /* wins */
  cr_assert_eq(mcp_server_start(server, &scene_loop), 0);
  cr_expect_eq(count_refused(wires, RATE + 3), 0);
  stage_stop(server);
  scene_close();
}

Test(server_access, rates_off_and_out_of_range) {
  wire_t *wires[50];
  scene_open();
  server = stage_server();
  cr_expect_eq(mcp_server_set_max_connects_per_second(server, -1), UV_EINVAL);
  cr_expect_eq(mcp_server_set_max_connects_per_second(server, 1000001), UV_EINVAL);
  cr_expect_eq(mcp_server_set_max_connects_per_second(server, 1000000), 0);
  cr_expect_eq(mcp_server_set_max_connects_per_second(server, 1), 0);
  cr_expect_eq(mcp_server_set_max_connects_per_second(server, 0), 0);
  cr_expect_eq(mcp_server_set_max_messages_per_second(server, -1), UV_EINVAL);
  cr_expect_eq(mcp_server_set_max_messages_per_second(server, 1000001), UV_EINVAL);
  cr_expect_eq(mcp_server_set_max_messages_per_second(server, 1000000), 0);
  cr_expect_eq(mcp_server_set_max_messages_per_second(server, 0), 0);
  mcp_server_start(server, &scene_loop);
  cr_expect_eq(mcp_server_set_max_connects_per_second(server, 1), MCP_ESTATE);
  cr_expect_eq(mcp_server_set_max_messages_per_second(server, 1), MCP_ESTATE);
  cr_expect_eq(count_refused(wires, 50), 0);
  call_now(wires[0], 1, 60);
  RUN_UNTIL(wires[0]->count == 60);
  stage_stop(server);
  scene_close();
}
