/* call.h: one tools/call from its message to its response, and all calls of a server.
 *
 * A call knows its caller only as mcp__caller_t; the session above it delivers the responses. */
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
  MCP__CALL_PROGRESS_MS = 50, /* minimum interval of a call's notifications; the newest is sent */
  MCP__CALL_BLOCKED_MS = 200, /* a handler that blocks the loop longer is logged */
  MCP__CALL_MAX_OUT = 1 << 30,
  MCP__CALLER_MAX_IN_FLIGHT = 64,   /* of one caller */
  MCP__CALLS_MAX = 65536,           /* of the server, including calls whose caller has gone */
  MCP__CALLS_SPARE_BYTES = 8 << 20, /* memory of released calls kept for reuse */
  MCP__CALLS_SPARE_MAX = 4096,
  MCP__CALL_KEPT_RESPONSE_BYTES = 4096 /* of one released call's response */
};

typedef struct mcp__caller mcp__caller_t;

/* Appends one response to out. Returns 0 or an error. */
typedef int (*mcp__render_cb)(mcp__buf_t *out, const mcp__response_context_t *to, const void *value);

/* Implemented by the session of a caller. */
typedef struct mcp__caller_events {
  /* Sends one response to the origin of its request. If rendering fails, sends an internal error instead and
   * returns nonzero. Returns MCP_ESTATE if no response can be sent any more. May end other calls of the
   * caller. */
  int (*respond)(mcp__caller_t *caller, void *origin, const mcp__response_context_t *to,
                 mcp__render_cb render, const void *value);
  void (*notify)(mcp__caller_t *caller, void *origin, const char *text); /* dropped if there is no room */
  void (*call_removed)(mcp__caller_t *caller); /* one call fewer, in flight or waiting */
} mcp__caller_events_t;

/* All calls of one server. */
typedef struct mcp__calls {
  uv_loop_t *loop;
  size_t max_message;
  mcp__budget_t *memory;
  mcp__server_log_t *log;
  mcp__server_counters_t *counters;
  mcp__metrics_t *metrics;     /* of the component */
  mcp__pool_t *pool;           /* NULL without blocking tools */
  mcp__relay_t relay;          /* calls of blocking tools to other servers */
  bool stopping;               /* calls that have not begun are refused */
  mcp_call_t *oldest, *newest; /* list of calls that have not ended */
  size_t running;              /* calls that have not ended and are not waiting */
  mcp_call_t *next;            /* next call of an iteration, because a callback may end any call */
  mcp_call_t *spare;
  size_t spare_count, spare_bytes;
  uv_timer_t late_cancels;   /* runs callbacks of mcp_call_on_cancel() that were set after the cancellation */
  uv_timer_t progress;       /* sends the progress that handlers have reported */
  uint64_t progress_ms;      /* time of the last sending */
  bool handler_left_running; /* a blocking handler outlived the server */
  void (*on_ended)(void *arg); /* a call has ended */
  void *arg;
} mcp__calls_t;

/* The source of calls. First member of a session. */
struct mcp__caller {
  const mcp__caller_events_t *events;
  mcp__calls_t *calls;
  mcp__peer_t *peer;
  mcp__budget_account_t account;  /* memory charged to the caller, including its calls */
  mcp__budget_address_t *address; /* held; NULL until known */
  mcp_call_t *in_flight;
  unsigned in_flight_count;
  mcp_call_t *waiting, *last_waiting;  /* calls that have not begun, in order */
  size_t waiting_count, waiting_bytes; /* number and text size of waiting calls */
  size_t waiting_no_response;          /* waiting calls that get no response */
};

typedef enum mcp__call_state {
  MCP__CALL_SPARE,
  MCP__CALL_ACQUIRED, /* holds a message, which may be no call */
  MCP__CALL_WAITING,  /* for other calls of its caller; the handler has not started */
  MCP__CALL_RUNNING,  /* the handler has to end it */
  MCP__CALL_ENDED     /* by its handler */
} mcp__call_state_t;

