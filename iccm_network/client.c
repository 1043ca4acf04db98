/* client.c: calls to one peer, over a connection that comes back by itself.
 *
 * Happy path: the first call makes the client resolve, connect, upgrade and initialize; calls made meanwhile wait in order;
 * then each is sent as it is made and matched to its answer by id. Failure: a connection that goes takes the calls that
 * were sent with it, at once and with a code that says so; calls that wait stay until their deadline (or fail with the
 * attempt, where that was asked for) while the client tries again, ever more slowly. One timer serves all deadlines.
 * Nothing is called back from inside a function of the API: what is due at once is due in the timer's next turn. */
#include "client.h"

#include "child.h"
#include "error.h"
#include "pending.h"
#include "span.h"
#include "url.h"

#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum {
  DEFAULT_MAX_MESSAGE = 16 << 20,
  MIN_MAX_MESSAGE = 1024,
  MAX_MAX_MESSAGE = 200 << 20,
  DEFAULT_TIMEOUT_MS = 30000,
  CONNECT_MS = 5000,   /* all addresses together, name look-up included */
  HANDSHAKE_MS = 5000, /* upgrade and initialize */
  MAX_WAITING = 1024,
  MAX_WAITING_BYTES = 16 << 20,
  KEEP_TEXT_BYTES = 1 << 20,
  MAX_TRACE_BYTES = 128,
  NEVER_MS = 3600000 /* the longest sleep: nothing is due */
};

typedef enum client_state { IDLE, BACKOFF, CONNECTING, HANDSHAKING, OPEN, CLOSING, CLOSED } state_t;

typedef struct request {
  mcp__waiting_t waiting; /* first member: what the table knows of it */
  mcp__child_t child;     /* of the call that it is made for */
  mcp_client_t *client;
  mcp_result_cb cb;
  void *arg;
  mcp__buf_t text; /* the message, until it is sent */
  struct request *prev, *next; /* of those that are not sent */
  uint64_t timeout_ms;
  bool sent, is_tool; /* sent: or cancelled before; not in the list of those that wait for a connection */
  int refused; /* fails in the timer's next turn with this code, and an answer is not looked at any more */
} request_t;

/* What is asked of a peer, but for the arguments. */
typedef struct order {
  const char *method, *tool; /* tool: NULL where it is no call */
  const char *trace_id;      /* NULL: none */
  mcp_call_t *parent;        /* NULL: none */
  uint64_t timeout_ms;
  mcp_result_cb cb;
  void *arg;
} order_t;

struct mcp_client {
  uv_loop_t *loop;
  mcp__url_t url;
  size_t max_message;
  const char *hello; /* the params of initialize */
  uint64_t connect_ms;  /* for the connection and all that comes before the first call; 0: stage by stage */
  bool fail_fast, keep; /* keep: connected without being asked for it by a call */
  mcp_client_state_cb on_state;
  void *on_state_arg;
  mcp_notification_cb on_notification;
  void *on_notification_arg;
  char trace_id[MAX_TRACE_BYTES + 1]; /* "": none */
  state_t state;
  bool active; /* handles are open */
  mcp__io_t io;
  uv_timer_t timer;
  uint64_t due_ms;      /* when the timer fires */
  uint64_t stage_ms;    /* when the state has lasted too long, or is over (BACKOFF) */
  uint64_t address_ms;  /* CONNECTING: when another address is tried */
  unsigned attempts;    /* since the connection was last there */
  mcp__connector_t connector;
  mcp__link_t *link;
  unsigned links; /* not freed yet */
  mcp__pending_t pending;
  request_t *first, *last; /* not sent, oldest first */
  size_t unsent, unsent_bytes;
  uint64_t last_id, initialize_id; /* last_id: also of initialize, … */
  uint64_t last_made_id;           /* … this one not */
  mcp__buf_t text; /* of the message being taken apart */
  mcp__arena_t arena;
  int status;        /* why there is no connection */
  char problem[512]; /* the same in words */
  mcp_client_cb on_closed;
  void *on_closed_arg;
  int open_handles;
};

static void wake_at(mcp_client_t *client, uint64_t ms);

