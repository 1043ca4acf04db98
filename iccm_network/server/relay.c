/* relay.c: calls of blocking handlers, over clients that their server has on its loop.
 *
 * Happy path: a handler's thread hands its call to the loop, which finds the client for its address, makes
 * the call and wakes the thread when it has ended. Where there is no client yet, the thread makes one, since
 * that may read files, and hands it over with its call. Failure: a call ends as any client's does. It is a
 * child of the one being served, so it is cancelled with that one. A stop cancels those before it closes the
 * clients; the relay, or later the pool, refuses what is handed over after that. So each thread is woken
 * exactly once. */
#include "server/relay.h"

#include "base/error.h"

#include <string.h>

typedef struct mcp__upstream {
  struct mcp__upstream *next;
  mcp__relay_t *relay;
  mcp_client_t *client;
  char url[];
} upstream_t;

typedef enum verdict { ENDED, NEEDS_CLIENT, NO_ROOM } verdict_t;

/* A report of progress on its way to the thread that waits; the text of message stands behind it. */
typedef struct report {
  mcp_progress_t progress;
  char message[];
} report_t;

/* On the stack of the thread that waits for it. */
typedef struct errand {
  mcp__errand_t base; /* first member */
  mcp__parent_t *parent;
  const char *url;
  size_t max_message; /* of a client for it */
  const mcp__request_spec_t *order;
  yyjson_mut_doc *params; /* NULL once they are stolen */
  upstream_t *offer;      /* made for the relay; NULL: none, or taken */
  uv_loop_t *loop;        /* where the offer has to be */
  verdict_t verdict;
  int status;
  _Atomic(report_t *) report; /* the newest that the thread has not taken; NULL: none */
  uv_sem_t news;              /* counts: a report where there was none, and the end, which is the last */
} errand_t;

static errand_t *errand_of(mcp__errand_t *base) {
  return (errand_t *)(void *)base;
}

/* ---- on the loop's thread -------------------------------------------------------------------------- */

static void end(errand_t *errand, verdict_t verdict, int status) {
  errand->verdict = verdict;
  errand->status = status;
  uv_sem_post(&errand->news); /* the errand is gone from here on */
}

static void on_result(mcp_client_t *client, const mcp_result_t *result, void *arg) {
  errand_t *errand = arg;
  errand->order->cb(client, result, errand->order->arg);
  end(errand, ENDED, 0);
}

/* Without memory it is dropped, as one is that another follows soon. */
static void on_progress(mcp_client_t *client, const mcp_progress_t *progress, void *arg) {
  errand_t *errand = arg;
  size_t size = progress->message != NULL ? strlen(progress->message) + 1 : 0;
  report_t *report = mcp__calloc(sizeof *report + size);
  (void)client;
  if (report == NULL)
    return;
  report->progress = *progress;
  if (progress->message != NULL)
    report->progress.message = memcpy(report->message, progress->message, size);
  report_t *before = atomic_exchange(&errand->report, report);
  if (before == NULL)
    uv_sem_post(&errand->news);
  mcp__free(before);
}

static upstream_t *find(mcp__relay_t *relay, const char *url) {
  upstream_t *upstream = relay->upstreams;
  while (upstream != NULL && strcmp(upstream->url, url) != 0)
    upstream = upstream->next;
  return upstream;
}

/* NULL: none is offered, or there is no room for it. */
static upstream_t *take_offer(mcp__relay_t *relay, errand_t *errand) {
  upstream_t *upstream = errand->offer;
  if (upstream == NULL || relay->count >= MCP__RELAY_ADDRESSES)
    return NULL;
  errand->offer = NULL;
  upstream->relay = relay;
  upstream->next = relay->upstreams;
  relay->upstreams = upstream;
  relay->count++;
  relay->open_handles++;
  return upstream;
}

