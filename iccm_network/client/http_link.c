/* http_link.c: a link over HTTP.
 *
 * Happy path: server/discover finds out whether the server knows the version in which requests need no
 * session; if not, the client initializes a session. Then each message is an exchange: it waits for an idle
 * connection, is posted, and its response, or each event of it, is passed on. Connections are opened as they
 * are needed, up to MAX_CONNS, and stay open. Failure: an exchange that fails reports its request alone. If
 * the server closes an idle connection while a request is on its way, the request is repeated once on a new
 * connection. If no connection can be opened, the link is lost. A session that the server has forgotten is
 * opened again. */
#include "client/http_link.h"

#include "client/header_cache.h"
#include "client/http_conn.h"
#include "client/http_handshake.h"
#include "client/http_message.h"
#include "base/json.h"
#include "transport/connector.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  MAX_CONNS = 8,
  MAX_QUEUED = 1024, /* messages that wait for a connection, besides requests */
  MAX_LIST_PAGES = 100,
  CONNECT_MS = 5000,       /* all addresses together, including the name look-up */
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

typedef enum purpose {
  FOR_DISCOVER,
  FOR_INITIALIZE,
  FOR_INITIALIZED,
  FOR_TOOLS,
  FOR_MESSAGE,
  FOR_END
} purpose_t;

/* One HTTP request and its response. */
typedef struct exchange {
  struct exchange *next;
  mcp__http_message_t message;
  purpose_t purpose;
  uint64_t request;        /* the id; 0: no request of the client */
  uint64_t sent_ms;        /* when it was last written */
  unsigned session_number; /* of the session that it was sent in */
  bool needs_new_conn;     /* it failed on a kept one, and is repeated */
  bool is_in_new_session;  /* it was repeated in a new session */
  bool has_listed;         /* the list of tools was read for its headers */
  bool answered;           /* its response was passed on */
} exchange_t;

typedef struct queue {
  exchange_t *first;
  size_t count;
} queue_t;

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
  mcp__http_conn_t *conns[MAX_CONNS];
  unsigned conn_count;        /* includes closing ones */
  mcp__connector_t connector; /* opens one connection at a time */
  bool connecting;
  uint64_t next_address_ms, connect_by_ms;
  uint64_t retry_ms;  /* no connection is opened before; 0: at once */
  int connect_status; /* not 0: opening a connection failed at once, which is handled by the timer */
  queue_t waiting;    /* for a connection, or for the end of the handshake */
  queue_t parked;     /* for the list of tools */
  mcp__header_cache_t headers;
  unsigned list_pages;
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

/* ---- exchanges ------------------------------------------------------------------------------------- */

static void append(queue_t *queue, exchange_t *exchange) {
  exchange_t **end = &queue->first;
  while (*end != NULL)
    end = &(*end)->next;
  exchange->next = NULL;
  *end = exchange;
  queue->count++;
}

static void prepend(queue_t *queue, exchange_t *exchange) {
  exchange->next = queue->first;
  queue->first = exchange;
  queue->count++;
}

static void take_out(queue_t *queue, exchange_t **at) {
  *at = (*at)->next;
  queue->count--;
}

static void free_exchange(exchange_t *exchange) {
  mcp__http_message_deinit(&exchange->message);
  mcp__free(exchange);
}

static void free_queue(queue_t *queue) {
  while (queue->first != NULL) {
    exchange_t *exchange = queue->first;
    take_out(queue, &queue->first);
    free_exchange(exchange);
  }
}

static uint64_t number_of(const char *id) {
  char *end;
  unsigned long long number = id != NULL && *id >= '0' && *id <= '9' ? strtoull(id, &end, 10) : 0;
  return number > 0 && *end == '\0' ? number : 0;
}

