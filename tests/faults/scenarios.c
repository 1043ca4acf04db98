/* scenarios.c: the scenarios that run under faults. Every request ends, whatever fails (harness.c checks
 * this); without a fault every request succeeds. */
#include "harness.h"

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static void expect_all(const harness_t *harness, const request_t *requests, size_t count) {
  harness_wait(requests, count);
  for (size_t i = 0; i < count && harness->faultless; i++)
    REQUIRE(harness_request_succeeded(&requests[i]), "request %zu: %d %s", i, requests[i].status,
            requests[i].message);
}

static void expect_status(const harness_t *harness, const request_t *request, int status) {
  REQUIRE(!harness->faultless || request->status == status, "%d instead of %d: %s", request->status, status,
          request->message);
}

/* ---- a server's life ----------------------------------------------------------------------------------- */

static void live(harness_t *harness) {
  mcp_tool_t tool = harness_tools[0];
  mcp_server_t *server = mcp_server_new("brief", "1", 0, harness_tools);
  REQUIRE(server != NULL || *mcp_last_error() != '\0', "no server, and no words");
  REQUIRE(server != NULL || !harness->faultless, "%s", mcp_last_error());
  if (server == NULL)
    return;
  tool.name = "late";
  mcp_server_set_log_url(server, NULL);
  mcp_server_set_auth_token(server, "secret");
  mcp_server_set_allowed_origins(server, "https://here.example");
  mcp_server_set_allowed_hosts(server, "here.example");
  mcp_server_set_max_connects_per_second(server, 10);
  mcp_server_set_dependency(server, "store", "unavailable");
  mcp_server_set_dependency(server, "store", NULL);
  mcp_metric_add(mcp_server_metric(server, MCP_COUNTER, "brief_total", "Calls.", "kind"), "a", 1);
  int status = mcp_server_start(server, harness->loop);
  REQUIRE(*mcp_strerror(status) != '\0', "status %d has no words", status);
  REQUIRE(status == 0 || !harness->faultless, "%s", mcp_strerror(status));
  mcp_server_add_tool(server, &tool);
  mcp_server_remove_tool(server, "late");
  harness_iterate();
  harness_stop_server(server);
}

/* Creating a server either applies all settings of the environment or fails. */
static void admit_origin(harness_t *harness) {
  static char answer[1024];
  setenv("ICCM_ALLOWED_ORIGINS", "https://here.example", 1);
  setenv("ICCM_ALLOWED_HOSTS", "server.example", 1);
  mcp_server_t *server = mcp_server_new("admits", "1", 0, harness_tools);
  unsetenv("ICCM_ALLOWED_ORIGINS");
  unsetenv("ICCM_ALLOWED_HOSTS");
  REQUIRE(server != NULL || (*mcp_last_error() != '\0' && !harness->faultless), "no server: %s",
          mcp_last_error());
  bool runs = server != NULL && mcp_server_set_log_url(server, NULL) == 0 &&
              mcp_server_start(server, harness->loop) == 0;
  if (runs)
    harness_http(
        server,
        "GET / HTTP/1.1\r\nHost: server.example\r\nConnection: close\r\nOrigin: https://here.example\r\n\r\n",
        answer, sizeof answer);
  REQUIRE(!runs || strstr(answer, " 403 ") == NULL, "%.80s", answer);
  harness_stop_server(server);
}

/* ---- calls --------------------------------------------------------------------------------------------- */

static mcp_client_t *client;

static void call_from_name(harness_t *harness) {
  request_t requests[2];
  client = harness_client(harness, "localhost", harness->server);
  harness_call(client, "echo", "{\"name\":\"a\"}", 0, &requests[0]);
  harness_list(client, &requests[1]);
  expect_all(harness, requests, 2);
  REQUIRE(requests[1].status != MCP_ETOOBIG, "a list of few tools is reported as too large");
  harness_close_client(client);
}

static char *large(void) {
  char *json = malloc(300010);
  memset(json, 'x', 300008);
  memcpy(json, "{\"text\":\"", 9);
  memcpy(json + 300007, "\"}", 3);
  return json;
}

#define NESTED "{\"a\":[{\"b\":[1,2.5,null,{\"c\":{\"d\":[[[[\"\\u00fc\"]]]]}}]},true]}"

