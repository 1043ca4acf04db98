/* conn.h: the connections of a server, from accept to the end of TCP: HTTP head, WebSocket, time limits. Each
 * connection has a session, which handles MCP. */
#ifndef MCP_CONN_H
#define MCP_CONN_H

#include "server/conn_http.h"
#include "server/http_pages.h"
#include "transport/auth.h"
#include "transport/certificate.h"
#include "transport/origins.h"
#include "transport/rate_limit.h"
#include "transport/stream.h"
#include "transport/ws.h"

enum {
  MCP__CONN_TICK_MS = 500, /* resolution of the time limits below */
  MCP__CONN_HANDSHAKE_MS = 5000,
  MCP__CONN_HANDSHAKE_MIN_MS = 500, /* after that a handshake may be evicted if no slot is free */
  MCP__CONN_PING_MS = 20000,
  MCP__CONN_PONG_MS = 20000,
  MCP__CONN_MESSAGE_STALL_MS = 30000,     /* an incomplete message has to progress within this time */
  MCP__CONN_MESSAGE_MIN_BYTES = 32 << 10, /* minimum progress in bytes */
  MCP__CONN_MESSAGE_MIN_PART = 16,        /* minimum progress: 1/16 of the bytes received before */
  MCP__CONN_MEMORY_STALL_MS = 30000, /* time to wait for message memory before the connection is closed */
  MCP__CONN_WRITE_STALL_MS = 30000,
  /* Input is discarded for this time after a close; otherwise the peer would see a reset. */
  MCP__CONN_DRAIN_MS = 1000,
  MCP__CONN_MAX_HANDSHAKES = 128,
  MCP__CONN_MAX_REJECTED = 128, /* connections that get their last HTTP response; beyond that the oldest are
                                   closed */
  MCP__CONN_BACKLOG_PAUSE = 1 << 20,
  MCP__CONN_KEPT_MAX = 64 << 20, /* bytes of output buffers that all connections keep until they are idle */
  MCP__CONN_BACKLOG_CLOSE = 32 << 20
};

/* All connections of one server, and their shared state. */
typedef struct mcp__conns {
  /* settings */
  int max_connections;
  bool allow_public;
  mcp__origins_t origins;
  mcp__auth_t auth;
  mcp__certificate_t certificate;
  int max_connects;                /* of one address in a second */
  mcp__rate_limit_t *connect_rate; /* counters for max_connects; NULL: no limit */
  int max_messages;                /* of one connection in a second; 0: no limit */
  /* while started */
  uv_loop_t *loop;
  mcp__io_t io;
  mcp__service_t *service;
  mcp__http_site_t site;
  mcp__server_log_t *log;
  mcp__budget_t memory; /* limit for data received from peers, and for everything derived from it */
  mcp__conn_t *first;
  mcp__http_sessions_t http_sessions;
  int slots_used; /* connections in their handshake or open */
  int handshakes;
  /* connections without a slot that get their last HTTP response; NULL: free */
  mcp__conn_t *rejected[MCP__CONN_MAX_REJECTED];
  uint64_t window, window_begin_ms; /* number and start of the window for max_messages: two ticks */
  bool stopping;
  void (*request_tick)(void *arg);   /* requests mcp__conns_tick() in the next loop iteration */
  void (*on_conn_closed)(void *arg); /* one was closed and freed */
  void *arg;
} mcp__conns_t;

typedef enum mcp__conn_state {
  MCP__CONN_HANDSHAKE, /* reads the head of the first request */
  MCP__CONN_HTTP,      /* has answered one, or reads its body; see conn_http.h */
  MCP__CONN_OPEN,      /* speaks WebSocket */
  MCP__CONN_CLOSING,   /* a close was written: input is discarded until the end */
  MCP__CONN_CLOSED
} mcp__conn_state_t;

struct mcp__conn {
  mcp__stream_t stream;
  mcp__conns_t *all;
  mcp__conn_t *prev, *next;
  mcp__conn_state_t state;
  mcp__head_t *head;      /* while it speaks HTTP */
  mcp__conn_http_t *http; /* since it has left the handshake for HTTP; else NULL */
  mcp__ws_t ws;
  mcp__ws_config_t ws_config;
  mcp__buf_t input; /* read but not processed, because the connection is paused */
  mcp__session_t session;
  mcp__peer_t peer;
  size_t charged_bytes; /* charged to the session's account, for the buffers */
  uint64_t starved_ms;  /* since when memory for its message is missing; 0: not missing */
  mcp_call_t *deferred; /* holds a message that waits for memory to be parsed; else NULL */
  mcp__buf_quota_t quota;
  /* Number of the window of window_messages. */
  uint64_t window;
  int window_messages; /* messages in that window; counted if max_messages is set */
  uint64_t since_ms;   /* start of the state */
  uint64_t read_ms;    /* time of the last input */
  /* Start of the current message, or time of its last sufficient progress; 0: no message is incomplete. */
  uint64_t message_ms;
  size_t message_len;  /* bytes of the message at message_ms */
  uint64_t pinged_ms;  /* 0: no ping is outstanding */
  uint64_t stalled_ms; /* since when the peer has not read; 0: it reads */
  size_t stalled_bytes;
  size_t largest_response;
  bool in_handshake;      /* counted in all->handshakes */
  bool has_slot;          /* counted in all->slots_used */
  mcp__conn_t **rejected; /* its entry of all->rejected; NULL: none */
};

/* Set the settings and the members up to memory first, zero the others. Returns 0, or UV_ENOMEM: then do not
 * close it. */
int mcp__conns_open(mcp__conns_t *all);
/* Returns 0; otherwise the connection stays in the listener, which has to be closed. */
int mcp__conns_accept(mcp__conns_t *all, uv_stream_t *listener);
void mcp__conns_tick(mcp__conns_t *all); /* call every MCP__CONN_TICK_MS, or earlier */
/* Closes with 1012 the connections without a call in flight, or all if at_once. */
void mcp__conns_stop(mcp__conns_t *all, bool at_once);
size_t mcp__conns_count_open(const mcp__conns_t *all);
void mcp__conns_tools_changed(mcp__conns_t *all);
void mcp__conns_notify(mcp__conns_t *all);

#endif
