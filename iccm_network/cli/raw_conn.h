/* raw_conn.h: connections with blocking calls and access to details that the library's client hides: each
 * address separately, the bytes of a response, the close code. */
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

/* The event loop, its connections and their common deadline. */
typedef struct net {
  uv_loop_t loop;
  uv_timer_t timer;
  bool timed_out;       /* the timer has fired */
  uint64_t deadline_ns; /* in uv_hrtime() */
  raw_conn_t *conns;    /* owned; freed by net_deinit() */
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
  int status;                /* in RAW_CONN_ENDED: UV_EOF (closed by the peer), MCP_ETLS (see tls), … */
  uint64_t began_ns, end_ns; /* of the last step: connecting, TLS handshake or upgrade */
  mcp__tls_t *tls;           /* owned; NULL: plain text */

  char initial_data[RAW_CONN_INITIAL_SIZE]; /* received before the end of the upgrade; NUL-terminated */
  size_t initial_len;
  mcp__buf_t *received; /* borrowed; NULL: none. All bytes received; the connection ends when it is full */
  mcp__head_t head;
  char key[MCP__UPGRADE_KEY_SIZE];
  mcp__head_state_t head_state;
  int upgrade_status;      /* of mcp__check_switching() */
  char upgrade_error[256]; /* its message */

  mcp__ws_t ws;
  mcp__ws_config_t ws_config;
  mcp__buf_t out;
  uint64_t last_id;
  yyjson_doc *response;     /* owned: for the last request, or an error without id; NULL: none */
  bool response_without_id; /* the last message sent has no id, so its response has none */
  bool invalid_json;        /* a message was not JSON */
  bool pong_received;
  int close_code; /* 0: no close frame was received or sent */
  bool closed_by_peer;
  char close_reason[MCP__WS_REASON_MAX + 1];
};

int net_init(net_t *net, uint64_t timeout_ms); /* 0 or a libuv error */
/* Closes and frees everything. Ends the process with exit_code if name resolution still runs, which cannot be
 * cancelled. */
void net_deinit(net_t *net, int exit_code);
uint64_t net_left_ms(const net_t *net);

/* Runs the loop until done returns true, or until limit_ms or the net's deadline expires. Returns done(arg).
 */
bool net_wait(net_t *net, bool (*done)(void *arg), void *arg, uint64_t limit_ms);

/* Resolves a name. Returns the number of addresses; 0: the reason is in *status (UV_ETIMEDOUT: timeout). */
size_t net_resolve(net_t *net, const char *host, int port, struct sockaddr_storage *addresses, size_t max,
                   uint64_t limit_ms, int *status);

/* Starts connecting, from source unless NULL. The state of the connection shows the result. */
raw_conn_t *raw_conn_connect(net_t *net, const struct sockaddr *address, const struct sockaddr *source);
/* Waits for it. After limit_ms the connection ends with UV_ETIMEDOUT. */
bool raw_conn_wait_connected(raw_conn_t *conn, uint64_t limit_ms);
/* For net_wait(): connected or failed. */
bool raw_conn_connect_done(void *arg);
/* Duration of the last step. */
double raw_conn_step_ms(const raw_conn_t *conn);

/* Starts the TLS handshake; host is borrowed. When raw_conn_tls_done(), the state is RAW_CONN_OPEN or
 * RAW_CONN_ENDED. */
void raw_conn_start_tls(raw_conn_t *conn, mcp__tls_context_t *context, const char *host, bool verify);
bool raw_conn_tls_done(void *arg);

/* Sends the upgrade request. When raw_conn_upgrade_done(), the state is RAW_CONN_WEBSOCKET on success. */
void raw_conn_upgrade(raw_conn_t *conn, const mcp__url_t *url);
bool raw_conn_upgrade_done(void *arg);

/* Sends bytes without framing; received bytes go to initial_data. */
void raw_conn_send_raw(raw_conn_t *conn, const void *data, size_t len);

/* Over WebSocket. raw_conn_request() sends a request and waits for its response, which is then in
 * conn->response.
 */
void raw_conn_send_text(raw_conn_t *conn, const char *text, size_t len);
bool raw_conn_request(raw_conn_t *conn, const char *method, const char *params, uint64_t limit_ms);
bool raw_conn_wait_response(raw_conn_t *conn, uint64_t limit_ms);
bool raw_conn_ping(raw_conn_t *conn, uint64_t limit_ms);

void raw_conn_end(raw_conn_t *conn, int status);

#endif
