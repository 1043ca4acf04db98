/* scenarios.c: what is played while something fails. Whatever fails, requests end (play.c sees to that);
 * without a fault all of them succeed. */
#include "play.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static void expect_all(const play_t *play, const request_t *requests, size_t count) {
  play_wait(requests, count);
  for (size_t i = 0; i < count && play->faultless; i++)
    REQUIRE(play_succeeded(&requests[i]), "request %zu: %d %s", i, requests[i].status, requests[i].message);
}

static void expect_status(const play_t *play, const request_t *request, int status) {
  REQUIRE(!play->faultless || request->status == status, "%d instead of %d: %s", request->status, status,
          request->message);
}

/* ---- a server's life ----------------------------------------------------------------------------------- */

static void live(play_t *play) {
  mcp_tool_t tool = play_tools[0];
  mcp_server_t *server = mcp_server_new("brief", "1", 0, play_tools);
  REQUIRE(server != NULL || *mcp_last_error() != '\0', "no server, and no words");
  REQUIRE(server != NULL || !play->faultless, "%s", mcp_last_error());
  if (server == NULL)
    return;
  tool.name = "late";
  mcp_server_set_log_url(server, NULL);
  mcp_server_set_auth_token(server, "secret");
  mcp_server_set_allowed_origins(server, "https://here.example");
  mcp_server_set_allowed_hosts(server, "here.example");
  mcp_server_set_max_connects_per_second(server, 10);
  mcp_server_set_dependency(server, "store", "not there");
  mcp_server_set_dependency(server, "store", NULL);
  mcp_metric_add(mcp_server_metric(server, MCP_COUNTER, "brief_total", "Calls.", "kind"), "a", 1);
  int status = mcp_server_start(server, play->loop);
  REQUIRE(*mcp_strerror(status) != '\0', "status %d has no words", status);
  REQUIRE(status == 0 || !play->faultless, "%s", mcp_strerror(status));
  mcp_server_add_tool(server, &tool);
  mcp_server_remove_tool(server, "late");
  play_turn();
  play_stop(server);
}

/* What a server was told by its environment it keeps, or it is not made. */
static void admit_origin(play_t *play) {
  static char answer[1024];
  setenv("ICCM_ALLOWED_ORIGINS", "https://here.example", 1);
  setenv("ICCM_ALLOWED_HOSTS", "server.example", 1);
  mcp_server_t *server = mcp_server_new("admits", "1", 0, play_tools);
  unsetenv("ICCM_ALLOWED_ORIGINS");
  unsetenv("ICCM_ALLOWED_HOSTS");
  REQUIRE(server != NULL || (*mcp_last_error() != '\0' && !play->faultless), "no server: %s",
          mcp_last_error());
  bool runs = server != NULL && mcp_server_set_log_url(server, NULL) == 0 &&
              mcp_server_start(server, play->loop) == 0;
  if (runs)
    play_http(server, "GET / HTTP/1.1\r\nHost: server.example\r\nOrigin: https://here.example\r\n\r\n",
              answer, sizeof answer);
  REQUIRE(!runs || strstr(answer, " 403 ") == NULL, "%.80s", answer);
  play_stop(server);
}

/* ---- calls --------------------------------------------------------------------------------------------- */

static mcp_client_t *client;

static void call_from_name(play_t *play) {
  request_t requests[2];
  client = play_client(play, "localhost", play->server);
  play_call(client, "echo", "{\"name\":\"a\"}", 0, &requests[0]);
  play_list(client, &requests[1]);
  expect_all(play, requests, 2);
  REQUIRE(requests[1].status != MCP_ETOOBIG, "a list of few tools is told to be large");
  play_close(client);
}

static char *large(void) {
  char *json = malloc(300010);
  memset(json, 'x', 300008);
  memcpy(json, "{\"text\":\"", 9);
  memcpy(json + 300007, "\"}", 3);
  return json;
}

