/* harness.h: the environment of a scenario: one loop, a server, a bystander (a second client whose calls must
 * always succeed), requests whose results are checked, and raw connections that faults do not affect.
 *
 * Each scenario runs three times: before a fault (nothing fails), under the fault, and after it. A check that
 * fails prints a message and ends the process; main.c prints the scenario and the fault. */
#ifndef HARNESS_H
#define HARNESS_H

#include "faults.h"

#include <iccm_network.h>
#include <uv.h>

enum { WAIT_MS = 600000 }; /* on the accelerated clock; longer than any deadline of a scenario */

typedef struct harness {
  uv_loop_t *loop;
  mcp_server_t *server; /* exists before the fault and after it */
  mcp_client_t *bystander;
  const char *scheme; /* of the scenario's clients */
  bool faultless;     /* no fault is injected: everything must succeed */
} harness_t;

typedef struct scenario {
  const char *name;
  bool is_quick;                      /* each of its allocations is failed in every test run */
  bool waits_for_threads;             /* the clock must not run too fast for them */
  void (*before)(harness_t *harness); /* may be NULL */
  void (*during)(harness_t *harness);
  void (*after)(harness_t *harness);
  bool is_long;       /* test runs sample fewer of its faults */
  const char *scheme; /* of its clients: "http"; NULL: "ws" */
  bool is_single;     /* it can run only once in a process */
} scenario_t;

extern const char *harness_files; /* directory with the files of certificates.h */

extern const scenario_t scenarios[];
extern const size_t scenario_count;

void harness_run_scenario(const scenario_t *scenario, uv_loop_t *loop, const fault_t *fault);

/* Ends the process with a message if the condition is false. */
#define REQUIRE(condition, ...)                                                                              \
  do {                                                                                                       \
    if (!(condition))                                                                                        \
      harness_fail(__FILE__, __LINE__, #condition, __VA_ARGS__);                                             \
  } while (0)
_Noreturn void harness_fail(const char *file, int line, const char *condition, const char *format, ...)
    MCP_PRINTF(4, 5);

/* Runs the loop until the condition holds, for at most WAIT_MS. */
#define RUN_UNTIL(condition)                                                                                 \
  do {                                                                                                       \
    uint64_t until_ms = faults_ms() + WAIT_MS;                                                               \
    while (!(condition)) {                                                                                   \
      REQUIRE(faults_ms() < until_ms, "timed out");                                                          \
      harness_iterate();                                                                                     \
    }                                                                                                        \
  } while (0)
void harness_iterate(void);

/* ---- requests ---- each ends exactly once, with a result or an error message ---- */

typedef struct request {
  bool made;            /* accepted by the client; otherwise the callback never runs */
  yyjson_doc *expected; /* the value of a successful result; NULL: any */
  unsigned fired;
  int status; /* return code of the call, then the status of the result */
  bool is_error;
  uint64_t id;      /* 0 until the request is made */
  unsigned reports; /* progress notifications */
  char message[200];
  char text[200];
} request_t;

void harness_call(mcp_client_t *client, const char *tool, const char *args, uint64_t timeout_ms,
                  request_t *request);
void harness_request(mcp_client_t *client, const char *method, const char *params, request_t *request);
void harness_list(mcp_client_t *client, request_t *request);
void harness_on_result(mcp_client_t *client, const mcp_result_t *result, void *arg); /* arg: request_t */
void harness_wait(const request_t *requests, size_t count); /* until all have ended */
bool harness_request_succeeded(const request_t *request);

mcp_client_t *harness_client(harness_t *harness, const char *host,
                             const mcp_server_t *server);             /* NULL is possible under a fault */
mcp_client_t *harness_client_at(harness_t *harness, const char *url); /* the same */
bool harness_is_http(const harness_t *harness);
void harness_close_client(mcp_client_t *client); /* closes, waits and frees; NULL is allowed */
void harness_stop_server(mcp_server_t *server);  /* stops if running, waits and frees */
yyjson_mut_doc *harness_json(const char *json);

/* ---- the tools of the server ---- */

extern const mcp_tool_t harness_tools[];
extern mcp_client_t *harness_upstream; /* the client of the tool "relay" */
extern unsigned harness_log_lines;     /* number of lines that "logger_log" accepted */

/* ---- raw HTTP, which faults do not affect on this side ---- */

bool harness_connect(int fd, const mcp_server_t *server); /* true if connected */

/* Sends a request and reads the response, at most size - 1 bytes; "" if the connection closed without one. */
void harness_http(const mcp_server_t *server, const char *request, char *answer, size_t size);

#endif
