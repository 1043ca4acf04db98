/* test_client_stdio.c: a client of a program on standard input and output: both versions, the program's
 * failures, its end. tests/system/test_stdio_client.py has `iccm` and real servers. */
#include "fixture.h"
#include "out_of_memory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* A server of a few lines: the shell answers requests in order. $DISCOVER is its response to the first one.
 */
#define READ_ID "read -r line && id=$(expr \"$line\" : '.*\"id\":\\([^,}]*\\)'); "
#define SAY(text) "echo '{\"jsonrpc\":\"2.0\",\"id\":'\"$id\"',\"result\":{" text "}}'; "
#define DISCOVERED "\"supportedVersions\":[\"2026-07-28\"],\"capabilities\":{}"
#define INITIALIZED "\"protocolVersion\":\"2025-06-18\",\"capabilities\":{}"
#define FINE "\"content\":[{\"type\":\"text\",\"text\":\"fine\"}]"
#define MODERN_START READ_ID SAY(DISCOVERED)
#define NO_METHOD                                                                                            \
  "echo '{\"jsonrpc\":\"2.0\",\"id\":'\"$id\"',\"error\":{\"code\":-32601,\"message\":\"no\"}}'; "
#define LEGACY_START READ_ID NO_METHOD READ_ID SAY(INITIALIZED) "read -r line; "

static mcp_client_t *shell_client(const char *script) {
  const char *argv[] = {"/bin/sh", "-c", script, NULL};
  mcp_client_t *client = mcp_client_new_stdio(&fixture_loop, argv);
  cr_assert_not_null(client);
  return client;
}

static void call(mcp_client_t *client, call_record_t *record) {
  cr_assert_eq(mcp_client_call(client, "x", NULL, WITHIN(LONG_TIMEOUT_MS), record_result, record), 0);
}

/* No child is left, as a zombie or alive. */
static void expect_no_children(void) {
  cr_expect_eq(waitpid(-1, NULL, WNOHANG), -1);
  cr_expect_eq(errno, ECHILD);
}

static void play(const char *script, int status, const char *text) {
  call_record_t record = {0};
  fixture_setup();
  mcp_client_t *client = shell_client(script);
  mcp_client_set_fail_fast(client, true);
  call(client, &record);
  RUN_UNTIL(record.fired);
  cr_expect_eq(record.status, status, "%d: %s", record.status, record.message);
  cr_expect_not_null(strstr(status == 0 ? record.text : record.message, text), "%s%s", record.text,
                     record.message);
  client_close_and_free(client);
  expect_no_children();
  fixture_teardown();
}

Test(client_stdio, a_modern_server) {
  play(MODERN_START READ_ID
       "case \"$line\" in *'\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\"'*) " SAY(
           FINE) ";; esac; read -r line",
       0, "fine");
}

Test(client_stdio, a_server_of_sessions) {
  play(LEGACY_START READ_ID SAY(FINE) "read -r line", 0, "fine");
}

Test(client_stdio, a_server_that_ends_at_anything_before_initialize) {
  play("read -r line; case \"$line\" in *server/discover*) exit 7;; esac; "
       "id=$(expr \"$line\" : '.*\"id\":\\([^,}]*\\)'); " SAY(INITIALIZED) "read -r line; " READ_ID SAY(
           FINE) "read -r line",
       0, "fine");
}

Test(client_stdio, a_server_that_prints_its_log_as_well) {
  play("echo starting; echo '[INFO] x'; " MODERN_START "echo '  more'; " READ_ID SAY(FINE) "read -r line", 0,
       "fine");
}

