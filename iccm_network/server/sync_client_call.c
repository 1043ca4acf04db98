/* sync_client_call.c: a call of a sync client, with or without a parent call.
 *
 * A blocking handler calls through the relay, whose connections all handlers of the server share. If the
 * relay has no client left for this address, the call gets a separate connection. Without a parent it uses
 * the client's connection. Failure: the code of the call, with the message in mcp_last_error(). */
#include "base/error.h"
#include "client/sync_client.h"
#include "server/call.h"

enum { MIN_MAX_MESSAGE = 16 << 20 };

/* On the loop's thread. */
static void on_result(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  (void)client;
  mcp__sync_result_store(arg, result);
}

/* A child call may forward everything that its parent received. */
static size_t max_message_of(const mcp__parent_t *parent) {
  return parent->max_message > MIN_MAX_MESSAGE ? parent->max_message : MIN_MAX_MESSAGE;
}

static int call_over_own_client(const char *url, mcp__parent_t *parent, const mcp__request_spec_t *spec,
                                yyjson_mut_doc *args, yyjson_doc **answer) {
  mcp_sync_client_t *own_client = mcp_sync_client_new(url);
  if (own_client == NULL) {
    yyjson_mut_doc_free(args);
    return UV_ENOMEM; /* out of memory, because the address is valid: a client has it */
  }
  mcp__sync_client_set_max_message_bytes(own_client, max_message_of(parent));
  int status = mcp__sync_client_call(own_client, spec, parent, args, answer);
  mcp_sync_client_free(own_client);
  return status;
}

static int call_over_relay(mcp_call_t *call, const char *url, const mcp__request_spec_t *given,
                           yyjson_mut_doc *args, yyjson_doc **answer) {
  mcp__sync_result_t result = {0};
  mcp__request_spec_t spec = *given;
  int status;
  spec.cb = on_result;
  spec.arg = &result;
  if (!mcp__relay_call(call->pool, &call->parent, url, max_message_of(&call->parent), &spec, args, &status))
    return call_over_own_client(url, &call->parent, given, args, answer);
  return status != 0 ? status : mcp__sync_result_take(&result, answer);
}

int mcp_sync_client_call(mcp_sync_client_t *client, const char *tool, yyjson_mut_doc *args,
                         const mcp_call_options_t *options, yyjson_doc **answer) {
  mcp__request_spec_t spec = {.method = "tools/call", .tool = tool};
  mcp_call_t *parent = options != NULL ? options->parent : NULL;
  int status = mcp__request_spec_set_options(&spec, options);
  *answer = NULL;
  spec.id = NULL; /* the caller could not use it */
  if (status == 0 && parent != NULL && !parent->parent.on_pool)
    status = MCP_ESTATE;
  if (status != 0) {
    yyjson_mut_doc_free(args);
    mcp__set_last_error("%s", mcp_strerror(status));
    return status;
  }
  return parent != NULL ? call_over_relay(parent, mcp__sync_client_url(client), &spec, args, answer)
                        : mcp__sync_client_call(client, &spec, NULL, args, answer);
}
