/* call.c: one tools/call, from its message to its response.
 *
 * Happy path: the connection acquires a call, parses the message into it, and runs it. The handler ends it,
 * now or later. The response is written to the connection, and the call is released with its memory for
 * reuse. A blocking handler runs on the pool: its response is rendered there and written when the job is back
 * on the loop. Failure: when the peer disconnects or cancels, or the deadline passes, the call is detached
 * from its connection and its handler is notified. The handler still has to end the call, which then only
 * frees it. A call that has not begun by then never does. Hence each call is ended exactly once, and nothing
 * leaks. */
#include "server/call.h"

#include "base/utf8.h"
#include "mcp/content.h"
#include "iccm_service.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MESSAGE_BYTES = 1024 };

/* ---- state -----------------------------------------------------------------------------------------
 * SPARE -> ACQUIRED -> WAITING -> RUNNING -> ENDED -> SPARE. A message that is no call returns from ACQUIRED
 * to SPARE, a cancelled call from WAITING. A call whose server has gone is freed without a transition. */

static mcp__call_state_t state_of(const mcp_call_t *call) {
  return atomic_load_explicit(&call->state, memory_order_relaxed);
}

static void enter(mcp_call_t *call, mcp__call_state_t state) {
  static const unsigned from[] = {[MCP__CALL_SPARE] = 1u << MCP__CALL_ACQUIRED | 1u << MCP__CALL_WAITING |
                                                      1u << MCP__CALL_ENDED,
                                  [MCP__CALL_ACQUIRED] = 1u << MCP__CALL_SPARE,
                                  [MCP__CALL_WAITING] = 1u << MCP__CALL_ACQUIRED,
                                  [MCP__CALL_RUNNING] = 1u << MCP__CALL_ACQUIRED | 1u << MCP__CALL_WAITING,
                                  [MCP__CALL_ENDED] = 1u << MCP__CALL_RUNNING};
  assert((from[state] >> state_of(call) & 1) != 0);
  (void)from;
  atomic_store_explicit(&call->state, state, memory_order_relaxed);
}

static bool is_waiting(const mcp_call_t *call) {
  return state_of(call) == MCP__CALL_WAITING;
}

/* ---- allocation ------------------------------------------------------------------------------------ */

static size_t memory_of(const mcp_call_t *call) {
  return sizeof *call + call->text.cap + call->response.cap + call->arena.used;
}

static mcp_call_t *take_spare(mcp__calls_t *calls) {
  mcp_call_t *call = calls->spare;
  if (call != NULL) {
    calls->spare = call->next;
    calls->spare_count--;
    calls->spare_bytes -= memory_of(call);
    call->next = NULL;
    return call;
  }
  call = mcp__calloc(sizeof *call);
  if (call == NULL)
    return NULL;
  mcp__buf_init(&call->text, calls->max_message + MCP__JSON_PADDING, NULL);
  mcp__buf_init(&call->response, MCP__CALL_MAX_OUT, NULL);
  mcp__arena_init(&call->arena, 0);
  call->calls = calls;
  call->parent.max_message = calls->max_message;
  return call;
}

mcp_call_t *mcp__call_acquire(mcp__caller_t *caller) {
  mcp_call_t *call = take_spare(caller->calls);
  if (call == NULL)
    return NULL;
  mcp__tool_release(call->tool);
  call->tool = NULL;
  enter(call, MCP__CALL_ACQUIRED);
  call->account = &caller->account;
  call->address = caller->address;
  if (call->address != NULL)
    mcp__budget_hold(call->address);
  return call;
}

void mcp__call_charge(mcp_call_t *call) {
  if (call->address != NULL)
    mcp__budget_charge(call->account, &call->charged, memory_of(call));
}

static void discharge(mcp_call_t *call) {
  if (call->address == NULL)
    return;
  mcp__budget_charge(call->account, &call->charged, 0);
  mcp__budget_release(call->calls->memory, call->address);
  call->address = NULL;
}

static void free_call(mcp_call_t *call) {
  mcp__tool_release(call->tool);
  mcp__log_shipper_release(call->logger);
  mcp__metrics_release(call->metrics);
  mcp__free(atomic_load(&call->progress));
  mcp__buf_deinit(&call->text);
  mcp__buf_deinit(&call->response);
  mcp__arena_deinit(&call->arena);
  mcp__free(call);
}

/* A spare call keeps its tool until it is acquired again, for the log line of a second end; but not the arg
 * of a tool whose component waits to destroy it. */
static void release_arg(mcp_call_t *call) {
  if (call->tool == NULL || call->tool->destroy == NULL)
    return;
  mcp__tool_release(call->tool);
  call->tool = NULL;
}

void mcp__call_release(mcp_call_t *call) {
  mcp__log_clear_trace(&call->parent.trace); /* later log lines of the thread do not belong to this call */
  mcp__calls_t *calls = call->calls;
  if (calls == NULL) {
    free_call(call);
    return;
  }
  discharge(call);
  mcp__log_shipper_release(call->logger);
  call->logger = NULL;
  mcp__free(atomic_exchange(&call->progress, NULL));
  mcp__arena_reset(&call->arena);
  call->text.len = 0;
  mcp__buf_clear(&call->response, MCP__CALL_KEPT_RESPONSE_BYTES);
  size_t bytes = memory_of(call);
  if (calls->spare_count >= MCP__CALLS_SPARE_MAX || calls->spare_bytes + bytes > MCP__CALLS_SPARE_BYTES) {
    free_call(call);
    return;
  }
  call->caller = NULL;
  call->doc = NULL;
  call->on_cancel = NULL;
  release_arg(call);
  enter(call, MCP__CALL_SPARE);
  call->no_response = call->parent.on_pool = false;
  call->failure = 0;
  call->failure_text = NULL;
  atomic_store_explicit(&call->parent.cancelled, MCP_CANCEL_NONE, memory_order_relaxed);
  atomic_store_explicit(&call->do_not_start, false, memory_order_relaxed);
  call->next = calls->spare;
  calls->spare = call;
  calls->spare_count++;
  calls->spare_bytes += bytes;
}

