/* sync_client.c: blocking calls over one loop and one client.
 *
 * Happy path: the first call creates the loop and the client, and connects. The loop runs until the response
 * is received, which is copied out of the client's memory, and then stops until the next call. That call
 * first lets the loop process events that arrived meanwhile, and reconnects if the connection was lost. If
 * the call has a parent, a timer polls whether the parent was cancelled. Failure: the code of the call, and
 * its message for mcp_last_error(). */
#include "client/sync_client.h"

#include "base/error.h"

#include <stdio.h>
#include <string.h>

enum { CANCEL_POLL_MS = 50, DEFAULT_MAX_MESSAGE = 16 << 20 };

struct mcp_sync_client {
  mcp_client_t *client; /* NULL: the loop is not initialized either */
  uv_loop_t loop;
  uv_timer_t poll_timer; /* polls the parent of a call */
  size_t max_message;
  char url[];
};

typedef struct sync_call {
  mcp__sync_result_t result;
  bool ended;
  mcp_client_t *client;
  uint64_t id;
  const mcp__parent_t *parent; /* NULL: none */
  mcp_progress_cb progress_cb;
  void *progress_arg;
} sync_call_t;

void mcp__sync_result_store(mcp__sync_result_t *kept, const mcp_result_t *result) {
  kept->status = result->is_error ? MCP_TOOL_ERROR : result->status;
  kept->response = yyjson_mut_doc_new(&mcp__json_alc);
  yyjson_mut_doc_set_root(kept->response, yyjson_val_mut_copy(kept->response, result->value));
  snprintf(kept->message, sizeof kept->message, "%s", kept->status != 0 ? result->message : "");
}

int mcp__sync_result_take(mcp__sync_result_t *kept, yyjson_doc **response) {
  *response = yyjson_mut_doc_imut_copy(kept->response, &mcp__json_alc); /* NULL if it has no root */
  yyjson_mut_doc_free(kept->response);
  if (kept->status == 0 && *response == NULL) {
    kept->status = UV_ENOMEM;
    snprintf(kept->message, sizeof kept->message, "out of memory");
  }
  if (kept->status != 0)
    mcp__set_last_error("%s", kept->message);
  return kept->status;
}

/* ---- one call -------------------------------------------------------------------------------------- */

static void on_response(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  sync_call_t *call = arg;
  (void)client;
  mcp__sync_result_store(&call->result, result);
  call->ended = true;
}

static void on_progress(mcp_client_t *client, const mcp_progress_t *progress, void *arg) {
  sync_call_t *call = arg;
  (void)client;
  call->progress_cb(NULL, progress, call->progress_arg);
}

static void on_poll(uv_timer_t *poll_timer) {
  sync_call_t *call = poll_timer->data;
  if (atomic_load(&call->parent->cancelled))
    mcp_client_cancel(call->client, call->id); /* harmless if repeated */
}

static int open_client(mcp_sync_client_t *sync) {
  if (sync->client != NULL)
    return 0;
  int status = uv_loop_init(&sync->loop);
  if (status != 0) { /* UNTESTED: needs a process without free descriptors */
    mcp__set_last_error("no event loop: %s", mcp_strerror(status));
    return status;
  }
  status = mcp__client_new(&sync->loop, sync->url, &sync->client);
  if (status != 0) {
    uv_loop_close(&sync->loop);
    return status;
  }
  uv_timer_init(&sync->loop, &sync->poll_timer);
  mcp_client_set_fail_fast(sync->client, true);
  mcp_client_set_max_message_bytes(sync->client, sync->max_message);
  return 0;
}

/* Processes events since the last call: the first turn of the loop runs overdue timers, the second handles
 * received data. Then a reconnect is allowed at once. */
static void catch_up(mcp_sync_client_t *sync) {
  uv_run(&sync->loop, UV_RUN_NOWAIT);
  uv_run(&sync->loop, UV_RUN_NOWAIT);
  mcp__client_retry_within(sync->client, 0);
}

static int run(mcp_sync_client_t *sync, sync_call_t *call, const mcp__request_spec_t *given,
               yyjson_mut_doc *args) {
  mcp__request_spec_t spec = *given;
  spec.cb = on_response;
  spec.arg = spec.progress_arg = call;
  spec.id = &call->id;
  if (spec.progress_cb != NULL)
    spec.progress_cb = on_progress;
  call->client = sync->client;
  catch_up(sync);
  int status = mcp__client_send_request(sync->client, &spec, args);
  if (status != 0) {
    mcp__set_last_error("%s", mcp_strerror(status));
    return status;
  }
  sync->poll_timer.data = call;
  if (call->parent != NULL)
    uv_timer_start(&sync->poll_timer, on_poll, 0, CANCEL_POLL_MS);
  while (!call->ended)
    uv_run(&sync->loop, UV_RUN_ONCE);
  uv_timer_stop(&sync->poll_timer);
  uv_run(&sync->loop, UV_RUN_NOWAIT); /* sends remaining output, such as a cancellation */
  return 0;
}

int mcp__sync_client_call(mcp_sync_client_t *sync, const mcp__request_spec_t *spec,
                          const mcp__parent_t *parent, yyjson_mut_doc *args, yyjson_doc **response) {
  sync_call_t call = {.parent = parent, .progress_cb = spec->progress_cb, .progress_arg = spec->progress_arg};
  *response = NULL;
  int status = open_client(sync);
  if (status != 0) {
    yyjson_mut_doc_free(args);
    return status;
  }
  status = run(sync, &call, spec, args);
  return status != 0 ? status : mcp__sync_result_take(&call.result, response);
}

/* ---- creation -------------------------------------------------------------------------------------- */

static bool check_url(const char *url) {
  char problem[320];
  mcp__url_t *urls;
  unsigned count;
  mcp__set_last_error("out of memory");
  int status = mcp__urls_parse(url, &urls, &count, problem, sizeof problem);
  if (status == MCP_EURL)
    mcp__set_last_error("%s", problem);
  mcp__free(urls);
  return status == 0;
}

mcp_sync_client_t *mcp_sync_client_new(const char *url) {
  const char *place = url != NULL ? url : "";
  size_t size = strlen(place) + 1;
  if (!check_url(place))
    return NULL;
  mcp_sync_client_t *sync = mcp__calloc(sizeof *sync + size);
  if (sync == NULL) {
    mcp__set_last_error("out of memory");
    return NULL;
  }
  memcpy(sync->url, place, size);
  sync->max_message = DEFAULT_MAX_MESSAGE;
  return sync;
}

const char *mcp__sync_client_url(const mcp_sync_client_t *sync) {
  return sync->url;
}

void mcp__sync_client_set_max_message_bytes(mcp_sync_client_t *sync, size_t bytes) {
  sync->max_message = bytes;
}

void mcp_sync_client_free(mcp_sync_client_t *sync) {
  if (sync == NULL)
    return;
  if (sync->client != NULL) {
    uv_close((uv_handle_t *)&sync->poll_timer, NULL);
    mcp_client_close(sync->client, NULL, NULL);
    uv_run(&sync->loop, UV_RUN_DEFAULT);
    mcp_client_free(sync->client);
    uv_loop_close(&sync->loop);
  }
  mcp__free(sync);
}
