/* jsonrpc.h: parses and writes JSON-RPC 2.0 messages; pure. */
#ifndef MCP_JSONRPC_H
#define MCP_JSONRPC_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"

typedef enum mcp__kind { MCP__REQUEST, MCP__NOTIFICATION, MCP__RESPONSE, MCP__INVALID } mcp__kind_t;

/* All pointers point into the text or the arena that it was parsed in. */
typedef struct mcp__message {
  mcp__kind_t kind;
  const char *id; /* JSON text of the id as received; "null" if it is missing or invalid */
  size_t id_len;
  yyjson_val *id_value; /* NULL: none */
  bool has_id;          /* the message has an id member, which may be null */
  bool has_method;      /* the message has a method member: a request or a notification, valid or not */
  yyjson_val *method;   /* of requests and notifications: a string */
  yyjson_val *params;   /* object, array or NULL */
  yyjson_val *result;   /* of responses; NULL if it is null beside an error */
  yyjson_val *error;    /* of responses; NULL if it is null */
  int code;             /* MCP__INVALID: the error code to send */
  const char *problem;  /* MCP__INVALID: the error message to send */
  const char *detail;   /* not JSON: yyjson's description */
  size_t at;            /* not JSON: the byte offset of the error, from 0 */
} mcp__message_t;

/* An upper bound of the memory touched while a text is parsed; more is reserved. */
size_t mcp__jsonrpc_memory(const char *text, size_t len);

/* Parses a message in place: text is modified, and needs MCP__JSON_PADDING zero bytes after len. A message
 * with more than max_values values is invalid. Never fails: errors give kind MCP__INVALID with the error to
 * send. */
void mcp__jsonrpc_parse(char *text, size_t len, size_t max_values, mcp__arena_t *arena,
                        mcp__message_t *message);

/* The JSON text of an id, the value of key in a message that was parsed in place: a number as received, a
 * string as yyjson writes it. False: it is neither, or out of memory. */
bool mcp__jsonrpc_id(yyjson_val *key, yyjson_val *value, mcp__arena_t *arena, const char **id,
                     size_t *id_len);

/* Whether an invalid message has an id but no method, result or error. */
bool mcp__jsonrpc_is_empty_response(const mcp__message_t *message);

/* Whether an error response may be the response of a peer to a notification (which must have none): it has no
 * id at all, or the id null and the code "method not found". Any other error without id belongs to a request
 * whose id the peer could not read. */
bool mcp__jsonrpc_may_answer_notification(bool has_id, yyjson_val *error);

/* Writes a response up to the result; the caller appends the result and '}'. */
int mcp__jsonrpc_begin_result(mcp__buf_t *buf, const char *id, size_t id_len);

/* Writes a complete error response. data: JSON text or NULL. */
int mcp__jsonrpc_error(mcp__buf_t *buf, const char *id, size_t id_len, int code, const char *text,
                       const char *data, size_t data_len);

/* Writes a request (or a notification if id is 0) up to its method. The caller appends ,"params": and a
 * value, or nothing, and '}'. */
int mcp__jsonrpc_begin_request(mcp__buf_t *buf, uint64_t id, const char *method);

/* Writes a complete request (or a notification if id is 0). params: JSON text of len bytes; omitted if len is
 * 0. */
int mcp__jsonrpc_request(mcp__buf_t *buf, uint64_t id, const char *method, const char *params, size_t len);

#endif
