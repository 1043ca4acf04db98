/* server_log.h: the lines that a server logs of its connections, requests and calls. */
#ifndef MCP_SERVER_LOG_H
#define MCP_SERVER_LOG_H

#include "client/log_shipper.h"
#include "mcp/jsonrpc.h"
#include "mcp/tools.h"
#include "transport/peer_addr.h"
#include "transport/rate_limit.h"

enum {
  MCP__SERVER_LOG_MAX_REASONS = 64, /* reasons with lines of their own; there are fewer */
  MCP__SERVER_LOG_CAUSE_SIZE = 160
};

/* Of one reason: what its next line in the log tells. */
typedef struct mcp__refusal {
  const char *reason; /* a constant; NULL: there has been none */
  mcp__log_throttle_t throttle;
  char verb[32], detail[32], peer[MCP__PEER_NAME_SIZE], cause[MCP__SERVER_LOG_CAUSE_SIZE];
} mcp__refusal_t;

typedef struct mcp__server_log {
  const char *component; /* borrowed */
  mcp__logger_t *logger; /* NULL: lines are shown as they are made */
  mcp__refusal_t refusals[MCP__SERVER_LOG_MAX_REASONS];
} mcp__server_log_t;

/* A peer of the server, as its lines name it. */
typedef struct mcp__peer {
  mcp__server_log_t *log;
  char name[MCP__PEER_NAME_SIZE];
  int64_t since_us; /* when it was connected, by the calendar */
  uint64_t requests;
  bool log_shipping; /* it has made a call that is not log traffic: its events are shipped */
} mcp__peer_t;

void mcp__server_log_running(mcp__server_log_t *log, int port);
void mcp__server_log_message(mcp__server_log_t *log, const char *message);
void mcp__server_log_connected(mcp__peer_t *peer);
void mcp__server_log_disconnected(const mcp__peer_t *peer, int level, int code,
                                  const char *reason); /* 0: none */

/* What befell a peer that may make it happen again and again: "done PEERhow: words", one line a second for
 * each reason, which is a constant; a line for more than one says how many. */
void mcp__server_log_throttled(const mcp__peer_t *peer, uint64_t now_ms, const char *reason, const char *verb,
                               const char *detail, const char *cause);
void mcp__server_log_flush(mcp__server_log_t *log, uint64_t now_ms); /* writes the lines that are due */

/* tool NULL: it is no call of one. */
void mcp__server_log_request(mcp__peer_t *peer, const char *trace_id, const mcp__message_t *message,
                             const mcp__tool_t *tool);
void mcp__server_log_call_refused(const mcp__peer_t *peer, const char *trace_id, const mcp__tool_t *tool,
                                  int code, const char *problem);

/* A call, as its lines name it. */
typedef struct mcp__call_event {
  mcp__server_log_t *log;
  const mcp__tool_t *tool;
  const mcp__trace_t *trace;
  const mcp__peer_t *peer; /* NULL: it has gone */
} mcp__call_event_t;

/* message_bytes: of the request, whose arguments are written with alc where it is short. */
void mcp__server_log_call_started(const mcp__call_event_t *call, yyjson_val *args, size_t message_bytes,
                                  const yyjson_alc *alc);
/* failure 0: none; text: its words, or NULL. */
void mcp__server_log_call_ended(const mcp__call_event_t *call, bool cancelled, int failure, const char *text,
                                uint64_t duration_ns);

static inline bool mcp__is_log_traffic(const mcp__tool_t *tool) {
  return tool != NULL && (tool->flags & MCP_TOOL_LOG_TRAFFIC) != 0;
}

#endif