static void call_all(harness_t *harness) {
  request_t requests[10];
  char *json = large();
  client = harness_client(harness, "127.0.0.1", harness->server);
  if (client != NULL)
    mcp_client_set_trace_id(client, "trace-1");
  harness_call(client, "echo", json, 0, &requests[0]);
  harness_call(client, "echo", NESTED, 0, &requests[1]);
  harness_call(client, "strict", "{\"name\":\"abc\",\"list\":[1,2,3]}", 0, &requests[2]);
  harness_call(client, "content", "{\"n\":1}", 0, &requests[3]);
  harness_request(client, "ping", NULL, &requests[4]);
  harness_list(client, &requests[5]);
  harness_call(client, "strict", "{\"name\":\"ABC\"}", 0, &requests[6]);
  harness_call(client, "fail", NULL, 0, &requests[7]);
  harness_call(client, "error", NULL, 0, &requests[8]);
  harness_call(client, "none", NULL, 0, &requests[9]);
  free(json);
  expect_all(harness, requests, 6);
  harness_wait(requests, 10);
  expect_status(harness, &requests[6], MCP_INVALID_PARAMS);
  expect_status(harness, &requests[7], -32042);
  REQUIRE(!harness->faultless || requests[8].message[0] != '\0', "no error");
  expect_status(harness, &requests[9], MCP_METHOD_NOT_FOUND);
  harness_close_client(client);
}

static unsigned notes;

static void on_note(mcp_client_t *from, const char *method, yyjson_val *params, void *arg) {
  (void)from;
  (void)method;
  (void)params;
  (void)arg;
  notes++;
}

#define INITIALIZE                                                                                           \
  "{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{},\"clientInfo\":{\"name\":\"faults\",\"version\":" \
  "\"1\"}}"

static void hear_progress(harness_t *harness) {
  request_t requests[3];
  notes = 0;
  client = harness_client(harness, "127.0.0.1", harness->server);
  if (client != NULL)
    mcp_client_on_notification(client, on_note, NULL);
  harness_request(client, "tools/call",
                  "{\"name\":\"progress\",\"arguments\":{},\"_meta\":{\"progressToken\":7}}", &requests[0]);
  harness_request(client, "tools/call",
                  "{\"name\":\"block\",\"arguments\":{},\"_meta\":{\"progressToken\":8}}", &requests[1]);
  harness_call(client, "progress", NULL, 0, &requests[2]);
  expect_all(harness, requests, 3);
  REQUIRE(!harness->faultless || notes >= 2, "%u notifications", notes);
  REQUIRE(!harness->faultless || requests[2].reports >= 1, "no report");
  harness_close_client(client);
}

static void hear_of_tools(harness_t *harness) {
  request_t requests[2];
  mcp_tool_t tool = harness_tools[0];
  tool.name = "late";
  notes = 0;
  client = harness_client(harness, "127.0.0.1", harness->server);
  if (client != NULL)
    mcp_client_on_notification(client, on_note, NULL);
  harness_request(client, "initialize", INITIALIZE, &requests[0]);
  expect_all(harness, requests, 1);
  int status = mcp_server_add_tool(harness->server, &tool);
  REQUIRE(status == 0 || !harness->faultless, "%s", mcp_strerror(status));
  harness_call(client, "late", NULL, 0, &requests[0]);
  expect_all(harness, requests, 1);
  REQUIRE(status != 0 || mcp_server_remove_tool(harness->server, "late") == 0 || !harness->faultless,
          "it stays");
  harness_list(client, &requests[1]);
  expect_all(harness, requests + 1, 1);
  REQUIRE(!harness->faultless || notes >= 2, "%u notifications", notes);
  harness_close_client(client);
}

static void remove_late(harness_t *harness) {
  mcp_server_remove_tool(harness->server, "late"); /* if the earlier removal failed */
}

static void call_through(harness_t *harness) {
  request_t requests[3];
  harness_upstream = harness_client(harness, "127.0.0.1", harness->server);
  client = harness_client(harness, "127.0.0.1", harness->server);
  harness_call(client, "relay", "{\"name\":\"a\"}", 0, &requests[0]);
  harness_call(client, "relay", NULL, 0, &requests[1]);
  harness_call(client, "block", "{\"name\":\"a\"}", 0, &requests[2]);
  expect_all(harness, requests, 3);
  harness_close_client(client);
  harness_close_client(harness_upstream);
  harness_upstream = NULL;
}