void mcp__calls_free_spare(mcp__calls_t *calls) {
  while (calls->spare != NULL) {
    mcp_call_t *call = calls->spare;
    calls->spare = call->next;
    free_call(call);
  }
  calls->spare_count = calls->spare_bytes = 0;
}

/* ---- lists ----------------------------------------------------------------------------------------- */

static void join_server(mcp_call_t *call) {
  mcp__calls_t *calls = call->calls;
  call->started_ms = uv_now(calls->loop);
  call->started_ns = calls->counters->now_ns;
  call->counted = false;
  call->status = MCP__CALL_OK;
  call->older = calls->newest;
  call->newer = NULL;
  *(calls->newest != NULL ? &calls->newest->newer : &calls->oldest) = call;
  calls->newest = call;
}

static void join_in_flight(mcp_call_t *call) {
  mcp__caller_t *caller = call->caller;
  call->calls->running++;
  call->prev = NULL;
  call->next = caller->in_flight;
  if (caller->in_flight != NULL)
    caller->in_flight->prev = call;
  caller->in_flight = call;
  caller->in_flight_count++;
}

static void join_waiting(mcp_call_t *call) {
  mcp__caller_t *caller = call->caller;
  enter(call, MCP__CALL_WAITING);
  call->prev = caller->last_waiting;
  call->next = NULL;
  *(call->prev != NULL ? &call->prev->next : &caller->waiting) = call;
  caller->last_waiting = call;
  caller->waiting_count++;
  caller->waiting_bytes += call->text.len;
  caller->waiting_no_response += call->no_response;
}

static void leave_waiting(mcp_call_t *call) {
  mcp__caller_t *caller = call->caller;
  assert(call->prev != NULL ? call->prev->next == call : caller->waiting == call);
  assert(call->next != NULL ? call->next->prev == call : caller->last_waiting == call);
  assert(caller->waiting_count > 0 && caller->waiting_bytes >= call->text.len);
  *(call->prev != NULL ? &call->prev->next : &caller->waiting) = call->next;
  *(call->next != NULL ? &call->next->prev : &caller->last_waiting) = call->prev;
  call->prev = call->next = NULL;
  caller->waiting_count--;
  caller->waiting_bytes -= call->text.len;
  caller->waiting_no_response -= call->no_response;
}

static void leave_in_flight(mcp_call_t *call) {
  mcp__caller_t *caller = call->caller;
  assert(call->prev != NULL ? call->prev->next == call : caller->in_flight == call);
  assert(call->next == NULL || call->next->prev == call);
  assert(caller->in_flight_count > 0);
  *(call->prev != NULL ? &call->prev->next : &caller->in_flight) = call->next;
  if (call->next != NULL)
    call->next->prev = call->prev;
  call->prev = call->next = NULL;
  caller->in_flight_count--;
}

/* Removes the call from its caller. Its memory is then charged to the address. */
static void leave_caller(mcp_call_t *call) {
  mcp__caller_t *caller = call->caller;
  if (caller == NULL)
    return;
  if (is_waiting(call))
    leave_waiting(call);
  else
    leave_in_flight(call);
  call->caller = NULL;
  caller->account.used -= call->charged;
  call->account = caller->account.parent;
  caller->events->call_removed(caller);
}

static void leave_server(mcp_call_t *call) {
  mcp__calls_t *calls = call->calls;
  if (calls == NULL)
    return;
  assert(call->older != NULL ? call->older->newer == call : calls->oldest == call);
  assert(call->newer != NULL ? call->newer->older == call : calls->newest == call);
  *(call->older != NULL ? &call->older->newer : &calls->oldest) = call->newer;
  *(call->newer != NULL ? &call->newer->older : &calls->newest) = call->older;
  if (calls->next == call)
    calls->next = call->newer;
  calls->running -= !is_waiting(call);
}

static bool has_id(const mcp_call_t *call, uint32_t hash, const char *id, size_t id_len) {
  return call->id_hash == hash && !call->no_response &&
         mcp__id_same(call->to.id, call->to.id_len, id, id_len);
}

mcp_call_t *mcp__caller_find(const mcp__caller_t *caller, uint32_t hash, const char *id, size_t id_len) {
  for (mcp_call_t *call = caller->in_flight; call != NULL; call = call->next)
    if (has_id(call, hash, id, id_len) && !atomic_load(&call->parent.cancelled))
      return call;
  return NULL;
}

mcp_call_t *mcp__caller_find_waiting(const mcp__caller_t *caller, uint32_t hash, const char *id,
                                     size_t id_len) {
  for (mcp_call_t *call = caller->waiting; call != NULL; call = call->next)
    if (has_id(call, hash, id, id_len))
      return call;
  return NULL;
}

/* ---- end of a call --------------------------------------------------------------------------------- */

