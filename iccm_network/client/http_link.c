/* http_link.c: a link over HTTP.
 *
 * Happy path: server/discover finds out whether the server knows the version in which requests need no
 * session; if not, the client initializes a session. Then each message is an exchange: it waits for an idle
 * connection, is posted, and its response, or each event of it, is passed on. Connections are opened as they
 * are needed, up to MCP__HTTP_CONNS_MAX, and stay open. Failure: an exchange that fails reports its request
 * alone. If the server closes an idle connection while a request is on its way, the request is repeated once
 * on a new connection. If no connection can be opened, the link is lost. A session that the server has
 * forgotten is opened again. */
#include "client/http_link.h"

#include "client/http_link_parts.h"
#include "mcp/protocol_version.h"

#include <string.h>

enum {
  MAX_QUEUED = 1024,    /* messages that wait for a connection, besides requests */
  MEMORY_RETRY_MS = 50, /* after an allocation failed */
  RETRY_MS = 1000,      /* after a failure, while other connections work */
  NEVER_MS = 3600000
};

static void schedule(mcp__http_link_t *link);

static mcp__http_link_t *link_of(mcp__link_t *base) {
  return (mcp__http_link_t *)(void *)base;
}

uint64_t mcp__http_link_now_ms(const mcp__http_link_t *link) {
  return uv_now(link->io->prepare.loop);
}

/* ---- the end --------------------------------------------------------------------------------------- */

static void free_if_done(mcp__http_link_t *link) {
  if (!link->shut || !link->timer_closed || !mcp__http_conns_is_closed(&link->conns))
    return;
  const mcp__link_events_t *events = link->events;
  void *arg = link->arg;
  mcp__free(link->session);
  mcp__free(link);
  events->on_freed(arg);
}

static void on_timer_closed(uv_handle_t *timer) {
  mcp__http_link_t *link = timer->data;
  link->timer_closed = true;
  free_if_done(link);
}

static void close_conn(mcp__http_conn_t *conn) {
  if (conn->exchange != NULL)
    mcp__client_exchange_free(conn->exchange);
  mcp__http_conn_close(conn);
}

static void shut(mcp__http_link_t *link) {
  if (link->shut)
    return;
  link->shut = link->ended = true;
  mcp__exchange_free_all(&link->waiting);
  mcp__http_tools_deinit(&link->tools);
  for (unsigned i = 0; i < link->conns.count; i++)
    close_conn(link->conns.table[i]);
  mcp__http_conns_close(&link->conns);
  uv_close((uv_handle_t *)&link->timer, on_timer_closed);
}

void mcp__http_link_lose(mcp__http_link_t *link, int status, const char *problem) {
  bool was_ended = link->ended;
  shut(link);
  if (!was_ended)
    link->events->on_lost(status, problem, link->arg);
}

/* ---- requests -------------------------------------------------------------------------------------- */

/* Writes the request of an exchange. 0 or UV_ENOMEM. */
static int write_exchange(mcp__http_link_t *link, mcp__http_conn_t *conn, mcp__client_exchange_t *exchange) {
  const mcp__outgoing_t *message = &exchange->message;
  const mcp__tool_headers_t *headers = mcp__http_tools_find(&link->tools, message);
  mcp__http_target_t to = {link->config.url, link->config.token, link->version, link->session, link->era};
  mcp__buf_t params;
  mcp__buf_init(&params, MCP__HEAD_MAX_BYTES, NULL);
  int status = headers != NULL ? mcp__http_write_params(&params, headers, message) : 0;
  if (status == 0 && exchange->purpose == MCP__FOR_END)
    status = mcp__http_write_delete(&conn->stream->out, &to);
  else if (status == 0 && (exchange->purpose == MCP__FOR_STREAM || exchange->resume_id != NULL))
    status = mcp__http_write_get(&conn->stream->out, &to, exchange->resume_id);
  else if (status == 0)
    status = mcp__http_write_post(&conn->stream->out, &to, message, &params);
  mcp__buf_deinit(&params);
  return status;
}

