/* See client.h. */
#include "client.h"
#include "served.h"

#include <stdlib.h>
#include <string.h>

typedef struct client {
  member_t member;                    /* first */
  mcp_client_t *native;               /* NULL once it is closed */
  napi_ref on_state, on_notification; /* or NULL */
  napi_ref connected;                 /* the external itself once it is to stay connected, or NULL */
  once_t *closed;                     /* called when it is closed, or NULL */
  bool closing, collected;
} client_t;

/* ---- The life of a client ------------------------------------------------------------------------------ */

static void release(client_t *client) {
  state_t *state = client->member.state;
  mcp_client_free(client->native);
  client->native = NULL;
  addon_ref_free(state->env, client->on_state);
  addon_ref_free(state->env, client->on_notification);
  addon_ref_free(state->env, client->connected);
  once_t *closed = client->closed;
  addon_member_remove(&client->member);
  if (client->collected)
    free(client);
  if (closed != NULL)
    addon_once_emit(closed, 0, NULL, NULL);
}

static void on_closed(mcp_client_t *native, void *arg) {
  (void)native;
  release(arg);
}

/* Returns true if the client closes later, and false if it is closed already, because it was never used. */
static bool close_client(client_t *client) {
  client->closing = true;
  if (mcp_client_close(client->native, on_closed, client) == 0)
    return true;
  release(client);
  return false;
}

/* The environment ends. */
static void end(member_t *member) {
  client_t *client = (client_t *)member;
  if (!client->closing)
    close_client(client);
}

static void finalize(napi_env env, void *data, void *hint) {
  client_t *client = data;
  (void)env, (void)hint;
  client->collected = true;
  if (client->native == NULL)
    free(client);
  else if (!client->closing)
    close_client(client);
}

/* ---- State and notifications --------------------------------------------------------------------------- */

typedef struct state_event {
  int status;
  const char *reason;
} state_event_t;

static void make_state_args(napi_env env, napi_value *args, const void *event) {
  const state_event_t *state = event;
  args[0] = addon_from_number(env, state->status);
  args[1] = addon_from_string(env, state->reason);
}

static void on_state(mcp_client_t *native, int status, const char *reason, void *arg) {
  client_t *client = arg;
  (void)native;
  addon_emit(client->member.state, client->on_state, 2, make_state_args, &(state_event_t){status, reason});
}

typedef struct notification_event {
  const char *method;
  yyjson_val *params;
} notification_event_t;

static void make_notification_args(napi_env env, napi_value *args, const void *event) {
  const notification_event_t *notification = event;
  size_t len = 0;
  char *params = notification->params != NULL ? yyjson_val_write(notification->params, 0, &len) : NULL;
  args[0] = addon_from_string(env, notification->method);
  args[1] = addon_from_text(env, params, len);
  free(params);
}

static void on_notification(mcp_client_t *native, const char *method, yyjson_val *params, void *arg) {
  client_t *client = arg;
  (void)native;
  addon_emit(client->member.state, client->on_notification, 2, make_notification_args,
             &(notification_event_t){method, params});
}

/* url, function for changes of the state, function for notifications */
napi_value addon_client_new(napi_env env, napi_callback_info info) {
  ADDON_ARGS(3);
  state_t *state = data;
  addon_text_t url;
  napi_value external = NULL;
  addon_text_init(env, args[0], &url);
  mcp_client_t *native = mcp_client_new(state->loop, url.ptr);
  addon_text_deinit(&url);
  if (native == NULL)
    return addon_throw(env, mcp_last_error());
  client_t *client = addon_alloc(sizeof *client);
  client->native = native;
  client->on_state = addon_function_ref(env, args[1]);
  client->on_notification = addon_function_ref(env, args[2]);
  if (client->on_state != NULL)
    mcp_client_on_state(native, on_state, client);
  if (client->on_notification != NULL)
    mcp_client_on_notification(native, on_notification, client);
  addon_member_add(state, &client->member, end);
  napi_create_external(env, client, finalize, NULL, &external);
  return external;
}

/* client, name, value */
napi_value addon_client_set(napi_env env, napi_callback_info info) {
  ADDON_ARGS(3);
  client_t *client = addon_external(env, args[0]);
  addon_text_t name, text;
  int status = MCP_EINVAL;
  addon_text_init(env, args[1], &name);
  addon_text_init(env, args[2], &text);
  if (strcmp(name.ptr, "maxMessageBytes") == 0)
    status = mcp_client_set_max_message_bytes(client->native, (size_t)addon_number(env, args[2]));
  else if (strcmp(name.ptr, "authToken") == 0)
    status = mcp_client_set_auth_token(client->native, text.ptr);
  else if (strcmp(name.ptr, "tlsCa") == 0)
    status = mcp_client_set_tls_ca(client->native, text.ptr);
  else if (strcmp(name.ptr, "tlsVerify") == 0)
    status = mcp_client_set_tls_verify(client->native, addon_bool(env, args[2]));
  else if (strcmp(name.ptr, "failFast") == 0)
    status = mcp_client_set_fail_fast(client->native, addon_bool(env, args[2]));
  addon_text_deinit(&name);
  addon_text_deinit(&text);
  return addon_from_number(env, status);
}