/* ---- requests -------------------------------------------------------------------------------------- */

static request_t *request_of(mcp__waiting_t *waiting) { return (request_t *)(void *)waiting; }

static void remove_unsent(mcp_client_t *client, request_t *request) {
  *(request->prev != NULL ? &request->prev->next : &client->first) = request->next;
  *(request->next != NULL ? &request->next->prev : &client->last) = request->prev;
  client->unsent--;
  client->unsent_bytes -= request->text.len;
}

static void add_unsent(mcp_client_t *client, request_t *request) {
  request->prev = client->last;
  request->next = NULL;
  *(client->last != NULL ? &client->last->next : &client->first) = request;
  client->last = request;
  client->unsent++;
  client->unsent_bytes += request->text.len;
}

static void finish(mcp_client_t *client, request_t *request, const mcp_result_t *result) {
  mcp_result_cb cb = request->cb;
  void *arg = request->arg;
  mcp__pending_remove(&client->pending, &request->waiting);
  mcp__child_leave(&request->child);
  if (!request->sent)
    remove_unsent(client, request);
  mcp__buf_deinit(&request->text);
  mcp__free(request);
  cb(client, result, arg);
}

static void fail_request(mcp_client_t *client, request_t *request, int status, const char *problem) {
  char message[640];
  if (request->refused == MCP_ECANCELED) { /* whatever else has happened since */
    status = MCP_ECANCELED;
    problem = mcp_strerror(status);
  }
  bool named = strncmp(problem, client->url.authority, strlen(client->url.authority)) == 0;
  snprintf(message, sizeof message, "%s%s%s", named ? "" : client->url.authority, named ? "" : ": ", problem);
  mcp_result_t result = {.status = status, .message = message};
  finish(client, request, &result);
}

static void time_out(mcp_client_t *client, request_t *request) {
  char problem[640];
  unsigned long long ms = request->timeout_ms;
  if (request->refused != 0)
    fail_request(client, request, request->refused, client->problem);
  else if (request->sent) {
    snprintf(problem, sizeof problem, "no answer within %llu ms", ms);
    fail_request(client, request, MCP_ETIMEOUT, problem);
  } else {
    snprintf(problem, sizeof problem, "not connected within %llu ms%s%s", ms, *client->problem != '\0' ? "; last: " : "",
             client->problem);
    fail_request(client, request, MCP_ETIMEOUT, problem);
  }
}

/* Callbacks may make and end calls, so the list is gone through from its beginning each time; last_id keeps calls that
 * are made meanwhile out of it. */
static void fail_all(mcp_client_t *client, bool sent, int status, const char *problem) {
  char words[sizeof client->problem];
  uint64_t last_id = client->last_id;
  snprintf(words, sizeof words, "%s", problem);
  for (mcp__waiting_t *each = client->pending.first; each != NULL;) {
    if (each->id <= last_id && request_of(each)->sent == sent) {
      fail_request(client, request_of(each), status, words);
      each = client->pending.first;
    } else {
      each = each->next;
    }
  }
}

static void expire(mcp_client_t *client, uint64_t now_ms) {
  while (client->pending.first != NULL && client->pending.first->deadline_ms <= now_ms)
    time_out(client, request_of(client->pending.first));
}

static int write_text(mcp__buf_t *out, void *what) {
  const mcp__buf_t *text = what;
  return mcp__buf_append(out, text->data, text->len);
}

static void send_unsent(mcp_client_t *client) {
  while (client->state == OPEN && client->first != NULL) {
    request_t *request = client->first;
    if (mcp__link_send(client->link, write_text, &request->text) != 0)
      return; /* out of memory: the deadline decides, or the next connection */
    remove_unsent(client, request);
    request->sent = true;
    mcp__buf_deinit(&request->text);
  }
}

/* ---- the connection's life ------------------------------------------------------------------------- */

static void tell_state(mcp_client_t *client, int status) {
  if (client->on_state != NULL && client->state < CLOSING)
    client->on_state(client, status, status != 0 ? client->problem : NULL, client->on_state_arg);
}