struct mcp_call {
  mcp__parent_t parent;      /* first member: used by the calls that its handler makes */
  mcp__job_t job;            /* used by the pool */
  mcp__calls_t *calls;       /* NULL: the server has stopped, the handler has not ended the call */
  mcp__caller_t *caller;     /* NULL: the caller has gone */
  void *origin;              /* of the transport: source of the message */
  mcp_call_t *prev, *next;   /* of the same caller: in flight, or waiting */
  mcp_call_t *older, *newer; /* of the server */
  uint64_t started_ms;
  uint64_t started_ns; /* start time, to measure the duration */
  mcp__buf_t text;     /* the message; id, args and trace point into it */
  mcp__arena_t arena;
  /* Account for this memory: of the caller, or of its address once the caller has gone. */
  mcp__budget_account_t *account;
  mcp__budget_address_t *address; /* held */
  size_t charged;
  mcp__response_context_t to;
  mcp__tool_t *tool; /* held: it may be removed, and the thread may outlive the server */
  yyjson_val *args;
  int failure;                /* 0, or the error code of the call */
  const char *failure_text;   /* message of the failure, in the arena */
  mcp__log_shipper_t *logger; /* held while parent.on_pool */
  const char *progress_token; /* JSON text in the arena; NULL: the caller wants no progress */
  double progress_last;       /* values have to increase */
  _Atomic(char *) progress;   /* newest notification for the loop's thread to send; NULL: none */
  mcp__pool_t *pool;          /* while parent.on_pool; lives as long as the handler runs */
  yyjson_mut_doc *doc;        /* in the arena; NULL until first used */
  void (*on_cancel)(mcp_call_t *call, void *arg);
  void *on_cancel_arg;
  /* Cancelled by its caller or timed out: if the handler has not started, it never does. */
  atomic_bool do_not_start;
  uint32_t id_hash; /* see ids.h */
  bool no_response; /* a notification: no response is sent */
  bool counted;
  mcp__metrics_t *metrics; /* held by a call that outlives its server, because its handler may count */
  _Atomic(mcp__call_state_t) state; /* set to ENDED on the pool's thread, else used on the loop's thread */
  mcp__call_status_t status;        /* set once it has ended, unless its caller has gone */
  mcp__buf_t response;
};

/* Returns a call whose text is ready for a message; NULL if out of memory. */
mcp_call_t *mcp__call_acquire(mcp__caller_t *caller);
void mcp__call_charge(mcp_call_t *call); /* updates the account to the current size */
void mcp__call_release(mcp_call_t *call);
/* Starts the handler, now or after the waiting calls. */
void mcp__call_run(mcp_call_t *call, mcp__caller_t *caller);
bool mcp__call_may_begin(const mcp__caller_t *caller);
void mcp__call_begin(mcp_call_t *call); /* starts a waiting call */
/* Cancels for the caller, which expects no response. A call in flight stays until its handler ends it; a
 * waiting call ends now. */
void mcp__call_cancel(mcp_call_t *call);
void mcp__call_abandon(mcp_call_t *call); /* cancels, because the caller has gone */

/* Finds a call by id and its mcp__id_hash(): in flight and not cancelled, or waiting. NULL: none. */
mcp_call_t *mcp__caller_find(const mcp__caller_t *caller, uint32_t hash, const char *id, size_t id_len);
mcp_call_t *mcp__caller_find_waiting(const mcp__caller_t *caller, uint32_t hash, const char *id,
                                     size_t id_len);
void mcp__caller_abandon(mcp__caller_t *caller); /* abandons all calls of the caller */

void mcp__calls_open(mcp__calls_t *calls); /* set the members up to stopping, zero the others */
/* Answers with -32603 and abandons all calls older than age_ms, or all if age_ms is 0. A call stays until its
 * handler ends it. */
void mcp__calls_time_out(mcp__calls_t *calls, uint64_t age_ms, mcp_cancel_reason_t reason);
void mcp__calls_detach(mcp__calls_t *calls); /* from a server that is freed before they end */
void mcp__calls_free_spare(mcp__calls_t *calls);
int mcp__calls_ensure_pool(mcp__calls_t *calls);  /* creates the pool if needed; 0 or UV_ENOMEM */
void mcp__calls_send_progress(uv_timer_t *timer); /* timer->data: the calls */

#endif
