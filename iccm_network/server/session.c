/* session.c: processes the messages of one caller.
 *
 * Happy path: a message is parsed into the call that holds it and dispatched. It is answered at once, or run
 * as a call whose response follows. Calls beyond 64 wait for others to end. Failure: a message that cannot be
 * parsed or dispatched gets an error response. If memory is exhausted the session fails, and its transport
 * closes it. */
#include "server/session.h"

#include "base/utf8.h"
#include "mcp/modern.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { ROLE_PROBLEM_SIZE = 320 };

static mcp__session_t *session_of(mcp__caller_t *caller) {
  return (mcp__session_t *)(void *)caller;
}

static bool is_open(const mcp__session_t *session, const void *origin) {
  return origin != NULL && session->transport->is_open(session, origin);
}

/* ---- responses ------------------------------------------------------------------------------------- */

static int write_message(mcp__session_t *session, void *origin, int kind, const mcp__response_context_t *to,
                         mcp__render_cb render, const void *value) {
  size_t at;
  mcp__buf_t *out = session->transport->begin(session, origin, kind, &at);
  return out != NULL ? session->transport->end(session, origin, at, render(out, to, value)) : UV_ENOMEM;
}

static int render_internal_error(mcp__buf_t *out, const mcp__response_context_t *to, const void *value) {
  (void)value;
  return mcp__jsonrpc_error(out, to->id, to->id_len, MCP_INTERNAL_ERROR, "cannot create the response", NULL,
                            0);
}

static int send_response(mcp__session_t *session, void *origin, int kind, const mcp__response_context_t *to,
                         mcp__render_cb render, const void *value) {
  if (!is_open(session, origin))
    return MCP_ESTATE;
  int status = write_message(session, origin, kind, to, render, value);
  if (status != 0 && write_message(session, origin, kind, to, render_internal_error, NULL) != 0)
    session->transport->fail(session, origin, "out of memory for a response");
  session->transport->wake(session, origin);
  return status;
}

static int respond(mcp__caller_t *caller, void *origin, const mcp__response_context_t *to,
                   mcp__render_cb render, const void *what) {
  return send_response(session_of(caller), origin, MCP__SEND_RESPONSE, to, render, what);
}

static int render_text(mcp__buf_t *out, const mcp__response_context_t *to, const void *value) {
  (void)to;
  return mcp__buf_puts(out, value);
}

static void notify(mcp__caller_t *caller, void *origin, const char *text) {
  mcp__session_t *session = session_of(caller);
  if (!is_open(session, origin) || !session->transport->has_room(session, origin))
    return;
  write_message(session, origin, MCP__SEND_NOTIFICATION, NULL, render_text, text);
  session->transport->wake(session, origin);
}

static void call_removed(mcp__caller_t *caller) {
  mcp__session_t *session = session_of(caller);
  session->transport->call_removed(session);
}

/* ---- notifications ---------------------------------------------------------------------------------- */

static void wake_subscription(mcp__session_t *session, const mcp__subscription_t *subscription) {
  if (is_open(session, subscription->origin))
    session->transport->wake(session, subscription->origin);
}

static void wake_unsolicited(mcp__session_t *session) {
  if (is_open(session, session->origin))
    session->transport->wake(session, session->origin);
}

void mcp__session_tools_changed(mcp__session_t *session) {
  for (mcp__subscription_t *each = session->subscriptions; each != NULL; each = each->next) {
    each->tools_due = each->wants_tools;
    wake_subscription(session, each);
  }
  if (!session->initialized || session->protocol_version < MCP__2025_03_26)
    return;
  session->tools_changed = true;
  wake_unsolicited(session);
}

