/* wait.c: a call for programs without a loop: a loop and a client of its own, for one call.
 *
 * Happy path: the loop runs until the answer is there; it is copied out of the client's memory, the connection is closed,
 * and the loop ends because nothing is left to do. Failure: the code of the call, and its words for mcp_last_error(). */
#include "error.h"
#include "mem.h"

#include <uv.h>

typedef struct waiting {
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
}

static int start(mcp_client_t *client, const char *tool, yyjson_mut_doc *args, uint64_t timeout_ms,
                 const char *trace_id, waiting_t *waiting) {
  mcp_client_set_fail_fast(client, true);
  int status = mcp_client_set_trace_id(client, trace_id);
  if (status != 0)
    yyjson_mut_doc_free(args);
  else
    status = mcp_client_call(client, tool, args, timeout_ms, on_answer, waiting);
  if (status != 0) {
    mcp__set_last_error("%s", mcp_strerror(status));
    mcp_client_close(client, NULL, NULL);
  }
  return status;
}

int mcp_call_wait(const char *url, const char *tool, yyjson_mut_doc *args, uint64_t timeout_ms, const char *trace_id,
                  yyjson_doc **answer) {
  uv_loop_t loop;
  waiting_t waiting = {0};
  *answer = NULL;
  int status = uv_loop_init(&loop);
  if (status != 0) { /* UNTESTED: needs a process without descriptors */
    yyjson_mut_doc_free(args);
    mcp__set_last_error("no event loop: %s", mcp_strerror(status));
    return status;
  }
  mcp_client_t *client = mcp_client_new(&loop, url);
  if (client != NULL) {
    status = start(client, tool, args, timeout_ms, trace_id, &waiting);
    uv_run(&loop, UV_RUN_DEFAULT);
    mcp_client_free(client);
  } else {
    yyjson_mut_doc_free(args);
    status = MCP_EURL;
  }
  uv_loop_close(&loop);
  *answer = waiting.answer;
  return status != 0 ? status : waiting.status;
}