#define NESTED "{\"a\":[{\"b\":[1,2.5,null,{\"c\":{\"d\":[[[[\"\\u00fc\"]]]]}}]},true]}"

static void call_all(play_t *play) {
  request_t requests[10];
  char *json = large();
  client = play_client(play, "127.0.0.1", play->server);
  if (client != NULL)
    mcp_client_set_trace_id(client, "trace-1");
  play_call(client, "echo", json, 0, &requests[0]);
  play_call(client, "echo", NESTED, 0, &requests[1]);
  play_call(client, "strict", "{\"name\":\"abc\",\"list\":[1,2,3]}", 0, &requests[2]);
  play_call(client, "content", "{\"n\":1}", 0, &requests[3]);
  play_request(client, "ping", NULL, &requests[4]);
  play_list(client, &requests[5]);
  play_call(client, "strict", "{\"name\":\"ABC\"}", 0, &requests[6]);
  play_call(client, "fail", NULL, 0, &requests[7]);
  play_call(client, "error", NULL, 0, &requests[8]);
  play_call(client, "none", NULL, 0, &requests[9]);
  free(json);
  expect_all(play, requests, 6);
  play_wait(requests, 10);
  expect_status(play, &requests[6], MCP_INVALID_PARAMS);
  expect_status(play, &requests[7], -32042);
  REQUIRE(!play->faultless || requests[8].message[0] != '\0', "no error");
  expect_status(play, &requests[9], MCP_METHOD_NOT_FOUND);
  play_close(client);
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

static void hear_progress(play_t *play) {
  request_t requests[3];
  notes = 0;
  client = play_client(play, "127.0.0.1", play->server);
  if (client != NULL)
    mcp_client_on_notification(client, on_note, NULL);
  play_request(client, "tools/call",
               "{\"name\":\"progress\",\"arguments\":{},\"_meta\":{\"progressToken\":7}}", &requests[0]);
  play_request(client, "tools/call", "{\"name\":\"block\",\"arguments\":{},\"_meta\":{\"progressToken\":8}}",
               &requests[1]);
  play_call(client, "progress", NULL, 0, &requests[2]);
  expect_all(play, requests, 3);
  REQUIRE(!play->faultless || notes >= 2, "%u notifications", notes);
  REQUIRE(!play->faultless || requests[2].reports >= 1, "no report");
  play_close(client);
}

static void hear_of_tools(play_t *play) {
  request_t requests[2];
  mcp_tool_t tool = play_tools[0];
  tool.name = "late";
  notes = 0;
  client = play_client(play, "127.0.0.1", play->server);
  if (client != NULL)
    mcp_client_on_notification(client, on_note, NULL);
  play_request(client, "initialize", INITIALIZE, &requests[0]);
  expect_all(play, requests, 1);
  int status = mcp_server_add_tool(play->server, &tool);
  REQUIRE(status == 0 || !play->faultless, "%s", mcp_strerror(status));
  play_call(client, "late", NULL, 0, &requests[0]);
  expect_all(play, requests, 1);
  REQUIRE(status != 0 || mcp_server_remove_tool(play->server, "late") == 0 || !play->faultless, "it stays");
  play_list(client, &requests[1]);
  expect_all(play, requests + 1, 1);
  REQUIRE(!play->faultless || notes >= 2, "%u notifications", notes);
  play_close(client);
}

static void remove_late(play_t *play) {
  mcp_server_remove_tool(play->server, "late"); /* where it could not be removed then */
}

static void call_through(play_t *play) {
  request_t requests[3];
  play_upstream = play_client(play, "127.0.0.1", play->server);
  client = play_client(play, "127.0.0.1", play->server);
  play_call(client, "relay", "{\"name\":\"a\"}", 0, &requests[0]);
  play_call(client, "relay", NULL, 0, &requests[1]);
  play_call(client, "block", "{\"name\":\"a\"}", 0, &requests[2]);
  expect_all(play, requests, 3);
  play_close(client);
  play_close(play_upstream);
  play_upstream = NULL;
}

static void ask_from_pool(play_t *play) {
  request_t request;
  char args[64];
  snprintf(args, sizeof args, "{\"url\":\"ws://127.0.0.1:%d\"}", mcp_server_port(play->server));
  client = play_client(play, "127.0.0.1", play->server);
  play_call(client, "ask", args, 0, &request);
  expect_all(play, &request, 1);
  play_close(client);
}

/* A program without a loop, which is a thread here. */
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
    int status = mcp_sync_client_call(sync, "progress", play_json("{}"), &options, &answer);
    REQUIRE(status != 0 || answer != NULL, "no answer");
    REQUIRE(status == 0 || (*mcp_last_error() != '\0' && !loopless->faultless), "%d: %s", status,
            mcp_last_error());
    yyjson_doc_free(answer);
  }
  mcp_sync_client_free(sync);
  atomic_store(&loopless->done, true);
}

