/* bridge_server.c: messages from the server, connection state and timeouts.
 *
 * Happy path: messages are forwarded to the host unchanged. Failure: responses to unknown requests are
 * dropped; if the connection is lost, requests sent over it fail, in both directions; a request without a
 * response fails at its deadline. */
#include "bridge.h"
#include "check_alloc.h"
#include "mcp/protocol_version.h"

#include <stdlib.h>
#include <string.h>

/* ---- from the server ------------------------------------------------------------------------------- */

static bool any_is_sent(const bridge_pending_list_t *requests) {
  for (const bridge_pending_t *each = requests->first; each != NULL; each = each->next)
    if (bridge_is_sent(each))
      return true;
  return false;
}

/* The request of an unreadable response is unknown: the connection is dropped, so that all sent requests
 * fail. */
static void on_unreadable_response(bridge_t *bridge, const char *error) {
  bridge_log("received an invalid message: %s", error);
  if (any_is_sent(&bridge->host_requests))
    mcp__client_drop(bridge->client, MCP_EPROTOCOL, "the server sent an unreadable response");
}

static void on_response(bridge_t *bridge, const mcp__message_t *message, const char *text, size_t len) {
  bridge_pending_t *pending = bridge_pending_find(&bridge->host_requests, message->id, message->id_len);
  if (message->result == NULL && message->error == NULL) {
    on_unreadable_response(bridge, "a response with neither result nor error");
  } else if (message->id_value == NULL &&
             !mcp__jsonrpc_may_answer_notification(message->has_id, message->error)) {
    on_unreadable_response(bridge, "a response without id");
  } else if (pending == NULL || !bridge_is_sent(pending)) {
    mcp_log(MCP_LOG_DEBUG, "bridge", "a response to an unknown request: %.*s", (int)(len < 200 ? len : 200),
            text);
  } else {
    bridge_pending_remove(&bridge->host_requests, pending);
    bridge_write_line(bridge, text, len);
  }
}

static void reject_request(bridge_t *bridge, const mcp__message_t *message, const char *error) {
  mcp__buf_t text = bridge_new_buf();
  if (mcp__jsonrpc_error(&text, message->id, message->id_len, MCP_INVALID_REQUEST, error, NULL, 0) == 0)
    mcp__client_send(bridge->client, text.data, text.len);
  mcp__buf_deinit(&text);
  if (mcp__client_backlog(bridge->client) > BRIDGE_MAX_RESPONSE_BYTES)
    mcp__client_drop(bridge->client, MCP_EPROTOCOL,
                     "the server sends requests but does not read the responses");
}

static void on_server_request(bridge_t *bridge, const mcp__message_t *message, const char *text, size_t len) {
  if (bridge->server_requests.count >= BRIDGE_MAX_PENDING || message->id_len > BRIDGE_MAX_ID) {
    reject_request(bridge, message, "too many pending requests to the host");
  } else if (bridge_pending_find(&bridge->server_requests, message->id, message->id_len) != NULL) {
    reject_request(bridge, message, "a request with this id is already in flight");
  } else {
    bridge_pending_add(&bridge->server_requests, message->id, message->id_len, UINT64_MAX);
    bridge_write_line(bridge, text, len);
  }
}

static void on_invalid(bridge_t *bridge, const mcp__message_t *message) {
  if (bridge->arena.failed)
    mcp__client_drop(bridge->client, MCP_ETOOBIG, "out of memory for a message of the server");
  else if (message->has_method)
    bridge_log("received an invalid message: %s", message->problem);
  else
    on_unreadable_response(bridge, message->problem);
}

void bridge_on_server_message(const char *text, size_t len, void *arg) {
  bridge_t *bridge = arg;
  mcp__message_t message;
  size_t start = mcp_bom_length(text, len);
  text += start;
  len -= start;
  bridge_parse(bridge, text, len, &message);
  switch (message.kind) {
  case MCP__RESPONSE:
    on_response(bridge, &message, text, len);
    break;
  case MCP__REQUEST:
    on_server_request(bridge, &message, text, len);
    break;
  case MCP__NOTIFICATION:
    bridge_write_line(bridge, text, len);
    break;
  case MCP__INVALID:
    on_invalid(bridge, &message);
    break;
  }
}

/* Answers the host's initialize. On later connections no request waits for this response. */
static void answer_initialize(bridge_t *bridge, bool is_error, const char *value) {
  for (bridge_pending_t *each = bridge->host_requests.first, *next; each != NULL; each = next) {
    next = each->next;
    if (!each->uses_client_initialize)
      continue;
    mcp__buf_t text = bridge_new_buf();
    int status = mcp__buf_printf(&text, "{\"jsonrpc\":\"2.0\",\"id\":%.*s,\"%s\":", (int)each->id_len,
                                 each->id, is_error ? "error" : "result");
    status = mcp__buf_first_error(status, mcp__buf_puts(&text, value));
    status = mcp__buf_first_error(status, mcp__buf_puts(&text, "}"));
    bridge_write(bridge, &text, status);
    bridge_pending_remove(&bridge->host_requests, each);
  }
}

void bridge_on_initialize_response(const mcp__message_t *response, void *arg) {
  bool is_error = response->error != NULL;
  char *value = check_alloc(yyjson_val_write(is_error ? response->error : response->result, 0, NULL));
  answer_initialize(arg, is_error, value);
  free(value);
}

