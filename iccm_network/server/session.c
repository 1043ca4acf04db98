/* session.c: processes the messages of one caller.
 *
 * Happy path: a message is parsed into the call that holds it and dispatched. It is answered at once, or run
 * as a call whose response follows. Calls beyond 64 wait for others to end. Failure: a message that cannot be
 * parsed or dispatched gets an error response. If memory is exhausted the session fails, and its transport
 * closes it. */
#include "server/session.h"

#include "base/utf8.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static mcp__session_t *session_of(mcp__caller_t *caller) {
  return (mcp__session_t *)(void *)caller;
}

static bool is_open(const mcp__session_t *session) {
  return session->transport->is_open(session);
}

/* ---- responses ------------------------------------------------------------------------------------- */

static int write_message(mcp__session_t *session, void *origin, const mcp__response_context_t *to,
                         mcp__render_cb render, const void *value) {
  size_t at;
  mcp__buf_t *out = session->transport->begin(session, origin, &at);
  return out != NULL ? session->transport->end(session, origin, at, render(out, to, value)) : UV_ENOMEM;
}

static int render_internal_error(mcp__buf_t *out, const mcp__response_context_t *to, const void *value) {
  (void)value;
  return mcp__jsonrpc_error(out, to->id, to->id_len, MCP_INTERNAL_ERROR, "cannot create the response", NULL,
                            0);
}

static int respond(mcp__caller_t *caller, void *origin, const mcp__response_context_t *to,
                   mcp__render_cb render, const void *value) {
  mcp__session_t *session = session_of(caller);
  if (!is_open(session))
    return MCP_ESTATE;
  int status = write_message(session, origin, to, render, value);
  if (status != 0 && write_message(session, origin, to, render_internal_error, NULL) != 0)
    session->transport->fail(session, "out of memory for a response");
  session->transport->wake(session, origin);
  return status;
}

static int render_text(mcp__buf_t *out, const mcp__response_context_t *to, const void *value) {
  (void)to;
  return mcp__buf_puts(out, value);
}

static void notify(mcp__caller_t *caller, void *origin, const char *text) {
  mcp__session_t *session = session_of(caller);
  if (!is_open(session) || !session->transport->has_room(session, origin))
    return;
  write_message(session, origin, NULL, render_text, text);
  session->transport->wake(session, origin);
}

static void call_removed(mcp__caller_t *caller) {
  mcp__session_t *session = session_of(caller);
  session->transport->call_removed(session);
}

/* ---- notifications ---------------------------------------------------------------------------------- */

void mcp__session_tools_changed(mcp__session_t *session) {
  if (!is_open(session) || !session->initialized || session->protocol_version < MCP__2025_03_26)
    return;
  session->tools_changed = true;
  session->transport->wake(session, NULL);
}

void mcp__session_notify(mcp__session_t *session) {
  if (!is_open(session) || session->initialize_params == NULL)
    return;
  session->notification_due = true;
  session->transport->wake(session, NULL);
}

/* A peer that requests the capability gets a notification right after the response and at each later change.
 */
static void keep_initialize(mcp__session_t *session, yyjson_val *params) {
  size_t len = 0;
  char *text = yyjson_val_write_opts(params, 0, &mcp__json_alc, &len, NULL);
  mcp__free(session->initialize_params);
  session->initialize_params = text;
  if (len > MCP__SESSION_INITIALIZE_BYTES) {
    mcp__free(text);
    session->initialize_params = NULL;
  }
  mcp__session_notify(session);
}

static int render_capability_notification(mcp__buf_t *out, const mcp__response_context_t *to,
                                          const void *value) {
  const mcp__session_t *session = value;
  const mcp__service_t *service = session->service;
  size_t len = 0;
  char method[MCP__SESSION_CAPABILITY_BYTES + sizeof "notifications/"];
  (void)to;
  snprintf(method, sizeof method, "notifications/%s", service->server_info.experimental_capability);
  mcp__json_error_t error;
  yyjson_doc *params =
      mcp__json_read(session->initialize_params, strlen(session->initialize_params), &mcp__json_alc, &error);
  yyjson_mut_doc *doc = NULL;
  if (params != NULL)
    doc = service->capability_cb(service->server, yyjson_doc_get_root(params), service->capability_arg);
  char *text = doc != NULL ? yyjson_mut_write_opts(doc, 0, &mcp__json_alc, &len, NULL) : NULL;
  int status = text != NULL ? mcp__jsonrpc_request(out, 0, method, text, len) : UV_ECANCELED;
  mcp__free(text);
  yyjson_mut_doc_free(doc);
  yyjson_doc_free(params);
  return status;
}

