/* tool_args.h: what all tools on a store need: arguments read, answers built, failures told. */
#ifndef STORES_TOOL_ARGS_H
#define STORES_TOOL_ARGS_H

#include "health.h"

/* Answers larger than this are refused. */
enum { RESPONSE_MAX_BYTES = 64 * 1024 * 1024 };

/* Ends a store's work that nobody waits for. */
cancel_token_t cancel_when_abandoned(mcp_call_t *call);

/* Ends a call whose work in the store came to nothing; doing: "storing". */
void reply_store_error(mcp_call_t *call, health_t *health, enum health_operation work, int code,
                       const char *doing, const store_error_t *error);
void reply_no_memory(mcp_call_t *call);
void reply_too_large(mcp_call_t *call, const char *advice);

/* Optional arguments; ptr NULL, or *out as it was, where one is not given. False: the call has been ended
 * with the reason. */
mcp_text_t text_arg(yyjson_val *args, const char *name);
/* Replaces each NUL, in the call's memory. False: the call has been ended. */
bool replace_nul(mcp_call_t *call, mcp_text_t *text);
/* The same, done already; no longer than max_bytes then. */
bool bounded_text_arg(mcp_call_t *call, yyjson_val *args, const char *name, size_t max_bytes,
                      mcp_text_t *out);
bool time_arg(mcp_call_t *call, yyjson_val *args, const char *name, int64_t *out);
/* The last moment of what is sought: a date alone is meant to its end. */
bool end_time_arg(mcp_call_t *call, yyjson_val *args, const char *name, int64_t *out);
bool int_arg(mcp_call_t *call, yyjson_val *args, const char *name, int64_t min, int64_t max, int64_t *out);

bool force_arg(mcp_call_t *call, yyjson_val *args); /* true has to be given */

/* An answer that grows while rows are read. rows: the name of its array; NULL: it has none yet. */
typedef struct response {
  mcp_call_t *call;
  mcp_metric_t *rows_metric; /* which counts them, */
  const char *rows_label;    /* as these */
  yyjson_mut_doc *doc;
  yyjson_mut_val *root, *rows;
  size_t bytes;
} response_t;

response_t response_begin(mcp_call_t *call, const char *rows, mcp_metric_t *rows_metric,
                          const char *rows_label);
bool response_has_room(response_t *response, size_t bytes); /* whether there is room for so many more */
/* Ends the call with it, or with what went wrong: code of the store, or too large. */
void response_end(response_t *response, health_t *health, int code, const char *doing,
                  const store_error_t *error);

/* Parts of answers; what is missing (time NULL, text.ptr NULL) is null. json: a JSON text as it stands. */
void add_time(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *name, const int64_t *us);
void add_text(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *name, mcp_text_t text);
void add_json(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *name, mcp_text_t json);

#endif
