/* test_call.c: calls a tool of a server in the same process, for tests.
 *
 * For the call the server runs on a separate loop without listening. A session with an in-memory transport
 * delivers the request and stores the response. Failure: the code of the call, with the message in
 * mcp_last_error(). */
#include "base/error.h"
#include "client/sync_client.h"
#include "mcp/result.h"
#include "server/server.h"

enum { MAX_VALUES = 12500000 }; /* of a response, as for any JSON text */

typedef struct test_call {
  mcp_server_t *server;
  mcp__session_t session;
  mcp__peer_t peer;
  mcp__buf_t out; /* one message at a time */
  mcp__sync_result_t result;
  bool answered;
} test_call_t;

/* ---- the transport ---- */

static bool is_open(const mcp__session_t *session, const void *origin) {
  (void)origin;
  const test_call_t *call = session->arg;
  return !call->answered;
}

static void finish(test_call_t *call, const mcp_result_t *result) {
  call->answered = true;
  mcp__sync_result_store(&call->result, result);
  mcp_server_stop(call->server, NULL, NULL);
}

static void fail(mcp__session_t *session, void *origin, const char *reason) {
  (void)origin;
  mcp_result_t result = {.status = UV_ENOMEM, .message = reason};
  finish(session->arg, &result);
}

static mcp__buf_t *begin(mcp__session_t *session, void *origin, int kind, size_t *at) {
  test_call_t *call = session->arg;
  (void)origin;
  (void)kind;
  *at = call->out.len = 0;
  return &call->out;
}

static void take(test_call_t *call, mcp__arena_t *arena) {
  mcp__message_t message;
  mcp_result_t result = {0};
  size_t len = call->out.len;
  memset(call->out.data + len, 0, MCP__JSON_PADDING);
  mcp__jsonrpc_parse(call->out.data, len, MAX_VALUES, arena, &message);
  if (message.kind == MCP__NOTIFICATION)
    return; /* progress */
  if (message.kind == MCP__RESPONSE)
    mcp__result_read(&message, true, arena, &result);
  if (message.kind == MCP__INVALID || arena->failed)
    result = (mcp_result_t){.status = UV_ENOMEM, .message = "out of memory for the response"};
  finish(call, &result);
}

static int end(mcp__session_t *session, void *origin, size_t at, int status) {
  test_call_t *call = session->arg;
  mcp__arena_t arena;
  (void)origin;
  (void)at;
  if (status == 0)
    status = mcp__buf_reserve(&call->out, MCP__JSON_PADDING);
  if (status != 0)
    return status;
  mcp__arena_init(&arena, SIZE_MAX / 4);
  take(call, &arena);
  mcp__arena_deinit(&arena);
  return 0;
}

static void wake(mcp__session_t *session, void *origin) {
  (void)session;
  (void)origin;
}

static bool has_room(const mcp__session_t *session, const void *origin) {
  (void)session;
  (void)origin;
  return true;
}

static void call_removed(mcp__session_t *session) {
  (void)session;
}

static const mcp__transport_t transport = {.is_open = is_open,
                                           .begin = begin,
                                           .end = end,
                                           .wake = wake,
                                           .has_room = has_room,
                                           .fail = fail,
                                           .call_removed = call_removed};

/* ---- the request ---- */

static int write_request(mcp__buf_t *text, const char *tool, yyjson_mut_doc *args) {
  size_t len = 0;
  yyjson_mut_val *root = yyjson_mut_doc_get_root(args);
  char *json = root != NULL ? yyjson_mut_val_write_opts(root, 0, &mcp__json_alc, &len, NULL) : NULL;
  if (root != NULL && json == NULL)
    return MCP_EENCODE;
  int status = mcp__jsonrpc_begin_request(text, 1, "tools/call");
  status = mcp__buf_first_error(status, mcp__buf_puts(text, ",\"params\":{\"name\":"));
  status = mcp__buf_first_error(status, mcp__buf_json_string(text, tool, strlen(tool)));
  status = mcp__buf_first_error(status, mcp__buf_puts(text, ",\"arguments\":"));
  status = mcp__buf_first_error(status,
                                json != NULL ? mcp__buf_append(text, json, len) : mcp__buf_puts(text, "{}"));
  mcp__free(json);
  status = mcp__buf_first_error(status, mcp__buf_puts(text, "}}"));
  return mcp__buf_first_error(status, mcp__buf_reserve(text, MCP__JSON_PADDING));
}

static int serve(test_call_t *call, const char *tool, yyjson_mut_doc *args) {
  mcp_call_t *request = mcp__call_acquire(&call->session.caller);
  int status = request != NULL ? write_request(&request->text, tool, args) : UV_ENOMEM;
  yyjson_mut_doc_free(args);
  call->server->service.counters.now_ns = uv_hrtime();
  if (status == 0)
    mcp__session_serve(&call->session, request, call);
  else if (request != NULL)
    mcp__call_release(request);
  return status;
}

static int run(test_call_t *call, uv_loop_t *loop, const char *tool, yyjson_mut_doc *args) {
  int status = mcp__server_start_without_listener(call->server, loop);
  if (status != 0) {
    yyjson_mut_doc_free(args);
    return status;
  }
  call->peer.log = &call->server->log;
  mcp__session_init(&call->session, &call->server->service, &transport, &call->peer, call);
  call->session.protocol_version = MCP__2025_06_18; /* which reports invalid arguments as a JSON-RPC error */
  status = serve(call, tool, args);
  if (status != 0)
    mcp_server_stop(call->server, NULL, NULL);
  uv_run(loop, UV_RUN_DEFAULT);
  mcp__session_deinit(&call->session);
  return status;
}

int mcp_server_test_call(mcp_server_t *server, const char *tool, yyjson_mut_doc *args, yyjson_doc **answer) {
  test_call_t call = {.server = server};
  uv_loop_t loop;
  *answer = NULL;
  int status = mcp__server_is_started(server) ? MCP_ESTATE : uv_loop_init(&loop);
  if (status != 0) {
    yyjson_mut_doc_free(args);
  } else {
    mcp__buf_init(&call.out, MCP__CALL_MAX_OUT, NULL);
    status = run(&call, &loop, tool, args);
    mcp__buf_deinit(&call.out);
    uv_loop_close(&loop);
  }
  if (status == 0)
    return mcp__sync_result_take(&call.result, answer);
  mcp__set_last_error("%s", mcp_strerror(status));
  return status;
}
