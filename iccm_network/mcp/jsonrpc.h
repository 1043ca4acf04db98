/* jsonrpc.h: JSON-RPC 2.0, text to message and back; pure. */
#ifndef MCP_JSONRPC_H
#define MCP_JSONRPC_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"

typedef enum mcp__kind { MCP__REQUEST, MCP__NOTIFICATION, MCP__RESPONSE, MCP__INVALID } mcp__kind_t;

/* Everything points into the text or the arena that it was parsed in. */
typedef struct mcp__message {
  mcp__kind_t kind;
  const char *id; /* JSON text of the id as it came; "null" where there is none or it cannot be read */
  size_t id_len;
  yyjson_val *id_value; /* NULL: none */
  bool has_id;          /* a member of that name, be it null */
  bool has_method;      /* it has a method: a request or a notification, however wrong */
  yyjson_val *method;   /* request, notification: a string */
  yyjson_val *params;   /* object or array, or NULL */
  yyjson_val *result;   /* response: this … */
  yyjson_val *error;    /* … or this; null beside the other counts as not given */
  int code;             /* invalid: what to answer, … */
  const char *problem;  /* … and why; … */
  const char *detail;   /* … no JSON: more of that, … */
  size_t at;            /* … and the byte where it was found, from 0 */
} mcp__message_t;

/* No more than this is touched while a text is parsed, though more is reserved. */
size_t mcp__jsonrpc_memory(const char *text, size_t len);

/* Takes a message apart in place: text is changed, and has MCP__JSON_PADDING zero bytes behind its len.
 * Values beyond max_values are refused. Never fails: what is wrong becomes MCP__INVALID with the error to
 * answer. */
void mcp__jsonrpc_parse(char *text, size_t len, size_t max_values, mcp__arena_t *arena,
                        mcp__message_t *message);

/* The JSON text of an id, the value of key in a message that was taken apart in place: a number as it came, a
 * text as yyjson writes it. False: it is neither, or there is no memory. */
bool mcp__jsonrpc_id(yyjson_val *key, yyjson_val *value, mcp__arena_t *arena, const char **id,
                     size_t *id_len);

/* Whether an invalid message has an id, and neither a method, a result nor an error. */
bool mcp__jsonrpc_is_empty_response(const mcp__message_t *message);

/* Whether an error is what a peer may have answered a notification with, which gets no answer: it has no id
 * at all, or null and says that it knows no such method. Else it is about a request whose id could not be
 * read. */
bool mcp__jsonrpc_may_answer_notification(bool has_id, yyjson_val *error);

/* A response's beginning up to where the result's JSON goes; a '}' ends it. */
int mcp__jsonrpc_begin_result(mcp__buf_t *buf, const char *id, size_t id_len);

/* A whole error response. data: JSON text or NULL. */
int mcp__jsonrpc_error(mcp__buf_t *buf, const char *id, size_t id_len, int code, const char *text,
                       const char *data, size_t data_len);

/* The beginning of a request (id) or notification (id 0), up to its method; with ,"params": and a value, or
 * without, and a closing brace it is whole. */
int mcp__jsonrpc_begin_request(mcp__buf_t *buf, uint64_t id, const char *method);

/* A whole request (id) or notification (id 0). params: JSON text of len bytes; 0: without. */
int mcp__jsonrpc_request(mcp__buf_t *buf, uint64_t id, const char *method, const char *params, size_t len);

#endif