static void back_off(mcp_client_t *client) {
  uint32_t chance = 0;
  uv_random(NULL, NULL, &chance, sizeof chance, 0, NULL);
  client->state = BACKOFF;
  client->stage_ms = uv_now(client->loop) + mcp__backoff_ms(client->attempts, chance);
  if (client->attempts < UINT16_MAX)
    client->attempts++;
  wake_at(client, client->stage_ms);
}

/* There is no connection, or no longer: calls that were sent fail; those that wait do so only where the attempt was
 * their hope and no other is wanted. */
static void went_wrong(mcp_client_t *client, int status, const char *problem) {
  bool was_open = client->state == OPEN;
  if (client->state >= CLOSING)
    return;
  client->link = NULL;
  client->status = status;
  snprintf(client->problem, sizeof client->problem, "%s", problem);
  mcp_log(MCP_LOG_DEBUG, "client", "%s: %s", client->url.authority, client->problem);
  back_off(client);
  fail_all(client, true, status, problem);
  if (client->fail_fast && !was_open)
    fail_all(client, false, status, problem);
  tell_state(client, status);
}

static void drop_link(mcp_client_t *client, int status, const char *problem) {
  mcp__link_t *link = client->link;
  client->link = NULL;
  if (link != NULL)
    mcp__link_close(link, false);
  went_wrong(client, status, problem);
}

/* 2024-11-05 is what all peers of this family speak, and in it a tool's error keeps its own code. */
static const char default_hello[] = "{\"protocolVersion\":\"2024-11-05\",\"capabilities\":{},"
                                    "\"clientInfo\":{\"name\":\"iccm-network\",\"version\":\"" MCP_VERSION "\"}}";

static int write_initialize(mcp__buf_t *out, void *what) {
  mcp_client_t *client = what;
  return mcp__jsonrpc_request(out, client->initialize_id, "initialize", client->hello, strlen(client->hello));
}

static int write_initialized(mcp__buf_t *out, void *what) {
  (void)what;
  return mcp__jsonrpc_request(out, 0, "notifications/initialized", NULL, 0);
}

static void on_link_open(void *arg) {
  mcp_client_t *client = arg;
  client->initialize_id = ++client->last_id;
  if (mcp__link_send(client->link, write_initialize, client) != 0)
    drop_link(client, UV_ENOMEM, "out of memory");
}

static void on_initialized(mcp_client_t *client) { /* whatever was answered: old peers know no initialize */
  mcp__link_send(client->link, write_initialized, NULL);
  client->state = OPEN;
  client->attempts = 0;
  *client->problem = '\0';
  send_unsent(client);
  tell_state(client, 0);
}

static void on_link_lost(int status, const char *problem, void *arg) { went_wrong(arg, status, problem); }

static void check_closed(mcp_client_t *client);

static void on_link_freed(void *arg) {
  mcp_client_t *client = arg;
  client->links--;
  if (client->state == CLOSING)
    client->link = NULL;
  check_closed(client);
}

static void on_link_message(mcp__buf_t *text, void *arg);

static const mcp__link_events_t link_events = {on_link_open, on_link_message, on_link_lost, on_link_freed};

static void on_connector_done(mcp__stream_t *stream, int status, const char *problem, void *arg) {
  mcp_client_t *client = arg;
  if (stream == NULL) {
    went_wrong(client, status, problem);
    return;
  }
  client->link =
      mcp__link_new(stream, client->url.authority, client->url.path, client->max_message, &link_events, client);
  if (client->link == NULL) {
    went_wrong(client, UV_ENOMEM, "out of memory");
    return;
  }
  client->links++;
  client->state = HANDSHAKING;
  if (client->connect_ms == 0)
    client->stage_ms = uv_now(client->loop) + HANDSHAKE_MS;
  wake_at(client, client->stage_ms);
}

static void on_connector_idle(void *arg) { check_closed(arg); }

static void start_connecting(mcp_client_t *client, uint64_t now_ms) {
  client->state = CONNECTING;
  client->stage_ms = now_ms + (client->connect_ms > 0 ? client->connect_ms : CONNECT_MS);
  client->address_ms = now_ms + MCP__NEXT_ADDRESS_MS;
  int status = mcp__connector_start(&client->connector, client->url.host, client->url.port);
  if (status != 0)
    went_wrong(client, status, client->connector.problem);
}

