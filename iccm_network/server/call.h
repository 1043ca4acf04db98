/* call.h: one tools/call from its message to its answer, and all calls of a server.
 *
 * A call knows its caller by mcp__caller_t alone: where answers go is the business of the session above. */
#ifndef MCP_CALL_H
#define MCP_CALL_H

#include "base/arena.h"
#include "base/budget.h"
#include "base/parent.h"
#include "mcp/ids.h"
#include "mcp/response.h"
#include "server/pool.h"
#include "server/relay.h"
#include "server/server_log.h"
#include "server/server_metrics.h"

enum {
  MCP__CALL_PROGRESS_MS = 50, /* between two notifications of a call; the newest counts */
  MCP__CALL_BLOCKED_MS = 200, /* a handler that keeps the loop for longer is named in the log */
  MCP__CALL_MAX_OUT = 1 << 30,
  MCP__CALLER_MAX_IN_FLIGHT = 64,   /* of one caller */
  MCP__CALLS_MAX = 65536,           /* of the whole server, those included for which nobody waits any more */
  MCP__CALLS_SPARE_BYTES = 8 << 20, /* memory kept for calls to come */
  MCP__CALLS_SPARE_MAX = 4096,
  MCP__CALL_KEPT_RESPONSE_BYTES = 4096 /* of that, for the response of one */
};

typedef struct mcp__caller mcp__caller_t;

/* Appends one answer to out; 0, or why it cannot. */
typedef int (*mcp__render_cb)(mcp__buf_t *out, const mcp__response_context_t *to, const void *what);

/* What calls need of the session that their caller has. */
typedef struct mcp__caller_events {
  /* Sends one answer to where the request came from. Where it cannot be rendered an internal error is sent
   * instead: nonzero says so; MCP_ESTATE: none can be sent any more. May end other calls of the
   * caller. */
  int (*respond)(mcp__caller_t *caller, void *origin, const mcp__response_context_t *to,
                 mcp__render_cb render, const void *what);
  void (*notify)(mcp__caller_t *caller, void *origin, const char *text); /* may be left out: no room */
  void (*call_removed)(mcp__caller_t *caller); /* it has one call less, in flight or waiting */
} mcp__caller_events_t;

/* All calls of one server. */
typedef struct mcp__calls {
  uv_loop_t *loop;
  size_t max_message;
  mcp__budget_t *memory;
  mcp__server_log_t *log;
  mcp__server_counters_t *counters;
  mcp__metrics_t *metrics;     /* the component's own */
  mcp__pool_t *pool;           /* NULL without blocking tools */
  mcp__relay_t relay;          /* what these ask of other servers */
  bool stopping;               /* calls that have not begun are refused */
  mcp_call_t *oldest, *newest; /* that have not ended */
  size_t running;              /* of these, without those that wait for others of their caller */
  mcp_call_t *next;            /* where a walk over them goes on: a callback may end any */
  mcp_call_t *spare;
  size_t spare_count, spare_bytes;
  uv_timer_t late_cancels;     /* runs mcp_call_on_cancel callbacks that were given too late */
  uv_timer_t progress;         /* sends the progress that handlers have reported */
  uint64_t progress_ms;        /* when it did last */
  bool handler_left_running;   /* a blocking handler was still running when the server had stopped */
  void (*on_ended)(void *arg); /* a call has ended */
  void *arg;
} mcp__calls_t;

/* Whose calls these are. The session has it as its first member. */
struct mcp__caller {
  const mcp__caller_events_t *events;
  mcp__calls_t *calls;
  mcp__peer_t *peer;
  mcp__account_t account;  /* what it is charged for, its calls included */
  mcp__address_t *address; /* NULL until it is known; held */
  mcp_call_t *in_flight;
  unsigned in_flight_count;
  mcp_call_t *waiting, *last_waiting;  /* calls that have not begun, in order, … */
  size_t waiting_count, waiting_bytes; /* … how many, of how much text, … */
  size_t waiting_no_response;          /* … and of these, those that nobody waits for */
};

typedef enum mcp__call_state {
  MCP__CALL_SPARE,
  MCP__CALL_ACQUIRED, /* holds a message, which may be something else than a call */
  MCP__CALL_WAITING,  /* for others of its caller to end; its handler has not seen it */
  MCP__CALL_RUNNING,  /* its handler has to end it */
  MCP__CALL_ENDED     /* by its handler */
} mcp__call_state_t;