static void call_from_a_thread(play_t *play) {
  uv_thread_t thread;
  loopless_t loopless = {.faultless = play->faultless};
  snprintf(loopless.url, sizeof loopless.url, "ws://127.0.0.1:%d", mcp_server_port(play->server));
  if (uv_thread_create(&thread, call_without_a_loop, &loopless) != 0)
    return;
  PLAY_UNTIL(atomic_load(&loopless.done));
  uv_thread_join(&thread);
  REQUIRE(!play->faultless || loopless.reports >= 2, "%u reports", loopless.reports);
}

static void give_up(play_t *play) {
  request_t requests[3];
  client = play_client(play, "127.0.0.1", play->server);
  play_call(client, "hold", NULL, 200, &requests[0]);
  play_call(client, "hold", NULL, 0, &requests[1]);
  play_call(client, "echo", NULL, 0, &requests[2]);
  play_wait(&requests[2], 1);
  if (requests[1].made)
    mcp_client_cancel(client, requests[1].id);
  play_wait(requests, 3);
  expect_status(play, &requests[0], MCP_ETIMEOUT);
  expect_status(play, &requests[1], MCP_ECANCELED);
  play_call(client, "hold", NULL, 0, &requests[0]);
  play_close(client); /* which ends the call */
  REQUIRE(!requests[0].made || requests[0].fired == 1, "a call outlived its client");
}

/* ---- the log ------------------------------------------------------------------------------------------- */

static mcp_server_t *shipper;

static void log_three(void) {
  yyjson_mut_doc *data = play_json("{\"password\":\"x\",\"n\":[1,2]}");
  for (int i = 0; i < 3; i++)
    mcp_log_data(MCP_LOG_INFO, "shipper", "trace", yyjson_mut_doc_get_root(data), "line %d", i);
  yyjson_mut_doc_free(data);
}

static bool start_shipper_to(play_t *play, const char *scheme, const mcp_server_t *server) {
  char url[64];
  snprintf(url, sizeof url, "%s://127.0.0.1:%d", scheme, mcp_server_port(server));
  shipper = mcp_server_new("shipper", "1", 0, play_tools);
  bool runs = shipper != NULL && mcp_server_set_log_url(shipper, url) == 0 &&
              mcp_server_start(shipper, play->loop) == 0;
  REQUIRE(runs || !play->faultless, "no server: %s", mcp_last_error());
  return runs;
}

static bool start_shipper(play_t *play) {
  return start_shipper_to(play, "ws", play->server);
}

static void ship_and_stop(play_t *play) {
  play_lines = 0;
  log_three();
  if (play->faultless)
    PLAY_UNTIL(play_lines >= 3);
  for (int i = 0; i < 20; i++)
    play_turn();
  play_stop(shipper);
}

static void start_to_ship(play_t *play) {
  start_shipper(play);
  ship_and_stop(play);
}

static void ship_three(play_t *play) {
  start_shipper(play);
  play_lines = 0;
  log_three();
  PLAY_UNTIL(play_lines >= 3);
}

