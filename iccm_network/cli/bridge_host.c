/* bridge_host.c: messages from the host.
 *
 * Happy path: a request is stored with its id and forwarded unchanged; the client sends the host's initialize
 * at the start of each connection. Failure: an invalid message, an id in use or a request over the limit gets
 * an error response; a cancelled request gets no response; responses to unknown requests are dropped. */
#include "bridge.h"
#include "check_alloc.h"
#include "exit_codes.h"

#include <stdlib.h>
#include <string.h>

/* ---- sending --------------------------------------------------------------------------------------- */

void bridge_send_pending(bridge_t *bridge) {
  for (bridge_pending_t *each = bridge->host_requests.first, *next; each != NULL; each = next) {
    next = each->next;
    if (bridge_is_sent(each) || mcp__client_send(bridge->client, each->text, each->text_len) != 0)
      continue; /* out of memory: sent on the next connection, or fails at its deadline */
    bridge_pending_drop_text(&bridge->host_requests, each);
    if (each->id_len == 0)
      bridge_pending_remove(&bridge->host_requests, each);
  }
}

/* Makes the client connect soon; no effect when connected. */
static void request_connection(bridge_t *bridge) {
  mcp__client_retry_within(bridge->client, BRIDGE_RECONNECT_MS);
  if (bridge->started)
    return;
  bridge->started = true;
  if (mcp_client_connect(bridge->client) != 0)
    check_alloc(NULL); /* UNTESTED: memory for the input's place */
}

static bool is_full(const bridge_t *bridge, size_t len) {
  const bridge_pending_list_t *requests = &bridge->host_requests;
  return requests->count >= BRIDGE_MAX_PENDING ||
         (!bridge->connected && requests->bytes + len > BRIDGE_MAX_PENDING_BYTES);
}

/* Sends a message to the server, now or on the next connection. id_len 0: a notification, which is not stored
 * once it is sent. */
static void send_or_queue(bridge_t *bridge, const char *id, size_t id_len, bool is_subscription,
                          const char *text, size_t len) {
  bool sent = bridge->connected && mcp__client_send(bridge->client, text, len) == 0;
  request_connection(bridge);
  if (sent && id_len == 0)
    return;
  bridge_pending_t *pending = bridge_pending_add(&bridge->host_requests, id, id_len,
                                                 uv_now(&bridge->loop) + bridge->options->timeout_ms);
  pending->is_subscription = is_subscription;
  if (!sent)
    bridge_pending_keep_text(&bridge->host_requests, pending, text, len);
}

/* ---- from the host --------------------------------------------------------------------------------- */

void bridge_parse(bridge_t *bridge, const char *text, size_t len, mcp__message_t *message) {
  mcp__buf_clear(&bridge->parse_buf, BRIDGE_MAX_BACKLOG);
  mcp__arena_reset(&bridge->arena);
  if (mcp__buf_reserve(&bridge->parse_buf, len + MCP__JSON_PADDING) != 0)
    check_alloc(NULL);
  mcp__buf_append(&bridge->parse_buf, text, len);
  memset(bridge->parse_buf.data + len, 0, MCP__JSON_PADDING);
  mcp__jsonrpc_parse(bridge->parse_buf.data, len, SIZE_MAX, &bridge->arena, message);
}

static bool is_initialize(const mcp__message_t *message) {
  return yyjson_equals_str(message->method, "initialize");
}

/* Sets the params of initialize for the next connections. Takes ownership. */
static void set_initialize_params(bridge_t *bridge, char *params) {
  mcp__client_set_initialize_params(bridge->client, params);
  free(bridge->initialize_params);
  bridge->initialize_params = params;
}

static bool is_initialize_pending(const bridge_t *bridge) {
  for (const bridge_pending_t *each = bridge->host_requests.first; each != NULL; each = each->next)
    if (each->uses_client_initialize)
      return true;
  return false;
}

/* Stores the params of the host's initialize. True: it is the first one before a connection, so the client
 * sends it and its response is that of the client. False: it is forwarded to the server, and its params apply
 * to later connections. */
