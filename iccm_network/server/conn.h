/* conn.h: the connections of a server, from accept to the end of TCP: HTTP head, WebSocket, limits over
 * time. What MCP knows of the peer is in the session that each has. */
#ifndef MCP_CONN_H
#define MCP_CONN_H

#include "server/http_pages.h"
#include "server/session.h"
#include "transport/auth.h"
#include "transport/certificate.h"
#include "transport/origins.h"
#include "transport/rate_limit.h"
#include "transport/stream.h"
#include "transport/ws.h"

enum {
  MCP__CONN_TICK_MS = 500, /* how exact the limits below are kept */
  MCP__CONN_HANDSHAKE_MS = 5000,
  MCP__CONN_HANDSHAKE_MIN_MS = 500, /* then, where all places are taken, one may be asked to make room */
  MCP__CONN_PING_MS = 20000,
  MCP__CONN_PONG_MS = 20000,
  MCP__CONN_MESSAGE_STALL_MS = 30000,     /* in which a message that was begun ends, … */
  MCP__CONN_MESSAGE_MIN_BYTES = 32 << 10, /* … or so many bytes of it come, and … */
  MCP__CONN_MESSAGE_MIN_PART = 16,        /* … such a part of what has come before */
  MCP__CONN_MEMORY_STALL_MS = 30000, /* in which there is memory for a message, or its connection is closed */
  MCP__CONN_WRITE_STALL_MS = 30000,
  MCP__CONN_DRAIN_MS =
      1000, /* input is discarded that long after a close, else the peer sees a reset instead */
  MCP__CONN_MAX_HANDSHAKES = 128,
  MCP__CONN_MAX_REJECTED = 128, /* connections that are answered and not let in; then the oldest go */
  MCP__CONN_BACKLOG_PAUSE = 1 << 20,
  MCP__CONN_BACKLOG_CLOSE = 32 << 20
};

typedef struct mcp__conn mcp__conn_t;

/* All connections of one server, and what they have in common. */
typedef struct mcp__conns {
  /* settings */
  int max_connections;
  bool allow_public;
  mcp__origins_t origins;
  mcp__auth_t auth;
  mcp__certificate_t certificate;
  int max_connects;                /* of one address in a second … */
  mcp__rate_limit_t *connect_rate; /* … and how many there were; NULL: they are not counted */
  int max_messages;                /* of one connection in a second; 0: any number */
  /* while started */
  uv_loop_t *loop;
  mcp__io_t io;
  mcp__service_t *service;
  mcp__http_site_t site;
  mcp__server_log_t *log;
  mcp__budget_t memory; /* of all that peers sent and that is made of it */
  mcp__conn_t *first;
  int slots_used; /* how many of these have a place: they are in their handshake, or let in */
  int handshakes;
  mcp__conn_t
      *rejected[MCP__CONN_MAX_REJECTED]; /* these have none: they were answered and not let in; NULL: free */
  uint64_t window, window_begin_ms;      /* a number, and when it began: two ticks each */
  bool stopping;
  void (*request_tick)(void *arg);   /* mcp__conns_tick() is wanted when the loop turns */
  void (*on_conn_closed)(void *arg); /* one has gone; its memory is freed */
  void *arg;
} mcp__conns_t;

typedef enum mcp__conn_state {
  MCP__CONN_HANDSHAKE,
  MCP__CONN_OPEN,
  MCP__CONN_CLOSING, /* a close was written: input is discarded, then the end */
  MCP__CONN_CLOSED
} mcp__conn_state_t;

struct mcp__conn {
  mcp__stream_t stream;
  mcp__conns_t *all;
  mcp__conn_t *prev, *next;
  mcp__conn_state_t state;
  mcp__head_t *head; /* while in handshake */
  mcp__ws_t ws;
  mcp__ws_config_t ws_config;
  mcp__buf_t input; /* read, but not taken yet, since the connection is paused */
  mcp__session_t session;
  mcp__peer_t peer;
  size_t charged_bytes; /* to the session's account, for the buffers */
  uint64_t starved_ms;  /* since when there is no memory for its message; 0: there is */
  mcp_call_t *deferred; /* holds a message that there is no memory to parse; else NULL */
  mcp__gate_t gate;
  uint64_t window;     /* of all, in which … */
  int window_messages; /* … so many have come; counted where they are limited */
  uint64_t since_ms;   /* of the state */
  uint64_t read_ms;    /* something came */
  uint64_t message_ms; /* since when a message is coming, or its last MCP__CONN_MESSAGE_MIN_BYTES bytes were
                          there; 0: none is … */
  size_t message_len;  /* … and how much of it was there then */
  uint64_t pinged_ms;  /* 0: no ping is out */
  uint64_t stalled_ms; /* the peer takes nothing since; 0: it does */
  size_t stalled_bytes;
  size_t largest_response;
  bool has_slot;          /* in all->placed */
  mcp__conn_t **rejected; /* its own in all->leaving; NULL: none */
};

/* The settings and the members up to memory are set; the others are zero. 0 or UV_ENOMEM; then it has to be
 * closed. */
int mcp__conns_open(mcp__conns_t *all);
/* 0; else the connection waits in the listener, which is of no use any more. */
int mcp__conns_accept(mcp__conns_t *all, uv_stream_t *listener);
void mcp__conns_tick(mcp__conns_t *all); /* every MCP__CONN_TICK_MS, or earlier */
/* Closes with 1012 those without a call in flight, or all at once. */
void mcp__conns_stop(mcp__conns_t *all, bool at_once);
size_t mcp__conns_count_open(const mcp__conns_t *all);
void mcp__conns_tools_changed(mcp__conns_t *all);
void mcp__conns_notify(mcp__conns_t *all);

#endif