void mcp__session_write_notifications(mcp__session_t *session) {
  static const char changed[] = "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}";
  if (session->tools_changed && write_message(session, NULL, NULL, render_text, changed) == 0)
    session->tools_changed = false;
  if (!session->notification_due)
    return;
  /* Without params: a later initialize did not request it. Without room or memory it stays due. */
  int status = session->initialize_params != NULL
                   ? write_message(session, NULL, NULL, render_capability_notification, session)
                   : 0;
  session->notification_due = status == UV_ENOMEM;
}

/* ---- messages -------------------------------------------------------------------------------------- */

static int render_dispatch_result(mcp__buf_t *out, const mcp__response_context_t *to, const void *value) {
  const mcp__dispatch_result_t *result = value;
  if (result->action == MCP__DO_RESPOND) {
    int status = mcp__jsonrpc_begin_result(out, to->id, to->id_len);
    status = mcp__buf_first_error(status, mcp__buf_puts(out, result->json_prefix));
    status = mcp__buf_first_error(status, mcp__buf_append(out, result->json, result->json_len));
    status = mcp__buf_first_error(status, mcp__buf_puts(out, result->json_suffix));
    return mcp__buf_first_error(status, mcp__buf_puts(out, "}"));
  }
  if (result->action == MCP__DO_REFUSE_CALL &&
      to->protocol_version >= MCP__2025_11_25) /* required by that version */
    return mcp__response_tool_error(out, to, result->code, result->problem, NULL, 0);
  return mcp__jsonrpc_error(out, to->id, to->id_len, result->code, result->problem, result->data,
                            result->data_len);
}

static void refuse_duplicate_id(mcp__dispatch_result_t *result) {
  result->action = MCP__DO_REFUSE;
  result->code = MCP_INVALID_REQUEST;
  result->problem = "a call with this id is still in flight";
}

static void cancel(mcp__session_t *session, const char *id, size_t id_len) {
  uint32_t hash = mcp__id_hash(id, id_len);
  mcp_call_t *call = mcp__caller_find(&session->caller, hash, id, id_len);
  if (call == NULL)
    call = mcp__caller_find_waiting(&session->caller, hash, id, id_len);
  if (call != NULL)
    mcp__call_cancel(call);
}

static const char *copy_trace_id(const mcp__session_t *session, mcp__arena_t *arena) {
  size_t size = session->trace_id != NULL ? strlen(session->trace_id) + 1 : 0;
  char *copy = size > 0 ? mcp__arena_alloc(arena, size) : NULL;
  return copy != NULL ? memcpy(copy, session->trace_id, size) : NULL; /* the call may outlive the session */
}

static void run(mcp__session_t *session, mcp_call_t *call, const mcp__dispatch_result_t *result) {
  call->to.direct = result->direct;
  call->to.shaped = result->tool->output != NULL;
  call->tool = mcp__tool_hold(result->tool);
  call->args = result->args;
  call->progress_token = call->no_response ? NULL : result->progress_token;
  call->progress_last = -INFINITY;
  call->parent.trace.span = mcp__span_new();
  call->parent.trace.parent_span_id = result->parent_span_id;
  mcp__call_run(call, &session->caller); /* may have ended it */
}

/* Responds to a message that is no call. */
static void reply(mcp__session_t *session, mcp_call_t *call, const mcp__dispatch_result_t *result) {
  mcp__caller_t *caller = &session->caller;
  const char *trace_id = call->parent.trace.id;
  if (result->action == MCP__DO_REFUSE_CALL)
    result->tool->counts.calls[MCP__CALL_INVALID]++;
  else if (result->action == MCP__DO_REFUSE && !session->from_doctor)
    mcp__count_refusal(&session->service->counters, result->code);
  if (result->tool != NULL)
    mcp__server_log_call_refused(caller->peer, trace_id, result->tool, result->code, result->problem);
  if (!call->no_response)
    respond(caller, call->origin, &call->to, render_dispatch_result, result);
  session->from_doctor = session->from_doctor || result->is_doctor;
  if (result->initialize_params != NULL)
    keep_initialize(session, result->initialize_params);
}