static int new_exchange(http_link_t *link, purpose_t purpose, const char *text, size_t len,
                        exchange_t **out) {
  exchange_t *exchange = mcp__calloc(sizeof *exchange);
  if (exchange == NULL)
    return UV_ENOMEM;
  int status = mcp__http_message_read(&exchange->message, text, len, link->era, SIZE_MAX / 4);
  if (status != 0) {
    mcp__free(exchange);
    return status;
  }
  exchange->purpose = purpose;
  if (exchange->message.method != NULL && purpose != FOR_DISCOVER && purpose != FOR_TOOLS)
    exchange->request = number_of(exchange->message.id);
  *out = exchange;
  return 0;
}

/* ---- the end --------------------------------------------------------------------------------------- */

static void free_if_done(http_link_t *link) {
  if (!link->shut || link->conn_count > 0 || !link->timer_closed || !mcp__connector_is_idle(&link->connector))
    return;
  const mcp__link_events_t *events = link->events;
  void *arg = link->arg;
  mcp__header_cache_clear(&link->headers);
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
    free_exchange(conn->exchange);
  mcp__http_conn_close(conn);
}

static void shut(http_link_t *link) {
  if (link->shut)
    return;
  link->shut = link->ended = true;
  free_queue(&link->waiting);
  free_queue(&link->parked);
  for (unsigned i = 0; i < link->conn_count; i++)
    close_conn(link->conns[i]);
  mcp__connector_close(&link->connector);
  uv_close((uv_handle_t *)&link->timer, on_timer_closed);
}

static void lose(http_link_t *link, int status, const char *problem) {
  bool was_ended = link->ended;
  shut(link);
  if (!was_ended)
    link->events->on_lost(status, problem, link->arg);
}

/* ---- connections ----------------------------------------------------------------------------------- */

static mcp__http_conn_t *find_idle(const http_link_t *link, bool is_new) {
  for (unsigned i = 0; i < link->conn_count; i++)
    if (mcp__http_conn_is_idle(link->conns[i]) && (!is_new || link->conns[i]->requests == 0))
      return link->conns[i];
  return NULL;
}

static bool is_any_busy(const http_link_t *link) {
  for (unsigned i = 0; i < link->conn_count; i++)
    if (link->conns[i]->exchange != NULL)
      return true;
  return false;
}

/* Opens one more connection, if that is possible now. Calls no callback. */
static void open_conn(http_link_t *link, bool is_new) {
  uint64_t now_ms = link_now_ms(link);
  if (link->connecting || link->connect_status != 0 || now_ms < link->retry_ms)
    return;
  mcp__http_conn_t *idle = find_idle(link, false);
  if (link->conn_count == MAX_CONNS) {
    if (is_new && idle != NULL)
      mcp__http_conn_close(idle);
    return; /* continued when a connection is free or closed */
  }
  link->next_address_ms = now_ms + MCP__CONNECTOR_NEXT_ADDRESS_MS;
  link->connect_by_ms = now_ms + CONNECT_MS;
  link->connecting = true;
  link->connect_status =
      mcp__connector_start(&link->connector, link->config.url->address, link->config.url->port);
  schedule(link);
}

static int set_up_conn(http_link_t *link, mcp__http_conn_t *conn) {
  const mcp__link_config_t *config = &link->config;
  int status = 0;
  if (config->tls != NULL)
    status = mcp__http_conn_start_tls(conn, config->tls, config->url->host, config->verify);
  mcp__stream_set_secret(conn->stream, config->token != NULL);
  link->conns[link->conn_count++] = conn;
  return status;
}

