/* sync_call.c: a call that blocks: of a program without a loop, over a loop and a client of its own for one
 * call; of a handler, over a client of its server's.
 *
 * Happy path: the loop runs until the answer is there; it is copied out of the client's memory, the
 * connection is closed, and the loop ends because nothing is left to do. A handler's call goes over the relay
 * instead; where that has no client for it, the loop asks now and then whether anybody still waits for
 * the call being served. Failure: the code of the call, and its words for mcp_last_error().
 */
#include "base/error.h"
#include "server/relay.h"

#include <stdio.h>

enum { LOOK_MS = 50, LEAST_MAX_MESSAGE = 16 << 20 };

typedef struct waiting {
  mcp_call_t *parent; /* NULL: none */
  int status;
  yyjson_mut_doc *answer;
  char words[512]; /* of a failure */
  /* over a loop of its own */
  uv_timer_t look; /* where there is a parent */
  uv_loop_t loop;
  mcp_client_t *client;
} waiting_t;

/* On the thread of the client's loop. */
static void on_result(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  waiting_t *waiting = arg;
  (void)client;
  waiting->status = result->is_error ? MCP_TOOL_ERROR : result->status;
  waiting->answer = yyjson_mut_doc_new(&mcp__json_alc);
  yyjson_mut_doc_set_root(waiting->answer, yyjson_val_mut_copy(waiting->answer, result->value));
  snprintf(waiting->words, sizeof waiting->words, "%s", waiting->status != 0 ? result->message : "");
}

/* On the thread that waits, once there is a result. */
static int finish(waiting_t *waiting, yyjson_doc **answer) {
  *answer = yyjson_mut_doc_imut_copy(waiting->answer, &mcp__json_alc); /* NULL where it has no root */
  yyjson_mut_doc_free(waiting->answer);
  if (waiting->status == 0 && *answer == NULL) {
    waiting->status = UV_ENOMEM;
    snprintf(waiting->words, sizeof waiting->words, "out of memory");
  }
  if (waiting->status != 0)
    mcp__set_last_error("%s", waiting->words);
  return waiting->status;
}

/* ---- over a loop and a client for one call
 * ------------------------------------------------------------------------ */

static void on_answer(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  waiting_t *waiting = arg;
  on_result(client, result, arg);
  mcp_client_close(client, NULL, NULL);
  if (waiting->parent != NULL)
    uv_close((uv_handle_t *)&waiting->look, NULL);
}

static void on_look(uv_timer_t *look) {
  waiting_t *waiting = look->data;
  if (mcp_call_cancelled(waiting->parent))
    mcp_client_cancel(waiting->client, mcp_client_last_id(waiting->client)); /* again: no harm */
}

static int start(waiting_t *waiting, mcp__order_t *order, yyjson_mut_doc *args) {
  mcp_client_set_fail_fast(waiting->client, true);
  int status = mcp_client_set_trace_id(waiting->client, order->trace_id); /* which says whether it is one */
  if (status != 0)
    yyjson_mut_doc_free(args);
  else
    status = mcp__client_make(waiting->client, order, args);
  if (status == 0 && waiting->parent != NULL) {
    uv_timer_init(&waiting->loop, &waiting->look);
    waiting->look.data = waiting;
    uv_timer_start(&waiting->look, on_look, 0, LOOK_MS);
  }
  if (status != 0) {
    mcp__set_last_error("%s", mcp_strerror(status));
    mcp_client_close(waiting->client, NULL, NULL);
  }
  return status;
}

/* Who makes a call for another one can send on what that one brought. */
static size_t max_message_of(const mcp_call_t *parent) {
  size_t max_message = mcp__call_max_message(parent);
  return max_message > LEAST_MAX_MESSAGE ? max_message : LEAST_MAX_MESSAGE;
}

static int run(waiting_t *waiting, const char *url, mcp__order_t *order, yyjson_mut_doc *args) {
  int status = mcp__client_new(&waiting->loop, url, &waiting->client);
  if (status != 0) {
    yyjson_mut_doc_free(args);
    return status;
  }
  if (waiting->parent != NULL)
    mcp_client_set_max_message_bytes(waiting->client, max_message_of(waiting->parent));
  status = start(waiting, order, args);
  uv_run(&waiting->loop, UV_RUN_DEFAULT);
  mcp_client_free(waiting->client);
  return status;
}

static int wait_alone(waiting_t *waiting, const char *url, mcp__order_t *order, yyjson_mut_doc *args,
                      yyjson_doc **answer) {
  order->cb = on_answer;
  int status = uv_loop_init(&waiting->loop);
  if (status != 0) { /* UNTESTED: needs a process without descriptors */
    yyjson_mut_doc_free(args);
    mcp__set_last_error("no event loop: %s", mcp_strerror(status));
    return status;
  }
  status = run(waiting, url, order, args);
  uv_loop_close(&waiting->loop);
  return status != 0 ? status : finish(waiting, answer);
}

int mcp_call_wait(const char *url, const char *tool, yyjson_mut_doc *args, uint64_t timeout_ms,
                  const char *trace_id, yyjson_doc **answer) {
  waiting_t waiting = {0};
  mcp__order_t order = {.method = "tools/call", .tool = tool, .timeout_ms = timeout_ms, .arg = &waiting};
  order.trace_id = trace_id;
  *answer = NULL;
  return wait_alone(&waiting, url != NULL ? url : "", &order, args, answer);
}

/* ---- of a handler ---------------------------------------------------------------------------------- */

int mcp_call_wait_from(mcp_call_t *call, const char *url, const char *tool, yyjson_mut_doc *args,
                       uint64_t timeout_ms, yyjson_doc **answer) {
  waiting_t waiting = {.parent = call};
  mcp__order_t order = {.method = "tools/call", .tool = tool, .timeout_ms = timeout_ms, .arg = &waiting};
  order.trace_id = mcp_call_trace_id(call);
  order.span = mcp__call_span(call);
  order.cb = on_result;
  mcp__pool_t *pool = mcp__call_pool(call);
  int status;
  *answer = NULL;
  if (url == NULL)
    url = "";
  if (pool != NULL && mcp__relay_call(pool, call, url, max_message_of(call), &order, args, &status))
    return status != 0 ? status : finish(&waiting, answer);
  return wait_alone(&waiting, url, &order, args, answer);
}