static void ask_from_pool(harness_t *harness) {
  request_t request;
  char args[64];
  snprintf(args, sizeof args, "{\"url\":\"ws://127.0.0.1:%d\"}", mcp_server_port(harness->server));
  client = harness_client(harness, "127.0.0.1", harness->server);
  harness_call(client, "ask", args, 0, &request);
  expect_all(harness, &request, 1);
  harness_close_client(client);
}

/* A program without a loop of libuv; here a thread. */
typedef struct loopless {
  char url[64];
  bool faultless;
  unsigned reports;
  atomic_bool done;
} loopless_t;

static void on_report(mcp_client_t *from, const mcp_progress_t *progress, void *arg) {
  loopless_t *loopless = arg;
  REQUIRE(from == NULL && progress->total == 2, "another's progress");
  loopless->reports++;
}

static void call_without_a_loop(void *arg) {
  loopless_t *loopless = arg;
  mcp_sync_client_t *sync = mcp_sync_client_new(loopless->url);
  REQUIRE(sync != NULL || (*mcp_last_error() != '\0' && !loopless->faultless), "%s", mcp_last_error());
  for (int i = 0; sync != NULL && i < 2; i++) {
    mcp_call_options_t options = {
        .timeout_ms = 5000, .trace_id = "t", .progress_cb = on_report, .progress_arg = loopless};
    yyjson_doc *answer = NULL;
    int status = mcp_sync_client_call(sync, "progress", harness_json("{}"), &options, &answer);
    REQUIRE(status != 0 || answer != NULL, "no answer");
    REQUIRE(status == 0 || (*mcp_last_error() != '\0' && !loopless->faultless), "%d: %s", status,
            mcp_last_error());
    yyjson_doc_free(answer);
  }
  mcp_sync_client_free(sync);
  atomic_store(&loopless->done, true);
}

static void call_from_a_thread(harness_t *harness) {
  uv_thread_t thread;
  loopless_t loopless = {.faultless = harness->faultless};
  snprintf(loopless.url, sizeof loopless.url, "ws://127.0.0.1:%d", mcp_server_port(harness->server));
  if (uv_thread_create(&thread, call_without_a_loop, &loopless) != 0)
    return;
  RUN_UNTIL(atomic_load(&loopless.done));
  uv_thread_join(&thread);
  REQUIRE(!harness->faultless || loopless.reports >= 2, "%u reports", loopless.reports);
}

static void give_up(harness_t *harness) {
  request_t requests[3];
  client = harness_client(harness, "127.0.0.1", harness->server);
  harness_call(client, "hold", NULL, 200, &requests[0]);
  harness_call(client, "hold", NULL, 0, &requests[1]);
  harness_call(client, "echo", NULL, 0, &requests[2]);
  harness_wait(&requests[2], 1);
  if (requests[1].made)
    mcp_client_cancel(client, requests[1].id);
  harness_wait(requests, 3);
  expect_status(harness, &requests[0], MCP_ETIMEOUT);
  expect_status(harness, &requests[1], MCP_ECANCELED);
  harness_call(client, "hold", NULL, 0, &requests[0]);
  harness_close_client(client); /* this ends the call */
  REQUIRE(!requests[0].made || requests[0].fired == 1, "a call outlived its client");
}

/* ---- the log ------------------------------------------------------------------------------------------- */

static mcp_server_t *shipper;

static void log_three(void) {
  yyjson_mut_doc *data = harness_json("{\"password\":\"x\",\"n\":[1,2]}");
  for (int i = 0; i < 3; i++)
    mcp_log_data(MCP_LOG_INFO, "shipper", "trace", yyjson_mut_doc_get_root(data), "line %d", i);
  yyjson_mut_doc_free(data);
}