static bool wanted(const mcp_client_t *client) { return client->keep || client->first != NULL; }

/* ---- time ------------------------------------------------------------------------------------------ */

static void tick_connecting(mcp_client_t *client, uint64_t now_ms) {
  if (now_ms >= client->stage_ms) {
    char problem[320];
    mcp__connector_cancel(&client->connector);
    snprintf(problem, sizeof problem, "not connected within %d ms%s%s",
             client->connect_ms > 0 ? (int)client->connect_ms : CONNECT_MS,
             *client->connector.problem != '\0' ? "; " : "", client->connector.problem);
    went_wrong(client, MCP_ECONNECT, problem);
  } else if (now_ms >= client->address_ms) {
    client->address_ms = now_ms + MCP__NEXT_ADDRESS_MS;
    mcp__connector_try_next(&client->connector);
  }
}

static void tick_state(mcp_client_t *client, uint64_t now_ms) {
  switch (client->state) {
  case BACKOFF:
    if (now_ms >= client->stage_ms)
      client->state = IDLE;
    break;
  case CONNECTING:
    tick_connecting(client, now_ms);
    break;
  case HANDSHAKING:
    if (now_ms >= client->stage_ms)
      drop_link(client, MCP_EUPGRADE, "connected, but no complete handshake in time");
    break;
  default:
    break;
  }
  if (client->state == IDLE && wanted(client))
    start_connecting(client, now_ms);
}

static uint64_t next_due(const mcp_client_t *client, uint64_t now_ms, uint64_t link_ms) {
  uint64_t due = now_ms + NEVER_MS;
  if (client->pending.first != NULL && client->pending.first->deadline_ms < due)
    due = client->pending.first->deadline_ms;
  if (client->state >= BACKOFF && client->state <= HANDSHAKING && client->stage_ms < due)
    due = client->stage_ms;
  if (client->state == CONNECTING && client->address_ms < due)
    due = client->address_ms;
  return client->link != NULL && link_ms < due ? link_ms : due;
}

static void on_timer(uv_timer_t *timer) {
  mcp_client_t *client = timer->data;
  uint64_t now_ms = uv_now(client->loop), link_ms = now_ms + NEVER_MS;
  client->due_ms = UINT64_MAX;
  if (client->state == CLOSING) {
    fail_all(client, true, MCP_ECLOSED, "the client was closed");
    fail_all(client, false, MCP_ECLOSED, "the client was closed");
  }
  expire(client, now_ms);
  if (client->link != NULL && client->state != HANDSHAKING)
    link_ms = mcp__link_tick(client->link, now_ms);
  tick_state(client, now_ms);
  uint64_t due_ms = next_due(client, now_ms, link_ms);
  wake_at(client, due_ms > now_ms ? due_ms : now_ms + 1); /* due now, it would run again before the loop goes on */
  check_closed(client);
}

static void wake_at(mcp_client_t *client, uint64_t ms) {
  if (ms >= client->due_ms || client->open_handles == 0)
    return; /* waking too early costs nothing */
  uint64_t now_ms = uv_now(client->loop);
  client->due_ms = ms;
  uv_timer_start(&client->timer, on_timer, ms > now_ms ? ms - now_ms : 0, 0);
}

/* ---- answers --------------------------------------------------------------------------------------- */

static yyjson_val *first_text(yyjson_val *result) {
  size_t index, count;
  yyjson_val *block, *content = yyjson_obj_get(result, "content");
  if (!yyjson_is_arr(content))
    return NULL;
  yyjson_arr_foreach(content, index, count, block) {
    yyjson_val *text = yyjson_obj_get(block, "text");
    if (yyjson_equals_str(yyjson_obj_get(block, "type"), "text") && yyjson_is_str(text))
      return text;
  }
  return NULL;
}

