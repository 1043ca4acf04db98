/* served: the calls that are being served, by number, and the functions of JavaScript's Call.
 *
 * Happy path: the handler of every tool takes a number for the call and passes it with the arguments, as JSON
 * text, to the tool's JavaScript function. That ends the call by one of the reply functions, which frees the
 * number. Failure modes: a call whose number is free is ended already, and the function returns MCP_ESTATE.
 * When the environment ends, addon_served_end_all() ends the calls in flight with an error. */
#ifndef ICCM_ADDON_SERVED_H
#define ICCM_ADDON_SERVED_H

#include "state.h"

/* The arg of a tool: the JavaScript function that serves its calls. */
typedef struct served_tool {
  state_t *state;
  napi_ref serve;
} served_tool_t;

/* The handler and the destroy function of all tools. */
void addon_served_handler(mcp_call_t *call, yyjson_val *args, void *arg);
void addon_served_tool_free(void *arg);

/* The call of a number, or NULL if the value is no number or the call is ended. */
mcp_call_t *addon_served_call(state_t *state, napi_value number);

void addon_served_end_all(state_t *state);
void addon_served_deinit(state_t *state);

/* Reads an array of three strings as a span. Returns false if the value is no array. */
bool addon_span_read(napi_env env, napi_value value, mcp_span_t *span);

napi_value addon_call_reply(napi_env env, napi_callback_info info);
napi_value addon_call_reply_content(napi_env env, napi_callback_info info);
napi_value addon_call_fail(napi_env env, napi_callback_info info);
napi_value addon_call_progress(napi_env env, napi_callback_info info);
napi_value addon_call_log(napi_env env, napi_callback_info info);
napi_value addon_call_cancel_reason(napi_env env, napi_callback_info info);

#endif
