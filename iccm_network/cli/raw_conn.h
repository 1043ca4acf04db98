/* raw_conn.h: connections that one waits for, and that keep what the library's client hides: each address by
 * itself, the bytes that a server answered, how it closed. */
#ifndef ICCM_CLI_RAW_CONN_H
#define ICCM_CLI_RAW_CONN_H

#include <sys/socket.h>
#include <uv.h>
#include "transport/peer_addr.h"
#include "transport/tls.h"
#include "transport/upgrade.h"
#include "transport/url.h"
#include "transport/ws.h"
#include <yyjson.h>

enum { RAW_CONN_INITIAL_SIZE = 2048, RAW_CONN_READ_BYTES = 64 * 1024 };

typedef struct raw_conn raw_conn_t;

/* The loop, and the one deadline of all. */
typedef struct net {
  uv_loop_t loop;
  uv_timer_t timer;
  bool timed_out;       /* the timer has fired */
  uint64_t deadline_ns; /* of uv_hrtime() */
  raw_conn_t *conns;    /* owned; they live as long as the net */
  uv_getaddrinfo_t resolve_request;
  bool resolving;
  int resolve_status;
  char buffer[RAW_CONN_READ_BYTES];
} net_t;

typedef enum raw_conn_state {
  RAW_CONN_CONNECTING,
  RAW_CONN_OPEN,
  RAW_CONN_WEBSOCKET,
  RAW_CONN_ENDED
} raw_conn_state_t;

struct raw_conn {
  net_t *net;
  raw_conn_t *next;
  uv_tcp_t tcp;
  uv_connect_t connecting;
  char name[MCP__PEER_NAME_SIZE];
  struct sockaddr_storage address;
  raw_conn_state_t state;
  int status;                /* RAW_CONN_ENDED: why, UV_EOF where the peer ended it, MCP_ETLS: tls says why */
  uint64_t began_ns, end_ns; /* of connecting, then of TLS's handshake, then of the upgrade */
  mcp__tls_t *tls;           /* owned; NULL: in clear */

  char initial_data[RAW_CONN_INITIAL_SIZE]; /* what came first, up to the end of the upgrade; a NUL ends it */
  size_t initial_len;
  mcp__buf_t *received; /* borrowed; NULL: none. What is kept in first, to the end; when it is full the
                        connection ends */
  mcp__head_t head;
  char key[MCP__UPGRADE_KEY_SIZE];
  mcp__head_state_t head_state;
  int upgrade_status;      /* of mcp__check_switching() */
  char upgrade_error[256]; /* its words */

  mcp__ws_t ws;
  mcp__ws_config_t ws_config;
  mcp__buf_t out;
  uint64_t last_id;
  yyjson_doc *response;     /* owned: to the last request, or an error without id; or NULL */
  bool response_without_id; /* what was sent last has none: its answer will not have one either */
  bool invalid_json;        /* a message came that is no JSON */
  bool pong_received;       /* one came */
  int close_code;           /* 0: no close came, and we sent none */
  bool closed_by_peer;
  char close_reason[MCP__WS_REASON_MAX + 1];
};

int net_init(net_t *net, uint64_t timeout_ms); /* 0 or libuv's code */
/* Ends the process with exit_code where a look-up that is under way cannot be taken back. */
void net_deinit(net_t *net, int exit_code);
uint64_t net_left_ms(const net_t *net);

/* Runs the loop until done says so (true), or limit_ms or the net's deadline have passed. */
bool net_wait(net_t *net, bool (*done)(void *arg), void *arg, uint64_t limit_ms);

/* The addresses of a name: their number, 0 with the reason in *status (UV_ETIMEDOUT: none in time). */
size_t net_resolve(net_t *net, const char *host, int port, struct sockaddr_storage *addresses, size_t max,
                   uint64_t limit_ms, int *status);

/* Begins to connect, from source where that is not NULL, and says at once or later by the connection's state
 * whether that worked. */
raw_conn_t *raw_conn_connect(net_t *net, const struct sockaddr *address, const struct sockaddr *source);
bool raw_conn_wait_connected(raw_conn_t *conn,
                             uint64_t limit_ms); /* gives up, with UV_ETIMEDOUT, after that */
bool raw_conn_connect_done(void *arg);           /* or has failed: for net_wait() */
double raw_conn_step_ms(const raw_conn_t *conn); /* that the last step took */

/* Begins TLS with host, borrowed. Over when raw_conn_tls_done(): RAW_CONN_OPEN still, or RAW_CONN_ENDED. */
void raw_conn_start_tls(raw_conn_t *conn, mcp__tls_context_t *context, const char *host, bool verify);
bool raw_conn_tls_done(void *arg);

/* Asks for the upgrade. Over when raw_conn_upgrade_done(): RAW_CONN_WEBSOCKET, or not. */
void raw_conn_upgrade(raw_conn_t *conn, const mcp__url_t *url);
bool raw_conn_upgrade_done(void *arg);

/* Sends bytes as they are, and reads what comes into first. */
void raw_conn_send_raw(raw_conn_t *conn, const void *data, size_t len);

/* Over WebSocket. raw_conn_request: sends a request and waits for its answer, to be found in conn->response.
 */
void raw_conn_send_text(raw_conn_t *conn, const char *text, size_t len);
bool raw_conn_request(raw_conn_t *conn, const char *method, const char *params, uint64_t limit_ms);
bool raw_conn_wait_response(raw_conn_t *conn, uint64_t limit_ms);
bool raw_conn_ping(raw_conn_t *conn, uint64_t limit_ms);

void raw_conn_end(raw_conn_t *conn, int status);

#endif