static mcp__call_event_t event_of(const mcp_call_t *call) {
  return (mcp__call_event_t){call->calls->log, call->tool, &call->parent.trace,
                             call->caller != NULL ? call->caller->peer : NULL};
}

static void log_end(const mcp_call_t *call, int failure, const char *text) {
  mcp__call_event_t event = event_of(call);
  mcp__server_log_call_ended(&event, atomic_load(&call->parent.cancelled), failure, text,
                             call->calls->counters->now_ns - call->started_ns);
}

/* Counts each call once. Returns false if it was counted before, or its server has gone. */
static bool count(mcp_call_t *call, mcp__call_status_t status) {
  if (call->calls == NULL || call->counted)
    return false;
  call->counted = true;
  mcp__tool_counts_t *counts = &call->tool->counts;
  counts->calls[status]++;
  if (status == MCP__CALL_BUSY || is_waiting(call))
    return true;
  uint64_t now_ns = uv_hrtime();
  call->calls->counters->now_ns = now_ns;
  double seconds = (double)(now_ns - call->started_ns) * 1e-9;
  counts->times.buckets[mcp__histogram_bucket(seconds)]++;
  counts->times.sum_s += seconds;
  return true;
}

static void finish(mcp_call_t *call) { /* it has ended, and its response is written */
  mcp__calls_t *calls = call->calls;
  mcp__parent_leave_children(&call->parent);
  if (count(call, atomic_load(&call->parent.cancelled) ? MCP__CALL_CANCELLED : call->status))
    log_end(call, call->failure, call->failure_text);
  leave_caller(call);
  leave_server(call);
  mcp__call_release(call);
  if (calls != NULL)
    calls->on_ended(calls->arg);
}

static void detach(mcp_call_t *call) {
  leave_server(call);
  call->metrics = mcp__metrics_hold(call->calls->metrics);
  discharge(call);
  call->calls = NULL;
}

void mcp__calls_detach(mcp__calls_t *calls) {
  while (calls->oldest != NULL) {
    calls->handler_left_running |= calls->oldest->parent.on_pool;
    detach(calls->oldest);
  }
}

/* ---- cancellation ---------------------------------------------------------------------------------- */

/* No handler has to end a waiting call. */
static void cancel(mcp_call_t *call, mcp_cancel_reason_t reason) {
  if (atomic_load(&call->parent.cancelled) == MCP_CANCEL_NONE)
    atomic_store(&call->parent.cancelled, reason);
  if (is_waiting(call)) {
    finish(call);
    return;
  }
  mcp__parent_cancel_children(&call->parent);
  void (*cb)(mcp_call_t *, void *) = call->on_cancel;
  call->on_cancel = NULL;
  if (cb != NULL)
    cb(call, call->on_cancel_arg); /* may end the call */
}

static void abandon(mcp_call_t *call, mcp_cancel_reason_t reason) {
  leave_caller(call);
  cancel(call, reason);
}

void mcp__call_abandon(mcp_call_t *call) {
  abandon(call, MCP_CANCEL_DISCONNECTED);
}

void mcp__call_cancel(mcp_call_t *call) {
  atomic_store(&call->do_not_start, true);
  cancel(call, MCP_CANCEL_REQUESTED);
}

void mcp__caller_abandon(mcp__caller_t *caller) {
  while (caller->waiting != NULL)
    mcp__call_abandon(caller->waiting);
  while (caller->in_flight != NULL)
    mcp__call_abandon(caller->in_flight);
}

/* ---- progress -------------------------------------------------------------------------------------- */

/* A call keeps only its newest progress, until the loop's thread sends it: periodically, or right before the
 * response. */
static void send_progress(mcp_call_t *call) {
  if (atomic_load(&call->progress) == NULL)
    return;
  char *text = atomic_exchange(&call->progress, NULL);
  if (call->caller != NULL && !atomic_load(&call->parent.cancelled))
    call->caller->events->notify(call->caller, call->origin, text);
  mcp__free(text);
}

void mcp__calls_send_progress(uv_timer_t *timer) {
  mcp__calls_t *calls = timer->data;
  calls->progress_ms = uv_now(calls->loop);
  for (mcp_call_t *call = calls->oldest; call != NULL; call = call->newer)
    send_progress(call);
}

static void on_progress_ready(void *owner) {
  mcp__calls_t *calls = owner;
  uint64_t since_ms = uv_now(calls->loop) - calls->progress_ms;
  if (!uv_is_active((uv_handle_t *)&calls->progress))
    uv_timer_start(&calls->progress, mcp__calls_send_progress,
                   since_ms < MCP__CALL_PROGRESS_MS ? MCP__CALL_PROGRESS_MS - since_ms : 0, 0);
}

int mcp_call_progress(mcp_call_t *call, double progress, double total, const char *message) {
  if (state_of(call) != MCP__CALL_RUNNING || atomic_load(&call->parent.cancelled))
    return MCP_ESTATE;
  if (!isfinite(progress) || !isfinite(total) || progress <= call->progress_last ||
      (message != NULL && !mcp__utf8_valid(message, strlen(message))))
    return UV_EINVAL;
  call->progress_last = progress;
  if (call->progress_token == NULL)
    return 0;
  char *text = mcp__response_progress(call->progress_token, progress, total, message);
  if (text == NULL)
    return UV_ENOMEM;
  char *before = atomic_exchange(&call->progress, text);
  mcp__free(before);
  if (before == NULL && call->parent.on_pool)
    mcp__pool_notify(call->pool);
  else if (before == NULL && call->calls != NULL)
    on_progress_ready(call->calls);
  return 0;
}

