/* test_server_access.c: access with and without a token, public endpoints, and the request rate of a peer.
 * */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN "open-sesame_123"
#define UPGRADE_WITH(headers)                                                                                \
  "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"  \
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" headers "\r\n"
#define GET_WITH(path, headers) "GET " path " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" headers "\r\n"
#define BEARER "Authorization: Bearer " TOKEN "\r\n"
#define WRONG "Authorization: Bearer open-sesame_124\r\n"
#define OFFER(list) "Sec-WebSocket-Protocol: " list "\r\n"

static mcp_server_t *server;

static void start_with_token(const char *token) {
  server = test_server_new();
  cr_assert_eq(mcp_server_set_auth_token(server, token), 0);
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
}

/* Head and body of the answer; of an upgrade that succeeded the head alone. */
static const char *answer_to(const char *request) {
  static char text[8192];
  raw_client_t *peer = raw_client_connect(mcp_server_port(server));
  RUN_UNTIL(peer->connected);
  raw_client_puts(peer, request);
  RUN_UNTIL(peer->ended || (peer->head != NULL && strstr(peer->head, " 101 ") != NULL));
  cr_assert_not_null(peer->head, "no answer to %s", request);
  snprintf(text, sizeof text, "%s%.*s", peer->head, (int)peer->in_len, peer->in != NULL ? peer->in : "");
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
  fixture_setup();
  start_with_token(TOKEN);
  expect_status(UPGRADE_WITH(BEARER), "101");
  expect_status(UPGRADE_WITH("authorization: bearer " TOKEN "\r\n"), "101");
  const char *answer = answer_to(UPGRADE_WITH(OFFER("mcp, mcp.auth." TOKEN)));
  cr_expect_not_null(strstr(answer, " 101 "), "%s", answer);
  cr_expect_not_null(strstr(answer, "Sec-WebSocket-Protocol: mcp\r\n"), "%s", answer);
  answer = answer_to(UPGRADE_WITH(OFFER("mcp.auth." TOKEN)));
  cr_expect_not_null(strstr(answer, " 101 "), "%s", answer);
  cr_expect_null(strstr(answer, "Sec-WebSocket-Protocol"), "%s", answer);
  test_server_stop(server);
  cr_expect(!fixture_logged("open-sesame"));
  fixture_teardown();
}

Test(server_access, without_it_or_with_another) {
  fixture_setup();
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
    cr_expect_null(strstr(answer, "test-server"), "its name: %s", answer);
  }
  cr_expect(fixture_logged("refused 127.0.0.1:"));
  cr_expect(fixture_logged("with 401: this server requires a token"));
  cr_expect(fixture_logged("with 401: invalid token"));
  const char *metrics = answer_to(GET_WITH("/metrics", BEARER));
  cr_expect_not_null(strstr(metrics, "iccm_refusals_total{reason=\"401\"} 6\n"), "%s", metrics);
  cr_expect_null(strstr(metrics, "open-sesame"));
  test_server_stop(server);
  cr_expect(!fixture_logged("open-sesame"));
  fixture_teardown();
}

Test(server_access, pages_that_are_open) {
  fixture_setup();
  start_with_token(TOKEN);
  expect_status(GET_WITH("/healthz", ""), "200");
  expect_status(GET_WITH("/readyz", ""), "200");
  expect_status(GET_WITH("/metrics", BEARER), "200");
  mcp_server_set_dependency(server, "database", "10.1.2.3 is unavailable");
  const char *answer = answer_to(GET_WITH("/readyz", WRONG));
  cr_expect_not_null(strstr(answer, " 503 "), "%s", answer);
  cr_expect_null(strstr(answer, "10.1.2.3"), "%s", answer);
  answer = answer_to(GET_WITH("/readyz", BEARER));
  cr_expect_not_null(strstr(answer, " 503 "), "%s", answer);
  cr_expect_not_null(strstr(answer, "database: 10.1.2.3 is unavailable"), "%s", answer);
  test_server_stop(server);
  fixture_teardown();
}

Test(server_access, other_refusals_come_first) {
  fixture_setup();
  start_with_token(TOKEN);
  expect_status(UPGRADE_WITH("Origin: http://evil\r\n"), "403");
  expect_status(UPGRADE_WITH(WRONG "Origin: http://evil\r\n"), "403");
  expect_status("GET /metrics HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", "403");
  expect_status(UPGRADE_WITH("Origin: http://x\r\n"), "401");
  expect_status("PUT / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" BEARER "\r\n", "405");
  expect_status("GET / HTTP/1.1\r\n" BEARER "\r\n", "400");
  test_server_stop(server);
  fixture_teardown();
}

