/* client.c: a connection to one peer, with automatic reconnects while there are requests.
 *
 * Happy path: the first call makes the client resolve, connect, upgrade and initialize. Calls made meanwhile
 * wait and are then sent over the link; received messages are dispatched here. With several endpoints, each
 * attempt starts with the first one and continues with the next when one fails. Failure: a lost connection
 * fails the requests that were sent, at once and with a code that says so. Unsent requests wait until their
 * deadline (or fail with the attempt, in fail-fast mode) while the client reconnects with exponential
 * backoff. One timer serves all deadlines. */
#include "client/client.h"

#include "client/http_link.h"
#include "client/stdio_link.h"
#include "client/ws_link.h"

#include "base/error.h"
#include "base/excerpt.h"
#include "base/settings.h"
#include "base/utf8.h"
#include "mcp/ids.h"
#include "transport/auth.h"
#include "transport/connector.h"
#include "transport/peer_addr.h"
#include "iccm_service.h"
#include "transport/rate_limit.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

enum {
  DEFAULT_MAX_MESSAGE = 16 << 20,
  MIN_MAX_MESSAGE = 1024,
  MAX_MAX_MESSAGE = 200 << 20,
  CONNECT_MS = 5000,   /* all addresses together, including the name look-up */
  HANDSHAKE_MS = 5000, /* upgrade and initialize */
  START_MS = 30000,    /* the same of a program, which may have to be installed first */
  STABLE_MS = 1000,    /* a connection that is lost sooner counts as a failed attempt */
  TEXT_KEEP_BYTES = 1 << 20,
  MAX_REPLY_BYTES = 32 << 20, /* unsent replies, in addition to the largest message */
  MAX_TRACE_BYTES = 128,
  NEVER_MS = 3600000 /* the longest timer: nothing is due */
};

typedef enum client_state { IDLE, BACKOFF, CONNECTING, HANDSHAKING, OPEN, CLOSING, CLOSED } state_t;

/* A URL to connect to. */
typedef struct endpoint {
  mcp__url_t url;
  mcp__connector_t connector;
} endpoint_t;

struct mcp_client {
  uv_loop_t *loop;
  endpoint_t *endpoints; /* in the order in which they are tried */
  unsigned endpoint_count;
  endpoint_t *endpoint;    /* the one being tried or connected */
  char **program;          /* started in place of connecting to the endpoint; NULL: none */
  char *name;              /* all endpoints, for messages */
  bool is_default;         /* the default endpoints: the token is sent to loopback only */
  bool name_unresolved;    /* the name of endpoint is not resolved yet */
  char *token;             /* NULL: none */
  mcp__tls_context_t *tls; /* NULL: no TLS */
  bool verify;
  size_t max_message;
  const char *initialize_params; /* the params of initialize */
  const mcp__forward_t *forward; /* NULL: messages are handled by this client */
  /* Time limit for everything before the first call; 0: the default limits of each stage. */
  uint64_t connect_ms;
  bool fail_fast, stay_connected; /* stay_connected: connect even without requests */
  mcp_client_state_cb on_state;
  void *on_state_arg;
  mcp_notification_cb on_notification;
  void *on_notification_arg;
  char trace_id[MAX_TRACE_BYTES + 1]; /* "": none */
  state_t state;
  bool active;    /* handles are open */
  bool reopening; /* HANDSHAKING once more over the same link, since the session ended */
  mcp__io_t io;
  uv_timer_t timer;
  uint64_t due_ms;            /* when the timer fires */
  uint64_t stage_deadline_ms; /* when the state times out, or ends (BACKOFF) */
  uint64_t next_address_ms;   /* CONNECTING: when the next address is tried */
  unsigned attempts;          /* failed attempts since a connection was stable or answered */
  uint64_t opened_ms;         /* when the connection opened */
  mcp__link_t *link;
  unsigned links; /* links that are not freed yet */
  mcp__requests_t requests;
  uint64_t initialize_id;
  mcp__buf_t text;                      /* the message being parsed, which modifies it */
  char text_start[MCP__EXCERPT_SIZE];   /* its beginning, as received */
  mcp__log_throttle_t invalid_messages; /* invalid messages since the last log line */
  mcp__arena_t arena;
  mcp_stage_t last_stage;   /* the stage that the last attempt reached */
  int status;               /* why there is no connection */
  char problem[512];        /* the same as a message */
  char attempt_errors[512]; /* the errors of this attempt's endpoints so far */
  mcp_client_cb on_closed;
  void *on_closed_arg;
  int open_handles;
};

static void wake_at(mcp_client_t *client, uint64_t ms);

/* ---- connection state ------------------------------------------------------------------------------ */

mcp_stage_t mcp_client_stage(const mcp_client_t *client) {
  switch (client->state) {
  case CONNECTING:
    return client->name_unresolved || client->endpoint->connector.lookup != NULL ? MCP_STAGE_RESOLVING
                                                                                 : MCP_STAGE_CONNECTING;
  case HANDSHAKING:
    return client->link != NULL ? mcp__link_stage(client->link) : client->last_stage;
  case OPEN:
    return MCP_STAGE_OPEN;
  default:
    return client->last_stage;
  }
}

/* The step that the handshake waits for. */
static const char *describe_handshake(const mcp_client_t *client) {
  if (client->program != NULL)
    return "the program was started but did not answer server/discover or initialize";
  if (client->endpoint->url.http && mcp_client_stage(client) != MCP_STAGE_TLS)
    return "the server accepted the connection but did not answer server/discover or initialize";
  static const char *const descriptions[] = {
      [MCP_STAGE_TLS] = "the server accepted the connection but did not answer the TLS handshake",
      [MCP_STAGE_UPGRADE] = "the server accepted the connection but did not answer the WebSocket upgrade",
      [MCP_STAGE_INITIALIZE] = "the server accepted the WebSocket connection but did not answer initialize"};
  return descriptions[mcp_client_stage(client)];
}

