/* fixture.h: what the tests in this directory are played with: one loop, raw peers on real sockets of the
 * loopback, a server whose tools answer when they are told to, and waiting that cannot hang.
 *
 * Each Criterion test is a process of its own, so the fixture is global. A test opens it, plays, and closes
 * it: handles that are then still open, and memory that nobody freed, fail the test. */
#ifndef FIXTURE_H
#define FIXTURE_H

#include <iccm_network.h>

#include <criterion/criterion.h>
#include <uv.h>

extern uv_loop_t fixture_loop;

void fixture_setup(void);
void fixture_teardown(void);

/* The options of a call with that time-out, in this expression's block. */
#define WITHIN(ms) (&(mcp_call_options_t){.timeout_ms = (ms)})

enum { LONG_TIMEOUT_MS = 3600000 }; /* a time-out of what has to succeed: an hour */

/* Turns the loop until the condition holds; fails the test after the limit of wait_limit.h, or where the loop
 * spins. */
#define RUN_UNTIL(condition)                                                                                 \
  do {                                                                                                       \
    fixture_wait_start();                                                                                    \
    while (!(condition))                                                                                     \
      fixture_iterate(#condition, __FILE__, __LINE__);                                                       \
  } while (0)
void fixture_wait_start(void);
void fixture_iterate(const char *condition, const char *file, int line);
void fixture_iterate_once(void);
void fixture_run_ms(uint64_t ms);     /* to see that nothing happens */
uint64_t fixture_clock_ms(void);      /* the clock of library and libuv; it does not wait for the loop */
uint64_t fixture_real_clock_ms(void); /* the machine's, which cannot be moved */

/* That clock stands still from now on: what ends now does not end by a timer, however slow the machine is. It
 * goes on where a server is stopped or a client ended. */
void fixture_freeze_clock(void);
void fixture_unfreeze_clock(void);
void fixture_advance_ms(uint64_t ms); /* the clock goes on, and the loop turns with it; no time is spent */
void fixture_jump_ms(uint64_t ms);    /* the clock goes on while the loop does not turn */

bool fixture_logged(const char *words); /* since the fixture was opened; from any thread */
size_t fixture_handle_count(void);      /* of the loop, those included that are being closed */
const char *fixture_log(void);          /* all of it, while no other thread logs */

/* ---- raw peers: WebSocket by hand -------------------------------------------------------------------- */

typedef struct raw_client raw_client_t;
struct raw_client {
  uv_tcp_t tcp;
  uv_connect_t connecting;
  raw_client_t *next;
  bool masks_frames; /* as a client has to */
  bool connected, ended, reading;
  int status; /* why it ended, or was not connected */
  char *head; /* the HTTP head that came, once it is whole; else NULL */
  char *in;   /* bytes that are not taken apart yet */
  size_t in_len, in_cap;
  char **messages; /* texts in order */
  size_t count;
  size_t pings, pongs;
  int close_code; /* 0: no close frame came; 1005: one without a code */
  char close_reason[128];
  void (*on_input)(raw_client_t *peer); /* of a fake: something came, or it was just accepted */
  void *arg;                            /* the fake */
};

raw_client_t *raw_client_connect(int port);  /* to 127.0.0.1; does not wait */
raw_client_t *raw_client_connect6(int port); /* to ::1 */
raw_client_t *raw_client_open(int port);     /* with the upgrade; waits until it is answered by 101 */
void raw_client_upgrade(raw_client_t *peer); /* sends the request alone */
void raw_client_send(raw_client_t *peer, const void *data, size_t len);
void raw_client_puts(raw_client_t *peer, const char *text);
void raw_client_send_frame(raw_client_t *peer, int opcode, const void *data, size_t len);
void raw_client_send_text(raw_client_t *peer, const char *format, ...) MCP_PRINTF(2, 3);
void raw_client_set_reading(raw_client_t *peer, bool on);
void raw_client_close(raw_client_t *peer);          /* without a word */
void raw_client_reset(raw_client_t *peer);          /* RST */
void raw_client_accept_upgrade(raw_client_t *peer); /* a server's 101 to the head that came */

size_t raw_client_count_responses(const raw_client_t *peer, int id); /* how many answers have this id */
const char *raw_client_response(const raw_client_t *peer, int id);   /* the first of these, or NULL */
bool raw_client_response_has(const raw_client_t *peer, int id,
                             const char *words); /* there is one answer, and it holds these words */
void raw_client_sync(raw_client_t *peer); /* a ping there and back: what was to come before it has come */

/* Sends {"jsonrpc":"2.0","id":id,"method":"tools/call",…}; args is JSON. */
void raw_client_call(raw_client_t *peer, int id, const char *tool, const char *args);

/* ---- a raw server ------------------------------------------------------------------------------------- */

typedef struct fake_server fake_server_t;
struct fake_server {
  uv_tcp_t tcp;
  fake_server_t *next;
  int port;
  size_t accepted;
  raw_client_t *last; /* accepted last */
  void (*script)(raw_client_t *peer);
  void *arg;
};

fake_server_t *fake_server_open(void (*script)(raw_client_t *peer), void *arg); /* on 127.0.0.1 */
void fake_server_close(fake_server_t *fake);
int unused_port(void); /* one that nobody listens on */

/* Scripts of a fake. */
void script_silent(raw_client_t *peer);  /* takes everything, says nothing */
void script_upgrade(raw_client_t *peer); /* answers the upgrade and initialize, nothing else */
bool script_handshake(
    raw_client_t *peer); /* the same as a part of other scripts: true where a new message may be looked at */
int message_id(const char *message); /* of a request; -1 where there is none */

/* ---- a server under test ----------------------------------------------------------------------------- */

enum { HELD_MAX = 70000 };

typedef struct test_server {
  mcp_call_t *held[HELD_MAX]; /* calls of the tool "hold", in order; NULL once ended */
  size_t held_count, cancels; /* cancels: how often on_cancel fired for these */
  size_t now_count;
  bool stopped;
  bool gate_open;   /* blocking calls of "gate" wait for it */
  size_t at_gate;   /* how many do */
  size_t gate_done; /* how many went through and have ended their call */
  int gate_status;  /* what ending the last one gave */
} test_server_t;

extern test_server_t test_server;

mcp_server_t *test_server_new(void);         /* made, not started; port 0 */
mcp_server_t *test_server_start(void);       /* and started */
void test_server_stop(mcp_server_t *server); /* stopped and freed */
void test_server_on_stopped(mcp_server_t *server, void *arg);
int test_server_end_held(size_t index); /* answers {"held":index}: what ending it gave */
void test_server_set_gate(bool open);
void test_server_gate_tool(mcp_call_t *call, yyjson_val *args, void *arg); /* waits for it */
void test_server_now_tool(mcp_call_t *call, yyjson_val *args, void *arg);  /* answers its arguments */
size_t test_server_at_gate(void);
size_t test_server_gate_done(void);

/* ---- results of clients ---------------------------------------------------------------------------------
 */

typedef struct record {
  unsigned fired;
  int status;
  bool is_error;
  char text[256];
  char message[256];
  unsigned order; /* 1: the first one that fired */
} call_record_t;

void record_result(mcp_client_t *client, const mcp_result_t *result, void *arg); /* arg: call_record_t */
mcp_client_t *client_new_to(int port);
void client_close_and_free(mcp_client_t *client); /* closed, waited for, freed */
yyjson_mut_doc *parse_args(const char *json);

#endif