static void begin(mcp__relay_t *relay, errand_t *errand) {
  if (relay->closed || atomic_load(&errand->parent->cancelled)) {
    end(errand, ENDED, MCP_ECANCELED);
    return;
  }
  upstream_t *upstream = find(relay, errand->url);
  if (upstream == NULL)
    upstream = take_offer(relay, errand);
  if (upstream == NULL) {
    errand->loop = relay->loop;
    end(errand, relay->count < MCP__RELAY_ADDRESSES ? NEEDS_CLIENT : NO_ROOM, 0);
    return;
  }
  mcp__request_spec_t order = *errand->order;
  order.parent = errand->parent;
  order.cb = on_result;
  order.arg = errand;
  if (order.progress_cb != NULL)
    order.progress_cb = on_progress;
  order.progress_arg = errand;
  yyjson_mut_doc *params = errand->params;
  errand->params = NULL;
  mcp__client_hurry(upstream->client, 0); /* each call finds out anew whether the peer is there */
  int status = mcp__client_make(upstream->client, &order, params);
  if (status != 0)
    end(errand, ENDED, status);
}

static void begin_all(mcp__relay_t *relay) {
  mcp__errand_t *errand = relay->first;
  relay->first = NULL;
  while (errand != NULL) {
    mcp__errand_t *next = errand->next;
    begin(relay, errand_of(errand));
    errand = next;
  }
}

static void on_timer(uv_timer_t *timer) {
  begin_all(timer->data);
}

/* The call is made once the loop has seen all that has arrived: where the connection has ended by then, it
 * is not used. */
void mcp__relay_take(mcp__relay_t *relay, mcp__errand_t *errand) {
  errand->next = NULL;
  *(relay->first != NULL ? &relay->last->next : &relay->first) = errand;
  relay->last = errand;
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

/* ---- the end --------------------------------------------------------------------------------------- */

static void free_upstream(upstream_t *upstream) {
  if (upstream == NULL)
    return;
  mcp_client_free(upstream->client);
  mcp__free(upstream);
}

static void one_closed(mcp__relay_t *relay) {
  if (--relay->open_handles == 0 && relay->on_closed != NULL)
    relay->on_closed(relay->arg);
}

static void on_client_closed(mcp_client_t *client, void *arg) {
  upstream_t *upstream = arg;
  mcp__relay_t *relay = upstream->relay;
  (void)client;
  free_upstream(upstream);
  one_closed(relay);
}

static void on_timer_closed(uv_handle_t *timer) {
  one_closed(timer->data);
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

/* Each report that has come before the end is told before it: news counts both. */
static void wait_for_end(errand_t *errand) {
  report_t *report;
  uv_sem_wait(&errand->news);
  while ((report = atomic_exchange(&errand->report, NULL)) != NULL) {
    errand->order->progress_cb(NULL, &report->progress, errand->order->progress_arg);
    mcp__free(report);
    uv_sem_wait(&errand->news);
  }
}

static void hand_over(mcp__pool_t *pool, errand_t *errand) {
  errand->verdict = ENDED;
  if (mcp__pool_send(pool, &errand->base))
    wait_for_end(errand);
  else
    errand->status = MCP_ECANCELED;
  if (errand->status != 0)
    mcp__set_last_error("%s", mcp_strerror(errand->status));
}

static int make_offer(errand_t *errand) {
  size_t size = strlen(errand->url) + 1;
  mcp__set_last_error("out of memory");
  errand->offer = mcp__calloc(sizeof *errand->offer + size);
  if (errand->offer == NULL)
    return UV_ENOMEM;
  memcpy(errand->offer->url, errand->url, size);
  int status = mcp__client_new(errand->loop, errand->url, &errand->offer->client);
  if (status != 0)
    return status;
  mcp_client_set_fail_fast(errand->offer->client, true);
  mcp_client_set_max_message_bytes(errand->offer->client, errand->max_message);
  return 0;
}

bool mcp__relay_call(mcp__pool_t *pool, mcp__parent_t *parent, const char *url, size_t max_message,
                     const mcp__request_spec_t *order, yyjson_mut_doc *params, int *status) {
  errand_t errand = {
      .parent = parent, .url = url, .max_message = max_message, .order = order, .params = params};
  if (uv_sem_init(&errand.news, 0) != 0) /* UNTESTED: on Linux it does not fail */
    return false;
  hand_over(pool, &errand);
  if (errand.verdict == NEEDS_CLIENT) {
    errand.status = make_offer(&errand);
    if (errand.status == 0)
      hand_over(pool, &errand);
  }
  uv_sem_destroy(&errand.news);
  free_upstream(errand.offer); /* NULL where the relay has taken it */
  if (errand.verdict != NO_ROOM)
    yyjson_mut_doc_free(errand.params);
  *status = errand.status;
  return errand.verdict != NO_ROOM;
}