static void notify_state(mcp_client_t *client, int status) {
  if (client->on_state != NULL && client->state < CLOSING)
    client->on_state(client, status, status != 0 ? client->problem : NULL, client->on_state_arg);
}

static void back_off(mcp_client_t *client) {
  uint32_t chance = 0;
  uv_random(NULL, NULL, &chance, sizeof chance, 0, NULL);
  client->state = BACKOFF;
  client->stage_deadline_ms = uv_now(client->loop) + mcp__backoff_ms(client->attempts, chance);
  if (client->attempts < UINT16_MAX)
    client->attempts++;
  wake_at(client, client->stage_deadline_ms);
}

static void start_endpoint(mcp_client_t *client, endpoint_t *endpoint);

static void add_attempt_error(mcp_client_t *client, const char *problem) {
  size_t len = strlen(client->attempt_errors), size = sizeof client->attempt_errors - len;
  if (client->endpoint_count > 1)
    snprintf(client->attempt_errors + len, size, "%s%s: %s", len > 0 ? "; " : "",
             client->endpoint->url.authority, problem);
  else
    snprintf(client->attempt_errors, size, "%s", problem);
}

/* Whether another endpoint is tried now. The second default endpoint is tried only if the name of the first
 * has no address. */
static bool try_next_endpoint(mcp_client_t *client, int status) {
  bool is_last = client->endpoint + 1 == client->endpoints + client->endpoint_count;
  if (is_last || (client->is_default && status != MCP_ERESOLVE && !client->name_unresolved))
    return false;
  start_endpoint(client, client->endpoint + 1);
  return true;
}

/* There is no connection, or it was lost. Sent requests fail. Unsent requests fail only in fail-fast mode,
 * after a failed attempt without a further endpoint. */
static void connection_failed(mcp_client_t *client, int status, const char *problem) {
  bool was_open = client->state == OPEN || client->reopening;
  if (client->state >= CLOSING)
    return;
  client->reopening = false;
  client->last_stage = mcp_client_stage(client);
  client->link = NULL;
  if (!was_open) {
    add_attempt_error(client, problem);
    if (try_next_endpoint(client, status))
      return;
    problem = client->attempt_errors;
  }
  if (was_open && uv_now(client->loop) - client->opened_ms >= STABLE_MS)
    client->attempts = 0;
  mcp__requests_set_link(&client->requests, NULL);
  client->status = status;
  snprintf(client->problem, sizeof client->problem, "%s", problem);
  mcp_log(MCP_LOG_DEBUG, "client", "%s: %s", client->name, client->problem);
  back_off(client);
  mcp__requests_fail(&client->requests, true, status, problem);
  if (client->fail_fast && !was_open)
    mcp__requests_fail(&client->requests, false, status, problem);
  notify_state(client, status);
}

static void drop_link(mcp_client_t *client, int status, const char *problem) {
  mcp__link_t *link = client->link;
  client->last_stage = mcp_client_stage(client);
  client->link = NULL;
  if (link != NULL)
    mcp__link_close(link, false);
  connection_failed(client, status, problem);
}

/* All ICCM peers support 2024-11-05, and in it a tool's error keeps its own code. */
static const char default_initialize_params[] =
    "{\"protocolVersion\":\"2024-11-05\",\"capabilities\":{},"
    "\"clientInfo\":{\"name\":\"iccm-network\",\"version\":\"" MCP_VERSION "\"}}";

/* The newest version that begins with initialize, for all servers but those of the family. */
static const char newest_initialize_params[] =
    "{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{},"
    "\"clientInfo\":{\"name\":\"iccm-network\",\"version\":\"" MCP_VERSION "\"}}";

static int write_initialize(mcp__buf_t *out, void *what) {
  mcp_client_t *client = what;
  const char *params = client->initialize_params;
  bool is_websocket = !client->endpoint->url.http && client->program == NULL;
  if (!is_websocket && params == default_initialize_params)
    params = newest_initialize_params;
  return mcp__jsonrpc_request(out, client->initialize_id, "initialize", params, strlen(params));
}

static int write_initialized(mcp__buf_t *out, void *what) {
  (void)what;
  return mcp__jsonrpc_request(out, 0, "notifications/initialized", NULL, 0);
}

static void set_open(mcp_client_t *client) {
  bool is_new = !client->reopening;
  client->reopening = false;
  client->state = OPEN;
  client->opened_ms = uv_now(client->loop);
  *client->problem = '\0';
  mcp__requests_set_link(&client->requests, client->link);
  if (is_new)
    notify_state(client, 0);
}

static void start_handshake(mcp_client_t *client);

static void on_link_open(void *arg) {
  mcp_client_t *client = arg;
  if (mcp__link_is_stateless(client->link)) {
    set_open(client);
    return;
  }
  if (client->state == OPEN) { /* the session has ended */
    client->reopening = true;
    start_handshake(client);
  }
  client->initialize_id = ++client->requests.last_id;
  if (mcp__link_send(client->link, write_initialize, client) != 0)
    drop_link(client, UV_ENOMEM, "out of memory");
}

static void on_initialized(mcp_client_t *client) { /* on any response: old peers do not know initialize */
  if (mcp__link_send(client->link, write_initialized, NULL) != 0) {
    drop_link(client, UV_ENOMEM, "out of memory");
    return;
  }
  client->requests.notifications = 1; /* notifications/initialized */
  set_open(client);
}

