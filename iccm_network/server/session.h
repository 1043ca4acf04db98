/* session.h: what MCP knows of one caller: revision, trace, calls in flight, what it wants to be told.
 *
 * It knows no socket. A transport hands it messages, each with an origin: a pointer of the transport's that
 * says where the message came from. Answers and progress go back by the functions of mcp__transport_t, with
 * the origin of their request; what the caller did not ask for goes without one. So the messages of one
 * session may come over several streams, one after the other or side by side. */
#ifndef MCP_SESSION_H
#define MCP_SESSION_H

#include "mcp/dispatch.h"
#include "server/call.h"

enum {
  MCP__SESSION_MAX_WAITING = 16384, /* calls of a caller that were read and have not begun, and … */
  MCP__SESSION_WAITING_BYTES =
      4 << 20, /* … bytes of their text, the last one's excepted; then it is not read from */
  MCP__SESSION_PARSE_FACTOR = 4, /* times the message limit: what one message may need while it is parsed */
  MCP__SESSION_PARSE_MEMORY_MIN = 1 << 20,
  MCP__SESSION_INITIALIZE_BYTES = 4096, /* of an initialize that is kept */
  MCP__SESSION_CAPABILITY_BYTES = 128   /* of a capability's name */
};

typedef struct mcp__session mcp__session_t;

typedef struct mcp__transport {
  bool (*is_open)(const mcp__session_t *session); /* messages can be sent */
  /* Where the text of a message is to be appended; NULL: it cannot be sent. *at is for end. */
  mcp__buf_t *(*begin)(mcp__session_t *session, void *origin, size_t *at);
  /* Sends what was appended; where status is not 0 takes it back instead. status, or why it is not sent. */
  int (*end)(mcp__session_t *session, void *origin, size_t at, int status);
  /* The output has changed, or mcp__session_write_notifications() has something to write: send soon. */
  void (*wake)(mcp__session_t *session, void *origin);
  bool (*has_room)(const mcp__session_t *session, void *origin); /* for what may be left out */
  /* It cannot be served any more: close it. reason: a constant. */
  void (*fail)(mcp__session_t *session, const char *reason);
  void (*call_removed)(mcp__session_t *session); /* one call less: there may be room for more */
} mcp__transport_t;

/* What the sessions of a server have in common. */
typedef struct mcp__service {
  mcp__server_info_t server_info; /* whose tools these are; notice: the capability that clients may ask for */
  mcp_capability_cb capability_cb;
  void *capability_arg;
  mcp_server_t *server; /* for notice_cb */
  mcp__calls_t calls;
  mcp__server_counters_t counters;
} mcp__service_t;

struct mcp__session {
  mcp__caller_t caller; /* first member */
  const mcp__transport_t *transport;
  void *arg; /* the transport's */
  mcp__service_t *service;
  mcp__protocol_version_t protocol_version;
  char *trace_id;          /* of calls that bring none; NULL: none */
  char *initialize_params; /* the params of an initialize that asks for the notice; NULL: none did */
  bool notification_due;
  bool tools_changed; /* and the peer has to be told, from 2025-03-26 on */
  bool initialized;   /* the peer has said so */
  bool from_doctor;   /* by iccm doctor: what it gets as an error is no refusal to be counted */
};

/* Begins a zeroed session. The transport then sets the address of its caller, which it holds and gives back,
 * and the parent of its account. */
void mcp__session_init(mcp__session_t *session, mcp__service_t *service, const mcp__transport_t *transport,
                       mcp__peer_t *peer, void *arg);
/* Abandons its calls, for each of which the transport's left is called; again is fine. Before deinit. */
void mcp__session_close(mcp__session_t *session);
void mcp__session_deinit(mcp__session_t *session);

/* The trace id for calls that bring none, copied; one that is too long or no UTF-8 is ignored. */
void mcp__session_set_trace_id(mcp__session_t *session, const char *trace_id);

/* A message that came, in call->text of a call that mcp__call_acquire() gave, with MCP__JSON_PADDING bytes of
 * room behind it, and within the size that the transport allows. The session owns the call from now on. May
 * answer, run a handler, and close the session. origin has to live until the session is closed. */
void mcp__session_serve(mcp__session_t *session, mcp_call_t *call, void *origin);
size_t mcp__session_parse_memory(size_t max_message); /* what one message may need while it is parsed */

/* So many calls wait that no more messages are to be read. Of calls that nobody waits for none is forgotten
 * when their peer disconnects: what comes behind them is not read before they have begun. */
bool mcp__session_is_full(const mcp__session_t *session);
/* Begins calls in their order, up to the first whose origin has no room for an answer. The transport calls it
 * when there may be room: after left, and when output was written. */
void mcp__session_begin_waiting(mcp__session_t *session);

/* What the peer is to be told unasked. The transport is woken, and then calls
 * mcp__session_write_notifications(), right before it writes: so several changes are told once. */
void mcp__session_tools_changed(mcp__session_t *session);
void mcp__session_notify(mcp__session_t *session);
void mcp__session_write_notifications(mcp__session_t *session);

#endif
