/* dispatch.h: decides what to do with a message that a server received; pure, and independent of the
 * transport. */
#ifndef MCP_DISPATCH_H
#define MCP_DISPATCH_H

#include "mcp/response.h"
#include "mcp/tools.h"

typedef enum mcp__action {
  MCP__DO_NOTHING,     /* a notification without an effect, or a response */
  MCP__DO_RESPOND,     /* send the result: json_prefix, json, json_suffix */
  MCP__DO_REFUSE,      /* send a JSON-RPC error: code, problem, data */
  MCP__DO_REFUSE_CALL, /* invalid arguments; from 2025-11-25 on a result with isError */
  MCP__DO_CALL,        /* run the tool: tool, args, direct, trace_id */
  MCP__DO_CANCEL,      /* cancel_id */
  MCP__DO_LISTEN       /* begin a subscription: listens_tools, listens_capability */
} mcp__action_t;

/* All pointers point into the message, the tools, or the arena. */
typedef struct mcp__dispatch_result {
  mcp__action_t action;
  /* The protocol version of the response and, after initialize, of the following messages. */
  mcp__protocol_version_t protocol_version;
  const char *json;
  size_t json_len;
  const char *json_prefix, *json_suffix; /* around json; "" if json is complete */
  int code;
  const char *problem;
  const char *data; /* of an error: JSON text; NULL: none */
  size_t data_len;
  mcp__tool_t *tool; /* borrowed from the tools; also set for a refused call */
  yyjson_val *args;  /* an object */
  bool direct;
  const char *trace_id, *parent_span_id; /* NULL: none */
  const char *progress_token;            /* JSON text; NULL: none */
  /* The params of an initialize that requests the experimental capability; NULL: it does not, or the method
   * is another. */
  yyjson_val *initialize_params;
  /* An initialize of iccm doctor, which sends invalid requests on purpose. */
  bool is_doctor;
  bool initialized;      /* the peer is ready for unsolicited messages */
  const char *cancel_id; /* JSON text, see ids.h */
  size_t cancel_id_len;
  bool listens_tools, listens_capability; /* notifications that a subscription asks for, and that exist */
  bool is_malformed; /* the request breaks the protocol; its arguments have nothing to do with it */
} mcp__dispatch_result_t;

/* The server that responds. */
typedef struct mcp__server_info {
  const char *name, *version;
  const mcp__tools_t *tools;
  const char *experimental_capability; /* an experimental capability that clients may request; NULL: none */
  const char
      *result_members; /* see mcp__modern_write_members(); NULL: only versions before 2026-07-28 are served */
} mcp__server_info_t;

/* Decides what to do with a message. protocol_version is the negotiated version, 2024-11-05 before
 * initialize; 2026-07-28 where the transport says that the request has to follow it. Notifications get the
 * same results as requests: the caller must check message->kind and send nothing for a notification. */
void mcp__dispatch(const mcp__server_info_t *server, mcp__protocol_version_t protocol_version,
                   const mcp__message_t *message, mcp__arena_t *arena, mcp__dispatch_result_t *result);

/* Writes the response to a request that was answered or refused. */
int mcp__dispatch_write(mcp__buf_t *out, const mcp__response_context_t *to,
                        const mcp__dispatch_result_t *result);

#endif
