/* session.h: the MCP state of one caller: protocol version, trace id, calls in flight, subscribed
 * notifications.
 *
 * Uses no socket. A transport delivers messages, each with an origin: an opaque pointer of the transport that
 * identifies the source. Responses and progress return through mcp__transport_t with the origin of their
 * request; other notifications have no origin. Hence the messages of a session may arrive over several
 * streams, in sequence or in parallel. */
#ifndef MCP_SESSION_H
#define MCP_SESSION_H

#include "mcp/dispatch.h"
#include "server/call.h"
#include "server/subscription.h"

enum {
  MCP__SESSION_MAX_WAITING = 16384, /* calls of a caller that were read and have not begun */
  MCP__SESSION_WAITING_BYTES =
      4 << 20, /* text size of waiting calls, without the last one; beyond that reading stops */
  MCP__SESSION_PARSE_FACTOR = 4, /* times the message limit: memory for parsing one message */
  MCP__SESSION_PARSE_MEMORY_MIN = 1 << 20,
  MCP__SESSION_INITIALIZE_BYTES = 4096, /* limit for stored initialize params */
  MCP__SESSION_CAPABILITY_BYTES = 128   /* limit for the name of a capability */
};

typedef struct mcp__session mcp__session_t;

/* What a message is, for transports that frame it: one of these, or the JSON-RPC code with which the session
 * refuses a request. */
enum { MCP__SEND_RESPONSE = 0, MCP__SEND_NOTIFICATION = 1 };

typedef struct mcp__transport {
  /* Messages can be sent to the origin. */
  bool (*is_open)(const mcp__session_t *session, const void *origin);
  /* Returns the buffer to which the text of a message is appended; NULL: cannot send. end gets *at. */
  mcp__buf_t *(*begin)(mcp__session_t *session, void *origin, int kind, size_t *at);
  /* Sends the appended text, or discards it if status is not 0. Returns status or the error of sending. */
  int (*end)(mcp__session_t *session, void *origin, size_t at, int status);
  /* Output was added, or mcp__session_write_notifications() has something to write: send soon. */
  void (*wake)(mcp__session_t *session, void *origin);
  /* For a notification, which is left out otherwise, or for the response of a call that waits to begin. */
  bool (*has_room)(const mcp__session_t *session, const void *origin);
  /* The origin cannot be served: close it. reason: a constant. */
  void (*fail)(mcp__session_t *session, void *origin, const char *reason);
  void (*call_removed)(mcp__session_t *session); /* one call fewer: there may be room for more */
  /* The request of the origin was cancelled: no response follows. NULL: nothing to do. */
  void (*drop)(mcp__session_t *session, void *origin);
  /* May turn the result of dispatching a message into a refusal. NULL: nothing to check. */
  void (*check)(mcp__session_t *session, void *origin, const mcp__message_t *message, mcp__arena_t *arena,
                mcp__dispatch_result_t *result);
} mcp__transport_t;

/* Shared by the sessions of a server. */
typedef struct mcp__service {
  mcp__server_info_t server_info; /* with its tools and its experimental capability */
  mcp_capability_cb capability_cb;
  void *capability_arg;
  mcp_server_t *server; /* for capability_cb */
  mcp__calls_t calls;
  mcp__server_counters_t counters;
} mcp__service_t;

struct mcp__session {
  mcp__caller_t caller; /* first member */
  const mcp__transport_t *transport;
  void *arg;    /* of the transport */
  void *origin; /* of notifications that belong to no request; NULL: they cannot be sent now */
  mcp__service_t *service;
  mcp__protocol_version_t protocol_version;
  char *trace_id; /* for calls without a trace id; NULL: none */
  /* params of an initialize that requests the experimental capability; NULL: none did */
  char *initialize_params;
  mcp__subscription_t *subscriptions;
  unsigned subscription_count;
  bool notification_due;
  bool tools_changed; /* the peer has to be notified (from 2025-03-26 on) */
  bool initialized;   /* the peer sent notifications/initialized */
  bool from_doctor;   /* the peer is iccm doctor: its errors are not counted as refusals */
};

/* Initializes a zeroed session. Afterwards the transport sets the address of its caller, which it holds and
 * releases, and the parent of its account. */
void mcp__session_init(mcp__session_t *session, mcp__service_t *service, const mcp__transport_t *transport,
                       mcp__peer_t *peer, void *arg);
/* Abandons its calls; calls the transport's call_removed for each. Idempotent. Call it before deinit. */
void mcp__session_close(mcp__session_t *session);
void mcp__session_deinit(mcp__session_t *session);

/* Copies the trace id for calls without one. NULL, or an id that is too long or not UTF-8: they have none. */
void mcp__session_set_trace_id(mcp__session_t *session, const char *trace_id);

/* The origin has ended before the session: its calls go on, and their responses are dropped. */
void mcp__session_forget_origin(mcp__session_t *session, const void *origin);

/* Processes a received message. call was returned by mcp__call_acquire(); its text holds the message, within
 * the size limit of the transport and with room for MCP__JSON_PADDING more bytes. Takes ownership of call.
 * May respond, run a handler, and close the session. origin stays valid until the session is closed or
 * mcp__session_forget_origin(). Returns whether the message gets a response: notifications do not. */
bool mcp__session_serve(mcp__session_t *session, mcp_call_t *call, void *origin);
size_t mcp__session_parse_memory(size_t max_message); /* memory that one message may need while parsed */

/* Whether so many calls wait that reading has to stop. Waiting calls without a response are not dropped when
 * their peer disconnects; therefore nothing behind them is read before they have begun. */
bool mcp__session_is_full(const mcp__session_t *session);
/* Starts waiting calls in order, up to the first whose origin has no room for a response. The transport calls
 * it when there may be room: after call_removed, and when output was written. */
void mcp__session_begin_waiting(mcp__session_t *session);

/* Schedule notifications to the peer. They wake the transport, which calls mcp__session_write_notifications()
 * right before it writes. Hence several changes cause one notification. */
void mcp__session_tools_changed(mcp__session_t *session);
void mcp__session_notify(mcp__session_t *session);
/* Ends all subscriptions with their responses: the server stops. */
void mcp__session_end_subscriptions(mcp__session_t *session);
void mcp__session_write_notifications(mcp__session_t *session);

#endif
