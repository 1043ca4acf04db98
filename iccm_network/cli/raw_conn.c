/* raw_conn.c: libuv's sockets as straight-line code: begin something, wait for it, look at what came.
 *
 * Happy path: wire_connect(), wire_upgrade() and wire_ask() each begin their part; net_wait() runs the loop
 * until it is done. Failure: a wire ends once, with the reason in its status, and stays there to be looked
 * at; every wait has a limit, and all of them together the net's deadline. Wires are freed with their net.
 */
#define _GNU_SOURCE /* memmem() */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "transport/auth.h"
#include "mcp/jsonrpc.h"
#include "print.h"
#include "raw_conn.h"

enum { MAX_MESSAGE = 64 << 20, NS_PER_MS = 1000000, POLITE_MS = 300 };

/* ---- the net --------------------------------------------------------------------------------------- */

int net_init(net_t *net, uint64_t timeout_ms) {
  int status = uv_loop_init(&net->loop);
  if (status != 0) /* UNTESTED: needs a process without descriptors */
    return status;
  uv_timer_init(&net->loop, &net->timer);
  net->timer.data = net;
  net->deadline_ns = uv_hrtime() + timeout_ms * NS_PER_MS;
  return 0;
}

uint64_t net_left_ms(const net_t *net) {
  uint64_t now = uv_hrtime();
  return now < net->deadline_ns ? (net->deadline_ns - now) / NS_PER_MS : 0;
}

static void on_timer(uv_timer_t *timer) {
  net_t *net = timer->data;
  net->late = true;
}

bool net_wait(net_t *net, bool (*done)(void *arg), void *arg, uint64_t limit_ms) {
  uint64_t left = net_left_ms(net);
  net->late = false;
  uv_update_time(&net->loop);
  uv_timer_start(&net->timer, on_timer, limit_ms < left ? limit_ms : left, 0);
  while (!done(arg) && !net->late)
    uv_run(&net->loop, UV_RUN_ONCE);
  uv_timer_stop(&net->timer);
  return done(arg);
}

static bool all_closed(void *arg) {
  const net_t *net = arg;
  for (const wire_t *wire = net->wires; wire != NULL; wire = wire->next)
    if (wire->state == WIRE_WEBSOCKET)
      return false;
  return true;
}

static void flush(wire_t *wire);

/* What is open is closed as the protocol wants it; a peer that does not answer that is left. */
static void close_politely(net_t *net) {
  for (wire_t *wire = net->wires; wire != NULL; wire = wire->next)
    if (wire->state == WIRE_WEBSOCKET && mcp__ws_close(&wire->ws, MCP__CLOSE_NORMAL, "") == 0)
      flush(wire);
  net_wait(net, all_closed, net, POLITE_MS);
}

static void free_wire(wire_t *wire) {
  mcp__ws_deinit(&wire->ws);
  mcp__head_deinit(&wire->head);
  mcp__buf_deinit(&wire->out);
  mcp__tls_free(wire->tls);
  yyjson_doc_free(wire->answer);
  free(wire);
}

void net_deinit(net_t *net, int exit_code) {
  if (net->looking_up) { /* exit() would wait for libuv's threads, where a resolver may hang */
    fflush(NULL);
    _exit(exit_code);
  }
  close_politely(net);
  for (wire_t *wire = net->wires; wire != NULL; wire = wire->next)
    wire_end(wire, UV_ECANCELED);
  uv_close((uv_handle_t *)&net->timer, NULL);
  uv_run(&net->loop, UV_RUN_DEFAULT);
  while (net->wires != NULL) {
    wire_t *wire = net->wires;
    net->wires = wire->next;
    free_wire(wire);
  }
  uv_loop_close(&net->loop);
}

/* ---- names ----------------------------------------------------------------------------------------- */

static void on_looked_up(uv_getaddrinfo_t *request, int status, struct addrinfo *list) {
  net_t *net = request->data;
  (void)list; /* stays in the request until it is read */
  net->looking_up = false;
  net->look_up_status = status;
}

static bool is_looked_up(void *arg) {
  const net_t *net = arg;
  return !net->looking_up;
}