/* The token for the endpoint. Of the default endpoints only a later one on loopback gets it. */
static const char *token_for_endpoint(const mcp_client_t *client, const mcp__stream_t *stream) {
  struct sockaddr_storage peer;
  int size = sizeof peer;
  bool here = client->endpoint > client->endpoints &&
              uv_tcp_getpeername(&stream->tcp, (struct sockaddr *)&peer, &size) == 0 &&
              mcp__peer_is_loopback((struct sockaddr *)&peer);
  return !client->is_default || here ? client->token : NULL;
}

static void on_link_lost(int status, const char *problem, void *arg) {
  mcp_client_t *client = arg;
  char reason[640];
  bool withheld = status == MCP_EREFUSED && client->is_default && client->token != NULL;
  snprintf(reason, sizeof reason, "%s%s", problem,
           withheld ? " (the token is sent only to an address set in GODOT_URL or to a loopback address)"
                    : "");
  connection_failed(client, status, reason);
}

static void finish_close_if_idle(mcp_client_t *client);

static void on_link_freed(void *arg) {
  mcp_client_t *client = arg;
  client->links--;
  if (client->state == CLOSING)
    client->link = NULL;
  finish_close_if_idle(client);
}

static bool on_link_message(mcp__buf_t *text, uint64_t request, void *arg);

static void on_link_ready(void *arg) {
  mcp_client_t *client = arg;
  if (client->state == OPEN)
    mcp__requests_send(&client->requests);
}

static void on_link_failed(uint64_t request, int status, const char *problem, void *arg) {
  mcp_client_t *client = arg;
  if (client->forward == NULL)
    mcp__requests_fail_one(&client->requests, request, status, problem);
  else if (client->state == OPEN) /* a proxy knows only that all of its requests have failed */
    drop_link(client, status, problem);
}

static void on_link_discovered(yyjson_val *result, void *arg) {
  mcp_client_t *client = arg;
  if (client->forward != NULL)
    client->forward->on_discover(result, client->forward->arg);
}

static const mcp__link_events_t link_events = {on_link_open, on_link_ready, on_link_message,   on_link_failed,
                                               on_link_lost, on_link_freed, on_link_discovered};

static void start_handshake(mcp_client_t *client) {
  client->state = HANDSHAKING;
  uint64_t ms = client->program != NULL ? START_MS : HANDSHAKE_MS / client->endpoint_count;
  if (client->connect_ms == 0)
    client->stage_deadline_ms = uv_now(client->loop) + ms;
  wake_at(client, client->stage_deadline_ms);
}

static void on_connector_done(mcp__stream_t *stream, int status, const char *problem, void *arg) {
  mcp_client_t *client = arg;
  if (stream == NULL) {
    connection_failed(client, status, problem);
    return;
  }
  const mcp__url_t *url = &client->endpoint->url;
  const mcp__link_config_t to = {.url = url,
                                 .token = token_for_endpoint(client, stream),
                                 .tls = url->tls ? client->tls : NULL,
                                 .verify = client->verify,
                                 .needs_session = client->forward != NULL,
                                 .max_message = client->max_message};
  client->link = url->http ? mcp__http_link_new(stream, &to, &link_events, client)
                           : mcp__ws_link_new(stream, &to, &link_events, client);
  if (client->link == NULL) {
    connection_failed(client, UV_ENOMEM, "out of memory");
    return;
  }
  client->links++;
  start_handshake(client);
}

static void on_connector_idle(void *arg) {
  finish_close_if_idle(arg);
}

/* Each endpoint gets the same share of the time of an attempt. */
static uint64_t connect_ms(const mcp_client_t *client) {
  return (client->connect_ms > 0 ? client->connect_ms : CONNECT_MS) / client->endpoint_count;
}

static void start_program(mcp_client_t *client) {
  const mcp__link_config_t to = {.needs_session = client->forward != NULL,
                                 .max_message = client->max_message};
  client->link = mcp__stdio_link_new(client->loop, client->program, &to, &link_events, client);
  if (client->link == NULL) {
    client->state = CONNECTING;
    connection_failed(client, UV_ENOMEM, "out of memory, or too many open files");
    return;
  }
  client->links++;
  start_handshake(client);
}

static void start_endpoint(mcp_client_t *client, endpoint_t *endpoint) {
  uint64_t now_ms = uv_now(client->loop);
  client->endpoint = endpoint;
  client->name_unresolved = false;
  client->state = CONNECTING;
  client->stage_deadline_ms = now_ms + connect_ms(client);
  client->next_address_ms = now_ms + MCP__CONNECTOR_NEXT_ADDRESS_MS;
  wake_at(client, client->next_address_ms);
  int status = mcp__connector_start(&endpoint->connector, endpoint->url.address, endpoint->url.port);
  if (status != 0)
    connection_failed(client, status, endpoint->connector.problem);
}

static bool wants_connection(const mcp_client_t *client) {
  return client->stay_connected || client->requests.first != NULL;
}

/* ---- time ------------------------------------------------------------------------------------------ */

static void tick_connecting(mcp_client_t *client, uint64_t now_ms) {
  if (now_ms >= client->stage_deadline_ms) {
    char problem[320];
    mcp__connector_t *connector = &client->endpoint->connector;
    client->name_unresolved = connector->lookup != NULL;
    mcp__connector_cancel(connector);
    snprintf(problem, sizeof problem, "not connected within %d ms%s%s", (int)connect_ms(client),
             *connector->problem != '\0' ? "; " : "", connector->problem);
    connection_failed(client, MCP_ECONNECT, problem);
  } else if (now_ms >= client->next_address_ms) {
    client->next_address_ms = now_ms + MCP__CONNECTOR_NEXT_ADDRESS_MS;
    mcp__connector_try_next(&client->endpoint->connector);
  }
}