static bool start_shipper_to(harness_t *harness, const char *scheme, const mcp_server_t *server) {
  char url[64];
  snprintf(url, sizeof url, "%s://127.0.0.1:%d", scheme, mcp_server_port(server));
  shipper = mcp_server_new("shipper", "1", 0, harness_tools);
  bool runs = shipper != NULL && mcp_server_set_log_url(shipper, url) == 0 &&
              mcp_server_start(shipper, harness->loop) == 0;
  REQUIRE(runs || !harness->faultless, "no server: %s", mcp_last_error());
  return runs;
}

static bool start_shipper(harness_t *harness) {
  return start_shipper_to(harness, "ws", harness->server);
}

static void ship_and_stop(harness_t *harness) {
  harness_log_lines = 0;
  log_three();
  if (harness->faultless)
    RUN_UNTIL(harness_log_lines >= 3);
  for (int i = 0; i < 20; i++)
    harness_iterate();
  harness_stop_server(shipper);
}

static void start_to_ship(harness_t *harness) {
  start_shipper(harness);
  ship_and_stop(harness);
}

static void ship_three(harness_t *harness) {
  start_shipper(harness);
  harness_log_lines = 0;
  log_three();
  RUN_UNTIL(harness_log_lines >= 3);
}

/* Every line arrives eventually, except those for which memory could not be allocated. */
static void ship_more(harness_t *harness) {
  harness_log_lines = 0;
  log_three();
  for (int i = 0; i < 20; i++)
    harness_iterate();
  if (harness->faultless)
    RUN_UNTIL(harness_log_lines >= 3);
}

static void still_ship(harness_t *harness) {
  (void)harness;
  unsigned before = harness_log_lines;
  log_three();
  RUN_UNTIL(harness_log_lines >= before + 3);
  harness_stop_server(shipper);
}

/* ---- no descriptor left -------------------------------------------------------------------------------- */

static int waiting_socket;

