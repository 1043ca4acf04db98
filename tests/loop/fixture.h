/* fixture.h: the fixture of the tests in this directory: one loop, raw WebSocket clients and fake servers on
 * loopback sockets, a test server whose tools the test controls, and waiting with a time limit.
 *
 * Each Criterion test runs in its own process, so the fixture is global. A test calls fixture_setup() first
 * and fixture_teardown() last; open handles and memory leaks at that point fail the test. */
#ifndef FIXTURE_H
#define FIXTURE_H

#include <iccm_network.h>

#include <criterion/criterion.h>
#include <uv.h>

extern uv_loop_t fixture_loop;

void fixture_setup(void);
void fixture_teardown(void);

/* Call options with a time-out in ms; valid in the enclosing block. */
#define WITHIN(ms) (&(mcp_call_options_t){.timeout_ms = (ms)})

enum { LONG_TIMEOUT_MS = 3600000 }; /* one hour, for calls that must succeed */

/* Runs the loop until the condition holds. Fails the test after the time limit of wait_limit.h, or after too
 * many iterations. */
#define RUN_UNTIL(condition)                                                                                 \
  do {                                                                                                       \
    fixture_wait_start();                                                                                    \
    while (!(condition))                                                                                     \
      fixture_iterate(#condition, __FILE__, __LINE__);                                                       \
  } while (0)
void fixture_wait_start(void);
void fixture_iterate(const char *condition, const char *file, int line);
void fixture_iterate_once(void);
void fixture_run_ms(uint64_t ms);     /* for checks that nothing happens */
uint64_t fixture_clock_ms(void);      /* uv_hrtime(), which tests may shift */
uint64_t fixture_real_clock_ms(void); /* CLOCK_MONOTONIC, which they cannot */

/* Stops the clock of the library and of libuv: until it is unfrozen no timer fires, however slow the machine
 * is. Stopping a test server and closing a client unfreeze it. */
void fixture_freeze_clock(void);
void fixture_unfreeze_clock(void);
void fixture_advance_ms(uint64_t ms); /* moves the clock and runs the loop, without waiting */
void fixture_jump_ms(uint64_t ms);    /* moves the clock only */

bool fixture_logged(const char *text); /* true if a log line contains text; any thread */
size_t fixture_handle_count(void);     /* of the loop, including closing ones */
const char *fixture_log(void);         /* the whole log; not while other threads log */

/* ---- raw clients --------------------------------------------------------------------------------------
 *
 * One WebSocket connection without the library: the client's end, or the end that a fake server accepted. */

typedef struct raw_client raw_client_t;
struct raw_client {
  uv_tcp_t tcp;
  uv_connect_t connecting;
  raw_client_t *next;
  bool masks_frames; /* true on a client's end (RFC 6455 5.3) */
  bool connected, ended, reading;
  int status; /* the error that ended or prevented the connection */
  char *head; /* the complete HTTP head received; NULL before */
  char *in;   /* received bytes that are not parsed yet */
  size_t in_len, in_cap;
  char **messages; /* text messages in order */
  size_t count;
  size_t pings, pongs;
  int close_code; /* 0: no close frame received; 1005: without a code */
  char close_reason[128];
  void (*on_input)(raw_client_t *peer); /* of a fake server: after accept and input */
  void *arg;                            /* the fake server */
};

raw_client_t *raw_client_connect(int port);  /* to 127.0.0.1; does not wait */
raw_client_t *raw_client_connect6(int port); /* to ::1 */
raw_client_t *raw_client_open(int port);     /* upgrades; waits for the 101 response */
void raw_client_upgrade(raw_client_t *peer); /* sends the upgrade request only */
void raw_client_send(raw_client_t *peer, const void *data, size_t len);
void raw_client_puts(raw_client_t *peer, const char *text);
void raw_client_send_frame(raw_client_t *peer, int opcode, const void *data, size_t len);
void raw_client_send_text(raw_client_t *peer, const char *format, ...) MCP_PRINTF(2, 3);
void raw_client_set_reading(raw_client_t *peer, bool on);
void raw_client_close(raw_client_t *peer);          /* without a close frame */
void raw_client_reset(raw_client_t *peer);          /* RST */
void raw_client_accept_upgrade(raw_client_t *peer); /* sends a server's 101 response */

size_t raw_client_count_responses(const raw_client_t *peer, int id); /* number of responses with this id */
const char *raw_client_response(const raw_client_t *peer, int id);   /* the first one, or NULL */
/* True if there is exactly one response with this id and it contains the text. */
bool raw_client_response_has(const raw_client_t *peer, int id, const char *text);
void raw_client_sync(raw_client_t *peer); /* sends an MCP ping and waits for its response */

/* Sends {"jsonrpc":"2.0","id":id,"method":"tools/call",…}; args is JSON. */
void raw_client_call(raw_client_t *peer, int id, const char *tool, const char *args);

/* ---- fake servers ------------------------------------------------------------------------------------- */

typedef struct fake_server fake_server_t;
struct fake_server {
  uv_tcp_t tcp;
  fake_server_t *next;
  int port;
  size_t accepted;
  raw_client_t *last; /* the newest accepted connection */
  void (*script)(raw_client_t *peer);
  void *arg;
};

fake_server_t *fake_server_open(void (*script)(raw_client_t *peer), void *arg); /* on 127.0.0.1 */
void fake_server_close(fake_server_t *fake);
int unused_port(void); /* a port without a listener */

/* Scripts of fake servers. */
void script_silent(raw_client_t *peer);  /* sends nothing */
void script_upgrade(raw_client_t *peer); /* answers the upgrade and initialize only */
/* The same as part of another script; true if the last message is for that script. */
bool script_handshake(raw_client_t *peer);
int message_id(const char *message); /* -1 without an id */

/* ---- the test server ----------------------------------------------------------------------------- */

enum { HELD_MAX = 70000 };

typedef struct test_server {
  mcp_call_t *held[HELD_MAX]; /* calls of the tool "hold" in order; NULL after the end */
  size_t held_count, cancels; /* cancels: on_cancel callbacks of these calls */
  size_t now_count;
  bool stopped;
  bool gate_open;   /* blocking calls of "gate" wait until it is true */
  size_t at_gate;   /* calls that wait */
  size_t gate_done; /* calls that passed and have ended */
  int gate_status;  /* return code of ending the last one */
} test_server_t;

extern test_server_t test_server;

mcp_server_t *test_server_new(void);         /* created, not started; port 0 */
mcp_server_t *test_server_start(void);       /* created and started */
void test_server_stop(mcp_server_t *server); /* stops and frees */
void test_server_on_stopped(mcp_server_t *server, void *arg);
int test_server_end_held(size_t index); /* replies {"held":index}; returns the status */
void test_server_set_gate(bool open);
void test_server_gate_tool(mcp_call_t *call, yyjson_val *args, void *arg); /* waits for the gate */
void test_server_now_tool(mcp_call_t *call, yyjson_val *args, void *arg);  /* replies its arguments */
size_t test_server_at_gate(void);
size_t test_server_gate_done(void);

/* ---- results of client calls -------------------------------------------------------------------------- */

typedef struct call_record {
  unsigned fired;
  int status;
  bool is_error;
  char text[256];
  char message[256];
  unsigned order; /* 1: the first recorded result */
} call_record_t;

void record_result(mcp_client_t *client, const mcp_result_t *result, void *arg); /* arg: call_record_t */
mcp_client_t *client_new_to(int port);
void client_close_and_free(mcp_client_t *client); /* closes, waits and frees */
yyjson_mut_doc *parse_args(const char *json);

#endif