/* ---- responses ------------------------------------------------------------------------------------- */

typedef struct tool_failure {
  int code;
  const char *text, *data;
  size_t data_len;
} failure_t;

static bool is_tool_code(int code) {
  return code <= MCP_TOOL_ERROR && code >= -32099;
}

static int render_failure(mcp__buf_t *out, const mcp__response_context_t *to, const void *value) {
  const failure_t *failure = value;
  return is_tool_code(failure->code) ? mcp__response_tool_error(out, to, failure->code, failure->text,
                                                                failure->data, failure->data_len)
                                     : mcp__jsonrpc_error(out, to->id, to->id_len, failure->code,
                                                          failure->text, failure->data, failure->data_len);
}

static int render_result(mcp__buf_t *out, const mcp__response_context_t *to, const void *value) {
  const mcp_text_t *text = value;
  return mcp__response_result(out, to, text->ptr, text->len);
}

typedef struct content {
  mcp_text_t blocks, structured; /* structured.ptr NULL: none */
  bool is_error;
} content_t;

static int render_content(mcp__buf_t *out, const mcp__response_context_t *to, const void *value) {
  const content_t *content = value;
  return mcp__response_content(out, to, content->blocks.ptr, content->blocks.len, content->structured.ptr,
                               content->structured.len, content->is_error);
}

static int render_ready(mcp__buf_t *out, const mcp__response_context_t *to, const void *value) {
  const mcp__buf_t *response = value;
  (void)to;
  if (response->len == 0)
    return UV_ENOMEM; /* there was no memory for the error response either */
  return mcp__buf_append(out, response->data, response->len);
}

/* For the log, once the call has ended. Without memory the message is lost. */
static void record_failure(mcp_call_t *call, const failure_t *failure) {
  size_t size = strlen(failure->text) + 1;
  char *copy = mcp__arena_alloc(&call->arena, size);
  if (copy != NULL)
    memcpy(copy, failure->text, size);
  call->failure_text = copy;
  call->failure = failure->code;
}

static mcp__call_status_t status_of(mcp__render_cb render, const void *value) {
  if (render == render_content)
    return ((const content_t *)value)->is_error ? MCP__CALL_TOOL_ERROR : MCP__CALL_OK;
  if (render != render_failure)
    return MCP__CALL_OK;
  return is_tool_code(((const failure_t *)value)->code) ? MCP__CALL_TOOL_ERROR : MCP__CALL_ERROR;
}

static const failure_t unwritable = {MCP_INTERNAL_ERROR, "cannot serialize the result as JSON", NULL, 0};

/* Whether a handler ends a call twice. Then only the tool of the call may be accessed. */
static bool is_second_end(const mcp_call_t *call) {
  if (state_of(call) == MCP__CALL_RUNNING)
    return false;
  mcp_log(MCP_LOG_ERROR, "call", "a call of the tool %s was ended twice",
          call->tool != NULL ? call->tool->name : "?");
  return true;
}

/* Keeps the response until the job is back on the loop. */
static int end_on_pool(mcp_call_t *call, mcp__render_cb render, const void *value, int status) {
  int rendered = call->no_response ? 0 : render(&call->response, &call->to, value);
  if (rendered != 0) {
    call->response.len = 0;
    call->status = MCP__CALL_ERROR;
    status = MCP_EENCODE;
    record_failure(call, &unwritable);
    if (render_failure(&call->response, &call->to, &unwritable) != 0)
      call->response.len = 0;
  }
  return status != 0 ? status : atomic_load(&call->parent.cancelled) ? MCP_ESTATE : 0;
}

/* Ends each call, once. */
static int end_call(mcp_call_t *call, mcp__render_cb render, const void *value, int status) {
  enter(call, MCP__CALL_ENDED);
  if (call->status != MCP__CALL_BUSY)
    call->status = status_of(render, value);
  if (call->parent.on_pool)
    return end_on_pool(call, render, value, status);
  mcp__caller_t *caller = call->caller;
  send_progress(call);
  leave_caller(
      call); /* first: without memory for the response the session is closed, which abandons its calls */
  int sent = 0;
  if (caller == NULL || atomic_load(&call->parent.cancelled))
    sent = MCP_ESTATE;
  else if (!call->no_response)
    sent = caller->events->respond(caller, call->origin, &call->to, render, value);
  if (sent != 0 && sent != MCP_ESTATE) {
    call->status = MCP__CALL_ERROR;
    status = MCP_EENCODE;
  } else if (status == 0) {
    status = sent;
  }
  finish(call);
  return status;
}

static int end_failing(mcp_call_t *call, const failure_t *failure, int status) {
  record_failure(call, failure);
  return end_call(call, render_failure, failure, status);
}

static int end_unwritable(mcp_call_t *call, const char *reason) {
  mcp_log(MCP_LOG_ERROR, "call", "the result of the tool %s cannot be written: %s", call->tool->name, reason);
  return end_failing(call, &unwritable, MCP_EENCODE);
}

/* ---- results --------------------------------------------------------------------------------------- */

static int end_invalid_result(mcp_call_t *call, const char *member, const char *place) {
  mcp_log(MCP_LOG_ERROR, "call", "a result of the tool %s: %s %s", call->tool->name, member, place);
  static const failure_t invalid_result = {MCP_INTERNAL_ERROR, "the tool returned an invalid result", NULL,
                                           0};
  return end_failing(call, &invalid_result, MCP_EENCODE);
}

