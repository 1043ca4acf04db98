/* scene.h: what the tests in this directory are played with: one loop, raw peers on real sockets of the
 * loopback, a server whose tools answer when they are told to, and waiting that cannot hang.
 *
 * Each Criterion test is a process of its own, so the scene is global. A test opens it, plays, and closes it:
 * handles that are then still open, and memory that nobody freed, fail the test. */
#ifndef SCENE_H
#define SCENE_H

#include <iccm_network.h>

#include <criterion/criterion.h>
#include <uv.h>

extern uv_loop_t scene_loop;

void scene_open(void);
void scene_close(void);

/* The options of a call with that time-out, in this expression's block. */
#define WITHIN(ms) (&(mcp_call_options_t){.timeout_ms = (ms)})

enum { PATIENT_MS = 3600000 }; /* a time-out of what has to succeed: an hour */

/* Turns the loop until the condition holds; fails the test after the limit of waiting.h, or where the loop
 * spins. */
#define RUN_UNTIL(condition)                                                                                 \
  do {                                                                                                       \
    scene_wait_begins();                                                                                     \
    while (!(condition))                                                                                     \
      scene_turn(#condition, __FILE__, __LINE__);                                                            \
  } while (0)
void scene_wait_begins(void);
void scene_turn(const char *condition, const char *file, int line);
void scene_turn_once(void);
void scene_run_ms(uint64_t ms); /* to see that nothing happens */
uint64_t scene_ms(void);        /* the clock of library and libuv; it does not wait for the loop */
uint64_t scene_real_ms(void);   /* the machine's, which cannot be moved */

/* That clock stands still from now on: what ends now does not end by a timer, however slow the machine is. It
 * goes on where a server is stopped or a client ended. */
void scene_hold_clock(void);
void scene_release_clock(void);
void scene_pass_ms(uint64_t ms); /* the clock goes on, and the loop turns with it; no time is spent */
void scene_leap_ms(uint64_t ms); /* the clock goes on while the loop does not turn */

bool scene_logged(const char *words); /* since the scene was opened; from any thread */
size_t scene_handles(void);           /* of the loop, those included that are being closed */
const char *scene_log(void);          /* all of it, while no other thread logs */

/* ---- raw peers: WebSocket by hand -------------------------------------------------------------------- */

typedef struct wire wire_t;
struct wire {
  uv_tcp_t tcp;
  uv_connect_t connecting;
  wire_t *next;
  bool client; /* sends masked */
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
  void (*on_input)(wire_t *wire); /* of a trap: something came, or it was just accepted */
  void *arg;                      /* the trap */
};

wire_t *wire_connect(int port);  /* to 127.0.0.1; does not wait */
wire_t *wire_connect6(int port); /* to ::1 */
wire_t *wire_open(int port);     /* with the upgrade; waits until it is answered by 101 */
void wire_upgrade(wire_t *wire); /* sends the request alone */
void wire_send(wire_t *wire, const void *data, size_t len);
void wire_puts(wire_t *wire, const char *text);
void wire_frame(wire_t *wire, int opcode, const void *data, size_t len);
void wire_text(wire_t *wire, const char *format, ...) MCP_PRINTF(2, 3);
void wire_read(wire_t *wire, bool on);
void wire_close(wire_t *wire);          /* without a word */
void wire_reset(wire_t *wire);          /* RST */
void wire_accept_upgrade(wire_t *wire); /* a server's 101 to the head that came */

size_t wire_answers(const wire_t *wire, int id);     /* how many answers have this id */
const char *wire_answer(const wire_t *wire, int id); /* the first of these, or NULL */
bool wire_says(const wire_t *wire, int id,
               const char *words); /* there is one answer, and it holds these words */
void wire_settle(wire_t *wire);    /* a ping there and back: what was to come before it has come */

/* Sends {"jsonrpc":"2.0","id":id,"method":"tools/call",…}; args is JSON. */
void wire_call(wire_t *wire, int id, const char *tool, const char *args);

/* ---- a raw server ------------------------------------------------------------------------------------- */

typedef struct trap trap_t;
struct trap {
  uv_tcp_t tcp;
  trap_t *next;
  int port;
  size_t accepted;
  wire_t *last; /* accepted last */
  void (*script)(wire_t *wire);
  void *arg;
};

trap_t *trap_open(void (*script)(wire_t *wire), void *arg); /* on 127.0.0.1 */
void trap_close(trap_t *trap);
int trap_free_port(void); /* one that nobody listens on */

/* Scripts of a trap. */
void script_silent(wire_t *wire);  /* takes everything, says nothing */
void script_upgrade(wire_t *wire); /* answers the upgrade and initialize, nothing else */
bool script_handshake(
    wire_t *wire); /* the same as a part of other scripts: true where a new message may be looked at */
int message_id(const char *message); /* of a request; -1 where there is none */

/* ---- a server under test ----------------------------------------------------------------------------- */

enum { HELD_MAX = 70000 };

typedef struct stage {
  mcp_call_t *held[HELD_MAX]; /* calls of the tool "hold", in order; NULL once ended */
  size_t held_count, cancels; /* cancels: how often on_cancel fired for these */
  size_t now_count;
  bool stopped;
  bool gate_open;   /* blocking calls of "gate" wait for it */
  size_t at_gate;   /* how many do */
  size_t gate_done; /* how many went through and have ended their call */
  int gate_status;  /* what ending the last one gave */
} stage_t;

extern stage_t stage;

mcp_server_t *stage_server(void);      /* made, not started; port 0 */
mcp_server_t *stage_start(void);       /* and started */
void stage_stop(mcp_server_t *server); /* stopped and freed */
void stage_on_stopped(mcp_server_t *server, void *arg);
int stage_end_held(size_t index); /* answers {"held":index}: what ending it gave */
void stage_gate(bool open);
void stage_gate_tool(mcp_call_t *call, yyjson_val *args, void *arg); /* waits for it */
void stage_now_tool(mcp_call_t *call, yyjson_val *args, void *arg);  /* answers its arguments */
size_t stage_at_gate(void);
size_t stage_gate_done(void);

/* ---- results of clients ---------------------------------------------------------------------------------
 */

typedef struct outcome {
  unsigned fired;
  int status;
  bool is_error;
  char text[256];
  char message[256];
  unsigned order; /* 1: the first one that fired */
} outcome_t;

void outcome_cb(mcp_client_t *client, const mcp_result_t *result, void *arg); /* arg: outcome_t */
mcp_client_t *client_to(int port);
void client_end(mcp_client_t *client); /* closed, waited for, freed */
yyjson_mut_doc *args_of(const char *json);

#endif