/* False: out of memory; the exchange is unchanged. */
static bool start_exchange(mcp__http_link_t *link, mcp__http_conn_t *conn, mcp__client_exchange_t *exchange) {
  int status = mcp__http_conn_begin(conn, exchange);
  if (status == 0 && write_exchange(link, conn, exchange) != 0) {
    mcp__http_conn_close(conn);
    status = UV_ENOMEM;
  }
  if (status != 0)
    return false;
  conn->until_ms = 0;
  exchange->sent_ms = mcp__http_link_now_ms(link);
  exchange->session_number = link->session_number;
  mcp__stream_dirty(conn->stream);
  return true;
}

/* The first exchange that can be sent in this phase and at this time. */
static mcp__client_exchange_t **find_due(mcp__http_link_t *link) {
  mcp__client_exchange_t **at = &link->waiting.first;
  uint64_t now_ms = mcp__http_link_now_ms(link);
  while (*at != NULL &&
         ((*at)->due_ms > now_ms || (link->phase != MCP__HTTP_READY && (*at)->purpose == MCP__FOR_MESSAGE)))
    at = &(*at)->next;
  return at;
}

/* Sends what waits, as far as connections are idle. Calls no callback. */
static void run_queue(mcp__http_link_t *link) {
  mcp__client_exchange_t **at = find_due(link);
  while (*at != NULL && !link->shut) {
    mcp__client_exchange_t *exchange = *at;
    mcp__http_conn_t *conn = mcp__http_conns_find_idle(&link->conns, exchange->needs_new_conn);
    if (conn == NULL) {
      mcp__http_conns_open(&link->conns, exchange->needs_new_conn);
      return;
    }
    if (!start_exchange(link, conn, exchange)) {
      mcp__http_conns_pause(&link->conns, MEMORY_RETRY_MS);
      return;
    }
    mcp__exchange_take(&link->waiting, at);
    at = find_due(link);
  }
}

void mcp__http_link_proceed(mcp__http_link_t *link) {
  if (link->must_open && !link->ended) {
    link->must_open = false;
    link->events->on_open(link->arg);
  }
  if (link->shut)
    return;
  run_queue(link);
  if (link->closing && link->waiting.first == NULL && !mcp__http_conns_is_any_busy(&link->conns))
    shut(link);
  bool is_wanted = !link->ended && link->phase == MCP__HTTP_READY && link->wants_conn;
  if (is_wanted && mcp__http_conns_find_idle(&link->conns, false) == NULL) {
    mcp__http_conns_open(&link->conns, false);
  } else if (is_wanted) {
    link->wants_conn = false;
    link->events->on_ready(link->arg);
  }
  schedule(link);
}

void mcp__http_link_open_stream(mcp__http_link_t *link) {
  mcp__client_exchange_t *exchange = mcp__calloc(sizeof *exchange);
  if (exchange == NULL)
    return; /* the session works without it */
  exchange->purpose = MCP__FOR_STREAM;
  link->conns.max = MCP__HTTP_CONNS_MAX + 1;
  mcp__exchange_append(&link->waiting, exchange);
}

void mcp__http_link_end_stream(mcp__http_link_t *link) {
  link->conns.max = MCP__HTTP_CONNS_MAX;
  for (mcp__client_exchange_t **at = &link->waiting.first; *at != NULL;)
    if ((*at)->purpose == MCP__FOR_STREAM)
      mcp__client_exchange_free(mcp__exchange_take(&link->waiting, at));
    else
      at = &(*at)->next;
  for (unsigned i = 0; i < link->conns.count; i++) {
    const mcp__client_exchange_t *exchange = link->conns.table[i]->exchange;
    if (exchange != NULL && exchange->purpose == MCP__FOR_STREAM)
      close_conn(link->conns.table[i]);
  }
}

