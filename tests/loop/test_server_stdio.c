/* test_server_stdio.c: a server on standard input and output, which are pipes of the test here: limits over
 * time, the end of the input on a loop of the program, and memory. tests/system/test_stdio.py has the rest.
 */
#include "fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MIB = 1 << 20, INPUT_SIZE = 1 << 16 };

static mcp_server_t *server;
static int to_server, from_server;
static char input[INPUT_SIZE]; /* received from the server */
static size_t input_len;
static volatile sig_atomic_t terminated;

static void on_sigterm(int number) {
  (void)number;
  terminated = 1;
}

static int keep(int ends[2], int mine, int standard) {
  cr_assert_eq(dup2(ends[!mine], standard), standard);
  close(ends[!mine]);
  cr_assert_eq(fcntl(ends[mine], F_SETFL, O_NONBLOCK), 0);
  return ends[mine];
}

static void take_over(void) {
  int in[2], out[2];
  cr_assert(pipe(in) == 0 && pipe(out) == 0);
  to_server = keep(in, 1, STDIN_FILENO);
  from_server = keep(out, 0, STDOUT_FILENO);
  setenv("ICCM_TRANSPORT", "stdio", 1);
  signal(SIGTERM, on_sigterm);
  fixture_setup();
  server = test_server_new();
}

static void start(void) {
  cr_assert_eq(mcp_server_start(server, &fixture_loop), 0);
}

static void end(void) {
  test_server_stop(server);
  fixture_teardown();
}

static void call(int id, const char *tool, const char *args) {
  char text[256];
  int len = snprintf(text, sizeof text,
                     "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"tools/call\",\"params\":{\"name\":\"%s\","
                     "\"arguments\":%s}}\n",
                     id, tool, args);
  cr_assert_eq(write(to_server, text, (size_t)len), len);
}

/* Whether the server has sent text; reads all available output. */
static bool has_sent(const char *text) {
  ssize_t len = read(from_server, input + input_len, sizeof input - 1 - input_len);
  if (len > 0)
    input_len += (size_t)len;
  input[input_len] = '\0';
  return strstr(input, text) != NULL;
}

Test(server_stdio, a_loop_of_the_program_gets_sigterm_at_the_end_of_the_input) {
  take_over();
  start();
  cr_expect_eq(mcp_server_port(server), 0);
  call(1, "now", "{\"n\":1}");
  RUN_UNTIL(has_sent("\"id\":1,"));
  cr_expect_not(terminated);
  close(to_server);
  RUN_UNTIL(terminated);
  end();
}

Test(server_stdio, calls_at_the_end_of_the_input_have_the_call_timeout) {
  take_over();
  mcp_server_set_call_timeout_ms(server, 600000);
  start();
  call(1, "hold", "{}");
  RUN_UNTIL(test_server.held_count == 1);
  fixture_freeze_clock();
  close(to_server);
  fixture_advance_ms(599000);
  cr_expect_not(terminated || has_sent("timed out"));
  fixture_advance_ms(2000);
  RUN_UNTIL(terminated && has_sent("timed out"));
  test_server_end_held(0);
  end();
}

Test(server_stdio, responses_that_are_not_read_for_30_s_end_it) {
  take_over();
  start();
  call(1, "big", "{\"bytes\":10000000}");
  RUN_UNTIL(has_sent("\"id\":1,"));
  fixture_run_ms(100);
  fixture_freeze_clock();
  fixture_advance_ms(29000);
  cr_expect_not(terminated || fixture_logged("responses are not being read"));
  fixture_advance_ms(2000);
  cr_expect(terminated && fixture_logged("responses are not being read"));
  end();
}

Test(server_stdio, above_32_mib_of_responses_end_it) {
  char *json = malloc(MIB);
  memset(json, 'x', MIB);
  json[0] = json[MIB - 1] = '"';
  take_over();
  start();
  for (int id = 0; id < 40; id++)
    call(id, "hold", "{}");
  RUN_UNTIL(test_server.held_count == 40);
  for (int id = 0; id < 40; id++)
    cr_assert_eq(mcp_call_reply_text(test_server.held[id], json, MIB), 0);
  free(json);
  RUN_UNTIL(terminated);
  cr_expect(fixture_logged("responses are not being read"));
  end();
}

Test(server_stdio, once_in_a_process) {
  take_over();
  start();
  mcp_server_t *second = test_server_new();
  cr_expect_eq(mcp_server_start(second, &fixture_loop), MCP_ESTATE);
  cr_expect(fixture_logged("cannot serve standard input and output"));
  mcp_server_free(second);
  cr_expect_eq(mcp_server_run_stdio(server), MCP_ESTATE);
  end();
}

Test(server_stdio, a_closed_input_is_an_error_that_changes_nothing) {
  take_over();
  close(STDIN_FILENO);
  cr_expect_eq(mcp_server_start(server, &fixture_loop), UV_EBADF);
  cr_expect_eq(open("/dev/null", O_RDONLY), STDIN_FILENO);
  start();
  RUN_UNTIL(terminated);
  end();
}

Test(server_stdio, the_environment_may_be_ignored) {
  take_over();
  mcp_server_free(server);
  mcp_ignore_environment();
  server = test_server_new();
  start();
  cr_expect_neq(mcp_server_port(server), 0);
  end();
}

/* Beyond 64 calls in flight the input is still read: those that wait never begin, and the handlers of the
 * others learn it at once. */
Test(server_stdio, cancellations_are_heard_beyond_64_calls) {
  enum { CALLS = 200, IN_FLIGHT = 64 };
  char text[128];
  take_over();
  start();
  for (int id = 0; id < CALLS; id++)
    call(id, "hold", "{}");
  RUN_UNTIL(test_server.held_count == IN_FLIGHT);
  for (int id = 0; id < CALLS; id++) {
    int len = snprintf(
        text, sizeof text,
        "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":%d}}\n", id);
    cr_assert_eq(write(to_server, text, (size_t)len), len);
  }
  call(CALLS, "now", "{}");
  RUN_UNTIL(test_server.cancels == IN_FLIGHT);
  for (size_t i = 0; i < IN_FLIGHT; i++)
    cr_assert_eq(test_server_end_held(i), MCP_ESTATE);
  RUN_UNTIL(has_sent("\"id\":200,"));
  cr_expect_eq(test_server.held_count, IN_FLIGHT);
  end();
}
