/* server.h: the parts of a server: server.c listens and stops, conn.c is one connection, call.c one call. */
#ifndef MCP_SERVER_H
#define MCP_SERVER_H

#include "transport/auth.h"
#include "base/budget.h"
#include "transport/certificate.h"
#include "base/parent.h"
#include "server/server_metrics.h"
#include "mcp/dispatch.h"
#include "mcp/ids.h"
#include "client/log_shipper.h"
#include "transport/origins.h"
#include "transport/peer_addr.h"
#include "server/pool.h"
#include "transport/rate_limit.h"
#include "server/relay.h"
#include "base/span.h"
#include "transport/stream.h"
#include "transport/upgrade.h"
#include "transport/ws.h"

#include <stdatomic.h>

enum {
  MCP__TICK_MS = 500, /* how exact the limits below are kept */
  MCP__HANDSHAKE_MS = 5000,
  MCP__HANDSHAKE_SURE_MS = 500, /* then, where all places are taken, one may be asked to make room */
  MCP__PING_MS = 20000,
  MCP__PONG_MS = 20000,
  MCP__MESSAGE_STALL_MS = 30000, /* in which a message that was begun ends, … */
  MCP__MESSAGE_LEAST = 32 << 10, /* … or so many bytes of it come, and … */
  MCP__MESSAGE_PART = 16,        /* … such a part of what has come before */
  MCP__MEMORY_STALL_MS = 30000,  /* in which there is memory for a message, or its connection is closed */
  MCP__WRITE_STALL_MS = 30000,
  MCP__PROGRESS_MS = 50, /* between two notifications of a call; the newest counts */
  MCP__BLOCKED_MS = 200, /* a handler that keeps the loop for longer is named in the log */
  MCP__DRAIN_MS = 1000,  /* input is discarded that long after a close, else the peer sees a reset instead */
  MCP__STOP_TICK_MS = 1,
  MCP__MAX_IN_FLIGHT = 64,
  MCP__MAX_WAITING = 16384,     /* calls of a connection that were read and have not begun, and … */
  MCP__WAITING_BYTES = 4 << 20, /* … bytes of their text, the last one's excepted; then it is not read from */
  MCP__MAX_CALLS = 65536,       /* of the whole server, those included for which nobody waits any more */
  MCP__MAX_HANDSHAKES = 128,
  MCP__MAX_LEAVING = 128, /* connections that are answered and not let in; then the oldest go */
  MCP__MAX_REFUSALS = 64, /* reasons with lines of their own; there are fewer */
  MCP__REFUSAL_WORDS = 160,
  MCP__BACKLOG_PAUSE = 1 << 20,
  MCP__BACKLOG_CLOSE = 32 << 20,
  MCP__MAX_OUT = 1 << 30,
  MCP__MAX_METRICS = 16 << 20, /* the answer to /metrics */
  MCP__PARSE_MEMORY = 4,       /* times the message limit: what one message may need while it is parsed */
  MCP__PARSE_MEMORY_MIN = 1 << 20,
  MCP__HELLO_BYTES = 4096,    /* of an initialize that is kept */
  MCP__NOTICE_BYTES = 128,    /* of a capability's name */
  MCP__SPARE_BYTES = 8 << 20, /* memory kept for calls to come */
  MCP__SPARE_CALLS = 4096
};

typedef struct mcp__conn mcp__conn_t;