/* Whether a result matches the tool's output schema; otherwise problem holds the violation. */
static bool matches_output_schema(mcp_call_t *call, const mcp_text_t *text, char *problem, size_t size) {
  if (call->tool->output == NULL)
    return true;
  mcp__json_error_t error;
  yyjson_doc *doc = mcp__json_read(text->ptr, text->len, &mcp__json_alc, &error);
  if (doc == NULL)
    snprintf(problem, size, "cannot be checked: %s", error.message);
  bool fine = doc != NULL && mcp__schema_check(call->tool->output, yyjson_doc_get_root(doc), problem, size);
  yyjson_doc_free(doc);
  return fine;
}

static int end_with_result(mcp_call_t *call, const mcp_text_t *text) {
  char problem[MESSAGE_BYTES];
  if (!matches_output_schema(call, text, problem, sizeof problem))
    return end_invalid_result(call, "output_schema", problem);
  return end_call(call, render_result, text, 0);
}

static mcp_text_t write_value(mcp_call_t *call, yyjson_mut_val *value) {
  mcp_text_t text = {NULL, 0};
  if (!call->arena.failed) /* otherwise members are missing: yyjson ignores failed allocations */
    text.ptr = yyjson_mut_val_write_opts(value, 0, &call->arena.alc, &text.len, NULL);
  return text;
}

static const char not_serializable[] =
    "it is NULL, contains invalid UTF-8 or a non-finite number, or memory is exhausted";

/* Returns why a text is no valid result, or NULL. Only debug builds check that it is JSON. */
static const char *json_text_problem(const char *json, size_t len) {
  if (json == NULL)
    return "it is NULL";
  if (!mcp__utf8_valid(json, len))
    return "it is not UTF-8";
#ifndef NDEBUG
  mcp__json_error_t error = {0};
  yyjson_doc_free(mcp__json_read(json, len, &mcp__json_alc, &error));
  if (error.detail != NULL)
    return error.message;
#endif
  return NULL;
}

int mcp_call_reply_text(mcp_call_t *call, const char *json, size_t len) {
  if (is_second_end(call))
    return MCP_ESTATE;
  const char *problem = json_text_problem(json, len);
  if (problem != NULL)
    return end_unwritable(call, problem);
  mcp_text_t text = {json, len};
  return end_with_result(call, &text);
}

int mcp_call_reply(mcp_call_t *call, yyjson_mut_val *result) {
  if (is_second_end(call))
    return MCP_ESTATE;
  mcp_text_t text = write_value(call, result);
  return text.ptr != NULL ? end_with_result(call, &text) : end_unwritable(call, not_serializable);
}

/* For callers that only read error: its message is the first text, its data the rest. */
static int end_with_error(mcp_call_t *call, yyjson_mut_val *blocks, const content_t *content) {
  const mcp_text_t *data = content->structured.ptr != NULL ? &content->structured : &content->blocks;
  yyjson_mut_val *text = yyjson_mut_obj_get(yyjson_mut_arr_get_first(blocks), "text");
  failure_t failure = {MCP_TOOL_ERROR, yyjson_mut_get_str(text), data->ptr, data->len};
  if (failure.text == NULL)
    failure.text = mcp_strerror(MCP_TOOL_ERROR);
  return end_failing(call, &failure, 0);
}

/* Reads JSON text into a value of the call's document. Returns why it cannot be read, or NULL. */
static const char *read_text(mcp_call_t *call, const char *json, size_t len, yyjson_mut_val **value) {
  mcp__json_error_t error = {0};
  yyjson_doc *doc = json != NULL ? mcp__json_read(json, len, &mcp__json_alc, &error) : NULL;
  *value = yyjson_val_mut_copy(mcp_call_doc(call), yyjson_doc_get_root(doc));
  const char *problem = json == NULL                           ? "it is NULL"
                        : doc == NULL                          ? error.message
                        : *value == NULL || call->arena.failed ? "out of memory"
                                                               : NULL;
  yyjson_doc_free(doc);
  return problem;
}

int mcp_call_reply_content_text(mcp_call_t *call, const char *content, size_t content_len,
                                const char *structured, size_t structured_len, bool is_error) {
  yyjson_mut_val *blocks, *object = NULL;
  if (is_second_end(call))
    return MCP_ESTATE;
  const char *problem = read_text(call, content, content_len, &blocks);
  if (problem == NULL && structured != NULL)
    problem = read_text(call, structured, structured_len, &object);
  return problem != NULL ? end_unwritable(call, problem)
                         : mcp_call_reply_content(call, blocks, object, is_error);
}

int mcp_call_reply_content(mcp_call_t *call, yyjson_mut_val *blocks, yyjson_mut_val *structured,
                           bool is_error) {
  char problem[MESSAGE_BYTES];
  if (is_second_end(call))
    return MCP_ESTATE;
  content_t content = {.blocks = write_value(call, blocks), .is_error = is_error};
  if (structured != NULL)
    content.structured = write_value(call, structured);
  if (content.blocks.ptr == NULL || (structured != NULL && content.structured.ptr == NULL))
    return end_unwritable(call, not_serializable);
  if (!mcp__content_check(blocks, problem, sizeof problem))
    return end_invalid_result(call, "content", problem);
  if (structured != NULL && !yyjson_mut_is_obj(structured))
    return end_invalid_result(call, "structured", "must be an object");
  if (is_error && (call->to.direct || call->to.protocol_version == MCP__2024_11_05))
    return end_with_error(call, blocks, &content);
  if (!is_error && structured == NULL && call->tool->output != NULL)
    return end_invalid_result(call, "structured", "is required by its output_schema");
  if (!is_error && structured != NULL &&
      !matches_output_schema(call, &content.structured, problem, sizeof problem))
    return end_invalid_result(call, "output_schema", problem);
  return end_call(call, render_content, &content, 0);
}