static void tick_state(mcp_client_t *client, uint64_t now_ms) {
  switch (client->state) {
  case BACKOFF:
    if (now_ms >= client->stage_deadline_ms)
      client->state = IDLE;
    break;
  case CONNECTING:
    tick_connecting(client, now_ms);
    break;
  case HANDSHAKING:
    if (now_ms >= client->stage_deadline_ms) {
      char problem[160];
      snprintf(problem, sizeof problem, "handshake not completed in time: %s", describe_handshake(client));
      drop_link(client, MCP_EUPGRADE, problem);
    }
    break;
  default:
    break;
  }
  if (client->state == IDLE && wants_connection(client)) {
    *client->attempt_errors = '\0';
    if (client->program != NULL)
      start_program(client);
    else
      start_endpoint(client, client->endpoints);
  }
}

static uint64_t next_due(const mcp_client_t *client, uint64_t now_ms, uint64_t link_ms) {
  uint64_t due = now_ms + NEVER_MS, request_ms = mcp__requests_next_deadline(&client->requests);
  if (request_ms < due)
    due = request_ms;
  if (client->state >= BACKOFF && client->state <= HANDSHAKING && client->stage_deadline_ms < due)
    due = client->stage_deadline_ms;
  if (client->state == CONNECTING && client->next_address_ms < due)
    due = client->next_address_ms;
  return client->link != NULL && link_ms < due ? link_ms : due;
}

static void on_timer(uv_timer_t *timer) {
  mcp_client_t *client = timer->data;
  uint64_t now_ms = uv_now(client->loop), link_ms = now_ms + NEVER_MS;
  client->due_ms = UINT64_MAX;
  if (client->state == CLOSING) {
    mcp__requests_fail(&client->requests, true, MCP_ECLOSED, "the client was closed");
    mcp__requests_fail(&client->requests, false, MCP_ECLOSED, "the client was closed");
  }
  if (client->state == HANDSHAKING) /* for the requests that expire now */
    snprintf(client->problem, sizeof client->problem, "%s", describe_handshake(client));
  mcp__requests_expire(&client->requests, now_ms);
  if (client->link != NULL && client->state != HANDSHAKING)
    link_ms = mcp__link_tick(client->link, now_ms);
  tick_state(client, now_ms);
  uint64_t due_ms = next_due(client, now_ms, link_ms);
  /* At least 1 ms, so that the loop can handle other events. */
  wake_at(client, due_ms > now_ms ? due_ms : now_ms + 1);
  finish_close_if_idle(client);
}

static void wake_at(mcp_client_t *client, uint64_t ms) {
  if (ms >= client->due_ms || client->open_handles == 0)
    return; /* waking too early is harmless */
  uint64_t now_ms = uv_now(client->loop);
  client->due_ms = ms;
  uv_timer_start(&client->timer, on_timer, ms > now_ms ? ms - now_ms : 0, 0);
}

/* ---- received messages ----------------------------------------------------------------------------- */

/* Rate-limited, since a server can send any number of them. */
static void log_invalid_message(mcp_client_t *client, const char *problem) {
  client->invalid_messages.count++;
  uint64_t count = mcp__log_throttle_take(&client->invalid_messages, uv_now(client->loop));
  if (count > 0)
    mcp_log(MCP_LOG_WARN, "client", "received an invalid message from %s: %s (%llu since the last report)",
            client->endpoint->url.authority, problem, (unsigned long long)count);
}

/* A message came for a request that it does not answer. If the request is unknown, the message may be the
 * response to any of them: all sent requests fail, including initialize. */
static void fail_unmatched(mcp_client_t *client, uint64_t request, const char *problem) {
  log_invalid_message(client, problem);
  if (request != 0 && client->state == OPEN)
    mcp__requests_fail_one(&client->requests, request, MCP_EPROTOCOL, problem);
  else if (client->state == HANDSHAKING ||
           (client->state == OPEN && mcp__requests_any_in_flight(&client->requests)))
    drop_link(client, MCP_EPROTOCOL, problem);
}

/* A response whose id belongs to no current or past request. */
static void on_unmatched_response(mcp_client_t *client, const mcp__message_t *message, uint64_t request) {
  char problem[320], excerpt[MCP__EXCERPT_SIZE];
  yyjson_val *text = yyjson_obj_get(message->error, "message");
  bool may_answer_notification = mcp__jsonrpc_may_answer_notification(message->has_id, message->error);
  if (message->id_value == NULL && may_answer_notification && client->requests.notifications > 0) {
    client->requests.notifications--;
    mcp_log(MCP_LOG_DEBUG, "client", "%s: received an error without an id in response to a notification",
            client->endpoint->url.authority);
    return;
  }
  if (message->id_value != NULL)
    mcp__excerpt(excerpt, message->id, message->id_len);
  else
    mcp__excerpt(excerpt, yyjson_is_str(text) ? yyjson_get_str(text) : "", yyjson_get_len(text));
  if (message->id_value != NULL)
    snprintf(problem, sizeof problem, "the peer sent a response with an unknown id: %s", excerpt);
  else if (message->error != NULL)
    snprintf(problem, sizeof problem, "the peer sent an error response without a request id: %d, \"%s\"",
             yyjson_get_int(yyjson_obj_get(message->error, "code")), excerpt);
  else
    snprintf(problem, sizeof problem, "the peer sent a response without a request id");
  fail_unmatched(client, request, problem);
}

