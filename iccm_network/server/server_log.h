/* server_log.h: log lines of a server about its connections, requests and calls. */
#ifndef MCP_SERVER_LOG_H
#define MCP_SERVER_LOG_H

#include "client/log_shipper.h"
#include "mcp/jsonrpc.h"
#include "mcp/tools.h"
#include "transport/peer_addr.h"
#include "transport/rate_limit.h"
#include "transport/tokens.h"

enum {
  MCP__SERVER_LOG_MAX_REASONS = 64, /* reasons with separate lines; fewer are in use */
  MCP__SERVER_LOG_CAUSE_SIZE = 160
};

/* The pending log line for one reason. */
typedef struct mcp__refusal {
  const char *reason; /* a constant; NULL: unused */
  mcp__log_throttle_t throttle;
  char verb[32], detail[32], peer[MCP__PEER_NAME_SIZE], cause[MCP__SERVER_LOG_CAUSE_SIZE];
} mcp__refusal_t;

typedef struct mcp__server_log {
  const char *component;      /* borrowed */
  mcp__log_shipper_t *logger; /* NULL: lines are printed only */
  mcp__refusal_t refusals[MCP__SERVER_LOG_MAX_REASONS];
} mcp__server_log_t;

/* A peer of the server, as named in log lines. */
typedef struct mcp__peer {
  mcp__server_log_t *log;
  char name[MCP__PEER_NAME_SIZE];
  int64_t since_us; /* time of connection, since the epoch */
  uint64_t requests;
  bool log_shipping;   /* its events are shipped, because it made a call that is not log traffic */
  mcp__token_t *token; /* held: it admitted the peer; NULL: the server requires none */
} mcp__peer_t;

void mcp__peer_set_token(mcp__peer_t *peer, mcp__token_t *token); /* NULL: none */
bool mcp__peer_may_call(const mcp__peer_t *peer, const mcp__tool_t *tool);

void mcp__server_log_running(mcp__server_log_t *log, int port); /* port 0: standard input and output */
void mcp__server_log_message(mcp__server_log_t *log, const char *message);
void mcp__server_log_connected(mcp__peer_t *peer);
void mcp__server_log_disconnected(const mcp__peer_t *peer, int level, int code,
                                  const char *reason); /* code 0: none */

/* Logs an event that a peer can repeat at will: "verb PEERdetail: cause", at most one line a second for each
 * reason, which is a constant. A line for several events carries their number. */
void mcp__server_log_throttled(const mcp__peer_t *peer, uint64_t now_ms, const char *reason, const char *verb,
                               const char *detail, const char *cause);
void mcp__server_log_flush(mcp__server_log_t *log, uint64_t now_ms); /* writes pending lines */

/* tool NULL: not a tool call. */
void mcp__server_log_request(mcp__peer_t *peer, const char *trace_id, const mcp__message_t *message,
                             const mcp__tool_t *tool);
void mcp__server_log_call_refused(const mcp__peer_t *peer, const char *trace_id, const mcp__tool_t *tool,
                                  int code, const char *problem);

/* A call, as named in log lines. */
typedef struct mcp__call_event {
  mcp__server_log_t *log;
  const mcp__tool_t *tool;
  const mcp__trace_t *trace;
  const mcp__peer_t *peer; /* NULL: it has disconnected */
} mcp__call_event_t;

/* message_bytes: size of the request. Arguments of short requests are logged, serialized with alc. */
void mcp__server_log_call_started(const mcp__call_event_t *call, yyjson_val *args, size_t message_bytes,
                                  const yyjson_alc *alc);
/* failure: error code, or 0. text: its message, or NULL. */
void mcp__server_log_call_ended(const mcp__call_event_t *call, bool cancelled, int failure, const char *text,
                                uint64_t duration_ns);

static inline bool mcp__is_log_traffic(const mcp__tool_t *tool) {
  return tool != NULL && (tool->flags & MCP_TOOL_LOG_TRAFFIC) != 0;
}

#endif