static bool store_initialize_params(bridge_t *bridge, const mcp__message_t *message) {
  char *params =
      check_alloc(message->params != NULL ? yyjson_val_write(message->params, 0, NULL) : strdup("{}"));
  bool is_first = !bridge->connected && !is_initialize_pending(bridge);
  bridge->forward_initialized = !is_first;
  free(bridge->next_initialize_params);
  bridge->next_initialize_params = NULL;
  if (bridge->connected || is_first)
    set_initialize_params(bridge, params);
  else
    bridge->next_initialize_params = params;
  return is_first;
}

void bridge_use_next_initialize(bridge_t *bridge) {
  bridge->forward_initialized = bridge->next_initialize_params != NULL;
  if (bridge->next_initialize_params != NULL)
    set_initialize_params(bridge, bridge->next_initialize_params);
  bridge->next_initialize_params = NULL;
}

/* The offset of a key in the text: the parser works in place, so the pointer gives the position. */
static size_t offset_of(const bridge_t *bridge, yyjson_val *key) {
  return (size_t)(yyjson_get_str(key) - bridge->parse_buf.data) - 1; /* 1: its quote */
}

static yyjson_val *first_key(yyjson_val *object) {
  return yyjson_obj_size(object) > 0 ? unsafe_yyjson_get_first(object) : NULL;
}

static yyjson_val *find_key(yyjson_val *object, const char *name) {
  yyjson_obj_iter iter = yyjson_obj_iter_with(object);
  yyjson_val *key;
  while ((key = yyjson_obj_iter_next(&iter)) != NULL && !yyjson_equals_str(key, name))
    ;
  return key;
}

/* The member to insert at offset *at, so that the call has the trace id; out empty: none is inserted. All
 * other text is unchanged, including the form of numbers. */
static int trace_member(const bridge_t *bridge, const mcp__message_t *message, const char *text, size_t len,
                        size_t *at, mcp__buf_t *out) {
  yyjson_val *key = find_key(message->params, "_meta"), *meta = yyjson_obj_get(message->params, "_meta");
  bool wraps = key == NULL;
  if (*bridge->trace == '\0' || !yyjson_equals_str(message->method, "tools/call") ||
      first_key(message->params) == NULL || (!wraps && !yyjson_is_obj(meta)) ||
      yyjson_obj_get(meta, "trace_id") != NULL)
    return 0;
  yyjson_val *next = wraps ? first_key(message->params) : first_key(meta);
  *at = offset_of(bridge, next != NULL ? next : key);
  if (next == NULL) /* {}: after its brace; the key before it contains no brace */
    *at = (size_t)((const char *)memchr(text + *at, '{', len - *at) - text) + 1;
  int status = mcp__buf_puts(out, wraps ? "\"_meta\":{\"trace_id\":" : "\"trace_id\":");
  status = mcp__buf_first_error(status, mcp__buf_json_string(out, bridge->trace, strlen(bridge->trace)));
  return mcp__buf_first_error(status, mcp__buf_puts(out, wraps ? "}," : next != NULL ? "," : ""));
}

/* The call's text with the trace id, owned by the caller; empty: unchanged. */
static mcp__buf_t with_trace(const bridge_t *bridge, const mcp__message_t *message, const char *text,
                             size_t len) {
  mcp__buf_t member = bridge_new_buf(), whole = bridge_new_buf();
  size_t at = 0;
  int status = trace_member(bridge, message, text, len, &at, &member);
  if (status == 0 && member.len > 0) {
    status = mcp__buf_append(&whole, text, at);
    status = mcp__buf_first_error(status, mcp__buf_append(&whole, member.data, member.len));
    status = mcp__buf_first_error(status, mcp__buf_append(&whole, text + at, len - at));
  }
  mcp__buf_deinit(&member);
  if (status != 0)
    check_alloc(NULL);
  return whole;
}