/* The request id of a response; 0: not an id that this client creates. */
static uint64_t id_of(const mcp__message_t *message) {
  uint64_t id = 0;
  if (yyjson_is_uint(message->id_value))
    return yyjson_get_uint(message->id_value);
  return message->id_value != NULL && mcp__id_number(message->id, message->id_len, &id) ? id : 0;
}

static void on_response(mcp_client_t *client, const mcp__message_t *message, uint64_t request) {
  bool without_id = message->id_value == NULL && message->error != NULL;
  uint64_t id = without_id && request != 0 ? request : id_of(message);
  if (request != 0 && id != request) { /* it would be the response of another request */
    on_unmatched_response(client, message, request);
    return;
  }
  if (client->state == HANDSHAKING && (id == client->initialize_id || without_id)) {
    if (client->forward != NULL)
      client->forward->on_initialize(message, client->forward->arg);
    on_initialized(client);
    return;
  }
  if (mcp__requests_on_response(&client->requests, id, message, &client->arena))
    client->attempts = 0; /* a peer that answers is reachable, even if it disconnects soon */
  else if (id != 0 && id <= client->requests.last_id)
    mcp_log(MCP_LOG_DEBUG, "client", "%s: received a response to a request that is no longer pending",
            client->endpoint->url.authority);
  else
    on_unmatched_response(client, message, request);
}

typedef struct reply {
  const mcp__message_t *message;
  bool is_ping;
} reply_t;

static int write_reply(mcp__buf_t *out, void *what) {
  const reply_t *reply = what;
  const mcp__message_t *message = reply->message;
  if (!reply->is_ping)
    return mcp__jsonrpc_error(out, message->id, message->id_len, MCP_METHOD_NOT_FOUND,
                              "this client supports only ping", NULL, 0);
  int status = mcp__jsonrpc_begin_result(out, message->id, message->id_len);
  return status == 0 ? mcp__buf_puts(out, "{}}") : status;
}

static void on_request(mcp_client_t *client, const mcp__message_t *message) {
  reply_t reply = {message, yyjson_equals_str(message->method, "ping")};
  if (client->link == NULL)
    return;
  mcp__link_send(client->link, write_reply, &reply);
  if (mcp__link_backlog(client->link) > MAX_REPLY_BYTES + client->max_message)
    drop_link(client, MCP_EPROTOCOL, "the peer sends requests but does not read the responses");
}

/* If the text is not JSON, it is unchanged from the error on, although it was parsed in place. */
static void describe_unreadable(const mcp_client_t *client, const mcp__message_t *message, char *problem,
                                size_t size) {
  static const char begin[] = "the peer sent an unreadable response: ";
  char excerpt[MCP__EXCERPT_SIZE];
  const mcp__buf_t *text = &client->text;
  if (message->detail != NULL) {
    size_t at = message->at < text->len ? message->at : text->len;
    mcp__excerpt(excerpt, text->data + at, text->len - at);
    snprintf(problem, size, "%s%s at byte %zu: %s: %s", begin, message->problem, at + 1, message->detail,
             excerpt);
  } else if (message->result != NULL || message->error != NULL || message->code == MCP_PARSE_ERROR) {
    snprintf(problem, size, "%s%s", begin, message->problem);
  } else {
    mcp__excerpt(excerpt, client->text_start, strlen(client->text_start));
    snprintf(problem, size, "%sneither a request nor a response: %s", begin, excerpt);
  }
}

/* Some servers send a greeting, which may be any text. Before the response to initialize, only text that
 * looks like a message is taken for the response. */
static bool may_be_greeting(const mcp_client_t *client, const mcp__message_t *message) {
  const char *at = client->text_start + strspn(client->text_start, " \t");
  return *at != '[' && (*at != '{' || message->code != MCP_PARSE_ERROR);
}

static void on_unreadable(mcp_client_t *client, const mcp__message_t *message, uint64_t request) {
  char problem[320];
  describe_unreadable(client, message, problem, sizeof problem);
  if (client->arena.failed) {
    log_invalid_message(client, message->problem);
    drop_link(client, client->arena.out_of_memory ? UV_ENOMEM : MCP_ETOOBIG,
              "out of memory while reading a message from the peer");
  } else if (message->has_method || (client->state == HANDSHAKING && may_be_greeting(client, message))) {
    log_invalid_message(client, message->problem);
  } else {
    fail_unmatched(client, request, problem);
  }
}

static void on_notification(mcp_client_t *client, const mcp__message_t *message) {
  if (client->state >= CLOSING)
    return;
  bool is_progress = yyjson_equals_str(message->method, "notifications/progress");
  if (is_progress && mcp__requests_on_progress(&client->requests, message->params))
    return;
  if (client->on_notification != NULL)
    client->on_notification(client, yyjson_get_str(message->method), message->params,
                            client->on_notification_arg);
}

static void save_text_start(mcp_client_t *client) {
  size_t len =
      client->text.len < sizeof client->text_start ? client->text.len : sizeof client->text_start - 1;
  memcpy(client->text_start, client->text.data, len);
  client->text_start[len] = '\0';
}