void mcp__http_link_begin_session(mcp__http_link_t *link) {
  mcp__http_link_end_stream(link);
  mcp__free(link->session);
  link->session = NULL;
  link->version = NULL;
  link->session_number++;
  link->era = MCP__ERA_LEGACY;
  link->phase = MCP__HTTP_INITIALIZING;
  link->must_open = true;
}

static void fail_connecting(mcp__http_link_t *link, int status, const char *problem) {
  if (link->closing)
    shut(link);
  else if (mcp__http_conns_is_any_busy(&link->conns))
    mcp__http_conns_pause(&link->conns, RETRY_MS);
  else
    mcp__http_link_lose(link, status, problem);
}

/* ---- events of connections ------------------------------------------------------------------------- */

static void on_conn_freed(mcp__http_conn_t *conn, void *arg) {
  mcp__http_link_t *link = arg;
  mcp__http_conns_remove(&link->conns, conn);
  if (link->shut)
    free_if_done(link);
  else
    mcp__http_link_proceed(link);
}

static const mcp__http_conn_events_t conn_events = {mcp__http_responses_on_event,
                                                    mcp__http_responses_on_answer,
                                                    mcp__http_responses_on_failed, on_conn_freed};

static void on_conn_opened(void *arg) {
  mcp__http_link_proceed(arg);
}

static void on_connecting_failed(int status, const char *problem, void *arg) {
  mcp__http_link_t *link = arg;
  fail_connecting(link, status, problem);
  mcp__http_link_proceed(link);
}

static void on_connector_idle(void *arg) {
  free_if_done(arg);
}

/* ---- time ------------------------------------------------------------------------------------------ */

static void on_timer(uv_timer_t *timer) {
  mcp__http_link_t *link = timer->data;
  uint64_t now_ms = mcp__http_link_now_ms(link);
  if (link->closing && now_ms >= link->close_by_ms)
    shut(link);
  if (!link->shut)
    mcp__http_conns_tick(&link->conns, now_ms);
  for (unsigned i = 0; i < link->conns.count; i++) {
    mcp__http_conn_t *conn = link->conns.table[i];
    if (conn->until_ms != 0 && now_ms >= conn->until_ms && !link->shut) {
      conn->until_ms = 0;
      close_conn(conn); /* the response was passed on: only the end of its stream is missing */
    }
  }
  mcp__http_link_proceed(link);
}

static void earlier(uint64_t *due_ms, uint64_t ms) {
  if (ms < *due_ms)
    *due_ms = ms;
}

static void schedule(mcp__http_link_t *link) {
  uint64_t now_ms = mcp__http_link_now_ms(link), due_ms = now_ms + NEVER_MS;
  if (link->shut)
    return;
  earlier(&due_ms, mcp__http_conns_due_ms(&link->conns, now_ms));
  if (link->closing)
    earlier(&due_ms, link->close_by_ms);
  if (link->must_open)
    due_ms = now_ms;
  for (const mcp__client_exchange_t *each = link->waiting.first; each != NULL; each = each->next)
    if (each->due_ms > now_ms)
      earlier(&due_ms, each->due_ms);
  for (unsigned i = 0; i < link->conns.count; i++)
    if (link->conns.table[i]->until_ms != 0)
      earlier(&due_ms, link->conns.table[i]->until_ms);
  uv_timer_start(&link->timer, on_timer, due_ms > now_ms ? due_ms - now_ms : 0, 0);
}

/* ---- the operations of a link ---------------------------------------------------------------------- */

