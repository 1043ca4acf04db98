/* subscription.c: each message carries the id of its subscriptions/listen, in _meta. */
#include "server/subscription.h"

#include "mcp/modern.h"

#include <stdio.h>
#include <string.h>
#include <uv.h>

static char *copy(const char *text, size_t len) {
  char *copied = mcp__malloc(len + 1);
  if (copied == NULL)
    return NULL;
  memcpy(copied, text, len);
  copied[len] = '\0';
  return copied;
}

mcp__subscription_t *mcp__subscription_new(const mcp__message_t *message,
                                           const mcp__dispatch_result_t *result, void *origin) {
  mcp__subscription_t *subscription = mcp__calloc(sizeof *subscription);
  if (subscription == NULL)
    return NULL;
  subscription->origin = origin;
  subscription->id = copy(message->id, message->id_len);
  subscription->id_len = message->id_len;
  subscription->wants_tools = result->listens_tools;
  char *params = result->listens_capability ? mcp__modern_initialize_params(message->params) : NULL;
  if (subscription->id == NULL || (result->listens_capability && params == NULL)) {
    mcp__free(params);
    mcp__subscription_free(subscription);
    return NULL;
  }
  if (params != NULL && strlen(params) > MCP__SUBSCRIPTION_PARAMS_MAX) {
    mcp__free(params); /* it is not acknowledged */
    params = NULL;
  }
  subscription->capability_params = params;
  subscription->capability_due = params != NULL;
  return subscription;
}

void mcp__subscription_free(mcp__subscription_t *subscription) {
  mcp__free(subscription->id);
  mcp__free(subscription->capability_params);
  mcp__free(subscription);
}

/* "_meta":{"…":<id>} */
static int write_meta(mcp__buf_t *out, const mcp__subscription_t *subscription) {
  int status = mcp__buf_puts(out, "\"_meta\":{\"" MCP__META_SUBSCRIPTION "\":");
  status = mcp__buf_first_error(status, mcp__buf_append(out, subscription->id, subscription->id_len));
  return mcp__buf_first_error(status, mcp__buf_puts(out, "}"));
}

static int begin_notification(mcp__buf_t *out, const char *method) {
  int status = mcp__jsonrpc_begin_request(out, 0, method);
  return mcp__buf_first_error(status, mcp__buf_puts(out, ",\"params\":{"));
}

int mcp__subscription_write_acknowledged(mcp__buf_t *out, const mcp__subscription_t *subscription,
                                         const char *capability) {
  bool is_capability = subscription->capability_params != NULL;
  int status = begin_notification(out, "notifications/subscriptions/acknowledged");
  status = mcp__buf_first_error(status, write_meta(out, subscription));
  status = mcp__buf_first_error(status, mcp__buf_puts(out, ",\"notifications\":{"));
  if (subscription->wants_tools)
    status = mcp__buf_first_error(status, mcp__buf_puts(out, "\"toolsListChanged\":true"));
  if (is_capability) {
    status = mcp__buf_first_error(status, mcp__buf_puts(out, subscription->wants_tools ? "," : ""));
    status = mcp__buf_first_error(status, mcp__buf_json_string(out, capability, strlen(capability)));
    status = mcp__buf_first_error(status, mcp__buf_puts(out, ":true"));
  }
  return mcp__buf_first_error(status, mcp__buf_puts(out, "}}}"));
}

int mcp__subscription_write_tools_changed(mcp__buf_t *out, const mcp__subscription_t *subscription) {
  int status = begin_notification(out, "notifications/tools/list_changed");
  status = mcp__buf_first_error(status, write_meta(out, subscription));
  return mcp__buf_first_error(status, mcp__buf_puts(out, "}}"));
}

int mcp__subscription_write_capability(mcp__buf_t *out, const mcp__subscription_t *subscription,
                                       const char *capability, yyjson_mut_doc *params) {
  char method[256];
  size_t len = 0;
  snprintf(method, sizeof method, "notifications/%s", capability);
  yyjson_mut_val *root = yyjson_mut_doc_get_root(params);
  yyjson_mut_val *meta = yyjson_mut_obj_get(root, "_meta");
  if (meta == NULL)
    meta = yyjson_mut_obj_add_obj(params, root, "_meta");
  yyjson_mut_obj_add_val(params, meta, MCP__META_SUBSCRIPTION,
                         yyjson_mut_rawn(params, subscription->id, subscription->id_len));
  char *text = yyjson_mut_write_opts(params, 0, &mcp__json_alc, &len, NULL);
  int status = text != NULL ? mcp__jsonrpc_request(out, 0, method, text, len) : UV_ENOMEM;
  mcp__free(text);
  return status;
}

int mcp__subscription_write_end(mcp__buf_t *out, const mcp__subscription_t *subscription) {
  int status = mcp__jsonrpc_begin_result(out, subscription->id, subscription->id_len);
  status = mcp__buf_first_error(status, mcp__buf_puts(out, "{\"resultType\":\"complete\","));
  status = mcp__buf_first_error(status, write_meta(out, subscription));
  return mcp__buf_first_error(status, mcp__buf_puts(out, "}}"));
}