static yyjson_val *value_of(yyjson_val *result, const mcp_result_t *answer, mcp__arena_t *arena) {
  yyjson_val *structured = yyjson_obj_get(result, "structuredContent");
  if (yyjson_is_obj(structured))
    return structured;
  yyjson_doc *doc = NULL;
  if (answer->text != NULL) /* without INSITU nothing is written to the text */
    doc = yyjson_read_opts((char *)(uintptr_t)answer->text, answer->text_len, YYJSON_READ_BIGNUM_AS_RAW, &arena->alc, NULL);
  return doc != NULL ? yyjson_doc_get_root(doc) : result;
}

static void read_result(yyjson_val *result, bool is_tool, mcp__arena_t *arena, mcp_result_t *answer) {
  answer->value = result;
  if (!is_tool)
    return;
  yyjson_val *text = first_text(result);
  answer->text = yyjson_get_str(text);
  answer->text_len = yyjson_get_len(text);
  answer->value = value_of(result, answer, arena);
  answer->is_error = yyjson_is_true(yyjson_obj_get(result, "isError"));
  if (answer->is_error)
    answer->message = answer->text != NULL ? answer->text : "the tool reports an error";
}

static void read_error(yyjson_val *error, mcp_result_t *answer) {
  yyjson_val *code = yyjson_obj_get(error, "code");
  const char *message = yyjson_get_str(yyjson_obj_get(error, "message"));
  int64_t number = yyjson_get_sint(code);
  answer->status = number >= -32768 && number <= -32000 ? (int)number : MCP_TOOL_ERROR;
  answer->message = message != NULL ? message : mcp_strerror(answer->status);
  answer->value = yyjson_obj_get(error, "data");
}

static void on_response(mcp_client_t *client, const mcp__message_t *message) {
  uint64_t id = yyjson_is_uint(message->id_value) ? yyjson_get_uint(message->id_value) : 0;
  if (client->state == HANDSHAKING && id == client->initialize_id) {
    on_initialized(client);
    return;
  }
  mcp__waiting_t *waiting = mcp__pending_find(&client->pending, id);
  if (waiting == NULL || !request_of(waiting)->sent || request_of(waiting)->refused != 0) {
    /* its deadline has passed, it was cancelled, or nobody asked */
    mcp_log(MCP_LOG_DEBUG, "client", "%s: an answer that nobody waits for", client->url.authority);
    return;
  }
  mcp_result_t answer = {0};
  if (message->error != NULL && !yyjson_is_null(message->error))
    read_error(message->error, &answer);
  else
    read_result(message->result, request_of(waiting)->is_tool, &client->arena, &answer);
  finish(client, request_of(waiting), &answer);
}

typedef struct reply {
  const mcp__message_t *message;
  bool is_ping;
} reply_t;

static int write_reply(mcp__buf_t *out, void *what) {
  const reply_t *reply = what;
  const mcp__message_t *message = reply->message;
  if (!reply->is_ping)
    return mcp__jsonrpc_error(out, message->id, message->id_len, MCP_METHOD_NOT_FOUND, "this client serves ping alone",
                              NULL, 0);
  int status = mcp__jsonrpc_begin_result(out, message->id, message->id_len);
  return status == 0 ? mcp__buf_puts(out, "{}}") : status;
}

static void on_link_message(mcp__buf_t *text, void *arg) {
  mcp_client_t *client = arg;
  mcp__message_t message;
  mcp__buf_t mine = client->text; /* held here: a callback may lead to another message only through the loop */
  mcp__buf_swap(&mine, text);
  client->text = mine;
  memset(client->text.data + client->text.len, 0, MCP__JSON_PADDING);
  mcp__jsonrpc_parse(client->text.data, client->text.len, SIZE_MAX, &client->arena, &message);
  reply_t reply = {&message, yyjson_equals_str(message.method, "ping")};
  switch (message.kind) {
  case MCP__RESPONSE:
    on_response(client, &message);
    break;
  case MCP__REQUEST:
    if (client->link != NULL)
      mcp__link_send(client->link, write_reply, &reply);
    break;
  case MCP__NOTIFICATION:
    if (client->on_notification != NULL && client->state < CLOSING)
      client->on_notification(client, yyjson_get_str(message.method), message.params, client->on_notification_arg);
    break;
  case MCP__INVALID:
    mcp_log(MCP_LOG_WARN, "client", "%s sent what is no message: %s", client->url.authority, message.problem);
    break;
  }
  mcp__arena_reset(&client->arena);
  mcp__buf_clear(&client->text, KEEP_TEXT_BYTES);
}

