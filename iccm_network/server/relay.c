/* relay.c: calls of blocking handlers, over clients on their server's loop.
 *
 * Happy path: a handler's thread passes its call to the loop, which finds the client for its address, makes
 * the call and wakes the thread at its end. If there is no client yet, the thread creates one, because that
 * may read files, and passes it along with its call. Failure: a call ends like that of any client. It is a
 * child of the call being served and is cancelled with it. A stop cancels those calls before it closes the
 * clients; the relay, or later the pool, refuses later calls. Hence each thread is woken exactly once. */
#include "server/relay.h"

#include "base/error.h"

#include <string.h>

typedef struct mcp__upstream {
  struct mcp__upstream *next;
  mcp__relay_t *relay;
  mcp_client_t *client;
  char url[];
} upstream_t;

typedef enum handover { ENDED, NEEDS_CLIENT, NO_ROOM } handover_t;

/* Progress on its way to the waiting thread, followed by the text of message. */
typedef struct report {
  mcp_progress_t progress;
  char message[];
} report_t;

/* On the stack of the thread that waits for it. */
typedef struct relay_call {
  mcp__loop_task_t base; /* first member */
  mcp__parent_t *parent;
  const char *url;
  size_t max_message; /* for a new client */
  const mcp__request_spec_t *spec;
  yyjson_mut_doc *params;   /* NULL once consumed */
  upstream_t *new_upstream; /* created for the relay; NULL: none, or adopted */
  uv_loop_t *loop;          /* for new_upstream */
  handover_t handover;
  int status;
  _Atomic(report_t *) report; /* newest report not yet taken by the thread; NULL: none */
  uv_sem_t wake;              /* counts reports that replaced none, and the end, which comes last */
} relay_call_t;

static relay_call_t *relay_call_of(mcp__loop_task_t *base) {
  return (relay_call_t *)(void *)base;
}

/* ---- on the loop's thread -------------------------------------------------------------------------- */

static void end(relay_call_t *call, handover_t handover, int status) {
  call->handover = handover;
  call->status = status;
  uv_sem_post(&call->wake); /* the thread may free the call now */
}

static void on_result(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  relay_call_t *call = arg;
  call->spec->cb(client, result, call->spec->arg);
  end(call, ENDED, 0);
}

/* Without memory the report is dropped; another one follows soon. */
static void on_progress(mcp_client_t *client, const mcp_progress_t *progress, void *arg) {
  relay_call_t *call = arg;
  size_t size = progress->message != NULL ? strlen(progress->message) + 1 : 0;
  report_t *report = mcp__calloc(sizeof *report + size);
  (void)client;
  if (report == NULL)
    return;
  report->progress = *progress;
  if (progress->message != NULL)
    report->progress.message = memcpy(report->message, progress->message, size);
  report_t *before = atomic_exchange(&call->report, report);
  if (before == NULL)
    uv_sem_post(&call->wake);
  mcp__free(before);
}

static upstream_t *find(mcp__relay_t *relay, const char *url) {
  upstream_t *upstream = relay->upstreams;
  while (upstream != NULL && strcmp(upstream->url, url) != 0)
    upstream = upstream->next;
  return upstream;
}

/* Returns NULL if there is no new_upstream, or no room for it. */
static upstream_t *adopt_upstream(mcp__relay_t *relay, relay_call_t *call) {
  upstream_t *upstream = call->new_upstream;
  if (upstream == NULL || relay->count >= MCP__RELAY_MAX_CLIENTS)
    return NULL;
  call->new_upstream = NULL;
  upstream->relay = relay;
  upstream->next = relay->upstreams;
  relay->upstreams = upstream;
  relay->count++;
  relay->open_handles++;
  return upstream;
}

static void begin(mcp__relay_t *relay, relay_call_t *call) {
  if (relay->closed || atomic_load(&call->parent->cancelled)) {
    end(call, ENDED, MCP_ECANCELED);
    return;
  }
  upstream_t *upstream = find(relay, call->url);
  if (upstream == NULL)
    upstream = adopt_upstream(relay, call);
  if (upstream == NULL) {
    call->loop = relay->loop;
    end(call, relay->count < MCP__RELAY_MAX_CLIENTS ? NEEDS_CLIENT : NO_ROOM, 0);
    return;
  }
  mcp__request_spec_t spec = *call->spec;
  spec.parent = call->parent;
  spec.cb = on_result;
  spec.arg = call;
  if (spec.progress_cb != NULL)
    spec.progress_cb = on_progress;
  spec.progress_arg = call;
  yyjson_mut_doc *params = call->params;
  call->params = NULL;
  mcp__client_retry_within(upstream->client, 0); /* each call tries to connect at once */
  int status = mcp__client_send_request(upstream->client, &spec, params);
  if (status != 0)
    end(call, ENDED, status);
}