/* Removes the exchange of an id. Returns whether the server may be working on it. */
static bool cancel(mcp__http_link_t *link, const char *id) {
  mcp__exchange_queue_t *queues[] = {&link->waiting, &link->tools.parked};
  for (unsigned i = 0; i < 2; i++)
    for (mcp__client_exchange_t **at = &queues[i]->first; *at != NULL; at = &(*at)->next)
      if ((*at)->purpose == MCP__FOR_MESSAGE && (*at)->message.id != NULL &&
          strcmp((*at)->message.id, id) == 0) {
        bool was_sent = (*at)->resume_id != NULL;
        mcp__client_exchange_free(mcp__exchange_take(queues[i], at));
        return was_sent;
      }
  for (unsigned i = 0; i < link->conns.count; i++) {
    mcp__client_exchange_t *exchange = link->conns.table[i]->exchange;
    if (exchange != NULL && exchange->message.id != NULL && strcmp(exchange->message.id, id) == 0) {
      close_conn(link->conns.table[i]);
      return true;
    }
  }
  return false;
}

static mcp__purpose_t purpose_of(const mcp__http_link_t *link, const mcp__outgoing_t *message) {
  if (link->phase != MCP__HTTP_INITIALIZING || message->method == NULL)
    return MCP__FOR_MESSAGE;
  if (strcmp(message->method, "initialize") == 0)
    return MCP__FOR_INITIALIZE;
  return strcmp(message->method, "notifications/initialized") == 0 ? MCP__FOR_INITIALIZED : MCP__FOR_MESSAGE;
}

static int send_message(mcp__link_t *base, mcp__link_write_t write, void *what) {
  mcp__http_link_t *link = link_of(base);
  mcp__client_exchange_t *exchange;
  mcp__buf_t text;
  if (link->ended)
    return MCP_EDISCONNECTED;
  if (link->waiting.count >= MAX_QUEUED)
    return MCP_ELIMIT;
  mcp__buf_init(&text, SIZE_MAX / 4, NULL);
  int status = write(&text, what);
  if (status == 0)
    status = mcp__client_exchange_new(MCP__FOR_MESSAGE, text.data, text.len, link->era, &exchange);
  mcp__buf_deinit(&text);
  if (status != 0)
    return status;
  exchange->purpose = purpose_of(link, &exchange->message);
  const char *cancels = exchange->message.cancels;
  if (cancels != NULL && (!cancel(link, cancels) || link->era == MCP__ERA_MODERN)) {
    mcp__client_exchange_free(exchange); /* closing the connection is the cancellation */
    return 0;
  }
  mcp__exchange_append(&link->waiting, exchange);
  run_queue(link);
  schedule(link);
  return 0;
}

static bool may_send(mcp__link_t *base) {
  mcp__http_link_t *link = link_of(base);
  if (link->ended)
    return false;
  if (link->phase == MCP__HTTP_READY && mcp__http_conns_find_idle(&link->conns, false) != NULL)
    return true;
  link->wants_conn = true;
  if (link->phase == MCP__HTTP_READY) {
    mcp__http_conns_open(&link->conns, false);
    schedule(link);
  }
  return false;
}

static bool is_stateless(const mcp__link_t *base) {
  return ((const mcp__http_link_t *)(const void *)base)->era == MCP__ERA_MODERN;
}

static size_t backlog(const mcp__link_t *base) {
  const mcp__http_link_t *link = (const mcp__http_link_t *)(const void *)base;
  size_t bytes = mcp__http_conns_backlog(&link->conns);
  for (const mcp__client_exchange_t *each = link->waiting.first; each != NULL; each = each->next)
    bytes += each->message.body.len;
  return bytes;
}

static mcp_stage_t stage(const mcp__link_t *base) {
  const mcp__http_link_t *link = (const mcp__http_link_t *)(const void *)base;
  return mcp__http_conns_is_secured(&link->conns) ? MCP_STAGE_INITIALIZE : MCP_STAGE_TLS;
}

static void set_reading(mcp__link_t *base, bool on) {
  mcp__http_conns_set_reading(&link_of(base)->conns, on);
}

static uint64_t tick(mcp__link_t *base, uint64_t now_ms) {
  (void)base; /* it has a timer itself */
  return now_ms + NEVER_MS;
}