/* ---- pages of browsers ----------------------------------------------------------------------------------
 */

Test(server_access, a_token_admits_any_page) { /* it has it from somebody who may come in */
  fixture_setup();
  start_with_token(TOKEN);
  expect_status(UPGRADE_WITH(BEARER "Origin: http://evil\r\n"), "101");
  expect_status(UPGRADE_WITH(OFFER("mcp, mcp.auth." TOKEN) "Origin: http://evil\r\n"), "101");
  expect_status("GET /metrics HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n" BEARER "\r\n", "200");
  test_server_stop(server);
  start_with_token(NULL); /* without a required token, a token admits no further peers */
  expect_status(UPGRADE_WITH(BEARER "Origin: http://evil\r\n"), "403");
  test_server_stop(server);
  fixture_teardown();
}

#define GET_AT(host) "GET /metrics HTTP/1.1\r\nHost: " host "\r\nConnection: close\r\n\r\n"

Test(server_access, a_page_of_its_own_and_one_whose_name_was_bound_anew) {
  fixture_setup();
  server = test_server_start();
  expect_status(UPGRADE_WITH("Origin: http://x\r\n"), "101");
  expect_status(UPGRADE_WITH("Origin: http://x/\r\n"), "101");
  expect_status(UPGRADE_WITH("Origin: http://y\r\n"), "403");
  const char *answer = answer_to(GET_AT("evil.example"));
  cr_expect_not_null(strstr(answer, " 403 "), "%s", answer);
  cr_expect_not_null(strstr(answer, "ICCM_ALLOWED_HOSTS"), "%s", answer);
  cr_expect_null(strstr(answer, "iccm_"), "%s", answer);
  expect_status("GET /healthz HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", "200");
  expect_status("GET /readyz HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", "200");
  expect_status(GET_AT("localhost:1"), "200");
  test_server_stop(server);
  fixture_teardown();
}

