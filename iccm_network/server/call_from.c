/* call_from.c: a call that a blocking handler makes while it serves another one.
 *
 * It goes over the relay, whose connection all handlers of the server share; where the relay has none to
 * spare for this address, over a connection for this call alone. Failure: the code of the call, and its
 * words for mcp_last_error(). */
#include "client/sync_call.h"
#include "server/call.h"

enum { LEAST_MAX_MESSAGE = 16 << 20 };

/* On the loop's thread. */
static void on_result(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  (void)client;
  mcp__sync_keep(arg, result);
}

/* Who makes a call for another one can send on what that one brought. */
static size_t max_message_of(const mcp__parent_t *parent) {
  return parent->max_message > LEAST_MAX_MESSAGE ? parent->max_message : LEAST_MAX_MESSAGE;
}

int mcp_call_wait_from(mcp_call_t *call, const char *url, const char *tool, yyjson_mut_doc *args,
                       uint64_t timeout_ms, yyjson_doc **answer) {
  mcp__parent_t *parent = &call->parent;
  mcp__sync_result_t result = {0};
  mcp__order_t order = {.method = "tools/call", .tool = tool, .timeout_ms = timeout_ms};
  order.trace_id = parent->trace.id;
  order.span = parent->trace.span;
  order.cb = on_result;
  order.arg = &result;
  int status;
  *answer = NULL;
  if (url == NULL)
    url = "";
  if (parent->on_pool &&
      mcp__relay_call(call->pool, parent, url, max_message_of(parent), &order, args, &status))
    return status != 0 ? status : mcp__sync_finish(&result, answer);
  return mcp__sync_call(url, max_message_of(parent), &order, parent, args, answer);
}