struct mcp_call {
  mcp__parent_t parent;      /* first member: what is known of it by who makes calls for it */
  mcp__job_t job;            /* what the pool knows of it */
  mcp_server_t *server;      /* NULL: has stopped; the handler still owes the end */
  mcp__conn_t *conn;         /* NULL: nobody waits any more */
  mcp_call_t *prev, *next;   /* of the same connection: in flight, or waiting */
  mcp_call_t *older, *newer; /* of the server */
  uint64_t started_ms;
  uint64_t started_ns; /* the same, for the time that it took */
  mcp__buf_t text;     /* the message, which id, args and trace point into */
  mcp__arena_t arena;
  mcp__account_t *account; /* who is charged for all of that: the connection or, once it has lost that, … */
  mcp__address_t *address; /* … the address; held */
  size_t charged;
  mcp__addressee_t to;
  mcp__tool_t *tool; /* held: it may be removed meanwhile, and the thread may outlive the server */
  yyjson_val *args;
  int failure;                /* 0, or the code that it ended with, … */
  const char *failure_text;   /* … in words, in the arena */
  mcp__logger_t *logger;      /* held while parent.on_pool */
  const char *progress_token; /* JSON text in the arena; NULL: nobody asked */
  double progress_last;       /* values rise */
  _Atomic(char *) progress;   /* the newest notification, which the loop's thread has to send; NULL: none */
  mcp__pool_t *pool;          /* while parent.on_pool; outlives the server where the handler does */
  yyjson_mut_doc *doc;        /* in the arena; NULL until asked for */
  void (*on_cancel)(mcp_call_t *call, void *arg);
  void *on_cancel_arg;
  atomic_bool unwanted; /* its caller has said so, or been told that it timed out: if it has not begun it
                           never does */
  uint32_t id_hash;     /* see ids.h */
  bool waiting;         /* for others of its connection to end; its handler has not seen it */
  bool silent;          /* a notification: whatever comes of it is not sent */
  mcp__metrics_t
      *metrics; /* held by a call that its server has left behind, whose handler may count; else NULL */
  bool ended;
  bool counted;
  mcp__ending_t ending; /* once it is ended, unless nobody waits for it then */
  mcp__buf_t response;
};

typedef enum mcp__conn_state {
  MCP__CONN_HANDSHAKE,
  MCP__CONN_OPEN,
  MCP__CONN_CLOSING, /* the last words are said: they are written, input is discarded, then the end */
  MCP__CONN_CLOSED
} mcp__conn_state_t;

struct mcp__conn {
  mcp__stream_t stream;
  mcp_server_t *server;
  mcp__conn_t *prev, *next;
  mcp__conn_state_t state;
  mcp__head_t *head; /* while in handshake */
  mcp__ws_t ws;
  mcp__ws_config_t ws_config;
  mcp__buf_t input;  /* read, but not taken yet, since the connection is paused */
  mcp_call_t *calls; /* in flight */
  unsigned in_flight;
  mcp_call_t *waiting, *last_waiting;  /* calls that have not begun, in order, … */
  size_t waiting_count, waiting_bytes; /* … how many, of how much text, … */
  size_t waiting_silent;               /* … and of these, those that nobody waits for */
  mcp__address_t *address;             /* NULL until it is known; held */
  mcp__account_t account;              /* its buffers and its calls */
  size_t charged;                      /* for its buffers */
  uint64_t starved_ms;                 /* since when there is no memory for its message; 0: there is */
  mcp_call_t *kept;                    /* holds a message that there is no memory to parse; else NULL */
  mcp__gate_t gate;
  mcp__revision_t revision;
  char *trace_id;   /* of the upgrade request; NULL: none */
  char *hello;      /* the params of an initialize that asks for the server's notice; NULL: none did */
  int64_t since_us; /* when it was opened, by the calendar */
  uint64_t requests;
  uint64_t second; /* of the server, in which … */
  int messages;    /* … so many have come; counted where they are limited */
  bool notice_due;
  bool ships;          /* it has made a call that is not log traffic: its events are shipped */
  uint64_t since_ms;   /* of the state */
  uint64_t read_ms;    /* something came */
  uint64_t message_ms; /* since when a message is coming, or its last MCP__MESSAGE_LEAST bytes were there; 0:
                          none is … */
  size_t message_len;  /* … and how much of it was there then */
  uint64_t pinged_ms;  /* 0: no ping is out */
  uint64_t stalled_ms; /* the peer takes nothing since; 0: it does */
  size_t stalled_bytes;
  size_t largest_answer;
  bool examined;         /* by iccm doctor: what it gets as an error is no refusal to be counted */
  bool initialized;      /* the peer has said so */
  bool tools_changed;    /* and has to be told, from 2025-03-26 on */
  bool counted;          /* in server->connections */
  mcp__conn_t **leaving; /* its own in server->leaving; NULL: none */
  char peer[MCP__PEER_NAME_SIZE];
};

