/* See served.h. */
#include "served.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_SIZE = 64 }; /* of the table; the server limits the calls in flight */

static void grow(state_t *state) {
  uint32_t size = state->served_size == 0 ? FIRST_SIZE : 2 * state->served_size;
  served_t **served = realloc(state->served, size * sizeof *served);
  if (served != NULL)
    state->served = served;
  uint32_t *numbers = realloc(state->free_numbers, size * sizeof *numbers);
  if (numbers != NULL)
    state->free_numbers = numbers;
  if (served == NULL || numbers == NULL)
    napi_fatal_error("iccm-network", NAPI_AUTO_LENGTH, "not enough memory", NAPI_AUTO_LENGTH);
  state->served_size = size;
}

static served_t *take(state_t *state, mcp_call_t *call) {
  served_t *served;
  if (state->free_count > 0) {
    served = state->served[state->free_numbers[--state->free_count]];
  } else {
    if (state->served_count == state->served_size)
      grow(state);
    served = addon_alloc(sizeof *served);
    served->state = state;
    served->number = state->served_count;
    state->served[state->served_count++] = served;
  }
  served->call = call;
  return served;
}

/* Returns the call and frees its number. */
static mcp_call_t *release(served_t *served) {
  mcp_call_t *call = served->call;
  served->call = NULL;
  served->state->free_numbers[served->state->free_count++] = served->number;
  return call;
}

static served_t *find(state_t *state, napi_value number) {
  uint32_t index = UINT32_MAX;
  napi_get_value_uint32(state->env, number, &index);
  return index < state->served_count && state->served[index]->call != NULL ? state->served[index] : NULL;
}

mcp_call_t *addon_served_call(state_t *state, napi_value number) {
  served_t *served = find(state, number);
  return served != NULL ? served->call : NULL;
}

/* The event of a call, and of its cancellation without text. */
typedef struct call_event {
  uint32_t number;
  const char *text;
  size_t len;
  mcp_span_t span;
} call_event_t;

/* number, arguments as JSON text, and the trace id, span and parent's span if the call has a trace. */
static void make_call_args(napi_env env, napi_value *args, const void *event) {
  const call_event_t *call = event;
  napi_create_uint32(env, call->number, &args[0]);
  args[1] = addon_from_text(env, call->text, call->len);
  bool traced = call->span.trace_id[0] != '\0';
  args[2] = addon_from_string(env, traced ? call->span.trace_id : NULL);
  args[3] = addon_from_string(env, traced ? call->span.span_id : NULL);
  args[4] = addon_from_string(env, traced ? call->span.parent_id : NULL);
}

static void on_cancel(mcp_call_t *call, void *arg) {
  served_t *served = arg;
  call_event_t event = {.number = served->number};
  (void)call;
  addon_emit(served->state, served->state->on_cancelled, 1, make_call_args, &event);
}

static void fail(mcp_call_t *call, const char *message) {
  mcp_call_fail_text(call, MCP_INTERNAL_ERROR, message, strlen(message), NULL, 0);
}

void addon_served_handler(mcp_call_t *call, yyjson_val *args, void *arg) {
  served_tool_t *tool = arg;
  call_event_t event;
  (void)args;
  event.text = mcp_call_args_text(call, &event.len);
  if (tool->state->ending || event.text == NULL) {
    fail(call, tool->state->ending ? "the server is stopping" : "out of memory");
    return;
  }
  served_t *served = take(tool->state, call);
  event.number = served->number;
  mcp_call_span(call, &event.span);
  mcp_call_on_cancel(call, on_cancel, served);
  addon_emit(tool->state, tool->serve, 5, make_call_args, &event);
}

void addon_served_tool_free(void *arg) {
  served_tool_t *tool = arg;
  addon_ref_free(tool->state->env, tool->serve);
  free(tool);
}

void addon_served_end_all(state_t *state) {
  for (uint32_t i = 0; i < state->served_count; i++)
    if (state->served[i]->call != NULL)
      fail(release(state->served[i]), "the server is stopping");
}

void addon_served_deinit(state_t *state) {
  for (uint32_t i = 0; i < state->served_count; i++)
    free(state->served[i]);
  free(state->served);
  free(state->free_numbers);
}

