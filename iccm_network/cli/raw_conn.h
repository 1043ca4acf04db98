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

enum { WIRE_FIRST_SIZE = 2048, WIRE_READ_BYTES = 64 * 1024 };

typedef struct wire wire_t;

/* The loop, and the one deadline of all. */
typedef struct net {
  uv_loop_t loop;
  uv_timer_t timer;
  bool late;            /* the timer has fired */
  uint64_t deadline_ns; /* of uv_hrtime() */
  wire_t *wires;        /* owned; they live as long as the net */
  uv_getaddrinfo_t look_up;
  bool looking_up;
  int look_up_status;
  char buffer[WIRE_READ_BYTES];
} net_t;

typedef enum wire_state { WIRE_CONNECTING, WIRE_OPEN, WIRE_WEBSOCKET, WIRE_ENDED } wire_state_t;

struct wire {
  net_t *net;
  wire_t *next;
  uv_tcp_t tcp;
  uv_connect_t connecting;
  char name[MCP__PEER_NAME_SIZE];
  struct sockaddr_storage address;
  wire_state_t state;
  int status;                /* WIRE_ENDED: why, UV_EOF where the peer ended it, MCP_ETLS: tls says why */
  uint64_t began_ns, end_ns; /* of connecting, then of TLS's handshake, then of the upgrade */
  mcp__tls_t *tls;           /* owned; NULL: in clear */

  char first[WIRE_FIRST_SIZE]; /* what came first, up to the end of the upgrade; a NUL ends it */
  size_t first_len;
  mcp__buf_t
      *whole; /* borrowed; NULL: none. What is kept in first, to the end; when it is full the wire ends */
  mcp__head_t head;
  char key[MCP__KEY_SIZE];
  mcp__head_state_t head_state;
  int switch_status; /* of mcp__check_switching() */
  char problem[256]; /* its words */

  mcp__ws_t ws;
  mcp__ws_config_t ws_config;
  mcp__buf_t out;
  uint64_t last_id;
  yyjson_doc *answer; /* owned: to the last request, or an error without id; or NULL */
  bool without_id;    /* what was sent last has none: its answer will not have one either */
  bool garbage;       /* a message came that is no JSON */
  bool pong;          /* one came */
  int close_code;     /* 0: no close came, and we sent none */
  bool close_is_theirs;
  char close_reason[MCP__REASON_MAX + 1];
};

int net_init(net_t *net, uint64_t timeout_ms); /* 0 or libuv's code */
/* Ends the process with exit_code where a look-up that is under way cannot be taken back. */
void net_deinit(net_t *net, int exit_code);
uint64_t net_left_ms(const net_t *net);

/* Runs the loop until done says so (true), or limit_ms or the net's deadline have passed. */
bool net_wait(net_t *net, bool (*done)(void *arg), void *arg, uint64_t limit_ms);

/* The addresses of a name: their number, 0 with the reason in *status (UV_ETIMEDOUT: none in time). */
size_t net_look_up(net_t *net, const char *host, int port, struct sockaddr_storage *addresses, size_t max,
                   uint64_t limit_ms, int *status);

/* Begins to connect, from source where that is not NULL, and says at once or later by the wire's state
 * whether that worked. */
wire_t *wire_connect(net_t *net, const struct sockaddr *address, const struct sockaddr *source);
bool wire_wait_connected(wire_t *wire, uint64_t limit_ms); /* gives up, with UV_ETIMEDOUT, after that */
bool wire_is_connected(void *arg);                         /* or has failed: for net_wait() */
double wire_ms(const wire_t *wire);                        /* that the last step took */

/* Begins TLS with host, borrowed. Over when wire_is_secured(): WIRE_OPEN still, or WIRE_ENDED. */
void wire_start_tls(wire_t *wire, mcp__tls_context_t *context, const char *host, bool verify);
bool wire_is_secured(void *arg);

/* Asks for the upgrade. Over when wire_is_judged(): WIRE_WEBSOCKET, or not. */
void wire_upgrade(wire_t *wire, const mcp__url_t *url);
bool wire_is_judged(void *arg);

/* Sends bytes as they are, and reads what comes into first. */
void wire_send_raw(wire_t *wire, const void *data, size_t len);

/* Over WebSocket. wire_ask: sends a request and waits for its answer, to be found in wire->answer. */
void wire_send_text(wire_t *wire, const char *text, size_t len);
bool wire_ask(wire_t *wire, const char *method, const char *params, uint64_t limit_ms);
bool wire_wait_answer(wire_t *wire, uint64_t limit_ms);
bool wire_ping(wire_t *wire, uint64_t limit_ms);

void wire_end(wire_t *wire, int status);

#endif