void mcp__session_notify(mcp__session_t *session) {
  for (mcp__subscription_t *each = session->subscriptions; each != NULL; each = each->next) {
    each->capability_due = each->capability_params != NULL;
    wake_subscription(session, each);
  }
  if (session->initialize_params == NULL)
    return;
  session->notification_due = true;
  wake_unsolicited(session);
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

/* What the capability's callback makes of the params of an initialize; NULL: nothing, or no memory. */
static yyjson_mut_doc *capability_params(const mcp__session_t *session, const char *initialize_params) {
  const mcp__service_t *service = session->service;
  mcp__json_error_t error;
  yyjson_doc *params = mcp__json_read(initialize_params, strlen(initialize_params), &mcp__json_alc, &error);
  yyjson_mut_doc *doc = NULL;
  if (params != NULL)
    doc = service->capability_cb(service->server, yyjson_doc_get_root(params), service->capability_arg);
  yyjson_doc_free(params);
  return doc;
}

static int render_capability_notification(mcp__buf_t *out, const mcp__response_context_t *to,
                                          const void *what) {
  const mcp__session_t *session = what;
  size_t len = 0;
  char method[MCP__SESSION_CAPABILITY_BYTES + sizeof "notifications/"];
  (void)to;
  snprintf(method, sizeof method, "notifications/%s", session->service->server_info.experimental_capability);
  yyjson_mut_doc *doc = capability_params(session, session->initialize_params);
  char *text = doc != NULL ? yyjson_mut_write_opts(doc, 0, &mcp__json_alc, &len, NULL) : NULL;
  int status = text != NULL ? mcp__jsonrpc_request(out, 0, method, text, len) : UV_ECANCELED;
  mcp__free(text);
  yyjson_mut_doc_free(doc);
  return status;
}

/* ---- subscriptions ----------------------------------------------------------------------------------- */

typedef struct subscribed {
  const mcp__session_t *session;
  const mcp__subscription_t *subscription;
} subscribed_t;

static int render_acknowledged(mcp__buf_t *out, const mcp__response_context_t *to, const void *what) {
  const subscribed_t *subscribed = what;
  (void)to;
  return mcp__subscription_write_acknowledged(
      out, subscribed->subscription, subscribed->session->service->server_info.experimental_capability);
}

static int render_tools_changed(mcp__buf_t *out, const mcp__response_context_t *to, const void *what) {
  const subscribed_t *subscribed = what;
  (void)to;
  return mcp__subscription_write_tools_changed(out, subscribed->subscription);
}

static int render_capability(mcp__buf_t *out, const mcp__response_context_t *to, const void *what) {
  const subscribed_t *subscribed = what;
  const mcp__session_t *session = subscribed->session;
  (void)to;
  yyjson_mut_doc *params = capability_params(session, subscribed->subscription->capability_params);
  if (params == NULL)
    return UV_ECANCELED;
  int status = mcp__subscription_write_capability(
      out, subscribed->subscription, session->service->server_info.experimental_capability, params);
  yyjson_mut_doc_free(params);
  return status;
}

static int render_end(mcp__buf_t *out, const mcp__response_context_t *to, const void *what) {
  const subscribed_t *subscribed = what;
  (void)to;
  return mcp__subscription_write_end(out, subscribed->subscription);
}

static void write_subscription(mcp__session_t *session, mcp__subscription_t *subscription) {
  subscribed_t subscribed = {session, subscription};
  void *origin = subscription->origin;
  if (!is_open(session, origin) || !session->transport->has_room(session, origin))
    return; /* it stays due */
  if (subscription->tools_due &&
      write_message(session, origin, MCP__SEND_NOTIFICATION, NULL, render_tools_changed, &subscribed) == 0)
    subscription->tools_due = false;
  if (subscription->capability_due && write_message(session, origin, MCP__SEND_NOTIFICATION, NULL,
                                                    render_capability, &subscribed) != UV_ENOMEM)
    subscription->capability_due = false;
}

static mcp__subscription_t **find_subscription(mcp__session_t *session, const char *id, size_t id_len) {
  mcp__subscription_t **link = &session->subscriptions;
  while (*link != NULL && !mcp__id_same((*link)->id, (*link)->id_len, id, id_len))
    link = &(*link)->next;
  return link;
}

static void remove_subscription(mcp__session_t *session, mcp__subscription_t **link) {
  mcp__subscription_t *subscription = *link;
  *link = subscription->next;
  session->subscription_count--;
  mcp__subscription_free(subscription);
}

static void forget_subscriptions(mcp__session_t *session, const void *origin) { /* NULL: all */
  for (mcp__subscription_t **link = &session->subscriptions; *link != NULL;)
    if (origin == NULL || (*link)->origin == origin)
      remove_subscription(session, link);
    else
      link = &(*link)->next;
}

/* Each leaves the list first: its response may end the session. */
void mcp__session_end_subscriptions(mcp__session_t *session) {
  mcp__subscription_t *subscription;
  while ((subscription = session->subscriptions) != NULL) {
    subscribed_t subscribed = {session, subscription};
    void *origin = subscription->origin;
    session->subscriptions = subscription->next;
    session->subscription_count--;
    if (is_open(session, origin) &&
        write_message(session, origin, MCP__SEND_RESPONSE, NULL, render_end, &subscribed) == 0)
      session->transport->wake(session, origin);
    mcp__subscription_free(subscription);
  }
}

void mcp__session_write_notifications(mcp__session_t *session) {
  static const char changed[] = "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}";
  void *origin = session->origin;
  for (mcp__subscription_t *each = session->subscriptions; each != NULL; each = each->next)
    write_subscription(session, each);
  if (!is_open(session, origin))
    return; /* they stay due */
  if (session->tools_changed &&
      write_message(session, origin, MCP__SEND_NOTIFICATION, NULL, render_text, changed) == 0)
    session->tools_changed = false;
  if (!session->notification_due)
    return;
  /* Without params: a later initialize did not request it. Without room or memory it stays due. */
  int status = session->initialize_params != NULL
                   ? write_message(session, origin, MCP__SEND_NOTIFICATION, NULL,
                                   render_capability_notification, session)
                   : 0;
  session->notification_due = status == UV_ENOMEM;
}

/* ---- messages -------------------------------------------------------------------------------------- */

static int render_dispatch_result(mcp__buf_t *out, const mcp__response_context_t *to, const void *value) {
  return mcp__dispatch_write(out, to, value);
}

/* Turns a call into a refusal if the role of the caller does not suffice. */
static void check_role(const mcp__session_t *session, mcp_call_t *call, mcp__dispatch_result_t *result) {
  const mcp__peer_t *peer = session->caller.peer;
  const mcp__tool_t *tool = result->tool;
  if (mcp__peer_may_call(peer, tool))
    return;
  char *text = mcp__arena_alloc(&call->arena, ROLE_PROBLEM_SIZE);
  if (text != NULL && mcp__token_has_role(peer->token, MCP__ROLE_READ))
    snprintf(text, ROLE_PROBLEM_SIZE, "%s needs the role %s: the token \"%s\" has the role %s", tool->name,
             mcp__role_name(tool->role), peer->token->name, mcp__role_name(peer->token->role));
  else if (text != NULL)
    snprintf(text, ROLE_PROBLEM_SIZE, "the token \"%s\" was removed", peer->token->name);
  result->action = MCP__DO_REFUSE_CALL;
  result->code = MCP_TOOL_ERROR;
  result->problem = text != NULL ? text : "the role of the token does not suffice";
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
  mcp__subscription_t **subscription = find_subscription(session, id, id_len);
  if (call == NULL && *subscription != NULL)
    remove_subscription(session, subscription);
  if (call == NULL)
    return;
  void *origin = call->origin;
  mcp__call_cancel(call);
  if (session->transport->drop != NULL && is_open(session, origin))
    session->transport->drop(session, origin);
}

/* A call may outlive its session. */
static const char *copy_text(const char *text, mcp__arena_t *arena) {
  size_t size = text != NULL ? strlen(text) + 1 : 0;
  char *copy = size > 0 ? mcp__arena_alloc(arena, size) : NULL;
  return copy != NULL ? memcpy(copy, text, size) : NULL;
}

/* A pool thread must not look at the peer; and who calls a tool for administrators stays known. */
static const char *caller_name(const mcp__peer_t *peer, mcp_call_t *call) {
  if (peer->token != NULL)
    return copy_text(peer->token->name, &call->arena);
  bool outlives_caller = (call->tool->flags & (MCP_TOOL_BLOCKING | MCP_TOOL_ADMIN)) != 0;
  return outlives_caller ? copy_text(peer->name, &call->arena) : NULL;
}

static void run(mcp__session_t *session, mcp_call_t *call, const mcp__dispatch_result_t *result) {
  call->to.direct = result->direct;
  call->to.shaped = result->tool->output != NULL;
  call->tool = mcp__tool_hold(result->tool);
  call->args = result->args;
  call->caller_name = caller_name(session->caller.peer, call);
  call->progress_token = call->no_response ? NULL : result->progress_token;
  call->progress_last = -INFINITY;
  call->parent.trace.span = mcp__span_new();
  call->parent.trace.parent_span_id = result->parent_span_id;
  mcp__call_run(call, &session->caller); /* may have ended it */
}

static void refuse_listen(mcp__dispatch_result_t *result, int code, const char *problem) {
  result->action = MCP__DO_REFUSE;
  result->code = code;
  result->problem = problem;
}

/* Begins a subscription and acknowledges it. Otherwise turns the result into a refusal. */
static void begin_subscription(mcp__session_t *session, const mcp_call_t *call, const mcp__message_t *message,
                               mcp__dispatch_result_t *result) {
  mcp__subscription_t *subscription = NULL;
  if (session->subscription_count == MCP__MAX_SUBSCRIPTIONS)
    refuse_listen(result, MCP_INVALID_REQUEST, "there are 64 subscriptions: end one first");
  else if (message->id_len > MCP__SUBSCRIPTION_ID_MAX)
    refuse_listen(result, MCP_INVALID_REQUEST, "the id of a subscription is limited to 1,024 bytes");
  else if ((subscription = mcp__subscription_new(message, result, call->origin)) == NULL)
    refuse_listen(result, MCP_INTERNAL_ERROR, "out of memory");
  if (subscription == NULL)
    return;
  subscribed_t subscribed = {session, subscription};
  if (write_message(session, call->origin, MCP__SEND_NOTIFICATION, NULL, render_acknowledged, &subscribed) !=
      0) {
    mcp__subscription_free(subscription);
    refuse_listen(result, MCP_INVALID_REQUEST, "a subscription needs a stream: accept text/event-stream");
    return;
  }
  subscription->next = session->subscriptions;
  session->subscriptions = subscription;
  session->subscription_count++;
  session->transport->wake(session, call->origin);
}

/* Responds to a message that is no call. */
static void reply(mcp__session_t *session, mcp_call_t *call, const mcp__dispatch_result_t *result) {
  mcp__caller_t *caller = &session->caller;
  const char *trace_id = call->parent.trace.id;
  if (result->action == MCP__DO_REFUSE_CALL)
    result->tool->counts.calls[result->code == MCP_TOOL_ERROR ? MCP__CALL_FORBIDDEN : MCP__CALL_INVALID]++;
  else if (result->action == MCP__DO_REFUSE && !session->from_doctor)
    mcp__count_refusal(&session->service->counters, result->code);
  if (result->tool != NULL)
    mcp__server_log_call_refused(caller->peer, trace_id, result->tool, result->code, result->problem);
  bool is_params = result->code == MCP_INVALID_PARAMS && !result->is_malformed;
  int kind = result->action == MCP__DO_REFUSE && !is_params ? result->code : MCP__SEND_RESPONSE;
  if (!call->no_response)
    send_response(session, call->origin, kind, &call->to, render_dispatch_result, result);
  session->from_doctor = session->from_doctor || result->is_doctor;
  if (result->initialize_params != NULL)
    keep_initialize(session, result->initialize_params);
}

static bool is_in_use(mcp__session_t *session, uint32_t hash, const char *id, size_t id_len) {
  return mcp__caller_find(&session->caller, hash, id, id_len) != NULL ||
         (session->subscriptions != NULL && *find_subscription(session, id, id_len) != NULL);
}

static void act_on(mcp__session_t *session, mcp_call_t *call, const mcp__message_t *message,
                   mcp__dispatch_result_t *result) {
  call->no_response = message->kind == MCP__NOTIFICATION || message->kind == MCP__RESPONSE;
  call->id_hash = mcp__id_hash(message->id, message->id_len);
  if (message->kind == MCP__REQUEST && is_in_use(session, call->id_hash, message->id, message->id_len))
    refuse_duplicate_id(result);
  const char *members = session->service->server_info.result_members;
  bool is_modern = result->protocol_version >= MCP__2026_07_28 && members != NULL;
  call->to = (mcp__response_context_t){message->id,    message->id_len, result->protocol_version,
                                       result->direct, false,           is_modern ? members : ""};
  call->parent.trace.id =
      result->trace_id != NULL ? result->trace_id : copy_text(session->trace_id, &call->arena);
  if (!call->no_response)
    mcp__server_log_request(session->caller.peer, call->parent.trace.id, message, result->tool);
  if (result->action == MCP__DO_CALL)
    check_role(session, call, result);
  if (result->action == MCP__DO_CALL) {
    run(session, call, result);
    return;
  }
  if (result->action == MCP__DO_LISTEN)
    begin_subscription(session, call, message, result);
  if (result->action == MCP__DO_CANCEL)
    cancel(session, result->cancel_id, result->cancel_id_len);
  else if (result->action != MCP__DO_NOTHING && result->action != MCP__DO_LISTEN)
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

bool mcp__session_serve(mcp__session_t *session, mcp_call_t *call, void *origin) {
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
    session->transport->fail(session, origin, "out of memory for a message");
    return true;
  }
  mcp__dispatch(&session->service->server_info, session->protocol_version, &message, &call->arena, &result);
  if (message.kind == MCP__REQUEST && result.protocol_version < MCP__2026_07_28)
    session->protocol_version = result.protocol_version;
  session->initialized |= result.initialized;
  if (session->transport->check != NULL)
    session->transport->check(session, origin, &message, &call->arena, &result);
  bool is_answered = message.kind == MCP__REQUEST || message.kind == MCP__INVALID;
  act_on(session, call, &message, &result);
  return is_answered;
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

/* A call whose origin has ended begins nevertheless: it must not delay others. */
static bool may_begin_next(const mcp__session_t *session) {
  const void *origin = session->caller.waiting->origin;
  if (origin == NULL)
    return true;
  return is_open(session, origin) && session->transport->has_room(session, origin);
}

void mcp__session_begin_waiting(mcp__session_t *session) {
  mcp__caller_t *caller = &session->caller;
  while (caller->waiting != NULL && mcp__call_may_begin(caller) && may_begin_next(session))
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
  mcp__free(session->trace_id);
  session->trace_id = NULL;
  if (trace_id == NULL || *trace_id == '\0' || strlen(trace_id) > MCP__TRACE_ID_BYTES ||
      !mcp__utf8_valid(trace_id, strlen(trace_id)))
    return;
  session->trace_id = mcp__strdup(trace_id);
}

static void forget_in(mcp_call_t *first, const void *origin) {
  for (mcp_call_t *call = first; call != NULL; call = call->next)
    if (call->origin == origin)
      call->origin = NULL;
}

void mcp__session_forget_origin(mcp__session_t *session, const void *origin) {
  forget_in(session->caller.in_flight, origin);
  forget_in(session->caller.waiting, origin);
  forget_subscriptions(session, origin);
  if (session->origin == origin)
    session->origin = NULL;
}

void mcp__session_close(mcp__session_t *session) {
  mcp__caller_abandon(&session->caller);
  forget_subscriptions(session, NULL);
}

void mcp__session_deinit(mcp__session_t *session) {
  mcp__free(session->trace_id);
  mcp__free(session->initialize_params);
}
