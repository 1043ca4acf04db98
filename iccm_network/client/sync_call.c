/* sync_call.c: a call that blocks, over a loop and a client of its own.
 *
 * Happy path: the loop runs until the answer is there; it is copied out of the client's memory, the
 * connection is closed, and the loop ends because nothing is left to do. Where the call is made for another
 * one that is being served, a timer looks now and then whether that one was cancelled. Failure: the code of
 * the call, and its words for mcp_last_error(). */
#include "client/sync_call.h"

#include "base/error.h"

#include <stdio.h>

enum { LOOK_MS = 50, DEFAULT_MAX_MESSAGE = 16 << 20 };

typedef struct sync_call {
  mcp__sync_result_t result;
  const mcp__parent_t *parent; /* NULL: none */
  uv_timer_t look;             /* where there is a parent */
  uv_loop_t loop;
  mcp_client_t *client;
} sync_call_t;

void mcp__sync_keep(mcp__sync_result_t *kept, const mcp_result_t *result) {
  kept->status = result->is_error ? MCP_TOOL_ERROR : result->status;
  kept->answer = yyjson_mut_doc_new(&mcp__json_alc);
  yyjson_mut_doc_set_root(kept->answer, yyjson_val_mut_copy(kept->answer, result->value));
  snprintf(kept->words, sizeof kept->words, "%s", kept->status != 0 ? result->message : "");
}

int mcp__sync_finish(mcp__sync_result_t *kept, yyjson_doc **answer) {
  *answer = yyjson_mut_doc_imut_copy(kept->answer, &mcp__json_alc); /* NULL where it has no root */
  yyjson_mut_doc_free(kept->answer);
  if (kept->status == 0 && *answer == NULL) {
    kept->status = UV_ENOMEM;
    snprintf(kept->words, sizeof kept->words, "out of memory");
  }
  if (kept->status != 0)
    mcp__set_last_error("%s", kept->words);
  return kept->status;
}

static void on_answer(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  sync_call_t *call = arg;
  mcp__sync_keep(&call->result, result);
  mcp_client_close(client, NULL, NULL);
  if (call->parent != NULL)
    uv_close((uv_handle_t *)&call->look, NULL);
}

static void on_look(uv_timer_t *look) {
  sync_call_t *call = look->data;
  if (atomic_load(&call->parent->cancelled))
    mcp_client_cancel(call->client, mcp_client_last_id(call->client)); /* again: no harm */
}

static int start(sync_call_t *call, mcp__order_t *order, yyjson_mut_doc *args) {
  mcp_client_set_fail_fast(call->client, true);
  int status = mcp_client_set_trace_id(call->client, order->trace_id); /* which says whether it is one */
  if (status != 0)
    yyjson_mut_doc_free(args);
  else
    status = mcp__client_make(call->client, order, args);
  if (status == 0 && call->parent != NULL) {
    uv_timer_init(&call->loop, &call->look);
    call->look.data = call;
    uv_timer_start(&call->look, on_look, 0, LOOK_MS);
  }
  if (status != 0) {
    mcp__set_last_error("%s", mcp_strerror(status));
    mcp_client_close(call->client, NULL, NULL);
  }
  return status;
}

static int run(sync_call_t *call, const char *url, size_t max_message, mcp__order_t *order,
               yyjson_mut_doc *args) {
  int status = mcp__client_new(&call->loop, url, &call->client);
  if (status != 0) {
    yyjson_mut_doc_free(args);
    return status;
  }
  mcp_client_set_max_message_bytes(call->client, max_message);
  status = start(call, order, args);
  uv_run(&call->loop, UV_RUN_DEFAULT);
  mcp_client_free(call->client);
  return status;
}

int mcp__sync_call(const char *url, size_t max_message, mcp__order_t *order, const mcp__parent_t *parent,
                   yyjson_mut_doc *args, yyjson_doc **answer) {
  sync_call_t call = {.parent = parent};
  order->cb = on_answer;
  order->arg = &call;
  *answer = NULL;
  int status = uv_loop_init(&call.loop);
  if (status != 0) { /* UNTESTED: needs a process without descriptors */
    yyjson_mut_doc_free(args);
    mcp__set_last_error("no event loop: %s", mcp_strerror(status));
    return status;
  }
  status = run(&call, url, max_message, order, args);
  uv_loop_close(&call.loop);
  return status != 0 ? status : mcp__sync_finish(&call.result, answer);
}

int mcp_call_wait(const char *url, const char *tool, yyjson_mut_doc *args, uint64_t timeout_ms,
                  const char *trace_id, yyjson_doc **answer) {
  mcp__order_t order = {.method = "tools/call", .tool = tool, .timeout_ms = timeout_ms, .trace_id = trace_id};
  return mcp__sync_call(url != NULL ? url : "", DEFAULT_MAX_MESSAGE, &order, NULL, args, answer);
}