/* Each line comes sooner or later, but for those that nothing could hold. */
static void ship_more(play_t *play) {
  play_lines = 0;
  log_three();
  for (int i = 0; i < 20; i++)
    play_turn();
  if (play->faultless)
    PLAY_UNTIL(play_lines >= 3);
}

static void still_ship(play_t *play) {
  (void)play;
  unsigned before = play_lines;
  log_three();
  PLAY_UNTIL(play_lines >= before + 3);
  play_stop(shipper);
}

/* ---- no descriptor left -------------------------------------------------------------------------------- */

static int waiting_socket;

static void keep_a_socket(play_t *play) {
  (void)play;
  waiting_socket = (int)syscall(SYS_socket, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
}

/* Neither the server gets one for whom it should accept, nor the client one to connect with; the bystander
 * has his. */
static void run_out_of_descriptors(play_t *play) {
  request_t request;
  struct rlimit limit, none;
  faults_disarm(); /* this is the fault, and there is no other */
  int lowest = (int)syscall(SYS_dup, STDIN_FILENO);
  syscall(SYS_close, lowest);
  getrlimit(RLIMIT_NOFILE, &limit);
  none = limit;
  none.rlim_cur = (rlim_t)lowest;
  REQUIRE(lowest > 0 && setrlimit(RLIMIT_NOFILE, &none) == 0, "no limit");
  play_begin_connect(waiting_socket, play->server);
  client = play_client(play, "127.0.0.1", play->server);
  play_call(client, "echo", NULL, 0, &request);
  uint64_t end_ns =
      uv_hrtime() + UINT64_C(500000000); /* what the client waits for then grows with each attempt */
  for (int i = 0; i < 60 && uv_hrtime() < end_ns; i++)
    play_turn();
  REQUIRE(!request.made || request.fired == 0, "connected without a descriptor: %s", request.message);
  setrlimit(RLIMIT_NOFILE, &limit);
  expect_all(play, &request, 1);
  play_close(client);
}

static void close_socket(play_t *play) {
  (void)play;
  syscall(SYS_close, waiting_socket);
}

/* ---- plain HTTP, and the token ------------------------------------------------------------------------- */

static void expect_http(const play_t *play, const mcp_server_t *server, const char *request,
                        const char *status) {
  static char answer[1 << 16];
  play_http(server, request, answer, sizeof answer);
  bool proper = strncmp(answer, "HTTP/1.1 ", 9) == 0;
  REQUIRE(proper || !play->faultless, "%s: %.80s", request, answer);
  REQUIRE(!play->faultless || strncmp(answer + 9, status, 3) == 0, "%s: %.80s", request, answer);
}

static void ask_pages(play_t *play) {
  mcp_server_set_dependency(play->server, "store", "away");
  expect_http(play, play->server, "GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n", "503");
  mcp_server_set_dependency(play->server, "store", NULL);
  expect_http(play, play->server, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", "200");
  expect_http(play, play->server, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", "200");
  expect_http(play, play->server, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "200");
  expect_http(play, play->server, "PUT / HTTP/1.1\r\nHost: a\r\n\r\n", "405");
}

static void ask_pages_again(play_t *play) {
  mcp_server_set_dependency(play->server, "store", NULL);
  expect_http(play, play->server, "GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n", "200");
  expect_http(play, play->server, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", "200");
}

static mcp_server_t *guarded;

static void start_guarded(play_t *play) {
  guarded = mcp_server_new("guarded", "1", 0, play_tools);
  REQUIRE(guarded != NULL && mcp_server_set_auth_token(guarded, "secret") == 0, "no guarded server");
  mcp_server_set_log_url(guarded, NULL);
  REQUIRE(mcp_server_start(guarded, play->loop) == 0, "no guarded server");
}

static void show_token(play_t *play) {
  static const char *const tokens[] = {"secret", "wrong", NULL};
  for (int i = 0; i < 3; i++) {
    request_t request;
    client = play_client(play, "127.0.0.1", guarded);
    int status = client != NULL ? mcp_client_set_auth_token(client, tokens[i]) : 0;
    REQUIRE(status == 0 || !play->faultless, "%s", mcp_strerror(status));
    if (client != NULL)
      mcp_client_set_fail_fast(client, true);
    play_call(client, "echo", NULL, 0, &request);
    play_wait(&request, 1);
    expect_status(play, &request, i == 0 ? 0 : MCP_EREFUSED);
    REQUIRE(i == 0 || !play_succeeded(&request), "served without the token");
    play_close(client);
  }
  expect_http(play, guarded, "GET /metrics HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer secret\r\n\r\n",
              "200");
  expect_http(play, guarded, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", "401");
}

static void stop_guarded(play_t *play) {
  expect_http(play, guarded, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", "200"); /* it listens again */
  show_token(play);
  play_stop(guarded);
}

/* ---- a server that goes and comes back ----------------------------------------------------------------- */

static mcp_server_t *changing;

static mcp_server_t *start_changing(play_t *play, int port) {
  mcp_server_t *server = mcp_server_new("changing", "1", port, play_tools);
  if (server != NULL && mcp_server_set_log_url(server, NULL) == 0 &&
      mcp_server_start(server, play->loop) == 0)
    return server;
  REQUIRE(!play->faultless, "no server");
  mcp_server_free(server);
  return NULL;
}

static int changing_port;

static void know_each_other(play_t *play) {
  request_t request;
  changing = start_changing(play, 0);
  changing_port = mcp_server_port(changing);
  client = play_client(play, "127.0.0.1", changing);
  play_call(client, "echo", NULL, 0, &request);
  expect_all(play, &request, 1);
}

static void go_and_come_back(play_t *play) {
  request_t requests[2];
  play_call(client, "hold", NULL, 0, &requests[0]);
  play_turn();
  play_stop(changing);
  play_wait(requests, 1);
  REQUIRE(!play_succeeded(&requests[0]), "nobody answered it");
  changing = start_changing(play, changing_port);
  if (changing == NULL) /* one fault does not last */
    changing = start_changing(play, changing_port);
  if (changing == NULL)
    return;
  play_call(client, "echo", NULL, 10000, &requests[1]);
  expect_all(play, requests + 1, 1);
}

static void end_changing(play_t *play) {
  request_t request;
  if (changing == NULL)
    changing = start_changing(play, changing_port);
  play_call(client, "echo", NULL, 0, &request);
  expect_all(play, &request, 1);
  play_close(client);
  play_stop(changing);
}

/* ---- TLS ----------------------------------------------------------------------------------------------- */

static const char *file(const char *name) {
  static char paths[4][256];
  static unsigned next;
  char *path = paths[next++ % 4];
  snprintf(path, sizeof paths[0], "%s/%s", play_files, name);
  return path;
}

static mcp_server_t *make_secured(play_t *play, int port) {
  mcp_server_t *server = mcp_server_new("secured", "1", port, play_tools);
  int status = server != NULL ? mcp_server_set_log_url(server, NULL) : UV_ENOMEM;
  if (status == 0)
    status = mcp_server_set_tls(server, file("good.pem"), file("key.pem"));
  REQUIRE(status == 0 || (!play->faultless && *mcp_last_error() != '\0'), "no secured server: %s",
          mcp_last_error());
  if (status == 0)
    return server;
  mcp_server_free(server);
  return NULL;
}

static mcp_client_t *make_secured_client(play_t *play, int port) {
  char url[64];
  snprintf(url, sizeof url, "wss://127.0.0.1:%d/", port);
  setenv("ICCM_TLS_CA", file("self_signed.pem"), 1); /* quicker than whom the machine trusts */
  mcp_client_t *made = play_client_at(play, url);
  unsetenv("ICCM_TLS_CA");
  int status = made != NULL ? mcp_client_set_tls_ca(made, file("ca.pem")) : UV_ENOMEM;
  REQUIRE(status == 0 || (!play->faultless && *mcp_last_error() != '\0'), "no client: %s", mcp_last_error());
  if (status == 0)
    return made;
  mcp_client_free(made);
  return NULL;
}

/* Who they are and whom they trust is read under faults here alone: OpenSSL forgives itself an allocation
 * that failed then, and makes do with fewer algorithms as long as the context lives. */
static void read_certificates(play_t *play) {
  mcp_server_free(make_secured(play, 0));
  mcp_client_free(make_secured_client(play, 1));
}

static mcp_server_t *secured, *next_secured;
static int secured_port;

static void begin_secured(play_t *play) {
  secured = make_secured(play, 0);
  REQUIRE(mcp_server_start(secured, play->loop) == 0, "no secured server");
  secured_port = mcp_server_port(secured);
  client = make_secured_client(play, secured_port);
}

static void call_secured(play_t *play) {
  request_t requests[2];
  char *json = large();
  play_call(client, "echo", "{\"name\":\"a\"}", 0, &requests[0]);
  play_call(client, "echo", json, 0, &requests[1]);
  free(json);
  expect_all(play, requests, 2);
}

static void end_secured(play_t *play) {
  request_t requests[2];
  mcp_client_t *newcomer = make_secured_client(play, secured_port);
  play_call(client, "echo", NULL, 0, &requests[0]);
  play_call(newcomer, "echo", NULL, 0, &requests[1]);
  expect_all(play, requests, 2);
  play_close(newcomer);
  play_close(client);
  play_stop(secured);
}

static void know_each_other_secured(play_t *play) {
  request_t request;
  begin_secured(play);
  play_call(client, "echo", NULL, 0, &request);
  expect_all(play, &request, 1);
}

static void know_each_other_and_next(play_t *play) {
  know_each_other_secured(play);
  next_secured = make_secured(play, secured_port);
}

/* One fault does not last. */
static void start_next_secured(play_t *play) {
  for (int i = 0; i < 2; i++)
    if (mcp_server_start(next_secured, play->loop) == 0) {
      secured = next_secured;
      return;
    }
  play_turn(); /* closes what was open */
}

static void come_back_secured(play_t *play) {
  request_t requests[2];
  play_call(client, "hold", NULL, 0, &requests[0]);
  play_turn();
  play_stop(secured);
  secured = NULL;
  play_wait(requests, 1);
  REQUIRE(!play_succeeded(&requests[0]), "nobody answered it");
  start_next_secured(play);
  if (secured == NULL)
    return;
  play_call(client, "echo", NULL, 10000, &requests[1]);
  expect_all(play, requests + 1, 1);
}

static void end_next_secured(play_t *play) {
  if (secured == NULL)
    start_next_secured(play);
  REQUIRE(secured != NULL, "it does not start, though nothing fails any more");
  end_secured(play);
}

/* What cannot be read leaves all as it was; who is connected stays. */
static void read_again(play_t *play) {
  request_t request;
  kill(getpid(), SIGHUP);
  play_turn();
  play_call(client, "echo", NULL, 0, &request);
  expect_all(play, &request, 1);
}

static void read_once_more(play_t *play) {
  kill(getpid(), SIGHUP);
  play_turn();
  end_secured(play);
}

static void start_to_ship_secured(play_t *play) {
  setenv("ICCM_TLS_CA", file("ca.pem"), 1);
  start_shipper_to(play, "wss", secured);
  unsetenv("ICCM_TLS_CA");
  ship_and_stop(play);
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
    {"coming back", false, false, know_each_other, go_and_come_back, end_changing},
    {"certificate", false, false, NULL, read_certificates, NULL, true},
    {"secured", false, false, begin_secured, call_secured, end_secured, true},
    {"back secured", false, false, know_each_other_and_next, come_back_secured, end_next_secured, true},
    {"read again", false, false, know_each_other_secured, read_again, read_once_more, true},
    {"log secured", false, true, begin_secured, start_to_ship_secured, end_secured, true},
};
const size_t scenario_count = sizeof scenarios / sizeof *scenarios;
