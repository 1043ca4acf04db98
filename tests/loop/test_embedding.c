/* test_embedding.c: a program that drives the library's loop by another event loop, which polls
 * uv_backend_fd() for uv_backend_timeout() at most; and a program that keeps its signals.
 *
 * A turn that waits until a timer is due has missed something: the ticks of the server come twice a second.
 */
#include "fixture.h"

#include <certificates.h>
#include <fcntl.h>
#include <iccm_service.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wait_limit.h>

enum { SHORT_MS = 50 }; /* timers of a few ms are part of the work; ticks are longer */

static uv_loop_t loop;
static unsigned long waited_ms; /* in vain, until a timer was due */

static void turn(void) {
  struct pollfd ready = {.fd = uv_backend_fd(&loop), .events = POLLIN};
  int timeout = uv_backend_timeout(&loop);
  if (poll(&ready, 1, timeout) == 0 && timeout > 0)
    waited_ms += (unsigned long)timeout;
  uv_run(&loop, UV_RUN_NOWAIT);
}

#define TURN_UNTIL(condition)                                                                                \
  do {                                                                                                       \
    uint64_t began_ms = fixture_real_clock_ms();                                                             \
    while (!(condition)) {                                                                                   \
      cr_assert_lt(fixture_real_clock_ms() - began_ms, wait_limit_ms(), "%s", #condition);                   \
      turn();                                                                                                \
    }                                                                                                        \
  } while (0)

static void now_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  (void)arg;
  mcp_call_reply(call, yyjson_val_mut_copy(mcp_call_doc(call), args));
}

static mcp_client_t *client;

static void on_child(mcp_client_t *from, const mcp_result_t *result, void *arg) {
  (void)from;
  mcp_call_reply_text(arg, result->text, result->text_len);
}

static void relay_tool(mcp_call_t *call, yyjson_val *args, void *arg) {
  const mcp_call_options_t options = {.timeout_ms = LONG_TIMEOUT_MS, .parent = call};
  (void)args, (void)arg;
  cr_assert_eq(mcp_client_call(client, "now", NULL, &options, on_child, call), 0);
}

static const mcp_tool_t tools[] = {
    {.name = "now", .handler = now_tool},
    {.name = "block", .handler = now_tool, .flags = MCP_TOOL_BLOCKING},
    {.name = "relay", .handler = relay_tool},
    MCP_TOOL_END,
};

static mcp_server_t *new_server(void) {
  mcp_server_t *server = mcp_server_new("embedding", "1", 0, tools);
  cr_assert_not_null(server, "%s", mcp_last_error());
  cr_assert_eq(mcp_server_set_log_url(server, NULL), 0);
  return server;
}

static void call(const char *tool) {
  call_record_t record = {0};
  const mcp_call_options_t options = {.timeout_ms = LONG_TIMEOUT_MS};
  cr_assert_eq(mcp_client_call(client, tool, NULL, &options, record_result, &record), 0);
  TURN_UNTIL(record.fired > 0);
  cr_assert_eq(record.status, 0, "%s", record.message);
}

static void on_client_closed(mcp_client_t *closed, void *arg) {
  mcp_client_free(closed);
  *(bool *)arg = true;
}

static void close_client(void) {
  bool closed = false;
  cr_assert_eq(mcp_client_close(client, on_client_closed, &closed), 0);
  TURN_UNTIL(closed);
}

static void stop(mcp_server_t *server) {
  cr_assert_eq(mcp_server_stop(server, test_server_on_stopped, NULL), 0);
  TURN_UNTIL(test_server.stopped);
  mcp_server_free(server);
  TURN_UNTIL(uv_loop_close(&loop) == 0);
}

static void connect_call_and_close(const char *scheme, mcp_server_t *server) {
  char url[64];
  cr_assert_eq(mcp_server_start(server, &loop), 0);
  snprintf(url, sizeof url, "%s://127.0.0.1:%d", scheme, mcp_server_port(server));
  client = mcp_client_new(&loop, url);
  cr_assert_not_null(client);
  mcp_client_set_tls_verify(client, false);
  waited_ms = 0;
  for (int i = 0; i < 3; i++) {
    call("now");
    call("block");
    call("relay");
  }
  close_client();
  cr_expect_lt(waited_ms, SHORT_MS, "%lu ms", waited_ms);
  stop(server);
}

Test(embedding, websocket_never_waits_for_a_timer) {
  cr_assert_eq(uv_loop_init(&loop), 0);
  connect_call_and_close("ws", new_server());
}

Test(embedding, http_never_waits_for_a_timer) {
  cr_assert_eq(uv_loop_init(&loop), 0);
  connect_call_and_close("http", new_server());
}