Test(server_access, hosts_from_environment_and_setter) {
  fixture_setup();
  setenv("ICCM_ALLOWED_HOSTS", "dewey.example, *.example", 1);
  server = test_server_start();
  cr_expect(
      fixture_logged("ICCM_ALLOWED_HOSTS: \"*.example\" cannot match any request: expected a host name"));
  expect_status(GET_AT("dewey.example:9020"), "200");
  expect_status(GET_AT("other.example"), "403");
  cr_expect_eq(mcp_server_set_allowed_hosts(server, "*"), MCP_ESTATE);
  test_server_stop(server);
  server = test_server_new();
  cr_expect_eq(mcp_server_set_allowed_hosts(server, "other.example"), 0);
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  expect_status(GET_AT("dewey.example"), "403");
  expect_status(GET_AT("other.example"), "200");
  test_server_stop(server);
  server = test_server_new();
  cr_expect_eq(mcp_server_set_allowed_hosts(server, NULL), 0);
  cr_expect_eq(mcp_server_set_allowed_origins(server, "localhost:3000,http://fine/"), 0);
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  cr_expect(fixture_logged(
      "ICCM_ALLOWED_ORIGINS: \"localhost:3000\" cannot match any request: expected scheme://host:port"));
  cr_expect(!fixture_logged("\"http://fine/\" cannot match any request"));
  expect_status(GET_AT("dewey.example"), "403");
  expect_status(UPGRADE_WITH("Origin: http://fine\r\n"), "101");
  test_server_stop(server);
  fixture_teardown();
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
  snprintf(request, sizeof request, "HEAD %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);
  const char *head = answer_to(request);
  *body_of(get) = '\0';
  cr_expect_str_eq(head, get, "%s", path);
}

Test(server_access, head_is_get_without_the_body) {
  fixture_setup();
  server = test_server_start();
  expect_head_of("/healthz");
  expect_head_of("/readyz");
  expect_head_of("/");
  expect_head_of("/any");
  mcp_server_set_dependency(server, "store", "is unavailable");
  expect_head_of("/readyz");
  expect_status("HEAD /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "200");
  const char *answer = answer_to("HEAD /metrics HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
  cr_expect(strstr(answer, " 403 ") != NULL && *body_of(answer) == '\0', "%s", answer);
  test_server_stop(server);
  start_with_token(TOKEN);
  answer = answer_to("HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  cr_expect(strstr(answer, " 401 ") != NULL && *body_of(answer) == '\0', "%s", answer);
  test_server_stop(server);
  fixture_teardown();
}

Test(server_access, options_are_told_to_everybody) { /* as monitors ask */
  static const char *const targets[] = {"/", "*", "/healthz", "/other"};
  fixture_setup();
  start_with_token(TOKEN);
  for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
    char request[128];
    snprintf(request, sizeof request, "OPTIONS %s HTTP/1.0\r\n\r\n", targets[i]);
    const char *answer = answer_to(request);
    cr_expect_not_null(strstr(answer, " 204 No Content\r\nAllow: GET, HEAD, POST, DELETE, OPTIONS\r\n"), "%s",
                       answer);
    cr_expect_eq(*body_of(answer), '\0', "%s", answer);
  }
  expect_status("OPTIONS / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nOrigin: http://evil\r\n\r\n", "403");
  test_server_stop(server);
  fixture_teardown();
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
  fixture_setup();
  server = test_server_start();
  snprintf(home, sizeof home, "%s", body_of(answer_to(GET_WITH("/", ""))));
  cr_expect_not_null(strstr(home, "test-server 1.2.3: an MCP server"), "%s", home);
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
  test_server_stop(server);
  fixture_teardown();
}

/* ---- who is refused costs little ------------------------------------------------------------------------
 */

/* How many refusals the log tells of; *lines: in how many lines. */
static size_t logged_refusals(size_t *lines) {
  size_t count = 0;
  *lines = 0;
  for (const char *at = fixture_log(); (at = strstr(at, ": refused ")) != NULL; (*lines)++) {
    char *end;
    at += strlen(": refused ");
    unsigned long many = strtoul(at, &end, 10);
    count += strncmp(end, " peers ", 7) == 0 ? many : 1;
  }
  return count;
}

Test(server_access, refusals_have_a_line_a_second_for_each_reason) {
  enum { MANY = 40 };
  fixture_setup();
  start_with_token(TOKEN);
  fixture_freeze_clock();
  for (int i = 0; i < MANY; i++) {
    expect_status(UPGRADE_WITH(""), "401");
    expect_status(GET_WITH("/metrics", WRONG), "401");
    expect_status("junk\r\n\r\n", "400");
    expect_status("GET / HTTP/1.1\r\n\r\n", "400");
    expect_status("PUT / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "405");
    expect_status(GET_WITH("/", "Origin: http://evil\r\n"), "403");
    expect_status("GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", "403");
  }
  fixture_advance_ms(1000);
  fixture_advance_ms(1000);
  size_t lines;
  cr_expect_eq(logged_refusals(&lines), 7 * MANY);
  cr_expect_eq(lines, 14, "%zu lines: at once, and a second later", lines);
  const char *metrics = answer_to(GET_WITH("/metrics", BEARER));
  cr_expect_not_null(strstr(metrics, "iccm_refusals_total{reason=\"401\"} 80\n"), "%s", metrics);
  for (int i = 0; i < 3; i++)
    expect_status(UPGRADE_WITH(""), "401");
  test_server_stop(server);
  cr_expect_eq(logged_refusals(&lines), 7 * MANY + 3, "counted refusals are logged at the end, too");
  cr_expect(fixture_logged(" peers with 401, the last of them 127.0.0.1:"));
  fixture_teardown();
}

/* They stay connected for as long as they can. */
static void linger(raw_client_t **peers, size_t count, const char *request) {
  for (size_t i = 0; i < count; i++) {
    peers[i] = raw_client_connect(mcp_server_port(server));
    RUN_UNTIL(peers[i]->connected);
    raw_client_puts(peers[i], request);
    RUN_UNTIL(peers[i]->head != NULL);
  }
}

Test(server_access, who_is_refused_keeps_no_place) {
  enum { MANY = 300 }; /* more than may be leaving at a time */
  static raw_client_t *refused[MANY];
  fixture_setup();
  server = test_server_new();
  mcp_server_set_auth_token(server, TOKEN);
  mcp_server_set_max_connections(server, 2);
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  expect_status(UPGRADE_WITH(BEARER), "101"); /* and stays */
  for (size_t i = 0; i < MANY; i++)
    linger(&refused[i], 1, i % 2 == 0 ? UPGRADE_WITH("") : GET_WITH("/healthz", ""));
  for (size_t i = 0; i < MANY; i++)
    cr_expect_not_null(strstr(refused[i]->head, i % 2 == 0 ? " 401 " : " 200 "), "%s", refused[i]->head);
  expect_status(UPGRADE_WITH(BEARER), "101");
  expect_status(UPGRADE_WITH(BEARER), "503");
  cr_expect(fixture_logged("with 503: too many connections, retry later"));
  test_server_stop(server);
  fixture_teardown();
}

Test(server_access, who_says_nothing_keeps_none_of_few_places) {
  fixture_setup();
  server = test_server_new();
  mcp_server_set_max_connections(server, 2);
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  fixture_freeze_clock();
  raw_client_t *mute[2] = {raw_client_connect(mcp_server_port(server)),
                           raw_client_connect(mcp_server_port(server))};
  RUN_UNTIL(mute[0]->connected && mute[1]->connected);
  expect_status(UPGRADE_WITH(""), "503");
  fixture_advance_ms(600);
  expect_status(UPGRADE_WITH(""), "101");
  expect_status(UPGRADE_WITH(""), "101");
  RUN_UNTIL(mute[0]->ended && mute[1]->ended);
  cr_expect_not_null(strstr(mute[0]->head, " 408 "), "%s", mute[0]->head);
  fixture_advance_ms(600);
  expect_status(UPGRADE_WITH(""), "503"); /* those who are in stay in */
  test_server_stop(server);
  fixture_teardown();
}

Test(server_access, who_is_refused_costs_nobody_a_place) {
  fixture_setup();
  server = test_server_new();
  mcp_server_set_max_connections(server, 1);
  mcp_server_set_max_connects_per_second(server, 1);
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  fixture_freeze_clock();
  raw_client_t *slow = raw_client_connect(mcp_server_port(server));
  RUN_UNTIL(slow->connected);
  fixture_advance_ms(600);
  expect_status(UPGRADE_WITH(""), "503"); /* for its rate */
  raw_client_upgrade(slow);
  RUN_UNTIL(slow->head != NULL);
  cr_expect_not_null(strstr(slow->head, " 101 "), "%s", slow->head);
  test_server_stop(server);
  fixture_teardown();
}

/* ---- settings -------------------------------------------------------------------------------------------
 */

Test(server_access, the_setter_wins_over_the_environment) {
  fixture_setup();
  setenv("ICCM_AUTH_TOKEN", TOKEN, 1);
  server = test_server_start();
  expect_status(UPGRADE_WITH(""), "401");
  expect_status(UPGRADE_WITH(BEARER), "101");
  cr_expect_eq(mcp_server_set_auth_token(server, NULL), MCP_ESTATE);
  test_server_stop(server);
  start_with_token("other");
  expect_status(UPGRADE_WITH(BEARER), "401");
  expect_status(UPGRADE_WITH("Authorization: Bearer other\r\n"), "101");
  test_server_stop(server);
  start_with_token(NULL);
  expect_status(UPGRADE_WITH(""), "101");
  expect_status(UPGRADE_WITH(WRONG), "101");
  test_server_stop(server);
  fixture_teardown();
}

Test(server_access, tokens_that_are_none) {
  fixture_setup();
  server = test_server_new();
  char longest[514];
  snprintf(longest, sizeof longest, "%0512d", 0);
  cr_expect_eq(mcp_server_set_auth_token(server, longest), 0);
  snprintf(longest, sizeof longest, "%0513d", 0);
  cr_expect_eq(mcp_server_set_auth_token(server, longest), UV_EINVAL);
  cr_expect_eq(mcp_server_set_auth_token(server, ""), UV_EINVAL);
  cr_expect_eq(mcp_server_set_auth_token(server, "two words"), UV_EINVAL);
  cr_expect_eq(mcp_server_set_auth_token(server, "line\r\nbreak"), UV_EINVAL);
  mcp_server_free(server);
  fixture_teardown();
}

/* ---- clients --------------------------------------------------------------------------------------------
 */

static call_record_t call_with(mcp_client_t *client) {
  call_record_t record = {0};
  mcp_client_set_fail_fast(client, true);
  cr_assert_eq(mcp_client_call(client, "now", parse_args("{\"a\":1}"), WITHIN(10000), record_result, &record),
               0);
  RUN_UNTIL(record.fired == 1);
  cr_expect_null(strstr(record.message, "open-sesame"), "%s", record.message);
  return record;
}

static void expect_refused(mcp_client_t *client) {
  call_record_t record = call_with(client);
  cr_expect_eq(record.status, MCP_EREFUSED);
  cr_expect_not_null(strstr(record.message, "401"), "%s", record.message);
  cr_expect_not_null(strstr(record.message, "ICCM_AUTH_TOKEN"), "%s", record.message);
  client_close_and_free(client);
}

Test(server_access, clients_with_the_token_and_without) {
  fixture_setup();
  start_with_token(TOKEN);
  int port = mcp_server_port(server);
  expect_refused(client_new_to(port));
  mcp_client_t *client = client_new_to(port);
  cr_expect_eq(mcp_client_set_auth_token(client, "two words"), UV_EINVAL);
  cr_expect_eq(mcp_client_set_auth_token(client, ""), UV_EINVAL);
  cr_expect_eq(mcp_client_set_auth_token(client, "open-sesame_124"), 0);
  expect_refused(client);
  client = client_new_to(port);
  cr_expect_eq(mcp_client_set_auth_token(client, "other"), 0);
  cr_expect_eq(mcp_client_set_auth_token(client, TOKEN), 0);
  cr_expect_eq(call_with(client).status, 0);
  cr_expect_eq(mcp_client_set_auth_token(client, NULL), MCP_ESTATE);
  client_close_and_free(client);
  test_server_stop(server);
  cr_expect(!fixture_logged("open-sesame"));
  fixture_teardown();
}

Test(server_access, clients_and_the_environment) {
  fixture_setup();
  setenv("ICCM_AUTH_TOKEN", TOKEN, 1);
  server = test_server_start();
  int port = mcp_server_port(server);
  mcp_client_t *client = client_new_to(port);
  unsetenv("ICCM_AUTH_TOKEN"); /* it was read when the client was made */
  cr_expect_eq(call_with(client).status, 0);
  client_close_and_free(client);
  setenv("ICCM_AUTH_TOKEN", TOKEN, 1);
  client = client_new_to(port);
  cr_expect_eq(mcp_client_set_auth_token(client, NULL), 0);
  expect_refused(client);
  setenv("ICCM_AUTH_TOKEN", "hush hush", 1);
  cr_expect_null(mcp_client_new(&fixture_loop, "localhost"));
  cr_expect_not_null(strstr(mcp_last_error(), "ICCM_AUTH_TOKEN"));
  yyjson_doc *answer;
  mcp_sync_client_t *blocking = mcp_sync_client_new("localhost:1");
  cr_expect_eq(mcp_sync_client_call(blocking, "now", NULL, NULL, &answer), MCP_EENV);
  mcp_sync_client_free(blocking);
  cr_expect(fixture_logged("ICCM_AUTH_TOKEN") && !fixture_logged("hush"));
  test_server_stop(server);
  fixture_teardown();
}

/* ---- how much in a second -------------------------------------------------------------------------------
 */

enum { RATE = 5 };

/* Connects before the loop turns, which then accepts them all at the same time of its clock. */
static size_t count_refused(raw_client_t **peers, size_t count) {
  size_t refused = 0;
  for (size_t i = 0; i < count; i++)
    peers[i] = raw_client_connect(mcp_server_port(server));
  for (size_t i = 0; i < count; i++) {
    RUN_UNTIL(peers[i]->connected);
    raw_client_upgrade(peers[i]);
    RUN_UNTIL(peers[i]->head != NULL);
    bool busy = strstr(peers[i]->head, " 503 ") != NULL;
    cr_expect(busy || strstr(peers[i]->head, " 101 ") != NULL, "%s", peers[i]->head);
    cr_expect(!busy || strstr(peers[i]->head, "\r\nRetry-After: 1\r\n") != NULL, "%s", peers[i]->head);
    refused += busy;
  }
  return refused;
}

Test(server_access, connections_in_a_second) {
  raw_client_t *peers[RATE + 3];
  fixture_setup();
  server = test_server_new();
  cr_assert_eq(mcp_server_set_max_connects_per_second(server, RATE), 0);
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  cr_expect_eq(count_refused(peers, RATE), 0);
  fixture_freeze_clock();
  fixture_advance_ms(1010); /* a new second */
  cr_expect_eq(count_refused(peers, RATE + 3), 3);
  for (size_t i = 0; i < RATE + 3; i++)
    if (!peers[i]->ended && strstr(peers[i]->head, " 101 ") != NULL)
      raw_client_sync(peers[i]); /* those that are in are served */
  cr_expect(fixture_logged("with 503: too many connections from this address in a second"));
  fixture_advance_ms(1010);
  cr_expect_eq(count_refused(peers, RATE), 0, "the next second is another");
  fixture_advance_ms(1010);
  const char *metrics = answer_to(GET_WITH("/metrics", ""));
  cr_expect_not_null(strstr(metrics, "iccm_refusals_total{reason=\"503\"} 3\n"), "%s", metrics);
  test_server_stop(server);
  fixture_teardown();
}

static void call_now(raw_client_t *peer, int first, int count) {
  for (int id = first; id < first + count; id++)
    raw_client_call(peer, id, "now", "{}");
}

Test(server_access, messages_in_a_second) {
  fixture_setup();
  setenv("ICCM_MAX_MESSAGES_PER_SECOND", "5", 1);
  server = test_server_new();
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  int port = mcp_server_port(server);
  raw_client_t *clock = raw_client_open(port), *hasty = raw_client_open(port), *other = raw_client_open(port);
  call_now(clock, 1, RATE + 1);
  RUN_UNTIL(raw_client_count_responses(clock, RATE + 1) == 1); /* a second has begun this very moment */
  uint64_t began = uv_now(&fixture_loop);
  call_now(hasty, 1, 3 * RATE + 1);
  RUN_UNTIL(raw_client_count_responses(hasty, RATE) == 1);
  call_now(other, 1, RATE);
  RUN_UNTIL(raw_client_count_responses(other, RATE) == 1);
  cr_expect_eq(hasty->count, RATE, "it is not read from, and another is");
  RUN_UNTIL(raw_client_count_responses(hasty, 3 * RATE + 1) == 1);
  uint64_t took = uv_now(&fixture_loop) - began;
  cr_expect_gt(took, 2900, "%d ms", (int)took); /* three seconds have ended meanwhile */
  cr_expect_eq(hasty->count, 3 * RATE + 1);
  cr_expect(!hasty->ended);
  test_server_stop(server);
  fixture_teardown();
}

Test(server_access, a_stop_does_not_wait_for_the_second) {
  fixture_setup();
  server = test_server_new();
  mcp_server_set_max_messages_per_second(server, 1);
  mcp_server_start(server, &fixture_loop);
  raw_client_t *hasty = raw_client_open(mcp_server_port(server));
  call_now(hasty, 1, 10);
  RUN_UNTIL(hasty->count > 0);
  test_server_stop(server);
  cr_expect_eq(hasty->close_code, 1012);
  cr_expect_lt(hasty->count, 10);
  fixture_teardown();
}

Test(server_access, connections_in_a_second_from_the_environment) {
  raw_client_t *peers[RATE + 3];
  fixture_setup();
  setenv("ICCM_MAX_CONNECTS_PER_SECOND", "5", 1);
  server = test_server_start();
  fixture_freeze_clock();
  cr_expect_eq(count_refused(peers, RATE + 3), 3);
  test_server_stop(server);
  server = test_server_new();
  cr_expect_eq(mcp_server_set_max_connects_per_second(server, 0), 0); /* wins */
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  cr_expect_eq(count_refused(peers, RATE + 3), 0);
  test_server_stop(server);
  fixture_teardown();
}

Test(server_access, rates_off_and_out_of_range) {
  raw_client_t *peers[50];
  fixture_setup();
  server = test_server_new();
  cr_expect_eq(mcp_server_set_max_connects_per_second(server, -1), UV_EINVAL);
  cr_expect_eq(mcp_server_set_max_connects_per_second(server, 1000001), UV_EINVAL);
  cr_expect_eq(mcp_server_set_max_connects_per_second(server, 1000000), 0);
  cr_expect_eq(mcp_server_set_max_connects_per_second(server, 1), 0);
  cr_expect_eq(mcp_server_set_max_connects_per_second(server, 0), 0);
  cr_expect_eq(mcp_server_set_max_messages_per_second(server, -1), UV_EINVAL);
  cr_expect_eq(mcp_server_set_max_messages_per_second(server, 1000001), UV_EINVAL);
  cr_expect_eq(mcp_server_set_max_messages_per_second(server, 1000000), 0);
  cr_expect_eq(mcp_server_set_max_messages_per_second(server, 0), 0);
  mcp_server_start(server, &fixture_loop);
  cr_expect_eq(mcp_server_set_max_connects_per_second(server, 1), MCP_ESTATE);
  cr_expect_eq(mcp_server_set_max_messages_per_second(server, 1), MCP_ESTATE);
  cr_expect_eq(count_refused(peers, 50), 0);
  call_now(peers[0], 1, 60);
  RUN_UNTIL(peers[0]->count == 60);
  test_server_stop(server);
  fixture_teardown();
}