/* Of one reason: what its next line in the log tells. */
typedef struct mcp__refusal {
  const char *reason; /* a constant; NULL: there has been none */
  mcp__tally_t tally;
  char done[32], how[32], peer[MCP__PEER_NAME_SIZE], words[MCP__REFUSAL_WORDS];
} mcp__refusal_t;

typedef struct mcp__need {
  struct mcp__need *next;
  char *name, *reason; /* reason NULL: it is there */
} mcp__need_t;

struct mcp_server {
  char *name, *version;
  int port;
  mcp__tools_t tools;
  mcp__identity_t identity;
  /* settings */
  size_t max_message, max_memory;
  int max_connections;
  bool allow_public;
  bool reuseport;
  mcp__origins_t origins;
  mcp__auth_t auth;
  mcp__certificate_t certificate;
  int max_connects;    /* of one address in a second … */
  mcp__rates_t *rates; /* … and how many there were; NULL: they are not counted */
  int max_messages;    /* of one connection in a second; 0: any number */
  uint64_t call_timeout_ms, shutdown_timeout_ms;
  uv_mutex_t needs_mutex; /* guards needs, which change on any thread */
  mcp__need_t *needs;
  char *log_url; /* NULL: nothing is shipped; "": it was not set */
  char *notice;  /* a capability that clients may ask for; NULL: none */
  mcp_notice_cb notice_cb;
  void *notice_arg;
  mcp__metrics_t *metrics; /* those that the component made */
  mcp__counts_t counts;
  /* while started */
  uv_loop_t *loop;
  uv_tcp_t *listeners[2]; /* 0.0.0.0 and, where there is IPv6, [::] */
  uv_timer_t tick;
  uv_timer_t late_cancels; /* runs mcp_call_on_cancel callbacks that were given too late */
  uv_timer_t progress;     /* sends what calls have to tell */
  uint64_t progress_ms;    /* when it did last */
  mcp__io_t io;
  mcp__pool_t *pool;     /* NULL without blocking tools */
  mcp__relay_t relay;    /* what these ask of other servers */
  mcp__logger_t *logger; /* NULL: lines are shown as they are made */
  mcp__conn_t *conns;
  int connections; /* how many of these have a place: they are in their handshake, or let in */
  int handshakes;
  mcp_call_t *oldest, *newest; /* calls that are not ended */
  size_t calls;                /* how many these are */
  mcp_call_t *next_call;       /* where a walk over them goes on: a callback may end any */
  mcp_call_t *spare;
  size_t spare_count, spare_bytes;
  mcp__conn_t *leaving[MCP__MAX_LEAVING]; /* these have none: they were answered and not let in; NULL: free */
  mcp__refusal_t refusals[MCP__MAX_REFUSALS];
  mcp__budget_t memory;            /* of all that peers sent and that is made of it */
  bool left_behind;                /* a blocking handler was still running when the last stop was over */
  bool deaf;                       /* accepting failed: the listeners are closed, until the next tick */
  bool started, stopping, closing; /* closing: connections are gone, handles follow */
  int open_handles;
  uint64_t second, second_ms; /* a number, and when it began: two ticks each */
  uint64_t stop_ms;
  unsigned stop_ticks; /* so many since the stop, until … */
  bool settled;        /* … what had arrived before it has been read */
  mcp_server_cb on_stopped;
  void *on_stopped_arg;
};