/* Writes the request of an exchange. 0 or UV_ENOMEM. */
static int write_exchange(http_link_t *link, mcp__http_conn_t *conn, exchange_t *exchange) {
  const mcp__http_message_t *message = &exchange->message;
  const mcp__tool_headers_t *headers = NULL;
  mcp__http_target_t to = {link->config.url, link->config.token, link->version, link->session, link->era};
  mcp__buf_t params;
  mcp__buf_init(&params, MCP__HEAD_MAX_BYTES, NULL);
  if (message->method != NULL && strcmp(message->method, "tools/call") == 0)
    headers = mcp__header_cache_find(&link->headers, message->name);
  int status = headers != NULL ? mcp__http_write_params(&params, headers, message) : 0;
  if (status == 0)
    status = exchange->purpose == FOR_END ? mcp__http_write_delete(&conn->stream->out, &to)
                                          : mcp__http_write_post(&conn->stream->out, &to, message, &params);
  mcp__buf_deinit(&params);
  return status;
}

/* False: out of memory; the exchange is unchanged. */
static bool start_exchange(http_link_t *link, mcp__http_conn_t *conn, exchange_t *exchange) {
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
static exchange_t **find_due(http_link_t *link) {
  exchange_t **at = &link->waiting.first;
  while (*at != NULL && link->phase != READY && (*at)->purpose == FOR_MESSAGE)
    at = &(*at)->next;
  return at;
}

/* Sends what waits, as far as connections are idle. Calls no callback. */
static void run_queue(http_link_t *link) {
  exchange_t **at = find_due(link);
  while (*at != NULL && !link->shut) {
    exchange_t *exchange = *at;
    mcp__http_conn_t *conn = find_idle(link, exchange->needs_new_conn);
    if (conn == NULL) {
      open_conn(link, exchange->needs_new_conn);
      return;
    }
    if (!start_exchange(link, conn, exchange)) {
      link->retry_ms = link_now_ms(link) + MEMORY_RETRY_MS;
      return;
    }
    take_out(&link->waiting, at);
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
  if (link->closing && link->waiting.first == NULL && !is_any_busy(link))
    shut(link);
  bool is_wanted = !link->ended && link->phase == READY && link->wants_conn;
  if (is_wanted && find_idle(link, false) == NULL) {
    open_conn(link, false);
  } else if (is_wanted) {
    link->wants_conn = false;
    link->events->on_ready(link->arg);
  }
  schedule(link);
}

/* ---- failures -------------------------------------------------------------------------------------- */

/* Frees the exchange. The caller proceeds. */
static void fail_exchange(http_link_t *link, exchange_t *exchange, int status, const char *problem) {
  purpose_t purpose = exchange->purpose;
  uint64_t request = exchange->request;
  bool is_request = exchange->message.method != NULL && exchange->message.id != NULL;
  free_exchange(exchange);
  switch (purpose) {
  case FOR_DISCOVER:
  case FOR_INITIALIZE:
    lose(link, status == MCP_EDISCONNECTED ? MCP_EUPGRADE : status, problem);
    break;
  case FOR_INITIALIZED: /* the next request shows whether the server minds */
    link->phase = READY;
    break;
  case FOR_TOOLS:
    while (link->parked.first != NULL && !link->ended) {
      exchange_t *parked = link->parked.first;
      take_out(&link->parked, &link->parked.first);
      fail_exchange(link, parked, status, problem);
    }
    break;
  case FOR_MESSAGE:
    if (is_request && !link->ended)
      link->events->on_failed(request, status, problem, link->arg);
    break;
  case FOR_END:
    break;
  }
}

static void fail_connecting(http_link_t *link, int status, const char *problem) {
  link->connecting = false;
  if (link->closing)
    shut(link);
  else if (is_any_busy(link))
    link->retry_ms = link_now_ms(link) + RETRY_MS;
  else
    lose(link, status, problem);
}

static void refuse(http_link_t *link, exchange_t *exchange, const mcp__http_answer_t *answer) {
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

static yyjson_doc *parse(const mcp__buf_t *text) {
  mcp__json_error_t error;
  return text->len > 0 ? mcp__json_read(text->data, text->len, &mcp__json_alc, &error) : NULL;
}

/* A list of tools that the client requested says which headers their calls need. Without memory, the first
 * refused call reads the list again. */
static void learn_headers(http_link_t *link, const exchange_t *exchange, const mcp__buf_t *text) {
  const char *method = exchange->message.method;
  if (link->era != MCP__ERA_MODERN || method == NULL || strcmp(method, "tools/list") != 0)
    return;
  yyjson_doc *doc = parse(text);
  mcp__header_cache_add(&link->headers, yyjson_obj_get(yyjson_doc_get_root(doc), "result"));
  yyjson_doc_free(doc);
}

/* Passes a message on. Returns whether it was the response. The link may have ended afterwards. */
static bool pass_on(http_link_t *link, exchange_t *exchange, mcp__buf_t *text) {
  size_t max = text->max;
  learn_headers(link, exchange, text);
  text->max = SIZE_MAX / 4;
  int status = mcp__buf_reserve(text, MCP__JSON_PADDING); /* the reader needs it behind the text */
  text->max = max;
  if (status != 0) {
    if (exchange->message.method != NULL && exchange->message.id != NULL)
      link->events->on_failed(exchange->request, UV_ENOMEM, "out of memory", link->arg);
    return true;
  }
  return link->events->on_message(text, exchange->request, link->arg);
}

static bool is_response(yyjson_val *root) {
  return yyjson_obj_get(root, "result") != NULL || yyjson_obj_get(root, "error") != NULL;
}

static int add_internal(http_link_t *link, purpose_t purpose, const char *text) {
  exchange_t *exchange;
  int status = new_exchange(link, purpose, text, strlen(text), &exchange);
  if (status == 0)
    append(&link->waiting, exchange);
  return status;
}

static int request_tools(http_link_t *link, yyjson_val *cursor) {
  char *text = cursor != NULL ? yyjson_val_write_opts(cursor, 0, &mcp__json_alc, NULL, NULL) : NULL;
  mcp__buf_t message;
  mcp__buf_init(&message, link->config.max_message, NULL);
  int status = mcp__buf_printf(&message, "{\"jsonrpc\":\"2.0\",\"id\":\"tools-%u\",\"method\":\"tools/list\"",
                               ++link->list_pages);
  if (text != NULL)
    status = mcp__buf_first_error(status, mcp__buf_printf(&message, ",\"params\":{\"cursor\":%s}", text));
  status = mcp__buf_first_error(status, mcp__buf_append(&message, "}", 2));
  if (status == 0)
    status = add_internal(link, FOR_TOOLS, message.data);
  mcp__buf_deinit(&message);
  mcp__free(text);
  return status;
}

/* A page of the list of tools. Behind the last one, the calls that wait for it are repeated. */
static int take_tools(http_link_t *link, yyjson_val *result) {
  yyjson_val *cursor = yyjson_obj_get(result, "nextCursor");
  int status = mcp__header_cache_add(&link->headers, result);
  if (status == 0 && yyjson_is_str(cursor) && link->list_pages < MAX_LIST_PAGES)
    return request_tools(link, cursor);
  while (status == 0 && link->parked.first != NULL) {
    exchange_t *exchange = link->parked.first;
    take_out(&link->parked, &link->parked.first);
    append(&link->waiting, exchange);
  }
  return status;
}

/* Parks a call until the list of tools says which headers it needs. */
static void park(http_link_t *link, exchange_t *exchange) {
  bool is_first = link->parked.first == NULL;
  exchange->has_listed = true;
  append(&link->parked, exchange);
  if (!is_first)
    return;
  mcp__header_cache_clear(&link->headers);
  link->list_pages = 0;
  if (request_tools(link, NULL) != 0) {
    take_out(&link->parked, &link->parked.first);
    fail_exchange(link, exchange, UV_ENOMEM, "out of memory");
  }
}

/* A response that the link itself waits for, or initialize; text may be swapped. False: it is none. */
static bool take_own(http_link_t *link, exchange_t *exchange, int status, mcp__buf_t *text,
                     const char *session) {
  char problem[320] = "";
  yyjson_doc *doc = parse(text);
  yyjson_val *root = yyjson_doc_get_root(doc), *result = yyjson_obj_get(root, "result");
  bool taken = true;
  int failure = MCP_EUPGRADE;
  const char *cause = NULL;
  if (exchange->purpose == FOR_DISCOVER) {
    taken = take_discover(link, status, root);
  } else if (exchange->purpose == FOR_INITIALIZE) {
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
  if (taken && exchange->purpose == FOR_INITIALIZE)
    pass_on(link, exchange, text);
  if (taken)
    free_exchange(exchange);
  return taken;
}

/* Whether a refused call lacks headers that the list of tools names. */
static bool lacks_headers(const http_link_t *link, const exchange_t *exchange,
                          const mcp__http_answer_t *answer) {
  const char *method = exchange->message.method;
  if (link->era != MCP__ERA_MODERN || answer->status != 400 || !answer->is_json || exchange->has_listed ||
      method == NULL || strcmp(method, "tools/call") != 0)
    return false;
  yyjson_doc *doc = parse(answer->body);
  yyjson_val *error = yyjson_obj_get(yyjson_doc_get_root(doc), "error");
  bool lacks = yyjson_get_sint(yyjson_obj_get(error, "code")) == MCP__HEADER_MISMATCH;
  yyjson_doc_free(doc);
  return lacks;
}

/* The server has forgotten the session: the message is sent again in a new one. */
static void renew_session(http_link_t *link, exchange_t *exchange) {
  bool is_current = exchange->session_number == link->session_number;
  exchange->is_in_new_session = true;
  prepend(&link->waiting, exchange);
  if (is_current)
    begin_session(link);
}

/* Whether the status alone decides, whatever the body. */
static bool is_decisive(int status) {
  return status == 401 || status == 403 || status == 429 || status == 503 || (status >= 300 && status < 400);
}

/* Whether the body is a response of JSON-RPC. */
static bool is_for_client(const mcp__http_answer_t *answer) {
  if (!answer->is_json || answer->body->len == 0 || is_decisive(answer->status))
    return false;
  if (answer->status == 200)
    return true;
  yyjson_doc *doc = parse(answer->body);
  bool is_error = yyjson_is_obj(yyjson_obj_get(yyjson_doc_get_root(doc), "error"));
  yyjson_doc_free(doc);
  return is_error;
}

/* Whether the server does not know the session of a request any more. */
static bool has_lost_session(const http_link_t *link, const exchange_t *exchange, int status) {
  return status == 404 && link->era == MCP__ERA_LEGACY && !exchange->is_in_new_session &&
         (link->session != NULL || exchange->session_number != link->session_number);
}

/* The response to a message of the client. */
static void take_client_answer(http_link_t *link, exchange_t *exchange, const mcp__http_answer_t *answer) {
  bool is_request = exchange->message.method != NULL && exchange->message.id != NULL;
  if (exchange->answered || !is_request) {
    free_exchange(exchange);
  } else if (answer->is_events) {
    fail_exchange(link, exchange, MCP_EDISCONNECTED, "the stream of events ended without the response");
  } else if (has_lost_session(link, exchange, answer->status)) {
    renew_session(link, exchange);
  } else if (lacks_headers(link, exchange, answer)) {
    park(link, exchange);
  } else if (is_for_client(answer)) {
    pass_on(link, exchange, answer->body);
    free_exchange(exchange);
  } else {
    refuse(link, exchange, answer);
  }
}

static void take_answer(http_link_t *link, exchange_t *exchange, const mcp__http_answer_t *answer) {
  bool is_notification = exchange->purpose == FOR_INITIALIZED || exchange->purpose == FOR_END;
  if (exchange->purpose == FOR_MESSAGE)
    take_client_answer(link, exchange, answer);
  else if (exchange->answered)
    free_exchange(exchange);
  else if (is_notification) /* whatever the server thinks of it */
    fail_exchange(link, exchange, 0, "");
  else if (answer->is_events)
    fail_exchange(link, exchange, MCP_EDISCONNECTED, "the stream of events ended without the response");
  else if (is_decisive(answer->status) ||
           !take_own(link, exchange, answer->status, answer->body, answer->session))
    refuse(link, exchange, answer);
}

/* ---- events of connections ------------------------------------------------------------------------- */

static exchange_t *take_exchange(mcp__http_conn_t *conn) {
  exchange_t *exchange = conn->exchange;
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
  exchange_t *exchange = conn->exchange;
  yyjson_doc *doc = parse(text);
  bool was_response = is_response(yyjson_doc_get_root(doc));
  yyjson_doc_free(doc);
  exchange_t *rest = was_response ? mcp__calloc(sizeof *rest) : NULL;
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
  exchange_t *exchange = conn->exchange;
  if (exchange->answered || exchange->purpose == FOR_INITIALIZED || exchange->purpose == FOR_END)
    return; /* nothing may follow the response, and notifications have none */
  if (exchange->purpose != FOR_MESSAGE) {
    take_own_event(link, conn, text);
  } else if (pass_on(link, exchange, text) && conn->exchange == exchange) {
    exchange->answered = true;
    conn->until_ms = link_now_ms(link) + DRAIN_MS;
  }
  proceed(link);
}

/* Whether the server closed a kept connection before it saw the request. */
static bool may_repeat(const http_link_t *link, const mcp__http_conn_t *conn, const exchange_t *exchange,
                       bool began, int status) {
  return !began && status == MCP_EDISCONNECTED && conn->requests > 1 && !exchange->needs_new_conn &&
         link_now_ms(link) - exchange->sent_ms < REPEAT_WITHIN_MS;
}

static void on_conn_failed(mcp__http_conn_t *conn, bool began, int status, const char *problem, void *arg) {
  http_link_t *link = arg;
  exchange_t *exchange = take_exchange(conn);
  if (may_repeat(link, conn, exchange, began, status)) {
    exchange->needs_new_conn = true;
    prepend(&link->waiting, exchange);
  } else if (exchange->answered) {
    free_exchange(exchange);
  } else if (status == MCP_ETLS) {
    free_exchange(exchange);
    lose(link, status, problem);
  } else {
    fail_exchange(link, exchange, status, problem);
  }
  proceed(link);
}

static void on_conn_freed(mcp__http_conn_t *conn, void *arg) {
  http_link_t *link = arg;
  unsigned at = 0;
  while (link->conns[at] != conn)
    at++;
  link->conns[at] = link->conns[--link->conn_count];
  if (link->shut)
    free_if_done(link);
  else
    proceed(link);
}

static const mcp__http_conn_events_t conn_events = {on_event, on_answer, on_conn_failed, on_conn_freed};

static void on_connector_done(mcp__stream_t *stream, int status, const char *problem, void *arg) {
  http_link_t *link = arg;
  link->connecting = false;
  if (stream == NULL) {
    fail_connecting(link, status, problem);
    proceed(link);
    return;
  }
  mcp__http_conn_t *conn = mcp__http_conn_new(stream, link->config.max_message, &conn_events, link);
  if (conn == NULL)
    fail_connecting(link, UV_ENOMEM, "out of memory");
  else if (set_up_conn(link, conn) != 0)
    mcp__http_conn_close(conn);
  proceed(link);
}

static void on_connector_idle(void *arg) {
  free_if_done(arg);
}

/* ---- time ------------------------------------------------------------------------------------------ */

static void tick_connecting(http_link_t *link, uint64_t now_ms) {
  char problem[320];
  mcp__connector_t *connector = &link->connector;
  if (link->connect_status != 0) {
    int status = link->connect_status;
    link->connect_status = 0;
    fail_connecting(link, status, connector->problem);
  } else if (now_ms >= link->connect_by_ms) {
    mcp__connector_cancel(connector);
    snprintf(problem, sizeof problem, "not connected within %d ms%s%s", CONNECT_MS,
             *connector->problem != '\0' ? "; " : "", connector->problem);
    fail_connecting(link, MCP_ECONNECT, problem);
  } else if (now_ms >= link->next_address_ms) {
    link->next_address_ms = now_ms + MCP__CONNECTOR_NEXT_ADDRESS_MS;
    mcp__connector_try_next(connector);
  }
}

static void on_timer(uv_timer_t *timer) {
  http_link_t *link = timer->data;
  uint64_t now_ms = link_now_ms(link);
  if (link->closing && now_ms >= link->close_by_ms)
    shut(link);
  if (link->connecting && !link->shut)
    tick_connecting(link, now_ms);
  for (unsigned i = 0; i < link->conn_count; i++)
    if (link->conns[i]->until_ms != 0 && now_ms >= link->conns[i]->until_ms && !link->shut) {
      link->conns[i]->until_ms = 0;
      close_conn(link->conns[i]); /* the response was passed on: only the end of its stream is missing */
    }
  if (now_ms >= link->retry_ms)
    link->retry_ms = 0;
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
  if (link->connecting)
    earlier(&due_ms, link->connect_status != 0                     ? now_ms
                     : link->next_address_ms < link->connect_by_ms ? link->next_address_ms
                                                                   : link->connect_by_ms);
  if (link->retry_ms != 0)
    earlier(&due_ms, link->retry_ms);
  if (link->closing)
    earlier(&due_ms, link->close_by_ms);
  if (link->must_open)
    due_ms = now_ms;
  for (unsigned i = 0; i < link->conn_count; i++)
    if (link->conns[i]->until_ms != 0)
      earlier(&due_ms, link->conns[i]->until_ms);
  uv_timer_start(&link->timer, on_timer, due_ms > now_ms ? due_ms - now_ms : 0, 0);
}

/* ---- the operations of a link ---------------------------------------------------------------------- */

/* Removes the exchange of an id. Returns whether the server may be working on it. */
static bool cancel(http_link_t *link, const char *id) {
  queue_t *queues[] = {&link->waiting, &link->parked};
  for (unsigned i = 0; i < 2; i++)
    for (exchange_t **at = &queues[i]->first; *at != NULL; at = &(*at)->next)
      if ((*at)->purpose == FOR_MESSAGE && (*at)->message.id != NULL && strcmp((*at)->message.id, id) == 0) {
        exchange_t *exchange = *at;
        take_out(queues[i], at);
        free_exchange(exchange);
        return false;
      }
  for (unsigned i = 0; i < link->conn_count; i++) {
    exchange_t *exchange = link->conns[i]->exchange;
    if (exchange != NULL && exchange->message.id != NULL && strcmp(exchange->message.id, id) == 0) {
      close_conn(link->conns[i]);
      return true;
    }
  }
  return false;
}

static purpose_t purpose_of(const http_link_t *link, const mcp__http_message_t *message) {
  if (link->phase != INITIALIZING || message->method == NULL)
    return FOR_MESSAGE;
  if (strcmp(message->method, "initialize") == 0)
    return FOR_INITIALIZE;
  return strcmp(message->method, "notifications/initialized") == 0 ? FOR_INITIALIZED : FOR_MESSAGE;
}

static int send_message(mcp__link_t *base, mcp__link_write_t write, void *what) {
  http_link_t *link = link_of(base);
  exchange_t *exchange;
  mcp__buf_t text;
  if (link->ended)
    return MCP_EDISCONNECTED;
  if (link->waiting.count >= MAX_QUEUED)
    return MCP_ELIMIT;
  mcp__buf_init(&text, SIZE_MAX / 4, NULL);
  int status = write(&text, what);
  if (status == 0)
    status = new_exchange(link, FOR_MESSAGE, text.data, text.len, &exchange);
  mcp__buf_deinit(&text);
  if (status != 0)
    return status;
  exchange->purpose = purpose_of(link, &exchange->message);
  const char *cancels = exchange->message.cancels;
  if (cancels != NULL && (!cancel(link, cancels) || link->era == MCP__ERA_MODERN)) {
    free_exchange(exchange); /* closing the connection is the cancellation */
    return 0;
  }
  append(&link->waiting, exchange);
  run_queue(link);
  schedule(link);
  return 0;
}

static bool may_send(mcp__link_t *base) {
  http_link_t *link = link_of(base);
  if (link->ended)
    return false;
  if (link->phase == READY && find_idle(link, false) != NULL)
    return true;
  link->wants_conn = true;
  if (link->phase == READY)
    open_conn(link, false);
  return false;
}

static bool is_stateless(const mcp__link_t *base) {
  return ((const http_link_t *)(const void *)base)->era == MCP__ERA_MODERN;
}

static size_t backlog(const mcp__link_t *base) {
  const http_link_t *link = (const http_link_t *)(const void *)base;
  size_t bytes = 0;
  for (unsigned i = 0; i < link->conn_count; i++)
    if (!link->conns[i]->stream->closing)
      bytes += mcp__stream_backlog(link->conns[i]->stream);
  for (const exchange_t *each = link->waiting.first; each != NULL; each = each->next)
    bytes += each->message.body.len;
  return bytes;
}

static mcp_stage_t stage(const mcp__link_t *base) {
  const http_link_t *link = (const http_link_t *)(const void *)base;
  bool is_secured = link->conn_count == 0 || mcp__http_conn_is_secured(link->conns[0]);
  return is_secured ? MCP_STAGE_INITIALIZE : MCP_STAGE_TLS;
}

static void set_reading(mcp__link_t *base, bool on) {
  http_link_t *link = link_of(base);
  for (unsigned i = 0; i < link->conn_count; i++)
    mcp__stream_read(link->conns[i]->stream, on);
}

static uint64_t tick(mcp__link_t *base, uint64_t now_ms) {
  (void)base; /* it has a timer itself */
  return now_ms + NEVER_MS;
}

static void keep_cancellations(queue_t *queue) {
  for (exchange_t **at = &queue->first; *at != NULL;) {
    exchange_t *exchange = *at;
    if (exchange->message.cancels != NULL) {
      at = &exchange->next;
    } else {
      take_out(queue, at);
      free_exchange(exchange);
    }
  }
}

/* Sends what a server of an older version has to know first: cancellations, and the end of the session. */
static void close_link(mcp__link_t *base, bool politely) {
  http_link_t *link = link_of(base);
  exchange_t *end = NULL;
  link->ended = true;
  if (link->shut)
    return;
  if (politely && link->session != NULL)
    end = mcp__calloc(sizeof *end);
  keep_cancellations(&link->waiting);
  free_queue(&link->parked);
  for (unsigned i = 0; i < link->conn_count; i++) {
    const exchange_t *exchange = link->conns[i]->exchange;
    if (exchange != NULL && exchange->message.cancels == NULL)
      close_conn(link->conns[i]);
  }
  if (end != NULL) {
    end->purpose = FOR_END;
    append(&link->waiting, end);
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
  link->connector = (mcp__connector_t){
      .io = link->io, .on_done = on_connector_done, .on_idle = on_connector_idle, .arg = link};
  uv_timer_init(link->io->prepare.loop, &link->timer);
  link->timer.data = link;
  mcp__http_conn_t *conn = mcp__http_conn_new(stream, config->max_message, &conn_events, link);
  int status = conn != NULL ? set_up_conn(link, conn) : UV_ENOMEM;
  if (config->needs_session)
    begin_session(link);
  else if (status == 0)
    status = add_internal(link, FOR_DISCOVER,
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
