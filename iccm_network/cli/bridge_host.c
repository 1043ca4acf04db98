/* bridge_host.c: what the host says.
 *
 * Happy path: a request is remembered by its id and goes on as it came; initialize is what the client begins
 * each connection with. Failure: what is no message, has an id in use, or is one too many is answered here;
 * what the host has cancelled gets no answer at all; answers to what nobody asks any more are dropped. */
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
      continue; /* out of memory: its deadline decides, or the next connection */
    bridge_pending_drop_text(&bridge->host_requests, each);
    if (each->id_len == 0)
      bridge_pending_remove(&bridge->host_requests, each);
  }
}

/* Where there is no connection; somebody waits for it. */
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

/* To the server, now or with the next connection. id_len 0: a notification, which is not remembered once it
 * is sent. */
static void send_or_queue(bridge_t *bridge, const char *id, size_t id_len, const char *text, size_t len) {
  bool sent = bridge->connected && mcp__client_send(bridge->client, text, len) == 0;
  request_connection(bridge);
  if (sent && id_len == 0)
    return;
  bridge_pending_t *pending = bridge_pending_add(&bridge->host_requests, id, id_len,
                                                 uv_now(&bridge->loop) + bridge->options->timeout_ms);
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

/* What is said to the server from the next connection on. */
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

/* Whether the client says it, and its answer is this one's: the first before a connection. Any other goes to
 * the server as it came, and what it says holds from the connection behind that on. */
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

/* Where a key stands in the text: read in place, it begins where it was written. */
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

/* The member to insert before the byte at *at, so that the call has the trace id; out empty: it stays as it
 * is. All else stays as it was written, digits too. */
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
  if (next == NULL) /* {}: behind its brace; a name with that letter is another one */
    *at = (size_t)((const char *)memchr(text + *at, '{', len - *at) - text) + 1;
  int status = mcp__buf_puts(out, wraps ? "\"_meta\":{\"trace_id\":" : "\"trace_id\":");
  status = mcp__buf_first_error(status, mcp__buf_json_string(out, bridge->trace, strlen(bridge->trace)));
  return mcp__buf_first_error(status, mcp__buf_puts(out, wraps ? "}," : next != NULL ? "," : ""));
}

/* Owned; the call's text with the trace id; empty: it stays as it is. */
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
    bridge_respond_error(bridge, "null", 4, MCP_INVALID_REQUEST, "an id may have 1,024 bytes");
    return;
  }
  if (bridge_pending_find(&bridge->host_requests, message->id, message->id_len) != NULL) {
    bridge_respond_error(bridge, message->id, message->id_len, MCP_INVALID_REQUEST,
                         "a request with this id waits for its answer");
    return;
  }
  if (is_full(bridge, len)) {
    bridge_respond_cause(bridge, message->id, message->id_len, &bridge_cause_full,
                         "too many requests are waiting");
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
  send_or_queue(bridge, message->id, message->id_len, unchanged ? text : traced.data,
                unchanged ? len : traced.len);
  mcp__buf_deinit(&traced);
}

/* Ends what the host does not wait for any more: it gets no answer (MCP, cancellation). */
static void on_host_cancelled(bridge_t *bridge, const mcp__message_t *message, const char *text, size_t len) {
  size_t id_len;
  const char *id;
  yyjson_val *value = yyjson_obj_get(message->params, "requestId"); /* it lies behind its key */
  bool is_id = value != NULL && mcp__jsonrpc_id(value - 1, value, &bridge->arena, &id, &id_len);
  bridge_pending_t *pending = is_id ? bridge_pending_find(&bridge->host_requests, id, id_len) : NULL;
  if (pending == NULL)
    return; /* answered meanwhile */
  if (bridge_is_sent(pending) && !pending->uses_client_initialize)
    mcp__client_send(bridge->client, text, len);
  bridge_pending_remove(&bridge->host_requests, pending);
}

static void on_host_notification(bridge_t *bridge, const mcp__message_t *message, const char *text,
                                 size_t len) {
  if (yyjson_equals_str(message->method, "notifications/cancelled"))
    on_host_cancelled(bridge, message, text, len);
  else if (yyjson_equals_str(message->method, "notifications/initialized") && !bridge->forward_initialized)
    return; /* the client says so itself, at each connection */
  else if (!is_full(bridge, len))
    send_or_queue(bridge, "", 0, text, len);
}

static void on_host_response(bridge_t *bridge, const mcp__message_t *message, const char *text, size_t len) {
  bridge_pending_t *pending = bridge_pending_find(&bridge->server_requests, message->id, message->id_len);
  if (pending == NULL)
    return; /* who asked has gone, or nobody did */
  bridge_pending_remove(&bridge->server_requests, pending);
  mcp__client_send(bridge->client, text, len);
}

void bridge_on_host_line(const char *text, size_t len, void *arg) {
  bridge_t *bridge = arg;
  mcp__message_t message;
  if (bridge->input_ended)
    return; /* the rest of what was read when the end began */
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

void bridge_on_host_line_too_long(void *arg) {
  bridge_respond_error(arg, "null", 4, MCP_INVALID_REQUEST, "the message is larger than 16 MiB");
}

void bridge_on_host_eof(int status, void *arg) {
  bridge_t *bridge = arg;
  bridge->input_ended = true;
  if (status == 0)
    return;
  bridge->code = ICCM_USAGE;
  bridge_log("standard input cannot be read: %s", uv_strerror(status));
}
