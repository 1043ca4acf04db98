/* log_subscription.c: see log_subscription.h.
 *
 * Happy path: the request stays open, and Godot's notifications arrive before its response. Failure: a
 * subscription that ends is requested again, but not before the next connection if the server refuses it. */
#include "client/log_subscription.h"

#include "mcp/protocol_version.h"

#include <uv.h>

enum {
  SUBSCRIPTION_MS = 24 * 60 * 60 * 1000, /* then it is requested again */
  AGAIN_MS = 5000                        /* after it has ended */
};

static yyjson_mut_doc *make_params(const char *component) {
  yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
  yyjson_mut_val *root = yyjson_mut_obj(doc);
  yyjson_mut_doc_set_root(doc, root);
  yyjson_mut_obj_add_bool(doc, yyjson_mut_obj_add_obj(doc, root, "notifications"), "iccm/log_level", true);
  yyjson_mut_val *meta = yyjson_mut_obj_add_obj(doc, root, "_meta");
  yyjson_mut_obj_add_str(doc, meta, MCP__META_VERSION, mcp__protocol_version_name(MCP__2026_07_28));
  yyjson_mut_val *capabilities = yyjson_mut_obj_add_obj(doc, meta, MCP__META_CAPABILITIES);
  yyjson_mut_val *experimental = yyjson_mut_obj_add_obj(doc, capabilities, "experimental");
  yyjson_mut_val *level = yyjson_mut_obj_add_obj(doc, experimental, "iccm/log_level");
  if (yyjson_mut_obj_add_str(doc, level, "component", component))
    return doc;
  yyjson_mut_doc_free(doc);
  return NULL;
}

static bool is_refused(int status) {
  return status == MCP_METHOD_NOT_FOUND || status == MCP_INVALID_PARAMS || status == MCP_INVALID_REQUEST;
}

static void request_later(mcp__log_subscription_t *subscription) {
  subscription->again_ms = uv_now(subscription->loop) + AGAIN_MS;
}

static void on_end(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  mcp__log_subscription_t *subscription = arg;
  (void)client;
  subscription->pending = false;
  subscription->wanted = !is_refused(result->status) && result->status != MCP_ECLOSED;
  request_later(subscription);
}

void mcp__log_subscription_open(mcp__log_subscription_t *subscription) {
  subscription->wanted = !subscription->pending;
  subscription->again_ms = 0;
  mcp__log_subscription_tick(subscription);
}

void mcp__log_subscription_tick(mcp__log_subscription_t *subscription) {
  if (!subscription->wanted || !mcp__client_is_stateless(subscription->client) ||
      uv_now(subscription->loop) < subscription->again_ms)
    return;
  yyjson_mut_doc *params = make_params(subscription->component);
  subscription->pending =
      params != NULL &&
      mcp_client_request(subscription->client, "subscriptions/listen", params,
                         &(mcp_call_options_t){.timeout_ms = SUBSCRIPTION_MS}, on_end, subscription) == 0;
  subscription->wanted = !subscription->pending;
  request_later(subscription);
}