Test(client_stdio, programs_that_are_no_server) {
  static const struct {
    const char *script;
    int status;
    const char *text;
  } rows[] = {
      {"exit 3", MCP_EUPGRADE, "the program ended with exit status 3"},
      {"kill -9 $$", MCP_EUPGRADE, "the program was ended by signal 9"},
      {"exec >&-; exec sleep 1000", MCP_EUPGRADE, "the program closed its standard output"},
      {"yes", MCP_EPROTOCOL,
       "prints text that is no message on standard output (print to standard error): y"},
      {"yes '{}'", MCP_EPROTOCOL, "prints text"},
      {READ_ID "echo '{\"id\":1,\"error\":{\"code\":-32020,\"message\":\"hm\"}}'; read -r line", MCP_EUPGRADE,
       "the server refused the handshake: -32020, \"hm\""},
      {MODERN_START "read -r line; exit 4", MCP_EDISCONNECTED, "the program ended with exit status 4"},
      {READ_ID "exec <&-; " SAY(DISCOVERED) "exec sleep 1000", MCP_EDISCONNECTED,
       "the program closed its standard input"},
      {MODERN_START "read -r line; echo '{oops'; read -r line", MCP_EPROTOCOL, "unreadable response"},
      {MODERN_START "read -r line; echo '{}'; read -r line", MCP_EPROTOCOL,
       "neither a request nor a response"},
      {MODERN_START "read -r line; head -c 20000000 /dev/zero | tr '\\0' '{'; echo; read -r line",
       MCP_ETOOBIG, "the program sent a message that is larger than the limit"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    play(rows[i].script, rows[i].status, rows[i].text);
}

static size_t descriptors(void) {
  size_t count = 0;
  for (int fd = 0; fd < 256; fd++)
    count += uv_guess_handle(fd) != UV_UNKNOWN_HANDLE;
  return count;
}

Test(client_stdio, descriptors_are_closed) {
  size_t counts[2];
  for (unsigned i = 0; i < 2; i++) { /* libuv keeps the ones that it opens for the first process */
    play("exit 3", MCP_EUPGRADE, "exit status 3");
    play(MODERN_START READ_ID SAY(FINE) "read -r line", 0, "fine");
    counts[i] = descriptors();
  }
  cr_expect_eq(counts[0], counts[1]);
}

Test(client_stdio, a_program_that_does_not_exist) {
  static const char *const argv[] = {"/nonexistent/program", NULL}, *const nothing[] = {NULL},
                           *const empty[] = {"", NULL};
  call_record_t record = {0};
  fixture_setup();
  cr_expect_null(mcp_client_new_stdio(&fixture_loop, nothing));
  cr_expect_null(mcp_client_new_stdio(&fixture_loop, empty));
  mcp_client_t *client = mcp_client_new_stdio(&fixture_loop, argv);
  mcp_client_set_fail_fast(client, true);
  call(client, &record);
  RUN_UNTIL(record.fired);
  cr_expect_eq(record.status, MCP_ECONNECT);
  cr_expect_str_eq(record.message,
                   "/nonexistent/program: cannot start the program: no such file or directory");
  client_close_and_free(client);
  fixture_teardown();
}

Test(client_stdio, a_program_that_never_answers_nor_ends) {
  call_record_t record = {0};
  fixture_setup();
  mcp_client_t *client = shell_client("trap '' TERM; read -r line; read -r line; while :; do sleep 1; done");
  mcp_client_set_fail_fast(client, true);
  fixture_freeze_clock();
  call(client, &record);
  fixture_advance_ms(1);
  fixture_advance_ms(3000); /* initialize is sent */
  fixture_advance_ms(26000);
  cr_expect_eq(record.fired, 0);
  fixture_advance_ms(4000);
  RUN_UNTIL(record.fired);
  cr_expect_eq(record.status, MCP_EUPGRADE);
  cr_expect_not_null(
      strstr(record.message, "the program was started but did not answer server/discover or initialize"),
      "%s", record.message);
  client_close_and_free(client); /* SIGTERM is ignored */
  expect_no_children();
  fixture_teardown();
}

Test(client_stdio, silence_at_first_means_an_older_server) {
  call_record_t record = {0};
  fixture_setup();
  mcp_client_t *client = shell_client(
      "read -r line; " READ_ID SAY(INITIALIZED) "read -r line; " READ_ID SAY(FINE) "read -r line");
  fixture_freeze_clock();
  call(client, &record);
  fixture_advance_ms(1);
  fixture_advance_ms(3000);
  RUN_UNTIL(record.fired);
  cr_expect_eq(record.status, 0, "%s", record.message);
  client_close_and_free(client);
  fixture_teardown();
}

Test(client_stdio, a_late_response_to_discover) {
  call_record_t record = {0};
  fixture_setup();
  mcp_client_t *client = shell_client(
      "read -r line; first=$(expr \"$line\" : '.*\"id\":\\([^,}]*\\)'); read -r line; id=$first; " SAY(
          DISCOVERED) READ_ID "case \"$line\" in *clientCapabilities*) " SAY(FINE) ";; esac; read -r line");
  fixture_freeze_clock();
  call(client, &record);
  fixture_advance_ms(1);
  fixture_advance_ms(3000);
  RUN_UNTIL(record.fired);
  cr_expect_eq(record.status, 0, "%s", record.message);
  client_close_and_free(client);
  fixture_teardown();
}

static unsigned opened, lost;

static void on_state(mcp_client_t *client, int status, const char *reason, void *arg) {
  (void)client, (void)reason, (void)arg;
  *(status == 0 ? &opened : &lost) += 1;
}

Test(client_stdio, a_program_that_ended_is_started_again) {
  call_record_t records[3] = {{0}};
  fixture_setup();
  mcp_client_t *client = shell_client(MODERN_START READ_ID SAY(FINE) "exit 0");
  mcp_client_on_state(client, on_state, NULL);
  for (unsigned i = 0; i < 3; i++) {
    call(client, &records[i]);
    RUN_UNTIL(records[i].fired && lost == i + 1);
    cr_expect_eq(records[i].status, 0, "%s", records[i].message);
    cr_expect_eq(opened, i + 1);
  }
  client_close_and_free(client);
  expect_no_children();
  fixture_teardown();
}

Test(client_stdio, requests_wait_for_a_program_that_does_not_read) {
  enum { CALLS = 200 };
  call_record_t first = {0}, records[CALLS] = {{0}};
  char args[64 << 10];
  unsigned fired = 0;
  fixture_setup();
  memset(args, 'x', sizeof args);
  memcpy(args, "{\"a\":\"", 6);
  memcpy(args + sizeof args - 3, "\"}", 3);
  mcp_client_t *client = shell_client(MODERN_START READ_ID SAY(
      FINE) "read -r go </dev/fd/2; "
            "while read -r line; do id=$(expr \"$line\" : '.*\"id\":\\([^,}]*\\)'); " SAY(FINE) "done");
  int gate[2], saved = dup(2);
  cr_assert_eq(pipe(gate), 0);
  dup2(gate[0], 2); /* the program inherits it as its standard error */
  call(client, &first);
  RUN_UNTIL(first.fired);
  dup2(saved, 2);
  for (unsigned i = 0; i < CALLS; i++)
    cr_assert_eq(
        mcp_client_call(client, "x", parse_args(args), WITHIN(LONG_TIMEOUT_MS), record_result, &records[i]),
        0);
  fixture_run_ms(20);
  for (unsigned i = 0; i < CALLS; i++)
    fired += records[i].fired;
  cr_expect_eq(fired, 0);
  cr_assert_eq(write(gate[1], "go\n", 3), 3);
  RUN_UNTIL(records[CALLS - 1].fired);
  for (unsigned i = 0; i < CALLS; i++)
    cr_expect_eq(records[i].status, 0, "%s", records[i].message);
  client_close_and_free(client);
  close(gate[0]), close(gate[1]), close(saved);
  fixture_teardown();
}

Test(client_stdio, a_cancelled_call_is_told) {
  call_record_t record = {0}, next = {0};
  uint64_t id;
  fixture_setup();
  mcp_client_t *client = shell_client(
      MODERN_START READ_ID "read -r line; case \"$line\" in *notifications/cancelled*) " READ_ID SAY(
          FINE) ";; esac; read -r line");
  mcp_client_call(client, "x", NULL, &(mcp_call_options_t){.timeout_ms = LONG_TIMEOUT_MS, .id = &id},
                  record_result, &record);
  RUN_UNTIL(mcp_client_stage(client) == MCP_STAGE_OPEN);
  cr_assert_eq(mcp_client_cancel(client, id), 0);
  call(client, &next);
  RUN_UNTIL(record.fired && next.fired);
  cr_expect_eq(record.status, MCP_ECANCELED);
  cr_expect_eq(next.status, 0, "%s", next.message);
  client_close_and_free(client);
  fixture_teardown();
}

Test(client_stdio, is_closed_while_the_program_starts) {
  call_record_t record = {0};
  fixture_setup();
  mcp_client_t *client = shell_client("read -r line; read -r line");
  call(client, &record);
  RUN_UNTIL(mcp_client_stage(client) == MCP_STAGE_INITIALIZE);
  client_close_and_free(client);
  cr_expect_eq(record.status, MCP_ECLOSED);
  expect_no_children();
  fixture_teardown();
}

/* ---- exhausted memory ---- */

static bool closed;

static void on_closed(mcp_client_t *client, void *arg) {
  (void)arg;
  mcp_client_free(client);
  closed = true;
}

/* One call while one allocation fails. Returns whether it was served. */
static bool call_with(const char *script, long allowed) {
  const char *argv[] = {"/bin/sh", "-c", script, NULL};
  call_record_t record = {0};
  memory.allowed = allowed;
  mcp_client_t *client = mcp_client_new_stdio(&fixture_loop, argv);
  if (client == NULL)
    return false;
  mcp_client_set_fail_fast(client, true);
  int status = mcp_client_call(client, "x", NULL, WITHIN(LONG_TIMEOUT_MS), record_result, &record);
  if (status == 0)
    RUN_UNTIL(record.fired);
  cr_expect(status == 0 || status == UV_ENOMEM);
  closed = false;
  while (mcp_client_close(client, on_closed, NULL) != 0)
    memory.allowed = 1; /* even closing needs memory, where nothing was sent */
  RUN_UNTIL(closed);
  cr_expect_eq(record.fired, status == 0);
  return status == 0 && record.status == 0;
}

static void exhaust(const char *script) {
  fixture_setup();
  use_failing_allocator();
  memory.once = true;
  bool is_enough = false;
  for (long allowed = 0; !is_enough; allowed++) {
    cr_assert_lt(allowed, 1000);
    is_enough = call_with(script, allowed) && memory.allowed >= 0;
    memory.allowed = 1000000;
    cr_assert_eq(memory.live, 0, "%zu blocks are left after %ld allocations", memory.live, allowed);
    expect_no_children();
  }
  fixture_teardown();
}

Test(client_stdio, out_of_memory) {
  exhaust(MODERN_START READ_ID SAY(FINE) "read -r line");
}

Test(client_stdio, out_of_memory_in_a_session) {
  exhaust(LEGACY_START READ_ID SAY(FINE) "read -r line");
}