static bool on_link_message(mcp__buf_t *text, uint64_t request, void *arg) {
  mcp_client_t *client = arg;
  mcp__message_t message;
  if (client->forward != NULL && client->state != HANDSHAKING) {
    client->forward->on_text(text->data, text->len, client->forward->arg);
    mcp__buf_clear(text, TEXT_KEEP_BYTES);
    return false;
  }
  /* Swapped into the client: a callback can receive another message only through the loop. */
  mcp__buf_t mine = client->text;
  mcp__buf_swap(&mine, text);
  client->text = mine;
  memset(client->text.data + client->text.len, 0, MCP__JSON_PADDING);
  save_text_start(client);
  mcp__jsonrpc_parse(client->text.data, client->text.len, SIZE_MAX, &client->arena, &message);
  if (mcp__jsonrpc_is_empty_response(&message))
    message.kind = MCP__RESPONSE;
  switch (message.kind) {
  case MCP__RESPONSE:
    on_response(client, &message, request);
    break;
  case MCP__REQUEST:
    on_request(client, &message);
    break;
  case MCP__NOTIFICATION:
    on_notification(client, &message);
    break;
  case MCP__INVALID:
    on_unreadable(client, &message, request);
    break;
  }
  mcp__arena_reset(&client->arena);
  mcp__buf_clear(&client->text, TEXT_KEEP_BYTES);
  return message.kind == MCP__RESPONSE || (message.kind == MCP__INVALID && !message.has_method);
}

/* ---- the API --------------------------------------------------------------------------------------- */

static int set_token(mcp_client_t *client, const char *token) {
  char *copy = token != NULL ? mcp__strdup(token) : NULL;
  if (token != NULL && copy == NULL)
    return UV_ENOMEM;
  mcp__token_free(client->token);
  client->token = copy;
  return 0;
}

static int set_tls_ca(mcp_client_t *client, const char *ca_file) {
  char problem[512];
  mcp__tls_context_t *context;
  bool needed = false;
  for (unsigned i = 0; i < client->endpoint_count; i++)
    needed = needed || client->endpoints[i].url.tls;
  if (!needed)
    return 0;
  int status = mcp__tls_client(ca_file, &context, problem, sizeof problem);
  if (status != 0) {
    mcp__set_last_error("%s", problem);
    return status;
  }
  mcp__tls_release(client->tls);
  client->tls = context;
  return 0;
}

static int read_environment(mcp_client_t *client) {
  const char *token;
  int status = mcp__token_from_environment(&token);
  if (status == 0)
    status = set_token(client, token);
  return status == 0 ? set_tls_ca(client, mcp__setting("ICCM_TLS_CA")) : status;
}

static int set_endpoint_list(mcp_client_t *client, const mcp__url_t *urls, unsigned count) {
  client->endpoints = mcp__calloc(count * sizeof *client->endpoints);
  client->name = mcp__calloc(count * sizeof urls->authority);
  if (client->endpoints == NULL || client->name == NULL)
    return UV_ENOMEM;
  char *end = client->name;
  for (unsigned i = 0; i < count; i++) {
    client->endpoints[i].url = urls[i];
    client->endpoints[i].connector = (mcp__connector_t){
        .io = &client->io, .on_done = on_connector_done, .on_idle = on_connector_idle, .arg = client};
    end = stpcpy(stpcpy(end, i > 0 ? "," : ""), urls[i].authority);
  }
  client->endpoint = client->endpoints;
  client->endpoint_count = count;
  return 0;
}

static int parse_endpoints(mcp_client_t *client, const char *list) {
  char problem[320];
  mcp__url_t *urls;
  unsigned count;
  int status = mcp__urls_parse(list, &urls, &count, problem, sizeof problem);
  if (status == MCP_EURL)
    mcp__set_last_error("%s", problem);
  if (status == 0)
    status = set_endpoint_list(client, urls, count);
  mcp__free(urls);
  return status;
}

/* A copy of argv in one piece of memory. */
static char **copy_argv(const char *const *argv) {
  size_t count = 0, bytes = 0;
  for (; argv[count] != NULL; count++)
    bytes += strlen(argv[count]) + 1;
  char **copy = mcp__calloc((count + 1) * sizeof *copy + bytes);
  if (copy == NULL)
    return NULL;
  char *text = (char *)(copy + count + 1);
  for (size_t i = 0; i < count; i++) {
    copy[i] = text;
    text = stpcpy(text, argv[i]) + 1;
  }
  return copy;
}

static int set_program(mcp_client_t *client, const char *const *argv) {
  mcp__url_t name = {0};
  snprintf(name.authority, sizeof name.authority, "%s", argv[0]);
  client->program = copy_argv(argv);
  return client->program != NULL ? set_endpoint_list(client, &name, 1) : UV_ENOMEM;
}

static int set_peer(mcp_client_t *client, const char *url, const char *const *argv) {
  client->is_default = url == NULL && argv == NULL;
  if (argv != NULL)
    return set_program(client, argv);
  int status = parse_endpoints(client, url != NULL ? url : MCP__URL_GODOT_DEFAULTS);
  return status == 0 ? read_environment(client) : status;
}

/* argv NULL: a client of url. */
static int new_client(struct uv_loop_s *loop, const char *url, const char *const *argv, mcp_client_t **out) {
  mcp_client_t *client = mcp__calloc(sizeof *client);
  mcp__set_last_error("out of memory");
  *out = NULL;
  if (client == NULL)
    return UV_ENOMEM;
  int status = set_peer(client, url, argv);
  client->loop = loop;
  client->verify = true;
  client->initialize_params = default_initialize_params;
  client->due_ms = UINT64_MAX;
  mcp_client_set_max_message_bytes(client, DEFAULT_MAX_MESSAGE);
  if (status == 0) {
    signal(SIGPIPE, SIG_IGN); /* a write after a reset must not terminate the process */
    *out = client;
    return 0;
  }
  mcp_log(MCP_LOG_ERROR, "client", "%s", mcp_last_error());
  mcp_client_free(client);
  return status;
}

int mcp__client_new(struct uv_loop_s *loop, const char *url, mcp_client_t **out) {
  return new_client(loop, url, NULL, out);
}