/* ---- the API --------------------------------------------------------------------------------------- */

mcp_client_t *mcp_client_new(struct uv_loop_s *loop, const char *url) {
  char problem[320];
  mcp_client_t *client = mcp__calloc(sizeof *client);
  mcp__set_last_error("out of memory");
  if (client == NULL)
    return NULL;
  if (mcp__url_parse(url, &client->url, problem, sizeof problem) != 0) {
    mcp__set_last_error("%s", problem);
    mcp_log(MCP_LOG_ERROR, "client", "%s", problem);
    mcp__free(client);
    return NULL;
  }
  signal(SIGPIPE, SIG_IGN); /* a write after a reset must not end the process */
  client->loop = loop;
  client->hello = default_hello;
  client->due_ms = UINT64_MAX;
  client->connector = (mcp__connector_t){
      .io = &client->io, .on_done = on_connector_done, .on_idle = on_connector_idle, .arg = client};
  mcp_client_set_max_message_bytes(client, DEFAULT_MAX_MESSAGE);
  return client;
}

int mcp_client_set_max_message_bytes(mcp_client_t *client, size_t bytes) {
  if (client->active)
    return MCP_ESTATE;
  if (bytes < MIN_MAX_MESSAGE || bytes > MAX_MAX_MESSAGE)
    return UV_EINVAL;
  client->max_message = bytes;
  mcp__buf_init(&client->text, bytes + MCP__JSON_PADDING, NULL);
  mcp__arena_init(&client->arena, 8 * bytes < 1 << 20 ? 1 << 20 : 8 * bytes); /* a tool's answer is parsed twice */
  return 0;
}

void mcp__client_set_hello(mcp_client_t *client, const char *hello) { client->hello = hello; }

void mcp__client_set_connect_ms(mcp_client_t *client, uint64_t ms) { client->connect_ms = ms; }

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

int mcp_client_set_trace_id(mcp_client_t *client, const char *trace_id) {
  size_t len = trace_id != NULL ? strlen(trace_id) : 0;
  if (trace_id != NULL && (len < 1 || len > MAX_TRACE_BYTES || !mcp__utf8_valid(trace_id, len)))
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
  client->open_handles = 2;
  client->active = true;
  return 0;
}

int mcp_client_connect(mcp_client_t *client) {
  int status = activate(client);
  if (status != 0)
    return status;
  client->keep = true;
  wake_at(client, 0);
  return 0;
}

static int check_room(const mcp_client_t *client) {
  if (client->state == OPEN)
    return mcp__link_backlog(client->link) > MAX_WAITING_BYTES ? MCP_EFULL : 0;
  return client->unsent >= MAX_WAITING || client->unsent_bytes > MAX_WAITING_BYTES ? MCP_EFULL : 0;
}

static int write_cancelled(mcp__buf_t *out, void *what) {
  const request_t *request = what;
  char params[64];
  int len = snprintf(params, sizeof params, "{\"requestId\":%llu}", (unsigned long long)request->waiting.id);
  return mcp__jsonrpc_request(out, 0, "notifications/cancelled", params, (size_t)len);
}

/* Tells the peer where it has heard of the request; without memory for that, its answer goes nowhere all the same. */
static void cancel(request_t *request) {
  mcp_client_t *client = request->client;
  if (!request->sent) {
    remove_unsent(client, request);
    request->sent = true;
  } else if (client->state == OPEN) {
    mcp__link_send(client->link, write_cancelled, request);
  }
  request->refused = MCP_ECANCELED;
  mcp__pending_remove(&client->pending, &request->waiting);
  request->waiting.deadline_ms = uv_now(client->loop) + 1; /* as for refused ones, see add_request() */
  mcp__pending_add(&client->pending, &request->waiting);   /* cannot fail: its place in the table is still there */
  wake_at(client, request->waiting.deadline_ms);
}