/* The version of MCP that the host asked for, if it is known and begins with initialize; else the newest. */
static const char *host_version(const bridge_t *bridge) {
  mcp__protocol_version_t version = MCP__2025_11_25;
  yyjson_doc *params = mcp_json_read(bridge->initialize_params, strlen(bridge->initialize_params));
  yyjson_val *name = yyjson_obj_get(yyjson_doc_get_root(params), "protocolVersion");
  if (!yyjson_is_str(name) ||
      !mcp__protocol_version_parse(yyjson_get_str(name), yyjson_get_len(name), &version) ||
      version > MCP__2025_11_25)
    version = MCP__2025_11_25;
  yyjson_doc_free(params);
  return mcp__protocol_version_name(version);
}

/* The server knows no initialize: its response is made from that to server/discover. */
void bridge_on_discover(yyjson_val *result, void *arg) {
  bridge_t *bridge = arg;
  yyjson_mut_doc *doc = check_alloc(yyjson_mut_doc_new(NULL));
  yyjson_mut_val *root = yyjson_mut_obj(doc);
  yyjson_val *capabilities = yyjson_obj_get(result, "capabilities");
  yyjson_val *info = yyjson_obj_get(yyjson_obj_get(result, "_meta"), MCP__META_SERVER_INFO);
  yyjson_val *instructions = yyjson_obj_get(result, "instructions");
  yyjson_mut_doc_set_root(doc, root);
  yyjson_mut_obj_add_str(doc, root, "protocolVersion", host_version(bridge));
  yyjson_mut_obj_add_val(doc, root, "capabilities",
                         yyjson_is_obj(capabilities) ? yyjson_val_mut_copy(doc, capabilities)
                                                     : yyjson_mut_obj(doc));
  yyjson_mut_val *server_info = yyjson_is_obj(info) ? yyjson_val_mut_copy(doc, info) : yyjson_mut_obj(doc);
  if (!yyjson_is_obj(info)) { /* both are required */
    yyjson_mut_obj_add_str(doc, server_info, "name", bridge->url);
    yyjson_mut_obj_add_str(doc, server_info, "version", "");
  }
  yyjson_mut_obj_add_val(doc, root, "serverInfo", server_info);
  if (yyjson_is_str(instructions))
    yyjson_mut_obj_add_val(doc, root, "instructions", yyjson_val_mut_copy(doc, instructions));
  char *value = check_alloc(yyjson_mut_write(doc, 0, NULL));
  answer_initialize(bridge, false, value);
  free(value);
  yyjson_mut_doc_free(doc);
}

/* ---- the connection -------------------------------------------------------------------------------- */

/* Writes a notifications/cancelled for the request. */
static int write_cancelled(mcp__buf_t *text, const bridge_pending_t *pending, const char *reason) {
  mcp__buf_t params = bridge_new_buf();
  int status = mcp__buf_printf(&params, "{\"requestId\":%.*s,\"reason\":\"%s\"}", (int)pending->id_len,
                               pending->id, reason);
  status = mcp__buf_first_error(
      status, mcp__jsonrpc_request(text, 0, "notifications/cancelled", params.data, params.len));
  mcp__buf_deinit(&params);
  return status;
}

/* Cancels the server's requests at the host, since their responses can no longer be delivered. */
static void cancel_server_requests(bridge_t *bridge) {
  for (bridge_pending_t *each = bridge->server_requests.first; each != NULL; each = each->next) {
    mcp__buf_t text = bridge_new_buf();
    int status = write_cancelled(&text, each, "the connection was lost");
    bridge_write(bridge, &text, status);
  }
  bridge_pending_clear(&bridge->server_requests);
}

void bridge_on_connection_state(mcp_client_t *client, int status, const char *reason, void *arg) {
  bridge_t *bridge = arg;
  (void)client;
  bridge->connected = status == 0;
  if (status == 0) {
    bridge_log("connected to %s", bridge->url);
    *bridge->connect_error = '\0';
    bridge_use_next_initialize(bridge);
    bridge_send_pending(bridge);
    return;
  }
  if (strcmp(bridge->connect_error, reason) != 0)
    bridge_log("not connected: %s; retrying", reason);
  snprintf(bridge->connect_error, sizeof bridge->connect_error, "%s", reason);
  for (bridge_pending_t *each = bridge->host_requests.first, *next; each != NULL; each = next) {
    next = each->next;
    if (status == MCP_EREFUSED)
      bridge_fail_request(bridge, each, &bridge_cause_refused, "%s", reason);
    else if (bridge_is_sent(each) && !each->uses_client_initialize)
      bridge_fail_request(bridge, each, &bridge_cause_lost,
                          "the connection was lost before the response arrived: %s", reason);
  }
  cancel_server_requests(bridge);
  if (bridge->host_requests.first != NULL) /* the client's own delay may exceed their deadlines */
    mcp__client_retry_within(bridge->client, BRIDGE_RECONNECT_MS);
}

/* ---- timeouts -------------------------------------------------------------------------------------- */

static void send_cancelled(bridge_t *bridge, const bridge_pending_t *pending) {
  mcp__buf_t text = bridge_new_buf();
  if (write_cancelled(&text, pending, "timeout") == 0)
    mcp__client_send(bridge->client, text.data, text.len);
  mcp__buf_deinit(&text);
}

void bridge_time_out_request(bridge_t *bridge, bridge_pending_t *pending) {
  unsigned long long ms = bridge->options->timeout_ms;
  if (bridge_is_sent(pending) && !pending->uses_client_initialize) {
    send_cancelled(bridge, pending);
    bridge_fail_request(bridge, pending, &bridge_cause_timeout, "no response within %llu ms", ms);
  } else {
    bridge_fail_request(bridge, pending, &bridge_cause_away, "not connected within %llu ms%s%s", ms,
                        *bridge->connect_error != '\0' ? "; last error: " : "", bridge->connect_error);
  }
}
