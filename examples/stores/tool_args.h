/* tool_args.h: arguments, responses and errors of tools on a store. */
#ifndef STORES_TOOL_ARGS_H
#define STORES_TOOL_ARGS_H

#include "health.h"

/* Larger responses are refused. */
enum { RESPONSE_MAX_BYTES = 64 * 1024 * 1024 };

/* Cancels store work once the caller has disconnected or cancelled. */
cancel_token_t cancel_when_abandoned(mcp_call_t *call);

/* Fails a call whose store operation has failed. doing names the operation, such as "storing". */
void reply_store_error(mcp_call_t *call, health_t *health, enum health_operation work, int code,
                       const char *doing, const store_error_t *error);
void reply_no_memory(mcp_call_t *call);
void reply_too_large(mcp_call_t *call, const char *advice);

/* Optional arguments. Without the argument ptr is NULL and *out unchanged. Functions that return bool
 * return false after failing the call. */
mcp_text_t text_arg(yyjson_val *args, const char *name);
/* Replaces each NUL; the copy lives as long as the call. Returns false after failing the call. */
bool replace_nul(mcp_call_t *call, mcp_text_t *text);
/* A text without NUL of at most max_bytes. */
bool bounded_text_arg(mcp_call_t *call, yyjson_val *args, const char *name, size_t max_bytes,
                      mcp_text_t *out);
bool time_arg(mcp_call_t *call, yyjson_val *args, const char *name, int64_t *out);
/* An end time: a date without a time means the end of that day. */
bool end_time_arg(mcp_call_t *call, yyjson_val *args, const char *name, int64_t *out);
bool int_arg(mcp_call_t *call, yyjson_val *args, const char *name, int64_t min, int64_t max, int64_t *out);

bool force_arg(mcp_call_t *call, yyjson_val *args); /* must be true */

/* A response that grows while rows are read. rows is the name of its array, or NULL. */
typedef struct response {
  mcp_call_t *call;
  mcp_metric_t *rows_metric; /* counts the rows */
  const char *rows_label;    /* label of that metric */
  yyjson_mut_doc *doc;
  yyjson_mut_val *root, *rows;
  size_t bytes;
} response_t;

response_t response_begin(mcp_call_t *call, const char *rows, mcp_metric_t *rows_metric,
                          const char *rows_label);
bool response_has_room(response_t *response, size_t bytes); /* adds bytes */
/* Replies with the response, or fails the call: for a store_code, or because it is too large. */
void response_end(response_t *response, health_t *health, int code, const char *doing,
                  const store_error_t *error);

/* Adds a member; null for time NULL and text.ptr NULL. json is serialised JSON. */
void add_time(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *name, const int64_t *us);
void add_text(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *name, mcp_text_t text);
void add_json(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *name, mcp_text_t json);

#endif