static void on_host_request(bridge_t *bridge, const mcp__message_t *message, const char *text, size_t len) {
  if (message->id_len > BRIDGE_MAX_ID) {
    bridge_respond_error(bridge, "null", 4, MCP_INVALID_REQUEST,
                         "the id is too long: the limit is 1,024 bytes");
    return;
  }
  if (bridge_pending_find(&bridge->host_requests, message->id, message->id_len) != NULL) {
    bridge_respond_error(bridge, message->id, message->id_len, MCP_INVALID_REQUEST,
                         "a request with this id is already in flight");
    return;
  }
  if (is_full(bridge, len)) {
    bridge_respond_cause(bridge, message->id, message->id_len, &bridge_cause_full,
                         "too many pending requests");
    return;
  }
  if (is_initialize(message) && store_initialize_params(bridge, message)) {
    bridge_pending_add(&bridge->host_requests, message->id, message->id_len,
                       uv_now(&bridge->loop) + bridge->options->timeout_ms)
        ->uses_client_initialize = true;
    request_connection(bridge);
    return;
  }
  mcp__buf_t traced = with_trace(bridge, message, text, len);
  bool unchanged = traced.len == 0;
  send_or_queue(bridge, message->id, message->id_len,
                yyjson_equals_str(message->method, "subscriptions/listen"), unchanged ? text : traced.data,
                unchanged ? len : traced.len);
  mcp__buf_deinit(&traced);
}

/* Removes a request that the host has cancelled: it gets no response (MCP, cancellation). */
static void on_host_cancelled(bridge_t *bridge, const mcp__message_t *message, const char *text, size_t len) {
  size_t id_len;
  const char *id;
  yyjson_val *value = yyjson_obj_get(message->params, "requestId"); /* stored directly after its key */
  bool is_id = value != NULL && mcp__jsonrpc_id(value - 1, value, &bridge->arena, &id, &id_len);
  bridge_pending_t *pending = is_id ? bridge_pending_find(&bridge->host_requests, id, id_len) : NULL;
  if (pending == NULL)
    return; /* already answered */
  if (bridge_is_sent(pending) && !pending->uses_client_initialize)
    mcp__client_send(bridge->client, text, len);
  bridge_pending_remove(&bridge->host_requests, pending);
}

static void on_host_notification(bridge_t *bridge, const mcp__message_t *message, const char *text,
                                 size_t len) {
  if (yyjson_equals_str(message->method, "notifications/cancelled"))
    on_host_cancelled(bridge, message, text, len);
  else if (yyjson_equals_str(message->method, "notifications/initialized") && !bridge->forward_initialized)
    return; /* the client sends it itself on each connection */
  else if (!is_full(bridge, len))
    send_or_queue(bridge, "", 0, false, text, len);
}

static void on_host_response(bridge_t *bridge, const mcp__message_t *message, const char *text, size_t len) {
  bridge_pending_t *pending = bridge_pending_find(&bridge->server_requests, message->id, message->id_len);
  if (pending == NULL)
    return; /* the connection of the request is lost, or there was no request */
  bridge_pending_remove(&bridge->server_requests, pending);
  mcp__client_send(bridge->client, text, len);
}

void bridge_on_host_line(mcp__buf_t *line, void *arg) {
  bridge_t *bridge = arg;
  const char *text = line->data;
  size_t len = line->len;
  mcp__message_t message;
  if (bridge->input_ended)
    return; /* shutting down; discard lines already read */
  bridge_parse(bridge, text, len, &message);
  switch (message.kind) {
  case MCP__REQUEST:
    on_host_request(bridge, &message, text, len);
    break;
  case MCP__NOTIFICATION:
    on_host_notification(bridge, &message, text, len);
    break;
  case MCP__RESPONSE:
    on_host_response(bridge, &message, text, len);
    break;
  case MCP__INVALID:
    bridge_respond_error(bridge, message.id, message.id_len, message.code, message.problem);
    break;
  }
}

void bridge_on_host_line_discarded(int status, void *arg) {
  if (status == UV_ENOMEM)
    check_alloc(NULL);
  bridge_respond_error(arg, "null", 4, MCP_INVALID_REQUEST, "the message is larger than 16 MiB");
}

void bridge_on_host_eof(int status, void *arg) {
  bridge_t *bridge = arg;
  bridge->input_ended = true;
  if (status == 0)
    return;
  bridge->code = ICCM_USAGE;
  bridge_log("cannot read standard input: %s", uv_strerror(status));
}