static void on_parent_cancelled(mcp__child_t *child) {
  request_t *request = (request_t *)(void *)((char *)child - offsetof(request_t, child));
  if (request->client->state < CLOSING && request->refused == 0) /* else its end is due already */
    cancel(request);
}

uint64_t mcp_client_last_id(const mcp_client_t *client) { return client->last_made_id; }

int mcp_client_cancel(mcp_client_t *client, uint64_t id) {
  if (client->state >= CLOSING)
    return MCP_ECLOSED;
  mcp__waiting_t *waiting = mcp__pending_find(&client->pending, id);
  if (waiting == NULL || request_of(waiting)->refused != 0)
    return MCP_ESTATE;
  cancel(request_of(waiting));
  return 0;
}

static int add_request(mcp_client_t *client, request_t *request, uint64_t timeout_ms) {
  uv_update_time(client->loop); /* the caller may have been busy: its time-out begins now */
  uint64_t now_ms = uv_now(client->loop);
  request->timeout_ms = timeout_ms > 0 ? timeout_ms : DEFAULT_TIMEOUT_MS;
  if (client->state == BACKOFF && client->fail_fast)
    request->refused = client->status == MCP_ELOST ? MCP_ECONNECT : client->status; /* it was never sent */
  /* A refused one fails in another millisecond: due now, a call made in its callback would be due in the same turn of
   * the timer, and so on for ever. */
  request->waiting.deadline_ms = now_ms + (request->refused != 0 ? 1 : request->timeout_ms);
  int status = mcp__pending_add(&client->pending, &request->waiting);
  if (status != 0)
    return status;
  add_unsent(client, request);
  send_unsent(client);
  wake_at(client, request->sent || client->state != IDLE ? client->pending.first->deadline_ms : 0);
  return 0;
}

static int write_call(mcp__buf_t *out, const order_t *order, const char *args, size_t len) {
  int status = mcp__buf_puts(out, "{\"name\":");
  if (status == 0)
    status = mcp__buf_json_string(out, order->tool, strlen(order->tool));
  if (status == 0)
    status = mcp__buf_puts(out, ",\"arguments\":");
  if (status == 0)
    status = len > 0 ? mcp__buf_append(out, args, len) : mcp__buf_puts(out, "{}");
  if (status == 0 && order->trace_id != NULL) {
    status = mcp__buf_puts(out, ",\"_meta\":{\"trace_id\":");
    if (status == 0)
      status = mcp__buf_json_string(out, order->trace_id, strlen(order->trace_id));
    if (status == 0 && order->parent != NULL) {
      char span[MCP__SPAN_SIZE];
      mcp__span_write(mcp__call_span(order->parent), span);
      status = mcp__buf_printf(out, ",\"span_id\":\"%s\"", span);
    }
    if (status == 0)
      status = mcp__buf_puts(out, "}");
  }
  return status == 0 ? mcp__buf_puts(out, "}") : status;
}

/* What a request is made of: params is JSON text, of a tool the arguments. */
static int write_request(request_t *request, const order_t *order, const char *params, size_t len) {
  mcp__buf_t *text = &request->text;
  if (order->tool == NULL)
    return mcp__jsonrpc_request(text, request->waiting.id, order->method, params, len);
  mcp__buf_t wrapped;
  mcp__buf_init(&wrapped, request->client->max_message, NULL);
  int status = write_call(&wrapped, order, params, len);
  if (status == 0)
    status = mcp__jsonrpc_request(text, request->waiting.id, order->method, wrapped.data, wrapped.len);
  mcp__buf_deinit(&wrapped);
  return status;
}

static int serialise(yyjson_mut_doc *doc, char **text, size_t *len) {
  yyjson_write_err error;
  *text = NULL;
  *len = 0;
  if (doc == NULL || yyjson_mut_doc_get_root(doc) == NULL)
    return 0;
  *text = yyjson_mut_write_opts(doc, 0, &mcp__json_alc, len, &error);
  if (*text != NULL)
    return 0;
  return error.code == YYJSON_WRITE_ERROR_MEMORY_ALLOCATION ? UV_ENOMEM : MCP_EANSWER;
}

