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

#include "client/http_answer.h"
#include "client/http_conns.h"
#include "client/http_handshake.h"
#include "client/http_tools.h"

#include <string.h>

enum {
  MAX_QUEUED = 1024,       /* messages that wait for a connection, besides requests */
  MEMORY_RETRY_MS = 50,    /* after an allocation failed */
  RETRY_MS = 1000,         /* after a failure, while other connections work */
  REPEAT_WITHIN_MS = 5000, /* later the server has probably begun to serve the request */
  DRAIN_MS = 1000,         /* for the end of a stream behind its response, and of a session at close */
  NEVER_MS = 3600000
};

typedef enum phase {
  DISCOVERING,
  INITIALIZING, /* until the notification that it is complete was answered */
  READY
} phase_t;

typedef struct http_link {
  mcp__link_t base; /* must be the first member */
  mcp__link_config_t config;
  const mcp__link_events_t *events;
  void *arg;
  mcp__io_t *io;
  uv_timer_t timer;
  phase_t phase;
  mcp__era_t era;
  const char *version;     /* NULL: not agreed on yet */
  char *session;           /* NULL: none */
  unsigned session_number; /* increases with each session */
  mcp__http_conns_t conns;
  mcp__exchange_queue_t waiting; /* for a connection, or for the end of the handshake */
  mcp__http_tools_t tools;
  bool wants_conn; /* a request of the client waits */
  bool must_open;  /* on_open is due */
  bool ended;      /* lost or closed: no callback but on_freed follows */
  bool closing;    /* ended, but the session is ended first, until close_by_ms */
  bool shut;       /* all handles are closing */
  bool timer_closed;
  uint64_t close_by_ms;
} http_link_t;

static void schedule(http_link_t *link);

static http_link_t *link_of(mcp__link_t *base) {
  return (http_link_t *)(void *)base;
}

static uint64_t link_now_ms(const http_link_t *link) {
  return uv_now(link->io->prepare.loop);
}

/* ---- the end --------------------------------------------------------------------------------------- */

static void free_if_done(http_link_t *link) {
  if (!link->shut || !link->timer_closed || !mcp__http_conns_is_closed(&link->conns))
    return;
  const mcp__link_events_t *events = link->events;
  void *arg = link->arg;
  mcp__free(link->session);
  mcp__free(link);
  events->on_freed(arg);
}

static void on_timer_closed(uv_handle_t *timer) {
  http_link_t *link = timer->data;
  link->timer_closed = true;
  free_if_done(link);
}

static void close_conn(mcp__http_conn_t *conn) {
  if (conn->exchange != NULL)
    mcp__client_exchange_free(conn->exchange);
  mcp__http_conn_close(conn);
}