struct mcp_call {
  mcp__parent_t parent;      /* first member: what is known of it by who makes calls for it */
  mcp__job_t job;            /* what the pool knows of it */
  mcp__calls_t *calls;       /* NULL: the server has stopped; the handler still owes the end */
  mcp__caller_t *caller;     /* NULL: nobody waits any more */
  void *origin;              /* the transport's: where its message came from */
  mcp_call_t *prev, *next;   /* of the same caller: in flight, or waiting */
  mcp_call_t *older, *newer; /* of the server */
  uint64_t started_ms;
  uint64_t started_ns; /* the same, for the time that it took */
  mcp__buf_t text;     /* the message, which id, args and trace point into */
  mcp__arena_t arena;
  mcp__account_t *account; /* who is charged for all of that: the caller or, once it has lost that, … */
  mcp__address_t *address; /* … the address; held */
  size_t charged;
  mcp__response_context_t to;
  mcp__tool_t *tool; /* held: it may be removed meanwhile, and the thread may outlive the server */
  yyjson_val *args;
  int failure;                /* 0, or the code that it ended with, … */
  const char *failure_text;   /* … and its message, in the arena */
  mcp__logger_t *logger;      /* held while parent.on_pool */
  const char *progress_token; /* JSON text in the arena; NULL: the caller wants no progress */
  double progress_last;       /* values rise */
  _Atomic(char *) progress;   /* the newest notification, which the loop's thread has to send; NULL: none */
  mcp__pool_t *pool;          /* while parent.on_pool; outlives the server where the handler does */
  yyjson_mut_doc *doc;        /* in the arena; NULL until asked for */
  void (*on_cancel)(mcp_call_t *call, void *arg);
  void *on_cancel_arg;
  atomic_bool do_not_start; /* its caller has cancelled it, or was told that it timed out: if it has not begun
                           it never does */
  uint32_t id_hash;         /* see ids.h */
  bool no_response;         /* a notification: no answer is sent */
  bool counted;
  mcp__metrics_t *metrics; /* held by a call that its server has left behind, whose handler may count */
  _Atomic(mcp__call_state_t) state; /* ended on the pool's thread, else used on the loop's */
  mcp__call_status_t status;        /* once it has ended, unless nobody waits for it then */
  mcp__buf_t response;
};

/* A call with room for a message in text; NULL: no memory. */
mcp_call_t *mcp__call_acquire(mcp__caller_t *caller);
void mcp__call_charge(mcp_call_t *call); /* what it holds has changed */
void mcp__call_release(mcp_call_t *call);
void mcp__call_run(mcp_call_t *call, mcp__caller_t *caller); /* hands it to its handler, now or in its turn */
bool mcp__call_may_begin(const mcp__caller_t *caller);
void mcp__call_begin(mcp_call_t *call); /* one that waited: its turn has come */
/* Its caller wants no answer; it stays in flight until it ends, and one that waits ends now. */
void mcp__call_cancel(mcp_call_t *call);
void mcp__call_abandon(mcp_call_t *call);                   /* nobody waits any more */
void mcp__call_time_out(mcp_call_t *call, const char *why); /* answers -32603, then as above */

/* By id, whose mcp__id_hash() is given: in flight and not cancelled, or waiting. NULL: none. */
mcp_call_t *mcp__caller_find(const mcp__caller_t *caller, uint32_t hash, const char *id, size_t id_len);
mcp_call_t *mcp__caller_find_waiting(const mcp__caller_t *caller, uint32_t hash, const char *id,
                                     size_t id_len);
void mcp__caller_abandon(mcp__caller_t *caller); /* all of its calls */

void mcp__calls_open(mcp__calls_t *calls); /* the members up to stopping are set; the others are zero */
/* All calls that are older than age_ms, or where that is 0 all. Those that handlers never end stay. */
void mcp__calls_time_out(mcp__calls_t *calls, uint64_t age_ms, const char *why);
void mcp__calls_detach(mcp__calls_t *calls); /* from a server that goes before their end */
void mcp__calls_free_spare(mcp__calls_t *calls);
int mcp__calls_ensure_pool(mcp__calls_t *calls);  /* makes one where there is none; 0 or UV_ENOMEM */
void mcp__calls_send_progress(uv_timer_t *timer); /* data: the calls */

#endif