/* Removes a character that truncation has cut. A text that is invalid elsewhere is replaced by the message of
 * its code. */
static void make_valid_utf8(char *text, int code) {
  size_t len = strlen(text);
  for (int cut = 0; cut < 4 && !mcp__utf8_valid(text, len) && len > 0; cut++)
    text[--len] = '\0';
  if (!mcp__utf8_valid(text, len))
    snprintf(text, MESSAGE_BYTES, "%s", mcp_strerror(code));
}

static void use_text_of_code(const mcp_call_t *call, int code, char *text) {
  mcp_log(MCP_LOG_ERROR, "call", "a call of the tool %s failed with the message NULL", call->tool->name);
  snprintf(text, MESSAGE_BYTES, "%s", mcp_strerror(code));
}

/* status: of the data, which is omitted if it cannot be written */
static int end_failed_with(mcp_call_t *call, int code, char *text, yyjson_mut_val *data, int status) {
  make_valid_utf8(text, code);
  failure_t failure = {.code = code, .text = text};
  if (data != NULL && !call->arena.failed)
    failure.data = yyjson_mut_val_write_opts(data, 0, &call->arena.alc, &failure.data_len, NULL);
  return end_failing(call, &failure, data != NULL && failure.data == NULL ? MCP_EENCODE : status);
}

static int end_failed(mcp_call_t *call, int code, yyjson_mut_val *data, const char *format, va_list args) {
  char text[MESSAGE_BYTES];
  if (is_second_end(call))
    return MCP_ESTATE;
  if (format != NULL)
    vsnprintf(text, sizeof text, format, args);
  else
    use_text_of_code(call, code, text);
  return end_failed_with(call, code, text, data, 0);
}

int mcp_call_fail_text(mcp_call_t *call, int code, const char *message, size_t message_len, const char *data,
                       size_t data_len) {
  char text[MESSAGE_BYTES];
  yyjson_mut_val *value = NULL;
  if (is_second_end(call))
    return MCP_ESTATE;
  if (message != NULL)
    snprintf(text, sizeof text, "%.*s", message_len < sizeof text ? (int)message_len : MESSAGE_BYTES,
             message);
  else
    use_text_of_code(call, code, text);
  const char *problem = data != NULL ? read_text(call, data, data_len, &value) : NULL;
  if (problem != NULL)
    mcp_log(MCP_LOG_ERROR, "call", "the error data of the tool %s is omitted: %s", call->tool->name, problem);
  return end_failed_with(call, code, text, problem == NULL ? value : NULL, problem != NULL ? MCP_EENCODE : 0);
}

int mcp_call_tool_error(mcp_call_t *call, const char *format, ...) {
  va_list args;
  va_start(args, format);
  int status = end_failed(call, MCP_TOOL_ERROR, NULL, format, args);
  va_end(args);
  return status;
}

int mcp_call_fail(mcp_call_t *call, int code, yyjson_mut_val *data, const char *format, ...) {
  va_list args;
  va_start(args, format);
  int status = end_failed(call, code, data, format, args);
  va_end(args);
  return status;
}

static void time_out(mcp_call_t *call, mcp_cancel_reason_t reason) {
  failure_t failure = {.code = MCP_INTERNAL_ERROR,
                       .text = reason == MCP_CANCEL_STOPPING ? "the server is stopping" : "timed out"};
  mcp__caller_t *caller = call->caller;
  if (count(call, atomic_load(&call->parent.cancelled) ? MCP__CALL_CANCELLED : MCP__CALL_TIMED_OUT))
    log_end(call, failure.code, failure.text);
  leave_caller(call); /* first, as in end_call() */
  if (caller != NULL && !call->no_response && !atomic_load(&call->parent.cancelled))
    caller->events->respond(caller, call->origin, &call->to, render_failure, &failure);
  atomic_store(&call->do_not_start, true);
  abandon(call, reason);
}

void mcp__calls_time_out(mcp__calls_t *calls, uint64_t age_ms, mcp_cancel_reason_t reason) {
  uint64_t now_ms = uv_now(calls->loop);
  calls->next = calls->oldest;
  for (mcp_call_t *call; (call = calls->next) != NULL;) {
    if (age_ms > 0 && now_ms - call->started_ms <= age_ms)
      return;
    calls->next = call->newer;
    if (call->caller != NULL || call->on_cancel != NULL) /* or on_cancel was set after the cancellation */
      time_out(call, reason);
  }
}

/* ---- handlers -------------------------------------------------------------------------------------- */

static mcp_call_t *call_of(mcp__job_t *job) {
  return (mcp_call_t *)(void *)((char *)job - offsetof(mcp_call_t, job));
}

/* While blocked, the server responds to no peer, not even to pings. */
static void warn_if_blocked(const mcp__tool_t *tool, uint64_t ns) {
  if (ns > MCP__CALL_BLOCKED_MS * UINT64_C(1000000))
    mcp_log(MCP_LOG_WARN, "call",
            "the handler of the tool %s blocked the loop for %llu ms: set MCP_TOOL_BLOCKING", tool->name,
            (unsigned long long)ns / 1000000);
}