static char directory[] = "/tmp/iccm-embedding-XXXXXX";

static const char *file(const char *name) {
  static char paths[2][128];
  static unsigned next;
  char *path = paths[next++ % 2];
  snprintf(path, sizeof *paths, "%s/%s", directory, name);
  return path;
}

static mcp_server_t *new_tls_server(void) {
  cr_assert_not_null(mkdtemp(directory));
  make_certificates(directory);
  mcp_server_t *server = new_server();
  cr_assert_eq(mcp_server_set_tls(server, file("good.pem"), file("key.pem")), 0, "%s", mcp_last_error());
  return server;
}

Test(embedding, tls_never_waits_for_a_timer) {
  cr_assert_eq(uv_loop_init(&loop), 0);
  connect_call_and_close("wss", new_tls_server());
  remove_certificates(directory);
}

static bool can_read(int fd, char *text, size_t size) {
  ssize_t len = read(fd, text, size - 1);
  if (len < 0)
    return false;
  text[len] = '\0';
  return true;
}

static volatile sig_atomic_t signalled;

static void on_signal(int number) {
  signalled = number;
}

Test(embedding, stdio_never_waits_for_a_timer) {
  static const char call[] =
      "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"block\"}}\n";
  int in[2], out[2];
  char text[512];
  cr_assert(pipe(in) == 0 && pipe(out) == 0 && fcntl(out[0], F_SETFL, O_NONBLOCK) == 0);
  cr_assert(dup2(in[0], STDIN_FILENO) == STDIN_FILENO && dup2(out[1], STDOUT_FILENO) == STDOUT_FILENO);
  close(in[0]);
  setenv("ICCM_TRANSPORT", "stdio", 1);
  signal(SIGTERM, on_signal);
  cr_assert_eq(uv_loop_init(&loop), 0);
  mcp_server_t *server = new_server();
  cr_assert_eq(mcp_server_start(server, &loop), 0);
  waited_ms = 0;
  for (int i = 0; i < 3; i++) {
    cr_assert_eq(write(in[1], call, sizeof call - 1), sizeof call - 1);
    TURN_UNTIL(can_read(out[0], text, sizeof text));
    cr_expect(strstr(text, "\"id\":1") != NULL, "%s", text);
  }
  close(in[1]);
  TURN_UNTIL(signalled == SIGTERM);
  cr_expect_lt(waited_ms, SHORT_MS, "%lu ms", waited_ms);
  stop(server);
}

/* ---- signals and certificates ------------------------------------------------------------------------ */

static mcp_server_t *start_tls_server(void) {
  fixture_setup();
  mcp_server_t *server = new_tls_server();
  signal(SIGHUP, on_signal);
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  return server;
}

static void end_tls_server(mcp_server_t *server) {
  test_server_stop(server);
  remove_certificates(directory);
  fixture_teardown();
}

Test(embedding, sighup_belongs_to_the_program) {
  mcp_server_t *server = start_tls_server();
  raise(SIGHUP);
  cr_expect_eq(signalled, SIGHUP);
  fixture_run_ms(50);
  cr_expect_not(fixture_logged("certificate reloaded"));
  end_tls_server(server);
}

Test(embedding, sighup_reloads_where_a_service_wants_it) {
  fixture_setup();
  mcp_server_t *server = new_tls_server();
  cr_expect_eq(mcp_server_reload_tls_on_sighup(server), MCP_ESTATE);
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
  cr_expect_eq(mcp_server_reload_tls_on_sighup(server), 0);
  cr_expect_eq(mcp_server_reload_tls_on_sighup(server), 0, "once more is the same");
  raise(SIGHUP);
  RUN_UNTIL(fixture_logged("certificate reloaded"));
  end_tls_server(server);
}

Test(embedding, certificates_are_reloaded_on_request) {
  mcp_server_t *server = start_tls_server();
  cr_expect_eq(mcp_server_reload_tls(server), 0);
  cr_expect(fixture_logged("embedding: certificate reloaded"));
  cr_assert_eq(truncate(file("good.pem"), 10), 0);
  cr_expect_eq(mcp_server_reload_tls(server), UV_EINVAL);
  cr_expect(strstr(mcp_last_error(), "good.pem") != NULL, "%s", mcp_last_error());
  cr_expect(fixture_logged("cannot reload the certificate, keeping the old one: "));
  end_tls_server(server);
}

Test(embedding, a_server_without_tls_has_nothing_to_reload) {
  fixture_setup();
  mcp_server_t *server = new_server();
  cr_expect_eq(mcp_server_reload_tls(server), MCP_ESTATE);
  mcp_server_free(server);
  fixture_teardown();
}