static void keep_cancellations(mcp__exchange_queue_t *queue) {
  for (mcp__client_exchange_t **at = &queue->first; *at != NULL;) {
    if ((*at)->message.cancels != NULL)
      at = &(*at)->next;
    else
      mcp__client_exchange_free(mcp__exchange_take(queue, at));
  }
}

/* Sends what a server of an older version has to know first: cancellations, and the end of the session. */
static void close_link(mcp__link_t *base, bool politely) {
  mcp__http_link_t *link = link_of(base);
  mcp__client_exchange_t *end = NULL;
  link->ended = true;
  if (link->shut)
    return;
  if (politely && link->session != NULL)
    end = mcp__calloc(sizeof *end);
  keep_cancellations(&link->waiting);
  mcp__exchange_free_all(&link->tools.parked);
  for (unsigned i = 0; i < link->conns.count; i++) {
    const mcp__client_exchange_t *exchange = link->conns.table[i]->exchange;
    if (exchange != NULL && exchange->message.cancels == NULL)
      close_conn(link->conns.table[i]);
  }
  if (end != NULL) {
    end->purpose = MCP__FOR_END;
    mcp__exchange_append(&link->waiting, end);
  }
  if (!politely)
    shut(link);
  link->closing = true;
  link->close_by_ms = mcp__http_link_now_ms(link) + MCP__HTTP_DRAIN_MS;
  mcp__http_link_proceed(link);
}

static const mcp__link_ops_t ops = {send_message, may_send,    is_stateless, backlog,
                                    stage,        set_reading, tick,         close_link};

static int discover(mcp__http_link_t *link) {
  static const char text[] = "{\"jsonrpc\":\"2.0\",\"id\":\"discover\",\"method\":\"server/discover\"}";
  mcp__client_exchange_t *exchange;
  link->phase = MCP__HTTP_DISCOVERING;
  link->era = MCP__ERA_MODERN;
  link->version = mcp__protocol_version_name(MCP__2026_07_28);
  int status = mcp__client_exchange_new(MCP__FOR_DISCOVER, text, sizeof text - 1, MCP__ERA_MODERN, &exchange);
  if (status == 0)
    mcp__exchange_append(&link->waiting, exchange);
  return status;
}

void mcp__http_link_fall_back(mcp__http_link_t *link) {
  link->fell_back = true;
  if (discover(link) != 0)
    mcp__http_link_lose(link, UV_ENOMEM, "out of memory");
}

/* ---- creation -------------------------------------------------------------------------------------- */

static void free_stream(mcp__stream_t *stream) {
  mcp__free(stream);
}

static const mcp__stream_events_t ownerless_events = {.on_closed = free_stream};

static void ignore_freed(void *arg) {
  (void)arg;
}

static const mcp__link_events_t ignore_events = {.on_freed = ignore_freed};

mcp__link_t *mcp__http_link_new(mcp__stream_t *stream, const mcp__link_config_t *config,
                                const mcp__link_events_t *events, void *arg) {
  mcp__http_link_t *link = mcp__calloc(sizeof *link);
  if (link == NULL) {
    stream->events = &ownerless_events;
    mcp__stream_close(stream);
    return NULL;
  }
  link->base.ops = &ops;
  link->config = *config;
  link->events = events;
  link->arg = arg;
  link->io = stream->io;
  uv_timer_init(link->io->prepare.loop, &link->timer);
  link->timer.data = link;
  const mcp__http_conns_events_t events_of_conns = {&conn_events, on_conn_opened, on_connecting_failed,
                                                    on_connector_idle, link};
  int status = mcp__http_conns_init(&link->conns, stream, &link->config, &events_of_conns);
  if (config->needs_session)
    mcp__http_link_begin_session(link);
  else if (status == 0)
    status = discover(link);
  if (status != 0) {
    link->events = &ignore_events;
    shut(link);
    return NULL;
  }
  run_queue(link);
  schedule(link);
  return &link->base;
}