static void read_part(napi_env env, napi_value array, uint32_t index, char *part, size_t size) {
  napi_value value;
  part[0] = '\0';
  if (napi_get_element(env, array, index, &value) == napi_ok)
    napi_get_value_string_utf8(env, value, part, size, NULL);
}

bool addon_span_read(napi_env env, napi_value value, mcp_span_t *span) {
  bool is_array = false;
  if (napi_is_array(env, value, &is_array) != napi_ok || !is_array)
    return false;
  memset(span, 0, sizeof *span);
  read_part(env, value, 0, span->trace_id, sizeof span->trace_id);
  read_part(env, value, 1, span->span_id, sizeof span->span_id);
  read_part(env, value, 2, span->parent_id, sizeof span->parent_id);
  return true;
}

/* ---- Functions for JavaScript: the first argument is the number of the call ---------------------------- */

/* number, result as JSON text */
napi_value addon_call_reply(napi_env env, napi_callback_info info) {
  ADDON_ARGS(2);
  served_t *served = find(data, args[0]);
  addon_text_t json;
  if (served == NULL)
    return addon_from_number(env, MCP_ESTATE);
  addon_text_init(env, args[1], &json);
  int status = mcp_call_reply_text(release(served), json.ptr, json.len);
  addon_text_deinit(&json);
  return addon_from_number(env, status);
}

/* number, content and structuredContent as JSON text, isError */
napi_value addon_call_reply_content(napi_env env, napi_callback_info info) {
  ADDON_ARGS(4);
  served_t *served = find(data, args[0]);
  addon_text_t content, structured;
  if (served == NULL)
    return addon_from_number(env, MCP_ESTATE);
  addon_text_init(env, args[1], &content);
  addon_text_init(env, args[2], &structured);
  int status = mcp_call_reply_content_text(release(served), content.ptr, content.len, structured.ptr,
                                           structured.len, addon_bool(env, args[3]));
  addon_text_deinit(&content);
  addon_text_deinit(&structured);
  return addon_from_number(env, status);
}

/* number, code, message, data as JSON text */
napi_value addon_call_fail(napi_env env, napi_callback_info info) {
  ADDON_ARGS(4);
  served_t *served = find(data, args[0]);
  addon_text_t message, details;
  if (served == NULL)
    return addon_from_number(env, MCP_ESTATE);
  addon_text_init(env, args[2], &message);
  addon_text_init(env, args[3], &details);
  int status = mcp_call_fail_text(release(served), (int)addon_number(env, args[1]), message.ptr, message.len,
                                  details.ptr, details.len);
  addon_text_deinit(&message);
  addon_text_deinit(&details);
  return addon_from_number(env, status);
}

/* number, progress, total, message */
napi_value addon_call_progress(napi_env env, napi_callback_info info) {
  ADDON_ARGS(4);
  mcp_call_t *call = addon_served_call(data, args[0]);
  addon_text_t message;
  if (call == NULL)
    return addon_from_number(env, MCP_ESTATE);
  addon_text_init(env, args[3], &message);
  int status = mcp_call_progress(call, addon_number(env, args[1]), addon_number(env, args[2]), message.ptr);
  addon_text_deinit(&message);
  return addon_from_number(env, status);
}

/* number, level, message, data as JSON text */
napi_value addon_call_log(napi_env env, napi_callback_info info) {
  ADDON_ARGS(4);
  mcp_call_t *call = addon_served_call(data, args[0]);
  addon_text_t message, details;
  if (call == NULL)
    return addon_undefined(env);
  addon_text_init(env, args[2], &message);
  addon_text_init(env, args[3], &details);
  mcp_call_log_text(call, (int)addon_number(env, args[1]), message.ptr, message.len, details.ptr,
                    details.len);
  addon_text_deinit(&message);
  addon_text_deinit(&details);
  return addon_undefined(env);
}

/* number; returns a mcp_cancel_reason_t */
napi_value addon_call_cancel_reason(napi_env env, napi_callback_info info) {
  ADDON_ARGS(1);
  mcp_call_t *call = addon_served_call(data, args[0]);
  return addon_from_number(env, call != NULL ? mcp_call_cancel_reason(call) : MCP_CANCEL_NONE);
}