/* conn.c */
/* 0; else the connection waits in the listener, which is of no use any more. */
int mcp__conn_accept(mcp_server_t *server, uv_stream_t *listener);
void mcp__conn_tick(mcp__conn_t *conn, uint64_t now_ms);
void mcp__conn_stop(mcp__conn_t *conn, bool now); /* closes with 1012 when no call is in flight, or now */
/* Writes one answer: render fills out and says 0 or why it cannot; then an internal error is answered. */
typedef int (*mcp__render_cb)(mcp__buf_t *out, const mcp__addressee_t *to, const void *what);
int mcp__conn_answer(mcp__conn_t *conn, const mcp__addressee_t *to, mcp__render_cb render, const void *what);
void mcp__conn_notify(mcp__conn_t *conn, const char *text); /* may be left out: no room, no memory */
void mcp__conn_tools_changed(mcp__conn_t *conn);
void mcp__conn_notice_changed(mcp__conn_t *conn);
bool mcp__conn_is_closing(const mcp__conn_t *conn); /* nothing is answered any more */
void mcp__conn_call_left(mcp__conn_t *conn);        /* one less is in flight */

/* call.c */
mcp_call_t *mcp__call_take(mcp__conn_t *conn); /* NULL: no memory */
void mcp__call_charge(mcp_call_t *call);       /* what it holds has changed */
void mcp__call_give_back(mcp_call_t *call);
void mcp__call_run(mcp_call_t *call); /* hands it to its handler, now or in its turn */
bool mcp__call_may_begin(const mcp__conn_t *conn);
void mcp__call_begin(mcp_call_t *call); /* one that waited: its turn has come */
/* Its caller wants no answer; it stays in flight until it ends, and one that waits ends now. */
void mcp__call_cancel(mcp_call_t *call);
void mcp__call_abandon(mcp_call_t *call);                   /* nobody waits any more */
void mcp__call_time_out(mcp_call_t *call, const char *why); /* answers -32603, then as above */
void mcp__call_detach(mcp_call_t *call); /* from a server that goes before the call's end */
void mcp__call_free(mcp_call_t *call);
extern const mcp__pool_events_t mcp__call_pool_events;
void mcp__call_send_progress(uv_timer_t *timer);     /* data is the server */
void mcp__call_fire_late_cancels(uv_timer_t *timer); /* data is the server */

/* server_log.c: lines of the log */
void mcp__event_running(mcp_server_t *server);
void mcp__event_server(mcp_server_t *server, const char *message);
void mcp__event_connected(mcp__conn_t *conn);
/* What befell a peer that may make it happen again and again: "done PEERhow: words", one line a second for
 * each reason, which is a constant; a line for more than one says how many. */
void mcp__event_summed(mcp__conn_t *conn, const char *reason, const char *done, const char *how,
                       const char *words);
void mcp__event_sums(mcp_server_t *server, uint64_t now_ms); /* writes the lines that are due */
void mcp__event_disconnected(mcp__conn_t *conn, int level, int code, const char *reason); /* code 0: none */
void mcp__event_request(mcp__conn_t *conn, const mcp_call_t *call, const mcp__message_t *message,
                        const mcp__tool_t *tool); /* tool NULL: it is no call of one */
void mcp__event_refused(mcp__conn_t *conn, const mcp_call_t *call, const mcp__outcome_t *outcome);
void mcp__event_call_started(mcp_call_t *call);
/* Once a call; failure 0: none. */
void mcp__event_call_ended(mcp_call_t *call, int failure, const char *text);

/* server.c */
/* A line for each that is missing; whether none is. */
bool mcp__server_write_needs(mcp_server_t *server, mcp__buf_t *out);
void mcp__server_conn_gone(mcp_server_t *server, mcp__conn_t *conn); /* its memory is freed */
void mcp__server_call_ended(mcp_server_t *server);
void mcp__server_tick_soon(mcp_server_t *server); /* looks at all connections when the loop turns */

#endif