static void shut(http_link_t *link) {
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

static void lose(http_link_t *link, int status, const char *problem) {
  bool was_ended = link->ended;
  shut(link);
  if (!was_ended)
    link->events->on_lost(status, problem, link->arg);
}

/* ---- requests -------------------------------------------------------------------------------------- */

/* Writes the request of an exchange. 0 or UV_ENOMEM. */
static int write_exchange(http_link_t *link, mcp__http_conn_t *conn, mcp__client_exchange_t *exchange) {
  const mcp__http_message_t *message = &exchange->message;
  const mcp__tool_headers_t *headers = mcp__http_tools_find(&link->tools, message);
  mcp__http_target_t to = {link->config.url, link->config.token, link->version, link->session, link->era};
  mcp__buf_t params;
  mcp__buf_init(&params, MCP__HEAD_MAX_BYTES, NULL);
  int status = headers != NULL ? mcp__http_write_params(&params, headers, message) : 0;
  if (status == 0)
    status = exchange->purpose == MCP__FOR_END
                 ? mcp__http_write_delete(&conn->stream->out, &to)
                 : mcp__http_write_post(&conn->stream->out, &to, message, &params);
  mcp__buf_deinit(&params);
  return status;
}

/* False: out of memory; the exchange is unchanged. */
static bool start_exchange(http_link_t *link, mcp__http_conn_t *conn, mcp__client_exchange_t *exchange) {
  int status = mcp__http_conn_begin(conn, exchange);
  if (status == 0 && write_exchange(link, conn, exchange) != 0) {
    mcp__http_conn_close(conn);
    status = UV_ENOMEM;
  }
  if (status != 0)
    return false;
  conn->until_ms = 0;
  exchange->sent_ms = link_now_ms(link);
  exchange->session_number = link->session_number;
  mcp__stream_dirty(conn->stream);
  return true;
}

/* The first exchange that can be sent in this phase. */
static mcp__client_exchange_t **find_due(http_link_t *link) {
  mcp__client_exchange_t **at = &link->waiting.first;
  while (*at != NULL && link->phase != READY && (*at)->purpose == MCP__FOR_MESSAGE)
    at = &(*at)->next;
  return at;
}

/* Sends what waits, as far as connections are idle. Calls no callback. */
static void run_queue(http_link_t *link) {
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

/* Continues after an event: may call on_open and on_ready, or end a link that is closing. */
static void proceed(http_link_t *link) {
  if (link->must_open && !link->ended) {
    link->must_open = false;
    link->events->on_open(link->arg);
  }
  if (link->shut)
    return;
  run_queue(link);
  if (link->closing && link->waiting.first == NULL && !mcp__http_conns_is_any_busy(&link->conns))
    shut(link);
  bool is_wanted = !link->ended && link->phase == READY && link->wants_conn;
  if (is_wanted && mcp__http_conns_find_idle(&link->conns, false) == NULL) {
    mcp__http_conns_open(&link->conns, false);
  } else if (is_wanted) {
    link->wants_conn = false;
    link->events->on_ready(link->arg);
  }
  schedule(link);
}

/* ---- failures -------------------------------------------------------------------------------------- */

/* Frees the exchange. The caller proceeds. */
static void fail_exchange(http_link_t *link, mcp__client_exchange_t *exchange, int status,
                          const char *problem) {
  mcp__purpose_t purpose = exchange->purpose;
  uint64_t request = exchange->request;
  bool is_request = mcp__client_exchange_is_request(exchange);
  mcp__client_exchange_free(exchange);
  switch (purpose) {
  case MCP__FOR_DISCOVER:
  case MCP__FOR_INITIALIZE:
    lose(link, status == MCP_EDISCONNECTED ? MCP_EUPGRADE : status, problem);
    break;
  case MCP__FOR_INITIALIZED: /* the next request shows whether the server minds */
    link->phase = READY;
    break;
  case MCP__FOR_TOOLS:
    while (link->tools.parked.first != NULL && !link->ended) {
      mcp__client_exchange_t *parked = mcp__exchange_take(&link->tools.parked, &link->tools.parked.first);
      fail_exchange(link, parked, status, problem);
    }
    break;
  case MCP__FOR_MESSAGE:
    if (is_request && !link->ended)
      link->events->on_failed(request, status, problem, link->arg);
    break;
  case MCP__FOR_END:
    break;
  }
}

static void fail_connecting(http_link_t *link, int status, const char *problem) {
  if (link->closing)
    shut(link);
  else if (mcp__http_conns_is_any_busy(&link->conns))
    mcp__http_conns_pause(&link->conns, RETRY_MS);
  else
    lose(link, status, problem);
}

static void refuse(http_link_t *link, mcp__client_exchange_t *exchange, const mcp__http_answer_t *answer) {
  char problem[512];
  mcp__http_refusal_t refusal = {answer->status, answer->type, answer->location, answer->body->data,
                                 answer->body->len};
  int status = mcp__http_explain(&refusal, problem, sizeof problem);
  fail_exchange(link, exchange, status, problem);
}

/* ---- the handshake --------------------------------------------------------------------------------- */

static void begin_session(http_link_t *link) {
  mcp__free(link->session);
  link->session = NULL;
  link->version = NULL;
  link->session_number++;
  link->era = MCP__ERA_LEGACY;
  link->phase = INITIALIZING;
  link->must_open = true;
}

static void become_modern(http_link_t *link) {
  link->phase = READY;
  link->must_open = true;
}

static const char *keep_session(http_link_t *link, yyjson_val *result, const char *session) {
  const char *problem = mcp__http_judge_initialize(result, session, &link->version);
  if (problem != NULL)
    return problem;
  link->session = session != NULL ? mcp__strdup(session) : NULL;
  return session != NULL && link->session == NULL ? "out of memory" : NULL;
}

/* The response to server/discover; root is that of its JSON, or NULL. False: it is no answer to this. */
static bool take_discover(http_link_t *link, int status, yyjson_val *root) {
  switch (mcp__http_judge_discover(status, root)) {
  case MCP__HTTP_MODERN:
    become_modern(link);
    return true;
  case MCP__HTTP_LEGACY:
    begin_session(link);
    return true;
  default:
    return false;
  }
}

/* ---- responses ------------------------------------------------------------------------------------- */

/* Passes a message on. Returns whether it was the response. The link may have ended afterwards. */
static bool pass_on(http_link_t *link, mcp__client_exchange_t *exchange, mcp__buf_t *text) {
  size_t max = text->max;
  if (link->era == MCP__ERA_MODERN)
    mcp__http_tools_learn(&link->tools, exchange, text);
  text->max = SIZE_MAX / 4;
  int status = mcp__buf_reserve(text, MCP__JSON_PADDING); /* the reader needs it behind the text */
  text->max = max;
  if (status != 0) {
    if (mcp__client_exchange_is_request(exchange))
      link->events->on_failed(exchange->request, UV_ENOMEM, "out of memory", link->arg);
    return true;
  }
  return link->events->on_message(text, exchange->request, link->arg);
}

static int add_internal(http_link_t *link, mcp__purpose_t purpose, const char *text) {
  mcp__client_exchange_t *exchange;
  int status = mcp__client_exchange_new(purpose, text, strlen(text), link->era, &exchange);
  if (status == 0)
    mcp__exchange_append(&link->waiting, exchange);
  return status;
}

/* A page of the list of tools. Behind the last one, the calls that wait for it are repeated. */
static int take_tools(http_link_t *link, yyjson_val *result) {
  mcp__client_exchange_t *next;
  mcp__exchange_queue_t *parked = &link->tools.parked;
  int status = mcp__http_tools_take_page(&link->tools, result, &next);
  if (next != NULL)
    mcp__exchange_append(&link->waiting, next);
  while (status == 0 && next == NULL && parked->first != NULL)
    mcp__exchange_append(&link->waiting, mcp__exchange_take(parked, &parked->first));
  return status;
}

/* Parks a call until the list of tools says which headers it needs. */
static void park(http_link_t *link, mcp__client_exchange_t *exchange) {
  mcp__client_exchange_t *next;
  if (mcp__http_tools_park(&link->tools, exchange, &next) != 0)
    fail_exchange(link, exchange, UV_ENOMEM, "out of memory");
  else if (next != NULL)
    mcp__exchange_append(&link->waiting, next);
}

/* A response that the link itself waits for, or initialize; text may be swapped. False: it is none. */
static bool take_own(http_link_t *link, mcp__client_exchange_t *exchange, int status, mcp__buf_t *text,
                     const char *session) {
  char problem[320] = "";
  yyjson_doc *doc = mcp__http_answer_parse(text);
  yyjson_val *root = yyjson_doc_get_root(doc), *result = yyjson_obj_get(root, "result");
  bool taken = true;
  int failure = MCP_EUPGRADE;
  const char *cause = NULL;
  if (exchange->purpose == MCP__FOR_DISCOVER) {
    taken = take_discover(link, status, root);
  } else if (exchange->purpose == MCP__FOR_INITIALIZE) {
    taken = result != NULL;
    cause = taken ? keep_session(link, result, session) : NULL;
  } else {
    taken = result != NULL;
    if (taken && (failure = take_tools(link, result)) != 0)
      cause = "out of memory";
  }
  if (!taken && yyjson_is_obj(yyjson_obj_get(root, "error"))) {
    mcp__http_describe_refusal(root, problem, sizeof problem);
    cause = problem;
    failure = MCP_EUPGRADE;
  }
  yyjson_doc_free(doc);
  if (cause != NULL) {
    fail_exchange(link, exchange, failure, cause);
    return true;
  }
  if (taken && exchange->purpose == MCP__FOR_INITIALIZE)
    pass_on(link, exchange, text);
  if (taken)
    mcp__client_exchange_free(exchange);
  return taken;
}

/* Whether a refused call lacks headers that the list of tools names. */
static bool lacks_headers(const http_link_t *link, const mcp__client_exchange_t *exchange,
                          const mcp__http_answer_t *answer) {
  const char *method = exchange->message.method;
  return link->era == MCP__ERA_MODERN && !exchange->has_listed && method != NULL &&
         strcmp(method, "tools/call") == 0 && mcp__http_answer_lacks_headers(answer);
}

/* The server has forgotten the session: the message is sent again in a new one. */
static void renew_session(http_link_t *link, mcp__client_exchange_t *exchange) {
  bool is_current = exchange->session_number == link->session_number;
  exchange->is_in_new_session = true;
  mcp__exchange_prepend(&link->waiting, exchange);
  if (is_current)
    begin_session(link);
}

/* Whether the server does not know the session of a request any more. */
static bool has_lost_session(const http_link_t *link, const mcp__client_exchange_t *exchange, int status) {
  return status == 404 && link->era == MCP__ERA_LEGACY && !exchange->is_in_new_session &&
         (link->session != NULL || exchange->session_number != link->session_number);
}

/* The response to a message of the client. */
static void take_client_answer(http_link_t *link, mcp__client_exchange_t *exchange,
                               const mcp__http_answer_t *answer) {
  bool is_request = mcp__client_exchange_is_request(exchange);
  if (exchange->answered || !is_request) {
    mcp__client_exchange_free(exchange);
  } else if (answer->is_events) {
    fail_exchange(link, exchange, MCP_EDISCONNECTED, "the stream of events ended without the response");
  } else if (has_lost_session(link, exchange, answer->status)) {
    renew_session(link, exchange);
  } else if (lacks_headers(link, exchange, answer)) {
    park(link, exchange);
  } else if (mcp__http_answer_is_message(answer)) {
    pass_on(link, exchange, answer->body);
    mcp__client_exchange_free(exchange);
  } else {
    refuse(link, exchange, answer);
  }
}

static void take_answer(http_link_t *link, mcp__client_exchange_t *exchange,
                        const mcp__http_answer_t *answer) {
  bool is_notification = exchange->purpose == MCP__FOR_INITIALIZED || exchange->purpose == MCP__FOR_END;
  if (exchange->purpose == MCP__FOR_MESSAGE)
    take_client_answer(link, exchange, answer);
  else if (exchange->answered)
    mcp__client_exchange_free(exchange);
  else if (is_notification) /* whatever the server thinks of it */
    fail_exchange(link, exchange, 0, "");
  else if (answer->is_events)
    fail_exchange(link, exchange, MCP_EDISCONNECTED, "the stream of events ended without the response");
  else if (mcp__http_is_decisive(answer->status) ||
           !take_own(link, exchange, answer->status, answer->body, answer->session))
    refuse(link, exchange, answer);
}

/* ---- events of connections ------------------------------------------------------------------------- */

static mcp__client_exchange_t *take_exchange(mcp__http_conn_t *conn) {
  mcp__client_exchange_t *exchange = conn->exchange;
  conn->exchange = NULL;
  conn->until_ms = 0;
  return exchange;
}

static void on_answer(mcp__http_conn_t *conn, const mcp__http_answer_t *answer, void *arg) {
  http_link_t *link = arg;
  take_answer(link, take_exchange(conn), answer);
  proceed(link);
}

/* An event for the link itself. If it is the response, the rest of the stream gets another exchange. */
static void take_own_event(http_link_t *link, mcp__http_conn_t *conn, mcp__buf_t *text) {
  mcp__client_exchange_t *exchange = conn->exchange;
  bool was_response = mcp__http_event_is_response(text);
  mcp__client_exchange_t *rest = was_response ? mcp__calloc(sizeof *rest) : NULL;
  if (!was_response)
    return;
  take_exchange(conn);
  if (rest == NULL) {
    mcp__http_conn_close(conn);
    fail_exchange(link, exchange, UV_ENOMEM, "out of memory");
    return;
  }
  rest->answered = true;
  conn->exchange = rest;
  conn->until_ms = link_now_ms(link) + DRAIN_MS;
  if (!take_own(link, exchange, 200, text, mcp__head_value(conn->head, MCP__H_MCP_SESSION)))
    fail_exchange(link, exchange, MCP_EPROTOCOL, "the server sent an unexpected response");
}

static void on_event(mcp__http_conn_t *conn, mcp__buf_t *text, void *arg) {
  http_link_t *link = arg;
  mcp__client_exchange_t *exchange = conn->exchange;
  if (exchange->answered || exchange->purpose == MCP__FOR_INITIALIZED || exchange->purpose == MCP__FOR_END)
    return; /* nothing may follow the response, and notifications have none */
  if (exchange->purpose != MCP__FOR_MESSAGE) {
    take_own_event(link, conn, text);
  } else if (pass_on(link, exchange, text) && conn->exchange == exchange) {
    exchange->answered = true;
    conn->until_ms = link_now_ms(link) + DRAIN_MS;
  }
  proceed(link);
}

/* Whether the server closed a kept connection before it saw the request. */
static bool may_repeat(const http_link_t *link, const mcp__http_conn_t *conn,
                       const mcp__client_exchange_t *exchange, bool began, int status) {
  return !began && status == MCP_EDISCONNECTED && conn->requests > 1 && !exchange->needs_new_conn &&
         link_now_ms(link) - exchange->sent_ms < REPEAT_WITHIN_MS;
}

static void on_conn_failed(mcp__http_conn_t *conn, bool began, int status, const char *problem, void *arg) {
  http_link_t *link = arg;
  mcp__client_exchange_t *exchange = take_exchange(conn);
  if (may_repeat(link, conn, exchange, began, status)) {
    exchange->needs_new_conn = true;
    mcp__exchange_prepend(&link->waiting, exchange);
  } else if (exchange->answered) {
    mcp__client_exchange_free(exchange);
  } else if (status == MCP_ETLS) {
    mcp__client_exchange_free(exchange);
    lose(link, status, problem);
  } else {
    fail_exchange(link, exchange, status, problem);
  }
  proceed(link);
}

static void on_conn_freed(mcp__http_conn_t *conn, void *arg) {
  http_link_t *link = arg;
  mcp__http_conns_remove(&link->conns, conn);
  if (link->shut)
    free_if_done(link);
  else
    proceed(link);
}

static const mcp__http_conn_events_t conn_events = {on_event, on_answer, on_conn_failed, on_conn_freed};

static void on_conn_opened(void *arg) {
  proceed(arg);
}

static void on_connecting_failed(int status, const char *problem, void *arg) {
  http_link_t *link = arg;
  fail_connecting(link, status, problem);
  proceed(link);
}

static void on_connector_idle(void *arg) {
  free_if_done(arg);
}

/* ---- time ------------------------------------------------------------------------------------------ */

static void on_timer(uv_timer_t *timer) {
  http_link_t *link = timer->data;
  uint64_t now_ms = link_now_ms(link);
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
  proceed(link);
}

static void earlier(uint64_t *due_ms, uint64_t ms) {
  if (ms < *due_ms)
    *due_ms = ms;
}

static void schedule(http_link_t *link) {
  uint64_t now_ms = link_now_ms(link), due_ms = now_ms + NEVER_MS;
  if (link->shut)
    return;
  earlier(&due_ms, mcp__http_conns_due_ms(&link->conns, now_ms));
  if (link->closing)
    earlier(&due_ms, link->close_by_ms);
  if (link->must_open)
    due_ms = now_ms;
  for (unsigned i = 0; i < link->conns.count; i++)
    if (link->conns.table[i]->until_ms != 0)
      earlier(&due_ms, link->conns.table[i]->until_ms);
  uv_timer_start(&link->timer, on_timer, due_ms > now_ms ? due_ms - now_ms : 0, 0);
}

/* ---- the operations of a link ---------------------------------------------------------------------- */

/* Removes the exchange of an id. Returns whether the server may be working on it. */
static bool cancel(http_link_t *link, const char *id) {
  mcp__exchange_queue_t *queues[] = {&link->waiting, &link->tools.parked};
  for (unsigned i = 0; i < 2; i++)
    for (mcp__client_exchange_t **at = &queues[i]->first; *at != NULL; at = &(*at)->next)
      if ((*at)->purpose == MCP__FOR_MESSAGE && (*at)->message.id != NULL &&
          strcmp((*at)->message.id, id) == 0) {
        mcp__client_exchange_free(mcp__exchange_take(queues[i], at));
        return false;
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

static mcp__purpose_t purpose_of(const http_link_t *link, const mcp__http_message_t *message) {
  if (link->phase != INITIALIZING || message->method == NULL)
    return MCP__FOR_MESSAGE;
  if (strcmp(message->method, "initialize") == 0)
    return MCP__FOR_INITIALIZE;
  return strcmp(message->method, "notifications/initialized") == 0 ? MCP__FOR_INITIALIZED : MCP__FOR_MESSAGE;
}

static int send_message(mcp__link_t *base, mcp__link_write_t write, void *what) {
  http_link_t *link = link_of(base);
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
  http_link_t *link = link_of(base);
  if (link->ended)
    return false;
  if (link->phase == READY && mcp__http_conns_find_idle(&link->conns, false) != NULL)
    return true;
  link->wants_conn = true;
  if (link->phase == READY) {
    mcp__http_conns_open(&link->conns, false);
    schedule(link);
  }
  return false;
}

static bool is_stateless(const mcp__link_t *base) {
  return ((const http_link_t *)(const void *)base)->era == MCP__ERA_MODERN;
}

static size_t backlog(const mcp__link_t *base) {
  const http_link_t *link = (const http_link_t *)(const void *)base;
  size_t bytes = mcp__http_conns_backlog(&link->conns);
  for (const mcp__client_exchange_t *each = link->waiting.first; each != NULL; each = each->next)
    bytes += each->message.body.len;
  return bytes;
}

static mcp_stage_t stage(const mcp__link_t *base) {
  const http_link_t *link = (const http_link_t *)(const void *)base;
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
  http_link_t *link = link_of(base);
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
  link->close_by_ms = link_now_ms(link) + DRAIN_MS;
  proceed(link);
}

static const mcp__link_ops_t ops = {send_message, may_send,    is_stateless, backlog,
                                    stage,        set_reading, tick,         close_link};

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
  http_link_t *link = mcp__calloc(sizeof *link);
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
  link->era = MCP__ERA_MODERN;
  link->version = mcp__protocol_version_name(MCP__2026_07_28);
  uv_timer_init(link->io->prepare.loop, &link->timer);
  link->timer.data = link;
  const mcp__http_conns_events_t events_of_conns = {&conn_events, on_conn_opened, on_connecting_failed,
                                                    on_connector_idle, link};
  int status = mcp__http_conns_init(&link->conns, stream, &link->config, &events_of_conns);
  if (config->needs_session)
    begin_session(link);
  else if (status == 0)
    status = add_internal(link, MCP__FOR_DISCOVER,
                          "{\"jsonrpc\":\"2.0\",\"id\":\"discover\",\"method\":\"server/discover\"}");
  if (status != 0) {
    link->events = &ignore_events;
    shut(link);
    return NULL;
  }
  run_queue(link);
  schedule(link);
  return &link->base;
}