size_t net_look_up(net_t *net, const char *host, int port, struct sockaddr_storage *addresses, size_t max,
                   uint64_t limit_ms, int *status) {
  char service[8];
  size_t count = 0;
  struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
  snprintf(service, sizeof service, "%d", port);
  net->look_up.data = net;
  *status = uv_getaddrinfo(&net->loop, &net->look_up, on_looked_up, host, service, &hints);
  if (*status != 0)
    return 0;
  net->looking_up = true;
  if (!net_wait(net, is_looked_up, net, limit_ms)) {
    *status = UV_ETIMEDOUT;
    return 0;
  }
  *status = net->look_up_status;
  for (struct addrinfo *each = net->look_up.addrinfo; *status == 0 && each != NULL && count < max;
       each = each->ai_next)
    memcpy(&addresses[count++], each->ai_addr, each->ai_addrlen);
  uv_freeaddrinfo(net->look_up.addrinfo);
  return count;
}

/* ---- one connection -------------------------------------------------------------------------------- */

void wire_end(wire_t *wire, int status) {
  if (wire->state == WIRE_ENDED)
    return;
  wire->state = WIRE_ENDED;
  wire->status = status;
  if (wire->head_state == MCP__HEAD_MORE)
    wire->end_ns = uv_hrtime();
  uv_close((uv_handle_t *)&wire->tcp, NULL);
}

static void on_connect(uv_connect_t *request, int status) {
  wire_t *wire = request->data;
  if (wire->state != WIRE_CONNECTING)
    return; /* given up before */
  wire->end_ns = uv_hrtime();
  if (status != 0) {
    wire_end(wire, status);
    return;
  }
  wire->state = WIRE_OPEN;
  uv_tcp_nodelay(&wire->tcp, 1);
}