static int check_order(mcp_client_t *client, const order_t *order) {
  const char *name = order->tool != NULL ? order->tool : order->method;
  int status = activate(client);
  if (status == 0)
    status = check_room(client);
  if (status == 0 && !mcp__utf8_valid(name, strlen(name)))
    status = MCP_EANSWER; /* the peer would close, and take every other call with it */
  return status;
}

static int add_new_request(mcp_client_t *client, const order_t *order, const char *params, size_t len) {
  request_t *request = mcp__calloc(sizeof *request);
  if (request == NULL)
    return UV_ENOMEM;
  *request = (request_t){.waiting.id = ++client->last_id,
                         .client = client,
                         .child.on_cancel = on_parent_cancelled,
                         .cb = order->cb,
                         .arg = order->arg,
                         .is_tool = order->tool != NULL};
  mcp__buf_init(&request->text, client->max_message, NULL);
  int status = write_request(request, order, params, len);
  if (status == 0)
    status = add_request(client, request, order->timeout_ms);
  if (status != 0) {
    mcp__buf_deinit(&request->text);
    mcp__free(request);
    return status;
  }
  client->last_made_id = request->waiting.id;
  if (order->parent != NULL)
    mcp__call_adopt(order->parent, &request->child);
  return 0;
}

static int make_request(mcp_client_t *client, const order_t *order, yyjson_mut_doc *params) {
  char *text = NULL;
  size_t len = 0;
  int status = check_order(client, order);
  if (status == 0)
    status = serialise(params, &text, &len);
  yyjson_mut_doc_free(params);
  if (status == 0)
    status = add_new_request(client, order, text, len);
  mcp__free(text);
  return status;
}

int mcp_client_call(mcp_client_t *client, const char *tool, yyjson_mut_doc *args, uint64_t timeout_ms,
                    mcp_result_cb cb, void *arg) {
  order_t order = {.method = "tools/call", .tool = tool, .timeout_ms = timeout_ms, .cb = cb, .arg = arg};
  order.trace_id = *client->trace_id != '\0' ? client->trace_id : NULL;
  return make_request(client, &order, args);
}

int mcp_client_call_from(mcp_call_t *call, mcp_client_t *client, const char *tool, yyjson_mut_doc *args,
                         uint64_t timeout_ms, mcp_result_cb cb, void *arg) {
  order_t order = {.method = "tools/call", .tool = tool, .timeout_ms = timeout_ms, .cb = cb, .arg = arg};
  int status = mcp__call_may_adopt(call);
  if (status != 0) {
    yyjson_mut_doc_free(args);
    return status;
  }
  order.parent = call;
  order.trace_id = mcp_call_trace_id(call);
  return make_request(client, &order, args);
}

int mcp_client_request(mcp_client_t *client, const char *method, yyjson_mut_doc *params, uint64_t timeout_ms,
                       mcp_result_cb cb, void *arg) {
  order_t order = {.method = method, .timeout_ms = timeout_ms, .cb = cb, .arg = arg};
  return make_request(client, &order, params);
}

/* ---- the end --------------------------------------------------------------------------------------- */

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

static void check_closed(mcp_client_t *client) {
  if (client->state != CLOSING || client->links > 0 || client->pending.count > 0 ||
      !mcp__connector_is_idle(&client->connector) || uv_is_closing((uv_handle_t *)&client->timer))
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
  client->on_closed = cb;
  client->on_closed_arg = arg;
  mcp__connector_cancel(&client->connector);
  if (client->link != NULL)
    mcp__link_close(client->link, open);
  wake_at(client, 0);
  return 0;
}

void mcp_client_free(mcp_client_t *client) {
  if (client == NULL)
    return;
  if (client->active) {
    mcp_log(MCP_LOG_ERROR, "client", "mcp_client_free() before the client was closed: nothing is freed");
    return;
  }
  mcp__pending_deinit(&client->pending);
  mcp__buf_deinit(&client->text);
  mcp__arena_deinit(&client->arena);
  mcp__free(client);
}
