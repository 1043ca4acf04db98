/* play.h: what the scenarios are played with: one loop, a server, a bystander whose calls have to be answered
 * all the while, requests that are watched, and raw connections that no fault reaches.
 *
 * A scenario is played three times over: before (nothing fails), under a fault, and after it; each judgement
 * that fails ends the process with words, and main.c says for which scenario and fault. */
#ifndef PLAY_H
#define PLAY_H

#include "faults.h"

#include <iccm_network.h>
#include <uv.h>

enum { PATIENCE_MS = 600000 }; /* by the clock that leaps: more than any deadline within */

typedef struct play {
  uv_loop_t *loop;
  mcp_server_t *server; /* is there before anything fails, and when nothing fails any more */
  mcp_client_t *bystander;
  bool faultless; /* nothing fails: everything has to succeed */
} play_t;

typedef struct scenario {
  const char *name;
  bool is_quick;                /* enough for all its allocations to fail in every run of the tests */
  bool waits_for_threads;       /* for which time must not fly too fast */
  void (*before)(play_t *play); /* NULL: nothing */
  void (*during)(play_t *play);
  void (*after)(play_t *play);
  bool is_long; /* fewer of its faults are tried in every run of the tests */
} scenario_t;

extern const char *play_files; /* the directory of certificates.h's files */

extern const scenario_t scenarios[];
extern const size_t scenario_count;

void play_scenario(const scenario_t *scenario, uv_loop_t *loop, const fault_t *fault);

/* Ends the process with words where the condition does not hold. */
#define REQUIRE(condition, ...)                                                                              \
  do {                                                                                                       \
    if (!(condition))                                                                                        \
      play_failed(__FILE__, __LINE__, #condition, __VA_ARGS__);                                              \
  } while (0)
_Noreturn void play_failed(const char *file, int line, const char *condition, const char *format, ...)
    MCP_PRINTF(4, 5);

/* Turns the loop until the condition holds, for PATIENCE_MS at the most. */
#define PLAY_UNTIL(condition)                                                                                \
  do {                                                                                                       \
    uint64_t until_ms = faults_ms() + PATIENCE_MS;                                                           \
    while (!(condition)) {                                                                                   \
      REQUIRE(faults_ms() < until_ms, "in vain");                                                            \
      play_turn();                                                                                           \
    }                                                                                                        \
  } while (0)
void play_turn(void);

/* ---- requests that are watched: each ends once, with a result or with words
 * ------------------------------------ */

typedef struct request {
  bool made;            /* else nothing follows */
  yyjson_doc *expected; /* what a success has as its value; NULL: anything */
  unsigned fired;
  int status; /* of the making, then of the end */
  bool is_error;
  uint64_t id;      /* 0 until it is made */
  unsigned reports; /* of its progress */
  char message[200];
  char text[200];
} request_t;

void play_call(mcp_client_t *client, const char *tool, const char *args, uint64_t timeout_ms,
               request_t *request);
void play_request(mcp_client_t *client, const char *method, const char *params, request_t *request);
void play_list(mcp_client_t *client, request_t *request);
void play_result(mcp_client_t *client, const mcp_result_t *result, void *arg); /* arg: request_t */
void play_wait(const request_t *requests, size_t count);                       /* until all have ended */
bool play_succeeded(const request_t *request);

mcp_client_t *play_client(play_t *play, const char *host,
                          const mcp_server_t *server);       /* may be NULL under a fault */
mcp_client_t *play_client_at(play_t *play, const char *url); /* the same */
void play_close(mcp_client_t *client);                       /* closed, waited for, freed; NULL is fine */
void play_stop(mcp_server_t *server);                        /* stopped where it runs, waited for, freed */
yyjson_mut_doc *play_json(const char *json);

/* ---- a server with tools of every kind
 * ------------------------------------------------------------------------- */

extern const mcp_tool_t play_tools[];
extern mcp_client_t *play_upstream; /* whom the tool "relay" calls */
extern unsigned play_lines;         /* that "logger_log" took */

/* ---- HTTP that no fault reaches on this side
 * -------------------------------------------------------------------- */

bool play_begin_connect(int fd, const mcp_server_t *server); /* true: it is connected */

/* What was answered to it, at the most size - 1 bytes: "" where the connection went without a word. */
void play_http(const mcp_server_t *server, const char *request, char *answer, size_t size);

#endif