mcp_client_t *mcp_client_new_stdio(struct uv_loop_s *loop, const char *const *argv) {
  mcp_client_t *client;
  if (argv[0] == NULL || *argv[0] == '\0') {
    mcp__set_last_error("argv[0] is empty: it has to name a program");
    return NULL;
  }
  new_client(loop, NULL, argv, &client);
  return client;
}

mcp_client_t *mcp_client_new(struct uv_loop_s *loop, const char *url) {
  mcp_client_t *client;
  mcp__client_new(loop, url != NULL ? url : "", &client);
  return client;
}

mcp_client_t *mcp_client_new_godot(struct uv_loop_s *loop) {
  mcp_client_t *client;
  mcp__client_new(loop, mcp__setting("GODOT_URL"), &client);
  return client;
}

int mcp_client_set_max_message_bytes(mcp_client_t *client, size_t bytes) {
  if (client->active)
    return MCP_ESTATE;
  if (bytes < MIN_MAX_MESSAGE || bytes > MAX_MAX_MESSAGE)
    return UV_EINVAL;
  client->max_message = bytes;
  mcp__buf_init(&client->text, bytes + MCP__JSON_PADDING, NULL);
  /* A tool's result is parsed twice. */
  mcp__arena_init(&client->arena, 8 * bytes < 1 << 20 ? 1 << 20 : 8 * bytes);
  return 0;
}

int mcp_client_set_auth_token(mcp_client_t *client, const char *token) {
  if (client->active)
    return MCP_ESTATE;
  return token == NULL || mcp__token_valid(token) ? set_token(client, token) : UV_EINVAL;
}

int mcp_client_set_tls_ca(mcp_client_t *client, const char *ca_file) {
  return client->active ? MCP_ESTATE : set_tls_ca(client, ca_file);
}

int mcp_client_set_tls_verify(mcp_client_t *client, bool verify) {
  if (client->active)
    return MCP_ESTATE;
  client->verify = verify;
  return 0;
}

bool mcp__client_uses_tool_headers(const mcp_client_t *client) {
  return client->link != NULL && client->endpoint->url.http && mcp__link_is_stateless(client->link);
}

void mcp__client_set_initialize_params(mcp_client_t *client, const char *initialize_params) {
  client->initialize_params = initialize_params;
}

bool mcp__client_is_stateless(const mcp_client_t *client) {
  return client->state == OPEN && mcp__link_is_stateless(client->link);
}

void mcp__client_set_connect_ms(mcp_client_t *client, uint64_t ms) {
  client->connect_ms = ms;
}

void mcp__client_set_forward(mcp_client_t *client, const mcp__forward_t *forward) {
  client->forward = forward;
}

static int write_text(mcp__buf_t *out, void *what) {
  const mcp_text_t *text = what;
  return mcp__buf_append(out, text->ptr, text->len);
}

int mcp__client_send(mcp_client_t *client, const char *text, size_t len) {
  mcp_text_t what = {text, len};
  return client->state == OPEN ? mcp__link_send(client->link, write_text, &what) : MCP_ESTATE;
}

size_t mcp__client_backlog(const mcp_client_t *client) {
  return client->state == OPEN ? mcp__link_backlog(client->link) : 0;
}

void mcp__client_set_reading(mcp_client_t *client, bool on) {
  if (client->state == OPEN)
    mcp__link_set_reading(client->link, on);
}

void mcp__client_drop(mcp_client_t *client, int status, const char *problem) {
  if (client->state == OPEN)
    drop_link(client, status, problem);
}

void mcp__client_retry_within(mcp_client_t *client, uint64_t ms) {
  uint64_t by_ms = uv_now(client->loop) + ms;
  if (client->state == BACKOFF && ms == 0)
    client->state = IDLE;
  if (client->state != BACKOFF || client->stage_deadline_ms <= by_ms)
    return;
  client->stage_deadline_ms = by_ms;
  wake_at(client, by_ms);
}

int mcp_client_set_fail_fast(mcp_client_t *client, bool fail_fast) {
  if (client->active)
    return MCP_ESTATE;
  client->fail_fast = fail_fast;
  return 0;
}

void mcp_client_on_state(mcp_client_t *client, mcp_client_state_cb cb, void *arg) {
  client->on_state = cb;
  client->on_state_arg = arg;
}

void mcp_client_on_notification(mcp_client_t *client, mcp_notification_cb cb, void *arg) {
  client->on_notification = cb;
  client->on_notification_arg = arg;
}

static bool is_trace_id(const char *text) {
  size_t len = strlen(text);
  return len >= 1 && len <= MAX_TRACE_BYTES && mcp__utf8_valid(text, len);
}

int mcp_client_set_trace_id(mcp_client_t *client, const char *trace_id) {
  if (trace_id != NULL && !is_trace_id(trace_id))
    return UV_EINVAL;
  snprintf(client->trace_id, sizeof client->trace_id, "%s", trace_id != NULL ? trace_id : "");
  return 0;
}

static int activate(mcp_client_t *client) {
  if (client->state >= CLOSING)
    return MCP_ECLOSED;
  if (client->active)
    return 0;
  int status = mcp__io_init(&client->io, client->loop);
  if (status != 0)
    return status;
  uv_timer_init(client->loop, &client->timer);
  client->timer.data = client->io.prepare.data = client;
  client->requests = (mcp__requests_t){.client = client,
                                       .loop = client->loop,
                                       .authority = client->name,
                                       .problem = client->problem,
                                       .max_message = client->max_message,
                                       .on_due = wake_at};
  client->open_handles = 2;
  client->active = true;
  return 0;
}

int mcp_client_connect(mcp_client_t *client) {
  int status = activate(client);
  if (status != 0)
    return status;
  client->stay_connected = true;
  wake_at(client, 0);
  return 0;
}

