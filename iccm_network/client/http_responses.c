/* http_responses.c: the responses to a link's requests, and the failures of these.
 *
 * Happy path: a response, or each event of it, is passed on to the client; those to the link's own requests
 * decide on the version, the session and the headers of calls. Failure: a refusal or a lost connection fails
 * its request alone; a request that a server closed a kept connection on is repeated once, and so is one that
 * needs a new session or other headers. */
#include "client/http_answer.h"
#include "client/handshake.h"
#include "client/http_link_parts.h"

#include <stdio.h>
#include <string.h>

enum { REPEAT_WITHIN_MS = 5000 /* later the server has probably begun to serve the request */ };

#define STREAM_ENDED "the stream of events ended without the response"

/* ---- failures -------------------------------------------------------------------------------------- */

/* Frees the exchange. The caller proceeds. */
static void fail_exchange(mcp__http_link_t *link, mcp__client_exchange_t *exchange, int status,
                          const char *problem) {
  mcp__purpose_t purpose = exchange->purpose;
  uint64_t request = exchange->request;
  bool is_request = mcp__client_exchange_is_request(exchange);
  mcp__client_exchange_free(exchange);
  switch (purpose) {
  case MCP__FOR_DISCOVER:
  case MCP__FOR_INITIALIZE:
    mcp__http_link_lose(link, status == MCP_EDISCONNECTED ? MCP_EUPGRADE : status, problem);
    break;
  case MCP__FOR_INITIALIZED: /* the next request shows whether the server minds */
    link->phase = MCP__HTTP_READY;
    if (link->session != NULL && !link->ended)
      mcp__http_link_open_stream(link);
    break;
  case MCP__FOR_STREAM: /* the server has none */
    mcp__http_link_end_stream(link);
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

static void refuse(mcp__http_link_t *link, mcp__client_exchange_t *exchange,
                   const mcp__http_answer_t *answer) {
  char problem[512];
  mcp__http_refusal_t refusal = {answer->status, answer->type, answer->location, answer->body->data,
                                 answer->body->len};
  int status = mcp__http_explain(&refusal, problem, sizeof problem);
  fail_exchange(link, exchange, status, problem);
}

/* Continues the stream of events of an exchange, in a session, or fails it. */
static void resume(mcp__http_link_t *link, mcp__client_exchange_t *exchange, const mcp__sse_t *sse,
                   const char *problem) {
  bool is_of_message = exchange->purpose == MCP__FOR_MESSAGE || exchange->purpose == MCP__FOR_STREAM;
  if (is_of_message && link->era == MCP__ERA_LEGACY && !link->ended &&
      exchange->session_number == link->session_number &&
      mcp__client_exchange_resume(exchange, sse, mcp__http_link_now_ms(link)))
    mcp__exchange_append(&link->waiting, exchange);
  else
    fail_exchange(link, exchange, MCP_EDISCONNECTED, problem);
}

static void fail_resumed(mcp__http_link_t *link, mcp__client_exchange_t *exchange, int status) {
  char problem[160];
  snprintf(problem, sizeof problem,
           "the stream of events ended without the response, and the server does not continue it: HTTP %d",
           status);
  fail_exchange(link, exchange, MCP_EDISCONNECTED, problem);
}

/* ---- the handshake --------------------------------------------------------------------------------- */

static void become_modern(mcp__http_link_t *link) {
  link->phase = MCP__HTTP_READY;
  link->must_open = true;
}

static const char *keep_session(mcp__http_link_t *link, yyjson_val *result, const char *session) {
  const char *problem = mcp__judge_initialize(result, session, &link->version);
  if (problem != NULL)
    return problem;
  link->session = session != NULL ? mcp__strdup(session) : NULL;
  return session != NULL && link->session == NULL ? "out of memory" : NULL;
}

/* The response to server/discover; root is that of its JSON, or NULL. False: it is no answer to this. */
static bool take_discover(mcp__http_link_t *link, int status, yyjson_val *root) {
  switch (mcp__judge_discover(status, root)) {
  case MCP__IS_MODERN:
    if (link->fell_back && !link->ended && link->events->on_discovered != NULL)
      link->events->on_discovered(yyjson_obj_get(root, "result"), link->arg);
    become_modern(link);
    return true;
  case MCP__IS_LEGACY:
    mcp__http_link_begin_session(link);
    return true;
  default:
    return false;
  }
}

/* ---- responses ------------------------------------------------------------------------------------- */

/* Passes a message on. Returns whether it was the response. The link may have ended afterwards. */
static bool pass_on(mcp__http_link_t *link, mcp__client_exchange_t *exchange, mcp__buf_t *text) {
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

/* A page of the list of tools. Behind the last one, the calls that wait for it are repeated. */
static int take_tools(mcp__http_link_t *link, yyjson_val *result) {
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
static void park(mcp__http_link_t *link, mcp__client_exchange_t *exchange) {
  mcp__client_exchange_t *next;
  if (mcp__http_tools_park(&link->tools, exchange, &next) != 0)
    fail_exchange(link, exchange, UV_ENOMEM, "out of memory");
  else if (next != NULL)
    mcp__exchange_append(&link->waiting, next);
}

/* A response that the link itself waits for, or initialize; text may be swapped. False: it is none. */
static bool take_own(mcp__http_link_t *link, mcp__client_exchange_t *exchange, int status, mcp__buf_t *text,
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
  bool is_refused = !taken && yyjson_is_obj(yyjson_obj_get(root, "error"));
  bool falls_back = is_refused && exchange->purpose == MCP__FOR_INITIALIZE && link->config.needs_session &&
                    !link->fell_back;
  if (is_refused) {
    mcp__describe_refusal(root, problem, sizeof problem);
    cause = problem;
    failure = MCP_EUPGRADE;
  }
  yyjson_doc_free(doc);
  if (falls_back) {
    mcp__client_exchange_free(exchange);
    mcp__http_link_fall_back(link);
    return true;
  }
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
static bool lacks_headers(const mcp__http_link_t *link, const mcp__client_exchange_t *exchange,
                          const mcp__http_answer_t *answer) {
  const char *method = exchange->message.method;
  return link->era == MCP__ERA_MODERN && !exchange->has_listed && method != NULL &&
         strcmp(method, "tools/call") == 0 && mcp__http_answer_lacks_headers(answer);
}

/* The server has forgotten the session: the message is sent again in a new one. */
static void renew_session(mcp__http_link_t *link, mcp__client_exchange_t *exchange) {
  bool is_current = exchange->session_number == link->session_number;
  exchange->is_in_new_session = true;
  mcp__exchange_prepend(&link->waiting, exchange);
  if (is_current)
    mcp__http_link_begin_session(link);
}

/* Whether the server does not know the session of a request any more. */
static bool has_lost_session(const mcp__http_link_t *link, const mcp__client_exchange_t *exchange,
                             int status) {
  return status == 404 && link->era == MCP__ERA_LEGACY && !exchange->is_in_new_session &&
         (link->session != NULL || exchange->session_number != link->session_number);
}

/* The response to a message of the client. */
static void take_client_answer(mcp__http_link_t *link, mcp__client_exchange_t *exchange,
                               const mcp__http_answer_t *answer, const mcp__sse_t *sse) {
  bool is_request = mcp__client_exchange_is_request(exchange);
  if (exchange->answered || !is_request) {
    mcp__client_exchange_free(exchange);
  } else if (answer->is_events) {
    resume(link, exchange, sse, STREAM_ENDED);
  } else if (exchange->resume_id != NULL) {
    fail_resumed(link, exchange, answer->status);
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

static void take_answer(mcp__http_link_t *link, mcp__client_exchange_t *exchange,
                        const mcp__http_answer_t *answer, const mcp__sse_t *sse) {
  bool is_notification = exchange->purpose == MCP__FOR_INITIALIZED || exchange->purpose == MCP__FOR_END;
  bool is_stream = exchange->purpose == MCP__FOR_STREAM;
  if (exchange->purpose == MCP__FOR_MESSAGE)
    take_client_answer(link, exchange, answer, sse);
  else if (exchange->answered)
    mcp__client_exchange_free(exchange);
  else if (is_notification || (is_stream && !answer->is_events)) /* whatever the server thinks of it */
    fail_exchange(link, exchange, 0, "");
  else if (answer->is_events)
    resume(link, exchange, sse, STREAM_ENDED);
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

void mcp__http_responses_on_answer(mcp__http_conn_t *conn, const mcp__http_answer_t *answer, void *arg) {
  mcp__http_link_t *link = arg;
  take_answer(link, take_exchange(conn), answer, &conn->sse);
  if (link->conns.count > link->conns.max && conn->exchange == NULL)
    mcp__http_conn_close(conn); /* it was one more for the stream of the session */
  mcp__http_link_proceed(link);
}

/* An event for the link itself. If it is the response, the rest of the stream gets another exchange. */
static void take_own_event(mcp__http_link_t *link, mcp__http_conn_t *conn, mcp__buf_t *text) {
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
  conn->until_ms = mcp__http_link_now_ms(link) + MCP__HTTP_DRAIN_MS;
  if (!take_own(link, exchange, 200, text, mcp__head_value(conn->head, MCP__H_MCP_SESSION)))
    fail_exchange(link, exchange, MCP_EPROTOCOL, "the server sent an unexpected response");
}

void mcp__http_responses_on_event(mcp__http_conn_t *conn, mcp__buf_t *text, void *arg) {
  mcp__http_link_t *link = arg;
  mcp__client_exchange_t *exchange = conn->exchange;
  if (exchange->answered || exchange->purpose == MCP__FOR_INITIALIZED || exchange->purpose == MCP__FOR_END)
    return; /* nothing may follow the response, and notifications have none */
  if (exchange->purpose == MCP__FOR_STREAM) {
    pass_on(link, exchange, text);
  } else if (exchange->purpose != MCP__FOR_MESSAGE) {
    take_own_event(link, conn, text);
  } else if (pass_on(link, exchange, text) && conn->exchange == exchange) {
    exchange->answered = true;
    conn->until_ms = mcp__http_link_now_ms(link) + MCP__HTTP_DRAIN_MS;
  }
  mcp__http_link_proceed(link);
}

/* Whether the server closed a kept connection before it saw the request. */
static bool may_repeat(const mcp__http_link_t *link, const mcp__http_conn_t *conn,
                       const mcp__client_exchange_t *exchange, bool began, int status) {
  return !began && status == MCP_EDISCONNECTED && conn->requests > 1 && !exchange->needs_new_conn &&
         mcp__http_link_now_ms(link) - exchange->sent_ms < REPEAT_WITHIN_MS;
}

void mcp__http_responses_on_failed(mcp__http_conn_t *conn, bool began, int status, const char *problem,
                                   void *arg) {
  mcp__http_link_t *link = arg;
  mcp__client_exchange_t *exchange = take_exchange(conn);
  if (may_repeat(link, conn, exchange, began, status)) {
    exchange->needs_new_conn = true;
    mcp__exchange_prepend(&link->waiting, exchange);
  } else if (exchange->answered) {
    mcp__client_exchange_free(exchange);
  } else if (status == MCP_ETLS) {
    mcp__client_exchange_free(exchange);
    mcp__http_link_lose(link, status, problem);
  } else if (status == MCP_EDISCONNECTED && (conn->is_events || exchange->resume_id != NULL)) {
    resume(link, exchange, &conn->sse, problem);
  } else {
    fail_exchange(link, exchange, status, problem);
  }
  mcp__http_link_proceed(link);
}