static void begin_all(mcp__relay_t *relay) {
  mcp__loop_task_t *task = relay->first;
  relay->first = NULL;
  while (task != NULL) {
    mcp__loop_task_t *next = task->next;
    begin(relay, relay_call_of(task));
    task = next;
  }
}

static void on_timer(uv_timer_t *timer) {
  begin_all(timer->data);
}

/* Makes the call after the loop has processed pending input, so that an ended connection is not used. */
void mcp__relay_take(mcp__relay_t *relay, mcp__loop_task_t *task) {
  task->next = NULL;
  *(relay->first != NULL ? &relay->last->next : &relay->first) = task;
  relay->last = task;
  if (relay->closed)
    begin_all(relay); /* refuses it */
  else
    uv_timer_start(&relay->timer, on_timer, 0, 0);
}

void mcp__relay_open(mcp__relay_t *relay, uv_loop_t *loop) {
  *relay = (mcp__relay_t){.loop = loop, .open_handles = 1};
  uv_timer_init(loop, &relay->timer);
  relay->timer.data = relay;
}

/* ---- stop ------------------------------------------------------------------------------------------ */

static void free_upstream(upstream_t *upstream) {
  if (upstream == NULL)
    return;
  mcp_client_free(upstream->client);
  mcp__free(upstream);
}

static void handle_closed(mcp__relay_t *relay) {
  if (--relay->open_handles == 0 && relay->on_closed != NULL)
    relay->on_closed(relay->arg);
}

static void on_client_closed(mcp_client_t *client, void *arg) {
  upstream_t *upstream = arg;
  mcp__relay_t *relay = upstream->relay;
  (void)client;
  free_upstream(upstream);
  handle_closed(relay);
}

static void on_timer_closed(uv_handle_t *timer) {
  handle_closed(timer->data);
}

void mcp__relay_stop(mcp__relay_t *relay) {
  if (relay->closed)
    return;
  relay->closed = true;
  begin_all(relay);
  uv_close((uv_handle_t *)&relay->timer, on_timer_closed);
  for (upstream_t *upstream = relay->upstreams, *next; upstream != NULL; upstream = next) {
    next = upstream->next;
    if (mcp_client_close(upstream->client, on_client_closed, upstream) != 0) /* it was never used */
      on_client_closed(upstream->client, upstream);
  }
}

void mcp__relay_close(mcp__relay_t *relay, void (*cb)(void *arg), void *arg) {
  mcp__relay_stop(relay);
  relay->on_closed = cb;
  relay->arg = arg;
  if (relay->open_handles == 0)
    cb(arg);
}

/* ---- on a thread of the pool ----------------------------------------------------------------------- */

/* Reports progress that arrived before the end; wake counts both. */
static void wait_for_end(relay_call_t *call) {
  report_t *report;
  uv_sem_wait(&call->wake);
  while ((report = atomic_exchange(&call->report, NULL)) != NULL) {
    call->spec->progress_cb(NULL, &report->progress, call->spec->progress_arg);
    mcp__free(report);
    uv_sem_wait(&call->wake);
  }
}

static void hand_over(mcp__pool_t *pool, relay_call_t *call) {
  call->handover = ENDED;
  if (mcp__pool_post(pool, &call->base))
    wait_for_end(call);
  else
    call->status = MCP_ECANCELED;
  if (call->status != 0)
    mcp__set_last_error("%s", mcp_strerror(call->status));
}

static int make_upstream(relay_call_t *call) {
  size_t size = strlen(call->url) + 1;
  mcp__set_last_error("out of memory");
  call->new_upstream = mcp__calloc(sizeof *call->new_upstream + size);
  if (call->new_upstream == NULL)
    return UV_ENOMEM;
  memcpy(call->new_upstream->url, call->url, size);
  int status = mcp__client_new(call->loop, call->url, &call->new_upstream->client);
  if (status != 0)
    return status;
  mcp_client_set_fail_fast(call->new_upstream->client, true);
  mcp_client_set_max_message_bytes(call->new_upstream->client, call->max_message);
  return 0;
}

bool mcp__relay_call(mcp__pool_t *pool, mcp__parent_t *parent, const char *url, size_t max_message,
                     const mcp__request_spec_t *spec, yyjson_mut_doc *params, int *status) {
  relay_call_t call = {
      .parent = parent, .url = url, .max_message = max_message, .spec = spec, .params = params};
  if (uv_sem_init(&call.wake, 0) != 0) /* UNTESTED: does not fail on Linux */
    return false;
  hand_over(pool, &call);
  if (call.handover == NEEDS_CLIENT) {
    call.status = make_upstream(&call);
    if (call.status == 0)
      hand_over(pool, &call);
  }
  uv_sem_destroy(&call.wake);
  free_upstream(call.new_upstream); /* NULL if adopted */
  if (call.handover != NO_ROOM)
    yyjson_mut_doc_free(call.params);
  *status = call.status;
  return call.handover != NO_ROOM;
}