/* client */
napi_value addon_client_connect(napi_env env, napi_callback_info info) {
  ADDON_ARGS(1);
  client_t *client = addon_external(env, args[0]);
  int status = client->native != NULL ? mcp_client_connect(client->native) : MCP_ECLOSED;
  if (status == 0 && client->connected == NULL)
    napi_create_reference(env, args[0], 1, &client->connected);
  return addon_from_number(env, status);
}

/* ---- Calls --------------------------------------------------------------------------------------------- */

/* A call in flight. */
typedef struct sent {
  once_t *result;
  napi_ref on_progress; /* or NULL */
} sent_t;

static void make_result_args(napi_env env, napi_value *args, const void *event) {
  const mcp_result_t *result = event;
  size_t len = 0;
  const char *value = mcp_result_value_text(result, &len);
  args[0] = addon_from_number(env, result->status);
  args[1] = addon_from_bool(env, result->is_error);
  args[2] = addon_from_text(env, value, len);
  args[3] = addon_from_string(env, result->message);
}

static void sent_free(sent_t *sent, state_t *state) {
  addon_ref_free(state->env, sent->on_progress);
  free(sent);
}

static void on_result(mcp_client_t *native, const mcp_result_t *result, void *arg) {
  sent_t *sent = arg;
  once_t *once = sent->result;
  (void)native;
  sent_free(sent, once->state);
  addon_once_emit(once, 4, make_result_args, result);
}

static void make_progress_args(napi_env env, napi_value *args, const void *event) {
  const mcp_progress_t *progress = event;
  args[0] = addon_from_number(env, progress->progress);
  args[1] = addon_from_number(env, progress->total);
  args[2] = addon_from_string(env, progress->message);
}

static void on_progress(mcp_client_t *native, const mcp_progress_t *progress, void *arg) {
  sent_t *sent = arg;
  (void)native;
  addon_emit(sent->result->state, sent->on_progress, 3, make_progress_args, progress);
}

/* The kinds of requests of clientCall(). */
enum { CALL_TOOL, CALL_REQUEST, CALL_LIST_TOOLS };

static int send_call(client_t *client, int kind, const addon_text_t *name, const addon_text_t *json,
                     const mcp_call_options_t *options, sent_t *sent) {
  if (client->native == NULL)
    return MCP_ECLOSED;
  switch (kind) {
  case CALL_TOOL:
    return mcp_client_call_text(client->native, name->ptr, json->ptr, json->len, options, on_result, sent);
  case CALL_REQUEST:
    return mcp_client_request_text(client->native, name->ptr, json->ptr, json->len, options, on_result, sent);
  default:
    return mcp_client_list_tools(client->native, options, on_result, sent);
  }
}

/* client, kind, name, arguments as JSON text, timeout in ms, trace id, number of the parent, span of the
 * parent, function for progress, function for the result. Returns the id of the call, or a negative code. */
napi_value addon_client_call(napi_env env, napi_callback_info info) {
  ADDON_ARGS(10);
  client_t *client = addon_external(env, args[0]);
  addon_text_t name, json, trace_id;
  mcp_span_t span;
  uint64_t id = 0;
  addon_text_init(env, args[2], &name);
  addon_text_init(env, args[3], &json);
  addon_text_init(env, args[5], &trace_id);
  sent_t *sent = addon_alloc(sizeof *sent);
  sent->on_progress = addon_function_ref(env, args[8]);
  sent->result = addon_once_new(data, args[9]);
  mcp_call_options_t options = {.timeout_ms = (uint64_t)addon_number(env, args[4]),
                                .trace_id = trace_id.ptr,
                                .parent = addon_served_call(data, args[6]),
                                .progress_cb = sent->on_progress != NULL ? on_progress : NULL,
                                .progress_arg = sent,
                                .id = &id};
  if (options.parent == NULL && addon_span_read(env, args[7], &span))
    options.span = &span;
  int status = send_call(client, (int)addon_number(env, args[1]), &name, &json, &options, sent);
  if (status != 0) {
    addon_once_free(sent->result);
    sent_free(sent, data);
  }
  addon_text_deinit(&name);
  addon_text_deinit(&json);
  addon_text_deinit(&trace_id);
  return addon_from_number(env, status != 0 ? status : (double)id);
}

/* client, id of the call */
napi_value addon_client_cancel(napi_env env, napi_callback_info info) {
  ADDON_ARGS(2);
  client_t *client = addon_external(env, args[0]);
  if (client->native != NULL)
    mcp_client_cancel(client->native, (uint64_t)addon_number(env, args[1]));
  return addon_undefined(env);
}

/* client, function that is called once it is closed. Returns false if it is closed already, and the function
 * is not called. */
napi_value addon_client_close(napi_env env, napi_callback_info info) {
  ADDON_ARGS(2);
  client_t *client = addon_external(env, args[0]);
  bool later = close_client(client);
  if (later)
    client->closed = addon_once_new(data, args[1]);
  return addon_from_bool(env, later);
}