int mcp_client_cancel(mcp_client_t *client, uint64_t id) {
  if (client->state >= CLOSING)
    return MCP_ECLOSED;
  return mcp__requests_cancel(&client->requests, id);
}

/* Sends a request; connects first if needed. */
int mcp__client_send_request(mcp_client_t *client, mcp__request_spec_t *spec, yyjson_mut_doc *params) {
  int status = activate(client);
  if (status != 0) {
    yyjson_mut_doc_free(params);
    return status;
  }
  if (client->state == BACKOFF && client->fail_fast)
    spec->fail_code = client->status == MCP_EDISCONNECTED || client->status == MCP_EBUSY
                          ? MCP_ECONNECT
                          : client->status; /* the request is never sent */
  status = mcp__requests_add(&client->requests, spec, params);
  if (status == 0 && client->state == IDLE)
    wake_at(client, 0);
  return status;
}

int mcp__request_spec_set_options(mcp__request_spec_t *spec, const mcp_call_options_t *options) {
  if (options == NULL)
    return 0;
  for (size_t i = 0; i < sizeof options->reserved / sizeof options->reserved[0]; i++)
    if (options->reserved[i] != NULL)
      return UV_EINVAL;
  if (options->trace_id != NULL && (options->parent != NULL || !is_trace_id(options->trace_id)))
    return UV_EINVAL;
  spec->timeout_ms = options->timeout_ms;
  spec->trace_id = options->trace_id;
  spec->progress_cb = options->progress_cb;
  spec->progress_arg = options->progress_arg;
  spec->id = options->id;
  if (options->parent != NULL) {
    const mcp__parent_t *parent = mcp__parent_of(options->parent);
    spec->trace_id = parent->trace.id;
    spec->span = parent->trace.span;
  }
  return 0;
}

/* Sets the options including the parent, which the request becomes a child of. */
static int set_options_and_parent(mcp__request_spec_t *spec, const mcp_call_options_t *options) {
  int status = mcp__request_spec_set_options(spec, options);
  if (status != 0 || options == NULL || options->parent == NULL)
    return status;
  spec->parent = mcp__parent_of(options->parent);
  return mcp__parent_may_adopt(spec->parent);
}

static int send_with_options(mcp_client_t *client, mcp__request_spec_t *spec,
                             const mcp_call_options_t *options, yyjson_mut_doc *params) {
  int status = set_options_and_parent(spec, options);
  if (status != 0) {
    yyjson_mut_doc_free(params);
    return status;
  }
  bool inherits = spec->tool != NULL && spec->trace_id == NULL && spec->parent == NULL;
  if (inherits && *client->trace_id != '\0')
    spec->trace_id = client->trace_id;
  return mcp__client_send_request(client, spec, params);
}

int mcp_client_call(mcp_client_t *client, const char *tool, yyjson_mut_doc *args,
                    const mcp_call_options_t *options, mcp_result_cb cb, void *arg) {
  mcp__request_spec_t spec = {.method = "tools/call", .tool = tool, .cb = cb, .arg = arg};
  return send_with_options(client, &spec, options, args);
}

int mcp_client_request(mcp_client_t *client, const char *method, yyjson_mut_doc *params,
                       const mcp_call_options_t *options, mcp_result_cb cb, void *arg) {
  mcp__request_spec_t spec = {.method = method, .cb = cb, .arg = arg};
  return send_with_options(client, &spec, options, params);
}

/* ---- closing --------------------------------------------------------------------------------------- */

static void on_handle_closed(uv_handle_t *handle) {
  mcp_client_t *client = handle->data;
  if (--client->open_handles > 0)
    return;
  mcp__io_deinit(&client->io);
  client->state = CLOSED;
  client->active = false;
  if (client->on_closed != NULL)
    client->on_closed(client, client->on_closed_arg);
}

static bool is_idle(const mcp_client_t *client) {
  for (unsigned i = 0; i < client->endpoint_count; i++)
    if (!mcp__connector_is_idle(&client->endpoints[i].connector))
      return false;
  return true;
}

static void finish_close_if_idle(mcp_client_t *client) {
  if (client->state != CLOSING || client->links > 0 || client->requests.pending.count > 0 ||
      !is_idle(client) || uv_is_closing((uv_handle_t *)&client->timer))
    return;
  uv_close((uv_handle_t *)&client->timer, on_handle_closed);
  mcp__io_close(&client->io, on_handle_closed);
}

int mcp_client_close(mcp_client_t *client, mcp_client_cb cb, void *arg) {
  if (client->state >= CLOSING)
    return MCP_ESTATE;
  int status = activate(client);
  if (status != 0)
    return status;
  bool open = client->state == OPEN;
  client->state = CLOSING;
  client->requests.closed = true;
  mcp__requests_set_link(&client->requests, NULL);
  client->on_closed = cb;
  client->on_closed_arg = arg;
  for (unsigned i = 0; i < client->endpoint_count; i++)
    mcp__connector_close(&client->endpoints[i].connector);
  if (client->link != NULL)
    mcp__link_close(client->link, open);
  wake_at(client, 0);
  return 0;
}

void mcp_client_free(mcp_client_t *client) {
  if (client == NULL)
    return;
  if (client->active) {
    mcp_log(MCP_LOG_ERROR, "client",
            "mcp_client_free() called before the client was closed; nothing was freed");
    return;
  }
  mcp__token_free(client->token);
  mcp__free(client->endpoints);
  mcp__free(client->program);
  mcp__free(client->name);
  mcp__tls_release(client->tls);
  mcp__pending_deinit(&client->requests.pending);
  mcp__buf_deinit(&client->text);
  mcp__arena_deinit(&client->arena);
  mcp__free(client);
}