/* Log lines of handlers of log traffic are not shipped: they would cause more log traffic. */
static void run_handler(mcp_call_t *call) {
  mcp__tool_t *tool = call->tool;
  bool is_log_traffic = mcp__is_log_traffic(tool);
  mcp_tool_cb handler = tool->handler;
  if (is_log_traffic)
    mcp__log_shipper_mute(true);
  mcp__tool_hold(tool); /* the call may end */
  bool on_loop = !call->parent.on_pool;
  uint64_t began_ns = on_loop ? uv_hrtime() : 0;
  mcp__log_set_trace(&call->parent.trace);
  handler(call, call->args, tool->arg);
  mcp__log_clear_trace(&call->parent.trace); /* the call may have ended; only its address is used */
  if (on_loop)
    warn_if_blocked(tool, uv_hrtime() - began_ns);
  mcp__tool_release(tool);
  if (is_log_traffic)
    mcp__log_shipper_mute(false);
}

static void work(mcp__job_t *job) {
  mcp_call_t *call = call_of(job);
  if (atomic_load(&call->do_not_start) && !call->no_response) {
    enter(call, MCP__CALL_ENDED); /* before it began */
    return;
  }
  run_handler(call);
  if (state_of(call) == MCP__CALL_RUNNING) {
    mcp_log(MCP_LOG_ERROR, "call", "the blocking tool %s returned without ending its call", call->tool->name);
    mcp_call_fail(call, MCP_INTERNAL_ERROR, NULL, "the tool returned no result");
  }
}

static void done(mcp__job_t *job) {
  mcp_call_t *call = call_of(job);
  if (job->dropped) {
    call->parent.on_pool = false;
    mcp_call_fail(call, MCP_INTERNAL_ERROR, NULL, "the server is stopping");
    return;
  }
  mcp__call_charge(call);
  send_progress(call);
  mcp__caller_t *caller = call->caller;
  if (caller != NULL && !call->no_response && !atomic_load(&call->parent.cancelled))
    caller->events->respond(caller, call->origin, &call->to, render_ready, &call->response);
  finish(call);
}

static void orphan(mcp__job_t *job) {
  free_call(call_of(job));
}

static void on_loop_task(void *owner, mcp__loop_task_t *task) {
  mcp__calls_t *calls = owner;
  mcp__relay_take(&calls->relay, task);
}

int mcp__calls_ensure_pool(mcp__calls_t *calls) {
  static const mcp__pool_events_t events = {work, done, on_progress_ready, on_loop_task, orphan};
  if (calls->pool == NULL)
    calls->pool = mcp__pool_new(calls->loop, &events, calls);
  return calls->pool != NULL ? 0 : UV_ENOMEM;
}

/* data.retry tells the caller that the call itself is valid. */
static void end_busy(mcp_call_t *call, const char *text) {
  yyjson_mut_doc *doc = mcp_call_doc(call);
  yyjson_mut_val *data = yyjson_mut_obj(doc);
  yyjson_mut_obj_add_bool(doc, data, "retry", true);
  call->status = MCP__CALL_BUSY;
  mcp_call_fail(call, MCP_TOOL_ERROR, data, "%s", text);
}

static void run_on_pool(mcp_call_t *call) {
  call->parent.on_pool = true;
  call->job.waits = (call->tool->flags & MCP_TOOL_WAITS) != 0;
  call->logger = mcp__log_shipper_hold(call->calls->log->logger); /* the handler may outlive the server */
  call->pool = call->calls->pool;
  int status = mcp__pool_submit(call->pool, &call->job);
  if (status == 0)
    return;
  call->parent.on_pool = false;
  end_busy(call, status == MCP_ELIMIT ? "busy, retry later" : "no thread for the tool, retry later");
}

static void begin(mcp_call_t *call) {
  mcp__calls_t *calls = call->calls;
  enter(call, MCP__CALL_RUNNING);
  join_in_flight(call);
  if (calls->stopping || calls->running > MCP__CALLS_MAX) {
    end_busy(call, calls->stopping ? "the server is stopping, retry later" : "busy, retry later");
    return;
  }
  mcp__call_event_t event = event_of(call);
  mcp__server_log_call_started(&event, call->args, call->text.len, &call->arena.alc);
  if ((call->tool->flags & MCP_TOOL_BLOCKING) == 0)
    run_handler(call);
  else
    run_on_pool(call);
}

bool mcp__call_may_begin(const mcp__caller_t *caller) { /* also when the server stops, to be refused */
  return caller->in_flight_count < MCP__CALLER_MAX_IN_FLIGHT || caller->calls->stopping;
}

/* Keeps the order: no call overtakes waiting ones. */
void mcp__call_run(mcp_call_t *call, mcp__caller_t *caller) {
  call->caller = caller;
  call->arena.max = SIZE_MAX / 4; /* the message was limited; the handler decides the size of the response */
  mcp__call_charge(call);
  join_server(call);
  if (caller->waiting == NULL && mcp__call_may_begin(caller))
    begin(call);
  else
    join_waiting(call);
}

void mcp__call_begin(mcp_call_t *call) {
  leave_waiting(call);
  begin(call);
}

/* ---- API for handlers ------------------------------------------------------------------------------- */

const char *mcp_call_trace_id(const mcp_call_t *call) {
  return call->parent.trace.id;
}

