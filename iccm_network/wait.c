/* wait.c: a call for programs without a loop: a loop and a client of its own, for one call.
 *
 * Happy path: the loop runs until the answer is there; it is copied out of the client's memory, the
 * connection is closed, and the loop ends because nothing is left to do. One that is made for a call being
 * served asks now and then whether anybody still waits for that. Failure: the code of the call, and its words
 * for mcp_last_error(). */
#include "client.h"
#include "error.h"

enum { LOOK_MS = 50, LEAST_MAX_MESSAGE = 16 << 20 };

typedef struct waiting {
  mcp_call_t *parent; /* NULL: none */
  uv_timer_t look;    /* where there is a parent */
  uv_loop_t loop;
  mcp_client_t *client;
  int status;
  yyjson_doc *answer;
} waiting_t;

static yyjson_doc *copy_of(yyjson_val *value) {
  yyjson_mut_doc *copy = yyjson_mut_doc_new(&mcp__json_alc);
  yyjson_mut_doc_set_root(copy, yyjson_val_mut_copy(copy, value));
  yyjson_doc *doc = yyjson_mut_doc_imut_copy(copy, &mcp__json_alc); /* NULL where the copy has no root */
  yyjson_mut_doc_free(copy);
  return doc;
}

static void on_answer(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  waiting_t *waiting = arg;
  waiting->status = result->is_error ? MCP_TOOL_ERROR : result->status;
  waiting->answer = copy_of(result->value);
  if (waiting->status != 0)
    mcp__set_last_error("%s", result->message);
  else if (waiting->answer == NULL) {
    waiting->status = UV_ENOMEM;
    mcp__set_last_error("out of memory");
  }
  mcp_client_close(client, NULL, NULL);
  if (waiting->parent != NULL)
    uv_close((uv_handle_t *)&waiting->look, NULL);
}

static void on_look(uv_timer_t *look) {
  waiting_t *waiting = look->data;
  if (mcp_call_cancelled(waiting->parent))
    mcp_client_cancel(waiting->client, mcp_client_last_id(waiting->client)); /* again: no harm */
}

static int start(mcp_client_t *client, const char *tool, yyjson_mut_doc *args, uint64_t timeout_ms,
                 const char *trace_id, waiting_t *waiting) {
  mcp_client_set_fail_fast(client, true);
  int status = mcp_client_set_trace_id(client, trace_id);
  if (status != 0)
    yyjson_mut_doc_free(args);
  else
    status = mcp_client_call(client, tool, args, timeout_ms, on_answer, waiting);
  if (status == 0 && waiting->parent != NULL) {
    uv_timer_init(&waiting->loop, &waiting->look);
    waiting->look.data = waiting;
    uv_timer_start(&waiting->look, on_look, 0, LOOK_MS);
  }
  if (status != 0) {
    mcp__set_last_error("%s", mcp_strerror(status));
    mcp_client_close(client, NULL, NULL);
  }
  return status;
}

/* Who makes a call for another one can send on what that one brought. */
static void be_like(mcp_client_t *client, const mcp_call_t *parent) {
  size_t max_message = mcp__call_max_message(parent);
  mcp__client_set_span(client, mcp__call_span(parent));
  mcp_client_set_max_message_bytes(client, max_message > LEAST_MAX_MESSAGE ? max_message : LEAST_MAX_MESSAGE);
}

static int wait_for(waiting_t *waiting, const char *url, const char *tool, yyjson_mut_doc *args,
                    uint64_t timeout_ms, const char *trace_id, yyjson_doc **answer) {
  *answer = NULL;
  int status = uv_loop_init(&waiting->loop);
  if (status != 0) { /* UNTESTED: needs a process without descriptors */
    yyjson_mut_doc_free(args);
    mcp__set_last_error("no event loop: %s", mcp_strerror(status));
    return status;
  }
  status = mcp__client_new(&waiting->loop, url != NULL ? url : "", &waiting->client);
  if (status == 0) {
    if (waiting->parent != NULL)
      be_like(waiting->client, waiting->parent);
    status = start(waiting->client, tool, args, timeout_ms, trace_id, waiting);
    uv_run(&waiting->loop, UV_RUN_DEFAULT);
    mcp_client_free(waiting->client);
  } else {
    yyjson_mut_doc_free(args);
  }
  uv_loop_close(&waiting->loop);
  *answer = waiting->answer;
  return status != 0 ? status : waiting->status;
}

int mcp_call_wait(const char *url, const char *tool, yyjson_mut_doc *args, uint64_t timeout_ms,
                  const char *trace_id, yyjson_doc **answer) {
  waiting_t waiting = {0};
  return wait_for(&waiting, url, tool, args, timeout_ms, trace_id, answer);
}

int mcp_call_wait_from(mcp_call_t *call, const char *url, const char *tool, yyjson_mut_doc *args,
                       uint64_t timeout_ms, yyjson_doc **answer) {
  waiting_t waiting = {.parent = call};
  return wait_for(&waiting, url, tool, args, timeout_ms, mcp_call_trace_id(call), answer);
}