static void act_on(mcp__session_t *session, mcp_call_t *call, const mcp__message_t *message,
                   mcp__dispatch_result_t *result) {
  call->no_response = message->kind == MCP__NOTIFICATION || message->kind == MCP__RESPONSE;
  call->id_hash = mcp__id_hash(message->id, message->id_len);
  if (message->kind == MCP__REQUEST &&
      mcp__caller_find(&session->caller, call->id_hash, message->id, message->id_len) != NULL)
    refuse_duplicate_id(result);
  call->to = (mcp__response_context_t){message->id, message->id_len, result->protocol_version, result->direct,
                                       false};
  call->parent.trace.id = result->trace_id != NULL ? result->trace_id : copy_trace_id(session, &call->arena);
  if (!call->no_response)
    mcp__server_log_request(session->caller.peer, call->parent.trace.id, message, result->tool);
  if (result->action == MCP__DO_CALL) {
    run(session, call, result);
    return;
  }
  if (result->action == MCP__DO_CANCEL)
    cancel(session, result->cancel_id, result->cancel_id_len);
  else if (result->action != MCP__DO_NOTHING)
    reply(session, call, result);
  mcp__call_release(call);
}

static size_t max_values(size_t max_message) { /* a million for each 16 MiB */
  size_t scaled = max_message / (16 << 20) * 1000000;
  return scaled < 1000000 ? 1000000 : scaled;
}

size_t mcp__session_parse_memory(size_t max_message) {
  size_t most = MCP__SESSION_PARSE_FACTOR * max_message;
  return most < MCP__SESSION_PARSE_MEMORY_MIN ? MCP__SESSION_PARSE_MEMORY_MIN : most;
}

void mcp__session_serve(mcp__session_t *session, mcp_call_t *call, void *origin) {
  size_t max_message = session->service->calls.max_message;
  mcp__message_t message;
  mcp__dispatch_result_t result;
  call->origin = origin;
  call->arena.max = mcp__session_parse_memory(max_message);
  memset(call->text.data + call->text.len, 0, MCP__JSON_PADDING);
  mcp__jsonrpc_parse(call->text.data, call->text.len, max_values(max_message), &call->arena, &message);
  if (message.kind == MCP__INVALID &&
      call->arena.out_of_memory) { /* its sender would wait for a response with its id */
    mcp__call_release(call);
    session->transport->fail(session, "out of memory for a message");
    return;
  }
  mcp__dispatch(&session->service->server_info, session->protocol_version, &message, &call->arena, &result);
  if (message.kind == MCP__REQUEST)
    session->protocol_version = result.protocol_version;
  session->initialized |= result.initialized;
  act_on(session, call, &message, &result);
}

/* ---- waiting calls ---------------------------------------------------------------------------------- */

bool mcp__session_is_full(const mcp__session_t *session) {
  const mcp__caller_t *caller = &session->caller;
  return caller->waiting_count >= MCP__SESSION_MAX_WAITING ||
         caller->waiting_bytes >= MCP__SESSION_WAITING_BYTES || caller->waiting_no_response > 0;
}

static void begin_next(mcp__session_t *session) {
  mcp_call_t *call = session->caller.waiting;
  if (call->no_response ||
      mcp__caller_find(&session->caller, call->id_hash, call->to.id, call->to.id_len) == NULL) {
    mcp__call_begin(call); /* may have ended it, and others */
    return;
  }
  mcp__dispatch_result_t result = {0};
  refuse_duplicate_id(&result);
  mcp__count_refusal(&session->service->counters, result.code);
  respond(&session->caller, call->origin, &call->to, render_dispatch_result, &result);
  mcp__call_abandon(call);
}

void mcp__session_begin_waiting(mcp__session_t *session) {
  mcp__caller_t *caller = &session->caller;
  while (is_open(session) && caller->waiting != NULL && mcp__call_may_begin(caller) &&
         session->transport->has_room(session, caller->waiting->origin))
    begin_next(session);
}

/* ---- life cycle ------------------------------------------------------------------------------------ */

void mcp__session_init(mcp__session_t *session, mcp__service_t *service, const mcp__transport_t *transport,
                       mcp__peer_t *peer, void *arg) {
  static const mcp__caller_events_t events = {respond, notify, call_removed};
  session->caller.events = &events;
  session->caller.calls = &service->calls;
  session->caller.peer = peer;
  session->service = service;
  session->transport = transport;
  session->arg = arg;
}

void mcp__session_set_trace_id(mcp__session_t *session, const char *trace_id) {
  if (trace_id == NULL || *trace_id == '\0' || strlen(trace_id) > MCP__TRACE_ID_BYTES ||
      !mcp__utf8_valid(trace_id, strlen(trace_id)))
    return;
  mcp__free(session->trace_id);
  session->trace_id = mcp__strdup(trace_id);
}

void mcp__session_close(mcp__session_t *session) {
  mcp__caller_abandon(&session->caller);
}

void mcp__session_deinit(mcp__session_t *session) {
  mcp__free(session->trace_id);
  mcp__free(session->initialize_params);
}