void mcp_call_span(const mcp_call_t *call, mcp_span_t *span) {
  const mcp__trace_t *trace = &call->parent.trace;
  *span = (mcp_span_t){{0}, {0}, {0}};
  if (trace->id != NULL)
    snprintf(span->trace_id, sizeof span->trace_id, "%s", trace->id);
  mcp__span_write(trace->span, span->span_id);
  if (trace->parent_span_id != NULL && strlen(trace->parent_span_id) < sizeof span->parent_id)
    snprintf(span->parent_id, sizeof span->parent_id, "%s", trace->parent_span_id);
}

const char *mcp_call_args_text(mcp_call_t *call, size_t *len) {
  *len = 0;
  return yyjson_val_write_opts(call->args, 0, &call->arena.alc, len, NULL);
}

yyjson_mut_doc *mcp_call_doc(mcp_call_t *call) {
  if (call->doc == NULL)
    call->doc = yyjson_mut_doc_new(&call->arena.alc);
  return call->doc;
}

yyjson_mut_val *mcp_call_ignored(mcp_call_t *call) {
  yyjson_mut_val *names = NULL;
  size_t index, max;
  yyjson_val *key, *value;
  yyjson_obj_foreach(call->args, index, max, key, value) {
    if (yyjson_is_null(value) ||
        mcp__schema_has_property(call->tool->schema, yyjson_get_str(key), yyjson_get_len(key)))
      continue;
    if (names == NULL)
      names = yyjson_mut_arr(mcp_call_doc(call));
    yyjson_mut_arr_append(names, yyjson_val_mut_copy(mcp_call_doc(call), key));
  }
  return names;
}

bool mcp_call_cancelled(const mcp_call_t *call) {
  return mcp_call_cancel_reason(call) != MCP_CANCEL_NONE;
}

mcp_cancel_reason_t mcp_call_cancel_reason(const mcp_call_t *call) {
  return atomic_load(&call->parent.cancelled);
}

static void fire_late_cancels(uv_timer_t *timer) {
  mcp__calls_t *calls = timer->data;
  calls->next = calls->oldest;
  for (mcp_call_t *call; (call = calls->next) != NULL;) {
    calls->next = call->newer;
    if (call->on_cancel != NULL && atomic_load(&call->parent.cancelled))
      mcp__call_abandon(call); /* may end this call, and others */
  }
}

void mcp_call_on_cancel(mcp_call_t *call, void (*cb)(mcp_call_t *call, void *arg), void *arg) {
  call->on_cancel = cb;
  call->on_cancel_arg = arg;
  if (atomic_load(&call->parent.cancelled) && call->calls != NULL)
    uv_timer_start(&call->calls->late_cancels, fire_late_cancels, 1,
                   0); /* 0 could fire in this loop iteration */
}

void mcp__calls_open(mcp__calls_t *calls) {
  calls->late_cancels.data = calls->progress.data = calls;
  uv_timer_init(calls->loop, &calls->late_cancels);
  uv_timer_init(calls->loop, &calls->progress);
  mcp__relay_open(&calls->relay, calls->loop);
}

/* NULL: its lines are only shown. */
static mcp__log_shipper_t *logger_of(const mcp_call_t *call) {
  if (call->parent.on_pool)
    return call->logger;
  return call->calls != NULL ? call->calls->log->logger : NULL;
}

static bool wants_line(const mcp_call_t *call, int level) {
  return mcp_log_level_name(level) != NULL && mcp__log_shipper_wants(logger_of(call), level);
}

/* The record has its level, its message and its data. */
static void log_record(const mcp_call_t *call, mcp__log_record_t *record) {
  mcp__log_shipper_t *logger = logger_of(call);
  char span[MCP__SPAN_SIZE];
  mcp__span_write(call->parent.trace.span, span);
  record->time_us = mcp_time_now_us();
  record->part = logger != NULL ? mcp__log_shipper_component(logger) : call->tool->name;
  record->trace_id = call->parent.trace.id;
  record->span_id = span;
  record->parent_span_id = call->parent.trace.parent_span_id;
  mcp__log_shipper_log(logger, record,
                       mcp__is_log_traffic(call->tool) ? MCP__LOG_SHOW : MCP__LOG_SHOW | MCP__LOG_SHIP);
}

void mcp_call_log(mcp_call_t *call, int level, yyjson_mut_val *data, const char *format, ...) {
  if (!wants_line(call, level))
    return;
  char text[MCP__LOG_MESSAGE_BYTES], note[MCP__LOG_NOTE_BYTES], *json = NULL;
  mcp__log_record_t record = {.level = level, .message = text};
  size_t len = 0;
  va_list args;
  va_start(args, format);
  mcp__log_format_message(text, format, args);
  va_end(args);
  if (data != NULL && !call->arena.failed)
    json = yyjson_mut_val_write_opts(data, 0, &call->arena.alc, &len, NULL);
  mcp__log_add_data(&record, json, len, note);
  log_record(call, &record);
}

void mcp_call_log_text(mcp_call_t *call, int level, const char *message, size_t message_len, const char *data,
                       size_t data_len) {
  if (!wants_line(call, level))
    return;
  char text[MCP__LOG_MESSAGE_BYTES], note[MCP__LOG_NOTE_BYTES];
  mcp__log_record_t record = {.level = level, .message = text};
  mcp__log_copy_message(text, message, message_len);
  mcp__log_add_text(&record, data, data_len, note);
  log_record(call, &record);
}
