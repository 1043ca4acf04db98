/* dispatch.h: what to do with a message that came to a server; pure, and knows no transport. */
#ifndef MCP_DISPATCH_H
#define MCP_DISPATCH_H

#include "mcp/response.h"
#include "mcp/tools.h"

typedef enum mcp__action {
  MCP__DO_NOTHING,     /* a notification that asks for nothing, or a response to nobody */
  MCP__DO_RESPOND,     /* result: JSON text */
  MCP__DO_REFUSE,      /* code and problem: a JSON-RPC error */
  MCP__DO_REFUSE_CALL, /* the same for wrong arguments: from 2025-11-25 on a result with isError */
  MCP__DO_CALL,        /* tool, args, direct, trace_id */
  MCP__DO_CANCEL       /* cancel_id */
} mcp__action_t;

/* Everything points into the message, the tools, or the arena. */
typedef struct mcp__dispatch_result {
  mcp__action_t action;
  mcp__protocol_version_t
      protocol_version; /* what the answer has to follow; for the next message where it came by a handshake */
  const char *json;
  size_t json_len;
  const char *json_prefix, *json_suffix; /* around the result; "" where it is whole */
  int code;
  const char *problem;
  const char *data; /* of a refusal: JSON text; NULL: none */
  size_t data_len;
  mcp__tool_t *tool; /* borrowed from the tools; of a refused call, too */
  yyjson_val *args;  /* an object */
  bool direct;
  const char *trace_id, *parent_span_id; /* NULL: none given */
  const char *progress_token;            /* JSON text; NULL: none given */
  yyjson_val *initialize_params; /* the params of an initialize that asks for the notice; NULL: it does not,
                                    or it is none */
  bool is_doctor;        /* an initialize of iccm doctor, which sends what is refused to see that it is */
  bool initialized;      /* the peer says that it is ready for what it did not ask for */
  const char *cancel_id; /* JSON text, see ids.h */
  size_t cancel_id_len;
} mcp__dispatch_result_t;

/* Who answers. */
typedef struct mcp__server_info {
  const char *name, *version;
  const mcp__tools_t *tools;
  const char *experimental_capability; /* the experimental capability that clients may ask for; NULL: none */
} mcp__server_info_t;

/* Decides on a message; revision is what the peer has agreed on before, 2024-11-05 where it never did.
 * Notifications lead to the same outcomes as requests: whoever asks sees from message->kind that nothing may
 * be sent. */
void mcp__dispatch(const mcp__server_info_t *server, mcp__protocol_version_t protocol_version,
                   const mcp__message_t *message, mcp__arena_t *arena, mcp__dispatch_result_t *result);

#endif