wire_t *wire_connect(net_t *net, const struct sockaddr *address, const struct sockaddr *source) {
  wire_t *wire = checked(calloc(1, sizeof *wire));
  wire->net = net;
  wire->next = net->wires;
  net->wires = wire;
  mcp__peer_name(address, wire->name);
  memcpy(&wire->address, address,
         address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
  mcp__buf_init(&wire->out, MAX_MESSAGE, NULL);
  uv_tcp_init(&net->loop, &wire->tcp);
  wire->tcp.data = wire->connecting.data = wire;
  wire->began_ns = wire->end_ns = uv_hrtime();
  int status = source != NULL ? uv_tcp_bind(&wire->tcp, source, 0) : 0;
  if (status == 0)
    status = uv_tcp_connect(&wire->connecting, &wire->tcp, address, on_connect);
  if (status != 0)
    wire_end(wire, status);
  return wire;
}

bool wire_is_connected(void *arg) {
  const wire_t *wire = arg;
  return wire->state != WIRE_CONNECTING;
}

bool wire_wait_connected(wire_t *wire, uint64_t limit_ms) {
  if (!net_wait(wire->net, wire_is_connected, wire, limit_ms))
    wire_end(wire, UV_ETIMEDOUT);
  return wire->state == WIRE_OPEN;
}

double wire_ms(const wire_t *wire) {
  return (double)(wire->end_ns - wire->began_ns) / 1e6;
}

/* ---- what is sent ---------------------------------------------------------------------------------- */

typedef struct sending {
  uv_write_t request;
  mcp__buf_t data;
} sending_t;

static void on_sent(uv_write_t *request, int status) {
  sending_t *sending = (sending_t *)(void *)request; /* its first member */
  (void)status;                                      /* reading tells how a connection ends */
  mcp__buf_deinit(&sending->data);
  free(sending);
}

static void flush(wire_t *wire) {
  mcp__buf_t *ready = wire->tls != NULL ? &wire->tls->out : &wire->out;
  if (wire->state == WIRE_ENDED)
    return;
  if (wire->tls != NULL)
    mcp__tls_write(wire->tls, &wire->out); /* reading tells how a connection ends */
  if (ready->len == 0)
    return;
  sending_t *sending = checked(calloc(1, sizeof *sending));
  mcp__buf_init(&sending->data, MAX_MESSAGE, NULL);
  mcp__buf_swap(&sending->data, ready);
  uv_buf_t data = uv_buf_init(sending->data.data, (unsigned)sending->data.len);
  if (uv_write(&sending->request, (uv_stream_t *)&wire->tcp, &data, 1, on_sent) != 0)
    on_sent(&sending->request, 0);
}

/* ---- what comes ------------------------------------------------------------------------------------ */

/* Whether the last request's answer is in a message; its sender may not have been able to read the question.
 */
static bool is_answer(const wire_t *wire, yyjson_val *root) {
  yyjson_val *id = yyjson_obj_get(root, "id"), *error = yyjson_obj_get(root, "error");
  if (yyjson_obj_get(root, "result") == NULL && error == NULL)
    return false;
  if (id == NULL || yyjson_is_null(id))
    return wire->without_id || !mcp__jsonrpc_answers_notice(id != NULL, error);
  return yyjson_is_num(id) && yyjson_get_num(id) == (double)wire->last_id;
}

static void on_message(mcp__buf_t *message, bool binary, void *arg) {
  wire_t *wire = arg;
  (void)binary;
  yyjson_doc *doc = mcp_json_read(message->data, message->len);
  mcp__buf_clear(message, 0);
  wire->garbage = wire->garbage || doc == NULL;
  if (!is_answer(wire, yyjson_doc_get_root(doc))) {
    yyjson_doc_free(doc);
    return;
  }
  yyjson_doc_free(wire->answer);
  wire->answer = doc;
}

static void on_close(int code, const char *reason, bool clean, void *arg) {
  wire_t *wire = arg;
  wire->close_code = code;
  wire->close_is_theirs = clean;
  snprintf(wire->close_reason, sizeof wire->close_reason, "%s", reason);
}

static void take_frames(wire_t *wire, const char *data, size_t len) {
  /* A pong without payload, which answers our ping; no text holds these bytes, since a NUL is no JSON. */
  wire->pong = wire->pong || memmem(data, len, "\x8a\x00", 2) != NULL;
  mcp__ws_feed(&wire->ws, (const uint8_t *)data, len);
  mcp__ws_flush_pong(&wire->ws);
  flush(wire);
  if (wire->ws.ended)
    wire_end(wire, UV_EOF);
}

static void keep_first(wire_t *wire, const char *data, size_t len) {
  size_t room = sizeof wire->first - 1 - wire->first_len;
  size_t take = len < room ? len : room;
  memcpy(wire->first + wire->first_len, data, take);
  wire->first_len += take;
  if (wire->whole != NULL && mcp__buf_append(wire->whole, data, len) != 0)
    wire_end(wire, UV_EMSGSIZE);
}

static void take_head(wire_t *wire, const char *data, size_t len) {
  size_t used;
  keep_first(wire, data, len);
  if (*wire->key == '\0' || wire->head_state != MCP__HEAD_MORE)
    return; /* nothing was asked, or its answer's body */
  wire->head_state = mcp__head_feed(&wire->head, data, len, &used);
  if (wire->head_state == MCP__HEAD_MORE)
    return;
  wire->end_ns = uv_hrtime();
  if (wire->head_state == MCP__HEAD_DONE)
    wire->switch_status = mcp__check_switching(&wire->head, wire->key, wire->problem, sizeof wire->problem);
  if (wire->head_state != MCP__HEAD_DONE || wire->switch_status != 0)
    return;
  wire->state = WIRE_WEBSOCKET;
  if (used < len)
    take_frames(wire, data + used, len - used);
}

static bool take_plain(void *arg, const char *data, size_t len) {
  wire_t *wire = arg;
  if (wire->state == WIRE_WEBSOCKET)
    take_frames(wire, data, len);
  else
    take_head(wire, data, len);
  return wire->state != WIRE_ENDED;
}

static void take_encrypted(wire_t *wire, const char *data, size_t len) {
  bool was_open = wire->tls->open;
  int status = mcp__tls_feed(wire->tls, data, len, take_plain, wire);
  if (!was_open)
    wire->end_ns = uv_hrtime();
  flush(wire);
  if (status != 0)
    wire_end(wire, status);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf) {
  wire_t *wire = stream->data;
  if (len < 0)
    wire_end(wire, (int)len);
  else if (wire->tls != NULL)
    take_encrypted(wire, buf->base, (size_t)len);
  else
    take_plain(wire, buf->base, (size_t)len);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
  wire_t *wire = handle->data;
  (void)suggested;
  *buf = uv_buf_init(wire->net->buffer, sizeof wire->net->buffer);
}

/* ---- steps ----------------------------------------------------------------------------------------- */

void wire_send_raw(wire_t *wire, const void *data, size_t len) {
  wire->began_ns = uv_hrtime();
  mcp__buf_append(&wire->out, data, len);
  uv_read_start((uv_stream_t *)&wire->tcp, on_alloc, on_read);
  flush(wire);
}

void wire_start_tls(wire_t *wire, mcp__tls_context_t *context, const char *host, bool verify) {
  wire->began_ns = uv_hrtime();
  wire->tls = checked(mcp__tls_new(context, host, verify, MAX_MESSAGE));
  uv_read_start((uv_stream_t *)&wire->tcp, on_alloc, on_read);
  flush(wire);
}

bool wire_is_secured(void *arg) {
  const wire_t *wire = arg;
  return wire->tls == NULL || wire->tls->open || wire->state == WIRE_ENDED;
}

void wire_upgrade(wire_t *wire, const mcp__url_t *url) {
  wire->ws_config = (mcp__ws_config_t){.client = true,
                                       .max_message = MAX_MESSAGE,
                                       .out = &wire->out,
                                       .on_message = on_message,
                                       .on_end = on_close,
                                       .arg = wire};
  mcp__ws_init(&wire->ws, &wire->ws_config);
  if (mcp__head_init(&wire->head, false) != 0 || mcp__new_key(wire->key) != 0) {
    wire_end(wire, UV_ENOMEM); /* UNTESTED: needs memory to run out */
    return;
  }
  wire->began_ns = uv_hrtime();
  const char *token;
  mcp__token_of_environment(&token); /* the doctor has judged it */
  mcp__write_upgrade(&wire->out, url->authority, url->path, wire->key, token);
  uv_read_start((uv_stream_t *)&wire->tcp, on_alloc, on_read);
  flush(wire);
}

bool wire_is_judged(void *arg) {
  const wire_t *wire = arg;
  return wire->state == WIRE_WEBSOCKET || wire->state == WIRE_ENDED || wire->head_state != MCP__HEAD_MORE;
}

void wire_send_text(wire_t *wire, const char *text, size_t len) {
  if (wire->state != WIRE_WEBSOCKET)
    return;
  size_t begin = mcp__ws_begin(&wire->ws);
  if (begin == SIZE_MAX)
    return;
  mcp__buf_append(&wire->out, text, len);
  mcp__ws_end(&wire->ws, begin);
  flush(wire);
}

static bool is_answered(void *arg) {
  const wire_t *wire = arg;
  return wire->answer != NULL || wire->state != WIRE_WEBSOCKET;
}

bool wire_wait_answer(wire_t *wire, uint64_t limit_ms) {
  net_wait(wire->net, is_answered, wire, limit_ms);
  return wire->answer != NULL;
}

bool wire_ask(wire_t *wire, const char *method, const char *params, uint64_t limit_ms) {
  char *text = NULL;
  size_t len;
  yyjson_doc_free(wire->answer);
  wire->answer = NULL;
  wire->garbage = wire->without_id = false;
  FILE *file = checked(open_memstream(&text, &len));
  fprintf(file, "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"method\":\"%s\"%s%s}",
          (unsigned long long)++wire->last_id, method, *params != '\0' ? ",\"params\":" : "", params);
  fclose(file);
  wire_send_text(wire, checked(text), len);
  free(text);
  return wire_wait_answer(wire, limit_ms);
}

static bool is_alive(void *arg) {
  const wire_t *wire = arg;
  return wire->pong || wire->state != WIRE_WEBSOCKET;
}

bool wire_ping(wire_t *wire, uint64_t limit_ms) {
  wire->pong = false;
  if (wire->state != WIRE_WEBSOCKET || mcp__ws_ping(&wire->ws) != 0)
    return false;
  flush(wire);
  net_wait(wire->net, is_alive, wire, limit_ms);
  return wire->pong;
}