static void keep_a_socket(harness_t *harness) {
  (void)harness;
  waiting_socket = (int)syscall(SYS_socket, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
}

/* Neither the server can accept nor the client connect; the bystander's connection exists already. */
static void run_out_of_descriptors(harness_t *harness) {
  request_t request;
  struct rlimit limit, none;
  faults_disarm(); /* the missing descriptor is the only fault */
  int lowest = (int)syscall(SYS_dup, STDIN_FILENO);
  syscall(SYS_close, lowest);
  getrlimit(RLIMIT_NOFILE, &limit);
  none = limit;
  none.rlim_cur = (rlim_t)lowest;
  REQUIRE(lowest > 0 && setrlimit(RLIMIT_NOFILE, &none) == 0, "no limit");
  harness_connect(waiting_socket, harness->server);
  client = harness_client(harness, "127.0.0.1", harness->server);
  harness_call(client, "echo", NULL, 0, &request);
  uint64_t end_ns =
      uv_hrtime() + UINT64_C(500000000); /* the client's reconnect delay grows with each attempt */
  for (int i = 0; i < 60 && uv_hrtime() < end_ns; i++)
    harness_iterate();
  REQUIRE(!request.made || request.fired == 0, "connected without a descriptor: %s", request.message);
  setrlimit(RLIMIT_NOFILE, &limit);
  expect_all(harness, &request, 1);
  harness_close_client(client);
}

static void close_socket(harness_t *harness) {
  (void)harness;
  syscall(SYS_close, waiting_socket);
}

/* ---- plain HTTP, and the token ------------------------------------------------------------------------- */

static void expect_http(const harness_t *harness, const mcp_server_t *server, const char *request,
                        const char *status) {
  static char answer[1 << 16];
  harness_http(server, request, answer, sizeof answer);
  bool proper = strncmp(answer, "HTTP/1.1 ", 9) == 0;
  REQUIRE(proper || !harness->faultless, "%s: %.80s", request, answer);
  REQUIRE(!harness->faultless || strncmp(answer + 9, status, 3) == 0, "%s: %.80s", request, answer);
}

static void ask_pages(harness_t *harness) {
  mcp_server_set_dependency(harness->server, "store", "away");
  expect_http(harness, harness->server, "GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
              "503");
  mcp_server_set_dependency(harness->server, "store", NULL);
  expect_http(harness, harness->server, "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
              "200");
  expect_http(harness, harness->server, "GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
              "200");
  expect_http(harness, harness->server, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "200");
  expect_http(harness, harness->server, "PUT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "405");
}

static void ask_pages_again(harness_t *harness) {
  mcp_server_set_dependency(harness->server, "store", NULL);
  expect_http(harness, harness->server, "GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
              "200");
  expect_http(harness, harness->server, "GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
              "200");
}

static mcp_server_t *guarded;

static void start_guarded(harness_t *harness) {
  guarded = mcp_server_new("guarded", "1", 0, harness_tools);
  REQUIRE(guarded != NULL && mcp_server_set_auth_token(guarded, "secret") == 0, "no guarded server");
  mcp_server_set_log_url(guarded, NULL);
  REQUIRE(mcp_server_start(guarded, harness->loop) == 0, "no guarded server");
}

static void show_token(harness_t *harness) {
  static const char *const tokens[] = {"secret", "wrong", NULL};
  for (int i = 0; i < 3; i++) {
    request_t request;
    client = harness_client(harness, "127.0.0.1", guarded);
    int status = client != NULL ? mcp_client_set_auth_token(client, tokens[i]) : 0;
    REQUIRE(status == 0 || !harness->faultless, "%s", mcp_strerror(status));
    if (client != NULL)
      mcp_client_set_fail_fast(client, true);
    harness_call(client, "echo", NULL, 0, &request);
    harness_wait(&request, 1);
    expect_status(harness, &request, i == 0 ? 0 : MCP_EREFUSED);
    REQUIRE(i == 0 || !harness_request_succeeded(&request), "served without the token");
    harness_close_client(client);
  }
  expect_http(harness, guarded,
              "GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer secret\r\n\r\n",
              "200");
  expect_http(harness, guarded, "GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "401");
}

static void stop_guarded(harness_t *harness) {
  expect_http(harness, guarded, "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
              "200"); /* the server listens again */
  show_token(harness);
  harness_stop_server(guarded);
}

/* ---- MCP over HTTP ---------------------------------------------------------------------------------------
 */

#define POST(headers, length)                                                                                \
  "POST /mcp HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nAccept: application/json, "            \
  "text/event-stream\r\n" headers "Content-Length: " length "\r\n\r\n"
#define META                                                                                                 \
  "\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\","                                   \
  "\"io.modelcontextprotocol/clientCapabilities\":{},\"progressToken\":1}"
#define MODERN(method) "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: " method "\r\n"

/* A connection that faults do not affect on this side. */
typedef struct raw_link {
  int fd;
  char text[1 << 16]; /* received */
  size_t len;
  bool ended;
  unsigned expected; /* responses */
} raw_link_t;

static raw_link_t first_link, second_link;

static void open_link(const harness_t *harness, raw_link_t *link) {
  *link = (raw_link_t){.fd = (int)syscall(SYS_socket, AF_INET, SOCK_STREAM, 0)};
  REQUIRE(link->fd >= 0, "no socket");
  RUN_UNTIL(harness_connect(link->fd, harness->server));
}

static void send_text(raw_link_t *link, const char *text) {
  size_t len = strlen(text);
  if (syscall(SYS_sendto, link->fd, text, len, MSG_NOSIGNAL, NULL, 0) != (ssize_t)len)
    link->ended = true;
}

static void post(raw_link_t *link, const char *headers, const char *body) {
  char head[1024], length[16];
  snprintf(length, sizeof length, "%zu", strlen(body));
  snprintf(head, sizeof head, POST("%s", "%s"), headers, length);
  send_text(link, head);
  send_text(link, body);
}

static bool link_has(raw_link_t *link, const char *text) { /* or it has ended */
  ssize_t got = syscall(SYS_recvfrom, link->fd, link->text + link->len, sizeof link->text - 1 - link->len,
                        MSG_DONTWAIT, NULL, NULL);
  link->len += got > 0 ? (size_t)got : 0;
  link->text[link->len] = '\0';
  link->ended |= got == 0 || (got < 0 && errno != EAGAIN);
  return link->ended || strstr(link->text, text) != NULL;
}

static unsigned count_responses(const raw_link_t *link) {
  unsigned count = 0;
  for (const char *at = link->text; (at = strstr(at, "HTTP/1.1 ")) != NULL; at++)
    count++;
  return count;
}

/* Each request is answered, or its connection ends; without a fault it is answered with the text. */
static void expect_text(const harness_t *harness, raw_link_t *link, const char *text) {
  link->expected++;
  RUN_UNTIL(link_has(link, text) || (!harness->faultless && count_responses(link) >= link->expected));
  REQUIRE(!harness->faultless || strstr(link->text, text) != NULL, "%s in %s", text, link->text);
}

static void close_link(raw_link_t *link) {
  syscall(SYS_close, link->fd);
  harness_iterate();
}

static void call_over_http(harness_t *harness) {
  open_link(harness, &first_link);
  post(&first_link, MODERN("tools/call") "Mcp-Name: echo\r\n",
       "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"echo\",\"arguments\":{"
       "\"a\":1}," META "}}");
  expect_text(harness, &first_link, "\"id\":1");
  post(&first_link, MODERN("tools/call") "Mcp-Name: other\r\n",
       "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"tools/call\",\"params\":{\"name\":\"echo\"," META "}}");
  expect_text(harness, &first_link, "-32020");
  post(&first_link, MODERN("tools/call") "Mcp-Name: progress\r\n",
       "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"tools/call\",\"params\":{\"name\":\"progress\"," META
       "}}");
  expect_text(harness, &first_link, "\"id\":3");
  post(&first_link, MODERN("server/discover"),
       "{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"server/discover\",\"params\":{" META "}}");
  expect_text(harness, &first_link, "supportedVersions");
  send_text(&first_link,
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: "
            "chunked\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n5\r\n{\"met\r\n0\r\n\r\n");
  expect_text(harness, &first_link, "-32700");
  close_link(&first_link);
}

/* The stream of a session ends with the session. */
static void live_session(harness_t *harness) {
  char headers[256], request[512], id[33] = "none";
  open_link(harness, &first_link);
  post(&first_link, "",
       "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"2025-11-"
       "25\","
       "\"capabilities\":{},\"clientInfo\":{\"name\":\"a\",\"version\":\"1\"}}}");
  expect_text(harness, &first_link, "\"id\":1");
  const char *at = strstr(first_link.text, "Mcp-Session-Id: ");
  if (at != NULL)
    snprintf(id, sizeof id, "%.32s", at + strlen("Mcp-Session-Id: "));
  snprintf(headers, sizeof headers, "Mcp-Session-Id: %s\r\nMCP-Protocol-Version: 2025-11-25\r\n", id);
  post(&first_link, headers, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}");
  expect_text(harness, &first_link, " 202 ");
  open_link(harness, &second_link);
  snprintf(request, sizeof request,
           "GET /mcp HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAccept: text/event-stream\r\n%s\r\n",
           headers);
  send_text(&second_link, request);
  expect_text(harness, &second_link, ":\n\n");
  post(&first_link, headers,
       "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"tools/"
       "call\",\"params\":{\"name\":\"content\",\"arguments\":{"
       "\"n\":1}}}");
  expect_text(harness, &first_link, "\"id\":2");
  snprintf(request, sizeof request, "DELETE /mcp HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%s\r\n",
           headers);
  send_text(&first_link, request);
  RUN_UNTIL(link_has(&first_link, "any") && first_link.ended);
  if (harness->faultless)
    expect_text(harness, &second_link, "0\r\n\r\n");
  close_link(&first_link);
  close_link(&second_link);
}

static void subscribe_over_http(harness_t *harness) {
  mcp_tool_t tool = harness_tools[0];
  tool.name = "late";
  open_link(harness, &first_link);
  post(&first_link, MODERN("subscriptions/listen"),
       "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"subscriptions/listen\",\"params\":{" META
       ",\"notifications\":{\"toolsListChanged\":true}}}");
  RUN_UNTIL(link_has(&first_link, "acknowledged") || link_has(&first_link, "\"error\""));
  if (mcp_server_add_tool(harness->server, &tool) == 0 && harness->faultless)
    expect_text(harness, &first_link, "list_changed");
  mcp_server_remove_tool(harness->server, "late");
  harness_iterate();
  close_link(&first_link); /* which ends the subscription */
}

/* ---- a server that stops and starts again -----------------------------------------------------------------
 */

static mcp_server_t *changing;

static mcp_server_t *start_changing(harness_t *harness, int port) {
  mcp_server_t *server = mcp_server_new("changing", "1", port, harness_tools);
  if (server != NULL && mcp_server_set_log_url(server, NULL) == 0 &&
      mcp_server_start(server, harness->loop) == 0)
    return server;
  REQUIRE(!harness->faultless, "no server");
  mcp_server_free(server);
  return NULL;
}

static int changing_port;

static void know_each_other(harness_t *harness) {
  request_t request;
  changing = start_changing(harness, 0);
  changing_port = mcp_server_port(changing);
  client = harness_client(harness, "127.0.0.1", changing);
  harness_call(client, "echo", NULL, 0, &request);
  expect_all(harness, &request, 1);
}

static void go_and_come_back(harness_t *harness) {
  request_t requests[2];
  harness_call(client, "hold", NULL, 0, &requests[0]);
  harness_iterate();
  harness_stop_server(changing);
  harness_wait(requests, 1);
  REQUIRE(!harness_request_succeeded(&requests[0]), "nobody answered it");
  changing = start_changing(harness, changing_port);
  if (changing == NULL) /* a single fault is not permanent */
    changing = start_changing(harness, changing_port);
  if (changing == NULL)
    return;
  harness_call(client, "echo", NULL, 10000, &requests[1]);
  expect_all(harness, requests + 1, 1);
}

static void end_changing(harness_t *harness) {
  request_t request;
  if (changing == NULL)
    changing = start_changing(harness, changing_port);
  harness_call(client, "echo", NULL, 0, &request);
  expect_all(harness, &request, 1);
  harness_close_client(client);
  harness_stop_server(changing);
}

/* ---- TLS ----------------------------------------------------------------------------------------------- */

static const char *file(const char *name) {
  static char paths[4][256];
  static unsigned next;
  char *path = paths[next++ % 4];
  snprintf(path, sizeof paths[0], "%s/%s", harness_files, name);
  return path;
}

static mcp_server_t *make_secured(harness_t *harness, int port) {
  mcp_server_t *server = mcp_server_new("secured", "1", port, harness_tools);
  int status = server != NULL ? mcp_server_set_log_url(server, NULL) : UV_ENOMEM;
  if (status == 0)
    status = mcp_server_set_tls(server, file("good.pem"), file("key.pem"));
  REQUIRE(status == 0 || (!harness->faultless && *mcp_last_error() != '\0'), "no secured server: %s",
          mcp_last_error());
  if (status == 0)
    return server;
  mcp_server_free(server);
  return NULL;
}

static mcp_client_t *make_secured_client(harness_t *harness, int port) {
  char url[64];
  snprintf(url, sizeof url, "wss://127.0.0.1:%d/", port);
  setenv("ICCM_TLS_CA", file("self_signed.pem"), 1); /* faster than loading the system's trust store */
  mcp_client_t *made = harness_client_at(harness, url);
  unsetenv("ICCM_TLS_CA");
  int status = made != NULL ? mcp_client_set_tls_ca(made, file("ca.pem")) : UV_ENOMEM;
  REQUIRE(status == 0 || (!harness->faultless && *mcp_last_error() != '\0'), "no client: %s",
          mcp_last_error());
  if (status == 0)
    return made;
  mcp_client_free(made);
  return NULL;
}

/* Only here are certificates and trust stores read under faults: OpenSSL ignores an allocation that fails
 * while it sets up a context, and the context then offers fewer algorithms for its whole life. */
static void read_certificates(harness_t *harness) {
  mcp_server_free(make_secured(harness, 0));
  mcp_client_free(make_secured_client(harness, 1));
}

static mcp_server_t *secured, *next_secured;
static int secured_port;

static void begin_secured(harness_t *harness) {
  secured = make_secured(harness, 0);
  REQUIRE(mcp_server_start(secured, harness->loop) == 0, "no secured server");
  secured_port = mcp_server_port(secured);
  client = make_secured_client(harness, secured_port);
}

static void call_secured(harness_t *harness) {
  request_t requests[2];
  char *json = large();
  harness_call(client, "echo", "{\"name\":\"a\"}", 0, &requests[0]);
  harness_call(client, "echo", json, 0, &requests[1]);
  free(json);
  expect_all(harness, requests, 2);
}

static void end_secured(harness_t *harness) {
  request_t requests[2];
  mcp_client_t *newcomer = make_secured_client(harness, secured_port);
  harness_call(client, "echo", NULL, 0, &requests[0]);
  harness_call(newcomer, "echo", NULL, 0, &requests[1]);
  expect_all(harness, requests, 2);
  harness_close_client(newcomer);
  harness_close_client(client);
  harness_stop_server(secured);
}

static void know_each_other_secured(harness_t *harness) {
  request_t request;
  begin_secured(harness);
  harness_call(client, "echo", NULL, 0, &request);
  expect_all(harness, &request, 1);
}

static void know_each_other_and_next(harness_t *harness) {
  know_each_other_secured(harness);
  next_secured = make_secured(harness, secured_port);
}

/* A single fault is not permanent. */
static void start_next_secured(harness_t *harness) {
  for (int i = 0; i < 2; i++)
    if (mcp_server_start(next_secured, harness->loop) == 0) {
      secured = next_secured;
      return;
    }
  harness_iterate(); /* closes open connections */
}

static void come_back_secured(harness_t *harness) {
  request_t requests[2];
  harness_call(client, "hold", NULL, 0, &requests[0]);
  harness_iterate();
  harness_stop_server(secured);
  secured = NULL;
  harness_wait(requests, 1);
  REQUIRE(!harness_request_succeeded(&requests[0]), "nobody answered it");
  start_next_secured(harness);
  if (secured == NULL)
    return;
  harness_call(client, "echo", NULL, 10000, &requests[1]);
  expect_all(harness, requests + 1, 1);
}

static void end_next_secured(harness_t *harness) {
  if (secured == NULL)
    start_next_secured(harness);
  REQUIRE(secured != NULL, "the server does not start after the fault");
  end_secured(harness);
}

/* A file that cannot be read changes nothing; existing connections stay open. */
static void read_again(harness_t *harness) {
  request_t request;
  mcp_server_reload_tls(secured);
  harness_call(client, "echo", NULL, 0, &request);
  expect_all(harness, &request, 1);
}

static void read_once_more(harness_t *harness) {
  mcp_server_reload_tls(secured);
  end_secured(harness);
}

static void start_to_ship_secured(harness_t *harness) {
  setenv("ICCM_TLS_CA", file("ca.pem"), 1);
  start_shipper_to(harness, "wss", secured);
  unsetenv("ICCM_TLS_CA");
  ship_and_stop(harness);
}

const scenario_t scenarios[] = {
    {"server", true, false, NULL, live, NULL},
    {"origin", true, false, NULL, admit_origin, NULL},
    {"name", true, false, NULL, call_from_name, NULL},
    {"calls", false, false, NULL, call_all, NULL},
    {"progress", false, true, NULL, hear_progress, NULL},
    {"tools", false, false, NULL, hear_of_tools, remove_late},
    {"children", true, true, NULL, call_through, NULL},
    {"pool", true, true, NULL, ask_from_pool, NULL},
    {"loopless", true, true, NULL, call_from_a_thread, NULL},
    {"giving up", false, false, NULL, give_up, NULL},
    {"log", false, true, NULL, start_to_ship, NULL},
    {"shipping", false, true, ship_three, ship_more, still_ship},
    {"descriptors", false, false, keep_a_socket, run_out_of_descriptors, close_socket},
    {"pages", false, false, NULL, ask_pages, ask_pages_again},
    {"token", false, false, start_guarded, show_token, stop_guarded},
    {"HTTP calls", true, false, NULL, call_over_http, NULL},
    {"HTTP session", true, false, NULL, live_session, NULL},
    {"HTTP listen", true, false, NULL, subscribe_over_http, remove_late},
    {"coming back", false, false, know_each_other, go_and_come_back, end_changing},
    {"certificate", false, false, NULL, read_certificates, NULL, true},
    {"secured", false, false, begin_secured, call_secured, end_secured, true},
    {"back secured", false, false, know_each_other_and_next, come_back_secured, end_next_secured, true},
    {"read again", false, false, know_each_other_secured, read_again, read_once_more, true},
    {"log secured", false, true, begin_secured, start_to_ship_secured, end_secured, true},
};
const size_t scenario_count = sizeof scenarios / sizeof *scenarios;
